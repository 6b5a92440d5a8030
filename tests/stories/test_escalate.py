"""Escalation: another channel and other phones are tried, once, and never for what arrived or is taken."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from faults import ALWAYS, Line, act, bare, change_route, group, to
from harness import Journey, StillClock, journey, settings
from replies import MAIL, PHONE, body, inbox, says, told

from relay import model
from relay.config import Alias, Cap, Escalation, Quiet
from relay.model import HOUR, MINUTE, SECOND
from relay.queue import schema
from relay.queue.engine import Full
from relay.queue.followups import StepState
from relay.queue.states import State
from relay.smsc import outcomes
from relay.smsc.client import Sent
from relay.smsc.sandbox import Sandbox

OTHER, BOSS, BOSS_2 = "79991234568", "79990005001", "79990005002"
NEVER = "79991232006"  # status 20: can't be delivered
CALL = {"after": "5m", "channel": "call"}


def steps(*found: dict[str, str]) -> tuple[Escalation, ...]:
    """Steps as the configuration writes them."""
    return tuple(Escalation.model_validate(each) for each in found)


def aliases(relay: Journey, **members: Any) -> None:
    """From now on there are these aliases."""
    full = {name: each if isinstance(each, dict) else {"to": each} for name, each in members.items()}
    made = {name: Alias.model_validate(each) for name, each in full.items()}
    relay.app.config = relay.app.config.model_copy(update={"aliases": made})


@pytest_asyncio.fixture
async def relay(tmp_path: Path):
    """A relay that takes replies."""
    async with journey(tmp_path, config=told(tmp_path)) as running:
        yield running


def heard(relay: Journey, phone: str) -> list[tuple[str, str]]:
    """How, and what, a phone was told."""
    return [(message.kind.value, message.text) for message in relay.sandbox.messages_to(phone)]


async def states(relay: Journey) -> list[StepState]:
    """Where the steps of all mails stand."""
    mails = {order.mail_id for order in await relay.orders()}
    return [step.state for step in await relay.app.store.steps_of_mails(mails)]


async def held_at_the_provider(relay: Journey) -> None:
    """From now on no status moves: nobody can say that anything was delivered."""
    relay.sandbox._provider.steps = (900_000.0, 900_001.0)


@pytest.mark.asyncio
async def test_what_was_delivered_calls_nobody(relay: Journey) -> None:
    """The step is over at its time."""
    change_route(relay, escalate=steps(CALL))
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(400)

    assert [("sms", "alarm\ndoor open")] == heard(relay, PHONE)
    assert [StepState.OVER] == await states(relay)


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_was_not_delivered_in_time_is_tried_by_another_channel(relay: Journey) -> None:
    """Five minutes after the message, not before; the same words."""
    await held_at_the_provider(relay)
    change_route(relay, escalate=steps(CALL))
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(290)
    assert 1 == len(heard(relay, PHONE))
    await relay.pass_time(20)

    assert [("sms", "alarm\ndoor open"), ("call", "alarm\ndoor open")] == heard(relay, PHONE)
    assert [StepState.DONE] == await states(relay)
    await relay.pass_time(3600)
    assert 2 == len(heard(relay, PHONE))


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_failed_need_not_wait(relay: Journey) -> None:
    """The call goes out as soon as the message has failed, the next step when that has failed too."""
    aliases(relay, boss=[f"+{BOSS}"])
    change_route(relay, escalate=steps(CALL, {"after": "30m", "to": "boss"}))
    await relay.mail(bare(), "79991232006@sms.example.com")
    await relay.pass_time(200)

    assert ["sms", "call"] == [kind for kind, _text in heard(relay, NEVER)]
    assert [("sms", "alarm\ndoor open")] == heard(relay, BOSS)


@pytest.mark.both
@pytest.mark.asyncio
async def test_an_acknowledgement_stops_every_step(relay: Journey) -> None:
    """One of the team takes it: nobody is called, the other is told, both steps are over."""
    aliases(
        relay,
        boss=[f"+{BOSS}"],
        oncall={
            "to": [f"+{PHONE}", f"+{OTHER}"],
            "escalate": [
                {"after": "5m", "unless": "answered", "channel": "call"},
                {"after": "10m", "unless": "answered", "to": "boss"},
            ],
        },
    )
    await relay.mail(MAIL, "oncall@sms.example.com")
    await relay.pass_time(60)
    await says(relay, "ok")
    await relay.pass_time(1200)

    assert (["sms"], ["sms", "sms"], []) == tuple(
        [kind for kind, _text in heard(relay, phone)] for phone in (PHONE, OTHER, BOSS)
    )
    assert [StepState.OVER, StepState.OVER] == await states(relay)


@pytest.mark.asyncio
async def test_nobody_answers_and_everybody_is_called(relay: Journey) -> None:
    """Delivered is not answered: the team is called, then another one once, who takes it for all."""
    aliases(
        relay,
        boss=[f"+{BOSS}"],
        oncall={
            "to": [f"+{PHONE}", f"+{OTHER}"],
            "escalate": [
                {"after": "10m", "unless": "answered", "to": "boss"},
                {"after": "5m", "unless": "answered", "channel": "call"},
                {"after": "2h", "unless": "answered", "to": f"+{BOSS_2}"},
            ],
        },
    )
    await relay.mail(MAIL, "oncall@sms.example.com")
    await relay.pass_time(3000)
    assert [["sms", "call"], ["sms", "call"], ["sms"]] == [
        [kind for kind, _text in heard(relay, phone)] for phone in (PHONE, OTHER, BOSS)
    ]
    await says(relay, "ack", phone=BOSS)
    await relay.pass_time(3 * 3600)

    assert ("sms", "boss has taken it: Disk full") == heard(relay, PHONE)[-1]
    assert [] == heard(relay, BOSS_2)
    assert "boss has taken the alarm" in body(inbox(relay)[0])


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_recovery_ends_it(relay: Journey) -> None:
    """Nobody is woken for what is over; a recovery itself escalates nowhere."""
    await held_at_the_provider(relay)
    change_route(relay, escalate=steps(CALL))
    await relay.mail("From: m@x.example\nSubject: PROBLEM: db1 disk\n\nHost: db1\n", to("4567"))
    await relay.pass_time(120)
    await relay.mail("From: m@x.example\nSubject: RESOLVED: db1 disk\n\nHost: db1\n", to("4567"))
    await relay.pass_time(3600)

    assert ["sms", "sms"] == [kind for kind, _text in heard(relay, PHONE)]
    assert [StepState.OVER] == await states(relay)


@pytest.mark.asyncio
async def test_a_message_that_waits_is_escalated_from_its_own_time(tmp_path: Path) -> None:
    """Held over quiet hours: the step counts from their end, and keeps to them itself."""
    async with journey(tmp_path) as relay:
        hour = int(relay.clock.now() // HOUR) % 24
        quiet = Quiet.model_validate({"hours": f"{(hour - 1) % 24}-{(hour + 2) % 24}", "by": "hold"})
        await held_at_the_provider(relay)
        change_route(relay, quiet=quiet, escalate=steps(CALL))
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(1800)
        assert [] == heard(relay, PHONE)
        await relay.pass_time(3 * 3600)
        assert ["sms", "call"] == [kind for kind, _text in heard(relay, PHONE)]
        first, second = (message.accepted_at for message in relay.sandbox.messages)
        assert 300 <= second - first < 320


@pytest.mark.asyncio
async def test_a_message_that_a_person_holds_is_not_escalated(relay: Journey) -> None:
    """Nor one that he gave up: once he lets it go, it is."""
    relay.sandbox.fault = 3  # no money: nothing goes out
    change_route(relay, escalate=steps(CALL))
    for text in ("one", "two"):
        await relay.mail(bare(text), to("4567"))
    await relay.rest()
    first, second = await relay.orders()
    assert (200, 200) == (await act(relay, first.id, "hold"), await act(relay, second.id, "drop"))
    await relay.pass_time(3600)
    assert sorted([StepState.WAITING, StepState.OVER]) == sorted(await states(relay))


@pytest.mark.asyncio
async def test_a_late_step_keeps_its_distance(tmp_path: Path) -> None:
    """After an hour without the relay the call goes out at once, the boss ten minutes after it."""
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now() / SECOND)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await held_at_the_provider(relay)
        aliases(relay, boss=[f"+{BOSS}"])
        change_route(relay, escalate=steps(CALL, {"after": "15m", "to": "boss"}))
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(30)
    clock.set(clock.now() + HOUR)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        aliases(relay, boss=[f"+{BOSS}"])
        await relay.pass_time(30)
        assert (["sms", "call"], []) == ([kind for kind, _text in heard(relay, PHONE)], heard(relay, BOSS))
        await relay.pass_time(600)
        assert 1 == len(heard(relay, BOSS))


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_step_that_another_decider_ran_is_not_run_again(relay: Journey) -> None:
    """Two that decide upon the same rows at once: the row of the step is changed by one."""
    await held_at_the_provider(relay)
    change_route(relay, escalate=steps(CALL))
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(60)
    (step,) = await relay.app.store.steps_of_mails(await relay.app.store.mails_with_steps(0))
    relay.clock.set(step.due_at)  # type: ignore[attr-defined]
    ran = await asyncio.gather(*(relay.app.escalating._surely(step) for _ in range(5)))
    await relay.pass_time(30)
    assert sum(ran) <= 1  # else it was the chore's own turn
    assert ["sms", "call"] == [kind for kind, _text in heard(relay, PHONE)]


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_failed_before_a_crash_need_not_wait_after_it(tmp_path: Path) -> None:
    """A step whose message failed and that nobody remembers is found at the start."""
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now() / SECOND)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        relay.app.escalating.moved = lambda *_: None  # type: ignore[method-assign]
        change_route(relay, escalate=steps({"after": "5h", "channel": "call"}))
        await relay.mail(bare(), "79991232006@sms.example.com")
        await relay.pass_time(120)
        assert [State.FAILED] == [order.state for order in await relay.orders()]
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.pass_time(30)
        assert ["sms", "call"] == [kind for kind, _text in heard(relay, NEVER)]


@pytest.mark.asyncio
async def test_merged_messages_escalate_as_the_one_that_spoke(relay: Journey) -> None:
    """The same words to the same phone by two mails: delivered once, nobody is called for either."""
    change_route(relay, escalate=steps(CALL))
    for sender in ("a@mon.example.com", "b@mon.example.com"):
        await relay.mail(bare(), to("4567"), sender=sender)
    await relay.pass_time(400)
    assert 1 == len(heard(relay, PHONE))
    assert [StepState.OVER] * 2 == await states(relay)


@pytest.mark.asyncio
async def test_a_group_is_called_member_by_member(relay: Journey) -> None:
    """Only those that the message did not reach."""
    group(relay, PHONE, NEVER)
    change_route(relay, escalate=steps(CALL))
    await relay.mail(bare(), "g777@sms.example.com")
    await relay.pass_time(400)
    assert (["sms"], ["sms", "call"]) == tuple(
        [kind for kind, _text in heard(relay, phone)] for phone in (PHONE, NEVER)
    )


@pytest.mark.both
@pytest.mark.asyncio
async def test_caps_and_countries_hold_for_steps(tmp_path: Path) -> None:
    """Over a cap the call is held; where the country is not allowed it is over, and the operator is told."""
    cap = Cap.model_validate({"phone": f"+{PHONE}", "per": "day", "messages": 1, "over": "hold"})
    reports = {"gather": 0, "operator": "op@example.com"}
    async with journey(tmp_path, config=settings(tmp_path, caps=(cap,), reports=reports)) as relay:
        await held_at_the_provider(relay)
        change_route(relay, escalate=steps(CALL))
        await relay.mail(bare(), [to("4567")])
        await relay.mail(bare(), [to("4568")])
        await relay.pass_time(200)
        change_route(relay, escalate=(), countries=("RU",))
        await relay.pass_time(110)
        assert [State.SENT, State.SENT, State.HELD, State.SENT] == [
            each.state for each in await relay.orders()
        ]
        change_route(relay, escalate=steps(CALL), countries=())
        await relay.mail(bare("again"), to("4569"))
        change_route(relay, countries=("KZ",))
        await relay.pass_time(400)
        assert StepState.OVER is (await states(relay))[-1]
        assert any(
            "came to nothing" in mail.get_content()
            for mail in relay.reports()
            if mail["To"] == "op@example.com"
        )


@pytest.mark.asyncio
async def test_an_acknowledgement_takes_back_a_call_that_waits(relay: Journey) -> None:
    """A step's message that has not gone out when somebody takes the alarm never does; no report."""
    await held_at_the_provider(relay)
    change_route(relay, escalate=steps(CALL))
    await relay.mail(MAIL, [to("4567"), to("4568")])
    await relay.pass_time(290)
    relay.sandbox.fault = 3
    await relay.pass_time(30)
    assert 2 == sum(order.state is State.WAITING for order in await relay.orders())
    await says(relay, "ok")
    relay.sandbox.fault = None
    await relay.pass_time(3600)

    assert [["sms"], ["sms", "sms"]] == [[kind for kind, _ in heard(relay, each)] for each in (PHONE, OTHER)]
    assert 2 == sum(order.state is State.DROPPED for order in await relay.orders())
    assert {"auto-generated"} == {str(mail["Auto-Submitted"]) for mail in relay.reports()[:1]}


