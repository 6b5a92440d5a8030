"""A real database in a folder of its own, and a store over it on a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from harness import StillClock
from postgres import Server

from relay.model import Ids
from relay.queue.engine import Engine
from relay.queue.postgres import Postgres
from relay.queue.sqlite import SQLite
from relay.queue.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "relay.db"


@pytest_asyncio.fixture
async def sqlite(path: Path) -> AsyncIterator[SQLite]:
    """An open engine on a file."""
    engine = SQLite(str(path))
    yield engine
    await engine.close()


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """An open engine, on either database."""
    if request.param == "sqlite":
        small = SQLite(str(request.getfixturevalue("path")))
        yield small
        await small.close()
        return
    server: Server = request.getfixturevalue("postgres")
    url = await server.database()
    engine = Postgres(url)
    await engine.open()
    yield engine
    await engine.close()
    server.leave(url)


@pytest.fixture
def store(engine: Engine, clock: StillClock) -> Store:
    """The queue over that engine."""
    return Store(engine, Ids(1), clock)
