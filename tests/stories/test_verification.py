"""Mail is let in for what its sender's domain vouches for: SPF at MAIL, DKIM and DMARC at DATA."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
import pytest_asyncio
from harness import Journey, journey, settings
from letters import letters, records
from nameserver import SERVFAIL, Nameserver, nameserver
from nexthop import nexthop, plain
from signed import MAIL, rsa_key, sealed, signed, zone

from relay.config import Cap, Dns, Route, Sender, Smarthost
from relay.queue.rows import Mail

SMS = "79991234567@sms.example.com"
OPS = "ops@mon.example.com"


def sender(name: str, **values: Any) -> Sender:
    """An entry of `senders`."""
    return Sender.model_validate({"name": name, **{key.rstrip("_"): value for key, value in values.items()}})


FORGED = b"Authentication-Results: relay.example.com; dmarc=pass header.from=bank.test\r\n"


class World:
    """A relay that verifies, and the DNS that it asks."""

    def __init__(self, relay: Journey, dns: Nameserver) -> None:
        self.relay, self.dns = relay, dns
        self.mail = relay.mail

    async def row(self) -> Mail:
        """What is stored of the only mail."""
        (order,) = await self.relay.orders()
        return (await self.relay.app.store.mails({order.mail_id}))[order.mail_id]


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
    mail = await door.row()
    assert ("partner", 1) == (mail.source, mail.verified)
    assert mail.results == (
        "relay.example.com; spf=fail smtp.mailfrom=mon.example.com; dkim=pass header.d=mon.example.com"
        " header.s=s; dmarc=pass (p=reject) header.from=mon.example.com"
    )


GOOD = "dkim=pass header.d=mon.example.com"
CHANGED = "550 5.7.20 no valid DKIM signature (the body was changed)"
UNFIT = "550 5.7.20 no valid DKIM signature (the signature does not fit)"
LETTER_BY_LETTER = {
    "plain": ("550 5.7.20 no valid DKIM signature", "dkim=none"),
    "signed": ("250 2.0.0", f"{GOOD} header.s=s"),
    "ed25519": ("250 2.0.0", f"{GOOD} header.s=e"),
    "opendkim-relaxed": ("250 2.0.0", f"{GOOD} header.s=od"),
    "opendkim-simple": ("250 2.0.0", f"{GOOD} header.s=od"),
    "opendkim-sha1": ("550 5.7.20 no valid DKIM signature (SHA-1)", "dkim=policy"),
    "opendkim-forged": (CHANGED, "dkim=fail"),
    "changed-body": (CHANGED, "dkim=fail"),
    "changed-subject": (UNFIT, "dkim=fail"),
    "forged-key": (UNFIT, "dkim=fail"),
    "expired": ("550 5.7.20 no valid DKIM signature (expired)", "dkim=fail"),
    "part-of-body": ("550 5.7.20 no valid DKIM signature (only part of the body is signed)", "dkim=policy"),
    "no-such-key": ("550 5.7.20 no valid DKIM signature (", "dkim=permerror"),
    "one-of-three": ("250 2.0.0", f"{GOOD} header.s=e"),
    "broken-and-unreachable": ("451 4.", "dkim=temperror"),
    "two-of-whom-one-can-t-be-had": ("250 2.0.0", f"{GOOD} header.s=s"),
}
"""What a mail hears where a signature of its domain is required, and what is kept of it where none is."""


@pytest.mark.asyncio
async def test_signed_mail_of_two_programs_hears_what_it_is(world: Opener) -> None:
    """By dkimpy and OpenDKIM, forged, expired, several at once, with a key that can't be had now."""
    door = await world(sender("partner", from_=["*"], require="dkim"), records=records())
    told = {}
    for number, name in enumerate(LETTER_BY_LETTER):
        answers = await door.mail(letters()[name], f"7999123{number:04}@sms.example.com", sender=OPS)
        told[name] = answers[-1]

    assert {} == {name: said for name, said in told.items() if not said.startswith(LETTER_BY_LETTER[name][0])}
    assert sum(said[:3] == "250" for said in told.values()) == len(await door.relay.orders())


@pytest.mark.asyncio
async def test_what_was_found_out_is_kept(world: Opener) -> None:
    """`Authentication-Results` of what a later entry let in: each signature, and why it did not count."""
    door = await world(
        sender("partner", from_=["*"], require="dkim"), sender("anybody", from_=["*"]), records=records()
    )
    kept = {}
    for name, (said, _) in LETTER_BY_LETTER.items():
        if said[:3] != "451":
            number = f"7999123{len(kept):04}"
            assert (
                "250" == (await door.mail(letters()[name], f"{number}@sms.example.com", sender=OPS))[-1][:3]
            )
            kept[f"+{number}"] = name
    orders = await door.relay.orders()
    mails = await door.relay.app.store.mails({order.mail_id for order in orders})
    found = {kept[order.target]: mails[order.mail_id] for order in orders}

    assert sorted(kept.values()) == sorted(found)
    for name, mail in found.items():
        said, results = LETTER_BY_LETTER[name]
        assert mail.results.startswith("relay.example.com; dkim=")
        assert results in mail.results, name
        assert mail.source == ("partner" if said[:3] == "250" else "anybody")


