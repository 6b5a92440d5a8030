"""What the provider does to a text: comments, prefixes, macros, translit, counting.

Source: the vendor's page on sending. A text is counted in parts: 160 characters of the
GSM alphabet or 70 others, 153 or 67 once it takes more than one. What follows a line of
three tildes is a comment. The provider honours prefixes and macros wherever they come
from; the sandbox does too, and notes each, so that a test can see a stranger's text do it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from relay.smsc.sandbox.model import Kind

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")  # an escape and a character: two septets
_COMMENT = re.compile(r"\r?\n~~~\r?\n")
_PREFIX = re.compile(r"\s*__(CALL|VIBER|SOC|MAIL|BOT|MMS)__:[ ]?", re.IGNORECASE)
_WHOLE = re.compile(r"\s*__(PING|HLR)__\s*", re.IGNORECASE)
_MACRO = re.compile(r"\{(?P<brace>menu|button|no_unsub)\b|<file\s+(?P<file>[^\s>]+)[^>]*>", re.IGNORECASE)

_LATIN = str.maketrans(
    {
        "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "yo", "ж": "zh", "з": "z",
        "и": "i", "й": "j", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r",
        "с": "s", "т": "t", "у": "u", "ф": "f", "х": "h", "ц": "c", "ч": "ch", "ш": "sh",
        "щ": "sch", "ъ": "'", "ы": "y", "ь": "'", "э": "e", "ю": "yu", "я": "ya",
    }
)  # fmt: skip
#: The vendor's own example of the second way: "mpaHc/Ium".
_LOOKS = str.maketrans(
    {
        "а": "a", "б": "6", "в": "B", "г": "r", "д": "g", "е": "e", "ё": "e", "ж": ">I<", "з": "3",
        "и": "u", "й": "u", "к": "k", "л": "/I", "м": "M", "н": "H", "о": "o", "п": "n", "р": "p",
        "с": "c", "т": "m", "у": "y", "ф": "qp", "х": "x", "ц": "u,", "ч": "4", "ш": "III",
        "щ": "III,", "ъ": "'b", "ы": "bI", "ь": "b", "э": "-)", "ю": "IO", "я": "9I",
    }
)  # fmt: skip


class Split(NamedTuple):
    """A text as the provider takes it apart."""

    text: str
    comment: str
    kind: Kind
    macros: tuple[str, ...]


def split(raw: str, kind: Kind) -> Split:
    """Take off comment and prefix; a prefix turns an SMS into what it names."""
    macros = []
    text, *comments = _COMMENT.split(raw, maxsplit=1)
    if comments:
        macros.append("comment")
    if kind in {Kind.SMS, Kind.FLASH}:
        whole = _WHOLE.fullmatch(text)
        prefix = whole or _PREFIX.match(text)
        if prefix:
            kind = Kind(prefix[1].lower())
            text = text[prefix.end() :]
            macros.append(f"prefix {kind}")
    macros += [
        found["brace"].lower() if found["brace"] else f"file {found['file']}"
        for found in _MACRO.finditer(text)
    ]
    return Split(text, "".join(comments), kind, tuple(macros))


def is_gsm(text: str) -> bool:
    """Tell whether the GSM alphabet holds every character of a text."""
    return all(char in _BASIC or char in _EXTENDED for char in text)


def parts(text: str) -> int:
    """Return how many SMS a text takes."""
    return len(cut_up(text))


def cut_up(text: str) -> list[str]:
    """Return a text in its parts; no part tears a character apart."""
    if is_gsm(text):
        weights = [2 if char in _EXTENDED else 1 for char in text]
        single, several = 160, 153
    else:
        # UCS-2 counts UTF-16 units: a character beyond the BMP takes two.
        weights = [2 if ord(char) > 0xFFFF else 1 for char in text]
        single, several = 70, 67
    if sum(weights) <= single:
        return [text]
    found = [""]
    room = several
    for char, weight in zip(text, weights, strict=True):
        if weight > room:
            found.append("")
            room = several
        found[-1] += char
        room -= weight
    return found


def limited(text: str, most: int) -> str:
    """Cut a text so that it takes no more than `most` SMS (`maxsms`)."""
    return "".join(cut_up(text)[:most]) if most > 0 else text


def translit(text: str, way: str) -> str:
    """Write Russian letters in Latin: way 1 by sound, way 2 by looks."""
    if way not in {"1", "2"}:
        return text
    letters = _LATIN if way == "1" else _LOOKS
    found = []
    for char in text:
        lower = char.lower()
        latin = lower.translate(letters)
        if latin == lower:
            found.append(char)
        else:
            found.append(latin if char == lower or way == "2" else latin[:1].upper() + latin[1:])
    return "".join(found)
