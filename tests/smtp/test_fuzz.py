"""Whatever a client says, cut wherever: answers of the protocol, nothing half taken, nothing left."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from fuzzing import PIECES, bounded, judge
from hypothesis import event, given
from hypothesis import strategies as st

pytestmark = pytest.mark.asyncio

MAIL = b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
SAID = st.tuples(st.sampled_from([b"", MAIL, MAIL + b"DATA\r\n", MAIL + b"BDAT 4\r\nab\r\n"]), PIECES).map(
    b"".join
)
DOORS = st.sampled_from(
    [
        *({}, {"protocol": "lmtp"}, {"line_endings": "normalise"}, {"profile": "legacy"}),
        {"profile": "legacy", "protocol": "lmtp"},
    ]
)
TINY = {"max_size": 120, "spool_over": 15, "command_line": 150, "max_recipients": 3, "errors": 1000}


async def answered(door, pieces):
    """All that is answered to these writes, with the client's half closed behind them."""
    client = await door.client()
    for each in pieces:
        client.writer.write(each)
        await asyncio.sleep(0)
    with contextlib.suppress(OSError):  # it may have been closed by then
        client.writer.write_eof()
    try:
        async with asyncio.timeout(20):
            said = await client.reader.read()
    except ConnectionResetError:
        said = b""  # closed by us with something unread behind it: the last words may be lost
    client.writer.close()
    return said.decode()


async def gone(door):
    """Wait until nobody is connected."""
    async with asyncio.timeout(20):
        while door.registry.count:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.001)


@bounded(150)
@given(SAID, DOORS, st.lists(st.floats(0, 1), max_size=12))
async def test_anything_is_answered_and_nothing_stays(house, spool, caplog, said, kind, cuts):
    """Replies are well formed, mails are whole and clean, and how it was cut changes nothing of it."""
    door, again = [await house(**TINY, **kind) for _ in range(2)]
    places = sorted({int(cut * len(said)) for cut in cuts})
    pieces = [said[i:j] for i, j in zip([0, *places], [*places, len(said)], strict=True)]
    one, other = await answered(door, [said]), await answered(again, pieces)
    for each, where in ((one, door), (other, again)):
        judge(each)
        await gone(where)
        for body in where.hooks.bodies:
            assert len(body) <= TINY["max_size"] + 2
            assert b"\0" not in body
            assert body.count(b"\r\n") == body.count(b"\r") == body.count(b"\n")
        taken = [line.partition(" ")[0] for line in where.hooks.heard]
        assert "data" not in taken or {"mail", "rcpt"} <= set(taken[: taken.index("data")])
    assert list(spool.iterdir()) == []
    said_so = {each.getMessage()[-6:] for each in caplog.records if each.name == "relay.smtp"}
    assert said_so <= {"failed"}  # of `crash` and `lost`
    caplog.clear()
    event(f"mails: {min(2, len(door.hooks.bodies))}")
    if one and other and "without waiting" not in one + other:
        assert (one, door.hooks.bodies) == (other, again.hooks.bodies)
    await door.close()
    await again.close()


@bounded(60)
@given(
    st.sampled_from(
        [b"", b"PROXY TCP4 192.0.2.7 192.0.2.25 4711 25\r\n", b"\r\n\r\n\0\r\nQUIT\n", b"PROXY "]
    ),
    st.binary(max_size=40),
    PIECES,
)
async def test_anything_before_the_greeting_is_a_header_or_the_end(house, start, octets, said):
    """From a proxy nothing is answered that does not begin with a whole header."""
    door = await house(proxies="127.0.0.1", **TINY)
    heard = await answered(door, [start, octets, said])
    judge(heard)
    assert not heard or (start + octets + said).startswith((b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"))
    await gone(door)
    await door.close()
