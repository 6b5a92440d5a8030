"""The room for mails on their way in, over all sessions: octets in memory and in spool files.

A mail is counted from its first octet until it was taken or refused. Where memory is full, small
mail goes to a file as large mail does; where the files are full as well, or the disk is nearly,
the mail is answered 452 4.3.1 and its client comes again. So many clients at once wait longer,
and the machine is not exhausted.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

from relay.config import Limits


def free(folder: str) -> int:
    """The octets that the disk of a folder ("": the system's own place for files) has left for us."""
    try:
        found = os.statvfs(folder or tempfile.gettempdir())
    except OSError:
        return 0  # where nothing can be written
    return found.f_bavail * found.f_frsize


class Room:
    """What is left of `limits.memory`, `limits.spool` and the disk."""

    def __init__(
        self,
        limits: Callable[[], Limits] = Limits,
        *,
        full: Callable[[], None] = lambda: None,
        free: Callable[[str], int] = free,
    ) -> None:
        self._limits = limits
        self._full = full
        self._free = free
        self.memory = self.spooled = 0  # octets that are held now

    def fits(self, size: int, folder: str) -> bool:
        """Whether a mail of that size could come in now."""
        return self.fits_memory(size) or self.fits_disk(size, folder)

    def refuse(self) -> None:
        """A mail found no room, and its client is told so."""
        self._full()

    def hold(self, folder: str = "") -> Held:
        """The part of one mail, which is empty yet; its file will be in that folder."""
        return Held(self, folder)

    def fits_memory(self, size: int) -> bool:
        """Whether memory has room for so much more."""
        return self.memory + size <= self._limits().memory

    def fits_disk(self, size: int, folder: str) -> bool:
        """Whether the spool has room for so much more, in that folder."""
        limits = self._limits()
        return self.spooled + size <= limits.spool and self._free(folder) - size >= limits.free_disk


class Held:
    """What one mail takes up."""

    def __init__(self, room: Room, folder: str) -> None:
        self._room = room
        self._folder = folder
        self._memory = self._spooled = 0

    def in_memory(self, size: int) -> bool:
        """Take so much more of the memory, if there is as much."""
        if not self._room.fits_memory(size):
            return False
        self._room.memory += size
        self._memory += size
        return True

    def in_file(self, size: int) -> bool:
        """Take so much more of the disk, if there is as much; nothing is in memory then."""
        if not self._room.fits_disk(size, self._folder):
            self._room.refuse()
            return False
        self._room.spooled += size
        self._spooled += size
        self._room.memory -= self._memory
        self._memory = 0
        return True

    def release(self) -> None:
        """Give it all back; a second time does nothing."""
        self._room.memory -= self._memory
        self._room.spooled -= self._spooled
        self._memory = self._spooled = 0
