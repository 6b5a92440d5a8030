"""One account's calls: each is counted and timed, and how the account stands heeds what came of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from relay import metrics
from relay.delivery.asking import Asking
from relay.delivery.fetching import Fetching
from relay.delivery.polling import Polling
from relay.delivery.standing import Standing
from relay.model import Outcome
from relay.queue.rows import Order, Request
from relay.smsc.wire import Balance

Result = TypeVar("Result")


class Calls:
    """The questions of one account, and what all its calls share."""

    def __init__(
        self, name: str, *, asking: Asking, polling: Polling, fetching: Fetching, standing: Standing
    ) -> None:
        self._name = name
        self._asking = asking
        self._polling = polling
        self._fetching = fetching
        self._standing = standing

    async def timed(self, kind: str, call: Coroutine[Any, Any, Result]) -> Result:
        """Count a call and how long it took; its result is what it meant, or "well"."""
        with metrics.labelled(metrics.CALL_SECONDS, self._name, kind).time():
            outcome = await call
        result = outcome.kind.value if isinstance(outcome, Outcome) else "well"
        metrics.labelled(metrics.CALLS, self._name, kind, result).inc()
        return outcome

    async def fetch(self) -> None:
        """Ask for replies."""
        await self._standing.heed(await self.timed("answers", self._fetching.fetch()))

    async def ask(self, request: Request) -> None:
        """Ask about an unsure request."""
        await self._standing.heed(await self.timed("ask", self._asking.ask(request)))

    async def poll(self, orders: Sequence[Order]) -> None:
        """Ask for the statuses of sent orders."""
        await self._standing.heed(await self.timed("poll", self._polling.poll(orders)))

    async def balance(self, heard: Callable[[Balance], None]) -> None:
        """Ask for the balance, for whoever wants to know it."""
        found = await self.timed("balance", self._asking.balance())
        if isinstance(found, Outcome):
            await self._standing.heed(found)
        else:
            heard(found)

    async def probe(self) -> None:
        """Find out whether a resting account works again."""
        try:
            outcome = await self.timed("probe", self._asking.probe())
        finally:
            self._standing.probing = False
        await self._standing.probed(outcome)
