"""What old devices say, made what they mean; only for listeners of `profile: legacy`. Pure.

Printers, UPS cards, PLCs and scripts of thirty years write to a mail server as they please, and nobody can
mend them. Here a line that can't be read as it stands is read with the slips that real devices make set
right: blanks where none belong, brackets or the colon left out, a name before the address, no domain. Never
is a character of an address itself changed.

A lone LF ends a line, also that of the last dot. By that such a listener would see two mails where a
strict server saw one; so it serves private networks alone, and whoever has a strict server before it
closes that gap there.
"""

from __future__ import annotations

import re

_KEYWORD = re.compile(r"\s*(FROM|TO)\s*:?\s*(.*)", re.IGNORECASE | re.DOTALL)
_BRACKETS = re.compile(r'(?:"[^"<>]*"\s*|[^"<>]*)<([^<>]*)>(.*)', re.DOTALL)
_NO_BRACKETS = re.compile(r"(\S*)(.*)", re.DOTALL)

_END = re.compile(rb"\n\.\r{0,2}\n")
_MAY_END = re.compile(rb"\n(?:\.\r{0,2})?\Z")
_DOTTED = re.compile(rb"\n\.")


def command(line: bytes) -> bytes:
    """A command line without what devices leave in it: NULs, tabs, blanks around, a second CR."""
    return line.replace(b"\0", b"").replace(b"\t", b" ").strip(b" \r")


def mended(argument: str, domain: str) -> str:
    """What stands after MAIL or RCPT, as it should be written; `domain` is that of an address without.

    Whatever makes no sense is returned as it is.
    """
    found = _KEYWORD.fullmatch(argument)
    if found is None:
        return argument
    path = _BRACKETS.fullmatch(found[2]) or _NO_BRACKETS.fullmatch(found[2])
    assert path is not None  # noqa: S101 - the second takes anything
    address, rest = path[1].strip(), path[2].strip()
    if address and "@" not in address and domain:
        address = f"{address}@{domain}"
    mail = found[1].upper() == "FROM"
    if mail and not address.isascii() and "SMTPUTF8" not in rest.upper():
        rest = f"{rest} SMTPUTF8"
    return f"{found[1]}:<{address}> {rest}".strip()


class LooseDots:
    """Finds the end of DATA and undoes the dot-stuffing where lines may end with LF alone."""

    def __init__(self) -> None:
        self._held = b"\n"  # what may begin the end; DATA's own line end counts
        self._skip = 1  # that one is not content
        self.done = False
        self.rest = b""  # what came after the end: the next commands

    def feed(self, block: bytes) -> bytes:
        """The next piece of content; after the end `done` is set and `rest` holds what follows."""
        block = self._held + block
        end = _END.search(block)
        if end is not None:
            self.done, self.rest = True, block[end.end() :]
            block = block[: end.start() + 1]
        else:
            held = _MAY_END.search(block, max(0, len(block) - 4))
            cut = len(block) if held is None else held.start()
            block, self._held = block[:cut], block[cut:]
        content = _DOTTED.sub(b"\n", block)
        if self._skip and content:
            content, self._skip = content[self._skip :], 0
        return content
