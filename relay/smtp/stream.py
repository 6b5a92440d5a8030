"""What a connection's peer has sent and nobody has taken yet: lines, blocks, and putting back.

An `asyncio.StreamReader` that hands out a command line without a coroutine of its own and without
an exception for each long one. What it touches of its base are private names, as they are from
CPython 3.11 on: nobody else here does.
"""

from __future__ import annotations

import asyncio


class Stream(asyncio.StreamReader):
    """The octets that have come in; beyond twice its limit it stops the peer."""

    _buffer: bytearray
    _limit: int
    _eof: bool
    _exception: Exception | None

    @property
    def has_line(self) -> bool:
        """Another whole line has come already."""
        return b"\n" in self._buffer

    @property
    def has_more(self) -> bool:
        """Something has come that nobody has taken."""
        return bool(self._buffer)

    async def line(self) -> bytes | None:
        """The next line with its end; None for one longer than the limit, all of which is dropped.

        Raises asyncio.IncompleteReadError where the peer has ended before, or what the connection
        was lost by.
        """
        buffer, whole, seen = self._buffer, True, 0
        while True:
            if self._exception is not None:
                raise self._exception
            if end := buffer.find(b"\n", seen) + 1:
                break
            seen = len(buffer)
            if seen > self._limit:
                whole, seen = False, 0
                self._drop(len(buffer))
            if self._eof:
                raise asyncio.IncompleteReadError(bytes(buffer), None)
            await self._wait_for_data("line")  # type: ignore[attr-defined]
        found = bytes(buffer[:end])
        self._drop(end)
        return found if whole and end <= self._limit else None

    async def block(self, most: int) -> bytes:
        """So many octets at most, b"" at the end. Where more are here, others have their turn first."""
        found = await self.read(most)
        if self._buffer:
            await asyncio.sleep(0)
        return found

    def put_back(self, octets: bytes) -> None:
        """They come first again."""
        self._buffer[:0] = octets

    def take_all(self) -> bytes:
        """All that has come; nothing is left."""
        octets = bytes(self._buffer)
        self._buffer.clear()
        return octets

    def follow(self, transport: asyncio.BaseTransport | None) -> None:
        """What comes, comes by this transport from now on; None: nobody is stopped meanwhile."""
        self._transport = transport

    def _drop(self, octets: int) -> None:
        del self._buffer[:octets]
        self._maybe_resume_transport()  # type: ignore[attr-defined]
