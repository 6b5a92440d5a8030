"""The SQLite engine: on disk when it says so, one commit a batch, each change for itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio
from changes import ACCOUNT, FORGET, REPEATS, STORY, account, asked, line, results, written
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, column, delete, select, table

from relay.queue import schema
from relay.queue.engine import Change, Full, InUse, Stale, Trouble
from relay.queue.rows import Order
from relay.queue.sqlite import BATCH, SQLite


@pytest_asyncio.fixture
async def engine(sqlite):
    """The engine that these tests are about."""
    return sqlite


@contextlib.asynccontextmanager
async def one_batch(engine: SQLite, seen: Callable[[str], object] = lambda _: None):
    """Whatever is asked for inside the block is one batch: the writer stands still until its end.

    `seen` is told every statement that runs after it.
    """
    reached, go = threading.Event(), threading.Event()

    def hold(statement: str) -> None:
        if go.is_set():
            seen(statement)
        reached.set()
        go.wait(20)

    engine._connection.set_trace_callback(hold)
    first = asyncio.create_task(engine.write(Change()))
    assert await asyncio.to_thread(reached.wait, 20)
    try:
        yield
    finally:
        go.set()
        await first


# -- the file -----------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 10_000)]
)
async def test_settings(engine, pragma, value):
    """The connection writes ahead, waits for the disk at each commit, and waits for a lock."""
    assert value == engine._connection.execute(f"PRAGMA {pragma}").fetchone()[0]


@pytest.mark.asyncio
async def test_file_modes(path):
    """Texts and numbers are nobody else's to read, whatever the umask is."""
    mask = os.umask(0)
    try:
        engine = SQLite(str(path))
        await engine.write(line(1))
    finally:
        os.umask(mask)
    modes = {each.name: oct(stat.S_IMODE(each.stat().st_mode)) for each in path.parent.iterdir()}
    await engine.close()
    assert {f"relay.db{end}": "0o600" for end in ("", "-wal", "-shm", ".lock")} == modes


@pytest.mark.asyncio
async def test_folder_is_made(tmp_path):
    """A database in a folder that is not there yet makes the folder."""
    engine = SQLite(str(tmp_path / "var" / "lib" / "relay.db"))
    await engine.close()
    assert (tmp_path / "var" / "lib" / "relay.db").is_file()


@pytest.mark.asyncio
async def test_lock(path):
    """A second engine on the same file is refused until the first has closed, and finds what it wrote."""
    first = SQLite(str(path))
    await first.write(line(1))
    with pytest.raises(InUse, match=r"relay\.db is in use by another smsc-relay"):
        SQLite(str(path))
    await first.write(line(2))
    await first.close()
    second = SQLite(str(path))
    assert [1, 2] == await written(second)
    await second.close()


@pytest.mark.asyncio
async def test_lock_holds_between_processes(engine, path):
    """Another process is refused likewise."""
    code = "import sys; from relay.queue.sqlite import SQLite; SQLite(sys.argv[1])"
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert 1 == ran.returncode
    assert "InUse" in ran.stderr


@pytest.mark.asyncio
async def test_schema_is_made(engine):
    """A new database has all tables and indexes, its version, and the oldest program that may use it."""
    names = select(column("name")).select_from(table("sqlite_schema"))
    found = {row["name"] for row in await engine.read(names)}
    tables = schema.metadata.tables.values()
    assert found >= {each.name for each in tables} | {index.name for each in tables for index in each.indexes}
    assert schema.VERSION == engine._connection.execute("PRAGMA user_version").fetchone()[0]
    assert [{"key": "oldest", "value": str(schema.OLDEST)}] == await engine.read(select(schema.meta))


def indexes(engine):
    """All indexes by their names, with what each is of."""
    found = engine._connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql <> ''"
    )
    return {name: " ".join(sql.split()) for name, sql in found}


def columns(engine, table):
    """A table's columns, without their order: name, type, whether they may be null, default, key."""
    return sorted(tuple(row)[1:] for row in engine._connection.execute(f"PRAGMA table_info({table})"))


