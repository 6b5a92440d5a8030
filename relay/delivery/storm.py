"""What a phone may hear now: no text twice, no flood, no endless chain, no news after its end.

All of it is kept here, pure, from rows and the moment.

- The provider refuses the same request within a minute: an order whose text the phone heard
  within the window is merged into the order that said it. Where the phone heard the opposite
  since, the text is news again and waits for the window to pass.
- Over `burst` messages within `per` the rest waits, and goes as one digest at most every
  `digest_every`; one that is alone goes as it is, in the digest's place. Calls wait for room.
- A recovery goes whatever the burst. A problem that is older than its recovery is not sent
  after it: it is merged into the recovery.
- The provider blocks a phone that gets more than fifty messages with gaps under a minute:
  after 45 messages in a chain, of any kind, a phone has 61 seconds of silence.
- The provider may keep messages until their time, five for a phone and no text twice. Others wait
  here, and are judged when their time has come, with those five as heard then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from relay.delivery import heard
from relay.delivery.heard import MADE, Heard
from relay.message import channels
from relay.model import SECOND, Alarm
from relay.queue.rows import DIGEST, Order, Phone

CHAIN_MOST = 45
CHAIN_GAP = 61 * SECOND
AHEAD_MOST = 5
"""So many messages for a phone wait at the provider; with a whole chain they are as many as may be."""
_OPPOSITE = {Alarm.PROBLEM.value: Alarm.RECOVERY.value, Alarm.RECOVERY.value: Alarm.PROBLEM.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings of `storm`; `burst` 0 makes no digests."""

    window: int
    burst: int = 0
    per: int = 0
    digest_every: int = 0

    @property
    def keep(self) -> int:
        """How long a phone remembers what it heard."""
        return max(self.window, self.per, self.digest_every) if self.burst else self.window


@dataclass(slots=True)
class Judged:
    """What is to be done with each order."""

    send: list[Order] = field(default_factory=list)
    merge: list[tuple[Order, int]] = field(default_factory=list)  # with the id of the one that speaks
    wait: list[tuple[Order, int]] = field(default_factory=list)  # until this moment
    over: list[tuple[Order, int]] = field(default_factory=list)  # likewise, for a digest
    digests: dict[str, list[Order]] = field(default_factory=dict)  # by target: these go as one
    alone: set[int] = field(default_factory=set)  # orders that go in the place of a digest
    crowded: set[str] = field(default_factory=set)  # targets with more than a burst
    ends: dict[str, dict[str, int]] = field(default_factory=dict)  # by target: repeats of recoveries
    minds: dict[str, _Mind] = field(default_factory=dict, compare=False)  # by target

    @property
    def phones(self) -> dict[str, Phone]:
        """The phones as they will be, by target."""
        return {target: mind.phone for target, mind in self.minds.items()}

    @property
    def moves(self) -> bool:
        """Whether anything is to be written before the rest may be sent."""
        return bool(self.merge or self.wait or self.over or self.digests)


def judge(
    orders: Sequence[Order],
    phones: Mapping[str, Phone],
    rules: Rules,
    *,
    now: int,
    unsaid: Collection[int] = (),
) -> Judged:
    """Decide for orders of one account, in their order. A retried order does not hear itself.

    `unsaid` are orders that were claimed but never reached the provider and never will: they
    speak for nobody.
    """
    judged = Judged()
    minds = judged.minds
    for order in orders:
        mind = minds.get(order.target)
        if mind is None:
            mind = minds[order.target] = _Mind(phones[order.target], rules, now, unsaid)
        _judge_one(judged, mind, order)
    for target, mind in minds.items():
        _crowd(judged, mind, target)
    return judged


def after(
    orders: Sequence[Order],
    phones: Mapping[str, Phone],
    rules: Rules,
    *,
    now: int,
    alone: Collection[int] = (),
) -> dict[str, Phone]:
    """The phones once they have heard all these orders, some of them `alone` in a digest's place."""
    found = dict(phones)
    for order in orders:
        as_digest = order.id in alone
        found[order.target] = having_heard(found[order.target], order, rules, now=now, as_digest=as_digest)
    return found


