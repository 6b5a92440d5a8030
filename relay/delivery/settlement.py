"""One settling: what news of some orders changes, decided upon their rows and put into a `Change`.

An order moves by the table of states, its story grows a line, orders that it speaks for share its
outcome, a group is closed by its last member, and the notices that fall due join the change. Later
news of one settling sees what the earlier has done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from relay.config import Delivery, Reports
from relay.delivery import plan
from relay.delivery.counting import Counting
from relay.delivery.news import (
    Born,
    News,
    detail,
    had,
    leaves_others_open,
    news_of,
    of_group,
    said,
    unless_taken,
)
from relay.message import deadlines
from relay.model import Kind, Outcome
from relay.queue import schema, states
from relay.queue.engine import Change
from relay.queue.followups import NoticeState
from relay.queue.rows import DIGEST, Order
from relay.queue.states import Event, State
from relay.queue.store import Scene, Store, tell
from relay.report import notices
from relay.report.notices import Fact

_PRICE = ("cost", "parts")  # what the answer tells that comes after the news of an order's end


@dataclass(slots=True, kw_only=True)
class Terms:
    """What all settling goes by. `heard` says when an account's last callback came."""

    store: Store
    reports: Reports
    delivery: Delivery
    chance: Callable[[], float]
    counts: Counting
    held_until: Callable[[int], int]
    heard: Callable[[str], int | None] = lambda _account: None

    def first_poll(self, account: str) -> int:
        """When an order that the provider takes now is asked about first."""
        return plan.first_poll(self.store.clock.now(), self.delivery.poll, self.heard(account))

    def owe(self, change: Change, facts: Iterable[Fact]) -> None:
        """Add notices to a change; each falls due after `reports.gather`, and once DATA is answered."""
        now = self.store.clock.now()
        for fact in facts:
            outcome = fact.outcome
            change.insert(
                schema.notice,
                id=self.store.ids.new(now),
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
                due_at=max(now + self.reports.gather, self.held_until(fact.order.mail_id)),
            )


