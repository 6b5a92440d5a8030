"""What a phone may hear: the same text once a window, chains that end, and laws of both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay.delivery import storm
from relay.delivery.heard import of as heard_of
from relay.delivery.storm import CHAIN_GAP, CHAIN_MOST, Judged, Rules
from relay.model import HOUR, SECOND
from relay.queue import schema
from relay.queue.rows import DIGEST, Order, Phone
from relay.queue.states import State

NOW = 1_800_000_000_000
WINDOW = 60 * SECOND
RULES = Rules(window=WINDOW)
A, B = "+79991234567", "+79991234568"


def order(number: int, says: str = "", target: str = A, channel: str = "sms") -> Order:
    """A waiting order; its text is its own unless given."""
    row = schema.row(
        schema.orders,
        id=number,
        target=target,
        says=says or f"text {number}",
        channel=channel,
        state=State.WAITING.value,
        start_at=NOW,
    )
    return Order.of(row)


def judged(
    orders: Sequence[Order],
    phones: Mapping[str, Phone] | None = None,
    *,
    now: int = NOW,
    unsaid: Sequence[int] = (),
) -> Judged:
    """What is done with the orders; phones that are not given have heard nothing yet."""
    known = {each.target: Phone("main", each.target) for each in orders} | dict(phones or {})
    return storm.judge(orders, known, RULES, now=now, unsaid=unsaid)


def merges(found: Judged) -> list[tuple[int, int]]:
    """Who was merged into whom."""
    return [(each.id, into) for each, into in found.merge]


# -- the same text -----------------------------------------------------------------------------


def test_the_same_text_is_merged_within_the_window():
    """Within one pass and later on, a phone hears a text once a window."""
    first = judged([order(1, "x"), order(2, "x")])
    assert ([1], [(2, 1)]) == ([each.id for each in first.send], merges(first))
    later = judged([order(3, "x")], first.phones, now=NOW + WINDOW - 1)
    assert [(3, 1)] == merges(later)
    assert first.phones == later.phones


def test_after_the_window_it_is_said_again():
    """The window is counted from when the text was said, not from when it was merged."""
    first = judged([order(1, "x"), order(2, "x")])
    later = judged([order(3, "x")], first.phones, now=NOW + WINDOW)
    assert ([3], []) == ([each.id for each in later.send], later.merge)
    assert [("x", NOW + WINDOW, 3)] == later.phones[A].heard


def test_other_texts_and_other_phones_are_not_merged():
    """Only the same text to the same phone is a repeat."""
    found = judged([order(1, "x"), order(2, "y"), order(3, "x", B)])
    assert ([1, 2, 3], []) == ([each.id for each in found.send], found.merge)
    assert [("x", NOW, 1), ("y", NOW, 2)] == found.phones[A].heard


def test_a_retried_order_does_not_hear_itself():
    """An order that was claimed before goes out again, and its text counts from then."""
    first = judged([order(1, "x")])
    again = judged([order(1, "x")], first.phones, now=NOW + SECOND)
    assert ([1], []) == ([each.id for each in again.send], again.merge)
    assert [("x", NOW + SECOND, 1)] == again.phones[A].heard


def test_what_was_never_said_speaks_for_nobody():
    """An order that ended before the provider had it is passed over, one behind it is not."""
    first = judged([order(1, "x")])
    later = judged([order(2, "x"), order(3, "x")], first.phones, now=NOW + SECOND, unsaid=[1])
    assert ([2], [(3, 2)]) == ([each.id for each in later.send], merges(later))
    third = judged([order(4, "x")], later.phones, now=NOW + 2 * SECOND, unsaid=[1])
    assert [(4, 2)] == merges(third)


def test_the_given_rows_are_left_as_they_are():
    """Judging changes nothing that was handed in: it may be done twice."""
    phones = {A: Phone("main", A)}
    judged([order(1)], phones)
    assert {A: Phone("main", A)} == phones


# -- chains ------------------------------------------------------------------------------------


def test_a_chain_ends_after_forty_five():
    """The forty-sixth waits for 61 seconds of silence, and other phones don't wait with it."""
    found = judged([*(order(n) for n in range(50)), order(99, target=B)])
    assert [*range(45), 99] == [each.id for each in found.send]
    assert [(n, NOW + 61 * SECOND) for n in range(45, 50)] == [(each.id, at) for each, at in found.wait]
    assert (45, NOW) == (found.phones[A].chain, found.phones[A].last_at)


