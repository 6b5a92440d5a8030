"""What is told of several at once, and what is told no more."""

from __future__ import annotations

import pytest

from relay.delivery import news
from relay.delivery.news import News
from relay.model import Kind
from relay.queue import schema
from relay.queue.rows import Order
from relay.queue.states import Event, State


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ({State.DELIVERED}, "2.1.5"),
        ({State.DELIVERED, State.FAILED}, "5.0.0"),
        ({State.DELIVERED, State.DROPPED}, "5.0.0"),
        ({State.DELIVERED, State.UNKNOWN}, "4.0.0"),
        ({State.UNKNOWN, State.FAILED}, "5.0.0"),
    ],
)
def test_a_group_is_as_well_as_its_worst_member(ends: set[State], status: str) -> None:
    """Delivered only where all are; a member who was surely not reached is said first."""
    assert status == news.of_group(ends).status


@pytest.mark.parametrize("event", [Event.LATER, Event.ABSENT, Event.EXPIRED, Event.ACCEPTED, Event.LOST])
def test_what_was_taken_meanwhile_is_not_tried_again(event: Event) -> None:
    """What the provider has, or may have, is told as ever; an alarm's own message goes on."""
    told = News(order=1, event=event, outcome=news.person(Kind.LATER, "4.4.1", "down"))
    values = {"id": 1, "state": "sending", "expire_at": 5}
    open_, step, own = (
        Order.of(schema.row(schema.orders, **(values | more)))
        for more in ({}, {"answered_at": 5}, {"answered_at": 4})
    )
    over = News(order=1, event=Event.EXPIRED, outcome=news.TAKEN)
    ends = event in (Event.LATER, Event.ABSENT, Event.EXPIRED)
    assert [told, over if ends else told, told] == [
        news.unless_taken(told, order) for order in (open_, step, own)
    ]
