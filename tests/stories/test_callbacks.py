"""Statuses that the provider tells by itself: early, late, twice, forged, while the store is locked."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from faults import A, asked, bare, group, oncall, to
from faults import told as told_to
from harness import SENDER, START, Journey, journey, settings
from pydantic import SecretStr

from relay import metrics, model
from relay.model import MINUTE, SECOND
from relay.queue import schema
from relay.queue.engine import Change, Full
from relay.smsc import outcomes
from relay.smsc.client import Sent

SECRET = "s3cret"
PHONE = "79991234567"


def told(tmp_path: Path, secret: str = SECRET, **changes: Any) -> Any:
    """A configuration that takes callbacks."""
    return settings(tmp_path, web={"listen": "127.0.0.1:0", "callback_secret": SecretStr(secret)}, **changes)


@pytest_asyncio.fixture
async def relay(tmp_path: Path):
    """A relay that takes callbacks."""
    async with journey(tmp_path, config=told(tmp_path)) as running:
        yield running


async def call(
    relay: Journey, name: str, status: object, *, phone: str = PHONE, account: str = "main", **more: object
) -> int:
    """A caller of our own: one signed callback as a form; the answer's HTTP status."""
    text = f"{name}:{phone}:{status}:{SECRET}"
    form = {"id": name, "phone": phone, "status": str(status), "md5": hashlib.md5(text.encode()).hexdigest()}
    form |= {key: str(value) for key, value in more.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{relay.app.web.address}/callback/{account}", data=form) as answer,
    ):
        return answer.status


async def story(relay: Journey, order: int) -> list[str]:
    """What happened to an order, in words."""
    return [line["event"] for line in await relay.app.store.story(order)]


def counted(result: str) -> float:
    """How many callbacks met this so far."""
    return metrics.CALLBACKS.labels(account="main", result=result)._value.get()


async def sent_one(relay: Journey, fate: str = "4567") -> tuple[Any, str]:
    """A mail that the provider has; its order, and our id of its request."""
    await relay.mail(bare(), to(fate))
    await relay.rest()
    order = await relay.order()
    assert "sent" == order.state
    return order, model.show(order.request_id)


def slow_answer(relay: Journey) -> SimpleNamespace:
    """The provider has a send, its answer is held back until `go` is set; or is `instead`."""
    held = SimpleNamespace(go=asyncio.Event(), ids=[], instead=None)
    client, real = relay.app.clients["main"], relay.app.clients["main"].send

    async def send(**what: Any) -> Sent:
        sent = await real(**what)
        held.ids.append(what["id"])
        await held.go.wait()
        return held.instead or sent

    client.send = send
    return held


# -- the sandbox tells --------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "tail",
    [
        "?md5={}",
        "?sha1={}&charset=utf-8",
        "?charset=koi8-r&crc32={}",
        "?fmt=2&md5={}",
        "?fmt=3&sha1={}&charset=utf-8",
        "!md5={}?fmt=3",
        "!charset=utf-8&fmt=2?crc32={}",
    ],
)
async def test_the_sandbox_tells_and_nobody_asks(relay: Journey, tail: str) -> None:
    """Delivered by callbacks alone, in every form of the handler's address."""
    handler = f"http://{relay.app.web.address}/callback/main{tail.format(SECRET)}"
    relay.sandbox.call_handler(handler)
    await call(relay, "0" * 13, 1)  # so that callbacks are known to arrive
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(5)
    await relay.sandbox.caller.call()

    order = await relay.order()
    assert ("delivered", "status 1") == (order.state, order.code)
    assert {200} == set(relay.sandbox.caller.answers)
    assert [] == asked(relay)


@pytest.mark.asyncio
async def test_where_callbacks_stop_questions_are_asked(relay: Journey) -> None:
    """None for two minutes after a send while callbacks come; from then on polls fill the gap."""
    await call(relay, "0" * 13, 1)
    await sent_one(relay)
    await relay.pass_time(119)
    early = len(asked(relay))
    await relay.pass_time(10)
    late = len(asked(relay))
    delivered = (await relay.order()).state
    await relay.pass_time(3600)
    await relay.mail(bare("other"), to("4568"))
    await relay.pass_time(15)

    assert (0, 1, "delivered") == (early, late, delivered)
    assert 2 == len(asked(relay))  # an hour of silence: asked after the first step of `poll` again


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_restart_knows_that_callbacks_arrive(tmp_path: Path) -> None:
    """The last callback's time stands in a row."""
    async with journey(tmp_path, config=told(tmp_path)) as relay:
        await call(relay, "0" * 13, 1)
    async with journey(tmp_path, config=told(tmp_path)) as again:
        assert START == again.app.hearing.heard_at("main")
        assert 2 * MINUTE == again.app.settler.terms.first_poll("main")
        assert 10 * SECOND == again.app.settler.terms.first_poll("other")


