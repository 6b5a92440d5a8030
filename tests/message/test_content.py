"""A mail becomes a letter: texts right whatever their label, files whole, nothing raised."""

from __future__ import annotations

import base64
import quopri
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay import model
from relay.message import bodies, content, html

MAILS = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "mails").glob("*.eml"))}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(range(200))
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 3


def mail(kind: str, body: bytes | str, *, head: str = "", encoding: str = "") -> bytes:
    """A mail of one part."""
    octets = body if isinstance(body, bytes) else body.encode()
    lines = f"Content-Type: {kind}\n" + (f"Content-Transfer-Encoding: {encoding}\n" if encoding else "")
    return (head + lines).encode() + b"\n" + octets


def many(kind: str, *pieces: bytes, head: str = "") -> bytes:
    """A multipart mail; each piece is a part with its own fields."""
    inner = b"".join(b"--=_b\n" + piece + b"\n" for piece in pieces)
    return f'{head}Content-Type: {kind}; boundary="=_b"\n\n'.encode() + inner + b"--=_b--\n"


def file(kind: str, data: bytes, fields: str = "") -> bytes:
    """A part that is a file, in base64."""
    return mail(kind, base64.encodebytes(data), head=fields, encoding="base64")


# -- characters ---------------------------------------------------------------------------

TEXTS = {
    "ru": "Диск 95 %",
    "uk": "Увага! Їжак з'їв диск",
    "kk": "Назар аударыңыз: диск толды",
    "de": "Füllstand über 95 %: Größe prüfen",
    "pl": "Dysk pełny, proszę zwolnić miejsce",
    "zh": "磁盘空间不足 95 %",
}
LABELS = {  # language: charset of the octets, labels that it may bear ("" none, "-" no header at all)
    ("ru", "cp1251"): ("windows-1251", "win-1251", "windows1251", "cp-1251", "x-cp1251", "CP1251", "ansi", "",
                       "us-ascii", "iso-8859-1", "utf-8", "unknown-8bit", "x-unknown", "8bit", "none"),
    ("ru", "koi8-r"): ("koi8-r", "koi8r", "koi8", "koi-8", "koi8-ru", "iso-ir-111", "KOI8-R", "", "us-ascii",
                       "iso-8859-1", "utf-8", "unknown-8bit", "default"),
    ("ru", "cp866"): ("cp866", "cp-866", "dos-866", "ibm866", "", "us-ascii", "x-unknown"),
    ("ru", "iso8859-5"): ("iso-8859-5", "ISO_8859-5:1988", "", "us-ascii", "unknown-8bit"),
    ("ru", "mac-cyrillic"): ("x-mac-cyrillic", "", "us-ascii"),
    ("ru", "utf-8"): ("utf-8", "UTF8", "utf8mb4", "unicode", "", "us-ascii", "windows-1251", "koi8-r",
                      "iso-8859-1", "x-nonsense"),
    ("ru", "utf-16"): ("utf-16", "unicode", ""),
    ("uk", "cp1251"): ("windows-1251", "win-1251", "", "us-ascii", "utf-8"),
    ("uk", "koi8-u"): ("koi8-u", "koi8-ru", "", "us-ascii"),
    ("uk", "utf-8"): ("utf-8", "", "windows-1251"),
    ("kk", "utf-8"): ("utf-8", "", "us-ascii", "iso-8859-1"),
    ("kk", "kz1048"): ("kz-1048", "KZ1048"),
    ("de", "cp1252"): ("windows-1252", "iso-8859-1", "latin1", "", "us-ascii", "utf-8", "x-ansi"),
    ("de", "iso8859-15"): ("iso-8859-15",),
    ("de", "utf-8"): ("utf-8", "", "iso-8859-1", "windows-1252"),
    ("pl", "iso8859-2"): ("iso-8859-2", "latin2"),
    ("pl", "cp1250"): ("windows-1250", "cp-1250", "x-cp1250"),
    ("pl", "utf-8"): ("utf-8", "", "iso-8859-2", "us-ascii"),
    ("zh", "gb18030"): ("gb18030", "gb2312", "gbk", "x-gbk"),
    ("zh", "utf-8"): ("utf-8", "", "us-ascii"),
}  # fmt: skip
GRID = [
    (language, charset, label, encoding)
    for (language, charset), labels in LABELS.items()
    for label in labels
    for encoding in ("8bit", "base64", "quoted-printable")
    if not (charset == "utf-16" and encoding == "8bit")
]


