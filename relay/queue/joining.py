"""A PostgreSQL database is connected to and brought to this program's schema.

Several programs may start at once, of one version or of two: one of them migrates, under a lock
that ends with its transaction, and the others find the work done. The schema names the oldest
program that may use it; an older one does not start.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from sqlalchemy.schema import CreateIndex, CreateTable

from relay.queue import nodes, schema
from relay.queue.dialect import DIALECT
from relay.queue.engine import TooOld, Trouble
from relay.queue.migrations import MIGRATIONS
from relay.queue.nodes import NOW

try:
    import asyncpg
except ModuleNotFoundError:  # the extra is not installed
    asyncpg = None

CONNECT = 5.0
"""Seconds that a connection may take to be made."""
ANSWER = 20.0
"""Seconds that a statement may take to be answered."""
MIGRATION = 3600.0
"""The same where tables are changed: an index of a table with the mail of years takes its time."""
_TRIES = 5
_NODES = 1024
_GONE = 86_400_000  # after so long unseen, in milliseconds, a node's number may be given to another
_LOCK = 7_563_299_046_201_113_728  # any number, as long as nobody else's program has it
_TUNED = ("orders", "request", "notice", "phone", "recipient")
"""Tables whose rows change all the time: they are vacuumed before they have grown by much."""

Connection = Any
"""What asyncpg connects with; it may not be installed."""


class Url:
    """A database's URL: what the driver is given, what people are shown, what it says of poolers.

    `statement_cache_size=0`, a parameter of ours as others write it, says that a pooler stands
    between, so that nothing of a session outlives a transaction.

    `dsns` are what the driver is given, one for each host, in the order in which they are tried; `writes` is
    the one that takes writes as far as any line knows, or "".
    """

    def __init__(self, text: str) -> None:
        parts = urlsplit(text)
        query = dict(parse_qsl(parts.query))
        self.pooled = query.pop("statement_cache_size", "") == "0"
        self.listen = query.pop("listen", "")
        query.setdefault("target_session_attrs", "read-write")
        self.dsns = _each(parts, query)
        self.writes = ""
        user, _, hosts = parts.netloc.rpartition("@")
        name = user.partition(":")[0]
        netloc = f"{name}@{hosts}" if name else hosts
        self.shown = urlunsplit(parts._replace(netloc=netloc, query="", scheme="postgresql"))

    def found(self, dsn: str) -> None:
        """It takes writes: it is asked first, and all lines go there."""
        self.writes = dsn
        self.dsns.sort(key=lambda each: each != dsn)

    def silent(self, dsn: str) -> None:
        """It did not answer in time: others are asked first, in case that one of them has taken over."""
        self.writes = "" if self.writes == dsn else self.writes
        self.dsns.sort(key=lambda each: each == dsn)


def _each(parts: SplitResult, query: Mapping[str, str]) -> list[str]:
    """For each host a DSN of its own: the driver has one time for all that stand in one."""
    user, at, named = parts.netloc.rpartition("@")
    hosts = query.get("host", "").split(",")
    ports = (query.get("port") or os.environ.get("PGPORT", "")).split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    if named:
        each = [(f"{user}{at}{host}", query) for host in named.split(",")]
    elif len(hosts) == len(ports):
        places = ({"host": host, "port": port} for host, port in zip(hosts, ports, strict=True))
        each = [(parts.netloc, {**query, **place}) for place in places]
    else:  # the driver says what is wrong
        each = [(parts.netloc, query)]
    return [
        urlunsplit(parts._replace(netloc=netloc, query=urlencode({k: v for k, v in said.items() if v})))
        for netloc, said in each
    ]


async def connected(url: Url) -> tuple[Connection, str]:
    """A connection that may write, and to which of the hosts; raises what asyncpg or the system raises.

    Each host has its own time: one that takes connections and says nothing keeps nobody from the next. Who
    found another meanwhile is right: a server that wakes after its standby took over takes writes, too.
    """
    failures: list[Exception] = []
    for dsn in list(url.dsns):
        try:
            connection = await _connected(dsn, pooled=url.pooled)
        except (
            OSError,  # no answer in time, too
            asyncpg.CannotConnectNowError,
            asyncpg.PostgresConnectionError,
            asyncpg.TargetServerAttributeNotMatched,
        ) as error:
            failures.append(error)
            url.writes = "" if url.writes == dsn else url.writes
        else:
            if url.writes in ("", dsn):
                url.found(dsn)
                return connection, dsn
            connection.terminate()
            return await connected(url)
    raise failures[-1]


async def _connected(dsn: str, *, pooled: bool) -> Connection:
    settings = {} if pooled else {"plan_cache_mode": "force_custom_plan", "jit": "off"}
    return await asyncpg.connect(
        dsn,
        timeout=CONNECT,
        command_timeout=ANSWER,
        statement_cache_size=0 if pooled else 256,
        server_settings={"application_name": "smsc-relay", **settings},
    )


async def migrate(connection: Connection) -> None:
    """Bring the database to this program's schema; refuse one that only newer programs may use."""
    tries = 1
    while True:
        try:
            await _migrate(connection)
        except asyncpg.DeadlockDetectedError:  # with a node that works meanwhile
            if tries == _TRIES:
                raise
            tries += 1
        else:
            return


