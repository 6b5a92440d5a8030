"""The loop of whoever makes calls: round after round it starts what may start, until told to stop.

A round starts calls, each a task of its own that bears a mark, and says when to look again at the
latest; a call that ends, and whoever has something new, kicks the next.

What can go wrong. A row that changed between reading and claiming: the round is read again. A store
that can't be read or written: the round is tried a second later. A call that could not be followed
up: what it was about stands in rows, and is found there. A call that raises anything else is a fault
of ours: `run` raises it.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from relay.model import SECOND
from relay.queue.engine import Stale, Trouble
from relay.queue.store import Store

_log = logging.getLogger("relay.delivery")
Mark = TypeVar("Mark")


class Rounds(ABC, Generic[Mark]):
    """Makes calls, round after round."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kick = asyncio.Event()
        self._stopping = False
        self._tasks: dict[asyncio.Task[None], Mark] = {}
        self._failure: BaseException | None = None

    def kick(self) -> None:
        """There is something new to do."""
        self._kick.set()

    def stop(self) -> None:
        """Start nothing more; `run` returns when the calls under way have ended."""
        self._stopping = True
        self._kick.set()

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    async def run(self) -> None:
        """Work until stopped; raises what a call raised."""
        try:
            while not self._stopping:
                until = await self._round_surely()
                await self._store.clock.wait(self._kick, until)
                if self._failure is not None:
                    raise self._failure
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()

    @abstractmethod
    async def round(self) -> int | None:
        """Start every call that may start now; when to look again at the latest."""

    async def _round_surely(self) -> int | None:
        try:
            return await self.round()
        except Stale:
            self._kick.set()
            return None
        except Trouble as trouble:
            _log.error("the queue can't be read or claimed from", extra={"why": str(trouble)})
            return self._store.clock.now() + SECOND

    def _begin(
        self,
        call: Coroutine[Any, Any, None],
        mark: Mark,
        ended: Callable[[asyncio.Task[None]], None] = lambda _task: None,
    ) -> None:
        """Start a call; `ended` hears of its end before the next round."""
        task = asyncio.create_task(call)
        self._tasks[task] = mark

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.pop(task, None)
            ended(task)
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Trouble):
                _log.error("a call could not be followed up", extra={"why": str(error)})
            elif error is not None:
                self._failure = error
            self._kick.set()

        task.add_done_callback(done)
