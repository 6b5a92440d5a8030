"""End to end: mail comes in as fast as it is taken, and leaves; beside Postfix with a pipe to curl.

Both post distinct texts to distinct phones to the same sandbox, which answers at once or after 50 ms,
at most fourteen at once. Seen from the provider: messages a second between the tenth and the ninetieth
of a hundred. The processor's time is that of all processes of a server, taking the mail included.
Rounds take turns. Statuses are not polled meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import holding
import stage
from stage import Row, Seen

SESSIONS = 14
MAILS = {"relay": 1000 if stage.QUICK else 3000, "Postfix and curl": 300 if stage.QUICK else 600}
TARGETS = {0.0: "≥ 12 ×", 0.05: "≥ 15 ×"}


def run(folder: Path) -> Iterator[Row]:
    """Both servers, both latencies."""
    for latency, target in TARGETS.items():
        what = f"end to end, provider {latency * 1000:.0f} ms"
        contenders = {"relay": partial(_relay, folder, latency)}
        if holding.program():
            contenders["Postfix and curl"] = partial(_postfix, folder, latency)
            yield stage.against(what, stage.in_turns(contenders), "Postfix and curl", target)
        else:
            seen = stage.in_turns(contenders)["relay"]
            beside = f"processor {seen.micros} · {holding.MISSING}"
            yield Row(what=what, figure=f"{seen.rate:.0f}/s", beside=beside)


def _relay(folder: Path, latency: float, turn: int) -> Seen:
    place = folder / f"relay-{latency}-{turn}"
    place.mkdir()
    mails = MAILS["relay"]
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(stage.provider(place, latency=latency, calls=mails))
        relay = stack.enter_context(stage.relay(place, provider=provider.word("sandbox")))
        return _seen(provider, relay.word("smtp"), relay.pid, mails)


def _postfix(folder: Path, latency: float, turn: int) -> Seen:
    place = folder / f"postfix-{latency}-{turn}"
    place.mkdir()
    mails = MAILS["Postfix and curl"]
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(stage.provider(place, latency=latency, calls=mails))
        address = stack.enter_context(holding.postfix(place, provider=provider.word("sandbox")))
        return _seen(provider, address, holding.master(place), mails)


def _seen(provider: stage.Server, address: str, pid: int, mails: int) -> Seen:
    before = stage.cpu_seconds(pid)
    load = stage.start_load(address, mails=mails, sessions=SESSIONS)
    try:
        said = stage.heard(provider)
        cost = stage.cpu_seconds(pid) - before
    finally:
        stage.end(load)
    return Seen(rate=said["rate"], cost=cost / said["messages"])
