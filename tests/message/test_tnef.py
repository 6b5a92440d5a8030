"""What Outlook packs into a winmail.dat: its text where the mail has none, its files in its place."""

from __future__ import annotations

import base64

import outlook
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outlook import a_file, a_property, attribute, properties, stream

from relay.message import content, tnef
from relay.model import mark

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(250))
RICH = rb"{\rtf1\ansi\ansicpg1251 \'c4\'e8\'f1\'ea 95 %\par}"
STORED = (len(RICH) + 12).to_bytes(4, "little") + len(RICH).to_bytes(4, "little") + b"MELA\0\0\0\0" + RICH
ODD = [
    a_property(outlook.TRUE, 0x0E1F, 1),
    a_property(outlook.TIME, 0x0039, bytes(8)),
    a_property(outlook.GUID | outlook.MANY, 0x6601, [bytes(16), bytes(16)]),
    a_property(outlook.SHORT | outlook.MANY, 0x6602, [1, 2, 3]),
    a_property(outlook.UNICODE | outlook.MANY, 0x6603, ["one", "two and a half"]),
    a_property(outlook.OCTETS | outlook.MANY, 0x6604, []),
    a_property(outlook.LONG, 0x8001, 5, named=0x8503),
    a_property(outlook.UNICODE, 0x8002, "value", named="X-Header"),
    a_property(outlook.LONG, 0x1000, 7),
]


def mail_properties(*found: bytes) -> bytes:
    """The message's own properties."""
    return attribute(outlook.MAIL, outlook.MAIL_PROPERTIES, properties(*found))


def text(kind: int, name: int, value) -> bytes:
    """A stream with one property among odd ones."""
    return stream(mail_properties(*ODD[:-1], a_property(kind, name, value)))


BODY = attribute(outlook.MAIL, outlook.BODY, "Диск\r\n95 %\0".encode("cp1251"))
SUBJECT = attribute(outlook.MAIL, outlook.SUBJECT, "Тема\0".encode("cp1251"))


def test_attributes_of_old_are_read_in_their_code_page():
    """Subject and body in the code page of the stream, and two files."""
    found = tnef.read(stream(SUBJECT, BODY, a_file("Отчёт.png", PNG), a_file("b.txt", b"text")), 1000)
    assert ("Тема", "Диск\n95 %", True) == (found.subject, found.plain, found.whole)
    assert [("Отчёт.png", PNG), ("b.txt", b"text")] == [(file.name, file.data) for file in found.files]


@pytest.mark.parametrize(
    ("raw", "plain", "html"),
    [
        (text(outlook.UNICODE, 0x1000, "Диск 95 %"), "Диск 95 %", ""),
        (text(outlook.ANSI, 0x1000, "Диск 95 %"), "Диск 95 %", ""),
        (text(outlook.UNICODE, 0x1013, "<p>Диск</p>"), "", "<p>Диск</p>"),
        (text(outlook.OCTETS, 0x1013, "<p>Диск</p>".encode("cp1251")), "", "<p>Диск</p>"),
        (stream(BODY, mail_properties(a_property(outlook.UNICODE, 0x1000, "newer"))), "newer", ""),
        (stream(BODY, mail_properties(a_property(outlook.UNICODE, 0x1000, " "))), "Диск\n95 %", ""),
        (
            stream(mail_properties(
                a_property(outlook.OCTETS, 0x1013, "<p>Диск</p>".encode("koi8-r")),
                a_property(outlook.LONG, 0x3FDE, 20866),
            )),
            "", "<p>Диск</p>",
        ),
    ],
)  # fmt: skip
def test_properties_are_read_whatever_stands_between_them(raw, plain, html):
    """Text in both alphabets, HTML in its own code page; odd properties are stepped over."""
    found = tnef.read(raw, 1000)
    assert (plain, html, True) == (found.plain, found.html, found.whole)


def test_without_a_code_page_the_charset_of_the_internet_holds():
    """Its number is a property of the mail."""
    found = mail_properties(
        a_property(outlook.LONG, 0x3FDE, 20866), a_property(outlook.OCTETS, 0x1000, "ТЕХ".encode("koi8-r"))
    )
    assert tnef.read(stream(found, page=0), 1000).plain == "ТЕХ"


