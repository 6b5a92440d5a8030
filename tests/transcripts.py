r"""Transcripts of `tests/dialogs`, played against a real socket.

    # a comment; the first one says what the dialog shows
    L: protocol=lmtp errors=3    a bare door: protocol, profile, proxies, TLS, logins, limits, rates
    R: senders: [...]            a whole relay: its configuration over the tests' own, in YAML, line by line
    C: text                      the client's line, CR LF added; lines in a row leave in one write
    C~ text\n\x00                octets, exactly these
    C* 13000 x                   a line of so many of that
    C< eof                       the client closes its half
    C< tls, C< tls NAME          the client shakes hands; with its own certificate of that name
    C< new                       another client goes on
    C< data NAME, C< bdat NAME   a mail of `letters` with its end, or as one chunk
    T: 8                         seconds pass once the server waits, by its own clock
    S: 250 2.1.0*OK              the server's next line begins so, * is any text
    S+ 250-DSN | 250 HELP        a whole reply of several lines, among them lines that begin so
    S< closed, S< cut            the server has closed
    H: mail <a@b> ret=full       what a hook heard, in this order; of a whole relay: what is stored

Every mail that arrives must be told by an `H: data` line, at a whole relay by `H: stored`: a smuggled
one fails its dialog.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pki import HOST, Pki

DIALOGS = sorted((Path(__file__).parent / "dialogs").glob("*.smtp"))

Step = tuple[str, str]


def steps(text: str) -> list[Step]:
    """The lines of a dialog as (mark, rest), comments left out."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line[:2], line[3:]) for line in lines]


def of_relays(path: Path) -> bool:
    """Whether the dialog is one with a whole relay."""
    return steps(path.read_text())[0][0] == "R:"


def octets(mark: str, text: str) -> bytes:
    """What a C line puts on the wire."""
    if mark == "C~":
        return text.encode().decode("unicode_escape").encode("latin-1")
    if mark == "C*":
        many, _, text = text.partition(" ")
        return text.encode() * int(many) + b"\r\n"
    return text.encode() + b"\r\n"


def like(pattern: str) -> re.Pattern[str]:
    """The pattern of an S line: a beginning, with * for any text."""
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")))


class Client:
    """A client that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *lines: str | bytes) -> None:
        """Send lines in one write; octets as they are."""
        self.writer.write(b"".join(x if isinstance(x, bytes) else f"{x}\r\n".encode() for x in lines))
        await self.writer.drain()

    async def hear(self) -> str:
        """The next whole reply, its lines joined; "" when the server has closed."""
        lines = []
        async with asyncio.timeout(10):
            while True:
                line = (await self.reader.readline()).decode()
                lines.append(line.rstrip("\r\n"))
                if line[3:4] != "-":
                    return "\n".join(lines)

    async def ask(self, *lines: str | bytes) -> str:
        """Send lines, hear one reply."""
        await self.say(*lines)
        return await self.hear()

    async def encrypt(self, context: ssl.SSLContext, name: str = HOST) -> None:
        """Shake hands as a client; raises OSError where that fails."""
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(
            self.writer.transport, self.writer.transport.get_protocol(), context, server_hostname=name
        )
        if transport is None:
            raise ConnectionResetError
        self.writer._transport = self.reader._transport = transport

    async def begin(self, *recipients: str) -> str:
        """From the greeting to 354."""
        await self.hear()
        await self.ask("EHLO client.example")
        await self.ask("MAIL FROM:<a@b.example>")
        for each in recipients or ("c@d.example",):
            await self.ask(f"RCPT TO:<{each}>")
        return await self.ask("DATA")


@dataclass
class Stage:
    """Where a dialog is played: how a client gets in, what is heard behind the door."""

    client: Callable[[], Awaitable[Client]]
    pki: Pki
    heard: Callable[[], Awaitable[list[str]]]
    letters: Mapping[str, bytes] = field(default_factory=dict)
    pass_time: Callable[[float], Awaitable[None]] | None = None


async def play(script: list[Step], stage: Stage) -> None:
    """The server says what the transcript says, and what is behind it hears what it tells."""
    client, unsent, at = await stage.client(), b"", 0
    for number, (mark, text) in enumerate(script, 1):
        if mark not in {"C:", "C~", "C*"} and unsent:
            client.writer.write(unsent)
            unsent = b""
        match mark:
            case "C:" | "C~" | "C*":
                unsent += octets(mark, text)
            case "C<":
                client = await _does(client, text, stage)
            case "T:":
                assert stage.pass_time, f"step {number}: its clock stands still"
                await stage.pass_time(float(text))
            case "S+":
                lines = (await client.hear()).split("\n")
                for each in text.split(" | "):
                    assert any(like(each).match(line) for line in lines), f"step {number}: {each} / {lines}"
            case "S:" | "S<":
                line = await _line(client)
                assert like("" if mark == "S<" else text).match(line), f"step {number}: {text} / {line}"
                assert bool(line) == (mark == "S:"), f"step {number}: {text} / {line}"
            case "H:":
                heard = await stage.heard()
                rest = [like(text).fullmatch(each) is not None for each in heard[at:]]
                assert any(rest), f"step {number}: {heard[at:]}"
                at += rest.index(True) + 1
            case _:
                pytest.fail(f"step {number}: what is {mark}?")
    assert not unsent
    left = (await stage.heard())[at:]
    assert [each for each in left if each.startswith(("data ", "stored "))] == []


async def _line(client: Client) -> str:
    """The server's next line, "" where it has closed, or cut the client off."""
    async with asyncio.timeout(10):
        try:
            line: bytes = await client.reader.readline()
        except ConnectionResetError:
            return ""
    return line.decode().rstrip("\r\n")


async def _does(client: Client, what: str, stage: Stage) -> Client:
    word, _, name = what.partition(" ")
    match word:
        case "tls":
            own = stage.pki.pair(name, name) if name else None
            await client.encrypt(stage.pki.client(own))
        case "eof":
            client.writer.write_eof()
        case "new":
            return await stage.client()
        case "data":
            lines = stage.letters[name].split(b"\r\n")
            stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
            client.writer.write(stuffed + b".\r\n")
        case "bdat":
            letter = stage.letters[name]
            client.writer.write(b"BDAT %d LAST\r\n%b" % (len(letter), letter))
        case _:
            pytest.fail(f"what is C< {what}?")
    return client
