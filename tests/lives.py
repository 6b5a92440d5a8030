"""Real processes that are killed: the relay's lives, and the provider as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from harness import PATIENCE, Process

LATENCY = 0.03  # of the provider and of the smarthost: where a call can be killed in the middle


class Lives:
    """The relay's lives, one after the other."""

    def __init__(self, relay: Process) -> None:
        self.relay = relay
        self.pid = 0
        self.ends: Counter[str] = Counter()

    async def begin(self) -> None:
        """Start the parent of them all."""
        self.parent = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).parent / "doomed.py"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        Process.started.append(self.parent)

    async def start(self, step: str = "", times: int = 1, later: int = 0) -> int:
        """The port of a new life; 0 where it ended before it was ready."""
        assert self.parent.stdin
        self.parent.stdin.write(f"{self.relay.config}\t{step}\t{times}\t{later}\n".encode())
        self.pid = int((await self._line()).split()[1])
        said = await self._line()
        if said.startswith("died"):
            self.pid = 0
            return 0
        return int(said.split()[1].rpartition(":")[2])

    async def end(self, within: float, how: signal.Signals = signal.SIGKILL) -> int:
        """How it ended: by itself in that time, or by us."""
        ended = asyncio.ensure_future(self._line())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), within)
        if not ended.done():
            os.kill(self.pid, how)
        said = await ended
        self.pid = 0
        return int(said.split()[1])

    async def _line(self) -> str:
        assert self.parent.stdout
        async with asyncio.timeout(4 * PATIENCE):
            line = (await self.parent.stdout.readline()).decode()
        assert line, "the parent of the lives has died"
        return line

    async def close(self) -> None:
        """Nothing of it stays."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.parent.kill()
        await self.parent.wait()


async def provider(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    """`smsc-relay sandbox` as a process of its own, and its address."""
    command = ("-m", "relay", "sandbox", "--port", "0", "--latency", str(LATENCY), "--balance", "1000000")
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    Process.started.append(process)
    assert process.stdout
    line = (await process.stdout.readline()).decode()
    return process, line.strip().partition("sandbox=")[2]


async def messages(url: str) -> list[dict[str, Any]]:
    """Everything that the provider has, read from its history as anybody may read it."""
    found: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as session:
        while True:
            form = {
                "login": "l",
                "psw": "p",
                "get_messages": "1",
                "fmt": "3",
                "cnt": "1000",
                "charset": "utf-8",
            }
            form |= {"prev_id": str(found[-1]["int_id"])} if found else {}
            async with session.post(f"{url}/sys/get.php", data=form) as answer:
                page = json.loads(await answer.read())
            if not page:
                return found
            found += page


async def settled(relay: Process) -> bool:
    """Whether nothing is open any more: no order, no step, no report."""
    with contextlib.closing(sqlite3.connect(f"file:{relay.folder / 'relay.db'}?mode=ro", uri=True)) as look:
        orders = look.execute("SELECT count(*) FROM orders WHERE finished_at IS NULL").fetchone()[0]
        steps = look.execute("SELECT count(*) FROM step WHERE due_at IS NOT NULL").fetchone()[0]
        notices = look.execute("SELECT count(*) FROM notice WHERE state <> 'done'").fetchone()[0]
    return not orders and not notices and not steps
