"""More attacks: starts and stops, crashes, full disks, odd answers."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from harness import SENDER, START, Journey, StillClock, journey, settings

import aiohttp
from dataclasses import replace
from relay import model
from relay.smsc.client import Sent
from relay.app import App
from relay.delivery import settle
from relay.smsc import outcomes
from relay.config import Alias
from relay.queue.engine import Full, Trouble
from relay.queue.states import State
from relay.smsc.sandbox import Sandbox

HOURS = 3600


def bare(text: str = "door open") -> str:
    return f"From: {SENDER}\nSubject: alarm\n\n{text}\n"


def to(fate: str) -> str:
    return f"7999123{fate}@sms.example.com"


@pytest.mark.asyncio
async def test_a_door_alone_then_delivery_two_days_later_sends_nothing_late(tmp_path: Path) -> None:
    """Delivery was down for two days: what waited has failed, no phone rings at night."""
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox, only="smtp") as relay:
        await relay.mail(bare(), [to(f"{4000 + n}") for n in range(900)])
    clock.set(START + 48 * HOURS * 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.pass_time(200)

    assert [] == sandbox.messages


@pytest.mark.asyncio
async def test_a_released_order_past_its_time_is_not_sent(tmp_path: Path) -> None:
    """Merged into one that is dropped after its own expire: it has failed, it is not sent."""
    async with journey(tmp_path) as relay:
        short = relay.app.config.routes[0].model_copy(update={"expire": 60_000, "match": "*@short.example.com"})
        relay.app.config = relay.app.config.model_copy(update={"routes": (short, *relay.app.config.routes)})
        relay.sandbox.next_send_faults.append(3)
        relay.sandbox.set_balance("0")
        await relay.mail(bare(), to("4567"), sender="a@mon.example.com")
        await relay.pass_time(1)
        relay.app.workers["main"]._account = type(relay.app.workers["main"]._account)("main")
        await relay.mail(bare(), "79991234567@short.example.com", sender="b@mon.example.com")
        await relay.pass_time(0)
        a, b = await relay.orders()
        assert State.MERGED is b.state
        await relay.pass_time(300)
        late = [r["To"] for r in relay.reports()]
        a, b = await relay.orders()

    assert ["b@mon.example.com"] == late or b.finished_at is not None


@pytest.mark.asyncio
async def test_success_of_an_alias_spoken_for_by_two_recipients(relay: Journey) -> None:
    """Settled apart: told once."""
    relay.app.config = relay.app.config.model_copy(
        update={"aliases": {"oncall": Alias.model_validate({"to": ["+79991234567", "+79991234569"]})}}
    )
    await relay.mail(bare(), to("4567"), sender="a@mon.example.com")
    await relay.pass_time(5)
    await relay.mail(bare(), to("4569"), sender="a@mon.example.com")
    await relay.pass_time(1)
    await relay.mail(bare(), "oncall@sms.example.com", sender="b@mon.example.com",
                     rcpt_options=["NOTIFY=SUCCESS"])
    await relay.pass_time(300)

    assert ["b@mon.example.com"] == [r["To"] for r in relay.reports()]


@pytest.mark.asyncio
async def test_two_speakers_of_one_alias_end_at_once(relay: Journey) -> None:
    """Their settlements overlap: the alias is told of its success all the same."""
    relay.app.config = relay.app.config.model_copy(
        update={"aliases": {"oncall": Alias.model_validate({"to": ["+79991230122", "+79991240122"]})}}
    )
    await relay.mail(bare(), ["79991230122@sms.example.com", "79991240122@sms.example.com"], sender="a@mon.example.com")
    await relay.pass_time(1)
    await relay.mail(bare(), "oncall@sms.example.com", sender="b@mon.example.com", rcpt_options=["NOTIFY=SUCCESS"])
    await relay.pass_time(3)
    first, second, *merged = await relay.orders()
    assert {State.MERGED} == {order.state for order in merged}
    done = outcomes.for_status(1)
    await asyncio.gather(*(relay.app.settler.settle([settle.of(o.id, done)]) for o in (first, second)))
    await relay.pass_time(30)

    assert ["b@mon.example.com"] == [r["To"] for r in relay.reports()]


@pytest.mark.asyncio
async def test_expired_within_the_answer_to_a_send_is_final(relay: Journey) -> None:
    """`op=1` says status 3 of a phone: the order ends, it is not `sending` for ever."""
    exchange = relay.app.clients["main"]._exchange
    real = exchange.post

    async def odd(path: str, body: Any, before: Any = None) -> Any:
        heard = await real(path, body, before)
        if path != "send.php":
            return heard
        told = b'{"id":"x","cnt":1,"cost":"2.5","balance":"1","phones":[{"phone":"79991234567","mccmnc":"","cost":"2.5","status":"3","error":"0"}]}'
        return replace(heard, body=told)

    exchange.post = odd  # type: ignore[method-assign]
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(3600)
    order = await relay.order()

    assert order.finished_at is not None, order


@pytest.mark.asyncio
async def test_one_read_that_fails_during_a_call_ends_nobody(relay: Journey) -> None:
    """Trouble of the store in the middle of a call: tried again, the relay lives."""
    engine = relay.app.store.engine
    real, count = engine.read, 0
    from relay.queue import store as st  # noqa: PLC0415

    async def flaky(statement: Any, **parameters: Any) -> Any:
        nonlocal count
        if statement is st._CONTENTS:
            count += 1
            if count == 1:
                raise Trouble("disk I/O error")
        return await real(statement, **parameters)

    engine.read = flaky  # type: ignore[method-assign]
    await relay.mail(bare(), to("4567"))
    await asyncio.sleep(0.3)
    dead = [task for task in relay.app._loops if task.done()]

    assert [] == dead


@pytest.mark.asyncio
async def test_a_full_disk_in_the_middle_of_everything_ends_nobody(relay: Journey) -> None:
    """Writes fail for a while: one message, one report, nothing dead."""
    engine = relay.app.store.engine
    real = engine.write
    full = False

    async def flaky(change: Any) -> Any:
        if full:
            raise Full("no room on the disk")
        return await real(change)

    engine.write = flaky  # type: ignore[method-assign]
    relay.sandbox.latency = 0.1
    await relay.mail(bare(), to("2006"))
    await asyncio.sleep(0.05)
    full = True
    await asyncio.sleep(0.4)
    replies = await relay.mail(bare("x"), to("4568"))
    full = False
    relay.sandbox.latency = 0
    await relay.pass_time(200)

    assert replies[-1].startswith("452")
    assert [] == [task for task in relay.app._loops if task.done()]
    assert 1 == len(relay.sandbox.messages)
    assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_a_full_disk_after_a_report_left_sends_it_once(relay: Journey) -> None:
    """The smarthost took it, the disk is full: it is not sent again."""
    engine = relay.app.store.engine
    real = engine.write
    full = 0

    async def flaky(change: Any) -> Any:
        nonlocal full
        done = any("state" in columns and "last" in columns for _t, columns, _p in change.updates)
        if done and full < 3:
            full += 1
            raise Full("no room on the disk")
        return await real(change)

    engine.write = flaky  # type: ignore[method-assign]
    await relay.mail(bare(), to("2006"))
    await relay.pass_time(3600)

    assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_a_due_order_is_not_held_up_by_a_silent_question(tmp_path: Path) -> None:
    """A poll meets 30 s of silence: an order due in 10 s goes out in 10 s."""
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox, patience=5) as relay:
        await relay.mail(bare("one"), to("4567"))
        await relay.pass_time(9)
        client = relay.app.clients["main"]
        real, count = client.send, 0

        async def flapping(**what: Any) -> Any:
            nonlocal count
            count += 1
            if count == 1:
                return Sent(outcome=outcomes.no_connection("refused"))
            return await real(**what)

        client.send = flapping  # type: ignore[method-assign]
        await relay.mail(bare("two"), to("4568"))
        await relay.rest()
        sandbox.next_faults.append("silence")
        clock.set(START + 10_000)
        await relay.until(lambda: relay.app.workers["main"].in_flight == 1, "a poll under way")
        await asyncio.sleep(0.1)
        clock.set(START + 19_100)
        await asyncio.sleep(1)

        assert 2 == count


@pytest.mark.asyncio
async def test_an_idle_account_at_rest_does_not_wake_every_second(relay: Journey) -> None:
    """A repeat waits for a resting account: it is looked at when the rest may be over."""
    relay.sandbox.next_send_faults.extend(["reset", 3])
    relay.sandbox.set_balance("0")
    await relay.mail(bare("one"), to("4567"))
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(100)
    worker = relay.app.workers["main"]
    real, rounds = worker.round, 0

    async def counted() -> Any:
        nonlocal rounds
        rounds += 1
        return await real()

    worker.round = counted  # type: ignore[method-assign]
    await relay.pass_time(600)

    assert rounds < 60


@pytest.mark.asyncio
async def test_a_group_in_a_mass_question_hides_nobody(relay: Journey) -> None:
    """Ten orders and a group fall due together: all are asked about in the same minute."""
    relay.sandbox.groups["777"] = ["79991234567"]
    await relay.mail(bare(), ["g777@sms.example.com", *(to(f"{4100 + n}") for n in range(40))])
    await relay.pass_time(12)
    asked = [c for c in relay.sandbox.calls if c.path.endswith("status.php")]

    assert any("," in c.params["phone"] for c in asked)


@pytest.mark.asyncio
async def test_a_finished_merged_order_cannot_be_dropped(relay: Journey) -> None:
    """Its outcome was told: a drop tells nobody another."""
    await relay.mail(bare(), to("2006"), sender="a@mon.example.com")
    await relay.pass_time(20)
    await relay.mail(bare(), to("2006"), sender="b@mon.example.com")
    await relay.pass_time(5)
    _, b = await relay.orders()
    assert b.finished_at is not None
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(relay.app.config.web.socket))) as session,
        session.post(f"http://relay/api/queue/{model.show(b.id)}/drop") as answer,
    ):
        http = answer.status
    await relay.pass_time(30)

    assert ["a@mon.example.com", "b@mon.example.com"] == sorted(r["To"] for r in relay.reports())
    assert 409 == http


@pytest.mark.asyncio
async def test_an_ask_that_ends_while_a_round_is_read_is_not_begun_again(relay: Journey) -> None:
    """A round reads an unsure request, its ask ends meanwhile: no second ask on the old row, no slot lost."""
    relay.sandbox.next_send_faults.append("reset")
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(5)
    store = relay.app.store
    real = store.phones
    relay.sandbox.latency = 0.3
    relay.clock.set(START + 10_000)  # type: ignore[attr-defined]
    await relay.until(lambda: relay.app.workers["main"].in_flight == 1, "the second ask")

    async def slow(*what: Any) -> Any:
        found = await real(*what)
        await relay.until(lambda: relay.app.workers["main"].in_flight == 0, "the ask to end")
        return found

    store.phones = slow  # type: ignore[method-assign]
    await relay.mail(bare("two"), to("4568"))
    await asyncio.sleep(0.6)
    store.phones = real  # type: ignore[method-assign]
    relay.sandbox.latency = 0
    await relay.pass_time(60)

    assert 2 == len(relay.sandbox.messages)