async def _migrate(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})", timeout=MIGRATION)
        found = await version(connection)
        if found == 0:
            await _create(connection)
        elif found < schema.VERSION:
            await _forward(connection, found)
        await check_usable(connection)


async def version(connection: Connection) -> int:
    """The schema's version; 0 where there is none."""
    if await connection.fetchval("SELECT to_regclass('meta')") is None:
        return 0
    return int(await connection.fetchval("SELECT value FROM meta WHERE key = 'version'") or 0)


async def check_usable(connection: Connection) -> None:
    """Raises TooOld where this program is too old for the database."""
    rows = dict(await connection.fetch("SELECT key, value FROM meta WHERE key IN ('version', 'oldest')"))
    if int(rows.get("oldest", 1 << 30)) > schema.VERSION:
        found, known = rows.get("version", "unknown"), schema.VERSION
        raise TooOld(f"the database has schema {found}, this program knows {known}: use a newer smsc-relay")


async def check_creatable(connection: Connection) -> None:
    """Raises Trouble where this user may not make tables."""
    if not await connection.fetchval("SELECT has_schema_privilege(current_schema(), 'CREATE')"):
        raise Trouble("its user may not make tables there")


async def _forward(connection: Connection, found: int) -> None:
    """All tables are taken before the first is changed: whoever writes waits for nothing half done."""
    known = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    ours = sorted({row["tablename"] for row in known} & schema.metadata.tables.keys() - {"meta"})
    await connection.execute(f"LOCK TABLE {', '.join(ours)}", timeout=MIGRATION)
    for step in range(found + 1, schema.VERSION + 1):
        for statement in (*MIGRATIONS[step], *nodes.MIGRATIONS.get(step, ())):
            await connection.execute(statement, timeout=MIGRATION)
    await _write_down(connection)


async def _create(connection: Connection) -> None:
    for table in (*schema.metadata.sorted_tables, *nodes.metadata.sorted_tables):
        await connection.execute(str(CreateTable(table).compile(dialect=DIALECT)))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            await connection.execute(str(CreateIndex(index).compile(dialect=DIALECT)))
    for name in _TUNED:
        await connection.execute(
            f"ALTER TABLE {name} SET (autovacuum_vacuum_scale_factor = 0.02, "
            f"autovacuum_analyze_scale_factor = 0.02)"
        )
    for statement in nodes.INDEXES:
        await connection.execute(statement)
    await _write_down(connection)


async def _write_down(connection: Connection) -> None:
    for key, value in (("version", schema.VERSION), ("oldest", schema.OLDEST)):
        await connection.execute(
            "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2",
            key,
            str(value),
        )


async def numbered(connection: Connection) -> int:
    """A number from 1 to 1023 that no node has, with rows that keep it so."""
    await connection.execute(f"DELETE FROM node WHERE seen_at < {NOW} - {_GONE}")
    taken = {row["id"] for row in await connection.fetch("SELECT id FROM node")}
    free = [number for number in range(1, _NODES) if number not in taken]
    while free:
        number = free.pop(secrets.randbelow(len(free)))
        async with connection.transaction():
            new = await connection.execute(
                "INSERT INTO node (id, started_at, seen_at) "
                f"VALUES ($1, {NOW}, {NOW}) ON CONFLICT DO NOTHING",
                number,
            )
            if new != "INSERT 0 0":
                await connection.execute("DELETE FROM batch WHERE node = $1", number)
                await connection.execute("INSERT INTO batch (node, n) VALUES ($1, 0)", number)
                return number
    raise Trouble("there are more than 1023 nodes")
