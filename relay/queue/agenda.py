"""What is due, and when the next thing will be: the questions of all that runs round after round.

What is due is found by an index, however long the queue, and never more of it than was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.sql import ClauseElement

from relay.queue import parts
from relay.queue import statements as sql
from relay.queue.engine import Engine, Query
from relay.queue.followups import Notice, Step
from relay.queue.rows import Order, Request
from relay.queue.states import State

_FAR = 1 << 32  # beyond any rank
_WOKEN = 8  # steps in which orders wake before what is awake is looked at
_NOT_THERE = (State.WAITING, State.SENDING, State.UNSURE)  # on their way to the provider


class Agenda:
    """What is to be done, of a process's own part of the work.

    `own` has, by account, of how many parts which number is its own; all of it where none is named.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.own: dict[str, tuple[int, int]] = {}

    async def _one(self, statement: ClauseElement, **parameters: Any) -> int | None:
        rows = await self.engine.read(statement, **parameters)
        return next(iter(rows[0].values())) if rows else None

    async def _least(self, *queries: Query) -> int | None:
        moments = [next(iter(rows[0].values())) for rows in await self.engine.read_all(*queries)]
        return min((moment for moment in moments if moment is not None), default=None)

    async def _orders(self, statement: ClauseElement, **parameters: Any) -> list[Order]:
        return [Order.of(row) for row in await self.engine.read(statement, **parameters)]

    # -- calls -------------------------------------------------------------------------

    async def everything_due(
        self, account: str, now: int, *, requests: int, polls: int, orders: int, but: Iterable[str] = ()
    ) -> tuple[list[Request], list[Order], list[Order]]:
        """Requests, sent orders and waiting orders whose time has come, so many of each at most.

        Waiting orders come by rank, then age, but for those of some senders, and those among them
        that have expired too; the others by how long they have been due. Where thousands sleep whose
        time has come a part of them wakes, and takes its place, with each question.
        """
        due: dict[str, Any] = {"account": account, "now": now}
        asked = sql.DUE_REQUESTS, sql.DUE_POLLS, sql.DUE
        own = self.own.get(account, (1, 0))
        if own != (1, 0):
            due |= {"of": own[0], "number": own[1], "late": now - parts.LEFT}
            asked = parts.DUE_REQUESTS, parts.DUE_POLLS, parts.DUE
        woken = False
        while True:
            *found, overslept = await self.engine.read_all(
                (asked[0], {**due, "many": requests}),
                (asked[1], {**due, "many": polls}),
                (asked[2], {**due, "many": orders, "but": list(but)}),
                (sql.OVERSLEPT, {"account": account, "now": now}),
            )
            if not overslept or (woken and len(found[2]) >= orders):
                break
            await self._wake(account, now)
            woken = True
        if own != (1, 0) and (room := orders - len(found[2])) > 0:
            found[2] += await self.engine.read(parts.DUE_LEFT, **due, many=room, but=list(but))
            found[2].sort(key=lambda row: (row["rank"], row["id"]))
        return (
            [Request.of(row) for row in found[0]],
            [Order.of(row) for row in found[1]],
            [Order.of(row) for row in found[2]],
        )

    async def due_to(
        self, account: str, targets: Iterable[str], now: int, many: int, but: Iterable[str] = ()
    ) -> list[Order]:
        """Waiting orders to some targets whose time has come, so many to each at most, by rank, then age."""
        given = {"account": account, "now": now, "many": many, "but": list(but)}
        found = await self.engine.read_all(*((sql.DUE_TO, {**given, "target": to}) for to in targets))
        return sorted(
            (Order.of(row) for rows in found for row in rows), key=lambda order: (order.rank, order.id)
        )

    async def due_forwards(self, now: int, many: int, after: Order | None = None) -> list[Order]:
        """Waiting orders that go past the provider and whose time has come, or is over, by rank, then age."""
        rank, key = (after.rank, after.id) if after else (-_FAR, 0)
        while await self.engine.read(sql.OVERSLEPT, account="", now=now):
            await self._wake("", now)
        return await self._orders(sql.DUE_FORWARDS, account="", now=now, many=many, rank=rank, key=key)

    async def to_move(self, account: str, now: int, many: int, after: Order | None = None) -> list[Order]:
        """Orders that wait for an account and that another may carry as well, by rank, then age."""
        rank, key = (after.rank, after.id) if after else (-_FAR, 0)
        return await self._orders(sql.TO_MOVE, account=account, now=now, many=many, rank=rank, key=key)

    async def next_send(self, account: str, now: int) -> int | None:
        """When the next waiting order of an account falls due that is not due now."""
        asked = {"account": account, "now": now}
        return await self._least(*((sql.NEXT_DUE, {**asked, "asleep": asleep}) for asleep in (0, 1)))

    async def next_question(self, account: str) -> int | None:
        """When the next question of an account falls, or fell, due."""
        asked = {"account": account}
        return await self._least((sql.NEXT_REQUEST, asked), (sql.NEXT_POLL, asked))

    # -- sleep -------------------------------------------------------------------------

    async def lay_down(self, after: int) -> bool:
        """What waits for a time after that is put to sleep, where there is much of it; whether any was.

        Nothing changes by it but what it costs to find the others: whoever is asleep wakes in time.
        """
        laid = False
        for account in ["", *await self._accounts(sql.NEXT_WAITING_AT)]:
            asked = {"account": account, "after": after}
            if await self.engine.read(sql.RESTLESS, **asked):
                laid = await self._all_of(sql.LAY_DOWN, **asked) or laid
        return laid

    async def _wake(self, account: str, now: int) -> None:
        """Wake some thousand, those first that were due first: nobody waits until a million are awake."""
        for _ in range(_WOKEN):
            if not await self.engine.delete(sql.WAKE, account=account, now=now):
                return

    async def _all_of(self, statement: ClauseElement, **parameters: Any) -> bool:
        """Run what takes STEP rows at most until it finds none, others write in between; whether any was."""
        ran = False
        while await self.engine.delete(statement, **parameters):
            ran = True
        return ran

    async def _accounts(self, statement: ClauseElement) -> list[str]:
        """The names that a statement finds one after the other."""
        found: list[str] = []
        while name := await self._one(statement, key=found[-1] if found else ""):
            found.append(name)  # type: ignore[arg-type]
        return found

    # -- what time brings --------------------------------------------------------------

    async def expired(self, now: int, many: int) -> list[Order]:
        """Orders that waited past their time."""
        asked = {"now": now, "many": many}
        found = await self.engine.read_all(
            (sql.EXPIRED, asked), *((sql.EXPIRED_MERGED, {**asked, "kind": kind}) for kind in sql.NOT_SENT)
        )
        return [Order.of(row) for rows in found for row in rows][:many]

    async def lapsed(self, before: int, many: int) -> list[Order]:
        """Orders on their way whose lease ran out before a moment, the longest ago first."""
        return await self._orders(parts.LAPSED, before=before, many=many)

    async def open_since(self, before: int, many: int) -> list[Order]:
        """Sent or unsure orders whose time came before a moment and that have no final word."""
        return await self._orders(sql.OPEN_SINCE, before=before, many=many)

    async def next_deadline(self, give_up: int) -> int | None:
        """When the next order expires, owes a delay warning, or is given up."""
        opened = await self._oldest(State.SENT, State.UNSURE)
        merged: list[Query] = [(sql.NEXT_EXPIRY_MERGED, {"kind": kind}) for kind in sql.NOT_SENT]
        moments = [await self._least((sql.NEXT_EXPIRY, {}), (sql.NEXT_WARNING, {}), *merged)]
        moments.append(None if opened is None else opened + give_up)
        return min((moment for moment in moments if moment is not None), default=None)

    async def _oldest(self, *states: State) -> int | None:
        return await self._least(*((sql.OLDEST, {"state": state}) for state in states))

    async def to_warn(self, now: int, many: int) -> list[Order]:
        """Orders that owe a delay warning."""
        return await self._orders(sql.TO_WARN, now=now, many=many)

    async def held_by(self, cap: str, many: int) -> list[Order]:
        """Orders that a cap holds, oldest first."""
        return await self._orders(sql.HELD_BY, cap=cap, many=many)

    async def next_held_cap(self, after: str) -> str | None:
        """The next cap, by its name, that holds an order; "-" holds none."""
        return await self._one(sql.HELD_CAPS, cap=after)  # type: ignore[return-value]

    async def oldest_order(self, but: str) -> Order | None:
        """The order, of all sources but one, whose time came or comes first and that is not sent."""
        asked = [(sql.OLDEST_ORDER, {"source": but, "state": state}) for state in _NOT_THERE]
        found = [Order.of(row) for rows in await self.engine.read_all(*asked) for row in rows]
        return min(found, key=lambda order: order.start_at, default=None)

    async def oldest(self) -> int | None:
        """Since when the order has been due that has waited longest for the provider."""
        return await self._oldest(*_NOT_THERE)

    # -- what follows orders -----------------------------------------------------------

    async def due_steps(self, now: int, many: int) -> list[Step]:
        """Steps of escalation whose time has come, so many at most."""
        return [Step.of(row) for row in await self.engine.read(sql.DUE_STEPS, now=now, many=many)]

    async def next_step(self) -> int | None:
        return await self._one(sql.NEXT_STEP)

    async def due_notices(self, now: int, many: int) -> list[Notice]:
        return [Notice.of(row) for row in await self.engine.read(sql.DUE_NOTICES, now=now, many=many)]

    async def next_notice(self) -> int | None:
        return await self._one(sql.NEXT_NOTICE)
