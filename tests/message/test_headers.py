"""Header fields are cut, unfolded and decoded, however they were written."""

from __future__ import annotations

from email.header import Header

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.message import headers


@pytest.mark.parametrize(
    ("raw", "names", "body"),
    [
        (b"A: 1\nB: 2\n\nbody", ["a", "b"], b"body"),
        (b"A: 1\r\nB: 2\r\n\r\nbody", ["a", "b"], b"body"),
        (b"From me Mon\nA: 1\n\nbody", ["a"], b"body"),
        (b"A: 1\n \t\nbody", ["a"], b"body"),
        (b"A: 1\n 2\nbody: x y\n\nz", ["a", "body"], b"z"),
        (b"A: 1\nno field\n\nz", ["a"], b"no field\n\nz"),
        (b" folded first\n\nz", [], b" folded first\n\nz"),
        (b"A: 1", ["a"], b""),
        (b"\nbody", [], b"body"),
        (b"", [], b""),
    ],
)
def test_a_block_ends_where_the_text_begins(raw, names, body):
    """A blank line, or the first line that is no field."""
    end, start = headers.block_end(raw, 0, len(raw))
    assert (names, body) == ([name for name, _ in headers.fields(raw[:end])], raw[start:])


def test_an_endless_block_is_cut():
    """Of a huge block only the beginning is read; the body is found behind it, if there is one."""
    block = b"A: 1\n" * 100_000
    end, start = headers.block_end(block + b"\nbody", 0, len(block) + 5)
    assert (len(block) - 1, b"body") == (end, (block + b"\nbody")[start:])
    assert headers.block_end(block, 0, len(block)) == (len(block), len(block))
    assert len(headers.fields(block)) == headers.FIELDS
    folded = headers.fields(b"A: 1\n" + b" x\n" * 10_000 + b"B: 2\n")
    assert ["a", "b"] == [name for name, _ in folded]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?a_b=3F?=", "a b?"),
        (b"=?UTF-8?b?0JTQuNGB0Lo=?= 95 %", "Диск 95 %"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
        (b"=?utf-8?B?0JTQ?= =?utf-8?B?uNGB0Lo=?=", "Диск"),
        (b"=?utf-8?B?0JTQuA==?= =?utf-8?B?0YHQug==?=", "Диск"),
        (b"=?utf-8?B?0JT?= =?utf-8?B?QuNGB0Lo?=", "Диск"),
        (b"=?utf-8?Q?=D0?= =?utf-8?B?lA==?=", "Д"),
        (b"=?utf-8?B?0A==?==?utf-8?q?=94?=", "Д"),
        (b"=?koi8-r?B?5A==?= =?windows-1251?Q?=E8=F1=EA?=", "Диск"),
        (b"=?utf-8?q?a b c?=", "a b c"),
        (b"=?utf-8?q?What??= x", "What? x"),
        (b"=?utf-8*ru?q?a?=", "a"),
        (b"=??q?=C4=E8=F1=EA?=", "Диск"),
        (b"=?utf-8?q?never closed", "never closed"),
        (b"=?utf-8?x?no?=", "=?utf-8?x?no?="),
        (b"a =? b", "a =? b"),
        (b"=?" + b"x" * 100 + b"?q?a?=", "=?" + "x" * 100 + "?q?a?="),
        (b"=?utf-8?b?!!!!?=", ""),
        (b"=?utf-8?q?=0D=0ABcc:_x=00?=", "Bcc: x"),
        ("Диск".encode("cp1251") + b" =?utf-8?q?95?=", "Диск 95"),
        (b'"=?utf-8?q?a?=" <x@y>', '"a" <x@y>'),
    ],
)
def test_encoded_words_are_read_in_any_state(value, expected):
    """Adjoining words, words cut inside a character, with spaces, unclosed, of odd charsets."""
    assert expected == headers.decode(value)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cn"]), max_size=60))
