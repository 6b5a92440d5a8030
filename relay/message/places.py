"""Where files stood in a text: marks kept, dropped, put in order, and written as the provider reads them.

A file's number in a request is its position among the request's files: those with a place in
the order of their places, then the rest in the order of the mail.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from relay import model

_MARK = re.compile(model.MARK)
_OPEN = "\ufdd0"  # every mark begins with it, and most texts hold none
_HALF = re.compile("\ufdd0[0-9]*|\ufdd1")
WIDTH = len("\n<file 99>")
"""Characters that a file's place takes at most, its line end included."""


def some_in(text: str) -> bool:
    """Whether a file may have its place in a text."""
    return _OPEN in text


def without(text: str, numbers: Collection[int] | None = None) -> str:
    """The text without the marks of these files; of all files where none are named."""
    if _OPEN not in text:
        return text
    if numbers is None:
        return _MARK.sub("", text)
    return _MARK.sub(lambda match: "" if int(match[1]) in numbers else match[0], text)


def only(text: str, numbers: Collection[int]) -> str:
    """The text with the marks of these files and no others; a space stands where another was.

    Before a text is made harmless: what vanishes afterwards would join what stood around it.
    """
    if _OPEN not in text:
        return text
    return _MARK.sub(lambda match: match[0] if int(match[1][:9]) in numbers else " ", text)


def without_trailing(text: str, numbers: Collection[int]) -> str:
    """The text without marks of these files at its very end, where they say no more than their order."""
    kept = text.rstrip()
    while kept.endswith("\ufdd1"):
        start = kept.rfind("\ufdd0")
        match = _MARK.fullmatch(kept, start) if start >= 0 else None
        if match is None or int(match[1]) not in numbers:
            return text
        text = kept = kept[:start].rstrip()
    return text


def once(text: str) -> str:
    """The text with the first mark of each file only."""
    if _OPEN not in text:
        return text
    seen: set[int] = set()

    def first(match: re.Match[str]) -> str:
        number = int(match[1])
        fresh = number not in seen
        seen.add(number)
        return match[0] if fresh else ""

    return _MARK.sub(first, text)


def order(text: str, numbers: Sequence[int]) -> tuple[int, ...]:
    """These files as they go into the request."""
    if not numbers:
        return ()
    placed = [n for n in dict.fromkeys(int(found) for found in _MARK.findall(text)) if n in numbers]
    return (*placed, *(n for n in numbers if n not in placed))


def everywhere(text: str, numbers: Sequence[int]) -> str:
    """The text with a place for each of these files, at its end for those that have none."""
    there = {int(found) for found in _MARK.findall(text)}
    missing = "".join(f"\n{model.mark(n)}" for n in numbers if n not in there)
    return (text + missing).lstrip("\n")


def numbered(text: str, files: Sequence[int]) -> str:
    """The marks as `<file n>`, counted from 1; what a cut left of one goes."""
    if _OPEN not in text and "\ufdd1" not in text:
        return text
    names = {number: f"<file {position}>" for position, number in enumerate(files, start=1)}
    text = _MARK.sub(lambda match: names.get(int(match[1]), " "), text)
    return _HALF.sub(" ", text)


def words(text: str) -> str:
    """The text alone, "" where there is nothing but places."""
    return without(text).strip()
