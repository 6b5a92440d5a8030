"""Failed logins are slowed down, then not looked at; nobody else is locked out by them."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from relay.model import DAY, MINUTE, SECOND
from relay.smtp import lockout
from relay.smtp.lockout import ADDRESS_LIMIT, TIME, USER_LIMIT, Lockout

NOW = 1_800_000_000_000
PASSWORDS = (number.to_bytes(8, "big") for number in itertools.count())


def guessed(
    found: Lockout, many: int, *, user: str = "alice", peer: str = "203.0.113.9", now: int = NOW
) -> None:
    """So many wrong passwords, none of them tried before."""
    for _ in range(many):
        found.failed(user, peer, now, next(PASSWORDS))


def test_an_address_that_guesses_is_locked_for_ten_minutes():
    """Whatever names it tries; the time counts from the last failure."""
    found = Lockout()
    for number in range(ADDRESS_LIMIT):
        assert not found.locked(f"user{number}", "203.0.113.9", NOW)
        guessed(found, 1, user=f"user{number}")
    assert found.locked("alice", "203.0.113.9", NOW)
    assert not found.locked("alice", "203.0.113.10", NOW)
    assert found.locked("alice", "203.0.113.9", NOW + TIME - 1)
    assert not found.locked("alice", "203.0.113.9", NOW + TIME)
    assert TIME == 10 * MINUTE


def test_a_name_is_locked_from_wherever_it_is_guessed():
    """Many addresses at one name are stopped as well, whether anybody has that name or not."""
    for name in ("alice", "nobody"):
        found = Lockout()
        for number in range(USER_LIMIT):
            assert not found.locked(name, "198.51.100.1", NOW)
            guessed(found, 1, user=name, peer=f"203.0.113.{number}")
        assert found.locked(name, "198.51.100.1", NOW)
        assert not found.locked("bob", "198.51.100.1", NOW)


def test_strangers_do_not_lock_out_who_is_known():
    """Who logged in from an address before is counted for itself, there."""
    found = Lockout()
    found.good("alice", "203.0.113.9", NOW)
    guessed(found, ADDRESS_LIMIT, user="bob")
    for number in range(USER_LIMIT):
        guessed(found, 1, peer=f"198.51.100.{number}")
    assert not found.locked("alice", "203.0.113.9", NOW)
    assert found.locked("bob", "203.0.113.9", NOW)
    assert found.locked("alice", "192.0.2.1", NOW)


def test_who_is_known_may_not_guess_forever():
    """Its own failures count, a good login ends them, and it is forgotten after a month."""
    found = Lockout()
    found.good("alice", "203.0.113.9", NOW)
    guessed(found, ADDRESS_LIMIT - 1)
    found.good("alice", "203.0.113.9", NOW)
    guessed(found, ADDRESS_LIMIT - 1)
    assert not found.locked("alice", "203.0.113.9", NOW)
    guessed(found, 1)
    assert found.locked("alice", "203.0.113.9", NOW)
    guessed(found, ADDRESS_LIMIT, user="bob", now=NOW + 30 * DAY)
    assert found.locked("alice", "203.0.113.9", NOW + 30 * DAY)


def test_each_failure_is_told_later():
    """From a quarter of a second to eight."""
    found = Lockout()
    delays = []
    for _ in range(ADDRESS_LIMIT):
        guessed(found, 1)
        delays.append(found.delay("alice", "203.0.113.9", NOW))
    assert [250, 500, 1000, 2000, 4000] == delays[:5]
    assert {8 * SECOND} == set(delays[5:])


def test_to_try_the_same_again_is_no_guess():
    """A device with an old password may come for hours, and locks out nobody."""
    found = Lockout()
    for minute in range(120):
        found.failed("alice", "203.0.113.9", NOW + minute * MINUTE, b"old")
        assert found.delay("alice", "203.0.113.9", NOW + minute * MINUTE) == 250
    assert not found.locked("alice", "203.0.113.9", NOW + 120 * MINUTE)


def test_what_counts_as_one_address():
    """IPv6 by its network, IPv4 inside IPv6 as itself, a unix socket as itself."""
    assert lockout.network("2001:db8::1") == lockout.network("2001:db8::ffff:1%eth0") == "2001:db8::/64"
    assert lockout.network("2001:db8:0:1::1") != lockout.network("2001:db8::1")
    assert lockout.network("::ffff:203.0.113.9") == lockout.network("203.0.113.9") == "203.0.113.9"
    assert lockout.network("unix") == "unix"


@given(st.lists(st.tuples(st.text(max_size=8), st.ip_addresses(), st.booleans()), max_size=60))
def test_memory_is_bounded(events):
    """However many names and addresses come, so much is remembered and no more."""
    found = Lockout(most=10)
    for user, address, right in events:
        if right:
            found.good(user, str(address), NOW)
        else:
            guessed(found, 1, user=user, peer=str(address))
        assert len(found) <= 20


def test_who_was_known_the_longest_time_ago_is_forgotten_first():
    """Logins that are right are remembered up to a bound as well."""
    found = Lockout(most=2)
    for number in range(3):
        found.good("alice", f"203.0.113.{number}", NOW)
        guessed(found, ADDRESS_LIMIT, user="bob", peer=f"203.0.113.{number}")
    assert len(found) == 4
    assert not found.locked("alice", "203.0.113.2", NOW)
    guessed(found, ADDRESS_LIMIT, user="bob", peer="203.0.113.0")
    assert found.locked("alice", "203.0.113.0", NOW)
