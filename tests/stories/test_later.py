"""Mails that are to be held (FUTURERELEASE, RFC 4865): by the provider where it can, else here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faults import ALWAYS, Line, bare, change_route, to
from harness import START, Journey, journey, settings
from replies import MAIL, PHONE, body, inbox, says, told

from relay.config import Quiet
from relay.model import DAY, HOUR, MINUTE, SECOND

TWO_HOURS = f"0{(START + 2 * HOUR) // SECOND}"
LONDON = {"tz": "-3"}


def at_the_phone(relay: Journey) -> list[str]:
    """The texts that have been delivered by now."""
    now = relay.clock.now() / SECOND
    return [each.text for each in relay.sandbox.messages if each.at(now).status == 1]


def actions(relay: Journey) -> list[str]:
    """What the reports say, in their order."""
    lines = "".join(report.as_string() for report in relay.reports()).splitlines()
    return [line.removeprefix("Action: ") for line in lines if line.startswith("Action: ")]


# -- at the provider ----------------------------------------------------------------------


@pytest.mark.asyncio
async def test_the_provider_holds_it(relay: Journey) -> None:
    """It leaves at once with `time`; no phone hears it before, and nobody is asked about it until then."""
    notify = ["NOTIFY=SUCCESS,FAILURE,DELAY"]
    await relay.mail(bare(), to("4567"), options=["HOLDFOR=7200"], rcpt_options=notify)
    await relay.pass_time(7199)
    order, before, reports = await relay.order(), at_the_phone(relay), actions(relay)
    questions = [call.path for call in relay.sandbox.calls if "status" in call.path]
    await relay.pass_time(600)

    assert [TWO_HOURS] == [sent["time"] for sent in relay.sends()]
    assert ("sent", START + 2 * HOUR, START + 2 * HOUR + DAY) == (
        order.state,
        order.start_at,
        order.expire_at,
    )
    assert ([], [], []) == (before, reports, questions)
    assert (["alarm\ndoor open"], ["delivered"]) == (at_the_phone(relay), actions(relay))
    (report,) = relay.reports()
    assert "the mail until 2027-01-15 10:00:00 UTC: the provider has it until then" in " ".join(
        report.get_body().get_content().split()
    )


@pytest.mark.asyncio
async def test_what_the_provider_keeps_for_days_is_remembered(relay: Journey) -> None:
    """Two days later the same is to be said at that same moment: it waits here, and is told once."""
    await relay.mail(bare(), to("4567"), options=["HOLDFOR=259200"])
    await relay.pass_time(2 * DAY / SECOND)
    await relay.mail(bare(), to("4567"), options=["HOLDFOR=86400"])
    await relay.pass_time(5)
    handed_over = len(relay.sends())
    await relay.pass_time(2 * DAY / SECOND)

    assert (1, 1) == (handed_over, len(relay.sandbox.messages))
    assert ["delivered", "merged"] == [order.state for order in await relay.orders()]


@pytest.mark.asyncio
async def test_it_needs_no_relay_to_be_on_time(tmp_path: Path) -> None:
    """The relay is gone when the time comes; a later one hears what became of it."""
    async with journey(tmp_path) as relay:
        await relay.mail(bare(), to("4567"), options=["HOLDUNTIL=2027-01-15T09:00:00Z"])
        await relay.pass_time(5)
        clock, sandbox = relay.clock, relay.sandbox
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.pass_time(4000)
        assert (1, "delivered") == (len(relay.sends()), (await relay.order()).state)


@pytest.mark.asyncio
async def test_a_moment_within_a_second_is_not_before_it(relay: Journey) -> None:
    """The provider knows whole seconds: the next one."""
    relay.clock.set(START + 1)  # type: ignore[attr-defined]
    await relay.mail(bare(), to("4567"), options=["HOLDFOR=7200"])
    await relay.pass_time(5)

    assert [f"0{(START + 2 * HOUR) // SECOND + 1}"] == [sent["time"] for sent in relay.sends()]


@pytest.mark.asyncio
async def test_a_zone_means_nothing_to_it(relay: Journey) -> None:
    """The moment is Unix time; the `tz` of the route, meant for other times, stays here."""
    change_route(relay, params=LONDON)
    await relay.mail(bare(), to("4567"), options=["HOLDFOR=7200"])
    await relay.pass_time(5)

    (sent,) = relay.sends()
    assert (TWO_HOURS, None) == (sent["time"], sent.get("tz"))


@pytest.mark.asyncio
async def test_what_can_t_be_handed_over_in_time_goes_as_soon_as_it_can(relay: Journey) -> None:
    """A line that is down until after the moment: `time` has passed by then, which means now."""
    line = Line(relay, ALWAYS)
    await relay.mail(bare(), to("4567"), options=["HOLDFOR=600"])
    await relay.pass_time(700)
    before = at_the_phone(relay)
    line.broken = ()
    await relay.pass_time(1200)

    assert ([], ["alarm\ndoor open"]) == (before, at_the_phone(relay))


@pytest.mark.asyncio
async def test_an_answer_that_was_lost_makes_no_second_message(relay: Journey) -> None:
    """Asked about like any other; where it never came, the same bytes go out."""
    await relay.mail(bare("one"), to("0111"), options=["HOLDFOR=7200"])
    await relay.pass_time(60)
    await relay.mail(bare("two"), to("0112"), options=["HOLDFOR=7200"])
    await relay.pass_time(8000)

    calls = [call for call in relay.sandbox.calls if call.path.endswith("send.php")]
    repeated = [call.body for call in calls if call.params["phones"].endswith("0112")]
    assert (3, 2, 1) == (len(calls), len(repeated), len(set(repeated)))
    assert 2 == len(relay.sandbox.messages) == len(at_the_phone(relay))
    assert ["delivered"] * 2 == [order.state for order in await relay.orders()]


# -- a storm for later --------------------------------------------------------------------


@pytest.mark.both
@pytest.mark.asyncio
async def test_two_held_alarms_are_heard_once(relay: Journey) -> None:
    """The same text for the same moment, minutes or seconds apart; another text is heard as well."""
    for _ in range(3):
        await relay.mail(bare(), to("4567"), options=["HOLDUNTIL=2027-01-15T10:00:00Z"])
        await relay.pass_time(120)
    await relay.mail(bare("other"), to("4567"), options=["HOLDUNTIL=2027-01-15T10:00:00Z"])
    await relay.pass_time(9000)

    assert ["alarm\ndoor open", "alarm\nother"] == at_the_phone(relay)
    assert ["delivered", "delivered", "merged", "merged"] == sorted(o.state for o in await relay.orders())


@pytest.mark.asyncio
async def test_the_same_alarm_now_and_later_is_heard_twice(relay: Journey) -> None:
    """Who sends a text now and holds the same for an hour means both."""
    await relay.mail(bare(), to("4567"))
    await relay.mail(bare(), to("4567"), options=["HOLDFOR=3600"])
    await relay.mail(bare(), to("4567"), options=["HOLDFOR=7200"])
    await relay.pass_time(9000)

    assert ["alarm\ndoor open"] * 3 == at_the_phone(relay)


@pytest.mark.asyncio
async def test_a_night_of_held_alarms_is_no_flood_in_the_morning(relay: Journey) -> None:
    """Five of them at the provider; of the others as many as a burst has room for, and a digest."""
    for number in range(30):
        text = f"alarm {chr(97 + number % 26) * (3 + number // 26)}"
        await relay.mail(bare(text), to("4567"), options=["HOLDUNTIL=2027-01-15T10:00:00Z"])
        await relay.pass_time(60)
    before = len(relay.sends())
    await relay.pass_time(9000)

    heard = at_the_phone(relay)
    assert (5, 11) == (before, len(heard))
    assert "+20 more" in heard[-1]


# -- replies ------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_reply_means_what_was_heard(tmp_path: Path) -> None:
    """Not the message that the provider still keeps; and this one also long after it was handed over."""
    async with journey(tmp_path, config=told(tmp_path, inbox={"default": "desk@example.com"})) as relay:
        await relay.mail(MAIL, to("4567"))
        await relay.pass_time(5)
        held = bare("later")
        await relay.mail(held, to("4567"), sender="b@mon.example.com", options=["HOLDFOR=864000"])
        await relay.pass_time(5)
        await says(relay, "first", phone=PHONE)
        await relay.pass_time(864_000)
        await says(relay, "second", phone=PHONE)
        await relay.pass_time(20)

        answers = {body(mail).strip(): str(mail["To"]) for mail in inbox(relay)}
        assert {"first": "ops@mon.example.com", "second": "b@mon.example.com"} == answers


# -- here ---------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("route", "options", "name"),
    [
        ({}, ["BY=90000;R"], "79991234567"),
        ({"channel": "hlr"}, [], "79991234567"),
        ({"allow": ("period",)}, [], "79991234567+period=1"),
        ({"allow": ("time",)}, [], "79991234567+time=0-24"),
        ({"quiet": Quiet(hours="22-7"), "params": LONDON}, [], "79991234567"),
        ({"quiet": Quiet(hours="22-7", by="hold"), "params": LONDON}, [], "79991234567"),
    ],
    ids=["a deadline", "a question", "spread out", "its own time", "open hours", "quiet hours"],
)
async def test_where_something_else_says_when_it_waits_here(
    relay: Journey, route: dict[str, Any], options: list[str], name: str
) -> None:
    """Nothing before its time, no warning of a delay that is meant; the queue says why."""
    change_route(relay, **route)
    await relay.mail(bare(), f"{name}@sms.example.com", options=["HOLDFOR=7200", *options])
    await relay.pass_time(7199)
    waiting, before, reports = await relay.order(), len(relay.sends()), relay.reports()
    await relay.pass_time(2)

    assert (0, [], 1) == (before, reports, len(relay.sends()))
    assert ("waiting", START + 2 * HOUR, START + 2 * HOUR) == (
        waiting.state,
        waiting.due_at,
        waiting.start_at,
    )
    assert waiting.reason.startswith("its client asked to hold the mail until 2027-01-15 10:00:00")


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_waits_here_outlives_a_restart(tmp_path: Path) -> None:
    """It waits on disk, not in memory."""
    options = ["HOLDUNTIL=2027-01-15T09:00:00Z", "BY=90000;R"]
    async with journey(tmp_path) as relay:
        await relay.mail(bare(), to("4567"), options=options)
        clock, sandbox = relay.clock, relay.sandbox
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.pass_time(3599)
        before = len(relay.sends())
        await relay.pass_time(2)
        assert (0, 1) == (before, len(relay.sends()))


@pytest.mark.asyncio
async def test_a_held_mail_keeps_to_quiet_hours(relay: Journey) -> None:
    """Released at night, it waits for the morning; released by day, it goes."""
    change_route(relay, quiet=Quiet(hours="9-11", by="hold"), params=LONDON)
    await relay.mail(bare("one"), to("4567"), options=["HOLDFOR=7200"])
    await relay.mail(bare("two"), to("4568"), options=["HOLDFOR=14400"])
    one, two = await relay.orders()

    assert (START + 3 * HOUR, START + 4 * HOUR) == (one.due_at, two.due_at)
    assert (True, True) == ("quiet" in one.reason, "asked to hold" in two.reason)


@pytest.mark.asyncio
async def test_a_held_mail_counts_its_own_time_from_the_release(relay: Journey) -> None:
    """`time=+30` of an address is half an hour after it went out."""
    change_route(relay, allow=("time",))
    await relay.mail(bare(), '"79991234567+time=+30"@sms.example.com', options=["HOLDFOR=3600"])
    order = await relay.order()

    assert (START + HOUR, START + HOUR + 30 * MINUTE) == (order.due_at, order.start_at)


@pytest.mark.asyncio
async def test_each_recipient_waits_where_it_can(tmp_path: Path) -> None:
    """One mail: the provider holds what goes to one phone, the relay the question about another."""
    async with journey(tmp_path, config=settings(tmp_path)) as relay:
        change_route(relay, allow=("hlr",))
        people = [to("4567"), "79991234568+hlr@sms.example.com"]
        await relay.mail(bare(), people, options=["HOLDFOR=7200"])
        await relay.pass_time(5)
        early = [sent["phones"] for sent in relay.sends()]
        await relay.pass_time(7200)

        assert (["+79991234567"], 2) == (early, len(relay.sends()))
