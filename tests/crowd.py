"""A crowd of clients, in a process of its own: `python crowd.py PORT COUNT KIND`.

Opens COUNT connections, says to each what KIND makes of it, prints one line of JSON that counts
the first words of all greetings, and holds them until stdin ends. KIND: `idle` says nothing,
`line` begins an endless command, `data` begins a mail and does not end it.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections import Counter

_AT_ONCE = 100


async def _visit(port: int, number: int, kind: str) -> tuple[str, asyncio.StreamWriter]:
    # Loopback has many addresses: a crowd does not come from one.
    local = (f"127.{1 + number // 4000}.{number // 200 % 20}.{1 + number % 200}", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=local, limit=1024)
    said = (await reader.readline()).decode()[:3]
    if said == "220":
        await _begin(reader, writer, kind)
    return said, writer


async def _begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str) -> None:
    if kind == "line":
        writer.write(b"x" * 15_000)
    elif kind == "data":
        writer.write(
            b"HELO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<79991234567@sms.example.com>\r\nDATA\r\n"
        )
        for _ in range(4):
            last = await reader.readline()
        assert last[:3] == b"354", last
        writer.write(b"x" * 100_000)
    await writer.drain()


async def _crowd(port: int, count: int, kind: str) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def visit(number: int) -> tuple[str, asyncio.StreamWriter]:
        async with turns:
            return await _visit(port, number, kind)

    there = await asyncio.gather(*(visit(number) for number in range(count)))
    sys.stdout.write(json.dumps(Counter(said for said, _writer in there)) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for _said, writer in there:
        writer.transport.abort()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_crowd(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
