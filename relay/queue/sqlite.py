"""The engine on one SQLite file.

One writer thread with the only connection, WAL, ``synchronous=FULL``, and group commit:
whatever arrived while a commit ran is written in the next transaction, with one executemany
per table and statement. Only a batch that fails is replayed, change by change under
savepoints, so that the one at fault fails alone. (A savepoint for every mail would cost
nine times the processor.)

A lock file keeps a second process out: nothing else may write to the file, the command line
talks to the running server instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import Table
from sqlalchemy.sql import ClauseElement

from relay.queue.engine import Change, Full, Query, Row, Stale, Trouble
from relay.queue.opening import locked, opened
from relay.queue.sqlite_dialect import Compiled

_log = logging.getLogger("relay.queue")

BATCH = 500
"""Changes in one transaction: bounds what a replay costs."""

_ROWS = (32, 8, 4, 2, 1)  # of one statement; a few numbers, so that each is compiled once


@dataclass(slots=True, eq=False)
class _Job:
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    change: Change | None = None
    statement: ClauseElement | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    queries: Sequence[Query] = ()
    writes: bool = False


class SQLite:
    """The engine on one SQLite file, for one process (`InUse` where another has it)."""

    shared = False

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = locked(self._path)
        except OSError as error:
            raise Trouble(f"cannot open {self._path}: {error.strerror}") from error
        try:
            self._connection = opened(self._path)
        except (sqlite3.Error, OSError) as error:
            os.close(self._lock)
            raise Trouble(f"cannot open {self._path}: {error}") from error
        except Trouble:
            os.close(self._lock)
            raise
        self._compiled = Compiled()
        self._most = self._connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()
        self._closed = False
        self.transactions = 0
        self.replays = 0

    async def write(self, change: Change) -> int | None:
        return await self._ask(change=change)  # type: ignore[no-any-return]

    async def read(self, statement: ClauseElement, **parameters: Any) -> list[Row]:
        return await self._ask(statement=statement, parameters=parameters)  # type: ignore[no-any-return]

    async def read_all(self, *queries: Query) -> list[list[Row]]:
        return await self._ask(queries=queries)  # type: ignore[no-any-return]

    async def delete(self, statement: ClauseElement, **parameters: Any) -> int:
        return await self._ask(statement=statement, parameters=parameters, writes=True)  # type: ignore[no-any-return]

    async def moment(self) -> int | None:
        return None

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            self._connection.close()
            os.close(self._lock)

    async def _ask(self, **what: Any) -> Any:
        if self._closed:
            raise Trouble("the store is closed")
        loop = asyncio.get_running_loop()
        job = _Job(future=loop.create_future(), loop=loop, **what)
        self._jobs.put(job)
        return await job.future

    # -- the writer thread ----------------------------------------------------------------

    def _run(self) -> None:
        going = True
        while going:
            jobs = [self._jobs.get()]
            with contextlib.suppress(queue.Empty):
                while len(jobs) < BATCH:
                    jobs.append(self._jobs.get_nowait())
            going = None not in jobs
            self._serve([job for job in jobs if job is not None])

    def _serve(self, jobs: Sequence[_Job]) -> None:
        reads = [job for job in jobs if job.change is None and not job.writes]
        if reads:
            _answer([(job, *self._try(self._read, job)) for job in reads])
        changes = [job for job in jobs if job.change is not None]
        if changes:
            self._commit(changes)
        for job in jobs:
            if job.writes:
                _answer([(job, *self._try(self._delete, job))])

    def _try(self, do: Callable[[_Job], Any], job: _Job) -> tuple[Any, Exception | None]:
        try:
            return do(job), None
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who asked
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            return None, _translated(error)

    def _read(self, job: _Job) -> list[Row] | list[list[Row]]:
        if job.statement is not None:
            return self._rows(job.statement, job.parameters)
        return [self._rows(statement, parameters) for statement, parameters in job.queries]

    def _rows(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> list[Row]:
        sql, values = self._compiled.other(statement, parameters)
        found = self._connection.execute(sql, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def _delete(self, job: _Job) -> int:
        assert job.statement is not None  # noqa: S101
        sql, parameters = self._compiled.other(job.statement, job.parameters)
        self._connection.execute("BEGIN IMMEDIATE")
        count = self._connection.execute(sql, parameters).rowcount
        self._connection.execute("COMMIT")
        return count

    def _commit(self, jobs: Sequence[_Job]) -> None:
        """One transaction for all; where that fails, each on its own under a savepoint."""
        answers: list[tuple[_Job, Any, Exception | None]]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            earlier = self._repeats(jobs)
            self._together([job.change for job in jobs if job.change and job not in earlier])
            self._connection.execute("COMMIT")
            answers = [(job, earlier.get(job), None) for job in jobs]
        except Exception:  # noqa: BLE001 - found out below, change by change
            self._rollback()
            answers = self._replayed(jobs)
        self.transactions += 1
        _answer(answers)

    def _replayed(self, jobs: Sequence[_Job]) -> list[tuple[_Job, Any, Exception | None]]:
        self.replays += 1
        answers: list[tuple[_Job, Any, Exception | None]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answers.extend(self._alone(job) for job in jobs)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the commit itself: nothing of the batch is there
            self._rollback()
            return [(job, None, _translated(error)) for job in jobs]
        return answers

    def _alone(self, job: _Job) -> tuple[_Job, Any, Exception | None]:
        self._connection.execute("SAVEPOINT one")
        try:
            earlier = self._repeats([job])
            if not earlier and job.change:
                self._together([job.change])
        except Exception as error:
            if not self._connection.in_transaction:
                raise  # SQLite gave the whole transaction up (no room, a broken disk)
            self._connection.execute("ROLLBACK TO one")
            self._connection.execute("RELEASE one")
            return job, None, _translated(error)
        self._connection.execute("RELEASE one")
        return job, earlier.get(job), None

    def _rollback(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _repeats(self, jobs: Sequence[_Job]) -> dict[_Job, int]:
        """The changes whose `once` key is on disk already, or earlier in this batch."""
        earlier: dict[_Job, int] = {}
        for job in jobs:
            once = None if job.change is None else job.change.once
            if once is None:
                continue
            key, mail_id, now = once
            sql = "INSERT INTO repeat (key, mail_id, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            if self._connection.execute(sql, (key, mail_id, now)).rowcount == 0:
                sql = "SELECT mail_id FROM repeat WHERE key = ?"
                earlier[job] = self._connection.execute(sql, (key,)).fetchone()[0]
        return earlier

    def _together(self, changes: Iterable[Change]) -> None:
        rows: dict[Table, list[dict[str, Any]]] = {}
        sums: list[dict[str, Any]] = []
        updates: dict[str, list[dict[str, Any]]] = {}
        for change in changes:
            for table, values in change.inserts:
                rows.setdefault(table, []).append(values)
            for table, columns, parameters in change.updates:
                updates.setdefault(self._compiled.update(table, columns), []).append(parameters)
            sums += ({"cap": cap, "at": at, **amounts} for (cap, at), amounts in change.sums.items())
        for table, added in rows.items():
            self._insert(table, added)
        if sums:
            self._connection.executemany(self._compiled.added(), sums)
        for sql, many in updates.items():
            if self._connection.executemany(sql, many).rowcount != len(many):
                raise Stale("a row changed meanwhile")

    def _insert(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows in as few statements as will do: each of them hands the interpreter to the loop and back."""
        values = self._compiled.values(table)
        at = 0
        room = max(1, self._most // len(table.columns))
        for size in _ROWS:
            while size <= room and len(rows) - at >= size:
                several = chain.from_iterable(map(values, rows[at : at + size]))
                self._connection.execute(self._compiled.insert(table, size), tuple(several))
                at += size


def _answer(answers: Sequence[tuple[_Job, Any, Exception | None]]) -> None:
    """Tell those who asked; the loop is woken once for all of them."""

    def tell(those: Sequence[tuple[_Job, Any, Exception | None]]) -> None:
        for job, value, error in those:
            if job.future.done():
                continue
            if error is not None:
                job.future.set_exception(error)
            else:
                job.future.set_result(value)

    for loop in dict.fromkeys(job.loop for job, _, _ in answers):
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(tell, [each for each in answers if each[0].loop is loop])


def _translated(error: Exception) -> Exception:
    if isinstance(error, Trouble):
        return error
    if isinstance(error, sqlite3.IntegrityError) and " phone." in str(error):
        return Stale("a phone was spoken to meanwhile")  # by another account's worker, for the first time
    if isinstance(error, sqlite3.Error):
        full = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE"))
        return Full("no room on the disk") if full else Trouble(str(error))
    _log.error("the store failed", exc_info=error)
    return Trouble(f"{type(error).__name__} in the store")
