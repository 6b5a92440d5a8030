"""The members of a group of the provider: orders under the group's own, however they are learnt of.

An answer tells of them, the history, or a callback, the last even before the answer. Whoever
makes a member's row changes the group's row too, so that two can't make the same member.
"""

from __future__ import annotations

from collections.abc import Iterable

from relay.delivery.news import MEMBER, member_row, news_of, of_group
from relay.delivery.settle import Settler
from relay.model import Kind, Outcome
from relay.queue import schema
from relay.queue.engine import Change
from relay.queue.rows import Order
from relay.queue.states import FINAL, State
from relay.queue.store import Store
from relay.smsc.wire import same_phone


async def unmet(store: Store, group: Order, phones: Iterable[str]) -> list[str]:
    """Those phones that are no members of the group yet."""
    known = {same_phone(member.target) for member in await store.members([group.id])}
    return [phone for phone in phones if same_phone(phone) not in known]


def bear(
    change: Change, store: Store, group: Order, phone: str, first_poll: int, told: Outcome = MEMBER
) -> int:
    """Add a member's row to a change, to be asked about after `first_poll`; its key.

    A refusal that was `told` with the group's acceptance is told by nobody again: the row keeps
    it, so that a relay that stops before it is settled finds it there.
    """
    row = member_row(
        store.new_id(),
        group,
        phone,
        store.clock.now(),
        (first_poll,),
        told if told.kind is Kind.REFUSED else MEMBER,
    )
    change.inserts.append((schema.orders, schema.row(schema.orders, **row)))
    return int(row["id"])


async def close(store: Store, settler: Settler, group: Order) -> None:
    """A group whose members were all final before it was `sent` is final now."""
    ends = {member.state for member in await store.members([group.id])}
    if not ends or not ends <= FINAL:
        return
    if [fresh.state for fresh in await store.orders([group.id])] == [State.SENT]:
        await settler.surely([news_of(group.id, of_group(ends))])
