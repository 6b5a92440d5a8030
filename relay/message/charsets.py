"""Octets become text: charset labels repaired, missing and lying ones seen through.

A label is believed unless the octets contradict it: UTF-8 has a form that chance does not
produce, so octets of that form are UTF-8 under any eight-bit label; a label of ASCII,
Latin-1 or UTF-8 is what software writes that does not know, and is checked. Without a label
to believe: a byte order mark, strict UTF-8, UTF-16 by its zeros, the Cyrillic charsets by how
their readings look, the Chinese ones by their pairs, else windows-1252. Nothing here raises, and
no text holds what must not be in one: NUL, surrogates, or the noncharacters that the relay's own
marks are made of.
"""

from __future__ import annotations

import codecs
import re

from relay.message import charset_labels, cyrillic

_SHIFTING = frozenset(
    name for name in charset_labels.CODECS if name.startswith("iso2022") or name in ("hz", "utf-7")
)
_WIDE = frozenset(name for name in charset_labels.CODECS if name.startswith(("utf-16", "utf-32")))
_GUESSES = {"cp1251": 2, "koi8-u": 2, "cp866": 0, "iso8859-5": -1, "mac-cyrillic": -2}  # and how usual
_CYRILLIC = frozenset((*_GUESSES, "koi8-r"))

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_HABITS = ("", "utf-8", "iso8859-1")  # labels that prove nothing where the octets speak
_WESTERN = {octet: bytes((octet,)).decode("cp1252", "ignore") or None for octet in range(0x80, 0xA0)}
_FORBIDDEN = re.compile("[\x00\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]|[\U0001fffe-\U0010ffff]")
_PLANE_ENDS = {plane << 16 | end for plane in range(1, 17) for end in (0xFFFE, 0xFFFF)}
_LEAD = re.compile(rb"[\xc3-\xf4][\x80-\xbf]{0,2}\Z")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_ASCII_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_SAMPLE = 4000  # octets that a guess looks at
_FEW = 6  # signs of Chinese that tell it, without a label
_PAIRS = tuple(
    (name, re.compile(rb"(?:[\x00-\x7f]|" + pair + rb")*+"), re.compile(pair))
    for name, pair in (
        ("gb18030", rb"[\xa1-\xa9\xb0-\xf7][\xa1-\xfe]"),
        ("big5-hkscs", rb"[\xa1-\xf9][\x40-\x7e\xa1-\xfe]"),
    )
)
_USUAL = {"gb18030": (0xB0, 0xD7), "big5-hkscs": (0xA4, 0xC6)}  # first octets of the commoner half


def decode(raw: bytes, label: str = "", hint: str = "") -> str:
    """The text that the octets hold; `hint` is another label nearby, for octets that bear none."""
    name = charset_labels.codec(label)
    text = _decode(raw, name, charset_labels.codec(hint))
    twice = name in _HABITS and not text.isascii() and _TWICE.search(text)
    return clean(_once(text) if twice else text)


_TWICE = re.compile(
    "[\u00c3\u00d0\u00d1][\u0080-\u00bf\u0152-\u2122].{0,40}[\u00c3\u00d0\u00d1][\u0080-\u00bf\u0152-\u2122]"
)


def _once(text: str) -> str:
    """A text whose UTF-8 was taken for windows-1252 and written in UTF-8 again, as it was before.

    Only where every letter of it can have come to be in that way: no other text reads as UTF-8.
    """
    octets = bytearray()
    for letter in text:
        try:
            octets += letter.encode("cp1252") if letter > "\x9f" else letter.encode("latin-1")
        except UnicodeEncodeError:
            return text
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return text


def clean(text: str) -> str:
    """The text without what no text may hold: NUL, surrogates, noncharacters, byte order marks."""
    return _FORBIDDEN.sub(_keep, text) if not text.isascii() or "\0" in text else text


def _keep(found: re.Match[str]) -> str:
    point = ord(found[0])
    return found[0] if point > 0xFFFF and point not in _PLANE_ENDS else ""


