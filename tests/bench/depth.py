"""Depth: what an order costs with a few thousand before it, and with a million.

The queue is written straight into the database, then delivered with nothing else to do, in turns
with the shallow one. Seen are the relay's processor time for each message of the first ones that
leave, how long it takes to be ready, and what it holds in memory: of each the middle one of all
rounds. `DEPTH=n` chooses another depth than a million.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import load
import stage
from stage import Row

from relay.model import HOUR, Ids
from relay.queue import opening, schema

SHALLOW, DEEP = 4000, int(os.environ.get("DEPTH", "1000000"))
SENT = 3000  # messages that are measured
READY = 5.0  # seconds that a start with a full queue may take
_A_MAIL = 1000  # orders of one mail
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one depth showed."""

    cost: float  # seconds of processor time for each message
    ready: float
    memory: float


def run(folder: Path) -> Iterator[Row]:
    """Both depths; the ratio is what counts. Where the time is over, what the rounds before it showed."""
    queues = {depth: folder / f"{depth}.db" for depth in (SHALLOW, DEEP)}
    seen: dict[int, list[Seen]] = {depth: [] for depth in queues}
    try:
        for depth, path in queues.items():
            fill(path, depth)
        for number in range(stage.ROUNDS):
            for depth, path in queues.items():
                seen[depth].append(_measure(folder / f"{depth}-{number}", path))
    finally:
        yield from rows(seen)


def rows(seen: Mapping[int, Sequence[Seen]]) -> Iterator[Row]:
    """What both depths showed, by the rounds that there were."""
    if not all(seen.values()):
        return
    shallow, deep = (_middle(each) for each in seen.values())
    few = stage.short_of(seen[DEEP])
    yield Row(
        what=f"depth, cost of an order of {DEEP:,}",
        figure=f"{1e6 * deep.cost:.0f} µs",
        target="≤ 1.2 ×",
        reached=f"{deep.cost / shallow.cost:.2f} ×",
        beside=f"{1e6 * shallow.cost:.0f} µs of processor with {SHALLOW:,}{few}",
    )
    yield Row(
        what=f"depth, ready with {DEEP:,}",
        figure=f"{deep.ready:.1f} s",
        target=f"≤ {READY:.0f} s",
        reached=f"{deep.ready / READY:.2f} of it",
        beside=f"{shallow.ready:.1f} s with {SHALLOW:,}{few}",
    )
    yield Row(
        what=f"depth, memory with {DEEP:,}",
        figure=f"{deep.memory:.0f} MB",
        beside=f"{shallow.memory:.0f} MB with {SHALLOW:,}{few}",
    )


def _middle(rounds: Sequence[Seen]) -> Seen:
    return Seen(
        cost=statistics.median(each.cost for each in rounds),
        ready=statistics.median(each.ready for each in rounds),
        memory=statistics.median(each.memory for each in rounds),
    )


def _measure(folder: Path, queue: Path) -> Seen:
    folder.mkdir()
    shutil.copy(queue, folder / "relay.db")
    with stage.provider(folder, latency=0, calls=SENT) as provider:
        start = time.monotonic()
        with stage.relay(folder, provider=provider.word("sandbox"), only="delivery") as relay:
            ready, before = time.monotonic() - start, _processor(relay.pid)
            seen = json.loads(provider.line(_PATIENCE))
            cost = (_processor(relay.pid) - before) / seen["messages"]
            memory = _resident(relay.pid)
    (folder / "relay.db").unlink()
    return Seen(cost, ready, memory)


def fill(path: Path, depth: int) -> None:
    """A database with so many waiting orders, each with a text and a phone of its own."""
    connection = opening.opened(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    ids, now = Ids(1), int(time.time() * 1000)
    for first in range(0, depth, _A_MAIL):
        many = range(first, min(first + _A_MAIL, depth))
        for table, rows in _rows(ids, now, many).items():
            names = list(rows[0])
            marks = ", ".join("?" * len(names))
            connection.executemany(
                f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",
                [tuple(row.values()) for row in rows],
            )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _rows(ids: Ids, now: int, many: range) -> dict[str, list[dict[str, Any]]]:
    mail = ids.new(now)
    found: dict[str, list[dict[str, Any]]] = {
        "mail": [schema.row(schema.mail, id=mail, received_at=now, sender=load.SENDER, notes="[]")]
    }
    for table, row in _orders(ids, now, mail, many):
        found.setdefault(table, []).append(row)
    return found


def _orders(ids: Ids, now: int, mail: int, many: range) -> Iterator[tuple[str, dict[str, Any]]]:
    for number in many:
        recipient, content = ids.new(now), ids.new(now)
        address = f"{load.phone(number)}@sms.example.com"
        yield (
            "recipient",
            schema.row(schema.recipient, id=recipient, mail_id=mail, position=number, address=address),
        )
        yield (
            "content",
            schema.row(
                schema.content, id=content, mail_id=mail, channel="sms", text=f"host{number} is down",
                params="{}", files="[]", notes="[]", alphabet="gsm7", parts=1,
            ),
        )  # fmt: skip
        yield (
            "orders",
            schema.row(
                schema.orders, id=ids.new(now), mail_id=mail, recipient_id=recipient, content_id=content,
                sender=load.SENDER, account="main", channel="sms", target=f"+{load.phone(number)}",
                state="waiting", due_at=now, digest=f"text {number}", says=f"text {number}", created_at=now,
                start_at=now, expire_at=now + 24 * HOUR, warn_at=now + HOUR, source="bench",
            ),
        )  # fmt: skip


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
