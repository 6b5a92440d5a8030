"""The end of a real process in the middle of a call: by `kill -9`, and by SIGTERM."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import aiosmtplib
import pytest
from harness import PATIENCE, Process

from relay.smsc.sandbox import Sandbox


async def send(port: int, number: int, taken: set[int]) -> None:
    """One mail; `taken` learns its number when it was answered 250."""
    mail = f"From: a@mon.example.com\r\nSubject: alarm {number}\r\n\r\nnumber {number}\r\n"
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=PATIENCE)
        async with client:
            await client.sendmail("a@mon.example.com", [f"79991{404_000 + number}@sms.example.com"], mail)
            taken.add(number)


@pytest.mark.both
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


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_a_drain_lets_calls_under_way_come_home(tmp_path: Path) -> None:
    """SIGTERM during a call: its answer is stored, the exit status is 0, a restart repeats nothing."""
    sandbox = Sandbox(latency=0.5, steps=(0.1, 0.2))
    relay = Process(tmp_path, await sandbox.start())
    taken: set[int] = set()
    await relay.start()
    await send(relay.port, 1, taken)
    await sandbox.until(lambda: sandbox.max_in_flight == 1)  # the call is under way, its answer is not
    first = await relay.kill(signal.SIGTERM)
    before = len([call for call in sandbox.calls if call.path.endswith("send.php")])
    await relay.start()
    await sandbox.until(lambda: any(call.path.endswith("status.php") for call in sandbox.calls))
    second = await relay.kill(signal.SIGTERM)
    sends = [call for call in sandbox.calls if call.path.endswith("send.php")]
    await sandbox.stop()

    assert (0, 0) == (first, second)
    assert 1 == before == len(sends) == len(sandbox.messages)
