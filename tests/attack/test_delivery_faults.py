"""Attacks on delivery: each test states what the design promises."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from harness import SENDER, START, Journey, StillClock, journey, settings

from relay import model
from relay.config import Alias
from relay.delivery import settle
from relay.delivery.settle import News
from relay.model import Kind
from relay.queue.states import Event, State
from relay.smsc import outcomes
from relay.smsc.client import Sent
from relay.smsc.sandbox import Sandbox

HOURS = 3600


def bare(text: str = "door open") -> str:
    """A device's mail: no Message-ID, no Date."""
    return f"From: {SENDER}\nSubject: alarm\n\n{text}\n"


def to(fate: str) -> str:
    return f"7999123{fate}@sms.example.com"


def asked(relay: Journey) -> list[Any]:
    return [call for call in relay.sandbox.calls if call.path.endswith("status.php")]


def refused(calls: list[Any]) -> list[Any]:
    return [call for call in calls if '"error_code": 9' in _text(call) or '"error_code":9' in _text(call)]


def _text(call: Any) -> str:
    answer = call.answer
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)


def with_routes(relay: Journey, **update: Any) -> None:
    route = relay.app.config.routes[0].model_copy(update=update)
    relay.app.config = relay.app.config.model_copy(update={"routes": (route, *relay.app.config.routes[1:])})


async def act(relay: Journey, order: int, action: str) -> dict[str, Any]:
    socket = str(relay.app.config.web.socket)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=socket)) as session,
        session.post(f"http://relay/api/queue/{model.show(order)}/{action}") as answer,
    ):
        return {**(await answer.json()), "http": answer.status}


def gaps_ok(relay: Journey) -> bool:
    """No phone has two messages of one text within 60 s."""
    seen: dict[tuple[str, str], float] = {}
    for message in sorted(relay.sandbox.messages, key=lambda each: each.accepted_at):
        key = (message.phone, message.text)
        if key in seen and message.accepted_at - seen[key] < 60:
            return False
        seen[key] = message.accepted_at
    return True


# -- 1 repeat with no connection ------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_repeat_without_connection_is_still_unsure(relay: Journey) -> None:
    """Reset, -3, -3, the repeat finds no connection: asked before it goes again; one message."""
    client = relay.app.clients["main"]
    real, count = client.send, 0

    async def flapping(**what: Any) -> Sent:
        nonlocal count
        count += 1
        if count in (2, 3):
            return Sent(outcome=outcomes.no_connection("refused"))
        return await real(**what)

    client.send = flapping  # type: ignore[method-assign]
    await relay.mail(bare(), to("0118"))  # reset at once, accepted 15 s later
    await relay.pass_time(900)

    assert 1 == len(relay.sandbox.messages)


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [2, 3, 4])
async def test_a_repeat_that_meets_an_empty_account_is_still_unsure(relay: Journey, code: int) -> None:
    """Reset, -3, -3, the repeat is refused with 2, 3 or 4 while the first was accepted late: one message."""
    await relay.mail(bare(), to("0118"))
    await relay.pass_time(5)
    relay.sandbox.next_send_faults.append(code)
    await relay.pass_time(900)

    assert 1 == len(relay.sandbox.messages)


# -- 2 refusals counted per phone ------------------------------------------------------------


@pytest.mark.asyncio
async def test_one_bad_number_among_thirty_delays_nobody_for_a_minute(relay: Journey) -> None:
    """A request of several refused once is one refusal, not thirty of its sender."""
    people = [to(f"{4000 + n}") for n in range(29)]
    await relay.mail(bare(), [*people, to("0007")])
    await relay.pass_time(30)

    assert 29 == len(relay.sandbox.messages)


