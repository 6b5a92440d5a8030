"""Domains, authors, alignment, DMARC: what the checks of a mail mean together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from relay.message import headers
from relay.model import Result, Spf
from relay.smtp import domains, verdicts
from relay.smtp.verdicts import Dkim, Dmarc

SUFFIXES = PublicSuffixList()


def organisation(domain: str) -> str:
    """By the public suffix list, as the relay has it."""
    return SUFFIXES.privatesuffix(domain) or domain


def sent(domain: str, result: str = "pass", *, helo: bool = False) -> Spf:
    """What SPF said."""
    return Spf(result=Result(result), domain=domain, helo=helo)


def by(domain: str, result: str = "pass") -> Dkim:
    """What a signature said."""
    return Dkim(result=Result(result), domain=domain, selector="s")


# -- domains --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Example.COM.", "example.com"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("ПРИМЕР.рф", "xn--e1afmkfd.xn--p1ai"),
        ("straße.example", ""),  # another domain by the older rules
        ("a..b", ""),
        ("", ""),
        (".", ""),
        ("-a.example", ""),
        ("a b.example", ""),
        ("[192.0.2.1]", ""),
        ("a" * 64 + ".example", ""),
        ("ж" * 64 + ".example", ""),
        (".".join(["a" * 60] * 5), ""),
    ],
)
def test_the_form_of_a_domain(text, wanted):
    """In lower case and ASCII, or none."""
    assert wanted == domains.ascii_of(text)


def test_the_domain_of_an_address():
    """After the last @."""
    assert "b.test" == domains.of('"a@evil.test"@b.test')
    assert "" == domains.of("postmaster")


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ("example.com", "mail.example.com", True),
        ("a.example.co.uk", "b.example.co.uk", True),
        ("a.co.uk", "b.co.uk", False),
        ("com", "example.com", False),
        ("co.uk", "example.co.uk", False),
        ("github.io", "evil.github.io", False),
        ("github.io", "github.io", True),
        ("", "", False),
        ("", "example.com", False),
        ("example.com", "", False),
    ],
)
def test_one_organisation(one, other, wanted):
    """Above the public suffix they must agree; a suffix is an organisation of its own."""
    assert wanted == domains.same_organisation(one, other, organisation)
    assert wanted == domains.same_organisation(other, one, organisation)


# -- the author -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("ops@mon.example.com", "ops@mon.example.com"),
        (" Ops\r\n\t<ops@mon.example.com> ", "ops@mon.example.com"),
        ("<ops@mon.example.com>", "ops@mon.example.com"),
        ('"Ops, the <team>" <ops@mon.example.com> (night; @shift)', "ops@mon.example.com"),
        ("bob@evil.test <ops@mon.example.com>", "ops@mon.example.com"),
        ('"a b"@mon.example.com', '"a b"@mon.example.com'),
        ("=?utf-8?q?=D0=96?= <ops@mon.example.com>", "ops@mon.example.com"),
        ("Опс <опс@пример.рф>", "опс@пример.рф"),
        ("=?utf-8?q?=3Ceve=40bank.test=3E?= <ops@mon.example.com>", ""),
        ("=?utf-8?q?eve=40bank.test?= <ops@mon.example.com>", "ops@mon.example.com"),
        ("", ""),
        ("nobody", ""),
        ("a@x.test, b@y.test", ""),
        ("A <a@x.test>, B <b@y.test>", ""),
        ("<a@x.test> <b@y.test>", ""),
        ("<a@x.test> b@y.test", ""),
        ("<a@x.test", ""),
        ("a@x.test>", ""),
        ("a@x.test b@y.test", ""),
        ("a@b@x.test", ""),
        ("Team: a@x.test;", ""),
        ("Team: <a@x.test>;", ""),
        ("<@route.test:a@x.test>", ""),
        ("a@x..test", ""),
        ("a@[192.0.2.1]", ""),
        ("<>", ""),
        ("a" * 5000 + "@x.test", ""),
    ],
)
def test_the_author(value, wanted):
    """One mailbox, whatever stands around it; what readers might read differently is none."""
    assert wanted == domains.author([(b"To", b"x@y.test"), (b"From", value.encode())])


def test_no_author():
    """Without From, with two, or one that is not even text."""
    fields = [(b"From", b"a@x.test")]

    assert "" == domains.author([])
    assert "" == domains.author([*fields, (b"FROM", b"a@x.test")])
    assert "" == domains.author([(b"From", b"\xff@x.test")])


@given(st.text(alphabet='<>()@,;:" \\ax.', max_size=30))
def test_an_author_is_one_address(value):
    """Whatever is written in From, what comes out has one @ outside quotes and a domain."""
    found = domains.author([(b"From", value.encode())])

    assert not found or domains.ascii_of(found.rpartition("@")[2])
    assert found in ("", headers.address(value.encode()))


# -- DMARC ----------------------------------------------------------------------------------------


def judged(
    record: str | list[str] | None,
    *dkim: Dkim,
    spf: Spf | None = None,
    domain: str = "mon.example.com",
    above: str | list[str] | None = (),
) -> Dmarc:
    """The verdict for the author's domain, with these records there and above it."""

    def octets(given: Any) -> list[bytes] | None:
        given = [given] if isinstance(given, str) else given
        return None if given is None else [each.encode() for each in given]

    records = {"_dmarc.example.com": octets(above)} | {f"_dmarc.{domain}": octets(record)}
    return verdicts.dmarc(domain, records, spf, dkim, organisation)


