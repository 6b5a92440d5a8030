r"""`list` requests: several texts to several phones in one call (vendor: sending, `list`).

A line is ``phones:mes``; lines end at a line end, so that one inside a text is written ``\n``.
That has no escape of its own, and how the provider reads other backslashes is not published: a
text that holds one goes alone. So does one with a bar, since the page's other form of a line is
``sender,tz|phones:mes``; what has no text; and what goes to a group or a nick.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from relay.smsc.wire import Fields, send_fields

_PHONES = re.compile(r"\+[0-9]{7,15}\Z")


def fits(phones: Sequence[str], text: str) -> bool:
    """Whether a list can say this: only numbers, and a text that reads back as it was written."""
    said = bool(text) and "\\" not in text and "|" not in text
    return said and bool(phones) and all(map(_PHONES.match, phones))


def line(phones: Sequence[str], text: str) -> str:
    """One line of a list; raises ValueError for what a list can't say."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not fits(phones, text):
        raise ValueError("a list can't say this, it has to go alone")
    return f"{','.join(phones)}:{text}".replace("\n", "\\n")


def list_fields(
    *,
    id: str,  # noqa: A002 - the provider's name for it
    lines: Iterable[tuple[Sequence[str], str]],
    params: Mapping[str, str],
) -> Fields:
    """The fields of send.php for these (phones, text), all under one id; raises ValueError."""
    value = "\n".join(line(phones, text) for phones, text in lines)
    if not value:
        raise ValueError("a list needs a line")
    fields = send_fields(id=id, phones=[], text="", params=params)
    return [("id", id), ("list", value), *(each for each in fields if each[0] not in ("id", "phones", "mes"))]