@pytest.mark.asyncio
async def test_reports_tell_of_the_steps(relay: Journey) -> None:
    """The failed message's report says what was tried; a step's own failure is reported like any."""
    aliases(relay, boss=["+79990002006"])
    change_route(relay, escalate=steps(CALL, {"after": "1h", "to": "boss"}))
    await relay.mail(bare(), "79991232006@sms.example.com")
    await relay.pass_time(600)

    reports = [" ".join(mail.get_body().get_content().split()) for mail in relay.reports()]
    assert "escalation, step 1 of 2 (call): " in reports[0]
    assert "boss@sms.example.com" in reports[-1]
    assert "escalation, step 2 of 2: sent since the message was not delivered in time" in reports[-1]
    assert "79990002006" not in "".join(mail.as_string() for mail in relay.reports())


@pytest.mark.asyncio
async def test_show_tells_of_the_steps(relay: Journey) -> None:
    """What they are, when they are due, what became of them; the story has them too."""
    await held_at_the_provider(relay)
    change_route(relay, escalate=steps(CALL))
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(320)
    first, _second = await relay.orders()
    connector = aiohttp.UnixConnector(path=str(relay.app.config.web.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"http://relay/api/queue/{model.show(first.id)}") as answer,
    ):
        shown = await answer.json()
    (step,) = shown["steps"]
    assert (1, "call", "delivered", "done") == (step["n"], step["what"], step["unless"], step["state"])
    assert "escalated" in [line["event"] for line in shown["story"]]


