"""What is skipped where, and a folder for daemons."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def wanted() -> Callable[..., None]:
    """Skips a test whose programs are not installed, or that only `make interop` runs."""

    def judge(*programs: str, root: bool = False) -> None:
        missing = [each for each in programs if shutil.which(each) is None]
        if missing:
            pytest.skip(f"{' and '.join(missing)} not installed; make interop installs what it may")
        if root and (os.geteuid() != 0 or not os.environ.get("INTEROP")):
            pytest.skip(f"{programs[0]} is started by make interop alone, as root")

    return judge


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a daemon which gives up root can still enter."""
    with tempfile.TemporaryDirectory(prefix="smsc-relay-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
