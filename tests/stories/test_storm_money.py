"""Storms over several accounts, caps and quiet hours: a digest is one message, sent and counted once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from accounts import moves, other, two
from faults import HOUR, bare, to, told
from harness import Journey, StillClock, journey, settings

from relay.config import Cap, Quiet
from relay.delivery.claims import Claims
from relay.queue.engine import Trouble
from relay.queue.rows import Order
from relay.queue.states import State

TO = to("4567")
URGENT = "79991234567@short.example.com"
EVENING = int(datetime(2027, 1, 15, 21, 59, 30, tzinfo=UTC).timestamp()) * 1000
COUNTED = "day phone +79991234567"
DAILY = (Cap.model_validate({"phone": "*", "per": "day", "messages": 1000}),)


def parts(most: int) -> tuple[Cap, ...]:
    """So many parts an hour for each phone."""
    rule = {"phone": "*", "per": "hour", "parts": most, "over": "hold"}
    return (*DAILY, Cap.model_validate(rule))


async def storm(relay: Journey, many: int, *, address: str = TO, first: int = 0) -> None:
    """So many alarms at once, no two alike."""
    for n in range(first, first + many):
        await relay.mail(bare(f"door {chr(97 + n % 26)}{chr(97 + n // 26)}"), address)


def digests(orders: list[Order]) -> list[Order]:
    """The digests among these."""
    return [order for order in orders if order.alarm == "digest"]


def texts(relay: Journey) -> list[str]:
    """What phones were told by the first account, in order."""
    return [params["mes"] for params in relay.sends()]


async def counted(relay: Journey) -> int:
    """How many messages count towards the phone's cap."""
    rows = await relay.app.store.spent([([COUNTED], 0)], relay.clock.now())
    return int(rows[COUNTED]["messages"])


async def cannot(*_given: object, **_named: object) -> Any:
    """No claim is written."""
    raise Trouble("killed")


@pytest.mark.asyncio
async def test_a_digest_goes_by_the_next_account_and_counts_once(tmp_path: Path, clock: StillClock) -> None:
    """The purse is empty when its time comes: it moves, is sent once, and what it carries is not sent."""
    async with journey(tmp_path, clock=clock, config=two(tmp_path, caps=DAILY)) as relay:
        await storm(relay, 14)
        await relay.pass_time(5)
        relay.sandbox.set_balance("0")
        taken = await counted(relay)
        await relay.pass_time(300)
        orders = await relay.orders()
        (digest,) = digests(orders)

        assert (14, 11) == (taken, await counted(relay))
        assert (10, 1) == (len(relay.sandbox.messages), len(other(relay).messages))
        assert other(relay).messages[0].text.startswith("+4 more since ")
        assert (("main", "backup"), "backup", State.DELIVERED) == (
            digest.choice,
            digest.account,
            digest.state,
        )
        assert ["to backup: main has no money"] == await moves(relay, digest.id)
        assert 4 * [(State.MERGED, digest.id)] == [(each.state, each.merged_into) for each in orders[10:14]]
        assert [] == told(relay)


@pytest.mark.asyncio
async def test_what_a_digest_carried_stands_up_at_the_next_account(tmp_path: Path, clock: StillClock) -> None:
    """The next account refuses the digest: each of its messages goes by itself, once, and counts again."""
    async with journey(tmp_path, clock=clock, config=two(tmp_path, caps=DAILY)) as relay:
        await storm(relay, 14)
        await relay.pass_time(5)
        relay.sandbox.set_balance("0")
        other(relay).next_send_faults.append(6)
        await relay.pass_time(600)
        orders = await relay.orders()

        assert 14 == await counted(relay)
        assert (10, 4) == (len(relay.sandbox.messages), len(other(relay).messages))
        assert [State.FAILED] == [order.state for order in digests(orders)]
        assert [] == told(relay)


