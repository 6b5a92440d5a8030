"""Authentication-Results: what we write, and what of others' we take out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model import Result, Spf
from relay.report import fields
from relay.smtp import results
from relay.smtp.verdicts import NOTHING, Arc, Dkim, Dmarc, Verdicts

HOST = "relay.example.com"


def test_nothing_was_checked():
    """There is no field then."""
    assert "" == results.value(HOST, NOTHING)
    assert b"" == fields.results("")


def test_all_that_was_found():
    """Each check has its result, with the domain it was about."""
    found = Verdicts(
        spf=Spf(result=Result.SOFTFAIL, domain="bounce.example.com"),
        read=True,
        dkim=(
            Dkim(result=Result.PASS, domain="example.com", selector="s1"),
            Dkim(result=Result.POLICY, domain="example.org", selector="s2", why="SHA-1"),
            Dkim(result=Result.PERMERROR, why="unreadable"),
        ),
        arc=Arc(result=Result.FAIL),
        dmarc=Dmarc(result=Result.PASS, domain="mon.example.com", policy="reject"),
    )
    value = results.value(HOST, found)

    assert value == (
        "relay.example.com; spf=softfail smtp.mailfrom=bounce.example.com; "
        "dkim=pass header.d=example.com header.s=s1; "
        "dkim=policy reason=SHA-1 header.d=example.org header.s=s2; "
        "dkim=permerror reason=unreadable; arc=fail; "
        "dmarc=pass (p=reject) header.from=mon.example.com"
    )
    lines = fields.results(value).split(b"\r\n\t")
    assert [
        b"Authentication-Results: relay.example.com;",
        b"spf=softfail smtp.mailfrom=bounce.example.com;",
    ] == lines[:2]
    assert fields.results(value).endswith(b"header.from=mon.example.com\r\n")


def test_a_bounce_and_a_mail_without_signatures():
    """SPF of a null sender names the HELO name, and no signature is a result as well."""
    found = Verdicts(spf=Spf(result=Result.PASS, domain="mx.example.com", helo=True))
    unsigned = Verdicts(read=True, dmarc=Dmarc(result=Result.FAIL, why="not one author in From"))

    assert "relay.example.com; spf=pass smtp.helo=mx.example.com" == results.value(HOST, found)
    assert 'relay.example.com; dkim=none; dmarc=fail reason="not one author in From"' == results.value(
        HOST, unsigned
    )


FORGED = [
    b"Authentication-Results: relay.example.com; spf=pass\r\n",
    b"authentication-RESULTS \t:relay.example.com;\r\n\tdmarc=pass\r\n header.from=bank.test\r\n",
    b"Authentication-Results: RELAY.Example.COM 1; spf=pass\r\n",
    b"Authentication-Results: (a; (b\\)) c) relay.example.com; spf=pass\r\n",
    b'Authentication-Results: "relay.example.com"; spf=pass\r\n',
    b'Authentication-Results: "rel\\ay.example.com"; spf=pass\r\n',
    b"Authentication-Results:\r\n relay.example.com\r\n ; spf=pass\r\n",
    b"Authentication-Results: (relay.example.com; spf=pass\r\n",
    b"Authentication-Results: relay.example.com/1; spf=pass\r\n",
    b"Authentication-Results: relay.example.com\r\n",
]
OTHERS = [
    b"Authentication-Results: mx.relay.example.com; spf=pass\r\n",
    b"Authentication-Results: relay.example.com.evil.test; spf=pass\r\n",
    b"Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=relay.example.com\r\n",
    b"ARC-Authentication-Results: i=1; relay.example.com; spf=pass\r\n",
    b"X-Authentication-Results: relay.example.com; spf=pass\r\n",
    b"Subject: x\r\n Authentication-Results: relay.example.com; spf=pass\r\n",
]


@pytest.mark.parametrize("forged", FORGED)
def test_forged_fields_go(forged):
    """However they are dressed up; the fields around them stay as they are, octet by octet."""
    above, below = b"Received: by x\r\n\tfoo\r\n", b"From: a@b.test\r\n folded\r\n\r\n"

    assert above + below == results.stripped(above + forged + below, HOST)
    assert below == results.stripped(forged + forged + below, HOST)
    assert above == results.stripped(above + forged, HOST)
    assert (above + below).replace(b"\r\n", b"\n") == results.stripped(
        (above + forged + below).replace(b"\r\n", b"\n"), HOST
    )


@pytest.mark.parametrize("other", OTHERS)
def test_others_stay(other):
    """What bears another name is that one's business."""
    header = other + b"From: a@b.test\r\n\r\n"

    assert header == results.stripped(header, HOST)


@given(st.lists(st.sampled_from([*FORGED, *OTHERS, b"From: x\r\n", b"\r\n", b" y\r\n", b"\xff\r\n"])))
def test_what_stays_is_stripped_already(lines):
    """Nothing is left that a second look would find, unless an empty line's folding hides it."""
    once = results.stripped(b"".join(lines), HOST)

    assert once == results.stripped(once, HOST)
