"""Which calls are made next: slots, the order of kinds, requests that orders share, and laws of these."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay.delivery import plan
from relay.delivery.plan import PHONES, Plan, Resting, Slots
from relay.model import MINUTE, Rest
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


def request(number: int, state: RequestState = RequestState.UNSURE) -> Request:
    """A request that is due."""
    return Request.of(schema.row(schema.request, id=number, state=state.value))


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
    """At rest nothing is sent; without a login or blocked nothing is asked either."""
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


# -- polls -------------------------------------------------------------------------------------


def test_few_polls_are_asked_one_by_one():
    """Eight due questions are eight calls, as far as there is room."""
    assert [[0], [1], [2], [3]] == ids(made(polls=[order(n) for n in range(8)], mass_at=None).polls)


@pytest.mark.parametrize("mass_at", [None, NOW - MINUTE])
def test_many_polls_are_one_mass_question(mass_at):
    """A mass question takes 200; the rest is asked one by one beside it."""
    found = made(polls=[order(n) for n in range(202)], mass_at=mass_at).polls
    assert [list(range(200)), [200], [201]] == ids(found)
    assert [list(range(9))] == ids(made(polls=[order(n) for n in range(9)], mass_at=mass_at).polls)


def test_mass_questions_go_once_a_minute():
    """Within the minute the most urgent ones are asked singly."""
    found = made(polls=[order(n) for n in range(50)], mass_at=NOW - MINUTE + 1).polls
    assert [[0], [1], [2], [3]] == ids(found)


# -- time --------------------------------------------------------------------------------------


def test_senders_are_slowed():
    """More than twenty refusals of one sender within the last minute slow that one alone."""
    fresh = [(NOW - MINUTE + 1, "ops")] * 20
    assert set() == plan.slowed([*fresh, (NOW - MINUTE, "ops"), (NOW, "dev")], NOW)
    assert {"ops"} == plan.slowed([*fresh, (NOW, "ops"), (NOW, "dev")], NOW)


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
REQUESTS = st.lists(st.sampled_from(RequestState), max_size=20).map(
    lambda states: [request(n, state) for n, state in enumerate(states)]
)
SLOTS = st.tuples(st.integers(1, 14), st.integers(0, 15), st.integers(0, 5)).map(
    lambda three: Slots(most=three[0], taken=three[1], questions=min(three[2], three[1]))
)
RESTS = st.builds(Resting, st.sampled_from(Rest), st.sampled_from([None, NOW, NOW + 1]))
DUE = {
    "slots": SLOTS,
    "resting": RESTS,
    "requests": REQUESTS,
    "orders": ORDERS,
    "polls": st.integers(0, 230).map(lambda n: [order(1000 + each) for each in range(n)]),
    "mass_at": st.sampled_from([None, NOW, NOW - MINUTE]),
}


@given(due=st.fixed_dictionaries(DUE))
@examples(max_examples=150)
def test_law_of_slots(due):
    """No plan has more calls than free slots, nor more than four questions with those under way."""
    found, slots = made(**due), due["slots"]
    assert found.calls <= slots.free
    assert len(found.asks) + len(found.polls) <= max(0, 4 - slots.questions)
    assert sum(len(row) > 1 for row in found.polls) <= 1


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
