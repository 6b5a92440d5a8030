"""Memory: at rest, and at its peak while fifty clients send 10 MB each at once.

What is counted is the resident memory of the relay and of its reading processes together,
looked at every few milliseconds; shared pages count once (PSS). Another client's NOOP, timed by itself while
eight come in, says whether large mail holds up the loop.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import stage
from stage import Row

MAILS = 20 if stage.QUICK else 50
NOOPS = 8  # mails beside which another client's NOOP is timed
MOST = 150  # megabytes over rest
SIZE = 10 * 2**20
PROMPT = 5.0  # milliseconds
_STEP = 0.01
ROUTES = (("sms", "79100005000@sms.example.com"), ("mail", "boss@mail.example.com"))


def megabytes(pid: int) -> float:
    """What a process and its children hold, shared pages counted once."""
    total = 0
    for each in stage.family(pid):
        with contextlib.suppress(OSError, IndexError):
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
            total += int(text.split("\nPss:")[1].split()[0])
    return total / 1024


class Noop:
    """A client that does nothing but NOOP."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), 30)
        self.costs: list[float] = []
        self._socket.recv(1000)

    def ask(self) -> None:
        """One round trip."""
        start = time.perf_counter()
        self._socket.sendall(b"NOOP\r\n")
        self._socket.recv(1000)
        self.costs.append(1000 * (time.perf_counter() - start))

    def close(self) -> None:
        self._socket.close()


def run(folder: Path) -> Iterator[Row]:
    """A fresh relay for each kind of route: text alone is kept of one, the file too of the other."""
    for name, recipient in ROUTES:
        place = folder / f"memory-{name}"
        place.mkdir()
        with stage.relay(place, only="smtp") as relay:
            time.sleep(1)
            rest = megabytes(relay.pid)
            yield _peak(name, rest, relay, recipient)
            yield _noop(name, relay, recipient)


def _peak(name: str, rest: float, relay: stage.Server, recipient: str) -> Row:
    peak, start = 0.0, time.perf_counter()
    for _ in _meanwhile(relay, MAILS, recipient):
        peak = max(peak, megabytes(relay.pid))
    speed = MAILS * 10 / (time.perf_counter() - start)
    return Row(
        what=f"memory, {MAILS} × 10 MB at once, {name}",
        figure=f"{peak - rest:.0f} MB over rest",
        target=f"≤ {MOST} MB" if MAILS == 50 else "",
        reached=f"{(peak - rest) / MOST:.2f} of it" if MAILS == 50 else "",
        beside=f"{rest:.0f} at rest, {megabytes(relay.pid):.0f} afterwards, PSS · {speed:.0f} MB/s",
    )


def _noop(name: str, relay: stage.Server, recipient: str) -> Row:
    with contextlib.closing(Noop(relay.word("smtp"))) as noop:
        for _ in _meanwhile(relay, NOOPS, recipient, each=3 if stage.QUICK else 8):
            noop.ask()
    p50, p99 = (stage.percentile(noop.costs, share) for share in (0.5, 0.99))
    return Row(
        what=f"NOOP p99 beside {NOOPS} × 10 MB, {name}",
        figure=f"{p99:.1f} ms",
        target=f"≤ {PROMPT:.0f} ms",
        reached=f"{p99 / PROMPT:.2f} of it",
        beside=f"p50 {p50:.1f}, most {max(noop.costs):.1f} ms, of {len(noop.costs)}",
    )


def _meanwhile(relay: stage.Server, at_once: int, recipient: str, *, each: int = 1) -> Iterator[None]:
    """Again and again while so many sessions bring mails; raises RuntimeError where one was not taken."""
    mails = at_once * each
    load = stage.start_load(
        relay.word("smtp"), mails=mails, sessions=at_once, size=SIZE, attach=1, to=recipient
    )
    try:
        while load.poll() is None:
            yield
            time.sleep(_STEP)
        said = load.stdout.read() if load.stdout else ""
    finally:
        stage.end(load)
    if f'"taken": {mails}' not in said:
        raise RuntimeError(f"not all mails were taken: {said}")
