"""Systems set up for the provider's own mail gateway: their mail works here, and betrays nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import pytest_asyncio
from harness import Journey, journey, settings

from relay.config import Route
from relay.config.shape import Account

LOGIN, PSW = "alex-of-the-gateway", "S3cret-of-the-gateway"
TO = "send@sms.example.com"
MAIN = {"account": "main", "accounts": ["main"]}
ROUTES = (
    Route.model_validate(
        {
            "match": "*@sms.example.com",
            "channel": "sms",
            "account": "main",
            "accounts": ["main"],
            "gateway": True,
        }
    ),
    Route.model_validate({"match": "*", "channel": "mail", "account": "main", "accounts": ["main"]}),
)


@pytest_asyncio.fixture
async def gate(tmp_path: Path):
    """A relay whose account has a login and a password, on a route that takes the grammar."""
    account = Account.model_validate({"url": "sandbox", "login": LOGIN, "psw": PSW})
    config = settings(tmp_path, routes=ROUTES)
    config = config.model_copy(update={"accounts": {"main": account}})
    async with journey(tmp_path, config=config) as running:
        yield running


def command(rest: str, psw: str = PSW, content_type: str = "text/plain; charset=utf-8") -> bytes:
    """A mail as the official library writes it: no header but one, eight bits without a word about it."""
    return f"Content-Type: {content_type}\n\n{LOGIN}:{psw}:{rest}".encode()


@pytest.mark.asyncio
async def test_the_official_librarys_mail_is_sent(gate: Journey) -> None:
    """Two phones, flash, translit, a sender and a moment; the id is ours."""
    replies = await gate.mail(
        command("77:0101301000:1,1,ivan:79999999999,78888888888:line1: a\nline2\n"), TO, sender="api@smsc.ru"
    )
    await gate.pass_time(5)

    assert replies[-1].startswith("250 2.0.0 queued as ")
    (sent,) = gate.sends()
    assert "+79999999999,+78888888888" == sent["phones"]
    assert "line1: a\nline2" == sent["mes"]
    assert ("1", "1", "ivan", "0101301000") == tuple(sent[k] for k in ("flash", "translit", "sender", "time"))
    assert "77" != sent["id"]
    assert ["77", "77"] == [order.label for order in await gate.orders()]


@pytest.mark.asyncio
async def test_a_list_sends_each_its_own_text(gate: Journey) -> None:
    """A line for each text; what is no number is told, and harms nobody else."""
    await gate.mail(command("5::,0,::79999999999:One\\nand\n123:Two\n78888888888:Three"), TO)
    await gate.pass_time(60)

    assert {"+79999999999": "One\nand", "+78888888888": "Three"} == {
        sent["phones"]: sent["mes"] for sent in gate.sends()
    }
    (report,) = gate.reports()
    text = report.get_body().get_content()
    assert "Number given in the mail: 5" in text
    assert '"123" is not a phone number' in text


@pytest.mark.asyncio
async def test_koi8_r_is_the_charset_of_a_mail_that_names_none(gate: Journey) -> None:
    """As on the provider's own gateway."""
    mes = "Привет, сервер"
    await gate.mail(f"Subject: x\n\n{LOGIN}:{PSW}:0::0,0,:79999999999:{mes}".encode("koi8-r"), TO)
    await gate.pass_time(5)

    assert [mes] == [sent["mes"] for sent in gate.sends()]


@pytest.mark.asyncio
async def test_html_may_carry_a_marked_command(gate: Journey) -> None:
    """What can't send plain text puts its line between marks."""
    html = f"<html><body><p>Hi</p>[text]{LOGIN}:{PSW}:0:::79999999999:Hello &amp; bye[/text]</body></html>"
    await gate.mail(f"Content-Type: text/html; charset=utf-8\n\n{html}", TO)
    await gate.pass_time(5)

    assert ["Hello & bye"] == [sent["mes"] for sent in gate.sends()]


@pytest.mark.asyncio
async def test_wrong_credentials_send_nothing(gate: Journey) -> None:
    """Refused at DATA; of which part was wrong no word is said."""
    replies = await gate.mail(command("0:::79999999999:Hello", psw="guess"), TO)

    assert "554 5.7.8 the login and password in the mail are those of no account here" == replies[-1]
    assert [] == await gate.orders()


@pytest.mark.asyncio
async def test_a_command_is_its_mails_only_business(gate: Journey) -> None:
    """Whoever comes beside send@ is asked to come in another mail, so that no password is texted on."""
    first = await gate.mail(command("0:::79999999999:Hello"), [TO, "79991111111@sms.example.com"])
    second = await gate.mail(command("0:::79999999999:Hello"), ["79991111111@sms.example.com", TO])

    assert ["250", "452", "250"] == [reply[:3] for reply in first[1:]]
    assert "452 4.5.3 send@ is a mail's only recipient, send the rest in another mail" == first[2]
    assert "452" == second[2][:3]


@pytest.mark.asyncio
async def test_the_credentials_are_nowhere_afterwards(
    gate: Journey, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the log, nor on disk, nor in a report that returns the whole mail."""
    with caplog.at_level(logging.DEBUG):
        await gate.mail(
            command("9:::79990000007:Hello"), TO, options=["RET=FULL"], rcpt_options=["NOTIFY=FAILURE"]
        )
        await gate.pass_time(60)

    (report,) = gate.reports()
    assert "79990000007" in report.as_string()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"Hello" in kept
    for secret in (LOGIN, PSW):
        assert secret not in caplog.text
        assert secret.encode() not in kept


@pytest.mark.asyncio
async def test_send_is_an_ordinary_name_elsewhere(tmp_path: Path) -> None:
    """Without `gateway: true` it is neither an alias nor a number."""
    async with journey(tmp_path) as plain:
        replies = await plain.mail(command("0:::79999999999:Hello"), TO)
    assert replies[1].startswith("550 5.1.1")
