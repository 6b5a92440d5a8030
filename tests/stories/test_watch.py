"""The relay watches itself: its operator hears by mail, and through another account by phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faults import HOUR, bare, to
from harness import Journey, StillClock, journey, settings

from relay.config import Cap
from relay.queue.states import State
from relay.smsc.sandbox import Sandbox

OPERATOR, PHONE = "boss@example.org", "+79991234599"
MINUTE = 60


def watched(folder: Path, *, accounts: int = 2, caps: tuple[Cap, ...] = (), **reports: Any):
    """An operator with a phone, and two accounts."""
    values = {"gather": 0, "operator": OPERATOR, "operator_phone": PHONE, **reports}
    config = settings(folder, reports=values, caps=caps)
    main = config.accounts["main"]
    names = {"main": main, "second": main} if accounts > 1 else {"main": main}
    return config.model_copy(update={"accounts": names})


def mailed(relay: Journey) -> list[str]:
    """The subjects of what the operator was mailed."""
    return [str(report["Subject"]) for report in relay.reports() if report["To"] == OPERATOR]


def phoned(relay: Journey, account: str = "second") -> list[str]:
    """What the operator's phone read, by an account."""
    sandbox = relay.app.sandboxes[account]
    return [message.text for message in sandbox.messages if message.phone.endswith(PHONE[1:])]


def balances(relay: Journey) -> int:
    """How often the main account's balance was asked for."""
    return len([call for call in relay.sandbox.calls if call.path.endswith("balance.php")])


@pytest.mark.asyncio
async def test_a_low_balance_is_told_once_a_day(tmp_path: Path) -> None:
    """By mail and, through the second account, by phone; asked for six times an hour at most."""
    async with journey(tmp_path, config=watched(tmp_path, low_balance=100)) as relay:
        relay.sandbox.set_balance("42.50")
        await relay.pass_time(20 * HOUR)
        asked, first = balances(relay), mailed(relay)
        await relay.pass_time(6 * HOUR)
        second, texts = mailed(relay), phoned(relay)

    assert 110 <= asked <= 121
    assert ["[smsc-relay] balance of main"] == first
    assert 2 == len(second) == len(texts)
    assert "relay.example.com: Account main holds 42.50" in texts[0]


@pytest.mark.asyncio
async def test_a_balance_that_falls_again_is_told_again(tmp_path: Path) -> None:
    """It was paid in between: that is news, on the same day."""
    async with journey(tmp_path, config=watched(tmp_path, low_balance=100)) as relay:
        for amount in ("42", "1000", "42", "41"):
            relay.sandbox.set_balance(amount)
            await relay.pass_time(21 * MINUTE)
        told = mailed(relay)

    assert 2 == len(told)


@pytest.mark.asyncio
async def test_nobody_is_asked_for_a_balance_unless_it_is_wanted(tmp_path: Path) -> None:
    """Without `low_balance` there is no call, and with enough money no word."""
    async with journey(tmp_path, config=watched(tmp_path)) as relay:
        await relay.pass_time(3 * HOUR)
        assert 0 == balances(relay)
        assert [] == mailed(relay)


@pytest.mark.asyncio
async def test_a_restart_tells_nothing_twice(tmp_path: Path, clock: StillClock) -> None:
    """A relay that is started again and again does not write again and again."""
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    sandbox.set_balance("1")
    for _ in range(3):
        config = watched(tmp_path, low_balance=100)
        async with journey(tmp_path, clock=clock, sandbox=sandbox, config=config) as relay:
            await relay.pass_time(21 * MINUTE)
            told = mailed(relay)

    assert 1 == len(told)


@pytest.mark.asyncio
async def test_a_login_that_is_refused_reaches_the_phone(tmp_path: Path) -> None:
    """Through the second account, whatever the first one may not."""
    async with journey(tmp_path, config=watched(tmp_path)) as relay:
        relay.sandbox.fault = 2
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(50 * MINUTE)
        texts = phoned(relay)

    account = [text for text in texts if "Account main: the provider refuses the login" in text]
    assert 1 == len(account)
    assert all(len(text) <= 140 for text in texts)


@pytest.mark.asyncio
async def test_without_another_account_the_mail_has_to_do(tmp_path: Path) -> None:
    """Nothing is sent through the account that is in trouble, and nothing waits there."""
    async with journey(tmp_path, config=watched(tmp_path, accounts=1)) as relay:
        relay.sandbox.fault = 2
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(HOUR)
        assert "[smsc-relay] account main" in mailed(relay)
        assert 1 == len(await relay.orders())


