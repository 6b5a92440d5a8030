"""The front door on real sockets: limits, timers, leaving clients, draining, listeners."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import stat
import struct
import tracemalloc
from pathlib import Path

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay import replies
from relay.smtp import connection
from relay.smtp.door import Door
from relay.smtp.server import Conversation, Limits, Registry

pytestmark = pytest.mark.asyncio


async def until(true, seconds=10):
    """Wait until something is so; looked at again and again."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - the server has no event for what it does by itself
            await asyncio.sleep(0.005)


def cut(client):
    """Break the connection with a reset, as a crashing peer does."""
    found = client.writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


# -- real clients -------------------------------------------------------------------------


async def test_smtplib_sends(house):
    """The standard library's client, with DSN options and a dot at a line's begin."""
    door = await house()
    host, _, port = door.listener.address.rpartition(":")

    def send():
        with smtplib.SMTP(host, int(port), local_hostname="client.example") as client:
            return client.sendmail(
                "a@b.example",
                ["+79991234567@d.example", "refuse@d.example"],
                b"Subject: x\r\n\r\n.dot\r\n",
                mail_options=["RET=HDRS", "ENVID=Q+2Bq"],
                rcpt_options=["NOTIFY=FAILURE,DELAY"],
            )

    assert await asyncio.to_thread(send) == {"refuse@d.example": (550, b"5.1.1 no refuse@d.example here")}
    envelope, session = door.hooks.envelopes[0], door.hooks.sessions[0]
    assert door.hooks.bodies == [b"Subject: x\r\n\r\n.dot\r\n"]
    assert (envelope.sender, envelope.ret, envelope.envid) == ("a@b.example", "hdrs", "Q+2Bq")
    assert [each.address for each in envelope.recipients] == ["+79991234567@d.example"]
    assert (envelope.peer, envelope.helo) == ("127.0.0.1", "client.example")
    assert (envelope.source, envelope.verified) == ("test", True)
    assert (session.peer, session.helo, session.esmtp) == ("127.0.0.1", "client.example", True)
    assert (session.listener, session.protocol) == (door.listener.address, "smtp")
    assert (session.port > 0, session.tls, session.user) == (True, False, "")


async def test_aiosmtplib_sends_utf8(house):
    """The asyncio client, with an address beyond ASCII."""
    door = await house()
    host, _, port = door.listener.address.rpartition(":")
    async with aiosmtplib.SMTP(hostname=host, port=int(port), start_tls=False) as client:
        await client.ehlo()
        assert client.supports_extension("dsn")
        refused, said = await client.sendmail(
            "a@b.example", ["дежурный@d.example"], "Текст\r\n".encode(), mail_options=["SMTPUTF8"]
        )
    assert (refused, said) == ({}, "2.0.0 queued as mail1")
    assert door.hooks.envelopes[0].recipients[0].address == "дежурный@d.example"


# -- the octets ---------------------------------------------------------------------------


async def test_a_large_mail_arrives_octet_by_octet_and_its_file_goes(house, spool):
    """A mail of many blocks is spooled, handed over by path, and the file removed."""
    door = await house()
    client = await door.client()
    await client.begin()
    lines = [b"%d %s" % (n, b".\xff" * (n % 400)) for n in range(3000)]
    body = b"".join(b"." * (n % 3) + line + b"\r\n" for n, line in enumerate(lines))
    wire = b"".join(b"." * (n % 3 + bool(n % 3)) + line + b"\r\n" for n, line in enumerate(lines))
    assert await client.ask(wire, ".") == "250 2.0.0 queued as mail1"
    assert len(body) > 1_000_000
    assert door.hooks.bodies == [body]
    assert Path(door.hooks.paths[0]).parent == spool
    assert list(spool.iterdir()) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(".a ё", max_size=30), max_size=30),
    st.lists(st.floats(0, 1, exclude_max=True), max_size=6),
)
async def test_any_body_in_any_writes_arrives(house, lines, cuts):
    """Random bodies, written in random pieces to a socket with a tiny spool, arrive as they are."""
    body = "".join(f"{line}\r\n" for line in lines).encode()
    wire = "".join(f"{'.' * line.startswith('.')}{line}\r\n" for line in lines).encode() + b".\r\n"
    door = await house(spool_over=64)
    client = await door.client()
    await client.begin()
    places = sorted(int(cut * len(wire)) for cut in cuts)
    for start, end in zip([0, *places], [*places, len(wire)], strict=True):
        await client.say(wire[start:end])
        await asyncio.sleep(0)
    assert await client.hear() == "250 2.0.0 queued as mail1"
    assert door.hooks.bodies == [body]
    await door.close()


