"""Which calls are made next: slots, the order of kinds, requests that orders share, and laws of these."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay.delivery import plan
from relay.delivery.plan import MASS_EVERY, PHONES, SINGLY, Plan, Resting, Slots
from relay.model import HOUR, MINUTE, SECOND, Rest
from relay.queue import schema
from relay.queue.rows import Order, Request, RequestState
from relay.queue.states import State

NOW = 1_800_000_000_000
FREE = Slots(most=14, taken=0, questions=0)
AWAKE = Resting()


def order(number: int, target: str = "", **values: object) -> Order:
    """A waiting order to a phone of its own."""
    row = {"id": number, "target": target or f"+7999{number:07d}", "state": State.WAITING.value, **values}
    return Order.of(schema.row(schema.orders, **row))


def request(number: int, state: RequestState = RequestState.UNSURE, phones: int = 1) -> Request:
    """A request to so many phones that is due."""
    targets = json.dumps([f"+7999{each:07d}" for each in range(phones)])
    return Request.of(schema.row(schema.request, id=number, state=state.value, targets=targets))


def made(**values: object) -> Plan:
    """A plan of these; what is not given is not due."""
    rest: dict[str, object] = {"requests": (), "orders": (), "polls": (), "mass_at": NOW}
    return plan.make(**{"now": NOW, "slots": FREE, "resting": AWAKE, **rest, **values})


def ids(rows: list[list[Order]]) -> list[list[int]]:
    """The orders' numbers, row by row."""
    return [[each.id for each in row] for row in rows]


# -- slots -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "taken", "questions", "free", "free_questions"),
    [
        (14, 0, 0, 14, 4),
        (14, 12, 1, 2, 2),
        (14, 5, 4, 9, 0),
        (2, 0, 0, 2, 2),
        (14, 14, 2, 0, 0),
        (3, 5, 5, 0, 0),
    ],
)
def test_free_slots(most, taken, questions, free, free_questions):
    """Never below nothing; questions have at most four of what is free."""
    slots = Slots(most=most, taken=taken, questions=questions)
    assert (free, free_questions) == (slots.free, slots.free_questions)


def test_nothing_due_is_an_empty_plan():
    """An account with nothing to do makes no call."""
    assert 0 == made().calls


def test_kinds_go_in_their_order():
    """Unsure questions first, then repeats and sends, then polls, each in what the last left over."""
    asks = [request(n) for n in range(6)]
    again = [request(n, RequestState.REPEAT) for n in range(10, 13)]
    sends = [order(n, digest=str(n)) for n in range(20, 40)]
    polls = [order(n) for n in range(50, 60)]
    found = made(requests=[*again, *asks], orders=sends, polls=polls)
    assert (4, 3, 7, 0, 14) == (
        len(found.asks),
        len(found.repeats),
        len(found.sends),
        len(found.polls),
        found.calls,
    )
    assert [[n] for n in range(20, 27)] == ids(found.sends)
    found = made(requests=asks[:1], orders=sends[:2], polls=polls[:8])
    assert (1, 2, 3) == (len(found.asks), len(found.sends), len(found.polls))


def test_questions_under_way_count():
    """What is being asked already takes from the four."""
    slots = Slots(most=14, taken=3, questions=3)
    found = made(slots=slots, requests=[request(1), request(2)], polls=[order(3)])
    assert (1, 0) == (len(found.asks), len(found.polls))


def test_requests_under_way_or_done_are_left_alone():
    """Only unsure and repeated requests are due for a call."""
    idle = [request(1, RequestState.CALLING), request(2, RequestState.DONE)]
    assert 0 == made(requests=idle).calls


