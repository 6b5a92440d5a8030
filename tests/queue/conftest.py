"""A real database in a folder of its own, and a store over it on a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from harness import StillClock

from relay.model import Ids
from relay.queue.sqlite import SQLite
from relay.queue.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "relay.db"


@pytest_asyncio.fixture
async def engine(path: Path) -> AsyncIterator[SQLite]:
    """An open engine."""
    engine = SQLite(str(path))
    yield engine
    await engine.close()


@pytest.fixture
def store(engine: SQLite, clock: StillClock) -> Store:
    """The queue over that engine."""
    return Store(engine, Ids(1), clock)