def encoded(text: str, charset: str, encoding: str) -> bytes:
    """The octets of a text under a transfer encoding."""
    octets = text.encode(charset)
    if encoding == "base64":
        return base64.encodebytes(octets)
    return quopri.encodestring(octets) if encoding == "quoted-printable" else octets


@pytest.mark.parametrize(("language", "charset", "label", "encoding"), GRID)
def test_the_same_text_comes_out_of_a_body_whatever_it_is_written_in(language, charset, label, encoding):
    """Charset, label and transfer encoding of a body do not change what is read."""
    text = TEXTS[language]
    kind = f'text/plain; charset="{label}"' if label else "text/plain"
    raw = mail(kind, encoded(text, charset, encoding), encoding=encoding)
    assert text == content.read(raw).plain


def word(text: str, charset: str, label: str, letter: str) -> bytes:
    """One encoded word (RFC 2047)."""
    octets = text.encode(charset)
    if letter in "bB":
        inner = base64.b64encode(octets).decode()
    else:
        inner = "".join(
            f"={octet:02x}" if octet > 0x7E or octet in b"=?_ " else chr(octet) for octet in octets
        )
    return f"=?{label}?{letter}?{inner}?=".encode()


@pytest.mark.parametrize("letter", ["b", "Q", ""])
@pytest.mark.parametrize(
    ("language", "charset", "label"), sorted({case[:3] for case in GRID if case[1] != "utf-16"})
)
def test_the_same_text_comes_out_of_a_subject_whatever_it_is_written_in(language, charset, label, letter):
    """A subject is read right as encoded words of both kinds, and unencoded beside a labelled body."""
    text = TEXTS[language]
    if letter:
        subject = word(text, charset, label or "x-unknown", letter)
    elif language in ("ru", "uk", "de") or charset == "utf-8":
        subject = text.encode(charset)
    else:
        subject = word(text, charset, label, "q")
    raw = b"Subject: " + subject + mail(f"text/plain; charset={label}", text.encode(charset), head="\n")
    assert text == content.read(raw).subject


@pytest.mark.parametrize("text", ["Тест", "АВАРИЯ", "тест", "Сбой", "Внимание", "УВАГА", "Пожар!"])
@pytest.mark.parametrize("charset", ["cp1251", "koi8-u", "cp866", "utf-8"])
def test_a_single_word_without_any_label_is_read_right(text, charset):
    """One word is enough to tell its charset."""
    octets = text.encode(charset)
    letter = content.read(b"Subject: " + octets + b"\n\n" + octets)
    assert (text, text) == (letter.subject, letter.plain)


def test_an_unencoded_subject_follows_the_label_of_the_body():
    """What a word alone leaves open, the charset of the body decides."""
    raw = b"Subject: " + "ТЕХ".encode("koi8-r") + b"\nContent-Type: text/plain; charset=koi8-r\n\nx"
    assert content.read(raw).subject == "ТЕХ"


def test_line_ends_are_one_kind_and_marks_cannot_be_forged():
    """No text holds CR, NUL or the characters that marks are made of, not even by reference."""
    forged = model.mark(0)
    raw = mail("text/plain; charset=utf-8", f"a\r\nb\rc\0{forged}\ufffe", head=f"Subject: x{forged}\n")
    letter = content.read(raw)
    assert ("x0", "a\nb\nc0") == (letter.subject, letter.plain)
    marked_up = content.read(mail("text/html", "<p>a&#xFDD0;7&#64977;&#x0;b &#65;</p>")).html
    assert marked_up == "<p>a\ufffd7\ufffd\ufffdb &#65;</p>"


