"""Accepting: mails made durable, beside Postfix, others that are there, and raw aiosmtpd that keeps nothing.

Delivery is off (`serve --only smtp`), as a mail server holds its queue. Rounds take turns, so that
a machine that others use as well is slow for all alike; the medians are compared. What a mail
costs of the processor, all processes of a server together, is the steadier figure where the machine
is busy: mails a second are what one gets, microseconds say why. Mailrise answers when it has posted the
mail; what it posts to here keeps nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import holding
import peers
import stage
from stage import HERE, OverError, Row, Seen

SESSIONS = 20
PHONE = "79100005000@sms.example.com"
_PATIENCE = 60.0


def source() -> str:
    """Where Postfix's load generator is; "" where it is not installed."""
    return shutil.which("smtp-source") or shutil.which("smtp-source", path="/usr/sbin:/usr/local/sbin") or ""


def rate(
    address: str, mails: int, *, size: int, fresh: bool, first: int, to: str = PHONE, sessions: int = SESSIONS
) -> float:
    """Mails taken a second."""
    if not source():
        own = {} if to == PHONE else {"to": to}
        seen = stage.load(
            address, mails=mails, sessions=sessions, fresh=int(fresh), first=first, size=size, **own
        )
        if seen["refused"]:
            raise RuntimeError(f"{seen['refused']} mails were refused")
        return float(seen["rate"])
    kept = [] if fresh else ["-d"]
    command = [source(), "-s", str(sessions), "-m", str(mails), "-l", str(size), *kept]
    command += ["-f", "ops@mon.example.com", "-t", to, f"inet:{address}"]
    start = time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True)
    try:
        if process.wait(_PATIENCE):
            raise RuntimeError(f"{source()} failed with {address}")
    except subprocess.TimeoutExpired:
        raise OverError(f"{mails} mails were not taken within {_PATIENCE:.0f} s") from None
    finally:
        stage.end(process)
    return mails / (time.perf_counter() - start)


@dataclass(frozen=True, slots=True)
class Way:
    """What is sent, and how."""

    size: int
    fresh: bool
    target: str

    def __str__(self) -> str:
        how = "a connection each" if self.fresh else "kept connections"
        return f"accept {self.size // 1000} kB, {how}"


WAYS = (
    Way(1000, fresh=False, target="≥ 5 ×"),
    Way(1000, fresh=True, target="≥ 3 ×"),
    Way(100_000, fresh=False, target="≥ 2 ×"),
)


class Contender:
    """One server in one way: as many mails as it takes in about so many seconds, ten for each session."""

    def __init__(
        self,
        address: str,
        pid: Callable[[], int],
        way: Way,
        *,
        to: str = PHONE,
        sessions: int = SESSIONS,
        seconds: float = 0.8,
    ) -> None:
        self._address, self._pid, self._to, self._sessions = address, pid, to, sessions
        self._way, self._seconds = way, seconds
        self._fastest = 0.0
        self._sent = 0

    def measure(self, _turn: int) -> Seen:
        mails = int(max(10 * self._sessions, self._seconds * self._fastest))
        before = stage.cpu_seconds(self._pid())
        found = rate(
            self._address, mails, size=self._way.size, fresh=self._way.fresh, first=self._sent,
            to=self._to, sessions=self._sessions,
        )  # fmt: skip
        self._sent += mails
        self._fastest = max(self._fastest, found)
        return Seen(rate=found, cost=(stage.cpu_seconds(self._pid()) - before) / mails)


def run(folder: Path) -> Iterator[Row]:
    """All servers, all ways, all rounds."""
    with ExitStack() as stack:
        relay = stack.enter_context(stage.relay(folder, only="smtp"))
        servers = {"relay": (relay.word("smtp"), lambda: relay.pid, PHONE)}
        if address := stack.enter_context(holding.postfix(folder)):
            servers["Postfix"] = address, partial(holding.master, folder), PHONE
        else:
            yield Row(what="accept, against Postfix", figure="-", beside=holding.MISSING)
        mailrise, why = stack.enter_context(peers.mailrise(folder))
        if mailrise is not None:
            servers["Mailrise"] = mailrise.word("smtp"), lambda: mailrise.pid, peers.MAILRISE
        else:
            yield Row(what="accept, against Mailrise", figure="-", beside=why)
        yield Row(what="accept, against OpenSMTPD", figure="-", beside=peers.OPENSMTPD)
        bare = stack.enter_context(stage.server([sys.executable, str(HERE / "bare.py")], folder, "bare"))
        servers["raw aiosmtpd, nothing kept"] = bare.word("smtp"), lambda: bare.pid, PHONE
        for way in WAYS:
            seen = stage.in_turns(
                {
                    name: Contender(address, pid, way, to=to).measure
                    for name, (address, pid, to) in servers.items()
                },
                warm=1,
            )
            for name in list(servers)[1:]:
                yield stage.against(str(way), seen, name, way.target if name == "Postfix" else "")
