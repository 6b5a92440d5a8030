"""A crowd of clients, in a process of its own: `python crowd.py PORT,PORT COUNT KIND,KIND…`.

Opens COUNT connections, the kinds in turn, does with each what its KIND makes of it, prints one line of
JSON that counts the first words of all greetings, and holds them until stdin ends.

`idle` says nothing, `line` begins an endless command, `data` begins a mail and does not end it.
`starttls` leaves its handshake unbegun, `secure` is silent once TLS is on. `drop` and `drip` say a command
and a mail one octet at a time. `hello` begins a handshake at the second port, which expects one, and
ends it never; `shaken` ends it and is silent.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
from collections import Counter

_AT_ONCE = 100


_EACH = 2.0  # seconds between the octets of those that say them one at a time
_HELLO = bytes.fromhex("16030100c8010000c40303")  # the first octets of a handshake of 200
_MAIL = b"HELO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<79991234567@sms.example.com>\r\nDATA\r\n"
_AT_A_TIME = {"drop": b"NOOP " + b"x" * 1000, "drip": b"y" * 1000}
_ANY = ssl.create_default_context()
_ANY.check_hostname, _ANY.verify_mode = False, ssl.CERT_NONE


async def _visit(ports: list[int], number: int, kind: str) -> tuple[str, asyncio.StreamWriter]:
    # Loopback has many addresses: a crowd does not come from one.
    local = (f"127.{1 + number // 4000}.{number // 200 % 20}.{1 + number % 200}", 0)
    port = ports[-1] if kind in ("hello", "shaken") else ports[0]
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, local_addr=local, limit=1024, ssl=_ANY if kind == "shaken" else None
    )
    if kind == "hello":
        writer.write(_HELLO)
        return "", writer
    said = (await reader.readline()).decode()[:3]
    if said == "220":
        await _begin(reader, writer, kind)
    return said, writer


async def _begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: str) -> None:
    if kind == "line":
        writer.write(b"x" * 15_000)
    elif kind in ("data", "drip"):
        writer.write(_MAIL)
        for _ in range(4):
            last = await reader.readline()
        assert last[:3] == b"354", last
        writer.write(b"x" * (100_000 if kind == "data" else 1))
    elif kind in ("starttls", "secure"):
        writer.write(b"STARTTLS\r\n")
        last = await reader.readline()
        assert last[:3] == b"220", last
        if kind == "secure":
            await writer.start_tls(_ANY)
            writer.write(b"HELO c\r\n")
            await reader.readline()
    await writer.drain()


async def _trickle(writer: asyncio.StreamWriter, octets: bytes) -> None:
    for at in range(len(octets)):
        writer.write(octets[at : at + 1])
        await asyncio.sleep(_EACH)


async def _crowd(ports: list[int], count: int, kinds: list[str]) -> None:
    turns = asyncio.Semaphore(_AT_ONCE)
    slow: list[asyncio.Task[None]] = []

    async def visit(number: int) -> tuple[str, asyncio.StreamWriter]:
        kind = kinds[number % len(kinds)]
        async with turns:
            said, writer = await _visit(ports, number, kind)
        if kind in _AT_A_TIME:
            slow.append(asyncio.create_task(_trickle(writer, _AT_A_TIME[kind])))
        return said, writer

    there = await asyncio.gather(*(visit(number) for number in range(count)))
    sys.stdout.write(json.dumps(Counter(said for said, _writer in there)) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for task in slow:
        task.cancel()
    for _said, writer in there:
        writer.transport.abort()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(
        _crowd([int(each) for each in sys.argv[1].split(",")], int(sys.argv[2]), sys.argv[3].split(","))
    )
