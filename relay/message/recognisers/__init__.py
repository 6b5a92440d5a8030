"""The recognisers that come with the relay, one file each, and those of an operator's folder.

This is the edge: files are read here, what they say is judged in `recogniser`.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from relay.message.recogniser import LARGEST, Recogniser, RecogniserFault, parse


@cache
def builtin() -> tuple[Recogniser, ...]:
    """Those that come with the relay, by name."""
    files = [each for each in resources.files(__name__).iterdir() if each.name.endswith(".yaml")]
    found = [parse(each.name.removesuffix(".yaml"), each.read_text("utf-8")) for each in files]
    return tuple(sorted(found, key=lambda recogniser: recogniser.name))


def known(folder: Path | None) -> tuple[Recogniser, ...]:
    """An operator's own, if there is a folder of them, then the built-in ones; raises RecogniserFault."""
    return (*(load(folder) if folder else ()), *builtin())


def load(folder: Path) -> tuple[Recogniser, ...]:
    """Those of a folder's `*.yaml` files, by name, to be tried before the built-in ones.

    Raises RecogniserFault with the faults of all files, each with its file, line and key.
    """
    found: list[Recogniser] = []
    faults: list[str] = []
    try:
        files = sorted(
            (each for each in folder.iterdir() if each.suffix == ".yaml"), key=lambda file: file.stem
        )
    except OSError as error:
        raise RecogniserFault(f"{folder}: the folder cannot be read: {error.strerror}") from None
    for file in files:
        try:
            found.append(parse(file.stem, _source(file), file=str(file)))
        except RecogniserFault as fault:
            faults.append(str(fault))
    if faults:
        raise RecogniserFault("\n".join(faults))
    return tuple(found)


def _source(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(LARGEST + 1)
    except OSError as error:
        raise RecogniserFault(f"{file}:1:1: the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecogniserFault(f"{file}:1:1: this is not UTF-8; save the file in that encoding") from None
