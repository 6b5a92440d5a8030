"""Which engine a configuration names, opened for a process that serves."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from relay.queue.engine import Engine
from relay.queue.opening import locked
from relay.queue.postgres import Postgres
from relay.queue.sqlite import SQLite


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An engine, and the number of this process on a shared database; `left_by` worked here last."""

    engine: Engine
    node: int
    left_by: int | None = None
    shared: Postgres | None = None
    file: Path | None = None

    def recovered(self) -> None:
        """What `left_by` left under way is seen to, and this process begins to work."""
        if self.file is not None:
            self.file.write_text(str(self.node))


async def opened(url: str, folder: Path, stack: AsyncExitStack) -> Opened:
    """Open the database; `stack` closes it. Raises engine.Trouble, InUse where another process is here.

    Of a shared database this process's number is kept in a file in `folder`, which is its own: the
    next process there knows by it what this one left under way. Who dies before it has seen to that
    has begun nothing of its own, and leaves the number that it found.
    """
    if not url.startswith("postgresql:"):
        engine = await asyncio.to_thread(SQLite, url.removeprefix("sqlite:///"))
        stack.push_async_callback(engine.close)
        return Opened(engine=engine, node=secrets.randbelow(1024))
    file = folder / "node"
    stack.callback(os.close, locked(file))
    shared = Postgres(url)
    await shared.open()
    stack.push_async_callback(shared.close)
    before = file.read_text() if file.exists() else ""
    left_by = int(before) if before.isdecimal() else None
    return Opened(engine=shared, node=shared.node, left_by=left_by, shared=shared, file=file)
