"""Lines and blocks of what a client sends, however it is cut."""

from __future__ import annotations

import asyncio

import pytest

from relay.smtp.stream import Stream

pytestmark = pytest.mark.asyncio


def short() -> Stream:
    """A stream that holds short lines."""
    return Stream(limit=16, loop=asyncio.get_running_loop())


async def test_a_line_comes_whole_however_it_was_cut():
    """Octets that come one by one make the same lines as those that come at once."""
    stream = short()
    asking = asyncio.create_task(stream.line())
    for octet in b"NOOP\r\nQUIT\r\n":
        stream.feed_data(bytes([octet]))
        await asyncio.sleep(0)

    assert [b"NOOP\r\n", b"QUIT\r\n"] == [await asking, await stream.line()]


@pytest.mark.parametrize("cut", [1, 10, 16, 17, 40])
async def test_a_long_line_is_dropped_and_the_next_one_counts(cut):
    """Wherever its octets are cut, a line beyond the limit is read past as a whole."""
    stream = short()
    asking = asyncio.create_task(stream.line())
    octets = b"x" * 100 + b"\nNOOP\n"
    for at in range(0, len(octets), cut):
        stream.feed_data(octets[at : at + cut])
        await asyncio.sleep(0)

    assert [None, b"NOOP\n"] == [await asking, await stream.line()]


async def test_an_endless_line_takes_no_memory():
    """What came of it is dropped as it comes."""
    stream = short()
    asking = asyncio.create_task(stream.line())
    for _ in range(100):
        stream.feed_data(b"x" * 20)
        await asyncio.sleep(0)

    assert not stream.has_more
    asking.cancel()


async def test_a_line_without_an_end_is_none():
    """A client that leaves within a command has not said it."""
    stream = short()
    stream.feed_data(b"NOO")
    stream.feed_eof()

    with pytest.raises(asyncio.IncompleteReadError):
        await stream.line()


async def test_a_lost_connection_is_told():
    """What the connection was lost by reaches who waits for a line."""
    stream = short()
    asking = asyncio.create_task(stream.line())
    await asyncio.sleep(0)
    stream.set_exception(ConnectionResetError("gone"))

    with pytest.raises(ConnectionResetError, match="gone"):
        await asking


async def test_what_is_put_back_comes_first():
    """Commands behind a mail are read after it."""
    stream = short()
    stream.feed_data(b"QUIT\r\n")
    stream.put_back(b"NOOP\r\n")

    assert stream.has_line
    assert [b"NOOP\r\n", b"QUIT\r\n"] == [await stream.line(), await stream.line()]
    assert not stream.has_line


async def test_all_that_came_can_be_taken_at_once():
    """A handshake gets every octet that came before it."""
    stream = short()
    stream.feed_data(b"\x16\x03\x01")

    assert stream.has_more
    assert stream.take_all() == b"\x16\x03\x01"
    assert not stream.has_more
