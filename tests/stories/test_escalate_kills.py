"""`kill -9` of the real process around a step of escalation: it runs once, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import aiosmtplib
import pytest
from doomed import MORE
from harness import PATIENCE, Process
from lives import Lives, messages, provider, settled

PHONES = 4


async def mail(port: int, number: int) -> None:
    """An alarm to a phone of its own."""
    text = f"Subject: alarm\r\nMessage-ID: <{number}@x>\r\n\r\n{number}\r\n"
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=PATIENCE)
    async with client:
        await client.sendmail("a@mon.example.com", [f"7999{number:03}4567@sms.example.com"], text)


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_a_step_runs_once_however_often_the_relay_is_killed(tmp_path: Path) -> None:
    """Each alarm is one SMS and, since nobody answers, one call and one SMS to the boss."""
    sandbox, url = await provider(tmp_path)
    steps = [
        {"after": "1s", "unless": "answered", "channel": "call"},
        {"after": "2s", "unless": "answered", "to": "boss"},
    ]
    relay = Process(
        tmp_path,
        url,
        routes=[{"match": "*@sms.example.com", "channel": "sms", "escalate": steps}],
        aliases={"boss": ["+79990007777"]},
        storm={"burst": 0},
        delivery={"poll": ["1s"], "retry": ["1s"]},
    )
    lives = Lives(relay)
    await lives.begin()
    try:
        port = await lives.start()
        for number in range(PHONES):
            await mail(port, number)
        await lives.end(0.1)
        for kill in range(2 * len(MORE)):
            if await lives.start(list(MORE)[kill % len(MORE)], 1 + kill // len(MORE)):
                await lives.end(4)
        await lives.start()
        async with asyncio.timeout(120):
            while not await settled(relay):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        status = await lives.end(0.5, signal.SIGTERM)
        found = await messages(url)
    finally:
        await lives.close()
        sandbox.kill()
        await sandbox.wait()

    told = Counter((row["phone"], row["type"], row["message"]) for row in found)
    wanted = {
        (f"7999{number:03}4567", kind, f"alarm\n{number}") for number in range(PHONES) for kind in (0, 7)
    }
    wanted |= {("79990007777", 0, f"alarm\n{number}") for number in range(PHONES)}
    assert 0 == status
    assert dict.fromkeys(wanted, 1) == dict(told)
