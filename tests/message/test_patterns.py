"""Patterns that may take hours are refused, those that end are taken."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message.patterns import fault

NESTED = [
    *("(a+)+", "(a*)*b", "((a+))+", "(?:x|a+)*", "(a{2,})+", "([ab]+c?)*", "(a+){3,}", "(a{0,20}b){40}"),
    *("(?i:a+)+", "((?:a+)){20}b", "(?P<a>.*?,){11}P", r"(?:[^\"]|\"[^\"]*\")*z", r"(\w+\s?)*$", "(a+){4}b"),
]
ALTERNATIVES = ["(?:a|a)*b", "(a|aa)+$", "(a|a?)+b", "((a|b))+", "(a|b){4}"]
LENGTHS = ["(a{1,9}){1,9}b", "(?:a?){30}a{30}", r"(\d{1,3})+", r"(,?\d\d)+", r"(\d{1,3}\.?)+", "((a?)b)+"]
ROWS = [
    *(
        "a*a*a*a*a*a*b",
        ".*.*.*.*x",
        ".*a.*b.*c.*d",
        r"\d+a\d+b\d+c\d+",
        "-*-*-*-*b",
        "-+-+-+-+b",
        "-*;*-*;*b",
    ),
    *(r"(?:x|a*a*)a*a*b", "(?:ab)*(?:ab)*(?:ab)*(?:ab)*", "a*(?:b*|c*c*)a*a*", r"[a-c\d]*a*b*\w*"),
    *("a*(?:-)?a*(?:-)?a*(?:-)?a*b", "a*(?:-|)a*(?:-|)a*(?:-|)a*b"),
]
UNREAD = ["(?x)(a+) +b", "(a+)(?#c)+b", "(?ix:a)", "(?xi)a"]
FAST = [
    *(
        "a+b+",
        "(ab)+",
        "(a+)?",
        "(a+)b+",
        r"\(a+\)+",
        "[(]a+[)]+",
        "(a++)+",
        "(?>a+)+",
        "(a+)++",
        "(a{3}){2,5}",
    ),
    *("[]a+]+", "(?i)a+", "(?:ab){1,4}", "(?P<x>a+)b", "(a{2}b)+", r"(\d{1,3}\.)+", r"\d+\.\d+\.\d+\.\d+"),
    *(
        "(?=.*a)(?=.*b)(?=.*c)(?=.*d)",
        "a+|b+|c+|d+|e+",
        "(?>a|b)+",
        r"(\w{1,9} )+",
        "a*a*a*",
        "(a|b){2}",
        "x{,9}",
    ),
    *(r"^(\w+)\s*:\s*(\d+)\s*(\w+)\s*$", "(a))+", "*", "a{2,1}", "(?P<x>a)(?P=x)(?(x)b|c)", "(?i)(?:a|b)"),
]
KINDS = {"is repeated itself": NESTED, "alternatives": ALTERNATIVES, "longer or shorter": LENGTHS,
         "more than three": ROWS, "(?x) or a comment": UNREAD}  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "kind"), [(each, kind) for kind, found in KINDS.items() for each in found]
)
def test_a_pattern_that_may_take_hours_is_refused(pattern, kind):
    """The sentence says what of it does, and what to write."""
    assert kind in fault(pattern)


@pytest.mark.parametrize("pattern", FAST)
def test_a_pattern_that_ends_is_taken(pattern):
    """What is told apart, what never gives back, and signs that only look like a repetition."""
    assert fault(pattern) == ""


PIECES = [
    "a",
    "b",
    r"\d",
    r"\w",
    ".",
    "(",
    "(?:",
    ")",
    "|",
    "+",
    "*",
    "?",
    "{1,9}",
    "{2}",
    ",",
    "++",
    "[ab]",
    "$",
]


@pytest.mark.timeout(120)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_whatever_is_taken_ends(pattern):
    """Lines of forty letters in less than a second, where the worst that is refused would take days."""
    try:
        regex = re.compile(pattern)
    except re.error:
        return
    if not fault(pattern):
        begun = time.process_time()
        for line in ("a" * 40, "ab" * 20, "1" * 40, "a," * 20, "a" * 39 + "!"):
            regex.search(line + "\n~")
        assert time.process_time() - begun < 5