def newer(path, version, oldest):
    """Make the file one that a newer program has written."""
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {version}")
    raw.execute("DELETE FROM meta")
    if oldest is not None:
        raw.execute("INSERT INTO meta (key, value) VALUES ('oldest', ?)", (str(oldest),))
    raw.commit()
    raw.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("version", range(1, schema.VERSION))
async def test_older_schema_is_brought_forward(path, version):
    """A database of any older version gets the tables of a new one, and keeps its rows."""
    raw = sqlite3.connect(path)
    raw.executescript((Path(__file__).parent / "schemas" / f"{version}.sql").read_text())
    raw.close()
    old = SQLite(str(path))
    fresh = SQLite(str(path) + ".fresh")
    for name in schema.metadata.tables:
        assert columns(fresh, name) == columns(old, name)
    assert indexes(fresh) == indexes(old)
    (order,) = [Order.of(row) for row in await old.read(select(schema.orders))]
    assert ("+79991234567", "", "") == (order.target, order.alarm, order.label)
    assert ("", ("main",)) == (order.accounts, order.choice)
    assert ("", "", 0) == (order.mask, order.topic, order.digests)
    assert schema.VERSION == old._connection.execute("PRAGMA user_version").fetchone()[0]
    await old.close()
    await fresh.close()


@pytest.mark.asyncio
async def test_a_phone_that_two_accounts_spoke_to_becomes_one(path):
    """Up to version 2 each account had a row of its own: the one that spoke last is kept."""
    raw = sqlite3.connect(path)
    raw.executescript((Path(__file__).parent / "schemas" / "2.sql").read_text())
    for name, target, last in (
        ("a", "+1", 5),
        ("b", "+1", 9),
        ("a", "+2", 3),
        ("a", "+3", 4),
        ("b", "+3", 4),
    ):
        raw.execute(
            "INSERT INTO phone (account, target, last_at, version, chain, texts) VALUES (?, ?, ?, 2, 1, '')",
            (name, target, last),
        )
    raw.commit()
    raw.close()
    engine = SQLite(str(path))
    rows = await engine.read(select(schema.phone))
    await engine.close()
    assert {("", "+1", 9), ("", "+2", 3), ("", "+3", 4)} == {
        (row["account"], row["target"], row["last_at"]) for row in rows
    }
    assert 3 == len(rows)


@pytest.mark.asyncio
async def test_a_phone_that_somebody_spoke_to_first_is_stale(engine):
    """Two accounts' workers speak to a new phone at once: the second one reads again."""
    for expected in (None, Stale):
        change = Change()
        change.insert(schema.phone, account="", target="+1")
        if expected is None:
            await engine.write(change)
        else:
            with pytest.raises(Stale):
                await engine.write(change)


@pytest.mark.asyncio
@pytest.mark.parametrize("oldest", [schema.VERSION + 1, None])
async def test_newer_schema_is_refused(path, oldest):
    """A database that only newer programs may use is left alone, and not kept locked."""
    await SQLite(str(path)).close()
    newer(path, schema.VERSION + 8, oldest)
    for _ in range(2):  # twice: the lock was let go of
        with pytest.raises(Trouble, match=f"has schema {schema.VERSION + 8}.*use a newer") as caught:
            SQLite(str(path))
        assert not isinstance(caught.value, InUse)
    newer(path, schema.VERSION, schema.OLDEST)
    await SQLite(str(path)).close()


@pytest.mark.asyncio
async def test_newer_compatible_schema_is_used(path):
    """A newer database that allows this program is used as it is and keeps its version."""
    first = SQLite(str(path))
    await first.write(line(1))
    await first.close()
    newer(path, schema.VERSION + 1, schema.VERSION)
    second = SQLite(str(path))
    await second.write(line(2))
    assert [1, 2] == await written(second)
    assert schema.VERSION + 1 == second._connection.execute("PRAGMA user_version").fetchone()[0]
    await second.close()


@pytest.mark.asyncio
async def test_reopened_as_it_was(path):
    """Opening a database again changes nothing of it."""
    for number in range(3):
        engine = SQLite(str(path))
        await engine.write(line(number))
        assert list(range(number + 1)) == await written(engine)
        await engine.close()


