"""Calls that break off: exactly one message, one truthful word, whatever the provider does."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from faults import all_slots_taken
from harness import Journey, StillClock, journey, settings
from mortal import GIVE_UP, Mortal, Provider, Trap

from relay.delivery import claims, leases
from relay.model import HOUR
from relay.queue import schema
from relay.queue.engine import Change
from relay.queue.nodes import PATIENCE
from relay.smsc.client import Sent
from relay.smsc.sandbox import Sandbox

MAIL = """\
From: ops@mon.example.com
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

full
"""


def to(fate: str) -> str:
    """An address whose last digits choose its fate."""
    return f"7999123{fate}@sms.example.com"


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.parametrize("fate", ["0111", "0115", "0116", "0117"])
async def test_accepted_but_the_answer_was_lost(relay: Journey, fate: str) -> None:
    """Exactly one message, no bounce, and only one call to send.php."""
    await relay.mail(MAIL, to(fate))
    await relay.pass_time(120)

    assert 1 == len(relay.sandbox.messages)
    assert 1 == len(relay.sends())
    assert "delivered" == (await relay.order()).state
    assert [] == relay.reports()


@pytest.mark.asyncio
@pytest.mark.parametrize("fate", ["0112", "0114"])
async def test_lost_before_it_was_accepted(relay: Journey, fate: str) -> None:
    """Asked about twice, then repeated under the same id with the same bytes."""
    await relay.mail(MAIL, to(fate))
    await relay.pass_time(120)

    sends = [call for call in relay.sandbox.calls if call.path.endswith("send.php")]
    assert 2 == len(sends)
    assert sends[0].body == sends[1].body
    assert sends[1].started_at - sends[0].started_at >= 10
    assert 1 == len(relay.sandbox.messages)
    assert "delivered" == (await relay.order()).state
    assert [] == relay.reports()


@pytest.mark.asyncio
async def test_error_9_is_asked_about_for_a_minute_before_it_is_repeated(relay: Journey) -> None:
    """It may be another order's twin: only what is still unknown after 60 s goes again."""
    await relay.mail(MAIL, to("0009"))
    await relay.pass_time(50)
    before = len(relay.sends())
    await relay.pass_time(120)

    assert 1 == before
    assert 2 == len(relay.sends())
    assert 1 == len(relay.sandbox.messages)
    assert "delivered" == (await relay.order()).state


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", ["silence", "accepted-silence"])
async def test_silence_is_unsure_and_ends_in_one_message(tmp_path: Path, fault: str) -> None:
    """No byte within the patience: asked about, then told or repeated."""
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    sandbox.next_send_faults.append(fault)
    async with journey(tmp_path, clock=clock, sandbox=sandbox, patience=0.3) as relay:
        await relay.mail(MAIL, to("4567"))
        await relay.pass_time(120)
        order = await relay.order()

    assert 1 == len(sandbox.messages)
    assert "delivered" == order.state
    assert [] == relay.reports()


@pytest.mark.both
@pytest.mark.asyncio
async def test_late_acceptance_and_our_repeat_make_one_message(relay: Journey) -> None:
    """The provider takes the first call only after the break: its filter meets the repeat."""
    await relay.mail(MAIL, to("0118"))
    await relay.pass_time(180)

    assert 1 == len(relay.sandbox.messages)
    assert "delivered" == (await relay.order()).state
    assert [] == relay.reports()


