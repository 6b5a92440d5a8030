"""S/MIME in one piece gives back the mail that was signed, however its octets are cut."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message import cms, content

MAILS = Path(__file__).parent / "mails"
SIGNED = bytes.fromhex("06092a864886f70d010702")
DATA = bytes.fromhex("06092a864886f70d010701")
ENVELOPED = bytes.fromhex("06092a864886f70d010703")
AUTHENTICATED = bytes.fromhex("060b2a864886f70d0109100117")
TEXT = b"Content-Type: text/plain\r\n\r\nDisk 95 %\r\n"
END = b"\0\0"


def tlv(tag: int, value: bytes) -> bytes:
    """One item whose length is known (X.690 section 8.1.3)."""
    size = len(value)
    octets = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([0x80 | len(octets)]) + octets) + value


def endless(tag: int, value: bytes) -> bytes:
    """One item that says its end behind its value."""
    return bytes([tag, 0x80]) + value + END


def signed(text: bytes, wrap=tlv, algorithms: bytes = b"") -> bytes:
    """SignedData around an OCTET STRING that is given encoded."""
    inner = wrap(0x30, DATA + (wrap(0xA0, text) if text else b""))
    return wrap(0x30, SIGNED + wrap(0xA0, wrap(0x30, tlv(2, b"\1") + wrap(0x31, algorithms) + inner)))


PIECES = [tlv(4, TEXT[at : at + 7]) for at in range(0, len(TEXT), 7)]


@pytest.mark.parametrize("wrap", [tlv, endless])
@pytest.mark.parametrize(
    "string",
    [
        tlv(4, TEXT),
        tlv(0x24, b"".join(PIECES)),
        endless(0x24, b"".join(PIECES)),
        endless(0x24, endless(0x24, PIECES[0]) + tlv(0x24, b"".join(PIECES[1:])) + tlv(0x24, b"")),
    ],
    ids=["whole", "pieces", "endless", "nested"],
)
@pytest.mark.parametrize("algorithms", [b"", tlv(0x30, DATA), endless(0x30, DATA + endless(0x30, b""))])
def test_the_signed_octets_come_out_of_any_form(wrap, string, algorithms):
    """Known and unknown lengths, one string or pieces of pieces, algorithms of any kind before it."""
    assert cms.Message(cms.SIGNED, TEXT) == cms.read(signed(string, wrap, algorithms))


def test_what_is_closed_is_told_from_what_is_signed():
    """Enveloped data is that; certificates alone hold no text; other data is of no kind."""
    assert cms.read(tlv(0x30, ENVELOPED + tlv(0xA0, b""))).kind == cms.ENVELOPED
    assert cms.read(tlv(0x30, AUTHENTICATED)).kind == cms.ENVELOPED
    assert cms.read(signed(b"")) == cms.Message(cms.SIGNED, whole=False)
    for raw in (b"", b"0", b"text", b"\x30\x80", tlv(0x30, DATA), tlv(0x31, SIGNED), tlv(0x30, tlv(4, b""))):
        assert cms.read(raw) == cms.Message()


@pytest.mark.parametrize(
    "raw",
    [
        tlv(0x30, SIGNED + tlv(4, b"")),
        tlv(0x30, SIGNED),
        tlv(0x30, SIGNED + tlv(0xA0, tlv(4, b""))),
        signed(tlv(5, b"")),
        signed(endless(0x24, tlv(5, b""))),
        signed(b"\x24\x80" * 40),
        tlv(0x30, SIGNED + tlv(0xA0, endless(0x30, b"\x31\x80\x1f"))),
        tlv(0x30, SIGNED + tlv(0xA0, endless(0x30, b"\x31\x84\xff"))),
        signed(endless(0x24, b"\x04\0" * 100_001)),
        endless(0x30, SIGNED + endless(0xA0, endless(0x30, b"\x31\x80" + b"\x04\0" * 100_001))),
    ],
)
def test_what_is_no_message_holds_nothing_and_says_so(raw):
    """A wrong tag, a length without its octets, pieces in pieces without end."""
    found = cms.read(raw)
    assert (cms.SIGNED, b"", False) == (found.kind, found.data, found.whole)


def test_a_message_that_was_cut_off_gives_what_is_there():
    """The first octets of a string whose end is missing are read, and it is said."""
    for string in (tlv(4, TEXT), endless(0x24, tlv(4, TEXT) + tlv(4, TEXT))):
        raw = signed(string)
        found = cms.read(raw[: raw.index(TEXT) + 20])
        assert (TEXT[:20], False) == (found.data, found.whole)
    raw = signed(endless(0x24, tlv(4, TEXT)), endless)
    assert (TEXT, False) == (cms.read(raw[: raw.index(TEXT) + len(TEXT)]).data, cms.read(raw[:-20]).whole)


@given(st.binary(max_size=80), st.integers(0, 60))
def test_no_octets_raise(noise, at):
    """Any octets, alone and in the middle of a message."""
    cms.read(noise)
    raw = signed(endless(0x24, b"".join(PIECES)), endless)
    assert len(cms.read(raw[:at] + noise + raw[at:]).data) <= len(raw) + len(noise)


# -- whole mails, made by openssl -------------------------------------------------------------


@pytest.mark.parametrize("name", ["opaque", "detached", "twice"])
def test_signed_mail_is_read_without_its_signature(name):
    """Signed in one piece, beside, and signed twice: the text alone, no file, nothing amiss."""
    letter = content.read((MAILS / f"smime-{name}.eml").read_bytes())
    assert ("Диск 95 % на db1", (), ()) == (letter.plain, letter.files, letter.notes)


def test_a_streamed_signed_mail_keeps_its_parts():
    """Inside are a text in koi8-r and a file."""
    letter = content.read((MAILS / "smime-stream.eml").read_bytes())
    assert letter.plain.startswith("Пожар в зале 2\n")
    assert [("syslog.txt", b"line")] == [(file.name, file.data) for file in letter.files]


def part(data: bytes, kind: str) -> bytes:
    """A mail that is one closed form."""
    head = f"Content-Type: {kind}\nContent-Transfer-Encoding: base64\n\n"
    return head.encode() + base64.encodebytes(data)


@pytest.mark.parametrize(
    "kind", ["application/pkcs7-mime", "application/x-pkcs7-mime; smime-type=x", "a/b; name=smime.p7m"]
)
def test_the_octets_decide_not_the_label(kind):
    """Without a kind, with a wrong one, or by the name of the file alone."""
    assert content.read(part(signed(tlv(4, TEXT)), kind)).plain == "Disk 95 %"
    closed = content.read(part(tlv(0x30, ENVELOPED), kind))
    assert closed.plain == closed.notes[0] == "the mail is encrypted, its text cannot be read"


def test_what_is_neither_is_a_file():
    """Certificates alone and unknown octets under the usual name."""
    for raw, kind in (
        (signed(b""), "application/pkcs7-mime; smime-type=certs-only; name=smime.p7c"),
        (b"octets", "application/octet-stream; name=smime.p7m"),
    ):
        letter = content.read(part(raw, kind))
        assert ([raw], ()) == ([file.data for file in letter.files], letter.notes)


def test_a_cut_message_and_one_too_deep_are_noted():
    """What is there is read; a mail signed five times is too much."""
    raw = signed(tlv(4, TEXT))
    cut = content.read(part(raw[: raw.index(b"95")], "application/pkcs7-mime"))
    assert ("Disk", ("a part that is signed in a closed form (S/MIME) was cut off",)) == (
        cut.plain.strip(),
        cut.notes,
    )
    for _ in range(4):
        raw = signed(tlv(4, part(raw, "application/pkcs7-mime")))
    assert ("mails attached deeper than 3 were left out",) == content.read(
        part(raw, "application/pkcs7-mime")
    ).notes


def test_the_only_named_text_inside_is_the_text():
    """Devices name even that."""
    inner = b"Content-Type: text/plain; name=alarm.txt\n\nfire"
    assert content.read(part(signed(tlv(4, inner)), "application/pkcs7-mime")).plain == "fire"
