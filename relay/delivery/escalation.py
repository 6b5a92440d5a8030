"""Who takes an alarm, and what that ends: decisions, pure.

A reply whose whole text is one of `inbox.acknowledge`, or a call, acknowledges; what stands around the
word may be punctuation, spaces and emoji. "ok?" asks, and "ok 👎" is no yes. It
means what its phone had been told when it was said: the last message, whatever was sent to it
within the hour before, and all that still escalates; nothing that never arrived. Of a digest,
and of a message that spoke for others, it means every alarm in it. Recoveries, queries and what
the relay writes by itself are no alarms.

An alarm is a mail with all its orders: once somebody has taken it, it is taken for everybody. What was
sent to more than ten phones and escalates nowhere is a mailing, and a reply to it only a reply.

A step of escalation runs at its time, unless the message was delivered (to that phone; for another
recipient, to any), or somebody has taken the alarm, or the problem is over. Where the
message and the steps before have failed, it runs at once. Steps keep their distance: after one
that ran late the next is as late.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from relay.delivery.caps import PASSED
from relay.delivery.news import TAKEN
from relay.message import channels
from relay.message.text import one_line
from relay.message.wording import uncommented
from relay.model import HOUR, MINUTE, SECOND, Alarm, Kind
from relay.queue.followups import Step, StepState
from relay.queue.rows import Order
from relay.queue.states import State

TOOK = "acknowledgement"
"""The source of messages by which the relay tells who took an alarm."""
LATELY = HOUR
CLOCKS = MINUTE
"""The provider's clock and ours may differ by so much."""
MAILING = 10
_SHOWN = 60  # characters of an alarm by which it is named
_LEFT_OUT = ("P", "Z", "C", "M", "Sk")  # of a reply: punctuation, spaces, accents, the colour of a thumb
_UNDER_WAY = (State.SENDING, State.UNSURE)
_ASKS = "?؟¿՞፧⸮"
_NOTHING = "<=>|~"  # like punctuation, around a word: ok =)
_NO = frozenset("👎❌❎✖✗✘🚫⛔🛑🙅🤷🤔❓❔⍰")  # what stands beside a word and takes it back
_ALIKE = str.maketrans("асекмнортух", "acekmhoptyx")  # "ок" is typed in either alphabet
_TOLD = {"en": "{who} has taken it: {what}", "ru": "{who} занимается: {what}"}


# -- what acknowledges ---------------------------------------------------------------------


