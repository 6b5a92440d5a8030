"""Texts on their way to a phone: cleaning, comments, saying things once.

What the alphabet and the parts are is in `gsm`, what is cut off in `trim`, what must never
be obeyed in `neutral`. Marks of files (`model.mark`) pass through everything here.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque

from relay.model import MARK

# -- cleaning ------------------------------------------------------------------------------

_INVISIBLE = [
    *range(0x20),
    *range(0x7F, 0xA0),
    *(0xAD, 0x34F, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),  # soft hyphen, zero width, directions
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFFF9, 0xFFFD),
    *range(0xD800, 0xE000),
    *range(0xFDD2, 0xFDF0),
    *(plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF)),
]
_BREAKS = dict.fromkeys((0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029), "\n")
_CLEAN: dict[int, str | None] = {**dict.fromkeys(_INVISIBLE), **_BREAKS, 0x09: " ", 0x0A: "\n"}
_TERMINAL = re.compile("\x1b(?:\\[[0-9;?]{0,32}[ -/]{0,2}[@-~]|[()][A-Z0-9]|[=>78cDEHM])")
"""What a terminal obeys: colours and the like, in the mails of programs that think they write to one."""
_STRAY = re.compile(rf"({MARK})|[\ufdd0\ufdd1]")
_COMPOSED = re.compile("\\w[\u0300-\u036f]{1,8}+(?![\u0300-\u036f])")  # longer runs are no language
_GAPS = re.compile(r"\n{3,}")
_COMPOSING = re.compile("[\u0300-\u036f]")


def _unclean() -> re.Pattern[str]:
    """Finds what any step of `printable` may act on; letters outside the BMP at large, for speed."""
    changed = (chr(code) for code, kept in _CLEAN.items() if code <= 0xFFFF and kept != chr(code))
    return re.compile(f"[{re.escape(''.join(changed))}\ufdd0\ufdd1\u0300-\u036f\U00010000-\U0010ffff]")


_UNCLEAN = _unclean()
_PRINTED = bytes(range(0x20, 0x7F)) + b"\n"


def is_plain(text: str) -> bool:
    """Nothing but what ASCII can print, and ends of lines: most texts, and known in no time."""
    return text.isascii() and not text.encode("ascii").translate(None, _PRINTED)


def printable(text: str) -> str:
    """The text without what has no place in one; its spaces and lines stay as they are."""
    if is_plain(text) or not _UNCLEAN.search(text):
        return text
    if "\x1b" in text:
        text = _TERMINAL.sub("", text)
    text = text.replace("\r\n", "\n").translate(_CLEAN)
    text = _STRAY.sub(lambda match: match[1] or "", text)
    if not _COMPOSING.search(text):
        return text
    return _COMPOSED.sub(lambda match: unicodedata.normalize("NFC", match[0]), text)


def clean(text: str) -> str:
    """The printable text without spaces at line ends or more than one empty line at a time."""
    if is_plain(text) and " \n" not in text and "\n\n\n" not in text:
        return text.strip()
    lines = (line.rstrip() for line in printable(text).split("\n"))
    return _GAPS.sub("\n\n", "\n".join(lines)).strip()


def one_line(text: str, limit: int = 200) -> str:
    """The text on one line, with an ellipsis where it is longer than `limit`."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


# -- comments ------------------------------------------------------------------------------


_END = r"\n\r\v\f\x85\u2028\u2029"
_COMMENT_LINE = re.compile(rf"(?<=[{_END}])[^\S{_END}]*~~~(?=[^\S{_END}]*(?:\Z|[{_END}]))")
MARK_LINE = re.compile(
    rf"(?:\A|(?<=[{_END}])|(?<=\\n))[^\S{_END}]*([~～]{{3}})(?=[^\S{_END}]*(?:\Z|[{_END}]|\\n))"
)
"""What the provider may take for the mark; a line end spelt ``\\n`` is one in a `list`."""


def split_comment(body: str) -> tuple[str, str]:
    """What is for the phone, and what after the last ``~~~`` line is for the account's owner.

    A mark before which nothing stands is none: the alarm would be all comment.
    """
    if "~" not in body or "~~~" not in body:
        return body, ""
    marks = deque(_COMMENT_LINE.finditer(body), maxlen=1)
    if not marks or not body[: marks[0].start()].strip():
        return body, ""
    return body[: marks[0].start()].rstrip(), body[marks[0].end() :].strip()


# -- subject and body ----------------------------------------------------------------------

_WORD = 100  # letters of a first word that are looked at
_PREFIX = re.compile(
    r"\A(?:(?:re|fwd?|aw|wg|tr|rv|sv|vs|ha|на|отв|пересл)(?:\[[0-9]{1,3}\])?\s{0,3}:\s{0,3})+", re.IGNORECASE
)


def once(subject: str, body: str, seen: int) -> tuple[str, str]:
    """Subject and body with "" for the one that the other says as well.

    A subject counts as said where the body begins with it or has it as a line among its first `seen`
    characters, which are those that nothing cuts off; a body where the subject begins or ends with it;
    case, spaces and ``Re:`` apart.
    """
    short = _folded(_PREFIX.sub("", subject.strip()))
    top = body[: max(seen, 2 * len(subject))]  # a cut leaves as much of what begins with it as of itself
    if not short or _apart(short, top):
        return subject, body
    long = _folded(top)
    if _begins(long, short) or _is_line(short, long, body[:seen]):
        return "", body
    if top == body and (_begins(short, long) or _ends(short, long)):
        return subject, ""
    return subject, body


def _apart(short: str, body: str) -> bool:
    """Neither can hold the other: some word of the one is not in it, nor the first word of the body in it."""
    first = body.lstrip()[:_WORD].split(None, 1)
    if first and first[0].casefold() in short:
        return False
    folded = body.casefold()
    return not first or any(word not in folded for word in short.split(" "))


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _is_line(short: str, long: str, body: str) -> bool:
    """Some line of the body, whose folded text is `long`, says `short` and no more."""
    return short in long and any(_folded(line) == short for line in body.split("\n"))


def _begins(long: str, short: str) -> bool:
    """`long` begins with the words of `short`, and the last of them ends there."""
    return long.startswith(short) and not (short[-1].isalnum() and long[len(short) :][:1].isalnum())


def _ends(long: str, short: str) -> bool:
    return long.endswith(short) and not (short[0].isalnum() and long[: -len(short)][-1:].isalnum())
