"""How nodes that share an account divide it: slots, and which of them looks at an order first.

Slots are rows, and a row is one node's at a time, so that whatever nodes believe there are never
more calls than rows. What is computed here only keeps them from asking for the same ones. The
first few rows carry the right to ask: all nodes together never ask more at once than one would.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from relay.delivery import plan


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of the work is a node's own: of so many, the one with this number."""

    of: int = 1
    number: int = 0


def part(living: Sequence[int], me: int, *, first: Collection[int] = ()) -> Part:
    """The part of a node among those that deliver; a node that nobody sees yet has the whole.

    Who leads comes `first`: however many there are he has a slot that carries the right to ask.
    """
    order = sorted(set(living), key=lambda node: (node not in first, node))
    return Part(len(order), order.index(me)) if me in order else Part()


def slots(mine: Part, most: int) -> set[int]:
    """The numbers of the slots that a node should have of an account's."""
    return set(range(mine.number, most, mine.of))


def work(mine: Part, most: int) -> Part:
    """The part of an account's work that a node should look at first: no node's that has none of its slots.

    A part whose number none has is nobody's: who has no slot finds only what others leave lying.
    """
    return Part(min(mine.of, most), mine.number)


def questions(held: Collection[int]) -> int:
    """How many questions may be under way at once with these slots."""
    return sum(number < plan.QUESTIONS for number in held)


def given_up(held: Collection[int], wanted: Collection[int], *, calls: int, asking: int) -> set[int]:
    """Slots that another node should have and that no call of this one needs any more."""
    kept, gone = set(held), set()
    for number in sorted(kept - set(wanted)):
        rest = kept - {number}
        if len(rest) >= calls and questions(rest) >= asking:
            kept = rest
            gone.add(number)
    return gone
