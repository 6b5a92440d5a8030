"""What a phone may hear: the same text once a window, chains that end, and laws of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay.delivery import storm
from relay.delivery.storm import CHAIN_GAP, CHAIN_MOST, Judged
from relay.model import SECOND
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
