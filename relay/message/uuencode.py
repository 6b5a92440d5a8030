"""Files that stand in a text by themselves, as `uuencode` writes them: nobody should read their lines.

Each line is looked at once: no line of such a file can begin another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from relay.message import transfer

_BEGIN = re.compile(r"begin [0-7]{3,4} (\S[^\n]{0,199})")
_LINE = re.compile(r"[ -`]{1,64}")
_TRIMMED = 4  # spaces at a line's end that may have got lost


@dataclass(frozen=True, slots=True)
class Found:
    """A file in a text; `whole` is False where its end is missing."""

    name: str
    data: bytes
    whole: bool


def split(text: str) -> Iterator[str | Found]:
    """The text in pieces: what is to be read, and the files between."""
    lines = text.split("\n") if "begin " in text else [text]
    last = max((at for at, line in enumerate(lines) if line.strip()), default=0)
    start = at = 0
    while at < len(lines):
        begun = _BEGIN.fullmatch(lines[at].rstrip())
        end = at + 1
        while begun and end < len(lines) and _fits(lines[end]):
            end += 1
        whole = end < len(lines) and lines[end].strip() == "end"
        if begun and end > at + 1 and (whole or end > last):
            yield "\n".join(lines[start:at])
            data = "\n".join(lines[at:end]).encode("ascii", "replace")
            yield Found(begun[1], transfer.decode(memoryview(data), "x-uuencode")[0], whole)
            start = end = end + 1
        at = end
    yield "\n".join(lines[start:])


def _fits(line: str) -> bool:
    """Whether the line is as long as its first letter says; a check may stand behind it."""
    if not _LINE.fullmatch(line):
        return False
    letters = ((ord(line[0]) - 32 & 63) + 2) // 3 * 4
    return letters - _TRIMMED <= len(line) - 1 <= letters + 1
