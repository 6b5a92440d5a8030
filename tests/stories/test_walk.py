"""Seeded walks: mails, faults, drops and the passing of time in any order, and what must hold after them.

Every order comes to its end, every failure is told once and nothing else is, no phone hears one
text twice within a minute or under one id, no limit of the provider is met.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from faults import act, bare, oncall, to, too_often, worker
from harness import Journey, journey, settings
from sqlalchemy import select

from relay.queue import schema
from relay.queue.states import State

FATES = (
    "4567", "4568", "4569", "4570", "4571", "4572", "2006", "0107", "0130", "0122", "0118", "0112", "0114",
    "0115", "0009", "0007", "0008", "3022",
)  # fmt: skip
BREAKS = ("reset", "http500", "html", "empty", "cut")
FAULTS = (*BREAKS, *(f"accepted-{each}" for each in BREAKS), *range(1, 10))
STEPS = ("mail", "mail", "mail", "many", "fault", "time", "time", "drop")
TOLD_OF = (State.FAILED, State.UNKNOWN, State.DROPPED)


async def walk(folder: Path, seed: int, steps: int = 25) -> list[str]:
    """Walk; what did not hold afterwards."""
    chance = random.Random(seed)
    config = settings(folder, delivery={"give_up": 6 * 3_600_000})
    async with journey(folder, config=config) as relay:
        oncall(relay, "+79991234567", "+79991232006", "+79991234570")
        for number in range(steps):
            await _step(relay, chance, number)
        relay.sandbox.next_send_faults.clear()
        await relay.pass_time(8 * 3600)
        return [*await _of_rows(relay), *_of_the_provider(relay)]


async def _step(relay: Journey, chance: random.Random, number: int) -> None:
    match chance.choice(STEPS):
        case "mail":
            await _mail(relay, chance, number, chance.choice((1, 1, 2, 3)))
        case "many":
            await _mail(relay, chance, number, chance.choice((6, 9, 15)))
        case "fault":
            relay.sandbox.next_send_faults.extend(chance.choices(FAULTS, k=chance.choice((1, 2, 4))))
        case "time":
            await relay.pass_time(chance.choice((0, 0.5, 1, 5, 11, 30, 61, 200)))
        case "drop":
            orders = [order for order in await relay.orders() if order.finished_at is None]
            if orders:
                await act(relay, chance.choice(orders).id, "drop")


async def _mail(relay: Journey, chance: random.Random, number: int, phones: int) -> None:
    recipients = [to(fate) for fate in chance.sample(FATES, phones)]
    recipients += ["oncall@sms.example.com"] * (chance.random() < 0.3)
    recipients += ["g777@sms.example.com"] * (chance.random() < 0.2)
    text = chance.choice(("aaa", "bbb", "ccc")) if chance.random() < 0.4 else f"text {number}"
    await relay.mail(bare(text), recipients, sender=f"s{chance.randint(1, 3)}@mon.example.com")


async def _of_rows(relay: Journey) -> list[str]:
    orders = await relay.orders()
    requests = await relay.app.store.engine.read(select(schema.request))
    notices = await relay.app.store.engine.read(select(schema.notice))
    bad = [f"open: {order.target} {order.state}" for order in orders if order.finished_at is None]
    bad += [f"request {row['state']}" for row in requests if row["state"] != "done"]
    bad += [f"notice {row['state']}" for row in notices if row["state"] != "done"]
    told = Counter(row["order_id"] for row in notices if row["action"] == "failed" or row["unknown"])
    parents = {order.parent_id for order in orders}
    for order in orders:
        least = order.state in TOLD_OF and order.id not in parents
        most = order.state is not State.DELIVERED
        if not least <= told[order.id] <= most:
            bad.append(f"told {told[order.id]} times: {order.target} {order.state}")
    return bad


def _of_the_provider(relay: Journey) -> list[str]:
    bad = [f"a loop died: {task.get_name()}" for task in relay.app._loops if task.done()]
    bad += [f"busy for ever: {each}" for each in worker(relay)._busy]
    bad += ["too many calls at once"] * (relay.sandbox.max_in_flight > 14)
    bad += [f"asked too often: {call.params['phone']}" for call in too_often(relay)]
    heard: dict[tuple[str, str], float] = {}
    ids: set[tuple[str, str]] = set()
    for message in relay.sandbox.messages:
        says, ident = (message.phone, message.text), (message.phone, message.id)
        if message.accepted_at - heard.get(says, 0) < 60 or ident in ids:
            bad.append(f"twice: {message.phone} {message.text!r} {message.id}")
        heard[says] = message.accepted_at
        ids.add(ident)
    return bad


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(8))
async def test_after_a_walk_everything_holds(tmp_path: Path, seed: int) -> None:
    """Nothing is open or untold, nobody heard a text twice, no limit was met."""
    assert [] == await walk(tmp_path, seed)
