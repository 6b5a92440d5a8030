"""The one source of time: wall-clock milliseconds, and waiting until a moment of them.

Everything that is stored or compared between processes is UTC milliseconds. Loops take a
`Clock` so that tests can hand them one that stands still until it is moved.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

_EVEN = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_SLOW = 250  # a look at another clock that took so many milliseconds tells too little
_LOOK = 30.0  # seconds after which whoever waits looks at the clock again: it may have been set


class Clock:
    """The machine's clock."""

    def now(self) -> int:
        """UTC milliseconds."""
        return time.time_ns() // 1_000_000

    def zone(self, at: int) -> int:
        """How far this machine's local time is ahead of UTC at a moment, in milliseconds."""
        return time.localtime(at / 1000).tm_gmtoff * 1000

    def reading(self) -> int:
        """A reading to be handed to `follow`; it goes on evenly, whatever is done to the clock."""
        return 0

    def follow(self, moment: int, before: int) -> None:
        """Another clock showed `moment` at some time since the reading `before`."""

    async def wait(self, event: asyncio.Event, until: int | None) -> None:
        """Return when `event` is set (and clear it), or when `until` is reached.

        A clock that was set meanwhile, or a machine that slept, makes that half a minute late at most.
        """
        while True:
            timeout = None if until is None else min(_LOOK, max(0.0, (until - self.now()) / 1000))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await event.wait()
            if event.is_set() or (until is not None and self.now() >= until):
                break
        event.clear()


class Follower(Clock):
    """A clock that goes by another one, a database's: evenly from when that was last looked at.

    It takes no notice of this machine's wall clock, which may be wrong or be set, and goes on
    while the machine sleeps.
    """

    def __init__(self) -> None:
        self._ahead = time.time_ns() // 1_000_000 - self.reading()
        self._followed = False

    def now(self) -> int:
        return self.reading() + self._ahead

    def reading(self) -> int:
        return time.clock_gettime_ns(_EVEN) // 1_000_000

    def follow(self, moment: int, before: int) -> None:
        after = self.reading()
        if after - before < _SLOW or not self._followed:
            self._ahead = moment - (before + after) // 2
            self._followed = True
