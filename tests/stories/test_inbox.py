"""Replies from phones: to whoever wrote last, else to the default; once, and back again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio
from faults import bare, oncall, to
from harness import SENDER, Journey, journey
from replies import MAIL, PHONE, SECRET, body, inbox, says, told

from relay.model import HOUR, SECOND
from relay.queue.engine import Full


@pytest_asyncio.fixture
async def relay(tmp_path: Path):
    """A relay that takes replies, and has somebody for those that answer nobody."""
    async with journey(tmp_path, config=told(tmp_path, inbox={"default": "desk@example.com"})) as running:
        yield running


@pytest.mark.asyncio
async def test_a_reply_goes_to_who_wrote_last_and_a_reply_to_it_is_a_message(relay: Journey) -> None:
    """Mail, message, reply, mail in the thread, reply by mail, message: the conversation goes on."""
    await relay.mail(bare("older"), to("4567"), sender="other@mon.example.com")
    await relay.pass_time(5)
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(5)
    assert 200 == await says(relay, "Принято, еду", ts=1_800_000_010)
    await relay.pass_time(15)

    (mail,) = inbox(relay)
    assert ("ops@mon.example.com", "Re: Disk") == (mail["To"], mail["Subject"])
    assert ("<7@mon.example.com>", "<6@mon.example.com> <7@mon.example.com>") == (
        mail["In-Reply-To"],
        mail["References"],
    )
    assert "Принято, еду\n" == body(mail)

    back = f"From: {SENDER}\nSubject: Re: Disk\n\nThank you\n\n> Принято, еду\n"
    replies = await relay.mail(back, str(mail["From"]))
    await relay.pass_time(5)
    assert "250" == replies[-1][:3]
    assert ("79991234567", True) == (
        relay.sandbox.messages[-1].phone,
        "Thank you" in relay.sandbox.messages[-1].text,
    )


@pytest.mark.asyncio
async def test_the_sandbox_passes_replies_on(relay: Journey) -> None:
    """A phone's message and a confirming call, by the sandbox's own calls to the handler."""
    relay.sandbox.call_handler(f"http://{relay.app.web.address}/callback/main?sha1={SECRET}&fmt=3")
    await relay.sandbox.caller.stop()
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(5)
    relay.sandbox.receive(PHONE, "Хорошо")
    relay.sandbox.caller.confirming(PHONE)
    await relay.sandbox.caller.call()
    await relay.pass_time(20)

    assert {200} == set(relay.sandbox.caller.answers)
    called = "+79991234567 called to confirm the number."
    taken = "+79991234567 has taken the alarm: nobody else is called for it."
    assert [f"{called}\n\n{taken}\n", "Хорошо\n"] == sorted(body(mail) for mail in inbox(relay))
    assert {"ops@mon.example.com"} == {str(mail["To"]) for mail in inbox(relay)}


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_answers_nobody_goes_to_the_default(relay: Journey) -> None:
    """A phone that nobody wrote to, or not within the window, and a sender that can't be written to."""
    await says(relay, "who is there?", phone="79990001122")
    await relay.mail(bare(), to("4568"), sender="")
    await relay.mail(bare(), to("4569"))
    await relay.pass_time(5)
    await says(relay, "null sender", phone="79991234568")
    await relay.pass_time(73 * HOUR / SECOND)
    await says(relay, "too late", phone="79991234569")
    await relay.pass_time(20)

    assert ["desk@example.com"] * 3 == [str(mail["To"]) for mail in inbox(relay)]
    assert "+79990001122@sms.example.com" == inbox(relay)[0]["From"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("after", "goes_to"),
    [(2 * HOUR - 1, "ops@mon.example.com"), (2 * HOUR, "desk@example.com")],
)
async def test_the_window_ends_at_its_last_millisecond(tmp_path: Path, after: int, goes_to: str) -> None:
    """`inbox.window` counts from the moment at which the message was with the provider."""
    config = told(tmp_path, inbox={"default": "desk@example.com", "window": 2 * HOUR})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, to("4567"))
        await relay.pass_time(5)
        sent = (await relay.order()).sent_at
        assert sent is not None
        await relay.pass_time((sent + after - relay.clock.now()) / SECOND)
        assert 200 == await says(relay, "coming")
        await relay.pass_time(20)

        (mail,) = inbox(relay)
        assert (goes_to, goes_to.startswith("ops")) == (mail["To"], "In-Reply-To" in mail)


@pytest.mark.asyncio
async def test_a_reply_that_is_told_late_is_as_old_as_it_is(relay: Journey) -> None:
    """Said within the window and told after it: it belongs to the message; said after it, it does not."""
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(5)
    within = relay.clock.now() // SECOND + 71 * 3600
    await relay.pass_time(74 * 3600)
    await says(relay, "coming", ts=within)
    await relay.pass_time(20)
    await says(relay, "still coming", ts=within + 2 * 3600)
    await relay.pass_time(20)

    assert ["ops@mon.example.com", "desk@example.com"] == [str(mail["To"]) for mail in inbox(relay)]


