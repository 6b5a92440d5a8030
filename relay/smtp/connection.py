"""A connection of the front door: aiosmtpd's protocol with the gaps of its plumbing closed.

aiosmtpd gives a connection its stream, task and sessions (and STARTTLS and AUTH for later);
here its octets are read within bounds, timed, encrypted and written; what is said is up to
`dialog`. Policy: whatever a peer sends, time is linear and memory bounded.

What can go wrong: a peer that stays silent, sends or reads too slowly, or trickles a mail in, is
told 421 and cut (`Limits.idle`, `session`, `data_rate`). The timer stands still while a hook works:
hooks have timeouts of their own. The private names of aiosmtpd used here are those of 1.4.6, hence
its pin.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from aiosmtpd.smtp import SMTP

from relay import metrics, replies
from relay.model import Envelope
from relay.replies import Reply, reply
from relay.smtp import auth, sockets, tls
from relay.smtp.door import Door
from relay.smtp.proxy import Source
from relay.smtp.session import Session
from relay.smtp.stream import Stream

log = logging.getLogger("relay.smtp")

T = TypeVar("T")
logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd logs every line of every mail

_READ_AHEAD = 16 * 1024  # the stream stops reading from the peer at twice this
_TOGETHER = 16 * 1024  # octets of replies that wait for those behind them
_LINGER = 5.0  # seconds that a closing connection gets to take our last words

_NONE: dict[str, Any] = {}
_SESSION_OVER = reply(421, "4.4.2", "session too long, closing")
_TOO_SLOW = reply(421, "4.4.2", "the mail comes too slowly, closing")


class Connection(SMTP):
    """One connection: its stream, its timer, its encryption."""

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
    _reader: Stream
    _paused: bool  # of the stream: the peer does not read
    _connection_lost: bool

    def __init__(self, door: Door, source: Source | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        asyncio.StreamReaderProtocol.__init__(
            self,
            Stream(limit=_READ_AHEAD, loop=self.loop),
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
        self._handler_coroutine: Any = None  # the task that serves the connection
        self._taking = False  # a mail: that comes to its end though the client may leave
        self.transport: Any = None
        self.session = self.envelope = None
        self._client = Session(peer="")
        self._mail: Envelope | None = None  # the one under way
        self._unsent = bytearray()  # replies to the commands of a group that is still being read
        self._turned_away: Reply | None = None  # what is said instead of a greeting
        self._waiting = self._going = self._shaking = False
        self._slow_at = math.inf  # when the mail that is coming in has come too slowly
        self._half_closed = False  # the client will say no more, and may have gone

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
        if self.transport is None or self._shaking:
            return  # a handshake tells: uvloop says so before it, asyncio never does
        self._door.registry.release(self)
        if self._taking:
            self._handler_coroutine = self.loop.create_future()  # is cancelled instead of who takes the mail
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
        return self._handler_coroutine  # type: ignore[no-any-return]

    async def _take_up(self, work: Awaitable[T]) -> T:
        """Take a mail, or tell that its answer was heard: nothing that the client does ends that.

        Raises ConnectionResetError once it is done where the client has left meanwhile.
        """
        self._taking = True
        try:
            done = await self._door.registry.take(work)
        finally:
            self._taking = False
        if self.transport is None:
            raise ConnectionResetError
        return done

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

    # -- TLS ------------------------------------------------------------------------------

    async def _encrypt(self, encryption: tls.Encryption) -> None:
        """Shake hands, and go on under TLS; raises ConnectionResetError where that fails.

        Octets that came before are part of the handshake: STARTTLS has seen to it that there are none.
        """
        reader = self._reader
        first = reader.take_all()
        reader.follow(None)  # the one in clear must not be paused any more
        self._client.tls = True  # from here on no half-close
        self._deadline = math.inf  # nor a word in clear: a handshake has its own time
        self._shaking = True
        try:
            found = await tls.shake_hands(self.transport, self, encryption, first)
        except OSError as error:
            self._shaking = False
            metrics.TLS.labels(result="failed").inc()
            log.info("TLS failed", extra={"peer": self._client.peer, "why": tls.reason(error)})
            self.connection_lost(error)  # nobody else may say so
            raise ConnectionResetError from error
        finally:
            self._shaking = False
        reader.follow(found)
        self._writer._transport = self.transport = found  # type: ignore[attr-defined] # noqa: SLF001
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

    # -- octets ----------------------------------------------------------------

    async def _read_line(self, most: int = 0) -> bytes | None:
        """The next command line without its end; None for one that is too long, by default for its verb.

        An end of LF alone is good enough for a command (not for a mail's lines).
        """
        self._reset_timeout()
        if self._unsent and not self._reader.has_line:
            await self._flush_replies()
        self._waiting = True
        line = await self._reader.line()
        self._waiting = False
        if line is None:
            return None
        line = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        if len(line) > (most or self._limits.command_line):
            return line if not most and line[:5].upper() == b"AUTH " and len(line) <= auth.LINE else None
        return line

    async def _flush(self, octets: bytes) -> None:
        """Send a reply, together with those to the rest of a group that is already here (RFC 2920 3.2)."""
        self._unsent += octets
        if self._going or len(self._unsent) > _TOGETHER or not self._reader.has_line:
            await self._flush_replies()

    async def _flush_replies(self) -> None:
        if not self._unsent:
            return
        self._writer.write(bytes(self._unsent))
        self._unsent.clear()
        if self._paused or self._connection_lost or self._writer.is_closing():
            self._reset_timeout()  # a peer that does not read is as idle as one that does not write
            await self._writer.drain()

    def _wire(self, answers: Sequence[Reply]) -> bytes:
        encoding = "utf-8" if self._mail is not None and self._mail.utf8 else "ascii"  # RFC 6531 3.7.4
        return "".join([f"{each}\r\n" for each in answers]).encode(encoding, "replace")
