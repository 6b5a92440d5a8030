"""What is due of a node's own part of the work, where several share a queue.

The nodes divide orders by phone and requests by id, so that they seldom reach for the same rows
at once: versions let one of them win, but the others have read and judged for nothing. What its
own node leaves lying is anybody's.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, bindparam, case, func, literal_column, not_, select
from sqlalchemy.sql.elements import ColumnElement

from relay.model import SECOND
from relay.queue import schema
from relay.queue import statements as sql
from relay.queue.states import State

LEFT = 5 * SECOND
"""What is due for so long is anybody's."""


def _mine(hashed: ColumnElement[int]) -> ColumnElement[bool]:
    positive = hashed.op("&")(literal_column("2147483647"))
    of, number = bindparam("of", type_=BigInteger), bindparam("number", type_=BigInteger)
    # Of a comparison PostgreSQL believes that next to none have it, and would rather read and sort them all.
    yes, no = (literal_column(word, Boolean) for word in ("true", "false"))
    return case((func.mod(positive, of) == number, yes), else_=no)


_by_phone = _mine(func.hashtext(schema.orders.c.target))
_late = schema.orders.c.due_at <= bindparam("late")

DUE = sql.DUE.where(_by_phone)
DUE_LEFT = sql.DUE.where(not_(_by_phone), _late)
DUE_REQUESTS = sql.DUE_REQUESTS.where(
    _mine(func.hashint8(schema.request.c.id)) | (schema.request.c.due_at <= bindparam("late"))
)
DUE_POLLS = sql.DUE_POLLS.where(
    _mine(func.hashint8(schema.orders.c.id)) | (schema.orders.c.poll_at <= bindparam("late"))
)
LAPSED = (
    select(schema.orders)
    .where(
        schema.orders.c.lease_until <= bindparam("before"),
        schema.orders.c.state == State.SENDING,
        schema.orders.c.finished_at.is_(None),
    )
    .order_by(schema.orders.c.lease_until)
    .limit(bindparam("many"))
)
