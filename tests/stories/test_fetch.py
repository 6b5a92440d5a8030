"""Replies that no callback brings are fetched: once each, after a restart too, within the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from faults import bare, to
from harness import Journey, StillClock, journey, settings
from replies import MAIL, PHONE, body, inbox, says, told

from relay.model import MINUTE, SECOND
from relay.queue.engine import Full
from relay.smsc.sandbox import Call, Sandbox


@pytest_asyncio.fixture
async def relay(tmp_path: Path):
    """A relay that no callback reaches by itself."""
    config = told(tmp_path, inbox={"default": "desk@example.com"})
    async with journey(tmp_path, config=config) as running:
        yield running


def questions(relay: Journey) -> list[Call]:
    """The questions for what phones sent."""
    return [call for call in relay.sandbox.calls if "get_answers" in call.params]


@pytest.mark.asyncio
async def test_a_reply_is_fetched_and_answers_as_one_that_was_called(relay: Journey) -> None:
    """Mail, message, reply, question, mail in the thread."""
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(5)
    relay.sandbox.receive(PHONE, "Принято, еду")
    await relay.pass_time(75)

    (mail,) = inbox(relay)
    assert ("ops@mon.example.com", "Re: Disk") == (mail["To"], mail["Subject"])
    assert "Принято, еду\n" == body(mail)


@pytest.mark.asyncio
async def test_what_a_call_told_is_not_told_again(relay: Journey) -> None:
    """The call first, then the list; the list first, then the call, hours late: one mail each."""
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(5)
    sent_at = relay.clock.now() // SECOND
    relay.sandbox.receive(PHONE, "one")
    await says(relay, "one", to_="79990000000", ts=sent_at)
    await relay.pass_time(3700)  # calls arrive: the list is looked at once an hour
    assert 1 == len(questions(relay))
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(5)
    sent_at = relay.clock.now() // SECOND
    relay.sandbox.receive(PHONE, "two")
    await relay.pass_time(7200)
    await says(relay, "two", to_="79990000000", ts=sent_at)
    await relay.pass_time(60)

    assert ["one\n", "two\n"] == [body(mail) for mail in inbox(relay)]


@pytest.mark.asyncio
async def test_the_second_list_does_not_reach_further_back_than_the_first(relay: Journey) -> None:
    """What a call told before the time of the first list is not new where a later list has it."""
    await says(relay, "calls arrive: the list is looked at once an hour")
    await relay.pass_time(1800)
    relay.sandbox.receive(PHONE, "one")
    await says(relay, "one", to_="79990000000", ts=relay.clock.now() // SECOND)
    relay.sandbox.fault = "reset"
    await relay.pass_time(1900)
    relay.sandbox.fault = None
    await relay.pass_time(3600)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(75)

    assert ["one\n"] == [body(mail) for mail in inbox(relay)][1:]


@pytest.mark.asyncio
async def test_the_same_words_said_twice_are_two_mails(relay: Journey) -> None:
    """Equal words under two ids, neither brought by a call."""
    for _ in range(2):
        relay.sandbox.receive(PHONE, "ok")
        await relay.pass_time(90)
    assert ["ok\n", "ok\n"] == [body(mail) for mail in inbox(relay)]


@pytest.mark.asyncio
async def test_a_restart_goes_on_after_the_last_answer(tmp_path: Path) -> None:
    """What was fetched is not fetched again, what came meanwhile is, however long that was."""
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now() / SECOND)
    config = told(tmp_path, inbox={"default": "desk@example.com"})
    async with journey(tmp_path, clock=clock, sandbox=sandbox, config=config) as relay:
        sandbox.receive(PHONE, "before")
        await relay.pass_time(100)
    sandbox.receive(PHONE, "meanwhile")
    clock.set(clock.now() + 30 * 60 * MINUTE)
    async with journey(tmp_path, clock=clock, sandbox=sandbox, config=config) as relay:
        await relay.pass_time(100)

        assert ["before\n", "meanwhile\n"] == [body(mail) for mail in inbox(relay)]
        assert ("1", "32") == (questions(relay)[-1].params["after_id"], questions(relay)[-1].params["hour"])


@pytest.mark.asyncio
async def test_parts_are_one_mail_and_a_call_is_a_call(relay: Journey) -> None:
    """Two parts in one list, and the message that records a confirming call."""
    relay.sandbox.receive(PHONE, "a" * 152 + " ")
    relay.sandbox.receive(PHONE, "b")
    relay.sandbox.confirm("79990001122")
    await relay.pass_time(90)

    assert ["+79990001122 called to confirm the number.\n", "a" * 152 + " b\n"] == sorted(
        body(mail) for mail in inbox(relay)
    )


@pytest.mark.asyncio
async def test_an_answer_that_can_t_be_stored_is_fetched_again(relay: Journey) -> None:
    """The disk is full at the first question, not at the second."""
    engine, real = relay.app.store.engine, relay.app.store.engine.write

    async def full(_change: object) -> None:
        raise Full("no room on the disk")

    relay.sandbox.receive(PHONE, "ok")
    engine.write = full
    await relay.pass_time(61)
    engine.write = real
    await relay.pass_time(90)

    assert ["ok\n"] == [body(mail) for mail in inbox(relay)]


@pytest.mark.asyncio
async def test_many_answers_come_in_pages(relay: Journey, monkeypatch: Any) -> None:
    """More than a page holds, more than one question reads: all of them, once."""
    monkeypatch.setattr("relay.smsc.wire.PAGE", 2)
    texts = [f"answer {number}" for number in range(13)]
    for text in texts:
        relay.sandbox.receive(PHONE, text)
    await relay.pass_time(200)

    rows = await relay.app.store.incoming_from(f"+{PHONE}", 0)
    assert texts == [row.text for row in rows]


@pytest.mark.asyncio
async def test_the_longer_nothing_was_sent_the_fewer_questions(relay: Journey) -> None:
    """Once a minute at first, once an hour in the end; a message that goes out begins anew."""
    await relay.pass_time(600)
    busy = len(questions(relay))
    await relay.pass_time(24 * 3600)
    idle = len(questions(relay)) - busy
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(600)

    assert (10, True) == (busy, 24 < idle < 80)
    assert len(questions(relay)) - busy - idle >= 9


@pytest.mark.asyncio
async def test_who_wants_none_gets_none(tmp_path: Path) -> None:
    """`poll: 0` asks nothing."""
    async with journey(tmp_path, config=settings(tmp_path, inbox={"poll": 0})) as relay:
        relay.sandbox.receive(PHONE, "ok")
        await relay.pass_time(3600)
        assert [] == questions(relay)
