"""No form of smuggling brings a second message to the provider, whatever the listener makes of line ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from faults import to
from harness import SENDER, Journey, journey, settings
from nexthop import nexthop

from relay.config import Config, Route, Smarthost

FORMS = [
    *(b"\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r"),
    *(b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\r\n.\r\r\n", b"\r\n\r.\r\n", b"\n\n.\r\n"),
    *(b"\n.\n\r\n", b"\r\n.\r\r\n", b"\x85.\x85", b"\r\n.\x20\r\n", b"\r\n .\r\n"),
]
MAIL = b"From: ops@mon.example.com\r\nSubject: one\r\n\r\ntext"


def second() -> bytes:
    """What an attacker would have taken for commands and a mail of their own."""
    evil = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{to('9999')}>\r\nDATA\r\n"
    return evil.encode() + b"Subject: two\r\n\r\nsmuggled\r\n"


async def said(relay: Journey, *octets: bytes) -> list[str]:
    """All that is answered to these octets, each written once the one before is answered."""
    host, _, port = relay.app.listeners[0].address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [(await reader.readline()).decode()]
    for each in octets:
        writer.write(each)
        while True:
            async with asyncio.timeout(10):
                lines.append((await reader.readline()).decode())
            if lines[-1][3:4] != "-":
                break
    writer.write(b"QUIT\r\n")
    lines += (await reader.read()).decode().splitlines()
    writer.close()
    return lines


def listening(config: Config, line_endings: str) -> Config:
    """The configuration with a listener that makes this of line ends."""
    door = config.listeners[0].model_copy(update={"line_endings": line_endings})
    return config.model_copy(update={"listeners": (door,)})


async def smuggle(relay: Journey, form: bytes, way: str, recipient: str) -> bool:
    """Send a mail that holds another one behind the form; whether it was taken, as one."""
    whole = MAIL + form + second()
    octets = [b"DATA\r\n", whole + b".\r\n"] if way == "DATA" else [b"BDAT %d LAST\r\n" % len(whole) + whole]
    answers = await said(
        relay,
        b"EHLO mon.example.com\r\n",
        b"MAIL FROM:<%b>\r\n" % SENDER.encode(),
        b"RCPT TO:<%b>\r\n" % recipient.encode(),
        *octets,
    )
    codes = [each[:3] for each in answers if each[3:4] == " "]
    assert (codes[-2] in ("250", "550"), codes[-1]) == (True, "221"), (form, answers)
    assert len(codes) == (7 if way == "DATA" else 6), (form, answers)
    return codes[-2] == "250"


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["DATA", "BDAT"])
@pytest.mark.parametrize("line_endings", ["strict", "normalise"])
async def test_no_second_message(tmp_path: Path, line_endings: str, way: str) -> None:
    """Each form is content, and the mail is refused, or is one message to whom it was for."""
    async with journey(tmp_path, config=listening(settings(tmp_path), line_endings)) as relay:
        for number, form in enumerate(FORMS):
            phone = f"45{number:02}"
            taken = await smuggle(relay, form, way, to(phone))
            orders = [order for order in await relay.orders() if order.target.endswith(phone)]
            assert len(orders) == taken, form
        assert not [order for order in await relay.orders() if order.target.endswith("9999")]
        assert line_endings == "strict" or len(await relay.orders()) > len(FORMS) // 2


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["DATA", "BDAT"])
@pytest.mark.parametrize("line_endings", ["strict", "normalise"])
async def test_no_second_mail_at_the_next_server(tmp_path: Path, line_endings: str, way: str) -> None:
    """What is forwarded is one mail there, and holds no CR or LF alone that a lax server could end it at."""
    async with nexthop() as hop:
        smarthost = Smarthost(host="127.0.0.1", port=hop.port, tls="none")
        base = settings(tmp_path)
        route = Route(match="*@people.example", channel="forward", smtp=smarthost)
        config = base.model_copy(update={"routes": (route, *base.routes)})
        async with journey(tmp_path, config=listening(config, line_endings)) as relay:
            people = {f"n{number}@people.example": form for number, form in enumerate(FORMS)}
            good = [who for who, form in people.items() if await smuggle(relay, form, way, who)]
            await relay.rest()

        assert sorted([f"RCPT TO:<{who}>"] for who in good) == sorted(each.rcpts for each in hop.taken)
        assert len(good) == sum(command.startswith("MAIL") for command in hop.said)
        assert len(good) == sum(command.startswith("RCPT") for command in hop.said)
        for each in hop.taken:
            assert each.data.count(b"\r\n") == each.data.count(b"\r") == each.data.count(b"\n")
            assert b"\r\n.\r\n" not in each.data
            assert each.data.endswith(b"smuggled\r\n")
        assert len(good) > (len(FORMS) // 2 if line_endings == "normalise" else 0)
