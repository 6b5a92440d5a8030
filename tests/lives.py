"""Real processes that are killed: the relay's lives, and the provider as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from harness import PATIENCE, Process

from relay.smsc.sandbox.callbacks import Post

LATENCY = 0.03  # of the provider and of the smarthost: where a call can be killed in the middle


class Lives:
    """The relay's lives, one after the other."""

    def __init__(self, relay: Process) -> None:
        self.relay = relay
        self.pid = 0
        self.web = ""  # where HTTP is answered
        self.ends: Counter[str] = Counter()
        self.hit: Counter[str] = Counter()  # of these, by the step itself
        self.by_itself = False

    async def begin(self) -> None:
        """Start the parent of them all."""
        self.parent = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).parent / "doomed.py"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        Process.started.append(self.parent)

    async def start(self, step: str = "", times: int = 1, later: int = 0) -> int:
        """The port of a new life; 0 where it ended before it was ready."""
        assert self.parent.stdin
        self.parent.stdin.write(f"{self.relay.config}\t{step}\t{times}\t{later}\n".encode())
        self.pid = int((await self._line()).split()[1])
        self.web = ""
        said = await self._line()
        if said.startswith("died"):
            self.pid = 0
            return 0
        self.web = said.split()[2].removeprefix("web=")
        return int(said.split()[1].rpartition(":")[2])

    async def end(self, within: float, how: signal.Signals = signal.SIGKILL) -> int:
        """How it ended: by itself in that time, or by us."""
        ended = asyncio.ensure_future(self._line())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), within)
        self.by_itself = ended.done()
        if not self.by_itself:
            os.kill(self.pid, how)
        said = await ended
        self.pid = 0
        return int(said.split()[1])

    async def _line(self) -> str:
        assert self.parent.stdout
        async with asyncio.timeout(4 * PATIENCE):
            line = (await self.parent.stdout.readline()).decode()
        assert line, "the parent of the lives has died"
        return line

    async def close(self) -> None:
        """Nothing of it stays."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.parent.kill()
        await self.parent.wait()


class Front:
    """The one address that the provider calls, whichever life there is: it repeats until that says 200."""

    def __init__(self) -> None:
        self.lives: Lives | None = None
        self.passed: Counter[int] = Counter()  # answers of the relay; 0 where it died

    async def begin(self) -> str:
        """Its address."""
        application = web.Application()
        application.router.add_post("/{path:.*}", self._call)
        self.runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def close(self) -> None:
        """Answer nobody any more."""
        await self.runner.cleanup()

    async def _call(self, request: web.Request) -> web.Response:
        post = Post(
            url=request.path_qs, content_type=request.headers["Content-Type"], body=await request.read()
        )
        await self.say(post)
        return web.Response()

    async def say(self, post: Post) -> None:
        """Tell it to life after life, until one has taken it."""
        status = 0
        while status != 200:
            to = self.lives.web if self.lives else ""
            status = await self._post(to, post) if to else 0
            self.passed[status] += 1
            await asyncio.sleep(0.05)

    async def _post(self, to: str, post: Post) -> int:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(
                    f"http://{to}{post.url}",
                    data=post.body,
                    headers={"Content-Type": post.content_type},
                ) as answer,
            ):
                return answer.status
        except aiohttp.ClientError:
            return 0


async def provider(folder: Path, *options: str) -> tuple[asyncio.subprocess.Process, str]:
    """`smsc-relay sandbox` as a process of its own, and its address."""
    command = ("-m", "relay", "sandbox", "--port", "0", "--latency", str(LATENCY), "--balance", "1000000")
    command = (*command, *options)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    Process.started.append(process)
    assert process.stdout
    line = (await process.stdout.readline()).decode()
    return process, line.strip().partition("sandbox=")[2]


async def messages(url: str) -> list[dict[str, Any]]:
    """Everything that the provider has, read from its history as anybody may read it."""
    found: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as session:
        while True:
            form = {
                "login": "l",
                "psw": "p",
                "get_messages": "1",
                "fmt": "3",
                "cnt": "1000",
                "charset": "utf-8",
            }
            form |= {"prev_id": str(found[-1]["int_id"])} if found else {}
            async with session.post(f"{url}/sys/get.php", data=form) as answer:
                page = json.loads(await answer.read())
            if not page:
                return found
            found += page


async def settled(relay: Process) -> bool:
    """Whether nothing is open any more: no order, no step, no report."""
    open_ = await relay.rows(
        "SELECT (SELECT count(*) FROM orders WHERE finished_at IS NULL)"
        " + (SELECT count(*) FROM step WHERE due_at IS NOT NULL)"
        " + (SELECT count(*) FROM notice WHERE state <> 'done')"
    )
    return open_ == [(0,)]
