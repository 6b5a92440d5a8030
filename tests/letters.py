"""Signed mails by their names, as dialogs say them, and the zone that vouches for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from signed import MAIL, ed_key, resigned, rsa_key, signed, zone

_OPENDKIM = Path(__file__).parent / "opendkim"


def _of_opendkim(name: str) -> bytes:
    return (_OPENDKIM / f"{name}.eml").read_bytes()


@cache
def letters() -> dict[str, bytes]:
    """All of them; made once, since keys take long."""
    return {
        "plain": MAIL,
        "signed": signed(),  # by dkimpy
        "ed25519": signed(selector="e", key=ed_key()),
        "opendkim-relaxed": _of_opendkim("relaxed"),
        "opendkim-simple": _of_opendkim("simple"),
        "opendkim-sha1": _of_opendkim("sha1"),
        "opendkim-forged": _of_opendkim("relaxed").replace(b"..", b"...", 1),
        "changed-body": signed().replace(b"full", b"fine"),
        "changed-subject": signed().replace(b"Disk 95", b"Disk 5"),
        "forged-key": signed(key=rsa_key(1024)),
        "expired": resigned(MAIL, b"x=1700000000", b"t=1600000000"),
        "part-of-body": resigned(MAIL, b"l=10"),
        "no-such-key": signed(selector="gone"),
        "of-another": signed(domain="other.example"),
        # each signature counts: of these three the middle one holds
        "one-of-three": signed(signed(selector="e", key=ed_key()), selector="gone").replace(
            b"From:", b"DKIM-Signature: nothing\r\nFrom:", 1
        ),
        # the one holds whose key can't be had now, and another is broken
        "broken-and-unreachable": signed(signed(key=rsa_key(1024)), selector="away"),
        "two-of-whom-one-can-t-be-had": signed(signed(), selector="away"),
    }


@cache
def _keys() -> dict[str, Any]:
    key = (_OPENDKIM / "key.txt").read_text().strip()
    return {
        "od._domainkey.mon.example.com": [("TXT", key)],
        "e._domainkey.mon.example.com": [("TXT", ed_key()[1])],
        "away._domainkey.mon.example.com": "SERVFAIL",
        "s._domainkey.other.example": [("TXT", rsa_key()[1])],
    }


def records() -> dict[str, Any]:
    """A zone of its own for each test: it may be changed."""
    return zone() | _keys()
