"""A front door that strangers know of: crowds, floods, mails that trickle in, and what they leave."""

from __future__ import annotations

import asyncio

import pytest

from relay import metrics, replies
from relay.config import Limits, Sender
from relay.smtp import room
from relay.smtp.data import Spool, remove
from relay.smtp.room import Room

pytestmark = pytest.mark.asyncio

STRANGERS = {"senders": []}  # this machine's own clients are strangers then
MAIL = "MAIL FROM:<a@b.example>"


def met(limit: str) -> float:
    """How often a limit was met."""
    return metrics.REGISTRY.get_sample_value("relay_limited_total", {"limit": limit}) or 0.0


async def until(true):
    """Wait until something is so; looked at again and again."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - the server has no event for what it does by itself
            await asyncio.sleep(0.005)


async def test_a_stranger_with_too_many_mails_a_minute_hears_450_and_may_go_on(house):
    """The session stays, the mail may come later; it is counted, and said once in the log."""
    door = await house(rules=STRANGERS | {"address": {"mails": 2}})
    before = met("mails")
    client = await door.client()
    await client.hear()
    await client.ask("EHLO c")
    for _ in range(2):
        assert str(replies.SENDER_OK) == await client.ask(MAIL)
        await client.ask("RSET")
    for _ in range(3):
        assert "450 4.7.1 too many mails" == (await client.ask(MAIL))[:24]
    assert str(replies.OK) == await client.ask("NOOP")
    assert 3 == met("mails") - before


async def test_a_crowd_does_not_fill_the_log(house, caplog):
    """However often a limit is met, it is said once a minute."""
    door = await house(rules=STRANGERS | {"address": {"connections": 1}})
    first = await door.client()
    await first.hear()
    for _ in range(5):
        assert "421 4.7.0 too many connections from your address" == (await (await door.client()).hear())[:48]
    said = [each for each in caplog.records if each.message == "a limit is met"]
    assert [("address", "127.0.0.1", 1)] == [(each.limit, each.peer, each.times) for each in said]


async def test_too_many_recipients_a_minute_cost_none_of_those_before(house):
    """RCPT over the rate hears 450; the mail goes to the others."""
    door = await house(rules=STRANGERS | {"address": {"recipients": 2}})
    client = await door.client()
    await client.hear()
    await client.ask("EHLO c")
    await client.ask(MAIL)
    told = [await client.ask(f"RCPT TO:<{n}@d.example>") for n in range(3)]
    assert ["250", "250", "450"] == [each[:3] for each in told]
    await client.ask("DATA")
    assert "250" == (await client.ask("x", "."))[:3]
    assert 2 == len(door.hooks.envelopes[0].recipients)


async def test_refused_guesses_are_errors_and_then_nothing_is_told(house):
    """Over the rate of errors every RCPT hears the same 450, and a new session 421."""
    door = await house(rules=STRANGERS | {"address": {"errors": 3}})
    client = await door.client()
    await client.hear()
    await client.ask("EHLO c")
    await client.ask(MAIL)
    for _ in range(3):
        assert "550" == (await client.ask("RCPT TO:<refuse@d.example>"))[:3]
    guesses = {await client.ask(f"RCPT TO:<{each}@d.example>") for each in ("refuse", "good")}
    assert {"450 4.7.1 too many errors from you within a minute, try again later"} == guesses
    heard = await (await door.client()).hear()
    assert "421 4.7.0 too many errors from you within a minute, try again later" == heard


async def test_sessions_a_minute(house):
    """The session over the rate is told 421 before a greeting."""
    door = await house(rules=STRANGERS | {"address": {"sessions": 1}})
    first = await door.client()
    await first.hear()
    await first.ask("QUIT")
    assert "421 4.7.0 too many sessions" == (await (await door.client()).hear())[:27]


async def test_the_trusted_come_in_though_strangers_have_filled_the_door(house):
    """A quarter of all connections is theirs: v4 loopback is the stranger here, v6 the house."""
    own = Sender(name="own", networks=["::1"])
    limits = {"senders": [own], "connections": 4, "address": {"connections": 0, "sessions": 0}}
    door = await house(rules=limits)
    for _ in range(3):
        assert "220" == (await (await door.client()).hear())[:3]
    assert str(replies.TOO_BUSY) == await (await door.client()).hear()
    ours = object()
    assert door.registry.admit(ours, "::1") is None
    door.registry.release(ours)


async def test_a_listener_s_own_limit(house):
    """Over `connections` of the listener it is busy."""
    door = await house(connections=1)
    assert "220" == (await (await door.client()).hear())[:3]
    assert str(replies.TOO_BUSY) == await (await door.client()).hear()


async def test_a_mail_that_trickles_in_is_cut(house):
    """Some octets now and then keep no slot for ever: 421 once it comes slower than `data_rate`."""
    door = await house(idle=0.5, data_rate=1000)
    before = met("slow")
    client = await door.client()
    await client.begin()

    async def trickle():
        while True:
            client.writer.write(b"x")
            await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    try:
        assert "421 4.4.2 the mail comes too slowly, closing" == await client.hear()
    finally:
        trickling.cancel()
    assert 1 == met("slow") - before
    await until(lambda: door.registry.count == 0)


async def test_many_large_mails_at_once_are_told_452_and_none_is_lost(house, spool):
    """What finds room is taken, the rest hears 452 4.3.1, and afterwards all the room is free."""
    door = await house(rules={"memory": "1kB", "spool": "256kB", "free_disk": "1kB"}, spool_over=10_000)
    before = met("room")
    clients = [await door.client() for _ in range(10)]
    for each in clients:
        await each.begin()
    line = b"x" * 998 + b"\r\n"
    for each in clients:  # all of them are on their way at the same time
        await each.say(line * 60)
    failed = lambda: met("room") - before  # noqa: E731
    await until(lambda: door.registry.room.spooled >= (10 - failed()) * 59_990)
    told = [await each.ask(".") for each in clients]
    taken = [each for each in told if each[:3] == "250"]
    assert {str(replies.STORE_FULL)} == set(told) - set(taken)
    assert 10 - failed() == len(taken) == len(door.hooks.bodies)
    assert 1 <= len(taken) <= 4
    assert all(body == line * 60 for body in door.hooks.bodies)
    assert (0, 0, []) == (door.registry.room.memory, door.registry.room.spooled, list(spool.iterdir()))
    assert str(replies.SENDER_OK) == await clients[0].ask(MAIL)


async def test_a_size_that_finds_no_room_is_refused_at_mail(house):
    """RFC 1870 6.1.1: 452 before an octet travels, where SIZE says that it can't fit now."""
    door = await house(rules={"memory": "1kB", "spool": "64kB", "free_disk": "1kB"})
    client = await door.client()
    await client.hear()
    await client.ask("EHLO c")
    assert str(replies.STORE_FULL) == await client.ask(MAIL + " SIZE=100000")
    assert str(replies.SENDER_OK) == await client.ask(MAIL + " SIZE=60000")


