"""`serve` under systemd: sockets that it opened, what it is told, and the units themselves."""

from __future__ import annotations

import asyncio
import configparser
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiosmtplib
import click
import pytest
from harness import PATIENCE, Process

from relay import app
from relay.cli import main
from relay.cli.notify import notify
from relay.smtp import sockets

PACKAGING = Path(__file__).parents[2] / "packaging"

MANAGER = """
import os, socket, sys
kind, count, name = sys.argv[1:4]
opened = []
for n in range(int(count)):
    made = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
    made.bind(f"door{n}" if kind == "unix" else ("127.0.0.1", 0))
    if kind != "deaf":
        made.listen()
    opened.append(made)
for n, made in enumerate(opened):
    os.dup2(made.fileno(), 50 + n)
for n in range(len(opened)):
    os.dup2(50 + n, 3 + n, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=count, LISTEN_FDNAMES=":".join([name] * int(count)))
os.execv(sys.argv[4], sys.argv[4:])
"""
"""What systemd does for a socket unit: binds, listens, hands over from descriptor 3 on."""


def manager(kind: str, count: int = 1, name: str = "smtp") -> tuple[str, ...]:
    """The command line that starts another under this manager."""
    return (sys.executable, "-c", MANAGER, kind, str(count), name)


async def greeting(**where: object) -> str:
    """What a door says first."""
    async with asyncio.timeout(PATIENCE):
        if "path" in where:
            reader, writer = await asyncio.open_unix_connection(**where)
        else:
            reader, writer = await asyncio.open_connection(**where)
        said = (await reader.readline()).decode()
        writer.close()
        await writer.wait_closed()
        return said


@pytest.mark.asyncio
async def test_a_listener_takes_over_what_systemd_opened(tmp_path: Path) -> None:
    """`fd:NAME` means all sockets of that name; mail comes in by them, and the ready line tells where."""
    relay = Process(tmp_path, "sandbox", listeners=[{"address": "fd:smtp"}])
    line = await relay.start(under=manager("inet", 2))
    assert line.startswith("ready smtp=127.0.0.1:")
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=relay.port, start_tls=False) as client:
        said = await client.sendmail("a@b.example", ["79991234567@sms.example.com"], b"\r\nx\r\n")
    assert said[1].startswith("2.0.0 queued")
    assert 0 == await relay.kill(signal.SIGTERM)


@pytest.mark.asyncio
async def test_a_unix_socket_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clients are this machine's, as with a socket of our own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    relay = Process(tmp_path, "sandbox", listeners=[{"address": "fd:local"}, {"address": "127.0.0.1:0"}])
    await relay.start(under=manager("unix", 1, "local"))
    assert "220 relay.example.com" == (await greeting(path=str(tmp_path / "door0")))[:21]
    assert 0 == await relay.kill(signal.SIGTERM)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["inet", "unix"])
async def test_a_proxy_before_what_systemd_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Its header counts there as well: for the client it names, and for none from whom nothing is taken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    doors = [{"address": "fd:smtp", "proxy_protocol": ["127.0.0.0/8"]}, {"address": "127.0.0.1:0"}]
    senders = [{"name": "them", "networks": ["192.0.2.0/24"]}]
    relay = Process(tmp_path, "sandbox", listeners=doors, senders=senders)
    line = await relay.start(under=manager(kind))
    port = int(line.split()[1].split(",")[0].rpartition(":")[2]) if kind == "inet" else 0
    heard = []
    for header in (b"PROXY TCP4 192.0.2.7 192.0.2.25 4711 25\r\n", b"PROXY UNKNOWN\r\n", b"EHLO c\r\n"):
        if kind == "inet":
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        else:
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "door0"))
        writer.write(header + b"HELO c\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n")
        async with asyncio.timeout(PATIENCE):
            try:
                heard.append([line[:3] for line in (await reader.read()).splitlines()])
            except ConnectionResetError:
                heard.append([])
        writer.close()
    assert [[b"220", b"250", b"250", b"221"], [b"220", b"250", b"550", b"221"], []] == heard
    assert 0 == await relay.kill(signal.SIGTERM)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("under", "said"),
    [
        (manager("inet", 1, "web"), "no socket of this name, see FileDescriptorName=; it passed: web"),
        ((), "no socket of this name, see FileDescriptorName=; it passed: none"),
        (manager("deaf"), "a socket that does not listen; write Accept=no in its unit"),
    ],
)
async def test_what_systemd_did_not_open_is_said(tmp_path: Path, under: tuple[str, ...], said: str) -> None:
    """The relay does not start, and names what it was given."""
    relay = Process(tmp_path, "sandbox", listeners=[{"address": "fd:smtp"}])
    with pytest.raises(AssertionError):
        await relay.start(under=under)
    assert relay.process
    assert 1 == await relay.process.wait()
    assert f"cannot listen on fd:smtp: systemd passed {said}" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, {}),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {}),
        ({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"}, {}),
        ({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0", "PATH": "/bin"}, {}),
    ],
)
def test_what_is_not_for_us_is_left_alone(environment: dict[str, str], wanted: dict[str, list[int]]) -> None:
    """Descriptors of another process's environment are not ours; children inherit no word of it."""
    assert wanted == sockets.handed(environment)
    assert set() == {each for each in environment if each.startswith("LISTEN")}


@pytest.mark.asyncio
async def test_systemd_is_told_of_start_reload_and_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY, RELOADING with its time and READY again, STOPPING; where nobody listens nothing is said."""
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.setblocking(False)

    async def heard() -> str:
        async with asyncio.timeout(PATIENCE):
            return (await asyncio.get_running_loop().sock_recv(told, 4096)).decode()

    with told:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        relay = Process(tmp_path, "sandbox")
        await relay.start()
        assert "READY=1" == await heard()
        relay.signal(signal.SIGHUP)
        assert "RELOADING=1\nMONOTONIC_USEC=" == (await heard()).rstrip("0123456789")
        assert "READY=1" == await heard()
        relay.signal(signal.SIGTERM)
        assert "STOPPING=1" == await heard()
        assert relay.process
        assert 0 == await relay.process.wait()
    notify("nobody listens any more")


def unit(name: str) -> configparser.ConfigParser:
    """A unit file; keys that may stand several times have their last value."""
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment]
    found.read_string((PACKAGING / name).read_text("utf-8"))
    return found


def test_the_units_fit_the_relay_and_each_other() -> None:
    """The service can be typed, waits for the drain, and takes the socket by its name."""
    service, door = unit("smsc-relay.service")["Service"], unit("smsc-relay.socket")["Socket"]
    words = service["ExecStart"].split()
    assert words[0].endswith("/smsc-relay")
    assert words[1] in main.list_commands(click.Context(main))
    assert "notify" == service["Type"]
    assert int(service["TimeoutStopSec"]) > 2 * app.GRACE
    assert "2" == service["RestartPreventExitStatus"]
    assert "smtp" == door["FileDescriptorName"]
    assert "no" == door["Accept"]


def test_the_service_is_locked_up() -> None:
    """Systemd itself counts what it could still do: at most 2 of 10."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze here")
    command = (analyze, "security", "--offline=yes", "--threshold=20", str(PACKAGING / "smsc-relay.service"))
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    if "nrecognized option" in judged.stderr or "Failed to" in judged.stderr:
        pytest.skip(f"this systemd-analyze judges no files: {judged.stderr.strip()}")
    assert 0 == judged.returncode, judged.stdout[-2000:]