@pytest.mark.parametrize("octets", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(1000)])
def test_other_files_are_refused(path, octets):
    """A file that is no database is left alone, and not kept locked."""
    path.write_bytes(octets)
    for _ in range(2):
        with pytest.raises(Trouble, match=r"cannot open .*relay\.db") as caught:
            SQLite(str(path))
        assert not isinstance(caught.value, InUse)
    assert octets == path.read_bytes()


def test_folder_in_its_place_is_refused(path):
    """A folder where the database should be is no database."""
    path.mkdir()
    with pytest.raises(Trouble, match="cannot open"):
        SQLite(str(path))


def test_half_made_database_is_refused_whole(path):
    """Where the tables can't all be made, none is."""
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE story (other TEXT)")
    raw.commit()
    with pytest.raises(Trouble, match="story already exists"):
        SQLite(str(path))
    assert [("story",)] == raw.execute("SELECT name FROM sqlite_schema").fetchall()
    raw.close()


def test_refused_database_is_closed(path):
    """A database that is refused leaves nothing open behind."""
    path.write_bytes(b"no database at all" * 100)
    with contextlib.suppress(Trouble):
        SQLite(str(path))
    gc.collect()
    assert [] == [name for name in open_files() if name.startswith(str(path))]


def open_files():
    """The names of this process's open files."""
    return [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]


# -- batches ------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_group_commit(engine):
    """What arrives while the writer is busy is one transaction, without a savepoint for each."""
    statements, before = [], engine.transactions
    async with one_batch(engine, statements.append):
        tasks = await asked(engine, *(line(number) for number in range(BATCH)))
    assert [None] * BATCH == await results(*tasks)
    assert list(range(BATCH)) == await written(engine)
    assert 2 == engine.transactions - before  # the one that stood still, and this one
    assert 0 == engine.replays
    assert 1 == statements.count("BEGIN IMMEDIATE")
    assert not [each for each in statements if "SAVEPOINT" in each]


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 3), st.sampled_from(["", "a", "b"])), max_size=14
    )
)
def test_a_batch_is_as_one_after_another(steps, tmp_path_factory):
    """Changes in one batch have the same answers and leave the same rows as changes one by one."""

    def changes():
        for number, (key, version, once) in enumerate(steps):
            change = line(key, 100 + number, once=(once, number, 0) if once else None)
            if version:
                change.update(schema.account, "main", version, probes=number)
            yield change

    async def state(engine):
        return await written(engine), await engine.read(REPEATS), await engine.read(ACCOUNT, name="main")

    async def run():
        folder = tmp_path_factory.mktemp("two")
        single, batch = SQLite(str(folder / "single.db")), SQLite(str(folder / "batch.db"))
        try:
            await single.write(account())
            await batch.write(account())
            wanted = [(await results(single.write(change)))[0] for change in changes()]
            async with one_batch(batch):
                tasks = await asked(batch, *changes())
            assert wanted == await results(*tasks)
            assert await state(single) == await state(batch)
        finally:
            await single.close()
            await batch.close()

    asyncio.run(run())


@pytest.mark.asyncio
async def test_once_survives(path):
    """A key is known after a restart, and forgotten when its row is deleted."""
    for number, wanted in ((1, None), (2, 1), (3, 1)):
        engine = SQLite(str(path))
        assert wanted == await engine.write(line(number, once=("key", number, 1000)))
        await engine.close()
    engine = SQLite(str(path))
    await engine.delete(delete(schema.repeat))
    assert None is await engine.write(line(4, once=("key", 4, 1000)))
    assert [1, 4] == await written(engine)
    await engine.close()


@pytest.mark.asyncio
async def test_reads_and_deletes_share_the_queue(engine):
    """Questions, changes and deletions that arrive together are all answered."""
    await engine.write(line(1, 2))
    async with one_batch(engine):
        tasks = [
            asyncio.create_task(engine.delete(FORGET, order=1)),
            *await asked(engine, line(3)),
            asyncio.create_task(engine.read(STORY)),
            asyncio.create_task(engine.read(select(table("nowhere", column("id"))))),
        ]
        await asyncio.sleep(0)
    assert [3, None, 2, Trouble] == [
        len(each) if isinstance(each, list) else each for each in await results(*tasks)
    ]
    assert [] == await written(engine)


