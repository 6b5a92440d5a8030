"""The PostgreSQL engine and several hosts: who is asked, and what a commit is worth that no standby has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from changes import line, written
from postgres import MISSING, Server

from relay.queue import joining
from relay.queue.engine import Trouble
from relay.queue.joining import Url
from relay.queue.lines import Line
from relay.queue.postgres import Postgres

_NAMES = "SELECT current_setting('synchronous_standby_names') AS names"


def behind(first: Path, database: str) -> str:
    """The URL of a database whose first host is this folder."""
    name, _, rest = database.partition("?host=")
    folder, _, port = rest.partition("&port=")
    return f"{name}?host={first},{folder}&port={port}&target_session_attrs=read-write"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u:p@a:1,b/d", ["postgresql://u:p@a:1/d", "postgresql://u:p@b/d"]),
        ("postgresql://u@[::1]:1,a:2/d", ["postgresql://u@[::1]:1/d", "postgresql://u@a:2/d"]),
        ("postgresql://u@/d?host=a,b&port=1,2", ["postgresql://u@/d?host=a&port=1", "postgresql://u@/d?host=b&port=2"]),
        ("postgresql://u@/d?host=a,b&port=7", ["postgresql://u@/d?host=a&port=7", "postgresql://u@/d?host=b&port=7"]),
        ("postgresql://u@/d?host=a,b", ["postgresql://u@/d?host=a", "postgresql://u@/d?host=b"]),
        ("postgresql://u@/d?host=a,b&port=1,2,3", ["postgresql://u@/d?host=a%2Cb&port=1%2C2%2C3"]),
    ],
)  # fmt: skip
def test_each_host_of_a_url(url, hosts, monkeypatch):
    """A URL of several hosts becomes one for each, with its own port; what can't be paired is left whole."""
    monkeypatch.delenv("PGPORT", raising=False)
    asked = "target_session_attrs=read-write"
    assert [f"{each}{'&' if '?' in each else '?'}{asked}" for each in hosts] == Url(url).dsns


@pytest.mark.asyncio
async def test_the_first_host_is_dead(database, tmp_path):
    """Of several hosts the one that answers is used."""
    engine = Postgres(behind(tmp_path, database))
    await engine.open()
    await engine.write(line(1))
    assert [1] == await written(engine)
    await engine.close()


class Silent:
    """A host that takes connections, and says nothing until it wakes."""

    def __init__(self, folder: Path, database: str) -> None:
        self.path = str(folder / ".s.PGSQL.5432")
        self.target = database.partition("?host=")[2].partition("&port=")[0] + "/.s.PGSQL.5432"
        self.wakes = asyncio.Event()
        self.asked = asyncio.Event()
        self.times = 0
        self.lines: set[asyncio.Task[None]] = set()

    async def line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one."""
        self.lines.add(asyncio.current_task())
        self.times += 1
        self.asked.set()
        try:
            await self.wakes.wait()
            from_, to = await asyncio.open_unix_connection(self.target)
            try:
                await asyncio.gather(_carried(reader, to), _carried(from_, writer))
            finally:
                to.close()
        finally:
            writer.close()


async def _carried(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while octets := await reader.read(65536):
            writer.write(octets)
    writer.close()


@contextlib.asynccontextmanager
async def silent(folder: Path, database: str) -> AsyncIterator[Silent]:
    """One for as long as the block."""
    host = Silent(folder, database)
    server = await asyncio.start_unix_server(host.line, host.path)
    yield host
    server.close()
    for each in host.lines:
        each.cancel()
    await asyncio.gather(*host.lines, return_exceptions=True)


@pytest.mark.asyncio
async def test_the_first_host_says_nothing(database, tmp_path, monkeypatch):
    """A host that stands still costs its own time only, and none once another has taken writes."""
    monkeypatch.setattr(joining, "CONNECT", 0.5)
    engine = Postgres(behind(tmp_path, database))
    async with silent(tmp_path, database) as host:
        await engine.open()
        await engine.write(line(1))
        assert [1] == await written(engine)
        assert 1 == host.times
        await engine.close()


@pytest.mark.asyncio
async def test_a_host_that_wakes_is_late(database, tmp_path):
    """Who waited for a host while another was found to take writes goes there, though the first wakes."""
    url = Url(behind(tmp_path, database))
    first, second = url.dsns
    async with silent(tmp_path, database) as host:
        line = Line(url)
        waiting = asyncio.create_task(line.ready())
        await host.asked.wait()
        url.found(second)
        host.wakes.set()
        there = await waiting
        assert [second, first] == url.dsns
        assert there is await line.ready()
        url.found(first)
        assert there is not await line.ready()
        assert there.is_closed()
        url.silent(first)
        assert [second, first] == url.dsns
        line.drop()


@pytest.mark.asyncio
async def test_a_line_that_is_made_while_the_store_closes(database, tmp_path):
    """Who asked is told that the store is closed, and the line is let go of."""
    engine = Postgres(database)
    await engine.open()
    async with silent(tmp_path, database) as host:
        engine.url.dsns[:] = Url(behind(tmp_path, database)).dsns[:1]
        engine.url.writes = ""
        reading = asyncio.create_task(written(engine))
        await host.asked.wait()
        await engine.close()
        host.wakes.set()
        with pytest.raises(Trouble, match="the store is closed"):
            await reading
        done, _ = await asyncio.wait(host.lines, timeout=20)
        assert host.lines == done


async def waits_for(server: Server, engine: Postgres, names: str) -> None:
    """Have commits wait for these standbys."""
    server.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    server.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(20):
        while [names] != [each["names"] for each in await engine.rows(_NAMES)]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def cancelled(url: str) -> None:
    """Cancel whatever waits for a standby, as people do who find it hanging."""
    connection = await asyncpg.connect(url)
    try:
        while True:
            await connection.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            )
            await asyncio.sleep(0.02)
    finally:
        connection.terminate()


@pytest.mark.asyncio
async def test_commit_that_no_standby_has(monkeypatch):
    """A commit that ceased to wait for the standby is none yet: who asked is told so, and comes again.

    To the server it is done: a warning is all that it says, and it says the same to whoever asks.
    """
    if MISSING:
        pytest.skip(MISSING)
    server = await asyncio.to_thread(lambda: Server().make().start().with_template())
    engine = Postgres(server.url("template"), patience=1.0, doubt=1.0)
    try:
        await engine.open()
        await waits_for(server, engine, "nobody")
        cancelling = asyncio.create_task(cancelled(server.url("postgres")))
        with pytest.raises(Trouble, match="is not known"):
            await engine.write(line(1, once=("key", 11, 1000)))
        cancelling.cancel()
        await asyncio.gather(cancelling, return_exceptions=True)
        with monkeypatch.context() as patch:
            patch.setattr(joining, "ANSWER", 0.3)
            engine._writer.line.drop()  # the next one has this time for an answer
            with pytest.raises(Trouble, match="is not known"):
                await engine.write(line(2, once=("other", 12, 1000)))
        await waits_for(server, engine, "")
        assert 11 == await engine.write(line(3, once=("key", 13, 2000)))
        assert 12 == await engine.write(line(4, once=("other", 14, 2000)))
        assert [1, 2] == await written(engine)
    finally:
        await engine.close()
        await asyncio.to_thread(server.remove)
