"""Who may send: networks, patterns on the sender, and whose address may be trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import replies
from relay.config import Sender
from relay.model import Letter, Result, Spf
from relay.smtp import policy
from relay.smtp.policy import Admission, Open
from relay.smtp.verdicts import Arc, Dkim, Dmarc, Verdicts


def sender(name: str = "ops", **values: object) -> Sender:
    """An entry of `senders`; `from_` is written `from` in the file."""
    return Sender.model_validate({"name": name, **{key.rstrip("_"): value for key, value in values.items()}})


def admitted(entry: Sender, peer: str, address: str = "mon@example.com") -> bool:
    """Whether the entry alone lets this in."""
    return policy.may([entry], peer=peer, sender=address) is not None


@pytest.mark.parametrize(
    ("networks", "peer", "wanted"),
    [
        (["127.0.0.0/8"], "127.0.0.1", True),
        (["127.0.0.0/8"], "128.0.0.1", False),
        (["10.1.2.3"], "10.1.2.3", True),
        (["10.1.2.3"], "10.1.2.4", False),
        (["10.0.0.0/8", "192.168.0.0/16"], "192.168.7.7", True),
        (["::1"], "::1", True),
        (["2001:db8::/32"], "2001:db8:1::5", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["::1"], "127.0.0.1", False),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:11.1.2.3", False),
        (["::ffff:10.0.0.0/104"], "::ffff:10.1.2.3", True),
        (["127.0.0.0/8"], "unix", True),
        (["10.0.0.0/8"], "unix", False),
    ],
)
def test_networks(networks, peer, wanted):
    """IPv4, IPv6, IPv4 inside IPv6, and a unix socket, which counts as this machine."""
    assert wanted == admitted(sender(networks=networks), peer)
    assert wanted == policy.anybody_from([sender(networks=networks)], peer=peer)


@pytest.mark.parametrize(
    ("patterns", "address", "wanted"),
    [
        (["*@example.com"], "mon@example.com", True),
        (["*@example.com"], "MON@Example.COM", True),
        (["*@EXAMPLE.com"], "mon@example.com", True),
        (["*@example.com"], "mon@sub.example.com", False),
        (["*@example.com"], "mon@example.com.evil.test", False),
        (["*@example.com"], "", False),
        (["a@x.test", "b@x.test"], "b@x.test", True),
        (["mon-?@x.test"], "mon-1@x.test", True),
        (["mon-?@x.test"], "mon-12@x.test", False),
    ],
)
def test_patterns_on_the_sender(patterns, address, wanted):
    """Patterns fit the whole envelope sender, case aside; the null sender fits no address."""
    assert wanted == admitted(sender(from_=patterns), "203.0.113.9", address)


def test_the_null_sender_fits_no_pattern():
    """A pattern is on addresses, and the null sender has none: not even `*` lets it in."""
    assert not admitted(sender(from_=["*"]), "203.0.113.9", "")
    assert admitted(sender(networks=["203.0.113.9"]), "203.0.113.9", "")


def test_all_conditions_of_an_entry_must_hold():
    """A network and a pattern on one entry are both needed."""
    entry = sender(networks=["10.0.0.0/8"], from_=["*@example.com"])
    assert admitted(entry, "10.0.0.1")
    assert not admitted(entry, "10.0.0.1", "mon@other.test")
    assert not admitted(entry, "11.0.0.1")


def test_certificates():
    """One of those that an entry names was shown; that vouches for the sender's address."""
    entry = sender(certificates=["UPS.example.com", "sha256:" + "ab" * 32])
    asked = {"peer": "203.0.113.9", "sender": "mon@example.com"}
    for shown in ({"ups.example.com", "x"}, {"sha256:" + "ab" * 32}):
        found = policy.may([entry], certificates=frozenset(shown), **asked)
        assert Admission(name="ops", verified=True) == found
        assert policy.anybody_from([entry], peer="203.0.113.9", certificates=frozenset(shown))
    for shown in (set(), {"example.com"}, {"sha256:" + "ac" * 32}):
        assert policy.may([entry], certificates=frozenset(shown), **asked) is None
    inside = sender(certificates=["a.example"], networks=["10.0.0.0/8"])
    assert policy.may([inside], certificates=frozenset({"a.example"}), **asked) is None


