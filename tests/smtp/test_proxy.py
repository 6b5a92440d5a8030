"""The PROXY header: read to its last octet and not one further, believed from proxies alone."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import replies
from relay.smtp import proxied, proxy
from relay.smtp.proxy import ProxyError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = bytes([192, 0, 2, 7, 192, 0, 2, 25]) + (4711).to_bytes(2) + (25).to_bytes(2)
V6 = b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07" + bytes(16) + (4712).to_bytes(2) + (25).to_bytes(2)


def binary(command: int, family: int, fields: bytes) -> bytes:
    """A header of version 2."""
    return SIGNATURE + bytes([command, family]) + len(fields).to_bytes(2) + fields


GOOD = {
    b"PROXY TCP4 192.0.2.7 192.0.2.25 4711 25\r\n": ("192.0.2.7", 4711),
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": ("255.255.255.255", 65535),
    b"PROXY TCP6 2001:DB8::7 2001:db8::25 4712 25\r\n": ("2001:db8::7", 4712),
    b"PROXY TCP6 ::ffff:192.0.2.7 ::1 0 0\r\n": ("192.0.2.7", 0),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n": None,
    binary(0x21, 0x11, V4): ("192.0.2.7", 4711),
    binary(0x21, 0x11, V4 + b"\x04\x00\x03abc"): ("192.0.2.7", 4711),
    binary(0x21, 0x21, V6): ("2001:db8::7", 4712),
    binary(0x21, 0x00, b""): None,
    binary(0x21, 0x31, bytes(216)): None,
    binary(0x20, 0x00, b""): None,
    binary(0x20, 0x11, V4): None,
    binary(0x21, 0x11, V4 + bytes(proxy.MOST - 28)): ("192.0.2.7", 4711),
}
BAD = [
    b"EHLO client.example\r\n",
    b"proxy TCP4 192.0.2.7 192.0.2.25 4711 25\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.25 4711\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.25 4711 25 \r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.25 4711 25\rx",
    b"PROXY TCP4 192.0.2.7\n192.0.2.25 4711 25\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::25 4711 25\r\n",
    b"PROXY TCP4 192.0.2.256 192.0.2.25 4711 25\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.025 4711 25\r\n",
    b"PROXY TCP6 192.0.2.7 192.0.2.25 4711 25\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.25 65536 25\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.25 4711 65536\r\n",
    b"PROXY UDP4 192.0.2.7 192.0.2.25 4711 25\r\n",
    b"PROXY UNKNOWN " + b"x" * proxy.LINE + b"\r\n",
    binary(0x11, 0x11, V4),
    binary(0x22, 0x11, V4),
    binary(0x21, 0x12, V4),
    binary(0x21, 0x11, V4[:-1]),
    binary(0x21, 0x21, V4),
    binary(0x21, 0x11, V4 + bytes(proxy.MOST)),
    SIGNATURE[:-1] + b"\r" + binary(0x21, 0x11, V4)[12:],
]


def read(stream: bytes) -> tuple[object, bytes]:
    """The source that a stream begins with, and what is left of it."""
    taken = 0
    while more := proxy.missing(stream[:taken]):
        if taken + more > len(stream):
            raise ProxyError("it is cut short")
        taken += more
    return proxy.source(stream[:taken]), stream[taken:]


@pytest.mark.parametrize("header", GOOD)
def test_a_header_is_read_and_not_an_octet_more(header):
    """Whatever follows is left, even where it looks like more of the same."""
    for rest in (b"", b"\r\n", b"\n", b"EHLO x\r\n", b"\x16\x03\x01", header):
        assert read(header + rest) == (GOOD[header], rest)


@pytest.mark.parametrize("header", BAD)
def test_what_is_no_header(header):
    """It is refused, with a reason."""
    with pytest.raises(ProxyError, match=r"^it"):
        read(header)


PIECES = [*GOOD, b"PROXY ", b"TCP4 ", b"1.2.3.4 ", b"25", b"\r", b"\n", SIGNATURE, b"\x21"]


@given(
    st.lists(st.sampled_from(PIECES))
    .map(b"".join)
    .flatmap(lambda octets: st.sampled_from([octets, octets[1:], octets[:-1]]))
    | st.binary(max_size=300)
)
def test_anything_is_a_header_or_none(stream):
    """Reading ends, asks for at least one octet each time, and for no more than there may be."""
    octets, source = b"", None
    try:
        while more := proxy.missing(octets):
            assert 0 < more <= proxy.MOST
            if len(octets) + more > len(stream):
                return
            octets = stream[: len(octets) + more]
        source = proxy.source(octets)
    except ProxyError:
        return
    assert source is None or (len(source[0]) < 50 and 0 <= source[1] <= 0xFFFF)


# -- on real sockets ----------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("header", [each for each, source in GOOD.items() if source])
async def test_the_client_behind_the_proxy_counts(house, header):
    """Hooks are told of it; the pieces in which it comes don't matter, nor what follows at once."""
    door = await house(proxies="127.0.0.0/8")
    for cut in (0, 1, 7, 13, 16, len(header)):
        client = await door.client()
        await client.say(header[:cut])
        await asyncio.sleep(0)
        await client.say(header[cut:], "EHLO c", "MAIL FROM:<a@b.example>")
        assert (await client.hear())[:4] == "220 "
        await client.hear()
        assert await client.hear() == str(replies.SENDER_OK)
        session = door.hooks.sessions.pop()
        assert (session.peer, session.port) == GOOD[header]


