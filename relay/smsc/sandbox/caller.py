"""Who makes the provider's calls to a handler: what is due is called, what failed is called again.

How often the vendor repeats a call that is not answered 200 nobody has written down: here three
times, at the next occasions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import aiohttp

from relay.smsc.sandbox import callbacks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relay.smsc.sandbox.callbacks import Post
    from relay.smsc.sandbox.formats import Incoming
    from relay.smsc.sandbox.model import Message

EVERY = 0.2
TRIES = 4
AT_ONCE = 8


class Caller:
    """Calls one handler. `answers` are the HTTP statuses that it gave, 0 where it gave none."""

    def __init__(
        self, handler: str, messages: Callable[[], Sequence[Message]], now: Callable[[], float]
    ) -> None:
        self.handler = handler
        self.answers: list[int] = []
        self._messages = messages
        self._now = now
        self._told: dict[tuple[int, int], float] = {}  # (the message, the step) -> when
        self._open = 0  # the messages before this one have had their last status
        self._again: deque[tuple[Post, int]] = deque()
        self._calling = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Call whatever falls due, until stopped."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Call nobody any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def message(self, incoming: Incoming) -> None:
        """A phone sent a message: the handler is to hear of it."""
        self._again.append((callbacks.of_message(self.handler, incoming), 0))

    def confirming(self, phone: str) -> None:
        """A subscriber called: the handler is to hear of it."""
        self._again.append((callbacks.of_call(self.handler, phone, self._now()), 0))

    async def _run(self) -> None:
        while True:
            await self.call()
            await asyncio.sleep(EVERY)

    async def call(self) -> None:
        """Make all calls that are due now."""
        async with self._calling:
            posts = [*self._again, *((post, 0) for post in self._due())]
            self._again.clear()
            if not posts:
                return
            room = asyncio.Semaphore(AT_ONCE)
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:
                await asyncio.gather(*(self._make(session, room, post, tries) for post, tries in posts))

    def _due(self) -> list[Post]:
        """The statuses that messages came to since they were last looked at, the first one aside."""
        now, posts = self._now(), []
        messages = self._messages()
        for message in messages[self._open :]:
            for number, step in enumerate(message.history[1:]):
                key = (message.int_id, number)
                if step.at <= now and key not in self._told:
                    self._told[key] = now
                    posts.append(callbacks.of_status(self.handler, message, step))
        while self._open < len(messages) and messages[self._open].final.at <= now:
            message = messages[self._open]
            for number in range(len(message.history)):
                self._told.pop((message.int_id, number), None)
            self._open += 1
        return posts

    async def _make(
        self, session: aiohttp.ClientSession, room: asyncio.Semaphore, post: Post, tries: int
    ) -> None:
        async with room:
            try:
                headers = {"Content-Type": post.content_type}
                async with session.post(post.url, data=post.body, headers=headers) as answer:
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError):
                status = 0
        self.answers.append(status)
        if status != 200 and tries + 1 < TRIES:
            self._again.append((post, tries + 1))
