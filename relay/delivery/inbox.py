"""What phones send becomes mail: to whoever wrote to that phone last, else to `inbox.default`.

A message is stored before the provider hears that it was taken, with the notice that mails it,
in one transaction. What comes from the same phone within `reports.gather` joins that notice as
long as no mail has left: the parts of a long message are one mail. The mail is queued, retried
and given up like a report.

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
from relay.delivery import twice
from relay.delivery.hearing import Result
from relay.message import channels
from relay.model import MINUTE, Auto, phone_masked, stable_digest
from relay.queue import schema
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.rows import Incoming, NoticeState, Order, Told
from relay.queue.store import Store
from relay.report.answers import INBOX
from relay.smsc import callbacks
from relay.smsc.callbacks import WaitCall
from relay.smsc.wire import shown_phone

_log = logging.getLogger("relay.delivery")
_TRIES = 20
_LANES = 61
_SAME_WORDS = 10 * MINUTE
_LAST = 20
"""Orders to a phone that are looked through for one that a person could answer."""


class Inbox:
    """Takes what phones send. `kick` wakes the mailer."""

    def __init__(self, *, store: Store, config: Callable[[], Config], kick: Callable[[], None]) -> None:
        self._store = store
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
                    continue
        raise Trouble("a mail kept changing while a message for it was stored")

    async def _take(
        self, account: str, phone: str, told: callbacks.Incoming | WaitCall, listed: int, after: int
    ) -> Result:
        config, now = self._config(), self._store.clock.now()
        one = _row(account, phone, told, self._store.new_id(), now, listed)
        lately = await self._store.incoming_from(phone, now - twice.LATE)
        if await self._known(one, told, lately, after):
            return Result.KNOWN
        order = await self._answered(account, phone, now - config.inbox.window)
        change = Change()
        notice: int | None = None
        if order is not None or config.inbox.default:
            row = [each for each in lately if (each.account, each.kind) == (account, one.kind)]
            notice = await self._joined(change, row, now - config.reports.gather)
            notice = notice or self._owe(change, now + config.reports.gather)
        one = replace(one, order_id=order.id if order else None, notice_id=notice)
        change.insert(schema.incoming, **asdict(one))
        await self._store.write(change)
        where = "nobody" if notice is None else "the sender" if order else "the default"
        _log.info(
            "a phone answered", extra={"account": account, "phone": phone_masked(phone), "goes to": where}
        )
        self._kick()
        return Result.TAKEN

    async def _known(
        self,
        one: Incoming,
        told: callbacks.Incoming | WaitCall,
        lately: Sequence[Incoming],
        after: int,
    ) -> bool:
        """Whether it has been told before, by whichever way."""
        if await self._store.incoming_known(one.mark) or twice.rings_on(lately, one):
            return True
        if one.told is Told.CALLED and not _marked(told):
            said = (one.kind, one.to_phone, one.text)
            again = [row for row in lately if row.received_at > one.received_at - _SAME_WORDS]
            if any((row.kind, row.to_phone, row.text) == said for row in again):
                return True
        if one.told is Told.FETCHED:
            twin = twice.fetched(lately, one, after)
        else:
            twin = twice.called(lately, one, told.at)
        return twin is not None and await self._store.told_again(twin)

    async def _answered(self, account: str, phone: str, since: int) -> Order | None:
        """The last message to the phone, where its sender can be written to."""
        for order in await self._store.last_to(phone, since, _LAST):
            if order.account != account or channels.asks(order.channel):
                continue
            mail = (await self._store.mails({order.mail_id})).get(order.mail_id)
            wrote = mail is not None and mail.sender and mail.verified
            return order if mail and wrote and mail.auto not in (Auto.REPLIED, Auto.REPORT) else None
        return None

    async def _joined(self, change: Change, rows: Sequence[Incoming], since: int) -> int | None:
        """The notice that the last message from the phone waits in, if it may still grow."""
        if not rows or rows[-1].notice_id is None or rows[-1].received_at < since:
            return None
        for notice in await self._store.notices([rows[-1].notice_id]):
            if notice.state is NoticeState.WAITING and notice.report_id is None:
                # Touched, so that a mail that is being made of it does not leave this message out.
                change.update(schema.notice, notice.id, notice.version, due_at=notice.due_at)
                return notice.id
        return None

    def _owe(self, change: Change, due_at: int) -> int:
        key = self._store.new_id()
        change.insert(
            schema.notice, id=key, mail_id=0, recipient_id=0, order_id=0, action=INBOX,
            state=NoticeState.WAITING.value, created_at=self._store.clock.now(), due_at=due_at,
        )  # fmt: skip
        return key


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
        received_at=now, order_id=None, notice_id=None, told=Told.FETCHED if listed else Told.CALLED,
    )  # fmt: skip
