"""One account's worker, put together from its parts, and what is said of orders."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from relay import __version__, metrics
from relay.config import Config
from relay.delivery.acknowledging import Acknowledging
from relay.delivery.asking import Asking
from relay.delivery.counting import Counting
from relay.delivery.fetching import Fetching
from relay.delivery.forwarding import Forwarder
from relay.delivery.gate import Gate
from relay.delivery.hearing import Hearing
from relay.delivery.inbox import Inbox
from relay.delivery.judging import Judging
from relay.delivery.membership import Membership
from relay.delivery.moving import Mover
from relay.delivery.permits import All, Permits
from relay.delivery.polling import Polling
from relay.delivery.questions import Questions
from relay.delivery.sending import Sending
from relay.delivery.settle import Settler
from relay.delivery.standing import RestTold, Standing
from relay.delivery.worker import Worker
from relay.model import Outcome
from relay.queue.nodes import Nodes
from relay.queue.postgres import Postgres
from relay.queue.rows import Order
from relay.queue.states import State
from relay.queue.store import Store
from relay.smsc.client import Client

_log = logging.getLogger("relay.delivery")


def worker(
    account: str,
    config: Config,
    *,
    store: Store,
    settler: Settler,
    counts: Counting,
    held: Callable[[], None],
    client: Client,
    chance: Callable[[], float],
    rest_told: RestTold,
    mover: Mover,
    inbox: Inbox,
    permits: Permits | None = None,
) -> Worker:
    """The worker of an account, with its own sending, asking and standing; it has all slots by default."""
    sending = Sending(store=store, settler=settler, client=client, delivery=config.delivery, chance=chance)
    questions = Questions()
    asking = Asking(
        store=store,
        settler=settler,
        client=client,
        sending=sending,
        delivery=config.delivery,
        questions=questions,
        elsewhere=mover.elsewhere,
    )
    polling = Polling(
        store=store,
        settler=settler,
        client=client,
        delivery=config.delivery,
        chance=chance,
        questions=questions,
    )
    standing = Standing(
        account, store, config.delivery, rest_told, changed=mover.wake, lends=lambda: mover.lends(account)
    )
    gate = Gate(store, settler, counts, held)
    judging = Judging(
        account,
        store,
        settler,
        gate=gate,
        counts=counts,
        settings=config.storm,
        language=config.reports.language,
    )
    fetching = Fetching(
        account,
        store,
        client=client,
        standing=standing,
        inbox=inbox,
        settings=inbox.settings,
        heard=lambda name: settler.terms.heard(name),  # noqa: PLW0108 - who hears is made after this
    )
    return Worker(
        name=account,
        permits=permits or All(config.accounts[account].slots),
        store=store,
        judging=judging,
        sending=sending,
        asking=asking,
        polling=polling,
        standing=standing,
        gate=gate,
        fetching=fetching,
    )


def membership(
    config: Config,
    shared: Postgres,
    *,
    part: str,
    store: Store,
    settler: Settler,
    workers: Mapping[str, Worker],
    kick: Callable[[set[str]], None],
    waiting: Callable[[Iterable[int]], None],
) -> Membership:
    """This node among those that share the store."""
    name = f"{config.hostname} {socket.gethostname()}:{os.getpid()}"
    made = Membership(
        Nodes(shared, name=name, part=part, version=__version__),
        store=store,
        settler=settler,
        workers=workers,
        slots={account: each.slots for account, each in config.accounts.items()},
        delivers=part in ("", "delivery"),
        kick=kick,
        moved=waiting,
        tell=shared.tell,
    )
    made.deaf = lambda: not shared.listening
    return made


def hearing(
    store: Store, settler: Settler, workers: Mapping[str, Worker], kick: Callable[[set[str]], None]
) -> Hearing:
    """What hears the provider's callbacks; the settler learns from it whether they arrive."""

    async def rest(account: str, outcome: Outcome) -> None:
        if account in workers:
            await workers[account].standing.heed(outcome)

    made = Hearing(store=store, settler=settler, rest=rest, kick=kick)
    settler.terms.heard = made.heard_at
    return made


def inbox(
    store: Store,
    settler: Settler,
    counts: Counting,
    *,
    config: Callable[[], Config],
    kick: Callable[[], None],
    queued: Callable[[set[str]], None],
) -> Inbox:
    """What takes messages of phones, acknowledgements among them."""
    acknowledging = Acknowledging(store=store, settler=settler, counts=counts, config=config, queued=queued)
    return Inbox(store=store, config=config, kick=kick, acknowledging=acknowledging)


def remote(order: Order, config: Config, forwarder: Forwarder) -> str:
    """The host that an order's last outcome came from, as reports name it; "" for none."""
    if order.forwarded:
        return forwarder.host(order.target) if order.code else ""
    account = config.accounts.get(order.account)
    if account is None or not order.request_id:
        return ""
    return "sandbox" if account.url == "sandbox" else urlsplit(account.url).hostname or ""


def moved(order: Order, state: State, outcome: Outcome, *, kick: Callable[[set[str]], None]) -> None:
    """Count and log that an order came to a state; where it waits, whoever may take it is woken."""
    metrics.labelled(metrics.MOVES, order.account, state.value).inc()
    _log.info(
        "moved",
        extra={
            "order": order.named,
            "state": state.value,
            "status": outcome.status,
            "code": outcome.code,
        },
    )
    if state is State.WAITING:
        kick({order.account})
