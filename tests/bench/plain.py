"""A provider on plain sockets, in threads of the benchmark: it notes when a request's first byte came.

It takes everything, answers at once, and knows nothing: for what is timed, and for peers that need
somebody to post to.
"""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
import time
from collections.abc import Iterator

_ID = re.compile(rb"(?:^|&)id=([0-9a-z]+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Provider(socketserver.ThreadingTCPServer):
    """`first` is when the first byte of a request came since `came` was cleared."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.first = 0.0
        self.came = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while self._answered():
                pass

    def _answered(self) -> bool:
        """Take one request and answer it; False where the peer has closed."""
        octets = self.request.recv(65536)
        now = time.perf_counter()
        if not octets:
            return False
        server = self.server
        assert isinstance(server, Provider)
        if not server.came.is_set():
            server.first = now
            server.came.set()
        while not (end := octets.find(b"\r\n\r\n") + 1):
            octets += self._more()
        length = _LENGTH.search(octets, 0, end + 1)
        whole = end + 3 + (int(length[1]) if length else 0)
        while len(octets) < whole:
            octets += self._more()
        found = _ID.search(octets, end + 3)
        body = b'{"id": "%s", "cnt": 1, "cost": "2.5", "balance": "1000"}' % (found[1] if found else b"1")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.request.sendall(head % len(body) + body)
        return True

    def _more(self) -> bytes:
        more: bytes = self.request.recv(65536)
        if not more:
            raise ConnectionError("closed within a request")
        return more


@contextlib.contextmanager
def provider() -> Iterator[Provider]:
    """It answers for as long as the block."""
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
