"""The design's table of outcomes, each row by way of a whole journey."""

from __future__ import annotations

from pathlib import Path

import pytest
from flufl.bounce import scan_message
from harness import Journey, StillClock, journey, settings

from relay.clock import Clock
from relay.smsc.sandbox import Sandbox

MAIL = """\
From: ops@mon.example.com
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

full
"""
TO = "79991234567@sms.example.com"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fate", "status"),
    [("0001", "5.5.4"), ("0005", "5.5.4"), ("0006", "5.7.1"), ("0007", "5.1.3"), ("0008", "5.4.4")],
)
async def test_a_refusal_is_a_bounce_with_the_providers_words(relay: Journey, fate: str, status: str) -> None:
    """Failed at once, the right enhanced status, the provider's code and text quoted."""
    await relay.mail(MAIL, f"7999123{fate}@sms.example.com")
    await relay.pass_time(30)

    order = await relay.order()
    (report,) = relay.reports()
    assert ("failed", status) == (order.state, order.status)
    assert f"Status: {status}" in report.as_string()
    assert f"X-SMSC; {int(fate)} {order.words}" in report.as_string()
    assert order.words
    assert [f"7999123{fate}@sms.example.com".encode()] == list(scan_message(report))


@pytest.mark.asyncio
@pytest.mark.parametrize(("fault", "reason"), [(2, "login"), (3, "money"), (4, "blocked")])
async def test_the_account_rests_is_probed_and_goes_on(tmp_path: Path, fault: int, reason: str) -> None:
    """Errors 2, 3, 4: nothing else is sent, the operator is told once, the order arrives later."""
    config = settings(tmp_path, reports={"gather": 0, "operator": "boss@example.com"})
    async with journey(tmp_path, config=config) as relay:
        relay.sandbox.fault = fault
        if fault == 3:
            relay.sandbox.set_balance("0")
        await relay.mail(MAIL, TO)
        await relay.mail(MAIL.replace("<1@", "<2@"), "79991234568@sms.example.com")
        await relay.pass_time(9)
        assert reason == relay.app.workers["main"].resting.why
        assert len(relay.sends()) <= 2
        told = [report for report in relay.reports() if report["To"] == "boss@example.com"]
        relay.sandbox.fault = None
        relay.sandbox.set_balance("1000")
        await relay.pass_time(600)

        assert 1 == len(told)
        assert {"delivered"} == {order.state for order in await relay.orders()}
        assert 2 == len(relay.sandbox.messages)


@pytest.mark.asyncio
async def test_a_resting_account_asks_nothing_after_login_trouble(relay: Journey) -> None:
    """Only balance calls, one a step, at most five a minute."""
    relay.sandbox._provider.credentials = {"sandbox": "another password"}
    await relay.mail(MAIL, TO)
    await relay.pass_time(300)

    paths = [call.path.rsplit("/", 1)[-1] for call in relay.sandbox.calls]
    assert {"send.php", "balance.php"} == set(paths)
    starts = [call.started_at for call in relay.sandbox.calls if call.path.endswith("balance.php")]
    assert max(sum(1 for s in starts if at <= s < at + 60) for at in starts) <= 5


@pytest.mark.asyncio
async def test_one_probe_at_a_time(tmp_path: Path) -> None:
    """Calls that end while a probe is under way start no second one."""
    sandbox = Sandbox(latency=0.2)
    config = settings(tmp_path, delivery={"retry": (60_000,)})
    async with journey(tmp_path, clock=Clock(), sandbox=sandbox, config=config) as relay:
        worker = relay.app.workers["main"]
        sandbox.next_send_faults.append(2)
        await relay.mail(MAIL, TO)
        await relay.until(lambda: worker.resting.why, "rest")
        sandbox.calls.clear()
        await worker.standing.remember(probe_at=relay.clock.now())
        worker.kick()
        await relay.until(lambda: worker.in_flight, "a probe")
        for _ in range(5):
            worker.kick()
            await relay.until(lambda: not worker._kick.is_set(), "a round")
        await relay.until(lambda: not worker.in_flight, "the probe's end")

    assert ["/sys/balance.php"] == [call.path for call in sandbox.calls]


