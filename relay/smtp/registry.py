"""Who is connected, over all listeners: counted, limited, and at the end sent away.

What may be taken is decided in `limits`, with this loop's clock; here it is asked, counted in the
metrics and said in the log: each limit once a minute at most, however many clients meet it.

Draining: idle sessions are told 421 at once, a session within a mail may end it and hear the
answer, and what is still there after the grace is cut. Who takes a mail is not stopped by its
client's leaving (`connection`); only the end of the grace does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from relay import metrics, replies
from relay.replies import Reply
from relay.smtp import limits
from relay.smtp.limits import Client, Clients, Met, Rate, Rules
from relay.smtp.room import Room

_log = logging.getLogger("relay.smtp")

T = TypeVar("T")

_LAST_WORDS = 1.0  # seconds for what was cut to come to its end


class Visitor(Protocol):
    """What the registry does with a connection."""

    @property
    def idle(self) -> bool:
        """No mail is under way and no command is being worked on."""
        ...

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that serves the connection."""
        ...

    def send_away(self) -> None:
        """Say 421 and close."""
        ...

    def abort(self) -> None:
        """Close without a word."""
        ...


class Registry:
    """The connections of all listeners of a process, and the room for their mails."""

    def __init__(
        self, rules: Callable[[], Rules] = Rules, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._open: dict[Visitor, Client] = {}
        self._clients = Clients()
        self._taking: set[asyncio.Task[Any]] = set()
        self._met: dict[str, tuple[float, int]] = {}  # when each limit was said last, how often met since
        self.room = Room(lambda: rules().limits, full=lambda: self._count("room"))
        self.draining = False

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._open)

    def admit(self, connection: Visitor, peer: str, *, listener: str = "", most: int = 0) -> Reply | None:
        """Count the connection of a peer in, or say why there is no room for it.

        `most` is how many its listener takes at once, 0: as many as there may be.
        """
        if self.draining:
            return replies.CLOSING
        rules = self._rules()
        who = limits.client(peer, rules, listener)
        met = self._clients.admit(who, rules, self._clock(), listener=most)
        if met is None:
            self._open[connection] = who
        return self._told(met, peer)

    def release(self, connection: Visitor) -> None:
        """Count the connection out; one that was never admitted doesn't matter."""
        who = self._open.pop(connection, None)
        if who is not None:
            self._clients.release(who)

    def spend(self, rate: Rate, connection: Visitor, *, known: bool = False) -> Reply | None:
        """Count a mail or a recipient, or say why there may be none now; `known`: it has logged in."""
        who = self._open.get(connection)
        if who is None:
            return None
        met = self._clients.spend(rate, who, self._rules(), self._clock(), known=known)
        return self._told(met, who.address)

    def fault(self, connection: Visitor, *, known: bool = False) -> None:
        """Count an answer 5xx."""
        who = self._open.get(connection)
        if who is not None:
            self._clients.fault(who, self._rules(), self._clock(), known=known)

    def slow(self, peer: str) -> None:
        """A client sent its mail too slowly, and was cut."""
        self._count("slow", peer)

    def _told(self, met: Met | None, peer: str) -> Reply | None:
        if met is None:
            return None
        self._count(met.limit, peer)
        return met.reply

    def _count(self, limit: str, peer: str = "") -> None:
        metrics.LIMITED.labels(limit=limit).inc()
        now = self._clock()
        said_at, times = self._met.get(limit, (-limits.MINUTE, 0))
        if now - said_at < limits.MINUTE:
            self._met[limit] = said_at, times + 1
            return
        self._met[limit] = now, 0
        _log.warning("a limit is met", extra={"limit": limit, "peer": peer, "times": times + 1})

    async def take(self, work: Awaitable[T]) -> T:
        """Take a mail in the task of its session; that is waited for even once its client has left."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        self._taking.add(task)
        try:
            return await work
        finally:
            self._taking.discard(task)

    async def drain(self, grace: float) -> None:
        """Send everybody away: idle sessions at once, busy ones within `grace` seconds."""
        self.draining = True
        for connection in list(self._open):
            if connection.idle:
                connection.send_away()
        await self._wait(grace)
        for connection in list(self._open):
            connection.abort()
        for task in self._taking:
            task.cancel()
        await self._wait(_LAST_WORDS)

    async def _wait(self, seconds: float) -> None:
        tasks = {each.task for each in self._open if each.task} | self._taking
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
