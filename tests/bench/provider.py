"""A process that is the provider: the sandbox with a purse that no benchmark empties.

`provider.py LATENCY MESSAGES`: says `ready sandbox=URL`, and once MESSAGES have come, or `WINDOW`
seconds are over since the first, one line of JSON: messages a second between the tenth and the
ninetieth of a hundred, how many calls there were at once at most, how many in all, how many
messages, how many texts, and how many came twice. A call of several messages brings them when it comes.
(`smsc-relay sandbox` gives each login 1000.00, which is 400 messages.)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Mapping

import click

from relay.smsc.sandbox import Sandbox

WINDOW = 20.0  # seconds
_FEW = 100  # messages that say nothing of a rate


async def main(latency: float, messages: int) -> None:
    """Answer until SIGTERM."""
    sandbox = Sandbox(latency=latency, balance="1000000000.00")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    click.echo(f"ready sandbox={await sandbox.start()}")
    telling = asyncio.create_task(_tell(sandbox, messages)) if messages else None
    await stop.wait()
    if telling is not None:
        telling.cancel()
    await sandbox.stop()


async def _tell(sandbox: Sandbox, messages: int) -> None:
    await sandbox.until(lambda: bool(sandbox.calls))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WINDOW):
            await sandbox.until(lambda: len(sandbox.messages) >= messages)
    times = [call.started_at for call in sandbox.calls for _ in range(_messages(call.params))]
    if len(times) < _FEW:
        click.echo(json.dumps({"messages": len(times)}))
        return
    first, last = len(times) // 10, len(times) * 9 // 10
    texts = {message.text for message in sandbox.messages}
    seen = {
        "rate": (last - first) / (times[last] - times[first]),
        "at_once": sandbox.max_in_flight,
        "calls": len(sandbox.calls),
        "messages": len(times),
        "texts": len(texts),
        "doubled": len(sandbox.messages) - len(texts),
    }
    click.echo(json.dumps(seen))


def _messages(params: Mapping[str, str]) -> int:
    """How many messages a call brings, each to one phone."""
    return params["list"].count("\n") + 1 if "list" in params else 1


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), int(sys.argv[2])))
