"""How an account stands with the provider: whether it rests, since when, what it was asked last.

An account that the provider refuses as a whole (login, money, a blocked address) rests: more
calls would make it worse. One balance call per step of `retry` finds out when that is over.
An account on credit may work below zero, which no balance tells: out of money, it tries one
send once the steps have all been waited for.

What a restart must know is written down. Where it can't be, it holds in memory all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from relay.config import Delivery
from relay.delivery import plan
from relay.delivery.plan import Resting
from relay.model import Kind, Outcome, Rest
from relay.queue import schema
from relay.queue.engine import Change, Trouble
from relay.queue.rows import Account
from relay.queue.store import Store

_log = logging.getLogger("relay.delivery")

RestTold = Callable[
    [str, Rest, Outcome | None], None
]  # the account, why it rests, and the answer that said so


class Standing:
    """One account's standing. `told` is called when it goes to rest, or back."""

    def __init__(
        self,
        name: str,
        store: Store,
        delivery: Delivery,
        told: RestTold,
    ) -> None:
        self._name = name
        self._store = store
        self._delivery = delivery
        self._told = told
        self.row = Account(name)
        self.probing = False

    def adopt(self, delivery: Delivery) -> None:
        """Go on by a re-read configuration."""
        self._delivery = delivery

    async def load(self) -> None:
        """Remember what was written down."""
        self.row = (await self._store.accounts()).get(self._name, self.row)

    @property
    def resting(self) -> Resting:
        """Why the account rests, and when it is to be probed; one probe at a time."""
        return Resting(Rest(self.row.rest), None if self.probing else self.row.probe_at)

    async def heed(self, outcome: Outcome | None) -> None:
        """Go to rest where the outcome says so; an accepted send says that all is well."""
        if outcome is None:
            return
        if outcome.rest is not Rest.NONE and self.resting.why is not outcome.rest:
            await self._rest(outcome.rest)
            self._told(self._name, outcome.rest, outcome)
        elif outcome.kind is Kind.ACCEPTED and self.row.probes:
            await self.remember(probes=0)

    async def probed(self, outcome: Outcome | None) -> None:
        """A probe said that the account works (None), or why it does not yet."""
        why = self.resting.why
        on_credit = why is Rest.MONEY and self.row.probes > len(self._delivery.retry)
        if outcome is None or (on_credit and outcome.rest is Rest.MONEY):
            await self.remember(rest="", probe_at=None)
            self._told(self._name, Rest.NONE, None)
        else:
            await self._rest(outcome.rest if outcome.rest is not Rest.NONE else why)

    async def _rest(self, why: Rest) -> None:
        wait = plan.probe_after(self._delivery.retry, self.row.probes, why)
        at = self._store.clock.now() + wait
        await self.remember(rest=why.value, probe_at=at, probes=self.row.probes + 1)

    async def remember(self, **values: Any) -> None:
        """Set columns of the account's row."""
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
            self.row = replace(self.row, version=before.version)
            _log.error("the account's state could not be stored", extra={"why": str(trouble)})
