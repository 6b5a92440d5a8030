"""What is asked all the time costs the same with ten thousand orders as with a thousand, whatever these are.

Counted are the steps of SQLite's machine, which no load of this one changes.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import asyncpg
import pytest

from relay.model import HOUR
from relay.queue import dialect, opening, parts, schema
from relay.queue import statements as sql
from relay.queue.sqlite_dialect import Compiled

NOW = 1_800_000_000_000
SHALLOW, DEEP = 1000, 10_000
ASKED = {
    "DUE": {"account": "main", "now": NOW, "many": 104, "but": ["quiet"]},
    "DUE_TO": {"account": "main", "target": "+7999000000007", "now": NOW, "many": 50, "but": []},
    "DUE_FORWARDS": {"account": "main", "now": NOW, "many": 50, "rank": -9, "key": 0},
    "DUE_REQUESTS": {"account": "main", "now": NOW, "many": 64},
    "DUE_POLLS": {"account": "main", "now": NOW, "many": 64},
    "OVERSLEPT": {"account": "main", "now": NOW},
    "NEXT_DUE": {"account": "main", "now": NOW, "asleep": 0},
    "NEXT_WAITING_AT": {"key": ""},
    "NEXT_TO_MOVE_AT": {"key": ""},
    "TO_MOVE": {"account": "main", "now": NOW, "many": 50, "rank": -9, "key": 0},
    "RESTLESS": {"account": "main", "after": NOW + 60_000},
    "ORDERS_IN": {"state": "sending"},
    "CALLING": {},
    "NEXT_POLL": {"account": "main"},
    "NEXT_EXPIRY": {},
    "NEXT_EXPIRY_MERGED": {"kind": ""},
    "EXPIRED_MERGED": {"now": NOW, "many": 100, "kind": ""},
    "OPEN_SINCE": {"before": NOW - HOUR, "many": 100},
    "NEXT_WARNING": {},
    "EXPIRED": {"now": NOW, "many": 100},
    "TO_WARN": {"now": NOW, "many": 100},
    "OLDEST": {"state": "unsure"},
    "OLDEST_ORDER": {"source": "watch", "state": "sending"},
    "SCENE_MERGED": {"ids": [3, 4, 5]},
    "SCENE_ORDERS": {"ids": [3, 4, 5]},
    "SCENE_MAILS": {"ids": [3, 4, 5]},
    "SCENE_RECIPIENTS": {"ids": [3, 4, 5]},
    "ORDERS_BY_ID": {"ids": [3, 4, 5]},
    "CONTENTS": {"ids": [3, 4, 5]},
    "PHONES": {"targets": ["+7999000000007"]},
}


ORDER = {
    "account": "main", "channel": "sms", "state": "waiting", "created_at": NOW, "start_at": NOW,
    "due_at": NOW - 1, "expire_at": NOW + HOUR, "warn_at": NOW + HOUR,
}  # fmt: skip


def filled(path: Path, depth: int) -> sqlite3.Connection:
    """A database with so many waiting orders of as many mails."""
    connection = opening.opened(path)
    connection.execute("BEGIN")
    rows = [
        schema.row(
            schema.orders, id=n, mail_id=n, recipient_id=n, content_id=n, target=f"+7999{n:09d}",
            digest=str(n), says=str(n), rank=-(n % 3), **ORDER | {"due_at": NOW - n % 7},
        )
        for n in range(1, depth + 1)
    ]  # fmt: skip
    names = list(rows[0])
    into = f"INSERT INTO orders ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    connection.executemany(into, [tuple(row.values()) for row in rows])
    mails = [tuple(schema.row(schema.mail, id=n).values()) for n in range(1, depth + 1)]
    connection.executemany(f"INSERT INTO mail VALUES ({', '.join('?' * len(mails[0]))})", mails)
    connection.execute("COMMIT")
    return connection


def steps(connection: sqlite3.Connection, name: str) -> int:
    """How many hundreds of its steps SQLite takes for a statement."""
    text, parameters = Compiled().other(getattr(sql, name), ASKED[name])
    taken = 0

    def one() -> int:
        nonlocal taken
        taken += 1
        return 0

    connection.set_progress_handler(one, 100)
    connection.execute(text, parameters).fetchall()
    connection.set_progress_handler(None, 0)
    return taken


ALIKE = {
    "due": "SELECT 1",
    "asleep": f"UPDATE orders SET due_at = {NOW + HOUR}, asleep = 1",
    "expired": f"UPDATE orders SET expire_at = {NOW - HOUR}",
    "to one phone": "UPDATE orders SET target = '+7999000000007'",
    "for any account": "UPDATE orders SET accounts = '[]'",
    "held": "UPDATE orders SET state = 'held', cap = 'day sender a'",
    "sent": f"UPDATE orders SET state = 'sent', sent_at = {NOW}, poll_at = {NOW + HOUR}, warn_at = NULL",
    "merged": "UPDATE orders SET state = 'merged', merged_into = 1, kind = 'accepted', warn_at = NULL",
    "done": f"UPDATE orders SET state = 'delivered', sent_at = {NOW}, finished_at = {NOW}, warn_at = NULL",
}
"""What all orders of a queue have in common, beside each of them being another's."""


