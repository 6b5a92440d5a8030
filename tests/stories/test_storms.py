"""Storms: more than a phone should hear, told in digests; recoveries ahead; what is late says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import (
    ALWAYS,
    HOUR,
    A,
    B,
    Line,
    Z,
    act,
    add_short_route,
    all_slots_taken,
    bare,
    change_route,
    oncall,
    to,
    told,
)
from harness import Journey, StillClock, journey, settings

from relay.queue.rows import Order
from relay.queue.states import State

TO = to("4567")
ALARMS = 14


def problem(name: str, value: int = 90) -> str:
    """A monitor's mail about one thing."""
    return f"From: mon@mon.example.com\nSubject: PROBLEM: {name}\n\n{name} at {value}%\n"


def recovery(name: str, value: int = 10) -> str:
    """The end of it."""
    return f"From: mon@mon.example.com\nSubject: RESOLVED: {name}\n\n{name} at {value}%\n"


def texts(relay: Journey) -> list[str]:
    """What phones were told, in order."""
    return [params["mes"] for params in relay.sends()]


def digests(relay: Journey) -> list[str]:
    """The digests among it."""
    return [text for text in texts(relay) if text.startswith("+")]


async def storm(relay: Journey, many: int = ALARMS, *, sender: str = A, first: int = 0) -> None:
    """So many alarms at once, no two alike."""
    for n in range(first, first + many):
        await relay.mail(bare(f"door {n} of house {'abcdefghijklmnopqrst'[n % 20]}"), TO, sender=sender)


def by_alarm(orders: list[Order], alarm: str) -> list[Order]:
    """Orders of a kind."""
    return [order for order in orders if order.alarm == alarm]


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_is_over_a_burst_goes_as_a_digest(relay: Journey) -> None:
    """Ten go as they are; of the rest the phone is told in one message, a minute later."""
    await storm(relay, 30)
    await relay.pass_time(5)
    at_once = texts(relay)
    await relay.pass_time(300)
    orders = await relay.orders()
    (digest,) = by_alarm(orders, "digest")

    assert [f"alarm\ndoor {n} of house {'abcdefghij'[n]}" for n in range(10)] == sorted(at_once)
    (text,) = digests(relay)
    assert 11 == len(texts(relay))
    assert text.startswith("+20 more since ")
    assert "20 kinds:" in text
    assert "alarm door 10 of house k" in text
    assert {digest.id} == {order.merged_into for order in orders[10:30]}
    assert all(order.finished_at for order in orders)


@pytest.mark.asyncio
async def test_a_digest_counts_what_differs_in_numbers_only(relay: Journey) -> None:
    """The most frequent kind comes first, with its youngest message."""
    await storm(relay, 10)
    for n in range(20):
        await relay.mail(bare(f"fan {n} stands still"), TO)
        await relay.mail(bare(f"link {n} is down at 10:{n + 10}"), TO)
    await relay.mail(bare("link 77 is down at 11:00"), TO)
    await relay.pass_time(70)

    (text,) = digests(relay)
    assert "+41 more since " in text
    assert ["21x alarm link 77 is down at 11:00", "20x alarm fan 19 stands still"] == text.split("\n")[1:]


@pytest.mark.asyncio
async def test_one_that_is_over_goes_as_it_is(relay: Journey) -> None:
    """A digest of one message would say less than the message."""
    await storm(relay, 11)
    await relay.pass_time(300)

    assert "alarm\ndoor 10 of house k" == texts(relay)[-1]
    assert {"delivered"} == {order.state for order in await relay.orders()}


@pytest.mark.asyncio
async def test_a_storm_of_hours_is_ten_and_a_digest_a_minute(tmp_path: Path) -> None:
    """However long it goes on, no phone gets more; what is left is in some digest."""
    config = settings(tmp_path, storm={"burst": 3})
    async with journey(tmp_path, config=config) as relay:
        for minute in range(12):
            await storm(relay, 8, first=8 * minute)
            await relay.pass_time(60)
        await relay.pass_time(600)
        orders = await relay.orders()

        assert len(texts(relay)) <= 12 * 4 + 2
        assert len(digests(relay)) >= 10
        assert all(order.finished_at for order in orders)
        assert {"delivered", "merged"} == {order.state for order in orders}


