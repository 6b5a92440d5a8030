"""Any MIME becomes what a phone can read: a table of mails, well made and ill made, and their texts.

Winmail.dat, S/MIME in one piece, PGP, RTF and invitations have files of tests of their own.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from relay.message import content, places
from relay.message.wording import Source

MAILS = Path(__file__).parent / "mails"
RU = "Диск 95 %, сервер db1"
PNG = b"\x89PNG\r\n\x1a\n"
KOI = RU.encode("koi8-r")
WIN = RU.encode("cp1251")
TWO = "--b\n\none\n--b\n\ntwo\n--b--\n"
ENCRYPTED = "the mail is encrypted, its text cannot be read"
GUESSED = "the boundary between the parts was missing and has been guessed"
PIECE = "only a piece of a mail that was sent in pieces (message/partial) is here"
UNKNOWN = "a part in the unknown transfer encoding {} was taken as it was"


def mail(kind: str, body: str | bytes, *fields: str) -> bytes:
    """A mail of one part."""
    head = "".join(f"{field}\n" for field in (f"Content-Type: {kind}", *fields))
    return f"Subject: s\n{head}\n".encode() + (body if isinstance(body, bytes) else body.encode())


def many(kind: str, *pieces: str, boundary: str = "b", end: str = "--") -> str:
    """A multipart with its own fields, as text."""
    inner = "".join(f"--{boundary}\n{piece}\n" for piece in pieces)
    return f"Content-Type: multipart/{kind}; boundary={boundary}\n\n{inner}--{boundary}{end}\n"


def encoding(name: str, body: bytes | str = RU) -> bytes:
    """A text under a transfer encoding."""
    return mail("text/plain; charset=utf-8", body, f"Content-Transfer-Encoding: {name}")


def read(raw: bytes) -> tuple[str, str, tuple[str, ...]]:
    """The subject, what a phone reads of the body, and what is noted."""
    letter = content.read(raw)
    return letter.subject, places.without(Source(letter).readable).strip(), letter.notes


HTML = "Content-Type: text/html\n\n<p>rich</p>"
BASE64 = base64.b64encode(RU.encode()).decode()
PLAIN_NAMES = ("8bit ", "8-BIT", "binary", "BINARY;", "8bit; x", "none", "utf-8", '"8bit"', "")
BASE64_NAMES = ("base64", "Base64;", '"base64"', "base-64", "b64", "BASE64 (x)", " base64,")
PACKED = "Content-Transfer-Encoding: base64"
LEVEL = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n\nlevel %d\n--b%d\n"
UU = "begin 644 a.txt\n)9&ES:R`Y-2`E\n`\nend\n"
REPORT = (
    "Content-Type: message/rfc822\n\nSubject: Undelivered\nContent-Type: multipart/report; boundary=r\n\n"
    "--r\n\nit failed\n--r\nContent-Type: message/delivery-status\n\nAction: failed\n--r\n"
    "Content-Type: text/rfc822-headers\n\nFrom: x\n--r--\n"
)
APPLE = many(
    "appledouble",
    "Content-Type: application/applefile; name=a.png\n\nxx",
    "Content-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=",
    boundary="c",
)

STRUCTURES = {
    "apple double": (many("mixed", "\nhello", APPLE).encode(), "hello", ()),
    "the first piece": (
        b"Content-Type: message/partial; id=x; number=1\n\n" + mail("text/plain; charset=koi8-r", KOI),
        RU, (PIECE,),
    ),
    "a later piece": (mail("message/partial; id=x; number=2", "the other half"), "the other half", (PIECE,)),
    "a piece of base64": (mail("message/partial; number=2", BASE64 + "\n"), "", (PIECE,)),
    "a piece too deep": (
        b"Content-Type: message/partial; number=1\n\n" * 9 + b"x", "",
        (PIECE, "mails attached deeper than 3 were left out"),
    ),
    "a body elsewhere": (
        many("mixed", "\nhello", "Content-Type: message/external-body; access-type=URL\n\n").encode(),
        "hello", ("a part that lies elsewhere (message/external-body) was left out",),
    ),
    "enriched": (
        mail("text/enriched", "<bold>Now</bold> is\nthe <<time>\n\n<color><param>red</param>x</color>"),
        "Now is the <time>\nx", (),
    ),
    "richtext": (mail("text/richtext", "<bold>a</bold>\n\nb<nl>c <lt>d<paragraph>e"), "a b\nc <d\n\ne", ()),
    "enriched beside plain": (
        many("alternative", "\nplain", "Content-Type: text/enriched\n\n<bold>b</bold>").encode(), "plain", (),
    ),
    "a report inside a forward": (
        many("mixed", "\nsee", REPORT).encode(), "see\n\nAttached mail: Undelivered\n\nit failed", (),
    ),
    "no boundary": (mail("multipart/mixed", TWO), "one\n\ntwo", (GUESSED,)),
    "no boundary, with fields": (mail("multipart/mixed", f"--x-\n{HTML}"), "rich", (GUESSED,)),
    "another boundary": (mail("multipart/mixed; boundary=c", TWO), "one\n\ntwo", (GUESSED,)),
    "no parts at all": (
        mail("multipart/mixed; boundary=c", "just text\n-- \nme"), "just text\n-- \nme",
        ("a multipart mail without boundaries was read as one text",),
    ),
    "nothing in it": (mail("multipart/mixed; boundary=c", "\n\n"), "", ()),
    "boundary with blanks": (
        mail('multipart/mixed; boundary="b "', TWO.replace("--b\n", "--b  \n")), "one\n\ntwo", (),
    ),
    "boundary in pieces": (
        mail("multipart/mixed; boundary*0=b; boundary*1=c", TWO.replace("-b", "-bc")), "one\n\ntwo", (),
    ),
    "boundary without a semicolon": (mail("multipart/mixed\tboundary=b", TWO), "one\n\ntwo", ()),
    "boundary alone": (mail("boundary=b", TWO.strip()), TWO.strip(), ()),
    "boundary in capitals": (mail("MULTIPART/Mixed;\n BOUNDARY = b", TWO), "one\n\ntwo", ()),
    "no final boundary": (many("mixed", "\none", "\ntwo", end="").encode(), "one\n\ntwo", ()),
    "cut in a boundary": (many("mixed", "\none").encode()[:-4], "one\n--", ()),
    "the same boundary inside": (
        many("mixed", many("alternative", "\nplain", HTML), "\nafter").encode(), "plain\n\nafter", (),
    ),
    "the same boundary without an end": (
        many("mixed", many("alternative", "\nplain", HTML, end="")).encode(), "plain", (),
    ),
    "base64 around parts": (
        mail("multipart/mixed; boundary=b", base64.encodebytes(TWO.encode()), PACKED),
        "one\n\ntwo", (),
    ),
    "a thousand parts": (
        many("mixed", *["\nx"] * 1000).encode(), "\n\n".join(["x"] * 500),
        ("parts beyond the first 500 were left out",),
    ),
    "a hundred levels": (
        b"".join(LEVEL % (n, n, n, n) for n in range(100)),
        "\n\n".join(f"level {n}" for n in range(30)), ("parts nested deeper than 30 were left out",),
    ),
    "encrypted with PGP": (
        many("encrypted", "Content-Type: application/pgp-encrypted\n\nVersion: 1",
             "Content-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\n\nxx").encode(),
        ENCRYPTED, (ENCRYPTED,),
    ),
    "signed with PGP": (
        many("signed", "\nsigned", "Content-Type: application/pgp-signature\n\nxx").encode(), "signed", (),
    ),
    "a type with a comment": (mail("text/html (really); charset=utf-8", "<p>a</p>"), "a", ()),
    "half a type": (mail("text; charset=koi8-r", KOI), RU, ()),
    "two types": (mail("text/html", "<p>a</p>", "Content-Type: text/plain"), "a", ()),
    "yEnc": (mail("text/plain", "=ybegin line=128\nxx\n=yend"), "=ybegin line=128\nxx\n=yend", ()),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_of_any_kind_are_read(name):
    """Parts in all their forms, and what is left of them."""
    raw, text, notes = STRUCTURES[name]
    assert (text, notes) == read(raw)[1:]


@pytest.mark.parametrize(
    ("name", "body", "text", "notes"),
    [
        ("x-uuencode", UU, "disk 95 %", ()),
        ("X-UUE", UU, "disk 95 %", ()),
        ("uuencoded", UU, "disk 95 %", ()),
        *[(name, RU, RU, ()) for name in PLAIN_NAMES],
        *[(name, BASE64, RU, ()) for name in BASE64_NAMES],
        *[(name, RU, RU, (UNKNOWN.format(name),)) for name in ("16bit", "7bit/8bit", "yenc")],
        ("base64", RU, RU, ("a part that was labelled base64 but is not was taken as it was",)),
        ("base64", f"\0{BASE64[:10]}\x80\r\n -\n{BASE64[10:]}\n\n", RU, ()),
        ("base64", BASE64[:-6], "Диск 95 %, сервер", ()),
        ("quoted-printable", "=D0=94=D0=B8=\n=D1=81", "Дис", ()),
        ("quoted_printable", "=D0=94", "Д", ()),
        ("qp", "=D0=94", "Д", ()),
        ("quoted-printable", "=D0=94=D0=B8=", "Ди", ()),
        ("quoted-printable", "=D0=94=D0=B8=D", "Ди=D", ()),
        ("quoted-printable", "=D0=94=D0=B8=D1", "Ди\ufffd", ()),
    ],
)  # fmt: skip
def test_transfer_encodings_of_any_spelling_are_read(name, body, text, notes):
    """What the label means, what the octets are, and how far they go."""
    assert (text, notes) == read(encoding(name, body.encode("latin-1") if "\x80" in body else body))[1:]


ALARM = "Subject: Alarm\nFrom: a@b\nContent-Type: text/html\n\n<p>fire</p>\n"
BEGINNINGS = {
    "an empty line": "\n" + ALARM,
    "empty lines": ("\n\n" + ALARM).replace("\n", "\r\n"),
    "blanks and zeros": "\0\0 \n\t\n" + ALARM,
    "a mark of UTF-8": "\ufeff" + ALARM,
    "the line of an mbox": "From a@b Fri Nov 20 13:40:56 2026\n" + ALARM,
    "both of them": "\ufeff>From a@b Fri Nov 20\n" + ALARM,
    "CR alone": ALARM.replace("\n", "\r"),
    "CR alone, and the server's end": ALARM.replace("\n", "\r") + "\r\n",
    "CR twice": ALARM.replace("\n", "\r\r\n"),
    "zeros in it": ALARM.replace("larm", "\0larm").replace("fire", "\0fire\0"),
    "no blanks": ALARM.replace(": ", ":"),
    "blanks before the colon": ALARM.replace(": ", " : "),
    "a field of three megabytes": f"X-A: {'a' * 3_000_000}\n{ALARM}",
    "a field of many lines": "X-A: a\n" + " b\n" * 40_000 + ALARM,
    "UTF-16": ALARM.encode("utf-16"),
    "UTF-16, the other way": b"\xfe\xff" + ALARM.encode("utf-16-be"),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_mails_that_begin_in_any_way_are_read(name):
    """Their subject is found and their type is believed."""
    raw = BEGINNINGS[name]
    assert ("Alarm", "fire", ()) == read(raw if isinstance(raw, bytes) else raw.encode())


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\nNote: the disk is full\nSubject: none\n", "Note: the disk is full\nSubject: none"),
        (b"\n\nfire", "fire"),
        (b"\0fire", "fire"),
        ("Авария".encode("utf-16"), "Авария"),
        (b"just\rtwo lines", "just\ntwo lines"),
        (b"a\rb\nc", "a\nb\nc"),
    ],
)
def test_texts_without_a_header_stay_texts(raw, text):
    """One field is no header; lines may end in any way."""
    assert ("", text, ()) == read(raw)


def test_a_header_of_lines_with_lf_is_not_cut_at_a_cr():
    """What somebody smuggled behind a CR is no field of its own."""
    raw = b"From: a@b\nSubject: x\rX-SMSC-Sender: me\r\rtext\n\nbody"
    letter = content.read(raw)
    assert (letter.header("X-SMSC-Sender"), letter.subject, letter.plain) == (
        "",
        "x X-SMSC-Sender: me text",
        "body",
    )


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-16"])
@pytest.mark.parametrize("label", ["", "; charset=utf-8", "; charset=us-ascii", "; charset=iso-8859-1"])
@pytest.mark.parametrize("text", [RU, "Disk 95 %", "Größe ändern", "Łódź: pełny"])
def test_utf_16_that_does_not_say_so_is_read(order, label, text):
    """In any order of octets, with a line end of SMTP's behind it."""
    for end in (b"", b"\r\n"):
        raw = b"Content-Type: text/plain" + label.encode() + b"\n\n" + text.encode(order) + end
        assert text == read(raw)[1]