@pytest.mark.asyncio
async def test_no_connection_is_tried_again_under_the_same_id(tmp_path: Path) -> None:
    """The provider is down for an hour: a delay warning, then delivered, one message."""
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        port = int(relay.app.urls["main"].rpartition(":")[2])
        await sandbox.stop()
        await relay.mail(MAIL, TO)
        await relay.pass_time(3600)
        waiting = await relay.order()
        warned = [report["Subject"] for report in relay.reports()]
        await sandbox.start(port=port)
        await relay.pass_time(7200)
        order = await relay.order()

        assert ("waiting", "4.4.1") == (waiting.state, waiting.status)
        assert ["Delayed"] == [subject.split(":")[0] for subject in warned]
        assert "delivered" == order.state
        assert 1 == len(sandbox.messages)
        assert order.request_id == waiting.request_id


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fate", "state", "status"),
    [
        ("0123", "delivered", "2.1.5"),
        ("0130", "failed", "4.4.7"),
        ("2001", "failed", "5.1.1"),
        ("2011", "failed", "5.2.1"),
        ("2220", "failed", "4.4.5"),
        ("2237", "failed", "4.4.1"),
        ("2248", "failed", "5.4.4"),
        ("2253", "failed", "5.7.1"),
        ("2245", "unknown", "4.0.0"),
        ("3022", "failed", "5.1.3"),
        ("3023", "failed", "5.7.1"),
        ("3025", "failed", "5.4.4"),
        ("0107", "failed", "5.1.3"),
        ("0108", "failed", "5.4.4"),
    ],
)
async def test_a_status_becomes_the_orders_state(relay: Journey, fate: str, state: str, status: str) -> None:
    """What status.php says, by the table, with a report for what went wrong."""
    await relay.mail(MAIL, f"7999123{fate}@sms.example.com")
    await relay.pass_time(120)

    order = await relay.order()
    assert (state, status) == (order.state, order.status)
    assert (0 if state == "delivered" else 1) == len(relay.reports())


@pytest.mark.asyncio
async def test_no_final_word_until_give_up_is_unknown(relay: Journey) -> None:
    """A message that stays with the operator for ever: unknown after 72 h, and said so."""
    await relay.mail(MAIL, "79991230122@sms.example.com")
    await relay.pass_time(74 * 3600)

    assert "unknown" == (await relay.order()).state
    (report,) = relay.reports()
    assert "Unknown" in report["Subject"]


@pytest.mark.asyncio
async def test_one_bad_number_of_many_is_found_by_halving(relay: Journey) -> None:
    """A request refused by 7 is halved until the culprit stands alone; the others arrive once."""
    good = [f"7999123457{n}@sms.example.com" for n in range(7)]
    await relay.mail(MAIL, [*good[:4], "79991230007@sms.example.com", *good[4:]])
    await relay.pass_time(120)

    states = [order.state for order in await relay.orders()]
    assert 7 == states.count("delivered")
    assert 1 == states.count("failed")
    assert 7 == len(relay.sandbox.messages)
    assert 1 == len(relay.reports())
    assert len({params["id"] for params in relay.sends()}) == len(relay.sends())


@pytest.mark.asyncio
async def test_an_order_that_waited_past_its_time_has_failed(tmp_path: Path) -> None:
    """Expiry keeps the last cause's status."""
    async with journey(tmp_path) as relay:
        relay.sandbox.fault = 3
        relay.sandbox.set_balance("0")
        await relay.mail(MAIL, TO)
        await relay.pass_time(25 * 3600)
        order = await relay.order()

        assert ("failed", "4.3.0") == (order.state, order.status)
        assert [] == relay.sandbox.messages
        assert any("Not delivered" in report["Subject"] for report in relay.reports())
