"""What a phone may hear now: the same text once a window, and never an endless chain.

The provider refuses the same request within a minute, and blocks a phone that gets more than
fifty messages with gaps under a minute. Both are kept here, pure, from rows: an order whose
text the phone heard within the window is merged into the order that said it, and after 45
messages in a chain a phone has 61 seconds of silence.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from relay.model import SECOND
from relay.queue.rows import Order, Phone

CHAIN_MOST = 45
CHAIN_GAP = 61 * SECOND


@dataclass(slots=True)
class Judged:
    """What is to be done with each order, and what the phones will have heard then."""

    send: list[Order] = field(default_factory=list)
    merge: list[tuple[Order, int]] = field(default_factory=list)  # with the id of the one that speaks
    wait: list[tuple[Order, int]] = field(default_factory=list)  # until this moment
    phones: dict[str, Phone] = field(default_factory=dict)  # as they were, by target


def judge(
    orders: Sequence[Order],
    phones: Mapping[str, Phone],
    *,
    window: int,
    now: int,
    unsaid: Collection[int] = (),
) -> Judged:
    """Decide for orders of one account, in their order. A retried order does not hear itself.

    `unsaid` are orders that were claimed but never reached the provider and never will: they
    speak for nobody.
    """
    judged = Judged()
    heard = dict(phones)
    for order in orders:
        phone = heard[order.target]
        speaker = _speaker(order, phone, window, now, unsaid)
        if speaker is not None:
            judged.merge.append((order, speaker))
            continue
        after = having_heard(phone, order, window=window, now=now)
        if after.chain > CHAIN_MOST and order.channel != "mail":
            judged.wait.append((order, phone.last_at + CHAIN_GAP))
            continue
        judged.send.append(order)
        heard[order.target] = after
    judged.phones = heard
    return judged


def _speaker(order: Order, phone: Phone, window: int, now: int, unsaid: Collection[int]) -> int | None:
    for says, at, who in phone.heard:
        if says == order.says and who != order.id and who not in unsaid and 0 <= now - at < window:
            return who
    return None


def having_heard(phone: Phone, order: Order, *, window: int, now: int) -> Phone:
    """The phone after it heard an order now. What a clock that jumped back left in the future is past."""
    goes_on = 0 <= now - phone.last_at < CHAIN_GAP
    recent = [each for each in phone.heard if 0 <= now - each[1] < window and each[2] != order.id]
    texts = json.dumps([*recent, (order.says, now, order.id)])
    return replace(phone, last_at=now, chain=phone.chain + 1 if goes_on else 1, texts=texts)
