"""Orders that wait for a time far ahead sleep, so that nobody passes over them to find what is due.

Quiet hours, sending times and long waits between tries may leave a great many of them in front of
younger orders that are due. They are put to sleep where there are many; whoever looks for what is
due wakes them first. Nothing else changes by it.
"""

from __future__ import annotations

from relay.model import MINUTE
from relay.queue.store import Store

FAR = MINUTE
"""What is due sooner stays awake: it is hardly worth two more writes."""


class Dozing:
    """Puts orders to sleep. A chore."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def next(self) -> int | None:
        """Nobody waits for this: it is looked at whenever something else is done."""
        return None

    async def turn(self) -> bool:
        """Put to sleep what waits for long; no order may go by that which could not before."""
        await self._store.lay_down(self._store.clock.now() + FAR)
        return False
