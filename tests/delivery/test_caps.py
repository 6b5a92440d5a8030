"""Caps as rules: whom they touch, what is over, which step counts for how long."""

from __future__ import annotations

import dataclasses

import pytest

from relay.config import Cap, checks
from relay.delivery import caps, escalation
from relay.delivery.caps import Use, Want
from relay.model import DAY, HOUR, MINUTE, SECOND
from relay.queue import schema
from relay.queue.rows import Order
from relay.queue.states import State

A, B = "+79991234567", "+79991234568"
NOW = 1_800_000_123_456


def message(source="mon", target=A, account="main", channel="sms") -> Want:
    """A message to be."""
    return Want(source=source, target=target, account=account, channel=channel)


@pytest.mark.parametrize(
    ("cap", "touched"),
    [
        ({"sender": "mon"}, ["day sender mon"]),
        ({"sender": "other"}, []),
        ({"account": "main", "per": "month"}, ["month account main"]),
        ({"account": "second"}, []),
        ({"phone": A, "per": "hour"}, [f"hour phone {A}"]),
        ({"phone": B}, []),
        ({"phone": "*", "per": "minute"}, [f"minute phone {A}"]),
    ],
)
def test_whom_a_cap_touches(cap, touched):
    """The sender's entry, the account, the phone; each phone by a star."""
    rule = Cap.model_validate({"messages": 1, **cap})
    assert touched == [name for _cap, name in caps.touching([rule], message())]


@pytest.mark.parametrize("each", [message(channel="forward"), message(source="x", target="g7", account="x")])
def test_whom_no_cap_touches(each):
    """Forwarded mail costs nothing; a group is no phone."""
    rules = [Cap(sender="mon", messages=0), Cap(phone="*", messages=0)]
    assert [] == caps.touching(rules, each)


@pytest.mark.parametrize(
    ("limit", "used", "what"),
    [
        ({"messages": 2}, Use(1, 0, 0), ""),
        ({"messages": 2}, Use(2, 0, 0), "messages"),
        ({"messages": 0}, Use(), "messages"),
        ({"parts": 5}, Use(9, 4, 0), ""),
        ({"parts": 5}, Use(0, 5, 0), "parts"),
        ({"cost": 3}, Use(9, 9, 2_999_999), ""),
        ({"cost": 3}, Use(0, 0, 3_000_000), "cost"),
        ({"messages": 2, "cost": 3}, Use(1, 0, 3_000_000), "cost"),
        ({"messages": 2}, Use(-4, 0, 0), ""),
    ],
)
def test_when_a_cap_is_reached(limit, used, what):
    """Messages by what comes too; parts and money once they are spent."""
    rule = Cap.model_validate({"sender": "mon", **limit})
    over = caps.judge([rule], [message()], {"day sender mon": used})
    assert ({0: what} if what else {}) == {place: each.what for place, each in over.items()}


def test_messages_of_one_mail_are_judged_one_after_the_other():
    """Two fit, the third does not; one to another phone takes nothing from it."""
    rule = Cap(phone="*", messages=2)
    over = caps.judge([rule], [message(), message(), message(), message(target=B)], {})
    assert [2] == list(over)


def test_what_is_over_takes_nothing_from_others():
    """A phone's cap does not use up the sender's."""
    rules = [Cap(phone=A, messages=0), Cap(sender="mon", messages=1)]
    assert [0] == list(caps.judge(rules, [message(), message(target=B)], {}))


def test_a_cap_that_stands_twice_counts_once():
    """Two limits on the same days of the same sender share what they count."""
    rules = [Cap(sender="mon", messages=2), Cap(sender="mon", cost=1)]
    assert [2] == list(caps.judge(rules, [message()] * 3, {}))


def test_a_refusal_speaks_first():
    """Where one cap holds and another refuses, the client hears of it."""
    rules = [Cap(sender="mon", messages=0, over="hold"), Cap(phone=A, messages=0)]
    (over,) = caps.judge(rules, [message()], {}).values()
    assert "refuse" == over.cap.over


def test_what_the_watch_sends_is_stopped_by_no_cap():
    """The operator hears of a cap although it is reached."""
    rules = [Cap(account="main", messages=0, cost=0)]
    assert {} == caps.judge(rules, [message(source=caps.WATCH)], {})
    assert {} == caps.spent(rules, [message(source=caps.WATCH)], {})


def test_nobody_else_has_the_names_of_the_relay_s_own():
    """An entry of senders that was called so would shed its caps."""
    assert {caps.WATCH, escalation.TOOK} < checks.OWN_NAMES


def test_before_it_goes_out_only_parts_and_money_are_looked_at():
    """Messages were counted when they were taken: this one is among them."""
    used = {"day sender mon": Use(99, 5, 0)}
    assert {} == caps.spent([Cap(sender="mon", messages=1, parts=6)], [message()], used)
    assert [0] == list(caps.spent([Cap(sender="mon", parts=5)], [message()], used))


@pytest.mark.parametrize(
    ("per", "length", "step"),
    [
        ("minute", MINUTE, 5 * SECOND),
        ("hour", HOUR, MINUTE),
        ("day", DAY, HOUR),
        ("month", 30 * DAY, DAY),
    ],
)
def test_nothing_is_forgotten_before_its_time(per, length, step):
    """What counts now counts until its window has passed, and a step longer at most."""
    name = caps.name(per, "sender", "mon")
    at = caps.step(name, NOW)
    assert at <= NOW < at + step
    assert at > caps.since(name, NOW + length - 1)
    assert at <= caps.since(name, NOW + length + step)


@pytest.mark.parametrize(
    ("state", "sent", "parent", "counts"),
    [
        (State.WAITING, None, None, True),
        (State.SENDING, None, None, True),
        (State.UNSURE, None, None, True),
        (State.SENT, 1, None, True),
        (State.DELIVERED, 1, None, True),
        (State.UNKNOWN, None, None, True),
        (State.FAILED, 1, None, True),
        (State.FAILED, None, None, False),
        (State.HELD, None, None, False),
        (State.MERGED, None, None, False),
        (State.DROPPED, None, None, False),
        (State.SENT, 1, 5, False),  # a group's member
    ],
)
def test_which_orders_count(state, sent, parent, counts):
    """What was, is or may be sent; a group is one message."""
    row = schema.row(schema.orders, id=1, state=state.value)
    order = dataclasses.replace(Order.of(row), sent_at=sent, parent_id=parent)
    assert counts == caps.counts(order)


@pytest.mark.parametrize(
    ("written", "millionths"),
    [
        ("1.40", 1_400_000), ("1,40", 1_400_000), ("0", 0), ("", 0), ("free", 0), ("NaN", 0),
        ("Infinity", 0), ("1e99", 0), ("0.0000001", 0), ("-2", -2_000_000),
    ],
)  # fmt: skip
def test_money_is_read_as_the_provider_writes_it(written, millionths):
    """What is no sum counts as nothing."""
    assert millionths == caps.millionths(written)


@pytest.mark.parametrize(
    ("cap", "said"),
    [
        (
            {"sender": "mon", "messages": 0},
            "the cap of 0 (messages in one day) for the sender mon is reached",
        ),
        (
            {"phone": "*", "parts": 0, "per": "hour"},
            "the cap of 0 (parts in one hour) for this phone is reached",
        ),
        ({"account": "main", "cost": 0}, "the cap of 0 (cost in one day) for the account is reached"),
    ],
)
def test_what_is_said_of_a_cap(cap, said):
    """Which limit it is; no phone and no account is named."""
    (over,) = caps.judge([Cap.model_validate(cap)], [message()], {}).values()
    assert said == over.why
