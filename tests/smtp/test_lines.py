"""Line ends of a content: what is kept and what is seen do not depend on where it was cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.smtp.lines import LONGEST, Lines

PIECES = st.lists(
    st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"\r\r\n", b".", b"a", b"\0", b"\xff"])).map(b"".join)
)


def fed(manner, pieces):
    """What comes of a content in these pieces."""
    lines = Lines(manner)
    return b"".join([*map(lines.feed, pieces), lines.finish()]), lines


def ended(content):
    """The content, its last line ended."""
    return content if not content or content.endswith(b"\r\n") else content + b"\r\n"


@given(PIECES)
def test_strict_keeps_everything_and_sees_what_is_wrong(pieces):
    """Only a missing last line end is added."""
    whole = b"".join(pieces)
    kept, lines = fed("strict", pieces)
    assert kept == ended(whole)
    assert lines.bare == (b"\r" in whole.replace(b"\r\n", b"") or b"\n" in whole.replace(b"\r\n", b""))
    assert lines.nul == (b"\0" in whole)


@given(PIECES)
def test_normalise_makes_line_ends_of_whatever_stands_alone(pieces):
    """Nothing else changes, and a NUL is still seen."""
    whole = b"".join(pieces)
    kept, lines = fed("normalise", pieces)
    assert kept.replace(b"\r\n", b"").translate(None, b"\r\n") == kept.replace(b"\r\n", b"")
    assert kept.replace(b"\r\n", b"") == whole.translate(None, b"\r\n")
    assert (lines.bare, lines.nul) == (False, b"\0" in whole)
    if b"\r\r" not in whole:
        assert kept == ended(re.sub(rb"\r\n|\r|\n", b"\r\n", whole))


@given(PIECES)
def test_legacy_drops_nuls_too(pieces):
    """The same lines as by `normalise`, without NULs."""
    kept, lines = fed("legacy", pieces)
    assert kept.replace(b"\r\n", b"") == b"".join(pieces).translate(None, b"\r\n\0")
    assert (lines.bare, lines.nul, lines.long) == (False, False, False)


@pytest.mark.parametrize("manner", ["strict", "normalise", "legacy"])
def test_an_overlong_line_is_seen_wherever_it_is_cut(manner):
    """One octet more than the most, its CR counted, is one too many; two lines are not one."""
    block = b"x" * (LONGEST // 4)
    for pieces, long in (
        ([block] * 4, False),
        ([b"ab\r\n", *[block] * 4, b"y\r\n"], True),
        ([block, block, block + b"\r\n" + block, block, block], False),
        ([block, block, block, block[:-1] + b"\r\n\r\n"] * 2, False),
    ):
        assert fed(manner, pieces)[1].long == (long and manner != "legacy")


def test_a_line_end_that_was_translated_twice_is_one():
    """CR CR LF, cut anywhere, is one line end to whoever mends."""
    for cut in range(8):
        for manner in ("normalise", "legacy"):
            kept, _ = fed(manner, [b"a\r\r\nb\r\r\n"[:cut], b"a\r\r\nb\r\r\n"[cut:]])
            assert kept == b"a\r\nb\r\n"


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\r\r\n"]), max_size=10).map(b"".join))
def test_a_cr_or_lf_that_stands_alone_is_found(octets):
    """A mail is bare exactly where something is left of its ends once all pairs are out."""
    lines = Lines("strict")
    lines.feed(octets)
    lines.finish()
    rest = octets.replace(b"\r\n", b"")
    assert (b"\r" in rest or b"\n" in rest) == lines.bare
