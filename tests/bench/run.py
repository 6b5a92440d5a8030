"""The benchmarks, run by hand (`make bench`): one table, with the figures of the machine.

`run.py [NAME…]` runs some of accept, deliver, latency, memory, nodes and depth alone. Loopback
only, a fresh folder that is removed afterwards, some minutes for each (most for depth), twenty at
most for all. Load and servers share the machine's cores: compare what stands in one table, not the
figures of two.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import accept
import click
import deliver
import depth
import latency
import memory
import nodes
import stage
from stage import OverError, Row

BENCHES = {
    "accept": accept.run,
    "deliver": deliver.run,
    "latency": latency.run,
    "memory": memory.run,
    "nodes": nodes.run,
    "depth": depth.run,
}
EACH = 60.0
LONGER = {"deliver": 240.0, "nodes": 300.0, "depth": 400.0}  # a million rows want to be written first
WHOLE = 1200.0
_PACKAGES = ("aiosmtpd", "aiohttp", "SQLAlchemy")


def machine(folder: Path) -> list[str]:
    """What the figures were measured on."""
    versions = " · ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    load = os.getloadavg()[0]
    source = accept.source() or "tests/bench/load.py"
    sqlite = f"SQLite {sqlite3.sqlite_version}"
    rounds = f"{accept.SESSIONS} sessions, no pipelining, medians of {accept.ROUNDS} rounds"
    return [
        f"{_processor()}, {os.cpu_count()} cores, load average {load:.1f} before",
        f"{platform.python_implementation()} {platform.python_version()} · {sqlite} · {versions}",
        f"disk {_kind_of_disk(folder)}, append and fsync 4 KiB {stage.fsync_ms(folder):.2f} ms",
        f"accept's load: {source}, {rounds}",
    ]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _kind_of_disk(folder: Path) -> str:
    """The file system that the benchmark's folder lies on; on tmpfs nothing is durable."""
    best = ("", "?")
    for line in Path("/proc/mounts").read_text().splitlines() if Path("/proc/mounts").exists() else ():
        _device, place, kind = line.split()[:3]
        if folder.is_relative_to(place) and len(place) > len(best[0]):
            best = (place, kind)
    return best[1]


def measured(name: str, folder: Path, left: float) -> list[Row]:
    """One bench's rows; a row that says so where it failed."""
    place = folder / name
    place.mkdir()
    try:
        with stage.within(min(LONGER.get(name, EACH), left)):
            return BENCHES[name](place)
    except (OverError, RuntimeError, OSError, ExceptionGroup) as why:
        return [Row(what=name, figure="failed", beside=str(why))]
    finally:
        shutil.rmtree(place, ignore_errors=True)


def table(rows: list[Row]) -> str:
    """The rows in columns."""
    what, figure = max(len(row.what) for row in rows), max(len(row.figure) for row in rows)
    return "\n".join(f"{row.what:<{what}}  {row.figure:>{figure}}  {row.beside}".rstrip() for row in rows)


def main(names: list[str]) -> int:
    """Run what is asked for, or all; 1 where one failed."""
    unknown = set(names) - set(BENCHES)
    if unknown:
        click.echo(f"there are {', '.join(BENCHES)}, not {', '.join(sorted(unknown))}", err=True)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what was started, like Ctrl-C
    rows, until = [], time.monotonic() + WHOLE
    with tempfile.TemporaryDirectory(prefix="relay-bench-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o711)  # Postfix goes through it with a user of its own
        click.echo("\n".join(machine(folder)) + "\n")
        for name in names or BENCHES:
            click.echo(f"{name} …", err=True)
            rows += measured(name, folder, until - time.monotonic())
    click.echo(table(rows))
    return int(any(row.figure == "failed" for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("stopped")