# -- rest --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "asks"), [(Rest.NONE, 1), (Rest.MONEY, 1), (Rest.LOGIN, 0), (Rest.BLOCKED, 0)]
)
def test_an_account_at_rest(why, asks):
    """At rest nothing is sent, repeats are put off; without a login or blocked nothing is asked either."""
    resting = Resting(why, NOW + 1)
    due = [request(1), request(2, RequestState.REPEAT)]
    found = made(resting=resting, requests=due, orders=[order(3)], polls=[order(4)])
    sends = int(why is Rest.NONE)
    assert (False, asks, sends, sends, asks) == (
        found.probe,
        len(found.asks),
        len(found.repeats),
        len(found.sends),
        len(found.polls),
    )
    assert (why in (Rest.LOGIN, Rest.BLOCKED)) == resting.silent
    assert ([] if sends else [2]) == [each.id for each in found.defer]
    assert 2 * asks + 2 * sends == found.calls


def test_an_account_is_awake_unless_it_rests():
    """An account of which nothing is known is awake and owes no probe."""
    assert (Rest.NONE, None, False) == (Resting().why, Resting().probe_at, Resting().silent)


def test_every_repeat_is_put_off():
    """Putting off is no call: it needs no slot, and it is for repeats alone."""
    due = [*(request(n, RequestState.REPEAT) for n in range(20)), request(50, RequestState.CALLING)]
    slots = Slots(most=1, taken=1, questions=0)
    found = made(resting=Resting(Rest.MONEY), slots=slots, requests=due)
    assert (list(range(20)), 0) == ([each.id for each in found.defer], found.calls)
    assert [] == made(slots=slots, requests=due).defer


@pytest.mark.parametrize(
    ("resting", "slots", "probe"),
    [
        (Resting(Rest.MONEY, NOW), FREE, True),
        (Resting(Rest.MONEY, NOW + 1), FREE, False),
        (Resting(Rest.BLOCKED, NOW - 1), FREE, True),
        (Resting(Rest.LOGIN, None), FREE, False),
        (Resting(Rest.NONE, NOW), FREE, False),
        (Resting(Rest.LOGIN, NOW), Slots(most=2, taken=2, questions=0), False),
    ],
)
def test_probes(resting, slots, probe):
    """One balance call when its time has come and a slot is free."""
    assert (probe, int(probe)) == ((found := made(resting=resting, slots=slots)).probe, found.calls)


def test_a_probe_takes_a_slot():
    """Where one slot is left the probe has it."""
    slots = Slots(most=1, taken=0, questions=0)
    found = made(resting=Resting(Rest.MONEY, NOW), slots=slots, requests=[request(1)])
    assert (True, 0) == (found.probe, len(found.asks))


def test_what_may_be_judged():
    """Nothing at rest or without a slot, nothing of a sender that is slowed."""
    due = [order(1, sender="ops"), order(2, sender="dev")]
    full = Slots(most=1, taken=1, questions=0)
    assert due == plan.sendable(due, resting=AWAKE, slots=FREE, slowed=())
    assert due[1:] == plan.sendable(due, resting=AWAKE, slots=FREE, slowed={"ops"})
    assert [] == plan.sendable(due, resting=Resting(Rest.MONEY), slots=FREE, slowed=())
    assert [] == plan.sendable(due, resting=AWAKE, slots=full, slowed=())


@pytest.mark.parametrize(
    ("probes", "why", "wait"),
    [(0, Rest.MONEY, 12_000), (1, Rest.MONEY, 60_000), (9, Rest.LOGIN, 300_000), (1, Rest.BLOCKED, 120_000)],
)
def test_when_to_probe(probes, why, wait):
    """After each step of `retry`, at most five times a minute; a blocked account waits twice as long."""
    assert wait == plan.probe_after([10_000, 60_000, 300_000], probes, why)


# -- requests ----------------------------------------------------------------------------------


def test_equal_content_goes_in_one_request():
    """Phones that get the same share a request; another digest, half or pinned request does not."""
    rows = [
        order(1, digest="a"),
        order(2, digest="b"),
        order(3, digest="a"),
        order(4, digest="a", batch=1),
        order(5, digest="a", request_id=9),
        order(6, digest="a", request_id=9),
    ]
    assert [[1, 3], [2], [4], [5, 6]] == ids(plan.groups(rows))


def test_a_phone_is_in_a_request_once():
    """The same phone twice is two requests."""
    rows = [order(1, "+7"), order(2, "+8"), order(3, "+7")]
    assert [[1, 2], [3]] == ids(plan.groups(rows))