@pytest.mark.parametrize(
    ("logins", "by", "admitted"),
    [
        (set(), "boss@example.com", "house"),  # anybody in the network
        ({"staff"}, "alice@example.com", "staff"),  # though the house stands first
        ({"staff"}, "boss@example.com", None),
        ({"staff", "duty"}, "duty@example.com", "duty"),
        ({"others"}, "boss@example.com", "house"),  # a login that no entry asks for
    ],
)
def test_who_is_known_by_name_is_judged_by_that(logins, by, admitted):
    """A network that is trusted frees nobody from what its login holds it to."""
    senders = [
        sender("house", networks=["10.0.0.0/8"]),
        sender("staff", users={"alice": "x"}, from_=["alice@example.com"]),
        sender("duty", users={"duty": "x"}, from_=["duty@example.com"]),
    ]
    found = policy.may(senders, peer="10.0.0.9", sender=by, logins=frozenset(logins))
    assert admitted == (found.name if isinstance(found, Admission) else None)


@pytest.mark.parametrize(
    ("values", "channel", "accounts", "says"),
    [
        ({}, "call", ("main", "backup"), ""),
        ({"channels": ["sms", "flash"]}, "flash", ("main",), ""),
        ({"channels": ["sms"]}, "call", ("main",), "the channel call"),
        ({"accounts": ["main"]}, "call", ("main", ""), ""),
        ({"accounts": ["main"]}, "sms", ("main", "backup"), "the account backup"),
        ({"accounts": ["main"]}, "forward", (), ""),
    ],
)
def test_what_an_entry_may_use(values, channel, accounts, says):
    """Channels and accounts that it names, all without."""
    assert says == policy.out_of_reach(sender(networks=["10.0.0.0/8"], **values), channel, accounts)


def test_logins():
    """An entry with users takes who has logged in for it, and nobody else; that vouches for the sender."""
    entry = sender(users={"alice": "x"}, from_=["*@example.com"])
    asked = {"peer": "203.0.113.9", "sender": "mon@example.com"}
    assert Admission(name="ops", verified=True) == policy.may([entry], logins=frozenset({"ops"}), **asked)
    assert policy.may([entry], logins=frozenset({"other"}), **asked) is None
    assert policy.may([entry], **asked) is None
    assert policy.may([entry], logins=frozenset({"ops"}), peer="unix", sender="x@other.test") is None
    assert policy.may([sender(users_file="users")], **asked) is None
    assert policy.anybody_from([entry], peer="203.0.113.9", logins=frozenset({"ops"}))
    assert not policy.anybody_from([entry], peer="203.0.113.9")


def test_whom_a_login_would_help():
    """Only where an entry with users could let this peer in."""
    users = sender(users={"alice": "x"}, networks=["10.0.0.0/8"])
    assert policy.login_helps([sender(networks=["::1"]), users], "10.0.0.1", frozenset())
    assert not policy.login_helps([sender(networks=["10.0.0.0/8"]), users], "11.0.0.1", frozenset())


OWN = {"users": {"alice": "x"}, "from_": ["alice@example.com", "*@team.example.com"]}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("alice@example.com", ""),
        ("Alice <ALICE@Example.com>", ""),
        ('"alice@example.com" <alice@example.com>', ""),
        ("alice@example.com, bob@team.example.com", ""),
        ("", ""),
        ("ceo@example.com", "ceo@example.com"),
        ("alice@example.com <ceo@example.com>", "ceo@example.com"),
        ('"ceo@example.com" <alice@example.com>', "ceo@example.com"),
        ("alice@example.com (ceo@example.com)", "ceo@example.com"),
        ("alice@example.com, ceo@example.com", "ceo@example.com"),
        ("team: alice@example.com, ceo@example.com;", "ceo@example.com"),
        ('"the ceo"@example.com', '"the ceo"@example.com'),
        ("alice@example.com.evil.test", "alice@example.com.evil.test"),
        ("alice@example.com@evil.test", "alice@example.com@evil.test"),
        ("ceo(x)@example.com, alice@example.com", "ceo(x)@example.com, alice@example.com"),
        ("ceo @ example.com, alice@example.com", "ceo @ example.com, alice@example.com"),
        ("<@hop.test:alice@example.com>", "<@hop.test:alice@example.com>"),
        ("The CEO", "The CEO"),
    ],
)
def test_the_author_in_the_header(value, wanted):
    """Every address that stands in From is one of those that the entry allows."""
    letter = Letter(headers=(("Subject", "x"), ("From", value)))
    assert wanted == policy.foreign(sender(**OWN), letter)


def test_each_from_of_several_counts():
    """So does one with a space before its colon; too many fields hide none; no From names nobody."""
    good, bad = ("From", "alice@example.com"), ("FROM ", "ceo@example.com")
    entry = sender(**OWN)
    assert policy.foreign(entry, Letter(headers=(good, bad))) == "ceo@example.com"
    assert policy.foreign(entry, Letter(headers=(("X", "y"),) * 199 + (good,))) != ""
    assert policy.foreign(entry, Letter(headers=(("From", "a" * 6000 + " alice@example.com"),))) != ""
    assert policy.foreign(entry, Letter()) == ""


