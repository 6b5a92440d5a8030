"""What is said on a connection: commands are taken one by one, counted and answered.

What each verb does is told by the subclass in `server`. Policy: a hook that crashes is `451 4.3.0`
and a traceback in the log, never more; who makes too many faults, or commands, is told 421.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Mapping
from typing import Any

from relay import replies
from relay.replies import Reply, reply
from relay.smtp import legacy, policy
from relay.smtp.connection import Connection
from relay.smtp.door import Door, Verb
from relay.smtp.incoming import Incoming
from relay.smtp.limits import Rate
from relay.smtp.proxy import Source

log = logging.getLogger("relay.smtp")

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_HTTP = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
# RFC 3207 4; BDAT is refused there for want of a mail, and its octets are read past
_BEFORE_TLS = frozenset({"EHLO", "HELO", "LHLO", "HELP", "NOOP", "QUIT", "STARTTLS", "BDAT"})
_LAST = frozenset({221, 421, 521})  # after these codes we close
_FAULTS = frozenset({500, 501, 502, 503, 555})  # the client's own, not the mail's: counted
_TOO_MANY_COMMANDS = reply(421, "4.7.0", "too many commands, closing")
_NOT_HTTP = reply(421, "4.7.0", "this is a mail server, closing")
_BROKEN = reply(421, "4.3.0", "trouble here, closing")
_NOT_PRIVATE = reply(554, "5.7.1", "only private networks are served here")
_LONG_LINE = reply(500, "5.5.2", "command line too long")
_CONTROLS = reply(500, "5.5.2", "control characters in the command")


class Dialog(Connection):
    """One conversation, from greeting to close, but for what each verb does."""

    verbs: Mapping[str, Verb]  # what this listener understands

    def __init__(self, door: Door, source: Source | None = None) -> None:
        super().__init__(door, source)
        self._incoming: Incoming | None = None  # what has come of the mail under way
        self._errors = self._commands = 0

    @property
    def _bare(self) -> bool:
        """TLS is required here, and is not on yet."""
        encryption = self._door.encryption
        return encryption is not None and encryption.mode == "required" and not self._client.tls

    async def _handle_client(self) -> None:
        try:
            await self._converse()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the peer has gone
        except Exception:
            log.exception("session with %s failed", self._client.peer)
            self._hang_up(_BROKEN)
        finally:
            self._forget_mail()
        self._hang_up()

    async def _converse(self) -> None:
        encryption = self._door.encryption
        if encryption is not None and encryption.mode == "implicit":
            if self._turned_away is not None:
                return  # no words in clear to a client that expects TLS
            await self._encrypt(encryption)
        if self._turned_away is not None:
            await self._quietly(self._turned_away)
            return
        if self._door.legacy and not policy.private(self._client.peer):
            await self._say(_NOT_PRIVATE)
            return
        kind = "LMTP" if self._door.protocol == "lmtp" else "ESMTP"
        await self._send(f"220 {self.hostname} {kind} smsc-relay")
        while not self._going:
            answer = self._refusal() or await self._obey(await self._read_line())
            if answer is not None:
                self._errors += answer.code in _FAULTS
                over = self._errors > self._limits.errors
                await self._say(replies.TOO_MANY_ERRORS if over else answer)

    def _refusal(self) -> Reply | None:
        """What ends the session before the next command is read."""
        if self._door.registry.draining and self._mail is None:
            return replies.CLOSING
        self._commands += 1
        return _TOO_MANY_COMMANDS if self._commands > self._limits.commands else None

    async def _obey(self, line: bytes | None) -> Reply | None:
        if line is None:
            return _LONG_LINE
        if self._door.legacy:
            line = legacy.command(line)
            if not line:
                return None  # a device that says nothing expects no answer
        if _CONTROL.search(line):
            return _CONTROLS
        name, _, argument = line.partition(b" ")
        word = name.upper().decode("ascii", "replace")
        verb = self.verbs.get(word)
        if verb is None:  # a browser may be sent here by a web page (cross-protocol attack)
            return _NOT_HTTP if word in _HTTP else replies.UNKNOWN_COMMAND
        if self._bare and word not in _BEFORE_TLS:
            return replies.TLS_FIRST
        # Octets that are no UTF-8 become surrogates, which no address may contain.
        return await verb.obey(self, argument.strip(b" ").decode("utf-8", "surrogateescape"))

    async def _say(self, *answers: Reply) -> None:
        for each in answers:
            self._going = self._going or each.code in _LAST
            if not each.good:
                self._refused(each)
        await self._flush(self._wire(answers))

    def _refused(self, answer: Reply) -> None:
        if self._door.refused is not None:
            self._door.refused(self._client, answer)
        if answer.code >= 500:
            self._door.registry.fault(self, known=bool(self._client.user))

    async def _quietly(self, answer: Reply) -> None:
        """Say what the registry has counted and said already: a crowd must not fill the log."""
        await self._flush(self._wire([answer]))

    def _spend(self, rate: Rate) -> Reply | None:
        """Count a mail or a recipient; why there may be none now."""
        return self._door.registry.spend(rate, self, known=bool(self._client.user))

    def _no_room(self, size: int) -> Reply | None:
        """Why a mail of that size can't come in now (RFC 1870 6.1.1)."""
        room = self._door.registry.room
        if room.fits(size, self._limits.spool_dir):
            return None
        room.refuse()
        return replies.STORE_FULL

    async def _send(self, line: str) -> None:
        await self._flush(line.encode("ascii", "replace") + b"\r\n")

    async def _ask(self, question: Awaitable[Any], what: str) -> Any:
        """What the hook says; TROUBLE where it crashed. The timer stands still meanwhile."""
        self._deadline = math.inf
        try:
            return await question
        except Exception:
            log.exception("%s for %s failed", what, self._client.peer)
            return replies.TROUBLE

    def _forget_mail(self) -> None:
        """Begin anew, as RSET does."""
        self._mail = None
        if self._incoming is not None:
            self._incoming.drop()
            self._incoming = None

    _set_post_data_state = _forget_mail  # ours instead of aiosmtpd's envelope