@pytest.mark.asyncio
async def test_a_slowed_sender_with_a_backlog_does_not_starve_others(relay: Journey) -> None:
    """Its 400 due orders must not hide those of others."""
    worker = relay.app.workers["main"]
    now = relay.clock.now()
    worker._refusals.extend((now, SENDER) for _ in range(21))
    for n in range(410):
        await relay.mail(bare(f"text {n}"), to(f"{4000 + n}"))
    await relay.mail(bare("other"), to("9999"), sender="other@mon.example.com")
    await relay.pass_time(20)

    assert ["79991239999"] == [message.phone for message in relay.sandbox.messages]


# -- 3 limits of status.php ------------------------------------------------------------------


@pytest.mark.asyncio
async def test_unsure_requests_of_many_keep_to_one_mass_question_a_minute(relay: Journey) -> None:
    """Eight phones, the call broke off: no question is refused with error 9."""
    relay.sandbox.next_send_faults.append("reset")
    await relay.mail(bare(), [to(f"{4000 + n}") for n in range(8)])
    await relay.pass_time(120)

    assert 8 == len(relay.sandbox.messages)
    assert [] == refused(asked(relay))


@pytest.mark.asyncio
async def test_two_unsure_requests_of_many_keep_to_one_mass_question_a_minute(relay: Journey) -> None:
    """Two requests of eight phones at once."""
    relay.sandbox.next_send_faults.extend(["accepted-reset", "accepted-reset"])
    await relay.mail(bare("a"), [to(f"{4000 + n}") for n in range(8)])
    await relay.mail(bare("b"), [to(f"{5000 + n}") for n in range(8)])
    await relay.pass_time(120)

    assert [] == refused(asked(relay))


@pytest.mark.asyncio
async def test_repeats_that_break_again_keep_to_five_questions_a_minute(relay: Journey) -> None:
    """Every send is reset for two minutes."""
    relay.sandbox.next_send_faults.extend(["reset"] * 8)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(180)

    assert [] == refused(asked(relay))


@pytest.mark.asyncio
async def test_short_poll_steps_keep_to_five_questions_a_minute(tmp_path: Path) -> None:
    """`poll: [1s]` is a wish, five a minute is the vendor's limit."""
    config = settings(tmp_path, delivery={"poll": (1000,)})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(bare(), to("0121"))
        await relay.pass_time(90)

        assert [] == refused(asked(relay))


# -- 4 repeats and the storm rules -----------------------------------------------------------


@pytest.mark.asyncio
async def test_a_late_repeat_counts_for_the_repeat_window(relay: Journey) -> None:
    """The first was only accepted at its repeat after 61 s: the same text 5 s later is merged."""
    await relay.mail(bare(), to("0009"))
    await relay.pass_time(65)
    await relay.mail(bare(), to("0009"))
    await relay.pass_time(300)

    assert gaps_ok(relay)


@pytest.mark.asyncio
async def test_what_is_merged_into_an_order_that_then_merges_hears_of_it(relay: Journey) -> None:
    """A waits for a connection with B merged into it; Z goes first, A is merged into Z: B is answered too."""
    client = relay.app.clients["main"]
    real = client.send

    async def down(**_what: Any) -> Sent:
        return Sent(outcome=outcomes.no_connection("refused"))

    client.send = down  # type: ignore[method-assign]
    phone = to("2006")  # fails at last, so every sender is owed a bounce
    await relay.mail(bare(), phone, sender="a@mon.example.com")
    await relay.pass_time(20)
    await relay.mail(bare(), phone, sender="b@mon.example.com")
    await relay.pass_time(320)
    client.send = real  # type: ignore[method-assign]
    await relay.mail(bare(), phone, sender="z@mon.example.com")
    await relay.pass_time(3 * HOURS)
    orders = await relay.orders()

    assert all(order.finished_at for order in orders), [(o.sender, o.state, o.merged_into) for o in orders]
    assert {"a@mon.example.com", "b@mon.example.com", "z@mon.example.com"} == {r["To"] for r in relay.reports()}