@pytest.mark.both
@pytest.mark.asyncio
async def test_recoveries_go_out_ahead_and_whatever_the_burst(relay: Journey) -> None:
    """Fifteen recoveries after fifteen problems: all of them are told, and no problem after its end."""
    for n in range(15):
        await relay.mail(problem(f"pump {n}"), TO)
    await relay.pass_time(5)
    for n in range(15):
        await relay.mail(recovery(f"pump {n}"), TO)
    await relay.pass_time(5)
    said = texts(relay)
    await relay.pass_time(300)
    orders = await relay.orders()
    ends = {order.id for order in by_alarm(orders, "recovery")}
    swallowed = [order for order in orders if order.state is State.MERGED]

    assert 15 == sum("RESOLVED" in text for text in said)
    assert said == texts(relay)
    assert 5 == len(swallowed)
    assert {order.merged_into for order in swallowed} <= ends


@pytest.mark.asyncio
async def test_a_recovery_that_was_refused_ends_nothing(relay: Journey) -> None:
    """The phone never read it, so the problem that waited is told after all."""
    await storm(relay, 10)
    await relay.mail(problem("pump"), TO, sender=A)
    await relay.pass_time(5)
    relay.sandbox.next_send_faults.append(6)
    await relay.mail(recovery("pump"), TO, sender=B)
    await relay.pass_time(300)

    assert any("PROBLEM: pump" in message.text for message in relay.sandbox.messages)
    assert [B] == told(relay)


@pytest.mark.asyncio
async def test_a_problem_that_comes_back_is_told_again(relay: Journey) -> None:
    """The same words within the minute: after the recovery they are news, once the provider takes them."""
    await relay.mail(problem("pump"), TO)
    await relay.pass_time(10)
    await relay.mail(recovery("pump"), TO)
    await relay.pass_time(10)
    await relay.mail(problem("pump"), TO)
    await relay.pass_time(300)

    assert ["PROBLEM", "RESOLVED", "PROBLEM"] == [text.split(":")[0] for text in texts(relay)]


@pytest.mark.asyncio
async def test_who_waits_for_the_end_of_a_chain_may_speak_for_another(tmp_path: Path) -> None:
    """The 45th of a chain is refused for money, and heard of again: both wait, and others go meanwhile."""
    async with journey(tmp_path, config=settings(tmp_path, storm={"burst": 0})) as relay:
        await storm(relay, 44)
        await relay.rest()
        relay.sandbox.next_send_faults.append(3)
        await relay.mail(bare("the last"), TO, sender=A)
        await relay.rest()
        await relay.mail(bare("the last"), TO, sender=B)
        await relay.pass_time(20)
        await relay.mail(bare("elsewhere"), to("4568"))
        await relay.rest()
        before = len(relay.sandbox.messages)
        await relay.pass_time(300)

        assert 45 == before
        assert 1 == [message.text for message in relay.sandbox.messages].count("alarm\nthe last")
        assert ["delivered", "merged"] == [order.state for order in (await relay.orders())[44:46]]


@pytest.mark.asyncio
async def test_who_goes_in_a_digest_takes_those_along_for_whom_it_speaks(tmp_path: Path) -> None:
    """A text found no connection and is heard of again as the digest is made: all are told of that."""
    rules = {"burst": 1, "per": 6000, "digest_every": 5000, "repeat_window": 300_000}
    config = settings(tmp_path, storm=rules, reports={"gather": 0, "success": "delivered"})
    async with journey(tmp_path, config=config) as relay:
        Line(relay, broken=(1,))
        await relay.mail(bare("door"), TO, sender=A)
        await relay.pass_time(6)
        await relay.mail(bare("fan"), TO)
        await relay.mail(bare("pump"), TO)
        await relay.pass_time(3)
        async with all_slots_taken(relay):
            await relay.mail(bare("door"), TO, sender=B)
            await relay.pass_time(2)
        await relay.pass_time(300)
        door, *_, again = [order for order in await relay.orders() if order.alarm != "digest"]

        assert 1 == len(digests(relay))
        assert ("merged", "merged", door.merged_into) == (door.state, again.state, again.merged_into)
        assert {A, B} <= set(told(relay))
        assert all(order.finished_at for order in await relay.orders())