@pytest.mark.parametrize("charset", ["utf-8", "koi8-r", "windows-1251", "cp866"])
def test_header_fields_of_eight_bits_are_read(charset):
    """Subject and names without any encoding."""
    raw = b"Subject: " + RU.encode(charset) + b"\nFrom: " + "Монитор".encode(charset) + b" <a@b>\nTo: "
    letter = content.read(raw + "Дежурный".encode(charset) + b" <c@d>\n\nx")
    assert (RU, "a@b", "Дежурный <c@d>") == (letter.subject, letter.from_, letter.to)


def words(*pieces: tuple[str, bytes]) -> bytes:
    """Encoded words of UTF-8, folded."""
    coded = {
        "b": lambda octets: base64.b64encode(octets).decode(),
        "q": lambda octets: "".join(f"={octet:02X}" for octet in octets),
    }
    return "\r\n ".join(f"=?utf-8?{letter}?{coded[letter](octets)}?=" for letter, octets in pieces).encode()


OCTETS = RU.encode()


@pytest.mark.parametrize(
    "value",
    [
        words(("b", OCTETS[:3]), ("b", OCTETS[3:])),
        words(("q", OCTETS[:3]), ("q", OCTETS[3:5]), ("q", OCTETS[5:])),
        words(("q", OCTETS[:1]), ("b", OCTETS[1:9]), ("q", OCTETS[9:])),
        words(("b", OCTETS)).replace(b"?=", b""),
        words(("b", OCTETS)).lower().replace(base64.b64encode(OCTETS).lower(), base64.b64encode(OCTETS)),
    ],
)
def test_encoded_words_that_break_in_a_letter_are_read(value):
    """In either encoding, mixed, without an end."""
    assert RU == read(b"Subject: " + value + b"\r\n\r\nx")[0]


