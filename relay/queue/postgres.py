"""The engine on PostgreSQL, for several nodes at once.

As on SQLite what is asked for is data, and whatever arrived while a commit ran is written in the
next transaction, one statement for each table. One connection writes, a few others read. Only a
batch that fails is replayed, change by change under savepoints. Rows are never locked while
somebody decides: versions tell who was first, within a node and between nodes.

Nothing of a session is relied upon beyond a transaction but the statements that the driver keeps,
and where the URL says `statement_cache_size=0`, not even those: that serves poolers.

What can go wrong with writing stands in `writer`. A connection that reads is lost: what was asked
is asked once more over a new one, and after some patience whoever asked is told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy.sql import ClauseElement

from relay.queue import joining
from relay.queue.dialect import Compiled
from relay.queue.ear import CHANNEL, Ear
from relay.queue.engine import Change, Query, Row, Trouble
from relay.queue.joining import Connection, Url
from relay.queue.lines import Line, alone, count, is_lost, needed, passes, reason, translated
from relay.queue.nodes import NOW
from relay.queue.writer import DOUBT, PAUSE, Writer

T = TypeVar("T")

READERS = 3
PATIENCE = 5.0
"""Seconds that a lost server is looked for before who asked is told."""


class Postgres:
    """The engine on a PostgreSQL database. `node` tells this process from others that use it."""

    shared = True

    def __init__(self, url: str, *, patience: float = PATIENCE, doubt: float = DOUBT) -> None:
        needed()
        self.url = Url(url)
        self._patience = patience
        self._compiled = Compiled()
        self._writer = Writer(self.url, self._compiled, patience=patience, doubt=doubt)
        self._readers = [Line(self.url) for _ in range(READERS)]
        self._idle: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
        for line in self._readers:
            self._idle.put_nowait(line)
        self._ear = Ear(self.url)
        self._closed = False
        self.node = 0

    @property
    def transactions(self) -> int:
        """How many transactions were written."""
        return self._writer.transactions

    @property
    def replays(self) -> int:
        """How many batches had to be written change by change."""
        return self._writer.replays

    async def open(self) -> None:
        """Connect, bring the schema up to date, and take a number that no other node has."""
        try:
            connection = await self._writer.line.ready()
            await joining.migrate(connection)
            self.node = await joining.numbered(connection)
        except Trouble:
            await self._writer.line.close()
            raise
        except Exception as error:
            await self._writer.line.close()
            raise Trouble(f"cannot open {self.url.shown}: {reason(error)}") from error
        self._writer.start(self.node)

    async def write(self, change: Change) -> int | None:
        if self._closed:
            raise Trouble("the store is closed")
        return await self._writer.write(change)

    async def read(self, statement: ClauseElement, **parameters: Any) -> list[Row]:
        sql, values = self._compiled.other(statement, parameters)
        return await self.rows(sql, *values)

    async def read_all(self, *queries: Query) -> list[list[Row]]:
        texts = [self._compiled.other(statement, parameters) for statement, parameters in queries]

        async def all_of(connection: Connection) -> list[list[Row]]:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return [_dicts(await connection.fetch(sql, *values)) for sql, values in texts]

        return await self._reading(all_of)

    async def delete(self, statement: ClauseElement, **parameters: Any) -> int:
        sql, values = self._compiled.other(statement, parameters)

        async def run(connection: Connection) -> int:
            return count(await alone(self.url, connection, "execute", sql, *values))

        return await self._reading(run)

    async def rows(self, sql: str, *values: Any, first: str = "") -> list[Row]:
        """What a statement of PostgreSQL's own returns, by itself or after another in one transaction."""

        async def run(connection: Connection) -> list[Row]:
            if not first:
                return _dicts(await alone(self.url, connection, "fetch", sql, *values))
            async with connection.transaction():
                await connection.execute(first)
                return _dicts(await connection.fetch(sql, *values))

        return await self._reading(run)

    async def moment(self) -> int:
        """The database's time, UTC milliseconds."""
        return int((await self.rows(f"SELECT {NOW} AS now"))[0]["now"])

    async def check_usable(self) -> None:
        """Raises Trouble where a newer program has changed the schema so that this one must not go on."""
        await self._reading(joining.check_usable)

    # -- words between nodes --------------------------------------------------------------

    def listen(self, heard: Callable[[str], None]) -> None:
        """Have `heard` called with what any node tells, this one too, for as long as a line stands."""
        self._ear.listen(heard)

    @property
    def listening(self) -> bool:
        """Whether that line stands."""
        return self._ear.listening

    async def tell(self, text: str) -> None:
        """Tell all nodes; nobody can rely on its being heard. At most 8000 octets."""
        with contextlib.suppress(Trouble):
            await self.rows("SELECT pg_notify($1, $2)", CHANNEL, text)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._ear.close()
        await self._writer.close()
        for line in self._readers:
            await line.close()

    # -- reading --------------------------------------------------------------------------

    async def _reading(self, do: Callable[[Connection], Awaitable[T]]) -> T:
        """Do it on a connection that nobody else uses meanwhile; once more where that was lost."""
        line = await self._idle.get()
        until = asyncio.get_running_loop().time() + self._patience
        try:
            while True:
                try:
                    return await do(await self._opened(line))
                except Exception as error:
                    if not passes(error):
                        raise translated(error) from error
                    if is_lost(error):
                        line.drop(error)
                    if asyncio.get_running_loop().time() >= until:
                        raise Trouble(f"the database can't be reached: {reason(error)}") from error
                await asyncio.sleep(PAUSE)
        except asyncio.CancelledError:
            line.drop()
            raise
        finally:
            self._idle.put_nowait(line)

    async def _opened(self, line: Line) -> Connection:
        """The line's connection. Raises Trouble where the store is closed, or was while it was made."""
        connection = None if self._closed else await line.ready()
        if self._closed:  # nobody else would let go of it
            line.drop()
            raise Trouble("the store is closed")
        return connection


def _dicts(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    return [dict(record) for record in records]