def test_whose_author_is_looked_at():
    """Of whom an entry knows by name, where it has patterns; networks are as before."""
    letter = Letter(headers=(("From", "ceo@example.com"),))
    patterns = {"from_": ["alice@example.com"]}
    assert policy.foreign(sender(certificates=["a.example"], **patterns), letter) == "ceo@example.com"
    assert policy.foreign(sender(users_file="users", **patterns), letter) == "ceo@example.com"
    assert policy.foreign(sender(networks=["10.0.0.0/8"], **patterns), letter) == ""
    assert policy.foreign(sender(users={"alice": "x"}), letter) == ""


def test_the_first_entry_that_holds_counts():
    """Order matters: the entry decides the name and whether the address may be trusted."""
    entries = [
        sender("inside", networks=["10.0.0.0/8"]),
        sender("partner", from_=["*@example.com"]),
        sender("anybody", networks=["0.0.0.0/0"], from_=["*@example.com"]),
    ]
    asked = {"sender": "mon@example.com"}
    assert Admission(name="inside", verified=True) == policy.may(entries, peer="10.0.0.1", **asked)
    assert Admission(name="partner", verified=False) == policy.may(entries, peer="11.0.0.1", **asked)
    assert Admission(name="anybody", verified=True) == policy.may(entries[::2], peer="11.0.0.1", **asked)
    assert None is policy.may(entries, peer="11.0.0.1", sender="mon@other.test")
    assert None is policy.may([], peer="127.0.0.1", sender="mon@example.com")


def test_whom_a_peer_could_be():
    """A peer is known where some entry fits its network, whatever it sends."""
    assert policy.anybody_from([sender(from_=["*@example.com"])], peer="203.0.113.9")
    assert not policy.anybody_from([sender(networks=["10.0.0.0/8"])], peer="203.0.113.9")
    assert not policy.anybody_from([], peer="127.0.0.1")


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_the_same_peer(address):
    """A client means the same over IPv4 and over a socket that shows IPv4 inside IPv6."""
    entry = sender(networks=["10.0.0.0/8", "128.0.0.0/1"])
    assert admitted(entry, str(address)) == admitted(entry, f"::ffff:{address}")


# -- what the sender's domain vouches for ---------------------------------------------------------

OUTSIDE, OPS = "203.0.113.9", "ops@mon.example.com"
PARTNER = ["*@mon.example.com"]


def spf(result: str, domain: str = "mon.example.com") -> Verdicts:
    """What is known at MAIL."""
    said = Spf(result=Result(result), domain=domain)
    return Verdicts(spf=said, vouched=said.result is Result.PASS)


def read(dmarc: str = "none", *, author: str = OPS, signed: str = "none", **more: object) -> Verdicts:
    """What is known at DATA."""
    said = Dmarc(result=Result(dmarc), domain="mon.example.com")
    return Verdicts(read=True, author=author, signed=Result(signed), dmarc=said, **more)


def decided(require: str, found: Verdicts, **values: object) -> object:
    """The name of the entry that lets this in, the checks that it waits for, or the refusal's status."""
    entries = [sender("partner", from_=PARTNER, require=require, **values)]
    said = policy.may(entries, peer=OUTSIDE, sender=OPS, found=found)
    if isinstance(said, Open):
        return said.checks
    return said.name if said else policy.why_not(entries, peer=OUTSIDE, sender=OPS, found=found).status


@pytest.mark.parametrize(
    ("require", "found", "wanted"),
    [
        ("spf", Verdicts(), ("spf",)),
        ("spf", spf("pass"), "partner"),
        ("spf", spf("softfail"), "5.7.23"),
        ("spf", spf("neutral"), "5.7.23"),
        ("spf", spf("none", ""), "5.7.23"),
        ("spf", spf("fail"), "5.7.23"),
        ("spf", spf("permerror"), "5.7.24"),
        ("spf", spf("temperror"), "4.4.3"),
        ("dkim", Verdicts(), ("dkim",)),
        ("dkim", spf("pass"), ("dkim",)),
        ("dkim", read(signed="pass"), "partner"),
        ("dkim", read(signed="fail"), "5.7.20"),
        ("dkim", read(signed="fail", dkim=(Dkim(result=Result.FAIL, why="expired"),)), "5.7.20"),
        ("dkim", read(dkim=(Dkim(result=Result.PASS, domain="evil.test"),)), "5.7.22"),
        ("dkim", read(signed="temperror"), "4.7.5"),
        ("dkim", read(author=""), "5.7.22"),
        ("dkim", read(signed="pass", author="eve@evil.test"), "5.7.1"),
        ("dkim", read(signed="temperror", author="eve@evil.test"), "5.7.1"),
        ("dmarc", Verdicts(), ("dmarc",)),
        ("dmarc", read("pass"), "partner"),
        ("dmarc", read("fail"), "5.7.26"),
        ("dmarc", read("none"), "5.7.26"),
        ("dmarc", read("permerror"), "5.7.26"),
        ("dmarc", read("temperror"), "4.4.3"),
        ("dmarc", read("fail", author=""), "5.7.26"),
        ("dmarc", read("pass", author="eve@evil.test"), "5.7.1"),
    ],
)
def test_what_is_required(require, found, wanted):
    """Only a pass lets in; trouble is temporary, all else is for good, and says what is missing."""
    assert wanted == decided(require, found)


