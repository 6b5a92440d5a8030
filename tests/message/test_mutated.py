"""Ten thousand damaged mails: none raises, none takes long, none takes much memory.

Each mail has a seed of its own, which a failure names: `damaged(seed)` is that mail again.
"""

from __future__ import annotations

import base64
import random
import re
import resource
import time
from pathlib import Path

import pytest

from relay.config import Route
from relay.message import content, orders, routes
from relay.model import MARK, Envelope, Recipient

ROOT = Path(__file__).parent.parent
MAILS = [path.read_bytes() for path in sorted(ROOT.rglob("*.eml"))]
SEEDS, EACH = 20, 500
SECONDS = 2.0  # of the processor, for one mail: a limit that is promised
MEMORY = 200 << 20  # octets that the process may grow by
PHONE, MAILBOX = "79991234567@sms.example.com", "bob@people.example"
WAYS = [
    Route.model_validate({"match": match, "channel": channel, "account": "main", "accounts": ["main"]})
    for match, channel in (("*@sms.example.com", "sms"), ("*", "mail"))
]
RESOLVED = [routes.resolve(address, WAYS, {}) for address in (PHONE, MAILBOX)]
ENVELOPE = Envelope(sender="a@b.c", recipients=(Recipient(address=PHONE), Recipient(address=MAILBOX)))

CHARSETS = (
    b"utf-8", b"utf-16", b"utf-7", b"koi8-r", b"windows-1251", b"gb2312", b"big5", b"iso-2022-jp", b"hz",
    b"us-ascii", b"x-unknown", b"idna", b"unicode_escape", b"rot13", b"zlib", b"",
)  # fmt: skip
TYPES = (
    b"text/plain", b"text/html", b"text/enriched", b"text/rtf", b"text/calendar", b"multipart/mixed",
    b"multipart/alternative", b"multipart/related", b"multipart/signed", b"multipart/digest",
    b"message/rfc822", b"message/partial; number=1", b"message/external-body", b"application/pkcs7-mime",
    b"application/ms-tnef", b"application/octet-stream", b"multipart/encrypted", b"", b"/",
)  # fmt: skip
ENCODINGS = (b"base64", b"quoted-printable", b"x-uuencode", b"8bit", b"binary", b"nonsense", b"")
FIELDS = (
    b"Content-Type: multipart/mixed; boundary=b0\n\n--b0\n", b"Content-Type: message/rfc822\n\n",
    b"Subject: =?utf-8?q?", b"Content-Type: text/html\n",
    b"Content-Disposition: attachment; filename*0*=koi8-r''%CF; filename*1=x\n",
    b"Content-Type: text/plain; format=flowed; delsp=yes\n", b"X-SMSC-Channel: call\n",
    b"Content-ID: <one@x>\n", b"Received: x\n", b'From: "(<\n', b":\n", b"\n\n", b"From me\n",
)  # fmt: skip
WORDS = (
    b"\0", b"\r", b"\n", b"\r\n", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"=", b"=?", b"?=", b"--", b"<",
    b"&#xfdd0;", b"\xef\xb7\x90", b"<table><tr><td>", b"<!--", b"<style>", b"\x1b$B", b"{\\rtf1\\u1",
    b"BEGIN:VEVENT\nSUMMARY:x\n", b"-----BEGIN PGP MESSAGE-----\n",
    b"-----BEGIN PGP SIGNED MESSAGE-----\n\n", b"begin 644 a\n", b"__CALL__", b"~~~\n",
)  # fmt: skip


def flip(chance: random.Random, raw: bytes) -> bytes:
    """Some octets become others."""
    octets = bytearray(raw)
    for _ in range(chance.randint(1, 40)):
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    return bytes(octets)


def cut(chance: random.Random, raw: bytes) -> bytes:
    """A piece goes, more often than not the end."""
    start = chance.randrange(len(raw))
    return raw[:start] + raw[start + chance.randrange(200) :] if chance.random() < 0.4 else raw[:start]


def doubled(chance: random.Random, raw: bytes) -> bytes:
    """Lines come several times."""
    lines = raw.splitlines(keepends=True)
    at = chance.randrange(len(lines))
    end = at + chance.randint(1, 8)
    return b"".join([*lines[:at], *lines[at:end] * chance.choice((2, 3, 50)), *lines[end:]])


def swapped(chance: random.Random, raw: bytes) -> bytes:
    """Parts, or what stands between lines with two hyphens, in another order."""
    pieces = re.split(rb"(?m)^(?=--)", raw)
    chance.shuffle(pieces)
    return b"".join(pieces)


def boundary(chance: random.Random, raw: bytes) -> bytes:
    """A boundary is lost, changed or made equal to another one."""
    names = re.findall(rb'boundary="?([^"\s;]{1,70})', raw) or [b"b"]
    name, other = chance.choice(names), chance.choice([*names, b"", b"-", b"b", b"x" * 300])
    return raw.replace(name, other, chance.choice((1, 2, -1)))


def header(chance: random.Random, raw: bytes) -> bytes:
    """A field is put anywhere, or the first colon or blank line goes."""
    if chance.random() < 0.3:
        return raw.replace(chance.choice((b":", b"\n\n", b"\r\n\r\n", b";", b'"')), b"", 1)
    at = chance.choice([0, *(found.end() for found in re.finditer(rb"\n", raw))])
    return raw[:at] + chance.choice(FIELDS) + raw[at:]


