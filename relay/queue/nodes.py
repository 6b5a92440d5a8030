"""What nodes that share a database know of each other: rows, and the statements about them.

Only a database that several nodes may share has these tables. Every time in them is the
database's (`Postgres.moment`): the nodes' own clocks are never held against each other.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, MetaData, Table, Text
from sqlalchemy.dialects import postgresql

metadata = MetaData()

_TEXT = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def _int(name: str, *, key: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, autoincrement=False, nullable=False, server_default="0")


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, _TEXT, primary_key=key, nullable=False, server_default="")


# fmt: off
node = Table(                     # a process that works, or lately did
    "node", metadata,
    _int("id", key=True), _text("name"), _text("parts"), _text("version"), _int("started_at"),
    _int("seen_at"), _int("leads_until"), _int("in_flight"),
)
slot = Table(                     # one call at a time to an account, whichever node makes it
    "slot", metadata,
    _text("account", key=True), _int("n", key=True),
    _int("node"),                 # who has it; 0 is nobody
    _int("until"),                # and for how long; with PATIENCE more its last call has ended
)
batch = Table(                    # a node's last transaction: whether one landed whose answer was lost
    "batch", metadata,
    _int("node", key=True), _int("n"),
)
refusal = Table(                  # the provider refused a sender's orders: who is slowed
    "refusal", metadata,
    _int("id", key=True), _text("account"), _text("sender"), _int("at"), _int("node"),
)
# fmt: on

INDEXES = (
    "CREATE INDEX orders_leased ON orders (lease_until) WHERE lease_until IS NOT NULL",
    "CREATE INDEX refusal_at ON refusal (at)",
)
"""Indexes that only several nodes need."""
