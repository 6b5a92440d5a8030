"""TLS at the front door: handshakes, and contexts that are made anew when their files change.

Policy: the files are looked at for each handshake, at each re-reading of the configuration and
once a minute, so that a renewed certificate needs no word from anybody; sessions go on with what
they began with. Files that can't be used (half written, a key of another certificate) change
nothing: what was good stays, and the log and `relay_tls_stale` say so.

RFC 8446 and RFC 5246 (TLS), RFC 3207 (STARTTLS), RFC 8314 (implicit TLS).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from relay import metrics
from relay.config import Config, Listener
from relay.model import MINUTE
from relay.smtp import certificates
from relay.smtp.certificates import Unusable

_log = logging.getLogger("relay.smtp")

HANDSHAKE = 30.0  # seconds that a handshake may take
_BUFFER = 32 * 1024  # octets that are read at once
_HELD = 64 * 1024  # octets that wait each way for whoever is slow; by default half a megabyte


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """What the sessions of one listener need to know of TLS."""

    mode: str  # starttls, required or implicit
    context: Callable[[], ssl.SSLContext]
    handshake: float = HANDSHAKE  # seconds


# -- files that change --------------------------------------------------------------------


class Contexts:
    """The contexts of all listeners of a process, made anew when their files change.

    `now` is the time of the clock in milliseconds.
    """

    def __init__(self, config: Config, now: Callable[[], int]) -> None:
        self._config = config
        self._now = now
        self._listeners = [each for each in config.listeners if each.tls != "none"]
        self._marks: dict[Listener, list[object]] = {}  # of the files, when they were last looked at
        self._made: dict[Listener, ssl.SSLContext] = {}
        self._stale: set[Listener] = set()
        self._due = 0

    def open(self) -> None:
        """Make all contexts; raises Unusable where the files are no good."""
        for listener in self._listeners:
            marks = self._look(listener)
            self._made[listener] = self._make(listener)
            self._marks[listener] = marks

    def encryption(self, listener: Listener) -> Encryption | None:
        """How this listener encrypts, None where it doesn't."""
        if listener.tls == "none":
            return None
        return Encryption(mode=listener.tls, context=partial(self.context, listener))

    def context(self, listener: Listener) -> ssl.SSLContext:
        """The context for the next handshake."""
        self._refresh(listener)
        return self._made[listener]

    def adopt(self, config: Config) -> None:
        """Go on by a re-read configuration: the files may have other names now."""
        self._config = config
        self.refresh()

    def refresh(self) -> None:
        """Look at all files."""
        for listener in self._listeners:
            self._refresh(listener)

    def _refresh(self, listener: Listener) -> None:
        marks = self._look(listener)
        if marks == self._marks.get(listener):
            return
        self._marks[listener] = marks
        try:
            self._made[listener] = self._make(listener)
        except Unusable as why:
            self._stale.add(listener)
            _log.error(
                "the new certificate can't be used, the old one stays",
                extra={"listener": listener.address, "file": why.setting, "why": str(why)},
            )
        else:
            self._stale.discard(listener)
            _log.info("certificate re-read", extra={"listener": listener.address})
        metrics.TLS_STALE.set(1 if self._stale else 0)

    def _make(self, listener: Listener) -> ssl.SSLContext:
        files = self._config.tls
        if files is None:
            raise Unusable("certificate", "there is no tls section any more")
        context = certificates.made(listener, files.certificate, files.key)
        ours = certificates.seen(context, files.certificate, self._config.hostname)
        metrics.TLS_EXPIRES.set(ours.ends)
        return context

    def _look(self, listener: Listener) -> list[object]:
        """What tells that a file is another one; links are followed, since they are what changes."""
        files = self._config.tls
        paths = [files.certificate, files.key] if files else []
        return [mark(path) for path in [*paths, *([listener.client_ca] if listener.client_ca else [])]]

    # -- as a chore ------------------------------------------------------------------------

    async def next(self) -> int | None:
        """When the files are looked at again, whoever comes."""
        return self._due if self._listeners else None

    async def turn(self) -> bool:
        """Look at them; no order waits for that."""
        if self._listeners and self._now() >= self._due:
            self._due = self._now() + MINUTE
            self.refresh()
        return False


