"""A database file is locked, opened and brought to this program's schema.

One process at a time: the lock file beside the database is held for as long as it lives.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from relay.queue import schema
from relay.queue.engine import InUse, Trouble
from relay.queue.migrations import MIGRATIONS

_DIALECT = sqlite.dialect(paramstyle="named")


def locked(path: Path) -> int:
    """Hold the lock file beside the database for as long as the process lives."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise InUse(f"{path} is in use by another smsc-relay") from None
    except OSError:
        os.close(lock)
        raise
    return lock


def opened(path: Path) -> sqlite3.Connection:
    """The connection: WAL, every commit on disk before it is answered, the schema up to date."""
    new = not path.exists()
    if new:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.execute("PRAGMA busy_timeout = 10000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten, not just unlinked
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -16384")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to this program's schema; refuse one that only newer programs may use."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            _create(connection)
        elif found > schema.VERSION:
            _check_usable(connection, found)
        else:
            _forward(connection, found)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _check_usable(connection: sqlite3.Connection, found: int) -> None:
    oldest = connection.execute("SELECT value FROM meta WHERE key = 'oldest'").fetchone()
    if oldest is None or int(oldest[0]) > schema.VERSION:
        known = schema.VERSION
        raise Trouble(f"the database has schema {found}, this program knows {known}: use a newer smsc-relay")


def _forward(connection: sqlite3.Connection, found: int) -> None:
    for version in range(found + 1, schema.VERSION + 1):
        for statement in MIGRATIONS[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("UPDATE meta SET value = ? WHERE key = 'oldest'", (str(schema.OLDEST),))


def _create(connection: sqlite3.Connection) -> None:
    for table in schema.metadata.sorted_tables:
        connection.execute(str(CreateTable(table).compile(dialect=_DIALECT)))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            connection.execute(str(CreateIndex(index).compile(dialect=_DIALECT)))
    connection.execute("INSERT INTO meta (key, value) VALUES ('oldest', ?)", (str(schema.OLDEST),))
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")
