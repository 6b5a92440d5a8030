"""A whole relay for tests: real sockets, a real store, the sandbox as provider, a maildir for reports.

`Journey` runs it in this process. With a `StillClock` time stands still until `pass_time`
moves it from one moment at which somebody wakes to the next, once everybody is at rest; so
hours pass in milliseconds and nothing is ever slept for.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any, ClassVar

import aiosmtplib
import asyncpg
import yaml

from relay.app import App
from relay.clock import Clock
from relay.config import Config, default
from relay.model import SECOND
from relay.queue.rows import Order
from relay.queue.states import State
from relay.smsc.sandbox import Sandbox

START = 1_800_000_000_000
SENDER = "ops@mon.example.com"
PATIENCE = 45.0


class StillClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self, now: int = START) -> None:
        self._now = now
        self.sleepers: dict[asyncio.Event, int | None] = {}

    def now(self) -> int:
        return self._now

    def set(self, now: int) -> None:
        """It is `now`; whoever waited for that wakes."""
        self._now = now
        for event, until in list(self.sleepers.items()):
            if until is not None and until <= now:
                event.set()

    async def wait(self, event: asyncio.Event, until: int | None) -> None:
        if until is None or until > self._now:
            self.sleepers[event] = until
            try:
                await event.wait()
            finally:
                self.sleepers.pop(event, None)
        event.clear()


STORES: list[Callable[[Path], str]] = []
"""Who has a store for each folder, where stories are told on another one than a file in it."""


def stored(folder: Path) -> dict[str, str]:
    """The setting of the store, where it is not a file in that folder."""
    return {"store": STORES[0](folder)} if STORES else {}


def settings(folder: Path, **changes: Any) -> Config:
    """The demo's configuration on free ports, with changes: `reports={"gather": 0}` and the like."""
    base = default(folder)
    changes = {
        "reports": {"gather": 0},
        "web": {"listen": ""},
        "listeners": (base.listeners[0].model_copy(update={"address": "127.0.0.1:0"}),),
        "hostname": "relay.example.com",
        **stored(folder),
    } | changes
    update = {
        key: getattr(base, key).model_copy(update=value)
        if isinstance(value, Mapping) and key != "aliases"
        else value
        for key, value in changes.items()
    }
    return base.model_copy(update=update)


class Journey:
    """A running relay and everything around it."""

    def __init__(self, app: App, sandbox: Sandbox, clock: Clock, folder: Path) -> None:
        self.app = app
        self.sandbox = sandbox
        self.clock = clock
        self.folder = folder

    # -- the client -----------------------------------------------------------------------

    async def mail(
        self,
        content: str | bytes,
        to: str | Sequence[str],
        *,
        sender: str = SENDER,
        options: Sequence[str] = (),
        rcpt_options: Sequence[str] = (),
    ) -> list[str]:
        """Send a mail; every reply to MAIL, RCPT and DATA as `code message`."""
        raw = content.encode() if isinstance(content, str) else content
        raw = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        host, _, port = self.app.listeners[0].address.rpartition(":")
        client = aiosmtplib.SMTP(hostname=host, port=int(port), start_tls=False, timeout=PATIENCE)
        await client.connect()
        await client.ehlo()
        replies = [await client.execute_command(f"MAIL FROM:<{sender}>".encode(), *_bytes(options))]
        for each in [to] if isinstance(to, str) else to:
            line = f"RCPT TO:<{each}>".encode()
            replies.append(await client.execute_command(line, *_bytes(rcpt_options)))
        with contextlib.suppress(aiosmtplib.SMTPDataError):
            if any(reply.code == 250 for reply in replies[1:]):
                try:
                    replies.append(await client.data(raw))
                except aiosmtplib.SMTPDataError as refused:
                    replies.append(aiosmtplib.SMTPResponse(refused.code, refused.message))
        with contextlib.suppress(aiosmtplib.SMTPException):
            await client.quit()
        return [f"{reply.code} {reply.message}" for reply in replies]

    # -- looking --------------------------------------------------------------------------

    async def orders(self) -> list[Order]:
        """All orders, oldest first."""
        return sorted(await self.app.store.listed(list(State), 10_000), key=lambda order: order.id)

    async def order(self) -> Order:
        """The only order there is."""
        (order,) = await self.orders()
        return order

    def sends(self) -> list[Mapping[str, str]]:
        """The parameters of each call to send.php."""
        return [call.params for call in self.sandbox.calls if call.path.endswith("send.php")]

    def reports(self) -> list[EmailMessage]:
        """The reports that the maildir has, oldest first."""
        new = self.folder / "reports" / "new"
        paths = sorted(new.iterdir(), key=lambda path: path.stat().st_mtime_ns) if new.is_dir() else []
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]

    async def until(self, true: Callable[[], Any], what: str = "it") -> None:
        """Wait for something to become true; fail, saying what, when it does not."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await _value(true):  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"{what} did not come to pass") from None

    # -- time -----------------------------------------------------------------------------

    def at_rest(self) -> bool:
        """Whether nobody has anything to do at this moment."""
        clock = self.clock
        assert isinstance(clock, StillClock)
        awake = [event for event in clock.sleepers if event.is_set()]
        busy = bool(self.app.forwarder.in_flight) or self.app.watch.busy
        busy = busy or any(each.in_flight for each in self.app.workers.values())
        patient = self.app.waiting.count  # answers to DATA that wait for an outcome
        return len(clock.sleepers) == len(self.app._loops) + patient and not awake and not busy

    async def rest(self) -> None:
        """Wait until nobody has anything to do at this moment."""
        for _ in range(3):
            await self.until(self.at_rest, "rest")
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, from one awakening to the next."""
        clock = self.clock
        assert isinstance(clock, StillClock)
        end = clock.now() + int(seconds * SECOND)
        while True:
            await self.rest()
            moments = [until for until in clock.sleepers.values() if until is not None and until <= end]
            if not moments:
                break
            clock.set(max(clock.now(), min(moments)))
        clock.set(end)
        await self.rest()