@pytest.mark.asyncio
async def test_merged_while_its_speaker_ends(relay: Journey) -> None:
    """B is merged into A in the very moment in which A is refused: B's sender hears too."""
    with_routes(relay)
    relay.sandbox.latency = 0.3
    await relay.mail(bare(), to("4567"), sender="a@mon.example.com")
    await asyncio.sleep(0.05)
    (a,) = await relay.orders()
    assert a.state is State.SENDING
    relay.app.workers["main"].stop()  # nobody else decides
    await relay.mail(bare(), to("4567"), sender="b@mon.example.com")
    _, b = await relay.orders()
    settler = relay.app.settler
    merged = settle.person(Kind.NOTHING, "2.0.0", "the phone is being told the same by another message")
    await asyncio.gather(
        settler.settle([settle.of(a.id, outcomes.for_error(6))]),
        settler.settle([News(order=b.id, event=Event.MERGED, outcome=merged, columns={"merged_into": a.id})]),
    )
    a, b = await relay.orders()

    assert State.FAILED is a.state
    assert State.MERGED is b.state
    assert b.finished_at is not None


@pytest.mark.asyncio
async def test_merged_into_a_group_shares_its_outcome(relay: Journey) -> None:
    """Two mails to one group within the window; a member fails: both senders hear, both orders end."""
    relay.sandbox.groups["777"] = ["79991234567", "79991232006"]
    relay.sandbox.groups["G777"] = relay.sandbox.groups["777"]
    await relay.mail(bare(), "g777@sms.example.com", sender="a@mon.example.com")
    await relay.pass_time(1)
    await relay.mail(bare(), "g777@sms.example.com", sender="b@mon.example.com")
    await relay.pass_time(600)
    orders = await relay.orders()

    assert all(order.finished_at for order in orders), [(o.state, o.target, o.finished_at) for o in orders]
    assert {"a@mon.example.com", "b@mon.example.com"} == {r["To"] for r in relay.reports()}


@pytest.mark.asyncio
async def test_a_group_member_refused_within_the_answer_is_settled_by_it(relay: Journey) -> None:
    """Per-number errors of op=1 settle each, a group's members too."""
    relay.sandbox.groups["777"] = ["79991234567", "79991230107"]
    relay.sandbox.groups["G777"] = relay.sandbox.groups["777"]
    await relay.mail(bare(), "g777@sms.example.com")
    await relay.pass_time(600)
    orders = await relay.orders()

    assert all(order.finished_at for order in orders), [(o.state, o.target, o.finished_at) for o in orders]
    assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_merged_into_an_unsure_order_that_expired_stands_up(tmp_path: Path) -> None:
    """A is known not to exist and too late; B, merged into it, has a day left and must be sent."""
    async with journey(tmp_path) as relay:
        short = relay.app.config.routes[0].model_copy(
            update={"expire": 5_000, "match": "*@short.example.com"}
        )
        relay.app.config = relay.app.config.model_copy(update={"routes": (short, *relay.app.config.routes)})
        relay.sandbox.next_send_faults.append("reset")
        await relay.mail(bare(), "79991234567@short.example.com", sender="a@mon.example.com")
        await relay.pass_time(2)
        await relay.mail(bare(), to("4567"), sender="b@mon.example.com")
        await relay.pass_time(600)

        assert 1 == len(relay.sandbox.messages)
        assert ["a@mon.example.com"] == [r["To"] for r in relay.reports()]


@pytest.mark.asyncio
async def test_a_refusal_before_the_phone_heard_anything_speaks_for_nobody(relay: Journey) -> None:
    """A is refused for its own sender's name (error 6): B by a good route, same text, is sent."""
    relay.sandbox.next_send_faults.append(6)
    await relay.mail(bare(), to("4567"), sender="a@mon.example.com")
    await relay.pass_time(10)
    await relay.mail(bare(), to("4567"), sender="b@mon.example.com")
    await relay.pass_time(200)

    assert 1 == len(relay.sandbox.messages)
    assert ["a@mon.example.com"] == [r["To"] for r in relay.reports()]


