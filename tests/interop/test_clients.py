"""Real clients send through each door, and what they sent reaches the provider."""

from __future__ import annotations

import asyncio
import smtplib
from pathlib import Path

import aiosmtplib
import pytest
from harness import Journey
from interop.clients import CLIENTS, MAIL, SENDER, Client
from interop.doors import DOORS, opened, run

PHONE = "79991234567@sms.example.com"
SMTP_DOORS = [kind for kind, door in DOORS.items() if door.get("protocol") != "lmtp"]


async def arrived(relay: Journey) -> None:
    """The one mail is one message, and what it says is what was sent."""
    await relay.pass_time(60)
    (sent,) = relay.sends()
    assert ("79991234567", "disk full\n.95 % of /var") == (sent["phones"].lstrip("+"), sent["mes"])


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", SMTP_DOORS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda each: each.name)
async def test_a_client_sends(tmp_path: Path, kind: str, client: Client) -> None:
    """It ends well, and its mail is a message; a leading dot survives."""
    if not client.installed:
        pytest.skip(f"{client.name} not installed; make interop installs what it may")
    async with opened(tmp_path, kind) as (relay, host, port):
        await run(client.command(host, port, PHONE), client.stdin)
        await arrived(relay)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", SMTP_DOORS)
async def test_smtplib_sends(tmp_path: Path, kind: str) -> None:
    """The standard library's client."""
    async with opened(tmp_path, kind) as (relay, host, port):

        def send() -> None:
            with smtplib.SMTP(host, port, local_hostname="mon.example.com") as client:
                client.sendmail(SENDER, [PHONE], MAIL.encode(), rcpt_options=["NOTIFY=SUCCESS"])

        await asyncio.to_thread(send)
        await arrived(relay)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", SMTP_DOORS)
async def test_aiosmtplib_sends(tmp_path: Path, kind: str) -> None:
    """The asyncio client."""
    async with opened(tmp_path, kind) as (relay, host, port):
        async with aiosmtplib.SMTP(hostname=host, port=port, start_tls=False) as client:
            await client.sendmail(SENDER, PHONE, MAIL.encode())
        await arrived(relay)


@pytest.mark.asyncio
async def test_smtplib_sends_by_lmtp(tmp_path: Path) -> None:
    """The standard library's client says LHLO."""
    async with opened(tmp_path, "lmtp") as (relay, host, port):

        def send() -> None:
            with smtplib.LMTP(host, port, local_hostname="mon.example.com") as client:
                client.sendmail(SENDER, [PHONE], MAIL.encode())

        await asyncio.to_thread(send)
        await arrived(relay)


@pytest.mark.asyncio
async def test_swaks_sends_by_lmtp(tmp_path: Path, wanted) -> None:
    """LHLO, and the answer of each recipient."""
    wanted("swaks")
    async with opened(tmp_path, "lmtp") as (relay, host, port):
        command = [*("swaks", "--protocol", "LMTP", "--server", host, "--port", str(port)), "--from", SENDER]
        said = await run([*command, "--to", f"{PHONE},bob@people.example", "--data", "-"], MAIL)
        assert 2 == said.count("250 2.0.0 queued as")
        assert 2 == len(await relay.orders())
