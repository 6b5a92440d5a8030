"""The one place where orders move: news in, a single transaction out.

However news of an order arrives (an answer, a question's answer, a person) it becomes `News`
and comes through here: what it changes is decided in `settlement` upon rows read for it, and
written in one transaction or not at all. News that can't happen to an order any more (late,
repeated) moves nothing and stands in the story.

What can go wrong. A row changed meanwhile: read again, decide again. The disk is full: the
outcome is kept in memory and tried until it is written, since it can't be asked for twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from relay.config import Delivery, Reports
from relay.delivery.counting import Counting
from relay.delivery.leases import Fence, Lost
from relay.delivery.news import Born, News
from relay.delivery.settlement import Settlement, Terms
from relay.model import Outcome
from relay.queue import schema
from relay.queue.engine import Also, Stale, Trouble
from relay.queue.rows import Mail, Order, Recipient
from relay.queue.states import State
from relay.queue.store import Scene, Store
from relay.report import notices
from relay.report.notices import Fact

_log = logging.getLogger("relay.delivery")
_TRIES = 20


class Contended(Trouble):
    """Others changed the same rows, again and again."""


class Settler:
    """Settles news into the store. `notice_due` is called when notices were written."""

    def __init__(
        self,
        store: Store,
        *,
        reports: Reports,
        delivery: Delivery,
        chance: Callable[[], float],
        notice_due: Callable[[], None],
        counts: Counting,
        moved: Callable[[Order, State, Outcome], None] = lambda _order, _state, _outcome: None,
        held_until: Callable[[int], int] = lambda _mail: 0,
    ) -> None:
        self._store = store
        self.terms = Terms(
            store=store,
            reports=reports,
            delivery=delivery,
            chance=chance,
            counts=counts,
            held_until=held_until,
        )
        self.notice_due = notice_due
        self._moved = moved

    def adopt(self, reports: Reports, delivery: Delivery) -> None:
        """Go on by a re-read configuration."""
        self.terms.reports, self.terms.delivery = reports, delivery

    async def settle(
        self,
        news: Sequence[News],
        also: Also | None = None,
        *,
        born: Sequence[Born] = (),
        seen: Sequence[Order] | None = None,
        fence: Fence | None = None,
    ) -> None:
        """Make the news true. `also` adds rows of the caller's own to the same transaction.

        `born` are orders among those rows. Raises engine.Trouble when the store can't take it; with
        `seen` engine.Stale, where these rows, on which the caller's rest, or others changed meanwhile.
        `fence` is asked of the rows that are decided upon, and raises where the news counts no more.
        """
        for _ in range(_TRIES):
            made = Settlement(self.terms, await self._scene(news), born)
            if any(made.orders.get(each.id) != each for each in seen or ()):
                raise Stale("an order changed meanwhile")
            if fence is not None:
                fence(made.orders)
            made.decide(news)
            change = made.change
            if also is not None and (more := also(change)) is not None:
                await more
            try:
                if change:
                    await self._store.write(change)
            except Stale:
                if seen is not None:
                    raise
                continue
            for order, state, outcome in (*made.moves, *made.revived):
                self._moved(order, state, outcome)
            if any(table is schema.notice for table, _ in change.inserts):
                self.notice_due()
            return
        raise Contended("an order kept changing while it was settled")

    async def surely(
        self, news: Sequence[News], also: Also | None = None, *, fence: Fence | None = None
    ) -> None:
        """Settle what can't be learnt again: until the store takes it, or another node has to settle it."""
        wait = 0.1
        while True:
            try:
                return await self.settle(news, also, fence=fence)
            except Lost as lost:
                _log.warning("what was learnt counts no more", extra={"why": str(lost)})
                return None
            except Trouble as trouble:
                if isinstance(trouble, Contended) and self._store.shared:
                    _log.warning("what was learnt is left to another node", extra={"why": str(trouble)})
                    return None
                _log.error("an outcome could not be stored, trying again", extra={"why": str(trouble)})
            await asyncio.sleep(wait)
            wait = min(10.0, wait * 2)

    def facts_for(
        self, intake_failed: Iterable[tuple[Order, Outcome]], mail: Mail, recipients: Sequence[Recipient]
    ) -> list[Fact]:
        """What is owed for recipients that failed with the very DATA."""
        by_id = {recipient.id: recipient for recipient in recipients}
        found: list[Fact] = []
        for order, outcome in intake_failed:
            found += notices.after_move(
                order,
                State.WAITING,
                State.FAILED,
                outcome,
                mail=mail,
                recipient=by_id[order.recipient_id],
                siblings=(),
                reports=self.terms.reports,
            )
        return found

    async def _scene(self, news: Sequence[News]) -> Scene:
        wanted = {each.order for each in news}
        wanted |= {each.columns["merged_into"] for each in news if each.columns.get("merged_into")}
        return await self._store.scene(wanted)
