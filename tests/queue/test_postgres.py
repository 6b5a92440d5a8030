"""The PostgreSQL engine: lines that break, servers that go, other programs on the same tables."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from changes import account, asked, line, results, written
from sqlalchemy import delete, select
from sqlalchemy.schema import CreateTable

from relay.queue import joining, nodes, schema
from relay.queue.dialect import DIALECT
from relay.queue.engine import Change, Stale, TooOld, Trouble
from relay.queue.lines import tried
from relay.queue.postgres import Postgres


class Cut:
    """A server between engine and database that cuts the line at chosen words of the client's.

    `at` is what it looks for, once; `before` says whether the database hears of it.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self.folder = folder
        self.target = target
        self.at = b""
        self.before = False
        self.cuts = 0
        self.refuses = False
        self.lines: set[asyncio.StreamWriter] = set()

    async def start(self) -> str:
        """Listen; the path of the folder that the engine is to be told of."""
        self.server = await asyncio.start_unix_server(self._line, str(self.folder / ".s.PGSQL.5432"))
        return str(self.folder)

    async def stop(self) -> None:
        """Cut all lines."""
        self.server.close()
        for each in list(self.lines):
            each.close()
        while self.lines:  # noqa: ASYNC110 - they end by themselves
            await asyncio.sleep(0.001)

    async def _line(self, reader, writer) -> None:
        if self.refuses:
            writer.close()
            return
        to_reader, to_writer = await asyncio.open_unix_connection(self.target)
        self.lines |= {writer, to_writer}
        back = asyncio.create_task(self._back(to_reader, writer))
        try:
            while octets := await reader.read(65536):
                if self.at and self.at in octets:
                    self.at = b""
                    self.cuts += 1
                    back.cancel()
                    if not self.before:
                        to_writer.write(octets)
                        await to_writer.drain()
                        await to_reader.readexactly(6)  # it is done, and nobody hears so
                    return
                to_writer.write(octets)
                await to_writer.drain()
        finally:
            back.cancel()
            writer.close()
            to_writer.close()
            self.lines -= {writer, to_writer}

    async def _back(self, reader, writer) -> None:
        with contextlib.suppress(ConnectionError):
            while octets := await reader.read(65536):
                writer.write(octets)
                await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def cut(tmp_path, database):
    """A line to the database that can be cut."""
    folder = database.partition("host=")[2].partition("&")[0]
    made = Cut(tmp_path, f"{folder}/.s.PGSQL.5432")
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def engine(cut, database):
    """An engine behind that line."""
    name = database.partition("@/")[2].partition("?")[0]
    engine = Postgres(f"postgresql://relay@/{name}?host={cut.folder}", patience=2.0, doubt=2.0)
    await engine.open()
    yield engine
    await engine.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("before", [False, True], ids=["landed", "not landed"])
async def test_commit_whose_answer_was_lost(engine, cut, before):
    """A line that breaks at the commit: what landed is not written again, what did not is."""
    await engine.write(account())
    change = line(1, once=("key", 11, 1000))
    change.update(schema.account, "main", 1, probes=1)
    change.add("cap", 0, messages=1)
    cut.at, cut.before = b"COMMIT", before
    assert None is await engine.write(change)
    assert 1 == cut.cuts
    assert [1] == await written(engine)
    (row,) = await engine.read(select(schema.account))
    assert (2, 1) == (row["version"], row["probes"])
    (spent,) = await engine.read(select(schema.spent))
    assert 1 == spent["messages"]


@pytest.mark.asyncio
@pytest.mark.parametrize("words", [b"BEGIN", b"INSERT INTO story", b"SAVEPOINT"])
async def test_line_breaks_before_the_commit(engine, cut, words):
    """A line that breaks within a transaction: all of it is written over the next line, once."""
    cut.at = words
    again = [line(1)] if words == b"SAVEPOINT" else []
    tasks = await asked(engine, line(1), *again, line(2))
    assert [None, *([Trouble] if again else []), None] == await results(*tasks)
    assert 1 == cut.cuts
    assert [1, 2] == await written(engine)


