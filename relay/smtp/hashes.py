"""Hashes of passwords: which are taken, and whether a password fits one.

Taken are argon2, bcrypt and SHA-crypt, with or without htpasswd's name before them. Not taken is what
falls to a day of guessing (MD5, SHA-1, DES) and what is no hash at all. A hash that would take the
machine's memory or seconds for each login is not taken either.

bcrypt looks at 72 octets of a password and no further: a longer one is never right there.
"""

from __future__ import annotations

import re

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

DUMMY = "$argon2id$v=19$m=19456,t=2,p=1$KNTZwJTPNMihoMGtPfN1Wg$Q6BxtyXkMdEjYQXhH0E3mC7JTDNDGVF+9GCCgHtmys8"
"""What a login costs where nobody has a hash: as much as one of `smsc-relay hash-password`."""

_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)\$v=19\$m=(\d{1,9}),t=(\d{1,5}),p=(\d{1,4})\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
)
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_SHA_CRYPT = re.compile(r"\$([56])\$(?:rounds=(\d{1,9})\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{43,86}")
_BCRYPT_SEES = 72
_MOST_MEMORY = 256 * 1024  # KiB
_MOST_WORK = 4 * 1024 * 1024  # KiB times passes
_MOST_COST = 14  # of bcrypt: about a second
_MOST_ROUNDS = 1_000_000  # of SHA-crypt: likewise

_WEAK = "is a weak hash; make another with `smsc-relay hash-password` or `htpasswd -B`"
_NONE = "is no hash of a password; make one with `smsc-relay hash-password`"
_DEAR = "takes too much memory or time for each login; make another with `smsc-relay hash-password`"


def complaint(text: str) -> str:
    """Why this can't stand for a password, "" where it can."""
    if found := _ARGON2.fullmatch(text):
        memory, passes, lanes = map(int, found.groups())
        dear = memory > _MOST_MEMORY or memory * passes > _MOST_WORK or not 0 < lanes <= 16
        return _DEAR if dear or not passes or memory < 8 * lanes else ""
    if found := _BCRYPT.fullmatch(text):
        return "" if 4 <= int(found[1]) <= _MOST_COST else _DEAR
    if found := _SHA_CRYPT.fullmatch(text):
        right = len(text.rpartition("$")[2]) == (43 if found[1] == "5" else 86)
        return _NONE if not right else _DEAR if int(found[2] or 5000) > _MOST_ROUNDS else ""
    return _WEAK if re.match(r"\$apr1\$|\$1\$|\{SHA\}|[./A-Za-z0-9]{13}$", text) else _NONE


def fits(text: str, password: bytes) -> bool:
    """Whether this is the password; takes tens of milliseconds, on purpose."""
    if text.startswith("$argon2"):
        try:
            return PasswordHasher().verify(text, password)
        except (Argon2Error, InvalidHashError):
            return False
    from passlib import hash as kinds  # noqa: PLC0415 - not needed by most, and slow to load

    if text.startswith("$2"):
        right: bool = kinds.bcrypt.verify(password[:_BCRYPT_SEES], text)
        return right and len(password) <= _BCRYPT_SEES
    kind = kinds.sha256_crypt if text.startswith("$5$") else kinds.sha512_crypt
    return bool(kind.verify(password, text))
