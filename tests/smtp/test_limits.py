"""What one client may take: connections at once, rates by the minute, and how much is remembered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import Limits, Sender
from relay.smtp import limits, policy
from relay.smtp.limits import Clients, Rate, Rules

HOUSE = Sender(name="house", networks=["10.0.0.0/8"])


def rules(connections=1000, senders=(HOUSE,), **shares):
    """Rules where only what is given limits anything."""
    nothing = {"connections": 0, "sessions": 0, "mails": 0, "recipients": 0, "errors": 0}
    sections = {name: nothing | shares.get(name, {}) for name in ("address", "network", "trusted")}
    return Rules(limits=Limits(**sections), senders=senders, connections=connections)


def admitted(clients, peer, law, now=0.0, listener="", most=0):
    """The name of the limit that a new connection meets, "" where it is let in."""
    met = clients.admit(limits.client(peer, law, listener), law, now, listener=most)
    return met.limit if met else ""


def spent(clients, rate, peer, law, now=0.0, *, known=False):
    """The reply to one more of these, "" where there may be one."""
    met = clients.spend(rate, limits.client(peer, law), law, now, known=known)
    return str(met.reply) if met else ""


@pytest.mark.parametrize(
    ("peer", "wanted"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_the_network_of_an_address(peer, wanted):
    """An IPv4 /24 or an IPv6 /64; what is no address stands for itself."""
    assert wanted == limits.network(peer)


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"networks": ["192.0.2.0/24"]}, True),
        ({"networks": ["192.0.2.7"], "from": ["*@example.com"]}, True),
        ({"networks": ["192.0.3.0/24"]}, False),
        ({"networks": ["0.0.0.0/0"]}, False),
        ({"networks": ["192.0.2.0/24"], "users": {"alice": "x"}}, False),
        ({"networks": ["192.0.2.0/24"], "require": "dmarc"}, False),
        ({"from": ["*@example.com"]}, False),
    ],
)
def test_who_is_trusted(entry, wanted):
    """Whoever a network admits without more; "everybody" is nobody in particular."""
    senders = [Sender.model_validate({"name": "x", **entry})]
    assert wanted == policy.by_network(senders, peer="192.0.2.7")
    assert policy.by_network(senders, peer="unix")


def test_strangers_leave_a_quarter_of_all_connections():
    """However many addresses a crowd has, clients of the house find room."""
    clients, law = Clients(), rules(connections=8)
    assert [""] * 6 == [admitted(clients, f"192.0.2.{n}", law) for n in range(6)]
    assert "strangers" == admitted(clients, "198.51.100.1", law)
    assert ["", "", "connections"] == [admitted(clients, "10.0.0.1", law) for _ in range(3)]


def test_a_relay_with_one_connection_has_it_for_anybody():
    """A quarter of next to nothing is nothing."""
    assert "" == admitted(Clients(), "192.0.2.1", rules(connections=1))


def test_connections_of_an_address_and_of_its_network():
    """Each has a limit; another network has its own; who leaves makes room."""
    clients, law = Clients(), rules(address={"connections": 2}, network={"connections": 3})
    assert ["", "", "address"] == [admitted(clients, "192.0.2.1", law) for _ in range(3)]
    assert ["", "network"] == [admitted(clients, f"192.0.2.{n}", law) for n in (2, 3)]
    assert "" == admitted(clients, "198.51.100.1", law)
    clients.release(limits.client("192.0.2.1", law))
    assert "" == admitted(clients, "192.0.2.3", law)


def test_a_listener_has_a_limit_of_its_own():
    """A full door leaves the others as they are."""
    clients, law = Clients(), rules()
    assert ["", "listener"] == [admitted(clients, "10.0.0.1", law, listener="a", most=1) for _ in range(2)]
    assert "" == admitted(clients, "10.0.0.1", law, listener="b", most=1)


def test_the_trusted_have_a_limit_of_connections_and_a_socket_has_none():
    """Only an address can be counted; all clients of a socket share its name."""
    clients, law = Clients(), rules(trusted={"connections": 1, "mails": 1})
    assert ["", "address"] == [admitted(clients, "10.0.0.1", law) for _ in range(2)]
    assert ["", ""] == [admitted(clients, "unix", law) for _ in range(2)]
    assert ["", ""] == [spent(clients, Rate.MAILS, "unix", law) for _ in range(2)]


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (Rate.SESSIONS, "421 4.7.0 too many sessions from you within a minute, try again later"),
        (Rate.MAILS, "450 4.7.1 too many mails from you within a minute, try again later"),
        (Rate.RECIPIENTS, "450 4.7.1 too many recipients from you within a minute, try again later"),
    ],
)
def test_what_is_over_a_rate_hears_so(rate, said):
    """So many at once; then as fast as the bucket fills."""
    clients, law = Clients(), rules(address={rate: 3})
    told = [
        spent(clients, rate, "192.0.2.1", law, now) for now in (0, 0, 0, 0, 19, 20, 20, 120, 120, 120, 120)
    ]
    assert ["", "", "", said, said, "", said, "", "", "", said] == told
    assert "" == spent(clients, rate, "192.0.2.2", law)


def test_a_rate_of_a_network_is_shared_and_a_refusal_takes_nothing_from_it():
    """An address that is over its own rate leaves the network's to its neighbours."""
    clients, law = Clients(), rules(address={"mails": 1}, network={"mails": 2})
    assert "" == spent(clients, Rate.MAILS, "192.0.2.1", law)
    assert "450" == spent(clients, Rate.MAILS, "192.0.2.1", law)[:3]
    assert "" == spent(clients, Rate.MAILS, "192.0.2.2", law)
    assert "450" == spent(clients, Rate.MAILS, "192.0.2.3", law)[:3]


