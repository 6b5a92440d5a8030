"""The rooms: each is built here, in the order of a message's journey, and joined to the others.

Nothing runs by that but what must be open to be built: stores, the provider's clients, doors.
`app` starts and stops them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from collections.abc import Callable

from relay import metrics
from relay.clock import Clock, Follower
from relay.config import Account, Config
from relay.delivery import assembly
from relay.delivery.chores import Chores
from relay.delivery.counting import Counting
from relay.delivery.dozing import Dozing
from relay.delivery.escalating import Escalating, Hurrying
from relay.delivery.forwarding import Forwarder
from relay.delivery.membership import Membership
from relay.delivery.moving import Mover
from relay.delivery.release import Release
from relay.delivery.settle import Settler
from relay.delivery.watching import Watch
from relay.delivery.worker import Worker
from relay.message import recognisers
from relay.message.reader import Reader
from relay.model import Outcome
from relay.queue.choice import Opened
from relay.queue.rows import Order
from relay.queue.states import State
from relay.queue.store import Store
from relay.report.mailer import Mailer
from relay.smsc.client import Client, Credentials
from relay.smsc.sandbox import Sandbox
from relay.smtp import auth, server
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

_log = logging.getLogger("relay.app")

_MOST_RECIPIENTS = 100_000  # the handler asks the configuration, which may be re-read


class CannotStart(Exception):  # noqa: N818
    """A part can't start; the text says which and why."""


def in_words(error: OSError) -> str:
    """What the system says of a failure, without numbers and our library's words."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


class Rooms:
    """All rooms of one relay. `only` is one of `app.PARTS`, or "" for all of them."""

    store: Store  # opened first of all, by whoever starts
    reader: Reader

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
        self._ruled: tuple[Config, Rules] | None = None  # what was made of the configuration last
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

    # -- building -------------------------------------------------------------------------

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
            failed=self.watch.step_failed,
        )
        self.chores = Chores(
            store=self.store,
            settler=self.settler,
            keep=config.keep,
            delivery=config.delivery,
            kick=self.kick_all,
            others=(
                Release(self.store, self.settler, self.counts),
                self.watch,
                self.escalating,
                Dozing(self.store),
            ),
            own=(self.contexts, Hurrying(self.escalating)),
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
        self.watch.heard = self.hearing.heard_at
        self.forwarder = Forwarder(config, store=self.store, settler=self.settler, chance=self._chance)

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
                    among=self.config.workers > 1,
                )
            except OSError as error:
                raise CannotStart(f"cannot listen on {listener.address}: {in_words(error)}") from error
            self.listeners.append(bound)

    def _rules(self) -> Rules:
        """What clients may take, as it is configured now; asked for several times a mail."""
        config = self.config
        if self._ruled is None or self._ruled[0] is not config:
            most = connections(config.limits.connections)
            self._ruled = config, Rules(limits=config.limits, senders=config.senders, connections=most)
        return self._ruled[1]

    # -- what one room tells the others -----------------------------------------------------

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

    def _moved(self, order: Order, state: State, outcome: Outcome) -> None:
        self.waiting.moved(order, state, outcome)
        self.escalating.moved(order, state)
        self.watch.moved(order, state)