def test_a_request_has_a_hundred_phones():
    """What is over goes in the next one."""
    assert [100, 100, 5] == [len(row) for row in plan.groups([order(n) for n in range(205)])]


@pytest.mark.parametrize("target", ["g777", "bob@example.com", "@nick", "#5"])
def test_who_is_no_phone_goes_alone(target):
    """Groups can't be asked about by phone, and recipients of mail are not listed together."""
    assert [[1], [2], [3]] == ids(plan.groups([order(1, target), order(2, "x@y.z"), order(3)]))
    assert not plan.together(order(1, target))
    assert plan.together(order(1))


def test_halves():
    """A refused request becomes two smaller ones, until the culprit stands alone."""
    rows = [order(n) for n in range(5)]
    assert ([[0, 1, 2]], [[3, 4]]) == tuple(ids([half]) for half in plan.halves(rows))
    assert (rows[:1], []) == plan.halves(rows[:1])


# -- asks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phones", "wants"), [(1, False), (SINGLY, False), (SINGLY + 1, True), (100, True)])
def test_which_asks_are_mass_questions(phones, wants):
    """Up to five phones are asked about one by one, more by the minute's mass question."""
    assert 5 == SINGLY
    assert wants == plan.wants_mass(request(1, phones=phones))


def asked(*phones: int, mass_at: int | None = None, **values: object) -> list[int]:
    """Which of the unsure requests, of so many phones each, are asked about."""
    rows = [request(n, phones=count) for n, count in enumerate(phones)]
    return [each.id for each in made(requests=rows, mass_at=mass_at, **values).asks]


@pytest.mark.parametrize("mass_at", [None, NOW - MASS_EVERY, NOW - HOUR, NOW + 1, NOW + HOUR])
def test_one_mass_ask_a_minute(mass_at):
    """Of several large requests the first is asked about, and small ones are not held up by the others."""
    assert [0, 3, 4] == asked(6, 100, 6, 5, 1, mass_at=mass_at)
    assert [0, 1, 3, 4] == asked(1, 6, 6, 1, 1, 1, mass_at=mass_at)


@pytest.mark.parametrize("mass_at", [NOW, NOW - 1, NOW - MASS_EVERY + 1])
def test_no_mass_ask_within_the_minute(mass_at):
    """Within 61 seconds of a mass question large requests wait, and small ones go."""
    assert 61 * SECOND == MASS_EVERY
    assert [1, 3] == asked(6, 5, 100, 1, mass_at=mass_at)


def test_an_ask_without_room_leaves_the_mass_question():
    """Where no ask fits nothing is taken from the minute."""
    assert [] == asked(6, slots=Slots(most=14, taken=4, questions=4))
    assert [0] == asked(1, 6, slots=Slots(most=1, taken=0, questions=0))


def test_one_mass_question_of_either_kind():
    """A large request takes the minute's mass question from the polls, a small one leaves it to them."""
    polls = [order(n) for n in range(20)]
    large = made(requests=[request(50, phones=6)], polls=polls, mass_at=None)
    assert ([50], [[0], [1], [2]]) == ([each.id for each in large.asks], ids(large.polls))
    small = made(requests=[request(50, phones=5)], polls=polls, mass_at=None)
    assert ([50], [list(range(20))]) == ([each.id for each in small.asks], ids(small.polls))


def test_a_repeat_is_no_mass_question():
    """Only unsure requests are asked about: what is sent again takes nothing from the minute."""
    polls = [order(n) for n in range(9)]
    found = made(requests=[request(50, RequestState.REPEAT, phones=50)], polls=polls, mass_at=None)
    assert ([50], [list(range(9))]) == ([each.id for each in found.repeats], ids(found.polls))


# -- polls -------------------------------------------------------------------------------------


def test_few_polls_are_asked_one_by_one():
    """Eight due questions are eight calls, as far as there is room."""
    assert [[0], [1], [2], [3]] == ids(made(polls=[order(n) for n in range(8)], mass_at=None).polls)


