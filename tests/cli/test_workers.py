"""The parent of several workers, and children that do not do as they are told."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from relay.cli.workers import _Worker
from relay.rooms import CannotStart

LIVES = "print('ready smtp=x', flush=True); import time; time.sleep(90)"


def worker(program: str, ready=lambda _line: None) -> _Worker:
    """A worker that runs a program of its own."""
    return _Worker(1, [sys.executable, "-c", program], ["127.0.0.1:25"], ready)


@pytest.mark.asyncio
@pytest.mark.parametrize("turns", range(12))
async def test_who_is_told_to_end_while_it_is_started_ends(turns):
    """In whichever turn of the loop: a process that was not there yet to be told is told when it is."""
    stopping, one = asyncio.Event(), worker(LIVES)
    running = asyncio.create_task(one.run(stopping))
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping.set()
    one.signal(signal.SIGTERM)
    async with asyncio.timeout(50):
        await running


@pytest.mark.asyncio
async def test_who_dies_is_started_again_and_ends_when_told():
    """It is ready again; told to end it stays away."""
    ready: asyncio.Queue[str] = asyncio.Queue()
    stopping, one = asyncio.Event(), worker(LIVES, ready.put_nowait)
    running = asyncio.create_task(one.run(stopping))
    async with asyncio.timeout(50):
        assert "ready smtp=x" == await ready.get()
        one.signal(signal.SIGKILL)
        assert "ready smtp=x" == await ready.get()
        stopping.set()
        one.signal(signal.SIGTERM)
        await running
    assert ready.empty()


@pytest.mark.asyncio
async def test_who_never_was_ready_is_not_started_again():
    """The relay does not start, as a single process would not."""
    with pytest.raises(CannotStart, match="worker 1 ended with 3 before it was ready"):
        await worker("raise SystemExit(3)").run(asyncio.Event())
