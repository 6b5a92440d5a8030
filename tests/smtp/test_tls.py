"""TLS at the front door: handshakes that fail, certificates that change, clients that show theirs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import smtplib
import socket
import ssl
import warnings

import aiosmtplib
import pytest

from relay import config, metrics
from relay.config import Config, Listener
from relay.smtp import certificates, tls
from relay.smtp.certificates import Unusable

pytestmark = pytest.mark.asyncio

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def gauge(name: str, **labels: str) -> float:
    """What a metric says."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def serving(files: config.Tls, **door: object) -> Config:
    """A configuration with one listener that encrypts."""
    base = config.default()
    listener = Listener.model_validate({"address": "127.0.0.1:0", "tls": "starttls", **door})
    return base.model_copy(update={"listeners": (listener,), "tls": files, "hostname": "relay.example"})


async def gone(house) -> None:
    """Wait until the registry knows of nobody."""
    async with asyncio.timeout(10):
        while house.registry.count:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


# -- handshakes ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["starttls", "required", "implicit"])
async def test_smtplib_and_aiosmtplib(house, pki, mode):
    """The clients that everybody has send through each kind of door."""
    door = await house(tls=mode)
    host, _, port = door.listener.address.rpartition(":")

    context = pki.client()
    context.check_hostname = False  # these clients greet what they connect to

    def plain() -> None:
        if mode == "implicit":
            client = smtplib.SMTP_SSL(host, int(port), context=context)
        else:
            client = smtplib.SMTP(host, int(port))
            client.starttls(context=context)
        with client:
            client.sendmail("a@b.example", ["c@d.example"], "Subject: one\r\n\r\ntext")

    await asyncio.to_thread(plain)
    await aiosmtplib.send(
        "Subject: two\r\n\r\ntext",
        sender="a@b.example",
        recipients=["c@d.example"],
        hostname=host,
        port=int(port),
        use_tls=mode == "implicit",
        start_tls=mode != "implicit",
        tls_context=context,
    )
    assert [b"Subject: one", b"Subject: two"] == [body[:12] for body in door.hooks.bodies]
    assert [True, True] == [session.tls for session in door.hooks.sessions]


async def test_a_handshake_that_never_ends_is_cut(house):
    """A client that says nothing after 220 is cut in time, and leaves nothing behind."""
    door = await house(tls="starttls", handshake=0.05)
    client = await door.client()
    await client.hear()
    before = gauge("relay_smtp_tls_total", result="failed")
    await client.ask("STARTTLS")
    assert await client.hear() == ""
    await gone(door)
    assert gauge("relay_smtp_tls_total", result="failed") == before + 1


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_a_handshake_that_trickles_in_is_cut(house, mode):
    """An octet now and then wins no time: all who come so are cut when the handshake's own is over."""
    door = await house(tls=mode, handshake=0.2)
    clients = [await door.client() for _ in range(20)]
    if mode == "starttls":
        for client in clients:
            await client.hear()
            await client.ask("STARTTLS")
    octets = iter(bytes.fromhex("1603010800010007fc0303") + bytes(1500))  # of a handshake of 2,048
    async with asyncio.timeout(10):
        while door.registry.count:
            octet = bytes([next(octets)])
            for client in clients:
                if not client.writer.is_closing():
                    client.writer.write(octet)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["eof", "reset", "garbage"])
@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_a_handshake_that_breaks_off(house, mode, how):
    """Whoever leaves, or talks of something else, in the middle of a handshake is forgotten."""
    door = await house(tls=mode)
    client = await door.client()
    if mode == "starttls":
        await client.hear()
        await client.ask("STARTTLS")
    if how == "eof":
        client.writer.write_eof()
    elif how == "reset":
        client.writer.transport.abort()
    else:
        await client.say(b"\x16\x03\x01\x00\x05hello")
        with contextlib.suppress(ConnectionError):
            await client.reader.read()
    await gone(door)


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_a_server_that_stops_in_a_handshake(house, mode):
    """Draining cuts who is in the middle of one, and waits no longer than its grace."""
    door = await house(tls=mode)
    client = await door.client()
    if mode == "starttls":
        await client.hear()
        await client.ask("STARTTLS")
    await door.listener.close()
    async with asyncio.timeout(10):
        await door.registry.drain(0.05)
    assert door.registry.count == 0


