"""Orders that a cap holds go on when it has room again, the oldest first.

A cap is looked at from its oldest order on; an order that another cap keeps back is held by that
one from then on, so that those behind it are not kept back with it.
"""

from __future__ import annotations

from relay.delivery import caps, counting
from relay.delivery.counting import Counting
from relay.delivery.news import News, person, said
from relay.delivery.settle import Settler
from relay.model import MINUTE, Kind
from relay.queue import schema
from relay.queue.engine import Change, Stale
from relay.queue.rows import Order
from relay.queue.states import Event
from relay.queue.store import Store

EVERY = MINUTE
"""How often held orders are looked at."""
STEP = 200
CAPS = 100
"""Caps looked at in one turn; with a cap on each phone there may be many, the next turn goes on."""
_TRIES = 10
_BEFORE_ALL = caps.PASSED  # sorts before every name of a cap


class Release:
    """Releases what caps hold."""

    def __init__(self, store: Store, settler: Settler, counts: Counting) -> None:
        self._store = store
        self._settler = settler
        self._counts = counts
        self._after = _BEFORE_ALL

    async def next(self) -> int | None:
        """When to look again; None where no cap holds anything."""
        if await self._store.next_held_cap(_BEFORE_ALL) is None:
            return None
        return self._store.clock.now() + EVERY

    async def turn(self) -> bool:
        """Release what there is room for; whether anything was."""
        released = False
        for _ in range(CAPS):
            cap = await self._store.next_held_cap(self._after)
            self._after = cap or _BEFORE_ALL
            if cap is None:
                break
            more = True
            while more:
                freed, more = await self._surely(cap)
                released = released or freed > 0
        return released

    async def _surely(self, cap: str) -> tuple[int, bool]:
        """A step; where others count towards the cap all the time it is left to the next turn."""
        for _ in range(_TRIES):
            try:
                return await self._step(cap)
            except Stale:
                continue
        return 0, False

    async def _step(self, cap: str) -> tuple[int, bool]:
        """How many were released of this cap, and whether there may be more."""
        async with self._counts.lock:
            orders = await self._store.held_by(cap, STEP)
            before = await self._counts.read(orders)
            over = await self._counts.over([caps.want(order) for order in orders])
            now = self._store.clock.now()
            others = {place: each for place, each in over.items() if each.name != cap}
            freed = [order for place, order in enumerate(orders) if place not in over]
            news = [_free(order, now) for order in freed]

            def held_by_others(change: Change) -> None:
                for place, each in others.items():
                    _move(change, orders[place], each)
                self._counts.decide(change, before, freed)

            if news or others:
                await self._settler.settle(news, held_by_others, seen=freed)
        return len(news), len(news) + len(others) == STEP


def _free(order: Order, now: int) -> News:
    outcome = person(Kind.LATER, "4.0.0", "released: the cap that held it has room again")
    return News(order=order.id, event=Event.RELEASED, outcome=outcome, columns={"cap": "", "due_at": now})


def _move(change: Change, order: Order, over: caps.Over) -> None:
    change.update(schema.orders, order.id, order.version, cap=over.name, **said(counting.held(over)))
