"""`kill -9` of the real process under load: what was answered 250 is at the provider exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from pathlib import Path

import aiosmtplib
import pytest
import yaml
from harness import PATIENCE

from relay.smsc.sandbox import Sandbox

KILLS = 8


class Process:
    """A `smsc-relay serve` of its own."""

    def __init__(self, folder: Path, provider: str) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.process: asyncio.subprocess.Process | None = None
        self.port = 0
        self.config.write_text(
            yaml.safe_dump(
                {
                    "hostname": "relay.example.com",
                    "listeners": [{"address": "127.0.0.1:0"}],
                    "senders": [{"name": "all", "networks": ["127.0.0.0/8"]}],
                    "accounts": {"main": {"url": provider, "login": "l", "psw": "p"}},
                    "routes": [{"match": "*@sms.example.com", "channel": "sms"}],
                    "reports": {"maildir": "reports", "gather": "100ms"},
                    "delivery": {"poll": ["1s"], "retry": ["1s"]},
                    "web": {"listen": ""},
                }
            )
        )

    async def start(self) -> None:
        """Start it and wait for its ready line."""
        command = (sys.executable, "-m", "relay", "serve", "-c", str(self.config))
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self.process.stdout
        async with asyncio.timeout(PATIENCE * 2):
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith("ready smtp=127.0.0.1:"), line
        self.port = int(line.split()[1].rpartition(":")[2])

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """End it, and wait for that."""
        assert self.process
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, how)
        await self.process.communicate()
        return self.process.returncode or 0


async def send(port: int, number: int, taken: set[int]) -> None:
    """One mail; `taken` learns its number when it was answered 250."""
    mail = f"From: a@mon.example.com\r\nSubject: alarm {number}\r\n\r\nnumber {number}\r\n"
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=PATIENCE)
        async with client:
            await client.sendmail("a@mon.example.com", [f"79991{404_000 + number}@sms.example.com"], mail)
            taken.add(number)


@pytest.mark.asyncio
@pytest.mark.timeout(150)
async def test_kill_at_random_instants_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed again and again under load: every mail that was answered is at the provider once."""
    chance = random.Random(20261120)
    sandbox = Sandbox(latency=0.02, steps=(0.1, 0.2), balance="100000")
    relay = Process(tmp_path, await sandbox.start())
    taken: set[int] = set()
    number = 0
    for _ in range(KILLS):
        await relay.start()
        clients = []
        for _ in range(12):
            clients.append(asyncio.create_task(send(relay.port, number := number + 1, taken)))
            await asyncio.sleep(chance.random() * 0.02)
        await asyncio.sleep(chance.random() * 0.1)
        await relay.kill()
        await asyncio.gather(*clients)
    await relay.start()

    def texts() -> list[str]:
        return [message.text.split("\n")[-1] for message in sandbox.messages]

    async with asyncio.timeout(90):
        await sandbox.until(lambda: {f"number {n}" for n in taken} <= set(texts()))
    status = await relay.kill(signal.SIGTERM)
    await sandbox.stop()

    assert len(taken) > KILLS
    assert len(set(texts())) == len(texts())
    assert 0 == status


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_kill_between_the_call_and_its_answer(tmp_path: Path) -> None:
    """The provider has accepted, we died before we knew: the next start asks and sends nothing."""
    sandbox = Sandbox(steps=(0.1, 0.2))
    relay = Process(tmp_path, await sandbox.start())
    sandbox.next_send_faults.append("accepted-silence")
    taken: set[int] = set()
    await relay.start()
    await send(relay.port, 1, taken)
    await sandbox.until(lambda: bool(sandbox.messages))
    await relay.kill()
    await relay.start()
    await sandbox.until(lambda: any(call.path.endswith("status.php") for call in sandbox.calls))
    await relay.kill(signal.SIGTERM)
    sends = [call for call in sandbox.calls if call.path.endswith("send.php")]
    await sandbox.stop()

    assert {1} == taken
    assert 1 == len(sandbox.messages)
    assert len(sends) <= 1


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_a_drain_lets_calls_under_way_come_home(tmp_path: Path) -> None:
    """SIGTERM during a call: its answer is stored, the exit status is 0, a restart repeats nothing."""
    sandbox = Sandbox(latency=0.5, steps=(0.1, 0.2))
    relay = Process(tmp_path, await sandbox.start())
    taken: set[int] = set()
    await relay.start()
    await send(relay.port, 1, taken)
    await asyncio.sleep(0.1)
    first = await relay.kill(signal.SIGTERM)
    await relay.start()
    second = await relay.kill(signal.SIGTERM)
    sends = [call for call in sandbox.calls if call.path.endswith("send.php")]
    await sandbox.stop()

    assert (0, 0) == (first, second)
    assert 1 == len(sends) == len(sandbox.messages)
