"""Memory: at rest, and at its peak while fifty clients send 10 MB each at once.

What is counted is the resident memory of the relay and of its reading processes together,
looked at every few milliseconds; shared pages count once (PSS). Another client's NOOP meanwhile
says whether large mail holds up the loop.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from pathlib import Path

import stage
from stage import Row

MAILS = 50
SIZE = 10 * 2**20
_STEP = 0.02
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


def run(folder: Path) -> list[Row]:
    """A fresh relay for each kind of route: text alone is kept of one, the file too of the other."""
    rows = []
    for name, recipient in ROUTES:
        place = folder / f"memory-{name}"
        place.mkdir()
        with stage.relay(place, only="smtp") as relay:
            time.sleep(1)
            rest = megabytes(relay.pid)
            if not rows:
                rows.append(
                    Row(
                        what="memory at rest",
                        figure=f"{rest:.0f} MB",
                        beside="PSS, reading processes included",
                    )
                )
            rows.append(_row(name, rest, relay, recipient))
    return rows


def _row(name: str, rest: float, relay: stage.Server, recipient: str) -> Row:
    address = relay.word("smtp")
    load = stage.start_load(address, mails=MAILS, sessions=MAILS, size=SIZE, attach=1, to=recipient)
    with contextlib.closing(Noop(address)) as noop:
        start = time.perf_counter()
        try:
            peak = _peak(relay, load, noop)
            seconds = time.perf_counter() - start
            said = load.stdout.read() if load.stdout else ""
        finally:
            stage.end(load)
    if f'"taken": {MAILS}' not in said:
        raise RuntimeError(f"not all mails were taken: {said}")
    after = megabytes(relay.pid)
    return Row(
        what=f"memory, {MAILS} × 10 MB at once, {name}",
        figure=f"peak {peak:.0f} MB",
        beside=f"{peak - rest:+.0f} over rest · {after:.0f} afterwards · {MAILS * 10 / seconds:.0f} MB/s · "
        f"NOOP p50 {stage.percentile(noop.costs, 0.5):.1f} p99 {stage.percentile(noop.costs, 0.99):.1f} ms",
    )


def _peak(relay: stage.Server, load: subprocess.Popen[str], noop: Noop) -> float:
    peak = 0.0
    while load.poll() is None:
        peak = max(peak, megabytes(relay.pid))
        noop.ask()
        time.sleep(_STEP)
    return peak