@pytest.mark.asyncio
async def test_a_window_that_was_changed_counts_for_the_next_reply(relay: Journey) -> None:
    """SIGHUP makes it longer: what was too late belongs to the message again."""
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(73 * HOUR / SECOND)
    await says(relay, "first")
    await relay.pass_time(20)
    wider = relay.app.config.inbox.model_copy(update={"window": 80 * HOUR})
    relay.app.adopt(relay.app.config.model_copy(update={"inbox": wider}))
    await says(relay, "second")
    await relay.pass_time(20)

    assert ["desk@example.com", "ops@mon.example.com"] == [str(mail["To"]) for mail in inbox(relay)]


@pytest.mark.asyncio
async def test_without_a_default_it_is_stored_and_said(tmp_path: Path) -> None:
    """200, a row, and no mail to anybody."""
    async with journey(tmp_path, config=told(tmp_path)) as relay:
        assert 200 == await says(relay, "hello?")
        await relay.pass_time(60)
        assert ["hello?"] == [row.text for row in await relay.app.store.incoming_from(f"+{PHONE}", 0)]
        assert [] == relay.reports()


@pytest.mark.both
@pytest.mark.asyncio
async def test_parts_are_one_mail_and_repeats_none(relay: Journey) -> None:
    """Two parts and each of them twice, at once: one mail; the same words later are another."""
    first, second = "a" * 153, "b"
    answers = await asyncio.gather(
        says(relay, first, ts=1), says(relay, first, ts=1), says(relay, first, ts=1)
    )
    answers += [await says(relay, second, ts=2) for _ in range(2)]
    await relay.pass_time(30)
    answers += [await says(relay, first, ts=1), await says(relay, second, ts=99)]
    await relay.pass_time(30)

    assert {200} == set(answers)
    assert [first + second + "\n", second + "\n"] == [body(mail) for mail in inbox(relay)]


@pytest.mark.asyncio
async def test_repeats_without_time_or_id(relay: Journey) -> None:
    """The same words within ten minutes are a repeat, later they are said again."""
    for wait in (1, 60, 700):
        assert 200 == await says(relay, "ok")
        await relay.pass_time(wait)
    assert 200 == await says(relay, "ok")
    await relay.pass_time(30)

    assert 2 == len(inbox(relay))


@pytest.mark.asyncio
async def test_a_hidden_number_stays_hidden(relay: Journey) -> None:
    """A member of an alias answers by the alias."""
    oncall(relay, f"+{PHONE}")
    await relay.mail(MAIL, "oncall@sms.example.com")
    await relay.pass_time(5)
    await says(relay, "coming")
    await relay.pass_time(20)

    (mail,) = inbox(relay)
    assert PHONE not in mail.as_string()
    assert "oncall@sms.example.com" in mail["From"]


@pytest.mark.asyncio
async def test_a_text_stays_a_text(relay: Journey) -> None:
    """What looks like a header, or the end of a mail, in the body is in the body."""
    text = "x\r\nBcc: victim@example.com\r\n.\r\nQUIT"
    await says(relay, text)
    await relay.pass_time(20)

    (mail,) = inbox(relay)
    assert None is mail["Bcc"]
    assert text.replace("\r\n", "\n") + "\n" == body(mail)


@pytest.mark.asyncio
async def test_a_reply_that_can_t_be_stored_is_asked_for_again(relay: Journey) -> None:
    """503 while the disk is full, 200 and one mail when it is not."""
    engine, real = relay.app.store.engine, relay.app.store.engine.write

    async def full(_change: object) -> None:
        raise Full("no room on the disk")

    engine.write = full
    first = await says(relay, "ok", ts=1)
    engine.write = real
    second = await says(relay, "ok", ts=1)
    await relay.pass_time(20)

    assert (503, 200, 1) == (first, second, len(inbox(relay)))


@pytest.mark.asyncio
async def test_a_forged_reply_reaches_nobody(relay: Journey) -> None:
    """403, and no mail."""
    assert 403 == await says(relay, "pay me", md5="0" * 32)
    await relay.pass_time(20)
    assert [] == inbox(relay)


@pytest.mark.asyncio
async def test_texts_of_phones_go_when_their_time_is_over(relay: Journey) -> None:
    """After `keep.texts` nothing is left of them."""
    await says(relay, "secret")
    await relay.pass_time(31 * 24 * HOUR / SECOND)
    assert [] == await relay.app.store.incoming_from(f"+{PHONE}", 0)