@pytest.mark.asyncio
async def test_line_breaks_while_reading(engine, cut):
    """A question is asked again over a new line."""
    await engine.write(line(1))
    cut.at = b"SELECT story"
    assert [1] == await written(engine)
    assert 1 == cut.cuts


@pytest.mark.asyncio
async def test_nobody_answers(engine, cut):
    """Without a server a change and a question are Trouble after the patience; then all is well again."""
    await engine.write(line(1))
    cut.refuses, cut.at, cut.before = True, b"BEGIN", True
    with pytest.raises(Trouble, match="can't be reached"):
        await engine.write(line(2))
    cut.refuses = False
    await engine.write(line(3))
    assert [1, 3] == await written(engine)


@pytest.mark.asyncio
async def test_nobody_can_say(engine, cut):
    """A commit that may have landed, and nobody to ask: it is Trouble that says so, never a second write."""
    cut.at = b"COMMIT"
    task = asyncio.create_task(engine.write(line(1)))
    while not cut.cuts:
        cut.refuses = cut.at == b""
        await asyncio.sleep(0)
    cut.refuses = True
    with pytest.raises(Trouble, match="not known"):
        await task
    cut.refuses = False
    assert [1] == await written(engine)


@pytest.mark.asyncio
async def test_two_engines(engine, database):
    """Of two programs that decide upon the same row one is right; the numbers of both differ."""
    other = Postgres(database)
    await other.open()
    await engine.write(account())
    changes = []
    for number in (1, 2):
        change = line(number)
        change.update(schema.account, "main", 1, probes=number)
        changes.append(change)
    answers = await results(engine.write(changes[0]), other.write(changes[1]))
    assert {None, Stale} == set(answers)
    assert await written(engine) == await written(other) == [1 + answers.index(None)]
    assert engine.node != other.node
    await other.close()


@pytest.mark.asyncio
async def test_once_between_engines(engine, database):
    """A mail that comes to two nodes at the same time is the first one's."""
    other = Postgres(database)
    await other.open()
    for number in range(10):
        keys = [line(2 * number + n, once=(str(number), 2 * number + n, 0)) for n in (0, 1)]
        first, second = await asyncio.gather(engine.write(keys[0]), other.write(keys[1]))
        assert {(None, 2 * number), (2 * number + 1, None)} & {(first, second)}
    assert 10 == len(await written(engine))
    await other.close()


@pytest.mark.asyncio
async def test_many_engines_at_once(database):
    """Engines that change the same rows in any order wait for each other, and none for ever."""
    engines = [Postgres(database) for _ in range(3)]
    await asyncio.gather(*(each.open() for each in engines))
    change = Change()
    for name in "abcdef":
        change.insert(schema.account, name=name)
    await engines[0].write(change)

    async def add(engine, names):
        for _ in range(10):
            while True:
                rows = {row["name"]: row for row in await engine.read(select(schema.account))}
                change = Change()
                for name in names:
                    change.update(
                        schema.account, name, rows[name]["version"], probes=rows[name]["probes"] + 1
                    )
                change.add("cap", 0, messages=1)
                with contextlib.suppress(Stale):
                    await engine.write(change)
                    break

    await asyncio.gather(
        *(add(each, names) for each, names in zip(engines, ("abcdef", "fedcba", "cafebd"), strict=True))
    )
    assert {30} == {row["probes"] for row in await engines[0].read(select(schema.account))}
    (row,) = await engines[0].read(select(schema.spent))
    assert 30 == row["messages"]
    for each in engines:
        await each.close()


@pytest.mark.asyncio
async def test_words(engine, database):
    """What one engine tells another hears; what was missed while the line was down is said to be missed."""
    heard, other = asyncio.Queue(), Postgres(database)
    await other.open()
    other.listen(heard.put_nowait)
    assert "" == await heard.get()
    await engine.tell("1 queued main")
    assert "1 queued main" == await heard.get()
    await other.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    assert "" == await heard.get()
    await engine.tell("again")
    assert "again" == await heard.get()
    await other.close()