@pytest.mark.parametrize(("octets", "said"), [(2**20, "250 2.0.0"), (2**20 + 1, "550 5.6.0")])
async def test_lines_are_bounded(house, octets, said):
    """A mebibyte of line is taken, one octet more is not; the session goes on."""
    door = await house()
    client = await door.client()
    await client.begin()
    assert (await client.ask(b"x" * (octets - 1) + b"\r\n.\r\n"))[:9] == said
    assert await client.ask("NOOP") == str(replies.OK)


async def test_an_endless_line_takes_no_memory(house, spool):
    """60 MB without a line end are read and dropped; the answer comes after the end of the mail."""
    door = await house(max_size=2**20)
    client = await door.client()
    await client.begin()
    block = b"x" * 2**18
    tracemalloc.start()
    try:
        for _ in range(240):
            await client.say(block)
        said = await client.ask("", ".")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said == str(replies.TOO_LARGE)
    assert peak < 8 * 2**20
    assert list(spool.iterdir()) == []
    assert await client.ask("NOOP") == "250 2.0.0 OK"


async def test_an_endless_command_takes_no_memory(house):
    """20 MB without a line end are one command, too long; the next one is heard."""
    door = await house()
    client = await door.client()
    await client.hear()
    block = b"x" * 2**18
    tracemalloc.start()
    try:
        for _ in range(80):
            await client.say(block)
        said = await client.ask("")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said == "500 5.5.2 command line too long"
    assert peak < 8 * 2**20
    assert await client.ask("NOOP") == "250 2.0.0 OK"


async def test_a_mail_that_finds_no_disk_is_temporary_trouble(house, tmp_path):
    """Where the spool folder is gone large mail hears 452, small mail is taken."""
    door = await house(spool_dir=str(tmp_path / "missing"), spool_over=10)
    client = await door.client()
    await client.begin()
    assert await client.ask("more than ten octets", ".") == str(replies.STORE_FULL)
    assert await client.ask("MAIL FROM:<a@b.example>") == str(replies.SENDER_OK)


async def test_a_client_that_leaves_within_a_mail_leaves_nothing(house, spool):
    """The spooled half of a mail is removed, and nobody is asked to take it."""
    door = await house(spool_over=10)
    client = await door.client()
    await client.begin()
    await client.say("more than ten octets")
    await until(lambda: list(spool.iterdir()))
    cut(client)
    await until(lambda: door.registry.count == 0 and not list(spool.iterdir()))
    assert not door.hooks.taking.is_set()


async def test_half_closing_within_a_mail_is_leaving(house):
    """A mail without its end is none."""
    door = await house()
    client = await door.client()
    await client.begin()
    await client.say("half a mail")
    client.writer.write_eof()
    assert await client.hear() == ""
    await until(lambda: door.registry.count == 0)
    assert not door.hooks.taking.is_set()


# -- from the last dot on the mail is taken -----------------------------------------------


async def test_a_half_closing_client_hears_the_answer(house):
    """Closing its half while the mail is being taken (nc -N) costs the client nothing."""
    door = await house()
    client = await door.client()
    await client.begin("held@d.example")
    await client.say("hello", ".")
    client.writer.write_eof()
    await door.hooks.taking.wait()
    door.hooks.release.set()
    assert await client.hear() == "250 2.0.0 queued as mail1"
    assert await client.hear() == ""
    assert door.hooks.bodies == [b"hello\r\n"]


