"""Who has guessed too often: failed logins are slowed down, then not looked at for a while. Pure.

Policy: each failure is answered later than the one before, up to eight seconds. After ten from one
address, or fifty at one name from wherever, within ten minutes, no login of either is looked at for
ten minutes; whether name and password are right can't be found out meanwhile. A client that has
logged in from its address before is counted for itself: strangers who guess at its name, or share its
address, do not lock it out. Names that exist and those that don't are counted alike. To try the same
again is no guess: a device with an old password, or a client that tries it by each mechanism, counts once.

What is remembered is bounded; the oldest goes first, and all of it at a restart.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from relay.model import DAY, MINUTE, SECOND, stable_digest

ADDRESS_LIMIT = 10
USER_LIMIT = 50
TIME = 10 * MINUTE
LONGEST_DELAY = 8 * SECOND
MOST = 10_000  # of each kind of memory
_KNOWN = 30 * DAY


@dataclass(slots=True)
class _Count:
    guesses: tuple[bytes, ...]
    last: int


class Lockout:
    """What is remembered of logins; `now` is in milliseconds throughout."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._failed: OrderedDict[Hashable, _Count] = OrderedDict()
        self._known: OrderedDict[Hashable, int] = OrderedDict()

    def locked(self, user: str, peer: str, now: int) -> bool:
        """Whether a login of this name from this address is not to be looked at."""
        return any(self._many(key, now) >= limit for key, limit in self._keys(user, peer, now))

    def failed(self, user: str, peer: str, now: int, guess: bytes) -> None:
        """A login of this name from this address was wrong; `guess` stands for what was tried."""
        for key, _limit in self._keys(user, peer, now):
            before = self._failed[key].guesses if self._many(key, now) else ()
            if guess not in before:
                self._failed[key] = _Count((*before, guess), now)
                self._failed.move_to_end(key)
        while len(self._failed) > self._most:
            self._failed.popitem(last=False)

    def tried(self, user: str, peer: str, now: int, guess: bytes) -> bool:
        """Whether this very guess was wrong a while ago: to try it again would tell nothing, and cost."""
        key = self._keys(user, peer, now)[0][0]
        return self._many(key, now) > 0 and guess in self._failed[key].guesses

    def delay(self, user: str, peer: str, now: int) -> int:
        """The milliseconds to wait before a failure is told: by how many there were from the address."""
        many = self._many(self._keys(user, peer, now)[0][0], now)
        return min(LONGEST_DELAY, SECOND // 8 << min(many, 8))

    def good(self, user: str, peer: str, now: int) -> None:
        """A login was right: from here this name is known."""
        pair = ("pair", _name(user), network(peer))
        self._known[pair] = now
        self._known.move_to_end(pair)
        self._failed.pop(pair, None)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        """How much is remembered."""
        return len(self._failed) + len(self._known)

    def _keys(self, user: str, peer: str, now: int) -> list[tuple[tuple[str, ...], int]]:
        """What a failure is counted under, each with its limit."""
        pair = ("pair", _name(user), network(peer))
        if now - self._known.get(pair, -_KNOWN) < _KNOWN:
            return [(pair, ADDRESS_LIMIT)]
        return [(("address", network(peer)), ADDRESS_LIMIT), (("user", _name(user)), USER_LIMIT)]

    def _many(self, key: Hashable, now: int) -> int:
        found = self._failed.get(key)
        return len(found.guesses) if found is not None and now - found.last < TIME else 0


def _name(user: str) -> str:
    """A short stand-in: what is typed as a name may be long, or a password."""
    return stable_digest(user.encode("utf-8", "surrogateescape"))[:20]


def network(peer: str) -> str:
    """What counts as one address: of IPv6 the network that one customer has."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
