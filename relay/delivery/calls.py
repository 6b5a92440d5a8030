"""The calls of one account: make it, read what came of it, settle it.

Each method is one call's whole life on one slot. What the provider answered is decided on
here with the rules of `plan` and the table of `smsc.outcomes`; every order moves in `settle`.

Unsure requests (the bytes may have left, no readable answer came) follow one protocol. Ask
for the status of each phone under our id. Any status of any phone: the request was accepted
and is never repeated; a phone of it still unknown 60 s after the break goes alone under a new
id. All phones unknown twice, the second time at least 10 s after the break (60 s where the
provider answered with error 9): the same bytes go out once more under the same id. What can't
be asked about by phone (groups) is looked for in the history and never repeated. What stays
open until `give_up` is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial

from relay import model
from relay.config import Delivery
from relay.delivery import plan, settle
from relay.delivery.settle import News, Settler
from relay.model import MINUTE, SECOND, Kind, Outcome, Rest
from relay.queue import schema
from relay.queue.engine import Change, Trouble
from relay.queue.rows import Order, Request, RequestState, StoredFile
from relay.queue.states import Event, State
from relay.queue.store import Store
from relay.smsc import outcomes
from relay.smsc.client import Answers, Attachment, Client, Sent

_log = logging.getLogger("relay.delivery")

LEASE = 2 * MINUTE
FIRST_ASK = SECOND
SECOND_ASK = 10 * SECOND
SURE_ABSENT = 61 * SECOND
ASK_STEPS = (3 * SECOND, 10 * SECOND, 20 * SECOND, MINUTE, 5 * MINUTE)
SINGLY = 5  # phones of a request that are asked about one by one; more take a mass question


class LeaseLost(Exception):  # noqa: N818
    """The lease ran out before the bytes left: the call is not made."""


class Calls:
    """What can be called for on one account."""

    def __init__(
        self,
        *,
        store: Store,
        settler: Settler,
        client: Client,
        delivery: Delivery,
        chance: Callable[[], float],
    ) -> None:
        self._store = store
        self._settler = settler
        self._client = client
        self._delivery = delivery
        self._chance = chance

    def adopt(self, delivery: Delivery) -> None:
        """Go on by a re-read configuration."""
        self._delivery = delivery

    def _now(self) -> int:
        return self._store.clock.now()

    # -- sending --------------------------------------------------------------------------

    async def send(self, request: Request, orders: Sequence[Order]) -> Outcome:
        """Make a claimed request's call; its orders are `sending` under a lease."""
        contents = await self._store.contents({request.content_id})
        content = contents[request.content_id]
        files = [self._attachment(file) for file in content.attachments]
        async with self._lease_kept(orders):
            try:
                sent = await self._client.send(
                    id=request.name,
                    phones=request.phones,
                    text=content.text,
                    params=content.form,
                    files=files,
                    before=partial(self._still_ours, orders),
                )
            except LeaseLost:
                outcome = settle.person(Kind.LATER, "4.4.1", "the lease ran out before the call")
                sent = Sent(outcome=outcome)
        await self._sent(request, orders, sent, content.parts)
        return sent.outcome

    def _attachment(self, file: StoredFile) -> Attachment:
        def chunks() -> AsyncIterator[bytes]:
            return self._store.file_chunks(file)

        return Attachment(name=file.name, type=file.type, size=file.size, chunks=chunks)

    async def _still_ours(self, orders: Sequence[Order]) -> None:
        """Just before the bytes leave: the orders are still claimed by this very call."""
        fresh = await self._store.orders([order.id for order in orders])
        claimed = {order.id: order.request_id for order in orders}
        for order in fresh:
            lapsed = order.lease_until is None or order.lease_until <= self._now()
            if order.state is not State.SENDING or order.request_id != claimed[order.id] or lapsed:
                raise LeaseLost

    @contextlib.asynccontextmanager
    async def _lease_kept(self, orders: Sequence[Order]) -> AsyncIterator[None]:
        """Renew the lease while a long call (a large upload) goes on."""
        task = asyncio.create_task(self._renew([order.id for order in orders]))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _renew(self, ids: Sequence[int]) -> None:
        while True:
            await asyncio.sleep(LEASE / SECOND / 3)
            change = Change()
            for order in await self._store.orders(ids):
                if order.state is State.SENDING:
                    until = self._now() + LEASE
                    change.update(schema.orders, order.id, order.version, lease_until=until)
            with contextlib.suppress(Trouble):  # tried again in a third of the lease
                await self._store.write(change)

    async def _sent(self, request: Request, orders: Sequence[Order], sent: Sent, parts: int) -> None:
        outcome, now = sent.outcome, self._now()
        match outcome.kind:
            case Kind.ACCEPTED:
                # of several phones the vendor's page does not say whether `cnt` counts one or all
                share = outcome.parts if len(orders) == 1 else parts
                news = [self._accepted(order, sent, share) for order in orders]
                await self._settler.surely(news, partial(self._finish, request, orders, sent))
            case Kind.UNSURE:
                broke = partial(self._mark_broken, request, outcome, now)
                await self._settler.surely([settle.of(order.id, outcome) for order in orders], broke)
            case Kind.REFUSED if len(orders) > 1 and outcome.code in ("7", "8"):
                await self._halve(request, orders, outcome)
            case Kind.LATER if not outcome.code:
                # no connection: nothing left this machine, so the try keeps its id
                await self._settler.surely(
                    [settle.of(order.id, outcome) for order in orders], partial(self._close, request)
                )
            case _:
                news = [settle.of(order.id, outcome, request_id=None) for order in orders]
                await self._settler.surely(news, partial(self._close, request))

    def _accepted(self, order: Order, sent: Sent, share: int) -> News:
        own = sent.each.get(order.target, sent.outcome)
        columns = {"parts": share} if share and own.kind is Kind.ACCEPTED else {}
        cost = own.cost or (sent.outcome.cost if len(sent.each) <= 1 else "")
        if cost:
            columns |= {"cost": cost}  # type: ignore[dict-item]
        return settle.of(order.id, own, **columns)

    def _finish(self, request: Request, orders: Sequence[Order], sent: Sent, change: Change) -> None:
        """The request is answered; the members of a group become orders of their own."""
        self._close(request, change)
        now = self._now()
        groups = [order for order in orders if not plan.together(order) and "@" not in order.target]
        for group in groups:
            for phone in sent.members:
                row = settle.member_row(self._store, group, phone, now, self._delivery.poll)
                change.inserts.append((schema.orders, schema.row(schema.orders, **row)))

    def _close(self, request: Request, change: Change) -> None:
        change.update(schema.request, request.id, request.version, state=RequestState.DONE.value, due_at=None)

    def _mark_broken(self, request: Request, outcome: Outcome, now: int, change: Change) -> None:
        change.update(
            schema.request,
            request.id,
            request.version,
            state=RequestState.UNSURE.value,
            cause="nine" if outcome.code == "9" else "lost",
            broke_at=now,
            due_at=now + FIRST_ASK,
            absences=0,
        )

    async def _halve(self, request: Request, orders: Sequence[Order], outcome: Outcome) -> None:
        """One of several phones spoils the request: two smaller ones find out which."""
        now, news = self._now(), []
        for half in plan.halves(orders):
            batch = self._store.new_id()
            news += [
                News(
                    order=order.id,
                    event=Event.LATER,
                    outcome=outcome,
                    columns={"request_id": None, "batch": batch, "due_at": now},
                )
                for order in half
            ]
        await self._settler.surely(news, partial(self._close, request))

    # -- asking about an unsure request ---------------------------------------------------

    async def ask(self, request: Request) -> Outcome | None:
        """Ask what became of a request whose call broke off; the outcome where the asking failed."""
        orders = [
            order
            for order in await self._store.orders_of_requests([request.id])
            if order.request_id == request.id
        ]
        open_ = [order for order in orders if order.state is State.UNSURE]
        if not open_:
            await self._settler.surely([], partial(self._close, request))
            return None
        if self._now() - min(order.start_at for order in open_) >= self._delivery.give_up:
            await self._give_up(request, open_)
            return None
        found = await self._look(request, open_)
        if isinstance(found, Outcome):
            await self._ask_again(request, self._now() + plan.step(ASK_STEPS, request.asks), request.absences)
            return found
        await self._judge(request, orders, open_, found)
        return None

    async def _give_up(self, request: Request, orders: Sequence[Order]) -> None:
        outcome = outcomes.unknown(orders[0].outcome)
        news = [settle.of(order.id, outcome) for order in orders]
        await self._settler.surely(news, partial(self._close, request))

    async def _look(self, request: Request, orders: Sequence[Order]) -> Mapping[str, Outcome] | Outcome:
        """What the provider knows of each target under our id; an Outcome where it can't be asked."""
        if not all(plan.together(order) or "@" in order.target for order in orders):
            return await self._client.look_up(request.name, request.created_at)
        pairs = [(order.target, request.name) for order in orders]
        asked: list[Answers] = []
        if len(pairs) > SINGLY:
            asked.append(await self._client.status(pairs))
        else:
            for pair in pairs:
                asked.append(await self._client.status([pair]))
                if asked[-1].outcome is not None:
                    break
        found: dict[str, Outcome] = {}
        for answers in asked:
            if answers.outcome is not None:
                return answers.outcome
            found |= {phone: outcome for (phone, _id), outcome in answers.each.items()}
        missing = [order.target for order in orders if order.target not in found]
        if missing:
            return outcomes.unreadable("the answer leaves out a message that it was asked about")
        return found

    async def _judge(
        self,
        request: Request,
        orders: Sequence[Order],
        open_: Sequence[Order],
        found: Mapping[str, Outcome],
    ) -> None:
        now = self._now()
        since = now - (request.broke_at or now)
        if not all(plan.together(order) or "@" in order.target for order in open_):
            await self._judge_group(request, open_, found)
            return
        heard = [order for order in open_ if found[order.target].kind is not Kind.ABSENT]
        absent = [order for order in open_ if found[order.target].kind is Kind.ABSENT]
        accepted = bool(heard) or len(open_) < len(orders)
        news = [settle.of(order.id, _known(found[order.target])) for order in heard]
        if accepted:
            alone = absent if since >= SURE_ABSENT else []
            news += [self._alone(order, now) for order in alone]
            left = len(absent) - len(alone)
            later = partial(self._due, request, now + max(SECOND, SURE_ABSENT - since), 0)
            await self._settler.surely(news, later if left else partial(self._close, request))
            return
        wait = SURE_ABSENT if request.cause == "nine" else SECOND_ASK
        if request.absences < 1 or since < wait:
            await self._ask_again(request, now + max(SECOND, wait - since), request.absences + 1)
            return
        await self._repeat(request, open_, now)

    async def _judge_group(
        self, request: Request, open_: Sequence[Order], found: Mapping[str, Outcome]
    ) -> None:
        """A group or a nick: found in the history it was accepted; not found says nothing."""
        if not found:
            after = plan.step(self._delivery.poll, request.asks)
            await self._ask_again(request, self._now() + after, 0)
            return
        sent = Sent(outcome=outcomes.accepted(), members=tuple(found))
        news = [settle.of(order.id, sent.outcome) for order in open_]
        await self._settler.surely(news, partial(self._finish, request, open_, sent))

    def _alone(self, order: Order, now: int) -> News:
        """Its request was accepted without it: it goes alone, under a new id, or fails if too late."""
        outcome = settle.person(Kind.ABSENT, "4.4.1", "the provider took the request without this phone")
        if order.expire_at <= now:
            return News(order=order.id, event=Event.EXPIRED, outcome=_too_late())
        columns = {"request_id": None, "batch": self._store.new_id(), "due_at": now}
        return News(order=order.id, event=Event.ABSENT, outcome=outcome, columns=columns)

    async def _repeat(self, request: Request, orders: Sequence[Order], now: int) -> None:
        """Nothing is known under the id: the same bytes once more, unless it is too late for all."""
        if all(order.expire_at <= now for order in orders):
            news = [News(order=order.id, event=Event.EXPIRED, outcome=_too_late()) for order in orders]
            await self._settler.surely(news, partial(self._close, request))
            return

        def again(change: Change) -> None:
            change.update(
                schema.request, request.id, request.version, state=RequestState.REPEAT.value, due_at=now
            )

        await self._settler.surely([], again)

    async def _ask_again(self, request: Request, at: int, absences: int) -> None:
        await self._settler.surely([], partial(self._due, request, at, absences))

    def _due(self, request: Request, at: int, absences: int, change: Change) -> None:
        change.update(
            schema.request, request.id, request.version, due_at=at, asks=request.asks + 1, absences=absences
        )

    # -- asking about sent orders ---------------------------------------------------------

    async def poll(self, orders: Sequence[Order]) -> Outcome | None:
        """Ask for the status of sent orders; the outcome where the asking failed."""
        now = self._now()
        late = [order for order in orders if now - order.start_at >= self._delivery.give_up]
        if late:
            news = [settle.of(order.id, outcomes.unknown(order.outcome)) for order in late]
            await self._settler.surely(news)
        rest = [order for order in orders if order not in late and order.request_id is not None]
        if not rest:
            return None
        groups = [order for order in rest if not plan.together(order) and "@" not in order.target]
        if groups:
            return await self._poll_group(groups[0])
        answers = await self._client.status([(order.target, _name(order)) for order in rest])
        if answers.outcome is not None:
            await self._settler.surely([self._poll_later(order, answers.outcome) for order in rest])
            return answers.outcome
        news = []
        for order in rest:
            known = answers.each.get((order.target, _name(order)))
            if known is None or known.kind in (Kind.ABSENT, Kind.NOTHING, Kind.ACCEPTED):
                news.append(self._poll_later(order, known))
            else:
                news.append(settle.of(order.id, known))
        await self._settler.surely(news)
        money = [known for known in answers.each.values() if known.rest is not Rest.NONE]
        return money[0] if money else None

    async def _poll_group(self, order: Order) -> Outcome | None:
        """A group whose members the answer did not tell: the history may."""
        if await self._store.members([order.id]):
            await self._settler.surely([self._poll_later(order, None)])
            return None
        found = await self._client.look_up(_name(order), order.sent_at or order.created_at)
        if isinstance(found, Outcome):
            await self._settler.surely([self._poll_later(order, found)])
            return found

        def add(change: Change) -> None:
            for phone in found:
                row = settle.member_row(self._store, order, phone, self._now(), self._delivery.poll)
                change.inserts.append((schema.orders, schema.row(schema.orders, **row)))

        await self._settler.surely([self._poll_later(order, None)], add)
        return None

    def _poll_later(self, order: Order, heard: Outcome | None) -> News:
        """Nothing new: ask again after the next step."""
        outcome = heard or settle.person(Kind.NOTHING, "2.0.0", "nothing new")
        at = plan.retry_at(self._now(), order.polls + 2, self._delivery.poll, self._chance())
        nothing = settle.person(Kind.NOTHING, outcome.status, outcome.reason)
        return News(
            order=order.id, event=None, outcome=nothing, columns={"poll_at": at, "polls": order.polls + 1}
        )

    # -- probing a resting account --------------------------------------------------------

    async def probe(self) -> Outcome | None:
        """One balance call: None when the account may work again, else why it may not."""
        answer = await self._client.balance()
        if isinstance(answer, Outcome):
            return answer
        if answer.amount.startswith("-") or not answer.amount.strip("0.,- "):
            return outcomes.for_error(3, "the balance is empty")
        return None


Call = Callable[[], Awaitable[Outcome | None]]


def _name(order: Order) -> str:
    return model.show(order.request_id or 0)


def _known(outcome: Outcome) -> Outcome:
    """A status that moves nothing still says that the provider has the message."""
    return outcomes.accepted() if outcome.kind is Kind.NOTHING else outcome


def _too_late() -> Outcome:
    return outcomes.expired(None)
