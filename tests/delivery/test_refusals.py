"""What senders were refused lately: what counts, and what other nodes hear of it."""

import pytest

from relay.delivery.refusals import Refusals
from relay.model import Kind, Outcome

NOW = 1_000_000


def outcome(kind, code=""):
    """An answer to a request."""
    return Outcome(kind=kind, status="5.0.0", reason="said so", code=code)


@pytest.mark.parametrize("code", ["1", "5", "6", "7", "8"])
def test_a_senders_own_fault_counts_once_for_each_request(code):
    """Two orders of one sender in a request are one refusal."""
    refusals = Refusals()
    refusals.heed(outcome(Kind.REFUSED, code), ["a", "a", "b"], NOW)

    assert [(NOW, "a"), (NOW, "b")] == sorted(refusals.all())


@pytest.mark.parametrize(
    "other", [outcome(Kind.REFUSED, "3"), outcome(Kind.ACCEPTED), outcome(Kind.LATER, "7")]
)
def test_nothing_else_counts(other):
    """What is the account's trouble, or none at all, slows nobody."""
    refusals = Refusals()
    refusals.heed(other, ["a"], NOW)

    assert [] == list(refusals.all())
    assert not refusals.untold()


def test_other_nodes_hear_of_a_refusal_once():
    """What was told is told no more, and still counts here."""
    refusals = Refusals()
    refusals.heed(outcome(Kind.REFUSED, "7"), ["a"], NOW)

    assert {"a": 1} == refusals.untold()
    assert {} == refusals.untold()
    assert [(NOW, "a")] == list(refusals.all())


def test_what_other_nodes_were_refused_stands_among_ours_by_age():
    """The oldest comes first; what is heard takes the place of what was heard before."""
    refusals = Refusals()
    refusals.heed(outcome(Kind.REFUSED, "7"), ["a"], NOW)
    refusals.hear([(NOW - 5, "c")])
    refusals.hear([(NOW + 1, "a"), (NOW - 1, "b")])

    assert [(NOW - 1, "b"), (NOW, "a"), (NOW + 1, "a")] == list(refusals.all())
