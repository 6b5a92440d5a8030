"""The hash of a body as DKIM signs it (RFC 6376 section 3.4), over pieces cut anywhere. Pure.

A body may be as large as a mail: it is never held whole, and each step takes time in
proportion to its piece. Lines end in CR LF; the door takes no others.
"""

from __future__ import annotations

import hashlib
import re

_WHITE = re.compile(rb"[ \t]+")
_PIECE = b"\r\n" * 4096


class Canonical:
    """One canonicalisation of a body, hashed as it comes."""

    def __init__(self, *, relaxed: bool) -> None:
        self._relaxed = relaxed
        self._hasher = hashlib.sha256()
        self._ends = 0  # line ends that count only if something follows
        self._held = b""  # what may yet belong to a line end, or be dropped before one
        self._any = False

    def feed(self, piece: bytes) -> None:
        """The next piece."""
        piece = self._held + piece
        if self._relaxed:
            piece = _WHITE.sub(b" ", piece).replace(b" \r\n", b"\r\n")
        content = piece.rstrip(b" \r\n" if self._relaxed else b"\r\n")
        tail = piece[len(content) :]
        ends = tail.count(b"\r\n")
        rest = tail[tail.rfind(b"\r\n") + 2 :] if ends else tail
        if content:
            self._flush()
            self._hasher.update(content)
            self._any = True
        self._ends += ends
        self._held = rest

    def _flush(self) -> None:
        whole, part = divmod(self._ends, len(_PIECE) // 2)
        for _ in range(whole):
            self._hasher.update(_PIECE)
        self._hasher.update(b"\r\n" * part)
        self._ends = 0

    def digest(self) -> bytes:
        """The hash of all that came: one line end closes a body, and an empty relaxed one has none."""
        if self._held:
            self._flush()
            self._hasher.update(self._held)
            self._any = True
        if self._any or not self._relaxed:
            self._hasher.update(b"\r\n")
        return self._hasher.digest()