@pytest.mark.parametrize(
    "parameters",
    [
        "filename*0*=koi8-r''%CF%D4; filename*1*=%DE%A3%D4; filename*2=.pdf",
        "filename*1*=%D1%91%D1%82.pdf; filename*0*=utf-8''%D0%BE%D1%82%D1%87",
        "filename*=windows-1251'ru'%EE%F2%F7%B8%F2.pdf; filename=x.pdf",
        'filename="=?utf-8?q?=D0=BE=D1=82=D1=87=D1=91=D1=82.pdf?="',
        'filename="=?koi8-r?b?z9TeoxQ=?="'.replace("oxQ=", "o9QucGRm"),
    ],
)
def test_names_in_pieces_are_read(parameters):
    """Continued and encoded parameters (RFC 2231), and encoded words against it."""
    raw = f"Content-Type: application/pdf\nContent-Disposition: attachment;\n {parameters}\n\n%PDF-1".encode()
    assert ["отчёт.pdf"] == [file.name for file in content.read(raw).files]


def test_an_endless_line_is_cut():
    """A text of one line, five megabytes long."""
    subject, text, notes = read(b"Subject: s\n\n" + b"fire " * 1_000_000)
    assert ("s", 1 << 20, ("a very long text was cut",)) == (subject, len(text), notes)


