"""Who may send: the first entry of `senders` whose conditions all hold. Pure.

Conditions are the client's network, the certificate that it has shown, the login and the envelope
sender. An entry by network, certificate or login vouches for the sender's address, so that its mail
may be answered with a report; an entry by `from` alone lets mail in but vouches for nothing, since
anybody can write that, and so no report goes to its sender (no backscatter).

Who is known by name writes under the names that `from` gives: its patterns hold for the header's
From as well as for the envelope (`foreign`).
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from relay.config import Sender
from relay.message.content import SHOWN
from relay.model import Letter


@dataclass(frozen=True, slots=True)
class Admission:
    """The entry that lets a mail in, and whether its sender's address may be trusted."""

    name: str
    verified: bool


Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ADDRESS = re.compile(r""""[^"]*"@[^\s,;:<>()"]+|[^\s,;:<>()"\[\]]+@[^\s,;:<>()"]+""")

_LONGEST = 5000  # characters of From: what is longer may have been cut

LOCAL = "unix"
"""The peer of a unix socket: it counts as this machine."""


def may(
    senders: Sequence[Sender],
    *,
    peer: str,
    sender: str,
    certificates: frozenset[str] = frozenset(),
    logins: frozenset[str] = frozenset(),
) -> Admission | None:
    """The admission of a mail, None where no entry lets it in. `logins` names entries (`accounts`)."""
    for entry in senders:
        if _is(entry, peer, certificates, logins) and _from_holds(entry, sender):
            return Admission(name=entry.name, verified=entry.networks is not None or personal(entry))
    return None


def anybody_from(
    senders: Sequence[Sender],
    *,
    peer: str,
    certificates: frozenset[str] = frozenset(),
    logins: frozenset[str] = frozenset(),
) -> bool:
    """Whether some entry could let this peer in, whatever the sender."""
    return any(_is(entry, peer, certificates, logins) for entry in senders)


def login_helps(senders: Sequence[Sender], peer: str, certificates: frozenset[str]) -> bool:
    """Whether some entry could let this peer in once it has logged in."""
    every = frozenset(entry.name for entry in senders if takes_logins(entry))
    return any(takes_logins(entry) and _is(entry, peer, certificates, every) for entry in senders)


def takes_logins(entry: Sender) -> bool:
    """Whether a login is a condition of the entry."""
    return bool(entry.users) or entry.users_file is not None


def personal(entry: Sender) -> bool:
    """Whether the entry knows its clients, not only where they are."""
    return takes_logins(entry) or entry.certificates is not None


def foreign(entry: Sender, letter: Letter) -> str:
    """An address in From that a client known by this entry may not write as, "" where there is none.

    Each address that stands there counts, in names and comments as well: people read those. So does
    each From of several. One that holds no address, or one that can be read in two ways, is nobody's.
    """
    if entry.from_ is None or not personal(entry):
        return ""
    if len(letter.headers) >= SHOWN:
        return "one of too many header fields"
    values = [value for name, value in letter.headers if name.strip().lower() == "from"]
    authors = [each for value in values for each in _authors(value)]
    return next((each for each in authors if not _from_holds(entry, each)), "")


def _authors(value: str) -> list[str]:
    found = _ADDRESS.findall(value)
    clear = found and "".join(found).count("@") == value.count("@") and len(value) < _LONGEST
    return found if clear else [value]


def _is(entry: Sender, peer: str, certificates: frozenset[str], logins: frozenset[str]) -> bool:
    shown = entry.certificates is None or not certificates.isdisjoint(entry.certificates)
    logged_in = not takes_logins(entry) or entry.name in logins
    return shown and logged_in and _network_holds(entry, peer)


def _network_holds(entry: Sender, peer: str) -> bool:
    if entry.networks is None:
        return True
    return inside(entry.networks, peer)


def inside(networks: Sequence[Network], peer: str) -> bool:
    """Whether the peer is in one of these networks."""
    return any(address in network for address in _addresses(peer) for network in networks)


def _addresses(peer: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses that a peer counts as: a v4 one that came mapped into v6 is both."""
    if peer == LOCAL:
        return [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    address = ipaddress.ip_address(peer.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return [address] if mapped is None else [address, mapped]


def _from_holds(entry: Sender, sender: str) -> bool:
    """Patterns are on addresses, and the null sender has none: not even `*` fits it."""
    if entry.from_ is None:
        return True
    return bool(sender) and any(
        fnmatch.fnmatchcase(sender.lower(), pattern.lower()) for pattern in entry.from_
    )
