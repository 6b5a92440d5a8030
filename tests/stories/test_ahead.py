"""While all slots are taken a few sends are claimed already, and leave as soon as one is free.

Flash messages, which never go together.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from faults import asked, bare, change_route, to, worker
from harness import Journey, StillClock

from relay.delivery import ahead, leases
from relay.delivery.news import person
from relay.delivery.permits import All
from relay.model import SECOND, Kind
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
        self.begun: list[str] = []  # the texts of all calls
        self.answers: asyncio.Queue[Sent | None] = asyncio.Queue()
        worker(relay)._permits = All(2)
        self._client.send = self._send  # type: ignore[method-assign]

    async def _send(self, **what: Any) -> Sent:
        self.under_way += 1
        self.begun.append(what["text"])
        self.most = max(self.most, self.under_way)
        instead = await self.answers.get()
        self.under_way -= 1
        return instead or await self._real(**what)

    def open(self) -> None:
        """All calls from now on are answered."""
        for _ in range(20):
            self.answers.put_nowait(None)

    async def answered(self, instead: Sent | None = None) -> None:
        """The call under way is answered by the provider, or by this."""
        self.answers.put_nowait(instead)
        await self._relay.until(self.answers.empty, "the answer")


async def states(relay: Journey) -> list[str]:
    """Of all orders, in their order."""
    return [order.state.value for order in await relay.orders()]


async def looked(relay: Journey, many: int = len(FATES)) -> bool:
    """So many mails have come, and the worker has nothing that it could start."""
    kick, clock = worker(relay)._kick, relay.clock
    assert isinstance(clock, StillClock)
    return len(await relay.orders()) > many and kick in clock.sleepers and not kick.is_set()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call counts as quick, however slow the machine."""
    monkeypatch.setattr(ahead, "QUICK", 60.0)


async def crowd(relay: Journey, channel: str = "flash", many: int = len(FATES)) -> TwoSlots:
    """One mail has been sent quickly; of five more two are on their way, two are claimed, one waits."""
    change_route(relay, channel=channel)
    await relay.mail(bare("quick"), to("4566"))
    await relay.rest()
    line = TwoSlots(relay)
    for number, fate in enumerate(FATES[:many], start=1):
        await relay.mail(bare(f"text {number}"), to(fate))
        if number <= 2:  # each by itself, on a slot of its own
            await relay.until(lambda calls=number: line.under_way == calls, "the call")
    await relay.until(lambda: looked(relay, many), "the look at the last mail")
    return line


@pytest.mark.asyncio
async def test_a_few_are_claimed_and_leave_in_their_order(relay: Journey) -> None:
    """No call more than there are slots, none is told of, and each text once."""
    line = await crowd(relay)
    before, calls = await states(relay), worker(relay).calls
    for _ in FATES:
        await relay.until(lambda: line.under_way, "the next call")
        await line.answered()
    await relay.pass_time(60)

    assert ["sending", "sending", "sending", "sending", "waiting"] == before[1:]
    assert 2 == line.most == calls
    texts = [f"alarm\ntext {n}" for n in (1, 2, 3, 4, 5)]
    assert texts == line.begun
    assert texts == sorted(each.text for each in relay.sandbox.messages[1:])
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


@pytest.mark.asyncio
async def test_a_question_has_the_next_slot(relay: Journey) -> None:
    """A call that broke off is asked about once those claimed before have left, however many more come."""
    line = await crowd(relay)
    await line.answered(Sent(outcome=person(Kind.UNSURE, "4.4.1", "the call broke off")))
    for number in range(6, 14):
        await relay.mail(bare(f"text {number}"), to(f"45{number + 70}"))
    await relay.until(lambda: looked(relay, 13), "the look at the last mail")
    clock = relay.clock
    assert isinstance(clock, StillClock)
    clock.set(clock.now() + 2 * SECOND)
    for _ in range(4):
        await relay.until(lambda: line.under_way == 2 and looked(relay), "two calls")
        await line.answered()
    await relay.until(lambda: asked(relay), "the question")
    left = await states(relay)
    line.open()
    await relay.pass_time(120)

    assert "waiting" in left
    assert 14 == len(relay.sandbox.messages) == len({each.text for each in relay.sandbox.messages})
    assert ["delivered"] * 14 == await states(relay)


@pytest.mark.asyncio
async def test_a_probe_waits_for_a_slot(relay: Journey) -> None:
    """While all are taken an account that came to rest is not asked whether it works again."""
    line = await crowd(relay, many=2)
    await worker(relay).standing.remember(rest="money", probe_at=relay.clock.now())
    worker(relay).kick()
    await relay.until(lambda: looked(relay, 2), "a look")
    probes = [call for call in relay.sandbox.calls if call.path.endswith("balance.php")]
    line.open()

    assert [] == probes


@pytest.mark.asyncio
async def test_who_waits_keeps_its_lease(relay: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls may take longer than a lease, and nobody takes over what is claimed meanwhile."""
    monkeypatch.setattr(leases, "LEASE", 300)
    line, clock = await crowd(relay), relay.clock
    assert isinstance(clock, StillClock)
    clock.set(clock.now() + 10 * SECOND)

    async def kept() -> bool:
        sending = [order for order in await relay.orders() if order.state == "sending"]
        return len(sending) == 4 and all((order.lease_until or 0) > clock.now() for order in sending)

    await relay.until(kept, "the lease of all that are claimed")
    line.open()


@pytest.mark.asyncio
async def test_slots_that_come_while_the_worker_ends(relay: Journey) -> None:
    """What is claimed leaves by them, though nothing more is begun."""
    line = await crowd(relay)
    worker(relay).stop()
    worker(relay)._permits = All(3)
    worker(relay).kick()
    await relay.until(lambda: line.under_way == 3, "the third call")
    line.open()
    await relay.until(lambda: not worker(relay).in_flight, "the end of the calls")

    assert "waiting" == (await states(relay))[-1]


@pytest.mark.asyncio
async def test_slots_that_go_while_calls_are_planned(relay: Journey) -> None:
    """Another node has them by then: nothing is asked without one."""
    change_route(relay, channel="flash")
    await relay.mail(bare("one"), to("4566"))
    await relay.until(lambda: relay.sandbox.messages, "the message")
    await relay.rest()
    gate = worker(relay)._gate
    passed = gate.passed

    async def gone(*what: Any) -> Any:
        worker(relay)._permits = All(0)
        return await passed(*what)

    gate.passed = gone  # type: ignore[method-assign]
    await relay.pass_time(600)
    before = len(asked(relay))
    gate.passed = passed  # type: ignore[method-assign]
    worker(relay)._permits = All(14)
    worker(relay).kick()
    await relay.pass_time(600)

    assert 0 == before
    assert ["delivered"] == await states(relay)
