"""Moves orders to another account, where the one that they wait for rests.

Read aloud: whenever an account went to rest or works again, and whenever something came to
wait for one that rests, read what waits for it by rank and age, ask the rule of `fallback`,
and write the moves, a bounded batch a transaction: the account changes, the request that
found no connection is let go of (its id was meant for the first account), and what had been
tried is due at once. A story says why. The worker of the new account is woken.

What can go wrong. An order changed meanwhile (it was claimed, held, dropped): its batch is
read again. A store that can't be written: nothing has moved, it is tried a second later.
Killed in between: a batch moved or it did not; the next start looks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from relay import metrics
from relay.config import Config
from relay.delivery import fallback
from relay.delivery.worker import Worker
from relay.model import SECOND, Rest
from relay.queue import schema
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.rows import Order
from relay.queue.store import Store, tell

_log = logging.getLogger("relay.delivery")

STEP = 200
"""Orders that one transaction moves at most."""


class Mover:
    """The moves between the accounts of one node. `workers` fills as they are built."""

    def __init__(
        self, config: Config, *, store: Store, workers: Mapping[str, Worker], kick: Callable[[set[str]], None]
    ) -> None:
        self._store = store
        self._workers = workers
        self._kick = kick
        self._wake = asyncio.Event()
        self._strays = True  # orders may wait for accounts that are configured no more
        self._stopping = False
        self.adopt(config)

    def adopt(self, config: Config) -> None:
        """Go on by a re-read configuration."""
        self._lending = {
            name for route in config.routes if len(set(route.accounts)) > 1 for name in route.accounts
        }

    def lends(self, account: str) -> bool:
        """Whether some route names another account beside this one."""
        return account in self._lending

    def elsewhere(self, order: Order) -> bool:
        """Whether another account would carry the order now."""
        return fallback.elsewhere(order, self.standings())

    def standings(self) -> dict[str, Rest]:
        """Why each configured account rests."""
        return {name: worker.resting.why for name, worker in self._workers.items()}

    def wake(self) -> None:
        """An account went to rest, or works again."""
        self._wake.set()

    def waits(self, accounts: Collection[str]) -> None:
        """Something came to wait for these accounts."""
        standings = self.standings()
        strays = any(name and name not in standings for name in accounts)
        self._strays = self._strays or strays
        if strays or any(standings.get(name) for name in accounts):
            self._wake.set()

    def stop(self) -> None:
        """End after the batch under way."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Move what is to be moved, whenever woken, until stopped."""
        while not self._stopping:
            until = None
            try:
                await self.turn()
            except Stale:
                self._wake.set()
            except Trouble as trouble:
                _log.error("orders could not be moved to another account", extra={"why": str(trouble)})
                until = self._store.clock.now() + SECOND
            if not self._stopping:
                await self._store.clock.wait(self._wake, until)

    async def turn(self) -> None:
        """Empty every account that rests, and those that are configured no more."""
        for account, rest in self.standings().items():
            if rest is not Rest.NONE and self._another_works(account):
                await self._empty(account)
        if self._strays:
            await self._gather()

    async def _gather(self) -> None:
        self._strays = False
        try:
            for account in sorted(await self._store.waited_for() - self._workers.keys()):
                await self._empty(account)
        except Trouble:
            self._strays = True
            raise

    def _another_works(self, account: str) -> bool:
        """Whether any other account works, without which there is nothing to look for."""
        return any(rest is Rest.NONE for name, rest in self.standings().items() if name != account)

    async def _empty(self, account: str) -> None:
        after: Order | None = None
        while rows := await self._store.to_move(account, self._store.clock.now(), STEP, after):
            after = rows[-1]
            await self._move(account, rows)
            if self._stopping or len(rows) < STEP:
                return

    async def _move(self, account: str, rows: list[Order]) -> None:
        now = self._store.clock.now()
        held = {order.request_id for order in rows if order.request_id is not None}
        requests = {request.id: request for request in await self._store.requests(held)} if held else {}
        standings = self.standings()
        change, moved = Change(), Counter[str]()
        for order in rows:
            to = fallback.account_for(order, requests.get(order.request_id or 0), standings)
            if to == account:
                continue
            due = min(order.due_at, now) if order.attempts else order.due_at
            change.update(schema.orders, order.id, order.version, account=to, request_id=None, due_at=due)
            tell(change, self._store, order.id, "moved", f"to {to}: {fallback.why(account, standings)}")
            moved[to] += 1
        if not moved:
            return
        await self._store.write(change)
        for to, count in moved.items():
            metrics.LENT.labels(account=account, to=to).inc(count)
            _log.warning(
                "orders moved to another account", extra={"account": account, "to": to, "orders": count}
            )
        self._kick(set(moved))
