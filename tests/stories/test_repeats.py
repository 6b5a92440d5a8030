"""Repeats: of a mail by its client, of a text to a phone, of many at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Journey, journey, settings

from relay.clock import Clock
from relay.queue.rows import Account
from relay.smsc.sandbox import Sandbox

TO = "79991234567@sms.example.com"
MAIL = """\
Received: from a by b; Fri, 20 Nov 2026 03:00:00 +0000
From: ops@mon.example.com
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

full
"""
BARE = "From: device@mon.example.com\nSubject: door open\n\ndoor 4\n"


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_mail_repeated_because_our_250_was_lost_is_taken_once(relay: Journey) -> None:
    """The same id is answered, nothing new is sent; other trace headers don't make it another mail."""
    first = await relay.mail(MAIL, TO)
    await relay.pass_time(300)
    second = await relay.mail(MAIL.replace("03:00:00 +0000\nFrom", "03:05:00 +0000\nFrom"), TO)
    await relay.pass_time(300)

    assert first[-1] == second[-1]
    assert 1 == len(relay.sandbox.messages)
    assert 1 == len(await relay.orders())


@pytest.mark.asyncio
async def test_after_a_day_the_same_mail_is_a_new_one(relay: Journey) -> None:
    """The memory of repeats lasts 24 hours."""
    await relay.mail(MAIL, TO)
    await relay.pass_time(26 * 3600)
    await relay.mail(MAIL, TO)
    await relay.pass_time(60)

    assert 2 == len(relay.sandbox.messages)


@pytest.mark.asyncio
@pytest.mark.parametrize("changed", ["recipient", "sender", "body"])
async def test_what_differs_is_no_repeat(relay: Journey, changed: str) -> None:
    """Another recipient, sender or text: another mail."""
    await relay.mail(MAIL, TO)
    await relay.pass_time(120)
    await relay.mail(
        MAIL.replace("full", "fuller") if changed == "body" else MAIL,
        "79991234568@sms.example.com" if changed == "recipient" else TO,
        sender="other@mon.example.com" if changed == "sender" else "ops@mon.example.com",
    )
    await relay.pass_time(120)

    assert 2 == len(await relay.orders())


@pytest.mark.asyncio
async def test_a_device_that_says_the_same_again_later_is_heard_again(relay: Journey) -> None:
    """Without Message-ID and Date nothing is a repeat: after the window a second message goes out."""
    await relay.mail(BARE, TO)
    await relay.pass_time(70)
    await relay.mail(BARE, TO)
    await relay.pass_time(70)

    assert 2 == len(relay.sandbox.messages)
    assert ["delivered", "delivered"] == [order.state for order in await relay.orders()]


@pytest.mark.both
@pytest.mark.asyncio
async def test_the_same_text_within_the_window_is_merged_and_shares_the_outcome(relay: Journey) -> None:
    """The phone rings once; both mails are answered for, and a failure is told to both senders."""
    to = "79991232006@sms.example.com"
    await relay.mail(BARE, to)
    await relay.pass_time(1)
    await relay.mail(BARE, to, sender="second@mon.example.com")
    await relay.pass_time(120)

    assert 1 == len(relay.sandbox.messages)
    assert ["failed", "merged"] == [order.state for order in await relay.orders()]
    assert {"ops@mon.example.com", "second@mon.example.com"} == {r["To"] for r in relay.reports()}
    assert "sent once" in relay.reports()[-1].as_string() + relay.reports()[0].as_string()


@pytest.mark.asyncio
async def test_what_comes_after_the_first_was_delivered_is_told_at_once(relay: Journey) -> None:
    """Merged into an order that is over: its outcome is this one's."""
    await relay.mail(BARE, TO)
    await relay.pass_time(30)
    await relay.mail(BARE, TO, rcpt_options=["NOTIFY=SUCCESS"])
    await relay.pass_time(20)

    assert ["delivered", "merged"] == [order.state for order in await relay.orders()]
    (report,) = relay.reports()
    assert "Delivered" in report["Subject"]


@pytest.mark.both
@pytest.mark.asyncio
async def test_an_order_that_waits_for_one_that_is_dropped_stands_up(relay: Journey) -> None:
    """The order that spoke for it was never sent: the merged one goes out itself."""
    relay.sandbox.fault = 3
    relay.sandbox.set_balance("0")
    await relay.mail(BARE, TO)
    await relay.pass_time(1)
    relay.app.workers["main"].standing.row = Account("main")
    first = await relay.order()
    await relay.mail(BARE, TO)
    await relay.pass_time(0)

    assert "waiting" == first.state
    assert "merged" == (await relay.orders())[1].state
    relay.sandbox.fault = None
    relay.sandbox.set_balance("1000")
    await act(relay, first.id, "drop")
    await relay.pass_time(600)

    assert ["dropped", "delivered"] == [order.state for order in await relay.orders()]
    assert 1 == len(relay.sandbox.messages)


async def act(relay: Journey, order: int, action: str) -> None:
    """What `smsc-relay queue ACTION` does."""
    import aiohttp  # noqa: PLC0415

    from relay import model  # noqa: PLC0415

    socket = str(relay.app.config.web.socket)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=socket)) as session,
        session.post(f"http://relay/api/queue/{model.show(order)}/{action}") as answer,
    ):
        assert 200 == answer.status


@pytest.mark.asyncio
async def test_a_phone_never_gets_a_chain_of_fifty(tmp_path: Path) -> None:
    """Without digests there is a minute of silence after 45 messages with short gaps; all of them arrive."""
    async with journey(tmp_path, config=settings(tmp_path, storm={"burst": 0})) as relay:
        for n in range(60):
            await relay.mail(BARE.replace("door 4", f"door {n}"), TO)
        await relay.pass_time(5)
        first = len(relay.sandbox.messages)
        await relay.pass_time(200)

        assert 45 == first
        assert 60 == len(relay.sandbox.messages)
        assert {"delivered"} == {order.state for order in await relay.orders()}


@pytest.mark.asyncio
async def test_never_more_than_fourteen_calls_at_once(tmp_path: Path) -> None:
    """300 messages against a provider that takes 50 ms and once says that there is no money.

    Polls and the balance probe count too.
    """
    sandbox = Sandbox(latency=0.05, steps=(0.2, 0.4))
    config = settings(tmp_path, delivery={"poll": (300, 300, 1000), "retry": (100,)})
    async with journey(tmp_path, clock=Clock(), sandbox=sandbox, config=config) as relay:
        for n in range(300):
            if n == 150:
                sandbox.next_send_faults.append(3)
            await relay.mail(BARE.replace("door 4", f"door {n}"), f"7999123{4000 + n}@sms.example.com")
        await relay.until(lambda: any(call.path.endswith("balance.php") for call in sandbox.calls), "a probe")
        await relay.until(lambda: len(sandbox.messages) == 300, "300 messages")
        await relay.until(
            lambda: sum(call.path.endswith("status.php") for call in sandbox.calls) > 20, "polls"
        )

    assert 2 <= sandbox.max_in_flight <= 14
    assert 300 == len({message.phone for message in sandbox.messages})
