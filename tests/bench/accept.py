"""Accepting: mails made durable, beside raw aiosmtpd that keeps nothing and Postfix, in one run.

Delivery is off (`serve --only smtp`), as a mail server holds its queue. Rounds go round-robin,
so that a machine that others use as well is slow for all alike; the medians are compared. What
a mail costs of the processor, all processes of a server together, is the steadier figure where
the machine is busy: mails a second are what one gets, microseconds say why.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import holding
import stage
from stage import HERE, Row

ROUNDS = 3
SECONDS = 0.8  # about so long for one measurement
SESSIONS = 20
_WARM = 100


def source() -> str:
    """Where Postfix's load generator is; "" where it is not installed."""
    return shutil.which("smtp-source") or shutil.which("smtp-source", path="/usr/sbin:/usr/local/sbin") or ""


def measure(address: str, mails: int, *, size: int, fresh: bool, first: int) -> float:
    """Mails taken a second."""
    if not source():
        seen = stage.load(address, mails=mails, sessions=SESSIONS, fresh=int(fresh), first=first, size=size)
        if seen["refused"]:
            raise RuntimeError(f"{seen['refused']} mails were refused")
        return float(seen["rate"])
    kept = [] if fresh else ["-d"]
    command = [source(), "-s", str(SESSIONS), "-m", str(mails), "-l", str(size), *kept]
    command += ["-f", "ops@mon.example.com", "-t", "79100005000@sms.example.com", f"inet:{address}"]
    start = time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True)
    try:
        if process.wait():
            raise RuntimeError(f"{source()} failed with {address}")
    finally:
        stage.end(process)
    return mails / (time.perf_counter() - start)


@dataclass(frozen=True, slots=True)
class Way:
    """What is sent, and how."""

    size: int
    fresh: bool

    def __str__(self) -> str:
        how = "a connection each" if self.fresh else "kept connections"
        return f"accept {self.size // 1000} kB, {how}"


WAYS = (Way(1000, fresh=False), Way(1000, fresh=True), Way(100_000, fresh=False))


@dataclass(slots=True)
class Seen:
    """One server's figures in one way."""

    rates: list[float] = field(default_factory=list)  # the first one warms up
    mails: int = 0
    cpu: float = 0.0


def run(folder: Path) -> list[Row]:
    """All servers, all ways, all rounds."""
    with ExitStack() as stack:
        bare = stack.enter_context(stage.server([sys.executable, str(HERE / "bare.py")], folder, "bare"))
        relay = stack.enter_context(stage.relay(folder, only="smtp"))
        servers = {"raw aiosmtpd": (bare.word("smtp"), bare.pid), "relay": (relay.word("smtp"), relay.pid)}
        postfix = stack.enter_context(holding.postfix(folder))
        if postfix:
            servers["Postfix"] = postfix, holding.master(folder)
        found = {(name, way): Seen() for way in WAYS for name in servers}
        first = 0
        for turn in range(ROUNDS + 1):
            for (name, way), seen in found.items():
                address, pid = servers[name]
                mails = int(max(_WARM, SECONDS * max(seen.rates))) if turn else _WARM
                before = stage.cpu_seconds(pid)
                seen.rates.append(measure(address, mails, size=way.size, fresh=way.fresh, first=first))
                if turn:
                    seen.cpu += stage.cpu_seconds(pid) - before
                    seen.mails += mails
                first += mails
    return [row for way in WAYS for row in _rows(found, list(servers), way)]


def _rows(found: dict[tuple[str, Way], Seen], names: list[str], way: Way) -> list[Row]:
    medians = {name: statistics.median(found[name, way].rates[1:]) for name in names}
    rows = []
    for name in names:
        seen = found[name, way]
        beside = f"best {max(seen.rates[1:]):.0f} · {seen.cpu / seen.mails * 1e6:.0f} µs of the processor"
        if name == "relay":
            beside += "".join(
                f" · {medians[name] / value:.2f} × {other}"
                for other, value in medians.items()
                if other != name
            )
        rows.append(Row(what=f"{way}: {name}", figure=f"{medians[name]:.0f} mails/s", beside=beside))
    return rows
