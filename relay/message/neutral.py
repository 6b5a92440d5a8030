"""Makes a stranger's text harmless: nothing in it may command the provider.

The provider reads commands in the text of a message itself: a word between double
underscores turns it into a call or another kind of message, ``{menu: …}`` starts a voice
menu that dials and sends, ``{button,…}`` adds a button, ``<file …>`` (or the address of a
file that the account once uploaded) fetches a file, and ``~~~`` on a line of its own ends
what the phone gets. Each is replaced by something that reads alike and commands nothing.

How strictly the provider matches is not published, so this is wider than its page: any
case, spaces inside, look-alikes of another width, HTML entities, Cyrillic that
transliterates to a command, and words that it doesn't use yet. It runs after everything that
may change letters, and doing it twice changes nothing more. All of it takes linear time:
every repetition in a pattern is bounded, or can't be entered twice at one place.

Most texts hold nothing to find, and few of their letters are look-alikes. A step is passed over
only where its pattern can't match: where the very text that it would search lacks a letter that
every match holds. Whoever widens a pattern looks at the letters that stand beside it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise

from relay.message.again import remembered
from relay.message.text import MARK_LINE, printable

_Edit = tuple[int, int, str]  # from, to, and what stands there instead


def break_marks(text: str) -> str:
    """The text with every ``~~~`` that stands alone on a line as ``~ ~ ~``."""
    text = printable(text)
    if not _holds(text, "~～"):
        return text
    return MARK_LINE.sub(lambda match: match[0].replace(match[1], "~ ~ ~"), text)


@remembered
def neutralise(text: str, *, html: bool = False) -> str:
    """The text without anything that the provider would obey.

    With `html` the text is markup: only braces around words that the provider uses are
    touched, since a style sheet is full of others.
    """
    if not text.isascii() and _LIGATURE.search(text):
        text = text.translate(_LIGATURES)
    text = printable(text)
    folded = _folded(text)
    for needed, find in _MARKUP if html else _PLAINTEXT:
        if _holds(folded, needed):
            text, before = _edited(text, find(folded)), text
            folded = folded if text is before else _folded(text)
    return text


def _holds(text: str, letters: str) -> bool:
    """Whether the text holds one of these two letters."""
    return letters[0] in text or letters[1] in text


# -- look-alikes ---------------------------------------------------------------------------

_LIGATURES = {code: unicodedata.normalize("NFKD", chr(code)) for code in range(0xFB00, 0xFB07)}
_LIGATURE = re.compile(f"[{''.join(map(chr, _LIGATURES))}]")


def _lookalikes() -> dict[int, str]:
    """Letters whose plainest form is one ASCII letter: wide, small, bold, accented ones."""
    ranges = [(0x80, 0x3400), (0xA640, 0xABFF), (0xF900, 0x10000), (0x1D400, 0x1D800), (0x1F100, 0x1FC00)]
    plain = (
        (code, unicodedata.normalize("NFKD", chr(code))[0])
        for low, high in ranges
        for code in range(low, high)
    )
    return {code: letter for code, letter in plain if letter.isascii() and letter != " "}


_PLAIN = _lookalikes()
_LOOKALIKE = re.compile(
    f"[{''.join(chr(code) for code in _PLAIN if code <= 0xFFFF)}\U00010000-\U0010ffff]"
)  # outside the BMP more than needs be, for speed


def _folded(text: str) -> str:
    """The text for matching: as long as it was, so that places are the same."""
    return text.translate(_PLAIN) if not text.isascii() and _LOOKALIKE.search(text) else text


def _edited(text: str, edits: Iterator[_Edit]) -> str:
    made: list[str] = []
    end = 0
    for start, stop, instead in edits:
        made += (text[end:start], instead)
        end = stop
    return "".join([*made, text[end:]]) if made else text


# -- prefixes ------------------------------------------------------------------------------

_WORDS = frozenset(
    {
        *("call", "viber", "soc", "mail", "bot", "ping", "hlr", "mms"),  # the vendor's pages name these
        *("sms", "flash", "bin", "push", "wap", "whatsapp", "wa", "tg", "telegram", "vk", "ok", "max"),
        *("email", "voice", "fax", "list", "forward", "test", "subj", "param", "file", "menu"),
    }
)
_UNDERSCORE = r"(?:_|&#0{0,8}95;|&#[xX]0{0,8}5[fF];|&lowbar;|&UnderBar;)"
_RUN = re.compile(rf"{_UNDERSCORE}(?:[^\S\n]{{0,3}}{_UNDERSCORE})+")
_LONGEST = 24


def _prefixes(text: str) -> Iterator[_Edit]:
    """Runs of underscores with nothing but a command between them become single ones."""
    runs = [match.span() for match in _RUN.finditer(text)]
    command = [_is_command(text[a[1] : b[0]]) for a, b in pairwise(runs)]
    for run, before, after in zip(runs, [False, *command], [*command, False], strict=False):
        if before or after:
            yield (*run, "_")


def _is_command(word: str) -> bool:
    """A word that the provider uses, or one in capitals or of another script, which it may."""
    if len(word) > 4 * _LONGEST or "\n" in word:
        return False
    word = "".join(word.split())
    if not word.isalnum() or len(word) > _LONGEST:
        return False
    return word.lower() in _WORDS or word.isupper() or not word.isascii()


# -- files ---------------------------------------------------------------------------------

_LESS = r"(?:<|&(?:amp;){0,3}lt;?|&#0{0,8}60;?|&#[xX]0{0,8}3[cC];?)"
_MORE = r"(?:>|&(?:amp;){0,3}gt;?|&#0{0,8}62;?|&#[xX]0{0,8}3[eE];?)"
_CLOSER = re.compile(rf"{_MORE}")
_FILE = re.compile(rf"({_LESS})[\s/\\]*+(?:file|филе)", re.IGNORECASE)
_FILE_LENGTH = 300  # how far off the end of a reference may be
_UPLOAD = re.compile(r"smsc[\w.:-]{0,60}(?:/|%2f)++(?=upload)", re.IGNORECASE)
_UPLOAD_END = re.compile(r"(?:/|%2f)upload", re.IGNORECASE)  # what every match of it ends at


def _files(text: str) -> Iterator[_Edit]:
    """A reference to a file becomes parentheses."""
    found = list(_FILE.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    for match, end in zip(found, ends, strict=False):
        yield (*match.span(1), "(")
        closer = _CLOSER.search(text, match.end(), min(end, match.end() + _FILE_LENGTH))
        if closer and "<" not in text[match.end() : closer.start()]:
            yield (*closer.span(), ")")


def _uploads(text: str) -> Iterator[_Edit]:
    """The address of a file kept at the provider gets a space, so that nobody fetches it."""
    if _UPLOAD_END.search(text):
        for match in _UPLOAD.finditer(text):
            yield (match.end(), match.end(), " ")


# -- braces --------------------------------------------------------------------------------

_OPEN = r"(?:\{|&#0{0,8}123;|&#[xX]0{0,8}7[bB];|&lbrace;|&lcub;)"
_CLOSE = r"(?:\}|&#0{0,8}125;|&#[xX]0{0,8}7[dD];|&rbrace;|&rcub;)"
_BRACE = re.compile(rf"({_OPEN})(?P<word>\s*+[^\W\d])?|{_CLOSE}")
_MENU = re.compile(
    rf"({_OPEN})(?P<word>\s*+(?:menu|button|no_?unsub|unsub|file|call|sms|record|url|phone))?|{_CLOSE}",
    re.IGNORECASE,
)


def _braces(text: str) -> Iterator[_Edit]:
    """Braces that open with a word become parentheses, and so do those that close them."""
    return _paired(text, _BRACE)


def _menus(text: str) -> Iterator[_Edit]:
    """The same for the provider's own words only."""
    return _paired(text, _MENU)


def _paired(text: str, brace: re.Pattern[str]) -> Iterator[_Edit]:
    opened: list[bool] = []
    for match in brace.finditer(text):
        if match[1]:
            opened.append(match["word"] is not None)
            if opened[-1]:
                yield (*match.span(1), "(")
        elif opened and opened.pop():
            yield (*match.span(), ")")


# -- all of them ---------------------------------------------------------------------------

_Find = Callable[[str], Iterator[_Edit]]
_MARKUP: tuple[tuple[str, _Find], ...] = (
    ("_&", _prefixes),  # of these letters the folded text holds one, or there is nothing to find:
    ("<&", _files),  # "&" begins whatever is written as an entity
    ("/%", _uploads),
    ("{&", _menus),  # a closing brace counts only after one that opens
)
_PLAINTEXT = (*_MARKUP[:-1], ("{&", _braces))
