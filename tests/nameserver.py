"""A DNS server for tests: real packets over UDP and TCP, in the loop of the test.

A zone is names with records, `("TXT", "v=spf1 -all")`; values are texts, of MX `(10, "mx.test")`.
`("ANY", SERVFAIL)` is for types not given, and a name may be one of the words below instead of
records. Aliases are followed as a resolver would.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import dnslib
from dnslib import QTYPE, RCODE, RR, DNSRecord

SERVFAIL = "SERVFAIL"  # the server can't say
SILENT = "SILENT"  # no answer ever
CUT = "CUT"  # UDP is told to come back by TCP, where there is (TXT, "whole")

Zone = dict[str, Any]


class Nameserver:
    """Answers from `zone`, which may be changed; `asked` has every question that came."""

    def __init__(self, zone: Mapping[str, Any]) -> None:
        self.zone: Zone = {name.lower(): records for name, records in zone.items()}
        self.asked: list[tuple[str, str, str]] = []
        self.port = 0

    @property
    def address(self) -> str:
        """As `dns.servers` takes it."""
        return f"127.0.0.1:{self.port}"

    def answer(self, packet: bytes, way: str) -> bytes:
        """The answer's octets, none where there is to be silence."""
        question = DNSRecord.parse(packet)
        name = b".".join(question.q.qname.label).decode("latin-1").lower()
        kind = QTYPE[question.q.qtype]
        self.asked.append((name, kind, way))
        answer = question.reply()
        records = self.zone.get(name)
        if records == SILENT:
            return b""
        if records == SERVFAIL:
            answer.header.rcode = RCODE.SERVFAIL
        elif records == CUT:
            answer.header.tc = way == "udp"
            if way == "tcp":
                answer.add_answer(_record(name, "TXT", "whole"))
        else:
            self._fill(answer, name, kind)
        return answer.pack()

    def _fill(self, answer: DNSRecord, name: str, kind: str) -> None:
        for _ in range(12):
            records = self.zone.get(name, ())
            others = ("ANY", SERVFAIL) in records and not any(each == kind for each, _ in records)
            if records == SERVFAIL or (kind, SERVFAIL) in records or others:
                answer.header.rcode = RCODE.SERVFAIL
                return
            for each, value in records:
                if each in (kind, "CNAME"):
                    answer.add_answer(_record(name, each, value))
            alias = [value for each, value in records if each == "CNAME"]
            if not alias or kind == "CNAME":
                break
            name = alias[0].lower().rstrip(".")
        if name not in self.zone:
            answer.header.rcode = RCODE.NXDOMAIN

    async def tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question over TCP."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            size = int.from_bytes(await reader.readexactly(2), "big")
            octets = self.answer(await reader.readexactly(size), "tcp")
            writer.write(len(octets).to_bytes(2, "big") + octets)
            await writer.drain()
        writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: Nameserver) -> None:
        self.server = server

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        octets = self.server.answer(data, "udp")
        if octets:
            self.transport.sendto(octets, addr)


def _record(name: str, kind: str, value: Any) -> RR:
    match kind:
        case "MX":
            data = dnslib.MX(value[1], value[0])
        case "TXT":
            parts: Sequence[Any] = [value] if isinstance(value, (str, bytes)) else value
            octets = [each if isinstance(each, bytes) else each.encode() for each in parts or [b""]]
            data = dnslib.TXT([piece for each in octets for piece in _pieces(each)])
        case _:
            data = getattr(dnslib, kind)(value)
    return RR(name, getattr(QTYPE, kind), rdata=data, ttl=300)


def _pieces(octets: bytes) -> list[bytes]:
    return [octets[at : at + 255] for at in range(0, len(octets), 255)] or [b""]


@contextlib.asynccontextmanager
async def nameserver(zone: Mapping[str, Any]) -> AsyncIterator[Nameserver]:
    """A server for as long as the block, UDP and TCP on one port of 127.0.0.1."""
    server = Nameserver(zone)
    loop = asyncio.get_running_loop()
    for _ in range(20):
        tcp = await asyncio.start_server(server.tcp, "127.0.0.1", 0)
        server.port = tcp.sockets[0].getsockname()[1]
        try:
            udp, _protocol = await loop.create_datagram_endpoint(
                lambda: _Udp(server), local_addr=("127.0.0.1", server.port)
            )
            break
        except OSError:  # somebody else has that port of UDP
            tcp.close()
    try:
        yield server
    finally:
        udp.close()
        tcp.close()
        await tcp.wait_closed()