async def test_a_client_that_leaves_within_a_mail_gives_its_room_back(house, spool):
    """Nothing is held for who has gone."""
    door = await house(spool_over=1000)
    client = await door.client()
    await client.begin()
    await client.say(b"x" * 5000)
    await until(lambda: door.registry.room.spooled)
    client.writer.close()
    await until(lambda: door.registry.count == 0)
    assert (0, 0, []) == (door.registry.room.memory, door.registry.room.spooled, list(spool.iterdir()))


async def test_a_full_memory_is_no_refusal(tmp_path):
    """Small mail is spooled then, as large mail is."""
    place = Room(lambda: Limits(memory="1kB"))
    first, second = (Spool(str(tmp_path), over=10_000, limit=10_000, room=place) for _ in range(2))
    first.write(b"x" * 1000)
    second.write(b"y" * 20)
    second.write(b"y" * 20)
    assert (1000, 40) == (place.memory, place.spooled)
    one, two = first.take(), second.take()
    assert (b"x" * 1000, b"y" * 40, True) == (one.read(), two.read(), bool(two.path))
    remove(one)
    remove(two)
    remove(two)
    assert (0, 0, []) == (place.memory, place.spooled, list(tmp_path.iterdir()))


@pytest.mark.parametrize(("left", "taken"), [(100 * 2**20 + 1000, True), (100 * 2**20 + 999, False)])
async def test_some_of_the_disk_stays_free(tmp_path, left, taken):
    """`free_disk` is for the database: a mail that would eat into it is not spooled."""
    spool = Spool(str(tmp_path), over=1, limit=10_000, room=Room(free=lambda _folder: left))
    spool.write(b"x" * 1000)
    assert taken is not spool.failed
    spool.drop()


async def test_the_disk_s_free_space_is_the_system_s_word(tmp_path):
    """A folder that is not there has none."""
    assert room.free(str(tmp_path)) > 0
    assert room.free("") > 0
    assert 0 == room.free(str(tmp_path / "missing"))
