"""Caps: how many messages, parts and how much money a sender, a phone or an account may take. Pure.

A window slides: a cap of 500 a day holds for any 24 hours, not from midnight to midnight. It is
counted in steps (5 s, 1 min, 1 h, 1 day), and a step counts until all of it is past, so that what
was counted may stay for up to a step longer, and never goes sooner. A month is 30 days.

Messages count when they are taken: what waits will be sent. What then turns out never to be sent
(merged, held, dropped, refused, expired) is taken off again, at the time at which it was counted.
Parts and money count as the provider answers them, nothing is guessed before; so that a cap on
these is looked at once more before a message goes out, and can be passed by what is under way
at once. A group of the provider is one message; of its members parts and money count.

Mail that is forwarded costs nothing and does not count. What the relay writes to its operator's
phone counts, but no cap stops it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from relay.config import Cap
from relay.message.channels import FORWARD
from relay.message.drafts import Draft
from relay.model import DAY, HOUR, MINUTE, SECOND
from relay.queue.rows import Order
from relay.queue.states import State

WATCH = "watch"
"""The source of what the relay writes to its operator's phone."""
PASSED = "-"
"""In the place of a cap's name: a person let the order pass all caps."""
EACH = "*"
"""A cap on this phone is one on every phone, each for itself."""
_MILLION = 1_000_000
_MOST = 10**15  # millionths; what is more is no cost but a fault of who said it

_WINDOWS: Mapping[str, tuple[int, int]] = {
    "minute": (MINUTE, 5 * SECOND),
    "hour": (HOUR, MINUTE),
    "day": (DAY, HOUR),
    "month": (30 * DAY, DAY),
}
"""For each `per` the length of its window and of a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A message that is to be sent, as far as caps go."""

    source: str
    target: str = ""
    account: str = ""
    channel: str = ""
    recipient: int = 0  # whose message it is, of a mail's recipients


@dataclass(slots=True)
class Use:
    """What counts towards a cap; `cost` in millionths."""

    messages: int = 0
    parts: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Over:
    """A cap that is reached, under the name by which it is counted, and what of it."""

    cap: Cap = field(repr=False)
    name: str
    what: str

    @property
    def why(self) -> str:
        """The sentence for senders and peers: it names no phone and no account."""
        whose = f"the sender {self.cap.sender}" if self.cap.sender else "this phone"
        whose = "the account" if self.cap.account else whose
        most = getattr(self.cap, self.what)
        return f"the cap of {most} ({self.what} in one {self.cap.per}) for {whose} is reached"


def want(order: Order) -> Want:
    """An order as caps see it."""
    return Want(source=order.source, target=order.target, account=order.account, channel=order.channel)


def wants(source: str, drafts: Sequence[Draft]) -> list[Want]:
    """Orders to be as caps see them."""
    return [
        Want(
            source=source, target=each.target, account=each.account,
            channel=each.channel, recipient=each.recipient,
        )
        for each in drafts
    ]  # fmt: skip


def name(per: str, kind: str, who: str) -> str:
    """What a cap is counted under."""
    return f"{per} {kind} {who}"


def touching(caps: Sequence[Cap], wanted: Want) -> list[tuple[Cap, str]]:
    """The caps that a message counts towards, each with the name that it is counted under."""
    if wanted.channel == FORWARD:
        return []
    found = []
    for cap in caps:
        if cap.sender and cap.sender == wanted.source:
            found.append((cap, name(cap.per, "sender", cap.sender)))
        elif cap.account and cap.account == wanted.account:
            found.append((cap, name(cap.per, "account", cap.account)))
        elif cap.phone and wanted.target.startswith("+") and cap.phone in (EACH, wanted.target):
            found.append((cap, name(cap.per, "phone", wanted.target)))
    return found


def step(counted: str, at: int) -> int:
    """The step of its window in which what a cap counts at a moment is summed up."""
    return at - at % _of(counted)[1]


def since(counted: str, now: int) -> int:
    """Steps after this moment still count."""
    length, step_ = _of(counted)
    return now - length - step_


def _of(counted: str) -> tuple[int, int]:
    return _WINDOWS[counted.partition(" ")[0]]


def judge(caps: Sequence[Cap], wants: Sequence[Want], used: Mapping[str, Use]) -> dict[int, Over]:
    """Which of these messages, by their places, are over a cap, one after the other.

    What is over takes nothing from those after it. Where several caps are reached, one that
    refuses speaks before one that holds.
    """
    more: dict[str, int] = {}
    over: dict[int, Over] = {}
    for place, each in enumerate(wants):
        if each.source == WATCH:
            continue
        touched = touching(caps, each)
        reached = [
            Over(cap, counted, what)
            for cap, counted in touched
            if (what := _reached(cap, used.get(counted, Use()), more.get(counted, 0)))
        ]
        if reached:
            over[place] = next((each for each in reached if each.cap.over == "refuse"), reached[0])
            continue
        for counted in {counted for _cap, counted in touched}:
            more[counted] = more.get(counted, 0) + 1
    return over


def _reached(cap: Cap, use: Use, more: int) -> str:
    """What of a cap has no room for another message, "" where it has."""
    if cap.messages is not None and use.messages + more >= cap.messages:
        return "messages"
    return _spent(cap, use)


def _spent(cap: Cap, use: Use) -> str:
    if cap.parts is not None and use.parts >= cap.parts:
        return "parts"
    return "cost" if cap.cost is not None and use.cost >= cap.cost * _MILLION else ""


def spent(caps: Sequence[Cap], wants: Sequence[Want], used: Mapping[str, Use]) -> dict[int, Over]:
    """Which messages, by their places, may not go out now although they were taken.

    Their number was judged when they were taken; parts and money were known of none then.
    """
    return {
        place: Over(cap, counted, what)
        for place, each in enumerate(wants)
        if each.source != WATCH
        for cap, counted in reversed(touching(caps, each))
        if (what := _spent(cap, used.get(counted, Use())))
    }


def counts(order: Order) -> bool:
    """Whether an order is a message that was, is or may be sent: it counts towards caps."""
    if order.parent_id is not None:
        return False
    if order.state is State.FAILED:
        return order.sent_at is not None
    return order.state not in (State.HELD, State.MERGED, State.DROPPED)


def millionths(cost: str) -> int:
    """A sum of money, as the provider writes it; 0 for what is none."""
    try:
        amount = int(Decimal(cost.replace(",", ".")) * _MILLION)
    except (InvalidOperation, ValueError, OverflowError):
        return 0
    return amount if abs(amount) <= _MOST else 0
