"""While all slots are taken a few sends are claimed already, and leave as soon as one is free.

Flash messages, which never go together.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from faults import bare, change_route, to, worker
from harness import Journey, StillClock

from relay.delivery import ahead
from relay.delivery.permits import All
from relay.smsc import outcomes
from relay.smsc.client import Sent

FATES = ("4567", "4568", "4569", "4570", "4571")


class TwoSlots:
    """A line on which two calls at a time may go, and each is answered only when that is said."""

    def __init__(self, relay: Journey) -> None:
        self._relay = relay
        self._client = relay.app.clients["main"]
        self._real = self._client.send
        self.under_way = self.most = 0
        self.answers: asyncio.Queue[Sent | None] = asyncio.Queue()
        worker(relay)._permits = All(2)
        self._client.send = self._send  # type: ignore[method-assign]

    async def _send(self, **what: Any) -> Sent:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        instead = await self.answers.get()
        self.under_way -= 1
        return instead or await self._real(**what)

    def open(self) -> None:
        """All calls from now on are answered."""
        for _ in FATES:
            self.answers.put_nowait(None)

    async def answered(self, instead: Sent | None = None) -> None:
        """The call under way is answered by the provider, or by this."""
        self.answers.put_nowait(instead)
        await self._relay.until(self.answers.empty, "the answer")


async def states(relay: Journey) -> list[str]:
    """Of all orders, in their order."""
    return [order.state.value for order in await relay.orders()]


async def looked(relay: Journey) -> bool:
    """All mails have come, and the worker has nothing that it could start."""
    kick, clock = worker(relay)._kick, relay.clock
    assert isinstance(clock, StillClock)
    return len(await relay.orders()) > len(FATES) and kick in clock.sleepers and not kick.is_set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call counts as quick, however slow the machine."""
    monkeypatch.setattr(ahead, "QUICK", 60.0)


async def crowd(relay: Journey, channel: str = "flash") -> TwoSlots:
    """One mail has been sent quickly; of five more two are on their way, two are claimed, one waits."""
    change_route(relay, channel=channel)
    await relay.mail(bare("quick"), to("4566"))
    await relay.rest()
    line = TwoSlots(relay)
    for number, fate in enumerate(FATES, start=1):
        await relay.mail(bare(f"text {number}"), to(fate))
    await relay.until(lambda: looked(relay), "the look at the last mail")
    return line


@pytest.mark.asyncio
async def test_a_few_are_claimed_and_leave_in_their_order(relay: Journey) -> None:
    """No call more than there are slots, and each text once."""
    line = await crowd(relay)
    before = await states(relay)
    for _ in FATES:
        await relay.until(lambda: line.under_way, "the next call")
        await line.answered()
    await relay.pass_time(60)

    assert ["sending", "sending", "sending", "sending", "waiting"] == before[1:]
    assert 2 == line.most
    assert [f"alarm\ntext {n}" for n in (1, 2, 3, 4, 5)] == [each.text for each in relay.sandbox.messages[1:]]
    assert ["delivered"] * 6 == await states(relay)


@pytest.mark.asyncio
async def test_where_calls_are_slow_what_waits_is_left_alone(
    relay: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may still be merged or dropped, and leaves with all that came meanwhile."""
    monkeypatch.setattr(ahead, "QUICK", 0.0)
    line = await crowd(relay)
    before = await states(relay)
    line.open()

    assert ["sending", "sending", "waiting", "waiting", "waiting"] == before[1:]


@pytest.mark.asyncio
async def test_plain_sms_wait_for_company(relay: Journey) -> None:
    """Those that came while all slots were taken are to leave in one list."""
    line = await crowd(relay, "sms")
    before = await states(relay)
    line.open()

    assert ["sending", "sending", "waiting", "waiting", "waiting"] == before[1:]


@pytest.mark.asyncio
async def test_nothing_leaves_once_the_account_rests(relay: Journey) -> None:
    """What was claimed waits as all the rest does, with the request that it has, and goes out once."""
    line = await crowd(relay)
    for _ in range(2):
        await line.answered(Sent(outcome=outcomes.for_error("2", "authorise error")))
    await relay.rest()
    resting, calls = await states(relay), line.under_way
    line.open()
    await relay.pass_time(2 * 3600)

    assert ["waiting"] * 5 == resting[1:]
    assert 0 == calls
    assert 6 == len(relay.sandbox.messages) == len({each.text for each in relay.sandbox.messages})
    assert ["delivered"] * 6 == await states(relay)
