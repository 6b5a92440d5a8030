"""Cleaning, comments, and saying once what was written twice."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import model
from relay.message import text

ODD = st.text(
    alphabet="a é\u0301\t\r\n\x00\x1b\x85\u2028\u200b\u202e\ufeff\ud800\ufdd0\ufdd17~\\n", max_size=60
)
EVERY_LETTER = "".join(map(chr, range(0x110000)))


def thoroughly(given_):
    """The printable text without the searches that pass a step over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "_UNCLEAN", re.compile(""))
        patch.setattr(text, "_COMPOSING", re.compile(""))
        return text.printable(given_)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\tb", "a b"),
        ("a\x00\x07\x1b[0m\x7f\x9bb", "ab"),
        ("a\u200b\u2060\ufeff\u00ad\u034fb", "ab"),
        ("\u202eevil\u202c \u2066x\u2069", "evil x"),
        ("a\ufdd2\ufffe\U0001ffffb\ud800\ufffc", "ab"),
        ("a  \nb\u00a0\n", "a\nb"),
        ("\n\n a\n\n\n\n\nb \n\n", "a\n\nb"),
        ("a\x0bb\x0cc\x85d\u2028e\u2029f", "a\nb\nc\nd\ne\nf"),
        ("e\u0301 и\u0306", "é й"),
        (f"a{model.mark(12)}b", f"a{model.mark(12)}b"),
        ("a\ufdd0b\ufdd1c\ufdd0\ufdd1", "abc"),
        ("👩\u200d👧", "👩\u200d👧"),
    ],
)
def test_what_has_no_place_in_a_text_goes(given_, wanted):
    """Line ends become one kind; what can't be seen goes; marks of files stay."""
    assert wanted == text.clean(given_)


@given(ODD | st.text())
def test_cleaning_twice_changes_nothing_more(given_):
    """Clean text is clean: no control character but the newline, no trailing space."""
    clean = text.clean(given_)
    assert clean == text.clean(clean)
    assert not [each for each in clean if unicodedata.category(each) in {"Cc", "Cs"} and each != "\n"]
    assert all(line == line.rstrip() for line in clean.split("\n"))
    assert "\n\n\n" not in clean


def test_printable_keeps_spaces_and_lines():
    """For markup only what is unprintable goes."""
    assert "  <p>\n\n\n\n x </p> \n" == text.printable(
        "\t <p>\r\n\r\n\n\n x \x00</p> \r\n".replace("\t", " ")
    )


def test_one_line_is_one_line_of_bounded_length():
    """A subject with folds and control characters becomes one line."""
    assert "Disk full on db1" == text.one_line(" Disk\r\n full\x00  on\tdb1 ")
    assert "a" * 199 + "…" == text.one_line("a" * 201)
    assert "abc…" == text.one_line("abc defghi", limit=5)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("Hello!\n~~~\nComment", ("Hello!", "Comment")),
        ("Hello!", ("Hello!", "")),
        ("a\n~~~\nb\n~~~\nc", ("a\n~~~\nb", "c")),
        ("a\n \t~~~ \nb", ("a", "b")),
        ("a\n~~~", ("a", "")),
        ("~~~\nALARM", ("~~~\nALARM", "")),
        ("\n \n~~~\nALARM", ("\n \n~~~\nALARM", "")),
        ("~~~\nALARM\n~~~\n", ("~~~\nALARM", "")),
        ("a ~~~ b\n~~~~\nc", ("a ~~~ b\n~~~~\nc", "")),
        ("a\r\n~~~\r\nb", ("a", "b")),
        ("a\\n~~~\\nb", ("a\\n~~~\\nb", "")),
    ],
)
def test_the_last_mark_begins_the_comment(body, wanted):
    """Only ~~~ alone on a line is a mark, and one that would hide everything is none."""
    assert wanted == text.split_comment(body)


@pytest.mark.parametrize(
    ("subject", "body", "wanted"),
    [
        ("Disk full", "Disk full\non db1", ("", "Disk full\non db1")),
        ("disk  FULL", "Disk full: db1", ("", "Disk full: db1")),
        ("Disk full", "Host: db1\n  Disk full \nsince 3:00", ("", "Host: db1\n  Disk full \nsince 3:00")),
        ("Re: Fwd[2]: Disk full", "disk full", ("", "disk full")),
        ("FW: Отв: Диск", "Диск 95 %", ("", "Диск 95 %")),
        ("Disk full on db1", "disk full", ("Disk full on db1", "")),
        ("PROBLEM: disk full", "Disk full", ("PROBLEM: disk full", "")),
        ("Disk 9", "Disk 95 %", ("Disk 9", "Disk 95 %")),
        ("a1 rests", "rest", ("a1 rests", "rest")),
        ("Alarm 11", "1", ("Alarm 11", "1")),
        ("Down", "It went down", ("Down", "It went down")),
        ("", "body", ("", "body")),
        ("Re:", "body", ("Re:", "body")),
        ("subject", " ", ("subject", " ")),
    ],
)
def test_what_both_say_is_said_once(subject, body, wanted):
    """The one that the other contains is left out, whatever its case, spaces and Re:."""
    assert wanted == text.once(subject, body, 1000)


def test_what_may_be_cut_off_says_nothing():
    """A subject that the body says only where nobody may read it is said, and so is a body that goes on."""
    assert ("Disk full", "Host: db1\nDisk full") == text.once("Disk full", "Host: db1\nDisk full", 10)
    assert ("one two", "Alarm: one two three") == text.once("one two", "Alarm: one two three", 7)


def test_what_both_begin_with_is_said_once_however_little_is_left():
    """A cut leaves as much of the one as of the other, and said twice it would leave less."""
    assert ("", "Disk full on db1\nroot") == text.once("Disk full on db1", "Disk full on db1\nroot", 0)
    assert ("Disk full on db1", "") == text.once("Disk full on db1", "Disk full", 0)


@given(st.text(max_size=30), st.text(max_size=60))
def test_saying_once_never_loses_the_longer(subject, body):
    """At most one of the two is left out, and never so that a word is lost."""
    kept = text.once(subject, body, 1000)
    assert kept in {(subject, body), ("", body), (subject, "")}
    assert text.clean("".join(kept)) or not text.clean(subject + body)


@given(ODD | st.text(alphabet="a\r\n\t\ufdd0\ufdd19e\u0301\u0300\u036f", max_size=12) | st.text())
def test_a_step_that_is_passed_over_had_nothing_to_do(given_):
    """The printable text is the same when every step is taken."""
    assert thoroughly(given_) == text.printable(given_)


def test_letters_that_are_passed_over_are_printable():
    """Of all letters there are, those that the search does not find stay as they are, side by side."""
    sound = text._UNCLEAN.sub("", EVERY_LETTER)
    assert len(sound) > 60_000
    assert sound == thoroughly(sound)


def test_splitting_knows_the_same_spaces_as_patterns():
    """One space for each run of white space, whichever way it is found."""
    assert " ".join(EVERY_LETTER.split()) == re.sub(r"\s+", " ", EVERY_LETTER).strip()


@given(*[st.text(alphabet="aBß \n\u00a0İẞσς", max_size=9)] * 2)
def test_a_line_is_looked_for_only_where_the_body_holds_it(subject, body):
    """No line says what the body as a whole does not hold."""
    short, long = text._folded(subject), text._folded(body)
    found = bool(short) and any(text._folded(line) == short for line in body.split("\n"))
    assert found == (bool(short) and text._is_line(short, long, body))
