"""The line ends of a mail's content: judged, or mended where the listener wants that. Pure.

`strict` keeps every octet and notes a CR or LF that stands alone, a NUL, an overlong line; the mail
is refused for them. `normalise` makes a line end of each CR or LF that stands alone; so does `legacy`,
which drops NULs as well and knows no overlong line. Where a mail ends has been decided before, so
nothing that is mended here can end one.

Content comes in pieces cut anywhere, also between CR and LF (the chunks of BDAT).
"""

from __future__ import annotations

import re
from typing import Literal

Manner = Literal["strict", "normalise", "legacy"]

LONGEST = 2**20
"""Octets of a line. RFC 5321 4.5.3.1.6 wants 1,000; honest senders put whole HTML pages on one."""

_BARE_CR = re.compile(rb"\r(?!\n)")
_ANY_END = re.compile(rb"\r{0,2}\n|\r")  # CR CR LF: translated twice, it was one line end


class Lines:
    """One content, piece by piece."""

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._held = b""  # CRs at the end, until what follows them is known
        self._length = 0  # of the line so far
        self._ended = True  # what came last was a line end
        self.bare = False
        self.nul = False
        self.long = False

    def feed(self, piece: bytes) -> bytes:
        """What is kept of the next piece."""
        piece = self._held + piece
        held = 2 if piece.endswith(b"\r\r") else piece.endswith(b"\r")
        kept = len(piece) - held
        self._held = piece[kept:]
        return self._kept(piece[:kept])

    def finish(self) -> bytes:
        """What is kept of the end; a last line without a line end gets one."""
        piece, self._held = self._held, b""
        return self._kept(piece) + (b"" if self._ended else b"\r\n")

    def _kept(self, piece: bytes) -> bytes:
        if not piece:
            return b""
        self._measure(piece)
        # where each CR has its LF and there are as many of both, no LF is without its CR
        bare = bool(_BARE_CR.search(piece)) or piece.count(b"\r") != piece.count(b"\n")
        nul = b"\0" in piece
        if self._manner == "strict":
            self.bare = self.bare or bare
        elif bare:
            piece = _ANY_END.sub(b"\r\n", piece)
        if nul and self._manner == "legacy":
            piece = piece.replace(b"\0", b"")
        else:
            self.nul = self.nul or nul
        self._ended = piece.endswith(b"\r\n") if piece else self._ended
        return piece

    def _measure(self, piece: bytes) -> None:
        """A piece is shorter than the longest line, so only its first line may be too long."""
        first = piece.find(b"\n")
        self._length += len(piece) if first < 0 else first
        if self._manner != "legacy":
            self.long = self.long or self._length > LONGEST
        if first >= 0:
            self._length = len(piece) - piece.rfind(b"\n") - 1
