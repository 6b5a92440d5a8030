"""What a phone remembers of what it heard: the JSON of its row, as values. Pure.

An entry is kept for as long as some rule asks for it: texts for the repeat window, messages
for the time in which a burst is counted, recoveries for two hours, so that no problem that
waited comes after its own recovery. What the provider keeps until its time is heard then: until
that moment it counts for nothing but itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

from relay.message import channels
from relay.model import HOUR, Alarm
from relay.queue.rows import DIGEST, Order, Phone

RECALL = 2 * HOUR
"""How long a phone remembers recoveries."""
RECOVERIES = 64
"""So many of them at most, the youngest."""

MADE = "made"  # a digest that was put together and has not gone out
ASIDE = "aside"  # nothing that fills a burst: a question about the number, octets, a code
PROBLEM, RECOVERY = Alarm.PROBLEM.value, Alarm.RECOVERY.value  # looked up once: they are asked for often


@dataclass(frozen=True, slots=True)
class Heard:
    """What a phone heard, when, and by which order."""

    says: str
    at: int
    order: int
    kind: str = ""  # problem, recovery, digest, made, aside, or "" for any other message
    topic: str = ""
    ends: int = 0  # of a recovery: problems of the topic up to this order are over
    ahead: int = 0  # 1: the provider keeps it until `at`

    @property
    def fills(self) -> bool:
        """Whether it is one of the messages that make a burst."""
        return self.kind in ("", PROBLEM)


def of(phone: Phone) -> list[Heard]:
    """What the phone heard or will hear, oldest first."""
    return list(_read(phone.texts))


def past(entries: Iterable[Heard], now: int) -> list[Heard]:
    """What was heard by now."""
    return [each for each in entries if each.at <= now]


@lru_cache(maxsize=4096)
def _read(texts: str) -> tuple[Heard, ...]:
    """A phone is judged, and written, several times in a row."""
    return tuple(sorted((Heard(*entry) for entry in json.loads(texts)), key=attrgetter("at")))


def ahead(entries: Iterable[Heard], now: int) -> list[Heard]:
    """What the provider keeps until its time."""
    return [each for each in entries if each.ahead and each.at > now]


def entry(order: Order, now: int, *, as_digest: bool = False) -> Heard:
    """What the phone will remember of an order that goes out now."""
    if as_digest or order.alarm == DIGEST:
        return Heard(order.says, now, order.id, DIGEST, order.topic)
    if not fills_bursts(order):
        return Heard(order.says, now, order.id, ASIDE)
    at, kept = max(now, order.start_at), int(order.start_at > now)
    if order.alarm not in (PROBLEM, RECOVERY):
        return Heard(order.says, at, order.id, ahead=kept)
    ends = order.id if order.alarm == RECOVERY else 0
    return Heard(order.says, at, order.id, order.alarm, order.topic, ends, kept)


def fills_bursts(order: Order) -> bool:
    """Whether a burst is counted for the order's channel: words, read or read aloud."""
    return channels.digests(order.channel) or order.channel == "call"


def written(phone: Phone, entries: Iterable[Heard], *, keep: int, now: int, **columns: Any) -> Phone:
    """The phone with these entries, but for those that nobody asks for any more, and other columns.

    What a clock that jumped back left in the future is past.
    """
    kept = [
        each
        for each in entries
        if (each.ahead and each.at > now) or 0 <= now - each.at < _kept_for(each, keep)
    ]
    recoveries = [each for each in kept if each.kind == RECOVERY]
    if len(recoveries) > RECOVERIES:
        old = set(recoveries[:-RECOVERIES])
        kept = [each for each in kept if each not in old]
    return replace(phone, texts=json.dumps([_row(each) for each in kept]), **columns)


def _kept_for(each: Heard, keep: int) -> int:
    return max(keep, RECALL) if each.kind == RECOVERY and each.topic else keep


def _row(each: Heard) -> list[str | int]:
    plain: list[str | int] = [each.says, each.at, each.order]
    if each.ahead:
        return [*plain, each.kind, each.topic, each.ends, each.ahead]
    return [*plain, each.kind, each.topic, each.ends] if each.kind else plain


def ending(entries: Sequence[Heard], ends: Mapping[str, int]) -> list[Heard]:
    """The entries once a repeat of a recovery was merged: by topic, what is over by now."""
    return [
        replace(each, ends=max(each.ends, ends.get(each.topic, 0)))
        if each.kind == RECOVERY and each.topic
        else each
        for each in entries
    ]