@pytest.mark.parametrize("mass_at", [None, NOW - MASS_EVERY, NOW + 1, NOW + HOUR])
def test_many_polls_are_one_mass_question(mass_at):
    """A mass question takes 200; the rest is asked one by one beside it. A minute to come is no minute."""
    found = made(polls=[order(n) for n in range(202)], mass_at=mass_at).polls
    assert [list(range(200)), [200], [201]] == ids(found)
    assert [list(range(9))] == ids(made(polls=[order(n) for n in range(9)], mass_at=mass_at).polls)


def test_mass_questions_go_once_a_minute():
    """Within the minute the most urgent ones are asked singly."""
    for mass_at in (NOW, NOW - MINUTE, NOW - MASS_EVERY + 1):
        found = made(polls=[order(n) for n in range(50)], mass_at=mass_at).polls
        assert [[0], [1], [2], [3]] == ids(found)


@pytest.mark.parametrize(
    ("target", "askable"),
    [("+79991234567", True), ("bob@example.com", True), ("g777", False), ("#5", False), ("777", False)],
)
def test_who_can_be_asked_about(target, askable):
    """Numbers and mail addresses are asked about by themselves, a group is looked for."""
    assert askable == plan.askable(order(1, target))


def test_groups_are_asked_about_singly_and_first():
    """A group is in no mass question and counts for none; it goes before single questions."""
    phones = [order(n) for n in range(8)]
    mixed = [*phones, order(50, "g777"), order(51, "g778")]
    assert [[50], [51], [0], [1]] == ids(made(polls=mixed, mass_at=None).polls)
    many = [*mixed, order(8, "bob@example.com")]
    assert [list(range(9)), [50], [51]] == ids(made(polls=many, mass_at=None).polls)
    assert [[50], [51], [0], [1]] == ids(made(polls=many).polls)


def test_a_poll_without_room_waits():
    """Where all questions are under way none is added."""
    slots = Slots(most=14, taken=4, questions=4)
    assert [] == made(polls=[order(n) for n in range(9)], slots=slots, mass_at=None).polls


# -- time --------------------------------------------------------------------------------------


def test_senders_are_slowed():
    """More than twenty refusals of one sender within the last minute slow that one alone."""
    fresh = [(NOW - MINUTE + 1, "ops")] * 20
    assert set() == plan.slowed([*fresh, (NOW - MINUTE, "ops"), (NOW, "dev")], NOW)
    assert {"ops"} == plan.slowed([*fresh, (NOW, "ops"), (NOW, "dev")], NOW)


def test_refusals_to_come_slow_nobody():
    """After the clock was set back a sender is not slowed until it has caught up."""
    assert set() == plan.slowed([(NOW + HOUR, "ops")] * 100, NOW)


def test_steps():
    """The last step repeats."""
    assert [10, 60, 300, 300] == [plan.step([10, 60, 300], n) for n in range(4)]


@given(
    attempts=st.integers(0, 50),
    steps=st.lists(st.integers(1, 10**9), min_size=1, max_size=6),
    chance=st.floats(0, 1, exclude_max=True),
)
@examples(max_examples=150)
def test_retries_keep_their_bounds(attempts, steps, chance):
    """Never sooner than the step, never later than a fifth beyond it."""
    wait = plan.retry_at(NOW, attempts, steps, chance) - NOW
    base = steps[min(max(attempts, 1), len(steps)) - 1]
    assert base <= wait <= base * 1.2
    assert base == plan.retry_at(NOW, attempts, steps, 0.0) - NOW


# -- laws --------------------------------------------------------------------------------------

