"""What docs/reliability.md says of each fault, where no other story shows it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from aiosmtpd.smtp import SMTP
from faults import HOUR, bare, to
from harness import Journey, StillClock, journey, settings

from relay.config import Smarthost
from relay.queue import joining
from relay.queue.engine import Engine
from relay.queue.postgres import Postgres
from relay.smsc.sandbox import Sandbox

DAY = 24 * HOUR


@contextlib.asynccontextmanager
async def down(relay: Journey) -> AsyncIterator[None]:
    """The provider's door is closed for as long as the block."""
    port = int(relay.app.urls["main"].rpartition(":")[2])
    await relay.sandbox.stop()
    yield
    await relay.sandbox.start(port=port)


@pytest.mark.asyncio
async def test_the_provider_is_down_for_an_hour(relay: Journey) -> None:
    """Mail is taken and waits; whoever waits longer than `delay` hears so; then all of it goes out, once."""
    await relay.mail(bare("before"), to("4567"))
    await relay.pass_time(5)
    async with down(relay):
        replies = [await relay.mail(bare(f"number {n}"), to(f"{4600 + n}")) for n in range(20)]
        await relay.pass_time(HOUR)
        states = [order.state for order in await relay.orders()]
    await relay.pass_time(2 * HOUR)

    assert {"250"} == {reply[-1][:3] for reply in replies}
    assert ["sent"] + ["waiting"] * 20 == states
    assert ["delivered"] * 21 == [order.state for order in await relay.orders()]
    assert 21 == len({message.text for message in relay.sandbox.messages}) == len(relay.sandbox.messages)
    assert 20 == len([report for report in relay.reports() if report["Subject"].startswith("Delayed")])


@pytest.mark.asyncio
async def test_the_provider_answers_too_slowly(tmp_path: Path, clock: StillClock) -> None:
    """It takes everything, and each answer comes after our patience ends: one message each."""
    sandbox = Sandbox(now=lambda: clock.now() / 1000, latency=0.3)
    async with journey(tmp_path, clock=clock, sandbox=sandbox, patience=0.1) as relay:
        for number in range(20):
            await relay.mail(bare(f"number {number}"), to(f"{4600 + number}"))
        await relay.pass_time(5)
        states = {order.state for order in await relay.orders()}
        sandbox.latency = 0
        await relay.pass_time(10 * 60)

        assert {"unsure"} == states
        assert ["delivered"] * 20 == [order.state for order in await relay.orders()]
        assert 20 == len(sandbox.messages)
        assert len(relay.sends()) == len({params["id"] for params in relay.sends()})  # none was repeated
        assert sandbox.max_in_flight <= 14


@pytest.mark.asyncio
async def test_the_provider_forgets_what_it_took(relay: Journey) -> None:
    """It said yes, and from then on that it knows nothing: never sent again, and reported as unknown."""
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(0)
    (message,) = relay.sandbox.messages
    relay.sandbox._provider.delete(message)
    await relay.pass_time(80 * HOUR)

    assert 1 == len(relay.sends())
    assert "unknown" == (await relay.order()).state
    assert ["Unknown"] == [str(report["Subject"]).split()[0] for report in relay.reports()]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("send.php", {"id": "another", "cnt": 1}),
        ("send.php", {"balance": "12.50"}),
        ("send.php", ["OK"]),
        ("status.php", {"status": "1", "err": 0, "phone": "79990000000", "id": "another"}),
        ("status.php", {"status": 777}),
        ("status.php", {"error": "none", "error_code": "many"}),
    ],
)
async def test_the_provider_answers_something_else(relay: Journey, path: str, body: object) -> None:
    """Another's id, an answer to another question, a status that nobody knows: one message, and the truth."""
    exchange = relay.app.clients["main"]._exchange
    real, lies = exchange.post, 2

    async def lying(called, *arguments):
        nonlocal lies
        heard = await real(called, *arguments)
        if called != path or not lies:
            return heard
        lies -= 1
        return replace(heard, body=json.dumps(body).encode())

    exchange.post = lying
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(2 * HOUR)

    assert lies < 2
    assert 1 == len(relay.sandbox.messages)
    assert "delivered" == (await relay.order()).state
    assert [] == relay.reports()


