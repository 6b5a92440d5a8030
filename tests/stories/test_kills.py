"""`kill -9` of the real process at each step of the journey, and at any instant between.

Real processes: the relay (tests/doomed.py starts it), the sandbox, which tells of statuses by
itself, and here clients that go on sending numbered mails, half of which are tried again until they
are answered 250, phones that answer, and a smarthost that is slow to say that it took a report. Now
and then there is a storm of mails to one phone. The relay is killed, started, and killed again before
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
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP
from doomed import STEPS
from harness import PATIENCE, Process
from lives import LATENCY, Front, Lives, messages, provider, settled

from relay import model
from relay.queue.rows import DIGEST
from relay.smsc.sandbox import callbacks
from relay.smsc.sandbox.formats import Incoming

KILLS = int(os.environ.get("KILLS", "60"))
SEED = int(os.environ.get("KILLS_SEED", "20261120"))
SECRET = "s3cret"
HANDLER = f"/callback/main?sha1={SECRET}&charset=utf-8"
RARE = ("status's commit", "reply's commit", "digest's commit")
A_LIFE = 3  # mails that begin in one life
CLIENTS = 3
LIFE = 1.2  # seconds after which a life ends in any case, wherever it stands


ON_THE_WAY = 5.0  # the same where the step needs its time to come
STORM = 100_000  # mails from this number on come in storms
A_STORM = 4


def phone(number: int) -> str:
    """Every third number can't be reached: its sender is owed a report. A storm is to one phone."""
    if number >= STORM:
        return f"7998{number // A_STORM % 1000:03}4567"
    return f"7999{number % 1000:03}{'2006' if number % 3 == 0 else '4567'}"


class Smarthost:
    """Keeps the reports that it took; what it said 250 to may not have heard it."""

    def __init__(self) -> None:
        self.reports: defaultdict[int, Counter[str]] = defaultdict(Counter)  # by the mail's number
        self.replies: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by what the phone said

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        report = email.message_from_bytes(envelope.content, policy=email.policy.default)
        if report.get_content_type() == "text/plain":
            self.replies[report.get_content().strip()][str(report["Message-ID"])] += 1
            return "250 2.0.0 taken"
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

    def storm(self, number: int) -> None:
        """Mails to one phone, all at once."""
        first = STORM + number * A_STORM
        self.again += range(first, first + A_STORM)
        for _ in range(A_STORM):
            self.allowed.release()

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


