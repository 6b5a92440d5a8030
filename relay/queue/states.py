"""The states of an order, and the only moves between them.

Rule 1: whatever decides where an order may go stands in this file, as much of it as can in
the table. Rule 2: nothing here knows of the provider, the database or the clock.

Two moves that one might expect are missing on purpose. A claimed order whose lease lapsed
never goes back to `waiting`: the call may have been heard, so it is `unsure` and is asked
about first. And nothing leaves a final state: late news is written into the order's story,
a retry by a person makes a new order.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where an order stands; the text is what the database and the outside see."""

    WAITING = "waiting"  # due at a time
    HELD = "held"  # a person or a rule stopped it
    SENDING = "sending"  # claimed under a lease; the provider may be hearing of it this moment
    UNSURE = "unsure"  # the call broke off: ask by our own id before sending again
    SENT = "sent"  # the provider has it; its status is awaited
    DELIVERED = "delivered"  # on the handset
    FAILED = "failed"  # never arrived and never will
    UNKNOWN = "unknown"  # nobody can say; reported as that
    MERGED = "merged"  # another order speaks for it
    DROPPED = "dropped"  # a person gave it up


class Event(StrEnum):
    """What can happen to an order."""

    CLAIMED = "claimed"  # it joined a request, the lease runs
    ACCEPTED = "accepted"  # the provider has it
    LATER = "later"  # the provider has not got it, try again when due
    REFUSED = "refused"  # the provider will not take or deliver it
    LOST = "lost"  # the call broke off, or its lease lapsed
    REPEATED = "repeated"  # not found by its id: the same bytes go out once more
    ABSENT = "absent"  # not found by its id: it goes out anew, under a new id
    DELIVERED = "delivered"  # it reached the handset
    EXPIRED = "expired"  # its time passed
    GAVE_UP = "gave up"  # nobody will be able to say
    MERGED = "merged"  # another order says the same to the same phone
    REVIVED = "revived"  # the order that spoke for it was never sent
    HELD = "held"
    RELEASED = "released"
    DROPPED = "dropped"


_S, _E = State, Event

MOVES: Mapping[State, Mapping[Event, State]] = {
    _S.WAITING: {
        _E.CLAIMED: _S.SENDING,
        _E.MERGED: _S.MERGED,
        _E.HELD: _S.HELD,
        _E.EXPIRED: _S.FAILED,
        _E.DROPPED: _S.DROPPED,
    },
    _S.HELD: {_E.RELEASED: _S.WAITING, _E.EXPIRED: _S.FAILED, _E.DROPPED: _S.DROPPED},
    _S.SENDING: {
        _E.ACCEPTED: _S.SENT,
        _E.LATER: _S.WAITING,
        _E.REFUSED: _S.FAILED,
        _E.LOST: _S.UNSURE,
        _E.DELIVERED: _S.DELIVERED,
        _E.EXPIRED: _S.FAILED,
        _E.GAVE_UP: _S.UNKNOWN,
    },
    _S.UNSURE: {
        _E.LOST: _S.UNSURE,
        _E.REPEATED: _S.SENDING,
        _E.ABSENT: _S.WAITING,
        _E.ACCEPTED: _S.SENT,
        _E.REFUSED: _S.FAILED,
        _E.DELIVERED: _S.DELIVERED,
        _E.EXPIRED: _S.FAILED,
        _E.GAVE_UP: _S.UNKNOWN,
    },
    _S.SENT: {
        _E.ACCEPTED: _S.SENT,
        _E.REFUSED: _S.FAILED,
        _E.DELIVERED: _S.DELIVERED,
        _E.EXPIRED: _S.FAILED,
        _E.GAVE_UP: _S.UNKNOWN,
    },
    _S.MERGED: {_E.REVIVED: _S.WAITING, _E.EXPIRED: _S.FAILED, _E.DROPPED: _S.DROPPED},
    _S.DELIVERED: {},
    _S.FAILED: {},
    _S.UNKNOWN: {},
    _S.DROPPED: {},
}

FINAL = frozenset(state for state, moves in MOVES.items() if not moves)
AT_PROVIDER = frozenset({State.SENT, State.DELIVERED})
"""The provider has the message, so a delay warning is no longer owed."""


class IllegalMove(Exception):  # noqa: N818
    """An event that cannot happen to an order in its state: our fault, never the peer's."""


def after(state: State, event: Event) -> State:
    """The state an order is in once `event` has happened to it."""
    try:
        return MOVES[state][event]
    except KeyError:
        raise IllegalMove(f"{event} cannot happen to an order that is {state}") from None


def can(state: State, event: Event) -> bool:
    """Whether `event` may happen to an order in this state."""
    return event in MOVES[state]


def diagram() -> str:
    """The table as a Mermaid state diagram; docs/states.md holds exactly this."""
    lines = ["stateDiagram-v2", "    [*] --> waiting"]
    lines += [
        f"    {state} --> {to}: {event}" for state, moves in MOVES.items() for event, to in moves.items()
    ]
    lines += [f"    {state} --> [*]" for state in MOVES if state in FINAL]
    return "\n".join(lines)