@pytest.mark.asyncio
@pytest.mark.parametrize("header", [each for each, source in GOOD.items() if not source])
async def test_the_proxy_itself_counts(house, header):
    """LOCAL and UNKNOWN leave the real peer."""
    door = await house(proxies="127.0.0.1")
    client = await door.client()
    await client.say(header)
    await client.begin()
    assert door.hooks.sessions[0].peer == "127.0.0.1"


@pytest.mark.asyncio
async def test_limits_count_clients_not_the_proxy(house):
    """Two clients behind one proxy are two; the second connection of one of them is one too many."""
    door = await house(proxies="127.0.0.1", rules={"address": {"connections": 1}})
    said = []
    for last in (7, 8, 7):
        client = await door.client()
        await client.say(f"PROXY TCP4 192.0.2.{last} 192.0.2.25 4711 25")
        said.append((await client.hear())[:3])
    assert said == ["220", "220", "421"]


@pytest.mark.asyncio
async def test_behind_a_unix_socket(house, tmp_path):
    """Who connects by the socket's file is on this machine."""
    door = await house(f"unix:{tmp_path}/in", proxies="127.0.0.1")
    client = await door.client()
    await client.say("PROXY TCP4 192.0.2.7 192.0.2.25 4711 25")
    await client.begin()
    assert door.hooks.sessions[0].peer == "192.0.2.7"


async def end(client):
    """What the server says to the end; being cut off is an end."""
    try:
        return await client.hear()
    except ConnectionResetError:
        return ""


@pytest.mark.asyncio
@pytest.mark.parametrize("header", [BAD[0], BAD[-1], b"PROXY TCP4 192"])
async def test_a_proxy_without_its_header_is_cut(house, caplog, header):
    """No greeting, no command; the log says why."""
    door = await house(proxies="127.0.0.1")
    client = await door.client()
    await client.say(header)
    client.writer.write_eof()
    assert await end(client) == ""
    assert [each.getMessage() for each in caplog.records] == ["no PROXY header from a proxy"]
    assert door.registry.count == 0


@pytest.mark.asyncio
async def test_a_header_has_to_come_soon(house, caplog, monkeypatch):
    """Who trusts a proxy need not wait for it."""
    monkeypatch.setattr(proxied, "_PATIENCE", 0.05)
    door = await house(proxies="127.0.0.1")
    client = await door.client()
    await client.say(b"PROXY TCP4 192.0.2.7")
    assert await end(client) == ""
    assert "it did not come in time" == caplog.records[0].why


@pytest.mark.asyncio
async def test_a_check_that_says_nothing_is_no_trouble(house, caplog):
    """A load balancer may connect only to see whether somebody listens."""
    door = await house(proxies="127.0.0.1")
    client = await door.client()
    client.writer.write_eof()
    assert await client.hear() == ""
    assert caplog.records == []


@pytest.mark.asyncio
@pytest.mark.parametrize("proxies", ["", "192.0.2.0/24,2001:db8::/32"])
async def test_from_elsewhere_it_is_a_command_that_nobody_knows(house, proxies):
    """The greeting comes first, and the peer stays who it is."""
    door = await house(proxies=proxies)
    client = await door.client()
    await client.say("PROXY TCP4 192.0.2.7 192.0.2.25 4711 25")
    assert (await client.hear())[:4] == "220 "
    assert await client.hear() == str(replies.UNKNOWN_COMMAND)
    await client.ask("EHLO c")
    await client.ask("MAIL FROM:<a@b.example>")
    assert door.hooks.sessions[0].peer == "127.0.0.1"
