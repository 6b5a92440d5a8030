"""Nodes: the same queue delivered by one node and by three, on one PostgreSQL and one login.

The queue is filled beforehand and falls due when all nodes are up and have divided the slots. The
provider takes 50 ms; messages are flash messages, each in a call of its own, so that slots are what
bounds. Rounds of one node and of three take turns; the figures are medians. No message may come
twice, and never more than 14 calls at once.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import stage
from stage import OverError, Row

sys.path.append(str(Path(__file__).parent.parent))
from postgres import MISSING, Server

LATENCY = 0.05
MAILS = 1500
ROUNDS = 3
SLOTS = 14
_READY = 20.0  # seconds that nodes have to start and to divide the slots
_SERVER = "-c max_connections=100 -c shared_buffers=64MB"


def run(folder: Path) -> list[Row]:
    """One node and three, in turns."""
    if MISSING:
        return [Row(what="nodes", figure="-", beside=MISSING)]
    server = Server(options=_SERVER).make().start()
    try:
        seen: dict[int, list[dict[str, float]]] = {1: [], 3: []}
        for turn in range(ROUNDS):
            for count, found in seen.items():
                place = folder / f"{turn}-{count}"
                place.mkdir()
                found.append(_measure(place, server.empty(), count))
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
    rates = {count: statistics.median(each["rate"] for each in found) for count, found in seen.items()}
    rows = []
    for count, found in seen.items():
        several = count > 1
        most = max(each["at_once"] for each in found)
        spread = " ".join(f"{each['rate']:.0f}" for each in found)
        rows.append(
            Row(
                what=f"{count} node{'s' if several else ''}, provider {LATENCY * 1000:.0f} ms, single",
                figure=f"{rates[count]:.0f}/s",
                target="≥ 0.95 of one node's" if several else "",
                reached=f"{rates[count] / rates[1]:.2f}" if several else "",
                beside=f"at most {most:.0f} calls at once · rounds {spread}",
            )
        )
    return rows


def _measure(folder: Path, store: str, count: int) -> dict[str, float]:
    with stage.provider(folder, latency=LATENCY, calls=MAILS) as provider, ExitStack() as stack:
        url = provider.word("sandbox")
        door = folder / "door"
        door.mkdir()
        with stage.relay(door, provider=url, store=store, only="smtp") as relay:
            stage.load(relay.word("smtp"), mails=MAILS, sessions=SLOTS, host="flash.example.com")
        begins = time.time() + _READY
        _ask(store, f"UPDATE orders SET due_at = {int(begins * 1000)}")
        for number in range(count):
            place = folder / f"node{number}"
            place.mkdir()
            stack.enter_context(stage.relay(place, provider=url, store=store, only="delivery"))
        while _ask(store, "SELECT count(DISTINCT node) FROM slot WHERE node <> 0") != count:
            time.sleep(0.1)
        if time.time() > begins:
            raise OverError("the nodes were not ready in time")
        seen: dict[str, float] = json.loads(provider.line(_READY + 60))
    if seen["texts"] != seen["messages"] or seen["at_once"] > SLOTS:
        raise RuntimeError(f"the provider saw {seen}")
    return seen


def _ask(store: str, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(store)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())
