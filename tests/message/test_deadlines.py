"""Whatever time there is, our queue and the provider together never take more of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import Quiet, Route
from relay.message import deadlines
from relay.message.deadlines import SHORTEST
from relay.model import DAY, HOUR, MINUTE, SECOND, Content, Envelope, Kind, Outcome
from relay.replies import Reply

NOW = 1_800_000_000_000
ROUTE = Route.model_validate({"match": "*", "channel": "sms"})


def envelope(left, hold=0):
    """What must arrive within so many milliseconds, held for some of them."""
    until = NOW + hold if hold else 0
    return Envelope(sender="a@b", deliver_by=NOW + left, returned=True, hold_until=until)


def milliseconds(valid):
    """Those of hh:mm."""
    return int(valid[:2]) * HOUR + int(valid[3:]) * MINUTE


@given(
    st.integers(0, 40 * DAY // SECOND),
    st.integers(0, 30 * DAY // SECOND),
    st.sampled_from(["", "1", "24", "00:01", "09:30", "3"]),
)
def test_no_phone_hears_it_late(left, hold, valid):
    """The last moment in our queue and `valid` end by the deadline, and each has a minute at least."""
    asked = envelope(left * SECOND, hold * SECOND)
    start = max(NOW, asked.hold_until)
    content = Content(channel="sms", text="x", params={"valid": valid} if valid else {})
    found = deadlines.bounded(content, ROUTE, asked, NOW)
    if asked.deliver_by - start < SHORTEST:
        assert isinstance(found, Reply)
        return
    assert not isinstance(found, Reply)
    takes = milliseconds(found.params["valid"])
    expires = deadlines.expiry(found, ROUTE, asked, start)
    assert MINUTE <= takes <= DAY
    assert start + MINUTE // 2 <= expires <= start + ROUTE.expire
    assert expires + takes <= asked.deliver_by


def test_nobody_who_did_not_ask_is_changed():
    """No `valid`, the usual expiry, no priority, no hold."""
    content, plain = Content(channel="call", text="x"), Envelope(sender="a@b", deliver_by=NOW + 1)
    assert deadlines.bounded(content, ROUTE, plain, NOW) is content
    assert deadlines.expiry(content, ROUTE, plain, NOW) == NOW + ROUTE.expire
    assert (deadlines.priority(plain, "9"), deadlines.held(plain, NOW)) == (0, "")


def test_where_nothing_can_be_promised():
    """By the channel, by what says when, by the route's quiet hours; each with its reason."""
    quiet = ROUTE.model_copy(update={"quiet": Quiet(hours="22-7")})
    held = ROUTE.model_copy(update={"quiet": Quiet(hours="22-7", by="hold")})
    said = [
        deadlines.refusal("call", ROUTE, {}),
        deadlines.refusal("mms", ROUTE, {}),
        deadlines.refusal("sms", ROUTE, {"time": "9-21"}),
        deadlines.refusal("sms", ROUTE, {"period": "2"}),
        deadlines.refusal("sms", quiet, {}),
        deadlines.refusal("sms", held, {}),
    ]
    assert ["call", "mms", "later", "later", "quiet", "quiet"] == [
        next(word for word in ("quiet", "later", "call", "mms") if word in each.text) for each in said
    ]
    assert deadlines.refusal("sms", ROUTE, {"valid": "3"}) is None


@given(
    st.integers(0, 2**50),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "for;1", "until;2027-01-15T08:30:00Z"]),
    st.none() | st.integers(-9, 9),
)
def test_wishes_are_read_back_as_they_were(by, returned, traced, hold, level):
    """What is stored of an envelope is all that is told later; of one without wishes nothing is."""
    asked = Envelope(sender="a@b", deliver_by=by, returned=returned, hold=hold, traced=traced, priority=level)
    found = deadlines.timing(deadlines.stored(asked))
    assert (by, returned, hold) == (found.by, found.returned, found.hold)
    assert (("R" if returned else "N") + ("T" if traced and by else "")) == found.mode
    assert ("" if level is None else str(level)) == found.priority
    assert bool(deadlines.stored(asked)) == bool(by or returned or hold or found.priority)


@pytest.mark.parametrize(
    ("kind", "status", "returned", "told"),
    [
        (Kind.EXPIRED, "4.4.1", True, "5.4.7"),
        (Kind.REFUSED, "4.4.7", True, "5.4.7"),
        (Kind.REFUSED, "5.1.3", True, "5.1.3"),
        (Kind.EXPIRED, "4.4.1", False, "4.4.1"),
    ],
)
def test_a_time_that_ran_out_is_called_that(kind, status, returned, told):
    """RFC 2852 section 4.1.3, for R; what failed for another cause says so."""
    outcome = Outcome(kind=kind, status=status, reason="x", code="3")
    found = deadlines.ended(outcome, deadlines.Timing(by=NOW, returned=returned))
    assert (told, "x", "3") == (found.status, found.reason, found.code)


@pytest.mark.parametrize(
    ("by", "returned", "told"),
    [(NOW, False, "4.4.7"), (NOW + 1, False, "4.4.1"), (NOW, True, "4.4.1"), (0, False, "4.4.1")],
)
def test_a_delay_beyond_the_time_is_called_that(by, returned, told):
    """And for N, from the moment on."""
    outcome = Outcome(kind=Kind.LATER, status="4.4.1", reason="no connection")
    found = deadlines.late(outcome, deadlines.Timing(by=by, returned=returned), NOW)
    assert told == found.status
    assert found.reason.endswith("no connection")
