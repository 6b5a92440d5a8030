"""Paragraphs that a mailer broke into lines are whole again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message import flowed


@pytest.mark.parametrize(
    ("text", "delsp", "expected"),
    [
        ("one \ntwo\nthree", False, "one two\nthree"),
        ("one \ntwo", True, "onetwo"),
        (" stuffed\n >no quote", False, "stuffed\n>no quote"),
        (">a \n>b\n>>c \nd", False, "> ab".replace("ab", "a b") + "\n>> c \nd"),
        ("text \n-- \nname", False, "text \n-- \nname"),
        ("", False, ""),
        ("a\n\nb", False, "a\n\nb"),
    ],
)
def test_flowed_lines_are_joined(text, delsp, expected):
    """RFC 3676: soft breaks, quotes, space-stuffing, the signature's sign."""
    assert expected == flowed.unfold(text, delsp=delsp)


@given(st.text("a >-\n", max_size=40))
def test_no_letter_is_lost(text):
    """Whatever the text, its letters stay in order."""
    assert text.count("a") == flowed.unfold(text, delsp=True).count("a")
