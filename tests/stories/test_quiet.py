"""Quiet hours and countries from end to end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from faults import bare, change_route, to
from harness import SENDER, START, Journey, StillClock, journey, settings

from relay.clock import Clock
from relay.config import Alias, Quiet
from relay.config.shape import Account
from relay.model import HOUR
from relay.smsc.sandbox import Sandbox

KZ = "77011234567@sms.example.com"
NIGHT = int(datetime(2027, 1, 15, 22, 30, tzinfo=UTC).timestamp()) * 1000
LONDON = {"tz": "-3"}


def at_night(relay: Journey) -> None:
    """It is half past ten in London, and the route leaves phones alone until seven."""
    clock = relay.clock
    assert isinstance(clock, StillClock)
    clock.set(NIGHT)
    change_route(relay, quiet=Quiet(hours="22-7", by="hold"), params=LONDON)


async def story(relay: Journey) -> list[str]:
    """What happened to the only order."""
    order = await relay.order()
    return [f"{line['event']} {line['detail']}" for line in await relay.app.store.story(order.id)]


@pytest.mark.asyncio
async def test_the_provider_waits(relay: Journey) -> None:
    """It is told the open hours, and takes the message at once."""
    change_route(relay, quiet=Quiet(hours="22-7"), params=LONDON)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(5)

    (sent,) = relay.sends()
    assert ("7-22", "-3") == (sent["time"], sent["tz"])


@pytest.mark.asyncio
async def test_a_mail_that_says_when_is_not_delayed(relay: Journey) -> None:
    """Its `time` goes out as it stands, whoever waits."""
    at_night(relay)
    change_route(relay, allow=("time",))
    await relay.mail(bare(), "79991234567+time=0-24@sms.example.com")
    await relay.pass_time(5)

    (sent,) = relay.sends()
    assert "0-24" == sent["time"]


@pytest.mark.asyncio
async def test_an_order_waits_here_until_the_morning(relay: Journey) -> None:
    """No call before seven; the sender is not warned of a delay that is meant; the queue says why."""
    at_night(relay)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(8 * 3600)
    waiting = await relay.order()
    calls, reports = len(relay.sends()), len(relay.reports())
    await relay.pass_time(3600)
    after = await relay.order()

    seven = NIGHT + 8 * HOUR + HOUR // 2
    assert (0, 0) == (calls, reports)
    assert (seven, seven + 24 * HOUR) == (waiting.start_at, waiting.expire_at)
    assert ("waiting", "the quiet hours of its route are 22-7, the message waits for 07:00") == (
        waiting.state,
        waiting.reason,
    )
    assert "22-7" in (await story(relay))[0]
    assert ("delivered", seven) == (after.state, after.sent_at)


@pytest.mark.asyncio
async def test_a_try_that_falls_into_the_night_waits_too(relay: Journey) -> None:
    """The account had no money in the evening; what it gets at night is spent in the morning."""
    at_night(relay)
    relay.clock.set(NIGHT - HOUR)
    relay.sandbox.set_balance("0")
    change_route(relay, expire=2 * HOUR)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(1800)
    relay.sandbox.set_balance("1000")
    relay.sandbox.calls.clear()
    await relay.pass_time(8 * 3600)
    night = len(relay.sends())
    await relay.pass_time(3720)

    assert 0 == night
    assert "delivered" == (await relay.order()).state
    assert "waits the quiet hours of its route are 22-7, the message waits for 07:00" in await story(relay)


@pytest.mark.asyncio
async def test_the_warning_of_a_delay_counts_from_the_morning(relay: Journey) -> None:
    """The provider is down from seven on: a quarter of an hour later the sender hears."""
    at_night(relay)
    relay.sandbox.set_balance("0")
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(8.6 * 3600)
    early = len(relay.reports())
    await relay.pass_time(1800)

    assert 0 == early
    assert [SENDER] == [report["To"] for report in relay.reports()]


@pytest.mark.asyncio
async def test_without_a_zone_it_is_this_machines(tmp_path: Path) -> None:
    """A machine five hours ahead of UTC has its night at half past ten there."""

    class Ahead(StillClock):
        def zone(self, _at: int) -> int:
            return 5 * HOUR

    clock = Ahead(NIGHT - 5 * HOUR)
    async with journey(tmp_path, clock=clock) as relay:
        change_route(relay, quiet=Quiet(hours="22-7", by="hold"))
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(8 * 3600)
        calls = len(relay.sends())
        await relay.pass_time(3600)
        assert (0, 1) == (calls, len(relay.sends()))
    assert 0 == Clock().zone(START) % (15 * 60 * 1000)


@pytest.mark.asyncio
async def test_quiet_hours_outlive_a_restart(tmp_path: Path, clock: StillClock) -> None:
    """What waits for the morning waits after it too."""
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        at_night(relay)
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(60)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.pass_time(8 * 3600)
        before = len(sandbox.messages)
        await relay.pass_time(3600)

    assert (0, 1) == (before, len(sandbox.messages))


# -- countries ----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_country_that_is_not_on_the_list_is_refused_at_rcpt(relay: Journey) -> None:
    """The others of the mail are served."""
    change_route(relay, countries=("RU",))
    replies = await relay.mail(bare(), [KZ, to("4567")])
    await relay.pass_time(60)

    assert "550 5.7.1 '+77011234567' is a number of KZ; this route reaches RU" == replies[1]
    assert ["+79991234567"] == [order.target for order in await relay.orders()]


@pytest.mark.asyncio
@pytest.mark.parametrize("way", [{"to": "77011234567"}, {"to": "oncall@sms.example.com"}])
async def test_the_api_is_refused_too(tmp_path: Path, way: dict[str, str]) -> None:
    """`send` reaches no other country than mail does; members stay hidden."""
    config = settings(tmp_path, aliases={"oncall": Alias(to=("+77011234567",))})
    async with journey(tmp_path, config=config) as relay:
        change_route(relay, countries=("RU",))
        status, answer = await api(relay, {**way, "text": "hello"})

    assert 422 == status
    assert "5.7.1" in answer["error"]
    assert ("77011234567" in way["to"]) == ("77011234567" in answer["error"])


async def api(relay: Journey, body: dict[str, str]) -> tuple[int, Any]:
    """One call of `send`."""
    connector = aiohttp.UnixConnector(path=str(relay.app.config.web.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://relay/api/send", json=body) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.asyncio
async def test_a_header_that_chooses_the_channel_chooses_no_country(relay: Journey) -> None:
    """The list is the route's, whatever way its message takes."""
    change_route(relay, countries=("RU",), allow=("call",))
    replies = await relay.mail(f"X-SMSC-Channel: call\n{bare()}", KZ)

    assert "550 5.7.1" == replies[1][:9]


@pytest.mark.asyncio
async def test_lines_of_the_providers_grammar_reach_no_other_country(tmp_path: Path) -> None:
    """The number is refused and reported; the next one of the line is served."""
    account = Account.model_validate({"url": "sandbox", "login": "alex", "psw": "secret"})
    config = settings(tmp_path).model_copy(update={"accounts": {"main": account}})
    async with journey(tmp_path, config=config) as relay:
        change_route(relay, gateway=True, countries=("RU",))
        await relay.mail(
            "Subject: x\n\nalex:secret:::,,:77011234567,79991234567:text\n", "send@sms.example.com"
        )
        await relay.pass_time(60)
        found = {order.target: (order.state.value, order.status) for order in await relay.orders()}

    assert {"+77011234567": ("failed", "5.7.1")}.items() <= found.items()
    assert "delivered" == found["+79991234567"][0]
