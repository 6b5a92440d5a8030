"""BDAT and groups of commands on real sockets: what is kept, what goes, what leaves in one write."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay import replies

pytestmark = pytest.mark.asyncio


async def greeted(door, *recipients):
    """A client with a mail begun."""
    client = await door.client()
    await client.hear()
    await client.ask("EHLO c")
    await client.ask("MAIL FROM:<a@b.example>")
    for each in recipients or ("c@d.example",):
        await client.ask(f"RCPT TO:<{each}>")
    return client


async def test_large_chunks_are_spooled_and_nothing_stays(house, spool):
    """Chunks of any size become one body; its file goes with the answer."""
    door = await house(spool_over=1000)
    client = await greeted(door)
    chunks = [b"line %d\r\n" % n * (n * 700) for n in range(1, 9)]
    for each in chunks:
        assert await client.ask(f"BDAT {len(each)}", each) == f"250 2.0.0 {len(each)} octets received"
    assert len(list(spool.iterdir())) == 1
    assert await client.ask("BDAT 0 LAST") == "250 2.0.0 queued as mail1"
    assert door.hooks.bodies == [b"".join(chunks)]
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("end", ["RSET", "EHLO c", "QUIT", "leaves"])
async def test_what_has_come_goes_with_the_mail(house, spool, end):
    """A mail that is given up, or whose client goes, leaves no file behind."""
    door = await house(spool_over=10)
    client = await greeted(door)
    await client.ask("BDAT 22", b"x" * 20 + b"\r\n")
    assert len(list(spool.iterdir())) == 1
    if end == "leaves":
        await client.say("BDAT 100", b"x")
        client.writer.close()
    else:
        await client.ask(end)
    async with asyncio.timeout(10):
        while list(spool.iterdir()):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.005)
    assert door.hooks.bodies == []


async def test_a_flood_of_refused_octets_takes_no_memory(house, spool):
    """What was announced too large is read past, block by block; the session goes on."""
    door = await house(max_size=1000)
    client = await greeted(door)
    block = b"RSET\r\n" * 40_000
    tracemalloc.start()
    try:
        await client.say(f"BDAT {len(block) * 100} LAST")
        for _ in range(100):
            await client.say(block)
        said = await client.hear()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said == str(replies.TOO_LARGE)
    assert peak < 8 * 2**20
    assert (await client.ask("NOOP"), list(spool.iterdir())) == (str(replies.OK), [])


async def test_chunks_that_carry_something_are_no_command_too_many(house):
    """A large mail may come in more chunks than commands are allowed; empty ones count."""
    door = await house(commands=10)
    client = await greeted(door)
    for _ in range(20):
        assert (await client.ask("BDAT 1024", b"\r\n" * 512))[:3] == "250"
    said = [await client.ask("BDAT 0") for _ in range(8)]
    assert (said[0][:3], said[-1][:3]) == ("250", "421")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(["a", "\r\n", ".", "RSET", "\r\n.\r\n", "ё", "BDAT 1"]), max_size=20), st.data()
)
async def test_any_chunks_of_a_body_are_the_body(house, parts, draws):
    """However a mail is cut into chunks, and those into writes, it arrives as it is."""
    body = "".join(parts).encode()
    cuts = sorted(draws.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    chunks = [body[i:j] for i, j in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    last = len(chunks) - 1
    wire = b"".join(
        b"BDAT %d%s\r\n%s" % (len(each), b" LAST" * (n == last), each) for n, each in enumerate(chunks)
    )
    door = await house(spool_over=20)
    client = await greeted(door)
    places = sorted(draws.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    for i, j in zip([0, *places], [*places, len(wire)], strict=True):
        await client.say(wire[i:j])
        await asyncio.sleep(0)
    for each in chunks[:-1]:
        assert await client.hear() == f"250 2.0.0 {len(each)} octets received"
    assert await client.hear() == "250 2.0.0 queued as mail1"
    assert door.hooks.bodies == [body + b"\r\n" * (body != b"" and not body.endswith(b"\r\n"))]
    await door.close()


# -- groups of commands -------------------------------------------------------------------


async def test_the_replies_to_a_group_leave_together(house):
    """A group that came in one segment is answered in one (RFC 2920 3.2)."""
    door = await house()
    client = await door.client()
    await client.hear()
    await client.ask("EHLO c")
    taken = client.writer.get_extra_info("socket").dup()
    client.reader._transport.pause_reading()
    with socket.socket(fileno=taken.detach()) as wire:
        client.writer.write(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nNOOP\r\nDATA\r\n")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            said = await loop.sock_recv(wire, 10_000)
    assert [line[:3] for line in said.split(b"\r\n")] == [b"250", b"250", b"250", b"354", b""]


async def test_a_reply_does_not_wait_for_half_a_command(house):
    """Only a whole command that has come holds the replies before it."""
    door = await house()
    client = await door.client()
    await client.hear()
    await client.say("NOOP", b"NOO")
    assert await client.hear() == str(replies.OK)
    await client.say(b"P\r\nMAIL FROM:<a@b.example>\r\nNO")
    assert [await client.hear() for _ in range(2)] == [str(replies.OK), "503 5.5.1 say EHLO first"]
    assert await client.ask("OP") == str(replies.OK)


class Later:
    """An answer that comes later; whoever hears it is waited for until `release`."""

    def __init__(self, release):
        self.release = release

    async def answer(self):
        return replies.queued("later")

    async def heard(self):
        await self.release.wait()


@pytest.mark.parametrize("end", [(b"DATA\r\n", b"x\r\n.\r\nNOOP\r\n"), (b"BDAT 3 LAST\r\nx\r\nNOOP\r\n",)])
async def test_an_answer_has_left_before_it_counts_as_heard(house, end):
    """Even where the client has gone on already: what it did not get may have to be reported."""
    door = await house()

    async def taken(_session, _envelope, _body):
        return Later(door.hooks.release)

    door.hooks.on_data = taken
    client = await greeted(door)
    for each in end[:-1]:
        assert (await client.ask(each))[:3] == "354"
    assert await client.ask(end[-1]) == "250 2.0.0 queued as later"
    door.hooks.release.set()
    assert await client.hear() == str(replies.OK)
