"""2,000 clients that hold the door, in a process of their own: memory is bounded, the house comes in.

With `CROWD` set, every kind of them comes alone as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import resource
import smtplib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import crowd
import pytest
from harness import Process
from pki import Pki

CROWD = 2000
_DESCRIPTORS = 2 * CROWD + 1000
_HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        _HARD != resource.RLIM_INFINITY and _HARD < _DESCRIPTORS,
        reason=f"{CROWD} connections need {_DESCRIPTORS} descriptors, there are {_HARD} (ulimit -Hn)",
    ),
    pytest.mark.skipif(
        not Path("/proc/self/smaps_rollup").exists(), reason="this system has no smaps_rollup"
    ),
]

MAIL = "From: ops@mon.example.com\nSubject: Disk\n\nfull\n"


def weight(pid: int) -> int:
    """What a process takes of the memory by itself, in octets (PSS)."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


@contextlib.asynccontextmanager
async def clients(kinds: str, *ports: int) -> AsyncIterator[dict[str, int]]:
    """A crowd for as long as the block: what its greetings were."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, crowd.__file__, ",".join(map(str, ports)), str(CROWD), kinds),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    Process.started.append(process)
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(120):
            line = await process.stdout.readline()
        assert line, "the crowd fell"
        yield json.loads(line)
    finally:
        process.stdin.close()
        await process.wait()


def send(port: int) -> str:
    """A mail of the house: what DATA was answered."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30, source_address=("127.0.0.1", 0)) as client:
        client.helo("house")
        client.mail("ops@mon.example.com")
        client.rcpt("79991230001@sms.example.com")
        code, said = client.data(MAIL)
        return f"{code} {said.decode()}"


@pytest.mark.parametrize("kind", ["idle", "line", "data"])
async def test_a_crowd_that_is_let_in_is_held_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    """Silent, half a command, half a mail: some kB for each, and mail is taken meanwhile.

    100 kB of each mail would be 200 MB: over `limits.memory` they are in files.
    """
    relay = Process(tmp_path, "sandbox", limits={"connections": CROWD + 500, "memory": "16MB"})
    await relay.start()
    assert relay.process
    pid = relay.process.pid
    await asyncio.to_thread(send, relay.port)
    before = weight(pid)
    async with clients(kind, relay.port) as greetings:
        assert {"220": CROWD} == greetings
        assert "250 2.0.0" == (await asyncio.to_thread(send, relay.port))[:9]
        each = (weight(pid) - before) / CROWD
        assert each < 64 * 1024, f"{each:.0f} octets a connection"
    assert "250 2.0.0" == (await asyncio.to_thread(send, relay.port))[:9]
    assert 0 == await relay.kill(15)
    assert "Traceback" not in (tmp_path / "log").read_text()


KINDS = ["starttls", "secure", "drop", "drip", "hello", "shaken"]
ALL = KINDS if "CROWD" in os.environ else []  # each alone: in `make soak`


def send_encrypted(port: int, pki: Pki) -> str:
    """A mail of the house under TLS: what DATA was answered."""
    with smtplib.SMTP_SSL(
        "localhost", port, timeout=30, context=pki.client(), source_address=("127.0.0.1", 0)
    ) as client:
        client.helo("house")
        client.mail("ops@mon.example.com")
        client.rcpt("79991230002@sms.example.com")
        code, said = client.data(MAIL)
        return f"{code} {said.decode()}"


@pytest.mark.parametrize("kinds", [",".join(KINDS), *ALL])
async def test_a_crowd_that_shakes_hands_or_trickles_is_held_in_bounded_memory(
    tmp_path: Path, kinds: str
) -> None:
    """Amid a handshake, silent behind one, an octet now and then: some kB for each, and mail is taken."""
    pki = Pki(tmp_path)
    files = pki.pair("relay", "localhost")
    relay = Process(
        tmp_path,
        "sandbox",
        limits={"connections": CROWD + 500, "memory": "16MB"},
        tls={"certificate": str(files.certificate), "key": str(files.key)},
        listeners=[{"address": "127.0.0.1:0", "tls": each} for each in ("starttls", "implicit")],
    )
    line = await relay.start()
    ports = [int(each) for each in re.findall(r":(\d+)", line.split()[1])]
    assert relay.process
    pid = relay.process.pid
    for _ in range(2):
        await asyncio.to_thread(send, ports[0])
        await asyncio.to_thread(send_encrypted, ports[1], pki)
    before = weight(pid)
    async with clients(kinds, *ports) as greetings:
        assert CROWD == sum(greetings.values())
        assert set(greetings) <= {"220", ""}
        assert "250 2.0.0" == (await asyncio.to_thread(send, ports[0]))[:9]
        assert "250 2.0.0" == (await asyncio.to_thread(send_encrypted, ports[1], pki))[:9]
        each = (weight(pid) - before) / CROWD
        assert each < 96 * 1024, f"{each:.0f} octets a connection"
    assert "250 2.0.0" == (await asyncio.to_thread(send, ports[0]))[:9]
    assert 0 == await relay.kill(15)
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_a_crowd_of_strangers_leaves_room_for_the_house(tmp_path: Path) -> None:
    """By default 750 of 1000 connections; the rest hear 421, and 127.0.0.1 sends its mail."""
    relay = Process(
        tmp_path,
        "sandbox",
        senders=[{"name": "house", "networks": ["127.0.0.1"]}],
        limits={"network": {"connections": 0, "sessions": 0}},
    )
    await relay.start()
    async with clients("idle", relay.port) as greetings:
        assert {"220": 750, "421": CROWD - 750} == greetings
        assert "250 2.0.0" == (await asyncio.to_thread(send, relay.port))[:9]
    assert 1 == (tmp_path / "log").read_text().count('"limit": "strangers"')
    assert 0 == await relay.kill(15)
