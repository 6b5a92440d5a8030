"""The relay as a process: its rooms are started, run and stopped here.

Start: store, provider, delivery, reports, front door, HTTP. A part that can't start stops the
rest. Run: each loop is a task of one group; a loop that dies takes the process down with it,
for a relay that takes mail and does not deliver it is worse than one that is down.
Stop: no new mail, sessions end, calls under way come home, what is left is rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from relay.config import Config
from relay.delivery.claims import recover
from relay.delivery.membership import Membership
from relay.message import recognisers
from relay.message.reader import Reader
from relay.model import Ids
from relay.queue import choice
from relay.queue.postgres import Postgres
from relay.queue.store import Store
from relay.rooms import CannotStart, Rooms, in_words
from relay.smtp import data
from relay.web.api import Api
from relay.web.server import Web

_log = logging.getLogger("relay.app")

PARTS = ("smtp", "delivery", "web")
GRACE = 20.0
"""Seconds that sessions and calls under way have to end when the relay stops."""
_BEAT = 2.0  # seconds that a node's look at the others may take to end


class App(Rooms):
    """One relay, from its start to its end."""

    @property
    def connections(self) -> int:
        """How many SMTP connections there are."""
        return self.registry.count

    @property
    def listening(self) -> bool:
        """Whether every SMTP listener is bound."""
        return len(self.listeners) == len(self.config.listeners)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[App]:
        """Everything started; on leaving, everything drained and closed."""
        async with self._stack:
            try:
                await self._start()
                yield self
            finally:
                await self._drain()

    async def serve(self, stop: asyncio.Event, ready: Callable[[App], None]) -> None:
        """Run until `stop` is set; raises what a loop raised."""
        async with self.running(), asyncio.TaskGroup() as group:
            loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]  # uvloop or asyncio
            addresses = [listener.address for listener in self.listeners]
            _log.info("ready", extra={"smtp": addresses, "loop": loop})
            ready(self)
            waiting = group.create_task(stop.wait())
            watching = group.create_task(self._watch())
            await waiting
            _log.info("stopping")
            watching.cancel()

    async def _watch(self) -> None:
        """End with the first loop that ends by itself: none should."""
        loops = self._loops | ({self._beats} if self._beats else set())
        if not loops:
            return  # only a door: it has no loop that could end
        done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise RuntimeError("a loop ended by itself")

    def ready_line(self) -> str:
        """What `serve` prints when every listener is bound."""
        smtp = ",".join(listener.address for listener in self.listeners) or "-"
        return f"ready smtp={smtp} web={self.web.address or '-'}"

    # -- start ----------------------------------------------------------------------------

    async def _start(self) -> None:
        config = self.config
        spool = _private_folder(config.spool_path)
        store = await choice.opened(config.store, spool, self._stack)
        data.sweep(str(spool))
        self.store = Store(store.engine, Ids(store.node), self.clock)
        await self.store.moment()
        for name, account in config.accounts.items():
            self.clients[name] = await self._client(name, account)
        self._build_delivery(store)
        await self.hearing.load()
        self.reader = Reader(spool_dir=str(spool), inline_max=self._inline_max)
        self._stack.push_async_callback(self.reader.close)
        self.api = Api(self)
        self.web = Web(self, self.api)
        self._stack.push_async_callback(self.web.close)
        if self.has("smtp"):
            await self._listen(str(spool))
        try:
            await self.web.open(tcp=self.has("web"))
        except OSError as error:
            raise CannotStart(f"{error.filename or 'web'}: {in_words(error)}") from error
        if self.has("delivery"):
            await recover(self.store, self.settler, left_by=store.left_by)
            await self.mailer.recover(store.left_by)
        if self.membership and store.shared:
            await self._join(self.membership, store.shared, store.left_by)
        store.recovered()
        if self.has("delivery"):
            for worker in self.workers.values():
                self._loop(worker.run(), worker.name)
            self._loop(self.forwarder.run(), "forwarder")
            self._loop(self.mover.run(), "mover")
            self._loop(self.mailer.run(), "mailer")
        if self.has("delivery") or (self.membership and self.has("web")):
            self._loop(self.chores.run(), "chores")  # of callbacks alone: the steps of what they end

    async def _join(self, membership: Membership, shared: Postgres, left_by: int | None) -> None:
        """Work with the nodes that share the store from now on."""
        membership.also = self._look
        await membership.start(left_by)
        shared.listen(membership.heard)
        for name, held in membership.held.items():
            self.clients[name].may = partial(getattr, held, "valid")
        self._beats = asyncio.create_task(membership.run(), name="membership")

    def _loop(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._loops.add(asyncio.create_task(work, name=name))

    # -- meanwhile ------------------------------------------------------------------------

    def adopt(self, config: Config) -> None:
        """Take a re-read configuration: it counts from the next command, claim and report on.

        What is bound at start (listeners, accounts, store, web) stays until a restart.
        """
        kept = {
            name: getattr(self.config, name) for name in ("listeners", "accounts", "store", "web", "hostname")
        }
        changed = [name for name, value in kept.items() if getattr(config, name) != value]
        if changed:
            _log.warning("a restart is needed for part of the new configuration", extra={"keys": changed})
        self.recognisers = recognisers.known(config.recognisers)
        self.config = config.model_copy(update=kept)
        self.settler.adopt(config.reports, config.delivery)
        self.mailer.adopt(config.reports, config.delivery)
        self.chores.adopt(config.keep, config.delivery)
        self.forwarder.adopt(self.config)
        self.mover.adopt(self.config)
        self.counts.adopt(config.caps)
        self.watch.adopt(self.config)
        self.contexts.adopt(self.config)
        for worker in self.workers.values():
            worker.adopt(config.delivery, config.storm, config.reports.language)
        _log.info("configuration re-read")

    # -- stop -----------------------------------------------------------------------------

    async def _drain(self) -> None:
        """No new mail; sessions and calls under way come to their end, within the grace."""
        self.waiting.close()
        for listener in self.listeners:
            await listener.close()
        await self.registry.drain(GRACE)
        if self._loops:
            own = (self.chores.stop, self.mailer.stop, self.forwarder.stop, self.mover.stop)
            for stop in (*own, *(worker.stop for worker in self.workers.values())):
                stop()
            await asyncio.wait(self._loops, timeout=GRACE)
            await self.watch.stop()
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self.membership and self._beats:
            self.membership.no_more()
            await asyncio.wait({self._beats}, timeout=_BEAT)
            self._beats.cancel()
            await asyncio.gather(self._beats, return_exceptions=True)
            await self.membership.stop()


def _private_folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
