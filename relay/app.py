"""The assembly: every room is built here, in the order of a message's journey, and joined.

Start: store, provider, delivery, reports, front door, HTTP. A part that can't start stops the
rest. Run: each loop is a task of one group; a loop that dies takes the process down with it,
for a relay that takes mail and does not deliver it is worse than one that is down.
Stop: no new mail, sessions end, calls under way come home, what is left is rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from relay import metrics
from relay.clock import Clock, Follower
from relay.config import Account, Config
from relay.delivery import assembly
from relay.delivery.chores import Chores
from relay.delivery.claims import recover
from relay.delivery.counting import Counting
from relay.delivery.escalating import Escalating
from relay.delivery.forwarding import Forwarder
from relay.delivery.membership import Membership
from relay.delivery.moving import Mover
from relay.delivery.release import Release
from relay.delivery.settle import Settler
from relay.delivery.watching import Watch
from relay.delivery.worker import Worker
from relay.message import recognisers
from relay.message.reader import Reader
from relay.model import Ids, Outcome
from relay.queue import choice
from relay.queue.choice import Opened
from relay.queue.postgres import Postgres
from relay.queue.rows import Order
from relay.queue.states import State
from relay.queue.store import Store
from relay.report.mailer import Mailer
from relay.smsc.client import Client, Credentials
from relay.smsc.sandbox import Sandbox
from relay.smtp import auth, data, server
from relay.smtp.accounts import Accounts
from relay.smtp.admission import Admitting
from relay.smtp.certificates import Unusable
from relay.smtp.checks import Checks
from relay.smtp.handler import Handler
from relay.smtp.limits import Rules
from relay.smtp.registry import Registry
from relay.smtp.session import Limits
from relay.smtp.sockets import Listener, connections
from relay.smtp.tls import Contexts
from relay.smtp.waiting import Waiting
from relay.web.api import Api
from relay.web.server import Web

_log = logging.getLogger("relay.app")

PARTS = ("smtp", "delivery", "web")
_MOST_RECIPIENTS = 100_000  # the handler asks the configuration, which may be re-read
GRACE = 20.0
"""Seconds that sessions and calls under way have to end when the relay stops."""


class CannotStart(Exception):  # noqa: N818
    """A part can't start; the text says which and why."""


