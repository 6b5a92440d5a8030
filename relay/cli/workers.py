"""Several processes behind one port, where the configuration says `workers: N`.

The parent takes no mail and makes no call. It starts the workers, each a node of its own among those
that share the database (docs/scaling.md), and each with the same TCP listeners: the system divides
the clients among them (SO_REUSEPORT). The first worker alone has what can't be divided, the HTTP
doors and the unix sockets. The parent says that the relay is ready when all of them are,
hands SIGHUP on, and on SIGTERM or SIGINT has them end and waits for that.

What can go wrong. A worker dies: its orders are the others' soon, and it is started again, at once, then
after longer and longer waits. One dies before it was ever ready: the others are ended, and the relay
with them, as a single process would. The parent is killed: the workers hear the end of a pipe, and end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from pathlib import Path

import click

from relay.cli.notify import READY, STOPPING, notify, reloading
from relay.config import Config
from relay.rooms import CannotStart

_log = logging.getLogger("relay.app")

PATIENCE = 60.0
"""Seconds that a worker has to end; it gives its sessions and its calls 20 each."""
_WAITS = (0.0, 1.0, 5.0, 30.0)  # before a worker is started again; the last repeats
_WELL = 60.0  # seconds after which a worker that dies is started at once again


Share = Callable[[Config], Config]
"""What a worker makes of the configuration of all."""
_NAME = "SMSC_RELAY_WORKER"


def mine(environment: MutableMapping[str, str]) -> Share | None:
    """What this process makes of the configuration where a parent said that it is a worker, else None.

    The parent's word is kept from our own children.
    """
    told = environment.pop(_NAME, "").split()
    return partial(share, number=int(told[0]), addresses=told[1:]) if told else None


def share(config: Config, number: int, addresses: Sequence[str]) -> Config:
    """The configuration as worker `number` follows it; `addresses` are those of all listeners."""
    found = [
        each.model_copy(update={"address": address})
        for each, address in zip(config.listeners, addresses, strict=False)
        if not (number and address.startswith("unix:"))
    ]
    if not number:
        return config.model_copy(update={"listeners": tuple(found)})
    web = config.web.model_copy(update={"listen": "", "socket": f"{config.web.socket}.{number}"})
    return config.model_copy(update={"listeners": tuple(found), "web": web})


def reserved(address: str) -> tuple[str, socket.socket | None]:
    """An address that all workers can bind: any free port becomes this one, as long as it is held."""
    host, _, port = address.rpartition(":")
    if address.startswith("unix:") or port != "0":
        return address, None
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    held = socket.socket(family)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((host.strip("[]"), 0))
    return f"{host}:{held.getsockname()[1]}", held


class _Worker:
    """One of them."""

    def __init__(
        self, number: int, command: Sequence[str], addresses: Sequence[str], ready: Callable[[str], None]
    ) -> None:
        self.number = number
        self._command = command
        self._told = " ".join([str(number), *addresses])
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None

    def signal(self, which: signal.Signals) -> None:
        """Send it a signal, where it lives."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(which)

    async def run(self, stopping: asyncio.Event) -> None:
        """Start it, and again whenever it dies; raises CannotStart where it never came to be ready."""
        tries, was_ready = 0, False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WAITS[min(tries, len(_WAITS) - 1)]):
                    await stopping.wait()
                return
            begun = asyncio.get_running_loop().time()
            code = await self._once(stopping)
            if stopping.is_set():
                return
            was_ready = was_ready or self.was_ready
            if not was_ready:
                raise CannotStart(f"worker {self.number} ended with {code} before it was ready")
            tries = 0 if asyncio.get_running_loop().time() - begun > _WELL else tries + 1
            _log.error("a worker died and is started again", extra={"worker": self.number, "status": code})

    async def _once(self, stopping: asyncio.Event) -> int:
        environment = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
        environment[_NAME] = self._told
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment
        )
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        if stopping.is_set():  # who was told to end while it was made has not heard it
            self.signal(signal.SIGTERM)
        self.was_ready = False
        while line := (await self._process.stdout.readline()).decode():
            if line.startswith("ready "):
                self.was_ready = True
                self._ready(line.rstrip("\n"))
        return await self._process.wait()

    was_ready = False


async def serve(path: Path, config: Config, options: Sequence[str]) -> None:
    """Run the workers until SIGTERM or SIGINT; raises CannotStart where one can't start."""
    held = [reserved(each.address) for each in config.listeners]
    addresses = [address for address, _ in held]
    command = [sys.executable, *_program(), "serve", "-c", str(path), *options]
    stopping, told = asyncio.Event(), asyncio.Event()
    lines: dict[int, str] = {}

    def ready(number: int, line: str) -> None:
        lines[number] = line
        if len(lines) == config.workers and not told.is_set():
            told.set()
            click.echo(lines[0])
            notify(READY)

    workers = [
        _Worker(number, command, addresses, partial(ready, number)) for number in range(config.workers)
    ]

    def stop(which: signal.Signals) -> None:
        if not stopping.is_set():
            notify(STOPPING)
        stopping.set()
        for each in workers:
            each.signal(which)

    def reload() -> None:
        notify(reloading())
        for each in workers:
            each.signal(signal.SIGHUP)
        notify(READY)

    loop = asyncio.get_running_loop()
    for which in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(which, stop, signal.SIGTERM)
    loop.add_signal_handler(signal.SIGHUP, reload)
    tasks = [asyncio.create_task(each.run(stopping)) for each in workers]
    try:
        await _until(stopping, tasks)
    finally:
        stop(signal.SIGTERM)
        await asyncio.wait(tasks, timeout=PATIENCE)
        stop(signal.SIGKILL)
        failures = [each for each in await asyncio.gather(*tasks, return_exceptions=True) if each]
        for _address, socket_ in held:
            if socket_ is not None:
                socket_.close()
    for failure in failures:
        if isinstance(failure, BaseException):
            raise failure


async def _until(stopping: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the end, or for a worker that can't start."""
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _program() -> list[str]:
    """How this program was started: `-m relay`, or a script of its own."""
    main = sys.modules["__main__"]
    return ["-m", "relay"] if main.__spec__ or not str(main.__file__).endswith(".py") else [sys.argv[0]]


def orphaned(stop: Callable[[], None]) -> None:
    """Call `stop` when the parent is gone: its end of our standard input closes."""
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if not os.read(0, 64):
            loop.remove_reader(0)
            stop()

    loop.add_reader(0, heard)
