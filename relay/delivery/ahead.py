"""Sends that are claimed while all slots are taken, so that the next one that falls free is used at once.

Between two calls of a slot lie reading what is due, judging it and a commit: some milliseconds, much of
a slot's time where calls are short. Policy: no more than a few, several at a time, in the order of their
claims, and only where calls are quick: what waits behind slow ones can still be merged, acknowledged,
dropped. No plain SMS, which leave in lists with all that came meanwhile, and only where no other has to
wait: after a crash what was claimed and had not left costs a question and a minute.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from relay.delivery.plan import QUESTIONS, Slots
from relay.queue.rows import Order

MOST = 4
"""Sends that may be claimed ahead."""
QUICK = 0.5
"""Seconds that a call may have taken where sends are claimed ahead of the next."""


def claimable(order: Order) -> bool:
    """Whether an order may be claimed ahead."""
    return order.channel != "sms"


class Ahead:
    """The claimed sends that wait for a slot. `slots` tells those of this moment, these left aside."""

    def __init__(self, slots: Callable[[], Slots]) -> None:
        self._slots = slots
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._took = QUICK + 1
        self._fits = False

    def __len__(self) -> int:
        return len(self._waiting)

    def fits(self, said: bool) -> None:
        """Whether the last orders that were read may be claimed: until then others are not read for it."""
        self._fits = said

    def took(self, seconds: float) -> None:
        """How long the last call took."""
        self._took = seconds

    @property
    def room(self) -> Slots:
        """How many more may be claimed, as slots that no question may have; none rather than one of many."""
        slots = self._slots()
        most = min(MOST, slots.most) if self._fits and self._took <= QUICK else 0
        taken = len(self) + max(0, slots.taken - slots.most)  # some were claimed, and have not begun to wait
        few = 2 * (most - taken) < most
        return Slots(most=most, taken=most if few else taken, questions=QUESTIONS)

    async def turn(self) -> bool:
        """Wait for a slot; whether that took any time. The caller counts as a call by now."""
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        self.let_in()
        if mine.done():
            return False
        try:
            await mine
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
        return True

    def let_in(self) -> None:
        """Give the slots that are free to those who wait."""
        while self._waiting and self._slots().free:
            mine = self._waiting.popleft()
            if not mine.done():  # or it is cancelled
                mine.set_result(None)