def test_silence_begins_a_new_chain():
    """A gap of 61 seconds counts, a shorter one does not."""
    phones = {A: Phone("main", A, last_at=NOW, chain=CHAIN_MOST)}
    early = judged([order(1)], phones, now=NOW + CHAIN_GAP - 1)
    assert [NOW + CHAIN_GAP] == [at for _, at in early.wait]
    later = judged([order(1)], phones, now=NOW + CHAIN_GAP)
    assert (1, NOW + CHAIN_GAP) == (later.phones[A].chain, later.phones[A].last_at)
    assert [1] == [each.id for each in later.send]


def test_a_slow_chain_is_a_chain():
    """One message a minute for an hour is still one chain: gaps count, not the rate."""
    phones: Mapping[str, Phone] = {A: Phone("main", A)}
    sent = 0
    for minute in range(60):
        found = judged([order(minute)], phones, now=NOW + minute * 60 * SECOND)
        phones, sent = found.phones, sent + len(found.send)
        if found.wait:
            break
    assert CHAIN_MOST == sent


def test_waiting_does_not_stop_a_repeat_from_merging():
    """A phone whose chain is full still merges what it heard."""
    first = judged([order(n) for n in range(45)])
    found = judged([order(50, "text 44")], first.phones, now=NOW + 1)
    assert [(50, 44)] == merges(found)


def test_mail_has_no_chain():
    """Mail addresses are no phones: they wait for nothing, but repeats are merged."""
    rows = [order(n, target="bob@example.com", channel="mail") for n in range(60)]
    found = judged([*rows, order(99, "text 0", "bob@example.com", "mail")])
    assert (60, [(99, 0)], []) == (len(found.send), merges(found), found.wait)


# -- what a phone has heard --------------------------------------------------------------------


def heard(*texts: tuple[str, int, int], last_at: int = NOW, chain: int = 1) -> Phone:
    """A phone that heard these."""
    return Phone("main", A, version=3, last_at=last_at, chain=chain, texts=json.dumps(texts))


def after(phone: Phone, number: int, says: str = "x", now: int = NOW) -> Phone:
    """The phone when it has heard an order more."""
    return storm.having_heard(phone, order(number, says), RULES, now=now)


def test_having_heard():
    """What the phone heard is added behind what it heard within the window; the row stays the same row."""
    phone = heard(("old", NOW - WINDOW, 1), ("new", NOW - WINDOW + 1, 2), last_at=NOW - SECOND, chain=7)
    found = after(phone, 3)
    assert [("new", NOW - WINDOW + 1, 2), ("x", NOW, 3)] == found.heard
    assert ("main", A, 3, NOW, 8) == (found.account, found.target, found.version, found.last_at, found.chain)
    assert (NOW - SECOND, 7) == (phone.last_at, phone.chain)


def test_a_repeat_is_heard_anew():
    """An order that goes out once more counts from now, in the window as in the chain."""
    phone = after(heard(chain=0), 1)
    again = after(phone, 1, now=NOW + 30 * SECOND)
    assert [("x", NOW + 30 * SECOND, 1)] == again.heard
    assert (NOW + 30 * SECOND, 2) == (again.last_at, again.chain)


