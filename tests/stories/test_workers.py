"""Several processes behind one port: each takes mail, each sends, and together they are one relay."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from several import LONG, phone, several

pytestmark = pytest.mark.timeout(400)
WORKERS = 2


def children(pid: int) -> list[int]:
    """The processes that a process has started, oldest first."""
    return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@pytest.mark.asyncio
async def test_workers(tmp_path, database):
    """Workers share port, queue and slots; who dies is started again; all re-read and end, and lose none."""
    async with several(tmp_path, database, latency=0.1) as nodes:
        await nodes.add(workers=WORKERS, web={"listen": "127.0.0.1:0"})
        (relay,) = nodes.nodes
        await nodes.until(f"SELECT count(DISTINCT node) = {WORKERS} FROM slot WHERE node <> 0")
        one, *_ = children(relay.process.pid)
        ranges = [range(first, first + 10) for first in range(0, 90, 10)]
        taken = await asyncio.gather(*(nodes.mail(relay, each) for each in ranges))
        relay.signal(signal.SIGHUP)
        await relay.said("configuration re-read", WORKERS)
        await nodes.settled()
        assert 90 == sum(map(len, taken))
        assert WORKERS == await nodes.value("SELECT count(DISTINCT (id >> 12) & 1023) FROM request")
        assert await nodes.value("SELECT count(DISTINCT (id >> 12) & 1023) > 1 FROM mail")
        youngest = await nodes.value("SELECT max(started_at) FROM node")
        os.kill(one, signal.SIGKILL)
        await relay.said("a worker died and is started again")
        await nodes.until(f"SELECT max(started_at) > {youngest} AND count(*) = {WORKERS} FROM node")
        await nodes.until(f"SELECT count(DISTINCT node) = {WORKERS} FROM slot WHERE node <> 0")
        await nodes.mail(relay, range(90, 100))
        await nodes.settled()
        assert {phone(number): 1 for number in range(100)} == nodes.delivered()
        assert nodes.sandbox.max_in_flight <= 14
        left = children(relay.process.pid)
        assert WORKERS == len(left)
        assert 0 == await relay.kill(signal.SIGTERM)
        assert [] == [each for each in left if Path(f"/proc/{each}").exists()]
        assert 0 == await nodes.value("SELECT count(*) FROM slot WHERE node <> 0")
        await relay.start()
        taken = await asyncio.gather(*(nodes.mail(relay, range(n, n + 10)) for n in range(100, 140, 10)))
        assert 0 == await relay.kill(signal.SIGTERM)  # amid it: what was answered is sent by the next start
        await relay.start()
        await nodes.settled()
        assert 40 == sum(map(len, taken))
        assert {phone(number): 1 for number in range(140)} == nodes.delivered()


@pytest.mark.asyncio
async def test_no_worker_outlives_its_parent(tmp_path, database):
    """A parent that is killed leaves nobody behind."""
    async with several(tmp_path, database) as nodes:
        await nodes.add(workers=2)
        (relay,) = nodes.nodes
        left = children(relay.process.pid)
        assert 2 == len(left)
        await relay.kill()
        async with asyncio.timeout(LONG):
            while any(Path(f"/proc/{each}").exists() for each in left):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