@pytest.mark.both
@pytest.mark.asyncio
async def test_one_phone_of_an_accepted_request_that_is_unknown_goes_alone(relay: Journey) -> None:
    """Any status of any phone means accepted; after a minute the missing one has its own request."""
    relay.sandbox.next_send_faults.append("accepted-reset")
    await relay.mail(MAIL, [to("4567"), to("0107")])  # the second is refused within the answer
    await relay.pass_time(50)
    before = len(relay.sends())
    await relay.pass_time(120)

    assert 1 == before
    assert ["+79991234567,+79991230107", "+79991230107"] == [p["phones"] for p in relay.sends()]
    assert 2 == len({params["id"] for params in relay.sends()})
    assert ["delivered", "failed"] == [order.state for order in await relay.orders()]
    assert 1 == len(relay.sandbox.messages)
    assert 1 == len(relay.reports())


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_group_that_broke_off_is_looked_for_and_never_repeated(relay: Journey) -> None:
    """It can't be asked about by phone: the history tells."""
    relay.sandbox.next_send_faults.append("accepted-reset")
    await relay.mail(MAIL, "g777@sms.example.com")
    await relay.pass_time(300)

    assert 1 == len(relay.sends())
    assert {"delivered"} == {order.state for order in await relay.orders()}


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_nobody_can_answer_is_unknown_and_said_so(tmp_path: Path) -> None:
    """A group lost before acceptance stays open until give_up, then the sender hears the truth."""
    config = settings(tmp_path, delivery={"give_up": 5 * HOUR})
    async with journey(tmp_path, config=config) as relay:
        relay.sandbox.next_send_faults.append("reset")
        await relay.mail(MAIL, "g777@sms.example.com")
        await relay.pass_time(6 * 3600)
        order = await relay.order()

        assert 1 == len(relay.sends())
        assert "unknown" == order.state
        assert any("Unknown" in report["Subject"] for report in relay.reports())


@pytest.mark.asyncio
async def test_an_unsure_order_past_its_time_is_not_repeated(tmp_path: Path) -> None:
    """Known not to exist, and too late: failed, with one bounce."""
    async with journey(tmp_path) as relay:
        route = relay.app.config.routes[0].model_copy(update={"expire": 5_000})
        relay.app.config = relay.app.config.model_copy(update={"routes": (route,)})
        relay.sandbox.next_send_faults.append("reset")
        await relay.mail(MAIL, to("4567"))
        await relay.pass_time(120)
        order = await relay.order()

        assert 1 == len(relay.sends())
        assert [] == relay.sandbox.messages
        assert "failed" == order.state
        assert 1 == len(relay.reports())


async def accepted_late(folder: Path, *faults: str | int) -> list[float]:
    """When, in seconds, the provider accepted each message of one order whose sends met these faults."""
    clock = StillClock()
    start = clock.now() / 1000
    sandbox = Provider(now=lambda: clock.now() / 1000)
    sandbox.next_send_faults.extend(faults)
    async with journey(folder, clock=clock, sandbox=sandbox) as relay:
        await relay.mail(MAIL, to("4567"))
        await relay.pass_time(600)
        assert "delivered" == (await relay.order()).state
        return [message.accepted_at - start for message in sandbox.messages]


@pytest.mark.asyncio
@pytest.mark.parametrize("late", [0.5, 5, 9.5, 15, 40, 69])
async def test_an_acceptance_within_the_bound_is_met_by_the_questions_or_by_the_filter(
    tmp_path: Path, late: float
) -> None:
    """The provider takes the broken call after all: at once, before the repeat, or within a minute of it."""
    assert 1 == len(await accepted_late(tmp_path, f"late-{late}"))


@pytest.mark.asyncio
async def test_the_one_case_that_is_left(tmp_path: Path) -> None:
    """It takes our repeat, and the first call when its own filter has forgotten that: two messages."""
    repeat, first = await accepted_late(tmp_path, "late-75")

    assert first - repeat > 60
    assert first == 75


@pytest.mark.asyncio
@pytest.mark.parametrize(("late", "ends", "messages"), [(15, "delivered", 1), (40, "failed", 1)])
async def test_a_repeat_that_is_refused_is_believed_ten_seconds_later(
    tmp_path: Path, late: float, ends: str, messages: int
) -> None:
    """The bound is smaller where the repeat is refused for good: after one more question that counts."""
    clock = StillClock()
    sandbox = Provider(now=lambda: clock.now() / 1000)
    sandbox.next_send_faults.extend([f"late-{late}", 6])
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.mail(MAIL, to("4567"))
        await relay.pass_time(600)

        assert ends == (await relay.order()).state
        assert messages == len(sandbox.messages)


