"""One mail on its way in, whether by DATA or in the chunks of BDAT: kept, and judged as it comes.

Flawed or overlong mail is read to its end without being kept: the client hears why afterwards.
"""

from __future__ import annotations

from relay import replies
from relay.replies import Reply, reply
from relay.smtp.data import Body, Spool
from relay.smtp.lines import LONGEST, Lines
from relay.smtp.room import Room
from relay.smtp.session import Limits

_NULS = reply(550, "5.6.0", "NUL in the mail, not allowed (RFC 5321 4.1.1.4)")
_LONG_LINE = reply(550, "5.6.0", f"a line of the mail has more than {LONGEST} octets")


class Incoming:
    """The octets of one mail. Whoever makes it calls `drop` in the end, whatever happens."""

    def __init__(self, limits: Limits, room: Room) -> None:
        self._lines = Lines(limits.line_endings)
        self._spool = Spool(limits.spool_dir, over=limits.spool_over, limit=limits.max_size, room=room)
        self._most = limits.max_size

    def expect(self, octets: int) -> None:
        """So many more are announced; where that is too much, none of them is kept."""
        if self._spool.size + octets > self._most:
            self._spool.too_large = True
            self._spool.drop()

    def write(self, piece: bytes) -> None:
        """Keep the next piece, dots undone."""
        self._spool.write(self._lines.feed(piece))
        if self._lines.bare or self._lines.nul or self._lines.long:
            self._spool.drop()

    def finish(self) -> None:
        """Nothing more will come."""
        self._spool.write(self._lines.finish())

    @property
    def flaw(self) -> Reply | None:
        """Why what came so far can't be taken, if it can't."""
        if self._spool.too_large:
            return replies.TOO_LARGE
        if self._lines.nul:
            return _NULS
        if self._lines.bare:
            return replies.BARE_LINE_ENDS
        if self._lines.long:
            return _LONG_LINE
        return replies.STORE_FULL if self._spool.failed else None

    def take(self) -> Body:
        """The mail; its file, if there is one, is the taker's from now on."""
        return self._spool.take()

    def drop(self) -> None:
        """Forget everything, now and from now on."""
        self._spool.drop()