# -- headers ------------------------------------------------------------------------------


def test_the_headers_are_decoded_unfolded_and_bounded():
    """Fields come in order, on one line, at most 200 of them and 10,000 characters each."""
    head = "".join(f"X-{n}: v\n" for n in range(300))
    raw = f"subject: =?utf-8?q?a?=\n =?utf-8?q?b?=\nX-Long: {'x' * 30000}\n{head}\nbody".encode()
    letter = content.read(raw)
    assert letter.header("Subject") == letter.subject == "ab"
    assert (200, 10_000) == (len(letter.headers), len(letter.header("x-long")))
    assert letter.plain == "body"


def test_the_head_is_kept_as_it_came():
    """The raw block has CRLF line ends and stops at 64 kB, at a line end."""
    assert content.read(b"A: 1\nB: \xff\n 2\n\nbody").head == b"A: 1\r\nB: \xff\r\n 2\r\n"
    assert content.read(b"").head == b""
    head = content.read(b"A: 1\n" * 50_000 + b"\nbody").head
    assert len(head) <= 80 * 1024
    assert head.endswith(b"A: 1\r\n")


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"Alarm: pump 3 stopped\r\nZone: 5\r\n", "Alarm: pump 3 stopped\nZone: 5"),
        (b"PUMP3: STOPPED\n\n", "PUMP3: STOPPED"),
        (b"Received: from x\r\n by y\r\nAlarm: pump 3\r\n  stopped\r\n", "Alarm: pump 3\n  stopped"),
        (b"From a Mon\nReceived: from x\nAlarm: pump\n", "Alarm: pump"),
        (b"Received: from x\n", ""),
        (b"Subject: x\nAlarm: pump 3 stopped\n", ""),
        (b"X-Mailer: y\nAlarm: pump 3 stopped\n", ""),
        (b"Alarm: pump 3 stopped\n\nZone: 5\n", "Zone: 5"),
    ],
)
def test_what_a_device_sends_without_a_header_is_its_text(raw, plain):
    """Words with a colon are fields only where a mail has others, or a text below them."""
    assert plain == content.read(raw).plain


def test_a_text_stands_below_the_most_lines_of_a_header():
    """The empty line is found right behind the last line that is looked at."""
    assert content.read(b"A: 1\n" * 50_000 + b"\nbody").plain == "body"


def test_trace_and_identity_are_read():
    """Received headers are counted, Message-ID and Date are as they stand."""
    raw = b"Received: a\nReceived: b\n\tc\nMessage-ID:  <x@y> \nDate: Fri\nTo: =?utf-8?b?0Jg=?= <a@b>\n\n"
    letter = content.read(raw)
    assert (2, "<x@y>", "Fri", "И <a@b>") == (letter.received, letter.message_id, letter.date, letter.to)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.c", "a@b.c"),
        ("<a@b.c>", "a@b.c"),
        ('"Doe, J. <x@y>" <a@b.c>', "a@b.c"),
        ("a@b.c (Me <x@y> (deep))", "a@b.c"),
        ("=?utf-8?b?0Jg=?= <a@b.c>, d@e.f", "a@b.c"),
        ('"odd name"@b.c', '"odd name"@b.c'),
        ("nobody", ""),
        ("@", ""),
        ("(" * 5000, ""),
        ('"\\"x" <a@b.c', "a@b.c"),
    ],
)
def test_the_from_header_gives_a_bare_address(value, expected):
    """Display names, comments and quotes around the first address go."""
    assert expected == content.read(f"From: {value}\n\n".encode()).from_


