"""What a report says of each recipient, out of the rows of the notices that are due."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from relay import model
from relay.message import channels
from relay.message.wording import uncommented
from relay.queue.followups import Notice, Step
from relay.queue.rows import Content, Order, Recipient
from relay.queue.states import State
from relay.report import spoken
from relay.report import steps as escalation
from relay.report.values import Action, Entry

_EXCERPT = 100


def of(
    notices: Sequence[Notice],
    recipients: Mapping[int, Recipient],
    orders: Sequence[Order],
    contents: Mapping[int, Content],
    speakers: Mapping[int, Order],
    *,
    steps: Sequence[Step] = (),
    language: str,
    remote: Callable[[Order], str],
) -> tuple[Entry, ...]:
    """An entry for each recipient and fate: all orders that met the same one together.

    But those whom the sender named himself, and answers, stand by themselves.
    """
    grouped: dict[tuple[int, str, int, str, str, int], list[Notice]] = {}
    by_id = {order.id: order for order in orders}
    for n in notices:
        order = by_id[n.order_id]
        alone = order.id if _named(order) or channels.asks(order.channel) else 0
        grouped.setdefault((n.recipient_id, n.action, n.unknown, n.status, n.code, alone), []).append(n)
    ordered = sorted(grouped.items(), key=lambda item: recipients[item[0][0]].position)
    return tuple(
        _entry(row, recipients[key[0]], by_id, contents, speakers, steps, language, remote)
        for key, row in ordered
    )


def _entry(
    notices: Sequence[Notice],
    recipient: Recipient,
    orders: Mapping[int, Order],
    contents: Mapping[int, Content],
    speakers: Mapping[int, Order],
    steps: Sequence[Step],
    language: str,
    remote: Callable[[Order], str],
) -> Entry:
    first = notices[0]
    order = orders[first.order_id]
    content = contents.get(order.content_id or 0)
    own = [each for each in orders.values() if each.recipient_id == recipient.id]
    below = [each for each in own if each.parent_id is not None]
    members = below or ([order] if _named(order) else own)
    action = Action(first.action)
    called = order.request_id or (order.forwarded and order.code)
    said = content.said if content else ()
    said += spoken.notes([orders[n.order_id] for n in notices], speakers, language)
    said += escalation.notes(steps, recipient.id, language)
    return Entry(
        address=recipient.address,
        action=action,
        status=first.status,
        reason=first.reason,
        orcpt=recipient.orcpt,
        channel=order.channel,
        code=first.code,
        text=first.words,
        remote=remote(order),
        phone="" if order.hidden or not order.target.startswith("+") else order.target,
        id=model.show(order.request_id) if order.request_id else "",
        label=order.label,
        parts=order.parts or (content.parts if content else 0),
        cost=order.cost,
        members=len(members),
        affected=len({n.order_id for n in notices})
        if action is Action.FAILED or channels.asks(order.channel)
        else len(members),
        last_attempt=order.sent_at or (order.finished_at or 0 if called else 0),
        will_retry_until=order.expire_at if action is Action.DELAYED else 0,
        unknown=bool(first.unknown),
        late=action is Action.DELIVERED and _ended(order, speakers) in (State.FAILED, State.UNKNOWN),
        notes=said,
        excerpt=_excerpt(content) if spoken.itself(order, speakers) else "",
    )


def _named(order: Order) -> bool:
    """The sender named this very phone: it is no member of an alias or a group."""
    return not order.hidden and order.parent_id is None


def _ended(order: Order, speakers: Mapping[int, Order]) -> State:
    """How the order ended, or the one that speaks for it."""
    own = speakers.get(order.merged_into or 0, order) if order.state is State.MERGED else order
    return own.state


def _excerpt(content: Content | None) -> str:
    """The beginning of what the phone reads; none of a mail's HTML."""
    if content is None or content.channel == "mail":
        return ""
    text = uncommented(content.text)
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"
