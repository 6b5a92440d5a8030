"""Quiet hours: what the provider is told, and when an order may go."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relay.config import Route
from relay.message import quiet
from relay.model import DAY, HOUR, MINUTE

MIDNIGHT = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 1000


def route(hours: str, by: str, **values: object) -> Route:
    """A route with quiet hours."""
    return Route.model_validate(
        {
            "match": "*", "channel": "sms", "account": "main", "accounts": ["main"],
            "quiet": {"hours": hours, "by": by}, **values,
        }
    )  # fmt: skip


def berlin(at: int) -> int:
    """The zone of Berlin."""
    offset = datetime.fromtimestamp(at / 1000, ZoneInfo("Europe/Berlin")).utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) * 1000


@pytest.mark.parametrize(
    ("hours", "time"),
    [("22-7", "7-22"), ("0-7", "7-24"), ("24-7", "7-24"), ("22-24", "0-22"), ("23-0", "0-23")],
)
def test_the_provider_is_told_the_open_hours(hours, time):
    """`time` says when it may send: everything but the quiet hours."""
    assert time == quiet.time(route(hours, "provider"), "sms", {})
    assert "" == quiet.kept(route(hours, "provider"), "sms", {})


@pytest.mark.parametrize(
    ("hours", "by"), [("7-7", "hold"), ("0-24", "hold"), ("9-18", "provider"), ("1-7", "provider")]
)
def test_hours_that_cannot_be(hours, by):
    """No hours at all, or open hours in two pieces, which the provider does not take."""
    with pytest.raises(ValidationError, match="write"):
        route(hours, by)


@pytest.mark.parametrize(
    ("channel", "params", "applies"),
    [
        ("sms", {}, True),
        ("call", {}, True),
        ("mail", {}, True),
        ("sms", {"time": "9-21"}, False),  # whoever sets it has said when
        ("sms", {"time": "0"}, False),
        ("hlr", {}, False),  # rings nowhere
        ("ping", {}, False),
        ("forward", {}, False),
    ],
)
def test_where_quiet_hours_apply(channel, params, applies):
    """Where something reaches somebody, and nobody said when."""
    assert applies == bool(quiet.time(route("22-7", "provider"), channel, params))
    assert applies == bool(quiet.kept(route("22-7", "hold"), channel, params))


def test_the_zone_is_the_messages_own_where_it_has_one():
    """In hours from Moscow's, as the provider counts."""
    assert "22-7" == quiet.kept(route("22-7", "hold"), "sms", {})
    assert "22-7/-1" == quiet.kept(route("22-7", "hold"), "sms", {"tz": "-1"})


@pytest.mark.parametrize(
    ("hours", "at", "end"),
    [
        ("22-7", 21 * HOUR + 59 * MINUTE, None),
        ("22-7", 22 * HOUR, DAY + 7 * HOUR),
        ("22-7", 6 * HOUR + 59 * MINUTE, 7 * HOUR),
        ("22-7", 7 * HOUR, None),
        ("9-18", 8 * HOUR, None),
        ("9-18", 9 * HOUR, 18 * HOUR),
        ("9-18", 18 * HOUR, None),
        ("22-24", 23 * HOUR, DAY),
        ("0-7", 0, 7 * HOUR),
        ("22-7/-3", 22 * HOUR, DAY + 7 * HOUR),  # London in winter
        ("22-7/0", 19 * HOUR, DAY + 4 * HOUR),  # Moscow
        ("22-7/0", 18 * HOUR, None),
        ("22-7/2.5", 0, HOUR + HOUR // 2),
        ("", 0, None),
    ],
)
def test_when_the_quiet_hours_end(hours, at, end):
    """None where it is not quiet."""
    found = quiet.until(hours, MIDNIGHT + at, quiet.utc)
    assert end == (None if found is None else found - MIDNIGHT)


@pytest.mark.parametrize(
    "day", [datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)]
)
def test_clocks_may_be_changed_in_the_night(day):
    """Seven o'clock is seven o'clock in summer time and after it."""
    end = quiet.until("22-7", int(day.timestamp()) * 1000, berlin)
    assert end is not None
    local = datetime.fromtimestamp(end / 1000, ZoneInfo("Europe/Berlin"))
    assert (7, 0) == (local.hour, local.minute)


@given(first=st.integers(0, 23), length=st.integers(1, 23), at=st.integers(MIDNIGHT, MIDNIGHT + 400 * DAY))
def test_the_end_is_the_first_moment_that_is_not_quiet(first, length, at):
    """It is quiet until then, and not at it."""
    hours = f"{first}-{(first + length) % 24}"
    end = quiet.until(hours, at, berlin)
    if end is not None:
        assert at < end <= at + DAY + HOUR
        assert quiet.until(hours, end, berlin) is None
