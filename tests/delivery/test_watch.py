"""What the relay watches of itself: when it tells, whom, by which account, in which words."""

from __future__ import annotations

import dataclasses

import pytest

from relay.config import Alias, Quiet, Route
from relay.delivery import watch
from relay.message.routes import Resolved
from relay.model import HOUR, MINUTE
from relay.queue import schema
from relay.queue.rows import Order
from relay.replies import Reply

PHONE = "+79991234567"
NOW = 1_800_000_000_000


def route(match: str = "*@sms.example.com", channel: str = "sms", **values: object) -> Route:
    """A route of the account `main`."""
    return Route.model_validate(
        {"match": match, "channel": channel, "account": "main", "accounts": ["main"], **values}
    )


@pytest.mark.parametrize(
    ("amount", "low"),
    [
        ("99.99", True),
        ("100", False),
        ("100.00", False),
        ("-5", True),
        ("99,99", True),
        ("much", None),
        ("", None),
    ],
)
def test_a_balance_is_low_below_its_limit(amount, low):
    """What can't be read tells nothing."""
    assert low is watch.is_low(amount, 100)


@pytest.mark.parametrize(
    ("resting", "troubled", "chosen"),
    [
        ((), "", "a"),
        ((), "a", "b"),
        (("a",), "", "b"),
        (("a",), "b", "c"),
        (("b", "c"), "a", ""),
    ],
)
def test_trouble_is_told_through_an_account_that_has_none(resting, troubled, chosen):
    """The first that neither rests nor is the one in trouble."""
    assert chosen == watch.through(["a", "b", "c"], resting, troubled)


def test_a_number_is_reached_by_sms_at_any_hour():
    """Through the account that is well; the sender's name of another account stays behind."""
    ways = [route("*@call.example.com", "call"), route(params={"sender": "ALERTS"}, quiet={"hours": "22-7"})]
    found = watch.reached(PHONE, ways, {}, "second")
    assert isinstance(found, Resolved)
    assert ("sms", "second", {}, Quiet()) == (
        found.channel, found.route.account, dict(found.route.params), found.route.quiet,
    )  # fmt: skip
    own = watch.reached(PHONE, ways, {}, "main")
    assert isinstance(own, Resolved)
    assert {"sender": "ALERTS"} == dict(own.route.params)


def test_an_address_of_an_alias_reaches_its_members():
    """By the route of its domain."""
    ways, aliases = [route("*@call.example.com", "call")], {"oncall": Alias(to=(PHONE,))}
    found = watch.reached("oncall@call.example.com", ways, aliases, "b")
    assert isinstance(found, Resolved)
    assert ("call", PHONE) == (found.channel, found.targets[0].to)


@pytest.mark.parametrize(
    ("to", "ways", "said"),
    [
        ("", [route()], ""),
        (PHONE, [route()], ""),
        ("nobody", [route()], "neither an alias"),
        (PHONE, [route("*", "mail")], "no route leads to phones"),
        ("boss@example.org", [route(), route("*", "mail")], "no route for this domain"),
    ],
)
def test_a_phone_that_cannot_be_reached_is_a_fault(to, ways, said):
    """It is found when the configuration is judged, not in the night."""
    found = watch.complaint(to, ways, {})
    assert said in found
    assert bool(said) == bool(found)
    assert isinstance(watch.reached(to or "x", ways, {}, "a"), Reply | Resolved)


def test_the_words():
    """Short, and no whole number of anybody's phone in it."""
    assert "Account main holds 4.20 EUR, which is less than 100 (reports.low_balance)." == watch.of_balance(
        "main", "4.20", "EUR", 100
    )
    row = schema.row(schema.orders, id=1, account="main", state="waiting", start_at=0, target=PHONE)
    order = dataclasses.replace(Order.of(row), reason="no connection")
    said = watch.of_queue(order, 31 * MINUTE)
    assert said.startswith("Message 0000000000001 has waited for 31 minutes to be sent by account main.")
    assert said.endswith(" Last heard: no connection.")
    name = f"day phone {PHONE}"
    assert "cap on phone ********4567, day" == watch.subject_of_cap(name)
    assert PHONE not in watch.of_cap(name, "it is reached", "hold")
    assert "refused" in watch.of_cap("day sender mon", "it is reached", "refuse")


def test_a_phone_reads_a_part_or_two():
    """Who says it first; cut where it is long."""
    assert "relay.example.com: out of money" == watch.on_phone("relay.example.com", "out of money")
    assert (140, "...") == (len(watch.on_phone("a", "x" * 500)), watch.on_phone("a", "x" * 500)[-3:])


def test_calls_are_silent_where_they_came_before():
    """Not where none ever came; not before the hour is over; not where one came with the message."""
    assert not watch.is_silent(NOW, None, NOW + HOUR)
    assert None is watch.is_silent(NOW, NOW - HOUR, NOW + HOUR - 1)
    assert watch.is_silent(NOW, NOW - HOUR, NOW + HOUR)
    assert False is watch.is_silent(NOW, NOW - MINUTE, NOW + HOUR)
    assert watch.of_silence("main", NOW, NOW + HOUR).startswith("For 60 minutes the provider has not called")
