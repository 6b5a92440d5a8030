"""BDAT: a mail in chunks of announced length, RFC 3030 section 2.

The octets of a chunk are always read to its end, whatever is wrong with it: they must never be taken
for commands. A line whose number can't be read ends the session for the same reason. After a chunk was
refused every further one of its mail is, until its last one or RSET.

BINARYMIME is not offered: chunks hold lines, and their ends are judged as those of DATA are.
"""

from __future__ import annotations

import math
import re

from relay.replies import Reply, reply
from relay.smtp import data
from relay.smtp.dialog import Dialog
from relay.smtp.incoming import Incoming

_CHUNK = re.compile(r"([0-9]{1,19})(?: +(LAST))?", re.IGNORECASE)
_SUBSTANTIAL = 1024  # octets: such a chunk is no command for its own sake

_UNREADABLE = reply(521, "5.5.4", "write BDAT octets or BDAT octets LAST, closing")
BEGUN = reply(503, "5.5.1", "the mail has begun with BDAT, go on with BDAT or say RSET")


class Chunking(Dialog):
    """A connection that takes mail in chunks."""

    def _mail_refusal(self) -> Reply | None:
        """Why no mail can come now."""
        raise NotImplementedError

    async def _end_mail(self, incoming: Incoming) -> None:
        """All of the mail has come: hand it over, and answer."""
        raise NotImplementedError

    async def bdat(self, argument: str) -> Reply | None:
        """BDAT. No refusal is a fault of the client's: a group may end in it (RFC 2920)."""
        found = _CHUNK.fullmatch(argument)
        if found is None:
            await self._say(_UNREADABLE)
            return None
        size = int(found[1])
        refusal = self._mail_refusal()
        incoming = None if refusal else self._chunks(size)
        await self._read_chunk(size, incoming)
        if refusal or incoming is None:
            await self._say(*filter(None, [refusal]))
        elif found[2]:
            incoming.finish()
            await self._end_mail(incoming)
        else:
            await self._say(incoming.flaw or reply(250, "2.0.0", f"{size} octets received"))
        return None

    def _chunks(self, size: int) -> Incoming:
        """The mail that the chunk belongs to."""
        self._commands -= size >= _SUBSTANTIAL
        if self._incoming is None:
            self._incoming = Incoming(self._limits, self._door.registry.room)
        self._incoming.expect(size)
        return self._incoming

    async def _read_chunk(self, size: int, incoming: Incoming | None) -> None:
        await self._flush_replies()
        begun, left = self.loop.time(), size
        while left:
            self._pace(begun, size - left)
            block = await self._reader.block(min(left, data.BLOCK))
            if not block:
                raise ConnectionResetError
            left -= len(block)
            if incoming is not None:
                incoming.write(block)
            del block  # or it is held for as long as the client takes for the next
        self._slow_at = math.inf
