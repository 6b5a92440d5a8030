"""One POST to the provider: connection, mirrors, limits, and what a failure says.

One thing matters when a call fails: may the provider have heard it? As long as no byte of
the request has left, it has not, and the order may simply be tried later. Once one has left
and no answer came, the order is unsure. The body's writer knows which it is, since the
headers leave together with its first piece.

What can go wrong, and what is done: no connection (the vendor's mirrors are tried, for its
own hosts only), a connection that breaks, falls silent or crawls (limits are on silence, so
that a large upload may take its time), an answer that is too long. Redirects are not
followed, cookies not kept, nothing is unpacked; a POST is never repeated by itself.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from binascii import hexlify
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.payload import Payload
from aiohttp.typedefs import LooseHeaders

from relay.model import Outcome
from relay.smsc import outcomes

LARGEST = 4 << 20  # octets of an answer that are read
_CRAWL = 10  # a whole answer may take this many times the limit on silence
_KEEPALIVE = 4.0  # seconds that an idle connection is kept: an old one may have gone stale unseen
_SEND_BUFFER = 1 << 17  # small, so that what was handed to the system has nearly left it
_PREFER = 300.0  # seconds that a mirror which worked is asked first
_HEADERS: LooseHeaders = {"Accept-Encoding": "identity", "User-Agent": "smsc-relay"}

_MIRRORS: Mapping[str, Sequence[str]] = {
    "smsc.ru": ("www2", "www3", "www4", "www5"),
    "smscentre.com": ("www2",),
    "smsc.kz": ("www2",),
    "smsc.ua": ("www2",),
}


class TooLongError(ValueError):
    """An answer of more than `LARGEST` octets."""


# What the errors of a call are called before people, the most exact first. Those of the first
# table say that there was no connection at all, which is when a mirror may do.
NO_CONNECTION: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "its certificate is not valid"),
    (aiohttp.ClientConnectorDNSError, "its name could not be resolved"),
    (aiohttp.ClientSSLError, "TLS could not be agreed on"),
    (aiohttp.ClientProxyConnectionError, "the proxy could not be reached"),
    (aiohttp.ClientConnectorError, "it could not be reached"),
    (aiohttp.ConnectionTimeoutError, "it did not answer in time"),
)
BROKEN: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ServerTimeoutError, "it fell silent"),
    (aiohttp.ServerFingerprintMismatch, "its certificate is another one"),
    (aiohttp.ServerConnectionError, "it closed the connection"),
    (aiohttp.ClientOSError, "the connection broke"),
    (aiohttp.ClientConnectionError, "the connection broke"),
    (aiohttp.ClientPayloadError, "its answer was cut off"),
    (aiohttp.UploadAbortedError, "the upload was cut off"),
    (aiohttp.ClientResponseError, "its answer is not HTTP"),
    (aiohttp.RedirectClientError, "it points to no address"),
    (aiohttp.InvalidURL, "its address is not valid"),
    (aiohttp.NonHttpUrlClientError, "its address is not valid"),
    (HttpProcessingError, "its answer is not HTTP"),
    (TooLongError, "its answer was too long"),
    (TimeoutError, "it fell silent"),
    (OSError, "the connection broke"),
    (ValueError, "something was not as announced"),
)
TROUBLE = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)


def words(error: Exception) -> str:
    """What an error is called before people; never its own text, which may quote secrets."""
    return next((said for known, said in (*NO_CONNECTION, *BROKEN) if isinstance(error, known)), "")


def no_connection(error: Exception) -> bool:
    """Whether the error means that no connection could be made."""
    return isinstance(error, tuple(known for known, _ in NO_CONNECTION))


def mirrors(url: str) -> tuple[str, ...]:
    """The vendor's other hosts for its own ones, none for any other."""
    host = urlsplit(url).hostname or ""
    return tuple(url.replace(f"://{host}", f"://{name}.{host}", 1) for name in _MIRRORS.get(host, ()))


class Body(Protocol):
    """What is posted: its length is known before the first octet."""

    @property
    def content_type(self) -> str:
        """The Content-Type."""
        ...

    @property
    def size(self) -> int:
        """How many octets `chunks` gives."""
        ...

    def chunks(self) -> AsyncGenerator[bytes]:
        """The octets, anew at each call."""
        ...


class Encoded:
    """Fields as application/x-www-form-urlencoded."""

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        self._octets = b"&".join(_escaped(name) + b"=" + _escaped(value) for name, value in fields)

    @property
    def content_type(self) -> str:
        return "application/x-www-form-urlencoded"

    @property
    def size(self) -> int:
        return len(self._octets)

    async def chunks(self) -> AsyncGenerator[bytes]:
        yield self._octets


_UNSAFE = re.compile(rb"[^A-Za-z0-9_.~ -]+")
_ALONE = [b"%%%02X" % octet for octet in range(256)]


def _escaped(text: str) -> bytes:
    """Text in a form's value, by runs: a letter at a time is the dearest part of a list."""
    if text.isascii() and text.isalnum():
        return text.encode()
    return _UNSAFE.sub(_run, text.encode("utf-8", "replace")).replace(b" ", b"+")


