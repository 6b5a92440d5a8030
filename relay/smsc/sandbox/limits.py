"""What the provider allows in a minute. Every limit is told the time.

Sources: the vendor's pages on sending (one identical request a minute, 50 messages to one
phone in a chain), statuses (5 questions for one message, 1 mass question), balance (10) and
data (3 identical). A refused question is not counted, so that patience is always rewarded.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

MINUTE = 60.0
CHAIN = 50
CONCURRENT = 15
BLOCKED_FOR = 300.0  # the vendor says "temporarily"; five minutes are the sandbox's choice
_PRUNE_AT = 4096


class Window:
    """At most `most` events of one key in any minute."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._times: dict[Hashable, deque[float]] = {}

    def allows(self, key: Hashable, now: float) -> bool:
        """Count an event, or say that it is one too many."""
        if len(self._times) > _PRUNE_AT:
            self._times = {key: times for key, times in self._times.items() if times[-1] > now - MINUTE}
        times = self._times.setdefault(key, deque())
        while times and times[0] <= now - MINUTE:
            times.popleft()
        if len(times) >= self.most:
            return False
        times.append(now)
        return True


class Chains:
    """The chain of messages to each phone, as long as the gaps stay under a minute."""

    def __init__(self) -> None:
        self._last: dict[Hashable, tuple[float, int]] = {}

    def is_flood(self, key: Hashable, now: float) -> bool:
        """Add a message to its phone's chain; tell whether the chain is too long for it."""
        last, length = self._last.get(key, (now - MINUTE, 0))
        length = length + 1 if now - last < MINUTE else 1
        self._last[key] = (now, length)
        return length > CHAIN


class Blocks:
    """Addresses that erred too often in a minute are refused for a while (error 4)."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._window = Window(most or 1)
        self._until: dict[str, float] = {}

    def is_blocked(self, address: str, now: float) -> bool:
        """Tell whether an address is shut out."""
        return now < self._until.get(address, now)

    def erred(self, address: str, now: float) -> None:
        """Count a refusal that was the client's fault."""
        if self._most is not None and not self._window.allows(address, now):
            self._until[address] = now + BLOCKED_FOR
