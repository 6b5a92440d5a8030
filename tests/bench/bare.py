"""A process that is raw aiosmtpd with an empty handler: nothing is read, judged or kept."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import click
from aiosmtpd.smtp import SMTP


class Empty:
    """Takes every mail and forgets it."""

    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802
        return "250 OK"


async def main() -> None:
    """Answer until SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    handler = Empty()
    server = await loop.create_server(lambda: SMTP(handler, hostname="bare", loop=loop), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    click.echo(f"ready smtp={host}:{port}")
    await stop.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
