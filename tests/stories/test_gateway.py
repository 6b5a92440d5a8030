"""Systems set up for the provider's own mail gateway: their mail works here, and betrays nothing."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
import pytest_asyncio
from harness import Journey, journey, settings

from relay.config import Route
from relay.config.shape import Account

LOGIN, PSW = "alex-of-the-gateway", "S3cret-of-the-gateway"
TO = "send@sms.example.com"
BOTH = ["NOTIFY=SUCCESS,FAILURE"]
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
    """Nobody beside send@ gets its text, whoever is named first: it holds a password."""
    first = await gate.mail(command("0:::79999999999:One"), [TO, "79991111111@sms.example.com", TO])
    second = await gate.mail(command("0:::79999999999:Two"), ["79991111111@sms.example.com", TO])
    await gate.pass_time(60)

    assert ["250", "550", "550", "250"] == [reply[:3] for reply in first[1:]]
    assert "550 5.7.0 a mail to send@ holds credentials, it goes to nobody else" == first[2]
    assert ["250", "250", "250"] == [reply[:3] for reply in second[1:]]
    assert ["One", "Two"] == sorted(sent["mes"] for sent in gate.sends())
    (report,) = gate.reports()
    assert "79991111111" in report.as_string()


@pytest.mark.asyncio
async def test_lmtp_answers_250_where_a_command_is_partly_served(tmp_path: Path) -> None:
    """One bad number of a list does not make the client send the rest again; it is reported."""
    account = Account.model_validate({"url": "sandbox", "login": LOGIN, "psw": PSW})
    config = settings(tmp_path, routes=ROUTES).model_copy(update={"accounts": {"main": account}})
    door = config.listeners[0].model_copy(update={"protocol": "lmtp"})
    async with journey(tmp_path, config=config.model_copy(update={"listeners": (door,)})) as running:
        host, _, port = running.app.listeners[0].address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        said = command("0::0,0,::79999999999:One\n123:Two").replace(b"\n", b"\r\n")
        lines = [b"LHLO x", b"MAIL FROM:<ops@mon.example.com>", f"RCPT TO:<{TO}>".encode(), b"DATA"]
        writer.write(b"\r\n".join(lines) + b"\r\n" + said + b"\r\n.\r\nQUIT\r\n")
        dialog = (await reader.read()).decode()
        writer.close()
        await running.pass_time(60)
        (report,) = running.reports()

    assert "250 2.0.0 queued as" in dialog
    assert "123" in report.get_body().get_content()


@pytest.mark.asyncio
async def test_every_phone_of_a_command_is_told_of(gate: Journey) -> None:
    """Bad numbers, and texts that failed, each by itself; good ones too where that was asked for."""
    await gate.mail(command("0:::123,456,79999999999,oncall2:Hello"), TO, rcpt_options=BOTH)
    await gate.mail(command("0::::79990000007:One\n79990000017:Two\n79990000008:Three"), TO)
    await gate.pass_time(600)

    told = "".join(report.get_body().get_content() for report in gate.reports())
    for each in ('"123" is not', '"456" is not', "'oncall2' is nobody", "phone +79999999999", "One", "Three"):
        assert each in told


@pytest.mark.asyncio
async def test_moscow_time_is_sent_as_zero(gate: Journey) -> None:
    """Tz 0 is Moscow, absent it is the account's: they are not the same; translit 0 is off."""
    await gate.mail(command("0:0101301000,0:0,0,:79999999999:m"), TO)
    await gate.mail(command("0:0::79999999998:m"), TO)
    await gate.pass_time(5)

    first, second = gate.sends()
    assert ("0101301000", "0", "0") == (first["time"], first["tz"], first["translit"])
    assert not {"time", "tz", "translit"} & second.keys()


@pytest.mark.asyncio
async def test_a_command_in_the_header_is_not_kept(gate: Journey, tmp_path: Path) -> None:
    """A program that writes the line into the subject too does not make us store it."""
    line = f"{LOGIN}:{PSW}:0:::79990000007:Hello"
    await gate.mail(f"Subject: {line}\n\n{line}", TO)
    await gate.pass_time(60)

    assert 1 == len(gate.reports())
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert PSW.encode() not in kept


@pytest.mark.asyncio
async def test_options_of_send_are_no_command(gate: Journey) -> None:
    """send+flash@ is an address like any other, and so is nobody."""
    replies = await gate.mail(command("0:::79999999999:Hello"), "send+flash@sms.example.com")
    assert replies[1].startswith("550")


@pytest.mark.asyncio
async def test_a_list_may_come_with_files(gate: Journey) -> None:
    """The place of a file is no line of the list."""
    body = f"{LOGIN}:{PSW}:0::,7::79999999999:One\n79999999998:Two"
    raw = (
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n"
        + body
        + "\n--b\nContent-Type: text/plain; name=a.txt\n"
        "Content-Disposition: attachment; filename=a.txt\n\nx\n--b--\n"
    )
    replies = await gate.mail(raw, TO)
    await gate.pass_time(5)

    assert replies[-1].startswith("250")
    assert ["One\n<file 1>", "Two\n<file 1>"] == sorted(sent["mes"] for sent in gate.sends())


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
