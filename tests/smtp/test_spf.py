"""SPF against the RFC 7208 test suite, by a real DNS server, and what the suite leaves out."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from nameserver import SERVFAIL, SILENT, nameserver

from relay.clock import Clock
from relay.config import Dns
from relay.model import Envelope, Result, Spf
from relay.smtp import spf
from relay.smtp.checks import Checks

SUITE = Path(__file__).parents[1] / "rfc7208" / "rfc7208-tests.yml"


def records(listed: list[object]) -> object:
    """What the suite says of a name, as our server takes it; SPF stands for TXT where that is not given."""
    given = [pair for each in listed for pair in pairs(each)]
    txt = any(kind == "TXT" for kind, _ in given)
    made = []
    for kind, value in given:
        meant = "TXT" if kind == "SPF" and not txt else kind
        if meant != "SPF" and value != "NONE":
            made.append((meant, SERVFAIL if value == "TIMEOUT" else tuple(value) if kind == "MX" else value))
    return made


def pairs(listed: object) -> list[tuple[str, object]]:
    """Types and values of one entry of the suite."""
    return [("ANY", listed)] if isinstance(listed, str) else list(listed.items())


def scenarios() -> list[object]:
    """The suite's scenarios: each a zone and cases."""
    return list(yaml.safe_load_all(SUITE.read_text("utf-8")))


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda each: each["description"])
@pytest.mark.asyncio
async def test_the_suite_of_rfc_7208(scenario):
    """Every case of the suite gets one of the results that it allows."""
    zone = {name: records(listed) for name, listed in scenario["zonedata"].items()}
    wrong = {}
    async with nameserver(zone) as server:
        checks = Checks(lambda: Dns(servers=[server.address]), Clock())
        for name, case in scenario["tests"].items():
            allowed = [case["result"]] if isinstance(case["result"], str) else case["result"]
            envelope = Envelope(sender=case["mailfrom"], helo=case["helo"], peer=case["host"])
            said = (await checks.sender(envelope)).spf
            if said.result.value not in allowed:
                wrong[name] = said.result.value, allowed
        checks.close()

    assert {} == wrong
    assert scenario["tests"]


# -- what the suite leaves out --------------------------------------------------------------------

RECORD = {("mon.example.com", "TXT"): [(b"v=spf1 ip4:192.0.2.7 exists:%{l}.users.mon.example.com -all",)]}


def said(
    sender: str = "ops@mon.example.com", peer: str = "192.0.2.7", helo: str = "mx", **more: object
) -> Spf:
    """The verdict, with these answers at hand."""
    return spf.evaluate(peer=peer, sender=sender, helo=helo, answers=RECORD | more.get("answers", {}))


def test_what_is_missing_is_named():
    """The library's question is the one to ask; with its answer the work goes on."""
    with pytest.raises(spf.Missing) as missing:
        said(peer="192.0.2.8")

    assert ("ops.users.mon.example.com", "A") == missing.value.question
    found = {missing.value.question: ["127.0.0.2"]}
    assert Result.PASS is said(peer="192.0.2.8", answers=found).result
    assert Result.FAIL is said(peer="192.0.2.8", answers=dict.fromkeys(found, ())).result
    assert Result.TEMPERROR is said(peer="192.0.2.8", answers=dict.fromkeys(found)).result


def test_the_domain_is_after_the_last_at():
    """A quoted local part may hold one as well."""
    evil = {("evil.test", "TXT"): [(b"v=spf1 +all",)]}

    assert Spf(result=Result.PASS, domain="mon.example.com") == said(
        '"x@evil.test"@mon.example.com', answers=evil
    )


def test_a_bounce_is_checked_by_its_helo_name():
    """As postmaster there; a name that is none has nothing to say."""
    helo = {("mx.example.com", "TXT"): [(b"v=spf1 ip4:192.0.2.7 -all",)]}

    assert Spf(result=Result.PASS, domain="mx.example.com", helo=True) == said(
        "", helo="MX.example.com", answers=helo
    )
    for name in ("mx", "[192.0.2.7]", "", "what ever"):
        assert Result.NONE is said("", helo=name).result


def test_a_client_without_an_address():
    """A unix socket is in no record."""
    assert Result.NONE is said(peer="unix").result


@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7"])
def test_a_client_that_shows_ipv4_inside_ipv6(peer):
    """It is the same client."""
    assert Result.PASS is said(peer=peer).result


@pytest.mark.parametrize(
    "record",
    [
        b"v=spf1 \xff all",
        b"v=spf1 ip4:1.2.3.4/99 all",
        b"v=spf1 a:%{z}.test all",
        b"v=spf1 include:",
        b"v=spf1 " + b"a " * 30,
        b"v=spf1 ip6:::::: all",
        b"v=spf1 exists:%{l" + b"9" * 4400 + b"}.test all",
    ],
)
def test_a_broken_record_is_no_pass(record):
    """Nor does it crash."""
    answers = {("mon.example.com", "TXT"): [(record,)], ("mon.example.com", "A"): ()}

    assert Result.PERMERROR is said(answers=answers).result


@pytest.mark.parametrize("sender", ["опс@mon.example.com", "опс@пример.рф", '"\\\\ %{i}"@mon.example.com'])
def test_senders_in_other_alphabets(sender):
    """They have a verdict as well."""
    answers = {("xn--e1afmkfd.xn--p1ai", "TXT"): [(b"v=spf1 ip4:192.0.2.7 -all",)]}

    assert Result.PASS is said(sender, answers=answers).result


@pytest.mark.asyncio
async def test_questions_without_end():
    """An answer for each question leads to the next: the library's limits end that."""
    zone = {f"a{n}.example.com": [("TXT", f"v=spf1 include:a{n + 1}.example.com ?all")] for n in range(50)}
    async with nameserver(zone) as server:
        checks = Checks(lambda: Dns(servers=[server.address]), Clock())
        envelope = Envelope(sender="x@a0.example.com", peer="192.0.2.7")
        assert Result.PERMERROR is (await checks.sender(envelope)).spf.result
        checks.close()

    assert 12 > len(server.asked)


@pytest.mark.asyncio
async def test_a_verdict_has_a_deadline():
    """A server that never answers makes it a temporary error, in time."""
    async with nameserver({"mon.example.com": SILENT}) as server:
        checks = Checks(lambda: Dns(servers=[server.address], timeout="30s"), Clock(), deadline=0.2)
        envelope = Envelope(sender="ops@mon.example.com", peer="192.0.2.7")
        async with asyncio.timeout(10):
            assert Result.TEMPERROR is (await checks.sender(envelope)).spf.result
        checks.close()
