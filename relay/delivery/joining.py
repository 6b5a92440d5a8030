"""Which requests leave together as one: several texts to several phones, a `list`. Pure.

Rule 1: nothing waits for company. As long as every request finds a free slot each goes by
itself; only what would wait is joined, spread evenly over the slots that are free. Rule 2: only
plain SMS join, only where all parameters and the accounts that may carry them are equal, a
phone once, so many of them at most. Rule 3: what was halved after a refusal stays in its half,
and what found no connection stays with its request, whatever slots are free. Rule 4: whoever
was refused within the last minute has lists of its own, for one bad text delays its whole list;
and whoever was refused often has none (`plan.often`), for each halving is a refusal more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from relay.message import neutral
from relay.message.wording import uncommented
from relay.queue.rows import Content, Order
from relay.smsc import lists

LIST = 100
"""Messages in one list: half of what one question about statuses can ask about."""
SIZE = 50_000
"""Characters of all texts of a list."""

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """What of a text matters to a list: its parameters, and its length."""

    form: str
    size: int


def text_of(order: Order, content: Content | None) -> Text | None:
    """The order's text as far as lists go; None where it has to go alone.

    With files, with anything that the provider would obey, or with what a line can't say.
    """
    if content is None or order.channel != "sms" or content.channel != "sms" or content.files != "[]":
        return None
    said = uncommented(content.text)
    if not lists.fits([order.target], content.text) or neutral.neutralise(said) != said:
        return None
    return Text(content.params, len(content.text))


@dataclass(slots=True)
class _Draft:
    """A request that is being filled."""

    orders: list[Order] = field(default_factory=list)
    phones: set[str] = field(default_factory=set)
    size: int = 0

    def takes(self, row: Sequence[Order], size: int, most: int) -> bool:
        """Whether it has room for these."""
        if len(self.orders) + len(row) > most or self.size + size > SIZE:
            return False
        return self.phones.isdisjoint(order.target for order in row)

    def add(self, row: Sequence[Order], size: int) -> None:
        self.orders += row
        self.phones.update(order.target for order in row)
        self.size += size


def joined(
    rows: Sequence[list[Order]], texts: Mapping[int, Text], room: int, *, apart: Collection[str] = ()
) -> list[list[Order]]:
    """The orders of at most `room` requests. `rows` are orders of equal content, the first to go first.

    `texts` has, by order, what may be joined; senders who are `apart` share a list with nobody.
    """
    even = min(LIST, -(-sum(map(len, rows)) // room)) if len(rows) > room > 0 else 0
    made: list[_Draft] = []
    open_: dict[Key, list[_Draft]] = {}
    left: list[tuple[list[Order], Key, int]] = []
    for row in rows:
        order, text = row[0], texts.get(row[0].id)
        bound = order.batch or order.request_id
        key = (*_key(order, text, apart),) if text else (order.id,)
        size = text.size if text else 0
        last = open_.get(key, [])[-1:]
        if last and last[0].takes(row, size, LIST if bound else even):
            last[0].add(row, size)
        elif len(made) < room:
            made.append(_Draft())
            made[-1].add(row, size)
            open_.setdefault(key, []).append(made[-1])
        elif text:
            left.append((row, key, size))
    for row, key, size in left:
        draft = next((each for each in open_.get(key, ()) if each.takes(row, size, LIST)), None)
        if draft is not None:
            draft.add(row, size)
    return [draft.orders for draft in made]


def _key(order: Order, text: Text, apart: Collection[str]) -> Key:
    sender = order.sender if order.sender in apart else None
    return text.form, order.accounts, order.batch, order.request_id, sender
