"""`serve` on either event loop: uvloop's, where that is installed, and asyncio's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

import pytest
from harness import PATIENCE, Process

from relay.smsc.sandbox import Sandbox

WITHOUT = """\
import runpy, sys
sys.modules["uvloop"] = None  # as where it is not installed
sys.argv = sys.argv[3:]
runpy.run_module("relay", run_name="__main__", alter_sys=True)
"""
LOOPS = {"uvloop": (), "asyncio": (sys.executable, "-c", WITHOUT)}


class Client:
    """A raw client."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.reader, self.writer = streams

    async def reply(self) -> str:
        """The next reply, its last line."""
        async with asyncio.timeout(PATIENCE):
            while (line := await self.reader.readline())[3:4] == b"-":
                pass
        return line.decode()

    async def say(self, octets: bytes) -> str:
        """Write this; the reply."""
        self.writer.write(octets)
        return await self.reply()

    async def begin(self) -> str:
        """All until the mail itself, in one write."""
        await self.reply()
        self.writer.write(
            b"EHLO c.example\r\nMAIL FROM:<a@mon.example.com>\r\n"
            b"RCPT TO:<79991234567@sms.example.com>\r\nDATA\r\n"
        )
        return [await self.reply() for _ in range(4)][-1]


def mail(text: bytes, size: int = 0) -> bytes:
    """A mail that says this, with a file of so many octets."""
    head = b"From: a@mon.example.com\r\nSubject: " + text + b"\r\nMIME-Version: 1.0\r\n"
    file = b"--b\r\nContent-Type: application/octet-stream\r\n\r\n" + b"x" * 76 + b"\r\n" if size else b""
    more = b"\r\n".join([b"y" * 76] * (size // 78))
    kind = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" if size else b"\r\n"
    return head + kind + text + b"\r\n" + file + more + (b"\r\n--b--" if size else b"") + b"\r\n.\r\n"


@pytest.mark.asyncio
@pytest.mark.parametrize("loop", LOOPS)
async def test_the_door_does_the_same_on_either_loop(tmp_path: Path, loop: str) -> None:
    """Small and large mail, a client that closes its half, one that breaks off, one that stays."""
    sandbox = Sandbox()
    relay = Process(tmp_path, await sandbox.start(), storm={"burst": 0})
    await relay.start(under=LOOPS[loop])

    async def client() -> Client:
        return Client(await asyncio.open_connection("127.0.0.1", relay.port))

    small, large, half, broken = [await client() for _ in range(4)]
    heard = [await each.begin() for each in (small, large, half, broken)]
    broken.writer.write(b"Subject: never\r\n")
    broken.writer.transport.abort()
    taken = [await small.say(mail(b"small")), await large.say(mail(b"large", 600_000))]
    half.writer.write(mail(b"half") + b"QUIT\r\n")
    half.writer.write_eof()
    taken.append(await half.reply())
    bye = await half.reply()
    await sandbox.until(lambda: len(sandbox.messages) == 3)
    relay.signal(signal.SIGTERM)
    last = await small.reply()
    async with asyncio.timeout(PATIENCE):
        rest = await small.reader.read()
    for each in (small, large, half, broken):
        each.writer.close()
        with contextlib.suppress(ConnectionError):
            await each.writer.wait_closed()
    assert relay.process
    await relay.process.communicate()
    await sandbox.stop()
    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

    assert ["354"] * 4 == [each[:3] for each in heard]
    assert ["250 2.0.0 queued as "] * 3 == [each[:20] for each in taken]
    assert ("221", "421", b"") == (bye[:3], last[:3], rest)
    assert {"small", "large", "half"} == {message.text.split("\n")[0] for message in sandbox.messages}
    assert 0 == relay.process.returncode
    assert [loop] == [each["loop"] for each in log if each["event"] == "ready"]
    assert [] == [each for each in log if each["level"] in ("error", "critical")]