@pytest.mark.asyncio
async def test_a_member_refused_at_once_stays_refused_over_a_kill(tmp_path: Path) -> None:
    """Only the group's answer tells of it: whenever the relay dies, the member has failed, not `unknown`."""
    for left in range(1, 12):
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            world = Mortal(Path(folder))
            await world.begin()
            try:
                world.trap = Trap("before a write", left)
                await world.unless_dead(world.relay.mail(MAIL, "g777@sms.example.com"))
                await world.pass_time(GIVE_UP + 3600)
                orders = {order.target: order.state for order in await world.relay.orders()}
            finally:
                await world.end()

        assert orders.get("+79991230107") in ("failed", None), f"died before write {left}"
        assert orders.get("g777") in ("failed", "unknown", None), f"died before write {left}"


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_group_is_closed_by_members_that_were_final_before_it(relay: Journey) -> None:
    """The relay stopped between the group's acceptance and the look at its members: the next one looks."""
    relay.sandbox.groups["777"] = ["79991234567"]
    await relay.mail(MAIL, "g777@sms.example.com")
    await relay.pass_time(60)
    group = next(order for order in await relay.orders() if order.target == "g777")
    before = Change()
    now = relay.clock.now()
    before.update(schema.orders, group.id, group.version, state="sent", finished_at=None, poll_at=now)
    await relay.app.store.write(before)
    relay.app.workers["main"].kick()
    await relay.pass_time(3600)

    assert ["delivered", "delivered"] == [order.state for order in await relay.orders()]


@pytest.mark.parametrize("kept_in", ["postgres"], indirect=True)
@pytest.mark.asyncio
async def test_a_group_is_looked_for_by_one_node_at_a_time(relay: Journey) -> None:
    """Of two that find it due at once the second leaves it to the first."""
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(60)
    sent, later = await relay.order(), Change()
    due = {"poll_at": relay.clock.now() + HOUR}
    later.update(schema.orders, sent.id, sent.version, target="g778", state="sent", finished_at=None, **due)
    await relay.app.store.write(later)
    group, polling = await relay.order(), relay.app.workers["main"]._polling
    await asyncio.gather(polling.poll([group]), polling.poll([group]))
    assert 1 == len([call for call in relay.sandbox.calls if "get_messages" in call.params])
    assert ["g778", "+79991234567"] == [order.target for order in await relay.orders()]


# -- leases -------------------------------------------------------------------------------


