"""Latency at rest: one mail at a time, from the final dot to 250, and from there to the provider.

Client and a plain forwarder before the provider run in this one process, so that one clock times
both ends: the moment the 250 is read, and the moment the request's first byte arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import load
import stage
from stage import Row

MAILS = 250
_PAUSE = 0.02
_PATIENCE = 5.0


class Wire:
    """The way to the provider; `first` is when the first byte came since it was last cleared."""

    def __init__(self, url: str) -> None:
        self._host, _, self._port = url.removeprefix("http://").rpartition(":")
        self.first = 0.0
        self.came = asyncio.Event()
        self.carried = asyncio.Event()  # a connection has ended

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, both ways, until either end has closed it."""
        ahead, back = await asyncio.open_connection(self._host, int(self._port))
        pumps = [self._pump(reader, back, noted=True), self._pump(ahead, writer, noted=False)]
        with contextlib.suppress(asyncio.CancelledError):  # the bench was stopped: no word about it
            await asyncio.gather(*pumps, return_exceptions=True)
        self.carried.set()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, noted: bool) -> None:
        while piece := await source.read(65536):
            if noted and not self.came.is_set():
                self.first = time.perf_counter()
                self.came.set()
            sink.write(piece)
        sink.close()


async def _mails(relay: str, wire: Wire) -> tuple[list[float], list[float]]:
    host, _, port = relay.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    async def say(octets: bytes) -> None:
        writer.write(octets)
        while (line := await reader.readline())[3:4] == b"-":
            pass
        if line[:1] not in (b"2", b"3"):
            raise RuntimeError(line.decode(errors="replace"))

    await reader.readline()
    await say(b"EHLO bench.example.com\r\n")
    answered, sent = [], []
    for number in range(MAILS):
        wire.came.clear()
        await say(f"MAIL FROM:<{load.SENDER}>\r\n".encode())
        await say(f"RCPT TO:<{load.phone(number)}@sms.example.com>\r\n".encode())
        await say(b"DATA\r\n")
        start = time.perf_counter()
        await say(load.mail(number, 1000, "latency"))
        end = time.perf_counter()
        await asyncio.wait_for(wire.came.wait(), _PATIENCE)
        answered.append(end - start)
        sent.append(max(0.0, wire.first - end))
        await asyncio.sleep(_PAUSE)
    writer.close()
    return answered[10:], sent[10:]  # the first ones warm everything up


async def _measure(folder: Path, url: str) -> tuple[list[float], list[float]]:
    wire = Wire(url)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        with stage.relay(folder, provider=f"http://127.0.0.1:{port}") as relay:
            found = await _mails(relay.word("smtp"), wire)
        await wire.carried.wait()
        return found
    finally:
        server.close()


def run(folder: Path) -> list[Row]:
    """Both ways, medians and the slowest of a hundred."""
    with stage.provider(folder, latency=0) as provider:
        answered, sent = asyncio.run(_measure(folder, provider.word("sandbox")))
    return [
        _row("at rest, final dot to 250", answered),
        _row("at rest, 250 to the provider's first byte", sent),
    ]


def _row(what: str, seconds: list[float]) -> Row:
    p50, p99 = (1000 * stage.percentile(seconds, share) for share in (0.5, 0.99))
    return Row(what=what, figure=f"p50 {p50:.2f} ms", beside=f"p99 {p99:.2f} ms, {len(seconds)} mails")
