"""What the tests of faults share: mails of devices, addresses with a fate, a line that breaks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Container, Sequence
from typing import Any

import aiohttp
from harness import SENDER, Journey, StillClock

from relay import model
from relay.config import Alias
from relay.delivery.permits import All
from relay.delivery.worker import Worker
from relay.smsc import outcomes
from relay.smsc.client import Sent
from relay.smsc.sandbox import Call

HOUR = 3600
A, B, Z = "a@mon.example.com", "b@mon.example.com", "z@mon.example.com"


def bare(text: str = "door open") -> str:
    """A device's mail: no Message-ID, no Date, so that no two are repeats of one mail."""
    return f"From: {SENDER}\nSubject: alarm\n\n{text}\n"


def to(fate: str) -> str:
    """An address whose last digits choose its fate."""
    return f"7999123{fate}@sms.example.com"


def asked(relay: Journey) -> list[Call]:
    """The calls to status.php."""
    return [call for call in relay.sandbox.calls if call.path.endswith("status.php")]


def too_often(relay: Journey) -> list[Call]:
    """The questions that the provider refused because there were too many of them."""
    return [call for call in asked(relay) if b'"error_code": 9' in (call.answer or b"")]


def told(relay: Journey) -> list[str]:
    """Whom the reports went to."""
    return sorted(str(report["To"]) for report in relay.reports())


def worker(relay: Journey) -> Worker:
    """The worker of the only account."""
    return relay.app.workers["main"]


def change_route(relay: Journey, **update: Any) -> None:
    """From now on the first route, which is that of SMS, says something else."""
    first, *others = relay.app.config.routes
    routes = (first.model_copy(update=update), *others)
    relay.app.config = relay.app.config.model_copy(update={"routes": routes})


def add_short_route(relay: Journey, expire: int) -> None:
    """A further route to phones, `*@short.example.com`, whose mails are soon too late."""
    short = relay.app.config.routes[0].model_copy(update={"expire": expire, "match": "*@short.example.com"})
    relay.app.config = relay.app.config.model_copy(update={"routes": (short, *relay.app.config.routes)})


def oncall(relay: Journey, *members: str) -> None:
    """From now on there is the alias `oncall`."""
    aliases = {"oncall": Alias.model_validate({"to": list(members)})}
    relay.app.config = relay.app.config.model_copy(update={"aliases": aliases})


def group(relay: Journey, *members: str) -> None:
    """Group g777 at the provider has these members."""
    for name in ("777", "G777"):
        relay.sandbox.groups[name] = list(members)


async def act(relay: Journey, order: int, action: str) -> int:
    """What `smsc-relay queue ACTION` does; the answer's HTTP status."""
    connector = aiohttp.UnixConnector(path=str(relay.app.config.web.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"http://relay/api/queue/{model.show(order)}/{action}") as answer,
    ):
        return answer.status


@contextlib.asynccontextmanager
async def all_slots_taken(relay: Journey, free: int = 1) -> AsyncIterator[None]:
    """Mail of the block waits as if no slot were free; when it ends so many are, for what waits then."""
    one = worker(relay)
    all_, one._permits = one._permits, All(0)
    yield
    one._permits = All(free)
    one.kick()
    if isinstance(relay.clock, StillClock):
        await relay.rest()
    one._permits = all_


class Line:
    """The line to the provider: a send whose number, from 1, is in `broken` finds no connection."""

    def __init__(self, relay: Journey, broken: Container[int]) -> None:
        client = relay.app.clients["main"]
        self.broken = broken
        self.sends: list[tuple[str, tuple[str, ...]]] = []  # the id and the phones of each try
        self._one, self._several = client.send, client.send_list
        client.send = self._send  # type: ignore[method-assign]
        client.send_list = self._send_list  # type: ignore[method-assign]

    async def _send(self, **what: Any) -> Sent:
        return self._broken(what["id"], what["phones"]) or await self._one(**what)

    async def _send_list(self, **what: Any) -> Sent:
        phones = [phone for several, _text in what["lines"] for phone in several]
        return self._broken(what["id"], phones) or await self._several(**what)

    def _broken(self, name: str, phones: Sequence[str]) -> Sent | None:
        self.sends.append((name, tuple(phones)))
        return Sent(outcome=outcomes.no_connection("refused")) if len(self.sends) in self.broken else None


ALWAYS = range(1, 1_000_000)