def _run(found: re.Match[bytes]) -> bytes:
    run = found[0]
    return _ALONE[run[0]] if len(run) == 1 else b"%" + hexlify(run, b"%").upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it came, not yet read."""

    status: int
    body: bytes


class _Upload(Payload):
    """Writes a body to a connection that stands, and knows whether any of it may have left."""

    _autoclose = True  # holds nothing that needs closing

    def __init__(self, body: Body, before: Callable[[], Awaitable[None]] | None, silence: float) -> None:
        super().__init__(body, content_type=body.content_type)
        self._size = body.size
        self._body = body
        self._before = before
        self._silence = silence
        self.limit = asyncio.timeout(None)
        self.began = False
        self.stopped: Exception | None = None  # what `before` raised
        self.faulty = False  # the body itself could not be had

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError(f"a body is written, not decoded ({encoding}, {errors})")

    async def write(self, writer: AbstractStreamWriter) -> None:
        if self._before is not None:
            try:
                await self._before()
            except Exception as error:
                self.stopped = error
                raise
        await _alive(writer)
        self._within(self._silence)
        self.began = True
        async with aclosing(self._pieces()) as pieces:
            async for piece in pieces:
                await writer.write(piece)
                await writer.drain()
                self._within(self._silence)
        self._within(_CRAWL * self._silence)  # from here on silence is watched by the connection

    async def _pieces(self) -> AsyncGenerator[bytes]:
        try:
            async with aclosing(self._body.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        except Exception:
            self.faulty = True
            raise

    def _within(self, seconds: float) -> None:
        self.limit.reschedule(asyncio.get_running_loop().time() + seconds)


async def _alive(writer: AbstractStreamWriter) -> None:
    """Raise where the peer has closed the connection while it was idle, before a byte leaves.

    The end is seen when the loop has looked at its sockets and then run what that brought.
    """
    for _ in range(2):
        await asyncio.sleep(0)
    if writer.transport is None or writer.transport.is_closing():
        raise aiohttp.ClientConnectionResetError("closed while idle")


class Exchange:
    """The way to one provider's address and its mirrors. `connect` and `read` are seconds."""

    def __init__(
        self,
        url: str,
        *,
        connect: float,
        read: float,
        trust: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        url = url.rstrip("/")
        self._bases = (url, *mirrors(url))
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect, sock_read=read)
        self._read = read
        self._trust = trust
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self._preferred, self._until = url, 0.0

    async def open(self) -> None:
        """Get ready; nothing is connected yet."""
        if self._session is not None:
            return
        connector = aiohttp.TCPConnector(
            ssl=self._trust or ssl.create_default_context(),
            limit=0,  # how many calls run at once is the caller's to say
            keepalive_timeout=_KEEPALIVE,
            resolver=self._resolver,
            socket_factory=partial(_socket, self._read),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Drop the connections; calls under way fail as broken ones do."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(
        self, path: str, body: Body, before: Callable[[], Awaitable[None]] | None = None
    ) -> Answer | Outcome:
        """The answer, or what is known of a call without one.

        `before` is awaited when the connection stands and no byte has left (again where an
        idle connection turns out to be closed); what it raises is raised here, and the
        provider has heard nothing.
        """
        outcome: Outcome | None = None
        left = self._order()
        stale = True  # an idle connection that the peer has closed may be met once
        while left and self._session is not None:
            base = left.pop(0)
            upload = _Upload(body, before, self._read)
            try:
                answer = await self._post(self._session, f"{base}/sys/{path}", upload)
            except TROUBLE as error:
                if upload.stopped is not None:
                    raise upload.stopped from None
                outcome = _outcome(error, upload)
                if no_connection(error) and not upload.began:
                    continue
                if upload.began or not stale:
                    break
                left, stale = [base, *left], False
            else:
                self._remember(base)
                return answer
        return outcome or outcomes.no_connection("the client was closed")

    async def _post(self, session: aiohttp.ClientSession, url: str, upload: _Upload) -> Answer:
        async with upload.limit:
            response = await session.post(url, data=upload, allow_redirects=False)
            try:
                return Answer(status=response.status, body=await _octets(response))
            finally:
                response.close()  # a connection whose exchange is complete has gone back by now

    def _order(self) -> list[str]:
        """The addresses to try, the one that worked lately first."""
        first = self._preferred if asyncio.get_running_loop().time() < self._until else self._bases[0]
        return [first, *(base for base in self._bases if base != first)]

    def _remember(self, base: str) -> None:
        if base != self._preferred or base == self._bases[0]:
            self._preferred, self._until = base, asyncio.get_running_loop().time() + _PREFER


async def _octets(response: aiohttp.ClientResponse) -> bytes:
    octets = bytearray()
    async for chunk in response.content.iter_any():
        octets += chunk
        if len(octets) > LARGEST:
            raise TooLongError
    return bytes(octets)


def _outcome(error: Exception, upload: _Upload) -> Outcome:
    if upload.faulty:
        return outcomes.broke_off("a file of the message could not be read")
    return outcomes.broke_off(words(error)) if upload.began else outcomes.no_connection(words(error))


def _socket(silence: float, address: tuple[int, int, int, str, object]) -> socket.socket:
    """A socket that keeps little back, so that silence is measured from when octets really left.

    What the peer has not confirmed after so many seconds is given up by the system as well. Else it would
    go on sending it when we have gone, and the request might arrive long after we asked what became of it.
    """
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silence * 1000))
    return made
