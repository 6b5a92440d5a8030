"""The header by which a load balancer says whom it speaks for: the PROXY protocol. Pure.

Version 1 is a line of text, version 2 is binary; both come before anything else, whole, and only
once. `missing` says how many octets are still to come, so that never one too many is read: what
follows may be the beginning of a TLS handshake. Who may send such a header is judged elsewhere.

The specification is HAProxy's `proxy-protocol.txt`. What it lets a sender say of a connection
without a peer of its own (UNKNOWN, LOCAL, a family that is no TCP address) leaves the real peer.
Additional fields (TLVs) are read past; they are bounded, as the whole header is.
"""

from __future__ import annotations

import ipaddress
import re

Source = tuple[str, int]
"""The address and the port of the client behind the proxy."""

LINE = 107  # octets of version 1 with its line end, by the specification
MOST = 4096  # octets of version 2; the largest known ones have a few hundred

_SHORTEST = len("PROXY UNKNOWN\r\n")
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16  # octets of version 2 before its addresses

_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(?:(TCP4) ([0-9.]+) ([0-9.]+)|(TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+))"
    rb" ([0-9]{1,5}) ([0-9]{1,5}))\r\n"
)
_TCP = {0x11: 4, 0x21: 16}  # family and transport of version 2: octets of an address
_NOT_TCP = (0x00, 0x31, 0x32)  # unspecified, and unix sockets


class ProxyError(ValueError):
    """This is no PROXY header; says why."""


def missing(octets: bytes) -> int:
    """How many octets the header has yet to come, at least; 0 where it is whole."""
    count = len(octets)
    if _SIGNATURE.startswith(octets[: len(_SIGNATURE)]) and octets:
        return _missing_binary(octets)
    if not b"PROXY ".startswith(octets[:6]):
        raise ProxyError("it does not begin as a PROXY header")
    if count < _SHORTEST:
        return _SHORTEST - count
    if octets.endswith(b"\r\n"):
        return 0
    if count >= LINE:
        raise ProxyError(f"its line has more than {LINE} octets")
    return 1 if count + 1 == LINE or octets.endswith(b"\r") else 2


def _missing_binary(octets: bytes) -> int:
    if len(octets) < _FIXED:
        return _FIXED - len(octets)
    whole = _FIXED + int.from_bytes(octets[14:_FIXED])
    if whole > MOST:
        raise ProxyError(f"it has more than {MOST} octets")
    return whole - len(octets)


def source(octets: bytes) -> Source | None:
    """Whom a whole header names; None where the connection's own peer stays."""
    return _of_binary(octets) if octets.startswith(_SIGNATURE) else _of_line(octets)


def _of_line(octets: bytes) -> Source | None:
    found = _LINE.fullmatch(octets)
    if found is None:
        raise ProxyError("its line is not of the form PROXY TCP4 address address port port")
    if found[7] is None:
        return None  # UNKNOWN
    _there, port = _port(found[8]), _port(found[7])
    family = ipaddress.IPv4Address if found[1] else ipaddress.IPv6Address
    try:
        _here = family((found[3] or found[6]).decode())
        return _shown(family((found[2] or found[5]).decode())), port
    except ValueError:
        raise ProxyError("its line has something else than addresses") from None


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """One client has one name, also where its IPv4 address came in the form of IPv6."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _port(digits: bytes) -> int:
    if int(digits) > 0xFFFF:
        raise ProxyError("its line has a port beyond 65535")
    return int(digits)


def _of_binary(octets: bytes) -> Source | None:
    version, command, family = octets[12] >> 4, octets[12] & 15, octets[13]
    if version != 2 or command > 1:
        raise ProxyError("its version or command is not known")
    if command == 0 or family in _NOT_TCP:
        return None  # LOCAL: the proxy speaks for itself, as in its health checks
    size = _TCP.get(family)
    if size is None:
        raise ProxyError("its address is not one of TCP")
    fields = octets[_FIXED:]
    if len(fields) < 2 * size + 4:
        raise ProxyError("its addresses are cut short")
    return _shown(ipaddress.ip_address(fields[:size])), int.from_bytes(fields[2 * size : 2 * size + 2])
