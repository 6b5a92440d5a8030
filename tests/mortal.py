"""A relay that may die at any instant and start again on the same file, before a provider that lives on.

A `Trap` chooses the instant: the n-th write to the store or call to the provider from now on,
before it happens or after, when nobody has heard of it yet. From then on nothing of the
process happens any more, and `die` takes it away as `kill -9` would: nothing is drained. What
is on disk and what the provider has is all that is left. The provider has a clock of its own,
which never jumps. It may tell what becomes of messages by itself, even before it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness import PATIENCE, Journey, StillClock, settings
from pydantic import SecretStr
from tidings import SECRET, Tidings

from relay.app import App
from relay.config import Alias, Config
from relay.model import SECOND
from relay.smsc.sandbox import Break, Fate, Sandbox

T = TypeVar("T")

HOUR = 3600
EXPIRE, GIVE_UP = 6 * HOUR, 12 * HOUR
MEMBERS = ("79991234567", "79991232006", "79991230107")
ONCALL = ("+79991234567", "+79991234570", "+79991232006")
NIGHT = ("+79991234573", "+79991232006")
BOSS, CHIEF = "+79991234575", "+79991234576"
STEPS = (
    {"after": "30s", "unless": "delivered", "to": "boss"},
    {"after": "2m", "unless": "answered", "to": "chief"},
)
WHERE = ("before a write", "after a write", "before a call", "after a call")


class Provider(Sandbox):
    """The sandbox, with one more fault: `late-N` resets the line at once and accepts N seconds later.

    Each of `before_answers` is done before the next send is answered, which the books have by then.
    """

    def __init__(self, *, now: Callable[[], float]) -> None:
        super().__init__(now=now)
        self.before_answers: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()

    async def _deliver(self, request: Any, call: Any, decoded: Any, found: Any) -> Any:
        if self.before_answers and call.path.endswith("send.php"):
            await self.before_answers.popleft()()
        return await super()._deliver(request, call, decoded, found)

    def _judge(self, endpoint: Any, call: Any, decoded: Any, refusal: Any, fault: Any, address: str) -> Any:
        if not (isinstance(fault, str) and fault.startswith("late-")):
            return super()._judge(endpoint, call, decoded, refusal, fault, address)
        late = Fate(suffix="", help="", broken=Break.RESET, late=float(fault.removeprefix("late-")))
        self._provider._breaking = lambda *_: late
        try:
            return super()._judge(endpoint, call, decoded, refusal, None, address)
        finally:
            del self._provider._breaking


@dataclass(slots=True)
class Trap:
    """Where the process will die: the `left`-th time that it comes there."""

    where: str
    left: int


class Mortal:
    """A relay, its provider, and the clocks of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = StillClock()
        self.skew = 0  # how far the provider's clock is ahead of ours
        self.sandbox = Provider(now=lambda: (self.clock.now() + self.skew) / SECOND)
        self.sandbox.groups["777"] = list(MEMBERS)
        self.tidings = Tidings(self.sandbox, self.sandbox._now, lambda: self.relay.app.web.address)
        self.punctual = False  # whether the provider tells each status as soon as it is due
        self.trap: Trap | None = None
        self.dead = asyncio.Event()
        self.lives = 0
        self.relay: Journey

    async def begin(self) -> None:
        """Open the provider's door and start."""
        self.url = await self.sandbox.start()
        self.config = _config(self.folder, self.url)
        await self.start()

    async def start(self) -> None:
        """Start on whatever is on disk."""
        self.dead.clear()
        self.trap = None
        app = App(self.config, clock=self.clock, chance=lambda: 0.0, sandboxes={}, patience=0.1)
        await app._start()
        self.relay = Journey(app, self.sandbox, self.clock, self.folder)
        self.lives += 1
        engine, exchange = app.store.engine, app.clients["main"]._exchange
        engine.write = self._fatal("write", engine.write)
        exchange.post = self._fatal("call", exchange.post)
        for name in ("read", "read_all", "delete"):
            setattr(engine, name, self._fatal("", getattr(engine, name)))

    async def stop(self) -> None:
        """Drain and end, as SIGTERM does."""
        await self.relay.app._drain()
        await self.relay.app._stack.aclose()

    async def die(self) -> None:
        """End now: what has not happened never will."""
        self.dead.set()
        app = self.relay.app
        for runner in app.web._runners:
            runner._shutdown_timeout = 0  # its calls will never be answered
        calls = [task for worker in app.workers.values() for task in worker._tasks]
        beats = [app._beats] if app._beats else []
        tasks = [*app._loops, *app.watch._tasks, *calls, *beats]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listener in app.listeners:
            await listener.close()
        await app.registry.drain(0)
        await app._stack.aclose()
        self.clock.sleepers.clear()

    async def end(self) -> None:
        """Everything closed."""
        with contextlib.suppress(AttributeError):
            await self.die()
        await self.sandbox.stop()

    def _fatal(self, what: str, real: Any) -> Any:
        """What ends, for whoever called it, in silence once the process is dead."""

        async def call(*arguments: Any, **named: Any) -> Any:
            await self._at(f"before a {what}")
            value = await real(*arguments, **named)
            await self._at(f"after a {what}")
            return value

        return call

    async def _at(self, where: str) -> None:
        if self.trap is not None and self.trap.where == where:
            self.trap.left -= 1
            if self.trap.left <= 0:
                self.dead.set()
        if self.dead.is_set():
            await asyncio.Event().wait()

    # -- what goes on ---------------------------------------------------------------------

    async def unless_dead(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What comes of it, or None where the process died meanwhile."""
        task = asyncio.ensure_future(work)
        dying = asyncio.ensure_future(self.dead.wait())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({task, dying}, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None

    async def rest(self) -> None:
        """Wait until nobody has anything to do, or nobody is left."""
        for _ in range(3):
            await self.relay.until(lambda: self.dead.is_set() or self.relay.at_rest(), "rest")
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass from one awakening to the next; where the process dies, it starts again."""
        clock, end = self.clock, self.clock.now() + int(seconds * SECOND)
        while True:
            await self.rest()
            if self.punctual and not self.dead.is_set():
                await self._tell_all()
                await self.rest()
            if self.dead.is_set():
                await self.die()
                await self.start()
                continue
            moments = [until for until in self._moments() if until <= end]
            if not moments:
                break
            clock.set(max(clock.now(), min(moments)))
        clock.set(end)
        await self.rest()

    def _moments(self) -> list[int]:
        """When somebody wakes, or the provider has something to tell."""
        found = [until for until in self.clock.sleepers.values() if until is not None]
        if self.punctual and (at := self.tidings.next()) is not None:
            found.append(math.floor(at * SECOND) + 1 - self.skew)
        return found

    async def _tell_all(self) -> None:
        """The provider tells what is due, but for what was answered otherwise before."""
        self.tidings.look()
        for word in self.tidings.waiting:
            if await self.unless_dead(self.tidings.tell(word)) is None:
                return

    def jump_back(self, seconds: float) -> None:
        """Somebody sets this machine's clock back; the provider's goes on."""
        self.clock.set(self.clock.now() - int(seconds * SECOND))
        self.skew += int(seconds * SECOND)


def _config(folder: Path, url: str) -> Config:
    base = settings(
        folder,
        reports={"gather": 5000},
        delivery={"give_up": GIVE_UP * SECOND},
        web={"listen": "127.0.0.1:0", "callback_secret": SecretStr(SECRET)},
    )
    named = {"url": url, "login": SecretStr("l"), "psw": SecretStr("p")}
    account = base.accounts["main"].model_copy(update=named)
    routes = tuple(route.model_copy(update={"expire": EXPIRE * SECOND}) for route in base.routes)
    members = {"oncall": ONCALL, "boss": (BOSS,), "chief": (CHIEF,)}
    aliases = {name: Alias.model_validate({"to": list(phones)}) for name, phones in members.items()}
    aliases["night"] = Alias.model_validate({"to": list(NIGHT), "escalate": list(STEPS)})
    update = {"accounts": {"main": account}, "routes": routes, "aliases": aliases}
    return base.model_copy(update=update)
