"""Old devices through their own door, end to end: what they say becomes a message, and none gets lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from harness import Journey, journey, settings

SCRIPT = (
    "HELO plc\nMAIL FROM: plc@mon.example.com\nRCPT TO: 79991234567@sms.example.com\nDATA\n"
    "Subject: pump 4\n\nstopped\n.\nQUIT\n"
)
CONTROLLER = "MAIL FROM:root\r\nRCPT TO:79991234568\r\nDATA\r\nno header, pump 5 stopped\r\n.\r\nQUIT\r\n"
SENSOR = (
    b"MAIL FROM:<s@mon.example.com>\r\nRCPT TO:<79991234569>\r\nDATA\r\nSubject: \xe4\xe2\xe5\xf0\xfc\r\n\r\n"
    b"\xce\xf2\xea\xf0\xfb\xf2\xe0\x00 \xe4\xe2\xe5\xf0\xfc \xf1\xea\xeb\xe0\xe4\xe0\r\n.\r\nQUIT\r\n"
)


async def netcat(relay: Journey, octets: bytes) -> str:
    """What `nc -N` shows: all that is answered to octets sent at once."""
    host, _, port = relay.app.listeners[0].address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(octets)
    writer.write_eof()
    async with asyncio.timeout(10):
        said = (await reader.read()).decode()
    writer.close()
    return said


@pytest.mark.asyncio
async def test_devices_reach_phones(tmp_path: Path) -> None:
    """A script with LF alone, a controller without HELO or domains, a sensor that writes windows-1251."""
    config = settings(tmp_path)
    door = config.listeners[0].model_copy(update={"profile": "legacy"})
    config = config.model_copy(update={"listeners": (door,), "routes": config.routes[:1]})
    async with journey(tmp_path, config=config) as relay:
        said = [await netcat(relay, each) for each in (SCRIPT.encode(), CONTROLLER.encode(), SENSOR)]
        await relay.pass_time(60)

        assert ["221"] * 3 == [each.splitlines()[-1][:3] for each in said]
        assert ["pump 4\nstopped", "no header, pump 5 stopped", "дверь\nОткрыта дверь склада"] == [
            sent["mes"].split("~~~")[0].strip() for sent in relay.sends()
        ]
        assert {"delivered"} == {order.state for order in await relay.orders()}


@pytest.mark.asyncio
async def test_a_number_alone_needs_one_route_to_phones(tmp_path: Path) -> None:
    """Where two routes could be meant, the address is refused with the way to write it."""
    config = settings(tmp_path)
    door = config.listeners[0].model_copy(update={"profile": "legacy"})
    config = config.model_copy(update={"listeners": (door,)})
    async with journey(tmp_path, config=config) as relay:
        said = await netcat(relay, CONTROLLER.encode())

        assert "553 5.1.3 bad recipient address, write RCPT TO:<user@domain>" in said
        assert [] == await relay.orders()
