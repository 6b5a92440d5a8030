"""Polls: what became of sent orders, asked when no callback has told it.

A status that is final is settled. Anything else, and a question that failed, is asked again after the
next step of `poll`, until `give_up`. No message is asked about more than five times a minute. A group
whose members the answer did not name, and a bot's user, are looked for in the provider's history.

Where nodes share the queue, one asks: it has the others leave alone what it asks about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relay import model
from relay.config import Delivery
from relay.delivery import members, plan
from relay.delivery.news import News, news_of, person, told_already
from relay.delivery.questions import Questions
from relay.delivery.settle import Settler
from relay.model import MINUTE, SECOND, Kind, Outcome, Rest
from relay.queue import schema
from relay.queue.engine import Change, Stale
from relay.queue.rows import Order, Request
from relay.queue.store import Store
from relay.smsc.client import Client

ASKING = MINUTE
"""How long other nodes leave alone what this one asks about."""
APART = 13 * SECOND
"""Between questions about one message where several nodes ask, who don't know of each other's: 5 a minute."""


async def left_alone(store: Store, rows: Sequence[Order] | Sequence[Request]) -> bool:
    """Have other nodes leave these alone while this one asks; False where another was first."""
    change, until = Change(), store.clock.now() + ASKING
    for row in rows:
        if isinstance(row, Order):
            change.update(schema.orders, row.id, row.version, poll_at=until)
        else:
            change.update(schema.request, row.id, row.version, due_at=until)
    try:
        await store.write(change)
    except Stale:
        return False
    return True


class Polling:
    """The questions about one account's sent orders."""

    def __init__(
        self,
        *,
        store: Store,
        settler: Settler,
        client: Client,
        delivery: Delivery,
        chance: Callable[[], float],
        questions: Questions,
    ) -> None:
        self._store = store
        self._settler = settler
        self._client = client
        self._delivery = delivery
        self._chance = chance
        self._questions = questions

    def adopt(self, delivery: Delivery) -> None:
        """Go on by a re-read configuration."""
        self._delivery = delivery

    def _now(self) -> int:
        return self._store.clock.now()

    async def poll(self, orders: Sequence[Order]) -> Outcome | None:
        """Ask for the status of sent orders; the outcome where the asking failed."""
        fresh = {order.id: order for order in await self._store.orders([order.id for order in orders])}
        now = self._now()
        # those that were not asked about since they were read
        rest = [fresh[order.id] for order in orders if fresh[order.id].poll_at == order.poll_at]
        if rest and not plan.askable(rest[0]):
            return await self._group(rest[0]) if await self._is_ours(rest[:1]) else None
        told = [news_of(order.id, own) for order in rest if (own := told_already(order)) is not None]
        if told:
            await self._settler.surely(told)
            rest = [order for order in rest if told_already(order) is None]
        early = {order.id: self._questions.allowed_at([_pair(order)], now) for order in rest}
        later = [_at(order, at, order.polls) for order in rest if (at := early[order.id]) > now]
        if later:
            await self._settler.surely(later)
        rest = [order for order in rest if early[order.id] <= now]
        if not rest or not await self._is_ours(rest):
            return None
        self._questions.note(map(_pair, rest), now)
        answers = await self._client.status([_pair(order) for order in rest])
        if answers.outcome is not None:
            await self._settler.surely([self._later(order) for order in rest])
            return answers.outcome
        news = []
        for order in rest:
            known = answers.each.get(_pair(order))
            if known is None or known.kind in (Kind.ABSENT, Kind.NOTHING, Kind.ACCEPTED):
                news.append(self._later(order))
            else:
                news.append(news_of(order.id, known))
        await self._settler.surely(news)
        money = [known for known in answers.each.values() if known.rest is not Rest.NONE]
        return money[0] if money else None

    async def _is_ours(self, orders: Sequence[Order]) -> bool:
        """Whether no other node asks about these meanwhile."""
        return not self._store.shared or await left_alone(self._store, orders)

    async def _group(self, order: Order) -> Outcome | None:
        """A group whose members the answer did not tell, or a bot's user: the history may."""
        if await self._store.members([order.id]):
            await self._settler.surely([self._later(order)])
            await members.close(self._store, self._settler, order)  # where the relay stopped before it did
            return None
        found = await self._client.look_up(_name(order), order.sent_at or order.created_at)
        if isinstance(found, Outcome):
            await self._settler.surely([self._later(order)])
            return found

        if not plan.is_group(order):  # a bot's user: what is under the order's own id is about it alone
            known = next(iter(found.values()), None)
            final = known is not None and known.kind not in (Kind.ABSENT, Kind.NOTHING, Kind.ACCEPTED)
            await self._settler.surely([news_of(order.id, known) if known and final else self._later(order)])
            return None

        async def add(change: Change) -> None:
            for phone in await members.unmet(self._store, order, found):
                members.bear(change, self._store, order, phone, self._settler.terms.first_poll(order.account))

        await self._settler.surely([self._later(order)], add)
        return None

    def _later(self, order: Order) -> News:
        """Nothing new: ask again after the next step."""
        at = plan.retry_at(self._now(), order.polls + 2, self._delivery.poll, self._chance())
        if self._store.shared:
            at = max(at, self._now() + APART)
        return _at(order, at, order.polls + 1)


def _name(order: Order) -> str:
    return model.show(order.request_id or 0)


def _pair(order: Order) -> tuple[str, str]:
    """What the provider is asked by: the phone and our id."""
    return order.target, _name(order)


def _at(order: Order, at: int, polls: int) -> News:
    nothing = person(Kind.NOTHING, "2.0.0", "nothing new")
    return News(order=order.id, event=None, outcome=nothing, columns={"poll_at": at, "polls": polls})
