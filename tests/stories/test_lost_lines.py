"""Lines to the database break amid any statement or its answer: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest
from postgres import Server
from several import phone, several

pytestmark = pytest.mark.timeout(400)
MAILS = 60


class Frail:
    """Stands between a relay and its database, and cuts lines after a number of octets."""

    def __init__(self, folder: Path, server: Server, seed: int) -> None:
        self.folder = folder
        self.cuts = 0
        self.holds = False
        self._to = f"{server.folder}/.s.PGSQL.{server.port}"
        self._chance = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> asyncio.Server:
        """Listen where the relay looks for its database."""
        return await asyncio.start_unix_server(self._line, str(self.folder / ".s.PGSQL.5432"))

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, down = await asyncio.open_unix_connection(self._to)
        left = [self._chance.randrange(2_000, 60_000)]
        ways = {
            asyncio.create_task(self._carry(reader, down, left)),
            asyncio.create_task(self._carry(up, writer, left)),
        }
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for each in ways:
            each.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for each in (writer, down):
            each.transport.abort()

    async def _carry(self, from_: asyncio.StreamReader, to: asyncio.StreamWriter, left: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := await from_.read(65536):
                if not self.holds:
                    left[0] -= len(data)
                    if left[0] < 0:
                        self.cuts += 1
                        to.write(data[: len(data) // 2])  # part of it may still arrive
                        return
                to.write(data)
                await to.drain()


@pytest.mark.asyncio
async def test_lines_break(tmp_path, postgres, database):
    """Each line is cut after some kilobytes; every mail that was taken goes out once."""
    between = tmp_path / "db"
    between.mkdir()
    frail = Frail(between, postgres, seed=1)
    frail.holds = True
    listening = await frail.start()
    name = database.partition("@/")[2].partition("?")[0]
    try:
        async with several(tmp_path, database, latency=0.02) as nodes:
            nodes.both = f"postgresql://relay@/{name}?host={between}"
            await nodes.start(2)
            frail.holds = False
            await nodes.insist(range(MAILS))
            await nodes.settled()
            frail.holds = True
            assert {phone(number): 1 for number in range(MAILS)} == nodes.delivered()
            assert nodes.sandbox.max_in_flight <= 14
            assert [None, None] == [each.process.returncode for each in nodes.nodes]
            assert frail.cuts > 10
    finally:
        listening.close()