def in_words(error: OSError) -> str:
    """What the system says of a failure, without numbers and our library's words."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


class App:
    """One relay. `only` is one of PARTS, or "" for all of them."""

    def __init__(
        self,
        config: Config,
        *,
        only: str = "",
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
        sandboxes: dict[str, Sandbox] | None = None,
        inline_max: int = 32 * 1024,
        patience: float = 30.0,
    ) -> None:
        self.config = config
        self.recognisers = recognisers.known(config.recognisers)
        self._only = only
        self.clock = clock or (Follower() if config.shared else Clock())
        self._chance = chance
        self.sandboxes = sandboxes if sandboxes is not None else {}
        self._inline_max = inline_max
        self._patience = patience  # seconds without a byte from the provider
        self.clients: dict[str, Client] = {}
        self.urls: dict[str, str] = {}
        self.workers: dict[str, Worker] = {}
        self.listeners: list[Listener] = []
        self.registry = Registry(self._rules)
        self.contexts = Contexts(config, self.clock.now)
        self.waiting = Waiting(self._moved_on, closed=not self.delivered)
        self.membership: Membership | None = None
        self._loops: set[asyncio.Task[None]] = set()
        self._beats: asyncio.Task[None] | None = None
        self._stack = contextlib.AsyncExitStack()

    def has(self, part: str) -> bool:
        """Whether this process runs a part."""
        return self._only in ("", part)

    @property
    def delivered(self) -> bool:
        """Whether what is accepted here is delivered meanwhile, by this process or another."""
        return self.has("delivery") or self.config.shared

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
        if self.membership and store.shared:
            await self._join(self.membership, store.shared, store.left_by)
        if self.has("delivery"):
            for worker in self.workers.values():
                self._loop(worker.run(), worker.name)
            self._loop(self.forwarder.run(), "forwarder")
            self._loop(self.mover.run(), "mover")
            self._loop(self.mailer.run(), "mailer")
            self._loop(self.chores.run(), "chores")

    async def _client(self, name: str, account: Account) -> Client:
        url = account.url
        if url == "sandbox":
            if name not in self.sandboxes:
                self.sandboxes[name] = Sandbox(now=lambda: self.clock.now() / 1000)
                self._stack.push_async_callback(self.sandboxes[name].stop)
            url = await self.sandboxes[name].start()
        self.urls[name] = url
        credentials = Credentials(
            login=account.login.get_secret_value() or ("sandbox" if account.url == "sandbox" else ""),
            psw=account.psw.get_secret_value() or ("sandbox" if account.url == "sandbox" else ""),
            apikey=account.apikey.get_secret_value(),
        )
        client = Client(name=name, url=url, credentials=credentials, clock=self.clock, read=self._patience)
        await client.open()
        self._stack.push_async_callback(client.close)
        return client

    async def _join(self, membership: Membership, shared: Postgres, left_by: int | None) -> None:
        """Work with the nodes that share the store from now on."""
        self.mailer.left_by = left_by
        membership.also = self._look
        await membership.start(left_by)
        shared.listen(membership.heard)
        for name, held in membership.held.items():
            self.clients[name].may = partial(getattr, held, "valid")
        self._beats = asyncio.create_task(membership.run(), name="membership")

    def _build_delivery(self, store: Opened) -> None:
        config = self.config
        self.mailer = Mailer(
            store=self.store,
            reports=config.reports,
            delivery=config.delivery,
            hostname=config.hostname,
            remote=lambda order: assembly.remote(order, self.config, self.forwarder),
            chance=self._chance,
            config=lambda: self.config,
            mailed=lambda verdict: metrics.REPORTS.labels(verdict=verdict).inc(),
        )
        self.mover = Mover(config, store=self.store, workers=self.workers, kick=self.kick)
        self.counts = Counting(self.store, config.caps)
        self.settler = Settler(
            self.store,
            reports=config.reports,
            delivery=config.delivery,
            chance=self._chance,
            notice_due=self.mailer.kick,
            counts=self.counts,
            moved=self._moved,
            held_until=self.waiting.held_until,
        )
        if store.shared:
            self.membership = assembly.membership(
                config,
                store.shared,
                part=self._only,
                store=self.store,
                settler=self.settler,
                workers=self.workers,
                kick=self.kick,
                waiting=self.waiting.look,
            )
        self.watch = Watch(
            config,
            store=self.store,
            counts=self.counts,
            workers=self.workers,
            mail=self.mailer.tell_operator,
            queued=self.queued,
            lends=self.mover.lends,
        )
        self.mailer.trouble, self.counts.told = self.watch.reports_fail, self.watch.capped
        self.escalating = Escalating(
            store=self.store,
            settler=self.settler,
            counts=self.counts,
            config=lambda: self.config,
            queued=self.queued,
            mail=self.mailer.tell_operator,
        )
        self.chores = Chores(
            store=self.store,
            settler=self.settler,
            keep=config.keep,
            delivery=config.delivery,
            kick=self.kick_all,
            others=(Release(self.store, self.settler, self.counts), self.watch, self.escalating),
            own=(self.contexts,),
            leads=lambda: self.membership is None or self.membership.leads,
        )
        self.escalating.wake = self.chores.new_orders
        self.inbox = assembly.inbox(
            self.store,
            self.settler,
            self.counts,
            config=lambda: self.config,
            kick=self.mailer.kick,
            queued=self.queued,
        )
        for name in config.accounts:
            self.workers[name] = assembly.worker(
                name,
                config,
                store=self.store,
                settler=self.settler,
                counts=self.counts,
                held=self.chores.new_orders,
                client=self.clients[name],
                chance=self._chance,
                rest_told=self.watch.rested,
                mover=self.mover,
                inbox=self.inbox,
                permits=self.membership.held[name] if self.membership else None,
            )
        self.hearing = assembly.hearing(self.store, self.settler, self.workers, self.kick)
        self.forwarder = Forwarder(config, store=self.store, settler=self.settler, chance=self._chance)

    def _moved(self, order: Order, state: State, outcome: Outcome) -> None:
        self.waiting.moved(order, state, outcome)
        self.escalating.moved(order, state)

    def _loop(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._loops.add(asyncio.create_task(work, name=name))

    async def _listen(self, spool: str) -> None:
        checks = Checks(lambda: self.config.dns, self.clock)
        self._stack.callback(checks.close)
        accounts = Accounts(lambda: self.config, self.clock)
        handler = Handler(
            config=lambda: self.config,
            admitting=Admitting(lambda: self.config, checks, accounts),
            store=self.store,
            settler=self.settler,
            counts=self.counts,
            reader=self.reader,
            recognisers=lambda: self.recognisers,
            queued=self.queued,
            notice_due=self.mailer.kick,
            waiting=self.waiting,
            accounts=accounts,
        )
        try:
            self.contexts.open()
        except Unusable as why:
            raise CannotStart(f"{why.setting}: {why}") from why
        if (room := connections(self.config.limits.connections)) < self.config.limits.connections:
            _log.warning("few file descriptors, few connections", extra={"connections": room})
        for listener in self.config.listeners:
            limits = Limits(
                max_size=listener.max_size,
                max_recipients=_MOST_RECIPIENTS,
                connections=listener.connections,
                data_rate=self.config.limits.data_rate,
                spool_dir=spool,
                line_endings=listener.line_endings,
            )
            try:
                bound = await server.listen(
                    listener.address,
                    handler.answering(listener),
                    limits,
                    self.registry,
                    hostname=self.config.hostname,
                    protocol=listener.protocol,
                    profile=listener.profile,
                    proxies=listener.proxy_protocol,
                    refused=handler.refused,
                    now=self.clock.now,
                    encryption=self.contexts.encryption(listener),
                    logins=auth.logins(listener),
                )
            except OSError as error:
                raise CannotStart(f"cannot listen on {listener.address}: {in_words(error)}") from error
            self.listeners.append(bound)

    def _rules(self) -> Rules:
        """What clients may take, as it is configured now."""
        config = self.config
        most = connections(config.limits.connections)
        return Rules(limits=config.limits, senders=config.senders, connections=most)

    # -- meanwhile ------------------------------------------------------------------------

    def kick(self, accounts: set[str]) -> None:
        """Something new waits for these accounts; "" is none, for what is forwarded."""
        if "" in accounts:
            self.forwarder.kick()
        for name in accounts & self.workers.keys():
            self.workers[name].kick()
        self.mover.waits(accounts)

    def queued(self, accounts: set[str]) -> None:
        """New orders wait for these accounts, and with them deadlines."""
        self.kick(accounts)
        self.chores.new_orders()
        if self.membership:
            self.membership.queued(accounts)

    def _moved_on(self, order: Order, state: State, outcome: Outcome) -> None:
        assembly.moved(order, state, outcome, kick=self.kick)
        if self.membership and any(listener.answer == "outcome" for listener in self.config.listeners):
            self.membership.has_moved(order.id)

    async def _look(self) -> None:
        """What no word told: reports that another node owes, and whether callbacks arrive there."""
        self.mailer.kick()
        await self.hearing.load()

    def kick_all(self) -> None:
        """Something may be due for any account."""
        self.kick({"", *self.workers})

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
            self._beats.cancel()
            await asyncio.gather(self._beats, return_exceptions=True)
            await self.membership.stop()


def _private_folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
