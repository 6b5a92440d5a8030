"""RTF becomes text, and what Outlook compressed and hid in it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message import content, rtf

# The first example of MS-OXRTFCP (section 3.1.1).
HELLO = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)


def packed(data: bytes, size: int | None = None) -> bytes:
    """Compressed RTF, all of it literal, with the mark at its end."""
    stream = b""
    for at in range(0, len(data), 8):
        piece = data[at : at + 8]
        stream += b"\0" + piece if len(piece) == 8 else bytes([1 << len(piece)]) + piece
    place = (207 + len(data)) % 4096
    stream += (b"" if len(data) % 8 else b"\1") + (place << 4).to_bytes(2, "big")
    size = len(data) if size is None else size
    return (len(stream) + 12).to_bytes(4, "little") + size.to_bytes(4, "little") + b"LZFu\0\0\0\0" + stream


def stored(data: bytes) -> bytes:
    """RTF that is only wrapped."""
    return (len(data) + 12).to_bytes(4, "little") + len(data).to_bytes(4, "little") + b"MELA\0\0\0\0" + data


def test_the_example_of_the_specification_is_unpacked():
    """References into the dictionary that is there before the first octet, and a mark at the end."""
    assert rtf.unpack(HELLO, 1000) == (b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n", True)


def test_a_reference_may_reach_into_itself():
    """The second example (section 3.1.2): a run is a piece that repeats what it writes."""
    raw = bytes.fromhex("1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0")
    assert rtf.unpack(raw, 1000) == (b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}", True)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4000, 9000])
def test_what_was_packed_comes_back(size):
    """Any length, beyond the ring as well; a limit cuts, and that is told."""
    data = bytes(range(65, 91)) * (size // 26 + 1)
    data = data[:size]
    assert (data, True) == rtf.unpack(packed(data), 10_000)
    assert (data, True) == rtf.unpack(stored(data), 10_000)
    assert (data[:5], size <= 5) == rtf.unpack(packed(data), 5)
    assert (data[:5], size <= 5) == rtf.unpack(stored(data), 5)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", b""),
        (HELLO[:8] + b"ZIP!" + HELLO[12:], b""),
        (HELLO[:-12], b"{\\rtf1\\ansi\\ansicpg1252\\pard hello"),
        (packed(b"{abc", 10), b"{abc"),
        (stored(b"abc")[:-1], b"ab"),
        (HELLO[:16] + b"\1\x30\x00", b""),
        (HELLO[:16] + b"\1\x30", b""),
    ],
)
def test_what_is_damaged_gives_what_is_there(raw, expected):
    """Cut, of another kind, too short for what it claims, pointing where nothing is."""
    assert (expected, False) == rtf.unpack(raw, 1000)


FONTS = (
    rb"{\rtf1\ansi{\fonttbl{\f0\fcharset204 Arial;}{\f1\fcharset0 B;}}"
    rb"\f0\'c4{\f1\'e9}\'e8\plain\'e9}"
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb"{\rtf1\ansi Disk 95 %\par db1\tab x\line y}", "Disk 95 %\ndb1\tx\ny"),
        (rb"{\rtf1\ansi\ansicpg1251 \'c4\'e8\'f1\'ea}", "Диск"),
        (b"{\\rtf1\\ansi\\ansicpg1251 " + "Диск".encode("cp1251") + b"}", "Диск"),
        (FONTS, "Дéиé"),
        (rb"{\rtf1\uc1\u1044?\u1080\'3f\u1089?\u1082?!}", "Диск!"),
        (rb"{\rtf1{\uc0\u1044\u1080}\u1089?\uc2\u1082??!}", "Диск!"),
        (rb"{\rtf1\u-10179?\u-8704?\u-10179?}", "😀\ufffd"),
        (rb"{\rtf1\uc2\u1044\b x\u1080 {y}}", "Диy"),
        (rb"{\rtf1{\*\generator W;}{\info{\author x}}{\pict 00}a{\field{\*\fldinst L}{\fldrslt b}}}", "ab"),
        (rb"{\rtf1\bin4 }}{{a\~b\_c\-d\{\}\\ \emdash\bullet\ldblquote\rdblquote}", "a\xa0b-cd{}\\ —•“”"),
        (rb"{\rtf1\trowd a\cell b\cell\row c}", "a\tb\t\nc"),
        (b"{\\rtf1 a\\\nb\\\r\n\\q c", "a\nb\nc"),
        (rb"a}}}b{{{", "ab"),
        (rb"{\rtf1\ansi\ansicpg65001 \'d0\'94}", "Д"),
        (rb"{\rtf1\ansicpg0\bin-5 x\*y}", "x"),
        (b"", ""),
        (b"\\", ""),
        (rb"{\rtf1{\htmltag <b>}x}", "<b>x"),
    ],
)  # fmt: skip
def test_rich_text_is_read(raw, expected):
    """Lines, charsets of fonts and of the whole, Unicode with its stand-ins, what is not to be seen."""
    assert rtf.Text(expected) == rtf.read(raw)


def test_html_that_was_hidden_comes_back():
    """Tags stand in groups of their own, RTF that stands for them is not shown (MS-OXRTFEX)."""
    raw = (
        rb"{\rtf1\ansi\ansicpg1251\fromhtml1{\*\htmltag19 <html>}{\*\htmltag64 <p>}\htmlrtf{\htmlrtf0 "
        rb"\'c4\'e0{\*\htmltag84 <b>}\htmlrtf{\b\htmlrtf0 !{\*\htmltag84 &lt;}\htmlrtf}\htmlrtf0"
        rb"{\*\htmltag92 </b>}"
        rb"{\*\mhtmltag84 <img>}\htmlrtf\par}\htmlrtf0{\*\htmltag72 </p>}{\*\htmltag27 </html>}}"
    )
    assert rtf.Text("<html><p>Да<b>!&lt;</b></p></html>", html=True) == rtf.read(raw)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1251, "cp1251"), (65001, "utf-8"), (20866, "koi8-r"), (28595, "iso-8859-5"), (20127, "us-ascii"),
     (1, ""), (10007, "mac-cyrillic"), (936, "cp936"), (0, "")],
)  # fmt: skip
def test_code_pages_are_charsets(number, expected):
    """By the numbers that Windows gives them."""
    assert expected == rtf.code_page(number)


@given(st.binary(max_size=300))
def test_no_octets_raise(noise):
    """Neither as RTF nor as compressed RTF."""
    rtf.read(noise)
    rtf.read(b"{\\rtf1\\fromhtml1 " + noise)
    assert len(rtf.unpack(HELLO[:4] + b"\xff\xff\0\0LZFu\0\0\0\0" + noise, 4000)[0]) <= 4000


WORDS = (
    b"{", b"}", b"\\par ", b"\\u1044?", b"\\'e4", b"\\*", b"\\htmlrtf", b"\\bin9 ", b"x", b"\\htmltag ",
    b"\\fonttbl", b"\\f1", b"\\fcharset204 ", b"\\fromhtml", b"\\uc0 ",
)  # fmt: skip


@given(st.lists(st.sampled_from(WORDS)))
def test_no_order_of_words_raises(words):
    """Whatever stands in front of what."""
    assert "\r" not in rtf.read(b"".join(words)).text


# -- in mails ---------------------------------------------------------------------------------

RICH = rb"{\rtf1\ansi\ansicpg1251 \'c4\'e8\'f1\'ea 95 %\par}"


def mixed(*parts: bytes, kind: bytes = b"mixed") -> bytes:
    """A multipart mail."""
    return (
        b"Content-Type: multipart/"
        + kind
        + b"; boundary=b\n\n"
        + b"".join(b"--b\n" + p + b"\n" for p in parts)
    )


@pytest.mark.parametrize("kind", [b"text/rtf", b"application/rtf", b"application/rtf; name=a.rtf"])
def test_rich_text_is_the_text_where_there_is_no_other(kind):
    """Else it is a file, and of alternatives the poorest."""
    part = b"Content-Type: " + kind + b"\n\n" + RICH
    assert content.read(part).plain == "Диск 95 %"
    assert content.read(mixed(part, b"Content-Type: image/gif\n\nGIF89a")).plain.startswith("Диск 95 %\n")
    assert content.read(mixed(b"\n", part)).plain == "Диск 95 %"
    beside = content.read(mixed(b"\nhello", part))
    assert ("hello\n\ufdd00\ufdd1", "application/rtf") == (beside.plain, beside.files[0].type)
    assert content.read(mixed(b"\nhello", part, kind=b"alternative")).plain == "hello"
    assert content.read(mixed(part, kind=b"alternative")).plain == "Диск 95 %"
    attached = content.read(b"Content-Disposition: attachment\n" + part)
    assert ("application/rtf",) == tuple(file.type for file in attached.files)


def test_rich_text_has_a_limit():
    """Half a megabyte is read of a mail, and the rest is said to be cut."""
    long = content.read(b"Content-Type: text/rtf\n\n{\\rtf1 " + b"x" * 600_000)
    assert (1 << 19) - 7 == len(long.plain)
    assert long.notes == ("a very long text was cut",)