@settings(max_examples=150, deadline=None)
def test_what_the_standard_library_encodes_is_read(text):
    """A header in encoded words, folded, comes back as it was."""
    folded = headers.fields(b"S: " + Header(text, "utf-8", header_name="S").encode().encode() + b"\n")
    assert headers.line(text).replace("\ufeff", "") == headers.decode(headers.first(folded, "s"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'x; name="a.png"', "a.png"),
        (b"x; name=a b.png; y=z", "a b.png"),
        (b"x; NAME = 'a.png'", "a.png"),
        (b'x; name="a;\\"b\\".png"', 'a;"b".png'),
        (b'x; name="unclosed.png', "unclosed.png"),
        (b'x; name="un\\closed.png', "un\\closed.png"),
        (b"x; name*=utf-8''%D0%94.png", "Д.png"),
        (b"x; name=fallback.png; name*=UTF-8'ru'%D0%94.png", "Д.png"),
        (b"x; name*0=a; name*1=b; name*2=.png", "ab.png"),
        (b"x; name*1=b; name*0=a; name=old", "old"),
        (b"x; name*0*=utf-8''%D0; name*1*=%94; name*2=.png", "Д.png"),
        (b"x; name*0*=koi8-r''%E4; name*2=lost", "Д"),
        (b"x; name*0*=%D0%94; name*1=b", "Дb"),
        (b"x; name*=%D0%94.png", "Д.png"),
        (b"x; name=utf-8''%D0%94.png", "Д.png"),
        (b"x; name==?utf-8?q?=D0=94?=.png", "Д.png"),
        (b'x; name="=?utf-8?b?0JQ=?=\t=?utf-8?b?LnBuZw==?="', "Д.png"),
        (b'x; name="' + "Д.png".encode("koi8-r") + b'"', "Д.png"),
        (b"x; name=100%.png (comment)", "100%.png"),
        (b"x; =y; name", ""),
        (b"".join(b"; name*%d=a" % number for number in range(150)), "a" * 100),
        (b"", ""),
    ],
)
def test_file_names_are_read_in_any_way_they_are_written(value, expected):
    """RFC 2231 whole and in pieces, RFC 2047 against the rules, raw octets, nothing."""
    found = headers.parameters(value)[1]
    assert expected == headers.parameter(found, "name", "koi8-r" if b"\xe4" in value else "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.png", "a.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\Отчёт за май.pdf", "Отчёт за май.pdf"),
        ("a\r\nb\0.txt", "a b.txt"),
        ('a<b>:"c|d?*.txt', "a_b_c_d_.txt"),
        (".hidden", "hidden"),
        ("...", ""),
        ("evil\u202egpj.exe", "evilgpj.exe"),
        ("я" * 200 + ".pdf", "я" * 96 + ".pdf"),
        ("x" * 200, "x" * 100),
        ("x" * 95 + "." + "y" * 50, ("x" * 95 + "." + "y" * 50)[:100]),
    ],
)
def test_file_names_are_cleaned(text, expected):
    """No path, nothing unprintable, at most 100 characters with the ending kept."""
    assert expected == headers.file_name(text)


@given(st.binary(max_size=100))
@settings(max_examples=150, deadline=None)
def test_no_value_raises(value):
    """Whatever stands in a field, it is text, parameters and perhaps an address; on one line."""
    assert headers.decode(value).splitlines() in ([], [headers.decode(value)])
    for name in headers.parameters(value)[1]:
        headers.parameter(headers.parameters(value)[1], name.partition("*")[0])
    assert " " not in headers.address(value) or '"' in headers.address(value)


@pytest.mark.timeout(20)  # a quadratic reading would take hours
def test_values_built_to_be_slow_are_not():
    """32 kB of openings that never close."""
    for piece in (
        b"=?utf-8?q?",
        b"=?utf-8?b?0JQ=?= ",
        b"=?",
        b'"',
        b"(",
        b"<",
        b"\\",
        b";x*0*=",
        b'"a"@',
        b"?=",
    ):
        value = (piece * headers.VALUE)[: headers.VALUE]
        headers.decode(value)
        headers.address(value)
        headers.parameter(headers.parameters(value)[1], "x")
