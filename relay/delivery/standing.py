"""How an account stands with the provider: whether it rests, since when, what it was asked last.

An account that the provider refuses as a whole (login, money, a blocked address) rests: more
calls would make it worse. One balance call per step of `retry` finds out when that is over.
An account on credit may work below zero, which no balance tells: out of money, it tries one
send once the steps have all been waited for. One that can't be connected to for a while rests
too where another account may take its orders (`fallback`); that is kept in memory only, for
a restart finds it out soon enough.

What a restart must know is written down. Where it can't be, it holds in memory all the same.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relay.config import Delivery
from relay.delivery import fallback, plan
from relay.delivery.fallback import Reach
from relay.delivery.plan import Resting
from relay.model import Kind, Outcome, Rest
from relay.queue import schema
from relay.queue.engine import Change, Full, Trouble
from relay.queue.rows import Account
from relay.queue.store import Store

_log = logging.getLogger("relay.delivery")

RestTold = Callable[
    [str, Rest, Outcome | None], None
]  # the account, why it rests, and the answer that said so


class Standing:
    """One account's standing. `told` is called when it goes to rest, or back.

    `changed` is called then too, and when a rest was loaded; `lends` says whether another
    account may take its orders.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        delivery: Delivery,
        told: RestTold,
        *,
        changed: Callable[[], None] = lambda: None,
        lends: Callable[[], bool] = lambda: False,
    ) -> None:
        self._name = name
        self._store = store
        self._delivery = delivery
        self._told = told
        self._changed = changed
        self._lends = lends
        self._reach = Reach()
        self.row = Account(name)
        self.probing = False
        self._loaded = False

    def adopt(self, delivery: Delivery) -> None:
        """Go on by a re-read configuration."""
        self._delivery = delivery

    async def load(self) -> None:
        """Remember what was written down, by whichever node."""
        before = self.row.rest
        self.row = (await self._store.accounts()).get(self._name, self.row)
        if self.row.rest != before or not self._loaded:
            self._loaded = True
            self._changed()

    async def may_probe(self, now: int) -> bool:
        """Whether the account may be probed now: of several nodes one does, a step at a time."""
        why = self.row.rest
        if not self._store.shared or not why:
            return True
        wait = plan.probe_after(self._delivery.retry, self.row.probes, Rest(why))
        return await self.remember(probe_at=now + wait)

    @property
    def resting(self) -> Resting:
        """Why the account rests, and when it is to be probed; one probe at a time."""
        why, probe_at = Rest(self.row.rest), self.row.probe_at
        if why is Rest.NONE and self._reach.lost:
            why, probe_at = Rest.UNREACHABLE, self._reach.probe_at
        return Resting(why, None if self.probing else probe_at)

    async def heed(self, outcome: Outcome | None) -> None:
        """Go to rest where the outcome says so; an accepted send says that all is well."""
        if outcome is None:
            return
        if outcome.rest is Rest.UNREACHABLE:
            self._missed(outcome)
            return
        if fallback.answered(outcome):
            self._reached()
        if outcome.rest is not Rest.NONE and self.resting.why is not outcome.rest:
            await self._rest(outcome.rest)
            self._tell(outcome.rest, outcome)
        elif outcome.kind is Kind.ACCEPTED and self.row.probes:
            await self.remember(probes=0)

    async def probed(self, outcome: Outcome | None) -> None:
        """A probe said that the account works (None), or why it does not yet."""
        why = self.resting.why
        if why is Rest.UNREACHABLE:
            await self._probed_unreachable(outcome)
            return
        on_credit = why is Rest.MONEY and self.row.probes > len(self._delivery.retry)
        if outcome is None or (on_credit and outcome.rest is Rest.MONEY):
            await self.remember(rest="", probe_at=None)
            self._tell(Rest.NONE, None)
        else:
            said = outcome.rest not in (Rest.NONE, Rest.UNREACHABLE)
            await self._rest(outcome.rest if said else why)

    def _missed(self, outcome: Outcome) -> None:
        """No connection: where that lasts and somebody else may send, the account rests."""
        if not self._lends():
            self._reached()
            return
        before, now = self.resting.why, self._store.clock.now()
        self._reach = self._reach.missed(now, self._delivery.retry)
        if before is Rest.NONE and self.resting.why is Rest.UNREACHABLE:
            self._tell(Rest.UNREACHABLE, outcome)

    def _reached(self) -> None:
        """A connection was made."""
        before, self._reach = self.resting.why, Reach()
        if before is Rest.UNREACHABLE:
            self._tell(Rest.NONE, None)

    async def _probed_unreachable(self, outcome: Outcome | None) -> None:
        """An answer that can be read ends it, though it may be one that rests the account."""
        if outcome is not None and not outcome.code:
            self._reach = self._reach.probed(self._store.clock.now(), self._delivery.retry)
        elif outcome is None or outcome.rest is Rest.NONE:
            self._reached()
        else:
            await self.heed(outcome)

    def _tell(self, rest: Rest, outcome: Outcome | None) -> None:
        self._told(self._name, rest, outcome)
        self._changed()

    async def _rest(self, why: Rest) -> None:
        wait = plan.probe_after(self._delivery.retry, self.row.probes, why)
        at = self._store.clock.now() + wait
        await self.remember(rest=why.value, probe_at=at, probes=self.row.probes + 1)

    async def remember(self, **values: Any) -> bool:
        """Set columns of the account's row; False where another node has changed it, which counts then."""
        before = self.row
        self.row = replace(before, **values, version=before.version + 1)
        change = Change()
        if before.version:
            change.update(schema.account, self._name, before.version, **values)
        else:
            change.insert(schema.account, name=self._name, **{**values, "version": 1})
        try:
            await self._store.write(change)
        except Trouble as trouble:
            if self._store.shared and not isinstance(trouble, Full):
                self.row = before
                with contextlib.suppress(Trouble):
                    await self.load()
                return False
            self.row = replace(self.row, version=before.version)
            _log.error("the account's state could not be stored", extra={"why": str(trouble)})
        return True
