"""Reports and words to the operator bear a signature that verifiers hold good."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from harness import StillClock, journey, settings
from nexthop import nexthop, plain
from replies import PHONE, says, told

from relay.config import Dkim, Reports, Smarthost
from relay.report import dsn, signing
from relay.report.signing import Key, KeyFault
from relay.report.values import Action, Entry, Report

DER, SPKI = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
BAD = "79991232006@sms.example.com"
GOOD = f"{PHONE}@sms.example.com"
RAW = serialization.Encoding.Raw
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS = {"rsa": RSA, "ed25519": ed25519.Ed25519PrivateKey.generate()}
NAME = b"relay._domainkey.sms.example.com."
MAIL = """\
From: ops@mon.example.com
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

full
"""


def pem(key: object, form: str = "PKCS8", password: bytes = b"") -> bytes:
    """The private key as openssl writes it."""
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = getattr(serialization.PrivateFormat, form)
    return key.private_bytes(serialization.Encoding.PEM, form, lock)


def record(key: object) -> bytes:
    """The TXT record of its public half."""
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return b"v=DKIM1; k=ed25519; p=" + base64.b64encode(
            public.public_bytes(RAW, serialization.PublicFormat.Raw)
        )
    return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public.public_bytes(DER, SPKI))


def holds(mail: bytes, key: object) -> bool:
    """Whether a verifier that finds that record holds the signature good."""

    def txt(name: bytes, timeout: float = 5) -> bytes | None:
        return record(key) if name == NAME else None

    try:
        return dkim.DKIM(mail).verify(dnsfunc=txt)
    except dkim.ValidationError:
        return False


def wanted(folder: Path, content: bytes, mode: int = 0o600, **changes: object) -> Dkim:
    """The configuration that names a file with this content."""
    file = folder / "dkim.pem"
    file.write_bytes(content)
    file.chmod(mode)
    return Dkim(domain="sms.example.com", selector="relay", key=file).model_copy(update=changes)


REPORT = Report(
    to="ops@mon.example.com",
    from_="SMS relay <postmaster@sms.example.com>",
    hostname="sms.example.com",
    subject="Disk",
    message_id="<1@mon.example.com>",
    head=b"From: ops@mon.example.com\r\nSubject: Disk\r\n",
    entries=(
        Entry(
            address=BAD, action=Action.FAILED, status="5.1.1", reason="no such number", code="1", text="нет"
        ),
    ),
)
WIDE = replace(REPORT, to="опс@пример.example", utf8=True, head="From: опс@пример.example\r\n".encode())
FULL = replace(REPORT, full="Subject: x\r\n\r\n  диск  \r\n.\r\n\r\n".encode())
KINDS = {
    "plain": REPORT,
    "russian": replace(REPORT, language="ru"),
    "whole, with 8 bits": FULL,
    "smtputf8": WIDE,
    "narrow": dsn.narrowed(WIDE),
    "threaded": replace(REPORT, references=" ".join(f"<{n}@mon.example.com>" for n in range(40))),
}


def composed(report: Report) -> bytes:
    """The octets of the report."""
    return dsn.compose(report, message_id="<r@sms.example.com>", boundary="=_b", now=1_800_000_000_000)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "form"), [("rsa", "PKCS8"), ("rsa", "TraditionalOpenSSL"), ("ed25519", "PKCS8")]
)
def test_a_verifier_holds_the_signature_good(tmp_path, kind, name, form):
    """Whatever the report holds, with both kinds of key, in all files that openssl makes of them."""
    key = signing.key_of(wanted(tmp_path, pem(KEYS[name], form)))
    mail = composed(KINDS[kind])
    signed = signing.signed(mail, key)
    assert signed.endswith(mail)
    assert holds(signed, KEYS[name])
    head = signed[: -len(mail)]
    assert b"\r\n" == head[-2:]
    assert head.count(b"\r\n") == head.count(b"\n")
    assert max(map(len, head.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    "changed",
    [
        lambda mail: mail.replace(b"Subject: ", b"Subject: Re: ", 1),
        lambda mail: mail.replace(b"Final-Recipient: rfc822; 7", b"Final-Recipient: rfc822; 8"),
        lambda mail: mail.replace(b"From: ", b"From: bank@bank.example\r\nFrom: ", 1),
        lambda mail: mail.replace(b"Auto-Submitted: auto-replied", b"Auto-Submitted: no"),
        lambda mail: b"References: <9@x>\r\n" + mail,
        lambda mail: mail.replace(b"report-type=delivery-status", b"report-type=feedback-report"),
    ],
)
def test_what_somebody_changes_shows(tmp_path, changed):
    """Text, fields for machines, a From above ours, a field that was not there."""
    report = replace(REPORT, message_id="")
    signed = signing.signed(composed(report), signing.key_of(wanted(tmp_path, pem(RSA))))
    assert changed(signed) != signed
    assert holds(signed, RSA)
    assert not holds(changed(signed), RSA)


def test_what_servers_do_on_the_way_does_no_harm(tmp_path):
    """Trace lines on top, folds and blanks of the header, and LF as line end on a disk."""
    signed = signing.signed(composed(FULL), signing.key_of(wanted(tmp_path, pem(RSA))))
    assert holds(b"Return-Path: <>\r\nReceived: from a by b; now\r\n" + signed, RSA)
    assert holds(signed.replace(b"Subject: ", b"subject:  \r\n ", 1), RSA)
    assert holds(signed.replace(b"\r\n", b"\n"), RSA)


def test_without_a_configuration_nothing_is_signed():
    """The mail leaves as it is."""
    assert signing.key_of(Dkim()) is None
    assert b"mail" == signing.signed(b"mail", None)


def test_a_form_that_is_not_there_stays_so(tmp_path):
    """A report that is ASCII anyway has no narrow form, and a signature is none."""
    assert b"" == signing.signed(b"", signing.key_of(wanted(tmp_path, pem(RSA))))


def test_a_signature_that_fails_holds_nothing_up(caplog):
    """A report without a signature is better than none; the log has the reason."""
    broken = Key(domain=b"x", selector=b"x", algorithm=b"rsa-sha256", private=b"nonsense")
    assert b"From: a@b\r\n\r\n" == signing.signed(b"From: a@b\r\n\r\n", broken)
    assert ["a report could not be signed"] == [each.message for each in caplog.records]


def test_the_key_is_never_shown(tmp_path):
    """Not in a traceback that shows values either."""
    assert "private" not in repr(signing.key_of(wanted(tmp_path, pem(RSA))))


SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)
NUMBERS = [n.to_bytes(n.bit_length() // 8 + 1, "big") for n in (0, 1 << 511, 65537, 3, 5, 7, 1, 1, 1)]
INTEGERS = b"".join(b"\x02%c%b" % (len(each), each) for each in NUMBERS)
TINY = b"-----BEGIN RSA PRIVATE KEY-----\n%b-----END RSA PRIVATE KEY-----\n" % base64.encodebytes(
    b"\x30%c%b" % (len(INTEGERS), INTEGERS)
)
CERTIFICATE = RSA.public_key().public_bytes(serialization.Encoding.PEM, SPKI)
FAULTS = [
    ({"selector": ""}, pem(RSA), "", "selector is missing; to sign takes domain, selector and key"),
    ({"key": None}, pem(RSA), "", "key is missing; to sign takes domain, selector and key"),
    ({"domain": ""}, pem(RSA), "", "domain is missing; to sign takes domain, selector and key"),
    ({"domain": "<>"}, pem(RSA), "domain", "write a name as the DNS has it"),
    ({"selector": "..."}, pem(RSA), "selector", "write a name as the DNS has it"),
    ({"key": Path("/nowhere/dkim.pem")}, pem(RSA), "key", "there is no such file"),
    ({"key": Path("/dev/null")}, pem(RSA), "key", "is no file"),
    ({"key": Path("/")}, pem(RSA), "key", "is no file"),
    ({"key": Path("/dev/null/key")}, pem(RSA), "key", "can't be read: not a directory"),
    ({}, b"", "key", "is no private key in PEM"),
    ({}, CERTIFICATE, "key", "is no private key in PEM"),
    ({}, pem(RSA, password=b"secret"), "key", "is no private key in PEM without a passphrase"),
    ({}, pem(RSA)[:400] + b"\n-----END PRIVATE KEY-----\n", "key", "is no private key in PEM"),
    ({}, pem(RSA).replace(b"M", b"=", 1), "key", "is no private key in PEM"),
    ({}, b"-----BEGIN PRIVATE KEY-----\nMAUGAytlcA==\n-----END PRIVATE KEY-----\n", "key", "is no private"),
    (
        {},
        b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(bytes.fromhex("06032b657004220420") + b"short")
        + b"\n-----END PRIVATE KEY-----\n",
        "key",
        "is no private",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "content", "setting", "says"), FAULTS)
def test_a_key_that_cannot_sign_is_a_fault(tmp_path, changes, content, setting, says):
    """Each is named at its setting, in a sentence, before anything starts."""
    dkim_ = wanted(tmp_path, content, **changes)
    with pytest.raises(KeyFault, match=says) as found:
        signing.key_of(dkim_)
    assert setting == found.value.setting
    place = ("reports", "dkim", setting) if setting else ("reports", "dkim")
    ((where, why),) = signing.complaints(Reports(dkim=dkim_, maildir=tmp_path))
    assert (place, str(found.value)) == (where, why)


def test_a_key_that_anybody_may_open_is_a_fault(tmp_path):
    """Whoever has it can sign in our name; a group may have it."""
    with pytest.raises(KeyFault, match="anybody on this machine may open it"):
        signing.key_of(wanted(tmp_path, pem(RSA), 0o604))
    assert signing.key_of(wanted(tmp_path, pem(RSA), 0o640))


def test_a_short_key_is_a_fault(tmp_path):
    """RFC 8301: below 1024 bits nobody counts it."""
    assert signing.key_of(wanted(tmp_path, pem(SMALL)))
    with pytest.raises(KeyFault, match="of 512 bits"):
        signing.key_of(wanted(tmp_path, TINY))


def test_a_key_that_went_wrong_meanwhile_is_logged(tmp_path, caplog):
    """Between the check and the start, or at SIGHUP: reports leave unsigned."""
    assert None is signing.opened(Reports(dkim=wanted(tmp_path, b"gone"), maildir=tmp_path))
    ((_name, level, text),) = caplog.record_tuples
    assert (logging.ERROR, "reports are not signed") == (level, text)


@pytest.mark.parametrize(
    ("domain", "author", "doubted"),
    [
        ("", "example.com", False),
        ("example.com", "example.com", False),
        ("Example.com", "EXAMPLE.com", False),
        ("example.com", "sms.example.com", False),
        ("sms.example.com", "example.com", False),
        ("пример.example", "xn--e1afmkfd.example", False),
        ("example.com", "notexample.com", True),
        ("example.org", "example.com", True),
    ],
)
def test_a_domain_that_is_not_that_of_from_is_doubted(domain, author, doubted):
    """DMARC counts a signature only where it is of From's own organisation."""
    reports = Reports(**{"from": f"SMS relay <postmaster@{author}>", "dkim": {"domain": domain}, "smtp": {}})
    found = signing.doubts(reports)
    assert doubted == bool(found)
    assert all(place == ("reports", "dkim", "domain") and author in why for place, why in found)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("offers", [("8BITMIME", "SMTPUTF8"), ()])