@pytest.mark.asyncio
async def test_texts_are_kept_until_the_last_step(tmp_path: Path) -> None:
    """A mail whose text would be forgotten before its step is due is remembered for it."""
    keep = {"texts": 30 * MINUTE, "history": HOUR}
    async with journey(tmp_path, config=settings(tmp_path, keep=keep)) as relay:
        aliases(relay, boss=[f"+{BOSS}"])
        change_route(relay, escalate=steps({"after": "3h", "unless": "answered", "to": "boss"}))
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(4 * 3600)
        assert [("sms", "alarm\ndoor open")] == heard(relay, BOSS)
        await relay.pass_time(3 * 3600)
        assert [] == await relay.orders()
        assert [] == await relay.app.store.mails_with_steps(0)


@pytest.mark.asyncio
async def test_what_was_refused_at_data_escalates_nowhere(tmp_path: Path) -> None:
    """The client knows it, and may send it again: it is its alarm."""
    door = settings(tmp_path).listeners[0].model_copy(update={"answer": "outcome"})
    async with journey(tmp_path, config=settings(tmp_path, listeners=(door,))) as relay:
        change_route(relay, escalate=steps(CALL))
        answers = await relay.mail(bare(), to("0007"))
        await relay.pass_time(600)
        assert "550" == answers[-1][:3]
        assert [StepState.OVER] == await states(relay)
        assert [] == relay.sandbox.messages