async def test_a_vanishing_client_stops_nothing(house, spool):
    """The mail is taken although the connection broke meanwhile, and its file goes afterwards."""
    door = await house(spool_over=1)
    client = await door.client()
    await client.begin("held@d.example")
    await client.say("hello", ".")
    await door.hooks.taking.wait()
    cut(client)
    await until(lambda: door.registry.count == 0)
    assert len(list(spool.iterdir())) == 1
    door.hooks.release.set()
    await door.hooks.taken.wait()
    assert door.hooks.bodies == [b"hello\r\n"]
    await until(lambda: not list(spool.iterdir()))


async def test_a_crash_tells_the_log_and_nobody_else(house, caplog):
    """Each hook's crash is a traceback in the log; the peer hears one sentence without it."""
    door = await house()
    client = await door.client()
    await client.hear()
    await client.ask("HELO c")
    heard = [await client.ask("MAIL FROM:<crash@b>"), await client.ask("MAIL FROM:<a@b>")]
    heard += [await client.ask("RCPT TO:<crash@b>"), await client.ask("RCPT TO:<lost@b>")]
    heard += [await client.ask("DATA"), await client.ask(".")]
    assert heard[::2] + heard[5:] == [
        str(replies.TROUBLE),
        str(replies.TROUBLE),
        str(replies.GO_AHEAD),
        str(replies.TROUBLE),
    ]
    crashes = [each for each in caplog.records if each.exc_info]
    assert [each.getMessage() for each in crashes] == [
        "MAIL for 127.0.0.1 failed",
        "RCPT for 127.0.0.1 failed",
        "DATA for 127.0.0.1 failed",
    ]


async def test_our_own_crash_closes_with_421(house, caplog, monkeypatch):
    """A fault in the server itself ends that session alone."""

    async def broken(_self, _line):
        raise RuntimeError("secret=hunter2")

    monkeypatch.setattr(Conversation, "_obey", broken)
    door = await house()
    client = await door.client()
    await client.hear()
    assert await client.ask("NOOP") == "421 4.3.0 trouble here, closing"
    assert await client.hear() == ""
    assert caplog.records[-1].getMessage() == "session with 127.0.0.1 failed"


# -- timers -------------------------------------------------------------------------------


async def test_a_silent_client_is_told_and_cut(house):
    """Nothing for `idle` seconds: 421 and the end, at the first command and within a mail."""
    door = await house(idle=0.3)
    client = await door.client()
    await client.hear()
    assert await client.hear() == str(replies.IDLE)
    assert await client.hear() == ""
    client = await door.client()
    await client.begin()
    assert await client.hear() == str(replies.IDLE)


async def test_each_block_of_a_mail_starts_the_timer_again(house):
    """An upload that takes longer than `idle` is fine while something comes."""
    door = await house(idle=0.8, data_rate=10)
    client = await door.client()
    await client.begin()
    for _ in range(10):
        await client.say("slowly")
        await asyncio.sleep(0.1)
    assert await client.ask(".") == "250 2.0.0 queued as mail1"


async def test_the_timer_stands_still_while_a_hook_works(house):
    """The server's own slowness is not the client's."""
    door = await house(idle=0.3)
    client = await door.client()
    await client.begin("held@d.example")
    await client.say("hello", ".")
    await door.hooks.taking.wait()
    await asyncio.sleep(0.5)
    door.hooks.release.set()
    assert await client.hear() == "250 2.0.0 queued as mail1"
    assert await client.hear() == str(replies.IDLE)


async def test_a_session_ends_at_its_cap(house):
    """However busy the client keeps it."""
    door = await house(session=0.2, idle=5)
    client = await door.client()
    await client.hear()
    said = "250 2.0.0 OK"
    async with asyncio.timeout(5):
        while said == "250 2.0.0 OK":
            said = await client.ask("NOOP")
            await asyncio.sleep(0.01)
    assert said == "421 4.4.2 session too long, closing"


async def test_a_client_that_reads_nothing_is_cut(house, tmp_path, monkeypatch):
    """Replies that nobody takes don't pile up, and the connection goes without a last word."""
    monkeypatch.setattr(connection, "_LINGER", 0.05)
    door = await house(f"unix:{tmp_path}/in", idle=0.3)
    client = await door.client()
    await client.hear()
    client.reader._transport.pause_reading()
    client.writer.write(b"HELP\r\n" * 9000)
    await until(lambda: door.registry.count == 0)


