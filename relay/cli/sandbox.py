"""`smsc-relay sandbox`: the provider's look-alike alone."""

from __future__ import annotations

import asyncio
import signal

import click

from relay.smsc.sandbox import Sandbox


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8090, show_default=True, help="Which port; 0 is any free one.")
@click.option("--latency", default=0.0, show_default=True, help="Seconds before each answer.")
@click.option("--balance", default="1000.00", show_default=True, help="What each account has.")
@click.option("--callback", default="", metavar="URL", help="The handler to tell of statuses and replies.")
def sandbox(host: str, port: int, latency: float, balance: str, callback: str) -> None:
    """Run the provider's look-alike alone; docs/sandbox.md says which numbers meet which fate."""
    asyncio.run(_run(host, port, Sandbox(latency=latency, balance=balance, handler=callback)))


async def _run(host: str, port: int, look_alike: Sandbox) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    url = await look_alike.start(host, port)
    click.echo(f"ready sandbox={url}")
    try:
        await stop.wait()
    finally:
        await look_alike.stop()