@pytest.mark.asyncio
async def test_a_step_may_go_to_a_mail_address(relay: Journey) -> None:
    """By the route of that address, with a subject and a sender."""
    await held_at_the_provider(relay)
    change_route(relay, escalate=steps({"after": "5m", "to": "boss@people.example"}))
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(330)
    (message,) = relay.sandbox.messages_to("boss@people.example")
    assert ("mail", "Disk", "ops@mon.example.com") == (
        message.kind.value,
        message.params["subj"],
        message.sender,
    )


@pytest.mark.asyncio
async def test_a_recovery_ends_a_step_s_message_that_waits(relay: Journey) -> None:
    """What a step sent is an alarm of the same topic: the storm rules know it."""
    await held_at_the_provider(relay)
    change_route(relay, escalate=steps(CALL))
    await relay.mail("From: m@x.example\nSubject: PROBLEM: db1 disk\n\nHost: db1\n", to("4567"))
    await relay.pass_time(330)
    first, second = await relay.orders()
    assert (first.topic, "problem") == (second.topic, second.alarm)


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_digest_that_did_not_arrive_is_one_call(relay: Journey) -> None:
    """Twenty alarms: as many calls as there were messages, not as there were mails."""
    await held_at_the_provider(relay)
    storm = relay.app.config.storm.model_copy(update={"burst": 1})
    relay.app.adopt(relay.app.config.model_copy(update={"storm": storm}))
    change_route(relay, escalate=steps(CALL))
    for number in range(20):
        await relay.mail(bare(f"door {number}"), to("4567"))
    await relay.pass_time(1800)

    kinds = [kind for kind, _text in heard(relay, PHONE)]
    assert {"sms": 2, "call": 2} == {kind: kinds.count(kind) for kind in kinds}
    assert {StepState.DONE: 2, StepState.OVER: 18} == Counter(await states(relay))


