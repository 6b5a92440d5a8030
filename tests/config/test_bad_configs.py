"""Every wrong configuration in tests/bad_configs is refused with exactly the lines beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay import config

FOLDER = Path(__file__).parent.parent / "bad_configs"
FILES = sorted(FOLDER.glob("*.yaml"))


def refusal(path):
    """What is said of this file, its path shortened to its name."""
    with pytest.raises(config.ConfigError) as raised:
        config.load(path)
    return str(raised.value).replace(str(path), path.name) + "\n"


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_fault_is_named_at_its_place(path):
    """The refusal is the one that stands beside the file: every fault, in the file's order."""
    assert path.with_suffix(".error").read_text("utf-8") == refusal(path)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_no_secret_is_printed(path):
    """The password of all these files never shows, wherever it was put."""
    assert "hunter2" not in refusal(path)


def test_each_file_has_its_refusal():
    """No file without its lines, and no lines without a file."""
    assert [path.stem for path in FILES] == sorted(path.stem for path in FOLDER.glob("*.error"))


def test_faults_are_also_handed_over_one_by_one():
    """`faults` holds the lines of the message."""
    with pytest.raises(config.ConfigError) as raised:
        config.load(FILES[0])
    assert raised.value.faults == tuple(str(raised.value).splitlines())
