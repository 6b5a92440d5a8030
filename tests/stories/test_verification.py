"""Mail is let in for what its sender's domain vouches for: SPF at MAIL, DKIM and DMARC at DATA."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from harness import Journey, journey, settings
from nameserver import Nameserver, nameserver
from signed import MAIL, signed, zone

from relay.config import Dns, Sender

SMS = "79991234567@sms.example.com"
OPS = "ops@mon.example.com"


def sender(name: str, **values: Any) -> Sender:
    """An entry of `senders`."""
    return Sender.model_validate({"name": name, **{key.rstrip("_"): value for key, value in values.items()}})


class World:
    """A relay that verifies, and the DNS that it asks."""

    def __init__(self, relay: Journey, dns: Nameserver) -> None:
        self.relay, self.dns = relay, dns
        self.mail = relay.mail


Opener = Callable[..., Any]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens a relay with these entries of `senders`, over a zone."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(*senders: Sender, records: dict[str, Any] | None = None, **changes: Any) -> World:
            dns = await stack.enter_async_context(nameserver(zone() if records is None else records))
            asked = Dns(servers=[dns.address], timeout="2s")
            config = settings(tmp_path, senders=senders, dns=asked.model_dump(), **changes)
            config = config.model_copy(update={"dns": asked})
            return World(await stack.enter_async_context(journey(tmp_path, config=config)), dns)

        yield opened


@pytest.mark.asyncio
async def test_spf_is_decided_at_mail(world: Opener) -> None:
    """A client that the domain names gets in, another hears 550 5.7.23 before it says RCPT."""
    records = zone() | {"other.example.com": [("TXT", "v=spf1 ip4:192.0.2.1 -all")]}
    door = await world(sender("partner", from_=["*@*.example.com"], require="spf"), records=records)
    good = await door.mail(MAIL, SMS, sender=OPS)
    bad = await door.mail(MAIL, SMS, sender="ops@other.example.com")

    assert ["250", "250", "250"] == [each[:3] for each in good]
    assert "550 5.7.23 SPF of other.example.com does not name this client (fail)" == bad[0].replace("\n", " ")


@pytest.mark.asyncio
async def test_dmarc_is_decided_at_data(world: Opener) -> None:
    """A signed mail gets in, the same text from nobody in particular hears 550 5.7.26."""
    door = await world(sender("partner", from_=["*@mon.example.com"], require="dmarc"))
    door.dns.zone["mon.example.com"] = [("TXT", "v=spf1 -all")]
    good = await door.mail(signed(), SMS, sender=OPS)
    bad = await door.mail(MAIL, SMS, sender=OPS)

    assert ["250", "250", "250"] == [each[:3] for each in good]
    assert "550 5.7.26 the mail fails DMARC of mon.example.com" == bad[-1]
    (order,) = await door.relay.orders()
    mail = (await door.relay.app.store.mails({order.mail_id}))[order.mail_id]
    assert ("partner", 1) == (mail.source, mail.verified)
    assert mail.results == (
        "relay.example.com; spf=fail smtp.mailfrom=mon.example.com; dkim=pass header.d=mon.example.com"
        " header.s=s; dmarc=pass (p=reject) header.from=mon.example.com"
    )
