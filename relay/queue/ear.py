"""What nodes tell each other through PostgreSQL: one connection that does nothing but listen.

Nobody can rely on being heard: it only spares the waiting until somebody looks.

What can go wrong. The line breaks: it is made anew, and whoever listens is told that something may
have been missed. Behind a pooler nothing can be heard, unless the URL names a way around it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from relay.queue.joining import Url
from relay.queue.lines import Line, reason

_log = logging.getLogger("relay.queue")

CHANNEL = "smsc_relay"


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
        line = Line(url)
        try:
            while True:
                try:
                    connection = await line.ready()
                    lost = asyncio.Event()
                    connection.add_termination_listener(lambda _, lost=lost: lost.set())
                    await connection.add_listener(CHANNEL, lambda *told: heard(str(told[3])))
                    self.listening = True
                    heard("")  # whatever was told meanwhile was missed
                    await lost.wait()
                except Exception as error:  # noqa: BLE001 - what is not heard is found by looking
                    _log.warning("the database can't be listened to", extra={"why": reason(error)})
                self.listening = False
                line.drop()
                await asyncio.sleep(1)
        finally:
            line.drop()