@pytest.mark.asyncio
async def test_a_retry_by_a_person_is_sent(relay: Journey) -> None:
    """A refused order, retried within the minute, goes out; nobody gets a second bounce."""
    relay.sandbox.next_send_faults.append(6)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(10)
    await act(relay, (await relay.order()).id, "retry")
    await relay.pass_time(200)

    assert 1 == len(relay.sandbox.messages)
    assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_a_merged_order_whose_speaker_is_at_the_provider_owes_no_delay_warning(relay: Journey) -> None:
    """Delayed means: not yet at the provider."""
    await relay.mail(bare(), to("0122"), sender="a@mon.example.com")
    await relay.pass_time(0)
    await relay.mail(bare(), to("0122"), sender="b@mon.example.com")
    await relay.pass_time(20 * 60)

    assert [] == [r["To"] for r in relay.reports()]


# -- 5 rest, expiry, give_up -----------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_repeat_that_had_to_wait_for_a_resting_account_does_not_outlive_expire(
    relay: Journey,
) -> None:
    """Unsure past its expire, it is never repeated; it ends, and its sender hears."""
    relay.sandbox.next_send_faults.extend(["reset", 3])
    relay.sandbox.set_balance("0")
    with_routes(relay, expire=1_800_000)
    await relay.mail(bare("one"), to("4567"))
    await relay.mail(bare("two"), to("4568"))
    await relay.pass_time(2400)
    (one, _two) = await relay.orders()
    states = one.state
    relay.sandbox.set_balance("1000")
    await relay.pass_time(2 * HOURS)

    assert [] == [m.text for m in relay.sandbox.messages], states
    assert {"failed"} == {order.state for order in await relay.orders()}


@pytest.mark.asyncio
async def test_give_up_counts_while_the_login_is_refused(tmp_path: Path) -> None:
    """What can't be answered within give_up is unknown, and said, though the account rests."""
    config = settings(tmp_path, delivery={"give_up": 3_600_000})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(bare("one"), to("0122"))
        await relay.pass_time(5)
        relay.sandbox.fault = 2
        relay.app.clients["main"]._credentials = type(relay.app.clients["main"]._credentials)(
            login="sandbox", psw="wrong"
        )
        await relay.mail(bare("two"), to("4568"))
        await relay.pass_time(3 * HOURS)
        one = (await relay.orders())[0]

        assert "unknown" == one.state


@pytest.mark.asyncio
async def test_give_up_counts_for_a_repeat_that_waits(tmp_path: Path) -> None:
    """An unsure order whose repeat waits for money is unknown or failed by give_up."""
    config = settings(tmp_path, delivery={"give_up": 3_600_000})
    async with journey(tmp_path, config=config) as relay:
        relay.sandbox.next_send_faults.extend(["reset", 3])
        relay.sandbox.set_balance("0")
        await relay.mail(bare("one"), to("4567"))
        await relay.mail(bare("two"), to("4568"))
        await relay.pass_time(2 * HOURS)
        one = (await relay.orders())[0]

        assert one.finished_at is not None