def mark(path: Path) -> object:
    """What tells a file from the one that was there before; links are followed."""
    try:
        found = path.stat()
    except OSError as error:
        return str(path), error.errno
    return str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


# -- sessions -----------------------------------------------------------------------------


async def shake_hands(
    transport: asyncio.Transport, protocol: asyncio.Protocol, how: Encryption, first: bytes = b""
) -> asyncio.Transport:
    """The transport under TLS, as server; `first` is what was read of the handshake already.

    Raises OSError (of which SSLError is one) where it fails. From the call on no octet reaches the
    protocol in clear. `protocol` may or may not hear then that the connection is lost.
    """
    loop = asyncio.get_running_loop()
    loop.call_soon(_slim, transport)
    if first:
        # start_tls sets its protocol in the loop's next turn: this comes in the one after that
        loop.call_soon(loop.call_soon, _feed, transport, first)
    under_tls: asyncio.Transport | None = await loop.start_tls(
        transport, protocol, how.context(), server_side=True, ssl_handshake_timeout=how.handshake
    )
    # Cut meanwhile, which start_tls calls no error: asyncio has no transport then, uvloop a closed one.
    # Or broken by what came with the handshake's end, which asyncio then takes for done when it is not.
    if under_tls is None or under_tls.is_closing() or not version(under_tls):
        raise ConnectionResetError
    under_tls.set_write_buffer_limits(_HELD)
    under_tls.set_read_buffer_limits(_HELD)  # type: ignore[attr-defined]
    return under_tls


def _slim(transport: asyncio.Transport) -> None:
    """Have a small buffer: asyncio's own takes 256 KiB, touched, for each connection however idle."""
    protocol: Any = transport.get_protocol()
    if hasattr(protocol, "_ssl_buffer_view"):
        protocol.max_size = _BUFFER
        protocol._ssl_buffer = bytearray(_BUFFER)  # noqa: SLF001
        protocol._ssl_buffer_view = memoryview(protocol._ssl_buffer)  # noqa: SLF001


def _feed(transport: asyncio.Transport, octets: bytes) -> None:
    protocol: Any = transport.get_protocol()
    while octets and not transport.is_closing():
        space = protocol.get_buffer(len(octets))
        many = min(len(space), len(octets))
        space[:many] = octets[:many]
        protocol.buffer_updated(many)
        octets = octets[many:]


def reason(error: OSError) -> str:
    """Why a handshake failed, for the log."""
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return "too slow"
    return certificates.reason(error) if isinstance(error, ssl.SSLError) else "connection lost"


def version(transport: asyncio.BaseTransport) -> str:
    """TLSv1.3 and the like, "" in clear and before the handshake's end."""
    found = transport.get_extra_info("ssl_object")
    return found.version() or "" if found is not None else ""


def identities(transport: asyncio.BaseTransport) -> frozenset[str]:
    """Whom the client's certificate names: its SHA-256 fingerprint, common name, DNS and mail names.

    Empty where it showed none; one that we do not trust would have ended the handshake.
    """
    found = transport.get_extra_info("ssl_object")
    octets = found.getpeercert(binary_form=True) if found is not None else None
    if not octets:
        return frozenset()
    told = found.getpeercert() or {}
    common = [value for part in told.get("subject", ()) for kind, value in part if kind == "commonName"]
    others = [value for kind, value in told.get("subjectAltName", ()) if kind in ("DNS", "email")]
    print_ = "sha256:" + hashlib.sha256(octets).hexdigest()
    return frozenset({print_, *(str(name).lower() for name in (*common, *others))})
