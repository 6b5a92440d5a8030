"""Counting, cutting and transliterating texts; times of sending. No socket here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.smsc.sandbox import RefusalError, schedule, text

NOW = 1_800_000_000.0  # Friday 15.01.2027 11:00:00 in Moscow
HOUR = 3600


@given(st.text(alphabet="aя{€😀\n", max_size=700))
def test_parts_rejoin_to_the_text(whole):
    """No part is longer than the network carries, and none tears a character."""
    found = text.cut_up(whole)
    limit = 153 if text.is_gsm(whole) else 67
    sizes = [
        sum(2 if char in "{€" else 1 for char in part) if limit == 153 else len(part.encode("utf-16-le")) // 2
        for part in found
    ]
    assert "".join(found) == whole
    assert len(found) == 1 or max(sizes) <= limit


@pytest.mark.parametrize(
    ("whole", "count"),
    [
        ("", 1),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("я" * 134, 2),
        ("я" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("ç" * 70, 1),
        ("ç" * 71, 2),
        ("€" * 80, 1),
    ],
)
def test_parts_are_counted_as_the_operator_does(whole, count):
    """160 and 153 of the GSM alphabet, 70 and 67 of any other."""
    assert text.parts(whole) == count


@pytest.mark.parametrize(
    ("way", "latin"), [("0", "Щука, транслит"), ("1", "Schuka, translit"), ("2", "III,yka, mpaHc/Ium")]
)
def test_translit_has_two_ways(way, latin):
    """By sound, or by looks as in the vendor's example."""
    assert text.translit("Щука, транслит", way) == latin


@pytest.mark.parametrize(
    ("time", "tz", "expected"),
    [
        ("", "", 0),
        ("0", "", 0),
        ("1501271200", "", HOUR),
        ("15.01.27 12:00", "", HOUR),
        ("15.01.27 12:00", "2", 0),
        ("15.01.27 14:30", "2", 1.5 * HOUR),
        ("15.01.27 12:00", "-1", 2 * HOUR),
        ("1401271200", "", 0),
        ("01800000060", "", 60),
        ("01700000000", "", 0),
        ("+15", "", 900),
        ("9-21", "", 0),
        ("12-13", "", HOUR),
        ("12-13", "-7", 8 * HOUR),
        ("9-11", "", 22 * HOUR),
        ("22-7", "", 11 * HOUR),
        ("22-12", "", 0),
        ("10-2", "", 0),
    ],
)
def test_times_of_sending(time, tz, expected):
    """Each of the vendor's four forms; what has passed means at once."""
    due = schedule.due(time, tz, NOW)
    assert due == (NOW + expected if expected else 0)


@pytest.mark.parametrize(
    "time", ["1", "12", "-5", "31.02.27 10:00", "15.01.2027 12:00", "15.01.27", "9-99", "+"]
)
def test_times_that_are_none(time):
    """Anything else is error 5."""
    with pytest.raises(RefusalError) as refusal:
        schedule.due(time, "", NOW)
    assert (refusal.value.code, str(refusal.value)) == (5, "5 (invalid time format)")
