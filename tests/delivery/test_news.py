"""What is told of several at once."""

from __future__ import annotations

import pytest

from relay.delivery import news
from relay.queue.states import State


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
