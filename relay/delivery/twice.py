"""The same message of a phone, told by the provider in two ways: by a call and in a list. Pure.

The vendor does not say that a call bears the id under which an answer is listed, nor in which
time zone a moment is written. So a message that the one way told is looked for among those that
only the other one has told, by phone, text and number; each of those is found once, the oldest
first. "ok" said twice is two messages, told in whatever order and way.

What can go wrong. A call that is late by more than ten minutes and bears no time makes a second
mail. That is better than a reply that is taken for an older one and acknowledges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from relay.model import DAY, MINUTE
from relay.queue.followups import Incoming, Told
from relay.smsc.wire import same_phone

SLACK = 10 * MINUTE
"""How long after a call the list may lack its message; how late a call without a time may be."""
LATE = 3 * DAY
"""How late a call may be that bears its time."""
_CLOCKS = MINUTE  # the provider's and ours may differ by so much
_ONE_CALL = MINUTE
"""A phone that calls again within this time is not told of again."""


def since(now: int, fetched_at: int | None) -> int:
    """Messages that came after this moment may be told again: what was fetched before has been."""
    return now - LATE if fetched_at is None else max(now - LATE, min(now, fetched_at) - SLACK)


def fetched(rows: Sequence[Incoming], one: Incoming, after: int) -> Incoming | None:
    """The message that a call told after a moment, where `one`, out of the list, is the same."""
    alike = [row for row in rows if _alike(row, one) and row.told is Told.CALLED]
    return next((row for row in alike if row.received_at > after), None)


def called(rows: Sequence[Incoming], one: Incoming, at: int | None) -> Incoming | None:
    """The message out of the list, where `one`, told by a call, is the same; `at` is the call's own time."""
    for row in rows:
        if row.told is not Told.FETCHED or not _alike(row, one):
            continue
        if at is None and abs(one.received_at - row.received_at) < SLACK:
            return row
        if at is not None and at <= row.received_at + _CLOCKS:
            return row
    return None


def rings_on(rows: Sequence[Incoming], one: Incoming) -> bool:
    """Whether a phone's call is told of once more: as a call, and as the message that records it."""
    return one.kind == "call" and any(
        _alike(row, one) and abs(one.received_at - row.received_at) < _ONE_CALL for row in rows
    )


def _alike(row: Incoming, one: Incoming) -> bool:
    told = (row.account, row.kind, row.phone, _words(row.text))
    numbers = {same_phone(each) for each in (row.to_phone, one.to_phone) if each}
    return told == (one.account, one.kind, one.phone, _words(one.text)) and len(numbers) < 2


def _words(text: str) -> str:
    return " ".join(text.split())
