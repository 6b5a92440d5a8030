"""The forwarder: mail that goes on untouched to another mail server, like any MTA's queue.

Read aloud: until told to stop: read the forwards that are due; find for each the smarthost that
the configuration names for it now; put those of one mail and one smarthost together; claim them
under a lease; hand each mail over, on a connection of its own, AT_ONCE to a smarthost at a time;
sleep until one ends, new mail comes, or the next thing falls due.

What can go wrong. No connection: the smarthost is left alone for the first step of `retry`, and
what waits for it keeps waiting. A slow smarthost keeps its own connections busy and nobody
else's. A connection that breaks after the last octet, or a process that dies: the mail goes once
more, for no server can be asked what it took (RFC 1047). Rows that changed meanwhile, and a store
that fails, are met in `rounds`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from relay import model
from relay.config import Config
from relay.delivery import leases, nexthop, passing, plan
from relay.delivery.news import News, anew, news_of
from relay.delivery.nexthop import Handed, Parcel
from relay.delivery.rounds import Rounds
from relay.delivery.settle import Settler
from relay.message import postmaster, routes
from relay.message.channels import FORWARD
from relay.model import Kind, Outcome
from relay.queue.engine import Change, Trouble
from relay.queue.rows import Order
from relay.queue.states import Event
from relay.queue.store import Store
from relay.report import smarthost
from relay.report.smarthost import Smarthost

_log = logging.getLogger("relay.delivery")

AT_ONCE = 4
"""Connections to one smarthost."""
RECIPIENTS = 100
"""Of one transaction: what every server has to take (RFC 5321 section 4.5.3.1.8)."""
PAGE = 400
"""Orders read at once."""
PAGES = 5
"""Pages that are looked through for mail that need not wait for a busy smarthost."""


def ways(config: Config) -> list[Smarthost]:
    """All smarthosts of routes, each once."""
    found = (smarthost.of(route.smtp) for route in config.routes if route.smtp and route.channel == FORWARD)
    return list(dict.fromkeys(found))


def smarthost_for(address: str, config: Config) -> Smarthost | None:
    """The smarthost that an address goes to; None where it is not forwarded."""
    route = routes.find(address, config.routes)
    found = route.smtp if route is not None and route.channel == FORWARD else None
    if found is None and address == config.reports.operator:
        found = postmaster.smarthost(config)
    return smarthost.of(found) if found is not None else None


class Forwarder(Rounds[Smarthost | None]):
    """Forwards for all routes; its calls, the transactions, are marked by their smarthosts."""

    def __init__(
        self, config: Config, *, store: Store, settler: Settler, chance: Callable[[], float]
    ) -> None:
        super().__init__(store)
        self._config = config
        self._settler = settler
        self._chance = chance
        self._ways = ways(config)
        self._alone: dict[Smarthost, int] = {}  # until when it is left alone

    def adopt(self, config: Config) -> None:
        """Go on by a re-read configuration."""
        self._config, self._ways = config, ways(config)
        self._alone.clear()
        self._kick.set()

    def host(self, address: str) -> str:
        """The host that an address is forwarded to now, "" for none."""
        found = smarthost_for(address, self._config)
        return found.host if found else ""

    # -- a round --------------------------------------------------------------------------

    async def round(self) -> int | None:
        """Start every transaction that may start now; when to look again at the latest."""
        now = self._store.clock.now()
        self._alone = {where: until for where, until in self._alone.items() if until > now}
        last: Order | None = None
        for _ in range(PAGES):
            due = await self._store.due_forwards(now, PAGE, last)
            await self._start(due, now)
            if len(due) < PAGE or self._stopping or (self._ways and not any(map(self._room, self._ways))):
                break
            last = due[-1]
        moments = [await self._store.next_send("", now), *self._alone.values()]
        return min((moment for moment in moments if moment is not None), default=None)

    async def _start(self, due: Sequence[Order], now: int) -> None:
        """Claim what may go now in one transaction, then begin; what came too late has failed."""
        if late := [order for order in due if order.expire_at <= now]:
            await self._settler.settle([news_of(order.id, passing.expired(order.outcome)) for order in late])
            self._kick.set()  # there may be more behind them
            due = [order for order in due if order.expire_at > now]
        change = Change()
        take = partial(leases.take, change, self._store, event=Event.CLAIMED, now=now)
        claimed: list[tuple[Smarthost | None, list[Order]]] = []
        for where, orders in self._parcels(due):
            detail = f"for {where.address}" if where else ""
            claimed.append((where, [take(order, detail=detail) for order in orders]))
        if not claimed:
            return
        await self._store.write(change)
        for where, orders in claimed:
            self._begin(self._forward(where, orders), where)

    def _parcels(self, due: Sequence[Order]) -> Iterator[tuple[Smarthost | None, list[Order]]]:
        """The orders of a mail that go the same way, as many such as the smarthosts may take now."""
        found: dict[object, tuple[Smarthost | None, list[Order]]] = {}
        for order in due:
            where = smarthost_for(order.target, self._config)
            row = found.setdefault((order.mail_id, where), (where, []))
            row[1].append(order)
        rooms = {where: self._room(where) for where, _orders in found.values()}
        for where, orders in found.values():
            for start in range(0, min(len(orders), rooms[where] * RECIPIENTS), RECIPIENTS):
                rooms[where] -= 1
                yield where, orders[start : start + RECIPIENTS]

    def _room(self, where: Smarthost | None) -> int:
        """How many more transactions may begin with this smarthost now."""
        taken = list(self._tasks.values()).count(where)
        return 0 if where in self._alone else max(0, AT_ONCE - taken)

    # -- a transaction --------------------------------------------------------------------

    async def _forward(self, where: Smarthost | None, orders: Sequence[Order]) -> None:
        told = await self._told(where, orders)
        news = [each for order in orders for each in self._news(order, told[order.recipient_id])]
        await self._settler.surely(news, fence=leases.fence(orders))

    async def _told(self, where: Smarthost | None, orders: Sequence[Order]) -> dict[int, Outcome]:
        """What became of each recipient."""
        wanted = {order.recipient_id for order in orders}
        if where is None:
            return dict.fromkeys(wanted, passing.unrouted())
        try:
            async with leases.kept(self._store, orders):
                parcel = await self._parcel(orders)
                await leases.still_ours(self._store, orders)
                handed = await nexthop.hand_over(where, parcel, hostname=self._config.hostname)
        except (leases.Lost, Trouble) as why:
            _log.warning("a mail was not forwarded", extra={"mail": _mail(orders), "why": str(why)})
            return dict.fromkeys(wanted, passing.unreadable(str(why)))
        if not handed.reached:
            self._alone[where] = self._store.clock.now() + self._config.delivery.retry[0]
        self._say(where, orders, handed)
        return handed.told

    async def _parcel(self, orders: Sequence[Order]) -> Parcel:
        mail = (await self._store.mails({orders[0].mail_id}))[orders[0].mail_id]
        contents = await self._store.contents({orders[0].content_id or 0})
        files = [file for content in contents.values() for file in content.attachments]
        if not files:
            raise Trouble("it is no longer kept")
        recipients = await self._store.recipients({order.recipient_id for order in orders})
        meant = {order.recipient_id: order.target for order in orders}  # the postmaster's is another one
        named = [replace(each, address=meant[key]) for key, each in recipients.items()]
        in_order = sorted(named, key=lambda each: each.position)

        def chunks() -> AsyncIterator[bytes]:
            return self._store.file_chunks(files[0])

        return Parcel(
            mail=mail,
            recipients=tuple(in_order),
            size=files[0].size,
            chunks=chunks,
            now=self._store.clock.now(),
        )

    def _news(self, order: Order, outcome: Outcome) -> list[News]:
        if outcome.kind is not Kind.UNSURE:
            return [news_of(order.id, outcome)]
        now = self._store.clock.now()
        due = plan.retry_at(now, order.attempts, self._config.delivery.retry, self._chance())
        return anew(order.id, outcome, due_at=due)

    def _say(self, where: Smarthost, orders: Sequence[Order], handed: Handed) -> None:
        kinds = [outcome.kind for outcome in handed.told.values()]
        _log.info(
            "forwarded",
            extra={
                "mail": _mail(orders),
                "to": where.address,
                "taken": kinds.count(Kind.DELIVERED),
                "refused": kinds.count(Kind.REFUSED),
                "later": len(kinds) - kinds.count(Kind.DELIVERED) - kinds.count(Kind.REFUSED),
            },
        )


def _mail(orders: Sequence[Order]) -> str:
    return model.show(orders[0].mail_id)
