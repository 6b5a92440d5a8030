"""A connection before anything was said on it, where a load balancer may have to say for whom it is.

From a trusted network the PROXY header must come first, whole and soon; the connection then counts
as that of the client it names: for `senders`, limits and the log. From anywhere else there is no such
header: what looks like one is a command that nobody knows.

Not an octet behind the header is read here, so whatever takes over finds the stream at its
beginning, be it the greeting or a TLS handshake.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from relay.config.places import AnyNetwork
from relay.smtp import policy, proxy, sockets
from relay.smtp.proxy import ProxyError, Source

log = logging.getLogger("relay.smtp")

_PATIENCE = 5.0  # seconds for the whole header

Begin = Callable[[Source | None], asyncio.Protocol]
"""Makes the protocol that takes over, for a client behind a proxy or (None) for the peer itself."""


class Proxied(asyncio.BufferedProtocol):
    """Reads the header where one is due, then hands the transport over."""

    def __init__(self, begin: Begin, trusted: tuple[AnyNetwork, ...]) -> None:
        self._begin = begin
        self._trusted = trusted
        self._octets = b""
        self._buffer = bytearray()
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if not policy.inside(self._trusted, self._peer):
            self._hand_over(None)
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_PATIENCE, self._refuse, "it did not come in time")

    @property
    def _peer(self) -> str:
        return sockets.peer(self._transport)[0]

    def get_buffer(self, _sizehint: int) -> bytearray:
        self._buffer = bytearray(proxy.missing(self._octets))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._octets += self._buffer[:nbytes]
        try:
            if not proxy.missing(self._octets):
                self._hand_over(proxy.source(self._octets))
        except ProxyError as why:
            self._refuse(str(why))

    def eof_received(self) -> None:
        if self._octets:
            self._refuse("it was cut short")

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _refuse(self, why: str) -> None:
        log.warning("no PROXY header from a proxy", extra={"peer": self._peer, "why": why})
        self._transport.abort()

    def _hand_over(self, source: Source | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        taking_over = self._begin(source)
        self._transport.set_protocol(taking_over)
        taking_over.connection_made(self._transport)
