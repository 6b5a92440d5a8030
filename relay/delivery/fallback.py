"""Which account an order waits for, where several may carry it. Pure.

Rule 1: only what waits moves, and only where the provider is known not to have it: never
tried, refused, not connected, or asked about and not found. Rule 2: it moves off an account
that rests (or is configured no more), to the first of its accounts that works; where none
does, it stays. Rule 3: an order that has moved stays, though an earlier account works again:
it moves once more only if the one that it waits for rests too. So between two changes of
standing nothing moves twice, and new orders, which begin at their first account, lead back.

Refused login, empty purse and blocked address rest an account by one answer. An account that
can't be connected to is tried again, as ever; only where it could lend its orders to another
it counts as resting, `unreachable`, once TRIES calls in a row found no connection for LONG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from relay.delivery import plan
from relay.model import MINUTE, SECOND, Kind, Outcome, Rest
from relay.queue.rows import Order, Request, RequestState
from relay.queue.states import State

TRIES = 2
"""Calls in a row that found no connection, before the account counts as unreachable."""
LONG = 10 * SECOND
"""How long at least no connection was found; one dropped packet moves nothing."""
PROBE_MOST = MINUTE
"""The longest wait between probes of an unreachable account: asking in vain harms nobody."""

_WHY: Mapping[Rest, str] = {
    Rest.LOGIN: "'s login is refused",
    Rest.MONEY: " has no money",
    Rest.BLOCKED: " is blocked",
    Rest.UNREACHABLE: " can't be reached",
}


def account_for(order: Order, request: Request | None, standings: Mapping[str, Rest]) -> str:
    """The account that an order should wait for; its own one where it stays.

    `request` is the one that the order holds on to, if any; `standings` say why each
    configured account rests.
    """
    if order.state is not State.WAITING or not _absent(request):
        return order.account
    return _first_working(order, standings)


def elsewhere(order: Order, standings: Mapping[str, Rest]) -> bool:
    """Whether another account would carry the order now, if it were known to be absent here."""
    return _first_working(order, standings) != order.account


def _first_working(order: Order, standings: Mapping[str, Rest]) -> str:
    own = standings.get(order.account)
    if own is Rest.NONE:
        return order.account
    for name in order.choice:
        if standings.get(name) is Rest.NONE:
            return name
    if own is None:  # configured no more: better to wait for one that may work again
        return next((name for name in order.choice if name in standings), order.account)
    return order.account


def _absent(request: Request | None) -> bool:
    """A waiting order keeps a request only where no connection was made: then it never broke."""
    return request is None or (request.state is RequestState.DONE and request.broke_at is None)


def why(account: str, standings: Mapping[str, Rest]) -> str:
    """Why orders leave an account, in words for their story."""
    rest = standings.get(account)
    return f"{account}{' is configured no more' if rest is None else _WHY[rest]}"


@dataclass(frozen=True, slots=True)
class Reach:
    """Calls in a row that found no connection, and the probing that follows."""

    tries: int = 0
    since: int = 0
    probe_at: int | None = None  # once it counts as unreachable
    probes: int = 0

    @property
    def lost(self) -> bool:
        """Whether the account counts as unreachable."""
        return self.probe_at is not None

    def missed(self, now: int, steps: Sequence[int]) -> Reach:
        """One more call found no connection."""
        if not self.tries or now < self.since:  # the clock jumped back
            return replace(self, tries=self.tries + 1, since=now)
        after = replace(self, tries=self.tries + 1)
        if self.lost or after.tries < TRIES or now - self.since < LONG:
            return after
        return after.probed(now, steps)

    def probed(self, now: int, steps: Sequence[int]) -> Reach:
        """When to probe next."""
        wait = min(PROBE_MOST, plan.probe_after(steps, self.probes, Rest.UNREACHABLE))
        return replace(self, probe_at=now + wait, probes=self.probes + 1)


def answered(outcome: Outcome) -> bool:
    """Whether an outcome of a call says that the provider was there."""
    return bool(outcome.code) or outcome.kind in (Kind.ACCEPTED, Kind.UNSURE)
