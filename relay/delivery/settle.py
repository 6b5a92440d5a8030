"""The one place where orders move: news in, a single transaction out.

However news of an order arrives (an answer, a question's answer, a person) it becomes `News`
and comes through here: the order moves by the table of states, its story grows a line,
orders that it speaks for share its outcome, a group is closed by its last member, and the
notices that fall due are written, all in one transaction or not at all. News that can't
happen to an order any more (late, repeated) moves nothing and stands in the story.

What can go wrong. A row changed meanwhile: read again, decide again. The disk is full: the
outcome is kept in memory and tried until it is written, since it can't be asked for twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relay.config import Delivery, Reports
from relay.delivery import plan
from relay.delivery.counting import Counting
from relay.delivery.leases import Fence, Lost
from relay.delivery.news import Born, News, detail, had, leaves_others_open, news_of, of_group, said
from relay.model import Kind, Outcome
from relay.queue import schema, states
from relay.queue.engine import Also, Change, Stale, Trouble
from relay.queue.rows import DIGEST, Mail, NoticeState, Order, Recipient
from relay.queue.states import Event, State
from relay.queue.store import Store, tell
from relay.report import notices
from relay.report.notices import Fact

_log = logging.getLogger("relay.delivery")
_TRIES = 20
_PRICE = ("cost", "parts")  # what the answer tells that comes after the news of an order's end


class Contended(Trouble):
    """Others changed the same rows, again and again."""


@dataclass(slots=True)
class _Scene:
    """All rows that a decision about some orders needs."""

    orders: dict[int, Order]
    mails: Mapping[int, Mail]
    recipients: Mapping[int, Recipient]
    siblings: dict[int, list[Order]]  # by recipient
    merged: dict[int, list[Order]]  # by the order that speaks
    shared: set[int] = field(default_factory=set)  # recipients of merged orders that were answered
    revived: list[tuple[Order, State, Outcome]] = field(default_factory=list)


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
        self._reports = reports
        self._delivery = delivery
        self._chance = chance
        self.notice_due = notice_due
        self._counts = counts
        self.heard: Callable[[str], int | None] = lambda _account: None  # an account's last callback
        self._moved = moved
        self._held_until = held_until

    def adopt(self, reports: Reports, delivery: Delivery) -> None:
        """Go on by a re-read configuration."""
        self._reports, self._delivery = reports, delivery

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
            change = Change()
            scene = await self._scene(news, born)
            if any(scene.orders.get(each.id) != each for each in seen or ()):
                raise Stale("an order changed meanwhile")
            if fence is not None:
                fence(scene.orders)
            moves = self._decide(change, news, scene)
            if also is not None and (more := also(change)) is not None:
                await more
            try:
                if change:
                    await self._store.write(change)
            except Stale:
                if seen is not None:
                    raise
                continue
            for order, state, outcome in (*moves, *scene.revived):
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

    def first_poll(self, account: str) -> int:
        return plan.first_poll(self._store.clock.now(), self._delivery.poll, self.heard(account))

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
                reports=self._reports,
            )
        return found

    def write_facts(self, change: Change, facts: Iterable[Fact]) -> None:
        """Add notices to a change; each falls due after `reports.gather`, and once DATA is answered."""
        now = self._store.clock.now()
        for fact in facts:
            outcome = fact.outcome
            change.insert(
                schema.notice,
                id=self._store.ids.new(now),
                mail_id=fact.order.mail_id,
                recipient_id=fact.order.recipient_id,
                order_id=fact.order.id,
                action=fact.action.value,
                status=outcome.status,
                reason=outcome.reason,
                code=outcome.code,
                words=outcome.text,
                unknown=int(fact.unknown),
                state=NoticeState.WAITING.value,
                created_at=now,
                due_at=max(now + self._reports.gather, self._held_until(fact.order.mail_id)),
            )

    async def _scene(self, news: Sequence[News], born: Sequence[Born] = ()) -> _Scene:
        wanted = {each.order for each in news}
        wanted |= {each.columns["merged_into"] for each in news if each.columns.get("merged_into")}
        rows = await self._store.scene(wanted)
        merged: dict[int, list[Order]] = {}
        for order in rows.merged:
            merged.setdefault(order.merged_into or 0, []).append(order)
        siblings: dict[int, list[Order]] = {}
        for order in rows.siblings:
            siblings.setdefault(order.recipient_id, []).append(order)
        orders = {order.id: order for order in (*rows.siblings, *rows.orders)}
        for order, mail, recipient in born:
            orders[order.id], rows.mails[mail.id], rows.recipients[recipient.id] = order, mail, recipient
        return _Scene(orders, rows.mails, rows.recipients, siblings, merged)

    def _decide(
        self, change: Change, news: Sequence[News], scene: _Scene
    ) -> list[tuple[Order, State, Outcome]]:
        moves: list[tuple[Order, State, Outcome]] = []
        for each in news:
            order = scene.orders.get(each.order)
            if order is None:
                continue
            if each.event is None or not states.can(order.state, each.event):
                self._late(change, order, each, scene)
                continue
            moves.append((order, self._move(change, order, each, scene), each.outcome))
        self._guard(change, moves, scene)
        return moves

    def _guard(self, change: Change, moves: Sequence[tuple[Order, State, Outcome]], scene: _Scene) -> None:
        """What is decided by looking at siblings must fail where a sibling moved meanwhile.

        Two members of a group or an alias may be settled at the same time, each seeing the
        other unfinished: then nobody would close the group or tell the good news.
        """
        shared = {order.recipient_id for order, _state, _outcome in moves} | scene.shared
        for each in shared:
            if len(scene.siblings.get(each, ())) > 1:
                change.update(schema.recipient, each, scene.recipients[each].version)

    def _late(self, change: Change, order: Order, news: News, scene: _Scene) -> None:
        """News that moves nothing: written down, and told where it corrects what was told."""
        outcome = news.outcome
        if order.state in states.FINAL or outcome.kind is not Kind.NOTHING:
            tell(change, self._store, order.id, "heard", detail(outcome))
        if outcome.kind is Kind.DELIVERED and order.state in states.FINAL:
            facts = notices.correction(
                order,
                outcome,
                mail=scene.mails[order.mail_id],
                recipient=scene.recipients[order.recipient_id],
                reports=self._reports,
            )
            self.write_facts(change, facts)
            self._update(change, order, scene, said(outcome))
        kept = _PRICE if order.state in states.FINAL else tuple(news.columns)
        if columns := {name: news.columns[name] for name in kept if name in news.columns}:
            self._update(change, order, scene, columns)

    def _move(self, change: Change, order: Order, news: News, scene: _Scene) -> State:
        assert news.event is not None  # noqa: S101 - _decide saw to it
        now = self._store.clock.now()
        state = states.after(order.state, news.event)
        outcome = news.outcome
        columns: dict[str, Any] = {"state": state.value, **said(outcome)}
        columns |= self._timing(order, state, outcome, now)
        if outcome.cost:
            columns["cost"] = outcome.cost
        if outcome.parts:
            columns["parts"] = outcome.parts
        columns |= news.columns
        self._update(change, order, scene, columns)
        tell(change, self._store, order.id, news.event.value, detail(outcome))
        self._owe(change, order, order.state, state, outcome, scene)
        if news.event is Event.MERGED:
            self._speaks(change, scene.orders[columns["merged_into"]], order, scene)
            return state
        self._spoken_for(change, order, news.event, state, outcome, scene)
        if order.parent_id is not None and state in states.FINAL:
            self._close_group(change, order, scene)
        return state

    def _timing(self, order: Order, state: State, outcome: Outcome, now: int) -> dict[str, Any]:
        match state:
            case State.SENT:
                first = now + self.first_poll(order.account)
                again = order.poll_at if order.state is State.SENT else first
                return {
                    "sent_at": order.sent_at or now,
                    "poll_at": again,
                    "warn_at": None,
                    "lease_until": None,
                }
            case State.WAITING:
                due = plan.retry_at(now, order.attempts, self._delivery.retry, self._chance())
                return {"due_at": due, "lease_until": None}
            case State.UNSURE:
                return {"lease_until": None}
            case State.SENDING | State.HELD:
                return {}
            case State.MERGED:
                return {"poll_at": None, "lease_until": None}
            case _:
                reached = {"sent_at": order.sent_at or now} if had(outcome) else {}
                return {"finished_at": now, "poll_at": None, "warn_at": None, "lease_until": None, **reached}

    def _update(self, change: Change, order: Order, scene: _Scene, columns: dict[str, Any]) -> None:
        """Change the row, and the scene with it: later news in the same settling must see this."""
        known = scene.orders.get(order.id, order)
        values = {**columns, "version": known.version + 1}
        if "state" in values:
            values["state"] = State(values["state"])
        fresh = known.changed(**values)
        counted = self._counts.moved(change, known, fresh)
        if counted:
            fresh = fresh.changed(**counted)
        change.update(schema.orders, order.id, known.version, **columns, **counted)
        scene.orders[order.id] = fresh
        row = scene.siblings.setdefault(order.recipient_id, [])
        row[:] = [fresh if each.id == order.id else each for each in row]

    def _owe(
        self, change: Change, order: Order, before: State, state: State, outcome: Outcome, scene: _Scene
    ) -> None:
        self.write_facts(
            change,
            notices.after_move(
                order,
                before,
                state,
                outcome,
                mail=scene.mails[order.mail_id],
                recipient=scene.recipients[order.recipient_id],
                siblings=scene.siblings.get(order.recipient_id, ()),
                reports=self._reports,
            ),
        )

    def _spoken_for(
        self, change: Change, order: Order, event: Event, state: State, outcome: Outcome, scene: _Scene
    ) -> None:
        """Merged orders share the outcome; where nothing was ever sent one of each text stands up again."""
        revive = order.sent_at is None and not had(outcome) and leaves_others_open(event, outcome)
        heirs: dict[str, Order] = {}  # those of a digest had texts of their own
        now = self._store.clock.now()
        for each in scene.merged.get(order.id, ()):
            if each.state is not State.MERGED or each.finished_at is not None:
                continue
            if not revive:
                self._share(change, each, order.state, state, outcome, scene)
            elif each.says not in heirs:
                heirs[each.says] = each
                columns = {"state": State.WAITING.value, "merged_into": None, "due_at": now}
                if order.alarm == DIGEST:
                    columns["digests"] = each.digests + 1
                self._update(change, each, scene, columns)
                tell(change, self._store, each.id, Event.REVIVED.value)
                scene.revived.append((each, State.WAITING, outcome))
            else:
                self._update(change, each, scene, {"merged_into": heirs[each.says].id})

    def _share(
        self, change: Change, each: Order, before: State, state: State, outcome: Outcome, scene: _Scene
    ) -> None:
        """What became of the order that speaks for `each` is told of `each` too."""
        if state in (State.WAITING, State.HELD, State.SENDING):
            return
        scene.shared.add(each.recipient_id)
        if state in (State.SENT, State.DELIVERED):
            self._update(change, each, scene, {"warn_at": None})
        final = {"finished_at": self._store.clock.now(), "warn_at": None} if state in states.FINAL else {}
        self._update(change, each, scene, {**said(outcome), **final})
        self._owe(change, each, before, state, outcome, scene)

    def _speaks(self, change: Change, speaker: Order, order: Order, scene: _Scene) -> None:
        """`speaker` speaks for `order` now, and for those for whom that one spoke.

        The speaker's row changes too: it must not come to its end without seeing this one.
        """
        self._update(change, speaker, scene, {})
        for each in (scene.orders[order.id], *scene.merged.get(order.id, ())):
            if each.id != order.id:
                self._update(change, each, scene, {"merged_into": speaker.id})
            if speaker.outcome is not None:
                fresh = scene.orders.get(each.id, each)
                self._share(change, fresh, State.WAITING, speaker.state, speaker.outcome, scene)

    def _close_group(self, change: Change, member: Order, scene: _Scene) -> None:
        """A group's own order is final when its last member is."""
        parent = scene.orders.get(member.parent_id or 0)
        if parent is None or parent.state is not State.SENT:
            return
        row = [each for each in scene.siblings.get(member.recipient_id, ()) if each.parent_id == parent.id]
        if not row or any(each.state not in states.FINAL for each in row):
            return
        outcome = of_group({each.state for each in row})
        self._move(change, parent, news_of(parent.id, outcome), scene)