@pytest.mark.parametrize(
    ("ago", "chain"),
    [(0, 8), (CHAIN_GAP - 1, 8), (CHAIN_GAP, 1), (HOUR, 1), (-1, 1), (-HOUR, 1)],
)
def test_which_gaps_continue_a_chain(ago, chain):
    """A chain goes on within 61 seconds; one that lies in the future, by a clock set back, is past."""
    assert chain == after(heard(last_at=NOW - ago, chain=7), 1).chain


@pytest.mark.parametrize("ahead", [1, SECOND, HOUR])
def test_what_was_heard_in_the_future_is_past(ahead):
    """After the clock was set back nothing is merged into, or waits for, what is yet to come."""
    full = heard(("x", NOW + ahead, 1), last_at=NOW + ahead, chain=CHAIN_MOST)
    found = judged([order(2, "x")], {A: full})
    assert ([2], [], []) == ([each.id for each in found.send], found.merge, found.wait)
    assert [("x", NOW, 2)] == found.phones[A].heard
    assert (1, NOW) == (found.phones[A].chain, found.phones[A].last_at)


# -- bursts ------------------------------------------------------------------------------------

BURST = Rules(window=WINDOW, burst=3, per=60 * SECOND, digest_every=60 * SECOND)


def news(number: int, alarm: str = "problem", says: str = "", **columns: Any) -> Order:
    """An order of this moment about the pump."""
    values = {"alarm": alarm, "topic": "pump", "start_at": NOW, "digests": 0} | columns
    return replace(order(number, says), **values)


def burst(
    orders: Sequence[Order], phone: Phone | None = None, *, now: int = NOW, unsaid: Sequence[int] = ()
) -> Judged:
    """What is done with the orders where three make a burst."""
    return storm.judge(orders, {A: phone or Phone("main", A)}, BURST, now=now, unsaid=unsaid)


def ids(rows: Sequence[Order]) -> list[int]:
    """Their numbers."""
    return [each.id for each in rows]


def test_what_is_over_a_burst_waits_for_the_digest():
    """Three go, the others wait for a minute since the first of them came."""
    rows = [replace(order(n), start_at=NOW - n * SECOND) for n in range(6)]
    found = burst(rows)
    assert ([0, 1, 2], [3, 4, 5]) == (ids(found.send), ids([each for each, _ in found.over]))
    assert {NOW + 55 * SECOND} == {until for _, until in found.over}
    assert {A} == found.crowded
    assert found.moves


def test_a_digest_of_what_waited():
    """After the minute they go as one, though there is room again; one alone goes in its place."""
    rows = [replace(order(n), start_at=NOW, over_at=NOW) for n in range(3)]
    found = burst(rows, now=NOW + 60 * SECOND)
    assert ([], [0, 1, 2]) == (ids(found.send), ids(found.digests[A]))
    alone = burst(rows[:1], now=NOW + 60 * SECOND)
    assert ([0], {0}, {}) == (ids(alone.send), alone.alone, alone.digests)
    phone = storm.after(alone.send, {A: Phone("main", A)}, BURST, now=NOW, alone=alone.alone)[A]
    assert ["digest"] == [each.kind for each in heard_of(phone)]


@pytest.mark.parametrize(("ago", "due"), [(59, False), (60, True)])
def test_one_digest_a_minute(ago, due):
    """Made or gone out, the last one is a minute ago."""
    for made in (False, True):
        last = replace(order(90), alarm=DIGEST)
        at = NOW - ago * SECOND
        phone = Phone("main", A)
        if made:
            phone = storm.remembering(phone, BURST, now=at, ends={}, digest=last)
        else:
            phone = storm.having_heard(phone, last, BURST, now=at)
        rows = [replace(order(n), start_at=NOW - HOUR, over_at=NOW - HOUR) for n in range(3)]
        assert due is bool(burst(rows, phone).digests)


def test_a_digest_waits_for_the_last_one():
    """Two that were put together, in a silence say, don't go out together."""
    first, second = (replace(order(n), alarm=DIGEST) for n in (1, 2))
    found = burst([first, second])
    assert ([1], [(2, NOW + 60 * SECOND)]) == (ids(found.send), [(each.id, at) for each, at in found.wait])


