"""Seeded walks over two accounts, and `kill -9` between them: one message for each order, by either.

Purses are emptied and filled, logins refused, answers lost, providers unplugged, in any order.
Afterwards every text that was taken is at exactly one of the two providers, exactly once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import aiosmtplib
import pytest
from accounts import BOTH, heard, other, texts, two
from faults import bare
from harness import PATIENCE, Journey, Process, journey
from sqlalchemy import select

from relay.model import DAY
from relay.queue import schema
from relay.smsc.client import Credentials
from relay.smsc.sandbox import Sandbox

BREAKS = ("reset", "http500", "html", "empty", "cut")
FAULTS = (*BREAKS, *(f"accepted-{each}" for each in BREAKS), 2, 3, 4, 9)
STEPS = ("mail", "mail", "many", "fault", "fault", "purse", "login", "plug", "time", "time", "time")


class Walk:
    """One walk over a running relay of two accounts."""

    def __init__(self, relay: Journey, seed: int) -> None:
        self.relay = relay
        self.chance = random.Random(seed)
        self.boxes = {"main": relay.sandbox, "backup": other(relay)}
        self.unplugged: set[str] = set()
        self.sent = 0

    async def step(self) -> None:
        """Something happens."""
        name = self.chance.choice(BOTH)
        match self.chance.choice(STEPS):
            case "mail":
                await self.mail(1)
            case "many":
                await self.mail(self.chance.choice((2, 5, 12)))
            case "fault":
                faults = self.chance.choices(FAULTS, k=self.chance.choice((1, 2, 3)))
                self.boxes[name].next_send_faults.extend(faults)
            case "purse":
                self.boxes[name].set_balance(self.chance.choice(("0", "0", "1000")))
            case "login":
                self.login(name, self.chance.choice(("wrong", "sandbox")))
            case "plug":
                await self.plug(name)
            case "time":
                await self.relay.pass_time(self.chance.choice((0, 0.5, 1, 5, 11, 30, 61, 200, 1000)))

    async def mail(self, phones: int) -> None:
        """A mail whose text is like no other's, to some phones."""
        self.sent += phones
        to = [f"7999123{4500 + n}@sms.example.com" for n in self.chance.sample(range(40), phones)]
        await self.relay.mail(bare(f"text {self.sent}"), to)

    def login(self, name: str, psw: str) -> None:
        """The provider refuses the login from now on, or no more."""
        self.relay.app.clients[name]._credentials = Credentials(login="sandbox", psw=psw)

    async def plug(self, name: str) -> None:
        """Unplug a provider, or plug it in again; calls under way have come home."""
        await self.relay.rest()
        if name in self.unplugged:
            self.unplugged.remove(name)
            await self.boxes[name].start(port=urlsplit(self.relay.app.urls[name]).port or 0)
        else:
            self.unplugged.add(name)
            await self.boxes[name].stop()

    async def end(self) -> None:
        """All is well again, and a day passes."""
        for name in BOTH:
            if name in self.unplugged:
                await self.plug(name)
            self.boxes[name].next_send_faults.clear()
            self.boxes[name].set_balance("1000")
            self.login(name, "sandbox")
        await self.relay.pass_time(20 * 3600)


async def of_rows(relay: Journey) -> list[str]:
    """What does not hold of the rows."""
    orders = await relay.orders()
    requests = {row["id"]: row for row in await relay.app.store.engine.read(select(schema.request))}
    bad = [f"{order.state}: {order.target}" for order in orders if order.state != "delivered"]
    bad += [f"request {row['state']}" for row in requests.values() if row["state"] != "done"]
    bad += [
        f"carried by {requests[order.request_id or 0]['account']}, says {order.account}"
        for order in orders
        if requests[order.request_id or 0]["account"] != order.account
    ]
    bad += [f"a loop died: {task.get_name()}" for task in relay.app._loops if task.done()]
    return bad


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(10))
async def test_after_a_walk_each_order_is_one_message(tmp_path: Path, seed: int) -> None:
    """Over both providers: nothing twice, nothing missing, and each at the account that its row names."""
    config = two(tmp_path, delivery={"give_up": 10 * DAY})
    routes = tuple(route.model_copy(update={"expire": 5 * DAY}) for route in config.routes)
    async with journey(tmp_path, config=config.model_copy(update={"routes": routes})) as relay:
        walk = Walk(relay, seed)
        for _ in range(30):
            await walk.step()
        await walk.end()

        assert [] == await of_rows(relay)
        assert walk.sent == len(heard(relay)) == len(await relay.orders())
        assert [] == [each for each, times in Counter(heard(relay)).items() if times > 1]
        assert max(box.max_in_flight for box in walk.boxes.values()) <= 14


async def send(port: int, number: int, taken: set[int]) -> None:
    """One mail; `taken` learns its number when it was answered 250."""
    mail = f"From: a@mon.example.com\r\nSubject: alarm {number}\r\n\r\nnumber {number}\r\n"
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=PATIENCE)
        async with client:
            await client.sendmail("a@mon.example.com", [f"79991{404_000 + number}@sms.example.com"], mail)
            taken.add(number)


async def heard_of(numbers: set[int], boxes: Sequence[Sandbox], relay: Process) -> None:
    """Wait until the mails of these numbers are at one of these providers."""
    wanted = {f"number {each}" for each in numbers}
    try:
        async with asyncio.timeout(240):
            while not wanted <= {text for box in boxes for text in texts(box)}:  # noqa: ASYNC110 - two providers
                await asyncio.sleep(0.05)
    except TimeoutError:
        missing = wanted - {text for box in boxes for text in texts(box)}
        raise AssertionError(f"{sorted(missing)}; {(relay.folder / 'log').read_text()[-4000:]}") from None


@pytest.mark.asyncio
@pytest.mark.timeout(420)
async def test_kill_while_orders_move_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed again and again while purses are emptied and filled: each mail is at one provider, once."""
    chance = random.Random(20261120)
    boxes = [Sandbox(latency=0.02, steps=(0.1, 0.2), balance="100000") for _ in BOTH]
    accounts = {
        name: {"url": await box.start(), "login": name, "psw": "p"}
        for name, box in zip(BOTH, boxes, strict=True)
    }
    route = {"match": "*@sms.example.com", "channel": "sms", "accounts": list(BOTH)}
    relay = Process(tmp_path, "", accounts=accounts, routes=[route])
    taken: set[int] = set()
    number = 0
    for turn in range(6):
        await relay.start()
        clients = []
        for each in range(12):
            if each == 5:
                boxes[turn % 2].set_balance("0")
                boxes[1 - turn % 2].set_balance("100000")
            clients.append(asyncio.create_task(send(relay.port, number := number + 1, taken)))
            await asyncio.sleep(chance.random() * 0.02)
        await asyncio.wait(clients, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(chance.random() * 0.1)
        await relay.kill()
        await asyncio.gather(*clients)
    await relay.start()
    for broke, whole in (boxes, boxes[::-1]):
        broke.set_balance("0")
        whole.set_balance("100000")
        await send(relay.port, number := number + 1, taken)
        await heard_of({number}, [whole], relay)
    for box in boxes:
        box.set_balance("100000")
    await heard_of(taken, boxes, relay)
    status = await relay.kill(signal.SIGTERM)
    for box in boxes:
        await box.stop()

    said = [text for box in boxes for text in texts(box)]
    assert len(taken) > 6
    assert len(set(said)) == len(said)
    assert 0 == status