# -- limits -------------------------------------------------------------------------------


async def test_connections_in_all_are_limited(house):
    """One too many is told 421 instead of a greeting; when one leaves there is room again."""
    door = await house(rules={"connections": 2})
    clients = [await door.client() for _ in range(2)]
    for each in clients:
        assert (await each.hear())[:4] == "220 "
    third = await door.client()
    assert (await third.hear(), await third.hear()) == (str(replies.TOO_BUSY), "")
    assert await clients[0].ask("QUIT") == str(replies.BYE)
    await until(lambda: door.registry.count == 1)
    assert (await (await door.client()).hear())[:4] == "220 "


async def test_connections_of_one_address_are_limited(house):
    """The limit is for each address; strangers that left are forgotten."""
    door = await house(rules={"trusted": {"connections": 1}})
    first = await door.client()
    await first.hear()
    second = await door.client()
    assert await second.hear() == "421 4.7.0 too many connections from your address, try again later"
    await first.ask("QUIT")
    await until(lambda: door.registry.count == 0)
    assert door.registry._clients._open == {}


async def test_no_limit_for_one_address(house):
    """0 means none."""
    door = await house(rules={"trusted": {"connections": 0}})
    for _ in range(3):
        assert (await (await door.client()).hear())[:4] == "220 "


async def test_unix_peers_are_not_one_address(house, tmp_path):
    """All clients of a unix socket share its name, not a limit."""
    door = await house(f"unix:{tmp_path}/in", rules={"trusted": {"connections": 1}})
    for _ in range(2):
        assert (await (await door.client()).hear())[:4] == "220 "


async def test_what_a_session_may_say_is_no_other_session_s_business(house):
    """A hundred EHLOs make no longer command fit, here or elsewhere; nor does a new connection take any."""
    door = await house(command_line=600)
    one, other = await door.client(), await door.client()
    await one.hear()
    await other.hear()
    await other.ask("EHLO c")
    longest = "NOOP " + "x" * 595
    for client in (one, other):
        for _ in range(100):
            await one.ask("EHLO c")
        third = await door.client()
        await third.hear()
        assert await client.ask(longest) == str(replies.OK)
        assert await client.ask(longest + "x") == "500 5.5.2 command line too long"


async def test_what_a_client_left_behind_a_mail_is_not_read(house):
    """The mail that is being taken is taken; commands behind it are nobody's once the client has gone."""
    door = await house()
    client = await door.client()
    await client.begin("held@d.example")
    await client.say("one", ".", "MAIL FROM:<next@b.example>", "RCPT TO:<x@d.example>", "DATA")
    await door.hooks.taking.wait()
    cut(client)
    await until(lambda: door.registry.count == 0)
    door.hooks.release.set()
    await door.hooks.taken.wait()
    await door.registry.drain(30)
    assert [b"one\r\n"] == door.hooks.bodies
    assert not [each for each in door.hooks.heard if "next@b.example" in each]


# -- draining -----------------------------------------------------------------------------


async def test_draining_sends_the_idle_away_and_lets_the_busy_finish(house):
    """Idle sessions hear 421 at once; who is within a mail ends it, hears its answer, then 421."""
    door = await house()
    idle, within, taking = [await door.client() for _ in range(3)]
    await idle.hear()
    await within.begin()
    await taking.begin("held@d.example")
    await taking.say("two", ".")
    await door.hooks.taking.wait()
    draining = asyncio.create_task(door.registry.drain(30))
    assert (await idle.hear(), await idle.hear()) == (str(replies.CLOSING), "")
    late = await door.client()
    assert (await late.hear(), await late.hear()) == (str(replies.CLOSING), "")
    assert await within.ask("one", ".") == "250 2.0.0 queued as mail1"
    assert (await within.hear(), await within.hear()) == (str(replies.CLOSING), "")
    assert not draining.done()
    door.hooks.release.set()
    assert await taking.hear() == "250 2.0.0 queued as mail2"
    assert (await taking.hear(), await taking.hear()) == (str(replies.CLOSING), "")
    await draining
    assert door.registry.count == 0


