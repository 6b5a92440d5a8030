"""Several relays on one PostgreSQL and one login: real processes, and the sandbox that counts calls.

The leases of these processes are seconds (tests/hurried.py), so that one that is killed, or stands
still, is soon missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiosmtplib
import asyncpg
from harness import PATIENCE, Process

from relay.smsc.sandbox import Sandbox

HURRIED = (str(Path(__file__).parent / "hurried.py"),)
IMPATIENT = (str(Path(__file__).parent / "impatient.py"),)
SKEWED = (str(Path(__file__).parent / "skewed.py"),)
LONG = 150.0  # seconds for anything on a busy machine; a call that nobody knows of is asked about for 60


def lost(number: int) -> str:
    """A phone for each mail that nothing can be delivered to."""
    return f"7999{number:03}2006"


def phone(number: int) -> str:
    """A phone of its own for each mail."""
    return f"7999{number:03}4567"


class Several:
    """Nodes, their provider and their database."""

    def __init__(self, folder: Path, store: str, latency: float) -> None:
        self.folder = folder
        self.store = store
        self.sandbox = Sandbox(now=time.time, latency=latency)
        self.nodes: list[Process] = []
        self.url = ""
        self.both = store  # as the nodes are told of it

    async def add(self, *options: str, program: tuple[str, ...] = HURRIED, **changes: object) -> Process:
        """Start another node, with these options of `serve`."""
        self.url = self.url or await self.sandbox.start()
        folder = self.folder / f"node{len(self.nodes)}"
        folder.mkdir()
        poll = {"delivery": {"poll": ["1h"], "retry": ["1s"]}}
        node = Process(folder, self.url, **({"store": self.both} | poll | changes))
        node.program = program
        self.nodes.append(node)
        await node.start(*options)
        return node

    async def start(self, count: int, **changes: object) -> None:
        """Start so many nodes, and wait until all of them know of each other."""
        self.url = self.url or await self.sandbox.start()
        await asyncio.gather(*(self.add(**changes) for _ in range(count)))
        await self.until(f"SELECT count(*) = {len(self.nodes)} FROM node")
        await self.until(f"SELECT count(DISTINCT node) = {len(self.nodes)} FROM slot WHERE node <> 0")

    async def value(self, sql: str) -> object:
        """What the database says."""
        connection = await asyncpg.connect(self.store)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    async def rows(self, sql: str) -> list[asyncpg.Record]:
        """What the database lists."""
        connection = await asyncpg.connect(self.store)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    async def until(self, sql: str) -> None:
        """Wait until the database says so."""
        try:
            async with asyncio.timeout(LONG):
                while not await self.value(sql):  # noqa: ASYNC110 - it is another process that moves
                    await asyncio.sleep(0.05)
        except TimeoutError:
            left = await self.rows("SELECT state, due_at, lease_until, attempts, reason FROM orders")
            raise AssertionError(
                f"not yet: {sql}; {[each for each in left if each['state'] != 'sent']}"
            ) from None

    async def settled(self) -> None:
        """Wait until the provider has everything that can be sent."""
        await self.until(
            "SELECT NOT EXISTS (SELECT FROM orders WHERE state IN ('waiting', 'sending', 'unsure'))"
        )

    async def mail(self, node: Process, numbers: range, to: Callable[[int], str] = phone) -> list[int]:
        """Send a mail for each number over one connection; those that were answered 250."""
        taken = []
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=node.port, start_tls=False, timeout=PATIENCE)
        async with client:
            for number in numbers:
                text = f"Subject: {number}\r\nMessage-ID: <{number}@x>\r\nDate: now\r\n\r\nalarm {number}\r\n"
                with contextlib.suppress(aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused):
                    await client.sendmail("ops@mon.example.com", [f"{to(number)}@sms.example.com"], text)
                    taken.append(number)
        return taken

    async def insist(self, numbers: range) -> None:
        """Send a mail for each number to the first node, again and again until it is answered 250."""

        async def one(number: int) -> None:
            async with asyncio.timeout(LONG):
                while True:
                    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                        if await self.mail(self.nodes[0], range(number, number + 1)):
                            return
                    await asyncio.sleep(0.1)

        row = list(numbers)
        for start in range(0, len(row), 8):
            await asyncio.gather(*map(one, row[start : start + 8]))

    def delivered(self) -> Counter[str]:
        """How many messages each phone was sent."""
        return Counter(message.phone for message in self.sandbox.messages)

    async def stop(self) -> None:
        """End all of them."""
        for node in self.nodes:
            if node.process and node.process.returncode is None:
                await node.kill()
        await self.sandbox.stop()


@contextlib.asynccontextmanager
async def several(folder: Path, store: str, *, latency: float = 0.05) -> AsyncIterator[Several]:
    """Nodes for as long as the block."""
    made = Several(folder, store, latency)
    try:
        yield made
    finally:
        await made.stop()
