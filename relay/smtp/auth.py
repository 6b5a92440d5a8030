"""The words of a login: AUTH with PLAIN and LOGIN, read into a name and a password. Pure.

Policy: mechanisms in any case, with the first answer on the line of the command (`=` is an empty
one) or without, `*` cancels. What is no name with a password is told from a wrong one nowhere: only
what can't be read at all has answers of its own. CRAM-MD5 and XOAUTH2 are left out: the first takes
passwords in clear in our files, the second somebody who issues tokens.

RFC 4954 (AUTH), RFC 4616 (PLAIN), draft-murchison-sasl-login (LOGIN).
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from relay.config import Listener
from relay.replies import Reply, reply

MECHANISMS = "PLAIN LOGIN"
LINE = 12_288  # octets of a line of the exchange, RFC 4954 section 4
LONGEST = 255  # octets of a name and of a password: what RFC 4616 section 2 asks to take

Challenge = Callable[[str], Awaitable[bytes | None]]
"""Says `334` with this text (in base64) and hears a line; None for one that is too long."""

_UNKNOWN = reply(504, "5.5.4", "no such mechanism, there are PLAIN and LOGIN")
_CANCELLED = reply(501, "5.7.0", "login cancelled")
_NO_BASE64 = reply(501, "5.5.2", "this is no base64")
_TOO_LONG = reply(500, "5.5.6", "line too long")
_SYNTAX = reply(501, "5.5.4", "write AUTH PLAIN or AUTH LOGIN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """Whether a listener takes logins, and from where in clear."""

    required: bool = False
    in_clear: Sequence[IPv4Network | IPv6Network] = ()


def logins(listener: Listener) -> Logins | None:
    """What the configuration says of a listener; None where it takes no logins."""
    if listener.auth == "none":
        return None
    return Logins(required=listener.auth == "required", in_clear=listener.auth_in_clear)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A name and a password as a client gave them; both "" where they can be nobody's."""

    user: str = ""
    password: bytes = field(default=b"", repr=False)


async def exchange(argument: str, challenge: Challenge) -> Credentials | Reply:
    """What the client that said AUTH with this argument gives, or what it is told instead."""
    name, *first = argument.split(" ")
    if not name or len(first) > 1:
        return _SYNTAX
    read = {"PLAIN": _plain, "LOGIN": _login}.get(name.upper())
    if read is None:
        return _UNKNOWN
    return await read(first[0] if first else None, challenge)


async def _plain(first: str | None, challenge: Challenge) -> Credentials | Reply:
    message = await _answer("", challenge) if first is None else _decoded(first.encode("utf-8", "replace"))
    if isinstance(message, Reply):
        return message
    parts = message.split(b"\0")
    if len(parts) != 3 or parts[0] not in (b"", parts[1]):  # to act for another is nobody's right
        return Credentials()
    return _credentials(parts[1], parts[2])


async def _login(first: str | None, challenge: Challenge) -> Credentials | Reply:
    user = (
        await _answer("Username:", challenge) if first is None else _decoded(first.encode("utf-8", "replace"))
    )
    if isinstance(user, Reply):
        return user
    password = await _answer("Password:", challenge)
    return password if isinstance(password, Reply) else _credentials(user, password)


async def _answer(question: str, challenge: Challenge) -> bytes | Reply:
    line = await challenge(base64.b64encode(question.encode()).decode())
    return _TOO_LONG if line is None else _decoded(line)


def _decoded(line: bytes) -> bytes | Reply:
    line = line.strip(b" ")
    if line == b"*":
        return _CANCELLED
    if line == b"=":  # RFC 4954 section 4: nothing, where a first answer must stand
        return b""
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        return _NO_BASE64


def _credentials(user: bytes, password: bytes) -> Credentials:
    """Names are compared in one form of Unicode; of a password each octet counts."""
    try:
        name = normal(user.decode())
    except UnicodeDecodeError:
        return Credentials()
    if not (name.isprintable() and 0 < len(user) <= LONGEST and 0 < len(password) <= LONGEST):
        return Credentials()
    return Credentials() if b"\0" in password else Credentials(user=name, password=password)


def normal(name: str) -> str:
    """The form in which names are compared (RFC 8265 3.4: normalised, case kept)."""
    return unicodedata.normalize("NFC", name)