def test_a_text_without_headers_is_a_mail():
    """Whatever a device writes is read, down to nothing at all."""
    assert content.read("Авария\n".encode("cp1251")).plain == "Авария"
    assert content.read(b"Subject: x\rFrom: a@b\r\rtext").plain == "text"
    assert content.read(b"Subject: x\nno blank line").plain == "no blank line"
    assert content.read(b"") == model.Letter()


# -- structure ----------------------------------------------------------------------------


def test_pictures_and_a_pdf_come_with_their_marks_octets_and_names():
    """Marks stand where the images stood, the PDF's after the text; names and octets are kept."""
    letter = content.read(MAILS["related-images-pdf"])
    assert f"<p>График: {model.mark(0)} и {model.mark(1)} конец</p>\n{model.mark(2)}" in letter.html
    assert f"Отчёт готов\n{model.mark(2)}" == letter.plain
    assert ["Картинка.png", "График 2.jpg", "Отчёт за день.pdf"] == [file.name for file in letter.files]
    assert [PNG, JPG, PDF] == [file.data for file in letter.files]
    assert ["image/png", "image/jpeg", "application/pdf"] == [file.type for file in letter.files]
    assert [True, True, False] == [file.inline for file in letter.files]
    assert [("one@x"), ("two@x"), ""] == [file.cid for file in letter.files]
    assert letter.subject == "Отчёт"


def test_a_picture_that_follows_its_html_is_shown_where_the_html_shows_it():
    """Mailers that send mixed instead of related are understood; the mark stands once in HTML."""
    raw = many(
        "multipart/mixed",
        mail("text/html", '<p>x<img src=cid:a>y<td background="cid:b"></p>'),
        file("image/png", PNG, "Content-ID: <a>\n"),
        file("image/png", PNG, "Content-ID: <b>\n"),
    )
    letter = content.read(raw)
    assert letter.html.replace("\n", "") == f'<p>x{model.mark(0)}y<td background="cid:b"></p>{model.mark(1)}'
    assert [True, True] == [file.inline for file in letter.files]
    assert ["file-1.png", "file-2.png"] == [file.name for file in letter.files]


def test_texts_in_sequence_are_joined_with_marks_between_them():
    """Parts of a mixed mail follow each other; each file's mark has a line of its own."""
    raw = many("multipart/mixed", mail("text/plain", "one\n"), file("image/png", PNG), b"\ntwo", b"\nthree\n")
    assert f"one\n{model.mark(0)}\ntwo\n\nthree" == content.read(raw).plain


def test_html_takes_in_plain_parts_and_leaves_plain_empty_where_it_says_less():
    """A plain footer under an HTML body does not become the whole text."""
    letter = content.read(many("multipart/mixed", mail("text/html", "<b>fire</b>"), b"\nfooter <1>\n2"))
    assert ("", "<b>fire</b>\n<div>footer &lt;1&gt;<br>\n2</div>") == (letter.plain, letter.html)


def test_alternatives_keep_the_best_of_each_kind():
    """Plain and HTML are both kept; variants for programs are not text, and files are files."""
    raw = many(
        "multipart/alternative",
        mail("text/plain", "plain"),
        mail("text/x-amp-html", "<amp>"),
        mail("text/html", "<p>rich</p>"),
        mail("text/calendar; method=REQUEST", "BEGIN:VCALENDAR"),
        mail("text/plain", "  "),
    )
    letter = content.read(raw)
    assert ("plain", "<p>rich</p>") == (letter.plain, letter.html)
    assert ["file-1.ics"] == [file.name for file in letter.files]


def test_a_related_mail_finds_its_root():
    """The root is the named start; without any HTML the parts are joined as they stand."""
    raw = many(
        'multipart/related; start="<r>"',
        file("image/gif", b"GIF89a", "Content-ID: <i>\n"),
        mail("text/html", "<img src='cid:i'>", head="Content-ID: <r>\n"),
    )
    assert content.read(raw).html == model.mark(0)
    assert (
        f"x\n{model.mark(0)}" == content.read(many("multipart/related", b"\nx", file("a/b", b"GIF89a"))).plain
    )


