"""Files that stand in a text are files, and the text around them stays."""

from __future__ import annotations

import binascii

import pytest

from relay.message import content, uuencode
from relay.model import mark

DATA = bytes(range(256))


def packed(data: bytes, name: str = "a.bin", end: str = "`\nend") -> str:
    """What uuencode writes."""
    lines = [binascii.b2a_uu(data[at : at + 45]).decode().rstrip("\n") for at in range(0, len(data), 45)]
    return "\n".join([f"begin 644 {name}", *lines, end])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"see\n{packed(DATA)}\nbye", ["see", uuencode.Found("a.bin", DATA, whole=True), "bye"]),
        (packed(DATA, "a b.png"), ["", uuencode.Found("a b.png", DATA, whole=True), ""]),
        (packed(DATA, end=""), ["", uuencode.Found("a.bin", DATA, whole=False), ""]),
        (packed(DATA, end="`"), ["", uuencode.Found("a.bin", DATA, whole=False), ""]),
        (
            f"{packed(b'one')}\n{packed(b'two')}",
            ["", uuencode.Found("a.bin", b"one", whole=True), "", uuencode.Found("a.bin", b"two", True), ""],
        ),
        (packed(DATA, end="no such line"), [packed(DATA, end="no such line")]),
        ("begin 644 a\nALARM\nPUMP 3 DOWN\n", ["begin 644 a\nALARM\nPUMP 3 DOWN\n"]),
        ("begin 600 seconds\nPUMP STOPPED", ["begin 600 seconds\nPUMP STOPPED"]),
        ("begin 644 a\nend", ["begin 644 a\nend"]),
        ("begin 644 a", ["begin 644 a"]),
        ("begin the day\nend it", ["begin the day\nend it"]),
        ("text", ["text"]),
        ("", [""]),
    ],
)  # fmt: skip
def test_files_are_found_between_words(text, expected):
    """Whole ones, one that was cut, several, and what only looks like one."""
    assert expected == list(uuencode.split(text))


def test_a_mail_with_a_file_in_its_text_has_both():
    """The mark stands where the file stood; a cut one is noted."""
    letter = content.read(f"\nsee\n{packed(DATA, '../x.bin')}\nbye".encode())
    assert (f"see\n{mark(0)}\nbye", [("x.bin", DATA)], ()) == (
        letter.plain,
        [(file.name, file.data) for file in letter.files],
        letter.notes,
    )
    cut = content.read(f"\nsee\n{packed(DATA, end='')}".encode())
    assert (1, ("a file in the text (uuencode) was cut off",)) == (len(cut.files), cut.notes)
    assert content.read(b"\nbegin 644 the day").plain == "begin 644 the day"


def test_files_in_a_text_count_as_parts():
    """Five hundred are taken, the rest is left out, which is said."""
    letter = content.read(b"\n" + "\n".join([packed(b"x")] * 600).encode())
    assert (500, ("parts beyond the first 500 were left out",)) == (len(letter.files), letter.notes)
    assert "begin" not in letter.plain


def test_a_hundred_thousand_beginnings_take_no_time():
    """Each line is looked at once."""
    assert len(list(uuencode.split("begin 644 a\n!\n" * 100_000))) == 3
