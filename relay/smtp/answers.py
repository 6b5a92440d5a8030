"""What DATA is answered where the provider's outcome was awaited. Pure.

A recipient is refused where all of its orders have failed, and sent where the provider has all of
them; whatever else there is (tried again later, held, of unknown fate, half and half) is queued: the
250 stands, and reports tell the rest. Never a 4xx: the mail is stored and goes on being tried, and
who was told 4xx would send it once more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import Enum, auto

from relay import model, replies
from relay.model import Kind
from relay.queue.rows import Order
from relay.queue.states import State
from relay.replies import Reply

_OF_THE_MAIL = ("5.3.", "5.5.", "5.6.", "5.7.")
"""Statuses whose cause is in the mail, the account or a rule, and so concerns every recipient."""


class Fate(Enum):
    """What can be said of an order by now."""

    OPEN = auto()  # it is on its way to the provider: wait
    SENT = auto()  # the provider has it
    FAILED = auto()  # for good
    QUEUED = auto()  # more will be known later


def fate(order: Order, until: int) -> Fate:
    """What can be said of an order, for whoever waits no longer than `until`."""
    match order.state:
        case State.SENT | State.DELIVERED:
            return Fate.SENT
        case State.FAILED | State.DROPPED:
            return Fate.FAILED
        case State.UNKNOWN | State.HELD:
            return Fate.QUEUED
        case State.WAITING:
            return Fate.QUEUED if min(order.due_at, order.expire_at) > until else Fate.OPEN
        case State.MERGED:
            return _spoken_for(order)
        case _:
            return Fate.OPEN


def _spoken_for(order: Order) -> Fate:
    """Another order speaks for it, and shares what it hears."""
    if order.kind in (Kind.ACCEPTED, Kind.DELIVERED):
        return Fate.SENT
    if order.finished_at is None:
        return Fate.OPEN
    return Fate.QUEUED if order.kind == Kind.UNKNOWN else Fate.FAILED


def awaited(orders: Iterable[Order], until: int) -> set[int]:
    """The orders whose next move may settle the answer; empty where nothing need be waited for."""
    return {
        order.merged_into or order.id
        for order in orders
        if order.parent_id is None and fate(order, until) is Fate.OPEN
    }


def of_recipients(mail: int, orders: Sequence[Order], until: int) -> dict[int, Reply]:
    """The reply to each recipient of a mail, by the recipient's row."""
    grouped: dict[int, list[Order]] = {}
    for order in orders:
        if order.parent_id is None:
            grouped.setdefault(order.recipient_id, []).append(order)
    return {recipient: _of_one(mail, row, until) for recipient, row in grouped.items()}


def _of_one(mail: int, orders: Sequence[Order], until: int) -> Reply:
    fates = {fate(order, until) for order in orders}
    if fates == {Fate.FAILED}:
        return _refusal(orders[0])
    return _sent(mail, orders) if fates == {Fate.SENT} else replies.queued(model.show(mail))


def of_all(mail: int, each: Collection[Reply]) -> Reply:
    """The one reply that SMTP has for all recipients."""
    if not each:
        return replies.queued(model.show(mail))
    if all(not reply.good for reply in each):
        return worst(each)
    if len(each) == 1:
        return next(iter(each))
    if all(reply.text.startswith("sent") for reply in each):
        return replies.reply(250, "2.0.0", f"sent as {model.show(mail)} to {len(each)} recipients")
    return replies.queued(model.show(mail))


def worst(refusals: Collection[Reply]) -> Reply:
    """What concerns every recipient goes before what is wrong with one of them."""
    common = (reply for reply in refusals if reply.status.startswith(_OF_THE_MAIL))
    return next(common, next(iter(refusals)))


def _sent(mail: int, orders: Sequence[Order]) -> Reply:
    """With the provider's words for people who look into its statistics: id, parts, cost."""
    facts = [f"sent as {model.show(mail)}"]
    named = dict.fromkeys(order.request_id for order in orders if order.request_id)
    if named:
        facts.append("smsc id=" + ",".join(model.show(each) for each in list(named)[:5]))
    if len(orders) == 1 and named:
        (order,) = orders
        facts += [f"parts={order.parts}"] * (order.parts > 0)
        facts += [f"cost={order.cost}"] * bool(order.cost)
    return replies.reply(250, "2.0.0", " ".join(facts))


def _refusal(order: Order) -> Reply:
    """The failure as a 5xx; one that began as a temporary one is as final (RFC 3463 section 2)."""
    status = f"5{order.status[1:]}"
    code = {"5.3.4": 552, "5.1.": 550, "5.2.": 550, "5.7.": 550}
    found = next((each for start, each in code.items() if status.startswith(start)), 554)
    said = model.quoted(order.code, order.words)
    return replies.reply(found, status, f"{order.reason} {said}".rstrip())
