"""One message told in two ways is one; two messages of equal words are two."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery import twice
from relay.model import DAY, HOUR, MINUTE
from relay.queue.followups import Incoming, Told

NOW = 1_800_000_000_000
ONE = Incoming(
    id=1,
    mark="",
    account="main",
    phone="+79991234567",
    to_phone="79990000000",
    kind="sms",
    text="ok",
    received_at=NOW,
    order_id=None,
    notice_id=None,
    took=0,
    told=Told.CALLED,
)
LISTED = replace(ONE, told=Told.FETCHED)


def test_what_a_call_told_the_list_tells_again():
    """By its words, whatever the space around them, and a number with or without its plus."""
    for row in (
        ONE,
        replace(ONE, text=" ok\n"),
        replace(ONE, to_phone="+79990000000"),
        replace(ONE, to_phone=""),
    ):
        assert row == twice.fetched([row], LISTED, NOW - 1)


@pytest.mark.parametrize(
    "change",
    [
        {"text": "OK"},
        {"phone": "+79991234568"},
        {"account": "backup"},
        {"kind": "call"},
        {"to_phone": "79990000001"},
        {"told": Told.BOTH},
        {"told": Told.FETCHED},
        {"received_at": NOW - 1},
    ],
)
def test_another_message_is_not_the_same(change):
    """Other words, another phone, one that was told both ways already, one that was called too early."""
    assert None is twice.fetched([replace(ONE, **change)], LISTED, NOW - 1)


def test_a_late_call_is_known_by_its_time():
    """Told by the list before, and older than that telling: the same; younger: another message."""
    row = replace(LISTED, received_at=NOW - HOUR)
    assert row == twice.called([row], ONE, NOW - HOUR - MINUTE)
    assert None is twice.called([row], ONE, NOW - HOUR + 2 * MINUTE)


def test_a_late_call_without_a_time_is_the_same_for_ten_minutes():
    """After that it is a message of its own."""
    for wait, same in ((9 * MINUTE, True), (10 * MINUTE, False)):
        row = replace(LISTED, received_at=NOW - wait)
        assert same == (row == twice.called([row], ONE, None))
    assert None is twice.called([ONE, replace(LISTED, text="no")], ONE, None)


def test_since_when_calls_may_be_told_again():
    """What was fetched before the last question has been told again by then, ten minutes aside."""
    assert NOW - 3 * DAY == twice.since(NOW, None) == twice.since(NOW, NOW - 9 * DAY)
    assert NOW - HOUR - 10 * MINUTE == twice.since(NOW, NOW - HOUR)


def test_a_call_rings_once_a_minute():
    """A confirming call and the message that records it, both told by calls, are one."""
    call = replace(ONE, kind="call", text="")
    assert twice.rings_on([replace(call, received_at=NOW - 1)], call)
    assert not twice.rings_on([replace(call, received_at=NOW - MINUTE)], call)
    assert not twice.rings_on([ONE], ONE)


@given(st.lists(st.sampled_from([Told.CALLED, Told.FETCHED]), max_size=30))
def test_as_many_as_were_sent(ways):
    """Of "ok" sent n times, told in both ways in any order: as many messages as the busier way told."""
    rows: list[Incoming] = []
    for number, way in enumerate(ways):
        one = replace(ONE, id=number, told=way, received_at=NOW + number)
        if way is Told.FETCHED:
            twin = twice.fetched(rows, one, NOW - 1)
        else:
            twin = twice.called(rows, one, NOW + number - 1000)
        if twin is None:
            rows.append(one)
        else:
            rows[rows.index(twin)] = replace(twin, told=Told.BOTH)
    assert max(ways.count(Told.CALLED), ways.count(Told.FETCHED)) == len(rows)


def test_a_clock_that_was_set_back_hides_nothing():
    """What was called before it was is no repeat for hours, and the list's twins are found after it."""
    ahead = NOW + 2 * HOUR
    ring = replace(ONE, kind="call", received_at=ahead)
    assert not twice.rings_on([ring], replace(ONE, kind="call"))
    assert None is twice.called([replace(LISTED, received_at=ahead)], ONE, None)
    assert ONE == twice.fetched([ONE], LISTED, twice.since(NOW, ahead))
