"""Nodes: the same queue delivered by one node and by three, on one PostgreSQL and one login.

The queue is filled beforehand and falls due when all nodes are up and have divided the slots. The
provider takes 50 ms; messages are flash messages, each in a call of its own, so that slots are what
bounds. Rounds of one node and of three take turns; the figures are medians. No message may come
twice, and never more than 14 calls at once.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import stage
from stage import SLOTS, OverError, Row

sys.path.append(str(Path(__file__).parent.parent))
from postgres import BIN, MISSING, Server

LATENCY = 0.05
MAILS = 1500
COUNTS = (1, 3)
_READY = 20.0  # seconds that nodes have to start and to divide the slots
_SERVER = "-c max_connections=100 -c shared_buffers=64MB"


def version() -> str:
    """What the database calls itself."""
    if not BIN:
        return "no PostgreSQL"
    command = [str(BIN / "postgres"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout
    return f"PostgreSQL {said.partition(')')[2].split()[0]}"


def run(folder: Path) -> Iterator[Row]:
    """One node and three, in turns; where the time is over, or a round fails, what the others showed."""
    if MISSING:
        yield Row(what="nodes", figure="-", beside=f"skipped: {MISSING}")
        return
    seen: dict[int, list[dict[str, float]]] = {count: [] for count in COUNTS}
    try:
        _rounds(folder, seen)
    finally:
        yield from rows(seen)


def _rounds(folder: Path, seen: Mapping[int, list[dict[str, float]]]) -> None:
    server = Server(options=_SERVER).make().start()
    try:
        for turn in range(stage.ROUNDS):
            for count, found in seen.items():
                place = folder / f"{turn}-{count}"
                place.mkdir()
                found.append(_measure(place, server.empty(), count))
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


def rows(seen: Mapping[int, list[dict[str, float]]]) -> Iterator[Row]:
    """A line for each number of nodes, by the rounds that there were."""
    rates = {
        count: statistics.median(each["rate"] for each in found) for count, found in seen.items() if found
    }
    for count, rate in rates.items():
        several = count > 1
        most = max(each["at_once"] for each in seen[count])
        spread = " ".join(f"{each['rate']:.0f}" for each in seen[count])
        yield Row(
            what=f"{count} node{'s' if several else ''}, provider {LATENCY * 1000:.0f} ms, single",
            figure=f"{rate:.0f}/s",
            target="≥ 0.95 of one node's" if several else "",
            reached=f"{rate / rates[1]:.2f}" if several else "",
            beside=f"at most {most:.0f} calls at once · rounds {spread}{stage.short_of(seen[count])}",
        )


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
        return stage.heard(provider, _READY + 60)


def _ask(store: str, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(store)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())
