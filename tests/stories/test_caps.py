"""Caps from end to end: refused or held, told, released, and never silently."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import aiosmtplib
import pytest
from faults import HOUR, bare, to
from harness import SENDER, Journey, StillClock, journey, settings

from relay import model
from relay.config import Alias, Cap, Listener
from relay.delivery import caps
from relay.queue.engine import Change
from relay.smsc.sandbox import Sandbox

ONE, TWO, THREE = to("4567"), to("4568"), to("4569")
WHOSE = {
    "sender": {"sender": "monitoring"},
    "phone": {"phone": "+79991234567"},
    "account": {"account": "main"},
}
OPERATOR = "boss@example.org"


def capped(folder: Path, *rules: dict[str, Any], **changes: Any):
    """The demo's configuration with caps, and an operator."""
    limits = tuple(Cap.model_validate(rule) for rule in rules)
    changes = {"reports": {"gather": 0, "operator": OPERATOR}} | changes
    return settings(folder, caps=limits, **changes)


async def api(relay: Journey, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """One call over the unix socket."""
    connector = aiohttp.UnixConnector(path=str(relay.app.config.web.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, f"http://relay{path}", json=body) as answer,
    ):
        return answer.status, await answer.json()


async def states(relay: Journey) -> list[str]:
    """The state of each order, oldest first."""
    return [order.state.value for order in await relay.orders()]


def told(relay: Journey, to_: str) -> list[str]:
    """The subjects of what somebody was told."""
    return [str(report["Subject"]) for report in relay.reports() if report["To"] == to_]


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.parametrize("whose", WHOSE)
async def test_over_a_cap_that_refuses_the_client_hears_4xx(tmp_path: Path, whose: str) -> None:
    """At RCPT, with the cap's name; the operator hears too; a day later it works again."""
    config = capped(tmp_path, {**WHOSE[whose], "messages": 2, "over": "refuse"})
    async with journey(tmp_path, config=config) as relay:
        for number in range(2):
            assert (await relay.mail(bare(f"{number}"), ONE))[-1].startswith("250 2.0.0")
            await relay.pass_time(200)
        refused = await relay.mail(bare("third"), ONE)
        await relay.pass_time(60)
        operator = told(relay, OPERATOR)
        await relay.pass_time(25 * HOUR)
        again = await relay.mail(bare("third"), ONE)
        await relay.pass_time(60)

    who = {"sender": "the sender monitoring", "phone": "this phone", "account": "the account"}[whose]
    why = f"452 4.7.1 the cap of 2 (messages in one day) for {who} is reached, try again later"
    assert [why] == refused[1:]
    assert again[-1].startswith("250 2.0.0")
    assert 3 == len(relay.sandbox.messages)
    assert 1 == len(operator)


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.parametrize("whose", WHOSE)
async def test_over_a_cap_that_holds_the_order_waits_for_room(tmp_path: Path, whose: str) -> None:
    """Sender and operator are told at once; when the window has passed it goes out."""
    config = capped(tmp_path, {**WHOSE[whose], "per": "hour", "messages": 1, "over": "hold"})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(bare("first"), ONE)
        await relay.pass_time(100)
        assert (await relay.mail(bare("second"), ONE))[-1].startswith("250 2.0.0")
        await relay.pass_time(60)
        held = (await relay.orders())[1]
        (delayed,) = [report for report in relay.reports() if report["To"] == SENDER]
        text = delayed.as_string()
        operator = told(relay, OPERATOR)
        await relay.pass_time(1.1 * HOUR)
        after = await states(relay)

    assert ("held", "4.7.1") == (held.state, held.status)
    assert "the cap of 1 (messages in one hour)" in held.reason
    assert "Action: delayed" in text
    assert "Status: 4.7.1" in text
    assert 1 == len(operator)
    assert ["delivered", "delivered"] == after
    assert 2 == len(relay.sandbox.messages)


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", [{"parts": 2}, {"cost": 1}])
@pytest.mark.parametrize("over", ["refuse", "hold"])
async def test_caps_on_parts_and_money_count_what_the_provider_answered(
    tmp_path: Path, limit: dict[str, int], over: str
) -> None:
    """Nothing is guessed before; once it is spent the next mail is refused, or held."""
    config = capped(tmp_path, {"account": "main", "over": over, **limit})
    async with journey(tmp_path, config=config) as relay:
        replies = []
        for number in range(4):
            replies.append((await relay.mail(bare(f"number {number}"), ONE))[-1])
            await relay.pass_time(100)
        spent = [(order.parts, order.cost) for order in await relay.orders() if order.state == "delivered"]
        sent = len(relay.sandbox.messages)

    assert spent
    assert sent == len(spent) < 4
    if over == "refuse":
        assert replies[-1].startswith("452 4.7.1 the cap of")
    else:
        assert "held" == (await states_of(relay))[-1]


async def states_of(relay: Journey) -> list[str]:
    """The states when the relay has stopped: from a new one on the same file."""
    async with journey(relay.folder, clock=relay.clock, config=relay.app.config) as again:
        return await states(again)


@pytest.mark.asyncio
async def test_what_was_taken_is_held_when_money_runs_out_before_it_goes(
    tmp_path: Path, clock: StillClock
) -> None:
    """A storm came at once: what the cap has no money for stays here, and its sender hears."""
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    config = capped(tmp_path, {"account": "main", "per": "hour", "parts": 3})
    one = config.accounts["main"].model_copy(update={"slots": 1})
    config = config.model_copy(update={"accounts": {"main": one}})
    async with journey(tmp_path, clock=clock, sandbox=sandbox, config=config, only="smtp") as door:
        for number in range(8):
            assert "250" == (await door.mail(bare(f"number {number}"), to(f"4{500 + number}")))[-1][:3]
    async with journey(tmp_path, clock=clock, sandbox=sandbox, config=config) as relay:
        await relay.pass_time(300)
        first = await states(relay)
        delayed = len(told(relay, SENDER))
        await relay.pass_time(1.1 * HOUR)
        then = len(sandbox.messages)
        await relay.pass_time(5 * HOUR)
        last = await states(relay)

    assert (3, 5) == (first.count("delivered"), first.count("held"))
    assert 5 == delayed
    assert 6 == then
    assert ["delivered"] * 8 == last


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_cap_outlives_a_restart_and_a_crash(tmp_path: Path, clock: StillClock) -> None:
    """What was counted before counts in the middle of the window, and leaves it in its time."""
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    config = capped(tmp_path, {"sender": "monitoring", "messages": 2})
    async with journey(tmp_path, clock=clock, sandbox=sandbox, config=config) as relay:
        await relay.mail(bare("first"), ONE)
        await relay.pass_time(600)
    clock.set(clock.now() + 10 * model.HOUR)
    async with journey(tmp_path, clock=clock, sandbox=sandbox, config=config) as relay:
        second = await relay.mail(bare("second"), ONE)
        third = await relay.mail(bare("third"), ONE)
        await relay.pass_time(16 * HOUR)
        fourth = await relay.mail(bare("fourth"), ONE)
        fifth = await relay.mail(bare("fifth"), ONE)

    assert ["250", "452", "250", "452"] == [each[-1][:3] for each in (second, third, fourth, fifth)]


@pytest.mark.asyncio
async def test_a_held_order_that_finds_no_room_fails_in_its_time(tmp_path: Path) -> None:
    """With 4.7.1 and the cap's name."""
    config = capped(tmp_path, {"sender": "monitoring", "messages": 0, "over": "hold"})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(bare(), ONE)
        await relay.pass_time(25 * HOUR)
        order = await relay.order()
        texts = [report.as_string() for report in relay.reports() if report["To"] == SENDER]

    assert ("failed", "4.7.1") == (order.state, order.status)
    assert "the cap of 0" in order.reason
    assert ["Action: delayed", "Action: failed"] == [
        action for text in texts for action in ("Action: delayed", "Action: failed") if action in text
    ]
    assert [] == relay.sandbox.messages


@pytest.mark.asyncio
async def test_what_expired_steps_aside_before_it_is_claimed(tmp_path: Path) -> None:
    """Whoever comes to it first says that its time is over, so that nothing behind it waits for a chore."""
    config = capped(tmp_path, {"sender": "monitoring", "messages": 0, "over": "hold"})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(bare(), ONE)
        held = await relay.order()
        passed = await relay.app.workers["main"]._gate.passed([held], held.expire_at)
        order = await relay.order()

    assert ([], True) == (passed.orders, passed.aside)
    assert ("failed", "4.7.1") == (order.state, order.status)


@pytest.mark.asyncio
async def test_a_person_lets_a_held_order_pass_all_caps(tmp_path: Path) -> None:
    """It goes out at once, also where the money is spent, and counts like any other."""
    config = capped(tmp_path, {"account": "main", "per": "hour", "cost": 0, "over": "hold"})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(bare(), ONE)
        await relay.pass_time(5)
        order = await relay.order()
        status, shown = await api(relay, "GET", f"/api/queue/{model.show(order.id)}")
        await api(relay, "POST", f"/api/queue/{model.show(order.id)}/release")
        await relay.pass_time(100)
        after = await states(relay)

    assert (200, "hour account main") == (status, shown["held_by"])
    assert "held" == shown["story"][-1]["event"]
    assert ["delivered"] == after


@pytest.mark.asyncio
async def test_one_recipients_cap_harms_no_other(tmp_path: Path) -> None:
    """The one is refused at RCPT, the others' mail goes out."""
    config = capped(tmp_path, {"phone": "+79991234567", "messages": 0})
    async with journey(tmp_path, config=config) as relay:
        replies = await relay.mail(bare(), [TWO, ONE, THREE])
        await relay.pass_time(60)

    assert ["250", "250", "452", "250", "250"] == [each[:3] for each in replies]
    assert ["+79991234568", "+79991234569"] == sorted(order.target for order in await kept(relay))


async def kept(relay: Journey) -> list[Any]:
    """The orders of a relay that has stopped."""
    async with journey(relay.folder, clock=relay.clock, config=relay.app.config) as again:
        return await again.orders()


@pytest.mark.asyncio
async def test_a_senders_cap_takes_as_many_recipients_as_there_is_room_for(tmp_path: Path) -> None:
    """The third is told to come in another mail, later."""
    config = capped(tmp_path, {"sender": "monitoring", "messages": 2})
    async with journey(tmp_path, config=config) as relay:
        replies = await relay.mail(bare(), [ONE, TWO, THREE])
        assert ["250", "250", "250", "452", "250"] == [each[:3] for each in replies]
        assert 2 == len(await relay.orders())


@pytest.mark.asyncio
async def test_an_alias_loses_no_member_to_anothers_cap(tmp_path: Path) -> None:
    """A member whose phone has heard enough is held; all others are reached; refused are all or none."""
    config = capped(
        tmp_path,
        {"phone": "+79991234567", "messages": 0},
        aliases={"oncall": Alias(to=("+79991234567", "+79991234568"))},
    )
    async with journey(tmp_path, config=config) as relay:
        replies = await relay.mail(bare(), "oncall@sms.example.com")
        await relay.pass_time(100)
        found = {order.target: order.state.value for order in await relay.orders()}
        texts = [report.as_string() for report in relay.reports()]

    assert replies[-1].startswith("250 2.0.0")
    assert {"+79991234567": "held", "+79991234568": "delivered"} == found
    assert not [text for text in texts if "79991234567" in text]


@pytest.mark.asyncio
async def test_over_lmtp_each_recipient_hears_its_own(tmp_path: Path) -> None:
    """What is over only after RCPT is refused to that recipient alone."""
    door = Listener.model_validate({"address": "127.0.0.1:0", "protocol": "lmtp"})
    config = capped(tmp_path, {"sender": "monitoring", "messages": 2}, listeners=(door,))
    async with journey(tmp_path, config=config) as relay:
        host, _, port = relay.app.listeners[0].address.rpartition(":")
        lines = await talk(host, int(port), [ONE, TWO], before_data=lambda: fill(relay))

    assert ["250 2.0.0", "452 4.7.1"] == [line[:9] for line in lines]


async def fill(relay: Journey) -> None:
    """Another mail takes a place meanwhile."""
    name = "day sender monitoring"
    change = Change()
    change.add(name, caps.step(name, relay.clock.now()), messages=1)
    await relay.app.store.write(change)


async def talk(host: str, port: int, recipients: list[str], *, before_data: Any) -> list[str]:
    """An LMTP session; the answers to DATA."""
    reader, writer = await asyncio.open_connection(host, port)
    await reader.readline()
    lines = ["LHLO a.example.com", f"MAIL FROM:<{SENDER}>", *(f"RCPT TO:<{each}>" for each in recipients)]
    for line in lines:
        writer.write(f"{line}\r\n".encode())
        while (await reader.readline())[3:4] == b"-":
            pass
    await before_data()
    writer.write(b"DATA\r\n")
    await reader.readline()
    writer.write(bare().replace("\n", "\r\n").encode() + b".\r\n")
    answers = [(await reader.readline()).decode() for _ in recipients]
    writer.close()
    return answers


@pytest.mark.asyncio
async def test_what_data_can_no_longer_refuse_alone_is_held(tmp_path: Path) -> None:
    """Over SMTP, where another recipient of the mail is served."""
    config = capped(tmp_path, {"sender": "monitoring", "messages": 2})
    async with journey(tmp_path, config=config) as relay:
        host, _, port = relay.app.listeners[0].address.rpartition(":")
        client = aiosmtplib.SMTP(hostname=host, port=int(port), start_tls=False)
        await client.connect()
        await client.mail(SENDER)
        for each in (ONE, TWO):
            await client.rcpt(each)
        await fill(relay)
        answer = await client.data(bare())
        await client.quit()
        assert 250 == answer.code
        assert ["waiting", "held"] == await states(relay)


@pytest.mark.asyncio
async def test_the_api_is_refused_too(tmp_path: Path) -> None:
    """A phone's cap holds for `send`; a cap that holds lets it wait."""
    config = capped(
        tmp_path, {"phone": "+79991234567", "messages": 0}, {"account": "main", "messages": 1, "over": "hold"}
    )
    async with journey(tmp_path, config=config) as relay:
        body = {"text": "hello"}
        refused = await api(relay, "POST", "/api/send", {"to": "79991234567", **body})
        first = await api(relay, "POST", "/api/send", {"to": "79991234568", **body})
        second = await api(relay, "POST", "/api/send", {"to": "79991234569", **body})

    assert 422 == refused[0]
    assert "4.7.1 the cap of 0" in refused[1]["error"]
    assert ["waiting", "held"] == [first[1][0]["state"], second[1][0]["state"]]


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_is_never_sent_gives_its_place_back(tmp_path: Path) -> None:
    """A dropped and a refused message leave room; so does one that another speaks for."""
    config = capped(tmp_path, {"sender": "monitoring", "messages": 3})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(bare("no such number"), to("0007"))  # the provider refuses it at once
        await relay.mail(bare("said twice"), ONE)
        await relay.mail(bare("said twice"), ONE)
        await relay.pass_time(30)
        found = await states(relay)
        last = [(await relay.mail(bare(f"more {n}"), TWO))[-1][:3] for n in range(3)]

    assert ["failed", "delivered", "merged"] == found
    assert ["250", "250", "452"] == last


@pytest.mark.both
@pytest.mark.asyncio
async def test_two_mails_at_once_do_not_pass_a_cap_together(tmp_path: Path) -> None:
    """Of thirty at the same moment as many are taken as there is room for; none more, none less."""
    config = capped(tmp_path, {"sender": "monitoring", "messages": 7})
    async with journey(tmp_path, config=config) as relay:
        await asyncio.gather(*(relay.mail(bare(f"n {n}"), to(f"4{500 + n}")) for n in range(30)))
        found = [order for order in await relay.orders() if order.state != "held"]

    assert 7 == len(found)


@pytest.mark.asyncio
async def test_a_cap_on_each_phone_releases_each_for_itself(tmp_path: Path) -> None:
    """Ten phones, two messages each, one an hour."""
    config = capped(tmp_path, {"phone": "*", "per": "hour", "messages": 1, "over": "hold"})
    async with journey(tmp_path, config=config) as relay:
        for number in range(20):
            await relay.mail(bare(f"n {number}"), to(f"4{500 + number % 10}"))
        await relay.pass_time(300)
        first = len(relay.sandbox.messages)
        await relay.pass_time(1.1 * HOUR)
        second = len(relay.sandbox.messages)

    assert (10, 20) == (first, second)


@pytest.mark.asyncio
async def test_a_cap_that_is_gone_holds_nobody(tmp_path: Path, clock: StillClock) -> None:
    """The configuration no longer has it: what it held goes out."""
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    config = capped(tmp_path, {"sender": "monitoring", "messages": 0, "over": "hold"})
    async with journey(tmp_path, clock=clock, sandbox=sandbox, config=config) as relay:
        await relay.mail(bare(), ONE)
        await relay.pass_time(5)
        relay.app.adopt(config.model_copy(update={"caps": ()}))
        await relay.pass_time(120)

    assert 1 == len(sandbox.messages)