async def test_nobody_hears_a_word_in_clear_at_an_implicit_door(house):
    """Too many connections: closed without 421, which no TLS client could read."""
    door = await house(tls="implicit", connections=1)
    first, second = await door.client(), await door.client()
    assert b"" == await second.reader.read()
    first.writer.close()


async def test_commands_that_come_with_the_handshake_are_obeyed(house, pki):
    """A client may send EHLO together with the end of its handshake: that is encrypted."""
    door = await house(tls="starttls")
    client = await door.client()
    await client.hear()
    await client.ask("STARTTLS")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    under = pki.client().wrap_bio(incoming, outgoing, server_hostname="relay.example")
    with pytest.raises(ssl.SSLWantReadError):
        under.do_handshake()
    await client.say(outgoing.read())
    while True:
        incoming.write(await client.reader.read(65536))
        try:
            under.do_handshake()
            break
        except ssl.SSLWantReadError:
            continue
    under.write(b"EHLO early\r\nNOOP\r\n")
    await client.say(outgoing.read())  # Finished and two commands in one write
    said = b""
    while b"250 2.0.0 OK" not in said:
        try:
            said += under.read(65536)
        except ssl.SSLWantReadError:
            incoming.write(await client.reader.read(65536))
    assert said.startswith(b"250-relay.example")


async def test_what_was_read_of_a_handshake_is_not_lost(pki, ours):
    """A door that has read ahead (behind a proxy's header, say) hands it to the handshake."""
    how = tls.Encryption(
        mode="implicit",
        context=lambda: certificates.made(Listener(address="127.0.0.1:0"), ours.certificate, ours.key),
    )
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    class Reads(asyncio.Protocol):
        transport: asyncio.Transport
        shaking = False

        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, octets):
            if self.shaking:
                heard.put_nowait(octets)
            else:
                self.shaking = True
                self.task = asyncio.create_task(tls.shake_hands(self.transport, self, how, octets))

    server = await asyncio.get_running_loop().create_server(Reads, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=pki.client(), server_hostname="relay.example"
        )
        writer.write(b"hidden")
        async with asyncio.timeout(10):
            assert await heard.get() == b"hidden"
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_an_idle_connection_is_cheap(house, pki):
    """A quarter of a megabyte each, as asyncio has it, would let idle clients take the machine's memory."""
    door = await house(tls="implicit")
    client = await door.client()
    await client.encrypt(pki.client())
    await client.hear()
    (connection,) = door.registry._open
    under_tls = getattr(connection.transport, "_ssl_protocol", None)  # uvloop's is unused memory
    assert under_tls is None or len(under_tls._ssl_buffer) <= 32 * 1024


async def test_a_client_that_reads_nothing_fills_no_memory(house, pki):
    """Half a megabyte of replies would wait under TLS by default, an eighth of that in clear."""
    door = await house(tls="implicit")
    client = await door.client()
    await client.encrypt(pki.client())
    await client.hear()
    (connection,) = door.registry._open
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.writer.transport.pause_reading()
    client.writer.write(b"HELP\r\n" * 9900)
    async with asyncio.timeout(20):
        while not connection._paused:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0)
    assert connection.transport.get_write_buffer_size() < 100_000
    client.writer.transport.abort()
    await gone(door)


async def test_a_mail_is_taken_though_the_client_closes_tls_early(house, pki):
    """TLS has no half-close, and yet a mail that came whole is taken to its end."""
    door = await house(tls="implicit")
    client = await door.client()
    await client.encrypt(pki.client())
    assert (await client.begin("held@d.example")).startswith("354")
    await client.say("Subject: x", "", "text", ".")
    await door.hooks.taking.wait()
    client.writer.close()
    door.hooks.release.set()
    async with asyncio.timeout(10):
        await door.hooks.taken.wait()
    assert door.hooks.bodies == [b"Subject: x\r\n\r\ntext\r\n"]


async def test_a_mail_that_is_cut_under_tls_is_none(house, pki):
    """A connection that ends before the last dot leaves no mail, with close_notify or without."""
    door = await house(tls="implicit")
    for ending in ("close", "abort"):
        client = await door.client()
        await client.encrypt(pki.client())
        await client.begin()
        await client.say("Subject: x", "", "half a te")
        getattr(client.writer.transport, ending)()
        await gone(door)
    assert door.hooks.bodies == []


