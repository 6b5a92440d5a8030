"""Laws of storms: what phones hear of any alarms, in a queue that lives in memory."""

from __future__ import annotations

import heapq
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay.delivery import storm
from relay.delivery.storm import CHAIN_GAP, Rules
from relay.model import DAY, HOUR, MINUTE, SECOND
from relay.queue import schema
from relay.queue.rows import DIGEST, Order, Phone
from relay.queue.states import State

NOW = 1_800_000_000_000
RULES = Rules(window=60 * SECOND, burst=10, per=MINUTE, digest_every=MINUTE)
MANY = int(os.environ.get("STORM_ALARMS", "50000"))
NEWS = ("problem", "recovery")
Alarm = tuple[int, str, str, str]  # when, which phone, which thing, what kind of news


def order(
    number: int, at: int, target: str, says: str, alarm: str, topic: str, channel: str = "sms"
) -> Order:
    """A waiting order of this moment."""
    row = schema.row(
        schema.orders,
        id=number,
        target=target,
        says=says,
        alarm=alarm,
        topic=topic,
        mask=topic,
        channel=channel,
        state=State.WAITING.value,
        rank=-int(alarm == "recovery"),
        due_at=at,
        created_at=at,
        start_at=at,
        expire_at=at + DAY,
    )
    return Order.of(row)


@dataclass
class Queue:
    """The rows of a queue, and what phones were told."""

    rules: Rules
    waiting: dict[int, Order] = field(default_factory=dict)
    phones: dict[str, Phone] = field(default_factory=dict)
    heard: list[tuple[int, Order]] = field(default_factory=list)
    spoken: dict[int, int] = field(default_factory=dict)  # who speaks for whom
    asked: list[Order] = field(default_factory=list)
    number: int = 0

    def put(
        self, at: int, target: str, says: str, alarm: str, topic: str, channel: str = "sms", hold: int = 0
    ) -> None:
        """An order comes; the provider is to hold it for a while."""
        self.number += 1
        made = order(self.number, at, target, says, alarm, topic, channel)
        made = replace(made, start_at=at + hold, expire_at=made.expire_at + hold)
        self.waiting[self.number] = made
        self.asked.append(made)

    def next(self) -> int | None:
        """When something falls due."""
        return min((each.due_at for each in self.waiting.values()), default=None)

    def turn(self, now: int) -> None:
        """Everything that is due now is judged, and goes."""
        while due := [each for each in self.waiting.values() if each.due_at <= now]:
            rows = sorted(due, key=lambda each: (each.rank, each.id))
            phones = {each.target: self.phones.get(each.target, Phone("a", each.target)) for each in rows}
            judged = storm.judge(rows, phones, self.rules, now=now)
            for each, into in judged.merge:
                self.spoken[each.id] = into
                del self.waiting[each.id]
            for each, until in (*judged.wait, *judged.over):
                assert now < until
                over = now if (each, until) in judged.over else None
                self.waiting[each.id] = replace(each, due_at=until, over_at=each.over_at or over)
            born = {target: self._digest(row, now) for target, row in judged.digests.items()}
            for target in born.keys() | judged.ends.keys():
                ends = judged.ends.get(target, {})
                self.phones[target] = storm.remembering(
                    phones[target], self.rules, now=now, ends=ends, digest=born.get(target)
                )
            if judged.moves:
                continue
            self.phones |= storm.after(judged.send, phones, self.rules, now=now, alone=judged.alone)
            for each in judged.send:
                said = replace(each, alarm=DIGEST) if each.id in judged.alone else each
                self.heard.append((max(now, each.start_at), said))
                del self.waiting[each.id]

    def _digest(self, row: Sequence[Order], now: int) -> Order:
        self.number += 1
        first = row[0]
        made = order(self.number, now, first.target, f"digest {self.number}", DIGEST, "")
        self.waiting[made.id] = replace(made, rank=min(each.rank for each in row) - 2)
        for each in row:
            self.spoken[each.id] = made.id
            del self.waiting[each.id]
        return made


