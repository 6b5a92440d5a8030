"""What Outlook packs into a winmail.dat (MS-OXTNEF): a mail's text and its files.

A stream is attributes, each with a length and a sum of its octets; some of them hold MAPI
properties (MS-OXTNEF section 2.1.3.4). Lengths are not believed: what lies beyond the end is
not there, what was readable before it stays, and `whole` says which of the two it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from relay.message import charsets, rtf

SIGNATURE = b"\x78\x9f\x3e\x22"
FILES = 500
_ATTRIBUTES = 5000
_PROPERTIES = 2000  # of one attribute

_HEAD = Struct("<BII")  # level, id with the type above it, length
_LONG = Struct("<I")
_PROPERTY = Struct("<HH")  # type, id

_CODE_PAGE, _SUBJECT, _BODY, _PROPERTIES_OF_MAIL = 0x9007, 0x8004, 0x800C, 0x9003
_FILE_BEGINS, _FILE_DATA, _FILE_TITLE, _PROPERTIES_OF_FILE = 0x9002, 0x800F, 0x8010, 0x9005

_P_SUBJECT, _P_TEXT, _P_RTF, _P_HTML, _P_CODE_PAGE = 0x0037, 0x1000, 0x1009, 0x1013, 0x3FDE
_P_NAME, _P_DATA, _P_SHORT_NAME, _P_LONG_NAME, _P_CID = 0x3001, 0x3701, 0x3704, 0x3707, 0x3712
_LONG_TYPE, _OBJECT, _STRING, _UNICODE, _BINARY = 0x03, 0x0D, 0x1E, 0x1F, 0x102
_VARIABLE = (_OBJECT, _STRING, _UNICODE, _BINARY)
_SIZES = {  # octets of values that have always as many, filled up to four
    0x01: 4, 0x02: 4, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8,
    0x48: 16,
}  # fmt: skip
_MANY = 0x1000


@dataclass(slots=True)
class Inner:
    """A file in a stream."""

    name: str = ""
    data: bytes = b""
    cid: str = ""


@dataclass(slots=True)
class Packed:
    """What a stream holds: texts decoded, RTF still compressed."""

    subject: str = ""
    plain: str = ""
    html: str = ""
    rtf: bytes = b""
    charset: str = ""
    files: list[Inner] = field(default_factory=list)
    whole: bool = True


def read(data: bytes, limit: int) -> Packed | None:
    """What is in a stream, `limit` characters of each text; None where `data` is none."""
    if not data.startswith(SIGNATURE):
        return None
    packed = Packed()
    texts: dict[int, _Value] = {}  # as they came, for their code page may be named after them
    page = 0
    for kind, value, whole in _attributes(data):
        packed.whole &= whole
        if kind == _CODE_PAGE and len(value) >= 4:
            packed.charset = rtf.code_page(_LONG.unpack_from(value)[0])
        elif kind in (_SUBJECT, _BODY):
            texts.setdefault(kind, _Value(_STRING, bytes(value)))
        elif kind == _PROPERTIES_OF_MAIL:
            found, sound = _properties(value)
            packed.whole &= sound
            texts |= found
            page = found[_P_CODE_PAGE].number if _P_CODE_PAGE in found else page
        elif kind in (_FILE_BEGINS, _FILE_DATA, _FILE_TITLE, _PROPERTIES_OF_FILE):
            packed.whole &= _file(packed, kind, value)
    _texts(packed, texts, rtf.code_page(page), limit)
    return packed


def _texts(packed: Packed, found: dict[int, _Value], charset: str, limit: int) -> None:
    """Decode what the mail says; properties know better than the attributes of old."""

    def text(label: str, *kinds: int) -> str:
        values = (found[kind].text(label, limit) for kind in kinds if kind in found)
        return next((each for each in values if each.strip()), "")

    packed.charset = packed.charset or charset
    packed.subject = text(packed.charset, _P_SUBJECT, _SUBJECT)
    packed.plain = text(packed.charset, _P_TEXT, _BODY)
    packed.html = text(charset or packed.charset, _P_HTML)
    packed.rtf = found[_P_RTF].data if _P_RTF in found else b""


def _attributes(data: bytes) -> Iterator[tuple[int, memoryview, bool]]:
    """Each attribute's id and value, and whether it is as its writer left it."""
    view, at = memoryview(data), 6
    for _ in range(_ATTRIBUTES):
        if at + _HEAD.size > len(data):
            break
        _, kind, size = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        at = start + size + 2
        value = view[start : start + size]
        sound = at <= len(data) and sum(value) & 0xFFFF == int.from_bytes(data[at - 2 : at], "little")
        yield kind & 0xFFFF, value, sound
    yield 0, view[:0], at >= len(data)


