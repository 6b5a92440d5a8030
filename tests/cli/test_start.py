"""What is in the way of `serve` when it starts or stops: an exit status, a sentence, no traceback."""

from __future__ import annotations

import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

PATIENCE = 30
MAIL = b"From: a@b.example\r\nSubject: x\r\n\r\ny\r\n"


class Serve:
    """A `smsc-relay serve` of its own, waited for by this thread alone."""

    def __init__(self, folder: Path, number: int, changes: dict[str, object]) -> None:
        values = {
            "hostname": "relay.example.com",
            "listeners": [{"address": "127.0.0.1:0"}],
            "senders": [{"name": "all", "networks": ["127.0.0.0/8"]}],
            "accounts": {"main": {"url": "sandbox"}},
            "routes": [{"match": "*@sms.example.com", "channel": "sms"}],
            "reports": {"maildir": "reports", "gather": "0s"},
            "web": {"listen": ""},
        } | changes
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(values))
        self._log = folder / f"log{number}"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "relay", "serve", "-c", str(config)],
                stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip

    def ready(self) -> int:
        """Wait for its ready line; the port of its listener."""
        assert self.process.stdout
        line = self.process.stdout.readline().decode()
        assert line.startswith("ready smtp=127.0.0.1:"), self._log.read_text()
        return int(line.split()[1].rpartition(":")[2])

    def ended(self) -> tuple[int, str]:
        """Wait for its end: its exit status and what it said."""
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, self._log.read_text()

    def said(self, words: str, times: int) -> None:
        """Wait until its log has these words so many times."""
        deadline = time.monotonic() + PATIENCE
        while self._log.read_text().count(words) < times:
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def stop(self) -> tuple[int, str]:
        """Have it end, and wait for that."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()


Start = Callable[..., Serve]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `serve` in the test's folder; none outlives the test."""
    started: list[Serve] = []

    def one(**changes: object) -> Serve:
        started.append(Serve(tmp_path, len(started), changes))
        return started[-1]

    yield one
    for each in started:
        each.process.kill()
        each.process.communicate()


def listening() -> tuple[socket.socket, str]:
    """A port that somebody else has, and its address."""
    taken = socket.create_server(("127.0.0.1", 0))
    return taken, f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("part", ["smtp", "web"])
def test_a_port_that_is_taken(start: Start, part: str) -> None:
    """Exit 1 with a sentence that names the address."""
    taken, address = listening()
    with taken:
        changes = {"listeners": [{"address": address}]} if part == "smtp" else {"web": {"listen": address}}
        status, said = start(**changes).ended()

    assert 1 == status
    assert "smsc-relay can't start: " in said
    assert "address already in use" in said
    assert "Traceback" not in said
    assert "never retrieved" not in said


def test_a_second_one_leaves_the_firsts_socket_alone(start: Start, tmp_path: Path) -> None:
    """It exits 1; the command line still reaches the first, which then ends well."""
    first = start()
    first.ready()
    status, said = start().ended()
    there = (tmp_path / "relay.sock").is_socket()

    assert (1, True) == (status, there)
    assert "Traceback" not in said
    assert 0 == first.stop()[0]


def test_a_file_where_the_socket_goes_is_not_deleted(start: Start, tmp_path: Path) -> None:
    """A file of the user's at `web.socket` is not ours to remove: exit 1."""
    mine = tmp_path / "notes.txt"
    mine.write_text("mine")
    status, said = start(web={"listen": "", "socket": "notes.txt"}).ended()

    assert (1, "mine") == (status, mine.read_text())
    assert "Traceback" not in said


def test_a_folder_where_the_socket_goes(start: Start, tmp_path: Path) -> None:
    """Exit 1 with a sentence."""
    (tmp_path / "relay.sock").mkdir()
    status, said = start().ended()

    assert 1 == status
    assert "relay.sock" in said
    assert "Traceback" not in said


def test_a_path_of_the_socket_that_is_too_long(start: Start) -> None:
    """Exit 1 or 2 with a sentence."""
    status, said = start(web={"listen": "", "socket": "x" * 150}).ended()

    assert status in (1, 2)
    assert "x" * 150 in said
    assert "Traceback" not in said


def test_sigterm_during_the_start(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whatever moment, it ends by itself without a traceback, and the next one can use its store."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # its handler may wait for itself
    ends = []
    for after in (0.1, 0.6, 1.0):
        early = start()
        time.sleep(after)  # whatever it is doing then
        ends.append(early.stop())
    last = start()
    last.ready()

    assert {status for status, _ in ends} <= {0, -signal.SIGTERM}
    assert not any("Traceback" in said for _, said in ends)
    assert 0 == last.stop()[0]


def test_a_report_folder_that_cannot_be_written_ends_nobody(start: Start, tmp_path: Path) -> None:
    """A file stands where the maildir goes: reports wait, the relay goes on taking mail and ends well."""
    (tmp_path / "reports").write_text("a file")
    relay = start()
    port = relay.ready()
    for number in (1, 2):
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.sendmail("a@b.example", ["79991230007@sms.example.com"], MAIL)
        relay.said('"reported"', number)
    status, said = relay.stop()

    assert 0 == status
    assert '"later"' in said
    assert "Traceback" not in said