def _decode(raw: bytes, name: str, hint: str) -> str:
    if name not in _WIDE and (order := _order(raw[:_SAMPLE])):
        return raw[: len(raw) & ~1].decode(order, "replace").rstrip("\u0a0d\u0d0a")  # a line end of SMTP's
    if (name in _HABITS or name in _WIDE) and not raw.isascii():
        marked = _marked(raw)
        if marked is not None:
            return marked
    if name in _WIDE:
        return _wide(raw, name)
    if raw.isascii():
        return _seven_bit(raw, name)
    if name not in charset_labels.SEVERAL and name not in _SHIFTING:
        text = _utf8(raw, sure=name in _CYRILLIC, cut=name == "utf-8")
        if name in _HABITS and (text is None or "\ufffd" in text):
            text = _by_line(raw, hint) or text
        if text is not None:
            return text
    if name in _HABITS:
        return _guess(raw, hint)
    return _labelled(raw, name, hint)


def _marked(raw: bytes) -> str | None:
    """The text of octets that begin with a byte order mark and are what it says."""
    for mark, name in _BOMS:
        if raw.startswith(mark):
            try:
                return raw.decode(name)
            except UnicodeDecodeError:
                return None
    return None


def _order(sample: bytes) -> str:
    """The form of UTF-16 that octets are in which do not say so, "" for none.

    Every second octet is a zero, or the number of the Cyrillic or the further Latin letters; in
    no other text are there such octets at all.
    """
    if len(sample) < 4 or (b"\0" not in sample and b"\4" not in sample):
        return ""
    even, odd = sample[::2], sample[1::2]
    for name, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        usual = high.count(0) + high.count(1) + high.count(4)
        if usual * 10 >= len(high) * 8 and low.count(0) * 10 <= len(low):
            return name
    return ""


def _wide(raw: bytes, name: str) -> str:
    """UTF-16 and UTF-32; without a mark the zero octets of spaces and digits tell the order."""
    if name in ("utf-16", "utf-32") and not raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        sample = raw[:_SAMPLE]
        little = sample[1::2].count(0) + sample[1::2].count(4) > sample[::2].count(0) + sample[::2].count(4)
        name += "-le" if little else "-be"
    if not raw.count(0, 0, _SAMPLE) and raw.isascii():
        return raw.decode("ascii")  # one octet a character, whatever the label says
    return raw.decode(name, "replace")


def _seven_bit(raw: bytes, name: str) -> str:
    if name not in _SHIFTING and b"\x1b" in raw and b"\x1b$" in raw:
        name = "iso2022_jp_2"
    if name in _SHIFTING:
        return raw.decode(name, "replace")
    return raw.decode("ascii")


def _utf8(raw: bytes, *, sure: bool, cut: bool) -> str | None:
    """The reading as UTF-8, a few broken sequences allowed; None where it is none.

    `sure`: a Cyrillic label contradicts, so that the reading must look like text as well. `cut`:
    the label agrees, so that the last letter may lack its end.
    """
    text = raw.decode("utf-8", "replace")
    broken = text.count("\ufffd") - raw.count(b"\xef\xbf\xbd")
    if cut and broken == 1 and text.endswith("\ufffd") and _LEAD.search(raw[-4:]) and not text[:-1].isascii():
        return text
    if not broken:
        return None if sure and not _plausible(text) else text
    if sure:
        return None
    good = sum(1 for each in text[:_SAMPLE] if each > "\x7f" and each != "\ufffd")
    return text if good >= 4 * broken else None


def _by_line(raw: bytes, hint: str) -> str:
    """A text of which most lines are UTF-8 and some are not, as a log of several programs; else ""."""
    lines = raw.split(b"\n")
    read = [line.decode("utf-8", "replace") for line in lines]
    odd = [at for at, line in enumerate(read) if "\ufffd" in line and b"\xef\xbf\xbd" not in lines[at]]
    odd = [at for at in odd if 4 * read[at].count("\ufffd") > sum(1 for each in read[at] if each > "\x7f")]
    good = sum(1 for at, line in enumerate(read) if not line.isascii() and "\ufffd" not in line)
    if not odd or not good:
        return ""
    guessed = _guess(b"\n".join(lines[at] for at in odd), hint).split("\n")
    for at, line in zip(odd, guessed, strict=False):
        read[at] = line
    return "\n".join(read)