# -- files ----------------------------------------------------------------------------------


def _file(packed: Packed, kind: int, value: memoryview) -> bool:
    """Take in an attribute of a file; whether all of it was understood."""
    if kind == _FILE_BEGINS or not packed.files:
        if len(packed.files) >= FILES:
            return False
        packed.files.append(Inner())
    file = packed.files[-1]
    if kind == _FILE_DATA:
        file.data = bytes(value)
    elif kind == _FILE_TITLE:
        file.name = file.name or _Value(_STRING, bytes(value)).text(packed.charset, 400)
    elif kind == _PROPERTIES_OF_FILE:
        found, sound = _properties(value)
        names = (found[each] for each in (_P_LONG_NAME, _P_NAME, _P_SHORT_NAME) if each in found)
        file.name = next((name for each in names if (name := each.text(packed.charset, 400))), file.name)
        file.cid = found[_P_CID].text(packed.charset, 400).strip("<> ") if _P_CID in found else ""
        if _P_DATA in found:
            held = found[_P_DATA]
            file.data = held.data[16:] if held.kind == _OBJECT else held.data  # after its interface's id
        return sound
    return True


# -- properties -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Value:
    kind: int
    data: bytes

    @property
    def number(self) -> int:
        return int.from_bytes(self.data[:4], "little") if self.kind == _LONG_TYPE else 0

    def text(self, label: str, limit: int) -> str:
        """The value as text, without the zero that ends it."""
        data = self.data[: limit * 4]
        text = charsets.decode(data, "utf-16-le" if self.kind == _UNICODE else label)
        return text[:limit].replace("\r\n", "\n").replace("\r", "\n")


def _properties(data: memoryview) -> tuple[dict[int, _Value], bool]:
    """The properties that are wanted, by id, and whether all were read."""
    found: dict[int, _Value] = {}
    if len(data) < 4:
        return found, False
    (count,), at = _LONG.unpack_from(data), 4
    for _ in range(min(count, _PROPERTIES)):
        if at + 4 > len(data):
            return found, False
        kind, name = _PROPERTY.unpack_from(data, at)
        at = _past_name(data, at + 4) if name >= 0x8000 else at + 4
        start, size, at = _value(data, at, kind)
        if size < 0:
            return found, False
        if kind & ~_MANY in (*_VARIABLE, _LONG_TYPE) and name < 0x8000:
            found.setdefault(name, _Value(kind & ~_MANY, bytes(data[start : start + size])))
        if max(start + size, at - 3) > len(data):  # the last one may lack what fills it up
            return found, False
    return found, count <= _PROPERTIES


def _past_name(data: memoryview, at: int) -> int:
    """Beyond the name of a property that has one: a GUID, then a number or words."""
    kind, after = _long(data, at + 16), at + 24
    return after + _filled(_long(data, at + 20)) if kind == 1 else after


def _value(data: memoryview, at: int, kind: int) -> tuple[int, int, int]:
    """Where the (first) value is, its size, and where all are over; a size of -1 where none can be read."""
    base, many = kind & ~_MANY, bool(kind & _MANY)
    if base in _SIZES:
        count = _long(data, at) if many else 1
        start = at + 4 if many else at
        end = start + count * _SIZES[base]
        return (start, _SIZES[base], end) if end <= len(data) else (start, -1, end)
    if base not in _VARIABLE or at + 8 > len(data):
        return at, -1, at
    count, first, size = _long(data, at), at + 8, _long(data, at + 4)
    if not count:
        return at, 0, at + 4
    end = first + _filled(size)
    for _ in range(count - 1):
        if end + 4 > len(data):
            return first, size, end + 4
        end += 4 + _filled(_long(data, end))
    return first, size, end


def _long(data: memoryview, at: int) -> int:
    return int(_LONG.unpack_from(data, at)[0]) if at + 4 <= len(data) else 0


def _filled(size: int) -> int:
    return size + -size % 4
