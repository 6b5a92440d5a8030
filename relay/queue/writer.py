"""The one connection of a PostgreSQL engine that writes changes, in batches.

Whatever arrived while a commit ran is written in the next transaction, one statement for each table.
Only a batch that fails is replayed, change by change under savepoints. A change that rests on counts
that another has added to meanwhile fails alone, and costs the others nothing.

What can go wrong. A deadlock, or a transaction that can't be put in order with others: the batch is
written once more. The connection is lost before the commit was asked for: nothing is there, so the
same batch goes over a new connection, to whichever host takes writes now. It is lost after that:
each transaction leaves its number in a row of its node, and the number tells whether it landed. It
is asked for under a lock, so that a commit still under way is waited for. No server within
the patience: `Trouble`, the client is told to come again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from relay.queue import nodes, schema
from relay.queue.dialect import Compiled, columns_of, update_names
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.joining import Connection, Url
from relay.queue.lines import Line, committed, count, is_lost, passes, reason, translated

BATCH = 500
"""Changes in one transaction: bounds what a replay costs."""
DOUBT = 60.0
"""Seconds that it is tried to find out whether a commit landed whose answer was lost."""
_TRIES = 5
PAUSE = 0.1
"""Seconds between tries to find a server that was lost."""
_REPEAT = ("key", "mail_id", "at")
_BEGIN = (
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 10000; "
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
)


@dataclass(slots=True, eq=False)
class _Job:
    change: Change
    future: asyncio.Future[int | None]


_Answers = list[tuple[_Job, int | None, Exception | None]]


class Writer:
    """Writes changes. `line` is its connection."""

    def __init__(self, url: Url, compiled: Compiled, *, patience: float, doubt: float) -> None:
        self._compiled = compiled
        self._patience = patience
        self._doubt = doubt
        self.line = Line(url)
        self._jobs: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._node = 0
        self._number = 0
        self._closed = False
        self.transactions = 0
        self.replays = 0

    def start(self, node: int) -> None:
        """Write from now on, as this node."""
        self._node = node
        self._task = asyncio.create_task(self._run(), name="store")

    async def write(self, change: Change) -> int | None:
        """Make the change durable; the earlier mail's id where `once` was there already."""
        job = _Job(change, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._wake.set()
        return await job.future

    async def close(self) -> None:
        """Finish what was asked for."""
        self._closed = True
        if self._task is not None:
            self._wake.set()
            await self._task
        await self.line.close()

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

    async def _commit(self, jobs: Sequence[_Job]) -> _Answers:
        """One transaction for all; where that fails, each on its own under a savepoint."""
        self.transactions += 1
        until, tries, alone = asyncio.get_running_loop().time() + self._patience, 0, False
        while True:
            self._number += 1
            asked = False
            try:
                connection = await self.line.ready()
                await self._begin(connection)
                answers = await (self._replayed if alone else self._at_once)(connection, jobs)
                asked = True
                await committed(connection)
                return answers  # noqa: TRY300 - the answers of what has just been committed
            except Exception as error:  # noqa: BLE001 - found out below
                if asked:
                    self.line.drop(error)
                    try:
                        if await self._landed(self._number):
                            return answers
                    except Trouble as trouble:
                        return [(job, None, trouble) for job in jobs]
                elif is_lost(error):
                    self.line.drop(error)
                else:
                    await self._rollback()
                if asked or is_lost(error):
                    if asyncio.get_running_loop().time() >= until:
                        lost = Trouble(f"the database can't be reached: {reason(error)}")
                        return [(job, None, lost) for job in jobs]
                    await asyncio.sleep(PAUSE)
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
            f"{_BEGIN}; INSERT INTO batch (node, n) VALUES ({self._node}, {self._number}) "
            f"ON CONFLICT (node) DO UPDATE SET n = {self._number}"
        )

    async def _rollback(self) -> None:
        try:
            await (await self.line.ready()).execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - without a connection there is no transaction either
            self.line.drop()

    async def _landed(self, number: int) -> bool:
        """Whether the transaction of this number was committed; raises Trouble where nobody can say."""
        until = asyncio.get_running_loop().time() + self._doubt
        while True:
            try:
                connection = await self.line.ready()
                await connection.execute(_BEGIN)
                sql = f"UPDATE batch SET n = n WHERE node = {self._node} RETURNING n"
                found = await connection.fetchval(sql)
                await committed(connection)  # a standby that has this has all before it
            except Exception as error:
                self.line.drop(error)
                if asyncio.get_running_loop().time() >= until:
                    said = "the database was lost during a commit, and whether that landed is not known"
                    raise Trouble(f"{said}: {reason(error)}") from error
                await asyncio.sleep(PAUSE)
            else:
                return found is not None and int(found) >= number

    async def _at_once(self, connection: Connection, jobs: Sequence[_Job]) -> _Answers:
        late = await self._outcounted(connection, jobs)
        jobs = [job for job in jobs if job not in late]
        earlier = await self._repeats(connection, jobs)
        await self._together(connection, [job.change for job in jobs if job not in earlier])
        outcounted: _Answers = [(job, None, Stale("another counted towards a cap meanwhile")) for job in late]
        return outcounted + [(job, earlier.get(job), None) for job in jobs]

    async def _replayed(self, connection: Connection, jobs: Sequence[_Job]) -> _Answers:
        answers: _Answers = []
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

    async def _outcounted(self, connection: Connection, jobs: Sequence[_Job]) -> set[_Job]:
        """The changes that rest on counts to which another, or one before them here, has added since."""
        found: dict[str, int] = {}
        first: dict[str, Change] = {}
        late: set[_Job] = set()
        for job in jobs:
            change = job.change
            if all(_together(first.get(name, change), change) for name in change.counts):
                found |= change.counts
                first |= dict.fromkeys(change.counts, change)
            else:
                late.add(job)
        if not found:
            return late
        rows = await connection.fetch(nodes.COUNT, *map(list, zip(*sorted(found.items()), strict=True)))
        stand = {row["name"] for row in rows}
        return late | {job for job in jobs if job.change.counts.keys() - stand}

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


def _together(first: Change, other: Change) -> bool:
    """Whether a change may rest on the same counts as the first one that does."""
    return first is other or (first.together is not None and first.together is other.together)