def bare(text: str) -> str:
    """The words of a reply, without case, punctuation and spaces; letters that look alike are one.

    A question mark stays: who asks takes nothing.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_ALIKE)
    return "".join(
        each for each in plain if each in _ASKS or not unicodedata.category(each).startswith(_LEFT_OUT)
    )


def acknowledges(text: str, words: Sequence[str]) -> bool:
    """Whether a reply is one of the words that take an alarm, and nothing else."""
    said = bare(text)
    return any(_decorates(said.partition(word)) for word in map(bare, words) if word)


def _decorates(pieces: tuple[str, str, str]) -> bool:
    """Whether there is a word with nothing before and after it but emoji."""
    before, word, after = pieces
    return bool(word) and all(_decoration(each) for each in before + after)


def _decoration(sign: str) -> bool:
    return sign in _NOTHING or (unicodedata.category(sign) == "So" and sign not in _NO)


# -- which alarms it means ------------------------------------------------------------------


def to_people(order: Order) -> bool:
    """Whether an order told somebody something that he may answer."""
    return order.source != TOOK and not channels.asks(order.channel)


def meant(
    sent: Sequence[Order],
    speaks: Mapping[int, Sequence[Order]],
    escalating: Collection[int],
    said_at: int,
) -> list[Order]:
    """The alarms that an acknowledgement means, of what its phone was told, the youngest first.

    `speaks` has the orders for which each spoke, `escalating` the mails that have steps left.
    """
    by = said_at + CLOCKS
    told = [order for order in sent if to_people(order) and _read(order) and order.told_at <= by]
    found: list[Order] = []
    for order in told:
        if order.alarm == Alarm.RECOVERY:
            continue  # whatever it spoke for is over
        alarms = [each for each in (order, *speaks.get(order.id, ())) if _open(each)]
        lately = order is told[0] or said_at - order.told_at <= LATELY
        found += [each for each in alarms if lately or each.mail_id in escalating]
    return found


def _read(order: Order) -> bool:
    """Whether somebody may have it before his eyes."""
    return order.state not in (State.FAILED, State.DROPPED)


def _open(order: Order) -> bool:
    return order.answered_at is None and order.alarm != Alarm.RECOVERY


def mailings(family: Sequence[Order], escalating: Collection[int]) -> set[int]:
    """Which of the mails of these orders went to too many to be an alarm; none that has steps."""
    phones: dict[int, set[str]] = {}
    for order in _each(family):
        phones.setdefault(order.mail_id, set()).add(order.target)
    return {mail for mail, found in phones.items() if len(found) > MAILING and mail not in escalating}


def told(family: Sequence[Order], phone: str) -> list[Order]:
    """The orders by which others know of the alarm, one for each phone, its youngest."""
    found: dict[str, Order] = {}
    for order in _each(family):
        if to_people(order) and _knows(order) and order.target != phone:
            found[order.target] = order
    return list(found.values())


def _each(family: Sequence[Order]) -> list[Order]:
    """Of a group its members, where they are known."""
    groups = {order.parent_id for order in family}
    return [order for order in family if order.id not in groups]


def _knows(order: Order) -> bool:
    if not channels.CHANNELS[order.channel].phone:
        return False
    if order.state is State.MERGED:
        return order.kind in (Kind.ACCEPTED, Kind.DELIVERED)
    return order.state in _UNDER_WAY or (order.sent_at is not None and _read(order))


# -- how it is said ---------------------------------------------------------------------------


def telling(who: str, text: str, alarms: int, language: str) -> str:
    """What a phone is told of who took so many of its alarms, of which this is the text of one."""
    what = one_line(uncommented(text), _SHOWN)
    what += f" (+{alarms - 1})" if alarms > 1 else ""
    return _TOLD.get(language, _TOLD["en"]).format(who=who, what=what)


# -- steps --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What is to become of a step: it runs, is over for a reason, or waits until a moment."""

    phones: tuple[str, ...] = ()  # who is called again, where it changes the channel
    run: bool = False
    over: str = ""
    until: int | None = None


def known_by(step: Step, family: Sequence[Order], steps: Sequence[Step]) -> list[Order]:
    """The orders that told people what a step is about: its recipient's, and those of earlier steps."""
    made = {each.made_id for each in steps if each.recipient_id == step.recipient_id and each.n < step.n}
    ids = {step.recipient_id, *made}
    return [order for order in _each(family) if order.recipient_id in ids and to_people(order)]


def judge(step: Step, family: Sequence[Order], steps: Sequence[Step], *, recovered: bool, now: int) -> Judged:
    """What becomes of a step now, of the orders and steps of its mail.

    It waits for its time after the message's own, and for the steps before it; once nothing of it can
    arrive any more, there is nothing to wait for. What a person stopped waits for him, phone by
    phone; what he gave up is over.
    """
    orders = [order for order in known_by(step, family, steps) if order.state is not State.DROPPED]
    first = [order for order in orders if order.recipient_id == step.recipient_id]
    if any(order.answered_at is not None for order in family):
        return Judged(over=TAKEN.reason)
    if not first:
        return Judged(over="the message was given up by the operator")
    if recovered:
        return Judged(over="the problem is over")
    got = {order.target for order in orders if _arrived(order)}
    phones = tuple(dict.fromkeys(order.target for order in first))
    if step.unless == "delivered":
        phones = tuple(each for each in phones if each not in got)
        if not phones or (step.goal and got):
            return Judged(over="the message was delivered")
    free = {order.target for order in first if not _stopped(order)}
    phones = tuple(each for each in phones if each in free)
    if not phones:
        return Judged(until=now + MINUTE)
    if before := _before(step, steps):
        return Judged(until=max(now + SECOND, before))
    if not all(_lost(order) for order in orders):
        due_at = max(step.due_at or 0, min(order.start_at for order in first) + step.after)
        if now < due_at:
            return Judged(until=due_at)
    return Judged(run=True, phones=() if step.goal else phones)


