"""Who may send: the first entry of `senders` whose conditions all hold. Pure.

Conditions are the client's network, the certificate that it has shown, what its user is (later)
and the envelope sender. An entry by network or certificate vouches for the sender's address, so
that its mail may be answered with a report; an entry by `from` alone lets mail in but vouches for
nothing, since anybody can write that, and so no report goes to its sender (no backscatter).
"""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from relay.config import Sender


@dataclass(frozen=True, slots=True)
class Admission:
    """The entry that lets a mail in, and whether its sender's address may be trusted."""

    name: str
    verified: bool


LOCAL = "unix"
"""The peer of a unix socket: it counts as this machine."""


def may(
    senders: Sequence[Sender], *, peer: str, sender: str, certificates: frozenset[str] = frozenset()
) -> Admission | None:
    """The admission of a mail, None where no entry lets it in."""
    for entry in senders:
        if _is(entry, peer, certificates) and _from_holds(entry, sender):
            verified = entry.networks is not None or entry.certificates is not None
            return Admission(name=entry.name, verified=verified)
    return None


def anybody_from(senders: Sequence[Sender], *, peer: str, certificates: frozenset[str] = frozenset()) -> bool:
    """Whether some entry could let this peer in, whatever the sender."""
    return any(_is(entry, peer, certificates) for entry in senders)


def _is(entry: Sender, peer: str, certificates: frozenset[str]) -> bool:
    shown = entry.certificates is None or not certificates.isdisjoint(entry.certificates)
    return shown and _network_holds(entry, peer)


def _network_holds(entry: Sender, peer: str) -> bool:
    if entry.networks is None:
        return True
    return any(address in network for address in _addresses(peer) for network in entry.networks)


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