async def test_signed_mail_survives_the_smarthost(tmp_path, name, offers):
    """A report in the form that the server takes, a reply, a word to the operator: as they were signed."""
    async with nexthop(offers=offers) as hop:
        reports = {
            "gather": 0,
            "maildir": None,
            "operator": "root@mon.example.com",
            "smtp": Smarthost(host="127.0.0.1", port=hop.port, tls="none"),
            "dkim": wanted(tmp_path, pem(KEYS[name])),
        }
        async with journey(tmp_path, clock=StillClock(), config=told(tmp_path, reports=reports)) as relay:
            await relay.mail(MAIL + ".\n.диск\n  \n", BAD, options=["RET=FULL", "BODY=8BITMIME"])
            await relay.app.mailer.tell_operator("account main", "out of money")
            await relay.mail(MAIL.replace("<1@", "<2@"), GOOD)
            await relay.pass_time(5)
            await says(relay, "принято")
            await relay.pass_time(180)
    assert 3 == len(hop.taken)
    for taken in hop.taken:
        assert holds(plain(taken.data), KEYS[name])
    assert bool(offers) == ("диск".encode() in b"".join(plain(taken.data) for taken in hop.taken))


@pytest.mark.asyncio
async def test_a_key_that_is_changed_counts_from_the_next_report(tmp_path):
    """SIGHUP reads the file again."""
    config = settings(tmp_path)
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, BAD)
        await relay.pass_time(180)
        reports = config.reports.model_copy(update={"dkim": wanted(tmp_path, pem(RSA))})
        relay.app.adopt(config.model_copy(update={"reports": reports}))
        await relay.mail(MAIL.replace("<1@", "<2@"), BAD)
        await relay.pass_time(180)
        assert [None, True] == [mail["DKIM-Signature"] and True for mail in relay.reports()]
    files = sorted((tmp_path / "reports" / "new").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert holds(files[1].read_bytes().replace(b"\n", b"\r\n"), RSA)
