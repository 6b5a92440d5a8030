"""Fixtures for all rooms."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from harness import Journey, StillClock, journey
from hypothesis import HealthCheck, settings

settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture
def clock() -> StillClock:
    """A clock that stands still."""
    return StillClock()


@pytest_asyncio.fixture
async def relay(tmp_path: Path, clock: StillClock) -> AsyncIterator[Journey]:
    """A running relay on a still clock."""
    async with journey(tmp_path, clock=clock) as running:
        yield running
