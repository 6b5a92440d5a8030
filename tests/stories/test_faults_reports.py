"""What is told of orders that speak for others, of aliases and of groups: once, and all of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from faults import A, B, bare, group, oncall, to, told
from harness import Journey, journey, settings

from relay.delivery.news import news_of
from relay.queue.states import State
from relay.smsc import outcomes

ONCALL = "oncall@sms.example.com"
SUCCESS = ["NOTIFY=SUCCESS"]


@pytest.mark.asyncio
@pytest.mark.parametrize("apart", [0, 5])
async def test_success_of_an_alias_merged_into_two_recipients_is_told_once(
    relay: Journey, apart: int
) -> None:
    """Both phones heard it from another mail, at once or one after the other: one report of success."""
    oncall(relay, "+79991234567", "+79991234569")
    await relay.mail(bare(), to("4567"), sender=A)
    await relay.pass_time(apart)
    await relay.mail(bare(), to("4569"), sender=A)
    await relay.pass_time(1)
    await relay.mail(bare(), ONCALL, sender=B, rcpt_options=SUCCESS)
    await relay.pass_time(300)

    assert [B] == told(relay)


@pytest.mark.asyncio
async def test_two_speakers_of_one_alias_end_at_once(relay: Journey) -> None:
    """Their settlements overlap: the alias is told of its success all the same."""
    oncall(relay, "+79991230122", "+79991240122")
    await relay.mail(bare(), ["79991230122@sms.example.com", "79991240122@sms.example.com"], sender=A)
    await relay.pass_time(1)
    await relay.mail(bare(), ONCALL, sender=B, rcpt_options=SUCCESS)
    await relay.pass_time(3)
    first, second, *merged = await relay.orders()
    done = outcomes.for_status(1)
    await asyncio.gather(*(relay.app.settler.settle([news_of(o.id, done)]) for o in (first, second)))
    await relay.pass_time(30)

    assert [State.MERGED, State.MERGED] == [order.state for order in merged]
    assert [B] == told(relay)


@pytest.mark.asyncio
async def test_every_fate_of_an_alias_is_in_the_report(tmp_path: Path) -> None:
    """Two members fail for different reasons within `gather`: both reasons are said."""
    async with journey(tmp_path, config=settings(tmp_path, reports={"gather": 10_000})) as relay:
        oncall(relay, "+79991232006", "+79991233023", "+79991234569")
        await relay.mail(bare(), ONCALL)
        await relay.pass_time(300)
        text = "\n".join(str(part) for report in relay.reports() for part in report.walk())

    assert "Status: 4.4.7" in text
    assert "Status: 5.7.1" in text


@pytest.mark.asyncio
async def test_a_group_member_refused_within_the_answer_is_settled_by_it(relay: Journey) -> None:
    """Errors of single numbers in the answer end a group's members too: one report."""
    group(relay, "79991234567", "79991230107")
    await relay.mail(bare(), "g777@sms.example.com")
    await relay.pass_time(600)

    assert all(order.finished_at for order in await relay.orders())
    assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_a_merged_order_whose_speaker_is_at_the_provider_owes_no_delay_warning(relay: Journey) -> None:
    """Delayed means: not yet at the provider."""
    await relay.mail(bare(), to("0122"), sender=A)
    await relay.pass_time(0)
    await relay.mail(bare(), to("0122"), sender=B)
    await relay.pass_time(20 * 60)

    assert ["sent", "merged"] == [order.state for order in await relay.orders()]
    assert [] == told(relay)
