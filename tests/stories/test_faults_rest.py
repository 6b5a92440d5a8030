"""Accounts at rest, expiry and give_up: everything ends, and nothing is sent too late."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import HOUR, bare, change_route, to
from harness import SENDER, START, Journey, StillClock, journey, settings

from relay.queue.states import FINAL
from relay.smsc.client import Credentials
from relay.smsc.sandbox import Sandbox


@pytest.mark.asyncio
async def test_a_repeat_that_waits_for_a_resting_account_does_not_outlive_expire(relay: Journey) -> None:
    """Unsure past its time it is never repeated, though money comes: it fails, as what waited does."""
    relay.sandbox.next_send_faults.extend(["reset", 3])
    relay.sandbox.set_balance("0")
    change_route(relay, expire=1_800_000)
    await relay.mail(bare("one"), to("4567"))
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(2400)
    relay.sandbox.set_balance("1000")
    await relay.pass_time(2 * HOUR)

    assert [] == relay.sandbox.messages
    assert ["failed", "failed"] == [order.state for order in await relay.orders()]


@pytest.mark.asyncio
async def test_give_up_counts_while_the_login_is_refused(tmp_path: Path) -> None:
    """What can't be answered within give_up is unknown, although the account rests."""
    async with journey(tmp_path, config=settings(tmp_path, delivery={"give_up": 3_600_000})) as relay:
        await relay.mail(bare("one"), to("0122"))
        await relay.pass_time(5)
        relay.sandbox.fault = 2
        relay.app.clients["main"]._credentials = Credentials(login="sandbox", psw="wrong")
        await relay.mail(bare("two"), to("4568"))
        await relay.pass_time(3 * HOUR)

        assert "unknown" == (await relay.orders())[0].state


@pytest.mark.asyncio
async def test_a_resting_account_holds_up_no_other(tmp_path: Path) -> None:
    """One account is out of money with mail waiting; the other one's mail goes out at once."""
    config = settings(tmp_path)
    main = config.accounts["main"]
    (first,) = (route for route in config.routes if route.match == "*@sms.example.com")
    second = first.model_copy(
        update={"match": "*@second.example.com", "account": "second", "accounts": ("second",)}
    )
    config = config.model_copy(update={"accounts": {"main": main, "second": main}, "routes": (first, second)})
    async with journey(tmp_path, config=config) as relay:
        relay.sandbox.set_balance("0")
        for number in range(30):
            await relay.mail(bare(f"poor {number}"), f"79991234{500 + number}@sms.example.com")
        await relay.pass_time(5)
        await relay.mail(bare("rich"), "79991234567@second.example.com")
        await relay.pass_time(5)

        assert [] == relay.sandbox.messages
        assert ["alarm\nrich"] == [message.text for message in relay.app.sandboxes["second"].messages]
        assert {"main": "waiting", "second": "sent"}.items() <= {
            order.account: order.state for order in await relay.orders()
        }.items()


@pytest.mark.asyncio
async def test_give_up_counts_for_a_repeat_that_waits(tmp_path: Path) -> None:
    """An unsure order whose repeat waits for money has an end."""
    async with journey(tmp_path, config=settings(tmp_path, delivery={"give_up": 3_600_000})) as relay:
        relay.sandbox.next_send_faults.extend(["reset", 3])
        relay.sandbox.set_balance("0")
        await relay.mail(bare("one"), to("4567"))
        await relay.mail(bare("two"), to("4568"))
        await relay.pass_time(2 * HOUR)

        assert (await relay.orders())[0].state in FINAL


@pytest.mark.asyncio
async def test_nothing_is_sent_past_its_time_after_an_outage(tmp_path: Path, clock: StillClock) -> None:
    """The relay was down for two days: what waited for money has failed, and its sender hears."""
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    sandbox.next_send_faults.append(3)
    sandbox.set_balance("0")
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(5)
    sandbox.set_balance("1000")
    clock.set(START + 48 * HOUR * 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        relay.app.kick_all()
        await relay.pass_time(200)

        assert [] == sandbox.messages
        assert "failed" == (await relay.order()).state
        assert [SENDER] == [report["To"] for report in relay.reports()]


@pytest.mark.asyncio
async def test_what_only_a_door_took_is_not_sent_two_days_later(tmp_path: Path, clock: StillClock) -> None:
    """Delivery was down: more than a round reads has failed, and no phone rings at night."""
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox, only="smtp") as relay:
        await relay.mail(bare(), [to(f"{4000 + n}") for n in range(900)])
    clock.set(START + 48 * HOUR * 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.pass_time(200)

        assert [] == sandbox.messages
        assert ["failed"] * 900 == [order.state for order in await relay.orders()]


@pytest.mark.asyncio
async def test_orders_of_an_account_that_is_gone_end(tmp_path: Path, clock: StillClock) -> None:
    """An account was renamed while an order was out: its sender hears something at last."""
    async with journey(tmp_path, clock=clock) as relay:
        await relay.mail(bare(), to("0122"))
        await relay.pass_time(5)
    config = settings(tmp_path)
    routes = tuple(route.model_copy(update={"account": "other"}) for route in config.routes)
    accounts = {"other": config.accounts["main"]}
    config = config.model_copy(update={"accounts": accounts, "routes": routes})
    async with journey(tmp_path, clock=clock, config=config) as relay:
        await relay.pass_time(80 * HOUR)

        assert "unknown" == (await relay.order()).state
        assert [SENDER] == [report["To"] for report in relay.reports()]