async def test_draining_cuts_what_is_left_after_the_grace(house, spool):
    """Neither a client within a mail nor a hook that never ends holds the server up."""
    door = await house(spool_over=1)
    within, taking = await door.client(), await door.client()
    await within.begin()
    await taking.begin("held@d.example")
    await taking.say("hello", ".")
    await door.hooks.taking.wait()
    await door.registry.drain(0.05)
    assert (door.registry.count, list(spool.iterdir())) == (0, [])
    assert door.hooks.bodies == []


async def test_draining_nobody(house):
    """An empty house drains at once."""
    door = await house()
    await door.registry.drain(30)
    assert door.registry.count == 0


# -- addresses ----------------------------------------------------------------------------


async def test_ipv6(house):
    """Port 0 on IPv6: the address says which, in brackets."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    door = await house("[::1]:0")
    host, _, port = door.listener.address.rpartition(":")
    assert (host, int(port) > 0) == ("[::1]", True)
    await (await door.client()).begin()
    assert door.hooks.sessions[0].peer == "::1"


@pytest.mark.parametrize("address", [":0", "*:0"])
async def test_every_address_of_the_machine(house, address):
    """No host, or *, is all of them."""
    door = await house(address)
    port = int(door.listener.address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.readline() == b"220 relay.example ESMTP smsc-relay\r\n"
    writer.close()


async def test_unix_socket(house, tmp_path):
    """A socket file for owner and group, gone when the listener closes; the peer is "unix"."""
    path = tmp_path / "in"
    door = await house(f"unix:{path}", protocol="lmtp")
    assert door.listener.address == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    client = await door.client()
    assert await client.hear() == "220 relay.example LMTP smsc-relay"
    await client.ask("LHLO c")
    await client.ask("MAIL FROM:<>")
    session = door.hooks.sessions[0]
    assert (session.peer, session.port, session.protocol) == ("unix", 0, "lmtp")
    await door.listener.close()
    assert not path.exists()
    await door.listener.close()


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(house, tmp_path):
    """What a killed server left is no hindrance; a living server, or a file, is an error."""
    path = tmp_path / "in"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    door = await house(f"unix:{path}")
    with pytest.raises(OSError, match="another server listens there"):
        await house(f"unix:{path}")
    assert (await (await door.client()).hear())[:4] == "220 "
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        await house(f"unix:{tmp_path}/file")
    with pytest.raises(FileNotFoundError):
        await house(f"unix:{tmp_path}/missing/in")


async def test_closing_leaves_the_socket_of_a_successor(house, tmp_path):
    """A file that another server has put in its place stays."""
    path = tmp_path / "in"
    door = await house(f"unix:{path}")
    path.rename(tmp_path / "old")
    path.touch()
    await door.listener.close()
    assert path.exists()


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "1:²"])
async def test_what_is_no_address(house, address):
    """It is said in words."""
    with pytest.raises(ValueError, match=r"no host:port"):
        await house(address)


async def test_a_port_in_use(house):
    """The system's error comes through."""
    door = await house()
    with pytest.raises(OSError, match=str(door.listener.address.rpartition(":")[2])):
        await house(door.listener.address)


# -- aiosmtpd -----------------------------------------------------------------------------


async def test_nothing_is_missing_that_aiosmtpd_sets_up():
    """Its __init__ is not run; whatever it would have set is there all the same."""
    stock = SMTP(object(), hostname="x", loop=asyncio.get_running_loop(), auth_callback=print)
    ours = Conversation(Door(hooks=None, limits=Limits(), registry=Registry(), hostname="x"))
    missing = {name for name in vars(stock) if not hasattr(ours, name)}
    assert missing - {"_SMTP__ident__", "__ident__", "_call_limit_base", "_call_limit_default"} == set()


async def test_a_client_that_left_before_it_was_accepted(house, caplog):
    """Such a connection has no peer address; it harms nobody."""
    door = await house()
    host, _, port = door.listener.address.rpartition(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert (await (await door.client()).hear())[:4] == "220 "
    await until(lambda: door.registry.count == 1)
    assert caplog.records == []