def test_named_texts_are_files_unless_there_is_no_other_text():
    """A log is a file; but a mail's only text is its text, whatever name it bears."""
    log = mail('text/plain; name="../var/log.txt"', "log")
    letter = content.read(many("multipart/mixed", b"\nbody", log))
    assert (f"body\n{model.mark(0)}", "log.txt", b"log") == (
        letter.plain,
        letter.files[0].name,
        letter.files[0].data,
    )
    assert content.read(many("multipart/mixed", log, file("image/png", PNG))).plain.startswith("log\n")
    assert content.read(log).plain == "log"
    attached = mail("text/plain", "x", head="Content-Disposition: attachment\n")
    assert ["file-1.txt"] == [file.name for file in content.read(attached).files]


def test_an_attached_mail_is_read_after_a_line_that_says_so():
    """Its sender and subject introduce it; its files join the others."""
    letter = content.read(MAILS["forwarded"])
    text = html.to_text(letter.html)
    assert text.startswith("Look at this\nAttached mail from mon@example.com: Тест\n")
    assert "It burns" in text
    assert ["log.txt"] == [file.name for file in letter.files]
    packed = many("multipart/mixed", file("message/rfc822", b"\ninner"))
    assert content.read(packed).plain == "Attached mail: no subject\n\ninner"


def test_mails_in_mails_end_somewhere():
    """Three are read, deeper ones are said to be left out."""
    letter = content.read(b"Content-Type: message/rfc822\n\n" * 2000 + b"x")
    assert ("mails attached deeper than 3 were left out",) == letter.notes
    digest = many("multipart/digest", b"\nSubject: one\n\nfirst", b"\nSubject: two\n\nsecond")
    assert "Attached mail: two\n\nsecond" in content.read(digest).plain


def test_a_bounce_shows_its_words_and_not_its_fields():
    """What a report says to programs is neither text nor file."""
    letter = content.read(MAILS["bounce"])
    assert ("This is the mail system. I'm sorry.", ()) == (letter.plain, letter.files)
    assert letter.auto is model.Auto.REPORT


def test_signed_mail_is_read_and_encrypted_mail_is_said_to_be_that():
    """A signature is no file; what cannot be read is said in the text where there is no other."""
    assert ("Größe über 5", ()) == (content.read(MAILS["signed"]).plain, content.read(MAILS["signed"]).files)
    sentence = "the mail is encrypted, its text cannot be read"
    for raw in (
        many("multipart/encrypted", mail("application/pgp-encrypted", "Version: 1"), b"\nxx"),
        file("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m", b"\x30\x80"),
    ):
        letter = content.read(raw)
        assert (sentence, (sentence,), ()) == (letter.plain, letter.notes, letter.files)
    closed = content.read(file("application/pkcs7-mime; smime-type=signed-data; name=smime.p7m", b"\x30\x80"))
    assert ["smime.p7m"] == [file.name for file in closed.files]
    assert len(closed.notes) == 1
    beside = content.read(many("multipart/mixed", b"\nhello", file("application/pkcs7-mime", b"\x30")))
    assert ("hello", (sentence,)) == (beside.plain, beside.notes)


def test_texts_under_wrong_or_odd_types_are_read():
    """HTML under a plain label, a short type, rich text, flowed lines."""
    assert content.read(mail("text/plain", "<!DOCTYPE html><p>x")).html == "<!DOCTYPE html><p>x"
    assert content.read(mail("html", "<p>x")).html == "<p>x"
    assert content.read(mail("text/x-log", "x")).plain == "x"
    assert content.read(mail("text/enriched", "<bold>x</bold>y")).plain == "xy"
    assert content.read(mail("text/plain; format=flowed", "a \nb")).plain == "a b"
    assert content.read(mail("text/plain; format=flowed; delsp=yes", "a \nb")).plain == "ab"


