"""Foreign text made safe for headers and fields."""

from __future__ import annotations

from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.report import fields


def test_a_clean_line():
    """Control characters and line ends become spaces, what is too long ends in an ellipsis."""
    assert fields.clean(" a\r\nb\x00") == "a  b"
    assert fields.clean("abcdefgh", 5) == "abcd…"
    assert fields.plain("café") == "caf?"


@given(st.text(max_size=300))
def test_encoded_words_lose_nothing(text):
    """Any cleaned line comes back from its encoded words, which are short enough."""
    line = fields.clean(text)
    encoded = fields.encoded(line)
    assert encoded == line or line == str(make_header(decode_header(encoded)))
    assert encoded == line or max(map(len, encoded.split())) <= 48


def test_what_looks_encoded_is_encoded():
    """Text that pretends to be an encoded word is shown as it was written."""
    assert fields.encoded("=?utf-8?B??=") == "=?utf-8?B?PT91dGYtOD9CPz89?="


def test_fields_are_folded_at_spaces():
    """A long field is folded, its first word stays beside its name; addresses stay in one line."""
    long = "x" * 80
    assert f"Name: {long}\r\n y\r\n" == fields.field("Name", f"{long} y")
    assert f"Name: {long} y\r\n" == fields.field("Name", f"{long} y", fold=False)


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("a@x.example", True),
        ('"a b, <c>"@x.example', True),
        ("a@[127.0.0.1]", True),
        ("ольга@пример.рф", True),
        ("a", False),
        ("a b@x", False),
        ("a@x>", False),
        ("=?utf-8?q?=0a?=@x", False),
        ("<a@x", False),
        ("a(b)@x", False),
        ("a@b,c@d", False),
        ('"a\n"@x', False),
        ("я" * 500 + "@x", False),
        ("", False),
    ],
)
def test_mailboxes(address, good):
    """Only what RFC 5321 allows may stand in To or on the wire."""
    assert (address if good else "") == fields.mailbox(address)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("SMS relay <postmaster@x.example>", "SMS relay <postmaster@x.example>"),
        ("postmaster@x.example", "postmaster@x.example"),
        ('"A, \\"B\\"" <p@x.example>', '"A, \\"B\\"" <p@x.example>'),
        ("Шлюз <p@x.example>", "=?utf-8?B?0KjQu9GO0Lc=?= <p@x.example>"),
        ("Relay <a b>", "Relay <postmaster@h.example>"),
        ("", "postmaster@h.example"),
    ],
)
def test_authors(value, expected):
    """The configured From is kept, one that can't be used has a stand-in."""
    assert expected == fields.author(value, "h.example")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smsc.ru", "smsc.ru"),
        ("[::1]:25", "[::1]:25"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("a\r\nb c", "abc"),
        ("я" * 300, ""),
    ],
)
def test_hosts(name, expected):
    """A host name has no characters that a field would trip over."""
    assert expected == fields.host(name)


def test_message_ids():
    """Only what looks like an id is quoted; of a long thread the beginning and the end."""
    assert fields.message_ids("<a@b>\r\n junk <c> <d e> <a@b>") == ["<a@b>", "<c>"]
    many = [f"<{number}@x>" for number in range(100)]
    assert fields.message_ids(" ".join(many), 3) == ["<0@x>", "<98@x>", "<99@x>"]
    assert fields.message_ids(" ".join(many), 1) == ["<0@x>"]


def test_moments_that_no_calendar_has():
    """A time out of range is shown as the nearest one, not raised."""
    assert fields.shown(-5) == "1970-01-01 00:00:00 UTC"
    assert fields.date(10**30) == "Fri, 31 Dec 9999 23:59:59 +0000"


@pytest.mark.parametrize(
    ("text", "expected"), [("a+2Bb+3D", "a+b="), ("a+0D+0Ab", "a+0D+0Ab"), ("a+b", "a+b"), ("+D0", "+D0")]
)
def test_xtext(text, expected):
    """It is decoded, unless what comes out can't stand in a field."""
    assert expected == fields.decode_xtext(text)


@pytest.mark.parametrize(
    ("orcpt", "narrow", "wide"),
    [
        ("rfc822;a+2Bb@x", "rfc822; a+b@x", "rfc822; a+b@x"),
        ("utf-8;\\x{444}@x", "utf-8; \\x{444}@x", "utf-8; ф@x"),
        ("UTF-8;ф+\\x{5C}@x", "UTF-8; \\x{444}\\x{2B}\\x{5C}@x", "UTF-8; ф+\\@x"),
        ("utf-8;\\x{FFFFFF}@x", "utf-8; \\x{5C}x{FFFFFF}@x", "utf-8; \\x{FFFFFF}@x"),
        ("rfc822;ф@x", "utf-8; \\x{444}@x", "utf-8; ф@x"),
        ("x400;c=ru", "x400; c=ru", "x400; c=ru"),
        ("no type", "", ""),
        ("bad type;a@x", "", ""),
        ("", "", ""),
    ],
)
def test_original_recipients(orcpt, narrow, wide):
    """ORCPT is given back decoded, in ASCII escapes where the report must be ASCII."""
    assert narrow == fields.original_address(orcpt, wide=False)
    assert wide == fields.original_address(orcpt, wide=True)


def test_long_addresses_are_bounded():
    """No address makes a line longer than a line may be."""
    assert len(fields.typed_address("я" * 800, wide=False)) < 900
    assert len(fields.typed_address("я" * 800, wide=True).encode()) < 900
