"""What a phone may hear: the same text once a window, chains that end, and laws of both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay.delivery import storm
from relay.delivery.storm import CHAIN_GAP, CHAIN_MOST, Judged
from relay.model import HOUR, SECOND
from relay.queue import schema
from relay.queue.rows import Order, Phone
from relay.queue.states import State

NOW = 1_800_000_000_000
WINDOW = 60 * SECOND
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
    return storm.judge(orders, known, window=WINDOW, now=now, unsaid=unsaid)


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
    return storm.having_heard(phone, order(number, says), window=WINDOW, now=now)


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
