"""A power cut at each commit: whatever the disk holds then is enough to go on from.

The commit order is what is tested: what is told to anybody (a 250, a call, a report) is on disk
before. The database and its log are copied at the very commit, the last transaction whole, torn
or not there at all while nobody has heard of it; the process ends, and the next one gets the copy.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from harness import SENDER
from law import Taken, breaches, open_books
from mortal import EXPIRE, GIVE_UP, HOUR, Mortal

from relay.queue import sqlite

RECIPIENTS = {
    "79991234567@sms.example.com": frozenset({"+79991234567"}),
    "79991232006@sms.example.com": frozenset({"+79991232006"}),
    "ann@mail.example.org": frozenset({"ann@mail.example.org"}),
}
MAIL = f"""\
From: {SENDER}
Subject: alarm
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

x
"""


class Cut:
    """Ends a process at its N-th commit, of which the disk keeps a share."""

    def __init__(self, world: Mortal, number: int, share: float) -> None:
        self.world, self.left, self.share = world, number, share
        self.loop = asyncio.get_running_loop()
        self.db = Path(world.relay.app.config.store_path)
        self.wal = self.db.with_name(f"{self.db.name}-wal")
        self.kept: tuple[bytes, bytes] | None = None
        engine = world.relay.app.store.engine
        self.commit, engine._commit = engine._commit, self._commit

    def _commit(self, jobs: Any) -> None:
        self.left -= 1
        if self.left:
            self.commit(jobs)
            return
        before = self.wal.stat().st_size
        answer, sqlite._answer = sqlite._answer, lambda *_: None  # it is on disk, and nobody hears of it
        try:
            self.commit(jobs)
        finally:
            sqlite._answer = answer
        written = self.wal.read_bytes()
        self.kept = self.db.read_bytes(), written[: before + int(self.share * (len(written) - before))]
        self.loop.call_soon_threadsafe(self.world.dead.set)

    async def power_comes_back(self) -> None:
        """The process is gone; a new one has what the disk kept."""
        await self.world.die()
        assert self.kept
        self.db.write_bytes(self.kept[0])
        self.wal.write_bytes(self.kept[1])
        await self.world.start()


async def life(folder: Path, number: int, share: float) -> tuple[list[str], bool]:
    """One mail, with the power cut at that commit: what is wrong at the end, and whether it was cut."""
    world = Mortal(folder)
    await world.begin()
    taken = Taken("mail-1", RECIPIENTS, "SUCCESS,FAILURE")
    options: dict[str, Any] = {"options": ["ENVID=mail-1"], "rcpt_options": ["NOTIFY=SUCCESS,FAILURE"]}
    world.sandbox.next_send_faults.append("accepted-reset")
    cut = Cut(world, number, share)
    try:
        while await world.unless_dead(world.relay.mail(MAIL, list(RECIPIENTS), **options)) is None:
            await cut.power_comes_back()
        for _ in range(120):
            world.clock.set(world.clock.now() + 1000)
            await world.rest()
            if world.dead.is_set():
                await cut.power_comes_back()
        cut.left = 0  # from here on only chores write, for ever
        await world.pass_time(EXPIRE + GIVE_UP + HOUR)
        return breaches(await open_books(world.relay), [taken], world.relay.reports()), cut.kept is not None
    finally:
        await world.end()


@pytest.mark.sqlite("what a disk keeps of a log is the server's own business there")
@pytest.mark.asyncio
@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", [0, 0.5, 1], ids=["not there", "torn", "whole but unheard of"])
async def test_the_power_is_cut_at_each_commit(share: float) -> None:
    """Each commit of a mail's life in its turn: one message and one word for each recipient, always."""
    number, cut = 0, True
    while cut:
        number += 1
        with tempfile.TemporaryDirectory(prefix="relay-") as folder:
            wrong, cut = await life(Path(folder), number, share)
        assert [] == wrong, f"commit {number}"

    # a commit each: taken, claimed, unsure, asked, sent, delivered, the report claimed and gone
    assert number > 8
