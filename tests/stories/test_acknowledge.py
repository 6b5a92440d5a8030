"""A phone takes an alarm: the others are told who it was, each sender hears of it, nobody twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from faults import bare, change_route, group, oncall, to
from harness import Journey, journey
from replies import MAIL, PHONE, body, inbox, says, told

from relay.config import Cap
from relay.delivery.escalation import TOOK
from relay.queue.states import State

OTHER, THIRD = "79991234568", "79991234569"


@pytest_asyncio.fixture
async def relay(tmp_path: Path):
    """A relay that takes replies."""
    async with journey(tmp_path, config=told(tmp_path)) as running:
        yield running


def texts(relay: Journey, phone: str) -> list[str]:
    """What a phone was told, oldest first."""
    return [message.text for message in relay.sandbox.messages_to(phone)]


async def tellings(relay: Journey) -> list[Any]:
    """The orders by which the relay tells who took an alarm."""
    return [order for order in await relay.orders() if order.source == TOOK]


@pytest.mark.both
@pytest.mark.asyncio
async def test_everybody_who_was_told_is_told_who_took_it(relay: Journey) -> None:
    """Two phones of an alias and one of the same mail: two are told, the sender by mail."""
    oncall(relay, f"+{PHONE}", f"+{OTHER}")
    await relay.mail(MAIL, ["oncall@sms.example.com", to("4569")])
    await relay.pass_time(30)
    await says(relay, " O.K.! ")
    await relay.pass_time(30)

    said = "********4567 has taken it: Disk full"
    assert (1, said, said) == (len(texts(relay, PHONE)), texts(relay, OTHER)[-1], texts(relay, THIRD)[-1])
    (mail,) = inbox(relay)
    assert "ops@mon.example.com" == mail["To"]
    assert body(mail).startswith(" O.K.!\n\n********4567 has taken the alarm:")
    assert all(order.answered_at for order in await relay.orders() if order.source != TOOK)
    assert 1 == len(relay.reports())  # of the messages that tell it nobody is told


@pytest.mark.asyncio
async def test_a_second_one_tells_nobody(relay: Journey) -> None:
    """Who comes later is too late, and so is the same one again; the sender reads them all."""
    oncall(relay, f"+{PHONE}", f"+{OTHER}")
    await relay.mail(MAIL, "oncall@sms.example.com")
    await relay.pass_time(30)
    for phone in (PHONE, OTHER, PHONE):
        await says(relay, "принял", phone=phone, ts=relay.clock.now() // 1000)
        await relay.pass_time(30)

    assert 1 == len(await tellings(relay))
    assert [True, False, False] == ["has taken" in body(mail) for mail in inbox(relay)]


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ["ok, in an hour", "who is this?", "not ok", "!", ""])
async def test_other_words_take_nothing(relay: Journey, text: str) -> None:
    """A reply that says more than the word is a reply."""
    oncall(relay, f"+{PHONE}", f"+{OTHER}")
    await relay.mail(MAIL, "oncall@sms.example.com")
    await relay.pass_time(30)
    await says(relay, text)
    await relay.pass_time(30)

    assert [] == await tellings(relay)
    assert 1 == len(inbox(relay))


@pytest.mark.asyncio
async def test_a_call_back_takes_it(relay: Journey) -> None:
    """The call and the message that records it, told in both ways: once; an alias of one names him."""
    oncall(relay, f"+{PHONE}", f"+{OTHER}")
    ivan = relay.app.config.aliases["oncall"].model_copy(update={"to": (f"+{PHONE}",)})
    aliases = {**relay.app.config.aliases, "ivan": ivan}
    relay.app.config = relay.app.config.model_copy(update={"aliases": aliases})
    await relay.mail(MAIL, "oncall@sms.example.com")
    await relay.pass_time(30)
    relay.sandbox.confirm(PHONE)
    await relay.pass_time(120)

    assert ["Disk\nfull", "ivan has taken it: Disk full"] == texts(relay, OTHER)
    (mail,) = inbox(relay)
    assert "********4567 called to confirm the number.\n\nivan has taken the alarm" in body(mail)


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_digest_is_answered_to_all_its_senders(relay: Journey) -> None:
    """Each sender whose alarm was in it reads the reply, in the thread of his own mail, and it is taken."""
    relay.app.config = relay.app.config.model_copy(
        update={"storm": relay.app.config.storm.model_copy(update={"burst": 1})}
    )
    relay.app.adopt(relay.app.config)
    await relay.mail(bare("first"), to("4567"), sender="first@mon.example.com")
    for name in ("a", "b", "b"):
        mail = f"Subject: {name} is down\nMessage-ID: <{name}@x>\n\n{len(await relay.orders())}\n"
        await relay.mail(mail, to("4567"), sender=f"{name}@mon.example.com")
    await relay.pass_time(120)
    await says(relay, "coming")
    await relay.pass_time(30)
    await says(relay, "ok")
    await relay.pass_time(30)

    mails = [(str(mail["To"]), str(mail["In-Reply-To"])) for mail in inbox(relay)]
    both = [("a@mon.example.com", "<a@x>"), ("b@mon.example.com", "<b@x>")]
    assert both == sorted(mails)[:1] + sorted(mails)[2:3]
    assert 5 == len(mails)  # the second reply takes what went out before the digest, too
    assert all(order.answered_at for order in await relay.orders() if order.state is State.MERGED)


@pytest.mark.asyncio
async def test_old_alarms_are_not_taken(relay: Journey) -> None:
    """The last message whatever its age, others only of the last hour."""
    for sender, wait in (("old@mon.example.com", 7200), ("new@mon.example.com", 7200)):
        await relay.mail(bare(sender), to("4567"), sender=sender)
        await relay.pass_time(wait)
    await says(relay, "ok")
    await relay.pass_time(30)

    assert [False, True] == [order.answered_at is not None for order in await relay.orders()]
    assert ["new@mon.example.com"] == [str(mail["To"]) for mail in inbox(relay)]


@pytest.mark.asyncio
async def test_a_recovery_is_no_alarm(relay: Journey) -> None:
    """There is nothing to take when all is well."""
    oncall(relay, f"+{PHONE}", f"+{OTHER}")
    await relay.mail("Subject: RESOLVED: disk\n\nok again\n", "oncall@sms.example.com")
    await relay.pass_time(30)
    await says(relay, "ok")
    await relay.pass_time(30)
    assert [] == await tellings(relay)


@pytest.mark.asyncio
async def test_a_mailing_is_no_alarm(relay: Journey) -> None:
    """A reply to what went to eleven phones costs no ten messages."""
    await relay.mail(MAIL, [f"7999123456{n}@sms.example.com" for n in range(7, 10)] + [
        f"7999123457{n}@sms.example.com" for n in range(8)])  # fmt: skip
    await relay.pass_time(30)
    await says(relay, "ok")
    await relay.pass_time(30)
    assert [] == await tellings(relay)
    assert ["ok\n"] == [body(mail) for mail in inbox(relay)]


@pytest.mark.asyncio
async def test_members_of_a_group_are_told(relay: Journey) -> None:
    """Each but the one who answered."""
    group(relay, PHONE, OTHER, THIRD)
    await relay.mail(MAIL, "g777@sms.example.com")
    await relay.pass_time(30)
    await says(relay, "ack")
    await relay.pass_time(30)
    assert [1, 2, 2] == [len(texts(relay, phone)) for phone in (PHONE, OTHER, THIRD)]


@pytest.mark.asyncio
async def test_caps_hold_for_what_is_told(tmp_path: Path) -> None:
    """Over a cap the message that tells it is held."""
    cap = Cap.model_validate({"phone": "*", "per": "day", "messages": 1})
    async with journey(tmp_path, config=told(tmp_path, caps=(cap,))) as relay:
        await relay.mail(MAIL, [to("4567"), to("4568")])
        await relay.pass_time(30)
        await says(relay, "ok")
        await relay.pass_time(30)
        assert [State.HELD] == [order.state for order in await tellings(relay)]


@pytest.mark.asyncio
async def test_a_country_that_is_no_longer_allowed_is_not_written_to(relay: Journey) -> None:
    """The route's list is asked again."""
    await relay.mail(MAIL, [to("4567"), to("4568")])
    await relay.pass_time(30)
    change_route(relay, countries=("KZ",))
    await says(relay, "ok")
    await relay.pass_time(30)
    assert [] == await tellings(relay)
    assert 1 == len(inbox(relay))


