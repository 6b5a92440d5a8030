"""What nodes that share a database know of each other: rows, and the statements about them.

Only a database that several nodes may share has these tables. Every time in them is the
database's own, read in the very statement: the nodes' clocks are never held against each other.

A slot is a row, and one node's at a time. Its node says again and again that it lives; where it
does not, the slot is lapsed, and somebody else's only after PATIENCE more, when any call that was
begun under it has ended. One node leads: it does the chores that need be done once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, select
from sqlalchemy.dialects import postgresql

from relay.model import DAY, SECOND
from relay.queue.engine import Row

LEASE = 15 * SECOND
"""How long a node lives, has its slots and leads after it last said so."""
PATIENCE = 35 * SECOND
"""How long a call may go on that was begun just before a lease ran out: a read's timeout, and some."""

metadata = MetaData()

_TEXT = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def _int(name: str, *, key: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, autoincrement=False, nullable=False, server_default="0")


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, _TEXT, primary_key=key, nullable=False, server_default="")


# fmt: off
node = Table(                     # a process that works, or lately did
    "node", metadata,
    _int("id", key=True), _text("name"), _text("part"), _text("version"), _int("started_at"),
    _int("seen_at"), _int("leads_until"), _int("in_flight"),
)
slot = Table(                     # the right to one call at a time to an account
    "slot", metadata,
    _text("account", key=True), _int("n", key=True),
    _int("node"),                 # who has it; 0 is nobody
    _int("until"),                # and for how long
)
batch = Table(                    # a node's last transaction: whether one landed whose answer was lost
    "batch", metadata,
    _int("node", key=True), _int("n"),
)
refusal = Table(                  # the provider refused a sender's orders: who is slowed
    "refusal", metadata,
    _text("account", key=True), _text("sender", key=True), _int("node", key=True), _int("at", key=True),
    _int("n"),
)
cap = Table(                      # how often somebody decided upon what counts towards a cap
    "cap", metadata,
    _text("name", key=True), _int("version"), _int("at"),
)
# fmt: on

MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    5: (
        """CREATE TABLE cap (name TEXT COLLATE "C" DEFAULT '' NOT NULL, version BIGINT DEFAULT 0 NOT NULL,
            at BIGINT DEFAULT 0 NOT NULL, PRIMARY KEY (name))""",
    ),
}
"""What brings these tables to a version of the schema, beside what `migrations` has."""

INDEXES = ("CREATE INDEX orders_leased ON orders (lease_until) WHERE lease_until IS NOT NULL",)
"""Indexes that only several nodes need."""

NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
"""The database's time, UTC milliseconds."""

DECIDED_UPON = select(cap.c.name, cap.c.version).where(cap.c.name.in_(bindparam("names", expanding=True)))
COUNT = f"""
    INSERT INTO cap (name, version, at)
    SELECT name, version + 1, {NOW} FROM unnest($1::text[], $2::bigint[]) AS read (name, version)
    ORDER BY name
    ON CONFLICT (name) DO UPDATE SET version = excluded.version, at = excluded.at
    WHERE cap.version = excluded.version - 1
    RETURNING name"""
"""Those of the caps that nobody has decided upon since these versions of them were read; others wait."""
_CAP_KEPT = 40 * DAY

_INTRODUCE = "UPDATE node SET name = $2, part = $3, version = $4 WHERE id = $1"
_BEAT = f"""
    INSERT INTO node (id, name, part, version, started_at, seen_at, in_flight)
    VALUES ($1, $2, $3, $4, {NOW}, {NOW}, $5)
    ON CONFLICT (id) DO UPDATE SET seen_at = {NOW}, in_flight = $5"""
_LEAD = f"""
    UPDATE node SET leads_until = {NOW} + $2::bigint WHERE id = $1 AND NOT EXISTS (
        SELECT FROM node AS other WHERE other.id <> $1 AND other.leads_until > {NOW})
    RETURNING id"""
_ELECTION = "SELECT pg_advisory_xact_lock(7563299046201113729)"
_ALL = f"""
    SELECT id, name, part, version, started_at, seen_at, in_flight,
        leads_until > {NOW} AS leads, seen_at > {NOW} - $1::bigint AS lives FROM node ORDER BY id"""
_MAKE_SLOTS = """
    INSERT INTO slot (account, n) SELECT $1, generate_series(0, $2 - 1) ON CONFLICT DO NOTHING"""
