"""Attacks on `serve`: what is in the way when it starts and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
import yaml


def write(folder: Path, **more: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({
        "hostname": "relay.example.com",
        "listeners": [{"address": "127.0.0.1:0"}],
        "senders": [{"name": "all", "networks": ["127.0.0.0/8"]}],
        "accounts": {"main": {"url": "sandbox"}},
        "routes": [{"match": "*@sms.example.com", "channel": "sms"}],
        "reports": {"maildir": "reports"},
        "web": {"listen": ""},
    } | more))
    return path


async def serve(config: Path, wait: float = 6.0) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", "serve", "-c", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), wait)
    except TimeoutError:
        line = b"TIMEOUT"
    return process, line.decode()


async def end(process: asyncio.subprocess.Process) -> tuple[int, str]:
    if process.returncode is None:
        try:
            process.send_signal(signal.SIGTERM)
        except ProcessLookupError:
            pass
    _out, err = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, err.decode()


@pytest.mark.asyncio
async def test_smtp_port_taken(tmp_path: Path) -> None:
    """Exit 1, one sentence, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write(tmp_path, listeners=[{"address": f"127.0.0.1:{taken.getsockname()[1]}"}])
        process, line = await serve(config)
        code, err = await end(process)
    assert "" == line
    assert 1 == code
    assert "Traceback" not in err
    assert "never retrieved" not in err


@pytest.mark.asyncio
async def test_web_port_taken(tmp_path: Path) -> None:
    """Exit 1, one sentence, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write(tmp_path, web={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        process, line = await serve(config)
        code, err = await end(process)
    assert "" == line
    assert 1 == code
    assert "Traceback" not in err, err


@pytest.mark.asyncio
async def test_second_instance(tmp_path: Path) -> None:
    """The second exits 1; the first one's socket is still there."""
    config = write(tmp_path)
    first, line = await serve(config)
    assert line.startswith("ready")
    second, line = await serve(config)
    code, err = await end(second)
    there = (tmp_path / "relay.sock").exists()
    first_code, _ = await end(first)
    assert 1 == code
    assert "in use" in err
    assert "Traceback" not in err
    assert there
    assert 0 == first_code


@pytest.mark.asyncio
async def test_a_file_where_the_socket_goes_is_not_deleted(tmp_path: Path) -> None:
    """A file of the user's at `web.socket` is not ours to remove."""
    mine = tmp_path / "notes.txt"
    mine.write_text("mine")
    config = write(tmp_path, web={"listen": "", "socket": "notes.txt"})
    process, line = await serve(config)
    code, err = await end(process)
    assert mine.is_file()
    assert "mine" == mine.read_text()
    assert 1 == code
    assert "Traceback" not in err, err


@pytest.mark.asyncio
async def test_a_folder_where_the_socket_goes(tmp_path: Path) -> None:
    """Exit 1 with a sentence."""
    (tmp_path / "relay.sock").mkdir()
    process, line = await serve(write(tmp_path))
    code, err = await end(process)
    assert 1 == code
    assert "Traceback" not in err, err


@pytest.mark.asyncio
async def test_a_long_path_of_the_socket(tmp_path: Path) -> None:
    """Exit 1 or 2 with a sentence."""
    process, line = await serve(write(tmp_path, web={"listen": "", "socket": "x" * 150}))
    code, err = await end(process)
    assert code in (1, 2)
    assert "Traceback" not in err, err


@pytest.mark.asyncio
@pytest.mark.parametrize("after", [0.02, 0.1, 0.3, 0.6, 0.8, 1.0, 1.2])
async def test_sigterm_during_start(tmp_path: Path, after: float) -> None:
    """Ends by itself, without a traceback, and leaves a usable store."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", "serve", "-c", str(write(tmp_path)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    await asyncio.sleep(after)
    code, err = await end(process)
    assert code in (0, -15, 143), err
    assert "Traceback" not in err, err


@pytest.mark.asyncio
async def test_a_report_folder_that_cannot_be_written_ends_nobody(tmp_path: Path) -> None:
    """The maildir's place is a file: reports wait, the relay lives."""
    (tmp_path / "reports").write_text("a file")
    process, line = await serve(write(tmp_path, reports={"maildir": "reports", "gather": "0s"}))
    assert line.startswith("ready"), (await end(process))
    port = int(line.split("smtp=")[1].split()[0].rpartition(":")[2])
    import aiosmtplib
    await aiosmtplib.send(
        b"From: a@b.example\r\nSubject: x\r\n\r\ny\r\n", sender="a@b.example",
        recipients=["79991230007@sms.example.com"], hostname="127.0.0.1", port=port, start_tls=False)
    await asyncio.sleep(1.5)
    alive = process.returncode is None
    code, err = await end(process)
    assert alive, err
    assert 0 == code, err