# -- before the answer --------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "err", "state"), [(0, 0, "sent"), (1, 0, "delivered"), (20, 6, "failed"), (24, 0, "sent")]
)
async def test_a_callback_before_the_answer_counts(relay: Journey, status: int, err: int, state: str) -> None:
    """The order moves at once; the answer that comes then changes nothing but the price."""
    held = slow_answer(relay)
    await relay.mail(bare(), to("4567"))
    await relay.until(lambda: held.ids, "the send")
    taken = await call(relay, held.ids[0], status, err=err)
    early = (await relay.order()).state
    held.go.set()
    await relay.rest()

    order = await relay.order()
    assert (200, state, state, []) == (taken, early, order.state, await relay.app.store.strays(0))
    assert order.cost
    assert 1 == len(relay.sandbox.messages)
    assert ("money" if status == 24 else "") == relay.app.workers["main"].resting.why
    await relay.pass_time(300)
    assert (await relay.order()).state == ("delivered" if state == "sent" else state)


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_callback_before_an_answer_that_is_lost(relay: Journey) -> None:
    """The call breaks off after the provider told of the message: it is never repeated."""
    held = slow_answer(relay)
    held.instead = Sent(outcome=outcomes.broke_off("reset"))
    await relay.mail(bare(), to("0121"))
    await relay.until(lambda: held.ids, "the send")
    await call(relay, held.ids[0], 0, phone="79991230121")
    held.go.set()
    await relay.pass_time(600)

    assert "sent" == (await relay.order()).state
    assert 1 == len(relay.sends())


@pytest.mark.asyncio
async def test_an_unsure_order_learns_that_the_provider_has_it(relay: Journey) -> None:
    """Nothing came back, nothing is known under the id when asked; then a callback says otherwise."""
    await relay.mail(bare(), to("0118"))
    await relay.pass_time(3)
    order = await relay.order()
    before = order.state
    await call(relay, model.show(order.request_id), 0, phone="79991230118")
    after = (await relay.order()).state
    await relay.pass_time(600)

    assert ("unsure", "sent") == (before, after)
    assert 1 == len(relay.sends())
    assert "delivered" == (await relay.order()).state


@pytest.mark.asyncio
async def test_one_phone_of_a_request_that_is_to_be_repeated(relay: Journey) -> None:
    """Of two phones one is heard of just before the repeat: it is not made, the other is asked about."""
    oncall(relay, "+79991230118", "+79991234568")
    await relay.mail(bare(), "oncall@sms.example.com")
    await relay.pass_time(3)
    first, second = await relay.orders()
    request = first.request_id
    version = (await relay.app.store.requests([request]))[0].version
    change, due = Change(), relay.clock.now() + 30 * SECOND
    change.update(schema.request, request, version, state="repeat", due_at=due)
    await relay.app.store.write(change)
    await call(relay, model.show(request), 0, phone="79991230118")
    (row,) = await relay.app.store.requests([request])

    assert (second.request_id, "unsure") == (request, row.state)
    await relay.pass_time(600)
    assert 2 == len(relay.sandbox.messages)
    assert ["delivered", "delivered"] == [order.state for order in await relay.orders()]


# -- twice, late, out of order ------------------------------------------------------------


@pytest.mark.both
@pytest.mark.asyncio
async def test_the_same_said_again_is_written_once(relay: Journey) -> None:
    """Fifty repeats answer 200 and leave one line in the story."""
    order, name = await sent_one(relay)
    answers = [await call(relay, name, status) for status in (0, 0, 1, 1, 0, 1) * 9]

    assert {200} == set(answers)
    assert ["accepted", "delivered"] == (await story(relay, order.id))[-2:]
    assert "delivered" == (await relay.order()).state


@pytest.mark.asyncio
async def test_out_of_order(relay: Journey) -> None:
    """Read (2) before delivered (1) before handed over (0): delivered, and all of it in the story."""
    order, name = await sent_one(relay)
    answers = [await call(relay, name, status) for status in (2, 1, 0, 0)]

    assert [200] * 4 == answers
    assert "delivered" == (await relay.order()).state
    assert ["delivered", "heard", "heard"] == (await story(relay, order.id))[-3:]


