"""What is fetched for the checks of a mail, by a real DNS server: enough, no more, and in time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from nameserver import SERVFAIL, SILENT, Nameserver, nameserver
from signed import MAIL, resigned, rsa_key, signed, zone

from relay.clock import Clock
from relay.config import Dns
from relay.model import Envelope, Result, Spf
from relay.smtp.checks import Checks
from relay.smtp.data import Body

OPS = Envelope(sender="ops@mon.example.com", peer="127.0.0.1", helo="mx")


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Nameserver]:
    """A DNS server that knows one domain."""
    async with nameserver(zone()) as running:
        yield running


@pytest_asyncio.fixture
async def checks(server) -> AsyncIterator[Checks]:
    """Checks that ask it."""
    made = Checks(lambda: Dns(servers=[server.address]), Clock())
    yield made
    made.close()


def body(mail: bytes) -> Body:
    """As DATA hands it over."""
    return Body(data=mail, size=len(mail))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (["spf"], {"mon.example.com"}),
        (["dkim"], {"s._domainkey.mon.example.com"}),
        (["dkim", "spf"], {"mon.example.com", "s._domainkey.mon.example.com"}),
        (
            ["dmarc"],
            {
                "mon.example.com",
                "s._domainkey.mon.example.com",
                "_dmarc.mon.example.com",
                "_dmarc.example.com",
            },
        ),
    ],
)
async def test_what_is_asked(server, checks, wanted, asked):
    """Each check asks for its own records only."""
    found = await checks.mail(OPS, body(signed()), wanted)

    assert asked == {name for name, _, _ in server.asked}
    assert ("spf" in wanted or "dmarc" in wanted) == (found.spf is not None)
    assert ("dmarc" in wanted) == (found.dmarc is not None)
    assert found.vouched


@pytest.mark.asyncio
async def test_spf_is_not_asked_twice(server, checks):
    """What MAIL found out counts at DATA."""
    known = Spf(result=Result.FAIL, domain="mon.example.com")
    found = await checks.mail(Envelope(sender="x@y.test", peer="::1", spf=known), body(signed()), ["dmarc"])

    assert known == found.spf
    assert "mon.example.com" not in {name for name, _, _ in server.asked}


@pytest.mark.asyncio
async def test_a_signature_that_needs_no_key(server, checks):
    """It is judged without asking for one."""
    found = await checks.mail(OPS, body(resigned(MAIL, b"l=3")), ["dkim"])

    assert [Result.POLICY] == [each.result for each in found.dkim]
    assert [] == server.asked


@pytest.mark.asyncio
async def test_one_key_for_many_signatures(server, checks):
    """It is asked for once; eleven signatures are not all judged."""
    mail = MAIL
    for _ in range(11):
        mail = signed(mail)
    found = await checks.mail(OPS, body(mail), ["dkim"])

    assert [Result.PASS] * 10 == [each.result for each in found.dkim]
    assert 1 == len(server.asked)


@pytest.mark.asyncio
async def test_a_mail_without_an_author(server, checks):
    """A header that is none, two authors, or none: nobody is vouched for."""
    two = b"From: eve@evil.test\r\n" + signed(MAIL.replace(b"From:", b"X-From:").replace(b"To:", b"From:", 1))
    for mail in (b"no header\r\n\r\n", two, b"Subject: x\r\n\r\n", b""):
        found = await checks.mail(OPS, body(mail), ["dmarc", "dkim"])

        assert ("", Result.NONE, Result.FAIL) == (found.author, found.signed, found.dmarc.result)
        only = await checks.mail(OPS, body(mail), ["dkim"])
        assert (True, None) == (only.read, only.dmarc)


@pytest.mark.asyncio
async def test_a_chain_that_is_not_looked_at(checks):
    """It is a failure, as a broken one is."""
    found = await checks.mail(OPS, body(b"ARC-Seal: nothing\r\n" + signed()), ["dmarc"])

    assert Result.FAIL is found.arc.result
    assert Result.PASS is found.dmarc.result


@pytest.mark.asyncio
@pytest.mark.parametrize("silent", ["s._domainkey.mon.example.com", "_dmarc.mon.example.com"])
async def test_checks_have_a_deadline(server, silent):
    """Whatever is not known by then is a temporary error."""
    server.zone[silent] = SILENT
    checks = Checks(lambda: Dns(servers=[server.address], timeout="30s"), Clock(), deadline=1.0)
    found = await checks.mail(OPS, body(signed()), ["dkim", "dmarc"])
    only = await checks.mail(OPS, body(signed(selector="other")), ["dkim"])
    checks.close()

    assert (Result.TEMPERROR, Result.TEMPERROR, True) == (found.signed, found.dmarc.result, found.read)
    assert only.dmarc is None


@pytest.mark.asyncio
async def test_one_key_out_of_reach_hides_no_other(server, checks):
    """Of two signatures the one whose key is there counts."""
    server.zone["s._domainkey.lists.example.org"] = SERVFAIL
    mail = signed(signed(), domain="lists.example.org", key=rsa_key(1024))
    found = await checks.mail(OPS, body(mail), ["dmarc"])

    assert {"mon.example.com": Result.PASS, "lists.example.org": Result.TEMPERROR} == {
        each.domain: each.result for each in found.dkim
    }
    assert Result.PASS is found.dmarc.result