# -- the schema ---------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_several_start_at_once(postgres):
    """Of several programs that find no tables one makes them, and all of them start."""
    url = await asyncio.to_thread(postgres.empty)
    engines = [Postgres(url) for _ in range(3)]
    await asyncio.gather(*(each.open() for each in engines))
    assert 3 == len({each.node for each in engines})
    assert {"version": str(schema.VERSION), "oldest": str(schema.OLDEST)} == {
        row["key"]: row["value"] for row in await engines[0].read(select(schema.meta))
    }
    for each in engines:
        await each.close()


async def older(postgres) -> str:
    """The URL of a database as version 4 of the schema had it."""
    url = await asyncio.to_thread(postgres.empty)
    script = (Path(__file__).parent / "schemas" / "4.sql").read_text()
    for ours, theirs in ((" BLOB", " BYTEA"), (" TEXT", ' TEXT COLLATE "C"')):
        script = script.replace(ours, theirs)
    lines = [each for each in script.splitlines() if not each.startswith(("BEGIN", "COMMIT", "PRAGMA"))]
    own = [str(CreateTable(each).compile(dialect=DIALECT)) for each in nodes.metadata.sorted_tables]
    raw = await asyncpg.connect(url)
    await raw.execute("\n".join(lines))
    for statement in (*own, "DROP TABLE cap", *nodes.INDEXES, "INSERT INTO meta VALUES ('version', '4')"):
        await raw.execute(statement)
    await raw.close()
    return url


@pytest.mark.asyncio
async def test_older_schema_is_brought_forward(postgres):
    """Tables of an older version become those of a new database, and keep their rows."""
    url, fresh = await older(postgres), await asyncio.to_thread(postgres.empty)
    shapes = []
    for each in (url, fresh):
        engine = Postgres(each)
        await engine.open()
        shapes.append([await engine.rows(shape) for shape in SHAPES])
        await engine.close()
    assert shapes[0] == shapes[1]


async def waits(connection, *words) -> None:
    """Wait until somebody waits for a lock, with these words in what he said."""
    like = " OR ".join(f"query LIKE '%{each}%'" for each in words)
    sql = f"SELECT 0 < count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND ({like})"
    async with asyncio.timeout(20):
        while not await connection.fetchval(sql):  # noqa: ASYNC110 - it is another process that waits
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
@pytest.mark.parametrize("tables", [("mail", "orders"), ("repeat", "mail")], ids=" then ".join)
async def test_brought_forward_while_an_older_node_writes(postgres, tables):
    """Who goes on from one table to another, and the newer program that is to change both, end well."""
    url = await older(postgres)
    writer, watcher, engine = await asyncpg.connect(url), await asyncpg.connect(url), Postgres(url)
    first, second = (f"DELETE FROM {table}" for table in tables)
    await writer.execute(f"BEGIN; {first}")
    opening = asyncio.create_task(engine.open())
    await waits(watcher, "LOCK TABLE", "DROP INDEX")
    try:
        await writer.execute(f"{second}; COMMIT")
    except asyncpg.DeadlockDetectedError:  # a node's writer begins anew then
        await writer.execute("ROLLBACK")
        await writer.execute(f"BEGIN; {first}; {second}; COMMIT")
    await opening
    assert str(schema.VERSION) == await watcher.fetchval("SELECT value FROM meta WHERE key = 'version'")
    for each in (writer, watcher, engine):
        await each.close()


@pytest.mark.asyncio
async def test_brought_forward_for_as_long_as_it_takes(postgres, monkeypatch):
    """What changes tables may take longer than any question; who starts meanwhile waits for it."""
    monkeypatch.setattr(joining, "ANSWER", 0.3)
    url = await older(postgres)
    reader, watcher = await asyncpg.connect(url), await asyncpg.connect(url)
    engines = [Postgres(url), Postgres(url)]
    await reader.execute("BEGIN; SELECT count(*) FROM orders")
    opening = [asyncio.create_task(each.open()) for each in engines]
    for word in ("LOCK TABLE", "pg_advisory"):
        await waits(watcher, word)
    await asyncio.sleep(3 * joining.ANSWER)
    await reader.execute("COMMIT")
    await asyncio.gather(*opening)
    assert 2 == len({each.node for each in engines})
    for each in (reader, watcher, *engines):
        await each.close()