@pytest.mark.both
@pytest.mark.asyncio
async def test_delivered_after_it_failed_is_told_once(relay: Journey) -> None:
    """Expired, reported so; then it arrived after all: one correction, however often that is said."""
    _order, name = await sent_one(relay)
    await call(relay, name, 3)
    await relay.pass_time(5)
    for _ in range(3):
        assert 200 == await call(relay, name, 1)
    await relay.pass_time(5)

    assert "failed" == (await relay.order()).state
    assert ["Not delivered", "Delivered"] == [str(each["Subject"]).split(":")[0] for each in relay.reports()]


@pytest.mark.asyncio
async def test_whoever_was_spoken_for_hears_that_it_arrived_after_all(relay: Journey) -> None:
    """Two senders, one message: both hear that it failed, and both once that it arrived."""
    _order, name = await sent_one(relay)
    await relay.mail(bare(), to("4567"), sender=A)
    await relay.pass_time(1)
    states = [order.state for order in await relay.orders()]
    await call(relay, name, 3)
    await relay.pass_time(5)
    for _ in range(3):
        assert 200 == await call(relay, name, 1)
    await relay.pass_time(5)

    assert ["sent", "merged"] == states
    assert sorted([SENDER, A] * 2) == told_to(relay)
    reports = relay.reports()
    assert ["Not delivered"] * 2 + ["Delivered"] * 2 == [str(r["Subject"]).split(":")[0] for r in reports]
    corrected = ["You were told before" in r.get_body(("plain",)).get_content() for r in reports]
    assert [False, False, True, True] == corrected


@pytest.mark.both
@pytest.mark.asyncio
async def test_all_at_once(relay: Journey) -> None:
    """Twenty phones of one alias, all told at the same moment, twice: nobody is lost, all is told once."""
    phones = [f"+7999123{n:04}" for n in range(4000, 4020)]
    oncall(relay, *phones)
    await relay.mail(bare(), "oncall@sms.example.com", rcpt_options=["NOTIFY=SUCCESS"])
    await relay.rest()
    name = model.show((await relay.orders())[0].request_id)
    answers = await asyncio.gather(*(call(relay, name, 1, phone=phone[1:]) for phone in phones * 2))
    await relay.pass_time(5)

    assert {200} == set(answers)
    assert {"delivered"} == {order.state for order in await relay.orders()}
    assert 1 == len(relay.reports())


# -- groups -------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("fate", ["answered", "lost"])
async def test_members_of_a_group_that_are_heard_of_before_the_answer(relay: Journey, fate: str) -> None:
    """They are members once, and the group waits for all of them, however its answer comes."""
    phones = ["79991234501", "79991234502", "79991234503"]
    group(relay, *phones)
    held = slow_answer(relay)
    held.instead = Sent(outcome=outcomes.broke_off("reset")) if fate == "lost" else None
    await relay.mail(bare(), "g777@sms.example.com")
    await relay.until(lambda: held.ids, "the send")
    early = [await call(relay, held.ids[0], 1, phone=phones[0]) for _ in range(2)]
    states = [order.state for order in await relay.orders()]
    held.go.set()
    await relay.rest()
    await relay.pass_time(300)

    orders = await relay.orders()
    assert [200, 200] == early
    assert ["sending", "delivered"] == states
    assert 1 == len(relay.sends())
    assert sorted(["g777", *(f"+{phone}" for phone in phones)]) == sorted(o.target.lower() for o in orders)
    assert {"delivered"} == {order.state for order in orders}


@pytest.mark.asyncio
async def test_a_group_whose_members_are_all_heard_of_before_the_answer(relay: Journey) -> None:
    """Nobody is left to close it: the answer does."""
    phones = ["79991234501", "79991234502"]
    group(relay, *phones)
    held = slow_answer(relay)
    await relay.mail(bare(), "g777@sms.example.com")
    await relay.until(lambda: held.ids, "the send")
    await call(relay, held.ids[0], 1, phone=phones[0])
    await call(relay, held.ids[0], 20, phone=phones[1], err=6)
    held.go.set()
    await relay.rest()

    parent, *members = await relay.orders()
    assert ("failed", {"delivered", "failed"}) == (parent.state, {order.state for order in members})
    assert 2 == len(members)