class Phones:
    """Answer, each once; the provider calls until that is taken."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.said: list[asyncio.Task[None]] = []

    def answer(self) -> None:
        """One of those that were written to says something."""
        number = len(self.said) + 1
        told = Incoming(number, phone(number), f"said {number}", "79990000000", time.time())
        self.said.append(asyncio.create_task(self.front.say(callbacks.of_message(HANDLER, told))))


async def lead(lives: Lives, clients: Clients, phones: Phones, chance: random.Random) -> None:
    """Life after life, each ended at its step or soon after."""
    steps = list(STEPS)
    for kill in range(KILLS):
        step = steps[kill % len(steps)] if kill % 5 else ""
        rare = step.endswith(RARE)
        times = 1 if rare else chance.choice((1, 1, 2, 3))
        clients.port = await lives.start(step, times, chance.choice((0, 0, 5, 15, 25)))
        if not clients.port:
            lives.ends["before it was ready"] += 1
            continue
        for _ in range(A_LIFE):
            clients.allowed.release()
        phones.answer()
        if step.endswith("digest's commit"):
            clients.storm(kill)
        within = (ON_THE_WAY if rare else LIFE) if step else chance.random() * LIFE / 2
        assert -signal.SIGKILL == await lives.end(within)
        lives.ends[step or "at any instant"] += 1
        lives.hit[step] += lives.by_itself


async def storms(relay: Process, found: list[dict[str, Any]]) -> list[str]:
    """Mails of storms that are not one message: their own, or that of the digest that speaks for them."""
    rows = await relay.rows(
        "SELECT o.id, o.state, o.merged_into, o.request_id, o.alarm, m.envid, o.target"
        " FROM orders o JOIN mail m ON m.id = o.mail_id"
    )
    orders = {row[0]: row for row in rows}
    spoken = Counter(f"{message['id']} +{message['phone']}" for message in found)  # a list has one id for all
    wrong = []
    speakers = set()
    for order in rows:
        speaker = order
        while speaker[1] == "merged":
            speaker = orders[speaker[2]]
        if order[4] != DIGEST and (not order[5] or int(order[5]) < STORM):
            continue
        speakers.add(speaker[0])
        times = spoken[f"{model.show(speaker[3] or 0)} {speaker[6]}"]
        if speaker[1] != "delivered" or times != 1:
            wrong.append(f"{order} is told by {speaker}, {times} times")
    heard = [message for message in found if str(message["phone"]).startswith("7998")]
    return wrong if len(heard) == len(speakers) else [*wrong, f"{len(heard)} heard, {len(speakers)} speak"]


@pytest.mark.asyncio
@pytest.mark.timeout(max(180, 5 * KILLS))
async def test_killed_at_every_step_nothing_is_lost_and_nothing_is_doubled(tmp_path: Path) -> None:
    """Each mail that was answered 250 is one message; each report that is owed is one Message-ID.

    A mail of a storm may be one among others of a digest; what a phone said is one mail.
    """
    chance = random.Random(SEED)
    front = Front()
    phones = Phones(front)
    sandbox, url = await provider(tmp_path, "--callback", f"{await front.begin()}{HANDLER}")
    sink = Smarthost()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(sink, hostname="sink", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    smarthost = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "tls": "none"}
    reports = {"smtp": smarthost, "gather": "50ms"}
    delivery = {"poll": ["2200ms", "5s"], "retry": ["1s"]}
    relay = Process(
        tmp_path,
        url,
        reports=reports,
        delivery=delivery,
        storm={"burst": 1, "per": "1m", "digest_every": "1s"},
        inbox={"default": "desk@mon.example.com"},
        web={"listen": "127.0.0.1:0", "callback_secret": SECRET},
    )
    lives, clients = Lives(relay), Clients()
    front.lives = lives
    await lives.begin()
    sending = [asyncio.create_task(clients.send()) for _ in range(CLIENTS)]
    try:
        await lead(lives, clients, phones, chance)
        clients.port = await lives.start()
        for _ in clients.again:
            clients.allowed.release()
        async with asyncio.timeout(240 + KILLS / 2):  # a question too many costs minutes of patience
            await asyncio.gather(*phones.said)
            while not await settled(relay):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        status = await lives.end(0.5, signal.SIGTERM)
        found = await messages(url)
    finally:
        for task in (*sending, *phones.said):
            task.cancel()
        await lives.close()
        await front.close()
        server.close()
        sandbox.kill()
        await sandbox.wait()

    about = (
        f"KILLS_SEED={SEED}: {dict(lives.ends)}, by themselves {dict(lives.hit)}, calls {dict(front.passed)}"
    )
    texts = Counter(message["message"].split("\n")[-1] for message in found)
    owed = {number for number in clients.taken if phone(number).endswith("2006")}
    assert 0 == status, about
    assert set(STEPS) <= set(lives.ends), about
    assert all(lives.hit[step] for step in STEPS if step.endswith(RARE)), about
    assert len(clients.taken) > KILLS, about
    alone = {number for number in clients.taken if number < STORM}
    assert set() == {f"number {number}" for number in alone} - set(texts), about
    assert [] == await storms(relay, found), about
    assert {} == {text: times for text, times in texts.items() if times > 1}, about
    assert set() == owed - set(sink.reports), about
    assert {} == {number: ids for number, ids in sink.reports.items() if len(ids) > 1}, about
    assert {f"said {n + 1}": 1 for n in range(len(phones.said))} == {
        said: len(ids) for said, ids in sink.replies.items()
    }, about
    assert set() == {number for number in sink.reports if not phone(number).endswith("2006")}, about
