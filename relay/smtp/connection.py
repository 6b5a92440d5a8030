"""A connection of the front door: aiosmtpd's protocol with the gaps of its plumbing closed.

aiosmtpd gives a connection its stream, task and sessions (and STARTTLS and AUTH for later);
here commands are read within bounds, timed, counted and answered; what each verb does is told
by the subclass in `server`. Policy: whatever a peer sends, time is linear and memory bounded;
a hook that crashes is `451 4.3.0` and a traceback in the log, never more.

What can go wrong: a peer that stays silent, sends or reads too slowly, or trickles a mail in, is
told 421 and cut (`Limits.idle`, `session`, `data_rate`). The timer stands still while a hook works:
hooks have timeouts of their own. The private names of aiosmtpd used here are those of 1.4.6, hence
its pin.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from aiosmtpd.smtp import SMTP

from relay import metrics, replies
from relay.model import Envelope
from relay.replies import Reply, reply
from relay.smtp import auth, legacy, policy, sockets, tls
from relay.smtp.door import Door, Verb
from relay.smtp.incoming import Incoming
from relay.smtp.limits import Rate
from relay.smtp.proxy import Source
from relay.smtp.session import Session

log = logging.getLogger("relay.smtp")
logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd logs every line of every mail

_READ_AHEAD = 16 * 1024  # the stream stops reading from the peer at twice this
_TOGETHER = 16 * 1024  # octets of replies that wait for those behind them
_LINGER = 5.0  # seconds that a closing connection gets to take our last words
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_HTTP = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_NONE: dict[str, Any] = {}
# RFC 3207 4; BDAT is refused there for want of a mail, and its octets are read past
_BEFORE_TLS = frozenset({"EHLO", "HELO", "LHLO", "HELP", "NOOP", "QUIT", "STARTTLS", "BDAT"})
_LAST = frozenset({221, 421, 521})  # after these codes we close
_FAULTS = frozenset({500, 501, 502, 503, 555})  # the client's own, not the mail's: counted
_SESSION_OVER = reply(421, "4.4.2", "session too long, closing")
_TOO_SLOW = reply(421, "4.4.2", "the mail comes too slowly, closing")
_TOO_MANY_COMMANDS = reply(421, "4.7.0", "too many commands, closing")
_NOT_HTTP = reply(421, "4.7.0", "this is a mail server, closing")
_BROKEN = reply(421, "4.3.0", "trouble here, closing")
_NOT_PRIVATE = reply(554, "5.7.1", "only private networks are served here")
_LONG_LINE = reply(500, "5.5.2", "command line too long")
_CONTROLS = reply(500, "5.5.2", "control characters in the command")


class Connection(SMTP):
    """One connection, from greeting to close."""

    verbs: Mapping[str, Verb]  # what this listener understands

    # What SMTP.__init__ finds out by looking through itself and its handler for each connection
    # (75 us) is the same for all of them.
    command_size_limits = _NONE  # of SMTP: shared and never right
    enable_SMTPUTF8 = True  # noqa: N815 - aiosmtpd's name
    event_handler = None
    tls_context = None
    require_starttls = False
    _decode_data = False
    _tls_handshake_okay = True
    _tls_protocol = None
    _original_transport = None
    _proxy_timeout = None
    _authenticator = None
    _auth_callback = None
    _auth_required = False
    _auth_require_tls = True
    _auth_methods = _NONE
    _handle_hooks = _NONE
    _smtp_methods = _NONE
    _ehlo_hook_ver = None
    _enforce_call_limit = False

    def __init__(self, door: Door, source: Source | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        asyncio.StreamReaderProtocol.__init__(
            self,
            asyncio.StreamReader(limit=_READ_AHEAD, loop=self.loop),
            client_connected_cb=self._cb_client_connected,
            loop=self.loop,
        )
        self._door = door
        self._source = source  # who is there, where a proxy said so
        self._limits = door.limits
        self.hostname = door.hostname
        self.data_size_limit = door.limits.max_size
        self._timeout_duration = door.limits.idle
        self._timeout_handle: asyncio.TimerHandle | None = None
        self._handler_coroutine: asyncio.Task[None] | None = None
        self.transport: Any = None
        self.session = self.envelope = None
        self._client = Session(peer="")
        self._mail: Envelope | None = None
        self._incoming: Incoming | None = None  # what has come of that mail
        self._unsent = bytearray()  # replies to the commands of a group that is still being read
        self._turned_away: Reply | None = None  # what is said instead of a greeting
        self._waiting = self._going = False
        self._slow_at = math.inf  # when the mail that is coming in has come too slowly
        self._half_closed = False  # the client will say no more, and may have gone
        self._errors = self._commands = 0

    # -- the connection ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer, port = self._source or sockets.peer(transport)
        self._client = Session(
            peer=peer,
            port=port,
            listener=self._door.address,
            protocol=self._door.protocol,
        )
        self._admit()
        self._end = self.loop.time() + self._limits.session
        super().connection_made(transport)

    def _admit(self) -> None:
        """Count the connection in, by the address that its peer is known by."""
        self._turned_away = self._door.registry.admit(
            self, self._client.peer, listener=self._door.address, most=self._limits.connections
        )

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is None:
            return  # told already, in a handshake
        self._door.registry.release(self)
        super().connection_lost(error)

    def eof_received(self) -> bool | None:
        # A client may close its half once it has said all (nc -N): what it said still counts, and
        # it hears the answers. SMTP.eof_received would cancel the task, even within a commit.
        asyncio.StreamReaderProtocol.eof_received(self)
        self._half_closed = True
        return not self._client.tls  # TLS has no half-close

    @property
    def idle(self) -> bool:
        """No mail is under way and no command is being worked on."""
        return self._waiting and self._mail is None

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that serves the connection."""
        return self._handler_coroutine

    def send_away(self) -> None:
        """Say that the server goes down, and close."""
        self._hang_up(replies.CLOSING)

    def abort(self) -> None:
        """Close without a word."""
        self.transport.abort()

    def _hang_up(self, last: Reply | None = None) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._unsent += b"" if last is None else self._wire([last])
        if self._unsent:
            self._writer.write(bytes(self._unsent))
            self._unsent.clear()
        transport.close()
        # close() waits until the peer has read everything; one that doesn't is cut.
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        self._timeout_handle = self.loop.call_later(_LINGER, transport.abort)

    @property
    def _bare(self) -> bool:
        """TLS is required here, and is not on yet."""
        encryption = self._door.encryption
        return encryption is not None and encryption.mode == "required" and not self._client.tls

    # -- TLS ------------------------------------------------------------------------------

    async def _encrypt(self, encryption: tls.Encryption) -> None:
        """Shake hands, and go on under TLS; raises ConnectionResetError where that fails.

        Octets that came before are part of the handshake: STARTTLS has seen to it that there are none.
        """
        reader: Any = self._reader
        first = bytes(reader._buffer)  # noqa: SLF001
        reader._buffer.clear()  # noqa: SLF001
        reader._transport = None  # noqa: SLF001 - the one in clear must not be paused any more
        self._client.tls = True  # from here on no half-close
        self._deadline = math.inf  # nor a word in clear: a handshake has its own time
        try:
            found = await tls.shake_hands(self.transport, self, encryption, first)
        except OSError as error:
            metrics.TLS.labels(result="failed").inc()
            log.info("TLS failed", extra={"peer": self._client.peer, "why": tls.reason(error)})
            self.connection_lost(error)  # nobody else may say so
            raise ConnectionResetError from error
        reader._transport = self._writer._transport = self.transport = found  # type: ignore[attr-defined] # noqa: SLF001
        self._transport, self._over_ssl = found, True
        self._client.certificates = tls.identities(found)
        metrics.TLS.labels(result=tls.version(found)).inc()
        self._reset_timeout()

    # -- the timer: one, that looks at a deadline when it fires, so that moving it is cheap --

    def _reset_timeout(self, duration: float | None = None) -> None:
        self._deadline = min(
            self.loop.time() + (duration or self._timeout_duration), self._end, self._slow_at
        )
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_at(self._deadline, self._timeout_cb)

    def _timeout_cb(self) -> None:
        now = self.loop.time()
        if now < self._deadline:
            at = min(self._deadline, now + self._timeout_duration)
            self._timeout_handle = self.loop.call_at(at, self._timeout_cb)
            return
        if now >= self._end:
            self._hang_up(_SESSION_OVER)
        elif now >= self._slow_at:
            self._door.registry.slow(self._client.peer)
            self._hang_up(_TOO_SLOW)
        else:
            self._hang_up(replies.IDLE)

    def _pace(self, begun: float, come: int) -> None:
        """Wait for more of a mail of which so many octets have come; each wins it some time."""
        if come:
            self._slow_at = begun + self._limits.idle + come / self._limits.data_rate
        self._reset_timeout()

    # -- the conversation ----------------------------------------------------------------

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

    async def _read_line(self, most: int = 0) -> bytes | None:
        """The next command line without its end; None for one that is too long, by default for its verb.

        An end of LF alone is good enough for a command (not for a mail's lines).
        """
        self._reset_timeout()
        if not self._more_is_here:
            await self._flush_replies()
        self._waiting, whole = True, True
        while True:
            try:
                line = await self._reader.readuntil(b"\n")
                break
            except asyncio.LimitOverrunError as error:
                await self._reader.read(error.consumed)
                whole = False
        self._waiting = False
        line = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        most = most or (auth.LINE if line[:5].upper() == b"AUTH " else self._limits.command_line)
        return line if whole and len(line) <= most else None

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
        if word in _HTTP:  # a browser sent here by a web page (cross-protocol attack)
            return _NOT_HTTP
        verb = self.verbs.get(word)
        if verb is None:
            return replies.UNKNOWN_COMMAND
        if self._bare and word not in _BEFORE_TLS:
            return replies.TLS_FIRST
        # Octets that are no UTF-8 become surrogates, which no address may contain.
        return await verb.obey(self, argument.strip(b" ").decode("utf-8", "surrogateescape"))

    async def _say(self, *answers: Reply) -> None:
        self._going = self._going or any(each.code in _LAST for each in answers)
        if self._door.refused is not None:
            for each in answers:
                if not each.good:
                    self._door.refused(self._client, each)
        for each in answers:
            if each.code >= 500:
                self._door.registry.fault(self, known=bool(self._client.user))
        await self._flush(self._wire(answers))

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

    async def _flush(self, octets: bytes) -> None:
        """Send a reply, together with those to the rest of a group that is already here (RFC 2920 3.2)."""
        self._unsent += octets
        if self._going or len(self._unsent) > _TOGETHER or not self._more_is_here:
            await self._flush_replies()

    @property
    def _more_is_here(self) -> bool:
        """Another whole command has come already."""
        return b"\n" in self._reader._buffer  # type: ignore[attr-defined] # noqa: SLF001

    async def _flush_replies(self) -> None:
        if self._unsent:
            self._reset_timeout()  # a peer that does not read is as idle as one that does not write
            self._writer.write(bytes(self._unsent))
            self._unsent.clear()
            await self._writer.drain()

    def _wire(self, answers: Sequence[Reply]) -> bytes:
        encoding = "utf-8" if self._mail is not None and self._mail.utf8 else "ascii"  # RFC 6531 3.7.4
        return b"".join(f"{each}\r\n".encode(encoding, "replace") for each in answers)

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