@pytest.mark.asyncio
async def test_an_old_queue_is_told_once_an_hour(tmp_path: Path) -> None:
    """From half an hour on; it stops when the queue is empty."""
    async with journey(tmp_path, config=watched(tmp_path)) as relay:
        relay.sandbox.fault = 2
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(29 * MINUTE)
        before = mailed(relay).count("[smsc-relay] queue")
        await relay.pass_time(5 * MINUTE)
        first = mailed(relay).count("[smsc-relay] queue")
        await relay.pass_time(2.5 * HOUR)
        later = mailed(relay).count("[smsc-relay] queue")
        relay.sandbox.fault = None
        await relay.pass_time(2 * HOUR)
        done = mailed(relay).count("[smsc-relay] queue")
        await relay.pass_time(3 * HOUR)
        last = mailed(relay).count("[smsc-relay] queue")
        texts = [text for text in phoned(relay) if "has waited for" in text]

    assert (0, 1) == (before, first)
    assert 3 == later
    assert done == last <= 5
    assert done == len(texts)


@pytest.mark.asyncio
async def test_what_is_told_by_phone_is_not_watched_itself(tmp_path: Path) -> None:
    """Its own message is stuck for hours: nobody is told of that, and no further one joins it."""
    async with journey(tmp_path, config=watched(tmp_path)) as relay:
        relay.sandbox.fault = 2
        await relay.rest()
        relay.app.sandboxes["second"].fault = "reset"
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(2)
        (order,) = [each for each in await relay.orders() if each.source != "watch"]
        relay.sandbox.fault = None
        await relay.pass_time(10 * HOUR)
        own = [each for each in await relay.orders() if each.source == "watch"]

    assert order.state is not State.DELIVERED
    assert 1 == len(own)
    assert 0 == mailed_of_queue(relay)


def mailed_of_queue(relay: Journey) -> int:
    """How often the operator was told of an old queue."""
    return mailed(relay).count("[smsc-relay] queue")


@pytest.mark.asyncio
async def test_a_cap_reaches_the_phone_once_an_hour_and_does_not_stop_itself(tmp_path: Path) -> None:
    """The account's cap is told through the other account, although all phones have one too."""
    rules = (Cap(account="main", messages=1), Cap(phone="*", messages=0, per="minute", over="hold"))
    async with journey(tmp_path, config=watched(tmp_path, caps=rules[:1])) as relay:
        for number in range(5):
            await relay.mail(bare(f"n {number}"), to("4567"))
        await relay.pass_time(10 * MINUTE)
        texts = phoned(relay)

    assert 1 == len(texts)
    assert "Cap on account main, day: the cap of 1" in texts[0]


@pytest.mark.asyncio
async def test_reports_that_fail_reach_the_phone(tmp_path: Path) -> None:
    """The mail server is the trouble: the phone hears what a mail can't tell."""
    config = watched(tmp_path)
    reports = config.reports.model_copy(update={"maildir": Path("/proc/no/such/folder")})
    delivery = config.delivery.model_copy(update={"give_up": HOUR * 1000})
    config = config.model_copy(update={"reports": reports, "delivery": delivery})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(bare(), to("2006"))
        await relay.pass_time(4 * HOUR)
        texts = phoned(relay, "main")

    assert ["relay.example.com: A report to a sender was given up; the log says why."] == texts


@pytest.mark.asyncio
async def test_reports_that_do_not_leave_reach_the_phone_before_they_are_given_up(tmp_path: Path) -> None:
    """After an hour, then once an hour; once the way is free there is one mail of it."""
    config = watched(tmp_path)
    box = tmp_path / "reports"
    box.write_text("in the way")
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(bare(), to("2006"))
        await relay.pass_time(50 * MINUTE)
        early = phoned(relay, "main")
        await relay.pass_time(4 * HOUR)
        texts = phoned(relay, "main")
        box.unlink()
        await relay.pass_time(2 * HOUR)

        assert [] == early
        assert {"relay.example.com: No report has left for an hour; the log says why."} == set(texts)
        assert 2 <= len(texts) <= 4
        assert ["[smsc-relay] reports"] == mailed(relay)
        assert texts == phoned(relay, "main")


@pytest.mark.asyncio
async def test_calls_of_the_provider_that_stop_are_told_once_a_day(tmp_path: Path) -> None:
    """They came, and do not any more though messages arrive; where none ever came nobody expects them."""
    async with journey(tmp_path, config=watched(tmp_path)) as relay:
        await relay.mail(bare("never called"), to("4567"))
        await relay.pass_time(7200)
        assert [] == mailed(relay)
        await relay.app.hearing.note("main")
        for number in range(3):
            await relay.pass_time(4000)
            await relay.mail(bare(f"alarm {number}"), to("4567"))
        await relay.pass_time(4000)
        assert 1 == len(mailed(relay))
        assert "callbacks of main" in mailed(relay)[0]
        assert 1 == len(phoned(relay))


@pytest.mark.asyncio
async def test_calls_of_the_provider_that_come_are_not_missed(tmp_path: Path) -> None:
    """One with each message, or later in the hour; and hours without messages have no calls."""
    async with journey(tmp_path, config=watched(tmp_path)) as relay:
        for number in range(3):
            await relay.mail(bare(f"alarm {number}"), to("4567"))
            await relay.pass_time(3000)
            await relay.app.hearing.note("main")
            await relay.pass_time(40_000)
        assert [] == mailed(relay)
