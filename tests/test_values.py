"""Values that are made anew with some fields changed."""

from __future__ import annotations

import dataclasses

import pytest

from relay import values
from relay.model import Envelope, Recipient


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """Two fields, the second with a default."""

    one: int
    two: tuple[int, ...] = ()


def test_a_changed_value_is_what_replace_makes():
    """Named fields are the new ones, all others are as they were, and so is the class."""
    envelope = Envelope(sender="a@example.com", utf8=True, priority=3)
    people = (Recipient(address="79991234567@sms.example.com"),)

    made = values.changed(envelope, recipients=people, priority=None)

    assert dataclasses.replace(envelope, recipients=people, priority=None) == made
    assert type(made) is Envelope


def test_the_value_itself_stays_as_it_is():
    """A change makes another value."""
    before = Pair(1, (2,))

    after = values.changed(before, one=5)

    assert (Pair(1, (2,)), Pair(5, (2,))) == (before, after)


def test_a_field_that_is_none_is_a_fault():
    """A misspelt field is not lost without a word."""
    with pytest.raises(KeyError):
        values.changed(Pair(1), three=3)


def test_a_changed_value_cannot_be_changed_in_place():
    """It is as frozen as any value of its class."""
    made = values.changed(Pair(1), one=2)

    with pytest.raises(dataclasses.FrozenInstanceError):
        made.one = 3


def test_a_row_of_the_wrong_length_is_a_fault():
    """A value has all of its fields or is none."""
    with pytest.raises(ValueError, match="argument"):
        values.Form(Pair).made([1])