def played(alarms: Sequence[Alarm], rules: Rules = RULES) -> Queue:
    """What becomes of these alarms."""
    queue, comes = Queue(rules), sorted(alarms)
    heapq.heapify(comes)
    while comes or queue.waiting:
        coming = comes[0][0] if comes else None
        now = min(moment for moment in (coming, queue.next()) if moment is not None)
        while comes and comes[0][0] <= now:
            at, target, thing, alarm = heapq.heappop(comes)
            queue.put(at, target, f"{alarm} {thing}", alarm, thing if alarm else "")
        queue.turn(now)
    return queue


def check(queue: Queue, rules: Rules) -> None:
    """The laws hold for what phones heard."""
    for target in {each.target for _, each in queue.heard}:
        told = [(at, each) for at, each in queue.heard if each.target == target]
        filling = [at for at, each in told if each.alarm in ("", "problem")]
        for first, last in zip(filling, filling[rules.burst :], strict=False):
            assert last - first >= rules.per, "more than a burst"
        went = [at for at, each in told if each.alarm == DIGEST]
        assert all(later - at >= rules.digest_every for at, later in pairwise(went))
        chain, last = 0, 0
        for at, _ in told:
            chain, last = (chain + 1 if at - last < CHAIN_GAP else 1), at
            assert chain <= 45
        ended: dict[str, int] = {}
        for _, each in told:
            if each.alarm == "recovery":
                ended[each.topic] = each.id
            assert each.alarm != "problem" or each.id > ended.get(each.topic, 0), "a problem after its end"


def last_word(queue: Queue, alarms: Sequence[Alarm]) -> None:
    """A thing's last news is a recovery: it is the last that the phone was told of it."""
    last: dict[tuple[str, str], Alarm] = {}
    for each in sorted(alarms):
        if each[3]:
            last[each[1], each[2]] = each
    said = {(each.target, each.topic): each.alarm for _, each in queue.heard if each.alarm in NEWS}
    for (target, thing), (_, _, _, alarm) in last.items():
        assert alarm != "recovery" or "recovery" == said[target, thing]


def everybody(queue: Queue, rules: Rules) -> None:
    """Each order was told, or one that was told speaks for it; for a recovery one of its own words."""
    told = {each.id: (at, each) for at, each in queue.heard}
    for order_ in queue.asked:
        speaker = order_.id
        while speaker in queue.spoken:
            speaker = queue.spoken[speaker]
        at, said = told[speaker]
        assert order_.target == said.target
        if order_.alarm == "recovery":
            assert ("recovery", order_.says) == (said.alarm, said.says), "a recovery in a digest"
            assert at > order_.created_at - rules.window, "a recovery taken for one of long ago"