@pytest.mark.asyncio
async def test_a_thing_that_flaps_ends_well(relay: Journey) -> None:
    """Broken, well, broken, well within a minute: the last that the phone reads is that it is well."""
    for _ in range(2):
        await relay.mail(problem("pump"), TO)
        await relay.pass_time(5)
        await relay.mail(recovery("pump"), TO)
        await relay.pass_time(5)
    await relay.pass_time(300)

    assert ["PROBLEM", "RESOLVED"] == [text.split(":")[0] for text in texts(relay)]
    assert all(order.finished_at for order in await relay.orders())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "sent as part of a digest"), ("ru", "отправлено в составе сводки")],
)
async def test_senders_are_told_of_the_digest(tmp_path: Path, language: str, words: str) -> None:
    """Whoever asked for good news hears that it went with others, and is not shown others' words."""
    reports = {"gather": 0, "success": "delivered", "language": language}
    async with journey(tmp_path, config=settings(tmp_path, reports=reports)) as relay:
        await storm(relay, 11, sender=A)
        await storm(relay, 1, sender=B, first=15)
        await relay.pass_time(300)
        bodies = {str(report["To"]): report.get_body(("plain",)).get_content() for report in relay.reports()}

        assert 12 == len(relay.reports())
        assert words in " ".join(bodies[B].split())
        assert "house" not in bodies[B]


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_digest_that_does_not_arrive_fails_for_all(relay: Journey) -> None:
    """The phone is off: each sender hears of the own message."""
    for n in range(13):
        await relay.mail(bare(f"door {'abcdefghijklm'[n]}"), to("2006"), sender=A if n < 10 else B)
    await relay.pass_time(900)
    orders = await relay.orders()

    assert all(order.finished_at for order in orders)
    assert 10 * [A] + 3 * [B] == told(relay)


@pytest.mark.asyncio
async def test_what_a_refused_digest_carried_goes_alone(relay: Journey) -> None:
    """The provider will not take the digest: its messages stand up again, and go as there is room."""
    await storm(relay, 10)
    await relay.pass_time(5)
    await storm(relay, 5, first=10)
    relay.sandbox.next_send_faults.append(6)
    await relay.pass_time(400)
    orders = await relay.orders()

    assert 15 == len(relay.sandbox.messages)
    assert [] == told(relay)
    assert ["failed"] == [order.state for order in by_alarm(orders, "digest")]
    assert {"delivered"} == {order.state for order in by_alarm(orders, "problem")}


@pytest.mark.asyncio
async def test_no_connection_for_a_digest(relay: Journey) -> None:
    """It is tried again like any order, with the same words; those in it wait with it."""
    await storm(relay, 14)
    await relay.pass_time(5)
    line = Line(relay, broken=ALWAYS)
    await relay.pass_time(100)
    line.broken = ()
    await relay.pass_time(600)

    assert 11 == len(relay.sandbox.messages)
    assert all(order.finished_at for order in await relay.orders())


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_expires_in_a_digest_has_failed(relay: Journey) -> None:
    """The digest never leaves; a message of a route that waits a minute and a half fails, the others go."""
    add_short_route(relay, expire=90_000)
    await storm(relay, 12)
    await relay.mail(bare("short of time"), "79991234567@short.example.com", sender=Z)
    await relay.pass_time(5)
    line = Line(relay, broken=ALWAYS)
    await relay.pass_time(200)
    line.broken = ()
    await relay.pass_time(HOUR)

    assert 11 == len(relay.sandbox.messages)
    assert [Z] == told(relay)
    (report,) = relay.reports()
    assert "digest" not in report.get_body(("plain",)).get_content()