TARGETS = st.sampled_from(["+7", "+8", "+9", "g777", "bob@example.com"])
ORDERS = st.lists(
    st.tuples(TARGETS, st.sampled_from("ab"), st.integers(0, 1), st.sampled_from([None, 5])), max_size=25
).map(
    lambda rows: [
        order(n, target, digest=digest, batch=batch, request_id=pinned)
        for n, (target, digest, batch, pinned) in enumerate(rows)
    ]
)
REQUESTS = st.lists(
    st.tuples(st.sampled_from(RequestState), st.sampled_from([1, SINGLY, SINGLY + 1, 20])), max_size=20
).map(lambda rows: [request(n, state, phones) for n, (state, phones) in enumerate(rows)])
SLOTS = st.tuples(st.integers(1, 14), st.integers(0, 15), st.integers(0, 5)).map(
    lambda three: Slots(most=three[0], taken=three[1], questions=min(three[2], three[1]))
)
RESTS = st.builds(Resting, st.sampled_from(Rest), st.sampled_from([None, NOW, NOW + 1]))
DUE = {
    "slots": SLOTS,
    "resting": RESTS,
    "requests": REQUESTS,
    "orders": ORDERS,
    "polls": st.tuples(st.integers(0, 230), st.integers(0, 3)).map(
        lambda two: [order(1000 + n, "g777" if n < two[1] else "") for n in range(sum(two))]
    ),
    "mass_at": st.sampled_from([None, NOW, NOW - MINUTE, NOW - MASS_EVERY, NOW + HOUR]),
}


@given(due=st.fixed_dictionaries(DUE))
@examples(max_examples=150)
def test_law_of_slots(due):
    """No plan has more calls than free slots, nor more than four questions with those under way."""
    found, slots = made(**due), due["slots"]
    assert found.calls <= slots.free
    assert len(found.asks) + len(found.polls) <= max(0, 4 - slots.questions)


@given(due=st.fixed_dictionaries(DUE))
@examples(max_examples=150)
def test_law_of_mass_questions(due):
    """One mass question of either kind in 61 seconds, only ever of what can be asked about so."""
    found, mass_at = made(**due), due["mass_at"]
    mass = [row for row in found.polls if len(row) > 1]
    count = len(mass) + sum(len(each.phones) > 5 for each in found.asks)
    assert count <= 1
    assert not count or mass_at is None or abs(NOW - mass_at) >= 61 * SECOND
    assert all(plan.askable(each) for row in mass for each in row)
    assert all(len(row) <= 200 for row in mass)


@given(due=st.fixed_dictionaries(DUE))
@examples(max_examples=150)
def test_law_of_asks(due):
    """Where there is room no small request waits, whatever stands before it; all keep their order."""
    due["resting"] = AWAKE
    found, room = made(**due), due["slots"].free_questions
    unsure = [each.id for each in due["requests"] if each.state is RequestState.UNSURE]
    asks = [each.id for each in found.asks]
    assert asks == [each for each in unsure if each in asks]
    if len(asks) < room:
        small = {each.id for each in due["requests"] if len(each.phones) <= 5}
        assert small & set(unsure) <= set(asks)


@given(due=st.fixed_dictionaries(DUE))
@examples(max_examples=150)
def test_law_of_once(due):
    """Nothing is in a plan twice, and nothing that was not due is in it at all."""
    found = made(**due)
    sent = [each for row in found.sends for each in row]
    polled = [each for row in found.polls for each in row]
    assert 1 >= max(Counter(each.id for each in [*sent, *polled]).values(), default=0)
    assert {each.id for each in sent} <= {each.id for each in due["orders"]}
    assert {each.id for each in polled} <= {each.id for each in due["polls"]}
    assert 1 >= max(Counter(each.id for each in [*found.asks, *found.repeats]).values(), default=0)


@given(due=st.fixed_dictionaries(DUE))
@examples(max_examples=150)
def test_law_of_rest(due):
    """A resting account sends nothing, and a silent one makes no call but its probe."""
    found, resting = made(**due), due["resting"]
    assert resting.why is Rest.NONE or not (found.sends or found.repeats)
    again = [each for each in due["requests"] if each.state is RequestState.REPEAT]
    assert found.defer == ([] if resting.why is Rest.NONE else again)
    assert not resting.silent or found.calls == int(found.probe)
    assert resting.why is not Rest.NONE or not found.probe


