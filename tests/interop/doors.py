"""A relay with one door of each kind, on a still clock, and programs that are run beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from harness import Journey, journey, settings
from interop.clients import NODE_PATH

DOORS: dict[str, dict[str, object]] = {
    "plain": {},
    "legacy": {"profile": "legacy"},
    "lmtp": {"protocol": "lmtp"},
    "normalise": {"line_endings": "normalise"},
}
"""The kinds of listener, by what they differ in from the default."""


@contextlib.asynccontextmanager
async def opened(folder: Path, kind: str, **changes: object) -> AsyncIterator[tuple[Journey, str, int]]:
    """A relay with such a door, its host and its port."""
    config = settings(folder)
    door = config.listeners[0].model_copy(update={**DOORS[kind], **changes})
    async with journey(folder, config=config.model_copy(update={"listeners": (door,)})) as relay:
        host, _, port = relay.app.listeners[0].address.rpartition(":")
        yield relay, host, int(port)


async def run(command: list[str], text: str = "", seconds: float = 20) -> str:
    """What a program that has to succeed says on both of its outputs."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "NODE_PATH": NODE_PATH},
    )
    try:
        async with asyncio.timeout(seconds):
            said = (await process.communicate(text.encode()))[0].decode(errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, said
    return said
