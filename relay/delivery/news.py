"""News of an order: what happened to it, as a value, and what follows from it alone. Pure.

However news arrives (an answer, a question's answer, a person) it is made into this and goes
through `settle`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from relay import model
from relay.delivery import plan
from relay.model import Kind, Outcome
from relay.queue.rows import Mail, Order, Recipient
from relay.queue.states import Event, State

EVENT_OF: Mapping[Kind, Event | None] = {
    Kind.ACCEPTED: Event.ACCEPTED,
    Kind.LATER: Event.LATER,
    Kind.REFUSED: Event.REFUSED,
    Kind.UNSURE: Event.LOST,
    Kind.ABSENT: None,
    Kind.DELIVERED: Event.DELIVERED,
    Kind.EXPIRED: Event.EXPIRED,
    Kind.UNKNOWN: Event.GAVE_UP,
    Kind.NOTHING: None,
}
"""What an outcome of a call or a question makes happen to the order it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something that happened to an order; `columns` are further columns to set as it moves."""

    order: int
    event: Event | None
    outcome: Outcome
    columns: Mapping[str, Any] = field(default_factory=dict)


Born = tuple[Order, Mail, Recipient]
"""An order that comes to be with the very news, its mail and its recipient."""


def news_of(order: int, outcome: Outcome, **columns: Any) -> News:
    """News whose event follows from the outcome."""
    return News(order=order, event=EVENT_OF[outcome.kind], outcome=outcome, columns=columns)


def unless_taken(news: News, order: Order) -> News:
    """The news, where the order is to be tried again; one whose alarm was taken meanwhile is over."""
    taken = order.answered_at is not None and order.expire_at <= order.answered_at
    if not taken or news.event not in (Event.LATER, Event.ABSENT, Event.EXPIRED):
        return news
    return News(order=news.order, event=Event.EXPIRED, outcome=TAKEN)


def anew(order: int, outcome: Outcome, **columns: Any) -> list[News]:
    """A call broke off, and nobody can be asked about it: it is made once more (RFC 1047)."""
    return [
        News(order=order, event=Event.LOST, outcome=outcome),
        News(order=order, event=Event.ABSENT, outcome=outcome, columns=columns),
    ]


def leaves_others_open(event: Event, outcome: Outcome) -> bool:
    """Whether an end without the provider leaves those open for whom the order spoke.

    That a number is none holds for all of them; that a text, a name or a moment was refused
    may be the fault of one route.
    """
    if event is Event.REFUSED:
        return outcome.code not in ("7", "8")
    return event in (Event.EXPIRED, Event.DROPPED)


def of_group(ends: Collection[State]) -> Outcome:
    """What became of a group, of the ends that its members came to."""
    if set(ends) == {State.DELIVERED}:
        return person(Kind.DELIVERED, "2.1.5", "delivered to all members")
    if State.FAILED in ends or State.DROPPED in ends:
        return person(Kind.REFUSED, "5.0.0", "some members were not reached")
    return person(Kind.UNKNOWN, "4.0.0", "of some members nobody can say what became of them")


def had(outcome: Outcome) -> bool:
    """Whether an outcome says that the provider had the message: a status of it, even a bad one."""
    return outcome.kind in (Kind.ACCEPTED, Kind.DELIVERED) or outcome.code.startswith("status ")


def said(outcome: Outcome) -> dict[str, Any]:
    """The columns of an order that hold its last outcome."""
    return {
        "kind": outcome.kind.value,
        "status": outcome.status,
        "reason": outcome.reason,
        "code": outcome.code,
        "words": outcome.text,
    }


def told_already(order: Order) -> Outcome | None:
    """The refusal of a `sent` order that its row tells of: nobody settled it before the relay stopped."""
    if order.kind != Kind.REFUSED.value:
        return None
    return Outcome(
        kind=Kind.REFUSED, status=order.status, reason=order.reason, code=order.code, text=order.words
    )


def detail(outcome: Outcome) -> str:
    """An outcome as a line of a story: no text of a message in it."""
    return f"{outcome.status} {outcome.reason} {model.quoted(outcome.code, outcome.text)}".rstrip()


def person(kind: Kind, status: str, reason: str) -> Outcome:
    """An outcome that a person or a rule of ours decided."""
    return Outcome(kind=kind, status=status, reason=reason)


def merged(order: Order, speaker: int, reason: str) -> News:
    """Another order speaks for this one."""
    outcome = person(Kind.NOTHING, "2.0.0", reason)
    return News(order=order.id, event=Event.MERGED, outcome=outcome, columns={"merged_into": speaker})


TAKEN = Outcome(kind=Kind.NOTHING, status="2.0.0", reason="somebody has taken the alarm")
"""What becomes of a message that need not go out any more."""

MEMBER = Outcome(kind=Kind.ACCEPTED, status="2.0.0", reason="accepted as a member of the group")
"""What is known of a group's member of whom nothing but its number was told."""


def member_row(
    key: int, parent: Order, phone: str, now: int, poll: Sequence[int], told: Outcome
) -> dict[str, Any]:
    """The order of a group's member; what was `told` of it stands in its row until it is settled."""
    values = asdict(parent)
    values |= {
        "id": key,
        "version": 1,
        "parent_id": parent.id,
        "target": phone if "@" in phone or phone.startswith("+") else f"+{phone}",
        "hidden": 1,
        "state": State.SENT.value,
        "sent_at": now,
        "poll_at": now + (plan.step(poll, 0) if told.kind is Kind.ACCEPTED else 0),
        "polls": 0,
        "warn_at": None,
        "lease_until": None,
        "finished_at": None,
        "counted_at": None,
        **said(told),
    }
    return values