def label(chance: random.Random, raw: bytes) -> bytes:
    """Another charset, type or transfer encoding is claimed."""
    pattern, names = chance.choice((
        (rb'(?i)(charset\*?=)"?[^"\s;]{0,40}', CHARSETS),
        (rb"(?i)(content-type:)[^;\n]{0,80}", TYPES),
        (rb"(?i)(content-transfer-encoding:)[^\n]{0,40}", ENCODINGS),
        (rb"(?i)(=\?)[^?]{1,40}(?=\?)", CHARSETS),
    ))  # fmt: skip
    return re.sub(pattern, lambda found: found[1] + chance.choice(names), raw, count=chance.choice((0, 1)))


def packed(chance: random.Random, raw: bytes) -> bytes:
    """A line of base64 or quoted-printable is damaged."""
    found = list(re.finditer(rb"(?m)^[A-Za-z0-9+/=]{8,80}\r?$", raw))
    if not found:
        return raw.replace(b"=", chance.choice((b"==", b"", b"=\n")), 3)
    line = chance.choice(found)
    at = chance.randint(line.start(), line.end())
    return (
        raw[:at]
        + chance.choice((b"=", b"!", b"\n=\n", b"*" * 200, b"A", b"=="))
        + raw[at + chance.randrange(3) :]
    )


def inserted(chance: random.Random, raw: bytes) -> bytes:
    """NUL, CR, octets of eight bits and other words anywhere, sometimes very often."""
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(raw) + 1)
        raw = raw[:at] + chance.choice(WORDS) * chance.choice((1, 1, 1, 3, 1000)) + raw[at:]
    return raw


def spliced(chance: random.Random, raw: bytes) -> bytes:
    """A piece of another mail, or another mail as a part."""
    other = chance.choice(MAILS)
    at = chance.randrange(len(raw) + 1)
    if chance.random() < 0.5:
        start = chance.randrange(len(other))
        return raw[:at] + other[start : start + chance.randrange(2000)] + raw[at:]
    return raw[:at] + b"\nContent-Type: message/rfc822\n\n" + other + raw[at:]


def nested(chance: random.Random, raw: bytes) -> bytes:
    """The mail inside of up to two hundred parts, mails and encodings."""
    for level in range(chance.choice((1, 2, 5, 40, 200))):
        match chance.randrange(4) if level < 4 else chance.randrange(2):
            case 0:
                raw = b"Content-Type: multipart/mixed; boundary=n%d\n\n--n%d\n%b" % (level, level, raw)
            case 1:
                raw = b"Content-Type: message/rfc822\n\n" + raw
            case 2:
                raw = (
                    b"Content-Transfer-Encoding: base64\nContent-Type: message/rfc822\n\n"
                    + base64.encodebytes(raw)
                )
            case _:
                raw = (
                    b"Content-Type: multipart/alternative; boundary=n\n\n--n\n" + raw + b"\n--n\n" + raw[:500]
                )
    return raw


WAYS_TO_HARM = (flip, cut, doubled, swapped, boundary, header, label, packed, inserted, spliced, nested)


def damaged(seed: int) -> bytes:
    """One of the mails, harmed in up to six ways."""
    chance = random.Random(seed)
    raw = chance.choice(MAILS)
    for _ in range(chance.randint(1, 6)):
        raw = chance.choice(WAYS_TO_HARM)(chance, raw or b"\n")[: 1 << 20]
    return raw


def sent(raw: bytes) -> None:
    """Read the mail and make an SMS and a mail of it, as the front door does."""
    letter = content.read(raw)
    numbers = {int(each) for each in re.findall(MARK, letter.plain + letter.html + letter.readable)}
    assert numbers <= set(range(len(letter.files)))
    made = orders.compose(
        letter, ENVELOPE, RESOLVED, now=1_800_000_000_000, fallback_sender="relay@example.com"
    )
    assert {0, 1} == {each.recipient for each in (*made.drafts, *made.refusals)}


def grown() -> int:
    """Octets that the process has had at its largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def suffered(seed: int) -> None:
    """Send one damaged mail, and fail with its seed where it raises or takes long."""
    raw = damaged(seed)
    start = time.process_time()
    try:
        sent(raw)
    except BaseException as fault:
        fault.add_note(f"the mail was damaged({seed})")
        raise
    taken = time.process_time() - start
    assert taken < SECONDS, f"damaged({seed}) took {taken:.1f} s"


@pytest.mark.parametrize("block", range(SEEDS))
def test_no_damage_to_a_mail_raises_or_takes_long(block):
    """Five hundred mails each; the process stays small."""
    for seed in range(50):  # so that what is made once is made before
        suffered(seed)
    before = grown()
    for seed in range(block * EACH, (block + 1) * EACH):
        suffered(seed)
    assert grown() - before < MEMORY, f"the mails damaged({block * EACH}…) took too much memory"


def test_damage_is_the_same_for_the_same_seed():
    """A seed in a failure leads to the mail, and the ways to harm one change it."""
    assert damaged(7) == damaged(7) != damaged(8)
    for harm in WAYS_TO_HARM:
        assert any(harm(random.Random(seed), mail) != mail for mail in MAILS for seed in range(20)), harm