def test_who_has_logged_in_is_counted_as_the_trusted_are():
    """A login is as good as a network for what comes after it."""
    clients, law = Clients(), rules(address={"mails": 1})
    assert ["", "", ""] == [spent(clients, Rate.MAILS, "192.0.2.1", law, known=True) for _ in range(3)]
    assert [""] * 5 == [spent(clients, Rate.MAILS, "10.0.0.1", law) for _ in range(5)]


def test_errors_hold_back_everything_until_the_bucket_fills():
    """Over that rate sessions are told 421, MAIL and RCPT 450; going on doesn't make it longer."""
    clients, law = Clients(), rules(address={"errors": 2})
    who = limits.client("192.0.2.1", law)
    clients.fault(who, law, 0)
    assert "" == spent(clients, Rate.RECIPIENTS, who.address, law)
    for _ in range(50):
        clients.fault(who, law, 0)
    assert "errors" == admitted(clients, who.address, law)
    said = "450 4.7.1 too many errors from you within a minute, try again later"
    assert said == spent(clients, Rate.RECIPIENTS, who.address, law, 29)
    assert "" == spent(clients, Rate.RECIPIENTS, who.address, law, 30)


def test_by_default_no_rate_holds_the_trusted_back_and_strangers_have_one():
    """A storm of alarms from the house passes; a stranger's does not."""
    clients, law = Clients(), Rules(senders=[HOUSE])
    assert {""} == {spent(clients, Rate.MAILS, "10.0.0.1", law) for _ in range(5000)}
    assert "450" == [spent(clients, Rate.MAILS, "192.0.2.1", law) for _ in range(61)][-1][:3]
    assert 0 == len(clients._addresses._full_at.get("10.0.0.1", {}))


def test_what_is_remembered_is_bounded_and_the_latest_stays():
    """A walk through addresses drives out the oldest, of addresses and networks each for itself."""
    clients, law = Clients(remembered=10), rules(address={"mails": 1}, network={"mails": 1000})
    for n in range(200):
        spent(clients, Rate.MAILS, f"192.0.2.{n}", law)
    assert (10, 1) == (len(clients._addresses), len(clients._networks))
    assert "450" == spent(clients, Rate.MAILS, "192.0.2.199", law)[:3]
    assert "" == spent(clients, Rate.MAILS, "192.0.2.0", law)


@given(
    most=st.integers(1, 50),
    steps=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200),
)
def test_no_minute_has_more_than_twice_a_rate(most, steps):
    """What a bucket holds and what flows into it: N and N more within any minute, never above."""
    clients, law, now, passed = Clients(), rules(address={"mails": most}), 0.0, []
    for step in steps:
        now += step / most
        if not spent(clients, Rate.MAILS, "192.0.2.1", law, now):
            passed.append(now)
    assert all(sum(at <= each < at + 60 for each in passed) <= 2 * most for at in passed)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=60))
def test_whoever_left_leaves_no_trace(moves):
    """Connections that come and go in any order leave the counters as they were."""
    clients, law, there = Clients(), rules(connections=4, address={"connections": 2}), []
    for name, comes in moves:
        who = limits.client(f"192.0.2.{ord(name)}", law)
        if comes and clients.admit(who, law, 0) is None:
            there.append(who)
        elif not comes and there:
            clients.release(there.pop(0))
        assert len(there) == clients.count
    for who in there:
        clients.release(who)
    assert {} == clients._open


def test_a_network_that_also_asks_for_a_certificate_trusts_nobody_yet():
    """What is to be shown later makes nobody trusted by where he is."""
    entry = {"name": "x", "networks": ["192.0.2.0/24"], "certificates": ["client.example.com"]}
    assert not policy.by_network([Sender.model_validate(entry)], peer="192.0.2.7")
