"""Connections to PostgreSQL, and what their errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from relay.queue import joining
from relay.queue.engine import Full, Stale, Trouble
from relay.queue.joining import Connection, Url

try:
    import asyncpg
except ModuleNotFoundError:  # the extra is not installed
    asyncpg = None

_log = logging.getLogger("relay.queue")

_AGAIN = ("40001", "40P01", "55P03")  # serialization failure, deadlock, a lock that was not to be had
_LOST = ("08", "57P", "25006", "25P03", "53300")  # no connection, a shutdown, a standby, too many clients

_POOLED = "behind a pooler the URL needs statement_cache_size=0"

_FIRST = ("phone_pkey", "account_pkey", "heard_pkey", "incoming_mark")
"""What two may write for the first time at once: a phone was spoken to, a message was heard."""


class Line:
    """One connection, made when it is needed and anew when it broke.

    It is made anew, too, where another line to the same database has found that another host takes writes.
    """

    def __init__(self, url: Url) -> None:
        self._url = url
        self._host = ""
        self._connection: Connection = None

    async def ready(self) -> Connection:
        if self._url.writes not in ("", self._host):
            self.drop()
        if self._connection is None or self._connection.is_closed():
            making = asyncio.ensure_future(joining.connected(self._url))
            try:
                self._connection, self._host = await asyncio.shield(making)
            except asyncio.CancelledError:  # the driver lets go of none that it has half made
                with contextlib.suppress(Exception):
                    (await making)[0].terminate()
                raise
        return self._connection

    def drop(self, error: Exception | None = None) -> None:
        """Let go of it, because of an error where there was one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
            if isinstance(error, TimeoutError):
                self._url.silent(self._host)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=2)
            except Exception:  # noqa: BLE001 - it is let go of, whatever state it is in
                connection.terminate()


async def alone(url: Url, connection: Connection, how: str, sql: str, *values: Any) -> Any:
    """Run one statement; behind a pooler its parts stay together in a transaction only."""
    if not url.pooled:
        return await getattr(connection, how)(sql, *values)
    async with connection.transaction():
        return await getattr(connection, how)(sql, *values)


async def committed(connection: Connection) -> None:
    """Commit; raises Trouble where the server says that it is done, and warns of it.

    So it does where it was told to wait no longer for a standby that is to have all that is answered.
    """
    warned: list[str] = []

    def hear(_connection: Connection, message: Any) -> None:
        if not _state(message).startswith("00"):
            warned.append(str(message.message))

    connection.add_log_listener(hear)
    try:
        await connection.execute("COMMIT")
    finally:
        connection.remove_log_listener(hear)
    if warned:
        raise Trouble(warned[0])


def count(status: str) -> int:
    """How many rows a statement met, by what the server says of it: `UPDATE 3`."""
    return int(status.rpartition(" ")[2])


def _state(error: object) -> str:
    return getattr(error, "sqlstate", None) or ""


def is_lost(error: Exception) -> bool:
    """Whether there is no connection any more, or none that may write."""
    if isinstance(error, OSError | TimeoutError | asyncpg.InternalClientError):
        return True
    if isinstance(error, asyncpg.PostgresError):
        return _state(error).startswith(_LOST)
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)


def passes(error: Exception) -> bool:
    """Whether the same may well work a moment later."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return True  # a newer program has just changed a table
    return is_lost(error) or _state(error) in _AGAIN


def reason(error: Exception) -> str:
    """What went wrong, without any value that was to be stored."""
    if isinstance(error, Trouble):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, asyncpg.PostgresError) and error.args and not _state(error).startswith("22"):
        said = str(error.args[0])
        return f"{said}: {_POOLED}" if "startup parameter" in said else said
    if isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError) and error.args:
        return str(error.args[0])
    return type(error).__name__


def translated(error: Exception) -> Exception:
    """What an error of the driver or the server means to who asked."""
    if isinstance(error, Trouble):
        return error
    if getattr(error, "constraint_name", "") in _FIRST:
        return Stale("another was first meanwhile")
    if _state(error) == "53100":
        return Full("no room on the disk")
    if isinstance(error, asyncpg.PostgresError) and not _state(error).startswith("22"):
        return Trouble(reason(error))
    if not isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        _log.error("the store failed", exc_info=error)
    return Trouble(f"{type(error).__name__} in the store")


def shown(url: str) -> str:
    """A database's URL as people may see it: without the password."""
    return Url(url).shown


async def tried(url: str) -> str:
    """Connect to a database and let go of it, changing nothing; what it is. Raises Trouble."""
    needed()
    line = Line(Url(url))
    try:
        connection = await line.ready()
        found = await joining.version(connection)
        if not found:
            await joining.check_creatable(connection)
            return f"{shown(url)} (its tables are made at the first start)"
        await joining.check_usable(connection)
        return shown(url)
    except Trouble:
        raise
    except Exception as error:
        raise Trouble(reason(error)) from error
    finally:
        await line.close()


def needed() -> None:
    """Raises Trouble where the driver is not installed."""
    if asyncpg is None:
        raise Trouble("asyncpg is needed for PostgreSQL: install smsc-relay[postgres]")