SHAPES = (
    """SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
        WHERE table_schema = 'public' ORDER BY 1, 2""",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
)


@pytest.mark.asyncio
async def test_a_newer_program_changes_a_table(engine, database):
    """Who works while a newer program adds a column goes on, reading and writing."""
    other = await asyncpg.connect(database)
    await engine.write(account())
    for number in range(3):
        await engine.read(select(schema.account))
        await other.execute(f"ALTER TABLE account ADD COLUMN more{number} BIGINT NOT NULL DEFAULT 0")
        change = Change()
        change.update(schema.account, "main", number + 1, probes=number)
        await engine.write(change)
        assert [number] == [row["probes"] for row in await engine.read(select(schema.account))]
    for number in range(3):
        await other.execute(f"ALTER TABLE account DROP COLUMN more{number}")
    await other.close()


@pytest.mark.asyncio
async def test_newer_schema(engine, database):
    """A database that only newer programs may use stops those that run, and lets no old one start."""
    connection = await asyncpg.connect(database)
    for oldest in (schema.VERSION, schema.VERSION + 1):
        await connection.execute("UPDATE meta SET value = $1 WHERE key = 'version'", str(schema.VERSION + 8))
        await connection.execute("UPDATE meta SET value = $1 WHERE key = 'oldest'", str(oldest))
        other = Postgres(database)
        if oldest == schema.VERSION:
            await other.open()
            await engine.check_usable()
            await other.close()
            continue
        with pytest.raises(TooOld, match=rf"has schema {schema.VERSION + 8}.*use a newer smsc-relay"):
            await other.open()
        with pytest.raises(TooOld):
            await engine.check_usable()
    for key, value in (("version", schema.VERSION), ("oldest", schema.OLDEST)):
        await connection.execute("UPDATE meta SET value = $1 WHERE key = $2", str(value), key)
    await connection.close()


@pytest.mark.asyncio
async def test_nothing_there(tmp_path):
    """A server that is not there is said by its URL, without the password."""
    engine = Postgres(f"postgresql://relay:secret@/relay?host={tmp_path}")
    with pytest.raises(Trouble, match="cannot open postgresql://relay@/relay") as caught:
        await engine.open()
    assert "secret" not in str(caught.value)


class Pooler:
    """Hands a client two sessions of the database in turns, another one after each transaction.

    That is the worst that a pooler in transaction mode may do, and here it does so every time.
    """

    def __init__(self, folder: Path, target: str) -> None:
        self.folder = folder
        self.target = target
        self.turns = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self.server = await asyncio.start_unix_server(self._client, str(self.folder / ".s.PGSQL.5432"))

    async def stop(self) -> None:
        """Let go of all clients."""
        self.server.close()
        while self.tasks:
            task = self.tasks.pop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _client(self, reader, writer) -> None:
        self.tasks.add(asyncio.current_task())
        sessions = [await asyncio.open_unix_connection(self.target) for _ in range(2)]
        ended: asyncio.Queue[bytes] = asyncio.Queue()
        backs = []
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            size = await reader.readexactly(4)
            hello = size + await reader.readexactly(int.from_bytes(size) - 4)
            for number, (from_, to) in enumerate(sessions):
                to.write(hello)
                while (message := await _message(from_))[0] != b"Z":
                    writer.write(b"" if number else message[1])
                backs.append(asyncio.create_task(self._back(from_, writer, ended)))
            writer.write(message[1])
            while True:
                kind, octets = await _message(reader)
                if kind == b"X":
                    break
                sessions[self.turns % 2][1].write(octets)
                if kind in b"QS" and await ended.get() == b"I":
                    self.turns += 1
        for each in backs:
            each.cancel()
        for each in (writer, *(to for _, to in sessions)):
            each.close()

    async def _back(self, reader, writer, ended) -> None:
        """Hand on what is answered; tell how the session stands after each answer."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                kind, octets = await _message(reader)
                writer.write(octets)
                if kind == b"Z":
                    ended.put_nowait(octets[-1:])


async def _message(reader) -> tuple[bytes, bytes]:
    """A message of the protocol: its kind, and all of it."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(int.from_bytes(head[1:]) - 4)