@pytest.mark.asyncio
async def test_killed_between_a_digest_and_its_call(
    tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put together, never claimed: the next start sends it by the account that works, and no part."""
    config = two(tmp_path, caps=DAILY)
    async with journey(tmp_path, clock=clock, config=config) as first:
        await storm(first, 14)
        await first.pass_time(5)
        with monkeypatch.context() as patch:
            patch.setattr(Claims, "claim", cannot)
            await first.pass_time(65)
            born = digests(await first.orders())
            sent = len(first.sandbox.messages)
    assert ([State.WAITING], 10) == ([order.state for order in born], sent)

    async with journey(tmp_path, clock=clock, config=config) as second:
        second.sandbox.set_balance("0")
        await second.pass_time(600)
        orders = await second.orders()

        assert [born[0].id] == [order.id for order in digests(orders)]
        assert ([], 1) == (second.sandbox.messages, len(other(second).messages))
        assert {State.MERGED} == {order.state for order in orders[10:14]}
        assert all(order.finished_at for order in orders)
        assert 11 == await counted(second)


@pytest.mark.asyncio
async def test_what_a_cap_holds_is_in_no_digest(tmp_path: Path, clock: StillClock) -> None:
    """Ten parts are all for an hour: the rest is held, each by itself, and goes when there is room."""
    async with journey(tmp_path, clock=clock, config=settings(tmp_path, caps=parts(10))) as relay:
        await storm(relay, 14)
        await relay.pass_time(120)
        orders = await relay.orders()
        await relay.pass_time(2 * HOUR)
        later = await relay.orders()

        assert 4 * [State.HELD] == [order.state for order in orders[10:]]
        assert [] == digests(orders)
        assert all(order.finished_at for order in later)
        assert 14 == len(texts(relay))
        told = "\n".join(texts(relay))
        assert 14 * [1] == [told.count(f"door {chr(97 + n)}a") for n in range(14)]


@pytest.mark.asyncio
async def test_a_digest_that_a_cap_holds(
    tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts are spent between its birth and its call: it is held as one, counts not, and goes later."""
    async with journey(tmp_path, clock=clock, config=settings(tmp_path, caps=parts(1000))) as relay:
        await storm(relay, 14)
        await relay.pass_time(5)
        with monkeypatch.context() as patch:
            patch.setattr(Claims, "claim", cannot)
            await relay.pass_time(65)
        relay.app.counts.adopt(parts(10))
        relay.app.kick_all()
        await relay.pass_time(60)
        (held,) = digests(await relay.orders())
        while_held = await counted(relay)
        relay.app.counts.adopt(parts(1000))
        await relay.pass_time(600)
        orders = await relay.orders()

        assert (State.HELD, 10) == (held.state, while_held)
        assert 11 == len(relay.sandbox.messages) == await counted(relay)
        assert [State.DELIVERED] == [order.state for order in digests(orders)]
        assert {State.MERGED} == {order.state for order in orders[10:14]}


@pytest.mark.asyncio
async def test_quiet_hours_come_before_the_digest(tmp_path: Path, clock: StillClock) -> None:
    """What was over the burst sleeps until the morning, and goes then, in one message."""
    clock.set(EVENING)
    config = settings(tmp_path)
    route = config.routes[0].model_copy(
        update={"quiet": Quiet(hours="22-7", by="hold"), "params": {"tz": "-3"}, "expire": 24 * HOUR * 1000}
    )
    config = config.model_copy(update={"routes": (route, *config.routes[1:])})
    async with journey(tmp_path, clock=clock, config=config) as relay:
        await storm(relay, 14)
        await relay.pass_time(5)
        evening = len(texts(relay))
        await relay.pass_time(8 * HOUR)
        night = await relay.orders()
        await relay.pass_time(2 * HOUR)
        orders = await relay.orders()

        assert (10, []) == (evening, digests(night))
        assert ["22-7/-3"] == [order.quiet for order in digests(orders)]
        assert 11 == len(texts(relay))
        assert all(order.finished_at for order in orders)


@pytest.mark.asyncio
async def test_a_digest_of_the_night_wakes_with_nothing_that_may_wait(
    tmp_path: Path, clock: StillClock
) -> None:
    """Forty urgent ones and five that keep to quiet hours are due at once: the digest is of the urgent."""
    clock.set(EVENING)
    config = settings(tmp_path)
    quiet = {"quiet": Quiet(hours="22-7", by="hold"), "params": {"tz": "-3"}, "expire": 24 * HOUR * 1000}
    calm, *others = config.routes
    urgent = calm.model_copy(update={"match": "*@short.example.com", "priority": 5})
    routes = (urgent, calm.model_copy(update=quiet), *others)
    async with journey(tmp_path, clock=clock, config=config.model_copy(update={"routes": routes})) as relay:
        await storm(relay, 50, address=URGENT)
        await storm(relay, 5, first=50)
        await relay.pass_time(120)
        night = await relay.orders()
        (digest,) = digests(night)

        assert texts(relay)[10].startswith("+40 more since ")
        assert "" == digest.quiet
        assert 5 * [State.WAITING] == [order.state for order in night[50:55]]
        await relay.pass_time(10 * HOUR)
        assert all(order.finished_at for order in await relay.orders())
