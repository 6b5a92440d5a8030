"""S/MIME that keeps its text inside a closed form (RFC 8551): the mail in it, taken out unchecked.

A signed message in the Cryptographic Message Syntax (RFC 5652) holds the whole entity in one
string of octets, which software that streams cuts into pieces and wraps in lengths that it
does not know yet (the indefinite form of BER). Only the way to that string is read here, each
octet once; no signature is judged, since no one on a phone could ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass

SIGNED, ENVELOPED = "signed", "enveloped"
_KINDS = {
    bytes.fromhex("2a864886f70d010702"): SIGNED,
    bytes.fromhex("2a864886f70d010703"): ENVELOPED,
    bytes.fromhex("2a864886f70d0109100117"): ENVELOPED,  # authenticated as well (RFC 5083)
}
_OCTETS, _OID, _SEQUENCE, _SET, _WRAPPED, _PIECES = 0x04, 0x06, 0x30, 0x31, 0xA0, 0x24
_CONSTRUCTED = 0x20
_DEPTH = 16  # of strings in pieces of pieces
_ITEMS = 100_000  # that are looked at: writers cut a string at a thousand octets or more


@dataclass(frozen=True, slots=True)
class Message:
    """What a closed form is, and what is inside; `whole` is False where its end is missing."""

    kind: str = ""  # SIGNED, ENVELOPED or "" for anything else
    data: bytes = b""
    whole: bool = True


@dataclass(frozen=True, slots=True)
class _Item:
    """One tag, and where its value is; one of indefinite length ends with what is around it."""

    tag: int
    start: int
    end: int
    endless: bool
    whole: bool


def read(data: bytes) -> Message:
    """The message in `data`, of no kind where it is none that is known."""
    outer = _item(data, 0, len(data))
    if outer is None or outer.tag != _SEQUENCE:
        return Message()
    named = _item(data, outer.start, outer.end)
    if named is None or named.tag != _OID:
        return Message()
    kind = _KINDS.get(data[named.start : named.end], "")
    if kind != SIGNED:
        return Message(kind)
    return _signed(data, named.end, outer.end)


def _signed(data: bytes, at: int, end: int) -> Message:
    """SignedData: a version, algorithms, and then the content with a name of its own."""
    for expected in (_WRAPPED, _SEQUENCE):
        item = _item(data, at, end)
        if item is None or item.tag != expected:
            return Message(SIGNED, whole=False)
        at, end = item.start, item.end
    for _ in range(2):
        at = _beyond(data, at, end)
    for expected in (_SEQUENCE, _OID, _WRAPPED):
        item = _item(data, at, end)
        if item is None or item.tag != expected:
            return Message(SIGNED, whole=item is not None)  # nothing inside: certificates alone
        at = item.start
        if item.tag == _OID:
            at = item.end
        else:
            end = item.end
    pieces: list[bytes] = []
    whole = _string(data, at, end, pieces)
    return Message(SIGNED, b"".join(pieces), whole=whole)


def _string(data: bytes, at: int, end: int, pieces: list[bytes]) -> bool:
    """Gather an OCTET STRING, be it in pieces; whether its end was there."""
    first = _item(data, at, end)
    if first is None or first.tag not in (_OCTETS, _PIECES):
        return False
    if first.tag == _OCTETS:
        pieces.append(data[first.start : first.end])
        return first.whole
    at, open_ends, seen = first.start, [(first.end, first.endless)], 0
    while open_ends:
        end, endless = open_ends[-1]
        if at >= end and not endless:
            open_ends.pop()
            continue
        if endless and data[at : at + 2] == b"\0\0":
            at += 2
            open_ends.pop()
            continue
        item = _item(data, at, end)
        seen += 1
        deep = len(open_ends) > _DEPTH or seen > _ITEMS
        if item is None or item.tag not in (_OCTETS, _PIECES) or deep:
            return False
        if item.tag == _OCTETS:
            pieces.append(data[item.start : item.end])
            if not item.whole:
                return False
            at = item.end
        else:
            open_ends.append((item.end, item.endless))
            at = item.start
    return first.whole


def _item(data: bytes, at: int, end: int) -> _Item | None:
    """The tag and length at `at`, cut at `end`; None where there is none that can be read."""
    if at + 2 > end or data[at] & 0x1F == 0x1F or data[at : at + 2] == b"\0\0":
        return None
    tag, size = data[at], data[at + 1]
    start = at + 2
    if size == 0x80:
        return _Item(tag, start, end, endless=True, whole=True) if tag & _CONSTRUCTED else None
    if size > 0x80:
        octets = size & 0x7F
        if octets > 8 or start + octets > end:
            return None
        size = int.from_bytes(data[start : start + octets], "big")
        start += octets
    return _Item(tag, start, min(end, start + size), endless=False, whole=start + size <= end)


def _beyond(data: bytes, at: int, end: int) -> int:
    """Where the item at `at` is over, `end` where that can't be told."""
    item = _item(data, at, end)
    if item is None:
        return end
    if not item.endless:
        return item.end
    at, depth = item.start, 1
    for _ in range(_ITEMS):
        if not depth:
            return at
        if data[at : at + 2] == b"\0\0":
            at, depth = at + 2, depth - 1
            continue
        item = _item(data, at, end)
        if item is None:
            break
        at, depth = (item.start, depth + 1) if item.endless else (item.end, depth)
    return end