def test_recoveries_fill_no_burst_and_wait_for_none():
    """Five recoveries and three problems go at once; the fourth problem is over."""
    ends = [news(n, "recovery", topic=f"thing {n}") for n in range(5)]
    found = burst([*ends, *(order(n) for n in range(10, 14))])
    assert ([0, 1, 2, 3, 4, 10, 11, 12], [13]) == (ids(found.send), ids([each for each, _ in found.over]))


@pytest.mark.parametrize(
    "odd",
    [
        {"channel": "hlr"},
        {"channel": "mms"},
        {"channel": "mail"},
        {"channel": "mail", "start_at": NOW + HOUR},
    ],
    ids=["a question", "a picture", "a mail", "a mail for later"],
)
def test_what_is_no_message_now_needs_no_room(odd):
    """Questions, pictures and mails are never in a digest."""
    found = burst([*(order(n) for n in range(3)), *(replace(order(n), **odd) for n in range(3, 9))])
    assert [*range(9)] == ids(found.send)


def kept(number: int, says: str = "", after: int = HOUR, **columns: Any) -> Order:
    """An order that the provider is to keep for a while."""
    return replace(order(number, says), start_at=NOW + after, **columns)


def test_five_wait_at_the_provider():
    """They fill no burst meanwhile; the others wait here for their time, and are judged then."""
    rows = [kept(n) for n in range(7)]
    first = burst([*rows, *(order(n) for n in range(10, 13))])
    assert [0, 1, 2, 3, 4, 10, 11, 12] == ids(first.send)
    assert [(5, NOW + HOUR), (6, NOW + HOUR)] == [(each.id, at) for each, at in first.wait]
    then = burst(rows[5:], first.phones[A], now=NOW + HOUR)
    assert ([], [5, 6]) == (ids(then.send), ids([each for each, _ in then.over]))


def test_what_is_over_makes_room_at_the_provider():
    """Once its time has come, or when it never got there; a retried order is not in its own way."""
    first = burst([kept(n) for n in range(5)])
    again = burst([kept(2)], first.phones[A])
    assert ([2], 5) == (ids(again.send), len(again.phones[A].heard))
    known = {A: first.phones[A]}
    assert [5] == ids(judged([kept(5)], known, unsaid=[3]).send)
    assert [5] == ids(judged([kept(5, after=3 * HOUR)], known, now=NOW + 2 * HOUR).send)


def test_the_same_text_is_heard_once_also_kept():
    """The second one waits here, and is merged into the first when both are due."""
    first = judged([kept(1, "x"), kept(2, "x", after=HOUR + SECOND), order(3, "x")])
    assert ([1, 3], [2]) == (ids(first.send), ids([each for each, _ in first.wait]))
    then = judged([kept(2, "x"), kept(4, "x")], first.phones, now=NOW + HOUR + SECOND)
    assert [(2, 1), (4, 1)] == merges(then)


def test_the_same_text_just_before_its_time_waits_for_it():
    """And one that was just said is not said again ahead of time."""
    first = judged([kept(1, "x", 90 * SECOND)])
    before = judged([order(2, "x"), order(3, "y")], first.phones, now=NOW + 30 * SECOND)
    soon = judged([order(2, "x"), order(3, "y")], first.phones, now=NOW + 30 * SECOND + 1)
    assert ([2, 3], []) == (ids(before.send), before.wait)
    assert ([3], [(2, NOW + 90 * SECOND)]) == (ids(soon.send), [(each.id, at) for each, at in soon.wait])
    said = judged([order(1, "x")])
    again = judged([kept(2, "x", WINDOW - 1), kept(3, "x", WINDOW)], said.phones)
    assert ([3], [(2, NOW + WINDOW - 1)]) == (ids(again.send), [(each.id, at) for each, at in again.wait])