def stand_still(relay: Journey, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """The next call stands still between its claim and its first byte; `meanwhile` this happens."""
    client = relay.app.clients["main"]
    real = client.send

    async def late(**what: Any) -> Sent:
        client.send = real  # type: ignore[method-assign]
        await meanwhile()
        return await real(**what)

    client.send = late  # type: ignore[method-assign]


@pytest.mark.both
@pytest.mark.asyncio
async def test_no_byte_leaves_once_the_lease_has_run_out(relay: Journey, clock: StillClock) -> None:
    """The call is not made; the order waits, and goes under a new lease."""

    async def lapse() -> None:
        clock.set(clock.now() + leases.length(relay.app.store))

    stand_still(relay, lapse)
    await relay.mail(MAIL, to("4567"))
    await relay.rest()
    order = await relay.order()
    assert ([], "waiting", 1) == (relay.sends(), order.state, order.attempts)
    await relay.pass_time(120)
    assert (1, "delivered") == (len(relay.sends()), (await relay.order()).state)


@pytest.mark.parametrize("kept_in", ["postgres"], indirect=True)
@pytest.mark.asyncio
async def test_no_byte_leaves_once_another_node_has_taken_over(relay: Journey) -> None:
    """The call is not made and settles nothing: it is asked about as that node has it, and repeated once."""

    async def take_over() -> None:
        app = relay.app
        await claims.reopen(app.store, app.settler, await relay.orders(), [], why="the node does not answer")

    stand_still(relay, take_over)
    await relay.mail(MAIL, to("4567"))
    await relay.rest()
    assert ([], "unsure") == (relay.sends(), (await relay.order()).state)
    await relay.pass_time(120)
    assert (1, "delivered") == (len(relay.sends()), (await relay.order()).state)
    asked = [call for call in relay.sandbox.calls if call.path.endswith("status.php")]
    assert 2 <= [each.path.endswith("send.php") for each in relay.sandbox.calls].index(True) <= len(asked)


@pytest.mark.parametrize("kept_in", ["postgres"], indirect=True)
@pytest.mark.parametrize("call", ["send", "status"])
@pytest.mark.asyncio
async def test_no_byte_leaves_without_a_slot(relay: Journey, call: str) -> None:
    """A node that stood still has its slots no more: nothing is sent or asked until they are its own."""
    client, held = relay.app.clients["main"], relay.app.membership.held["main"]  # type: ignore[union-attr]
    real, reading = getattr(client, call), held.reading

    async def late(*arguments: Any, **what: Any) -> Any:
        setattr(client, call, real)
        held.reading = lambda: 1 << 60  # so late is it for this node
        return await real(*arguments, **what)

    setattr(client, call, late)
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(30)
    expected = {"send": ([], "waiting"), "status": (["send"], "sent")}
    calls = [each.path.rpartition("/")[2].removesuffix(".php") for each in relay.sandbox.calls]
    assert expected[call] == (calls, (await relay.order()).state)
    held.reading = reading
    relay.app.workers["main"].kick()
    await relay.pass_time(1200)
    assert (1, "delivered") == (len(relay.sends()), (await relay.order()).state)


@pytest.mark.parametrize("kept_in", ["postgres"], indirect=True)
@pytest.mark.parametrize("answer", [None, 6, 7, "reset", "http500"])
@pytest.mark.asyncio
async def test_what_a_node_learns_too_late_counts_no_more(relay: Journey, answer: int | str | None) -> None:
    """Whatever the call came to: the order is as the node has it that took it over, and goes out once."""
    app, client = relay.app, relay.app.clients["main"]
    real, left = client.send, []

    async def slow(**what: Any) -> Sent:
        client.send = real  # type: ignore[method-assign]
        sent = await real(**what)
        await claims.reopen(app.store, app.settler, await relay.orders(), [], why="the node does not answer")
        left.extend(await relay.orders())
        return sent

    client.send = slow  # type: ignore[method-assign]
    if answer is not None:
        relay.sandbox.next_send_faults.append(answer)
    await relay.mail(MAIL, to("4567"))
    await relay.rest()
    assert left == await relay.orders()
    assert "unsure" == left[0].state
    await relay.pass_time(120)
    assert (1, "delivered") == (len(relay.sandbox.messages), (await relay.order()).state)
    assert [] == relay.reports()


@pytest.mark.parametrize("kept_in", ["postgres"], indirect=True)
@pytest.mark.asyncio
async def test_a_lapsed_lease_is_taken_over_when_its_call_has_ended(relay: Journey) -> None:
    """Not with its end: a call that was begun in its last moment may go on until its answer is overdue."""
    async with all_slots_taken(relay, free=0):
        await relay.mail(MAIL, to("4567"))
        order = await relay.order()
        for lapsed, expected in ((PATIENCE - 1, "sending"), (PATIENCE, "unsure")):
            change, until = Change(), relay.clock.now() - lapsed
            change.update(schema.orders, order.id, order.version, state="sending", lease_until=until)
            await relay.app.store.write(change)
            assert relay.app.membership
            await relay.app.membership._take_over()
            order = await relay.order()
            assert expected == order.state
