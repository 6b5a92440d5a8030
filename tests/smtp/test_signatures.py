"""DKIM signatures and ARC chains: what holds, what does not, and what nobody can say."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import dkim
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from signed import MAIL, SMALL, ed_key, resigned, rsa_key, sealed, signed

from relay.message import content
from relay.model import Result
from relay.smtp import domains, signatures
from relay.smtp.dkim_body import Canonical
from relay.smtp.verdicts import Arc, Dkim

OPENDKIM = Path(__file__).parents[1] / "opendkim"
NOW = int(time.time() * 1000)  # dkimpy compares t= with the real time
KEY = "s._domainkey.mon.example.com"


def same(domain: str) -> str:
    """Organisational domains, where every domain is its own."""
    return domain


def hashes(mail: bytes) -> dict[str, bytes]:
    """Of the body, by canonicalisation."""
    made = {"simple": Canonical(relaxed=False), "relaxed": Canonical(relaxed=True)}
    for each in made.values():
        each.feed(mail.partition(b"\r\n\r\n")[2])
    return {name: each.digest() for name, each in made.items()}


def judged(mail: bytes, *keys: str | bytes | None, now: int = NOW) -> list[Dkim]:
    """The verdicts on a mail's signatures; each key lookup gives these records, or None: trouble."""
    header = mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    fields = signatures.fields_of(header)
    found = signatures.of(fields, domains.author(fields), same, now=now)
    records = [each.encode() if isinstance(each, str) else each for each in keys]
    known = {each.key: None if None in records else records for each in found}
    return [signatures.judged(header, each, known, hashes(mail)) for each in found]


def one(mail: bytes, *keys: Any, now: int = NOW) -> tuple[str, str]:
    """The only verdict: result and reason."""
    (found,) = judged(mail, *keys, now=now)
    return found.result.value, found.why


RSA, ED = rsa_key()[1], ed_key()[1]
SIGNED = signed()


@pytest.mark.parametrize("canon", [b"simple", b"relaxed"])
@pytest.mark.parametrize("key", [rsa_key, ed_key])
def test_a_good_signature(canon, key):
    """By RSA and Ed25519, in both canonical forms."""
    assert ("pass", "") == one(signed(key=key(), canonicalize=(canon, canon)), key()[1])


@pytest.mark.parametrize(("name", "wanted"), [("relaxed", "pass"), ("simple", "pass"), ("sha1", "policy")])
def test_mail_signed_by_opendkim(name, wanted):
    """Another program's signatures hold, but not its oldest algorithm."""
    key = (OPENDKIM / "key.txt").read_text().strip()
    (found,) = judged((OPENDKIM / f"{name}.eml").read_bytes(), key)

    assert (wanted, "mon.example.com", "od") == (found.result.value, found.domain, found.selector)


@pytest.mark.parametrize(
    ("mail", "why"),
    [
        (signed().replace(b"full", b"empty"), "the body was changed"),
        (signed().replace(b"Disk 95", b"Disk 96"), "the signature does not fit"),
        (signed().replace(b"From: Ops <ops@", b"From: Ops <eve@"), "the signature does not fit"),
        (signed(key=rsa_key(1024)), "the signature does not fit"),
    ],
)
def test_a_forged_mail(mail, why):
    """Another body, header, author, or key: it fails."""
    assert ("fail", why) == one(mail, RSA)


