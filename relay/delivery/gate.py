"""The gate before a claim: what is due, but not to go out now, steps aside.

An order whose quiet hours it is waits for their end, and its time counts from there. An order
whose cap on parts or money was reached since it was taken is held. One whose time passed has
failed. None keeps those behind it from going.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from relay.delivery import counting
from relay.delivery.counting import Counting
from relay.delivery.news import news_of, said
from relay.delivery.settle import Settler
from relay.message import quiet
from relay.model import Kind, Outcome
from relay.queue import schema
from relay.queue.engine import Change
from relay.queue.rows import Order
from relay.queue.store import Store, tell
from relay.smsc import outcomes


@dataclass(slots=True)
class Passed:
    """What may go out, and whether anything stepped aside: then there may be more behind it."""

    orders: list[Order] = field(default_factory=list)
    aside: bool = False


class Gate:
    """The gate of all accounts. `held` is called when orders were held."""

    def __init__(self, store: Store, settler: Settler, counts: Counting, held: Callable[[], None]) -> None:
        self._store = store
        self._settler = settler
        self._counts = counts
        self._held = held

    async def passed(self, orders: Sequence[Order], now: int) -> Passed:
        """Which of these due orders may go out; the others are put aside at once."""
        late = [order for order in orders if order.expire_at <= now]
        orders = [order for order in orders if order.expire_at > now] if late else orders
        waits = {order.id: until for order in orders if (until := self._quiet_until(order, now))}
        awake = [order for order in orders if order.id not in waits]
        over = await self._counts.spent(awake)
        if late or waits or over:
            news = [counting.held_back(awake[place], each, now) for place, each in over.items()]
            news += [news_of(order.id, outcomes.expired(order.outcome)) for order in late]
            sleeping = [(order, waits[order.id]) for order in orders if order.id in waits]
            await self._settler.settle(news, lambda change: self._postpone(change, sleeping))
        if over:
            self._counts.told(list(over.values()))
            self._held()
        aside = bool(late or waits or over)
        return Passed([order for place, order in enumerate(awake) if place not in over], aside)

    def joins(self, order: Order) -> bool:
        """Whether another may leave before its answer is on disk: not where that may reach a cap."""
        return not self._counts.measured(order)

    def _quiet_until(self, order: Order, now: int) -> int | None:
        return quiet.until(order.quiet, now, self._store.clock.zone) if order.quiet else None

    def _postpone(self, change: Change, waits: Sequence[tuple[Order, int]]) -> None:
        for order, until in waits:
            later = until - order.start_at
            why = Outcome(kind=Kind.LATER, status="4.7.1", reason=quiet.why(order.quiet))
            change.update(
                schema.orders,
                order.id,
                order.version,
                due_at=until,
                start_at=until,
                expire_at=order.expire_at + later,
                warn_at=None if order.warn_at is None else order.warn_at + later,
                **said(why),
            )
            tell(change, self._store, order.id, "waits", why.reason)