def test_what_cannot_be_decoded_is_said():
    """An unknown transfer encoding is taken as it is, in a text, a file and an attached mail."""
    note = "a part in the unknown transfer encoding x-foo was taken as it was"
    for raw in (
        mail("text/plain", "x", encoding="x-foo"),
        mail("image/png", "x", encoding="x-foo"),
        mail("message/rfc822", "\nx", encoding="x-foo"),
    ):
        assert (note,) == content.read(raw).notes
    away = content.read(mail("message/external-body; access-type=URL", "Content-Type: image/png\n"))
    assert (("a part that lies elsewhere (message/external-body) was left out",), ()) == (
        away.notes,
        away.files,
    )
    assert content.read(mail("image/png", "")).files == ()


def test_broken_multiparts_are_read_as_far_as_they_go():
    """A lost, wrong or missing boundary, a missing end, a multipart under base64."""
    inner = b"--x\nContent-Type: text/plain\n\none\n--x\n\ntwo\n--x--\n"
    guessed = content.read(b"Content-Type: multipart/mixed\n\n" + inner)
    assert ("one\n\ntwo", 1) == (guessed.plain, len(guessed.notes))
    assert content.read(b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\ncut off").plain == "cut off"
    assert content.read(b"Content-Type: multipart/mixed; boundary=x\n\n--x").plain == ""
    bare = content.read(b"Content-Type: multipart/mixed; boundary=y\n\njust text")
    assert ("just text", ("a multipart mail without boundaries was read as one text",)) == (
        bare.plain,
        bare.notes,
    )
    packed = b"Content-Type: multipart/mixed; boundary=x\nContent-Transfer-Encoding: base64\n\n"
    assert content.read(packed + base64.encodebytes(inner)).plain == "one\n\ntwo"


def test_depth_and_number_of_parts_are_bounded():
    """Thirty levels and five hundred parts are read, the rest is said to be left out."""
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(2000))
    assert ("parts nested deeper than 30 were left out",) == content.read(deep + b"\nx").notes
    wide = content.read(many("multipart/mixed", *[b"\nx"] * 2000))
    assert (500, ("parts beyond the first 500 were left out",)) == (wide.plain.count("x"), wide.notes)


def test_a_very_long_text_is_cut_and_pictures_in_html_do_not_count():
    """A megabyte of text is kept of a mail, which is said; pictures inside HTML go first."""
    long = content.read(mail("text/plain", "x" * (bodies.TEXT + 10)))
    assert (bodies.TEXT, ("a very long text was cut",)) == (len(long.plain), long.notes)
    picture = "data:image/png;base64," + "A" * bodies.TEXT
    marked_up = content.read(mail("text/html", f'<p>a<img src="{picture}">b'))
    assert ('<p>a<img src="">b', ()) == (marked_up.html, marked_up.notes)


def test_the_other_fixtures_are_read():
    """Nested parts, uuencode, wide characters, a device without MIME, an answering machine."""
    letters = {name: content.read(raw) for name, raw in MAILS.items()}
    assert letters["nested"].plain == "deep here "
    assert letters["uuencoded"].files[0].data == PNG
    assert letters["utf16"].plain == "Авария на узле 7"
    assert letters["device"].plain == "Движение в зоне 1\nвремя 10:15"
    assert letters["vacation"].auto is model.Auto.REPLIED
    assert letters["plain-koi8r"].auto is model.Auto.GENERATED


# -- hostile mail -------------------------------------------------------------------------

