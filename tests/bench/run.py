"""The benchmarks, run by hand (`make bench`): one table in Markdown, with the machine described.

`run.py [NAME…]` runs some alone: accept, endtoend, deliver, latency, disk, memory, nodes, depth.
`QUICK=1` takes three to five minutes, one round each, and less of everything; without it twenty at most.
Loopback only (but for pip, which may fetch a peer), a fresh folder that is removed afterwards. Each
bench has its time, and what it had measured when that was over stands in the table. Load and servers
share the machine's cores: compare what stands in one table, not the figures of two.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import stage

if stage.QUICK:
    os.environ.setdefault("DEPTH", "100000")

import accept
import click
import deliver
import depth
import disk
import endtoend
import holding
import latency
import memory
import nodes
from stage import Row

BENCHES: dict[str, Callable[[Path], Iterable[Row]]] = {
    "accept": accept.run,
    "endtoend": endtoend.run,
    "deliver": deliver.run,
    "latency": latency.run,
    "disk": disk.run,
    "memory": memory.run,
    "nodes": nodes.run,
    "depth": depth.run,
}
TIMES = {  # seconds at most; on a machine without other work they take half of it
    "accept": 200.0, "endtoend": 280.0, "deliver": 200.0, "latency": 90.0,
    "disk": 90.0, "memory": 120.0, "nodes": 240.0, "depth": 300.0,
}  # fmt: skip
WHOLE = 300.0 if stage.QUICK else 1170.0
_PACKAGES = ("aiosmtpd", "aiohttp", "SQLAlchemy")


def machine(folder: Path) -> list[str]:
    """What the figures were measured on."""
    versions = " · ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    loop = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio"
    load = f"load average {os.getloadavg()[0]:.1f} before"
    fsync = f"append and fsync 4 KiB {stage.fsync_ms(folder):.2f} ms"
    source = f"{accept.source() or 'tests/bench/load.py'}, {accept.SESSIONS} sessions, no pipelining"
    turns = f"medians of {stage.ROUNDS} rounds taken in turns" if stage.ROUNDS > 1 else "one round"
    return [
        f"{_processor()}, {os.cpu_count()} cores, {load} · Linux {platform.release()}",
        f"{python} on {loop} · SQLite {sqlite3.sqlite_version} · {nodes.version()} · {versions}",
        f"disk {_kind_of_disk(folder)}, {fsync}",
        f"peers: {holding.version() or 'no Postfix'} · load: {source} · {turns}",
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
    """One bench's rows, and one that says so where it failed or its time was over."""
    place = folder / name
    place.mkdir()
    rows: list[Row] = []
    try:
        with stage.within(max(1.0, min(TIMES[name], left))):
            for row in BENCHES[name](place):
                rows.append(row)  # noqa: PERF402 - what comes after it may fail
    except Exception as why:  # noqa: BLE001 - whatever it is, what the others measured is not lost for it
        rows.append(Row(what=name, figure="failed", beside=str(why)))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return rows


def table(rows: list[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| work | relay | target | reached | beside |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (row.what, row.figure, row.target, row.reached, row.beside)
        lines.append("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


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
        click.echo("\n".join(f"- {line}" for line in machine(folder)) + "\n")
        for name in names or BENCHES:
            start = time.monotonic()
            rows += measured(name, folder, until - start)
            click.echo(f"{name} took {time.monotonic() - start:.0f} s", err=True)
    click.echo(table(rows))
    return int(any(row.figure == "failed" for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("stopped")