def having_heard(phone: Phone, order: Order, rules: Rules, *, now: int, as_digest: bool = False) -> Phone:
    """The phone after it heard an order now. What a clock that jumped back left in the future is past."""
    goes_on = 0 <= now - phone.last_at < CHAIN_GAP
    entries = [each for each in heard.of(phone) if each.order != order.id]
    entries.append(heard.entry(order, now, as_digest=as_digest))
    chain = phone.chain + 1 if goes_on else 1
    return heard.written(phone, entries, keep=rules.keep, now=now, last_at=now, chain=chain)


def remembering(
    phone: Phone, rules: Rules, *, now: int, ends: Mapping[str, int], digest: Order | None = None
) -> Phone:
    """The phone when a digest was put together for it, or a recovery's repeat was merged."""
    entries = heard.ending(heard.of(phone), ends)
    if digest is not None:
        entries.append(Heard(digest.says, now, digest.id, MADE))
    return heard.written(phone, entries, keep=rules.keep, now=now)


class _Mind:
    """A phone as it is judged: what it heard, and what it is about to hear.

    The last order that it hears is added when somebody asks: mostly nobody does.
    """

    def __init__(self, phone: Phone, rules: Rules, now: int, unsaid: Collection[int]) -> None:
        self._phone = phone
        self.rules = rules
        self.now = now
        self.over: list[Order] = []
        self.queued = 0  # orders that wait for room and may not join a digest
        self._entries = heard.past(heard.of(phone), now)
        self._ahead = heard.ahead(heard.of(phone), now)
        self._unsaid = unsaid
        self._last: tuple[Order, bool] | None = None

    @property
    def phone(self) -> Phone:
        """The phone with all that it is about to hear."""
        self._catch_up()
        return self._phone

    @property
    def _heard(self) -> list[Heard]:
        self._catch_up()
        return self._entries

    def _catch_up(self) -> None:
        """Add the last order that it hears."""
        if self._last is not None:
            order, as_digest = self._last
            self._set(having_heard(self._phone, order, self.rules, now=self.now, as_digest=as_digest))

    def _set(self, phone: Phone) -> None:
        self._phone, self._last = phone, None
        self._entries = heard.past(heard.of(phone), self.now)
        self._ahead = heard.ahead(heard.of(phone), self.now)

    def hear(self, order: Order, *, as_digest: bool = False) -> None:
        """The order goes out."""
        self._catch_up()
        self._last = order, as_digest

    def end(self, topic: str, order: int) -> None:
        """A recovery was said before; problems up to this order are over as well."""
        entries = heard.ending(heard.of(self.phone), {topic: order})
        self._set(heard.written(self.phone, entries, keep=self.rules.keep, now=self.now))

    def _said(self, order: Order, within: int) -> list[Heard]:
        """What others said within a time, oldest first."""
        said = self._heard
        return said and [
            each
            for each in said
            if each.order != order.id and each.order not in self._unsaid and self.now - each.at < within
        ]

    def speaker(self, order: Order) -> Heard | None:
        """Who said the same within the window."""
        said = self._said(order, self.rules.window)
        return next((each for each in said if each.says == order.says and each.kind != MADE), None)

    def contradicts(self, order: Order, speaker: Heard) -> bool:
        """Whether the phone heard the opposite since the speaker."""
        opposite = _OPPOSITE.get(order.alarm)
        if not order.topic or opposite is None:
            return False
        later = self._heard[self._heard.index(speaker) + 1 :]
        return any(
            each.kind == opposite and each.topic == order.topic and each.order not in self._unsaid
            for each in later
        )

    def _kept(self, order: Order) -> list[Heard]:
        """What the provider keeps of others, oldest first."""
        self._catch_up()
        return [each for each in self._ahead if each.order != order.id and each.order not in self._unsaid]

    def may_go_ahead(self, order: Order) -> bool:
        """Whether the provider may keep the order until its time."""
        kept = self._kept(order)
        said = [*kept, *self._said(order, self.rules.window - (order.start_at - self.now))]
        return len(kept) < AHEAD_MOST and all(each.says != order.says for each in said)

    def soon_said(self, order: Order) -> int:
        """When the phone will hear the same, if within the window; else now."""
        until = self.now + self.rules.window
        return next(
            (each.at for each in self._kept(order) if each.says == order.says and each.at < until), self.now
        )

    def recovery(self, order: Order) -> Heard | None:
        """The recovery that ended this problem."""
        if order.alarm != Alarm.PROBLEM or not order.topic:
            return None
        said = self._said(order, heard.RECALL)
        return next(
            (each for each in reversed(said) if each.topic == order.topic and each.ends > order.id), None
        )

    def room_at(self, order: Order, ahead: int = 0) -> int:
        """When a burst has room for the order, with so many `ahead` that wait for the same."""
        rules = self.rules
        filling = [each.at for each in self._said(order, rules.per) if each.fills][-rules.burst :]
        if len(filling) + ahead < rules.burst:
            return self.now
        later, place = divmod(ahead, rules.burst)
        return (filling[place] if place < len(filling) else self.now) + (later + 1) * rules.per

    def digest_at(self, waiting: Sequence[Order]) -> int:
        """When the next digest may be put together: some time after the first one waits, or the last went."""
        every = self.rules.digest_every
        last = [each.at for each in self._heard if each.kind in (DIGEST, MADE)]
        since = min(order.start_at for order in waiting)
        return min(max([since, *last]) + every, self.now + every)

    def next_digest_at(self, order: Order) -> int:
        """When a digest that was put together may go out."""
        every = self.rules.digest_every
        return max(
            (each.at + every for each in self._said(order, every) if each.kind == DIGEST), default=self.now
        )

    def chain_until(self) -> int:
        """When the phone may hear one more."""
        phone, now = self.phone, self.now
        goes_on = 0 <= now - phone.last_at < CHAIN_GAP
        return phone.last_at + CHAIN_GAP if goes_on and phone.chain >= CHAIN_MOST else now