async def test_a_large_mail_under_tls(house, pki):
    """Blocks that pause and resume the reading arrive whole."""
    door = await house(tls="starttls")
    client = await door.client()
    await client.hear()
    await client.ask("STARTTLS")
    await client.encrypt(pki.client())
    for line in ("HELO c", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"):
        await client.ask(line)
    body = b"".join(b"%076d\r\n" % n for n in range(40_000))
    await client.say(body, ".")
    assert (await client.hear()).startswith("250")
    assert door.hooks.bodies == [body]


# -- versions, ciphers, certificates of clients -------------------------------------------


async def versions(house, pki, offered: ssl.TLSVersion, **door: object) -> str:
    """The version that a client gets which offers this one only; "" for none."""
    opened = await house(tls="implicit", door=door)
    client = await opened.client()
    context = pki.client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = offered
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        await client.encrypt(context)
    except OSError:
        return ""
    assert (await client.hear()).startswith("220")
    return client.writer.transport.get_extra_info("ssl_object").version()


async def test_the_oldest_version(house, pki):
    """1.2 and newer by default; a listener may want 1.3, and one for old devices takes 1.0."""
    assert await versions(house, pki, ssl.TLSVersion.TLSv1_1) == ""
    assert await versions(house, pki, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert await versions(house, pki, ssl.TLSVersion.TLSv1_2, tls_min="1.3") == ""
    assert await versions(house, pki, ssl.TLSVersion.TLSv1_3, tls_min="1.3") == "TLSv1.3"
    assert await versions(house, pki, ssl.TLSVersion.TLSv1, tls_min="1.0") == "TLSv1"


async def test_ciphers(house, pki):
    """Forward secrecy by default, and what a listener wants instead."""
    context = pki.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
    door = await house(tls="implicit", door={"tls_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256"})
    client = await door.client()
    await client.encrypt(context)
    assert client.writer.transport.get_extra_info("cipher")[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("mode", ["starttls", "implicit"])
async def test_certificates_of_clients(house, pki, mode, version):
    """The hooks learn whom a client's certificate names; who shows none is served alike.

    In TLS 1.3 it comes when the client takes the handshake for done already.
    """
    own = pki.pair("device", "ups.example", common_name="UPS 7")
    door = await house(tls=mode, door={"client_ca": str(pki.root())})
    for context in (pki.client(own), pki.client()):
        context.minimum_version = context.maximum_version = version
        client = await door.client()
        if mode == "starttls":
            await client.hear()
            await client.ask("STARTTLS")
        await client.encrypt(context)
        if mode == "implicit":
            await client.hear()
        await client.ask("HELO c")
        assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("250")
    shown, nothing = (session.certificates for session in door.hooks.sessions)
    pem = own.certificate.read_text()
    assert {"ups 7", "ups.example", fingerprint(pem)} == shown
    assert frozenset() == nothing


def fingerprint(pem: str) -> str:
    """As `openssl x509 -fingerprint -sha256` has it, and as a configuration takes it."""
    import hashlib  # noqa: PLC0415

    leaf = pem[: pem.index("-----END")] + "-----END CERTIFICATE-----\n"
    digits = hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf)).hexdigest().upper()
    colons = ":".join(digits[n : n + 2] for n in range(0, 64, 2))
    sender = config.Sender(name="x", certificates=(f"SHA256 Fingerprint={colons}",))
    assert sender.certificates is not None
    return sender.certificates[0]


async def test_a_certificate_alone_may_be_the_authority(house, pki):
    """The very certificate of a client in `client_ca` is trusted, and no other of its authority."""
    own, other = pki.pair("self", "ups.example"), pki.pair("other", "ups.example")
    alone = own.certificate.with_name("alone.pem")
    pem = own.certificate.read_text()
    alone.write_text(pem[: pem.index("-----END")] + "-----END CERTIFICATE-----\n")
    door = await house(tls="implicit", door={"client_ca": str(alone)})
    client = await door.client()
    await client.encrypt(pki.client(own))
    assert (await client.hear()).startswith("220")
    client = await door.client()
    with contextlib.suppress(OSError):  # TLS 1.3: the client is told after its own end of the handshake
        await client.encrypt(pki.client(other))
        assert await client.reader.read() == b""
    assert door.hooks.heard == []


# -- files that change --------------------------------------------------------------------


def shown(contexts: tls.Contexts, listener: Listener, files: config.Tls) -> int:
    """When the certificate ends that the next client is shown."""
    return certificates.seen(contexts.context(listener), files.certificate, "relay.example").ends


async def test_renewed_files_count_from_the_next_handshake(tmp_path, pki):
    """Written in place, or moved into it."""
    files = pki.pair("renewed", not_after=NOON + DAY)
    setup = serving(files)
    contexts = tls.Contexts(setup, lambda: 0)
    contexts.open()
    (listener,) = setup.listeners
    first = contexts.context(listener)
    assert first is contexts.context(listener)
    pki.pair("renewed", not_after=NOON + 2 * DAY)
    second = contexts.context(listener)
    assert first is not second
    assert shown(contexts, listener, files) == (NOON + 2 * DAY).timestamp()
    assert gauge("relay_tls_expires") == (NOON + 2 * DAY).timestamp()
    other = pki.pair("elsewhere", not_after=NOON + 3 * DAY)
    other.key.replace(files.key)
    other.certificate.replace(files.certificate)
    assert shown(contexts, listener, files) == (NOON + 3 * DAY).timestamp()


async def test_a_link_that_is_swapped_counts(tmp_path, pki):
    """As Kubernetes does it: the files are links into a folder that a link names."""
    for name in ("one", "two"):
        made = pki.pair(name, not_after=NOON + (DAY if name == "one" else 2 * DAY))
        (tmp_path / name).mkdir()
        made.certificate.rename(tmp_path / name / "tls.crt")
        made.key.rename(tmp_path / name / "tls.key")
    (tmp_path / "..data").symlink_to("one")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    files = config.Tls(certificate=tmp_path / "tls.crt", key=tmp_path / "tls.key")
    setup = serving(files)
    contexts = tls.Contexts(setup, lambda: 0)
    contexts.open()
    assert shown(contexts, setup.listeners[0], files) == (NOON + DAY).timestamp()
    (tmp_path / "..new").symlink_to("two")
    os.replace(tmp_path / "..new", tmp_path / "..data")  # noqa: PTH105 - the very call
    assert shown(contexts, setup.listeners[0], files) == (NOON + 2 * DAY).timestamp()


async def test_files_that_are_no_good_change_nothing(pki, caplog):
    """The old pair stays until the new one is whole; log and metric say so, once for each change."""
    files = pki.pair("halfway")
    setup = serving(files)
    contexts = tls.Contexts(setup, lambda: 0)
    contexts.open()
    (listener,) = setup.listeners
    first = contexts.context(listener)
    fresh = pki.pair("fresh")
    fresh.certificate.replace(files.certificate)
    assert [first] * 3 == [contexts.context(listener) for _ in range(3)]
    assert gauge("relay_tls_stale") == 1
    files.certificate.write_text("half wri")
    contexts.refresh()
    files.key.unlink()
    contexts.refresh()
    assert contexts.context(listener) is first
    said = [record.why for record in caplog.records if "can't be used" in record.message]
    assert len(said) == 3
    assert said[0] == "does not belong to the first certificate of tls.certificate"
    whole = pki.pair("halfway")
    assert whole == files
    assert contexts.context(listener) is not first
    assert gauge("relay_tls_stale") == 0


async def test_sessions_go_on_when_the_certificate_changes(house, pki, ours):
    """What is encrypted already stays so."""
    door = await house(tls="implicit")
    client = await door.client()
    await client.encrypt(pki.client())
    await client.hear()
    pki.pair("relay")
    assert (await client.ask("NOOP")).startswith("250")
    other = await door.client()
    await other.encrypt(pki.client())
    assert (await other.hear()).startswith("220")


async def test_files_are_looked_at_without_anybody_coming(pki):
    """Once a minute, as a chore; where nothing encrypts there is no chore."""
    files = pki.pair("chore")
    setup = serving(files)
    now = 1_000_000
    contexts = tls.Contexts(setup, lambda: now)
    contexts.open()
    (listener,) = setup.listeners
    await contexts.turn()
    assert await contexts.next() == now + 60_000
    before = contexts._made[listener]
    pki.pair("chore")
    await contexts.turn()
    assert contexts._made[listener] is before
    now += 60_000
    assert await contexts.turn() is False
    assert contexts._made[listener] is not before
    assert await tls.Contexts(config.default(), lambda: now).next() is None


# -- what the owner is told ---------------------------------------------------------------


def complained(setup: Config) -> dict[str, str]:
    """Each complaint by its place."""
    return {".".join(map(str, place)): why for place, why in certificates.complaints(setup)}


async def test_files_that_no_client_could_use(tmp_path, pki):
    """Each fault has its sentence, at the file that is to blame."""
    good, other = pki.pair("good"), pki.pair("stranger")
    empty, folder = tmp_path / "empty", tmp_path / "folder"
    empty.touch()
    folder.mkdir()
    locked = tmp_path / "locked"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    torn = tmp_path / "torn"
    torn.write_text(good.certificate.read_text()[:200])

    def told(**change: object) -> dict[str, str]:
        return complained(serving(good.model_copy(update=change)))

    assert {} == complained(serving(good))
    assert {} == complained(config.default())
    assert {"tls.certificate": "there is no such file"} == told(certificate=tmp_path / "nothing")
    assert {"tls.certificate": "holds no certificate in PEM"} == told(certificate=empty)
    assert {"tls.certificate": "is no file"} == told(certificate=folder)
    assert {"tls.key": "holds no private key in PEM"} == told(key=good.certificate)
    assert "does not belong to the first certificate" in told(key=other.key)["tls.key"]
    assert "has a passphrase" in told(key=locked)["tls.key"]
    assert "can't be used" in told(certificate=torn)["tls.certificate"]
    for door, wanted in (
        ({"tls_ciphers": "nonsense"}, {"listeners.0.tls_ciphers": "OpenSSL knows no such ciphers"}),
        ({"client_ca": str(empty)}, {"listeners.0.client_ca": "holds no certificate in PEM"}),
        ({"client_ca": str(torn)}, {"listeners.0.client_ca": "can't be used"}),
    ):
        found = complained(serving(good, **door))
        assert list(wanted) == list(found)
        assert next(iter(wanted.values())) in next(iter(found.values()))


async def test_the_key_can_be_read_by_us_alone(pki):
    """A key that anybody may open is a word to its owner."""
    files = pki.pair("open", not_after=NOON + 90 * DAY)
    assert [] == certificates.doubts(serving(files), int(NOON.timestamp() * 1000))
    files.key.chmod(0o644)
    ((place, why),) = certificates.doubts(serving(files), int(NOON.timestamp() * 1000))
    assert (("tls", "key"), "anybody on this machine may open it; chmod o= the file") == (place, why)


@pytest.mark.parametrize(
    ("days", "hosts", "wanted"),
    [
        (90, ["relay.example"], []),
        (90, ["other.example", "relay.example"], []),
        (13, ["relay.example"], ["expires in 12 days"]),
        (-1, ["relay.example"], ["has expired; clients that check refuse it"]),
        (90, ["a.example", "b.example"], ["is for a.example, b.example: clients that check will not take"]),
    ],
)
async def test_what_clients_may_mind(pki, days, hosts, wanted):
    """The end, two weeks before it comes, and the name."""
    files = pki.pair("minded", *hosts, not_before=NOON - 300 * DAY, not_after=NOON + days * DAY)
    now = int(NOON.timestamp() * 1000) + 1000
    found = certificates.doubts(serving(files), now)
    assert [("tls", "certificate")] * len(wanted) == [place for place, _ in found]
    assert wanted == [why[: len(want)] for want, (_, why) in zip(wanted, found, strict=True)]
    ours = certificates.shown(serving(files))
    assert ours is not None
    assert ours.counts(now) is (days > 0)


async def test_a_certificate_that_does_not_count_yet(pki):
    """A clock that is wrong is a usual cause."""
    files = pki.pair("early", not_before=NOON + DAY, not_after=NOON + 90 * DAY)
    ((_, why),) = certificates.doubts(serving(files), int(NOON.timestamp() * 1000))
    assert "look at this machine's clock" in why


async def test_contexts_that_cannot_be_made_keep_the_door_closed(tmp_path, pki):
    """At the start there is no old pair to stay with."""
    files = pki.pair("gone")
    files.key.unlink()
    with pytest.raises(Unusable, match="there is no such file"):
        tls.Contexts(serving(files), lambda: 0).open()
