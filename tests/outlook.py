"""A small writer of TNEF streams (MS-OXTNEF), for tests; it shares nothing with the reader."""

from __future__ import annotations

import struct

MAIL, FILE = 1, 2
VERSION, CODE_PAGE, SUBJECT, BODY, KIND, MAIL_PROPERTIES = (
    0x00089006, 0x00069007, 0x00018004, 0x0002800C, 0x00078008, 0x00069003,
)  # fmt: skip
BEGINS, DATA, TITLE, FILE_PROPERTIES = 0x00069002, 0x0006800F, 0x00018010, 0x00069005
SHORT, LONG, TRUE, OBJECT, ANSI, UNICODE, TIME, GUID, OCTETS = (
    0x02, 0x03, 0x0B, 0x0D, 0x1E, 0x1F, 0x40, 0x48, 0x102,
)  # fmt: skip
MANY = 0x1000
EMBEDDED = bytes.fromhex("0703020000000000c000000000000046")  # the interface of a message, MS-OXTNEF 2.1.3.4


def attribute(level: int, name: int, value: bytes) -> bytes:
    """One attribute with its length and sum."""
    return struct.pack("<BII", level, name, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)


def stream(*attributes: bytes, page: int = 1251) -> bytes:
    """A whole stream."""
    head = struct.pack("<IH", 0x223E9F78, 1) + attribute(MAIL, VERSION, struct.pack("<I", 0x10000))
    return head + attribute(MAIL, CODE_PAGE, struct.pack("<II", page, 0)) + b"".join(attributes)


def _filled(octets: bytes) -> bytes:
    return octets + b"\0" * (-len(octets) % 4)


def _one(kind: int, value: object) -> bytes:
    match kind:
        case 0x02 | 0x0B:
            return _filled(struct.pack("<h", value))
        case 0x03:
            return struct.pack("<i", value)
        case 0x1F:
            octets = (value + "\0").encode("utf-16-le")
        case 0x1E:
            octets = value.encode("cp1251") + b"\0"
        case _:
            octets = value
    if kind in (0x40, 0x48):
        return octets
    return struct.pack("<I", len(octets)) + _filled(octets)


def a_property(kind: int, name: int, value: object, *, named: int | str | None = None) -> bytes:
    """One MAPI property: several values where the kind says so, a name for ids of 0x8000 and up."""
    found = struct.pack("<HH", kind, name)
    if isinstance(named, int):
        found += bytes(16) + struct.pack("<II", 0, named)
    elif isinstance(named, str):
        words = (named + "\0").encode("utf-16-le")
        found += bytes(16) + struct.pack("<II", 1, len(words)) + _filled(words)
    if kind & MANY:
        return found + struct.pack("<I", len(value)) + b"".join(_one(kind & ~MANY, each) for each in value)
    counted = kind in (OBJECT, ANSI, UNICODE, OCTETS)
    return found + (struct.pack("<I", 1) if counted else b"") + _one(kind, value)


def properties(*found: bytes) -> bytes:
    """The value of an attribute that holds properties."""
    return struct.pack("<I", len(found)) + b"".join(found)


def a_file(title: str, data: bytes, *found: bytes) -> bytes:
    """A file the old way, with properties where there are any."""
    return b"".join((
        attribute(FILE, BEGINS, bytes(14)),
        attribute(FILE, TITLE, title.encode("cp1251") + b"\0"),
        attribute(FILE, DATA, data) if data else b"",
        attribute(FILE, FILE_PROPERTIES, properties(*found)) if found else b"",
    ))  # fmt: skip