# -- trouble ------------------------------------------------------------------------------


def limit(engine, more):
    """Allow so many pages more than there are now."""
    pages = engine._connection.execute("PRAGMA page_count").fetchone()[0]
    engine._connection.execute(f"PRAGMA max_page_count = {pages + more}")


def big(number):
    """A change of a quarter of a megabyte."""
    change = line(number)
    change.insert(schema.chunk, file_id=number, n=0, data=bytes(256 * 1024))
    return change


@pytest.mark.asyncio
async def test_full(engine):
    """Without room a change raises Full and is not there at all; with room again it works."""
    await engine.write(line(1))
    limit(engine, 10)
    with pytest.raises(Full):
        await engine.write(big(2))
    assert [1] == await written(engine)
    limit(engine, 100_000)
    await engine.write(big(2))
    assert [1, 2] == await written(engine)


@pytest.mark.asyncio
async def test_full_within_a_batch(engine):
    """Nothing of a batch that found no room is called stored unless it is; each that is not says Full."""
    await engine.write(line(1))
    limit(engine, 10)
    async with one_batch(engine):
        tasks = await asked(engine, line(2), big(3), line(4), big(5))
    answers = dict(zip([2, 3, 4, 5], await results(*tasks), strict=True))
    assert [1] + [number for number, answer in answers.items() if answer is None] == await written(engine)
    assert {Full} == {answers[3], answers[5]}
    assert {answers[2], answers[4]} <= {None, Full}
    limit(engine, 100_000)
    await engine.write(line(6))
    assert 6 in await written(engine)


@contextlib.contextmanager
def no_file_longer_than(octets):
    """As on a full disk: nothing is written beyond so many octets of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.asyncio
@pytest.mark.parametrize("chunks", [1, 16], ids=["at the commit", "before the commit"])
async def test_full_disk(engine, path, chunks):
    """Where the operating system refuses to write, at the commit or long before it, a change is Full."""
    await engine.write(line(1))
    change = line(2)
    for n in range(chunks):
        change.insert(schema.chunk, file_id=2, n=n, data=bytes(256 * 1024))
    with no_file_longer_than(path.with_name("relay.db-wal").stat().st_size + 100_000):
        with pytest.raises(Full):
            await engine.write(change)
        assert [1] == await written(engine)
    await engine.write(change)
    assert [1, 2] == await written(engine)


@pytest.mark.asyncio
async def test_locked_database(engine, path):
    """While another program holds the file writes are Trouble and reads go on; then all is well again."""
    await engine.write(line(1))
    engine._connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Trouble, match="locked") as caught:
        await engine.write(line(2))
    assert Trouble is type(caught.value)
    with pytest.raises(Trouble, match="locked"):
        await engine.delete(FORGET, order=1)
    assert [1] == await written(engine)
    other.execute("ROLLBACK")
    other.close()
    await engine.write(line(3))
    assert [1, 3] == await written(engine)


@pytest.mark.asyncio
async def test_waits_for_a_lock(engine, path):
    """A lock that is let go of in time is waited for."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    (task,) = await asked(engine, line(1))
    await asyncio.to_thread(other.execute, "COMMIT")
    assert None is await task
    other.close()


# -- ends ---------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_close_writes_what_was_asked(path):
    """What was asked for before the close is written and answered."""
    engine = SQLite(str(path))
    async with one_batch(engine):
        tasks = await asked(engine, *(line(number) for number in range(BATCH + 50)))
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0)
    await closing
    assert [None] * (BATCH + 50) == await results(*tasks)
    again = SQLite(str(path))
    assert list(range(BATCH + 50)) == await written(again)
    await again.close()


@pytest.mark.asyncio
async def test_closed(path):
    """A closed engine says so to whoever still asks; closing it again does nothing."""
    engine = SQLite(str(path))
    await engine.close()
    await engine.close()
    for asking in (engine.write(line(1)), engine.read(STORY), engine.delete(FORGET, order=1)):
        with pytest.raises(Trouble, match="closed"):
            await asking
    assert not engine._thread.is_alive()


