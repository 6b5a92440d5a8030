"""A mail server of a few lines, for tests: it keeps every octet, and answers as it is told to.

Raw on purpose: what a test wants to know of the next server is the very bytes that came.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from relay import model
from relay.queue.rows import Mail, Recipient

MAIL = Mail(
    id=model.key_at(1_800_000_000_000),
    received_at=1_800_000_000_000,
    sender="ops@mon.example.com",
    source="all",
    verified=1,
    peer="192.0.2.7",
    helo="mon.example.com",
    subject="",
    message_id="",
    auto="person",
    digest="",
    ret="",
    envid="",
    utf8=0,
    size=10,
    head=b"",
    full_id=None,
    notes="[]",
)
BOB = Recipient(1, 1, MAIL.id, 0, "Bob@people.example", "", "")
ALL = ("SIZE 100000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


@dataclass
class Taken:
    """One transaction that was answered 250."""

    mail: str
    rcpts: list[str]
    data: bytes  # as it travelled, dots and all, without the final one

    @property
    def content(self) -> bytes:
        """The mail without the dots and without the trace line on top."""
        return plain(self.data).split(b"\r\n", self.trace.count("\n") + 1)[-1]

    @property
    def trace(self) -> str:
        """The first header field, unfolded no further than its lines, without its last line end."""
        lines = plain(self.data).split(b"\r\n")
        end = next(n for n, line in enumerate(lines) if n and line[:1] not in (b"\t", b" "))
        return b"\r\n".join(lines[:end]).decode().replace("\r\n", "\n")


def plain(data: bytes) -> bytes:
    """Dots undone."""
    return (b"\r\n" + data).replace(b"\r\n.", b"\r\n")[2:]


@dataclass
class NextHop:
    """`answers` has the reply to a command that begins so; the longest beginning counts.

    A reply of "" breaks the connection off. A list is used up from its front.
    """

    offers: Sequence[str] = ALL
    answers: dict[str, str | list[str]] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # every command
    connections: int = 0
    open: int = 0
    most: int = 0
    gate: asyncio.Event | None = None  # answers to DATA wait for it
    port: int = 0
    tls: ssl.SSLContext | None = None  # from the first byte
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, port: int = 0) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 26, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Listen no longer, and end what is under way."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _answer(self, command: str, otherwise: str) -> str:
        fitting = [each for each in self.answers if command.upper().startswith(each.upper())]
        found = self.answers[max(fitting, key=len)] if fitting else otherwise
        if isinstance(found, list):
            return found.pop(0) if found else otherwise
        return found

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most = max(self.most, self.open)
        if task := asyncio.current_task():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._talk(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(text: str) -> None:
            if not text:
                raise ConnectionResetError
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        await say(self._answer("CONNECT", "220 next ESMTP"))
        mail, rcpts = "", []
        while True:
            line = (await reader.readuntil(b"\r\n"))[:-2].decode()
            self.said.append(line)
            verb = line.split(" ")[0].upper()
            match verb:
                case "EHLO":
                    await say("\r\n".join(["250-next", *(f"250-{each}" for each in self.offers), "250 HELP"]))
                case "MAIL":
                    mail, rcpts = line, []
                    await say(self._answer(line, "250 2.1.0 fine"))
                case "RCPT":
                    answer = self._answer(line, "250 2.1.5 fine")
                    rcpts += [line] * answer.startswith("2")
                    await say(answer)
                case "DATA":
                    answer = self._answer("DATA", "354 go on")
                    await say(answer)
                    if not answer.startswith("354"):
                        continue
                    data = (b"\r\n" + await reader.readuntil(b"\r\n.\r\n"))[2:-3]
                    if self.gate is not None:
                        await self.gate.wait()
                    answer = self._answer("END", "250 2.0.0 kept as 17")
                    if answer.startswith("2"):
                        self.taken.append(Taken(mail, rcpts, data))
                    await say(answer)
                case "QUIT":
                    await say("221 bye")
                    return
                case _:
                    await say("250 fine")


@contextlib.asynccontextmanager
async def nexthop(**values: object) -> AsyncIterator[NextHop]:
    """One that listens for as long as the block."""
    hop = await NextHop(**values).start()  # type: ignore[arg-type]
    try:
        yield hop
    finally:
        await hop.stop()