def test_the_order_in_which_a_phone_hears_it_counts():
    """News that was told after another, but is heard before it, contradicts it."""
    up, down = {"alarm": "recovery", "topic": "pump"}, {"alarm": "problem", "topic": "pump"}
    first = burst([kept(1, "up", **up), kept(2, "down", HOUR - SECOND, **down)])
    assert [1, 2] == ids(first.send)
    then = burst([kept(3, "down", **down)], first.phones[A], now=NOW + HOUR)
    assert [(3, NOW + HOUR + 59 * SECOND)] == [(each.id, at) for each, at in then.wait]


def test_questions_fill_no_burst():
    """What nobody reads leaves the room to what is read."""
    found = burst([*(order(n, channel="hlr") for n in range(3)), *(order(n) for n in range(3, 6))])
    assert [*range(6)] == ids(found.send)


@pytest.mark.parametrize("odd", [{"channel": "call"}, {"digests": 1}], ids=["calls", "of a refused digest"])
def test_what_goes_in_no_digest_waits_for_room(odd):
    """One after the other, as many as a burst has room for at a time."""
    rows = [replace(order(n), **odd) for n in range(11)]
    first = burst(rows)
    assert [0, 1, 2] == ids(first.send)
    assert [60] * 3 + [120] * 3 + [180] * 2 == [(until - NOW) // SECOND for _, until in first.wait]
    second = burst(rows[3:], first.phones[A], now=NOW + 60 * SECOND)
    assert [3, 4, 5] == ids(second.send)


def test_what_was_never_said_fills_no_burst():
    """Orders that ended before the provider had them leave their room."""
    first = burst([order(n) for n in range(3)])
    assert [5, 6] == ids(burst([order(5), order(6)], first.phones[A], unsaid=[0, 1]).send)


def test_a_retry_has_its_room():
    """An order of the burst that found no connection goes again, whatever came meanwhile."""
    first = burst([order(n) for n in range(3)])
    assert [2] == ids(burst([order(2)], first.phones[A], now=NOW + SECOND).send)


# -- problems and their ends -------------------------------------------------------------------


def test_a_problem_is_not_told_after_its_end():
    """Older than the recovery it is merged into it, in the same pass, over a burst, or hours later."""
    found = burst([news(2, "recovery"), news(1)])
    assert ([2], [(1, 2)]) == (ids(found.send), merges(found))
    later = burst(
        [news(1)], storm.after(found.send, {A: Phone("main", A)}, BURST, now=NOW)[A], now=NOW + HOUR
    )
    assert [(1, 2)] == merges(later)
    over = burst([*(order(n) for n in range(20, 23)), news(1), news(2, "recovery")])
    assert ([20, 21, 22, 2], [(1, 2)]) == (ids(over.send), merges(over))


def test_a_newer_problem_is_told():
    """It came after the recovery, so it is broken again; other things and recoveries unsaid end nothing."""
    assert [2, 3] == ids(burst([news(2, "recovery"), news(3)]).send)
    assert [2, 1] == ids(burst([news(2, "recovery"), news(1, topic="fan")]).send)
    phone = burst([news(2, "recovery")]).phones[A]
    assert [1] == ids(burst([news(1)], phone, unsaid=[2]).send)
    assert [2, 1] == ids(burst([news(2, "recovery", topic=""), news(1, topic="")]).send)


def test_the_same_words_after_the_opposite_are_news():
    """Broken, well, broken in the same words: the last waits until the provider takes them."""
    phone = burst([news(1, says="x")]).phones[A]
    phone = burst([news(2, "recovery", "y")], phone, now=NOW + SECOND).phones[A]
    again = burst([news(3, says="x")], phone, now=NOW + 2 * SECOND)
    assert [(3, NOW + WINDOW)] == [(each.id, at) for each, at in again.wait]
    well = burst([news(4, "recovery", "y")], phone, now=NOW + 3 * SECOND)
    assert ([(4, 2)], {A: {"pump": 4}}) == (merges(well), well.ends)
    phone = storm.remembering(phone, BURST, now=NOW + 3 * SECOND, ends=well.ends[A])
    assert [(3, 2)] == merges(burst([news(3, says="x")], phone, now=NOW + WINDOW))
    assert [5] == ids(burst([news(5)], phone, now=NOW + WINDOW).send)


def test_a_repeated_end_in_one_pass():
    """The recovery's repeat ends what came before the repeat, in the very pass."""
    phone = burst([news(1, "recovery", "y")]).phones[A]
    found = burst([news(3, "recovery", "y"), news(2)], phone, now=NOW + SECOND)
    assert [(3, 1), (2, 1)] == merges(found)


def test_recoveries_are_remembered_for_two_hours():
    """And no more of them than 64, however many there are."""
    phone = Phone("main", A)
    for n in range(200):
        phone = storm.having_heard(
            phone, news(n, "recovery", topic=f"t{n}"), BURST, now=NOW + n * 61 * SECOND
        )
    assert len(heard_of(phone)) <= 64
    assert "t199" == heard_of(phone)[-1].topic
    for n in range(200, 300):
        phone = storm.having_heard(
            phone, news(n, "recovery", topic=f"t{n}"), BURST, now=NOW + 200 * 61 * SECOND
        )
    assert 64 == len(heard_of(phone))


# -- laws --------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.integers(0, 70 * SECOND),
        st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from([A, B])), max_size=30),
    ),
    max_size=8,
)


