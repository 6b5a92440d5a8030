"""What fits a text message: its alphabet, its parts, where to cut it.

A message in the GSM 7-bit alphabet (3GPP TS 23.038 section 6.2.1) holds 160 letters, in UCS-2
70; a longer one goes in parts of 153 or 67, six octets of each being the header that joins
them. Letters of the extension table take two places, letters outside the Basic
Multilingual Plane likewise in UCS-2, and no part begins with half of one. The provider
counts the same way (its page on sending, `mes`).

Mapping replaces what mailers write instead of ASCII (fine quotes, dashes, odd spaces) by
what a person would type. It never changes an ASCII letter or digit and never transliterates:
a text that doesn't fit GSM-7 after it goes out as it was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from relay.message.again import remembered
from relay.message.text import is_plain
from relay.model import MARK, mark

# A search for letters that need work comes before the work wherever most texts have none: it takes
# a hundredth of the time. Its pattern is made of the very table that the work goes by.

# -- the alphabet --------------------------------------------------------------------------

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = "\f^{}\\[~]|€"
_ALPHABET = frozenset(_BASIC + _EXTENSION)
_FOREIGN = re.compile(f"[^{re.escape(_BASIC + _EXTENSION)}]")

_SPACES = dict.fromkeys("\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007", " ") | dict.fromkeys(
    "\u2008\u2009\u200a\u202f\u205f\u3000\t", " "
)
_SIGNS = {
    **dict.fromkeys("«»“”„‟″〝〞", '"'),
    **dict.fromkeys("‘’‚‛‹›´`′ʹʼʻ", "'"),
    **dict.fromkeys("‐‑‒–—―−⁃", "-"),
    **dict.fromkeys("•●▪■◦‣∙", "*"),
    "·": ".",
    "⁄": "/",
    "…": "...",
    "‥": "..",
    "№": "No.",
    "°": "deg",
    "℃": "degC",
    "℉": "degF",
    "²": "2",
    "³": "3",
    "µ": "u",
    "μ": "u",
    "₽": "RUB",
    "×": "x",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "→": "->",
    "←": "<-",
    "⇒": "=>",
    "©": "(c)",
    "®": "(R)",
    "™": "(TM)",
}
_ALIKE = str.maketrans(_SPACES)
_MAPPED = str.maketrans({**_SPACES, **_SIGNS})
_ODD_SPACE = re.compile(f"[{re.escape(''.join(_SPACES))}]")
_TYPOGRAPHY = re.compile(f"[{re.escape(''.join([*_SPACES, *_SIGNS]))}]")

_PLACES = re.compile(MARK)  # where files stood: not part of what the phone gets
_BRACKETS = mark(0).replace("0", "")
_BEYOND = re.compile(f"[^{re.escape(_BASIC + _EXTENSION + _BRACKETS + ''.join([*_SPACES, *_SIGNS]))}]")


def fits(text: str) -> bool:
    """Every letter is in the GSM-7 alphabet or its extension."""
    return _is_simple(text) or _FOREIGN.search(text) is None


def _is_simple(text: str) -> bool:
    """What ASCII can print, in lines: GSM-7 has all of that but the backtick, which is mapped."""
    return is_plain(text) and "`" not in text


def mapped(text: str) -> str:
    """The text with typographic signs as plain ones."""
    return text.translate(_MAPPED) if _TYPOGRAPHY.search(text) else text


def _spaced(text: str) -> str:
    """The text with odd spaces as plain ones."""
    return text.translate(_ALIKE) if _ODD_SPACE.search(text) else text


def choose(text: str, alphabet: str) -> tuple[str, dict[str, str], str]:
    """The text in the alphabet that a route wants, parameters to send with it, and a note.

    `auto` maps where that makes the whole text GSM-7 and else changes odd spaces only; `gsm7`
    forces it, at the price of letters; `translit` lets the provider do it; `ucs2` changes
    nothing.
    """
    if alphabet == "ucs2" or (alphabet != "translit" and _is_simple(text)):
        return text, {}, ""
    if alphabet == "translit":
        return _spaced(text), {"translit": "1"}, ""
    if alphabet == "auto" and _BEYOND.search(text):  # mapping leaves that letter, so it can't help
        return _spaced(text), {}, ""
    plain = mapped(text)
    if fits(_PLACES.sub("", plain)):
        return plain, {}, ""
    if alphabet == "auto":
        return _spaced(text), {}, ""
    forced, lost = _forced(plain)
    note = f"letters that GSM-7 lacks were replaced by question marks: {lost} of {len(text)}" if lost else ""
    return forced, {}, note


def _forced(text: str) -> tuple[str, int]:
    """The text in GSM-7, accents dropped and the rest "?", and how many letters that cost."""
    plain = {letter: _plain(letter) for letter in set(text)}
    lost = sum(1 for letter in text if plain[letter] == "?" != letter)
    return "".join([plain[letter] for letter in text]), lost


def _plain(letter: str) -> str:
    if letter in _ALPHABET or letter in _BRACKETS:
        return letter
    parts = unicodedata.normalize("NFKD", letter).translate(_MAPPED)
    kept = "".join(part for part in parts if part in _ALPHABET)
    return kept or ("" if _extends(letter) else "?")


# -- counting ------------------------------------------------------------------------------

_HEADER = 6  # octets of each part of a longer message: they join it on the phone
_OCTETS = 140
_DOUBLE = re.compile(f"[{re.escape(_EXTENSION)}]")
_ASTRAL = re.compile("[^\0-\uffff]")
_PAIR = "\U0010ffff."  # stands for a letter of two places; the first half occurs nowhere else


class Size(NamedTuple):
    """How a text counts: places of 7 bits (`gsm7`) or 16 (`ucs2`)."""

    alphabet: str
    parts: int
    units: int


@remembered
def measure(text: str) -> Size:
    """The parts of a text, counted as operators do. An empty one counts as a message too."""
    if fits(text):
        alphabet, single, joined = "gsm7", _OCTETS * 8 // 7, (_OCTETS - _HEADER) * 8 // 7
        places = _DOUBLE.sub(_PAIR, text) if any(map(text.__contains__, _EXTENSION)) else text
    else:
        alphabet, single, joined = "ucs2", _OCTETS // 2, (_OCTETS - _HEADER) // 2
        places = _ASTRAL.sub(_PAIR, text)
    if len(places) <= single:
        return Size(alphabet, 1, len(places))
    parts, end = 1, joined
    while end < len(places):
        end += joined - (places[end - 1] == _PAIR[0])  # a pair that would be split begins the next part
        parts += 1
    return Size(alphabet, parts, len(places))


def split(text: str) -> tuple[str, ...]:
    """The text in its parts, as `measure` counts them; a character of two places is never torn."""
    size = measure(text)
    if size.parts == 1:
        return (text,)
    gsm7 = size.alphabet == "gsm7"
    room = joined = (_OCTETS - _HEADER) * 8 // (7 if gsm7 else 16)
    pieces, start = [], 0
    for at, letter in enumerate(text):
        places = 1 + (letter in _EXTENSION if gsm7 else letter > "\uffff")
        if places > room:
            pieces.append(text[start:at])
            start, room = at, joined
        room -= places
    return (*pieces, text[start:])


# -- cutting -------------------------------------------------------------------------------

_WORD = 40  # letters of a last word that may go to end at a word
_CLUSTER = 16  # letters taken for one character at most: what is longer is an attack
_APART = re.compile("[\0-\u02ff\u0400-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2116]*+")
# Latin, Cyrillic, typography: no accent, joiner or mark of a file, so each letter is a character


def cut(text: str, *, max_parts: int, max_chars: int = 1000) -> tuple[str, bool]:
    """The text within the limits, and whether it had to be cut: at a word, with an ellipsis.

    Characters are counted as UTF-16 does, since nobody says how the provider counts an emoji.
    What belongs together (a letter and its accents, a joined emoji, the mark of a file) goes
    or stays as a whole.
    """
    if _within(text, max_parts, max_chars):
        return text, False
    start = text[: max_chars + _WORD]  # of more nothing can stay
    end = "..." if fits(_PLACES.sub("", start)) else "…"
    bounds: Sequence[int] = range(len(start) + 1) if _APART.fullmatch(start) else [0, *_bounds(start)]
    low, high = 0, len(bounds) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _within(text[: bounds[middle]] + end, max_parts, max_chars):
            low = middle
        else:
            high = middle - 1
    kept = _whole_words(text, bounds[low])
    return (kept + end)[:max_chars], True


def room(text: str, *, max_parts: int, max_chars: int = 1000) -> int:
    """How many characters of a text stay at least, should it be cut so."""
    narrow = fits(text) and not any(map(text.__contains__, _EXTENSION))
    part = (_OCTETS - _HEADER) * 8 // (7 if narrow else 16)
    wide = 2 if _ASTRAL.search(text) else 1  # places that a character takes at most
    return max(0, min(max_chars, max_parts * part) // wide - _WORD - _CLUSTER)


def _within(text: str, max_parts: int, max_chars: int) -> bool:
    if len(text) > max_chars:
        return False
    size = measure(text)
    chars = len(text) if size.alphabet == "gsm7" else size.units  # of GSM-7 UTF-16 needs one unit each
    return chars <= max_chars and size.parts <= max_parts


def _whole_words(text: str, end: int) -> str:
    """The text up to `end`, without the piece of a word that is left there."""
    kept = text[:end]
    space = max(kept.rfind(" "), kept.rfind("\n"))
    if not text[end : end + 1].isspace() and end - space <= _WORD and kept[: space + 1].strip():
        kept = kept[:space]
    return kept.rstrip()


def _bounds(text: str) -> Iterator[int]:
    """The ends of the characters, as a person counts them, in a text."""
    places = {match.start(): match.end() for match in _PLACES.finditer(text)}
    start = at = 0
    while at < len(text):
        at = places.get(at, at + 1)
        while at < len(text) and at - start < _CLUSTER and _joined(text, start, at):
            at += 1
        yield at
        start = at


def _joined(text: str, start: int, at: int) -> bool:
    """The letter at `at` goes on with the character that began at `start`."""
    letter, before = text[at], text[at - 1]
    if _extends(letter) or before == "\u200d":
        return True
    flags = "\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= letter <= "\U0001f1ff"
    return flags and (at - start) % 2 == 1


def _extends(letter: str) -> bool:
    """Accents, variation selectors, joiners, skin tones, the letters of flags."""
    return letter > "\u02ff" and (
        unicodedata.category(letter)[0] == "M"
        or letter in "\u200c\u200d"
        or "\U0001f3fb" <= letter <= "\U0001f3ff"
        or "\U000e0020" <= letter <= "\U000e007f"
    )
