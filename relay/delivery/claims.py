"""Claims: orders join a request under a lease, in one transaction, before any byte leaves.

With the claim the phones remember what they are about to hear, so that whoever judges next
knows it. A claim of rows that changed since they were read raises `Stale`, and nothing of it
is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from relay import model
from relay.delivery import leases, plan, stale, storm
from relay.delivery.news import News, anew, news_of, person
from relay.delivery.settle import Settler
from relay.delivery.storm import Rules
from relay.model import MINUTE, SECOND, Kind, Outcome
from relay.queue import schema
from relay.queue.engine import Change
from relay.queue.rows import Content, Order, Phone, Request, RequestState, carried
from relay.queue.states import Event, State
from relay.queue.store import Store

FIRST_ASK = SECOND
"""How long after a break the first question is asked."""
ASK_STEPS = (3 * SECOND, 10 * SECOND, 20 * SECOND, MINUTE, 5 * MINUTE)
"""Waits between questions about an unsure request that could not be asked, or whose repeat must wait."""
FRESH = 10 * SECOND
"""How long "unknown" counts: a repeat that comes later than this is asked about once more."""

Claimed = tuple[Request, list[Order]]


async def recover(store: Store, settler: Settler, *, left_by: int | None) -> None:
    """What was under way when the last process ended may have been heard: it is asked about.

    Of all accounts, those that the configuration no longer names too: their orders end as unknown.
    Where nodes share the queue it is only what the node `left_by` had begun.
    """
    orders = await store.in_state(State.SENDING)
    calling = await store.calling()
    if store.shared:
        calling = [request for request in calling if model.maker(request.id) == left_by]
        begun = {request.id for request in calling}
        orders = [order for order in orders if order.request_id in begun]
    await reopen(store, settler, orders, calling, why="the relay stopped while the call was under way")


async def reopen(
    store: Store, settler: Settler, orders: Sequence[Order], calling: Sequence[Request], *, why: str
) -> None:
    """Nobody will hear what comes of these calls: their orders and requests are unsure."""
    outcome = person(Kind.UNSURE, "4.4.1", why)
    found = {request.id: request for request in calling}
    lost = {order.request_id for order in orders if order.request_id is not None} - found.keys()
    found |= {request.id: request for request in await store.requests(lost)}
    now = store.clock.now()

    def ask(change: Change) -> None:
        for request in found.values():
            change.update(
                schema.request, request.id, request.version, state=RequestState.UNSURE.value,
                cause=request.cause or "lost", broke_at=now, due_at=now + FIRST_ASK, absences=0,
            )  # fmt: skip

    if orders or found:
        await settler.settle([news for order in orders for news in _left(order, outcome, now)], ask)


def _left(order: Order, outcome: Outcome, now: int) -> list[News]:
    """No mail server can be asked what it took, so mail is forwarded once more."""
    if order.forwarded:
        return anew(order.id, outcome, due_at=now)
    return [news_of(order.id, outcome)]


class Claims:
    """Claims orders of one account."""

    def __init__(self, account: str, store: Store) -> None:
        self._account = account
        self._store = store

    async def claim(
        self,
        sends: Sequence[list[Order]],
        before: Mapping[str, Phone],
        after: Mapping[str, Phone],
        now: int,
        *,
        contents: dict[int, Content],
        language: str = "en",
    ) -> list[Claimed]:
        """Claim all these requests' orders; phones go from `before` to `after`.

        What goes out late has its text stored anew, with a mark, so that a repeat is the same bytes:
        such a text joins `contents`, which are those that are known already.
        """
        change = Change()
        chosen = [order for row in sends for order in row]
        old = {order.request_id for order in chosen if order.request_id}
        pinned = {request.id: request for request in await self._store.requests(old)} if old else {}
        late = await self._late(change, chosen, now, contents, language)
        claimed = [self._one(change, row, pinned, now, late) for row in sends]
        for target in {order.target for order in chosen}:
            remember(change, before[target], after[target])
        await self._store.write(change)
        return claimed

    async def _late(
        self, change: Change, orders: Sequence[Order], now: int, known: dict[int, Content], language: str
    ) -> dict[tuple[int, int], int]:
        """Contents that say how late they are, by the content without it and the minutes."""
        wanted = {
            (order.content_id, late)
            for order in orders
            if order.content_id is not None and (late := stale.minutes(order, now))
        }
        missing = {content for content, _ in wanted} - known.keys()
        if missing:
            known |= await self._store.contents(missing)
        found: dict[tuple[int, int], int] = {}
        for key, late in sorted(wanted):
            text = stale.marked(known[key], late, language)
            if text != known[key].text:
                row = asdict(known[key]) | stale.counted(known[key], text)
                found[key, late] = row["id"] = self._store.new_id()
                known[row["id"]] = Content(**row)
                change.inserts.append((schema.content, row))
        return found

    def _one(
        self,
        change: Change,
        orders: Sequence[Order],
        pinned: Mapping[int, Request],
        now: int,
        late: Mapping[tuple[int, int], int],
    ) -> Claimed:
        lines = []
        for row in plan.groups(orders, now):
            own = row[0].content_id or 0
            content = late.get((own, stale.minutes(row[0], now)), own)
            lines.append((content, [order.target for order in row]))
        request = pinned.get(orders[0].request_id or 0)
        if request is not None and sorted(request.phones) == sorted(order.target for order in orders):
            # The last try made no connection: nobody has seen this id, so it stays.
            request = self._calling(change, request, now, **carried(lines))
        else:
            values = schema.row(
                schema.request,
                id=self._store.new_id(),
                account=self._account,
                **carried(lines),
                state=RequestState.CALLING.value,
                created_at=now,
                attempts=1,
                sent_at=now,
            )
            change.inserts.append((schema.request, values))
            request = Request.of(values)
        take = partial(leases.take, change, self._store, now=now)
        return request, [take(order, Event.CLAIMED, request=request) for order in orders]

    def _calling(self, change: Change, request: Request, now: int, **carries: Any) -> Request:
        """The same request once more; what it carries changes only where nobody has seen it."""
        attempts = request.attempts + 1
        change.update(
            schema.request,
            request.id,
            request.version,
            state=RequestState.CALLING.value,
            attempts=attempts,
            sent_at=now,
            due_at=None,
            **carries,
        )
        return replace(
            request,
            version=request.version + 1,
            state=RequestState.CALLING,
            attempts=attempts,
            **carries,
        )

    async def repeat(self, request: Request, rules: Rules, now: int) -> Claimed | None:
        """Claim the same bytes once more, for those whom the provider did not know.

        None, and a further question, where that was learnt too long ago, where it is too late
        for all of them, or where none is open any more.
        """
        orders = await self._store.orders_of_requests([request.id])
        open_ = [order for order in orders if order.state is State.UNSURE]
        old = now - (request.due_at or now) > FRESH
        if old or all(order.expire_at <= now for order in open_):
            await self._ask_again(request, now)
            return None
        change = Change()
        phones = await self._store.phones({order.target for order in open_})
        for order in open_:
            phone = phones[order.target]
            remember(change, phone, storm.having_heard(phone, order, rules, now=now))
        again = self._calling(change, request, now)
        take = partial(leases.take, change, self._store, now=now)
        claimed = [take(order, Event.REPEATED, request=request) for order in open_]
        await self._store.write(change)
        return again, claimed

    async def defer(self, request: Request, now: int) -> None:
        """The account rests: a repeat that has to wait is asked about again before it is made."""
        await self._ask_again(request, now + plan.step(ASK_STEPS, request.asks))

    async def _ask_again(self, request: Request, at: int) -> None:
        change = Change()
        change.update(
            schema.request,
            request.id,
            request.version,
            state=RequestState.UNSURE.value,
            due_at=at,
            absences=1,
        )
        await self._store.write(change)


def remember(change: Change, before: Phone, after: Phone) -> None:
    """Write down what a phone heard; Stale where another did meanwhile."""
    values = {"last_at": after.last_at, "chain": after.chain, "texts": after.texts}
    if before.version:
        change.update(schema.phone, (before.account, before.target), before.version, **values)
    else:
        change.insert(schema.phone, account=before.account, target=before.target, **values, version=1)
