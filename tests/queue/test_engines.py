"""Both engines: what was answered is there, one commit a batch, each change for itself."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import asyncpg
import pytest
from changes import ACCOUNT, FORGET, REPEATS, account, asked, line, results, written
from sqlalchemy import bindparam, column, delete, select, table

from relay.queue import schema
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.postgres import Postgres
from relay.queue.sqlite import BATCH, SQLite


@contextlib.asynccontextmanager
async def one_batch(engine):
    """Whatever is asked for inside the block is one batch: the writer stands still until its end."""
    async with held_up(engine) if isinstance(engine, Postgres) else stopped(engine):
        yield


@contextlib.asynccontextmanager
async def stopped(engine):
    """SQLite's writer stands still at its next statement."""
    reached, go = threading.Event(), threading.Event()

    def hold(_statement):
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


@contextlib.asynccontextmanager
async def held_up(engine):
    """PostgreSQL's writer waits for a row that another has."""
    other = await asyncpg.connect(engine.url.dsns[0])
    async with other.transaction():
        await other.execute("SELECT * FROM batch FOR UPDATE")
        first = asyncio.create_task(engine.write(Change()))
        while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        yield
    await first
    await other.close()


# -- reading and writing ------------------------------------------------------------------


@pytest.mark.asyncio
async def test_reads_own_writes(engine):
    """What was answered is there for the next question."""
    for number in range(20):
        assert None is await engine.write(line(number))
        assert list(range(number + 1)) == await written(engine)


@pytest.mark.asyncio
async def test_all_kinds_of_values(engine):
    """Texts with any letter, any octets and the largest numbers come back as they went in."""
    change = Change()
    values = {"text": "Диск 95 % \0 'x' \"y\" 🧯", "params": "{}", "parts": 2**63 - 1}
    change.insert(schema.content, id=-(2**63), **values)
    change.insert(schema.chunk, file_id=1, n=0, data=bytes(range(256)))
    await engine.write(change)
    (content,) = await engine.read(select(schema.content))
    (chunk,) = await engine.read(select(schema.chunk))
    if isinstance(engine, Postgres):  # the one letter that it can't hold
        values["text"] = values["text"].replace("\0", "\ufffd")
    assert schema.row(schema.content, id=-(2**63), **values) == content
    assert {"file_id": 1, "n": 0, "data": bytes(range(256))} == chunk


@pytest.mark.asyncio
async def test_empty_change(engine):
    """Nothing to write is written without complaint."""
    assert None is await engine.write(Change())


@pytest.mark.asyncio
async def test_delete(engine):
    """A DELETE says how many rows went, and leaves the others."""
    await engine.write(line(1, 2, 3))
    change = Change()
    change.insert(schema.story, id=4, order_id=2)
    await engine.write(change)
    assert 3 == await engine.delete(FORGET, order=1)
    assert 0 == await engine.delete(FORGET, order=1)
    assert [4] == await written(engine)


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [0, 1, 2, 2000])
async def test_lists_of_any_length(engine, count):
    """A statement that takes a list takes a short one, an empty one and a long one."""
    await engine.write(line(*range(2000)))
    statement = select(schema.story.c.id).where(schema.story.c.id.in_(bindparam("ids", expanding=True)))
    assert count == len(await engine.read(statement, ids=list(range(count))))
    assert 3 == len(await engine.read(statement, ids=[5, 6, 7, 7, -1]))


@pytest.mark.asyncio
async def test_bad_statements_harm_nobody(engine):
    """A question or a DELETE that can't be run is its own trouble; the engine goes on."""
    nowhere = table("nowhere", column("id"))
    with pytest.raises(Trouble, match=r"no such table|does not exist"):
        await engine.read(select(nowhere))
    with pytest.raises(Trouble, match=r"no such table|does not exist"):
        await engine.delete(delete(nowhere))
    await engine.write(line(1))
    assert 1 == await engine.delete(FORGET, order=1)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("value", "error"),
    [(2**63, "OverflowError"), ("\ud800 secret words", "UnicodeEncodeError"), (object(), "not supported")],
)
async def test_values_no_database_takes(engine, value, error):
    """A value that can't be stored fails its own change, without telling what it was."""
    bad = Change()
    bad.insert(schema.story, id=2, order_id=1, detail=value)
    async with one_batch(engine):
        tasks = await asked(engine, line(1), bad, line(3))
    assert [None, Trouble, None] == await results(*tasks)
    assert (error if isinstance(engine, SQLite) else "DataError") in str(tasks[1].exception())
    assert "secret" not in str(tasks[1].exception())
    assert [1, 3] == await written(engine)


# -- batches ------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_batches_are_bounded(engine):
    """More than a batch is written batch by batch."""
    before = engine.transactions
    async with one_batch(engine):
        tasks = await asked(engine, *(line(number) for number in range(2 * BATCH + 1)))
    assert [None] * (2 * BATCH + 1) == await results(*tasks)
    assert 1 + 3 == engine.transactions - before


@pytest.mark.asyncio
async def test_many_at_once(engine):
    """Many that write at once share commits: far fewer transactions than changes."""

    async def one(number):
        for step in range(10):
            await engine.write(line(100 * number + step))

    await asyncio.gather(*(one(number) for number in range(100)))
    assert 1000 == len(await written(engine))
    assert engine.transactions < 500
    assert 0 == engine.replays


