"""Transfer encodings are undone, broken ones as far as they go."""

from __future__ import annotations

import base64
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message import transfer

OCTETS = bytes(range(256)) * 4
TEXT = base64.encodebytes(OCTETS)


def decode(body: bytes, encoding: str) -> bytes:
    """The octets, where nothing is to be said of them."""
    data, note = transfer.decode(memoryview(body), encoding)
    assert not note
    return data


@pytest.mark.parametrize(
    "value", ["8bit", " BASE64 (really)", '"Base64"', "base64;", "", "Quoted-Printable\t"]
)
def test_labels_are_cleaned(value):
    """Case, quotes and comments do not matter."""
    assert transfer.label(value) in ("8bit", "base64", "", "quoted-printable")


@pytest.mark.parametrize(
    "body",
    [
        TEXT, TEXT.replace(b"\n", b"\r\n"), TEXT.rstrip(b"=\n"), TEXT.replace(b"\n", b""),
        b"\n" + TEXT + b"\n\n",
        TEXT[:100] + b"*" + TEXT[100:], TEXT + b"\n_____\nMailing list footer\nhttp://x/y",
        b"".join(base64.encodebytes(OCTETS[at : at + 50]) for at in range(0, len(OCTETS), 50)),
    ],
)  # fmt: skip
def test_base64_is_read_in_any_state(body):
    """Line ends, padding, junk, a footer below (which is said), line by line: the octets come back."""
    data, note = transfer.decode(memoryview(body), "base64")
    assert (OCTETS, b"footer" in body) == (data, "footer" in note)


def test_broken_base64_gives_what_it_holds():
    """A letter too many or too few costs an octet, not the file."""
    assert decode(b"QUJDR", "base64") == b"ABC"
    assert decode(b"QUJDRA", "base64") == b"ABCD"
    assert decode(b"", "base64") == b""
    assert decode(TEXT[:-4], "base64")[:900] == OCTETS[:900]


def test_text_under_a_wrong_label_is_taken_as_it_is():
    """Plain text that claims an encoding is told from it."""
    data, note = transfer.decode(memoryview("Диск 95 %, сервер db1".encode()), "base64")
    assert (data.decode(), note) == (
        "Диск 95 %, сервер db1",
        "a part that was labelled base64 but is not was taken as it was",
    )
    data, note = transfer.decode(memoryview(b"just text"), "x-uuencode")
    assert (data, note) == (b"just text", "a part that was labelled uuencoded but is not was taken as it was")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"a=3Db=D0=94", "a=bД".encode()),
        (b"soft =\nbreak=\r\n!", b"soft break!"),
        (b"soft= \t\nbreak", b"softbreak"),
        (b"=XY =", b"=XY "),
        (b"a=d0=94", "aД".encode()),
        ("raw Д".encode(), "raw Д".encode()),
    ],
)
def test_quoted_printable_is_read_in_any_state(body, expected):
    """Blanks after the sign of a soft break, wrong digits, small ones, raw octets."""
    assert expected == decode(body, "quoted-printable")


def test_uuencode_is_read_in_any_state():
    """Lines with their trailing spaces lost or a letter of check behind them; broken ones go."""
    lines = [b"begin 644 a.bin"]
    lines += [base64_line(OCTETS[at : at + 45]) for at in range(0, len(OCTETS), 45)]
    whole = b"\n".join([b"text before", *lines, b"`", b"end", b"after"])
    assert decode(whole, "x-uuencode") == OCTETS
    checked = b"\n".join([lines[0], *[line + b"x" for line in lines[1:]], b"", b"end"])
    assert decode(checked, "uuencode") == OCTETS
    assert decode(b"begin 644 a\n#\xff\xff\xff\xff\n#04)#\nend", "uue") == b"ABC"


def base64_line(octets: bytes) -> bytes:
    """One line of uuencode."""
    return transfer.binascii.b2a_uu(octets).rstrip(b"\n")


def test_what_is_unknown_is_said():
    """The octets come as they are."""
    data, note = transfer.decode(memoryview(b"x"), "x-\x07foo")
    assert (b"x", "a part in the unknown transfer encoding x-foo was taken as it was") == (data, note)


@given(
    st.binary(max_size=200), st.sampled_from(["", "8bit", "base64", "quoted-printable", "x-uuencode", "x"])
)
def test_any_octets_are_decoded(body, encoding):
    """Nothing raises."""
    assert len(transfer.decode(memoryview(body), encoding)[0]) <= len(body)


@given(st.binary(max_size=200))
def test_what_was_encoded_properly_comes_back(octets):
    """Base64 and quoted-printable undo what they did; quopri itself loses a CR before its line ends."""
    assert octets == decode(base64.encodebytes(octets), "base64")
    octets = octets.replace(b"\r", b"")
    assert octets == decode(quopri.encodestring(octets, quotetabs=True), "quoted-printable")
