"""The octets of a mail as they arrive: the end is found, the dots are undone, large mail is spooled.

Only CR LF . CR LF ends a mail; every other mixture of CR, LF and dots is content, so that nobody
can make this relay and another one see different ends (RFC 5321 4.1.1.4).

At most one block and `spool_over` octets of a mail are in memory; beyond them, or where all mails
together have filled the `Room` for that, a file of mode 0600 holds it. Whoever takes the `Body`
gives up file and room (`remove`); what a killed process left behind is swept at the next start
(`sweep`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from relay.smtp.room import Held, Room

BLOCK = 64 * 1024  # octets read at once: a fraction of a millisecond's work
_BUFFER = 8 * 1024  # of a file: there may be one for each connection, and newer Pythons take 128 kB

_END = b"\r\n.\r\n"
_PREFIX, _SUFFIX = "mail-", ".spool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A mail's octets, dots undone: in `data`, or in the file at `path` where it was large."""

    data: bytes = b""
    path: str = ""
    size: int = 0
    held: Held | None = field(default=None, repr=False, compare=False)  # the room that it takes up

    def read(self) -> bytes:
        """All octets, wherever they are."""
        return Path(self.path).read_bytes() if self.path else self.data

    def header(self, most: int = 64 * 1024) -> bytes:
        """The header block, cut where it is longer than any header should be."""
        if self.path:
            with Path(self.path).open("rb") as file:
                begins = file.read(most)
        else:
            begins = self.data[:most]
        return begins.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def whole_header(body: Body) -> bytes:
    """The header block, however long, with the empty line below it where there is one."""
    before: list[bytes] = []
    tail = b""  # what the end of the header may begin with
    for piece in pieces(body):
        at = (tail + piece).find(b"\r\n\r\n")
        if at >= 0:
            return b"".join([*before, piece[: at + 4 - len(tail)]])
        before.append(piece)
        tail = (tail + piece)[-3:]
    return b"".join(before)


def pieces(body: Body) -> Iterator[bytes]:
    """All octets, a block at a time."""
    if body.path:
        with Path(body.path).open("rb") as file:
            while block := file.read(BLOCK):
                yield block
    else:
        yield from (body.data[at : at + BLOCK] for at in range(0, len(body.data), BLOCK))


def with_header(body: Body, header: bytes, instead_of: int) -> Body:
    """The mail with another header block instead of its first octets, in the same file if it has one."""
    size = body.size - instead_of + len(header)
    if not body.path:
        return Body(data=header + body.data[instead_of:], size=size)
    folder = str(Path(body.path).parent)
    number, path = tempfile.mkstemp(_SUFFIX, _PREFIX, folder)
    try:
        with os.fdopen(number, "wb") as file, Path(body.path).open("rb") as old:
            file.write(header)
            old.seek(instead_of)
            shutil.copyfileobj(old, file, BLOCK)
        Path(path).replace(body.path)
    except BaseException:
        _unlink(path)
        raise
    return Body(path=body.path, size=size)


class Dots:
    """Finds the end of DATA and undoes the dot-stuffing, over blocks cut anywhere."""

    def __init__(self) -> None:
        self._held = b"\r\n"  # what may begin the end; DATA's own line end counts
        self._skip = 2  # that one is not content
        self.done = False
        self.rest = b""  # what came after the end: the next commands

    def feed(self, block: bytes) -> bytes:
        """The next piece of content; after the end `done` is set and `rest` holds what follows."""
        block = self._held + block
        end = block.find(_END) if b"." in block else -1  # a file in base64 holds none
        if end >= 0:
            self.done, self.rest = True, block[end + len(_END) :]
            end += 2  # the last line keeps its line end
        else:
            end = len(block) - _overlap(block)
            self._held = block[end:]
        return self._content(block[:end])

    def _content(self, piece: bytes) -> bytes:
        # A piece never ends within a CR LF or before a dot: those are held until more is there.
        content = piece.replace(b"\r\n.", b"\r\n") if b"." in piece else piece  # RFC 5321 4.5.2
        if self._skip and content:
            content, self._skip = content[self._skip :], 0
        return content


def _overlap(block: bytes) -> int:
    """How many octets at the end of the block could begin the end of the mail."""
    return next((size for size in range(len(_END) - 1, 0, -1) if block.endswith(_END[:size])), 0)


class Spool:
    """Keeps the pieces of one mail, in memory while small, then in a file; or drops them."""

    def __init__(self, directory: str, *, over: int, limit: int, room: Room | None = None) -> None:
        self._directory = directory or None
        self._held: Held | None = (room or Room()).hold(directory)
        self._over = over
        self._limit = limit
        self._pieces: list[bytes] = []
        self._file: BinaryIO | None = None
        self._path = ""
        self._dropped = False
        self.size = 0
        self.too_large = False
        self.failed = False  # there was no room, or the disk did not take it

    def write(self, piece: bytes) -> None:
        """Keep a piece, unless there is too much of the mail already."""
        self.size += len(piece)
        if self.size > self._limit:
            self.too_large = True
            self.drop()
        if self._dropped or not piece:
            return
        self._pieces.append(piece)
        assert self._held is not None  # noqa: S101 - until it is dropped or taken
        if self.size > self._over or self._file is not None or not self._held.in_memory(len(piece)):
            self._to_disk(self._held)

    def _to_disk(self, held: Held) -> None:
        if not held.in_file(sum(map(len, self._pieces))):
            self.failed = True
            self.drop()
            return
        try:
            if self._file is None:
                number, self._path = tempfile.mkstemp(_SUFFIX, _PREFIX, self._directory)  # mode 0600
                self._file = os.fdopen(number, "wb", buffering=_BUFFER)
            self._file.writelines(self._pieces)
            self._file.flush()
        except OSError:
            self.failed = True
            self.drop()
        self._pieces.clear()

    def take(self) -> Body:
        """The mail; its file, if there is one, is the taker's from now on."""
        if self._file is None:
            body = Body(data=b"".join(self._pieces), size=self.size, held=self._held)
        else:
            self._file.close()
            body = Body(path=self._path, size=self.size, held=self._held)
        self._file, self._path, self._held = None, "", None  # the body has them now
        self.drop()
        return body

    def drop(self) -> None:
        """Forget everything, now and from now on."""
        self._dropped = True
        self._pieces.clear()
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk may refuse even the closing
                self._file.close()
        self._file = None
        _unlink(self._path)
        self._path = ""
        if self._held is not None:
            self._held.release()


def remove(body: Body) -> None:
    """Remove the file behind a body, if there is one, and give its room back."""
    _unlink(body.path)
    if body.held is not None:
        body.held.release()


def sweep(directory: str) -> int:
    """Remove what a killed process left in its spool directory; how many files that were."""
    left = list(Path(directory).glob(f"{_PREFIX}*{_SUFFIX}"))
    for path in left:
        _unlink(str(path))
    return len(left)


def _unlink(path: str) -> None:
    if path:
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
