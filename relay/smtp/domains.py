"""Domains as sender verification compares them, and the author's address in a From field. Pure.

A domain is compared in its ASCII form, in lower case, without a last dot. What cannot be one is
"", and "" is equal to nothing. Of a From field only what every reader reads alike counts: one
field, one mailbox. A mail that names nobody, or several, has no author who could be vouched for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from relay.message import headers

Organisation = Callable[[str], str]
"""The organisational domain (RFC 9989 section 4.10) of a domain: itself where it is a public suffix."""

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_FROM = 4096  # octets


def ascii_of(domain: str) -> str:
    """The comparable form of a domain, "" for what is none."""
    domain = domain.lower().removesuffix(".")
    if not domain.isascii():
        try:
            coded = domain.encode("idna").decode("ascii")
            # IDNA 2003 reads some letters as others (a sharp s as ss): that would be another domain
            same = coded.encode("ascii").decode("idna") == domain
        except UnicodeError:
            return ""
        domain = coded if same else ""
    good = len(domain) <= 253 and all(_LABEL.fullmatch(label) for label in domain.split("."))
    return domain if good else ""


def of(address: str) -> str:
    """The domain of a mail address, "" where it has none."""
    return ascii_of(address.rpartition("@")[2]) if "@" in address else ""


def same_organisation(one: str, other: str, organisation: Organisation) -> bool:
    """Whether two domains are of one owner, as relaxed alignment has it."""
    return bool(one) and bool(other) and organisation(one) == organisation(other)


def author(fields: Sequence[tuple[bytes, bytes]]) -> str:
    """The address of the only mailbox in the only From field, "" where that is not what there is."""
    found = [value for name, value in fields if name.lower() == b"from"]
    if len(found) != 1 or len(found[0]) > _LONGEST_FROM:
        return ""
    try:
        value = found[0].decode("utf-8")
    except UnicodeDecodeError:
        return ""
    bare = headers.unquoted(" ".join(value.split()))
    if "<" in bare or ">" in bare:
        shaped = re.fullmatch(r"[^<>,;:]*<([^<>]*)> *", bare)  # an address list or a group is no author
        bare = shaped[1] if shaped else ""
    address = bare.strip()
    local, _, domain = address.rpartition("@")
    one = re.fullmatch(r'[^\s@<>,;:"()\[\]\\]+|"[^"\\]*"', local)
    alike = headers.address(found[0]) == address  # it reads encoded words before it looks for brackets
    return address if one and ascii_of(domain) and alike else ""
