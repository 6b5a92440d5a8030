"""One transaction with the next mail server, and everything that can go wrong in it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from nexthop import BOB, MAIL, nexthop

from relay.delivery.nexthop import Handed, Parcel, hand_over
from relay.model import Kind
from relay.queue.engine import Trouble
from relay.report.smarthost import Smarthost

OCTETS = b"Subject: x\r\n\r\n" + b"y" * 100 + b"\r\n"
ANN = replace(BOB, id=2, position=1, address="ann@people.example")


def parcel(octets: bytes = OCTETS, *, size: int = 0, step: int = 40, fail: bool = False) -> Parcel:
    """A mail for Bob and Ann; the store may give less of it than it should."""

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(octets), step):
            yield octets[at : at + step]
        if fail:
            raise Trouble("the disk is gone")

    return Parcel(mail=MAIL, recipients=(BOB, ANN), size=size or len(octets), now=0, chunks=chunks)


async def handed(port: int, what: Parcel | None = None, **where: object) -> Handed:
    """What becomes of it."""
    server = Smarthost(host="127.0.0.1", port=port, **where)  # type: ignore[arg-type]
    return await hand_over(server, what or parcel(), hostname="relay.example.com")


def kinds(result: Handed) -> list[str]:
    """The outcomes, Bob's first."""
    return [str(result.told[each.id].kind) for each in (BOB, ANN)]


@pytest.mark.asyncio
async def test_everybody_gets_it() -> None:
    """One transaction for both."""
    async with nexthop() as hop:
        result = await handed(hop.port)
        assert ["delivered", "delivered"] == kinds(result)
        assert [OCTETS] == [taken.content for taken in hop.taken]
        assert ["EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"] == [line.split()[0] for line in hop.said]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ({"RCPT TO:<Bob": "550 5.1.1 no"}, ["refused", "delivered"]),
        ({"RCPT TO:<ann": ""}, ["later", "later"]),
        ({"RCPT TO:<Bob": "421 4.3.2 bye"}, ["later", "later"]),
        ({"RCPT TO:<Bob": "550 no", "RCPT TO:<ann": "450 no"}, ["refused", "later"]),
        ({"RCPT TO:<Bob": "550 no", "END": ""}, ["refused", "unsure"]),
        ({"RCPT TO:<Bob": "251 will forward"}, ["delivered", "delivered"]),
        ({"MAIL": "nonsense"}, ["later", "later"]),
        ({"DATA": "250 what"}, ["later", "later"]),
    ],
)
async def test_each_recipient_is_told_its_own(answers: dict[str, str], wanted: list[str]) -> None:
    """What is known of one is not lost when the conversation breaks over another."""
    async with nexthop(answers=answers) as hop:
        assert wanted == kinds(await handed(hop.port))


@pytest.mark.asyncio
async def test_nobody_there() -> None:
    """Not reached: said so, for the smarthost is left alone for a while."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    result = await handed(port)
    assert (["later", "later"], False) == (kinds(result), result.reached)
    assert "no connection to the mail server 127.0.0.1 could be made" in result.told[1].reason


@pytest.mark.asyncio
@pytest.mark.parametrize("what", [parcel(size=1000), parcel(OCTETS[:50], size=113), parcel(fail=True)])
async def test_a_mail_is_never_cut_short(what: Parcel) -> None:
    """The store gives less than the whole mail: the final dot is not sent, and nobody takes it."""
    async with nexthop() as hop:
        result = await handed(hop.port, what)
        assert ["later", "later"] == kinds(result)
        assert "could not be read" in result.told[1].reason
        assert [] == hop.taken


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


async def against(data: Script, what: Parcel, **where: object) -> Handed:
    """Hand a mail to a server that is well-behaved until DATA, and then as `data` is."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        for answer in (b"250 x", b"250 x", b"250 x", b"250 x", b"354 x"):
            await reader.readline()
            writer.write(answer + b"\r\n")
        with contextlib.suppress(ConnectionError):
            await data(reader, writer)
        writer.transport.abort()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        return await handed(server.sockets[0].getsockname()[1], what, **where)
    finally:
        server.close()
        await ended.wait()


LARGE = parcel(b"Subject: x\r\n\r\n" + b"z" * 20_000_000, step=1 << 18)


@pytest.mark.asyncio
async def test_a_server_that_refuses_before_the_end() -> None:
    """Its words count, though the rest of the mail was not wanted."""

    async def data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"552 5.3.4 too large\r\n")
        await writer.drain()
        await reader.read()

    result = await against(data, LARGE)
    assert ["refused", "refused"] == kinds(result)
    assert "5.3.4 too large" == result.told[1].text


@pytest.mark.asyncio
async def test_a_server_that_takes_it_before_the_end() -> None:
    """That can't be meant: the mail has not been sent whole."""

    async def data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"250 fine\r\n")
        await writer.drain()
        await reader.read()

    assert ["later", "later"] == kinds(await against(data, LARGE))


@pytest.mark.asyncio
async def test_a_server_that_breaks_off_within_the_mail() -> None:
    """It can't have been taken."""

    async def data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.transport.abort()

    assert ["later", "later"] == kinds(await against(data, LARGE))


@pytest.mark.asyncio
async def test_a_server_that_stops_reading() -> None:
    """Not waited for without end."""

    async def data(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.transport.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.01)

    result = await against(data, LARGE, timeout=0.1)
    assert ["later", "later"] == kinds(result)


@pytest.mark.asyncio
async def test_a_server_that_never_answers_the_end() -> None:
    """Ten times as long as any other answer; then nobody knows."""

    async def data(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    result = await against(data, parcel(), timeout=0.05)
    assert ["unsure", "unsure"] == kinds(result)


@pytest.mark.asyncio
async def test_large_mail_over_tls(tmp_path: Path) -> None:
    """The same octets, the same backpressure."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with nexthop(tls=context) as hop:
        result = await handed(hop.port, LARGE, tls="implicit", ca=str(tmp_path / "ca"))
        assert ["delivered", "delivered"] == kinds(result)
        assert [LARGE.size + 2] == [len(taken.content) for taken in hop.taken]


@pytest.mark.asyncio
async def test_a_password_that_is_echoed_is_masked() -> None:
    """The other side's words are stored and told to people."""
    async with nexthop(answers={"RCPT": "550 hunter2 is bad"}) as hop:
        told = (await handed(hop.port)).told[1]
        assert "hunter2 is bad" == told.text
    where = Smarthost(host="127.0.0.1", port=hop.port, username="me", password="hunter2")
    async with nexthop(answers={"CONNECT": "554 hunter2 is bad"}) as hop:
        result = await hand_over(replace(where, port=hop.port), parcel(), hostname="x")
        assert "*** is bad" in result.told[1].reason
        assert "hunter2" not in str(result)
        assert Kind.LATER == result.told[1].kind
