"""What time brings about: orders expire, delay warnings fall due, old rows are swept.

Each chore is a bounded step, taken again until nothing is left. A chore that fails is tried
at the next turn; nothing of it is lost, for all of it stands in rows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from relay.config import Delivery, Keep
from relay.delivery import passing
from relay.delivery.news import News, news_of, person
from relay.delivery.settle import Settler
from relay.message import deadlines
from relay.model import DAY, HOUR, SECOND, Kind, Outcome
from relay.queue import housekeeping, schema
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.rows import Order
from relay.queue.states import Event, State
from relay.queue.store import Store
from relay.report.notices import Fact
from relay.report.values import Action
from relay.smsc import outcomes

_log = logging.getLogger("relay.delivery")

EVERY = 5 * SECOND
SWEEP_EVERY = HOUR
STEP = 50  # orders that are judged at a stretch: so long nobody else is heard


class Chore(Protocol):
    """A chore of another room's: what it does when its time has come."""

    async def next(self) -> int | None:
        """When it is due at the latest; None while there is nothing to do."""
        ...

    async def turn(self) -> bool:
        """Do what is due; whether orders may go now that could not before."""
        ...


class Chores:
    """The chores of one node. Where several share the store, all but its `own` are the leader's."""

    def __init__(
        self,
        *,
        store: Store,
        settler: Settler,
        keep: Keep,
        delivery: Delivery,
        kick: Callable[[], None],
        others: Sequence[Chore] = (),
        own: Sequence[Chore] = (),
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._keep = keep
        self._give_up_after = delivery.give_up
        self._wiped = 0  # up to this mail texts are gone, but for those that were still open
        self._begun_at = 0  # when the purge last began at the oldest mail, for their sake
        self._settler = settler
        self._kick = kick
        self._others = others
        self._own = own
        self._leads = leads
        self._wake = asyncio.Event()
        self._fresh = False  # orders came since the last turn, so deadlines may have
        self._stopping = False
        self._swept_at = 0

    def adopt(self, keep: Keep, delivery: Delivery) -> None:
        """Go on by a re-read configuration."""
        self._keep, self._give_up_after = keep, delivery.give_up

    def new_orders(self) -> None:
        """Orders came, and with them deadlines: a turn within EVERY, however many come."""
        if not self._fresh:
            self._fresh = True
            self._wake.set()

    def stop(self) -> None:
        """End after the chore under way."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Do the chores whenever a deadline passes, until stopped."""
        clock = self._store.clock
        while not self._stopping:
            self._fresh = False
            try:
                await self.turn()
                until = await self._next(clock.now())
            except Trouble as trouble:
                _log.error("a chore failed", extra={"why": str(trouble)})
                until = clock.now() + EVERY
            await clock.wait(self._wake, until)
            if self._fresh and not self._stopping:
                await clock.wait(self._wake, clock.now() + EVERY)

    async def _next(self, now: int) -> int:
        """The next deadline; one that passed while its order was out is looked at again soon."""
        if not self._leads():
            return now + EVERY
        own = [await each.next() for each in self._own]
        deadline = await self._store.next_deadline(self._give_up_after)
        sweep = self._swept_at + SWEEP_EVERY
        moments = [await each.next() for each in self._others] + [deadline, *own]
        return min([sweep, *(max(each, now + EVERY) for each in moments if each is not None)])

    async def turn(self) -> None:
        """Everything that is due now."""
        for each in self._own:
            await each.turn()
        if not self._leads():
            return
        await self._expire()
        await self._give_up()
        await self._warn()
        for each in self._others:
            if await each.turn():
                self._kick()
        now = self._store.clock.now()
        if now - self._swept_at >= SWEEP_EVERY:
            self._swept_at = now
            await housekeeping.sweep(self._store)
            await self._purge(now)

    async def _purge(self, now: int) -> None:
        """What is older than `keep` goes, a few hundred mails at a time."""
        last, history = 0, now - max(self._keep.history, self._keep.texts)
        while last := await housekeeping.forget(self._store, history, last):
            pass
        await housekeeping.wipe_incoming(self._store, now - self._keep.texts)
        if now - self._begun_at >= DAY:
            self._wiped, self._begun_at = 0, now
        while last := await housekeeping.wipe(self._store, now - self._keep.texts, self._wiped):
            self._wiped = last

    async def _expire(self) -> None:
        """Waiting and held orders whose time passed have failed, with the last cause's status."""
        ended = False
        while rows := await self._store.expired(self._store.clock.now(), STEP):
            news = [News(order=order.id, event=Event.EXPIRED, outcome=_too_late(order)) for order in rows]
            await self._settler.settle(news)
            ended = True
        if ended:  # not before: a worker would come upon the same orders, and judge them for nothing
            self._kick()

    async def _give_up(self) -> None:
        """Of what has no final word after `give_up`, whatever the account does, nobody can say more."""
        while rows := await self._store.open_since(self._store.clock.now() - self._give_up_after, STEP):
            await self._settler.settle([news_of(order.id, outcomes.unknown(order.outcome)) for order in rows])
            self._kick()

    async def _warn(self) -> None:
        """Senders of orders that are not at the provider yet are told of the delay, once."""
        while rows := await self._store.to_warn(now := self._store.clock.now(), STEP):
            change = Change()
            facts = []
            mails = await self._store.mails({order.mail_id for order in rows})
            for order in rows:
                change.update(schema.orders, order.id, order.version, warn_at=None)
                if order.state in (State.WAITING, State.HELD, State.SENDING, State.UNSURE, State.MERGED):
                    why = deadlines.late(_why_late(order), mails[order.mail_id].asked, now)
                    facts.append(Fact(order=order, action=Action.DELAYED, outcome=why))
            self._settler.terms.owe(change, facts)
            try:
                await self._store.write(change)
            except Stale:
                continue
            if facts:
                self._settler.notice_due()


def _too_late(order: Order) -> Outcome:
    if order.forwarded:
        return passing.expired(order.outcome)
    return outcomes.expired(order.outcome)


def _why_late(order: Order) -> Outcome:
    last = order.outcome
    if last is not None:
        status = "4" + last.status[1:] if last.status[0] == "5" else last.status
        status = "4.4.1" if status[0] == "2" else status
        return Outcome(kind=Kind.LATER, status=status, reason=last.reason, code=last.code, text=last.text)
    if order.state is State.HELD:
        return person(Kind.LATER, "4.7.1", "the message is held by the operator")
    next_ = "next mail server" if order.forwarded else "provider"
    return person(Kind.LATER, "4.4.1", f"the message has not reached the {next_} yet")