def _plausible(text: str) -> bool:
    """Most of what is not ASCII are letters and signs of usual texts, no rare ones."""
    high = [each for each in text[:_SAMPLE] if each > "\x7f"]
    usual = sum(1 for each in high if "\u0400" <= each <= "\u045f" or not "\u0460" <= each <= "\u0527")
    return usual * 2 > len(high)


def _guess(raw: bytes, hint: str) -> str:
    """The likeliest reading of eight-bit octets of which nothing is known but a hint."""
    if hint and hint not in _CYRILLIC and hint not in _HABITS and hint not in _WIDE:
        try:
            return raw.decode(hint)
        except UnicodeDecodeError:
            pass
    name = _cyrillic(raw, hint) or _chinese(raw[:_SAMPLE])
    return raw.decode(name, "replace") if name else _western(raw)


def _western(raw: bytes) -> str:
    """windows-1252; what its five holes hold is left out."""
    return raw.decode("latin-1").translate(_WESTERN)


def _cyrillic(raw: bytes, hint: str = "") -> str:
    """The Cyrillic charset whose reading of the octets people would have written, "" for none."""
    sample = raw[:_SAMPLE]
    alone, joined = _runs(sample)
    if (
        alone == joined == 0
        and hint in _CYRILLIC
        and re.search("[\u0400-\u04ff]", sample.decode(hint, "ignore"))
    ):
        return hint  # single letters, such as a word of one
    if alone <= joined:
        return ""
    judged = {name: cyrillic.score(sample.decode(name, "replace")) + bias for name, bias in _GUESSES.items()}
    hint = "koi8-u" if hint == "koi8-r" else hint
    if hint in judged:
        judged[hint] += 6  # another text of the same mail is in it
    best = max(judged, key=lambda name: judged[name])
    return best if judged[best] > 0 else ""


def _chinese(sample: bytes) -> str:
    """The charset of Chinese in which the octets are pairs, nearly all of usual signs; "" for none."""
    alone, joined = _runs(sample)
    for name, whole, pair in _PAIRS if alone > joined else ():
        if whole.fullmatch(sample) or (len(sample) == _SAMPLE and whole.fullmatch(sample[:-1])):
            leads = [found[0] for found in pair.findall(sample)]
            usual = sum(1 for lead in leads if lead <= 0xA3 or _USUAL[name][0] <= lead <= _USUAL[name][1])
            if len(leads) >= _FEW and usual * 10 >= len(leads) * 9:
                return name
    return ""


def _runs(sample: bytes) -> tuple[int, int]:
    """Octets in runs as Cyrillic words make them, and in those of accented Latin letters.

    An accented letter stands among ASCII letters; three of them in a row are a word in itself.
    """
    alone = joined = 0
    for run in _HIGH_RUN.finditer(sample):
        start, end = run.span()
        size = end - start
        touching = sample[start - 1] in _ASCII_LETTERS if start else False
        touching = touching or (end < len(sample) and sample[end] in _ASCII_LETTERS)
        if size >= 3 or (size == 2 and not touching):
            alone += size
        elif touching:
            joined += size
    return alone, joined


def _labelled(raw: bytes, name: str, hint: str) -> str:
    """The reading that the label asks for; where that breaks on the octets, a guess."""
    if name == "cp1252":
        return _western(raw)
    try:
        return raw.decode(name)
    except UnicodeDecodeError:
        text = raw.decode(name, "replace")
    if name in charset_labels.SEVERAL or name in _SHIFTING:
        return text if text.count("\ufffd") * 20 < len(text) else _guess(raw, hint)
    return text
