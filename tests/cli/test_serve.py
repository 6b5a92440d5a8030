"""`serve`, `demo` and `sandbox` as processes of their own: signals, parts, ready lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import aiosmtplib
import pytest
import yaml
from harness import PATIENCE, Process
from pki import Pki

from relay.smsc.sandbox import Sandbox
from relay.smtp.sockets import connections

MAIL = "From: a@mon.example.com\r\nSubject: x\r\n\r\ny\r\n"


async def mail(port: int, to: str) -> str:
    """Send one mail; what the server said in the end."""
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=PATIENCE)
    async with client:
        try:
            return (await client.sendmail("a@mon.example.com", [to], MAIL))[1]
        except aiosmtplib.SMTPRecipientsRefused as refused:
            return f"{refused.recipients[0].code} {refused.recipients[0].message}"


def events(relay: Process) -> list[str]:
    """The events of its log."""
    return [json.loads(line)["event"] for line in (relay.folder / "log").read_text().splitlines()]


@pytest.mark.asyncio
async def test_sighup_takes_a_good_configuration_and_keeps_the_old_on_error(tmp_path: Path) -> None:
    """New aliases count at once; a wrong file changes nothing and is said in the log."""
    relay = Process(tmp_path, "sandbox")
    await relay.start()
    before = await mail(relay.port, "oncall@sms.example.com")
    values = yaml.safe_load(relay.config.read_text())
    relay.config.write_text(yaml.safe_dump(values | {"aliases": {"oncall": ["+79991234567"]}}))
    relay.signal(signal.SIGHUP)
    await relay.said("configuration re-read")
    after = await mail(relay.port, "oncall@sms.example.com")
    for times, wrong in enumerate(({"aliases": {"oncall": ["nonsense"]}}, {"routes": []}), 1):
        relay.config.write_text(yaml.safe_dump(values | wrong))
        relay.signal(signal.SIGHUP)  # one at a time: two that are pending are one
        await relay.said("the new configuration is wrong, the old one stays", times)
    still = await mail(relay.port, "oncall@sms.example.com")
    status = await relay.kill(signal.SIGINT)

    assert "550 5.1.1" == before[:9]
    assert after.startswith("2.0.0 queued")
    assert still.startswith("2.0.0 queued")
    assert 0 == status
    assert ["ready", "stopping"] == [event for event in events(relay) if event in ("ready", "stopping")]
    assert not (tmp_path / "relay.sock").exists()


async def shown(port: int) -> bytes:
    """The certificate that a new client is shown, in DER."""
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, use_tls=True, validate_certs=False)
    async with client:
        found = client.transport.get_extra_info("ssl_object")
        return found.getpeercert(binary_form=True)


@pytest.mark.asyncio
async def test_sighup_and_new_files_change_the_certificate(tmp_path: Path) -> None:
    """New files, new names of files, and files that are no good, which change nothing."""
    pki = Pki(tmp_path)
    pair = pki.pair("one")
    door = {"listeners": [{"address": "127.0.0.1:0", "tls": "implicit"}]}
    relay = Process(tmp_path, "sandbox", **door, tls={"certificate": "one.pem", "key": "one.key"})
    await relay.start()
    first = await shown(relay.port)
    pki.pair("one")
    second = await shown(relay.port)
    pki.pair("two")
    values = yaml.safe_load(relay.config.read_text())
    relay.config.write_text(yaml.safe_dump(values | {"tls": {"certificate": "two.pem", "key": "two.key"}}))
    relay.signal(signal.SIGHUP)
    await relay.said("configuration re-read")
    third = await shown(relay.port)
    (tmp_path / "two.key").write_text("nonsense")
    relay.signal(signal.SIGHUP)
    await relay.said("the new configuration is wrong, the old one stays")
    await relay.said("the new certificate can't be used, the old one stays")
    fourth = await shown(relay.port)
    status = await relay.kill(signal.SIGTERM)

    files = (tmp_path / "one.pem").read_text(), (tmp_path / "two.pem").read_text()
    want = [
        ssl.PEM_cert_to_DER_cert(each[: each.index("-----END")] + "-----END CERTIFICATE-----\n")
        for each in files
    ]
    assert first not in (second, third)
    assert [*want, want[1]] == [second, third, fourth]
    assert pair.key.exists()
    assert 0 == status


class Peer:
    """A client that goes one step at a time, also through its handshake."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], pki: Pki) -> None:
        self.reader, self.writer = streams
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = pki.client().wrap_bio(self._in, self._out, server_hostname="relay.example")
        self._secret = False

    async def ask(self, line: str) -> str:
        """Say a line ("": none), hear a reply of one line."""
        octets = f"{line}\r\n".encode() if line else b""
        if not self._secret:
            self.writer.write(octets)
            async with asyncio.timeout(PATIENCE):
                return (await self.reader.readline()).decode()
        if octets:
            self._tls.write(octets)
            self.writer.write(self._out.read())
        return str((await self._done(lambda: self._tls.read(4096))).decode())

    async def _done(self, what: Callable[[], bytes | None]) -> bytes:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return what() or b""
                except ssl.SSLWantReadError:
                    self.writer.write(self._out.read())
                    octets = await self.reader.read(65536)
                    assert octets, "it has closed"
                    self._in.write(octets)

    async def begin(self) -> bytes:
        """The first half of a handshake is said; returns the other half."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        hello = self._out.read()
        self.writer.write(hello[: len(hello) // 2])
        await self.writer.drain()
        return hello[len(hello) // 2 :]

    async def encrypt(self, rest: bytes = b"") -> bytes:
        """Shake hands to the end; the certificate that was shown, in DER."""
        self.writer.write(rest)
        await self._done(self._tls.do_handshake)
        self.writer.write(self._out.read())
        self._secret = True
        return self._tls.getpeercert(binary_form=True) or b""


@pytest.mark.asyncio
async def test_sessions_live_on_when_the_certificate_is_re_read(tmp_path: Path) -> None:
    """In clear, before and amid a handshake, in a mail in clear and under TLS: SIGHUP breaks none of them."""
    pki = Pki(tmp_path)
    pki.pair("relay")
    doors = [{"address": "127.0.0.1:0", "tls": each} for each in ("starttls", "implicit")]
    relay = Process(
        tmp_path, "sandbox", listeners=doors, tls={"certificate": "relay.pem", "key": "relay.key"}
    )
    line = await relay.start()
    clear, secret = (int(each.rpartition(":")[2]) for each in line.split()[1].split(","))
    old = await shown(secret)

    async def peer(port: int, *lines: str) -> Peer:
        made = Peer(await asyncio.open_connection("127.0.0.1", port), pki)
        for each in lines:
            await made.ask(each)
        return made

    mail = ("HELO c", "MAIL FROM:<a@mon.example.com>", "RCPT TO:<79991234567@sms.example.com>", "DATA")
    greeted = await peer(clear, "", "HELO c")
    due = await peer(clear, "", "STARTTLS")
    amid = await peer(secret)
    rest = await amid.begin()
    sending = await peer(clear, "", *mail)
    hidden = await peer(secret)
    assert old == await hidden.encrypt()
    for each in ("", *mail):
        last = await hidden.ask(each)
    assert last.startswith("354")

    pki.pair("relay")
    relay.signal(signal.SIGHUP)
    await relay.said("configuration re-read")
    new = await shown(secret)
    assert new != old

    assert (await greeted.ask("STARTTLS")).startswith("220")
    assert new == await greeted.encrypt()
    assert (await greeted.ask("HELO c")).startswith("250")
    assert await due.encrypt() in (old, new)
    assert (await due.ask("HELO c")).startswith("250")
    assert await amid.encrypt(rest) in (old, new)
    assert (await amid.ask("")).startswith("220")
    for each in (sending, hidden):
        assert (await each.ask("Subject: x\r\n\r\ny\r\n.")).startswith("250 2.0.0 queued")
    for each in (greeted, due, amid, sending, hidden):
        assert (await each.ask("QUIT")).startswith("221")
        each.writer.close()
    assert 0 == await relay.kill(signal.SIGTERM)
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.asyncio
async def test_parts_run_alone(tmp_path: Path) -> None:
    """`--only smtp` takes mail and sends nothing; `--only delivery` then sends it."""
    sandbox = Sandbox(steps=(0.05, 0.1))
    relay = Process(tmp_path, await sandbox.start(), web={"listen": "127.0.0.1:0"})
    door = await relay.start("--only", "smtp")
    taken = await mail(relay.port, "79991234567@sms.example.com")
    first = await relay.kill(signal.SIGTERM)
    sent_by_the_door = len(sandbox.messages)
    web = await relay.start("--only", "web")
    address = web.split("web=")[1].strip()
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/readyz") as answer:
        ready = answer.status
    second = await relay.kill(signal.SIGTERM)
    delivery = await relay.start("--only", "delivery")
    await sandbox.until(lambda: len(sandbox.messages) == 1)
    third = await relay.kill(signal.SIGTERM)
    await sandbox.stop()

    assert taken.startswith("2.0.0 queued")
    assert ("web=-", 0) == (door.split()[-1], sent_by_the_door)
    assert ("smtp=-", 200) == (web.split()[1], ready)
    assert "ready smtp=- web=-" == delivery.strip()
    assert (0, 0, 0) == (first, second, third)


@pytest.mark.asyncio
async def test_clients_that_hang_on_leave_room_to_deliver(tmp_path: Path) -> None:
    """With few file descriptors fewer connections are taken, and what was taken goes out."""
    sandbox = Sandbox(steps=(0.05, 0.1))
    relay = Process(tmp_path, await sandbox.start())
    await relay.start(under=("sh", "-c", 'ulimit -n 160; exec "$@"', "sh"))
    hanging = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(24)]
    greetings = [(await reader.readline())[:3] for reader, _ in hanging]
    hanging[0][1].write(b"QUIT\r\n")
    await hanging[0][0].read()
    taken = await mail(relay.port, "79991234567@sms.example.com")
    await sandbox.until(lambda: len(sandbox.messages) == 1)
    for _, writer in hanging:
        writer.close()
    status = await relay.kill(signal.SIGTERM)
    await sandbox.stop()

    assert [b"220"] * 16 + [b"421"] * 8 == greetings
    assert taken.startswith("2.0.0 queued")
    assert 0 == status


@pytest.mark.parametrize(
    ("descriptors", "room"),
    [(0, 1), (128, 1), (256, 64), (1024, 448), (2128, 1000), (10**6, 1000), (-1, 1000)],
)
def test_connections_leave_descriptors_for_the_rest(descriptors: int, room: int) -> None:
    """Two each, and what the rest of the relay needs is kept back."""
    assert room == connections(1000, descriptors)


@pytest.mark.asyncio
async def test_two_relays_on_one_database(tmp_path: Path) -> None:
    """The second says so and exits 1; the first goes on."""
    relay = Process(tmp_path, "sandbox")
    await relay.start()
    status, _, told = await run("serve", "-c", str(relay.config))
    taken = await mail(relay.port, "79991234567@sms.example.com")
    await relay.kill(signal.SIGTERM)

    assert (1, True) == (status, "in use by another smsc-relay" in told)
    assert taken.startswith("2.0.0 queued")


async def run(*arguments: str) -> tuple[int, str, str]:
    """A command that ends: its exit status, its output, what it told the person."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, told = await process.communicate()
    return process.returncode or 0, out.decode(), told.decode()


