"""Answers to DATA that wait for the provider (`answer: outcome`).

Read aloud: before a mail is stored, say that its outcome is awaited; once it is stored, read its
orders; while one of them is on its way to the provider, wait until the order, or the one that
speaks for it, has moved, at most until the time is up; then answer what the rows say. Nothing is
asked for at intervals: `moved` is called with each move once it is on disk.

What was refused at DATA is not reported again. Reports of such a mail are held back until the
answer is out; once a refusal was written to a client who was there to read it, what is owed for it
counts as told, and the mail as one that was never taken: it may come again, and it escalates nowhere.

What can go wrong. The client has gone, the process dies, the disk fails, the relay stops: nothing is
marked as told, and the report goes out when its time comes; perhaps a second word of the same, never
none. Rows that can't be read: the answer is *queued*, for the mail is stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relay import model, replies
from relay.clock import Clock
from relay.model import SECOND, Outcome
from relay.queue import schema
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.followups import NoticeState, StepState
from relay.queue.rows import Order
from relay.queue.states import FINAL, State
from relay.queue.store import Store
from relay.replies import Reply
from relay.report.values import Action
from relay.smtp import answers

_log = logging.getLogger("relay.smtp")

MARGIN = 5 * SECOND
"""How long after the last moment of an answer its mail's reports are still held back."""
_TRIES = 5
_TOLD = "answered at DATA"

Moved = Callable[[Order, State, Outcome], None]


@dataclass(slots=True, eq=False)
class Wait:
    """Somebody waits for what becomes of a mail, until a time."""

    mail: int
    until: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    open: set[int] = field(default_factory=set)  # orders that have to move first
    watched: set[int] = field(default_factory=set)
    promised: bool = False  # another client was answered 250 for the same mail


class Waiting:
    """Who waits for which mail. `then` hears of every move too; closed, nobody waits."""

    def __init__(self, then: Moved, *, closed: bool = False) -> None:
        self._then = then
        self._closed = closed
        self._by_mail: dict[int, set[Wait]] = {}
        self._by_order: dict[int, set[Wait]] = {}

    @property
    def count(self) -> int:
        """How many wait."""
        return sum(map(len, self._by_mail.values()))

    def expect(self, mail: int, until: int) -> Wait:
        """Wait for a mail from now on; `drop` ends it."""
        wait = Wait(mail, until)
        self._by_mail.setdefault(mail, set()).add(wait)
        return wait

    def drop(self, wait: Wait) -> None:
        """Wait no longer."""
        for index, keys in ((self._by_mail, {wait.mail}), (self._by_order, wait.watched)):
            for key in keys:
                row = index.get(key, set())
                row.discard(wait)
                if not row:
                    index.pop(key, None)

    def close(self) -> None:
        """The relay stops: everybody is answered at once."""
        self._closed = True
        for row in self._by_mail.values():
            for wait in row:
                wait.woken.set()

    def promise(self, mail: int) -> None:
        """Somebody heard 250 for this mail: whatever others hear, it is reported."""
        for wait in self._by_mail.get(mail, ()):
            wait.promised = True

    def held_until(self, mail: int) -> int:
        """Until when reports of a mail are held back; 0 where nobody waits for it."""
        return max((wait.until + MARGIN for wait in self._by_mail.get(mail, ())), default=0)

    def moved(self, order: Order, state: State, outcome: Outcome) -> None:
        """An order has moved, and that is on disk."""
        self._then(order, state, outcome)
        for wait in self._by_order.get(order.id, ()):
            if state in FINAL or state is State.SENT:
                wait.open.discard(order.id)
            if not wait.open or state in (State.WAITING, State.HELD, State.MERGED):
                wait.woken.set()

    def look(self, orders: Iterable[int]) -> None:
        """Another node has moved these orders: who waits for one reads it."""
        for order in orders:
            for wait in self._by_order.get(order, ()):
                wait.woken.set()

    async def orders(self, wait: Wait, store: Store) -> list[Order]:
        """The mail's orders, once nothing more need be waited for or the time is up."""
        clock: Clock = store.clock
        while True:
            wait.woken.clear()
            rows = await store.orders_of_mail(wait.mail)
            wait.open = answers.awaited(rows, wait.until)
            if self._closed or not wait.open or clock.now() >= wait.until:
                return rows
            fresh = wait.open - wait.watched
            for each in fresh:
                self._by_order.setdefault(each, set()).add(wait)
            wait.watched |= fresh
            if not fresh:  # else one may have moved since it was read
                await clock.wait(wait.woken, wait.until)


class Pending:
    """The answer to a mail that is stored. `each`: LMTP's recipients, a reply where it is known already."""

    def __init__(
        self,
        wait: Wait,
        waiting: Waiting,
        store: Store,
        *,
        key: str,
        each: Sequence[str | Reply] | None = None,
    ) -> None:
        self._wait = wait
        self._waiting = waiting
        self._store = store
        self._key = key
        self._each = each
        self._refused: set[int] = set()  # recipients that were answered 5xx

    async def answer(self) -> Reply | list[Reply]:
        """The answer, when there is one; *queued* where rows can't be read. Never raises."""
        try:
            rows = await self._waiting.orders(self._wait, self._store)
            found = answers.of_recipients(self._wait.mail, rows, self._wait.until)
            return await self._spread(found)
        except Exception:  # noqa: BLE001 - a 4xx now would bring the mail once more
            _log.exception("an outcome could not be read for an answer")
            self._refused.clear()
            return self._all(replies.queued(model.show(self._wait.mail)))
        finally:
            self._waiting.drop(self._wait)

    async def _spread(self, found: Mapping[int, Reply]) -> Reply | list[Reply]:
        bad = {recipient for recipient, reply in found.items() if not reply.good}
        if self._each is None:
            one = answers.of_all(self._wait.mail, found.values())
            self._refused = set() if one.good else bad
            return one
        rows = await self._store.recipients(found)
        by_address: dict[str, list[Reply]] = {}
        for key, reply in found.items():
            by_address.setdefault(rows[key].address, []).append(reply)
        self._refused = bad
        return [
            each if isinstance(each, Reply) else answers.of_all(self._wait.mail, by_address.get(each, ()))
            for each in self._each
        ]

    def _all(self, reply: Reply) -> Reply | list[Reply]:
        if self._each is None:
            return reply
        return [each if isinstance(each, Reply) else reply for each in self._each]

    async def heard(self) -> None:
        """The answer was written to a client who was there: what it refused counts as told."""
        if not self._refused or self._wait.promised:
            return
        try:
            if self._each is None and self._key:
                await self._store.forget_repeat(self._key)
            await self._mark(self._refused)
        except Trouble as trouble:
            _log.error("a refusal will be reported too", extra={"why": str(trouble)})

    async def _mark(self, recipients: Collection[int]) -> None:
        for _ in range(_TRIES):
            change = Change()
            for n in await self._store.notices_of(self._wait.mail):
                told = n.recipient_id in recipients and n.action == Action.FAILED and not n.unknown
                if told and n.state is NoticeState.WAITING and n.report_id is None:
                    change.update(schema.notice, n.id, n.version, state=NoticeState.DONE.value, due_at=None,
                                  last=_TOLD)  # fmt: skip
            for step in await self._store.steps_of_mails([self._wait.mail]):
                if step.recipient_id in recipients and step.state is StepState.WAITING:
                    change.update(schema.step, step.id, step.version, state=StepState.OVER.value, due_at=None,
                                  said="the mail was refused")  # fmt: skip
            try:
                if change:
                    await self._store.write(change)
            except Stale:
                continue
            return
