"""Fetches what phones sent, where the provider does not bring it by calls to our handler.

The list is asked for on a slot for questions, from the last answer on that is known; that one is
written down, so a restart goes on where it was. What calls told already is known again (`twice`).

How often: every `inbox.poll` after a message went out, the longer ago the more seldom, once an
hour at last. Where the last message was followed by a call to the handler, calls arrive: then once
an hour too, for what may have been lost on the way. An account that rests for its login or a
blocked address is not asked. Of several nodes one asks, each time.

What can go wrong. The process dies after an answer was stored and before its id is: it is
fetched again, and known. The list can't be read: it is asked for again when its time comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from relay.config import Inbox as Settings
from relay.delivery import plan, twice
from relay.delivery.inbox import Inbox
from relay.delivery.standing import Standing
from relay.model import HOUR, Outcome
from relay.queue.engine import Trouble
from relay.queue.store import Store
from relay.smsc import callbacks, wire
from relay.smsc.client import Client

_log = logging.getLogger("relay.delivery")
_PAGES = 5  # pages that are read at once; the next question goes on


class Fetching:
    """Fetches for one account. `heard` says when the provider last called us about it."""

    def __init__(
        self,
        account: str,
        store: Store,
        *,
        client: Client,
        standing: Standing,
        inbox: Inbox,
        settings: Callable[[], Settings],
        heard: Callable[[str], int | None],
    ) -> None:
        self._account = account
        self._store = store
        self._client = client
        self._standing = standing
        self._inbox = inbox
        self._settings = settings
        self._heard = heard
        # A phone that was written to before a start answers after it.
        self._sent_at = self._tried_at = store.clock.now()
        self._under_way = False

    def sent(self) -> None:
        """A message went out: its phone may answer soon."""
        self._sent_at = self._store.clock.now()

    def due_at(self) -> int | None:
        """When to ask next; None while that is under way, or never."""
        shortest = self._settings().poll
        return None if not shortest or self._under_way else self._next(shortest)

    def _next(self, shortest: int) -> int:
        now, heard_at = self._store.clock.now(), self._heard(self._account)
        every = plan.answers_every(now, self._sent_at, heard_at, shortest)
        tried_at = self._tried_at
        if self._store.shared:  # another node may have asked
            tried_at = max(tried_at, self._standing.row.answers_at or 0)
        return min(tried_at, now) + every

    def begin(self) -> None:
        """The question takes its slot now."""
        self._under_way = True

    async def fetch(self) -> Outcome | None:
        """Ask, and take what is new; the outcome where the asking failed."""
        try:
            return await self._fetch()
        except Trouble as trouble:
            _log.error("an answer of a phone could not be stored", extra={"why": str(trouble)})
            return None
        finally:
            self._tried_at, self._under_way = self._store.clock.now(), False

    async def _is_ours(self) -> bool:
        """Whether this node asks now: of several that would, one does."""
        if not self._store.shared:
            return True
        await self._standing.load()
        now, shortest = self._store.clock.now(), max(1, self._settings().poll)
        turn = self._standing.row.answers_at, now // shortest
        return self._next(shortest) <= now and await self._store.claim("answers", self._account, *turn)

    async def _fetch(self) -> Outcome | None:
        if not await self._is_ours():
            return None
        now, row = self._store.clock.now(), self._standing.row
        # Back to two hours before the last question, the first one too: else the second would list what
        # is older than the first looked, and nobody could tell whether a call had told it.
        hours = 2 + max(0, now - (row.answers_at or now)) // HOUR
        after = row.answer_id
        for _ in range(_PAGES):
            page = await self._client.answers(after, hours)
            if isinstance(page, Outcome):
                return page
            fresh = [line for line in page if line.id > after]
            for line in fresh:
                told = callbacks.meaning(callbacks.Incoming(phone=line.phone, text=line.text, to=line.to))
                since = twice.since(now, row.answers_at)
                await self._inbox.take(self._account, told, listed=line.id, after=since)
            after = max([after, *(line.id for line in fresh)])
            if len(page) < wire.PAGE or not fresh:
                break
        await self._standing.remember(answer_id=after, answers_at=now)
        return None