@pytest.mark.asyncio
async def test_a_member_that_no_answer_told_of(relay: Journey) -> None:
    """The provider's group grew meanwhile: whoever it tells of becomes a member."""
    group(relay, "79991234501", "79991234502")
    await relay.mail(bare(), "g777@sms.example.com")
    await relay.rest()
    name = model.show((await relay.orders())[0].request_id)
    both = [call(relay, name, status, phone="79991234599") for status in (0, 1)]
    answers = await asyncio.gather(*both)
    await relay.pass_time(60)

    assert [200, 200] == answers
    assert 1 == [order.target for order in await relay.orders()].count("+79991234599")
    assert {"delivered"} == {order.state for order in await relay.orders()}


# -- what is not taken --------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_wrong_signature_moves_nothing(relay: Journey) -> None:
    """403, counted, and the order is as it was."""
    order, name = await sent_one(relay)
    before = counted("forged")
    answers = [
        await call(relay, name, 1, md5="0" * 32),
        await call(relay, name, 1, md5=""),
        await call(relay, name, 1, sha1="0" * 40),
    ]

    assert [403] * 3 == answers
    assert 3 == counted("forged") - before
    assert order == await relay.order()
    assert None is relay.app.hearing.heard_at("main")


@pytest.mark.asyncio
async def test_without_a_secret_nobody_is_believed(tmp_path: Path) -> None:
    """403, even for what an empty secret signs."""
    async with journey(tmp_path, config=told(tmp_path, secret="")) as relay:
        _order, name = await sent_one(relay)
        md5 = hashlib.md5(f"{name}:{PHONE}:1:".encode()).hexdigest()
        assert 403 == await call(relay, name, 1, md5=md5)
        assert "sent" == (await relay.order()).state


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_is_not_known_is_answered_counted_and_kept(relay: Journey) -> None:
    """Another program's id, one of ours that never was, a phone that the request did not have: once each."""
    _order, name = await sent_one(relay)
    before = counted("unknown")
    answers = [
        await call(relay, "42", 1),
        await call(relay, "0" * 13, 1),
        await call(relay, "z" * 13, 1),
        await call(relay, name, 20, phone="79990000000", err=6),
        await call(relay, "42", 1),
    ]

    assert [200] * 5 == answers
    assert 5 == counted("unknown") - before
    assert "sent" == (await relay.order()).state
    assert [
        (name, "79990000000", "status 20 err 6"),
        ("z" * 13, PHONE, "status 1"),
        ("0" * 13, PHONE, "status 1"),
        ("42", PHONE, "status 1"),
    ] == [(row["name"], row["phone"], row["status"]) for row in await relay.app.store.strays(0)]


@pytest.mark.asyncio
async def test_a_stray_that_can_t_be_kept_is_asked_for_again(relay: Journey) -> None:
    """503 while the disk is full; then it is there. After `keep.texts` it goes."""
    engine, real = relay.app.store.engine, relay.app.store.engine.write

    async def full(_change: Change) -> None:
        raise Full("no room on the disk")

    engine.write = full
    first = await call(relay, "42", 1)
    engine.write = real
    second = await call(relay, "42", 1)
    kept = await relay.app.store.strays(0)
    await relay.pass_time(31 * 86_400)

    assert (503, 200, ["42"], "main") == (first, second, [row["name"] for row in kept], kept[0]["account"])
    assert [] == await relay.app.store.strays(0)


@pytest.mark.asyncio
async def test_of_strays_some_are_kept_each_day(relay: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program of the same account may send millions; each is answered and counted."""
    monkeypatch.setattr("relay.delivery.hearing.STRAYS", 3)
    before = counted("unknown")
    first = [await call(relay, str(number), 1) for number in (1, 1, 2, 3, 4, 5)]
    await relay.pass_time(86_400)
    second = await call(relay, "6", 1)

    assert [200] * 7 == [*first, second]
    assert 7 == counted("unknown") - before
    assert ["6", "3", "2", "1"] == [row["name"] for row in await relay.app.store.strays(0)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/callback/main", b"", 400),
        ("POST", "/callback/main", b"<!DOCTYPE a><a/>", 400),
        ("POST", "/callback/main", b"id=1&phone=2&status=1&x=" + b"y" * 70_000, 400),
        ("POST", "/callback/other", b"id=1&phone=2&status=1", 404),
        ("HEAD", "/callback/main?id=1", b"", 405),
        ("PUT", "/callback/main", b"id=1&phone=2&status=1", 405),
        ("GET", "/callback/main?id=1&phone=2&status=1", b"", 403),
    ],
)
async def test_what_can_t_be_read(relay: Journey, method: str, path: str, body: bytes, status: int) -> None:
    """The right answer, and no traceback."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{relay.app.web.address}{path}", data=body) as answer,
    ):
        assert status == answer.status


