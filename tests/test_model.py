"""The nouns: keys that grow, outcomes that say something, recipients that are masked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import masking, model
from relay.model import Ids, Kind, Outcome

NOW = 1_800_000_000_000


@given(st.lists(st.integers(min_value=NOW - 10, max_value=NOW + 10), max_size=50))
def test_keys_grow_even_where_the_clock_jumps_back(moments):
    """Each key is larger than all before it."""
    ids = Ids(3)
    keys = [ids.new(now) for now in moments]
    assert sorted(set(keys)) == keys


@given(st.integers(min_value=0, max_value=1 << 62), st.integers(min_value=0, max_value=1023))
def test_the_end_of_a_claim_tells_whose_it_is(until, node):
    """It is never early, and two seconds late at most."""
    marked = model.marked(until, node)
    assert node == model.marker(marked)
    assert 0 < marked - until < 2048


def test_more_keys_than_a_millisecond_holds():
    """The next millisecond is borrowed; no key comes twice."""
    ids = Ids(1)
    keys = [ids.new(NOW) for _ in range(10_000)]
    assert sorted(set(keys)) == keys


def test_makers_of_different_nodes_never_make_the_same_key():
    """The node is part of the key."""
    one, two = Ids(1), Ids(2)
    assert not {one.new(NOW) for _ in range(100)} & {two.new(NOW) for _ in range(100)}


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_key_is_read_back_as_it_was_shown(key):
    """In thirteen letters and digits, whatever their case."""
    assert key == model.unshow(model.show(key)) == model.unshow(model.show(key).upper())
    assert 13 == len(model.show(key))


@pytest.mark.parametrize("text", ["", "x", "0" * 12, "0" * 14, "u" * 13])
def test_what_is_no_key_is_refused(text):
    """Too short, too long, letters that no key has."""
    with pytest.raises(ValueError):
        model.unshow(text)


@pytest.mark.parametrize(("status", "reason"), [("", "why"), ("5.0.0", "")])
def test_an_outcome_says_what_and_why(status, reason):
    """Neither may be empty."""
    with pytest.raises(ValueError):
        Outcome(kind=Kind.REFUSED, status=status, reason=reason)


@pytest.mark.parametrize(
    ("recipient", "masked"),
    [
        ("+79991234567", "********4567"),
        ("g777", "g777"),
        ("79991234567+valid=2@sms.example.com", "***4567@sms.example.com"),
        ("oncall@sms.example.com", "o***@sms.example.com"),
        ("bob@example.org", "b***@example.org"),
    ],
)
def test_recipients_are_masked_for_logs(recipient, masked):
    """Enough to find a line again, too little to call."""
    assert masked == masking.phone_masked(recipient)


def test_fields_cut_otherwise_have_another_digest():
    """Lengths are part of what is digested."""
    assert model.stable_digest(b"ab", b"c") != model.stable_digest(b"a", b"bc")


def test_what_is_said_of_a_mail_s_content_is_logged_without_it():
    """File names, and whatever else is quoted or listed, stay out."""
    assert "552 the file … is too large" == masking.content_hidden("552 the file 'a.csv' is too large: 5 MB")
    assert "554 no attachments" == masking.content_hidden("554 no attachments: a.csv, b.csv")


def test_the_log_s_form_knows_the_whole():
    """Who wants numbers in full finds them beside what is shown."""
    assert ("*******4567", "79991234567") == (
        masking.phone_masked("79991234567"),
        masking.phone_masked("79991234567").whole,
    )


def test_a_quoted_number_is_masked_in_a_sentence():
    """What a refusal quotes goes to the log without the number."""
    assert masking.quotes_masked('"8(999)1234567" is not a number, see RFC 5321 4.1.1.2') == (
        '"***4567" is not a number, see RFC 5321 4.1.1.2'
    )
    assert masking.quotes_masked("'bob' is no alias") == "'bob' is no alias"


@given(st.integers(0, 1023), st.integers(1_800_000_000_000, 2_000_000_000_000))
def test_a_key_tells_who_made_it(node: int, now: int):
    """Whatever the moment and the count."""
    keys = Ids(node)
    assert [node] * 3 == [model.maker(keys.new(now)) for _ in range(3)]
