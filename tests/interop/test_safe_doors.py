"""Real clients, and Postfix as one, shake hands, log in and send; without the login nothing leaves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from harness import Journey, StillClock, journey, settings
from interop.clients import CLIENTS, MAIL, SENDER
from interop.doors import run
from interop.test_clients import PHONE, arrived
from interop.test_servers import postfix
from pki import HOST, Pki

from relay.config import Listener, Sender

USER, PASSWORD = "monitor", "s3cret word"

_NODE = """
const [port, secure, ca, name, user, pass, from, to] = process.argv.slice(1);
const raw = require('fs').readFileSync(0);
const tls = {ca: require('fs').readFileSync(ca), servername: name};
const way = require('nodemailer').createTransport({host: '127.0.0.1', port: +port,
    secure: secure === 'implicit', requireTLS: true, tls, auth: {user, pass}});
way.sendMail({envelope: {from, to}, raw})
    .then(sent => console.log(sent.response), error => {console.error(error.message); process.exit(1);});
"""


def curl(port: int, mode: str, ca: Path) -> list[str]:
    """Checks the certificate, logs in."""
    scheme = "smtps" if mode == "implicit" else "smtp"
    return [
        *("curl", "--silent", "--show-error", "--crlf", "--ssl-reqd", "--cacert", str(ca)),
        *("--resolve", f"{HOST}:{port}:127.0.0.1", f"{scheme}://{HOST}:{port}/mon.example.com"),
        *("--user", f"{USER}:{PASSWORD}", "--mail-from", SENDER, "--mail-rcpt", PHONE, "--upload-file", "-"),
    ]


def swaks(port: int, mode: str, ca: Path) -> list[str]:
    """Logs in by LOGIN, in the form of two questions."""
    return [
        *("swaks", "--server", "127.0.0.1", "--port", str(port), "--helo", "mon.example.com"),
        *("--tls-on-connect" if mode == "implicit" else "--tls", "--tls-ca-path", str(ca)),
        *("--auth", "LOGIN", "--auth-user", USER, "--auth-password", PASSWORD),
        *("--from", SENDER, "--to", PHONE, "--data", "-"),
    ]


def msmtp(port: int, mode: str, ca: Path) -> list[str]:
    """Checks the certificate, logs in, wants to hear of success."""
    starttls = "off" if mode == "implicit" else "on"
    return [
        *("msmtp", "--host=127.0.0.1", f"--port={port}", f"--from={SENDER}", "--domain=mon.example.com"),
        *("--tls=on", f"--tls-starttls={starttls}", f"--tls-trust-file={ca}", f"--tls-host-override={HOST}"),
        *("--auth=plain", f"--user={USER}", f"--passwordeval=echo '{PASSWORD}'"),
        *("--dsn-notify=failure,success", PHONE),
    ]


def nodemailer(port: int, mode: str, ca: Path) -> list[str]:
    """Checks the certificate, logs in."""
    return ["node", "-e", _NODE, str(port), mode, str(ca), HOST, USER, PASSWORD, SENDER, PHONE]


COMMANDS = {"curl": curl, "swaks": swaks, "msmtp": msmtp, "nodemailer": nodemailer}


@contextlib.asynccontextmanager
async def guarded(folder: Path, mode: str) -> AsyncIterator[tuple[Journey, int, Path]]:
    """A relay that lets in one user alone, by TLS alone; its port and its authority's certificate."""
    pki = Pki(folder)
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    door = Listener.model_validate({"address": "127.0.0.1:0", "tls": mode, "auth": "required"})
    only = Sender(name="staff", users={USER: hashed}, **{"from": (SENDER,)})
    config = settings(folder, listeners=(door,), tls=pki.pair(), hostname=HOST)
    async with journey(folder, config=config.model_copy(update={"senders": (only,)})) as relay:
        yield relay, int(relay.app.listeners[0].address.rpartition(":")[2]), pki.root()


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", ["required", "implicit"])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda each: each.name)
async def test_a_client_logs_in_and_sends(tmp_path: Path, mode: str, client) -> None:
    """By STARTTLS and by implicit TLS."""
    if not client.installed:
        pytest.skip(f"{client.name} not installed; make interop installs what it may")
    async with guarded(tmp_path, mode) as (relay, port, ca):
        await run(COMMANDS[client.name](port, mode, ca), client.stdin)
        await arrived(relay)


@pytest.mark.asyncio
@pytest.mark.parametrize("password", [PASSWORD, "another"])
async def test_postfix_logs_in_and_relays(tmp_path: Path, open_folder: Path, wanted, password: str) -> None:
    """STARTTLS with our certificate checked, AUTH, DSN; with a wrong password nothing leaves."""
    wanted("postfix", root=True)
    async with guarded(tmp_path, "required") as (relay, port, ca):
        clock = relay.clock
        assert isinstance(clock, StillClock)
        trusted = open_folder / "ca.pem"
        trusted.write_bytes(ca.read_bytes())
        more = (
            "smtp_tls_security_level = secure\n"
            f"smtp_tls_CAfile = {trusted}\nsmtp_tls_secure_cert_match = {HOST}\n"
            "smtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\n"
            f"smtp_sasl_password_maps = inline:{{ {{ [127.0.0.1]:{port} = {USER}:{password} }} }}\n"
        )
        async with postfix(open_folder, "smtp", "127.0.0.1", port, more) as sendmail:
            log = open_folder / "log"
            await run([*sendmail, "-N", "success,failure", PHONE], MAIL.replace("\r\n", "\n"))
            if password == PASSWORD:
                await relay.until(
                    lambda: "status=sent (250 2.0.0 queued as" in log.read_text(), "Postfix's word"
                )
                await arrived(relay)
                return

            def refused() -> bool:
                clock.set(clock.now() + 10_000)  # a refusal keeps its client waiting
                return "535 5.7.8" in log.read_text()

            await relay.until(refused, "the refusal")
            assert [] == await relay.orders()
