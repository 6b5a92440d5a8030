"""The HTTP server: callbacks, health and metrics over TCP, all that and `/api/` on the unix socket.

The socket has mode 0600: whoever may open it may steer the queue. Over TCP the API needs a
login, and there is none in this version, so it is not served there.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from aiohttp import http_exceptions, web
from prometheus_client import generate_latest

from relay import metrics
from relay.config import Config
from relay.delivery.hearing import Hearing
from relay.delivery.inbox import Inbox
from relay.delivery.worker import Worker
from relay.queue.engine import Trouble
from relay.queue.states import FINAL, State
from relay.queue.store import Store
from relay.report.mailer import Mailer
from relay.smsc.callbacks import MOST
from relay.smsc.client import Client
from relay.web.api import Api
from relay.web.callbacks import Callbacks

_log = logging.getLogger("relay.web")


def _ours(record: logging.LogRecord) -> bool:
    """Whether a fault is the relay's own: what is no HTTP is answered 400, and is no news to an operator."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, http_exceptions.HttpProcessingError)


logging.getLogger("aiohttp.server").addFilter(_ours)

_LONGEST_SOCKET = 107  # octets that the system takes as a unix socket's path


class Relay(Protocol):
    """What this room needs of the assembly."""

    config: Config
    store: Store
    clients: dict[str, Client]
    workers: dict[str, Worker]
    hearing: Hearing
    inbox: Inbox
    mailer: Mailer

    @property
    def connections(self) -> int:
        """How many SMTP connections there are."""
        ...

    @property
    def listening(self) -> bool:
        """Whether every SMTP listener is bound."""
        ...

    def has(self, part: str) -> bool:
        """Whether this process runs a part."""
        ...


class Web:
    """The HTTP doors of one relay."""

    def __init__(self, relay: Relay, api: Api) -> None:
        self._relay = relay
        self._api = api
        self._callbacks = Callbacks(
            config=relay.config, store=relay.store, hearing=relay.hearing, inbox=relay.inbox
        )
        self._runners: list[web.AppRunner] = []
        self.address = ""

    async def open(self, *, tcp: bool) -> None:
        """Bind the socket and, with `tcp`, the port; raises OSError where that can't be."""
        settings = self._relay.config.web
        await self._bind_socket(Path(settings.socket))
        if tcp and settings.listen:
            host, _, port = settings.listen.rpartition(":")
            runner = await self._runner(self._public())
            try:
                await web.TCPSite(runner, host.strip("[]"), int(port)).start()
            except OSError as error:
                raise OSError(error.errno, "cannot listen", f"web.listen {settings.listen}") from error
            bound = runner.addresses[0]
            self._say_handlers()
            self.address = f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    async def close(self) -> None:
        """Stop answering."""
        for runner in self._runners:
            await runner.cleanup()
        await self._callbacks.close()
        if self._runners:
            Path(self._relay.config.web.socket).unlink(missing_ok=True)  # noqa: ASYNC240 - ours, and local
        self._runners.clear()

    def _say_handlers(self) -> None:
        """Say what the provider's settings page is to know, the secret aside."""
        settings = self._relay.config.web
        if not (settings.public_url and settings.callback_secret.get_secret_value()):
            return
        for name in self._relay.config.accounts:
            url = f"{settings.public_url.rstrip('/')}/callback/{quote(name)}?sha1=SECRET&charset=utf-8"
            _log.info("callbacks are taken", extra={"account": name, "enter": url})

    async def _bind_socket(self, path: Path) -> None:
        # The database's lock says that no other relay serves it; what is no socket is not ours to remove.
        if path.is_socket():  # noqa: ASYNC240 - local, at start
            path.unlink()  # noqa: ASYNC240
        elif path.exists():  # noqa: ASYNC240
            raise FileExistsError(errno.EEXIST, "in the way of web.socket", str(path))
        if len(os.fsencode(path)) > _LONGEST_SOCKET:
            raise OSError(errno.ENAMETOOLONG, "too long for a socket", str(path))
        runner = await self._runner(self._private())
        before = os.umask(0o177)
        try:
            await web.UnixSite(runner, str(path)).start()
        finally:
            os.umask(before)

    async def _runner(self, application: web.Application) -> web.AppRunner:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._runners.append(runner)
        return runner

    def _public(self) -> web.Application:
        application = web.Application(client_max_size=MOST)
        application.router.add_get("/healthz", _healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        application.add_routes(self._callbacks.routes())
        return application

    def _private(self) -> web.Application:
        application = self._public()
        application.add_routes(self._api.routes())
        return application

    async def _readyz(self, _request: web.Request) -> web.Response:
        """200 when store, listeners and the provider (last known answer) are usable."""
        wrong: list[str] = []
        try:
            await self._relay.store.next_notice()
        except Trouble as trouble:
            wrong.append(f"store: {trouble}")
        if self._relay.has("smtp") and not self._relay.listening:
            wrong.append("smtp: no listener is bound")
        wrong += [
            f"account {name}: the provider could not be reached at the last call"
            for name, client in self._relay.clients.items()
            if client.reachable is False
        ]
        wrong += [
            f"account {name}: rests ({worker.resting.why})"
            for name, worker in self._relay.workers.items()
            if worker.resting.why
        ]
        return web.json_response({"ready": not wrong, "wrong": wrong}, status=503 if wrong else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        counts = await self._relay.store.counts()
        for state in State:
            if state not in FINAL:
                metrics.QUEUE.labels(state=state.value).set(counts.get(state, 0))
        oldest = await self._relay.store.oldest()
        now = self._relay.store.clock.now()
        metrics.OLDEST.set(max(0, now - oldest) / 1000 if oldest is not None else 0)
        metrics.CONNECTIONS.set(self._relay.connections)
        for name, worker in self._relay.workers.items():
            metrics.IN_FLIGHT.labels(account=name).set(worker.calls)
        return web.Response(
            body=generate_latest(metrics.REGISTRY),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")
