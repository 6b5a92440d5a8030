"""The engine on PostgreSQL, for several nodes at once.

As on SQLite what is asked for is data, and whatever arrived while a commit ran is written in the
next transaction, one statement for each table. One connection writes, a few others read. Only a
batch that fails is replayed, change by change under savepoints. Rows are never locked while
somebody decides: versions tell who was first, within a node and between nodes.

Nothing of a session is relied upon beyond a transaction but the statements that the driver keeps,
and where the URL says `statement_cache_size=0`, not even those: that serves poolers.

What can go wrong. A deadlock, or a transaction that can't be put in order with others: the batch is
written once more. The connection is lost before the commit was asked for: nothing is there, so the
same batch goes over a new connection, to whichever host takes writes now. It is lost after that:
each transaction leaves its number in a row of its node, and the number tells whether it landed. It
is asked for under a lock, so that a commit still under way is waited for. No server within
the patience: `Trouble`, the client is told to come again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Table
from sqlalchemy.sql import ClauseElement

from relay.queue import joining, schema
from relay.queue.dialect import Compiled, columns_of, update_names
from relay.queue.ear import CHANNEL, Ear
from relay.queue.engine import Change, Query, Row, Stale, Trouble
from relay.queue.joining import Connection, Url
from relay.queue.lines import Line, count, is_lost, needed, passes, reason, translated
from relay.queue.nodes import NOW

_log = logging.getLogger("relay.queue")
T = TypeVar("T")

BATCH = 500
"""Changes in one transaction: bounds what a replay costs."""
READERS = 3
PATIENCE = 5.0
"""Seconds that a lost server is looked for before who asked is told."""
DOUBT = 60.0
"""Seconds that it is tried to find out whether a commit landed whose answer was lost."""
_TRIES = 5
_PAUSE = 0.1
_REPEAT = ("key", "mail_id", "at")


@dataclass(slots=True, eq=False)
class _Job:
    change: Change
    future: asyncio.Future[int | None]


class Postgres:
    """The engine on a PostgreSQL database. `node` tells this process from others that use it."""

    shared = True

    def __init__(self, url: str, *, patience: float = PATIENCE, doubt: float = DOUBT) -> None:
        needed()
        self.url = Url(url)
        self._patience = patience
        self._doubt = doubt
        self._compiled = Compiled()
        self._jobs: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._writer = Line(self.url)
        self._readers = [Line(self.url) for _ in range(READERS)]
        self._idle: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
        for line in self._readers:
            self._idle.put_nowait(line)
        self._task: asyncio.Task[None] | None = None
        self._ear = Ear(self.url)
        self._number = 0
        self._closed = False
        self.node = 0
        self.transactions = 0
        self.replays = 0

    async def open(self) -> None:
        """Connect, bring the schema up to date, and take a number that no other node has."""
        try:
            connection = await self._writer.ready()
            await joining.migrate(connection)
            self.node = await joining.numbered(connection)
        except Trouble:
            await self._writer.close()
            raise
        except Exception as error:
            await self._writer.close()
            raise Trouble(f"cannot open {self.url.shown}: {reason(error)}") from error
        self._task = asyncio.create_task(self._run(), name="store")

    async def write(self, change: Change) -> int | None:
        if self._closed:
            raise Trouble("the store is closed")
        job = _Job(change, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._wake.set()
        return await job.future

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
            return count(await self._alone(connection, "execute", sql, *values))

        return await self._reading(run)

    async def rows(self, sql: str, *values: Any, first: str = "") -> list[Row]:
        """What a statement of PostgreSQL's own returns, by itself or after another in one transaction."""

        async def run(connection: Connection) -> list[Row]:
            if not first:
                return _dicts(await self._alone(connection, "fetch", sql, *values))
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
        if self._task is not None:
            self._wake.set()
            await self._task
        for line in (self._writer, *self._readers):
            await line.close()

    # -- reading --------------------------------------------------------------------------

    async def _alone(self, connection: Connection, how: str, sql: str, *values: Any) -> Any:
        """Run one statement; behind a pooler its parts stay together in a transaction only."""
        if not self.url.pooled:
            return await getattr(connection, how)(sql, *values)
        async with connection.transaction():
            return await getattr(connection, how)(sql, *values)

    async def _reading(self, do: Callable[[Connection], Awaitable[T]]) -> T:
        """Do it on a connection that nobody else uses meanwhile; once more where that was lost."""
        line = await self._idle.get()
        until = asyncio.get_running_loop().time() + self._patience
        try:
            while True:
                if self._closed:  # meanwhile, too: a line made now would be let go of by nobody
                    raise Trouble("the store is closed")
                try:
                    return await do(await line.ready())
                except Exception as error:
                    if not passes(error):
                        raise translated(error) from error
                    if is_lost(error):
                        line.drop()
                    if asyncio.get_running_loop().time() >= until:
                        raise Trouble(f"the database can't be reached: {reason(error)}") from error
                await asyncio.sleep(_PAUSE)
        except asyncio.CancelledError:
            line.drop()
            raise
        finally:
            self._idle.put_nowait(line)

    # -- writing --------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._jobs:
                jobs = [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]
                for job, value, error in await self._commit(jobs):
                    if job.future.done():
                        continue
                    if error is None:
                        job.future.set_result(value)
                    else:
                        job.future.set_exception(error)
            if self._closed:
                return

    async def _commit(self, jobs: Sequence[_Job]) -> list[tuple[_Job, int | None, Exception | None]]:
        """One transaction for all; where that fails, each on its own under a savepoint."""
        self.transactions += 1
        until, tries, alone = asyncio.get_running_loop().time() + self._patience, 0, False
        while True:
            self._number += 1
            asked = False
            try:
                connection = await self._writer.ready()
                await self._begin(connection)
                answers = await (self._replayed if alone else self._at_once)(connection, jobs)
                asked = True
                await connection.execute("COMMIT")
                return answers  # noqa: TRY300 - the answers of what has just been committed
            except Exception as error:  # noqa: BLE001 - found out below
                if asked:
                    self._writer.drop()
                    try:
                        if await self._landed(self._number):
                            return answers
                    except Trouble as trouble:
                        return [(job, None, trouble) for job in jobs]
                elif is_lost(error):
                    self._writer.drop()
                else:
                    await self._rollback()
                if asked or is_lost(error):
                    if asyncio.get_running_loop().time() >= until:
                        lost = Trouble(f"the database can't be reached: {reason(error)}")
                        return [(job, None, lost) for job in jobs]
                    await asyncio.sleep(_PAUSE)
                elif passes(error) and tries < _TRIES:
                    tries += 1
                    await asyncio.sleep(secrets.randbelow(20) / 1000)
                elif alone:
                    return [(job, None, translated(error)) for job in jobs]
                else:
                    alone, tries = True, 0
                    self.replays += 1

    async def _begin(self, connection: Connection) -> None:
        """Begin, and leave the transaction's number; one that nobody speaks to any more ends by itself."""
        await connection.execute(
            "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 10000; "
            "SELECT set_config('synchronous_commit', 'on', true) "
            "WHERE current_setting('synchronous_commit') = 'off'; "
            f"INSERT INTO batch (node, n) VALUES ({self.node}, {self._number}) "
            f"ON CONFLICT (node) DO UPDATE SET n = {self._number}"
        )

    async def _rollback(self) -> None:
        try:
            await (await self._writer.ready()).execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - without a connection there is no transaction either
            self._writer.drop()

    async def _landed(self, number: int) -> bool:
        """Whether the transaction of this number was committed; raises Trouble where nobody can say."""
        until = asyncio.get_running_loop().time() + self._doubt
        while True:
            try:
                connection = await self._writer.ready()
                sql = f"SELECT n FROM batch WHERE node = {self.node} FOR UPDATE"
                found = await self._alone(connection, "fetchval", sql)
            except Exception as error:
                self._writer.drop()
                if asyncio.get_running_loop().time() >= until:
                    said = "the database was lost during a commit, and whether that landed is not known"
                    raise Trouble(f"{said}: {reason(error)}") from error
                await asyncio.sleep(_PAUSE)
            else:
                return found is not None and int(found) >= number

    async def _at_once(
        self, connection: Connection, jobs: Sequence[_Job]
    ) -> list[tuple[_Job, int | None, Exception | None]]:
        earlier = await self._repeats(connection, jobs)
        await self._together(connection, [job.change for job in jobs if job not in earlier])
        return [(job, earlier.get(job), None) for job in jobs]

    async def _replayed(
        self, connection: Connection, jobs: Sequence[_Job]
    ) -> list[tuple[_Job, int | None, Exception | None]]:
        answers: list[tuple[_Job, int | None, Exception | None]] = []
        for job in jobs:
            await connection.execute("SAVEPOINT one")
            try:
                answers += await self._at_once(connection, [job])
            except Exception as error:
                if is_lost(error) or passes(error):
                    raise
                await connection.execute("ROLLBACK TO one")
                answers.append((job, None, translated(error)))
            await connection.execute("RELEASE one")
        return answers

    async def _repeats(self, connection: Connection, jobs: Sequence[_Job]) -> dict[_Job, int]:
        """The changes whose `once` key is there already, or earlier in this batch."""
        wanted = {job: job.change.once for job in jobs if job.change.once is not None}
        if not wanted:
            return {}
        first: dict[str, _Job] = {}
        for job, (key, _mail, _at) in wanted.items():
            first.setdefault(key, job)
        rows = [dict(zip(_REPEAT, wanted[job], strict=True)) for _key, job in sorted(first.items())]
        sql = f"{self._compiled.insert(schema.repeat)} ON CONFLICT (key) DO NOTHING RETURNING key"
        new = {row["key"] for row in await connection.fetch(sql, *columns_of(_REPEAT, rows))}
        found = {key: wanted[first[key]][1] for key in new}
        if len(new) < len(first):
            known = "SELECT key, mail_id FROM repeat WHERE key = ANY($1)"
            found |= dict(await connection.fetch(known, [key for key in first if key not in new]))
        return {
            job: found[key] for job, (key, _, _) in wanted.items() if key not in new or first[key] is not job
        }

    async def _together(self, connection: Connection, changes: Iterable[Change]) -> None:
        """All rows, table by table in one order, and by key, so that nodes seldom wait in circles."""
        rows: dict[str, tuple[Table, list[dict[str, Any]]]] = {}
        updates: dict[tuple[str, tuple[str, ...]], tuple[Table, list[dict[str, Any]]]] = {}
        sums: dict[tuple[str, int], dict[str, Any]] = {}
        for change in changes:
            for table, values in change.inserts:
                rows.setdefault(table.name, (table, []))[1].append(values)
            for table, columns, parameters in change.updates:
                updates.setdefault((table.name, columns), (table, []))[1].append(parameters)
            for key, amounts in change.sums.items():
                row = sums.setdefault(key, {"cap": key[0], "at": key[1], **dict.fromkeys(schema.AMOUNTS, 0)})
                for name, amount in amounts.items():
                    row[name] += amount
        for _name, (table, many) in sorted(rows.items()):
            await connection.execute(self._compiled.insert(table), *columns_of(table.columns.keys(), many))
        if sums:
            added = [sums[key] for key in sorted(sums)]
            names = ("cap", "at", *schema.AMOUNTS)
            await connection.execute(self._compiled.added(), *columns_of(names, added))
        for (_name, columns), (table, many) in sorted(updates.items(), key=lambda each: each[0]):
            many.sort(key=lambda row: (row["k0"], row.get("k1", "")))
            arrays = columns_of(update_names(table, columns), many)
            if count(await connection.execute(self._compiled.update(table, columns), *arrays)) != len(many):
                raise Stale("a row changed meanwhile")


def _dicts(records: Iterable[Mapping[str, Any]]) -> list[Row]:
    return [dict(record) for record in records]
