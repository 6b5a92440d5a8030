"""The vendor's handler: `/callback/ACCOUNT`, where the provider tells of statuses and replies by itself.

It is open to whoever reaches the port, and believes nobody without the signature. 200 is said
after the commit, or where nothing new was said; whatever the store could not take, or not in time,
is answered 503, for the provider to say it again. What the store takes after that is followed up
all the same: reports and steps that it brings wait for nobody's second call. What is refused is
counted, and logged once a minute.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import unquote

from aiohttp import web

from relay import metrics
from relay.config import Config
from relay.delivery.hearing import Hearing, Result
from relay.delivery.inbox import Inbox
from relay.model import MINUTE
from relay.queue.engine import Trouble
from relay.queue.store import Store
from relay.smsc import callbacks
from relay.smsc.callbacks import Callback, Status
from relay.smsc.reading import Unreadable

_log = logging.getLogger("relay.web")
_AT_ONCE = 64
"""Callbacks that are settled at once; the others wait, unread."""
_PATIENCE = 20.0
"""Seconds for a call's body to come, and for the store to take what it says."""
_STATUS = {Result.FORGED: 403, Result.UNREADABLE: 400, Result.UNSTORED: 503}


class Callbacks:
    """The handler of every account."""

    def __init__(self, *, config: Config, store: Store, hearing: Hearing, inbox: Inbox) -> None:
        self._config = config
        self._store = store
        self._hearing = hearing
        self._inbox = inbox
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._under_way: set[asyncio.Task[Result]] = set()
        self._told: dict[tuple[str, Result], tuple[int, int]] = {}  # since when it was not logged, how often

    def routes(self) -> list[web.RouteDef]:
        """The paths that this room answers."""
        return [
            web.get("/callback/{account}", self._call, allow_head=False),
            web.post("/callback/{account}", self._call),
        ]

    async def close(self) -> None:
        """Give up what the store has not taken: what it has, the next start finds."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _call(self, request: web.Request) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        # An address with the vendor's `!` may be called as it was written.
        name, _, within = path.rpartition("/")[2].partition("!")
        account = unquote(name)
        if account not in self._config.accounts:
            return web.Response(status=404, text="there is no such account\n")
        found = await self._read(request, "&".join(filter(None, (within, query))))
        result = found if isinstance(found, Result) else await self._taken(account, found)
        metrics.CALLBACKS.labels(account=account, result=result.value).inc()
        self._tell(account, result)
        return web.Response(status=_STATUS.get(result, 200), text=f"{result.value}\n")

    async def _read(self, request: web.Request, query: str) -> Callback | Result:
        """What the call says, or why it is not taken."""
        secret = self._config.web.callback_secret.get_secret_value()
        if not secret:
            return Result.FORGED
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await request.read()
        except (web.HTTPRequestEntityTooLarge, TimeoutError):
            return Result.UNREADABLE
        found = callbacks.read(
            query.encode("utf-8", "surrogateescape"), request.headers.get("Content-Type", ""), body
        )
        if isinstance(found, Unreadable):
            return Result.UNREADABLE
        return found if callbacks.verified(found, secret) else Result.FORGED

    async def _taken(self, account: str, found: Callback) -> Result:
        """What became of it, as far as that is known in time."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._room.acquire()
                task = asyncio.create_task(self._settled(account, found), name=f"callback {account}")
                self._under_way.add(task)
                task.add_done_callback(self._ended)
                return await asyncio.shield(task)
        except TimeoutError:
            return Result.UNSTORED

    async def _settled(self, account: str, found: Callback) -> Result:
        try:
            if isinstance(found.news, Status):
                return await self._hearing.status(account, found.news)
            await self._hearing.note(account)
            return await self._inbox.take(account, found.news)
        except Trouble:
            return Result.UNSTORED

    def _ended(self, task: asyncio.Task[Result]) -> None:
        self._under_way.discard(task)
        self._room.release()

    def _tell(self, account: str, result: Result) -> None:
        """Log what was not taken: at once, then once a minute how often since."""
        if result in (Result.TAKEN, Result.KNOWN):
            return
        now = self._store.clock.now()
        since, times = self._told.get((account, result), (-MINUTE, 0))
        if 0 <= now - since < MINUTE:
            self._told[account, result] = (since, times + 1)
            return
        self._told[account, result] = (now, 0)
        _log.warning(
            "a callback was not taken",
            extra={"account": account, "result": result.value, "times": times + 1},
        )