@pytest.mark.asyncio
async def test_nothing_is_sent_past_its_expire_after_an_outage(tmp_path: Path) -> None:
    """The relay was down for two days: what waited has failed, the phone is not rung."""
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    sandbox.next_send_faults.append(3)
    sandbox.set_balance("0")
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.mail(bare(), to("4567"))
        await relay.pass_time(5)
    sandbox.set_balance("1000")
    clock.set(START + 48 * HOURS * 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        relay.app.workers["main"].kick()
        await relay.pass_time(200)
        order = await relay.order()

    assert [] == sandbox.messages
    assert "failed" == order.state


@pytest.mark.asyncio
async def test_orders_of_an_account_that_is_gone_end(tmp_path: Path) -> None:
    """An account renamed while an order was out: its sender hears something at last."""
    clock = StillClock()
    sandbox = Sandbox(now=lambda: clock.now() / 1000)
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.mail(bare(), to("0122"))
        await relay.pass_time(5)
    config = settings(tmp_path)
    account = config.accounts["main"]
    routes = tuple(route.model_copy(update={"account": "other"}) for route in config.routes)
    config = config.model_copy(update={"accounts": {"other": account}, "routes": routes})
    async with journey(tmp_path, clock=clock, config=config) as relay:
        await relay.pass_time(80 * HOURS)
        order = await relay.order()

    assert order.finished_at is not None


# -- 6 clocks --------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_clock_that_jumped_back_silences_nobody(relay: Journey) -> None:
    """An hour back: the same text 20 minutes later is another alarm."""
    clock = relay.clock
    assert isinstance(clock, StillClock)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(30)
    clock.set(clock.now() - HOURS * 1000)
    for worker in relay.app.workers.values():
        worker.kick()
    await relay.pass_time(20 * 60)
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(60)

    assert 2 == len(relay.sandbox.messages)


# -- 7 reports ---------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_success_of_an_alias_merged_into_two_recipients_is_told_once(relay: Journey) -> None:
    """Both speakers are delivered at the same moment: the merged alias is told of it."""
    members = ("+79991234567", "+79991234569")
    relay.app.config = relay.app.config.model_copy(
        update={"aliases": {"oncall": Alias.model_validate({"to": list(members)})}}
    )
    await relay.mail(bare(), [to("4567"), to("4569")], sender="a@mon.example.com")
    await relay.mail(
        bare(), "oncall@sms.example.com", sender="b@mon.example.com", rcpt_options=["NOTIFY=SUCCESS"]
    )
    await relay.pass_time(300)

    assert ["b@mon.example.com"] == [r["To"] for r in relay.reports()]


@pytest.mark.asyncio
async def test_every_fate_of_an_alias_is_in_the_report(relay: Journey) -> None:
    """Two members fail for different reasons within `gather`: both reasons are said."""
    relay.app.settler._reports = relay.app.config.reports.model_copy(update={"gather": 10_000})
    members = ("+79991232006", "+79991233023", "+79991234569")
    relay.app.config = relay.app.config.model_copy(
        update={"aliases": {"oncall": Alias.model_validate({"to": list(members)})}}
    )
    await relay.mail(bare(), "oncall@sms.example.com")
    await relay.pass_time(300)
    text = "\n".join(str(part) for report in relay.reports() for part in report.walk())

    assert "Status: 4.4.7" in text
    assert "Status: 5.7.1" in text


# -- 8 no connection and jitter --------------------------------------------------------------------


@pytest.mark.asyncio
async def test_no_connection_keeps_request_and_id_with_jitter(relay: Journey) -> None:
    """Three phones, no connection once: the second try is the same request under the same id."""
    chances = iter([0.0, 0.5, 0.9] * 100)
    relay.app.settler._chance = lambda: next(chances)
    client = relay.app.clients["main"]
    real, tried = client.send, []

    async def flapping(**what: Any) -> Sent:
        tried.append((what["id"], tuple(what["phones"])))
        if len(tried) == 1:
            return Sent(outcome=outcomes.no_connection("refused"))
        return await real(**what)

    client.send = flapping  # type: ignore[method-assign]
    await relay.mail(bare(), [to("4567"), to("4568"), to("4569")])
    await relay.pass_time(60)

    assert tried[0] == tried[1]
    assert 2 == len(tried)


@pytest.mark.asyncio
async def test_a_retry_of_a_wiped_text_is_refused(relay: Journey) -> None:
    """Texts go after `keep.texts`: an order without its text can't be sent again."""
    await relay.mail(bare(), to("2006"))
    await relay.pass_time(300)
    await relay.app.store.wipe(relay.clock.now(), 0)
    answer = await act(relay, (await relay.order()).id, "retry")

    assert 409 == answer["http"]


@pytest.mark.asyncio
async def test_an_id_that_is_too_big_is_no_such_order(relay: Journey) -> None:
    """Thirteen letters hold 65 bits, a key has 63."""
    socket = str(relay.app.config.web.socket)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=socket)) as session,
        session.get("http://relay/api/queue/" + "z" * 13) as answer,
    ):
        assert answer.status in (400, 404)