@given(steps=STEPS)
@examples(max_examples=100)
def test_laws_of_a_storm(steps):
    """Each order has one fate; who speaks was sent before, said the same, to the same phone, in time."""
    phones = {each: Phone("main", each) for each in (A, B)}
    sent: dict[int, tuple[Order, int]] = {}
    now, number = NOW, 0
    for gap, wanted in steps:
        now += gap
        rows = [order(number + n, says, to) for n, (says, to) in enumerate(wanted)]
        number += len(rows)
        found = judged(rows, phones, now=now)
        fates = [each.id for each in found.send]
        fates += [each.id for each, _ in found.merge] + [each.id for each, _ in found.wait]
        assert sorted(fates) == [each.id for each in rows]
        sent |= {each.id: (each, now) for each in found.send}
        for each, into in found.merge:
            speaker, at = sent[into]
            assert (speaker.says, speaker.target) == (each.says, each.target)
            assert speaker.id < each.id
            assert now - at < WINDOW
        assert all(now < at <= now + CHAIN_GAP for _, at in found.wait)
        phones = dict(found.phones)


@given(gaps=st.lists(st.integers(0, 62 * SECOND), min_size=50, max_size=120), kinds=st.integers(1, 200))
@examples(max_examples=60)
def test_law_of_the_account(gaps, kinds):
    """No phone hears a text twice within the window, nor fifty messages with gaps under a minute."""
    phones: Mapping[str, Phone] = {A: Phone("main", A)}
    now, chain, last = NOW, 0, 0
    said: dict[str, int] = {}
    for number, gap in enumerate(gaps):
        now += gap
        found = judged([order(number, f"kind {number % kinds}")], phones, now=now)
        phones = found.phones
        for each in found.send:
            assert now - said.get(each.says, 0) >= WINDOW
            said[each.says] = now
            chain = chain + 1 if now - last < 60 * SECOND else 1
            last = now
            assert chain < 50


@given(rows=st.lists(st.sampled_from("xyz"), max_size=60))
@examples(max_examples=60)
def test_judging_twice_is_the_same(rows):
    """What was sent is sent again when the same pass is judged once more without the rest."""
    first = judged([order(n, says) for n, says in enumerate(rows)])
    again = judged(first.send)
    assert (first.send, [], []) == (again.send, again.merge, again.wait)
    assert 3 >= len(again.send)
