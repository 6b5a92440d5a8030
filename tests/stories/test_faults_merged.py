"""Orders that speak for others: the phone hears a text once, and every sender hears the truth."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from faults import ALWAYS, HOUR, A, B, Line, Z, act, add_short_route, bare, group, to, told, worker
from harness import Journey, StillClock, journey

from relay.delivery.news import News, news_of, person
from relay.model import Kind
from relay.queue.rows import Account
from relay.queue.states import Event, State
from relay.smsc import outcomes
from relay.smsc.client import Sent
from relay.smsc.sandbox import Sandbox


@pytest.mark.asyncio
async def test_a_late_repeat_counts_for_the_repeat_window(relay: Journey) -> None:
    """The first was accepted at its repeat only: the same text soon after that is merged into it."""
    await relay.mail(bare(), to("0009"))
    await relay.pass_time(65)
    accepted = len(relay.sandbox.messages)
    await relay.mail(bare(), to("0009"))
    await relay.pass_time(300)

    assert 1 == accepted
    assert 1 == len(relay.sandbox.messages)
    assert ["delivered", "merged"] == [order.state for order in await relay.orders()]


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_is_merged_into_an_order_that_then_merges_hears_of_it(relay: Journey) -> None:
    """B waits for A's connection, Z goes first, A is merged into Z: all three are answered."""
    line = Line(relay, broken=ALWAYS)
    await relay.mail(bare(), to("2006"), sender=A)
    await relay.pass_time(20)
    await relay.mail(bare(), to("2006"), sender=B)
    await relay.pass_time(320)
    line.broken = ()
    await relay.mail(bare(), to("2006"), sender=Z)
    await relay.pass_time(3 * HOUR)

    assert all(order.finished_at for order in await relay.orders())
    assert {A, B, Z} == set(told(relay))


@pytest.mark.both
@pytest.mark.asyncio
async def test_merged_while_its_speaker_ends(relay: Journey) -> None:
    """B is merged into A at the very moment at which A is refused: B's sender hears too."""
    release = asyncio.Event()

    async def held(**_what):
        await release.wait()
        return Sent(outcome=outcomes.for_error(6))

    relay.app.clients["main"].send = held
    await relay.mail(bare(), to("4567"), sender=A)
    await relay.until(lambda: worker(relay).in_flight == 1, "A's call")
    worker(relay).stop()  # nobody else decides
    await relay.mail(bare(), to("4567"), sender=B)
    a, b = await relay.orders()
    merged = person(Kind.NOTHING, "2.0.0", "the phone is being told the same by another message")
    merging = News(order=b.id, event=Event.MERGED, outcome=merged, columns={"merged_into": a.id})
    settle = relay.app.settler.settle
    await asyncio.gather(settle([news_of(a.id, outcomes.for_error(7))]), settle([merging]))
    after = await relay.orders()
    release.set()
    await relay.until(lambda: [A, B] == told(relay), "two reports")

    assert State.SENDING is a.state
    assert [State.FAILED, State.MERGED] == [order.state for order in after]
    assert all(order.finished_at for order in after)


@pytest.mark.asyncio
async def test_merged_into_a_group_shares_its_outcome(relay: Journey) -> None:
    """Two mails to one group within the window, a member fails: both orders end, both senders hear."""
    group(relay, "79991234567", "79991232006")
    await relay.mail(bare(), "g777@sms.example.com", sender=A)
    await relay.pass_time(1)
    await relay.mail(bare(), "g777@sms.example.com", sender=B)
    await relay.pass_time(600)

    assert all(order.finished_at for order in await relay.orders())
    assert {A, B} == set(told(relay))


@pytest.mark.asyncio
async def test_merged_into_an_unsure_order_that_expired_stands_up(relay: Journey) -> None:
    """A is known not to exist and too late; B, merged into it, has a day left and is sent."""
    add_short_route(relay, expire=5_000)
    relay.sandbox.next_send_faults.append("reset")
    await relay.mail(bare(), "79991234567@short.example.com", sender=A)
    await relay.pass_time(2)
    await relay.mail(bare(), to("4567"), sender=B)
    await relay.pass_time(600)

    assert 1 == len(relay.sandbox.messages)
    assert [A] == told(relay)


@pytest.mark.asyncio
async def test_merged_into_an_unsure_order_that_the_provider_had_shares_its_outcome(
    tmp_path: Path, clock: StillClock
) -> None:
    """A's answer was lost, the first word on it is its failure: it went out, so B hears that, unsent."""
    sandbox = Sandbox(now=lambda: clock.now() / 1000, steps=(0.1, 0.2))
    sandbox.next_send_faults.append("accepted-reset")
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.mail(bare(), to("2006"), sender=A)
        await relay.mail(bare(), to("2006"), sender=B)
        await relay.pass_time(600)

        assert 1 == len(sandbox.messages)
        assert ["failed", "merged"] == [order.state for order in await relay.orders()]
        assert [A, B] == told(relay)


@pytest.mark.asyncio
async def test_a_merged_order_whose_speaker_is_dropped_too_late_is_not_sent(relay: Journey) -> None:
    """B's time passed while A, which spoke for it, waited for money: A is dropped, B has failed."""
    add_short_route(relay, expire=60_000)
    relay.sandbox.next_send_faults.append(3)
    relay.sandbox.set_balance("0")
    await relay.mail(bare(), to("4567"), sender=A)
    await relay.pass_time(1)
    worker(relay).standing.row = Account("main")  # the rest is over, A's next try is not due yet
    await relay.mail(bare(), "79991234567@short.example.com", sender=B)
    await relay.pass_time(0)
    a, b = await relay.orders()
    await relay.pass_time(300)
    relay.sandbox.set_balance("1000")
    await act(relay, a.id, "drop")
    await relay.pass_time(600)

    assert State.MERGED is b.state
    assert [] == relay.sandbox.messages
    assert B in told(relay)


@pytest.mark.asyncio
async def test_a_refusal_before_the_phone_heard_anything_speaks_for_nobody(relay: Journey) -> None:
    """A is refused for its own sender's name: B with the same text, ten seconds later, is sent."""
    relay.sandbox.next_send_faults.append(6)
    await relay.mail(bare(), to("4567"), sender=A)
    await relay.pass_time(10)
    await relay.mail(bare(), to("4567"), sender=B)
    await relay.pass_time(200)

    assert 1 == len(relay.sandbox.messages)
    assert [A] == told(relay)


@pytest.mark.asyncio
async def test_a_retry_by_a_person_is_sent(relay: Journey) -> None:
    """A refused order, retried within the minute, goes out; nobody gets a second bounce."""
    relay.sandbox.next_send_faults.append(6)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(10)
    await act(relay, (await relay.order()).id, "retry")
    await relay.pass_time(200)

    assert 1 == len(relay.sandbox.messages)
    assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_a_finished_merged_order_cannot_be_dropped(relay: Journey) -> None:
    """Its outcome was told: a drop is refused, and tells nobody another."""
    await relay.mail(bare(), to("2006"), sender=A)
    await relay.pass_time(20)
    await relay.mail(bare(), to("2006"), sender=B)
    await relay.pass_time(5)
    _, b = await relay.orders()
    status = await act(relay, b.id, "drop")
    await relay.pass_time(30)

    assert b.finished_at is not None
    assert 409 == status
    assert [A, B] == told(relay)