async def _value(true: Callable[[], Any]) -> Any:
    value = true()
    return await value if asyncio.iscoroutine(value) else value


def _bytes(options: Sequence[str]) -> list[bytes]:
    return [option.encode() for option in options]


@contextlib.asynccontextmanager
async def journey(
    folder: Path,
    *,
    clock: Clock | None = None,
    sandbox: Sandbox | None = None,
    backup: Sandbox | None = None,
    config: Config | None = None,
    **options: Any,
) -> AsyncIterator[Journey]:
    """A relay that runs for as long as the block. `backup` is the provider of an account of that name."""
    clock = clock or StillClock()
    sandbox = sandbox or Sandbox(now=lambda: clock.now() / SECOND)
    sandboxes = {"main": sandbox} | ({"backup": backup} if backup else {})
    app = App(config or settings(folder), clock=clock, chance=lambda: 0.0, sandboxes=sandboxes, **options)
    try:
        async with app.running():
            yield Journey(app, sandbox, clock, folder)
    finally:
        for each in sandboxes.values():
            await each.stop()


class Process:
    """A `smsc-relay serve` of its own."""

    started: ClassVar[list[asyncio.subprocess.Process]] = []
    program: tuple[str, ...] = ("-m", "relay")

    @classmethod
    def end_all(cls) -> None:
        """Kill what a test that failed has left running."""
        for each in cls.started:
            if each.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)
        cls.started.clear()

    def __init__(self, folder: Path, provider: str, **changes: object) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.process: asyncio.subprocess.Process | None = None
        self.port = 0
        self.changes = stored(folder) | changes
        self.config.write_text(
            yaml.safe_dump(
                {
                    "hostname": "relay.example.com",
                    "listeners": [{"address": "127.0.0.1:0"}],
                    "senders": [{"name": "all", "networks": ["127.0.0.0/8"]}],
                    "accounts": {"main": {"url": provider, "login": "l", "psw": "p"}},
                    "routes": [{"match": "*@sms.example.com", "channel": "sms"}],
                    "reports": {"maildir": "reports", "gather": "100ms"},
                    "delivery": {"poll": ["1s"], "retry": ["1s"]},
                    "web": {"listen": ""},
                }
                | self.changes
            )
        )

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What its database says, to somebody who only looks."""
        store = str(self.changes.get("store", ""))
        if not store:
            with contextlib.closing(
                sqlite3.connect(f"file:{self.folder}/relay.db?mode=ro", uri=True)
            ) as look:
                return look.execute(sql).fetchall()
        connection = await asyncpg.connect(store)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    async def start(self, *options: str, under: tuple[str, ...] = ()) -> str:
        """Start it, `under` another program if need be, and wait for its ready line: the answer."""
        command = (*under, sys.executable, *self.program, "serve", "-c", str(self.config), *options)
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        self.started.append(self.process)
        assert self.process.stdout
        async with asyncio.timeout(PATIENCE * 2):
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith("ready smtp="), line
        if line.split()[1] == "smtp=-":
            return line
        self.port = int(line.split()[1].rpartition(":")[2])
        return line

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """End it, and wait for that."""
        assert self.process
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, how)
        await self.process.communicate()
        return self.process.returncode or 0

    def signal(self, which: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process
        os.kill(self.process.pid, which)

    async def said(self, event: str, times: int = 1) -> None:
        """Wait until its log has said something so many times."""
        async with asyncio.timeout(PATIENCE):
            while (self.folder / "log").read_text().count(f'"{event}"') < times:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