@pytest.mark.asyncio
async def test_known_networks_cost_no_dns(world: Opener) -> None:
    """Where no check decides, none is made, whatever the other entries ask for."""
    door = await world(
        sender("all", networks=["127.0.0.0/8"]), sender("partner", from_=["*"], require="dmarc")
    )
    assert "250" == (await door.mail(signed(), SMS, sender=OPS))[-1][:3]

    assert [] == door.dns.asked
    assert "" == (await door.row()).results


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("require", "trouble", "at"),
    [
        ("spf", "mon.example.com", 0),
        ("dkim", "s._domainkey.mon.example.com", -1),
        ("dmarc", "_dmarc.mon.example.com", -1),
    ],
)
async def test_trouble_with_dns_puts_mail_off(world: Opener, require: str, trouble: str, at: int) -> None:
    """451, and nothing is kept; once DNS answers the same mail gets in."""
    door = await world(
        sender("partner", from_=["*@mon.example.com"], require=require), sender("any", from_=["*"])
    )
    kept, door.dns.zone[trouble] = door.dns.zone[trouble], SERVFAIL
    first = await door.mail(signed(), SMS, sender=OPS)
    door.dns.zone[trouble] = kept
    second = await door.mail(signed(), SMS, sender=OPS)

    assert ["451", "250"] == [first[at][:3], second[-1][:3]]
    assert "partner" == (await door.row()).source


@pytest.mark.asyncio
async def test_what_fails_falls_to_the_next_entry(world: Opener) -> None:
    """There it is a sender that nobody vouches for: the mail goes out, and no bounce comes back."""
    records = zone() | {"mon.example.com": [("TXT", "v=spf1 -all")]}
    door = await world(
        sender("partner", from_=["*@mon.example.com"], require="dmarc"),
        sender("anybody", from_=["*@mon.example.com"]),
        records=records,
    )
    assert "250" == (await door.mail(MAIL, "79991232006@sms.example.com", sender=OPS))[-1][:3]
    await door.relay.pass_time(3600)

    mail = await door.row()
    assert ("anybody", 0) == (mail.source, mail.verified)
    assert ["failed"] == [order.state.value for order in await door.relay.orders()]
    assert [] == door.relay.reports()


@pytest.mark.asyncio
async def test_a_report_to_who_was_vouched_for(world: Opener) -> None:
    """It returns the header with what was found out, and without what was forged."""
    door = await world(sender("partner", from_=["*@mon.example.com"], require="dmarc"))
    answers = await door.mail(FORGED + signed(), "79991232006@sms.example.com", sender=OPS)
    assert "250" == answers[-1][:3]
    await door.relay.pass_time(3600)

    (report,) = door.relay.reports()
    header = report.get_payload()[2].get_content()
    assert header.startswith("Authentication-Results: relay.example.com;")
    assert "dmarc=pass" in header
    assert "bank.test" not in header


@pytest.mark.asyncio
async def test_the_envelope_of_somebody_else(world: Opener) -> None:
    """A mail that is signed by its author may name a victim as its sender: who gets no bounce."""
    records = zone() | {"bank.test": [("TXT", "v=spf1 -all")]}
    door = await world(sender("partner", require="dmarc"), records=records)
    assert "250" == (await door.mail(signed(), "79991232006@sms.example.com", sender="x@bank.test"))[-1][:3]
    await door.relay.pass_time(3600)

    assert ["failed"] == [order.state.value for order in await door.relay.orders()]
    assert [] == door.relay.reports()


@pytest.mark.asyncio
@pytest.mark.parametrize("helo", ["mx.mon.example.com", "mx.evil.test", "localhost"])
async def test_a_bounce_is_checked_by_its_helo_name(world: Opener, helo: str) -> None:
    """A null sender has no domain; its client's name has one."""
    records = {
        "mx.mon.example.com": [("TXT", "v=spf1 a -all"), ("A", "127.0.0.1")],
        "mx.evil.test": [("TXT", "v=spf1 -all")],
    }
    door = await world(sender("bounces", require="spf"), records=records)
    host, _, port = door.relay.app.listeners[0].address.rpartition(":")
    async with aiosmtplib.SMTP(
        hostname=host, port=int(port), start_tls=False, local_hostname=helo, timeout=15
    ) as client:
        await client.ehlo()
        code, text = await client.execute_command(b"MAIL FROM:<>")

    wanted = {
        "mx.mon.example.com": (250, "2.1.0"),
        "mx.evil.test": (550, "5.7.23"),
        "localhost": (550, "5.7.23"),
    }
    assert wanted[helo] == (code, text[:6].strip())