@pytest.mark.parametrize(
    ("mail", "wanted"),
    [
        (resigned(MAIL, b"x=1700000000", b"t=1600000000"), ("fail", "expired")),
        (resigned(MAIL, b"x=%d" % (NOW // 1000 + 9000)), ("pass", "")),
        (resigned(MAIL, b"x=soon"), ("permerror", "unreadable")),
        (resigned(MAIL, b"x=" + b"9" * 5000), ("permerror", "unreadable")),
        (resigned(MAIL, b"t=%d" % (NOW // 1000 + 900_000)), ("permerror", "unreadable")),
        (resigned(MAIL, b"l=10"), ("policy", "only part of the body is signed")),
        (resigned(MAIL, b"v=2"), ("permerror", "unreadable")),
        (resigned(MAIL, b"a=rsa-sha1"), ("policy", "SHA-1")),
        (resigned(MAIL, b"a=rsa-md5"), ("permerror", "unreadable")),
        (resigned(MAIL, b"c=loose/loose"), ("permerror", "unreadable")),
        (resigned(MAIL, b"bh=A=A="), ("permerror", "unreadable")),
        (resigned(MAIL, b"q=dns/other"), ("permerror", "unreadable")),
        (resigned(MAIL, b"i=@other.example.com"), ("permerror", "unreadable")),
        (resigned(MAIL, b"i=eve@sub.mon.example.com"), ("pass", "")),
        (resigned(MAIL, b"h=subject:to"), ("permerror", "From is not signed")),
        (
            resigned(MAIL, b"h=from:subject:" + b":".join([b"x"] * 200)),
            ("permerror", "too many fields are signed"),
        ),
        (resigned(MAIL, b"d="), ("permerror", "no domain or selector")),
        (resigned(MAIL, b"s=a b;c"), ("permerror", "unreadable")),
        (resigned(MAIL, b"s=\xd0\xb4"), ("permerror", "no domain or selector")),
        (signed().replace(b"v=1;", b"v=1; v=1;"), ("permerror", "unreadable")),
        (signed().replace(b"v=1;", b"v=1;" + b" " * 64), ("permerror", "unreadable")),
        (signed().replace(b"v=1;", b"v=1; z=" + b"z" * 9000 + b";"), ("permerror", "unreadable")),
        (b"DKIM-Signature: nothing\r\n" + MAIL, ("permerror", "unreadable")),
    ],
)
def test_odd_signatures(mail, wanted):
    """Expired, of a part of the body, by old algorithms, unreadable: each has its word."""
    assert wanted == one(mail, RSA)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ([None], ("temperror", "DNS")),
        ([], ("permerror", "no key")),
        (["v=DKIM1; p="], ("permerror", "the key is revoked")),
        (["v=spf1 -all"], ("permerror", "the key can't be read")),
        (["v=DKIM2; " + RSA[10:]], ("permerror", "the key can't be read")),
        (["v=DKIM1; p=AAAA"], ("permerror", "the key can't be read")),
        (["v=DKIM1; k=dsa; p=AAAA"], ("permerror", "the key can't be read")),
        ([b"v=DKIM1; p=\xff"], ("permerror", "the key can't be read")),
        ([RSA + "; s=tlsrpt"], ("permerror", "the key is not for mail")),
        ([RSA + "; s=*"], ("pass", "")),
        ([RSA + "; h=sha1"], ("permerror", "the key is for another algorithm")),
        ([RSA + "; h=sha1:sha256"], ("pass", "")),
        ([ED], ("permerror", "the key is for another algorithm")),
        ([RSA + "; t=y"], ("pass", "")),
        ([RSA + "; t=s"], ("pass", "")),
        (["something else", RSA], ("pass", "")),
        (["something else", "and more", "and more", RSA], ("permerror", "the key can't be read")),
    ],
)
def test_keys(keys, wanted):
    """Trouble is no failure, no key is; a key for something else is none."""
    assert wanted == one(signed(), *keys)


def test_a_key_that_is_not_for_subdomains():
    """With t=s the identity must be of the domain itself (RFC 6376 section 3.6.1)."""
    mail = resigned(MAIL, b"i=ops@sub.mon.example.com")

    assert ("permerror", "the key is not for subdomains") == one(mail, RSA + "; t=s")


def test_keys_of_other_sizes():
    """RSA of 512 bits can be broken; 1024 is the least that counts (RFC 8301)."""
    small, large = SMALL, rsa_key(1024)

    assert ("policy", "an RSA key of 512 bits") == one(signed(key=small), small[1])
    assert ("pass", "") == one(signed(key=large), large[1])


def test_a_key_with_a_vast_exponent():
    """It would only cost time."""
    record = big_exponent()

    assert ("policy", "an RSA key of 2048 bits") == one(signed(), record)


def big_exponent() -> str:
    """The record of an RSA key whose exponent has 2000 bits."""
    import base64  # noqa: PLC0415

    def der(tag: int, content: bytes) -> bytes:
        size = len(content)
        length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
        return bytes([tag]) + length + content

    def number(value: int) -> bytes:
        return der(2, b"\0" + value.to_bytes((value.bit_length() + 7) // 8, "big"))

    inner = der(0x30, number(2**2047 + 1) + number(2**1999 + 1))
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d010101") + b"\x05\x00")
    key = der(0x30, algorithm + der(3, b"\0" + inner))
    return "v=DKIM1; k=rsa; p=" + base64.b64encode(key).decode()


def test_every_signature_is_judged():
    """One that fails does not hide one that holds, nor the other way round."""
    mail = signed(signed(), domain="lists.example.org", key=rsa_key(1024))
    found = judged(mail, RSA)

    assert [("mon.example.com", "pass"), ("lists.example.org", "fail")] == [
        (each.domain, each.result.value) for each in found
    ]


def test_so_many_signatures_are_judged():
    """Ten, those of the author's domain first, wherever they stand."""
    junk = b"".join(
        b"DKIM-Signature: v=1; a=rsa-sha256; d=x%d.test; s=s; h=from; bh=AA==; b=AA==\r\n" % n
        for n in range(50)
    )
    found = judged(junk + signed(), RSA)

    assert signatures.SIGNATURES == len(found)
    assert ("mon.example.com", Result.PASS) == (found[0].domain, found[0].result)


@pytest.mark.parametrize(
    "header", [b" folded\r\n\r\n", b"no field\r\n\r\n", b"From : x@y.z\r\n\r\n", b"To: x\r\nFrom x\r\n\r\n"]
)
def test_a_header_that_is_none(header):
    """Readers would disagree on it, so nothing of it counts."""
    assert signatures.fields_of(header) is None


ADDED = st.lists(
    st.sampled_from(
        [b"X: y", b" ", b"\t", b" z", b"A" * 201 + b": z", b"X" * 150 + b":", b"z", b"\xef\xbb\xbf", b" \x0b",
         b" " * 250 + b"z", b":", b"X :", b">From x", b"\x0c", b"Content-Type: text/plain", b"\0"]
    ),
    max_size=4,
)  # fmt: skip


@given(ADDED)
@example([b"X: y", b" ", b" Pay eve"])
@example([b"X: y", b" " * 250 + b"Pay eve"])
@example([b"X" * 201 + b": Pay eve"])
@example([b"X: y", b" \x0b", b" Pay eve"])
def test_what_is_added_above_is_not_read_as_text(lines):
    """A signature that still holds is on a mail that the reader sees as its signer does."""
    mail = b"".join(line + b"\r\n" for line in lines) + SIGNED
    header = mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if signatures.fields_of(header) is not None and Result.PASS in [
        each.result for each in judged(mail, RSA)
    ]:
        original, found = content.read(SIGNED), content.read(mail)
        assert (original.plain, original.subject, original.from_) == (found.plain, found.subject, found.from_)


@pytest.mark.parametrize(
    "header",
    [
        b"X: y\r\n" + b" \r\n" * 80_000,
        b"X: y\r\n" + b" z\r\n" * 300,
        b"X:\r\n" * 1001,
        b"X:\r\n" * 5001,
        b"X: " + b"x" * 262_144 + b"\r\n",
    ],
)
def test_a_header_that_costs_too_much(header):
    """The library would take seconds over it: nothing of it counts."""
    assert signatures.fields_of(b"From: a@b.test\r\n" + header + b"\r\n") is None


@given(st.binary(max_size=300))
def test_no_signature_makes_it_crash(junk):
    """Whatever stands in the field, there is a verdict, and it is no pass."""
    value = junk.replace(b"\r", b"").replace(b"\n", b"")
    mail = b"DKIM-Signature: v=1; a=rsa-sha256; d=mon.example.com; s=s; h=from; bh=" + value + b"\r\n" + MAIL

    assert all(each.result is not Result.PASS for each in judged(mail, RSA))


@given(st.binary(max_size=200))
def test_no_key_makes_it_crash(junk):
    """Whatever stands in the record."""
    assert "pass" != one(SIGNED, b"v=DKIM1; p=" + junk)[0]


# -- ARC ------------------------------------------------------------------------------------------

SEALED = sealed(MAIL, results="dmarc=pass header.from=mon.example.com")
SEAL = "a._domainkey.lists.example.org"


def chained(mail: bytes, records: list[bytes] | None = None) -> Arc:
    """The verdict on the chain of a mail."""
    header = mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    keys = signatures.arc_keys(signatures.fields_of(header))
    assert keys is not None
    found = [RSA.encode()] if records is None else records
    return signatures.arc(header, dict.fromkeys(keys, found), hashes(mail))


def test_a_chain_that_holds():
    """Who sealed it, and whose DMARC the first sealer saw pass."""
    sealers = frozenset({"lists.example.org"})

    header = SEALED.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert [SEAL, SEAL] == signatures.arc_keys(signatures.fields_of(header))
    assert Arc(result=Result.PASS, sealers=sealers, passed="mon.example.com") == chained(SEALED)


def test_a_chain_of_two():
    """All sealers are named; the first one's results count, not the last one's."""
    mail = sealed(SEALED, domain="next.example.net", results="arc=pass; dmarc=pass header.from=evil.test")
    found = chained(mail)

    assert (Result.PASS, "mon.example.com") == (found.result, found.passed)
    assert {"lists.example.org", "next.example.net"} == found.sealers


@pytest.mark.parametrize(
    "results",
    [
        "dmarc=fail header.from=mon.example.com",
        "dmarc=pass",
        "spf=pass smtp.mailfrom=mon.example.com",
        "dmarc=pass header.from=a.test; dmarc=pass header.from=mon.example.com",
        "dmarc=pass header.from=mon..example",
    ],
)
def test_a_sealer_that_saw_no_pass(results):
    """The chain holds, but says nothing for the author."""
    found = chained(sealed(MAIL, results=results))

    assert (Result.PASS, "") == (found.result, found.passed)


def test_results_that_can_t_be_read():
    """They say nothing."""
    assert "" == signatures._passed(b" i=1; relay (; dmarc=pass")
    assert "" == signatures._passed(b" i=1; \xff")


@pytest.mark.parametrize(
    "mail",
    [
        SEALED.replace(b"full", b"empty"),
        SEALED.replace(b"From: Ops <ops@", b"From: Ops <eve@"),
        SEALED.replace(b"dmarc=pass", b"dmarc=fail"),
        SEALED.replace(b"ARC-Authentication-Results", b"X-Results"),
        SEALED.replace(b"cv=none", b"cv=pass"),
        SEALED.replace(b"cv=none", b"cv=fail"),
        SEALED.replace(b"ARC-Message-Signature: i=1;", b"ARC-Message-Signature:i=1;"),
        SEALED.replace(b"ARC-Message-Signature: i=1;", b"ARC-Message-Signature: i=1; l=3;"),
    ],
)
def test_a_chain_that_does_not_hold(mail):
    """Something in it was changed."""
    assert Arc(result=Result.FAIL) == chained(mail)


def test_a_chain_without_keys():
    """No key is a failure, trouble with DNS is none; a key too small does not count."""
    assert Result.FAIL is chained(SEALED, []).result
    assert Result.FAIL is chained(sealed(MAIL, key=SMALL), [SMALL[1].encode()]).result
    header = SEALED.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert Result.TEMPERROR is signatures.arc(header, {SEAL: None}, hashes(SEALED)).result


@pytest.mark.parametrize(
    "fields",
    [
        [(b"ARC-Seal", b" i=1; a=rsa-sha256; d=x.test; s=s; b=AA==")] * 21,
        [(b"ARC-Seal", b" nothing")],
        [(b"ARC-Seal", b" i=1; a=rsa-sha256; b=AA==")],
        [(b"ARC-Message-Signature", b" i=1; d=x.test; s=s; h=to:subject")],
        [(b"ARC-Message-Signature", b" i=1; d=x.test; s=s; h=from:to"), (b"Subject", b" x")],
        [(b"ARC-Message-Signature", b" i=1; d=x.test; s=s; h=from" + b":x" * 200)],
    ],
)
def test_chains_that_are_not_looked_at(fields):
    """Too long, unreadable, From left out."""
    assert signatures.arc_keys(fields) is None


def test_no_chain():
    """There are no keys to ask for, and the library finds none either."""
    assert [] == signatures.arc_keys([(b"From", b" x")])
    assert Arc(result=Result.NONE) == signatures.arc(MAIL, {}, hashes(MAIL))


@pytest.mark.parametrize(
    "added",
    [
        b"From: eve@evil.test\r\n",
        b"Subject: pay eve\r\n",
        b"subject: pay eve\r\n",
        b"Content-Type: text/html\r\nContent-type: x/y\r\n",
    ],
)
def test_a_field_that_was_added(added):
    """A signature covers the lowest of a name, readers look at the topmost: neither counts then."""
    two = (b"MIME-Version: 1.0\r\n" * 2) + sealed(MAIL)

    assert ("policy", "a field stands twice") == one(added + signed(), RSA)
    assert signatures.arc_keys(signatures.fields_of(two.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")) is None


def test_a_subject_that_is_not_signed():
    """Whoever passes such a mail on can write another; a mail without one needs none."""
    fewer = signed(include_headers=[b"from", b"to", b"date"])
    without = signed(MAIL.replace(b"Subject:", b"X-Subject:"), include_headers=[b"from", b"to", b"date"])

    assert ("permerror", "Subject is not signed") == one(fewer, RSA)
    assert ("pass", "") == one(without, RSA)


def test_the_library_s_log_is_silent(caplog):
    """It would quote the mail."""
    chained(SEALED, [])
    one(signed(), "v=DKIM1; p=AAAA")

    assert [] == caplog.records
    assert dkim.DKIMException