STRICT = "v=DMARC1; p=reject; adkim=s; aspf=s"


@pytest.mark.parametrize(
    ("record", "dkim", "spf", "wanted"),
    [
        ("v=DMARC1; p=reject", [by("mon.example.com")], None, "pass"),
        ("v=DMARC1; p=none", [by("example.com")], None, "pass"),
        ("v=DMARC1; p=none", [by("other.example.com")], None, "pass"),
        ("v=DMARC1; p=none", [by("com")], None, "fail"),
        ("v=DMARC1; p=none", [by("evil.test")], None, "fail"),
        ("v=DMARC1; p=none", [], None, "fail"),
        ("v=DMARC1; p=none", [by("mon.example.com", "fail")], None, "fail"),
        ("v=DMARC1; p=none", [by("mon.example.com", "policy")], sent("mon.example.com", "softfail"), "fail"),
        ("v=DMARC1; p=none", [], sent("bounce.example.com"), "pass"),
        ("v=DMARC1; p=none", [], sent("evil.test"), "fail"),
        ("v=DMARC1; p=none", [by("evil.test"), by("example.com")], sent("evil.test"), "pass"),
        (STRICT, [by("example.com")], sent("example.com"), "fail"),
        (STRICT, [by("mon.example.com")], None, "pass"),
        (STRICT, [], sent("mon.example.com"), "pass"),
        ("v=DMARC1; p=reject; t=y; pct=0", [by("mon.example.com")], None, "pass"),
        ("v=DMARC1; p=reject; t=y; pct=0", [], None, "fail"),
        ("v=DMARC1; p=none; pct=many; adkim=x", [by("example.com")], None, "pass"),
        ("v=DMARC1 ; p=none", [by("example.com")], None, "pass"),
        ("v=DMARC1;; p=none", [by("example.com")], None, "permerror"),
        ("v=DMARC1", [by("example.com")], None, "permerror"),
        ("v=DMARC1; rua=mailto:x@y.test", [by("example.com")], None, "permerror"),
        ("v=DMARC2; p=none", [by("example.com")], None, "none"),
        ([], [by("example.com")], None, "none"),
        (["v=DMARC1; p=none"] * 2, [by("example.com")], None, "none"),
        (["google-site=1", "v=DMARC1; p=none"], [by("example.com")], None, "pass"),
        (None, [by("example.com")], None, "temperror"),
        ("v=DMARC1; p=none", [by("example.com", "temperror")], None, "temperror"),
        ("v=DMARC1; p=none", [by("evil.test", "temperror")], None, "fail"),
        ("v=DMARC1; p=none", [], sent("example.com", "temperror"), "temperror"),
        ("v=DMARC1; p=none", [], sent("evil.test", "temperror"), "fail"),
        ("v=DMARC1; p=none", [by("example.com")], sent("example.com", "temperror"), "pass"),
        (STRICT, [by("example.com", "temperror")], None, "fail"),
    ],
)
def test_dmarc(record, dkim, spf, wanted):
    """A pass needs a record and an aligned pass; trouble counts where it could have made one."""
    assert wanted == judged(record, *dkim, spf=spf).result.value