# -- mails as software writes them, in files -----------------------------------------------------

PLAN = "Приходите\n\nInvitation: Плановые работы, узел 7, 2026-11-21 15:00 Europe/Moscow – 16:00, Зал 2"
PACKED_MAIL = "Совещание перенесено на 16:00"


@pytest.mark.parametrize(
    ("name", "text", "files", "notes"),
    [
        ("winmail", PACKED_MAIL, ["Отчёт за день.png", "notes.txt"], ()),
        (
            "winmail-rich",
            f"hello world\n\nAttached mail: Совещание\n\n{PACKED_MAIL}",
            ["Отчёт за день.png", "notes.txt"],
            (),
        ),
        ("invitation", PLAN, ["file-1.ics"], ()),
        ("pgp-inline", "Диск 95 %\n-- \nops", [], ()),
        ("rich-text", "Диск 95 %\nузел 7", ["logo.png"], ()),
        ("recorder-gbk", "设备报警：通道一检测到移动\n时间：2026-11-20 10:15:00", [], ()),
        ("same-boundary", "plain words", ["a.log"], ()),
        ("piece", "Диск 95 %, продолжение", [], (PIECE,)),
        ("smime-enveloped", ENCRYPTED, [], (ENCRYPTED,)),
    ],
)
def test_mails_in_files_are_read(name, text, files, notes):
    """Their text, the names of their files, and what is noted."""
    raw = (MAILS / f"{name}.eml").read_bytes()
    assert (text, notes) == read(raw)[1:]
    assert files == [file.name for file in content.read(raw).files]