@pytest.fixture(scope="module")
def depths(tmp_path_factory):
    """A shallow queue and a deep one."""
    folder = tmp_path_factory.mktemp("depths")
    pair = [filled(folder / f"{depth}.db", depth) for depth in (SHALLOW, DEEP)]
    yield pair
    for each in pair:
        each.close()


@pytest.fixture(scope="module", params=sorted(ALIKE))
def queues(request, depths):
    """Both, while all of their orders are alike."""
    for each in depths:
        each.execute("BEGIN")
        each.execute(ALIKE[request.param])
    yield depths
    for each in depths:
        each.execute("ROLLBACK")


@pytest.mark.parametrize("name", sorted(ASKED))
def test_depth_costs_nothing(name, queues):
    """Ten times as many orders, at most a fifth more work."""
    shallow, deep = (steps(each, name) for each in queues)
    assert deep <= 1.2 * shallow + 1


NODES = {"of": 2, "number": 0, "late": NOW - 5000}
PARTS = ("DUE", "DUE_REQUESTS", "DUE_POLLS", "LAPSED")
ON_NODES = {name: getattr(sql, name) for name in ASKED} | {
    f"parts.{name}": getattr(parts, name) for name in PARTS
}


def given(name):
    """What a statement is asked with."""
    return (
        ASKED[name.removeprefix("parts.")] | NODES if name != "parts.LAPSED" else {"before": NOW, "many": 9}
    )


@pytest.mark.asyncio
async def test_postgresql_reads_no_table(database):
    """It has indexes for everything that nodes ask all the time, and its planner takes them."""
    connection = await asyncpg.connect(database)
    for table, common in ((schema.orders, ORDER), (schema.mail, {})):
        row = {name: _literal(value) for name, value in schema.row(table, **common).items()} | {"id": "n"}
        if table is schema.orders:
            row |= dict.fromkeys(("mail_id", "recipient_id", "content_id"), "n")
            row |= {"target": "'+7999' || lpad(n::text, 9, '0')", "rank": "-(n % 3)"}
        await connection.execute(
            f"INSERT INTO {table.name} ({', '.join(row)}) "
            f"SELECT {', '.join(row.values())} FROM generate_series(1, {2 * DEEP}) AS n"
        )
        await connection.execute(f"ANALYZE {table.name}")
    read = {}
    for name, statement in ON_NODES.items():
        text, values = dialect.Compiled().other(statement, given(name))
        plan = [row[0] for row in await connection.fetch(f"EXPLAIN {text}", *values)]
        whole = [line.strip() for line in plan if "Seq Scan on orders" in line or "Seq Scan on mail" in line]
        if whole:
            read[name] = whole
    await connection.close()
    assert {} == read


def _literal(value):
    if value is None:
        return "NULL"
    return "''::bytea" if isinstance(value, bytes) else f"'{value}'" if isinstance(value, str) else str(value)
