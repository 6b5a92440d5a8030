"""Limits of the provider, slots and wake-ups: nobody waits for another, nobody asks too often."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import Line, all_slots_taken, asked, bare, group, to, too_often, worker
from harness import SENDER, START, Journey, StillClock, journey, settings

from relay.model import SECOND, Kind, Outcome
from relay.queue import schema
from relay.queue.engine import Change


@pytest.mark.asyncio
async def test_one_bad_number_among_thirty_delays_nobody_for_a_minute(relay: Journey) -> None:
    """A request of several that is refused once counts as one refusal of its sender, not as thirty."""
    await relay.mail(bare(), [*(to(f"{4000 + n}") for n in range(29)), to("0007")])
    await relay.pass_time(30)

    assert 29 == len(relay.sandbox.messages)


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_slowed_sender_with_a_backlog_does_not_starve_others(relay: Journey) -> None:
    """Its orders, more than a round reads, do not hide those of others."""
    refused = Outcome(kind=Kind.REFUSED, status="5.1.3", reason="wrong number", code="7")
    for _ in range(21):
        worker(relay).refusals.heed(refused, [SENDER], relay.clock.now())
    for n in range(410):
        await relay.mail(bare(f"text {n}"), to(f"{4000 + n}"))
    await relay.mail(bare("other"), to("9999"), sender="other@mon.example.com")
    await relay.pass_time(20)

    assert ["79991239999"] == [message.phone for message in relay.sandbox.messages]


@pytest.mark.asyncio
async def test_unsure_requests_of_many_keep_to_one_mass_question_a_minute(relay: Journey) -> None:
    """Eight phones in a call that broke off: no question is one too many."""
    relay.sandbox.next_send_faults.append("reset")
    await relay.mail(bare(), [to(f"{4000 + n}") for n in range(8)])
    await relay.pass_time(300)

    assert 8 == len(relay.sandbox.messages)
    assert [] == too_often(relay)


@pytest.mark.asyncio
async def test_two_unsure_requests_of_many_share_that_minute(relay: Journey) -> None:
    """Two requests of eight phones each broke off at once: they take turns."""
    relay.sandbox.next_send_faults.extend(["accepted-reset", "accepted-reset"])
    await relay.mail(bare("one"), [to(f"{4000 + n}") for n in range(8)])
    await relay.mail(bare("two"), [to(f"{5000 + n}") for n in range(8)])
    await relay.pass_time(300)

    assert {"delivered"} == {order.state for order in await relay.orders()}
    assert [] == too_often(relay)


@pytest.mark.asyncio
async def test_repeats_that_break_again_keep_to_five_questions_a_minute(relay: Journey) -> None:
    """Eight sends in a row are reset, and each is asked about."""
    relay.sandbox.next_send_faults.extend(["reset"] * 8)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(180)

    assert len(asked(relay)) >= 5
    assert [] == too_often(relay)


@pytest.mark.asyncio
async def test_short_poll_steps_keep_to_five_questions_a_minute(tmp_path: Path) -> None:
    """`poll: [1s]` is a wish, five a minute is the provider's limit."""
    async with journey(tmp_path, config=settings(tmp_path, delivery={"poll": (1000,)})) as relay:
        await relay.mail(bare(), to("0121"))
        await relay.pass_time(90)

        assert len(asked(relay)) >= 5
        assert [] == too_often(relay)


@pytest.mark.asyncio
async def test_a_group_in_a_mass_question_hides_nobody(relay: Journey) -> None:
    """Forty orders and a group's member fall due together: one question, about all of them."""
    group(relay, "79991234567")
    await relay.mail(bare(), ["g777@sms.example.com", *(to(f"{4100 + n}") for n in range(40))])
    await relay.pass_time(12)

    assert 41 in [len(call.params["phone"].split(",")) for call in asked(relay)]


@pytest.mark.asyncio
async def test_a_due_order_is_not_held_up_by_a_silent_question(tmp_path: Path, clock: StillClock) -> None:
    """While a poll meets silence an order falls due, and goes out."""
    async with journey(tmp_path, clock=clock, patience=3) as relay:
        await relay.mail(bare("one"), to("4567"))
        await relay.pass_time(9)
        line = Line(relay, broken={1})
        await relay.mail(bare("two"), to("4568"))
        await relay.rest()
        relay.sandbox.next_faults.append("silence")
        clock.set(START + 10_000)
        await relay.until(lambda: asked(relay), "a poll under way")
        clock.set(START + 19_100)
        await relay.until(lambda: len(line.sends) == 2, "the second try")

        assert [None] == [call.finished_at for call in asked(relay)]


@pytest.mark.asyncio
async def test_no_connection_keeps_request_and_id_whatever_the_jitter(relay: Journey) -> None:
    """Three phones, no connection once: the second try is the same request under the same id."""
    chances = iter([0.0, 0.5, 0.9] * 100)
    worker(relay)._sending._chance = relay.app.settler.terms.chance = lambda: next(chances)
    line = Line(relay, broken={1})
    await relay.mail(bare(), [to("4567"), to("4568"), to("4569")])
    await relay.pass_time(60)

    assert 2 == len(line.sends)
    assert line.sends[0] == line.sends[1]


@pytest.mark.asyncio
async def test_an_account_at_rest_does_not_wake_every_second(relay: Journey) -> None:
    """A repeat waits for a resting account: it is looked at when the rest may be over."""
    relay.sandbox.next_send_faults.extend(["reset", 3])
    relay.sandbox.set_balance("0")
    await relay.mail(bare("one"), to("4567"))
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(100)
    real, rounds = worker(relay).round, []

    async def counted():
        rounds.append(relay.clock.now())
        return await real()

    worker(relay).round = counted
    await relay.pass_time(600)

    assert 0 < len(rounds) < 60


@pytest.mark.asyncio
async def test_a_clock_that_jumped_back_silences_nobody(relay: Journey, clock: StillClock) -> None:
    """An hour back: the same text twenty minutes later is another alarm."""
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(30)
    clock.set(clock.now() - 3_600_000)
    relay.app.kick_all()
    await relay.pass_time(20 * 60)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(60)

    assert 2 == len(relay.sandbox.messages)


@pytest.mark.asyncio
async def test_what_falls_due_during_a_round_is_not_left_lying(relay: Journey, clock: StillClock) -> None:
    """While the round puts off one order for quiet hours another falls due: it goes, though no call ends."""
    async with all_slots_taken(relay, free=14):
        for n in range(2):
            await relay.mail(bare(f"text {n}"), to(f"{4000 + n}"))
        one, two = await relay.orders()
        change = Change()
        change.update(schema.orders, one.id, one.version, due_at=START + SECOND, quiet="8-12/-3")
        change.update(schema.orders, two.id, two.version, due_at=START + SECOND + 5)
        await relay.app.store.write(change)
    write = relay.app.store.write

    async def slow(change: Change) -> int | None:
        clock.set(clock.now() + 10)
        return await write(change)

    relay.app.store.write = slow  # type: ignore[method-assign]
    await relay.pass_time(10)

    assert ["79991234001"] == [message.phone for message in relay.sandbox.messages]