@contextlib.asynccontextmanager
async def locked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Another program has the database, or the tables that new mail goes to; the relay is not patient."""
    if isinstance(engine, Postgres):
        monkeypatch.setattr(joining, "ANSWER", 0.3)
        engine._writer._patience = 0.3
        engine._writer.line.drop()  # the next one has this time for an answer
        other = await asyncpg.connect(engine.url.dsns[0])
        await other.execute("BEGIN; LOCK TABLE mail")
        yield
        await other.close()
        return
    engine._connection.execute("PRAGMA busy_timeout = 20")
    file = sqlite3.connect(
        engine._connection.execute("PRAGMA database_list").fetchone()[2], isolation_level=None
    )
    file.execute("BEGIN IMMEDIATE")
    yield
    file.execute("ROLLBACK")
    file.close()


@pytest.mark.both
@pytest.mark.asyncio
async def test_another_program_locks_the_database(relay: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """New mail is put off with a 4xx and what is under way waits; nothing is lost, nothing is doubled."""
    await relay.mail(bare("before"), to("2006"))
    async with locked(relay.app.store.engine, monkeypatch):
        replies = await relay.mail(bare("during"), to("4568"))
        await asyncio.sleep(0)
    await relay.mail(bare("after"), to("4569"))
    await relay.pass_time(10 * 60)

    assert "451" == replies[-1][:3]
    assert ["failed", "delivered"] == [order.state for order in await relay.orders()]
    assert ["alarm\nbefore", "alarm\nafter"] == [message.text for message in relay.sandbox.messages]
    assert 1 == len(relay.reports())


@pytest.mark.asyncio
@pytest.mark.parametrize("jump", [-DAY, -HOUR, -1, 1, HOUR])
async def test_the_clock_jumps_while_an_answer_is_missing(tmp_path: Path, jump: int) -> None:
    """By whatever the clock is set, forward or back: one message, delivered, and no word but of a delay."""
    clock, skew = StillClock(), 0
    sandbox = Sandbox(now=lambda: (clock.now() + skew) / 1000)
    sandbox.next_send_faults.extend(["accepted-reset", "reset"])
    async with journey(tmp_path, clock=clock, sandbox=sandbox) as relay:
        await relay.mail(bare("taken"), to("4567"))
        await relay.rest()
        await relay.mail(bare("not taken"), to("4568"))
        await relay.pass_time(2)
        skew = -jump * 1000
        clock.set(clock.now() + jump * 1000)
        relay.app.kick_all()
        await relay.pass_time(max(0, -jump) + HOUR)

        assert ["delivered", "delivered"] == [order.state for order in await relay.orders()]
        assert 2 == len(sandbox.messages)
        assert {report["Subject"].split(":")[0] for report in relay.reports()} <= {"Delayed"}


class Sink:
    """A smarthost that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802
        self.mails.append(envelope.content)
        return "250 2.0.0 taken"


@pytest.mark.asyncio
async def test_the_smarthost_for_reports_is_down_for_a_day(tmp_path: Path, clock: StillClock) -> None:
    """Messages go out all the same; each sender gets his report when it is back, once."""
    sink, loop = Sink(), asyncio.get_running_loop()

    async def door(port: int = 0) -> asyncio.Server:
        return await loop.create_server(lambda: SMTP(sink, hostname="sink"), "127.0.0.1", port)

    server = await door()
    port = server.sockets[0].getsockname()[1]
    server.close()
    smarthost = Smarthost(host="127.0.0.1", port=port, tls="none")
    config = settings(tmp_path, reports={"gather": 0, "maildir": None, "smtp": smarthost})
    async with journey(tmp_path, clock=clock, config=config) as relay:
        for number in range(5):
            await relay.mail(bare(f"number {number}"), [to("2006"), to(f"{4600 + number}")])
        await relay.pass_time(DAY)
        messages, early = len(relay.sandbox.messages), len(sink.mails)
        server = await door(port)
        await relay.pass_time(2 * HOUR)
    server.close()

    assert (10, 0) == (messages, early)
    assert 5 == len(sink.mails)