TOKENS = (
    b"\r\n", b"\n", b"\r", b"\0", b"=?", b"?=", b"--", b";", b'"', b"=", b"boundary=", b"charset=", b"idna",
    b"Content-Type: multipart/mixed; boundary=b0\n\n--b0\n", b"Content-Type: message/rfc822\n\n", b"utf-7",
    b"Content-Transfer-Encoding: base64\n", b"punycode", b"utf-16", b"\xff\xfe", b"<", b">",
    b"filename*0*=''", b"%", b"\xef\xb7\x90", b"&#xfdd0;", b"hz", b"unicode_escape", b"iso-2022-jp",
    b"\x1b$B", b"gbk",
    b"begin 644 x",
)  # fmt: skip


def mutated(chance: random.Random, raw: bytes) -> bytes:
    """The mail with up to twelve accidents."""
    octets = bytearray(raw)
    for _ in range(chance.randint(1, 12)):
        start = chance.randrange(len(octets) + 1)
        end = min(len(octets), start + chance.randrange(60))
        match chance.randrange(7):
            case 0:
                del octets[start:end]
            case 1:
                octets[start:start] = chance.choice(TOKENS)
            case 2:
                octets[start:end] = chance.choice(TOKENS)
            case 3:
                octets[start:start] = octets[start:end] * chance.randrange(1, 20)
            case 4:
                other = chance.choice(list(MAILS.values()))
                cut = chance.randrange(len(other))
                octets[start:start] = other[cut : cut + chance.randrange(400)]
            case 5:
                octets[start:start] = chance.randbytes(chance.randrange(40))
            case _:
                del octets[start : start + chance.randrange(2) * len(octets)]
    return bytes(octets)


@pytest.mark.timeout(20)  # a quadratic reading would take hours
@pytest.mark.parametrize("seed", range(6))
def test_no_mutation_of_a_mail_raises_or_takes_long(seed):
    """Six times five hundred accidents: a letter each time, in less than two seconds."""
    chance = random.Random(seed)
    for _ in range(500):
        raw = mutated(chance, chance.choice(list(MAILS.values())))
        letter = content.read(raw)
        numbers = {int(each) for each in re.findall(model.MARK, letter.plain + letter.html)}
        assert numbers <= set(range(len(letter.files)))
        assert "\r" not in letter.plain + letter.subject


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_octets_are_a_mail(raw):
    """No octets raise."""
    assert content.read(raw).head.count(b"\r\n") <= raw.count(b"\n") + 1


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: multipart/mixed; boundary=-\n\n" + b"-" * 3_000_000,
        b"Content-Type: multipart/mixed; boundary=-\n\n" + b"--x\n" * 500_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * 500_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 200_000,
        b"a:\n" * 1_000_000,
        b"Subject: " + b"=?utf-8?q?" * 100_000,
        b"Subject: " + b"=?utf-8?b?0Jg=?= " * 50_000,
        b"From: " + b'<("' * 100_000,
        b"Content-Type: text/html\n\n" + b"<img " * 200_000,
        b"Content-Type: text/html\n\n" + b"cid:" * 200_000,
        b"Content-Transfer-Encoding: base64\n\n" + b"=" * 2_000_000,
        b"Content-Transfer-Encoding: base64\n\n" + b"QQ==" * 500_000,
        b"Content-Transfer-Encoding: quoted-printable\n\n" + b"= " * 1_000_000,
        b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n" + b"#QQQQ\n" * 300_000,
        b"Content-Type: a/b; " + b'x="\\' * 8_000,
        b"Content-Type: text/plain; format=flowed\n\n" + b"> " * 500_000,
        b"\n" + "ъ".encode() * 500_000 + b"\xff" * 500_000,
        b"\n" + b"\x81" * 1_000_000,
    ],
    ids=lambda raw: raw[:60].decode("latin-1").replace("\n", " "),
)  # fmt: skip
@pytest.mark.timeout(20)  # a quadratic reading would take hours
def test_hostile_mail_is_read_in_linear_time(raw):
    """Mails built to make a reader slow are read within two seconds."""
    content.read(raw)