def test_files_are_named_by_their_long_names():
    """Properties know the name, the octets and the content id better than the attributes."""
    made = a_file(
        "REPORT~1.PNG", b"", a_property(outlook.UNICODE, 0x3707, "Отчёт за день.png"),
        a_property(outlook.ANSI, 0x3712, "<a@b>"), a_property(outlook.OCTETS, 0x3701, PNG),
    )  # fmt: skip
    assert [("Отчёт за день.png", PNG, "a@b")] == [
        (each.name, each.data, each.cid) for each in tnef.read(stream(made), 1000).files
    ]


def test_what_is_no_stream_is_none():
    """The signature decides."""
    assert tnef.read(b"", 10) is tnef.read(b"\x78\x9f\x3e", 10) is tnef.read(PNG, 10) is None
    assert tnef.read(tnef.SIGNATURE, 10) == tnef.Packed()


def props(value: bytes) -> bytes:
    """An attribute that should hold properties."""
    return attribute(outlook.MAIL, outlook.MAIL_PROPERTIES, value)


LAST = stream(BODY, a_file("a.png", PNG))


@pytest.mark.parametrize(
    "raw",
    [
        LAST[:-1],
        LAST[:-40],
        LAST + b"\1\2",
        LAST.replace(b"95", b"96"),
        LAST + props(b"\1"),
        LAST + props(b"\xff\xff\0\0"),
        LAST + props(b"\1\0\0\0\x1f\0\0\x50\1\0\0\0\xff\xff\xff\xffxx"),
        LAST + props(b"\1\0\0\0\x1f\x10\0\x50\xff\0\0\0\2\0\0\0xx"),
        LAST + props(b"\1\0\0\0\3\0\0\x50"),
        LAST + props(b"\1\0\0\0\3\x10\0\x50\xff\xff\xff\xff"),
        LAST + props(b"\1\0\0\0\x77\0\0\x50" + bytes(20)),
        LAST + props(b"\1\0\0\0\x1f\0\2\x90" + bytes(16) + b"\1\0\0\0"),
        LAST + attribute(outlook.MAIL, 0x1234, b"") * 6000,
        LAST + attribute(outlook.FILE, outlook.BEGINS, b"") * 600,
        LAST + mail_properties(*[a_property(outlook.LONG, 0x5000, 1)] * 3000),
    ],
)  # fmt: skip
def test_damage_costs_what_it_hit_and_is_said(raw):
    """Cut, changed, or with lengths and counts that lie: what was readable before stays."""
    found = tnef.read(raw, 1000)
    assert (False, "Диск", "a.png") == (found.whole, found.plain[:4], found.files[0].name)
    assert len(found.files) <= tnef.FILES
    letter = content.read(part(raw))
    assert "a winmail.dat was damaged: only what could be read of it is here" in letter.notes
    assert letter.plain.startswith("Диск\n")


@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_octets_raise(noise, at):
    """Noise anywhere in a stream."""
    raw = stream(SUBJECT, mail_properties(*ODD), a_file("a.png", b"x", *ODD))
    for each in (
        raw[:at] + noise + raw[at:],
        raw[:at] + noise + raw[at + len(noise) :],
        tnef.SIGNATURE + noise,
    ):
        assert content.read(part(each)).files is not None


# -- in mails ---------------------------------------------------------------------------------


def part(data: bytes, kind: str = "application/ms-tnef; name=winmail.dat") -> bytes:
    """A part that is a winmail.dat."""
    head = f"Content-Type: {kind}\nContent-Transfer-Encoding: base64\n\n"
    return head.encode() + base64.encodebytes(data)


def mixed(*pieces: bytes) -> bytes:
    """A multipart mail."""
    return b"Content-Type: multipart/mixed; boundary=b\n\n" + b"".join(b"--b\n" + p + b"\n" for p in pieces)


FULL = stream(SUBJECT, BODY, a_file("a.png", PNG), a_file("b.png", PNG))


@pytest.mark.parametrize(
    "kind", ["application/ms-tnef; name=winmail.dat", "application/octet-stream", "a/b; name=x"]
)
def test_text_and_files_come_out_of_a_mail_that_is_nothing_else(kind):
    """By its label or by its octets alone."""
    letter = content.read(part(FULL, kind))
    assert (f"Диск\n95 %\n{mark(0)}\n{mark(1)}", ()) == (letter.plain, letter.notes)
    assert [("a.png", "image/png", PNG), ("b.png", "image/png", PNG)] == [
        (file.name, file.type, file.data) for file in letter.files
    ]


