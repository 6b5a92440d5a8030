"""What phones send becomes mail: to whoever wrote to that phone last, else to `inbox.default`.

A message is stored before the provider hears that it was taken, with the notice that mails it,
in one transaction. What comes from the same phone within `reports.gather` joins that notice as
long as no mail has left: the parts of a long message are one mail. The mail is queued, retried
and given up like a report. What answers a digest, or acknowledges several alarms, goes to each of
their senders.

What can go wrong. The same is told twice: all of it is equal, its time too, and it is stored
once; where the provider gives neither time nor id, the same words within ten minutes are a
repeat; what a call told and a list tells again, or the other way round, is one (`twice`). Nobody
wrote to the phone and there is no default: it is stored, and the log says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from relay.config import Config
from relay.config import Inbox as Settings
from relay.delivery import escalation, twice
from relay.delivery.acknowledging import Acknowledging, Taken
from relay.delivery.hearing import Result
from relay.masking import phone_masked
from relay.model import MINUTE, Auto, stable_digest
from relay.queue import schema
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.followups import Incoming, Notice, NoticeState, Told
from relay.queue.rows import DIGEST, Order
from relay.queue.store import Store
from relay.report.answers import INBOX
from relay.smsc import callbacks
from relay.smsc.callbacks import WaitCall
from relay.smsc.wire import shown_phone

_log = logging.getLogger("relay.delivery")
_TRIES = 20
_LANES = 61
_SAME_WORDS = 10 * MINUTE
_SENDERS = 20
"""Senders to whom one message of a phone is mailed at most."""
_LAST = 20
"""Orders to a phone that are looked through for one that a person could answer."""


class Inbox:
    """Takes what phones send. `kick` wakes the mailer."""

    def __init__(
        self,
        *,
        store: Store,
        config: Callable[[], Config],
        kick: Callable[[], None],
        acknowledging: Acknowledging,
    ) -> None:
        self._store = store
        self._acknowledging = acknowledging
        self._config = config
        self._kick = kick
        self._lanes = [asyncio.Lock() for _ in range(_LANES)]

    def settings(self) -> Settings:
        """What the configuration says of it now."""
        return self._config().inbox

    async def take(
        self,
        account: str,
        told: callbacks.Incoming | WaitCall,
        *,
        listed: int = 0,
        after: int = 0,
    ) -> Result:
        """Take a message or a call; raises engine.Trouble where it can't be stored.

        One that the provider lists has its id there, and was not called before `after` if it is new.
        """
        phone = shown_phone(told.phone)
        async with self._lanes[hash(phone) % _LANES]:
            for _ in range(_TRIES):
                try:
                    return await self._take(account, phone, told, listed, after)
                except Stale:
                    await self._clear(phone)
        raise Trouble("a mail kept changing while a message for it was stored")

    async def _take(
        self, account: str, phone: str, told: callbacks.Incoming | WaitCall, listed: int, after: int
    ) -> Result:
        config, now = self._config(), self._store.clock.now()
        one = _row(account, phone, told, self._store.new_id(), now, listed)
        lately = await self._store.incoming_from(phone, now - twice.LATE)
        if await self._known(one, told, lately, after):
            return Result.KNOWN
        said_at = now if told.at is None else min(now, told.at)
        taken = await self._acknowledging.taken(one, said_at)
        since = max(said_at, now - twice.LATE) - config.inbox.window
        orders = await self._answered(one, taken, since, said_at)
        lead, others = await self._owed(one, lately, orders, taken, now)
        first = orders[0].id if orders else None
        one = replace(one, order_id=first, notice_id=lead.id if lead else None, took=int(taken is not None))

        def rows(change: Change) -> None:
            change.insert(schema.incoming, **asdict(one))
            if self._store.shared and taken is None:  # else it moves orders, and their versions tell
                change.once = (_after(lately, phone), one.id, now)
            for each in (lead, *others):
                if each is not None and each.version:  # touched, so that no mail being made leaves this out
                    change.update(schema.notice, each.id, each.version, due_at=each.due_at)
                elif each is not None:
                    change.insert(schema.notice, **{**asdict(each), "version": 1})

        async with self._acknowledging.counted(taken):
            await self._acknowledging.write(taken, one, rows)
        where = "nobody" if lead is None else "the sender" if orders else "the default"
        _log.info(
            "a phone answered", extra={"account": account, "phone": phone_masked(phone), "goes to": where}
        )
        if taken is not None:
            self._acknowledging.done(taken, one)
        self._kick()
        return Result.TAKEN

    async def _clear(self, phone: str) -> None:
        """Let go of a phone's first place: what it sent there was longer ago, or is purged."""
        if self._store.shared:
            lately = await self._store.incoming_from(phone, self._store.clock.now() - twice.LATE)
            if not lately:
                await self._store.forget_repeat(_after(lately, phone))

    async def _known(
        self,
        one: Incoming,
        told: callbacks.Incoming | WaitCall,
        lately: Sequence[Incoming],
        after: int,
    ) -> bool:
        """Whether it has been told before, by whichever way."""
        known = await self._store.incoming_known(one.mark) or await self._store.repeat_known(one.mark)
        if known or twice.rings_on(lately, one):
            return True
        if one.told is Told.CALLED and not _marked(told):
            said = (one.kind, one.to_phone, one.text)
            again = [row for row in lately if abs(row.received_at - one.received_at) < _SAME_WORDS]
            if any((row.kind, row.to_phone, row.text) == said for row in again):
                return True
        if one.told is Told.FETCHED:
            twin = twice.fetched(lately, one, after)
        else:
            twin = twice.called(lately, one, told.at)
        if twin is None:
            return False
        # Noted first: whoever tells this once more, or another node now, must not take it for a new one.
        change = Change(once=(one.mark, one.id, one.received_at))
        return await self._store.write(change) is not None or await self._store.told_again(twin)

    async def _answered(self, one: Incoming, taken: Taken | None, since: int, said_at: int) -> list[Order]:
        """The messages that it answers, one for each sender who can be written to.

        The last one to the phone; of a digest all those in it; and whatever it acknowledges.
        """
        meant = await self._last(one, since, said_at)
        if meant and meant[0].alarm == DIGEST:
            spoken = (await self._store.spoken_for([meant[0].id])).get(meant[0].id, [])
            meant = sorted(spoken, key=lambda order: order.id, reverse=True)
        meant += taken.alarms if taken is not None else ()
        mails = await self._store.mails({order.mail_id for order in meant})
        found: dict[str, Order] = {}
        for order in meant:
            mail = mails.get(order.mail_id)
            if mail and mail.sender and mail.verified and mail.auto not in (Auto.REPLIED, Auto.REPORT):
                found.setdefault(mail.sender, order)
        return list(found.values())[:_SENDERS]

    async def _last(self, one: Incoming, since: int, said_at: int) -> list[Order]:
        """The last message to the phone that a person could answer, before he did where there was one."""
        sent = await self._store.last_to(one.phone, since, _LAST)
        found = [each for each in sent if each.account == one.account and escalation.to_people(each)]
        before = [each for each in found if each.told_at <= said_at + escalation.CLOCKS]
        return (before or found)[:1]

    async def _owed(
        self,
        one: Incoming,
        lately: Sequence[Incoming],
        orders: Sequence[Order],
        taken: Taken | None,
        now: int,
    ) -> tuple[Notice | None, list[Notice]]:
        """The notice that mails it, and those that mail it to other senders; new ones have version 0.

        A message joins the mail that waits for more of the same phone, but for one that acknowledges.
        """
        gather = self._config().reports.gather
        before = [each for each in lately if (each.account, each.kind) == (one.account, one.kind)]
        lead = None if taken is not None else await self._waiting(before, now - gather)
        if lead is not None:
            led = [each for each in await self._store.led(lead.id) if _grows(each)]
            return lead, led
        if not orders and not self._config().inbox.default:
            return None, []
        lead = self._notice(orders[0].id if orders else 0, None, now, gather)
        return lead, [self._notice(order.id, lead.id, now, gather) for order in orders[1:]]

    async def _waiting(self, rows: Sequence[Incoming], since: int) -> Notice | None:
        """The notice that the last message from the phone waits in, if it may still grow."""
        if not rows or rows[-1].notice_id is None or rows[-1].received_at < since:
            return None
        return next(filter(_grows, await self._store.notices([rows[-1].notice_id])), None)

    def _notice(self, order: int, lead: int | None, now: int, gather: int) -> Notice:
        values = schema.row(
            schema.notice, id=self._store.new_id(), version=0, mail_id=0, recipient_id=0, order_id=order,
            action=INBOX, state=NoticeState.WAITING.value, created_at=now, due_at=now + gather, lead_id=lead,
        )  # fmt: skip
        return Notice.of(values)


