"""Accepting: 1 kB mails made durable, beside raw aiosmtpd that keeps nothing, in one run.

Delivery is off (`serve --only smtp`), as a mail server holds its queue. Rounds go round-robin,
so that a machine that others use as well is slow for all alike; the medians are compared.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import holding
import stage
from stage import HERE, Row

ROUNDS = 3
SECONDS = 1.5  # about so long for one measurement
SESSIONS = 20
_WARM = 400


def source() -> str:
    """Where Postfix's load generator is; "" where it is not installed."""
    return shutil.which("smtp-source") or shutil.which("smtp-source", path="/usr/sbin:/usr/local/sbin") or ""


def measure(address: str, mails: int, *, fresh: bool, first: int) -> float:
    """Mails taken a second."""
    if not source():
        seen = stage.load(address, mails=mails, sessions=SESSIONS, fresh=int(fresh), first=first)
        if seen["refused"]:
            raise RuntimeError(f"{seen['refused']} mails were refused")
        return float(seen["rate"])
    kept = [] if fresh else ["-d"]
    command = [source(), "-s", str(SESSIONS), "-m", str(mails), "-l", "1000", *kept]
    command += ["-f", "ops@mon.example.com", "-t", "79100005000@sms.example.com", f"inet:{address}"]
    start = time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True)
    try:
        if process.wait():
            raise RuntimeError(f"{source()} failed with {address}")
    finally:
        stage.end(process)
    return mails / (time.perf_counter() - start)


def run(folder: Path) -> list[Row]:
    """All servers, both ways of connecting, all rounds."""
    with ExitStack() as stack:
        names = {
            "raw aiosmtpd": stack.enter_context(
                stage.server([sys.executable, str(HERE / "bare.py")], folder, "bare")
            ).word("smtp"),
            "relay": stack.enter_context(stage.relay(folder, only="smtp")).word("smtp"),
        }
        postfix = stack.enter_context(holding.postfix(folder))
        if postfix:
            names["Postfix"] = postfix
        found: dict[tuple[str, bool], list[float]] = {}
        ways = [(name, fresh) for fresh in (False, True) for name in names]
        first = 0
        for name, fresh in ways:
            rate = measure(names[name], _WARM, fresh=fresh, first=first)
            first += _WARM
            found[name, fresh] = [rate]
        for _ in range(ROUNDS):
            for name, fresh in ways:
                mails = int(max(_WARM, SECONDS * max(found[name, fresh])))
                found[name, fresh].append(measure(names[name], mails, fresh=fresh, first=first))
                first += mails
    return [row for fresh in (False, True) for row in _rows(found, list(names), fresh=fresh)]


def _rows(found: dict[tuple[str, bool], list[float]], names: list[str], *, fresh: bool) -> list[Row]:
    way = "a connection each" if fresh else "kept connections"
    medians = {name: statistics.median(found[name, fresh][1:]) for name in names}
    rows = []
    for name in names:
        best = max(found[name, fresh][1:])
        beside = f"best {best:.0f}"
        if name == "relay":
            beside += "".join(
                f" · {medians[name] / value:.2f} × {other}"
                for other, value in medians.items()
                if other != name
            )
        rows.append(
            Row(what=f"accept 1 kB, {way}: {name}", figure=f"{medians[name]:.0f} mails/s", beside=beside)
        )
    return rows