@pytest.mark.asyncio
async def test_a_reply_to_who_took_it_answers_the_alarm(relay: Journey) -> None:
    """What the relay writes by itself is not what a phone answers."""
    await relay.mail(MAIL, [to("4567"), to("4568")])
    await relay.pass_time(30)
    await says(relay, "ok")
    await relay.pass_time(30)
    await says(relay, "thanks", phone=OTHER)
    await relay.pass_time(30)
    assert ["ops@mon.example.com"] * 2 == [str(mail["To"]) for mail in inbox(relay)]


@pytest.mark.asyncio
async def test_nobody_takes_what_never_reached_him(relay: Journey) -> None:
    """One phone got the second alarm only: the first is not its to take, and is called on."""
    dead = "79991232006"
    await relay.mail(MAIL, [f"{dead}@sms.example.com", to("4568")])
    await relay.pass_time(60)
    await says(relay, "ok", phone=dead)
    await relay.pass_time(30)
    assert [None, None] == [order.answered_at for order in await relay.orders()]


@pytest.mark.asyncio
async def test_a_late_call_takes_nothing_that_came_after_the_reply(relay: Journey) -> None:
    """The provider could not call us for ten minutes; meanwhile there was another alarm."""
    await relay.mail(bare("first"), to("4567"))
    await relay.pass_time(60)
    said_at = relay.clock.now() // 1000
    await relay.pass_time(500)
    await relay.mail(bare("second"), to("4567"), sender="second@mon.example.com")
    await relay.pass_time(60)
    await says(relay, "ok", ts=said_at)
    await relay.pass_time(30)
    assert ["ops@mon.example.com"] == [str(mail["To"]) for mail in inbox(relay)]
    assert [True, False] == [order.answered_at is not None for order in await relay.orders()]
    await says(relay, "ok", ts=relay.clock.now() // 1000)
    await relay.pass_time(30)
    assert all(order.answered_at is not None for order in await relay.orders())


@pytest.mark.asyncio
async def test_a_clock_that_is_set_back_costs_no_acknowledgement(relay: Journey) -> None:
    """A call-back an hour ago by the wrong clock is none of this alarm's; nor are equal words a repeat."""
    await relay.mail(bare("first"), to("4567"))
    await relay.pass_time(30)
    await says(relay, "ok")
    relay.clock.set(relay.clock.now() - 3_600_000)  # type: ignore[attr-defined]
    await relay.mail(bare("second"), to("4567"))
    await relay.pass_time(30)
    await says(relay, "ok")
    await relay.pass_time(30)
    assert all(order.answered_at is not None for order in await relay.orders())
