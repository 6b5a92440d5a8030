"""`kill -9` of the real process at each step of the journey, and at any instant between.

Real processes: the relay (tests/doomed.py starts it), the sandbox, and here clients that go on
sending numbered mails, half of which are tried again until they are answered 250, and a smarthost
that is slow to say that it took a report. The relay is killed, started, and killed again before
anything has settled; only at the end is everything looked at. `KILLS` says how many kills
(`make soak`: 1,000), `KILLS_SEED` which; the seed stands in what is said of a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import os
import random
import signal
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP
from doomed import STEPS
from harness import PATIENCE, Process
from lives import LATENCY, Lives, messages, provider, settled

KILLS = int(os.environ.get("KILLS", "60"))
SEED = int(os.environ.get("KILLS_SEED", "20261120"))
A_LIFE = 3  # mails that begin in one life
CLIENTS = 3
LIFE = 1.2  # seconds after which a life ends in any case, wherever it stands


def phone(number: int) -> str:
    """Every third number can't be reached: its sender is owed a report."""
    return f"7999{number % 1000:03}{'2006' if number % 3 == 0 else '4567'}"


class Smarthost:
    """Keeps the reports that it took; what it said 250 to may not have heard it."""

    def __init__(self) -> None:
        self.reports: defaultdict[int, Counter[str]] = defaultdict(Counter)  # by the mail's number

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        report = email.message_from_bytes(envelope.content, policy=email.policy.default)
        _people, machines, *_ = report.iter_parts()
        head, block = machines.get_payload()
        assert "failed" == block["Action"]
        self.reports[int(head["Original-Envelope-Id"])][str(report["Message-ID"])] += 1
        await asyncio.sleep(LATENCY)
        return "250 2.0.0 taken"


class Clients:
    """Send numbered mails to whichever process there is, and remember which were answered."""

    def __init__(self) -> None:
        self.port = 0
        self.taken: set[int] = set()
        self.count = 0
        self.allowed = asyncio.Semaphore(0)
        self.again: list[int] = []

    async def send(self) -> None:
        """One mail after another."""
        while True:
            await self.allowed.acquire()
            if self.again:
                number = self.again.pop()
            else:
                number = self.count = self.count + 1
            if await self.take(number):
                self.taken.add(number)
            elif number % 2:
                self.again.append(number)

    async def take(self, number: int) -> bool:
        """Whether the mail was answered 250."""
        text = (
            f"From: a@mon.example.com\r\nSubject: alarm\r\nMessage-ID: <{number}@mon.example.com>\r\n"
            f"Date: Fri, 20 Nov 2026 03:00:00 +0000\r\n\r\nnumber {number}\r\n"
        )
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=self.port, start_tls=False, timeout=PATIENCE)
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            async with client:
                to = [f"{phone(number)}@sms.example.com"]
                await client.sendmail("a@mon.example.com", to, text, mail_options=[f"ENVID={number}"])
                return True
        return False


async def lead(lives: Lives, clients: Clients, chance: random.Random) -> None:
    """Life after life, each ended at its step or soon after."""
    steps = list(STEPS)
    for kill in range(KILLS):
        step = steps[kill % len(steps)] if kill % 5 else ""
        clients.port = await lives.start(step, chance.choice((1, 1, 2, 3)), chance.choice((0, 0, 5, 15, 25)))
        if not clients.port:
            lives.ends["before it was ready"] += 1
            continue
        for _ in range(A_LIFE):
            clients.allowed.release()
        within = LIFE if step else chance.random() * LIFE / 2
        by_itself = -signal.SIGKILL == await lives.end(within)
        assert by_itself
        lives.ends[step or "at any instant"] += 1


@pytest.mark.asyncio
@pytest.mark.timeout(max(180, 5 * KILLS))
async def test_killed_at_every_step_nothing_is_lost_and_nothing_is_doubled(tmp_path: Path) -> None:
    """Each mail that was answered 250 is one message; each report that is owed is one Message-ID."""
    chance = random.Random(SEED)
    sandbox, url = await provider(tmp_path)
    sink = Smarthost()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(sink, hostname="sink", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    smarthost = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "tls": "none"}
    reports = {"smtp": smarthost, "gather": "50ms"}
    delivery = {"poll": ["2200ms", "5s"], "retry": ["1s"]}
    relay = Process(tmp_path, url, reports=reports, delivery=delivery)
    lives, clients = Lives(relay), Clients()
    await lives.begin()
    sending = [asyncio.create_task(clients.send()) for _ in range(CLIENTS)]
    try:
        await lead(lives, clients, chance)
        clients.port = await lives.start()
        for _ in clients.again:
            clients.allowed.release()
        async with asyncio.timeout(240 + KILLS / 2):  # a question too many costs minutes of patience
            while not await settled(relay):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        status = await lives.end(0.5, signal.SIGTERM)
        found = await messages(url)
    finally:
        for task in sending:
            task.cancel()
        await lives.close()
        server.close()
        sandbox.kill()
        await sandbox.wait()

    about = f"KILLS_SEED={SEED}: {dict(lives.ends)}"
    texts = Counter(message["message"].split("\n")[-1] for message in found)
    owed = {number for number in clients.taken if phone(number).endswith("2006")}
    assert 0 == status, about
    assert set(STEPS) <= set(lives.ends), about
    assert len(clients.taken) > KILLS, about
    assert set() == {f"number {number}" for number in clients.taken} - set(texts), about
    assert {} == {text: times for text, times in texts.items() if times > 1}, about
    assert set() == owed - set(sink.reports), about
    assert {} == {number: ids for number, ids in sink.reports.items() if len(ids) > 1}, about
    assert set() == {number for number in sink.reports if not phone(number).endswith("2006")}, about