@pytest.mark.asyncio
async def test_close_leaves_one_file(path):
    """After a close the whole database is in its one file, so that it can be copied."""
    engine = SQLite(str(path))
    await engine.write(line(1))
    await engine.close()
    assert ["relay.db", "relay.db.lock"] == sorted(each.name for each in path.parent.iterdir())


@pytest.mark.asyncio
async def test_who_asked_is_cancelled(engine):
    """Who stops waiting stops nobody else: the change is written all the same, the others are answered."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with one_batch(engine):
        tasks = await asked(engine, line(1), line(2), line(3))
        tasks[1].cancel()
        reading = asyncio.create_task(engine.read(STORY))
        await asyncio.sleep(0)
        reading.cancel()
    assert [None, asyncio.CancelledError, None] == await results(*tasks)
    assert [asyncio.CancelledError] == await results(reading)
    assert [1, 2, 3] == await written(engine)
    assert [] == complaints


def test_whose_loop_is_gone(path):
    """An event loop that ended before its answer came does not stop the writer."""
    engine = SQLite(str(path))
    go = threading.Event()
    engine._connection.set_trace_callback(lambda _: go.wait(20))

    async def ask():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.write(line(1)), 0.02)

    async def look():
        await engine.write(line(2))
        found = await written(engine)
        await engine.close()
        return found

    asyncio.run(ask())
    go.set()
    assert [1, 2] == asyncio.run(look())


KILLED = """
import asyncio, os, sys
from relay.queue import schema
from relay.queue.engine import Change
from relay.queue.sqlite import SQLite

async def one(engine, number):
    for step in range(10_000):
        key = number * 10_000 + step
        change = Change(once=(str(key), key, 1))
        change.insert(schema.mail, id=key)
        change.insert(schema.story, id=key)
        await engine.write(change)
        os.write(1, b"%d\\n" % key)

async def main():
    engine = SQLite(sys.argv[1])
    await asyncio.gather(*(one(engine, number) for number in range(20)))

asyncio.run(main())
"""


def test_killed(path):
    """What a killed process said was on disk is there, and each change is there whole."""
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as process:
        said = [process.stdout.readline() for _ in range(300)]
        os.kill(process.pid, signal.SIGKILL)
        said += process.stdout.readlines()
    assert -signal.SIGKILL == process.returncode
    acked = {int(each) for each in said if each.endswith(b"\n")}
    assert len(acked) >= 300
    asyncio.run(look_after_kill(path, acked))


async def look_after_kill(path, acked):
    """The file is whole, has what was answered, and can be used at once."""
    engine = SQLite(str(path))
    stories = set(await written(engine))
    mails = {row["id"] for row in await engine.read(select(schema.mail.c.id))}
    keys = {row["mail_id"] for row in await engine.read(REPEATS)}
    assert set() == acked - mails
    assert mails == stories == keys
    assert "ok" == engine._connection.execute("PRAGMA integrity_check").fetchone()[0]
    await engine.write(line(-1))
    await engine.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("most", [32766, 999, 46])
async def test_rows_of_one_table_go_together(engine, most):
    """However many rows a batch has, and however few values a statement may take, each is there as it was."""
    engine._most = most
    for many in (1, 2, 3, 7, 33, 75):
        change = Change()
        for each in range(many):
            change.insert(
                schema.orders, id=many * 1000 + each, mail_id=many, target=f"+{each}", state="waiting"
            )
        await engine.write(change)
        found = await engine.read(
            select(schema.orders).where(schema.orders.c.mail_id == bindparam("mail")), mail=many
        )
        assert [values for _, values in change.inserts] == sorted(found, key=lambda row: row["id"])


@pytest.mark.asyncio
async def test_all_of_a_batch_are_answered_at_one_waking(engine):
    """The loop is woken once for a batch, however many wait for it."""
    loop = asyncio.get_running_loop()
    woken: list[object] = []
    wake = loop.call_soon_threadsafe

    def counted(*arguments: object) -> object:
        woken.append(arguments)
        return wake(*arguments)

    loop.call_soon_threadsafe = counted
    async with one_batch(engine):
        tasks = await asked(engine, *(line(number) for number in range(50)))
        woken.clear()
    await asyncio.gather(*tasks)
    del loop.call_soon_threadsafe
    assert len(woken) <= 3  # the batch, the one before it, and the thread that let it go