@pytest.mark.parametrize(
    ("record", "above", "wanted"),
    [
        ("v=DMARC1; p=quarantine; sp=none", "v=DMARC1; p=reject", "quarantine"),
        ([], "v=DMARC1; p=quarantine; sp=reject", "reject"),
        ([], "v=DMARC1; p=quarantine", "quarantine"),
        ([], "v=DMARC1; p=quarantine; sp=odd", "quarantine"),
    ],
)
def test_what_the_owner_asks_for(record, above, wanted):
    """The record at the domain, else the one above it, by its sp."""
    assert wanted == judged(record, above=above).policy
    assert ["_dmarc.mon.example.com", "_dmarc.example.com"] == verdicts.dmarc_names(
        "mon.example.com", organisation
    )


def test_a_domain_that_is_an_organisation():
    """It has one place for its record; a mail without an author has none, and fails."""
    assert ["_dmarc.example.com"] == verdicts.dmarc_names("example.com", organisation)
    assert [] == verdicts.dmarc_names("", organisation)
    assert Result.FAIL is verdicts.dmarc("", {}, None, (), organisation).result
    assert Result.TEMPERROR is judged([], above=None).result


def test_a_public_suffix_as_author():
    """Whoever has a name below it does not speak for it, nor it for them."""
    for author, other in [("co.uk", "evil.co.uk"), ("evil.co.uk", "co.uk"), ("github.io", "a.github.io")]:
        assert Result.FAIL is judged("v=DMARC1; p=none", by(other), domain=author).result
    assert Result.PASS is judged("v=DMARC1; p=none", by("github.io"), domain="github.io").result


# -- together -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dkim", "wanted"),
    [
        ([], "none"),
        ([by("evil.test")], "none"),
        ([by("example.com", "fail"), by("mon.example.com")], "pass"),
        ([by("example.com", "temperror"), by("mon.example.com", "fail")], "temperror"),
        ([by("example.com", "permerror"), by("mon.example.com", "policy")], "policy"),
        ([Dkim(result=Result.PERMERROR)], "none"),
    ],
)
def test_what_the_author_s_signatures_say(dkim, wanted):
    """The best of them; others do not count."""
    assert wanted == verdicts.signed("mon.example.com", dkim, organisation).value


@pytest.mark.parametrize(
    ("sender", "spf", "dkim", "wanted"),
    [
        ("ops@mon.example.com", sent("mon.example.com"), [], True),
        ("ops@mon.example.com", sent("mon.example.com", "softfail"), [], False),
        ("ops@mon.example.com", None, [by("example.com")], True),
        ("victim@bank.test", None, [by("example.com")], False),
        ("victim@bank.test", sent("bank.test", "fail"), [by("example.com")], False),
        ("", sent("mon.example.com", helo=True), [], False),
        ("", None, [], False),
    ],
)
def test_who_may_be_told(sender, spf, dkim, wanted):
    """A report goes to a sender whose own domain passed: no bounces to a victim's address."""
    assert wanted == verdicts.vouched(sender, spf, dkim, organisation)
