"""Who is connected, over all listeners: counted, limited, and at the end sent away.

Draining: idle sessions are told 421 at once, a session within a mail may end it and hear the
answer, and what is still there after the grace is cut. A mail that is being taken runs on its
own, so that no client can stop it by leaving; only the end of the grace does.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from relay.smtp.session import Limits

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
    """The connections of all listeners of a process."""

    def __init__(self) -> None:
        self._open: dict[Visitor, str] = {}
        self._peers: Counter[str] = Counter()
        self._taking: set[asyncio.Task[Any]] = set()
        self.draining = False

    @property
    def count(self) -> int:
        """How many connections there are."""
        return len(self._open)

    def admit(self, connection: Visitor, peer: str, limits: Limits) -> bool:
        """Count the connection in, if there is room for it."""
        per_address = 0 if peer == "unix" else limits.connections_per_address
        full = len(self._open) >= limits.connections
        if full or self.draining or (per_address and self._peers[peer] >= per_address):
            return False
        self._open[connection] = peer
        self._peers[peer] += 1
        return True

    def release(self, connection: Visitor) -> None:
        """Count the connection out; one that was never admitted doesn't matter."""
        peer = self._open.pop(connection, None)
        if peer is not None:
            self._peers[peer] -= 1
            self._peers += Counter()  # drops the zeros, so that strangers leave no trace

    async def take(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the taking of a mail so that nobody's leaving cancels it, and wait for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)
        return await asyncio.shield(task)

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
