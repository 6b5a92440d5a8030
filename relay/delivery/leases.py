"""Leases: an order that is being sent belongs to one call, for as long as that call renews it.

A lease is taken with the claim, in its transaction. It is renewed while the call goes on, and
looked at just before the bytes leave.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from relay.model import MINUTE, SECOND
from relay.queue import schema
from relay.queue.engine import Change, Trouble
from relay.queue.rows import Order, Request
from relay.queue.states import Event, State
from relay.queue.store import Store, tell

LEASE = 2 * MINUTE
FRESH = SECOND
"""So long after its claim a lease needs no second look: nobody can have taken it over."""


class Lost(Exception):  # noqa: N818
    """The lease ran out before the bytes left: the call is not made."""


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
    until, attempts = now + LEASE, order.attempts + 1
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
    now, claimed = store.clock.now(), {order.id: order.request_id for order in orders}
    if all(max(0, LEASE - FRESH) < (order.lease_until or 0) - now <= LEASE for order in orders):
        return
    for order in await store.orders([order.id for order in orders]):
        lapsed = order.lease_until is None or order.lease_until <= now
        if order.state is not State.SENDING or order.request_id != claimed[order.id] or lapsed:
            raise Lost


@contextlib.asynccontextmanager
async def kept(store: Store, orders: Sequence[Order]) -> AsyncIterator[None]:
    """Renew the lease while a long call (a large upload) goes on."""
    task = asyncio.create_task(_renew(store, [order.id for order in orders]))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _renew(store: Store, ids: Sequence[int]) -> None:
    while True:
        await asyncio.sleep(LEASE / SECOND / 3)
        with contextlib.suppress(Trouble):  # tried again in a third of the lease
            change, until = Change(), store.clock.now() + LEASE
            for order in await store.orders(ids):
                if order.state is State.SENDING:
                    change.update(schema.orders, order.id, order.version, lease_until=until)
            await store.write(change)