@pytest.mark.asyncio
@pytest.mark.parametrize(("sealer", "wanted"), [("lists.example.org", "250"), ("evil.test", "550")])
async def test_a_list_that_is_trusted(world: Opener, sealer: str, wanted: str) -> None:
    """It broke the signature; the seal of one that is trusted stands in for it, another's does not."""
    records = zone() | {f"a._domainkey.{sealer}": [("TXT", rsa_key()[1])]}
    records["mon.example.com"] = [("TXT", "v=spf1 -all")]
    door = await world(
        sender("partner", from_=["*"], require="dmarc", trusted_sealers=["lists.example.org"]),
        records=records,
    )
    body = signed().replace(b"full.", b"full.\r\n-- \r\nthe list")
    mail = sealed(body, domain=sealer, results="dmarc=pass header.from=mon.example.com")
    answers = await door.mail(mail, SMS, sender="bounces@lists.example.org")

    assert wanted == answers[-1][:3]


@pytest.mark.asyncio
async def test_a_large_mail_is_verified_where_it_is_spooled(world: Opener) -> None:
    """Its body is hashed piece by piece; a changed octet at its end is found."""
    door = await world(sender("partner", from_=["*"], require="dkim"))
    large = MAIL + b"A line of some length, and then the next one.  \r\n" * 12_000
    changed = signed(large)[:-4] + b"!\r\n"
    bad, good = [await door.mail(each, SMS, sender=OPS) for each in (changed, signed(large))]

    assert "550 5.7.20 no valid DKIM signature (the body was changed)" == bad[-1]
    assert "250" == good[-1][:3]


@pytest.mark.asyncio
@pytest.mark.parametrize("lines", [1, 12_000])
async def test_forwarded_mail_bears_our_results_and_no_forged_ones(
    world: Opener, tmp_path: Path, lines: int
) -> None:
    """On top of it; also where the mail is large, or came from a network that is known."""
    async with nexthop() as hop:
        onward = Smarthost(host="127.0.0.1", port=hop.port, tls="none")
        route = Route(match="*@people.example", channel="forward", smtp=onward)
        door = await world(
            sender("partner", from_=["*@mon.example.com"], require="dmarc"),
            sender("all", networks=["127.0.0.0/8"]),
            routes=(route,),
        )
        body = b"A line of some length, and then the next one.\r\n" * lines
        for mail, who in ((signed(MAIL + body), OPS), (MAIL + body, "x@other.example")):
            answers = await door.mail(FORGED + mail, "bob@people.example", sender=who)
            assert "250" == answers[-1][:3]
            await door.relay.rest()

        (checked, unchecked) = sorted((plain(each.data) for each in hop.taken), reverse=False)
    assert checked.startswith(b"Authentication-Results: relay.example.com;\r\n\tspf=pass")
    assert unchecked.startswith(b"Received: ")
    for each, mail in ((checked, signed(MAIL + body)), (unchecked, MAIL + body)):
        assert b"bank.test" not in each
        assert each.endswith(mail.partition(b"\r\n")[2][-200:])
    assert body in checked
    assert body in unchecked


@pytest.mark.asyncio
async def test_caps_count_for_the_entry_that_let_it_in(world: Opener) -> None:
    """Nobody knows it before DATA, so a cap on that sender is told there."""
    cap = Cap(sender="partner", per="day", messages=1)
    door = await world(sender("partner", from_=["*"], require="dmarc"), caps=(cap,))
    first = await door.mail(signed(), SMS, sender=OPS)
    second = await door.mail(signed(MAIL.replace(b"<1@", b"<2@")), SMS, sender=OPS)

    assert ["250", "250", "250"] == [each[:3] for each in first]
    assert ["250", "250", "452"] == [each[:3] for each in second]


@pytest.mark.asyncio
async def test_other_servers_after_a_re_read(world: Opener) -> None:
    """`dns` counts from the next mail on."""
    door = await world(sender("partner", from_=["*"], require="spf"), records={})
    assert "550" == (await door.mail(MAIL, SMS, sender=OPS))[0][:3]
    async with nameserver(zone()) as other:
        changed = Dns(servers=[other.address])
        door.relay.app.adopt(door.relay.app.config.model_copy(update={"dns": changed}))
        assert "250" == (await door.mail(MAIL, SMS, sender=OPS))[-1][:3]


@pytest.mark.asyncio
async def test_an_entry_that_is_gone_at_data(world: Opener) -> None:
    """The configuration of the moment decides, also between MAIL and DATA."""
    door = await world(sender("partner", from_=["*"], require="dmarc"))
    host, _, port = door.relay.app.listeners[0].address.rpartition(":")
    async with aiosmtplib.SMTP(hostname=host, port=int(port), start_tls=False, timeout=15) as client:
        await client.ehlo()
        await client.mail(OPS)
        await client.rcpt(SMS)
        door.relay.app.adopt(door.relay.app.config.model_copy(update={"senders": ()}))
        with pytest.raises(aiosmtplib.SMTPDataError) as refused:
            await client.data(signed())

    assert (550, "5.7.1") == (refused.value.code, refused.value.message[:5])
