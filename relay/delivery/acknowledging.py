"""A phone takes an alarm: everybody who was told of it is told who it was, and nobody else is called.

What an acknowledgement means is decided by `escalation`, of rows. Here they are read, and the change is
made: the orders are answered, the others are written to, and all of it is in the transaction that
stores the reply. The messages are orders like any other: caps, quiet hours, storms and the
chain rule hold for them; their senders hear nothing of them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from relay.config import Config, Route
from relay.delivery import escalation
from relay.delivery.counting import Counting
from relay.delivery.news import TAKEN, News
from relay.delivery.settle import Settler
from relay.masking import phone_masked
from relay.message import channels, countries, orders, routes
from relay.message.routes import Resolved
from relay.model import Envelope, Letter, Notify, Recipient, Target
from relay.queue import intake, schema
from relay.queue.engine import Change, Stale
from relay.queue.followups import Incoming, Step, StepState
from relay.queue.intake import Intake
from relay.queue.rows import Order
from relay.queue.states import Event
from relay.queue.store import Store, tell
from relay.report.inbox import name_of

_log = logging.getLogger("relay.delivery")
_LAST = 200
"""Orders to a phone that are looked through for those that an acknowledgement means."""


@dataclass(slots=True)
class Taken:
    """What a reply takes: the alarms that its phone was told, and all orders of their mails."""

    alarms: Sequence[Order]
    family: Sequence[Order]
    steps: Sequence[Step] = ()
    unsent: Sequence[Order] = ()  # orders of steps that have not gone out
    tells: list[Intake] = field(default_factory=list)


class Acknowledging:
    """Reads and writes what acknowledgements do. `queued` hears of accounts that have new orders."""

    def __init__(
        self,
        *,
        store: Store,
        settler: Settler,
        counts: Counting,
        config: Callable[[], Config],
        queued: Callable[[set[str]], None],
    ) -> None:
        self._store = store
        self._settler = settler
        self._counts = counts
        self._config = config
        self._queued = queued

    async def taken(self, one: Incoming, said_at: int) -> Taken | None:
        """What a message of a phone, said at a moment, takes; None where it acknowledges nothing."""
        config, now = self._config(), one.received_at
        words = config.inbox.acknowledge
        if not words or not (one.kind == "call" or escalation.acknowledges(one.text, words)):
            return None
        sent = await self._store.last_to(one.phone, now - config.inbox.window, _LAST)
        speaks = await self._store.spoken_for([order.id for order in sent])
        spoken = [each for row in speaks.values() for each in row]
        steps = await self._store.steps_of_mails({order.mail_id for order in (*sent, *spoken)})
        escalating = {step.mail_id for step in steps if step.state is StepState.WAITING}
        alarms = escalation.meant(sent, speaks, escalating, said_at)
        if not alarms:
            return None
        family = await self._store.orders_of_mails({order.mail_id for order in alarms})
        mails = {order.mail_id for order in alarms} - escalation.mailings(
            family, {each.mail_id for each in steps}
        )
        alarms = [order for order in alarms if order.mail_id in mails]
        if not alarms:
            return None
        family = [order for order in family if order.mail_id in mails]
        own = [step for step in steps if step.mail_id in mails]
        found = Taken(alarms, family, own, escalation.unsent(family, own))
        found.tells = await self._tells(one.phone, alarms, family, now)
        return found

    @contextlib.asynccontextmanager
    async def counted(self, taken: Taken | None) -> AsyncIterator[None]:
        """Caps hold for what is to be told; nobody else takes mail towards them meanwhile."""
        tells = taken.tells if taken is not None else []
        async with self._counts.alone([order for each in tells for order in each.orders]):
            for each in tells:
                await self._counts.hold_at_once(each)
            yield

    async def write(self, taken: Taken | None, one: Incoming, rows: Callable[[Change], None]) -> None:
        """Write the caller's rows, and what the acknowledgement does, in one transaction.

        Raises engine.Stale where something moved meanwhile.
        """
        if taken is None:
            change = Change()
            rows(change)
            if await self._store.write(change) is not None:
                raise Stale("the same phone was heard meanwhile")
            return

        def also(change: Change) -> None:
            rows(change)
            self._add(change, taken, one)

        columns = {"answered_at": one.received_at}
        news = [
            News(order=order.id, event=Event.DROPPED, outcome=TAKEN, columns=columns)
            for order in taken.unsent
        ]
        await self._settler.settle(news, also, seen=taken.unsent)

    def _add(self, change: Change, taken: Taken, one: Incoming) -> None:
        by = f"by {phone_masked(one.phone)}"
        settled = {order.id for order in taken.unsent}
        late = {order.id for order in escalation.under_way(taken.family, taken.steps)}
        for step in taken.steps:
            if step.state is StepState.WAITING:
                change.update(
                    schema.step, step.id, step.version, state=StepState.OVER.value, due_at=None,
                    ended_at=one.received_at, said=TAKEN.reason,
                )  # fmt: skip
        for order in taken.family:
            if order.answered_at is None and order.id not in settled:
                columns = {"answered_at": one.received_at}
                columns |= {"expire_at": one.received_at} if order.id in late else {}
                change.update_further(schema.orders, order.id, order.version, **columns)
                tell(change, self._store, order.id, "taken", by)
        for each in taken.tells:
            change.take(each.change)

    def done(self, taken: Taken, one: Incoming) -> None:
        """It is written: whoever sends is woken."""
        accounts = {order.account for each in taken.tells for order in each.orders}
        told = sum(len(each.orders) for each in taken.tells)
        _log.info(
            "an alarm was taken",
            extra={"phone": phone_masked(one.phone), "alarms": len(taken.alarms), "told": told},
        )
        if accounts:
            self._queued(accounts)

    # -- telling others -------------------------------------------------------------------

    async def _tells(
        self, phone: str, alarms: Sequence[Order], family: Sequence[Order], now: int
    ) -> list[Intake]:
        config = self._config()
        others = escalation.told(family, phone)
        contents = await self._store.contents({each.content_id for each in others if each.content_id})
        recipients = await self._store.recipients({each.recipient_id for each in others})
        mails = await self._store.mails({each.mail_id for each in others})
        hidden = any(each.hidden for each in alarms)
        who = name_of(phone, config.aliases, hidden=hidden)
        made: list[Intake] = []
        for other in others:
            content, to = contents.get(other.content_id or 0), recipients.get(other.recipient_id)
            if content is None or to is None or other.mail_id not in mails:
                continue
            more = len({each.mail_id for each in family if each.target == other.target})
            said = escalation.telling(who, content.text, more, config.reports.language)
            meant = _way(to.address, other, config.routes)
            if meant is None:
                _log.error("nobody can be told who took an alarm", extra={"order": repr(other)})
                continue
            recipient = Recipient(address=to.address, notify=frozenset((Notify.NEVER,)))
            composed = orders.compose(
                Letter(plain=said, readable=said),
                Envelope(sender="", recipients=(recipient,)),
                [meant],
                now=now,
                fallback_sender="",
                zone=self._store.clock.zone,
            )
            mail, ids = mails[other.mail_id], self._store.ids
            made.append(intake.further(mail, [recipient], composed, ids=ids, now=now, source=escalation.TOOK))
        return made


def plainly(route: Route, channel: str) -> Route:
    """The route for a text that is complete as it stands."""
    return route.model_copy(
        update={
            "text": "{{ body }}",
            "comment": "",
            "trim": False,
            "condense": False,
            "channel": channel,
            "escalate": (),
        }
    )


def _way(address: str, order: Order, all_routes: Sequence[Route]) -> Resolved | None:
    """How the phone of an order is told: on the same route, by SMS where it has a number."""
    route = routes.find(address, all_routes)
    if route is None or not channels.CHANNELS[route.channel].phone:
        return None
    target = Target(to=order.target, hidden=bool(order.hidden))
    if countries.refusal([target], route):
        return None
    channel = "sms" if routes.reaches("sms", order.target) else order.channel
    return Resolved(route=plainly(route, route.channel), channel=channel, targets=(target,), named=True)