@pytest.mark.asyncio
async def test_the_demo_shows_the_whole_journey_and_exits_0() -> None:
    """The SMTP answer, the request, the status and the report, each with its real words."""
    status, out, told = await run("demo", "--once")

    assert (0, "") == (status, told)
    for words in (
        "250 2.0.0 queued as",
        "phones=+79991234567",
        "delivered",
        "Action: failed",
        "Action: delivered",
    ):
        assert words in out


@pytest.mark.asyncio
async def test_the_demo_stays_and_gives_hints() -> None:
    """Without --once it runs until it is told to stop; a hint is one line, to be copied."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", "demo", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    async with asyncio.timeout(60):
        while b"swaks" not in (hint := await process.stdout.readline()):
            pass
    process.send_signal(signal.SIGINT)
    await process.communicate()

    assert 0 == process.returncode
    assert hint.rstrip().endswith(b"--to 79991234567@sms.example.com")


@pytest.mark.asyncio
async def test_the_sandbox_alone() -> None:
    """A ready line with its URL, which answers like the provider."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", "sandbox", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    async with asyncio.timeout(60):
        line = (await process.stdout.readline()).decode()
    url = line.removeprefix("ready sandbox=").strip()
    asked = f"{url}/sys/balance.php?login=a&psw=b"
    async with aiohttp.ClientSession() as session, session.get(asked) as answer:
        balance = await answer.text()
    process.send_signal(signal.SIGTERM)
    await process.communicate()

    assert ("1000.00", 0) == (balance, process.returncode)
