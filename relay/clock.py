"""The one source of time: wall-clock milliseconds, and waiting until a moment of them.

Everything that is stored or compared between processes is UTC milliseconds. Loops take a
`Clock` so that tests can hand them one that stands still until it is moved.
"""

from __future__ import annotations

import asyncio
import contextlib
import time


class Clock:
    """The machine's clock."""

    def now(self) -> int:
        """UTC milliseconds."""
        return time.time_ns() // 1_000_000

    def zone(self, at: int) -> int:
        """How far this machine's local time is ahead of UTC at a moment, in milliseconds."""
        return time.localtime(at / 1000).tm_gmtoff * 1000

    async def wait(self, event: asyncio.Event, until: int | None) -> None:
        """Return when `event` is set (and clear it), or when `until` is reached."""
        timeout = None if until is None else max(0.0, (until - self.now()) / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await event.wait()
        event.clear()
