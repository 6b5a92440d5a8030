"""No form of smuggling brings a second message to the provider, whatever the listener makes of line ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from faults import to
from harness import SENDER, Journey, journey, settings

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


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["DATA", "BDAT"])
@pytest.mark.parametrize("line_endings", ["strict", "normalise"])
async def test_no_second_message(tmp_path: Path, line_endings: str, way: str) -> None:
    """Each form is content, and the mail is refused, or is one message to whom it was for."""
    config = settings(tmp_path)
    door = config.listeners[0].model_copy(update={"line_endings": line_endings})
    config = config.model_copy(update={"listeners": (door,)})
    async with journey(tmp_path, config=config) as relay:
        for number, form in enumerate(FORMS):
            phone = f"45{number:02}"
            whole = MAIL + form + second()
            octets = [whole + b".\r\n"] if way == "DATA" else [whole]
            start = b"DATA\r\n" if way == "DATA" else b"BDAT %d LAST\r\n" % len(whole)
            octets = [start, *octets] if way == "DATA" else [start + whole]
            answers = await said(
                relay,
                b"EHLO mon.example.com\r\n",
                b"MAIL FROM:<%b>\r\n" % SENDER.encode(),
                b"RCPT TO:<%b>\r\n" % to(phone).encode(),
                *octets,
            )
            codes = [each[:3] for each in answers if each[3:4] == " "]
            assert (codes[-2] in ("250", "550"), codes[-1]) == (True, "221"), (form, answers)
            assert len(codes) == (7 if way == "DATA" else 6), (form, answers)
            orders = [order for order in await relay.orders() if order.target.endswith(phone)]
            assert len(orders) == (codes[-2] == "250"), form
        assert not [order for order in await relay.orders() if order.target.endswith("9999")]
        assert line_endings == "strict" or len(await relay.orders()) > len(FORMS) // 2
