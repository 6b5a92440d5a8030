"""A process that is the provider: the sandbox with a purse that no benchmark empties.

`provider.py LATENCY CALLS`: says `ready sandbox=URL`, and once CALLS calls have come, or `WINDOW`
seconds are over since the first, one line of JSON: calls a second between the tenth and the
ninetieth of a hundred, how many there were at once at most, how many in all, and how many texts.
(`smsc-relay sandbox` gives each login 1000.00, which is 400 messages.)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys

import click

from relay.smsc.sandbox import Sandbox

WINDOW = 4.0  # seconds


async def main(latency: float, calls: int) -> None:
    """Answer until SIGTERM."""
    sandbox = Sandbox(latency=latency, balance="1000000000.00")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    click.echo(f"ready sandbox={await sandbox.start()}")
    telling = asyncio.create_task(_tell(sandbox, calls)) if calls else None
    await stop.wait()
    if telling is not None:
        telling.cancel()
    await sandbox.stop()


async def _tell(sandbox: Sandbox, calls: int) -> None:
    await sandbox.until(lambda: bool(sandbox.calls))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WINDOW):
            await sandbox.until(lambda: len(sandbox.calls) >= calls)
    times = [call.started_at for call in sandbox.calls]
    first, last = len(times) // 10, len(times) * 9 // 10
    seen = {
        "rate": (last - first) / (times[last] - times[first]),
        "at_once": sandbox.max_in_flight,
        "calls": len(times),
        "texts": len({call.params.get("mes") for call in sandbox.calls}),
    }
    click.echo(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), int(sys.argv[2])))