def _after(rows: Sequence[Incoming], phone: str) -> str:
    """The place behind what a phone sent lately: several nodes may want it, one gets it."""
    return stable_digest(*(each.encode() for each in ("heard", phone, *(str(row.id) for row in rows))))


def _grows(notice: Notice) -> bool:
    return notice.state is NoticeState.WAITING and notice.report_id is None


def _marked(told: callbacks.Incoming | WaitCall) -> bool:
    """Whether the provider said more than the words: a time, or an id."""
    return bool(told.stamp or (isinstance(told, callbacks.Incoming) and told.id))


def _row(
    account: str, phone: str, told: callbacks.Incoming | WaitCall, key: int, now: int, listed: int
) -> Incoming:
    """What the phone sent, as it will be stored; `mark` is equal where the same way tells of it again."""
    text, id_, kind = ("", "", "call") if isinstance(told, WaitCall) else (told.text, told.id, "sms")
    said = (
        (account, "listed", str(listed)) if listed else (account, kind, phone, told.to, text, id_, told.stamp)
    )
    mark = stable_digest(*(each.encode("utf-8", "replace") for each in said))
    if not listed and not _marked(told):
        mark += str(now)
    return Incoming(
        id=key, mark=mark, account=account, phone=phone, to_phone=told.to, kind=kind, text=text,
        received_at=now, order_id=None, notice_id=None, took=0, told=Told.FETCHED if listed else Told.CALLED,
    )  # fmt: skip