@pytest_asyncio.fixture
async def pooled(tmp_path, database):
    """The URL of the database behind a pooler."""
    name, _, rest = database.partition("@/")[2].partition("?host=")
    pooler = Pooler(tmp_path, f"{rest.partition('&')[0]}/.s.PGSQL.5432")
    await pooler.start()
    yield f"postgresql://relay@/{name}?host={tmp_path}&statement_cache_size=0"
    await pooler.stop()
    assert pooler.turns > 10


@pytest.mark.asyncio
async def test_behind_a_pooler(pooled):
    """With `statement_cache_size=0` nothing of a session is relied upon beyond a transaction."""
    engine = Postgres(pooled)
    await engine.open()
    await engine.write(line(1, once=("key", 11, 1000)))
    assert 11 == await engine.write(line(2, once=("key", 12, 1000)))
    assert [1] == await written(engine)
    assert [[{"id": 1}]] == await engine.read_all((select(schema.story.c.id), {}))
    assert 1 == await engine.delete(delete(schema.story).where(schema.story.c.id == 1))
    assert [None, Trouble] == await results(engine.write(line(2)), engine.write(line(2)))
    assert 0 < await engine.moment()
    await engine.check_usable()
    assert "made" not in await tried(pooled)
    left = await engine.rows("SELECT count(*) AS n FROM pg_prepared_statements WHERE name <> ''")
    assert [{"n": 0}] == left
    engine.listen(lambda _: None)
    assert not engine.listening
    await engine.close()


@pytest.mark.asyncio
async def test_a_pooler_that_nobody_spoke_of(tmp_path):
    """A pooler refuses settings of a session: who starts, or checks, hears what to write."""

    async def refuse(reader, writer):
        await reader.readexactly(int.from_bytes(await reader.readexactly(4)) - 4)
        said = b"SFATAL\0C08P01\0Munsupported startup parameter: plan_cache_mode\0\0"
        writer.write(b"E" + (len(said) + 4).to_bytes(4) + said)
        writer.close()

    server = await asyncio.start_unix_server(refuse, str(tmp_path / ".s.PGSQL.5432"))
    url = f"postgresql://relay@/relay?host={tmp_path}"
    for work in (Postgres(url).open(), tried(url)):
        with pytest.raises(Trouble, match="plan_cache_mode: behind a pooler the URL needs statement_cache_"):
            await work
    server.close()


@pytest.mark.asyncio
async def test_tried(postgres, database):
    """`check` connects, says whether tables are to be made, and makes none."""
    empty = await asyncio.to_thread(postgres.empty)
    assert "its tables are made at the first start" in await tried(empty)
    assert "its tables are made at the first start" in await tried(empty)
    assert "made" not in await tried(database)
    with pytest.raises(Trouble, match="does not exist"):
        await tried(database.replace("@/", "@/no"))


# -- caps ---------------------------------------------------------------------------------


def counting(number, *caps, version=0):
    """A change that was decided upon by caps as they stood at a version."""
    change = line(number)
    change.counts = dict.fromkeys(caps, version)
    return change


@pytest.mark.asyncio
async def test_who_decided_by_old_counts_is_stale(engine, database):
    """Of two that decide by the same cap at the same time one is right, whichever node or batch it is of."""
    other = Postgres(database)
    await other.open()
    answers = await results(engine.write(counting(1, "a", "b")), other.write(counting(2, "b", "c")))
    assert {None, Stale} == set(answers)
    before = engine.transactions
    answers = await results(
        engine.write(counting(3, "d")), engine.write(counting(4, "d")), engine.write(counting(5, "e"))
    )
    assert [None, Stale, None] == answers
    assert engine.transactions - before <= 2
    assert 0 == engine.replays
    later = other.write(counting(6, "d", version=1)), engine.write(counting(7, "d", "e", version=1))
    assert {None, Stale} == set(await results(*later))
    assert 4 == len(await written(engine))
    await other.close()
