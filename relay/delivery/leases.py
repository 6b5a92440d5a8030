"""Leases: an order that is being sent belongs to one call, for as long as that call renews it.

A lease is taken with the claim, in its transaction. It is renewed while the call goes on, and
looked at just before the bytes leave.

Where several nodes share the queue, a lease is also what tells that a node has died or stands
still: once it ran out, and any call begun under it has had the time to end, another node takes
the order over. From then on nothing that the first node learns of it counts (`Fence`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from relay.model import MINUTE, SECOND
from relay.queue import schema
from relay.queue.engine import Change, Trouble
from relay.queue.rows import Order, Request
from relay.queue.states import Event, State
from relay.queue.store import Store, tell

LEASE = 2 * MINUTE
FRESH = SECOND
"""So long after its claim a lease needs no second look: nobody can have taken it over."""
SHARED_LEASE = 30 * SECOND
"""Where other nodes wait for it to run out."""


def length(store: Store) -> int:
    """How long a lease is."""
    return SHARED_LEASE if store.shared else LEASE


Fence = Callable[[Mapping[int, Order]], None]
"""Raises Lost where these rows, by their keys, tell that what was learnt counts no more."""


class Lost(Exception):  # noqa: N818
    """The lease ran out, or another has taken the order over: the call is not made, or counts no more."""


def take(
    change: Change,
    store: Store,
    order: Order,
    event: Event,
    *,
    now: int,
    request: Request | None = None,
    detail: str = "",
) -> Order:
    """The order as it will be once the change is written: on its way, with this request or none."""
    carrier = request.id if request else None
    until, attempts = now + length(store), order.attempts + 1
    change.update(
        schema.orders,
        order.id,
        order.version,
        state=State.SENDING.value,
        request_id=carrier,
        lease_until=until,
        attempts=attempts,
    )
    if request:
        detail = f"request {request.name}{f' by {request.account}' if order.accounts else ''}"
    tell(change, store, order.id, event.value, detail)
    return order.changed(
        version=order.version + 1,
        state=State.SENDING,
        request_id=carrier,
        lease_until=until,
        attempts=attempts,
    )


async def still_ours(store: Store, orders: Sequence[Order]) -> None:
    """The orders are still claimed by this very call; raises Lost where one is not."""
    claimed, now = {order.id: order for order in orders}, store.clock.now()
    fresh = (max(0, LEASE - FRESH) < (order.lease_until or 0) - now <= LEASE for order in orders)
    if not store.shared and all(fresh):
        return
    rows = await store.orders(claimed)
    now = await store.moment()
    for order in rows:
        lapsed = order.lease_until is None or order.lease_until <= now
        if lapsed or not _same(order, claimed[order.id]):
            raise Lost("its lease ran out")


def _same(order: Order, claimed: Order) -> bool:
    """Whether an order is on its way by the claim that made it so."""
    return (
        order.state is State.SENDING
        and order.request_id == claimed.request_id
        and order.attempts == claimed.attempts
    )


def fence(orders: Sequence[Order]) -> Fence:
    """Raises Lost where one of these claimed orders was taken over, or was claimed again since."""
    claimed = {order.id: order for order in orders}

    def stands(rows: Mapping[int, Order]) -> None:
        for key, order in claimed.items():
            row = rows.get(key)
            gone = row is not None and row.state in (State.UNSURE, State.WAITING)
            if row is None or gone or row.attempts != order.attempts:
                raise Lost("another node has taken it over")

    return stands


@contextlib.asynccontextmanager
async def kept(store: Store, orders: Sequence[Order]) -> AsyncIterator[None]:
    """Renew the lease while a long call (a large upload) goes on; a short one costs a timer."""
    tasks: list[asyncio.Task[None]] = []

    def renew() -> None:
        tasks.append(asyncio.create_task(_renew(store, {order.id: order for order in orders})))

    timer = asyncio.get_running_loop().call_later(_renewed_every(store), renew)
    try:
        yield
    finally:
        timer.cancel()
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _renewed_every(store: Store) -> float:
    return length(store) / SECOND / 3


async def _renew(store: Store, claimed: Mapping[int, Order]) -> None:
    while True:
        with contextlib.suppress(Trouble):  # tried again in a third of the lease
            change, until = Change(), store.clock.now() + length(store)
            for order in await store.orders(claimed):
                if _same(order, claimed[order.id]):
                    change.update(schema.orders, order.id, order.version, lease_until=until)
            await store.write(change)
        await asyncio.sleep(_renewed_every(store))