def _stopped(order: Order) -> bool:
    """Whether a person holds it, not a cap."""
    return order.state is State.HELD and order.cap in ("", PASSED)


def _before(step: Step, steps: Sequence[Step]) -> int:
    """When a step may run at the soonest since others of its recipient wait before it; 0 where none does."""
    row = [each for each in steps if each.recipient_id == step.recipient_id and each.n < step.n]
    return max((each.due_at + step.after - each.after for each in row if each.due_at is not None), default=0)


def carried(
    step: Step,
    known: Sequence[Order],
    beside: Mapping[int, Sequence[Order]],
    steps: Sequence[Step],
    now: int,
) -> Judged | None:
    """What becomes of a step where the same of another message stands for it; None where none does.

    One call for a digest, not forty: it is over once the other has run, and lets that one go first
    which is due as well. `beside` has each order that speaks for another, and all for which it
    does; `steps` are theirs.
    """
    lost = [order for order in known if order.recipient_id == step.recipient_id and not _arrived(order)]
    alike = [other for other in steps if other.id != step.id and _same(other, step)]
    ran = {other.recipient_id for other in alike if other.state is StepState.DONE}
    first = {
        other.recipient_id
        for other in alike
        if other.due_at is not None and other.due_at <= now and other.id < step.id
    }

    def all_in(recipients: Collection[int]) -> bool:
        return bool(lost) and all(
            any(
                each.id != order.id and each.target == order.target and each.recipient_id in recipients
                for each in beside.get(order.merged_into or 0, ())
            )
            for order in lost
        )

    if all_in(ran):
        return Judged(over="another message that went out with it is escalated")
    return Judged(until=now + SECOND) if all_in(ran | first) else None


def _same(other: Step, step: Step) -> bool:
    return (other.channel, other.goal, other.unless) == (step.channel, step.goal, step.unless)


def behind(step: Step, steps: Sequence[Step], now: int) -> list[tuple[Step, int]]:
    """The later steps of the same recipient that must wait since this one was late, and until when."""
    later = [each for each in steps if each.recipient_id == step.recipient_id and each.n > step.n]
    moments = [(each, now + each.after - step.after) for each in later if each.due_at is not None]
    return [(each, at) for each, at in moments if at > (each.due_at or 0)]


def _arrived(order: Order) -> bool:
    return order.state is State.DELIVERED or (order.state is State.MERGED and order.kind == Kind.DELIVERED)


def _lost(order: Order) -> bool:
    """Whether nothing will arrive any more, or nobody can say."""
    return order.finished_at is not None and not _arrived(order)


def unsent(family: Sequence[Order], steps: Sequence[Step]) -> list[Order]:
    """Orders of steps that need not go out any more once somebody has taken the alarm.

    One that another speaks for comes before that, which would else leave it to itself.
    """
    waits = (State.WAITING, State.HELD)
    found = [order for order in _of_steps(family, steps) if order.state in waits or _spoken_for(order)]
    return sorted(found, key=lambda order: order.state is not State.MERGED)


def under_way(family: Sequence[Order], steps: Sequence[Step]) -> list[Order]:
    """Orders of steps that may be going out this moment: they are not tried again once it is taken."""
    return [order for order in _of_steps(family, steps) if order.state in _UNDER_WAY]


def _of_steps(family: Sequence[Order], steps: Sequence[Step]) -> list[Order]:
    made = {step.made_id for step in steps}
    return [order for order in family if order.recipient_id in made]


def _spoken_for(order: Order) -> bool:
    """Whether another order is to speak for it, and has not yet."""
    told = order.kind in (Kind.ACCEPTED, Kind.DELIVERED)
    return order.state is State.MERGED and order.finished_at is None and not told