class Settlement:
    """What news makes of these rows: `change` to be written, then `moves` and `revived` to be told of."""

    def __init__(self, terms: Terms, rows: Scene, born: Sequence[Born] = ()) -> None:
        self._terms = terms
        self.change = Change()
        self.moves: list[tuple[Order, State, Outcome]] = []
        self.revived: list[tuple[Order, State, Outcome]] = []
        self._shared: set[int] = set()  # recipients of merged orders that were answered
        self._merged: dict[int, list[Order]] = {}  # by the order that speaks
        for order in rows.merged:
            self._merged.setdefault(order.merged_into or 0, []).append(order)
        self._siblings: dict[int, list[Order]] = {}  # by recipient
        for order in rows.siblings:
            self._siblings.setdefault(order.recipient_id, []).append(order)
        self.orders = {order.id: order for order in (*rows.siblings, *rows.orders)}
        self._mails, self._recipients = rows.mails, rows.recipients
        for order, mail, recipient in born:
            self.orders[order.id] = order
            self._mails[mail.id], self._recipients[recipient.id] = mail, recipient

    def decide(self, news: Sequence[News]) -> None:
        """Let the news happen, one after the other."""
        for each in news:
            order = self.orders.get(each.order)
            if order is None:
                continue
            each = unless_taken(each, order)  # noqa: PLW2901 - what is decided upon
            if each.event is None or not states.can(order.state, each.event):
                self._late(order, each)
                continue
            self.moves.append((order, self._move(order, each), self._ended(order, each.outcome)))
        self._guard()

    def _guard(self) -> None:
        """What is decided by looking at siblings must fail where a sibling moved meanwhile.

        Two members of a group or an alias may be settled at the same time, each seeing the
        other unfinished: then nobody would close the group or tell the good news.
        """
        shared = {order.recipient_id for order, _state, _outcome in self.moves} | self._shared
        for each in shared:
            if len(self._siblings.get(each, ())) > 1:
                self.change.update(schema.recipient, each, self._recipients[each].version)

    def _late(self, order: Order, news: News) -> None:
        """News that moves nothing: written down, and told where it corrects what was told."""
        outcome = news.outcome
        if order.state in states.FINAL or outcome.kind is not Kind.NOTHING:
            tell(self.change, self._terms.store, order.id, "heard", detail(outcome))
        if outcome.kind is Kind.DELIVERED and order.state in states.FINAL:
            self._correct(order, order.state, outcome)
        kept = _PRICE if order.state in states.FINAL else tuple(news.columns)
        if columns := {name: news.columns[name] for name in kept if name in news.columns}:
            self._update(order, columns)

    def _correct(self, order: Order, ended: State, outcome: Outcome) -> None:
        """It arrived after all: whoever was told otherwise hears so, those for whom it spoke too."""
        facts = notices.correction(
            order,
            ended,
            outcome,
            mail=self._mails[order.mail_id],
            recipient=self._recipients[order.recipient_id],
            reports=self._terms.reports,
        )
        self._terms.owe(self.change, facts)
        self._update(order, said(outcome))
        for row in self._merged.get(order.id, ()):
            each = self.orders.get(row.id, row)
            if each.state is State.MERGED and each.finished_at is not None:
                self._correct(each, ended, outcome)

    def _move(self, order: Order, news: News) -> State:
        assert news.event is not None  # noqa: S101 - decide saw to it
        now = self._terms.store.clock.now()
        state = states.after(order.state, news.event)
        outcome = news.outcome
        own = self._ended(order, outcome)
        columns: dict[str, Any] = {"state": state.value, **said(own)}
        columns |= self._timing(order, state, outcome, now)
        if outcome.cost:
            columns["cost"] = outcome.cost
        if outcome.parts:
            columns["parts"] = outcome.parts
        columns |= news.columns
        self._update(order, columns)
        tell(self.change, self._terms.store, order.id, news.event.value, detail(own))
        self._owe(order, order.state, state, own)
        if news.event is Event.MERGED:
            self._speaks(self.orders[columns["merged_into"]], order)
            return state
        self._spoken_for(order, news.event, state, outcome)
        if order.parent_id is not None and state in states.FINAL:
            self._close_group(order)
        return state

    def _ended(self, order: Order, outcome: Outcome) -> Outcome:
        """The outcome as the order's own mail wants it told."""
        return deadlines.ended(outcome, self._mails[order.mail_id].asked)

    def _timing(self, order: Order, state: State, outcome: Outcome, now: int) -> dict[str, Any]:
        match state:
            case State.SENT:
                first = max(now, order.start_at) + self._terms.first_poll(order.account)
                again = order.poll_at if order.state is State.SENT else first
                return {
                    "sent_at": order.sent_at or now,
                    "poll_at": again,
                    "warn_at": None,
                    "lease_until": None,
                }
            case State.WAITING:
                due = plan.retry_at(now, order.attempts, self._terms.delivery.retry, self._terms.chance())
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

    def _update(self, order: Order, columns: dict[str, Any]) -> None:
        """Change the row, and the scene with it: later news in the same settling must see this."""
        known = self.orders.get(order.id, order)
        values = {**columns, "version": known.version + 1}
        if "state" in values:
            values["state"] = State(values["state"])
        fresh = known.changed(**values)
        counted = self._terms.counts.moved(self.change, known, fresh)
        if counted:
            fresh = fresh.changed(**counted)
        self.change.update(schema.orders, order.id, known.version, **columns, **counted)
        self.orders[order.id] = fresh
        row = self._siblings.setdefault(order.recipient_id, [])
        row[:] = [fresh if each.id == order.id else each for each in row]

    def _owe(self, order: Order, before: State, state: State, outcome: Outcome) -> None:
        self._terms.owe(
            self.change,
            notices.after_move(
                order,
                before,
                state,
                outcome,
                mail=self._mails[order.mail_id],
                recipient=self._recipients[order.recipient_id],
                siblings=self._siblings.get(order.recipient_id, ()),
                reports=self._terms.reports,
            ),
        )

    def _spoken_for(self, order: Order, event: Event, state: State, outcome: Outcome) -> None:
        """Merged orders share the outcome; where nothing was ever sent one of each text stands up again."""
        revive = order.sent_at is None and not had(outcome) and leaves_others_open(event, outcome)
        heirs: dict[str, Order] = {}  # those of a digest had texts of their own
        now = self._terms.store.clock.now()
        for row in self._merged.get(order.id, ()):
            each = self.orders.get(row.id, row)
            if each.state is not State.MERGED or each.finished_at is not None:
                continue
            if not revive:
                self._share(each, order.state, state, outcome)
            elif each.says not in heirs:
                heirs[each.says] = each
                columns = {"state": State.WAITING.value, "merged_into": None, "due_at": now}
                if order.alarm == DIGEST:
                    columns["digests"] = each.digests + 1
                self._update(each, columns)
                tell(self.change, self._terms.store, each.id, Event.REVIVED.value)
                self.revived.append((each, State.WAITING, outcome))
            else:
                self._update(each, {"merged_into": heirs[each.says].id})

    def _share(self, each: Order, before: State, state: State, outcome: Outcome) -> None:
        """What became of the order that speaks for `each` is told of `each` too."""
        if state in (State.WAITING, State.HELD, State.SENDING):
            return
        outcome = self._ended(each, outcome)
        self._shared.add(each.recipient_id)
        if state in (State.SENT, State.DELIVERED):
            self._update(each, {"warn_at": None})
        final = (
            {"finished_at": self._terms.store.clock.now(), "warn_at": None} if state in states.FINAL else {}
        )
        self._update(each, {**said(outcome), **final})
        self._owe(each, before, state, outcome)

    def _speaks(self, speaker: Order, order: Order) -> None:
        """`speaker` speaks for `order` now, and for those for whom that one spoke.

        The speaker's row changes too: it must not come to its end without seeing this one.
        """
        self._update(speaker, {})
        all_ = (self.orders[order.id], *self._merged.pop(order.id, ()))
        self._merged.setdefault(speaker.id, []).extend(all_)  # it may merge itself, in this very settling
        for each in all_:
            if each.id != order.id:
                self._update(each, {"merged_into": speaker.id})
            if speaker.outcome is not None:
                fresh = self.orders.get(each.id, each)
                self._share(fresh, State.WAITING, speaker.state, speaker.outcome)

    def _close_group(self, member: Order) -> None:
        """A group's own order is final when its last member is."""
        parent = self.orders.get(member.parent_id or 0)
        if parent is None or parent.state is not State.SENT:
            return
        row = [each for each in self._siblings.get(member.recipient_id, ()) if each.parent_id == parent.id]
        if not row or any(each.state not in states.FINAL for each in row):
            return
        outcome = of_group({each.state for each in row})
        self._move(parent, news_of(parent.id, outcome))