@pytest.mark.asyncio
async def test_after_a_step_that_leads_nowhere_the_next_need_not_wait(relay: Journey) -> None:
    """The alias went with a re-read configuration: once nothing can arrive, the call is made at once."""
    aliases(relay, boss=[f"+{BOSS}"])
    change_route(relay, escalate=steps({"after": "5m", "to": "boss"}, {"after": "1h", "channel": "call"}))
    relay.sandbox.fault = 3
    await relay.mail(bare(), f"{NEVER}@sms.example.com")
    await relay.pass_time(10)
    aliases(relay)
    relay.sandbox.fault = None
    await relay.pass_time(280)
    assert ["sms", "call"] == [kind for kind, _text in heard(relay, NEVER)]
    assert [StepState.OVER, StepState.DONE] == await states(relay)


@pytest.mark.asyncio
async def test_a_node_that_leads_no_chores_runs_the_steps_of_what_failed_there(relay: Journey) -> None:
    """Only it knows of the failure; what is due by its time is the leader's."""
    relay.app.chores._leads = lambda: False
    change_route(relay, escalate=steps(CALL))
    await relay.mail(bare(), f"{NEVER}@sms.example.com")
    await relay.pass_time(200)
    await held_at_the_provider(relay)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(60)
    assert ["sms", "call"] == [kind for kind, _text in heard(relay, NEVER)]
    await relay.pass_time(600)
    assert ["sms"] == [kind for kind, _text in heard(relay, PHONE)]