@given(due=st.fixed_dictionaries(DUE))
@examples(max_examples=150)
def test_law_of_no_starvation(due):
    """Awake and with a slot that unsure questions leave, something due is sent; none is left idle."""
    due["resting"] = AWAKE
    found, free = made(**due), due["slots"].free
    again = [each for each in due["requests"] if each.state is RequestState.REPEAT]
    if (due["orders"] or again) and free > len(found.asks):
        assert found.sends or found.repeats
    if due["orders"] and free > len(found.asks) + len(again):
        assert found.sends
        assert found.sends[0][0].id == due["orders"][0].id
    if free > found.calls:
        assert {each.id for row in found.sends for each in row} == {each.id for each in due["orders"]}


@given(rows=ORDERS)
@examples(max_examples=150)
def test_law_of_requests(rows):
    """Requests are a partition of the orders: of equal content, a phone once, a hundred at most."""
    found = plan.groups(rows)
    assert sorted(each.id for row in found for each in row) == [each.id for each in rows]
    for row in found:
        assert 1 <= len(row) <= PHONES
        assert len(row) == len({each.target for each in row})
        assert 1 == len({(each.digest, each.batch, each.request_id) for each in row})
        assert 1 == len(row) or all(plan.together(each) for each in row)


@given(rows=ORDERS)
@examples(max_examples=100)
def test_law_of_halves(rows):
    """Halves keep everybody and their order, and both are smaller where there is anything to halve."""
    first, second = plan.halves(rows)
    assert rows == first + second
    assert 0 <= len(first) - len(second) <= 1


# -- callbacks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heard_at", "wait"),
    [
        (None, 10 * SECOND),
        (NOW, 2 * MINUTE),
        (NOW - HOUR + 1, 2 * MINUTE),
        (NOW - HOUR, 10 * SECOND),
        (NOW + 1, 10 * SECOND),
    ],
)
def test_nothing_is_asked_at_first_where_callbacks_arrive(heard_at: int | None, wait: int) -> None:
    """Two minutes where the last callback is younger than an hour and not of the future."""
    assert wait == plan.first_poll(NOW, (10 * SECOND, MINUTE), heard_at)
    assert HOUR == plan.first_poll(NOW, (HOUR,), heard_at)


@pytest.mark.parametrize(
    ("target", "is_group"),
    [("g777", True), ("G1", True), ("g", False), ("g7@a.example", False), ("+7999", False)],
)
def test_what_a_group_is(target: str, is_group: bool) -> None:
    """A g and digits, nothing else."""
    assert is_group == plan.is_group(order(1, target))


@pytest.mark.parametrize(
    ("since_sent", "heard", "every"),
    [
        (0, None, MINUTE),
        (10 * MINUTE, None, MINUTE),
        (2 * HOUR, None, 12 * MINUTE),
        (100 * HOUR, None, HOUR),
        (2 * MINUTE, 3 * MINUTE, MINUTE),  # the last callback came before the message went out
        (2 * MINUTE, MINUTE, HOUR),
        (2 * MINUTE, -MINUTE, MINUTE),  # the clock jumped back
    ],
)
def test_how_often_answers_are_asked_for(since_sent, heard, every):
    """The more seldom, the longer nothing was sent; once an hour where callbacks follow what is sent."""
    heard_at = None if heard is None else NOW - heard
    assert every == plan.answers_every(NOW, NOW - since_sent, heard_at, MINUTE)


def test_a_long_wait_between_questions_for_answers_stays():
    """What the configuration wants is the least."""
    assert 3 * HOUR == plan.answers_every(NOW, NOW, NOW, 3 * HOUR)


def test_refused_often():
    """Counted within the last minute; the one who is goes alone before it is slowed."""
    refusals = [(NOW - MINUTE, "a"), *((NOW - n, "a") for n in range(plan.OFTEN)), (NOW, "b")]
    assert {"a": plan.OFTEN, "b": 1} == plan.refused(refusals, NOW)
    assert {"a"} == plan.often(refusals, NOW)
    assert set() == plan.slowed(refusals, NOW)


def test_the_longest_send():
    """Tells whether there was more to send than slots."""
    assert 0 == made().longest
    assert 1 == made(orders=[order(1, digest="a"), order(2, digest="b")]).longest
    assert 2 == made(orders=[order(1, digest="a"), order(2, digest="a")]).longest