@pytest.mark.asyncio
@pytest.mark.parametrize("place", [0, 3, 6])
async def test_duplicate_fails_alone(engine, place):
    """A change with a key that is taken fails; whatever shared its batch is written, before and after it."""
    await engine.write(line(99))
    changes = [line(10 * number, 10 * number + 1) for number in range(7)]
    changes[place] = line(70, 99, 71)
    async with one_batch(engine):
        tasks = await asked(engine, *changes)
    assert [Trouble if n == place else None for n in range(7)] == await results(*tasks)
    assert sorted([99] + [10 * n + i for n in range(7) if n != place for i in (0, 1)]) == await written(
        engine
    )
    assert 1 == engine.replays


@pytest.mark.asyncio
async def test_duplicates_within_a_batch(engine):
    """Of two changes that want the same key the first has it."""
    async with one_batch(engine):
        tasks = await asked(engine, line(1, 2), line(2, 3), line(3, 4))
    assert [None, Trouble, None] == await results(*tasks)
    assert [1, 2, 3, 4] == await written(engine)


@pytest.mark.asyncio
async def test_several_bad_changes(engine):
    """Each of several bad changes fails alone, in one replay."""
    await engine.write(line(99))
    stale = line(30)
    stale.update(schema.account, "nobody", 1, probes=1)
    async with one_batch(engine):
        tasks = await asked(engine, line(99), line(1), stale, line(99), line(2))
    assert [Trouble, None, Stale, Trouble, None] == await results(*tasks)
    assert [1, 2, 99] == await written(engine)
    assert 1 == engine.replays


@pytest.mark.asyncio
async def test_stale_change_is_not_there(engine):
    """A change that names an old version raises Stale and leaves nothing: no row, no update, no key."""
    await engine.write(account())
    bump = Change()
    bump.update(schema.account, "main", 1, probes=7)
    await engine.write(bump)
    await engine.write(account("other"))

    late = line(1, 2, once=("key", 5, 1000))
    late.update(schema.account, "other", 1, probes=3)
    late.update(schema.account, "main", 1, rest="money")
    with pytest.raises(Stale):
        await engine.write(late)
    assert [] == await written(engine)
    assert [] == await engine.read(REPEATS)
    (main,), (other,) = [await engine.read(ACCOUNT, name=name) for name in ("main", "other")]
    assert (2, 7, "") == (main["version"], main["probes"], main["rest"])
    assert (1, 0) == (other["version"], other["probes"])
    assert None is await engine.write(line(1, once=("key", 6, 1000)))


@pytest.mark.asyncio
async def test_stale_within_a_batch(engine):
    """Of two that read the same version the first is right, and the other alone is told to read again."""
    await engine.write(account())
    changes = []
    for number in (1, 2, 3):
        change = line(number)
        if number < 3:
            change.update(schema.account, "main", 1, probes=number)
        changes.append(change)
    async with one_batch(engine):
        tasks = await asked(engine, *changes)
    assert [None, Stale, None] == await results(*tasks)
    assert [1, 3] == await written(engine)
    (row,) = await engine.read(ACCOUNT, name="main")
    assert (2, 1) == (row["version"], row["probes"])


@pytest.mark.asyncio
async def test_update_of_a_row_that_is_not_there(engine):
    """A row that is gone is as stale as one that changed."""
    change = line(1)
    change.update(schema.phone, ("main", "+79991234567"), 1, chain=2)
    with pytest.raises(Stale):
        await engine.write(change)
    assert [] == await written(engine)


@pytest.mark.asyncio
async def test_update_finds_its_row_by_the_whole_key(engine):
    """A key of two columns changes the one row that has both."""
    change = Change()
    for target in ("+1", "+2"):
        for name in ("a", "b"):
            change.insert(schema.phone, account=name, target=target)
    await engine.write(change)
    change = Change()
    change.update(schema.phone, ("a", "+2"), 1, chain=9, texts="[1]")
    await engine.write(change)
    rows = await engine.read(select(schema.phone))
    assert [("a", "+2", 2, "[1]")] == [
        (row["account"], row["target"], row["version"], row["texts"]) for row in rows if row["chain"]
    ]
    assert [1, 1, 1, 2] == sorted(row["version"] for row in rows)


# -- once ---------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_once(engine):
    """A key that was written before answers with the first mail's id, and nothing new is written."""
    assert None is await engine.write(line(1, once=("key", 11, 1000)))
    assert 11 == await engine.write(line(2, once=("key", 12, 2000)))
    assert None is await engine.write(line(3, once=("another", 13, 3000)))
    assert [1, 3] == await written(engine)
    assert {("key", 11, 1000), ("another", 13, 3000)} == {
        tuple(r.values()) for r in await engine.read(REPEATS)
    }


@pytest.mark.asyncio
async def test_once_within_a_batch(engine):
    """The same key twice in one batch is the first one's, without a replay."""
    async with one_batch(engine):
        tasks = await asked(
            engine,
            line(1, once=("key", 11, 1000)),
            line(2, once=("key", 12, 1000)),
            line(3),
            line(4, once=("key", 14, 1000)),
        )
    assert [None, 11, None, 11] == await results(*tasks)
    assert [1, 3] == await written(engine)
    assert 0 == engine.replays


@pytest.mark.asyncio
async def test_once_of_a_failed_change(engine):
    """A change that failed has used up no key: the next one with it is the first."""
    await engine.write(line(99))
    async with one_batch(engine):
        tasks = await asked(
            engine,
            line(99, once=("key", 11, 1000)),
            line(2, once=("key", 12, 1000)),
            line(3, once=("key", 13, 1000)),
        )
    assert [Trouble, None, 12] == await results(*tasks)
    assert [2, 99] == await written(engine)


@pytest.mark.asyncio
async def test_once_alone(engine):
    """A key is kept even where no row comes with it."""
    assert None is await engine.write(Change(once=("key", 11, 1000)))
    assert 11 == await engine.write(line(1, once=("key", 12, 1000)))
