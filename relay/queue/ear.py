"""What nodes tell each other through PostgreSQL: one connection that does nothing but listen.

Nobody can rely on being heard: it only spares the waiting until somebody looks.

What can go wrong. The line breaks: it is made anew, and whoever listens is told that something may
have been missed. It breaks and nobody says so, or another host takes writes: something is asked over
it now and then. Behind a pooler nothing can be heard, unless the URL names a way around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from relay.queue.joining import Connection, Url
from relay.queue.lines import Line, reason

_log = logging.getLogger("relay.queue")

CHANNEL = "smsc_relay"
LOOK = 10.0
"""Seconds after which it is looked whether the line still stands."""


class Ear:
    """Hears what any node tells."""

    def __init__(self, url: Url) -> None:
        self._url = Url(url.listen) if url.listen else url
        self._task: asyncio.Task[None] | None = None
        self.listening = False

    def listen(self, heard: Callable[[str], None]) -> None:
        """Have `heard` called with what is told, "" where something may have been missed."""
        if not self._url.pooled:
            self._task = asyncio.create_task(self._hear(self._url, heard), name="ear")

    async def close(self) -> None:
        """Hear no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _hear(self, url: Url, heard: Callable[[str], None]) -> None:
        line, lost = Line(url), asyncio.Event()
        known: Connection = None
        try:
            while True:
                try:
                    connection = await line.ready()
                    if connection is known:
                        await connection.execute("SELECT")
                    else:
                        known, lost = connection, asyncio.Event()
                        connection.add_termination_listener(lambda _, lost=lost: lost.set())
                        await connection.add_listener(CHANNEL, lambda *told: heard(str(told[3])))
                        self.listening = True
                        heard("")  # whatever was told meanwhile was missed
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK):
                            await lost.wait()
                            self.listening = False
                except Exception as error:  # noqa: BLE001 - what is not heard is found by looking
                    _log.warning("the database can't be listened to", extra={"why": reason(error)})
                    self.listening = False
                    line.drop(error)
                    await asyncio.sleep(1)
        finally:
            line.drop()
