"""Which facts are owed to a sender: decided when an order moves, from rows alone.

NOTIFY beats the configuration (RFC 3461 section 4.1). Nobody is owed anything by a null
sender, for an automatic reply (RFC 3834 section 2), or where the sender's address was not
verified: a report to a forged address would be backscatter.

A recipient may be served by several orders (an alias, a group). A failure is told for each;
that it went well is told once, when it has gone well for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.config import Reports
from relay.message import channels
from relay.model import MINUTE, Auto, Kind, Notify, Outcome
from relay.queue.rows import Mail, Order, Recipient
from relay.queue.states import AT_PROVIDER, State
from relay.report.values import Action

USUAL_DELAY = 15 * MINUTE
"""When a warning that NOTIFY=DELAY asks for is owed where the configuration wants none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A notice to be: what is owed about an order."""

    order: Order
    action: Action
    outcome: Outcome
    unknown: bool = False


def owed(
    mail: Mail,
    recipient: Recipient,
    reports: Reports,
    action: Action,
    *,
    unknown: bool = False,
    asked: bool = False,
) -> bool:
    """Whether the sender is to hear of this action at all.

    Whoever `asked` (HLR, ping) hears the answer, unless NOTIFY declines it.
    """
    if not _answered(mail):
        return False
    wishes = recipient.wishes
    if asked and not wishes - {Notify.DELAY} and action is not Action.DELAYED:
        return True
    if unknown or action is Action.FAILED:
        return Notify.FAILURE in wishes if wishes else reports.failure
    if action is Action.DELAYED:
        return Notify.DELAY in wishes if wishes else reports.delay > 0
    return Notify.SUCCESS in wishes if wishes else reports.success != "never"


def _answered(mail: Mail) -> bool:
    """Whether its sender is one who gets reports."""
    return bool(mail.sender and mail.verified and mail.auto not in (Auto.REPLIED, Auto.REPORT))


def warn_after(mail: Mail, recipient: Recipient, reports: Reports, *, asked: bool = False) -> int | None:
    """How long after the 250 a delay warning is owed; None where none is.

    Whoever `asked` when to be told (RFC 2852) is, unless NOTIFY declines it.
    """
    if not owed(mail, recipient, reports, Action.DELAYED) and not (
        asked and _answered(mail) and not recipient.wishes
    ):
        return None
    return reports.delay or USUAL_DELAY


def success_at(reports: Reports) -> Action:
    """Which good news is told: with NOTIFY=SUCCESS the handset's, unless `success` says sooner."""
    return Action.RELAYED if reports.success == "accepted" else Action.DELIVERED


def after_move(
    order: Order,
    before: State,
    state: State,
    outcome: Outcome,
    *,
    mail: Mail,
    recipient: Recipient,
    siblings: Sequence[Order],
    reports: Reports,
) -> list[Fact]:
    """What is owed when `order`, or the order that speaks for it, moves from `before` to `state`.

    `siblings` are the recipient's orders, this one among them or not.
    """
    match state:
        case State.FAILED | State.DROPPED | State.UNKNOWN if any(
            each.parent_id == order.id for each in siblings
        ):
            return []  # a group's own order: what became of its members has been told
        case State.FAILED | State.DROPPED if outcome.status.startswith("2."):
            return []  # somebody took the alarm before it was his turn, which its sender is told
        case State.FAILED | State.DROPPED:
            action, unknown = Action.FAILED, False
        case State.UNKNOWN:
            action, unknown = (Action.RELAYED if order.sent_at else Action.FAILED), True
        case State.SENT | State.DELIVERED:
            return _good_news(order, before, state, outcome, mail, recipient, siblings, reports)
        case _:
            return []
    if not owed(mail, recipient, reports, action, unknown=unknown, asked=channels.asks(order.channel)):
        return []
    return [Fact(order=order, action=action, outcome=outcome, unknown=unknown)]


def _good_news(
    order: Order,
    before: State,
    state: State,
    outcome: Outcome,
    mail: Mail,
    recipient: Recipient,
    siblings: Sequence[Order],
    reports: Reports,
) -> list[Fact]:
    asked = channels.asks(order.channel)
    is_group = any(each.parent_id == order.id for each in siblings)
    as_a_whole = is_group if asked else order.parent_id is not None
    if as_a_whole or before is state:
        return []  # a group is told of as a whole, but each answer by itself
    others = [each for each in siblings if each.id != order.id and each.parent_id is None]
    others = [] if asked or not order.hidden else others  # whom the sender named is told of by itself
    wished = recipient.traced or outcome.untimed  # or his time could not be passed on (RFC 2852 4.1.4.2)
    traced = wished and Notify.NEVER not in recipient.wishes and _answered(mail)
    gone_on = state is State.SENT or order.forwarded
    if traced and gone_on and all(_went_well(each, Action.RELAYED) for each in others):
        return [Fact(order=order, action=Action.RELAYED, outcome=outcome)]
    if outcome.passed_on:
        return []
    wanted = Action.DELIVERED if asked else success_at(reports)
    if wanted is Action.DELIVERED and state is State.SENT:
        return []
    if wanted is Action.RELAYED and state is State.DELIVERED and before is State.SENT:
        return []  # told when it was accepted
    if not all(_went_well(each, wanted) for each in others):
        return []
    # the next mail server has it, which is as much as will ever be known here
    arrived = state is State.DELIVERED and not order.forwarded
    action = Action.DELIVERED if arrived else Action.RELAYED
    if not owed(mail, recipient, reports, action, asked=asked):
        return []
    return [Fact(order=order, action=action, outcome=outcome)]


def _went_well(order: Order, wanted: Action) -> bool:
    """Whether the good news that is wanted holds for this order, or for the one that speaks for it."""
    if order.state is State.MERGED:
        kinds = {Kind.DELIVERED} if wanted is Action.DELIVERED else {Kind.DELIVERED, Kind.ACCEPTED}
        return order.kind in kinds
    return order.state is State.DELIVERED or (wanted is Action.RELAYED and order.state in AT_PROVIDER)


def correction(
    order: Order, ended: State, outcome: Outcome, *, mail: Mail, recipient: Recipient, reports: Reports
) -> list[Fact]:
    """Delivered after the sender was told otherwise: owed once, to whoever was told.

    `ended` is how the order ended, or the one that speaks for it.
    """
    told_otherwise = ended in (State.FAILED, State.UNKNOWN) and order.kind != Kind.DELIVERED
    if not told_otherwise or not owed(mail, recipient, reports, Action.FAILED):
        return []
    return [Fact(order=order, action=Action.DELIVERED, outcome=outcome)]