@pytest.mark.asyncio
async def test_the_operator_is_told_once_an_hour_that_steps_lead_nowhere(tmp_path: Path) -> None:
    """Twenty alarms and no route for their steps: one mail, the log has all of them."""
    reports = {"gather": 0, "operator": "op@example.com"}
    async with journey(tmp_path, config=settings(tmp_path, reports=reports)) as relay:
        await held_at_the_provider(relay)
        aliases(relay, boss=[f"+{BOSS}"])
        change_route(relay, escalate=steps({"after": "5m", "to": "boss"}))
        for number in range(20):
            await relay.mail(bare(f"door {number}"), to(f"45{number + 10}"))
        aliases(relay)
        await relay.pass_time(600)
        mails = [mail for mail in relay.reports() if mail["To"] == "op@example.com"]
        assert 1 == sum("came to nothing" in mail.get_content() for mail in mails)


@pytest.mark.asyncio
async def test_a_full_disk_forgets_no_message_that_failed(relay: Journey) -> None:
    """The step that need not wait could not be written: it is run when there is room again."""
    change_route(relay, escalate=steps({"after": "5h", "channel": "call"}))
    engine, real = relay.app.store.engine, relay.app.store.engine.write

    async def full(change: Any) -> None:
        if any(table is schema.step for table, *_ in change.updates):
            raise Full("no room on the disk")
        await real(change)

    engine.write = full  # type: ignore[method-assign]
    await relay.mail(bare(), f"{NEVER}@sms.example.com")
    await relay.pass_time(60)
    assert ["sms"] == [kind for kind, _text in heard(relay, NEVER)]
    engine.write = real  # type: ignore[method-assign]
    await relay.pass_time(60)
    assert ["sms", "call"] == [kind for kind, _text in heard(relay, NEVER)]


@pytest.mark.asyncio
async def test_a_recovery_is_found_behind_any_number_of_messages(relay: Journey) -> None:
    """Sixty alarms after it do not hide that the problem is over."""
    await held_at_the_provider(relay)
    storm = relay.app.config.storm.model_copy(update={"burst": 0})
    relay.app.adopt(relay.app.config.model_copy(update={"storm": storm}))
    change_route(relay, escalate=steps({"after": "2h", "channel": "call"}))
    await relay.mail("From: m@x.example\nSubject: PROBLEM: db1 disk\n\nHost: db1\n", to("4567"))
    await relay.pass_time(120)
    await relay.mail("From: m@x.example\nSubject: RESOLVED: db1 disk\n\nHost: db1\n", to("4567"))
    await relay.pass_time(120)
    change_route(relay, escalate=())
    for number in range(60):
        await relay.mail(bare(f"door {number}"), to("4567"))
        await relay.pass_time(61)
    await relay.pass_time(7200)
    assert "call" not in [kind for kind, _text in heard(relay, PHONE)]


@pytest.mark.asyncio
@pytest.mark.parametrize("state", [State.UNSURE, State.SENDING])
async def test_what_was_under_way_when_somebody_took_it_is_not_tried_again(
    relay: Journey, state: State
) -> None:
    """A step's call that broke off, or found no connection, is over with the alarm; no report."""
    await held_at_the_provider(relay)
    change_route(relay, escalate=steps(CALL))
    await relay.mail(MAIL, to("4567"))
    await relay.pass_time(290)
    client, gate = relay.app.clients["main"], asyncio.Event()
    real = client.send

    async def broken(**_what: Any) -> Sent:
        await gate.wait()
        return Sent(outcome=outcomes.no_connection("refused"))

    if state is State.SENDING:
        client.send = broken  # type: ignore[method-assign]
        relay.clock.set(relay.clock.now() + 20_000)  # type: ignore[attr-defined]
    else:
        relay.sandbox.next_send_faults.append("reset")
        await relay.pass_time(12)

    async def there() -> bool:
        return [State.SENT, state] == [order.state for order in await relay.orders()]

    await relay.until(there, "the call under way")
    await says(relay, "ok")
    gate.set()
    client.send = real  # type: ignore[method-assign]
    await relay.pass_time(3600)
    assert ["sms"] == [kind for kind, _text in heard(relay, PHONE)]
    assert (State.FAILED, "somebody has taken the alarm") == (
        (await relay.orders())[1].state,
        (await relay.orders())[1].reason,
    )
    assert ["auto-generated"] == [str(mail["Auto-Submitted"]) for mail in relay.reports()]


