r"""Rich Text Format as text: what Outlook packs it in, and what it says.

Outlook compresses the RTF of a mail (MS-OXRTFCP) and, where the mail was HTML, hides that HTML
inside it (MS-OXRTFEX). Layout is dropped. Time and memory are linear in what `limit` allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from relay.message import charset_labels, charsets

_KNOWN = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript "
    b"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)  # what the dictionary holds at first
_RING = 4096
_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,9})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])"
    rb"|[\r\n]++|([^\\{}\r\n]++)|\\"
)
_UNSEEN = frozenset((
    b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict", b"object", b"header", b"headerl", b"headerr",
    b"headerf", b"footer", b"footerl", b"footerr", b"footerf", b"footnote", b"listtable", b"rsidtbl",
    b"fldinst", b"listoverridetable", b"generator", b"themedata", b"datastore", b"nonshppict", b"xe",
    b"tc", b"filetbl",
))  # fmt: skip
_SAID = {
    b"par": "\n", b"line": "\n", b"sect": "\n", b"page": "\n", b"row": "\n", b"cell": "\t", b"tab": "\t",
    b"emdash": "—", b"endash": "–", b"bullet": "•", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“",
    b"rdblquote": "”", b"emspace": " ", b"enspace": " ", b"qmspace": " ",
}  # fmt: skip
_SIGNS = {b"~": "\xa0", b"_": "-", b"-": "", b"\n": "\n", b"\r": "\n", b"{": "{", b"}": "}", b"\\": "\\"}
_FONTS = {
    77: "mac-roman", 128: "cp932", 129: "cp949", 134: "gb18030", 136: "cp950", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """What an RTF says, and whether it is the HTML that was hidden in it."""

    text: str
    html: bool = False


# -- compression (MS-OXRTFCP) ---------------------------------------------------------------


def unpack(data: bytes, limit: int) -> tuple[bytes, bool]:
    """The RTF of a PR_RTF_COMPRESSED, at most `limit` octets, and whether that is all of it."""
    size, kind = int.from_bytes(data[4:8], "little"), data[8:12]
    if kind == b"MELA":
        found = data[16 : 16 + min(size, limit)]
        return found, len(found) == size
    if kind != b"LZFu":
        return b"", False
    found = _unpacked(data, min(size, limit))
    return found, len(found) == size


def _unpacked(data: bytes, size: int) -> bytes:
    out = bytearray(_KNOWN)  # the ring is the last 4096 octets of this, whatever they are
    at, end, full = 16, len(data), len(_KNOWN) + size
    while at < end and len(out) < full:
        control = data[at]
        at += 1
        for bit in range(8):
            if at >= end or len(out) >= full:
                break
            if not control >> bit & 1:
                out.append(data[at])
                at += 1
                continue
            pair = int.from_bytes(data[at : at + 2], "big")
            at += 2
            here = len(out) % _RING
            place, length = pair >> 4, (pair & 15) + 2
            if at > end or place == here:  # the end, as the writer marks it
                return bytes(out[len(_KNOWN) : full])
            start = len(out) - ((here - place) % _RING)
            if start < 0:  # a place that was never written reads as zeros
                return bytes(out[len(_KNOWN) : full])
            piece = out[start : start + length]
            while len(piece) < length:
                piece += piece[: length - len(piece)]
            out += piece
    return bytes(out[len(_KNOWN) : full])


# -- text -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _State:
    """What holds inside one pair of braces."""

    unseen: bool = False
    fonts: bool = False  # the table of them
    tag: bool = False  # a piece of the hidden HTML
    plain: bool = False  # RTF that stands for a tag, not to be shown beside it
    charset: str = ""
    skip: int = 1  # characters after a Unicode one that say it again for old readers


@dataclass(slots=True)
class _Reading:
    """The text so far."""

    charset: str  # of octets outside any font
    said: list[str] = field(default_factory=list)
    octets: bytearray = field(default_factory=bytearray)
    state: _State = field(default_factory=_State)
    fonts: dict[int, str] = field(default_factory=dict)
    font: int = 0
    html: bool = False
    skip: int = 0

    def flush(self) -> None:
        """Decode the octets that were gathered, in the charset that held for them."""
        if self.octets:
            self.said.append(charsets.decode(bytes(self.octets), self.state.charset or self.charset))
            self.octets.clear()

    def say(self, text: str) -> None:
        if self.shows:
            self.flush()
            self.said.append(text)

    @property
    def shows(self) -> bool:
        state = self.state
        return state.tag or not (state.unseen or (self.html and state.plain))


def read(data: bytes, label: str = "", limit: int = 1 << 20) -> Text:
    """The text of an RTF, of which `limit` octets are read; `label` is its charset if it names none."""
    data = data[:limit]
    reading = _Reading(charset=label)
    stack: list[_State] = []
    at = 0
    while match := _TOKEN.match(data, at):
        at = match.end()
        word, number, octet, sign, brace, text = match.groups()
        if brace is not None:
            reading.flush()
            reading.skip = 0
            if brace == b"{":
                stack.append(reading.state)
            elif stack:
                reading.state = stack.pop()
        elif word is not None:
            at += _word(reading, word, None if number is None else int(number))
        elif sign == b"*":
            reading.flush()
            reading.state = replace(reading.state, unseen=True)
        elif reading.skip and (octet or sign):
            reading.skip -= 1
        elif sign is not None:
            reading.say(_SIGNS.get(sign, ""))
        elif octet is not None or text is not None:
            _letters(reading, bytes.fromhex(octet.decode()) if octet else text)
    reading.flush()
    said = "".join(reading.said).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return Text(charsets.clean(said).strip("\n"), reading.html)


def _letters(reading: _Reading, octets: bytes) -> None:
    skipped = min(reading.skip, len(octets))
    reading.skip -= skipped
    if reading.shows:
        reading.octets += octets[skipped:]


def _word(reading: _Reading, word: bytes, number: int | None) -> int:
    """Do what a control word says; octets after it that are no RTF."""
    state = reading.state
    if word == b"u" and number is not None:
        reading.say(chr(number & 0xFFFF))
        reading.skip = state.skip
        return 0
    if reading.skip:
        reading.skip -= 1
        return 0
    if word in _SAID:
        reading.say(_SAID[word])
    elif word == b"bin":
        return max(0, number or 0)
    elif word == b"ansicpg" and number:
        reading.charset = code_page(number)
    elif word == b"fromhtml":
        reading.html = number != 0
    elif word == b"fcharset":
        reading.fonts[reading.font] = _FONTS.get(number or 0, "")
    else:
        changed = _changed(reading, word, number)
        if changed is not state:
            reading.flush()
            reading.state = changed
    return 0


def _changed(reading: _Reading, word: bytes, number: int | None) -> _State:
    state = reading.state
    if word == b"f" and number is not None:
        if state.fonts:
            reading.font = number
            return state
        return _with_charset(state, reading.fonts, number)
    if word == b"uc":
        return replace(state, skip=min(max(number or 0, 0), 16))
    if word == b"htmlrtf":
        return replace(state, plain=number != 0)
    if word == b"htmltag":
        return replace(state, tag=reading.html)
    if word in _UNSEEN:
        return replace(state, unseen=True, fonts=word == b"fonttbl")
    return replace(state, charset="") if word == b"plain" and state.charset else state


def _with_charset(state: _State, fonts: Mapping[int, str], number: int) -> _State:
    charset = fonts.get(number, "")
    return state if charset == state.charset else replace(state, charset=charset)


# -- code pages -----------------------------------------------------------------------------

_PAGES = {
    1200: "utf-16-le", 1201: "utf-16-be", 10000: "mac-roman", 10007: "mac-cyrillic", 20127: "us-ascii",
    20866: "koi8-r", 21866: "koi8-u", 50220: "iso-2022-jp", 51932: "euc-jp", 51949: "euc-kr", 52936: "hz",
    54936: "gb18030", 65000: "utf-7", 65001: "utf-8",
}  # fmt: skip


def code_page(number: int) -> str:
    """The charset that Windows knows by this number, "" where it is no charset of text."""
    if 28591 <= number <= 28606:
        return f"iso-8859-{number - 28590}"
    name = _PAGES.get(number) or f"cp{number}"
    return name if charset_labels.codec(name) or number == 20127 else ""