_TAKE = f"""
    UPDATE slot SET node = $1, until = {NOW} + $4::bigint WHERE (account, n) IN (
        SELECT account, n FROM slot WHERE account = $2 AND n = ANY($3::bigint[])
            AND (node IN (0, $1) OR until < {NOW} - $5::bigint)
        ORDER BY n FOR UPDATE SKIP LOCKED)
    RETURNING n"""
_LEAVE = "UPDATE slot SET node = 0 WHERE node = $1 AND account = $2 AND n = ANY($3::bigint[])"
_REFUSED = f"""
    INSERT INTO refusal (account, sender, node, at, n) VALUES ($2, $3, $1, {NOW}, $4)
    ON CONFLICT (account, sender, node, at) DO UPDATE SET n = refusal.n + $4"""
_REFUSALS = f"""
    SELECT account, sender, at, n FROM refusal WHERE node <> $1 AND at > {NOW} - 60000"""
_END = (
    "UPDATE slot SET node = 0 WHERE node = $1",
    "DELETE FROM node WHERE id = $1",
    "DELETE FROM refusal WHERE node = $1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A process that shares the queue."""

    id: int
    name: str
    part: str  # the one part of the relay that it runs, or "" for all
    version: str
    started_at: int
    seen_at: int
    in_flight: int
    leads: bool
    lives: bool

    @property
    def delivers(self) -> bool:
        """Whether it makes calls."""
        return self.lives and self.part in ("", "delivery")


class Shared(Protocol):
    """What is needed of an engine that several nodes share."""

    @property
    def node(self) -> int:
        """The number that tells this process from all others."""
        ...

    async def check_usable(self) -> None:
        """Raises engine.TooOld where only newer programs may use the database."""
        ...

    async def rows(self, sql: str, *values: object, first: str = "") -> list[Row]:
        """What a statement returns, after another in the same transaction."""
        ...


class Nodes:
    """This node's rows among the others'."""

    def __init__(self, engine: Shared, *, name: str, part: str, version: str) -> None:
        self._engine = engine
        self._me = (name, part, version)
        self.id = engine.node

    async def introduce(self) -> None:
        """Say who this is."""
        await self._engine.rows(_INTRODUCE, self.id, *self._me)

    async def check_usable(self) -> None:
        """Raises engine.TooOld where a newer program has changed the schema since this one started."""
        await self._engine.check_usable()

    async def beat(self, in_flight: int) -> list[Node]:
        """Say that this node lives; all nodes that do or lately did."""
        await self._engine.rows(_BEAT, self.id, *self._me, in_flight)
        return await self.all()

    async def all(self) -> list[Node]:
        """All nodes that live or lately did."""
        return [Node(**row) for row in await self._engine.rows(_ALL, LEASE)]

    async def lead(self) -> bool:
        """Lead, or go on leading, unless another node does."""
        return bool(await self._engine.rows(_LEAD, self.id, LEASE, first=_ELECTION))

    async def make_slots(self, account: str, most: int) -> None:
        """See to it that the account has rows for all its slots."""
        await self._engine.rows(_MAKE_SLOTS, account, most)

    async def take(self, account: str, numbers: Collection[int]) -> set[int]:
        """Take or keep these slots; those that are this node's now."""
        rows = await self._engine.rows(_TAKE, self.id, account, sorted(numbers), LEASE, PATIENCE)
        return {row["n"] for row in rows}

    async def leave(self, account: str, numbers: Collection[int]) -> None:
        """Give these slots up."""
        await self._engine.rows(_LEAVE, self.id, account, sorted(numbers))

    async def refused(self, account: str, refusals: Mapping[str, int]) -> None:
        """The provider refused so many orders of these senders just now."""
        for sender, count in refusals.items():
            await self._engine.rows(_REFUSED, self.id, account, sender, count)

    async def refusals(self) -> Sequence[Row]:
        """What others were refused in the last minute."""
        return await self._engine.rows(_REFUSALS, self.id)

    async def sweep(self) -> None:
        """Forget refusals and decisions that count no more."""
        await self._engine.rows(f"DELETE FROM refusal WHERE at < {NOW} - 600000")
        await self._engine.rows(f"DELETE FROM cap WHERE at < {NOW} - {_CAP_KEPT}")

    async def end(self, node: int) -> None:
        """A node has ended, and nothing of it is under way: its slots are free."""
        for statement in _END:
            await self._engine.rows(statement, node)