def test_the_text_of_the_mail_itself_comes_first():
    """Then the stream gives its files only, in its place; an empty text is none."""
    letter = content.read(mixed(b"\nhello", part(FULL), b"\nbye"))
    assert letter.plain == f"hello\n{mark(0)}\n{mark(1)}\nbye"
    assert content.read(mixed(b"\n \n", part(FULL))).plain.startswith("Диск\n95 %\n")
    marked_up = content.read(mixed(b"Content-Type: text/html\n\n<p>hi</p>", part(FULL)))
    assert marked_up.html == f"<p>hi</p>\n{mark(0)}\n{mark(1)}"
    alternative = mixed(b"\nhello", part(FULL)).replace(b"mixed", b"alternative")
    assert content.read(alternative).plain == "hello"


def test_html_and_rich_text_come_out():
    """HTML shows the stream's picture by its id; RTF is read where there is nothing else."""
    shown = a_file("a.png", PNG, a_property(outlook.UNICODE, 0x3712, "a@b"))
    html = a_property(outlook.UNICODE, 0x1013, "<p>x<img src=cid:a@b></p>")
    letter = content.read(part(stream(mail_properties(html), shown)))
    assert (f"<p>x{mark(0)}</p>", True) == (letter.html.replace("\n", ""), letter.files[0].inline)
    rich = a_property(outlook.OCTETS, 0x1009, STORED)
    assert content.read(part(stream(mail_properties(rich)))).plain == "Диск 95 %"
    cut = content.read(part(stream(mail_properties(a_property(outlook.OCTETS, 0x1009, STORED[:-5])))))
    assert ("Диск 95 %", ("a text in a winmail.dat could not be read to its end",)) == (cut.plain, cut.notes)
    hidden = RICH.replace(rb"1251 ", rb"1251\fromhtml1 ").replace(rb"\par", rb"{\*\htmltag <br>}")
    hidden = STORED[:4] + len(hidden).to_bytes(4, "little") + STORED[8:16] + hidden
    raw = part(stream(mail_properties(a_property(outlook.OCTETS, 0x1009, hidden))))
    assert content.read(raw).html == "Диск 95 %<br>"


def test_a_mail_in_the_stream_is_read_as_one():
    """An embedded message has a title, a text and files; five inside each other are too many."""
    inner = outlook.EMBEDDED + FULL
    held = a_file("Untitled", b"", a_property(outlook.OBJECT, 0x3701, inner))
    letter = content.read(mixed(b"\nsee", part(stream(held))))
    assert letter.plain == f"see\n\nAttached mail: Тема\n\nДиск\n95 %\n{mark(0)}\n{mark(1)}"
    for _ in range(5):
        held = a_file("deep", b"", a_property(outlook.OBJECT, 0x3701, outlook.EMBEDDED + stream(held)))
    deep = content.read(part(stream(held)))
    assert (3, "deep") == (deep.plain.count("Attached mail: no subject"), deep.files[0].name)


def test_what_cannot_be_read_stays_a_file():
    """A label without its octets, a stream cut before anything was said."""
    note = "a winmail.dat could not be read and was taken as a file"
    for raw in (b"nothing of the kind", stream(BODY)[:45], tnef.SIGNATURE + b"\0\0\1\2"):
        letter = content.read(part(raw))
        assert ([("winmail.dat", raw)], (note,)) == ([(f.name, f.data) for f in letter.files], letter.notes)
    assert content.read(part(stream())).files == ()


def test_files_of_a_stream_count_as_parts():
    """Five hundred are taken of a mail, and files without octets and names are none."""
    many = stream(*[a_file(f"{number}.txt", b"x") for number in range(450)], a_file("", b""))
    letter = content.read(mixed(part(many), part(many)))
    assert (498, ("parts beyond the first 500 were left out",)) == (len(letter.files), letter.notes)


def test_an_invitation_in_a_stream_is_told():
    """Its line joins the text."""
    event = b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Plan\nEND:VEVENT\n"
    assert content.read(part(stream(a_file("invite.ics", event)))).plain == f"Event: Plan\n{mark(0)}"


def test_an_attached_mail_has_a_stream_of_its_own():
    """Its text stands behind its own title, though the outer mail has words."""
    inner = b"Content-Type: message/rfc822\n\nSubject: inner\n" + part(FULL)
    letter = content.read(mixed(b"\nouter", inner))
    assert letter.plain == f"outer\n\nAttached mail: inner\n\nДиск\n95 %\n{mark(0)}\n{mark(1)}"
