"""What an account's senders were refused lately, here and by other nodes: too much of it slows them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from relay.model import Kind, Outcome

_FAULTS = ("1", "5", "6", "7", "8")  # the sender's own, of the answers to send.php
Refusal = tuple[int, str]
"""When, and whose order."""


class Refusals:
    """One account's refusals of the last minute, and some older ones."""

    def __init__(self) -> None:
        self._here: deque[Refusal] = deque(maxlen=4096)
        self._elsewhere: list[Refusal] = []
        self._untold: Counter[str] = Counter()

    def heed(self, outcome: Outcome, senders: Iterable[str], now: int) -> None:
        """What became of a request with orders of these senders."""
        if outcome.kind is Kind.REFUSED and outcome.code in _FAULTS:
            whose = set(senders)
            self._here.extend((now, sender) for sender in whose)
            self._untold.update(whose)

    def hear(self, refusals: Sequence[Refusal]) -> None:
        """What other nodes were refused in the last minute."""
        self._elsewhere = list(refusals)

    def untold(self) -> Counter[str]:
        """Refusals by sender that other nodes have not heard of; they count as told from here on."""
        told, self._untold = self._untold, Counter()
        return told

    def all(self) -> Sequence[Refusal]:
        """What was refused lately, oldest first, by whichever node it was sent."""
        return sorted([*self._here, *self._elsewhere]) if self._elsewhere else self._here
