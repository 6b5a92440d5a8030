r"""Transcripts of `tests/dialogs` are replayed against a real socket.

    # a comment; the first one says what the dialog shows
    L: protocol=lmtp errors=3    the listener's protocol, profile, proxies, TLS, logins, limits
    C: text                      the client's line, CR LF added; lines in a row leave in one write
    C~ text\n\x00                octets, exactly these
    C< eof                       the client closes its half
    C< tls                       the client shakes hands
    S: 250 2.1.0*OK              the server's next line begins so, * is any text
    S+ 250-DSN | 250 HELP        a whole reply of several lines, among them lines that begin so
    S< closed                    the server has closed
    H: mail <a@b> ret=full       what a hook heard, in this order

Every mail that arrives must be told by an `H: data` line: a smuggled one fails its dialog.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

DIALOGS = sorted((Path(__file__).parent.parent / "dialogs").glob("*.smtp"))


def steps(text: str) -> list[tuple[str, str]]:
    """The lines of a dialog as (mark, rest), comments left out."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line[:2], line[3:]) for line in lines]


def settings(text: str) -> dict[str, str | int]:
    """`errors=3 protocol=lmtp` as keywords."""
    pairs = (each.split("=") for each in text.split())
    return {name: int(value) if value.isdigit() else value for name, value in pairs}


def octets(mark: str, text: str) -> bytes:
    """What a C line puts on the wire."""
    if mark == "C~":
        return text.encode().decode("unicode_escape").encode("latin-1")
    return text.encode() + b"\r\n"


def like(pattern: str) -> re.Pattern[str]:
    """The pattern of an S line: a beginning, with * for any text."""
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")))


@pytest.mark.asyncio
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
async def test_dialog(path, house, pki):
    """The server says what the transcript says, and the hooks hear what it tells."""
    script = steps(path.read_text())
    door = await house(**settings(script.pop(0)[1] if script[0][0] == "L:" else ""))
    client = await door.client()
    heard, unsent = door.hooks.heard, b""
    for number, (mark, text) in enumerate(script, 1):
        if mark not in {"C:", "C~"} and unsent:
            client.writer.write(unsent)
            unsent = b""
        match mark:
            case "C:" | "C~":
                unsent += octets(mark, text)
            case "C<" if text == "tls":
                await client.encrypt(pki.client())
            case "C<":
                client.writer.write_eof()
            case "S+":
                lines = (await client.hear()).split("\n")
                for each in text.split(" | "):
                    assert any(like(each).match(line) for line in lines), f"step {number}: {each} / {lines}"
            case "S:" | "S<":
                async with asyncio.timeout(10):
                    line = (await client.reader.readline()).decode().rstrip("\r\n")
                assert like("" if mark == "S<" else text).match(line), f"step {number}: {text} / {line}"
                assert bool(line) == (mark == "S:"), f"step {number}: {text} / {line}"
            case "H:":
                assert text in heard, f"step {number}: {heard}"
                del heard[: heard.index(text) + 1]
            case _:
                pytest.fail(f"step {number}: what is {mark}?")
    assert not unsent
    assert [each for each in heard if each.startswith("data ")] == []


def test_there_are_dialogs():
    """The folder was found."""
    assert len(DIALOGS) >= 20
