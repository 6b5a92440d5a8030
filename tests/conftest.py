"""Fixtures for all rooms."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import pytest_asyncio
from harness import STORES, Journey, Process, StillClock, journey
from hypothesis import HealthCheck, settings
from postgres import MISSING, Server, apart

settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "dev")


LONG = ("test_kills", "test_accounts_walk", "test_model", "test_faults_rest", "test_storm_week")


ON_BOTH_LOOPS = (
    "test_tls",
    "test_nexthop",
    "test_transport",
    "test_fuzz_doors",
)  # what handles transports itself; `test_loops` has the rest
LOOPS = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": lambda: importlib.import_module("uvloop").new_event_loop(),
}
NO_UVLOOP = pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Asyncio's loop for all, and for some uvloop's too, on which `serve` runs where it is installed."""
    return LOOPS if item.path.stem in ON_BOTH_LOOPS else {"asyncio": asyncio.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker is alone with it; no uvloop, no test of it."""
    items.sort(key=lambda item: item.path.stem not in LONG)
    for item in items:
        if "uvloop" in item.keywords:
            item.add_marker(NO_UVLOOP)


@pytest.fixture(autouse=True)
def no_server_stays() -> Iterator[None]:
    """A test that fails or is interrupted leaves no server behind."""
    yield
    Process.end_all()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for all tests of this process."""
    if MISSING:
        pytest.skip(MISSING)
    server = Server().make().start().with_template()
    yield server
    server.remove()


@pytest_asyncio.fixture
async def database(postgres: Server) -> AsyncIterator[str]:
    """The URL of a PostgreSQL database that has all tables and no rows."""
    url = await postgres.database()
    yield url
    postgres.leave(url)


@pytest.fixture
def clock() -> StillClock:
    """A clock that stands still."""
    return StillClock()


ALL_ON_POSTGRES = os.environ.get("STORE") == "postgres"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A story that is marked so is told on both databases."""
    if metafunc.definition.get_closest_marker("both"):
        known = ["postgres"] if ALL_ON_POSTGRES else ["sqlite", "postgres"]
        metafunc.parametrize("kept_in", known, indirect=True)


@pytest.fixture(autouse=True)
def kept_in(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where relays keep their queues: in a file of their folder, or in a database for each folder.

    With STORE=postgres every story that leaves it to us is told there.
    """
    asked = ALL_ON_POSTGRES and request.path.parent.name == "stories"
    if not asked and getattr(request, "param", "sqlite") == "sqlite":
        yield
        return
    if alone := request.node.get_closest_marker("sqlite"):
        pytest.skip(f"SQLite's alone: {alone.args[0]}")
    server: Server = request.getfixturevalue("postgres")
    lent: dict[Path, str] = {}

    def of(folder: Path) -> str:
        for gone in [each for each in lent if not each.exists()]:
            server.leave(lent.pop(gone))
        if folder not in lent:
            apart(_lend(server, folder, lent))
        return lent[folder]

    STORES.append(of)
    yield
    STORES.clear()
    for url in lent.values():
        server.leave(url)


async def _lend(server: Server, folder: Path, lent: dict[Path, str]) -> None:
    lent[folder] = await server.database()


@pytest_asyncio.fixture
async def relay(tmp_path: Path, clock: StillClock) -> AsyncIterator[Journey]:
    """A running relay on a still clock."""
    async with journey(tmp_path, clock=clock) as running:
        yield running
