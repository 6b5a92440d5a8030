"""What the provider tells by itself: callbacks about statuses become news of orders.

A status is about the order that went to its phone under its id. Whatever it says, the provider
has that request: a repeat of it that was due is put off until it has been asked about.
Of a group, a phone that is not known yet becomes a member; the group's own state waits for the
answer, or the history, which tell of all of them.

What can go wrong. The same is told twice, late, or before the answer to the send: what says
nothing new is not written again, all else goes through `settle`. Nothing is known under the
id (another program uses the account, or the rows are gone): it is counted, and kept as a stray,
so many of an account a day, for that program may send millions.
The store can't take it: `Trouble`, and the provider is asked to say it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial

from relay import model
from relay.delivery import members, plan
from relay.delivery.news import EVENT_OF, detail, news_of
from relay.delivery.settle import Settler
from relay.model import DAY, SECOND, Kind, Outcome, Rest
from relay.queue import schema, states
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.rows import Order, Request, RequestState
from relay.queue.states import State
from relay.queue.store import Store
from relay.smsc import outcomes
from relay.smsc.callbacks import Status
from relay.smsc.wire import same_phone, shown_phone

_log = logging.getLogger("relay.delivery")
_TRIES = 20
_WRITE_EVERY = 10 * SECOND
STRAYS = 1000
"""So many of what is known of no message are kept of an account each day; the others are counted."""
_LANES = 61  # a prime, for the low bits of keys are mostly the same


class Result(StrEnum):
    """What became of a callback, as it is counted."""

    TAKEN = "taken"
    KNOWN = "known"  # it said nothing new
    UNKNOWN = "unknown"  # nothing is known under its id
    FORGED = "forged"  # without the right signature
    UNREADABLE = "unreadable"
    UNSTORED = "unstored"  # the store could not take it


class Hearing:
    """Hears what the provider tells. `rest` is told of outcomes that say that an account must rest."""

    def __init__(
        self,
        *,
        store: Store,
        settler: Settler,
        rest: Callable[[str, Outcome], Awaitable[None]],
        kick: Callable[[set[str]], None],
    ) -> None:
        self._store = store
        self._settler = settler
        self._rest = rest
        self._kick = kick
        self._heard: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._strays: dict[str, tuple[int, int]] = {}  # by account: the day, and how many were kept on it
        # The calls about one request come together; taken one by one they don't undo each other's reading.
        self._lanes = [asyncio.Lock() for _ in range(_LANES)]

    async def load(self) -> None:
        """Remember what was written down, by whichever node."""
        for account, at in (await self._store.heard()).items():
            self._heard[account] = max(at, self._heard.get(account, at))

    def heard_at(self, account: str) -> int | None:
        """When the last callback about an account came; None where none ever did."""
        return self._heard.get(account)

    async def status(self, account: str, told: Status) -> Result:
        """Take what a callback says of a message; raises engine.Trouble where it can't be stored."""
        await self.note(account)
        key = _key(told.id)
        result = Result.UNKNOWN if key is None else await self._heard_of(key, told)
        if result is Result.UNKNOWN:
            await self._keep(account, told)
        return result

    async def _keep(self, account: str, told: Status) -> None:
        """Keep what is about no message of ours, as long as there is room for it today."""
        today = self._store.clock.now() // DAY
        day, kept = self._strays.get(account, (today, 0))
        if day == today and kept >= STRAYS:
            return
        name, phone = outcomes.clean(told.id), outcomes.clean(told.phone)
        if await self._store.keep_stray(account, name, phone, _said(told)):
            day, kept = self._strays.get(account, (today, 0))  # others came meanwhile
            self._strays[account] = today, 1 + (kept if day == today else 0)

    async def _heard_of(self, key: int, told: Status) -> Result:
        async with self._lanes[key % _LANES]:
            for _ in range(_TRIES):
                try:
                    return await self._status(key, told)
                except Stale:
                    continue
        raise Trouble("an order kept changing while a callback was heard")

    async def _status(self, key: int, told: Status) -> Result:
        orders = await self._store.orders_of_requests([key])
        outcome = outcomes.looked_up(outcomes.for_status(told.status, told.err), told.lookup)
        outcome = replace(outcome, cost=told.cost)
        order = _about(orders, told.phone) or await self._member(orders, told.phone, outcome)
        if order is None:
            return Result.UNKNOWN
        if plan.is_group(order) and outcome.kind is not Kind.NOTHING:
            outcome = outcomes.accepted()
        if await self._known(order, outcome):
            return Result.KNOWN
        await self._settler.settle([news_of(order.id, outcome)], partial(self._reopen, key, outcome))
        if order.state in (State.SENDING, State.UNSURE):
            self._kick({order.account})
        if outcome.rest is not Rest.NONE:
            await self._rest(order.account, outcome)
        return Result.TAKEN

    async def _known(self, order: Order, outcome: Outcome) -> bool:
        """Whether the order does not move by this, and its story has it already."""
        event = EVENT_OF[outcome.kind]
        possible = event is not None and states.can(order.state, event)
        if event is not None and possible and states.after(order.state, event) is not order.state:
            return False
        line = detail(outcome)
        return any(each["detail"] == line for each in await self._store.story(order.id))

    async def _member(self, orders: Sequence[Order], phone: str, outcome: Outcome) -> Order | None:
        """The member of a group that a status tells of; made, where it is the first to do so."""
        group = next((order for order in orders if order.parent_id is None and plan.is_group(order)), None)
        if group is None or group.state is State.WAITING or outcome.kind in (Kind.ABSENT, Kind.NOTHING):
            return None
        target, change = shown_phone(phone), Change()
        if await members.unmet(self._store, group, [target]):
            members.bear(change, self._store, group, target, self._settler.terms.first_poll(group.account))
            change.update(schema.orders, group.id, group.version)
            await self._store.write(change)
        return _about(await self._store.members([group.id]), phone)

    async def _reopen(self, key: int, outcome: Outcome, change: Change) -> None:
        """A request of which the provider has a phone is not repeated: the others are asked about."""
        if outcome.kind in (Kind.ABSENT, Kind.NOTHING):
            return
        for request in await self._store.requests([key]):
            if request.state is RequestState.REPEAT:
                self._ask(change, request)

    def _ask(self, change: Change, request: Request) -> None:
        now = self._store.clock.now()
        change.update(
            schema.request,
            request.id,
            request.version,
            state=RequestState.UNSURE.value,
            due_at=now + SECOND,
            absences=0,
        )

    async def note(self, account: str) -> None:
        """Callbacks are arriving; written down now and then, which is as exact as it need be."""
        now = self._store.clock.now()
        self._heard[account] = now
        if 0 <= now - self._written.get(account, -_WRITE_EVERY) < _WRITE_EVERY:
            return
        self._written[account] = now
        try:
            await self._store.note_heard(account, now)
        except Trouble as trouble:
            _log.error("the account's state could not be stored", extra={"why": str(trouble)})


def _key(id_: str) -> int | None:
    """The key of ours that an id shows; None for anything else."""
    try:
        return model.unshow(id_)
    except ValueError:
        return None


def _said(told: Status) -> str:
    """The status as it stands in stories."""
    return outcomes.for_status(told.status, told.err).code


def _about(orders: Sequence[Order], phone: str) -> Order | None:
    """The order that went to a phone, an unfinished one first."""
    wanted = same_phone(phone)
    found = [order for order in orders if same_phone(order.target) == wanted]
    return min(found, key=lambda order: order.state in states.FINAL, default=None)
