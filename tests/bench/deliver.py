"""Delivering: a queue filled beforehand, with nothing else to do; the provider takes 50 ms.

Distinct texts to distinct phones. What waits for a slot leaves in lists; `single` is the same as flash
messages, which never do. Seen from the provider: messages a second between the tenth and the
ninetieth of a hundred. Rounds of both take turns, each from a copy of the same queue. Statuses are
not polled meanwhile.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import stage
from stage import SLOTS, Row, Seen

LATENCY = 0.05
CAP = SLOTS / LATENCY
SINGLE, LISTS = "flash.example.com", "sms.example.com"
MAILS = {SINGLE: 500 if stage.QUICK else 1200, LISTS: 2500 if stage.QUICK else 6000}


def run(folder: Path) -> Iterator[Row]:
    """Single messages, then the same in lists."""
    for host, mails in MAILS.items():
        place = folder / host
        place.mkdir()
        with stage.relay(place, only="smtp") as relay:
            stage.load(relay.word("smtp"), mails=mails, sessions=SLOTS, host=host)
    seen = stage.in_turns({host: partial(_measure, folder, host) for host in MAILS})
    yield Row(
        what="deliver, provider 50 ms, single",
        figure=f"{seen[SINGLE].rate:.0f}/s",
        target="≥ 0.95 of 14 ÷ 50 ms",
        reached=f"{seen[SINGLE].rate / CAP:.2f}",
        beside=f"processor {seen[SINGLE].micros}",
    )
    yield Row(
        what="deliver, provider 50 ms, lists",
        figure=f"{seen[LISTS].rate:.0f}/s",
        target="≥ 10 × 14 ÷ 50 ms",
        reached=f"{seen[LISTS].rate / CAP:.1f} ×",
        beside=f"processor {seen[LISTS].micros} · {seen[LISTS].rate / seen[SINGLE].rate:.1f} × single",
    )


def _measure(folder: Path, host: str, turn: int) -> Seen:
    place = folder / f"{host}-{turn}"
    place.mkdir()
    for each in (folder / host).glob("relay.db*"):
        if each.is_file():
            shutil.copy(each, place)
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(stage.provider(place, latency=LATENCY, calls=MAILS[host]))
        relay = stack.enter_context(stage.relay(place, provider=provider.word("sandbox"), only="delivery"))
        before = stage.cpu_seconds(relay.pid)
        said = stage.heard(provider)
        cost = stage.cpu_seconds(relay.pid) - before
    shutil.rmtree(place)
    return Seen(rate=said["rate"], cost=cost / said["messages"])
