"""The stage of a benchmark: servers as real processes on loopback, each ended by its own id.

A server says on stdout that it is ready, and where. Whatever happens, Ctrl-C and the end of a
bench's time included, leaving a `with` block ends what was started in it. Children get a session
of their own, so that Ctrl-C reaches the benchmark alone and no server is asked twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
QUICK = bool(os.environ.get("QUICK"))
"""Whether some three minutes must do: fewer rounds, fewer mails, less depth."""
ROUNDS = 1 if QUICK else 3
SLOTS = 14  # calls at once, as the provider allows
_PATIENCE = 30.0  # seconds until a server must be ready
_LOADED = 120.0  # seconds that a load may take
_GRACE = 5.0  # seconds that a server has to end

CONFIG = """\
hostname: relay.example.com
store: "{store}"
listeners: [{{address: "127.0.0.1:0"}}]
senders: [{{name: bench, networks: [127.0.0.0/8]}}]
accounts: {{main: {{url: "{provider}", login: bench, psw: bench}}}}
routes:
  - {{match: "*@sms.example.com", channel: sms}}
  - {{match: "*@flash.example.com", channel: flash}}
  - {{match: "*@mail.example.com", channel: mail, sender: ops@example.com}}
reports: {{maildir: reports}}
delivery: {{poll: [1h]}}
web: {{listen: "127.0.0.1:0", socket: relay.sock}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table: what was measured, the figure, and what it is to be seen beside.

    `target` is what was aimed at and `reached` the same measure of the figure, both "" where nothing was.
    """

    what: str
    figure: str
    target: str = ""
    reached: str = ""
    beside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One round of one server: messages a second, and seconds of the processor for each."""

    rate: float
    cost: float

    @property
    def micros(self) -> str:
        """The cost in words."""
        return f"{self.cost * 1e6:.0f} µs"


def in_turns(contenders: Mapping[str, Callable[[int], Seen]], *, warm: int = 0) -> dict[str, Seen]:
    """The medians of rounds taken in turns, so that a machine that others use is slow for all alike.

    Each is asked with the number of the round; the first `warm` rounds do not count.
    """
    rounds: dict[str, list[Seen]] = {name: [] for name in contenders}
    for turn in range(warm + ROUNDS):
        for name, measure in contenders.items():
            rounds[name].append(measure(turn))
    return {name: _median(found[warm:]) for name, found in rounds.items()}


def _median(found: Sequence[Seen]) -> Seen:
    rates, costs = [each.rate for each in found], [each.cost for each in found]
    return Seen(rate=statistics.median(rates), cost=statistics.median(costs))


def short_of(found: Sequence[object]) -> str:
    """What a line says whose rounds are fewer than they should be."""
    return f" · {len(found)} of {ROUNDS} rounds" if len(found) < ROUNDS else ""


def against(what: str, seen: Mapping[str, Seen], peer: str, target: str = "") -> Row:
    """A line that compares the relay with a peer: mails a second, and what each costs of the processor."""
    ours, theirs = seen["relay"], seen[peer]
    return Row(
        what=f"{what}, against {peer}",
        figure=f"{ours.rate:.0f}/s",
        target=target,
        reached=f"{ours.rate / theirs.rate:.2f} ×",
        beside=f"{peer} {theirs.rate:.0f}/s · processor {ours.micros}, {peer} {theirs.micros}, "
        f"which is {theirs.cost / ours.cost:.2f} ×",
    )


class OverError(Exception):
    """The time of a bench is over."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise OverError in the block when its time is over."""

    def over(_signal: int, _frame: object) -> NoReturn:
        raise OverError(f"not done within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True, slots=True)
class Server:
    """A process that is ready, and what it said."""

    process: subprocess.Popen[str]
    name: str
    ready: str = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def word(self, name: str) -> str:
        """What stands behind `name=` in the ready line."""
        return dict(each.split("=", 1) for each in self.ready.split() if "=" in each)[name]

    def line(self, patience: float) -> str:
        """The next line of stdout; OverError where none comes in time."""
        stdout = self.process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], patience)[0]:
            raise OverError(f"{self.name} said nothing for {patience:.0f} s")
        return stdout.readline()


@contextlib.contextmanager
def server(
    command: Sequence[str], folder: Path, name: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Server]:
    """Run a server for as long as the block; its stderr is a file in the folder."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**_environment(), **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1, start_new_session=True,
        )  # fmt: skip
    try:
        found = Server(process, name)
        line = found.line(_PATIENCE)
        if not line.startswith("ready"):
            said = (folder / f"{name}.log").read_text(errors="replace")[-800:]
            raise RuntimeError(f"{name} did not start: {line}{said}")
        yield Server(process, name, line)
    finally:
        end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """End one process that was started here, kindly, then for sure, with what it has started."""
    try:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
    finally:  # the bench's time may end here as well
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # its session is its own
            process.wait(_GRACE)
    if process.stdout is not None:
        process.stdout.close()


def relay(
    folder: Path,
    *,
    provider: str = "http://127.0.0.1:9",
    store: str = "sqlite:///relay.db",
    only: str = "",
    environment: Mapping[str, str] = MappingProxyType({}),
) -> contextlib.AbstractContextManager[Server]:
    """A relay whose provider is at that address (by default one where nobody listens)."""
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(provider=provider, store=store))
    part = ["--only", only] if only else []
    command = [sys.executable, "-m", "relay", "serve", "-c", str(config), *part]
    return server(command, folder, "relay", environment)


def provider(folder: Path, *, latency: float, calls: int = 0) -> contextlib.AbstractContextManager[Server]:
    """The sandbox with a full purse; says what it saw once it has answered so many calls."""
    command = [sys.executable, str(HERE / "provider.py"), str(latency), str(calls)]
    return server(command, folder, "provider")


def heard(provider: Server, patience: float = 45.0) -> dict[str, float]:
    """What the provider saw; raises RuntimeError where that is too little, or breaks a promise."""
    said: dict[str, float] = json.loads(provider.line(patience))
    if "rate" not in said:
        raise RuntimeError(f"the provider heard only {said['messages']} messages in its time")
    if said["doubled"] or said["at_once"] > SLOTS:
        raise RuntimeError(f"the provider saw {said}")
    return said


def load(address: str, **options: float | str) -> dict[str, Any]:
    """Run `load.py` to its end; what it measured."""
    process = start_load(address, **options)
    try:
        said, _ = process.communicate(timeout=_LOADED)
    except subprocess.TimeoutExpired:
        raise OverError(f"the load was not done within {_LOADED:.0f} s") from None
    finally:
        end(process)
    if process.returncode:
        raise RuntimeError(f"the load failed: {said}")
    return dict(json.loads(said))


def start_load(address: str, **options: float | str) -> subprocess.Popen[str]:
    """Start `load.py`; it writes its figures to stdout when it is done."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return subprocess.Popen(
        [sys.executable, str(HERE / "load.py"), address, *words],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def family(pid: int) -> list[int]:
    """A process and its children."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """Of the processor, so far: by a process, its children, and those that have ended and were awaited."""
    ticks = 0
    for each in family(pid):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, words[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def fsync_ms(folder: Path, times: int = 200) -> float:
    """What it costs to append 4 KiB and have them on disk: the median, in milliseconds."""
    path, costs = folder / "fsync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            start = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            costs.append(time.perf_counter() - start)
    path.unlink()
    return statistics.median(costs) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so great a share of all does not exceed."""
    row = sorted(values)
    return row[min(len(row) - 1, int(share * len(row)))]