@pytest.mark.asyncio
async def test_octets_that_no_address_has(relay: Journey) -> None:
    """An address with raw octets in it, no utf-8 among them, is no fault of ours."""
    host, _, port = relay.app.web.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /callback/main?id=\xff\xfe&phone=1&status=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    line = await reader.readline()
    writer.close()
    assert line.split()[1] in (b"400", b"403")


@pytest.mark.asyncio
@pytest.mark.parametrize("between", ["?", "!"])
async def test_by_get(relay: Journey, between: str) -> None:
    """Everything in the address, also where the vendor's `!` is left as it was written."""
    _order, name = await sent_one(relay)
    sha1 = hashlib.sha1(f"{name}:{PHONE}:1:{SECRET}".encode()).hexdigest()
    query = f"id={name}&phone=%2B{PHONE}&phone={PHONE}&status=1&sha1={sha1}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{relay.app.web.address}/callback/main{between}{query}") as answer,
    ):
        assert 200 == answer.status
    assert "delivered" == (await relay.order()).state


# -- a store that fails, and many ---------------------------------------------------------


@pytest.mark.asyncio
async def test_what_can_t_be_stored_is_asked_for_again(relay: Journey) -> None:
    """503 while the disk is full; the provider says it again, and it is taken."""
    handler = f"http://{relay.app.web.address}/callback/main?md5={SECRET}"
    relay.sandbox.call_handler(handler)
    await relay.sandbox.caller.stop()
    await sent_one(relay)
    relay.clock.set(START + 3 * SECOND)
    engine, real = relay.app.store.engine, relay.app.store.engine.write

    async def full(_change: object) -> None:
        raise Full("no room on the disk")

    engine.write = full
    await relay.sandbox.caller.call()
    before = (await relay.order()).state
    engine.write = real
    await relay.sandbox.caller.call()

    assert [503, 503, 200, 200] == relay.sandbox.caller.answers
    assert ("sent", "delivered") == (before, (await relay.order()).state)


@pytest.mark.asyncio
async def test_a_store_that_does_not_answer_is_a_503(relay: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider does not wait for ever for a database that is locked."""
    _order, name = await sent_one(relay)
    unlocked, real = asyncio.Event(), relay.app.store.story

    async def locked(order: int) -> Any:
        await unlocked.wait()
        return await real(order)

    relay.app.store.story = locked
    with monkeypatch.context() as impatient:
        impatient.setattr("relay.web.callbacks._PATIENCE", 0.2)
        first = await call(relay, name, 0)
    unlocked.set()

    assert (503, 200) == (first, await call(relay, name, 0))


@pytest.mark.asyncio
async def test_what_the_store_takes_too_late_for_an_answer_is_followed_up(
    relay: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and it is on disk a moment later: the bounce leaves though nobody calls again."""
    _order, name = await sent_one(relay)
    await call(relay, name, 0)
    going_on, engine, real = asyncio.Event(), relay.app.store.engine, relay.app.store.engine.write

    async def slow(change: Change) -> int | None:
        await going_on.wait()
        return await real(change)

    engine.write = slow
    with monkeypatch.context() as impatient:
        impatient.setattr("relay.web.callbacks._PATIENCE", 0.2)
        answer = await call(relay, name, 20, err=6)
    going_on.set()
    await relay.until(relay.reports, "the bounce")

    assert (503, "failed") == (answer, (await relay.order()).state)


@pytest.mark.asyncio
@pytest.mark.timeout(300)
async def test_ten_thousand_callbacks_leave_nothing_behind(relay: Journey) -> None:
    """Known and unknown ids, over one connection: no memory grows with them."""
    order, name = await sent_one(relay)
    url = f"http://{relay.app.web.address}/callback/main"

    async def many(session: aiohttp.ClientSession, first: int, count: int) -> None:
        for number in range(first, first + count):
            id_ = name if number % 10 else model.show(number)
            md5 = hashlib.md5(f"{id_}:{PHONE}:1:{SECRET}".encode()).hexdigest()
            form = f"id={id_}&phone={PHONE}&status=1&md5={md5}"
            async with session.post(url, data=form) as answer:
                assert 200 == answer.status

    async with aiohttp.ClientSession() as session:
        await many(session, 0, 1000)
        before = held()
        await many(session, 1000, 9000)

    assert held() - before < 8_000_000  # not 900 octets a call
    assert 5 > len([event for event in await story(relay, order.id) if event == "heard"])


def held() -> int:
    """Octets of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
