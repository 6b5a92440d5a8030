"""text/enriched as plain text (RFC 1896, and RFC 1341's richtext where it is alike)."""

from __future__ import annotations

import re

_PARAMETER = re.compile(r"<param>[^<]{0,2000}+</param>", re.IGNORECASE)
_TAG = re.compile(r"<(/?[a-z0-9-]{1,60})>", re.IGNORECASE)
_LINES = re.compile(r"\n++")
_BREAKS = {"nl": "\n", "paragraph": "\n\n", "lt": "<"}


def read(text: str, *, rich: bool = False) -> str:
    """The words alone; a single line end is a space here, and n of them are n - 1.

    `rich`: it is text/richtext, where all line ends are spaces and `<lt>` is a sign.
    """
    words = _LINES.sub(lambda match: " " if rich or len(match[0]) == 1 else match[0][1:], text)
    words = _PARAMETER.sub("", words)
    pieces = [_TAG.sub(lambda match: _BREAKS.get(match[1].lower(), ""), each) for each in words.split("<<")]
    return "<".join(pieces).strip(" ")
