"""Which account an order waits for: tables, and laws over any course of rests."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from harness import START
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery import fallback
from relay.delivery.fallback import LONG, PROBE_MOST, TRIES, Reach
from relay.model import MINUTE, SECOND, Kind, Outcome, Rest
from relay.queue import schema
from relay.queue.rows import Order, Request, RequestState
from relay.queue.states import State
from relay.smsc import outcomes

WELL, MONEY, LOGIN = Rest.NONE, Rest.MONEY, Rest.LOGIN
NAMES = ("a", "b", "c")


def order(account: str = "a", choice: tuple[str, ...] = NAMES, **values: object) -> Order:
    """An order that waits for an account and may go by those of its choice."""
    accounts = json.dumps(choice) if len(choice) > 1 else ""
    row = {"id": 1, "state": "waiting", "account": account, "accounts": accounts} | values
    return Order.of(schema.row(schema.orders, **row))


def request(state: RequestState, broke_at: int | None = None) -> Request:
    """The request that an order holds on to."""
    return Request.of(schema.row(schema.request, id=2, account="a", state=state.value, broke_at=broke_at))


@pytest.mark.parametrize(
    ("account", "standings", "to"),
    [
        ("a", {"a": WELL, "b": WELL, "c": WELL}, "a"),
        ("a", {"a": MONEY, "b": WELL, "c": WELL}, "b"),
        ("a", {"a": LOGIN, "b": Rest.UNREACHABLE, "c": WELL}, "c"),
        ("a", {"a": Rest.BLOCKED, "b": MONEY, "c": MONEY}, "a"),  # none works: it stays
        ("b", {"a": WELL, "b": WELL, "c": WELL}, "b"),  # moved before, it stays though a works again
        ("b", {"a": WELL, "b": MONEY, "c": WELL}, "a"),  # but rests where it is: back to the first
        ("c", {"a": MONEY, "b": WELL, "c": MONEY}, "b"),
        ("a", {"a": MONEY, "c": WELL}, "c"),  # b is configured no more
        ("a", {"b": WELL, "c": WELL}, "b"),  # a is not
        ("a", {"b": MONEY, "c": LOGIN}, "b"),  # nor is a, and none works: b may again
        ("a", {"x": WELL}, "a"),  # none of them is configured
        ("a", {"a": MONEY, "x": WELL}, "a"),
    ],
)
def test_where_a_waiting_order_goes(account, standings, to):
    """To the first of its accounts that works, and only off one that does not."""
    assert to == fallback.account_for(order(account), None, standings)


def test_an_order_of_one_account_stays():
    """It has nowhere else to go."""
    assert "a" == fallback.account_for(order(choice=("a",)), None, {"a": MONEY, "b": WELL})


@pytest.mark.parametrize("state", [state for state in State if state is not State.WAITING])
def test_only_what_waits_moves(state):
    """Above all nothing that is unsure, or that a call carries."""
    assert "a" == fallback.account_for(order(state=state.value), None, {"a": MONEY, "b": WELL})


@pytest.mark.parametrize(
    ("held", "to"),
    [
        (request(RequestState.DONE), "b"),  # no connection: nothing left this machine
        (request(RequestState.DONE, broke_at=START), "a"),
        (request(RequestState.UNSURE, broke_at=START), "a"),
        (request(RequestState.REPEAT, broke_at=START), "a"),
        (request(RequestState.CALLING), "a"),
    ],
)
def test_what_the_provider_may_have_stays(held, to):
    """A request that broke once, or is on its way, holds its orders."""
    assert to == fallback.account_for(order(request_id=2), held, {"a": MONEY, "b": WELL})


@pytest.mark.parametrize(
    ("standings", "words"),
    [
        ({"a": MONEY}, "a has no money"),
        ({"a": LOGIN}, "a's login is refused"),
        ({"a": Rest.BLOCKED}, "a is blocked"),
        ({"a": Rest.UNREACHABLE}, "a can't be reached"),
        ({}, "a is configured no more"),
    ],
)
def test_why_it_moved(standings, words):
    """The story tells people."""
    assert words == fallback.why("a", standings)


any_standings = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(list(Rest)))
any_order = st.builds(
    order,
    account=st.sampled_from(NAMES),
    choice=st.permutations(NAMES).flatmap(
        lambda names: st.integers(1, 3).map(lambda many: tuple(names[:many]))
    ),
    state=st.sampled_from([state.value for state in State]),
)


@given(any_order, any_standings)
def test_every_waiting_order_with_an_account_that_works_ends_there(each, standings):
    """Where any of its accounts works it waits for one that does; and nothing else moves."""
    to = fallback.account_for(each, None, standings)
    if each.state is not State.WAITING:
        assert to == each.account
    elif any(standings.get(name) is WELL for name in (*each.choice, each.account)):
        assert standings[to] is WELL
    assert to in (*each.choice, each.account)


@given(any_order, any_standings)
def test_between_two_changes_of_standing_nothing_moves_twice(each, standings):
    """The rule is at rest where it leads: there is no ping-pong."""
    to = fallback.account_for(each, None, standings)
    assert to == fallback.account_for(replace(each, account=to), None, standings)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([WELL, MONEY, LOGIN])), max_size=40))
def test_an_order_leaves_an_account_once_for_each_of_its_rests(changes):
    """However accounts come and go, no order moves more often than accounts went to rest."""
    each, standings = order(), dict.fromkeys(NAMES, WELL)
    moves = rests = 0
    for name, rest in changes:
        rests += standings[name] is WELL and rest is not WELL
        standings[name] = rest
        to = fallback.account_for(each, None, standings)
        moves += to != each.account
        each = replace(each, account=to)
    assert moves <= rests


# -- connections --------------------------------------------------------------------------

STEPS = (10 * SECOND, MINUTE, 60 * MINUTE)


def missed(*seconds: float) -> Reach:
    """After calls that found no connection at these moments."""
    reach = Reach()
    for each in seconds:
        reach = reach.missed(START + int(each * SECOND), STEPS)
    return reach


@pytest.mark.parametrize(
    ("seconds", "lost"),
    [
        ((), False),
        ((0,), False),
        ((0,) * 14, False),  # all calls at once are one dropped line
        ((0, LONG / SECOND - 0.001), False),
        ((0, LONG / SECOND), True),  # TRIES of them
        ((0, 1, 2, 3, LONG / SECOND), True),
        ((0, -50), False),  # the clock jumped back: counted from there
        ((0, -50, -41), False),
        ((0, -50, -40), True),
    ],
)
def test_when_an_account_is_unreachable(seconds, lost):
    """After two calls in a row, ten seconds apart, that found no connection."""
    assert 2 == TRIES
    assert lost == missed(*seconds).lost


def test_an_unreachable_account_is_probed_after_the_steps_but_each_minute():
    """The waits grow to a minute, not to the hour; further misses put nothing off."""
    reach = missed(0, 10)
    assert START + 10 * SECOND + 12 * SECOND == reach.probe_at  # five a minute at most
    assert reach.probe_at == reach.missed(START + 15 * SECOND, STEPS).probe_at
    for at in (100 * SECOND, 1000 * SECOND, 9000 * SECOND):
        reach = reach.probed(START + at, STEPS)
        assert START + at + PROBE_MOST == reach.probe_at


@pytest.mark.parametrize(
    ("outcome", "there"),
    [
        (outcomes.accepted(), True),
        (outcomes.for_error(7), True),
        (outcomes.for_error(3), True),
        (outcomes.broke_off(), True),
        (outcomes.no_connection(), False),
        (outcomes.about_question(outcomes.no_connection()), False),
        (Outcome(kind=Kind.LATER, status="4.4.1", reason="the call could not be begun"), False),
    ],
)
def test_what_says_that_the_provider_was_there(outcome, there):
    """An answer does, or a connection that broke; a fault of ours says nothing."""
    assert there == fallback.answered(outcome)
