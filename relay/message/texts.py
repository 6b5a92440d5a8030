"""One part's octets as text: characters read, and what a format or a mailer dressed them in undone.

All texts of a mail share one limit; what goes beyond it is cut, which is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from relay.message import charsets, enriched, flowed, headers, markup, parts, pgp, rtf, tnef, transfer
from relay.message.joined import Body

TEXT = 1024 * 1024  # characters of text that are kept of one mail
RICH = 512 * 1024  # octets of RTF that are read of one mail: it is slow to read
ENCRYPTED = "the mail is encrypted, its text cannot be read"
RICH_TYPES = frozenset(("text/rtf", "application/rtf", "text/x-rtf", "application/x-rtf"))
_CUT = "a very long text was cut"
_LOOKS_HTML = re.compile(r"\s*(?:<!doctype html|<html[\s>])", re.IGNORECASE)


@dataclass(slots=True)
class Texts:
    """Reads texts of one mail, as much as is left of the limits."""

    budget: parts.Budget
    hint: str = ""  # a charset that the mail names somewhere
    left: int = TEXT
    rich_left: int = RICH

    def read(self, part: parts.Part) -> Body:
        """What the part says."""
        data, note = transfer.decode(part.body, part.encoding)
        if note:
            self.budget.note(note)
        label = headers.parameter(part.params, "charset")
        if part.type in RICH_TYPES:
            return self._rich(data, label)
        text = self._characters(data, label, html=part.type == "text/html")
        if not text.strip():
            return Body()
        if part.type == "text/html" or (part.type == "text/plain" and _LOOKS_HTML.match(text)):
            return Body(html=markup.honest(text))
        if part.type in ("text/enriched", "text/richtext"):
            return Body(plain=enriched.read(text, rich=part.type == "text/richtext"))
        if part.type != "text/plain":
            return Body(plain=text)
        text, closed = pgp.bare(text, ENCRYPTED)
        if closed:
            self.budget.note(ENCRYPTED)
        if part.params.get("format", b"").lower() == b"flowed":
            text = flowed.unfold(text, delsp=part.params.get("delsp", b"").lower() == b"yes")
        return Body(plain=text)

    def packed(self, found: tnef.Packed) -> Body:
        """What a winmail.dat says: its plain text and its HTML, its RTF where it has neither."""
        plain, html = self._kept(found.plain), self._kept(found.html)
        if plain.strip() or html.strip():
            return Body(plain=plain, html=markup.honest(html))
        data, whole = rtf.unpack(found.rtf, self.rich_left)
        if not whole and found.rtf:
            self.budget.note("a text in a winmail.dat could not be read to its end")
        return self._rich(data, found.charset)

    def _rich(self, data: bytes, label: str) -> Body:
        if len(data) > self.rich_left:
            self.budget.note(_CUT)
        found = rtf.read(data, label, self.rich_left)
        self.rich_left -= min(len(data), self.rich_left)
        text = self._kept(found.text)
        return Body(html=markup.honest(text)) if found.html else Body(plain=text)

    def _characters(self, data: bytes, label: str, *, html: bool) -> str:
        """The octets as text with line ends of one kind, within what is left of the limit."""
        limit = self.left * 4
        text = charsets.decode(data[:limit], label, self.hint)
        if text.isascii():
            text = transfer.unix_lines(text.encode("ascii")).decode("ascii")
        text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
        if html and len(text) > self.left // 4:
            text = markup.without_pictures(text)
        if len(data) > limit:
            self.budget.note(_CUT)
        return self._kept(text)

    def _kept(self, text: str) -> str:
        if len(text) > self.left:
            self.budget.note(_CUT)
            text = text[: self.left]
        self.left -= len(text)
        return text