@pytest.mark.both
@pytest.mark.asyncio
async def test_held_and_released_in_a_storm(relay: Journey) -> None:
    """What a person held is in no digest; released, it goes."""
    await storm(relay, 13)
    await relay.pass_time(5)
    held = (await relay.orders())[12]
    await act(relay, held.id, "hold")
    await relay.pass_time(120)
    (text,) = digests(relay)
    await act(relay, held.id, "release")
    await relay.pass_time(120)

    assert "+2 more" in text
    assert "alarm\ndoor 12 of house m" == texts(relay)[-1]


@pytest.mark.asyncio
async def test_a_dropped_digest(relay: Journey) -> None:
    """Somebody gave the digest up while the line was broken: its messages go by themselves."""
    await storm(relay, 13)
    await relay.pass_time(5)
    line = Line(relay, broken=ALWAYS)
    await relay.pass_time(65)
    (digest,) = by_alarm(await relay.orders(), "digest")
    assert 200 == await act(relay, digest.id, "drop")
    line.broken = ()
    await relay.pass_time(300)

    assert 13 == len(relay.sandbox.messages)
    assert [] == told(relay)


@pytest.mark.asyncio
async def test_an_alias_in_a_storm(relay: Journey) -> None:
    """Each phone of an alias has its own burst; equal digests go in one request."""
    oncall(relay, "+79991234567", "+79991234568")
    for n in range(15):
        await relay.mail(bare(f"door {'abcdefghijklmno'[n]}"), "oncall@sms.example.com")
    await relay.pass_time(300)

    assert 22 == len(relay.sandbox.messages)
    assert 1 == len(digests(relay))
    assert {"79991234567,79991234568"} <= {p["phones"].replace("+", "") for p in relay.sends()}


@pytest.mark.asyncio
async def test_calls_wait_for_room(relay: Journey) -> None:
    """No digest is read out: over a burst calls wait, and all are made."""
    change_route(relay, channel="call")
    for n in range(13):
        await relay.mail(bare(f"door {'abcdefghijklm'[n]}"), TO)
    await relay.pass_time(5)
    at_once = len(texts(relay))
    await relay.pass_time(120)

    assert (10, 13) == (at_once, len(texts(relay)))
    assert [] == digests(relay)


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_crash_with_a_digest_under_way(tmp_path: Path, clock: StillClock) -> None:
    """The next start finds the digest and those in it, asks, and sends it once more only if it must."""
    async with journey(tmp_path, clock=clock) as first:
        await storm(first, 14)
        await first.pass_time(30)
    sandbox = first.sandbox
    sent = len(sandbox.messages)
    async with journey(tmp_path, clock=clock) as second:
        await second.pass_time(300)
        orders = await second.orders()

        assert 10 == sent
        assert 1 == len(second.sandbox.messages)
        assert ["+4 more"] == [text[:7] for text in digests(second)]
        assert {"merged"} == {order.state for order in orders[10:14]}


@pytest.mark.asyncio
async def test_an_outage_marks_what_is_late(relay: Journey) -> None:
    """Two hours without a line: what goes out then says so, and a repeat would be the same bytes."""
    line = Line(relay, broken=ALWAYS)
    await relay.mail(bare("door open"), TO)
    await relay.pass_time(2 * HOUR)
    line.broken = ()
    relay.sandbox.next_send_faults.append("reset")
    await relay.pass_time(2 * HOUR)
    tries = {(params["id"], params["mes"]) for params in relay.sends()}

    assert 2 == len(relay.sends())
    assert 1 == len(tries)
    ((_, text),) = tries
    assert text.startswith("(delayed 2 h ")
    assert text.endswith(" min) alarm\ndoor open")
    assert 1 == len(relay.sandbox.messages)


@pytest.mark.asyncio
async def test_equal_texts_of_different_age_go_apart(relay: Journey) -> None:
    """One request has one text: that one is later than the other is for its own phone to read."""
    line = Line(relay, broken=ALWAYS)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(1200)
    await relay.mail(bare(), to("4568"))
    await relay.pass_time(1800)
    line.broken = ()
    await relay.pass_time(2 * HOUR)

    said = [text.split("alarm")[0] for text in texts(relay)]
    assert 2 == len(said)
    assert all(text.startswith("(delayed ") for text in said)