@pytest.mark.asyncio
async def test_a_message_that_spoke_for_others_of_the_alarm_is_taken_back_with_them(relay: Journey) -> None:
    """Two steps say the same to one phone and find no connection: neither goes out once it is taken."""
    step = {"after": "5m", "unless": "answered", "to": "boss"}
    one, two = ({"to": [f"+{phone}"], "escalate": [step]} for phone in (PHONE, OTHER))
    aliases(relay, boss=[f"+{BOSS}"], one=one, two=two)
    await relay.mail(MAIL, ["one@sms.example.com", "two@sms.example.com"])
    await relay.pass_time(290)
    line = Line(relay, ALWAYS)
    await relay.pass_time(20)
    assert {State.WAITING: 1, State.MERGED: 1} == Counter(each.state for each in (await relay.orders())[2:])
    assert 200 == await says(relay, "ok")
    line.broken = ()
    await relay.pass_time(3600)
    assert [] == heard(relay, BOSS)
    assert {State.DROPPED: 2} == Counter(each.state for each in (await relay.orders())[2:4])


@pytest.mark.asyncio
async def test_what_the_relay_tells_its_operator_does_not_escalate(tmp_path: Path) -> None:
    """His phone is reached by a route that has steps: they are for the alarms of others."""
    reports = {"gather": 0, "operator": "op@example.com", "operator_phone": f"+{BOSS}", "low_balance": 100}
    base = settings(tmp_path, reports=reports)
    main = base.accounts["main"]
    config = base.model_copy(update={"accounts": {"main": main, "second": main}})
    async with journey(tmp_path, config=config) as relay:
        change_route(relay, escalate=steps(CALL))
        relay.app.watch.reports_fail("the smarthost is down")
        await relay.pass_time(600)
        assert 1 == sum(len(each.messages_to(BOSS)) for each in relay.app.sandboxes.values())
        assert [] == await states(relay)


@pytest.mark.asyncio
async def test_people_who_escalate_to_each_other_are_told_once_each(relay: Journey) -> None:
    """What a step sends has no steps: a circle of aliases ends with its first round."""
    await held_at_the_provider(relay)
    to_b, to_a = ([{"after": "5m", "unless": "answered", "to": name}] for name in ("b", "a"))
    aliases(relay, a={"to": [f"+{PHONE}"], "escalate": to_b}, b={"to": [f"+{BOSS}"], "escalate": to_a})
    change_route(relay, escalate=steps(CALL))
    await relay.mail(bare(), "a@sms.example.com")
    await relay.pass_time(24 * 3600)
    assert [["sms"], ["sms"]] == [[kind for kind, _ in heard(relay, each)] for each in (PHONE, BOSS)]


@pytest.mark.asyncio
@pytest.mark.parametrize("channel", ["call", "viber", "flash"])
async def test_a_step_may_take_any_channel_that_says_a_text(relay: Journey, channel: str) -> None:
    """The next one: another channel to the same phone."""
    await held_at_the_provider(relay)
    change_route(relay, escalate=steps({"after": "5m", "channel": channel}))
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(330)
    assert ["sms", channel] == [kind for kind, _text in heard(relay, PHONE)]


@pytest.mark.asyncio
@pytest.mark.parametrize(("sender", "notify"), [("", ""), ("ops@mon.example.com", "NEVER")])
async def test_who_wants_no_reports_gets_none_of_the_steps(relay: Journey, sender: str, notify: str) -> None:
    """A monitor's null sender, and NOTIFY=NEVER: everybody is told, all of it fails, nobody is written to."""
    aliases(relay, boss=["+79990002006"])
    change_route(relay, escalate=steps(CALL, {"after": "10m", "to": "boss"}))
    options = [f"NOTIFY={notify}"] if notify else []
    await relay.mail(bare(), f"{NEVER}@sms.example.com", sender=sender, rcpt_options=options)
    await relay.pass_time(1200)
    assert (["sms", "call"], ["sms"]) == tuple(
        [kind for kind, _text in heard(relay, phone)] for phone in (NEVER, "79990002006")
    )
    assert [] == relay.reports()
