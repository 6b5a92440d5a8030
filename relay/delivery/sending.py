"""A send's whole life on its slot: make the call, read what came of it, settle it.

What the provider answered is decided on by the table of `smsc.outcomes`; every order moves in
`settle`. A refusal of several by 7 or 8, and of a list by 1, 5 or 6 too, is halved; what made
no connection keeps its request and its id; what broke off is unsure, and so is a repeat that
was not taken: the first try may have been heard after all.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from relay.config import Delivery
from relay.delivery import leases, members, plan
from relay.delivery.claims import FIRST_ASK
from relay.delivery.leases import Fence
from relay.delivery.news import News, news_of, person
from relay.delivery.settle import Settler
from relay.model import SECOND, Kind, Outcome
from relay.queue import schema
from relay.queue.engine import Change, Trouble
from relay.queue.rows import Content, Order, Request, RequestState, StoredFile
from relay.queue.states import Event
from relay.queue.store import Store
from relay.smsc.client import Attachment, Client, Sent

_log = logging.getLogger("relay.delivery")

SECOND_ASK = 10 * SECOND
HALVED = ("7", "8")
"""Refusals that one phone of several may be the cause of."""
HALVED_LIST = ("1", "5", "6", *HALVED)
"""Refusals that one text of several may be the cause of, or one phone."""
REFUSED = "refused"
"""The cause of a request whose repeat was refused."""


def to_halve(request: Request, orders: Sequence[Order], outcome: Outcome) -> bool:
    """Whether one order of several may be the cause of a refusal of all."""
    return len(orders) > 1 and outcome.code in (HALVED_LIST if request.is_list else HALVED)


class Sending:
    """The sends of one account."""

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

    async def send(
        self,
        request: Request,
        orders: Sequence[Order],
        known: Mapping[int, Content],
        taken: Callable[[], None],
    ) -> Outcome:
        """Make a claimed request's call; its orders are `sending` under a lease.

        `known` may hold the contents that the request brings; what it lacks is read. `taken` is
        called when the provider has accepted it, before that is written down.
        """
        contents: Mapping[int, Content] = {}
        try:
            contents = await self._contents(request, known)
            async with leases.kept(self._store, orders):
                sent = await self._call(request, contents, partial(leases.still_ours, self._store, orders))
        except (leases.Lost, Trouble) as why:
            return await self.not_begun(request, orders, str(why))
        if sent.outcome.kind is Kind.ACCEPTED:
            taken()
        parts = {
            phone: contents[key].parts if key in contents else 0
            for key, phones in request.lines
            for phone in phones
        }
        await self._sent(request, orders, sent, parts)
        return sent.outcome

    async def not_begun(self, request: Request, orders: Sequence[Order], why: str) -> Outcome:
        """Nothing of a claimed request has left: its orders wait for their next try."""
        _log.warning("a call was not begun", extra={"request": request.name, "why": why})
        sent = Sent(outcome=person(Kind.LATER, "4.4.1", "the call could not be begun"))
        await self._sent(request, orders, sent, {})
        return sent.outcome

    async def _contents(self, request: Request, known: Mapping[int, Content]) -> Mapping[int, Content]:
        missing = {key for key, _phones in request.lines} - known.keys()
        return {**known, **await self._store.contents(missing)} if missing else known

    async def _call(
        self, request: Request, contents: Mapping[int, Content], before: Callable[[], Awaitable[None]]
    ) -> Sent:
        lines = request.lines
        content = contents[lines[0][0]]
        if request.is_list:
            return await self._client.send_list(
                id=request.name,
                lines=[(phones, contents[key].text) for key, phones in lines],
                params=content.form,
                before=before,
            )
        return await self._client.send(
            id=request.name,
            phones=request.phones,
            text=content.text,
            params=content.form,
            files=[self._attachment(file) for file in content.attachments],
            before=before,
        )

    def _attachment(self, file: StoredFile) -> Attachment:
        def chunks() -> AsyncIterator[bytes]:
            return self._store.file_chunks(file)

        return Attachment(name=file.name, type=file.type, size=file.size, chunks=chunks)

    async def _sent(
        self, request: Request, orders: Sequence[Order], sent: Sent, parts: Mapping[str, int]
    ) -> None:
        outcome, surely = sent.outcome, partial(self._settler.surely, fence=leases.fence(orders))
        match outcome.kind:
            case Kind.ACCEPTED:
                # of several phones the vendor's page does not say whether `cnt` counts one or all
                several = len(orders) > 1
                news = [
                    self._accepted(order, sent, parts[order.target] if several else outcome.parts)
                    for order in orders
                ]
                await self.taken(request, orders, sent, news, fence=leases.fence(orders))
            case Kind.UNSURE:
                broke = partial(self._mark_broken, request, outcome, self._now())
                await surely([news_of(order.id, outcome) for order in orders], broke)
            case _ if request.broke_at is not None:
                await self._still_unsure(request, orders, outcome)
            case Kind.REFUSED if to_halve(request, orders, outcome):
                await self.halve(request, orders, outcome, Event.LATER, fence=leases.fence(orders))
            case Kind.LATER if not outcome.code:
                # no connection: nothing left this machine, so all of them keep their request and its id
                due = plan.retry_at(self._now(), orders[0].attempts, self._delivery.retry, self._chance())
                news = [news_of(order.id, outcome, due_at=due) for order in orders]
                await surely(news, partial(self.close, request))
            case _:
                news = [news_of(order.id, outcome, request_id=None) for order in orders]
                await surely(news, partial(self.close, request))

    async def _still_unsure(self, request: Request, orders: Sequence[Order], outcome: Outcome) -> None:
        """A repeat that was not taken says nothing of the first try: ask before anything else is done."""
        refused = outcome.kind is Kind.REFUSED
        wait = SECOND_ASK if refused else plan.step(self._delivery.retry, request.attempts - 2)

        def back(change: Change) -> None:
            change.update(
                schema.request,
                request.id,
                request.version,
                state=RequestState.UNSURE.value,
                cause=REFUSED if refused else request.cause,
                due_at=self._now() + wait,
                absences=1,
            )

        news = [News(order=order.id, event=Event.LOST, outcome=outcome) for order in orders]
        await self._settler.surely(news, back, fence=leases.fence(orders))

    async def taken(
        self,
        request: Request,
        orders: Sequence[Order],
        sent: Sent,
        news: Sequence[News],
        *,
        fence: Fence | None = None,
    ) -> None:
        """The request is answered; a group's members become orders, those that were refused at once too."""
        born: list[tuple[int, Outcome]] = []
        finish = partial(self._finish, request, orders, sent, born)
        await self._settler.surely(news, finish, fence=fence)
        refused = [news_of(order, own) for order, own in born if own.kind is not Kind.ACCEPTED]
        if refused:
            await self._settler.surely(refused)
        for group in orders:
            if not plan.askable(group):
                await members.close(self._store, self._settler, group)

    def _accepted(self, order: Order, sent: Sent, share: int) -> News:
        own = sent.each.get(order.target, sent.outcome)
        if len(sent.each) == 1 and not plan.askable(order) and not plan.is_group(order):
            own = next(iter(sent.each.values()))  # a bot's user, whatever the provider calls it
        columns: dict[str, Any] = {"parts": share} if share and own.kind is Kind.ACCEPTED else {}
        cost = own.cost or (sent.outcome.cost if len(sent.each) <= 1 else "")
        if cost:
            columns["cost"] = cost
        return news_of(order.id, own, **columns)

    async def _finish(
        self,
        request: Request,
        orders: Sequence[Order],
        sent: Sent,
        born: list[tuple[int, Outcome]],
        change: Change,
    ) -> None:
        """Close the request; `born` learns the members' orders with what was told of each."""
        self.close(request, change)
        born.clear()
        for group in orders:
            if not plan.is_group(group):
                continue
            for phone in await members.unmet(self._store, group, sent.members):
                told = sent.each.get(phone, sent.outcome)
                first_poll = self._settler.terms.first_poll(group.account)
                born.append((members.bear(change, self._store, group, phone, first_poll, told), told))

    def close(self, request: Request, change: Change) -> None:
        """The request is answered, or answered about."""
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

    async def halve(
        self,
        request: Request,
        orders: Sequence[Order],
        outcome: Outcome,
        event: Event,
        *,
        fence: Fence | None = None,
    ) -> None:
        """One of several phones spoils the request: two smaller ones find out which."""
        now, news = self._now(), []
        for half in plan.halves(orders):
            columns = {"request_id": None, "batch": self._store.new_id(), "due_at": now}
            news += [News(order=order.id, event=event, outcome=outcome, columns=columns) for order in half]
        await self._settler.surely(news, partial(self.close, request), fence=fence)