def _judge_one(judged: Judged, mind: _Mind, order: Order) -> None:
    ended = mind.recovery(order)
    if ended is not None:
        judged.merge.append((order, ended.order))
        return
    if order.start_at > mind.now and heard.fills_bursts(order):
        _send(judged, mind, order, mind.now if mind.may_go_ahead(order) else order.start_at)
        return
    speaker = mind.speaker(order)
    if speaker is not None and mind.contradicts(order, speaker):
        judged.wait.append((order, speaker.at + mind.rules.window))
        return
    if speaker is not None:
        judged.merge.append((order, speaker.order))
        if order.alarm == Alarm.RECOVERY and order.topic:
            mind.end(order.topic, order.id)
            judged.ends.setdefault(order.target, {})[order.topic] = order.id
        return
    until = mind.soon_said(order)
    if until > mind.now:
        judged.wait.append((order, until))
        return
    if order.alarm == DIGEST:
        until = mind.next_digest_at(order)
    elif _limited(order, mind):
        until = mind.room_at(order, mind.queued)
        if (order.over_at is not None or until > mind.now) and _may_join(order):
            mind.over.append(order)
            return
        mind.queued += until > mind.now
    else:
        until = mind.now
    _send(judged, mind, order, until)


def _send(judged: Judged, mind: _Mind, order: Order, until: int, *, as_digest: bool = False) -> None:
    if order.channel != "mail":
        until = max(until, mind.chain_until())
    if until > mind.now:
        judged.wait.append((order, until))
        return
    judged.send.append(order)
    mind.hear(order, as_digest=as_digest)


def _limited(order: Order, mind: _Mind) -> bool:
    """Whether the order needs room."""
    return mind.rules.burst > 0 and heard.fills_bursts(order) and order.alarm != Alarm.RECOVERY


def _may_join(order: Order) -> bool:
    """Whether the order may be one of a digest; those of one that was not taken go by themselves."""
    return channels.digests(order.channel) and not order.digests


def _crowd(judged: Judged, mind: _Mind, target: str) -> None:
    """What is over the burst waits, or goes as a digest; what was ended meanwhile does not."""
    waiting: list[Order] = []
    for order in mind.over:
        ended = mind.recovery(order)
        if ended is not None:
            judged.merge.append((order, ended.order))
        else:
            waiting.append(order)
    if not waiting:
        return
    judged.crowded.add(target)
    due = mind.digest_at(waiting)
    if due > mind.now:
        judged.over += [(order, due) for order in waiting]
    elif len(waiting) == 1:
        judged.alone.add(waiting[0].id)
        _send(judged, mind, waiting[0], mind.now, as_digest=True)
    else:
        judged.digests[target] = waiting