ALARMS = st.lists(
    st.tuples(
        st.integers(0, 600).map(lambda at: NOW + at * SECOND // 2),
        st.sampled_from(["+1", "+2"]),
        st.sampled_from([f"thing {n}" for n in range(30)]),
        st.sampled_from(["problem", "problem", "recovery", ""]),
    ),
    unique=True,
    max_size=150,
)


@given(
    alarms=ALARMS,
    burst=st.integers(1, 12),
    per=st.integers(1, 120).map(lambda seconds: seconds * SECOND),
    every=st.integers(1, 120).map(lambda seconds: seconds * SECOND),
)
@examples(max_examples=150)
def test_laws_of_bursts(alarms, burst, per, every):
    """Never more than a burst and its digests, no chain, every order said or spoken for, ends last."""
    rules = Rules(window=60 * SECOND, burst=burst, per=per, digest_every=every)
    queue = played(alarms, rules)
    check(queue, rules)
    last_word(queue, alarms)
    everybody(queue, rules)


HELD = st.lists(
    st.tuples(
        st.integers(0, 400).map(lambda at: NOW + at * SECOND),
        st.sampled_from([f"thing {n}" for n in range(12)]),
        st.sampled_from([0, 0, 30, 59, 60, 61, 300, 301]).map(lambda hold: hold * SECOND),
    ),
    max_size=150,
)


@given(held=HELD, until=st.booleans())
@examples(max_examples=150)
def test_laws_of_what_is_held(held, until):
    """No text twice within the window, five more than a burst or a chain, everybody said or spoken for."""
    queue = Queue(RULES)
    coming = sorted(held)
    while coming or queue.waiting:
        moments = [each for each in (coming[0][0] if coming else None, queue.next()) if each is not None]
        now = min(moments)
        while coming and coming[0][0] <= now:
            at, thing, hold = coming.pop(0)
            last = max(0, NOW + 500 * SECOND - at) if until and hold else hold  # all until one moment
            queue.put(at, "+1", thing, "", "", hold=last)
        queue.turn(now)
    told = sorted(((at, each) for at, each in queue.heard), key=lambda one: one[0])
    texts: dict[str, int] = {}
    chain, last = 0, 0
    for at, each in told:
        assert at >= each.start_at
        assert at - texts.get(each.says, 0) >= RULES.window, "the same twice"
        texts[each.says] = at
        chain, last = (chain + 1 if at - last < CHAIN_GAP else 1), at
        assert chain <= storm.CHAIN_MOST + storm.AHEAD_MOST
    filling = [at for at, each in told if each.alarm == ""]
    for first, end in zip(filling, filling[RULES.burst + storm.AHEAD_MOST :], strict=False):
        assert end - first >= RULES.per, "more than a burst"
    said = {each.id for _, each in queue.heard}
    for number in range(1, queue.number + 1):
        speaker = number
        while speaker in queue.spoken:
            speaker = queue.spoken[speaker]
        assert speaker in said


@given(alarms=ALARMS)
@examples(max_examples=60)
def test_every_recovery_is_said(alarms):
    """A recovery is told as it is, or by another one in the same words within the window."""
    queue = played(alarms)
    told = {each.id: each for _, each in queue.heard}
    said = {(each.target, each.topic) for each in told.values() if each.alarm == "recovery"}
    assert said == {(target, thing) for _, target, thing, alarm in alarms if alarm == "recovery"}
    assert not any(each.alarm == "recovery" and each.id in queue.spoken for each in told.values())


@pytest.mark.parametrize("burst", [0, 10])
def test_without_a_burst_there_are_no_digests(burst):
    """30 alarms at once: all of them go, or ten and a digest."""
    rules = replace(RULES, burst=burst)
    queue = played([(NOW, "+1", f"thing {n}", "problem") for n in range(30)], rules)
    kinds = [each.alarm for _, each in queue.heard]
    assert (30 if not burst else 10, 1 if burst else 0) == (kinds.count("problem"), kinds.count(DIGEST))


def test_two_nodes_decide_the_same():
    """What is decided follows from rows and the moment alone."""
    rows = [order(n, NOW, "+1", f"text {n}", "problem", f"thing {n % 7}") for n in range(40)]
    phones = played([(NOW - SECOND, "+1", f"thing {n}", "problem") for n in range(5)]).phones
    one, other = (storm.judge(rows, phones, RULES, now=NOW) for _ in range(2))
    assert (one, one.phones) == (other, other.phones)


def test_a_simulated_week_of_storms():
    """50,000 alarms in waves to five phones within a week (`make soak`: 250,000): the laws hold for each."""
    chance = random.Random(7)
    alarms: set[Alarm] = set()
    wave = NOW
    while len(alarms) < MANY:
        wave = NOW + chance.randrange(7 * DAY)
        for _ in range(chance.randrange(50, 1500)):
            at = wave + int(chance.expovariate(1 / (5 * MINUTE)))
            kind = chance.choice(["problem", "problem", "problem", "recovery", ""])
            alarms.add((at, f"+{chance.randrange(5)}", f"thing {chance.randrange(200)}", kind))
    alarms = set(sorted(alarms)[:MANY])
    queue = played(list(alarms))
    check(queue, RULES)
    last_word(queue, list(alarms))
    everybody(queue, RULES)
    assert MANY == len(queue.spoken) + len(queue.heard) - sum(
        each.id not in queue.spoken and each.says.startswith("digest") for _, each in queue.heard
    )
    assert max(at for at, _ in queue.heard) < NOW + 7 * DAY + 2 * HOUR
