"""How much one client may take: connections at once, and what it does within a minute. Pure.

Two kinds of client. Whoever `senders[].networks` admits without more is *trusted*: only its address
is counted, and no rate holds it back by default. Everybody else is a *stranger*, counted by address
and by network (an IPv4 /24, an IPv6 /64: what one customer of a provider has); all strangers
together leave a quarter of all connections to the trusted, so that no crowd locks the alarms out.
Who has logged in may send mails and recipients as the trusted may, but its sessions were counted
before it could.

A rate of N is a bucket of N that fills within a minute (kept as the time at which it is full
again, GCRA): N at once, or N a minute for ever. What is remembered is bounded: of addresses and of
networks the latest `REMEMBERED` each; what falls out is forgotten as if it had been silent.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from relay import replies
from relay.config import Limits, Sender, Share
from relay.replies import Reply, reply
from relay.smtp import policy

MINUTE = 60.0  # seconds
REMEMBERED = 10_000
_KEPT = 4  # one connection in so many is for the trusted alone


class Rate(StrEnum):
    """What is counted by the minute."""

    SESSIONS = "sessions"
    MAILS = "mails"
    RECIPIENTS = "recipients"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts now: the configuration may be re-read."""

    limits: Limits = field(default_factory=Limits)
    senders: Sequence[Sender] = ()
    connections: int = 1000  # `limits.connections`, or fewer where descriptors are few


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who is counted, and how."""

    address: str
    network: str
    trusted: bool
    listener: str = ""
    unix: bool = False


@dataclass(frozen=True, slots=True)
class Met:
    """A limit that was met: its name in metrics and log, and what the client is told."""

    limit: str
    reply: Reply


def client(peer: str, rules: Rules, listener: str = "") -> Client:
    """The client at an address, or behind a unix socket, which is as trusted as this machine."""
    trusted = policy.by_network(rules.senders, peer=peer)
    return Client(
        address=peer, network=network(peer), trusted=trusted, listener=listener, unix=peer == policy.LOCAL
    )


@lru_cache(maxsize=1024)  # clients come again
def network(peer: str) -> str:
    """The network that an address is counted in; what is no address is one of its own."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    address = getattr(address, "ipv4_mapped", None) or address
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False))


class Clients:
    """Who is connected, and what addresses and networks did of late. Times are in seconds."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._open: Counter[tuple[str, str]] = Counter()
        self._addresses = _Buckets(remembered)
        self._networks = _Buckets(remembered)

    @property
    def count(self) -> int:
        """How many connections there are."""
        return self._open["all", ""]

    def admit(self, who: Client, rules: Rules, now: float, *, listener: int = 0) -> Met | None:
        """Count a connection in, or say why not. `listener` is how many its door takes, 0: any."""
        met = self._too_many(who, rules, listener) or self.spend(Rate.SESSIONS, who, rules, now)
        if met is None:
            for key in _keys(who):
                self._open[key] += 1
        return met

    def release(self, who: Client) -> None:
        """Count a connection out that was counted in."""
        for key in _keys(who):
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]  # strangers that left leave no trace

    def _too_many(self, who: Client, rules: Rules, listener: int) -> Met | None:
        limits, most = rules.limits, rules.connections
        if self.count >= most:
            return Met("connections", replies.TOO_BUSY)
        if listener and self._open["listener", who.listener] >= listener:
            return Met("listener", replies.TOO_BUSY)
        if who.trusted:
            own = 0 if who.unix else limits.trusted.connections
            return _FROM_ADDRESS if own and self._open["address", who.address] >= own else None
        if self._open["strangers", ""] >= max(1, most - most // _KEPT):
            return Met("strangers", replies.TOO_BUSY)
        for share, kind, name, met in (
            (limits.address, "address", who.address, _FROM_ADDRESS),
            (limits.network, "network", who.network, _FROM_NETWORK),
        ):
            if share.connections and self._open[kind, name] >= share.connections:
                return met
        return None

    def spend(self, rate: Rate, who: Client, rules: Rules, now: float, *, known: bool = False) -> Met | None:
        """Count one of these, or say why there may be none now. `known`: the client has logged in."""
        for buckets, name, share in self._counted(who, rules, known=known):
            if buckets.full(name, Rate.ERRORS, share.errors, now):
                return _met(Rate.ERRORS, rate)
            if buckets.full(name, rate, getattr(share, rate), now):
                return _met(rate, rate)
        for buckets, name, share in self._counted(who, rules, known=known):
            buckets.add(name, rate, getattr(share, rate), now)
        return None

    def fault(self, who: Client, rules: Rules, now: float, *, known: bool = False) -> None:
        """Count an answer 5xx."""
        for buckets, name, share in self._counted(who, rules, known=known):
            buckets.add(name, Rate.ERRORS, share.errors, now)

    def _counted(self, who: Client, rules: Rules, *, known: bool) -> Iterator[tuple[_Buckets, str, Share]]:
        if who.trusted or known:
            if not who.unix:
                yield self._addresses, who.address, rules.limits.trusted
            return
        yield self._addresses, who.address, rules.limits.address
        yield self._networks, who.network, rules.limits.network


class _Buckets:
    """The rates of the names that were heard of last: for each, when its buckets are full again."""

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._full_at: OrderedDict[str, dict[Rate, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def full(self, name: str, rate: Rate, most: int, now: float) -> bool:
        """Whether as many were counted as may be; without a limit never."""
        if not most or name not in self._full_at:
            return False
        ahead = self._full_at[name].get(rate, now) - now
        return ahead + MINUTE / most > MINUTE + 1e-6

    def add(self, name: str, rate: Rate, most: int, now: float) -> None:
        """Count one, unless there is no limit to count towards."""
        if not most:
            return
        times = self._full_at.setdefault(name, {})
        self._full_at.move_to_end(name)
        until = max(times.get(rate, now), now) + MINUTE / most
        times[rate] = min(until, now + MINUTE)  # whoever goes on when told to stop isn't stopped for longer
        if len(self._full_at) > self._remembered:
            self._full_at.popitem(last=False)


def _keys(who: Client) -> Iterator[tuple[str, str]]:
    yield "all", ""
    yield "listener", who.listener
    yield "address", who.address
    if not who.trusted:
        yield "strangers", ""
        yield "network", who.network


_FROM_ADDRESS = Met("address", reply(421, "4.7.0", "too many connections from your address, try again later"))
_FROM_NETWORK = Met("network", reply(421, "4.7.0", "too many connections from your network, try again later"))


def _met(full: Rate, asked: Rate) -> Met:
    code, status = (421, "4.7.0") if asked is Rate.SESSIONS else (450, "4.7.1")
    return Met(full.value, reply(code, status, f"too many {full} from you within a minute, try again later"))
