"""An account's slots, as many of them as this process may use now.

A process that has the queue to itself has them all, and nothing is asked. Where several share it
a slot is a row that this node holds under a lease (`Held`); without the lease there is no slot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from relay.delivery import plan, shares


class Permits(Protocol):
    """What a worker may do at once."""

    @property
    def most(self) -> int:
        """Calls of any kind."""
        ...

    @property
    def questions(self) -> int:
        """Questions among them."""
        ...


@dataclass(frozen=True, slots=True)
class All:
    """All slots of an account."""

    most: int
    questions: int = plan.QUESTIONS


@dataclass(slots=True)
class Held:
    """The slots that this node holds, until a reading of its own steady clock.

    Those that are `owed` to another node get no new call, so that they can be given up; the last one does,
    for it is the only one.
    """

    reading: Callable[[], int]
    numbers: set[int] = field(default_factory=set)
    until: int = 0
    owed: set[int] = field(default_factory=set)

    @property
    def valid(self) -> bool:
        """Whether they are this node's at this very moment."""
        return self.reading() < self.until

    @property
    def most(self) -> int:
        return len(self._kept) if self.valid else 0

    @property
    def questions(self) -> int:
        return shares.questions(self._kept) if self.valid else 0

    @property
    def _kept(self) -> set[int]:
        return self.numbers - self.owed or set(sorted(self.numbers)[:1])