SEALER = {"trusted_sealers": ["Lists.example.org"]}


@pytest.mark.parametrize(
    ("arc", "values", "wanted"),
    [
        (
            Arc(result=Result.PASS, sealers=frozenset({"lists.example.org"}), passed="mon.example.com"),
            SEALER,
            "partner",
        ),
        (
            Arc(result=Result.PASS, sealers=frozenset({"lists.example.org"}), passed="mon.example.com"),
            {},
            "5.7.26",
        ),
        (
            Arc(result=Result.PASS, sealers=frozenset({"lists.example.org"}), passed="evil.test"),
            SEALER,
            "5.7.26",
        ),
        (Arc(result=Result.PASS, sealers=frozenset({"lists.example.org"}), passed=""), SEALER, "5.7.26"),
        (
            Arc(
                result=Result.PASS,
                sealers=frozenset({"lists.example.org", "evil.test"}),
                passed="mon.example.com",
            ),
            SEALER,
            "5.7.26",
        ),
        (Arc(result=Result.FAIL), SEALER, "5.7.26"),
        (Arc(result=Result.TEMPERROR), SEALER, "4.4.3"),
        (Arc(result=Result.TEMPERROR), {}, "5.7.26"),
        (None, SEALER, "5.7.26"),
    ],
)
def test_sealers_that_are_trusted(arc, values, wanted):
    """A chain counts where all who sealed it are trusted, and the first saw this very domain pass."""
    assert wanted == decided("dmarc", read("fail", arc=arc), **values)


def test_an_entry_that_does_not_hold_falls_to_the_next():
    """The first one that holds counts, and only what comes before it need be checked."""
    entries = [
        sender("signed", from_=PARTNER, require="dkim"),
        sender("named", from_=PARTNER, require="spf"),
        sender("anybody", from_=PARTNER),
        sender("late", from_=PARTNER, require="dmarc"),
    ]
    asked = {"peer": OUTSIDE, "sender": OPS}
    both = replace(read(signed="fail"), spf=spf("pass").spf, vouched=True)

    assert Open(("dkim", "spf")) == policy.may(entries, **asked)
    assert Open(("dkim",)) == policy.may(entries, **asked, found=spf("pass"))
    assert Admission(name="named", verified=True) == policy.may(entries, **asked, found=both)
    none = replace(both, spf=spf("fail").spf, vouched=False)
    assert Admission(name="anybody", verified=False) == policy.may(entries, **asked, found=none)
    signed = read(signed="pass", vouched=True)
    assert Admission(name="signed", verified=True) == policy.may(entries, **asked, found=signed)


def test_trouble_falls_to_no_other_entry():
    """Nobody can say whose mail it is, so it may come again; and that is what the client hears."""
    entries = [
        sender("signed", from_=PARTNER, require="dkim"),
        sender("named", from_=PARTNER, require="spf"),
        sender("anybody", from_=PARTNER),
    ]
    found = replace(read(signed="fail"), spf=spf("temperror").spf)
    asked = {"peer": OUTSIDE, "sender": OPS, "found": found}

    assert policy.may(entries, **asked) is None
    assert "4.4.3" == policy.why_not(entries, **asked).status
    assert Open(("dkim",)) == policy.may(entries, peer=OUTSIDE, sender=OPS, found=spf("temperror"))


def test_a_refusal_without_checks():
    """Who is in no network is told so, and who may not use this sender as well."""
    entries = [sender("inside", networks=["10.0.0.0/8"]), sender("partner", from_=PARTNER, require="spf")]

    assert policy.why_not(entries[:1], peer=OUTSIDE, sender=OPS) is replies.NOT_ALLOWED
    assert policy.why_not(entries, peer=OUTSIDE, sender="eve@evil.test") is replies.SENDER_NOT_ALLOWED


def test_a_reply_names_no_secret_and_fits_a_line():
    """Refusals quote what a mail says of itself: on one line, whatever that is."""
    found = read(author=f'"{"x" * 900}"@mon.example.com')
    reply = policy.why_not(
        [sender("p", from_=PARTNER, require="dmarc")], peer=OUTSIDE, sender=OPS, found=found
    )

    assert str(reply).isprintable()
    assert 400 > len(reply.text)
