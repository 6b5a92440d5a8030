"""What the log may hold: a whole journey with its failures, looked through for texts, numbers and secrets."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiosmtpd.smtp import SMTP
from harness import Journey, journey, settings
from pydantic import SecretStr

from relay import log
from relay.config import Cap, Smarthost

WORDS = ("Geheimwort", "Betreffwort", "Antwortwort", "Anhangwort")
SECRETS = ("psw-of-the-account", "secret-of-callbacks")
PHONE = "79991234567"
FATES = (
    "0001",
    "0006",
    "0007",
    "0008",
    "0009",
    "0107",
    "0110",
    "0111",
    "0115",
    "0117",
    "0130",
    "2011",
    "3022",
)
MAIL = """\
From: ops@mon.example.com
Subject: Betreffwort {n}
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

Geheimwort {n}
--b
Content-Type: text/csv; name="Anhangwort.csv"

Anhangwort
--b--
"""


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The log of this process, as it is written, with numbers masked."""
    root = logging.getLogger()
    before = root.handlers, root.level
    stream = io.StringIO()
    log.set_up(stream)
    yield stream
    root.handlers, level = before
    root.setLevel(level)


class Gossip:
    """A smarthost that refuses reports for good, and says about whom they are."""

    async def handle_DATA(self, _server, _session, _envelope) -> str:  # noqa: N802
        return f"554 5.7.1 no news of +{PHONE} or 7 999 123-45-67 for you"


async def call(relay: Journey, **form: object) -> int:
    """A callback; the answer's HTTP status."""
    url = f"http://{relay.app.web.address}/callback/main"
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
        return answer.status


async def travel(tmp_path: Path) -> None:
    """Good and bad mails, refusals of every kind, storms, caps, callbacks, answers, reports that fail."""
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Gossip(), hostname="gossip"), "127.0.0.1", 0
    )
    config = settings(
        tmp_path,
        web={"listen": "127.0.0.1:0", "callback_secret": SecretStr(SECRETS[1])},
        caps=(Cap(phone="*", per="hour", messages=14, over="hold"),),
        reports={
            "gather": 0,
            "maildir": None,
            "operator": "operator@example.com",
            "smtp": Smarthost(host="127.0.0.1", port=server.sockets[0].getsockname()[1], tls="none"),
        },
    )
    login = {"login": SecretStr("l"), "psw": SecretStr(SECRETS[0])}
    account = config.accounts["main"].model_copy(update=login)
    config = config.model_copy(update={"accounts": {**config.accounts, "main": account}})
    async with server, journey(tmp_path, config=config, patience=0.3) as relay:
        for n, fate in enumerate(FATES):
            await relay.mail(MAIL.format(n=n), f"7999123{fate}@sms.example.com")
        for n in range(20):
            await relay.mail(MAIL.format(n=100 + n), f"{PHONE}@sms.example.com")
        for bad in (
            "8-999-123-45-67",
            "+7(999)1234567",
            '"8(999)1234567"',
            "+7999123456789012",
            f"{PHONE}+x=1",
        ):
            await relay.mail(MAIL.format(n=0), f"{bad}@sms.example.com")
        await relay.mail(MAIL.format(n=7), f"+{PHONE}@call.example.com")
        await relay.pass_time(200)
        md5 = hashlib.md5(f"{PHONE}:Antwortwort:79037672215:{SECRETS[1]}".encode()).hexdigest()
        assert 200 == await call(relay, phone=PHONE, mes="Antwortwort", to="79037672215", md5=md5)
        assert 403 == await call(relay, phone=PHONE, mes="Antwortwort", to="79037672215", md5="0" * 32)
        assert 403 == await call(relay, id="1", phone=PHONE, status="1", md5="0" * 32)
        await relay.pass_time(60)
        await relay.app.reader.close()
        await relay.mail(MAIL.format(n=8) + "x" * 50_000, f"{PHONE}@sms.example.com")


def numbers(written: str) -> list[str]:
    """The lines of the log that show a phone number of the journey, however it is written."""
    return [
        line
        for line in written.splitlines()
        if re.search(r"[789]?999123[0-9]{4}", re.sub(r"[ ().+-]", "", line))
    ]


@pytest.mark.asyncio
async def test_the_log_holds_no_text_no_number_and_no_secret(tmp_path: Path, lines: io.StringIO) -> None:
    """Whatever happens on the way."""
    await travel(tmp_path)
    written = lines.getvalue()
    events = {json.loads(line)["event"] for line in written.splitlines()}
    assert {"queued", "refused", "moved", "reported", "a report was given up", "operator told", "digest",
            "a phone answered", "a callback was not taken", "a mail could not be read"} <= events  # fmt: skip
    assert [] == [word for word in (*WORDS, *SECRETS) if word in written]
    assert [] == numbers(written)
    assert "***4567" in written


@pytest.mark.asyncio
async def test_numbers_in_full_for_those_who_want_them(tmp_path: Path, lines: io.StringIO) -> None:
    """`log.numbers: plain` shows orders, phones and refusals as they are; texts and secrets never."""
    log.set_up(lines, numbers="plain")
    await travel(tmp_path)
    written = lines.getvalue()
    found = [json.loads(line) for line in written.splitlines()]
    assert any(f"+{PHONE}" in each.get("order", "") for each in found)
    assert any(each.get("phone", "").endswith(PHONE) for each in found)
    assert any("8-999-123-45-67" in each.get("reply", "") for each in found)
    assert [] == [word for word in (*WORDS, *SECRETS) if word in written]


def test_an_exception_is_shown_without_what_it_may_quote(lines: io.StringIO) -> None:
    """Type, place and causes; words only of the system's own, numbers masked there as well."""
    logger = logging.getLogger("relay.test")
    try:
        try:
            int("Geheimwort")
        except ValueError as error:
            raise OSError(28, "no room for", f"/var/{PHONE}") from error
    except OSError:
        logger.exception("it failed")
    found = json.loads(lines.getvalue())
    assert "builtins.OSError: [Errno 28] no room for: '/var/***4567'" in found["exception"]
    assert "builtins.ValueError" in found["exception"]
    assert "test_log.py" in found["exception"]
    assert "Geheimwort'" not in found["exception"]


def test_every_exception_of_a_group_is_shown_and_a_circle_ends(lines: io.StringIO) -> None:
    """A group names its members; an exception that is its own cause is shown once."""
    first, second = KeyError("Geheimwort"), RuntimeError("Geheimwort")
    first.__cause__, second.__cause__ = second, first
    group = ExceptionGroup("Geheimwort", [first])
    logging.getLogger("relay.test").error("it failed", exc_info=group)
    found = json.loads(lines.getvalue())["exception"]
    assert ["ExceptionGroup", "KeyError", "RuntimeError"] == [
        line.removeprefix("builtins.") for line in found.splitlines() if line.startswith("builtins.")
    ]
    assert "Geheimwort" not in found
