"""What counts towards caps: read, judged and added up; the rules are those of `caps`.

Amounts are added in the transaction in which an order comes or moves, so a crash loses and
doubles nothing. Who judges and then writes does both under `lock`: of two mails at once, one
sees the other. Mails that come while others are written are judged together, one after the other,
and written in one transaction (`written`). The lock is this process's. Between processes on one
database versions tell: the change names the caps that it was judged by as they were read, and is
stale where another process has judged by one of them since; then it is judged anew.

What can go wrong. A mail that was counted turns out to be a repeat, or can't be written: whoever
was over a cap because of it is judged anew before anything is said of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from relay.config import Cap
from relay.delivery import caps
from relay.delivery.caps import Over, Use, Want
from relay.delivery.news import News, person, said
from relay.model import Kind, Outcome
from relay.queue import schema
from relay.queue.engine import Change, Stale
from relay.queue.intake import Intake
from relay.queue.rows import Order
from relay.queue.states import Event, State
from relay.queue.store import Store, tell

_TRIES = 50  # of nodes that take mail towards the same cap one gets through each time
TOGETHER = 100  # mails that are judged in one go
Told = Callable[[Collection[Over]], None]


@dataclass(slots=True, eq=False)
class _Entry:
    """A mail that is to be judged and written."""

    made: Callable[[], Intake]
    taken: Intake
    written: asyncio.Future[tuple[Intake, int | None]]
    left: int = _TRIES


class Counting:
    """The counts of one process. `told` hears of caps that were reached."""

    def __init__(self, store: Store, rules: Sequence[Cap], told: Told = lambda _over: None) -> None:
        self._store = store
        self._caps = rules
        self.told = told
        self.lock = asyncio.Lock()
        self._entries: deque[_Entry] = deque()
        self._judging: asyncio.Task[None] | None = None

    def adopt(self, rules: Sequence[Cap]) -> None:
        """Go on by a re-read configuration."""
        self._caps = rules

    @contextlib.asynccontextmanager
    async def alone(self, orders: Sequence[Order]) -> AsyncIterator[None]:
        """Nobody else takes mail towards a cap meanwhile; mail that no cap touches waits for nobody."""
        async with self.lock if self._touched(orders) else contextlib.nullcontext():
            yield

    def _touched(self, orders: Sequence[Order]) -> bool:
        """Whether any of these counts towards a cap."""
        return bool(self._caps) and any(caps.touching(self._caps, caps.want(order)) for order in orders)

    # -- judging --------------------------------------------------------------------------

    async def over(self, wants: Sequence[Want]) -> dict[int, Over]:
        """Which of these messages, by their places, no cap has room for."""
        used = await self._used(wants)
        return caps.judge(self._caps, wants, used) if used is not None else {}

    async def refused(self, wants: Sequence[Want], *, before: int = 0) -> dict[int, Over]:
        """Recipients, by their numbers, for none of whose messages caps that refuse have room.

        `before` are earlier messages of the same mail, for which sender and account need room as well.
        """
        if not self._caps or not wants:
            return {}
        earlier = [Want(source=wants[0].source, account=wants[0].account)] * before
        over = await self.over([*earlier, *wants])
        found: dict[int, Over] = {}
        stays: set[int] = set()
        for place, each in enumerate(wants, start=before):
            if place in over and over[place].cap.over == "refuse":
                found.setdefault(each.recipient, over[place])
            else:
                stays.add(each.recipient)
        refused = {recipient: each for recipient, each in found.items() if recipient not in stays}
        if refused:
            self.told(list(refused.values()))
        return refused

    def measured(self, order: Order) -> bool:
        """Whether a cap on parts or money counts what the order costs, which its answer tells."""
        touching = caps.touching(self._caps, caps.want(order)) if self._caps else ()
        return any(cap.parts is not None or cap.cost is not None for cap, _counted in touching)

    async def spent(self, orders: Sequence[Order]) -> dict[int, Over]:
        """Which of these orders, by their places, wait for caps on parts or money."""
        wants = [caps.want(order) for order in orders]
        if all(cap.parts is cap.cost is None for cap in self._caps):
            return {}
        used = await self._used(wants)
        if used is None:
            return {}
        found = caps.spent(self._caps, wants, used)
        return {place: over for place, over in found.items() if orders[place].cap != caps.PASSED}

    async def _used(self, wants: Sequence[Want]) -> dict[str, Use] | None:
        """What the caps that these touch have counted; None where they touch none."""
        names = {counted for each in wants for _cap, counted in caps.touching(self._caps, each)}
        if not names:
            return None
        now = self._store.clock.now()
        windows: dict[int, list[str]] = {}
        for counted in names:
            windows.setdefault(caps.since(counted, now), []).append(counted)
        rows = await self._store.spent([(many, above) for above, many in windows.items()], now)
        return {
            counted: Use(messages=row["messages"], parts=row["parts"], cost=row["cost"])
            for counted, row in rows.items()
        }

    # -- counting -------------------------------------------------------------------------

    def taken(self, change: Change, orders: Sequence[Order]) -> None:
        """New orders come with this change."""
        for order in orders:
            if order.counted_at is not None:
                self._add(change, order, order.counted_at, messages=1)

    def moved(self, change: Change, before: Order, after: Order) -> dict[str, Any]:
        """An order changes with this change; the columns that change with it."""
        now = self._store.clock.now()
        if self._caps:
            parts = after.parts - before.parts
            cost = caps.millionths(after.cost) - caps.millionths(before.cost)
            if parts or cost:
                self._add(change, after, now, parts=parts, cost=cost)
        if caps.counts(after) == (before.counted_at is not None):
            return {}
        if before.counted_at is not None:
            self._add(change, after, before.counted_at, messages=-1)
            return {"counted_at": None}
        self._add(change, after, now, messages=1)
        return {"counted_at": now}

    def _add(self, change: Change, order: Order, at: int, **amounts: int) -> None:
        for counted in {counted for _cap, counted in caps.touching(self._caps, caps.want(order))}:
            change.add(counted, caps.step(counted, at), **amounts)

    # -- between processes ----------------------------------------------------------------

    async def read(self, orders: Sequence[Order]) -> dict[str, int]:
        """The caps on messages that these touch, as they stand before it is judged by them."""
        return await self._store.decided_upon(self._numbered(orders)) if self._store.shared else {}

    def decide(self, change: Change, before: Mapping[str, int], orders: Sequence[Order]) -> None:
        """The change lets these count towards caps that were read; Stale where others did meanwhile.

        A cap that a re-read configuration brought meanwhile was not read, and nobody was judged by it.
        """
        if before:
            change.counts |= {each: before[each] for each in self._numbered(orders) & before.keys()}

    def _numbered(self, orders: Sequence[Order]) -> set[str]:
        touched = [each for order in orders for each in caps.touching(self._caps, caps.want(order))]
        return {counted for cap, counted in touched if cap.messages is not None}

    # -- holding --------------------------------------------------------------------------

    async def written(self, made: Callable[[], Intake]) -> tuple[Intake, int | None]:
        """Write what was made, held where it is over a cap; made anew where others took what was left.

        The earlier mail's id, where it repeats one. Raises engine.Trouble.
        """
        taken = made()
        if not self._touched(taken.orders):
            return taken, await self._store.write(taken.change)
        entry = _Entry(made, taken, asyncio.get_running_loop().create_future())
        self._entries.append(entry)
        if self._judging is None or self._judging.done():
            self._judging = asyncio.create_task(self._judge(), name="caps")
        return await entry.written

    async def _judge(self) -> None:
        """Judge and write what waits for it, as much at a time as has come meanwhile."""
        while self._entries:
            async with self.lock:
                waiting = [self._entries.popleft() for _ in range(min(TOGETHER, len(self._entries)))]
                entries = [each for each in waiting if not each.written.done()]  # its client has gone
                try:
                    await self._together(entries)
                except Exception as error:  # noqa: BLE001 - each of them is told
                    for each in entries:
                        if not each.written.done():
                            each.written.set_exception(error)

    async def _together(self, entries: Sequence[_Entry]) -> None:
        """Judge mails one after the other, and write them at once."""
        orders = [order for each in entries for order in each.taken.orders]
        before = await self.read(orders)
        over = await self.over([caps.want(order) for order in orders])
        sure, unsure, place = [], [], 0
        rests: set[str] = set()  # caps that count what is not written yet
        together = object()
        for each in entries:
            places = range(place, place := place + len(each.taken.orders))
            found = {n: over[at] for n, at in enumerate(places) if at in over}
            rests_on = {cap.name for cap in found.values()} & rests
            rests |= self._numbered([order for n, order in enumerate(each.taken.orders) if n not in found])
            if rests_on:
                unsure.append(each)
            else:
                self._hold(each.taken, found, before)
                each.taken.change.together = together
                sure.append(each)
        answers = await asyncio.gather(
            *(self._store.write(each.taken.change) for each in sure), return_exceptions=True
        )
        self._entries.extendleft(reversed(unsure))
        for each, answer in zip(sure, answers, strict=True):
            self._answer(each, answer)

    def _answer(self, entry: _Entry, answer: int | BaseException | None) -> None:
        entry.left -= 1
        if entry.written.done():
            return
        if isinstance(answer, Stale) and entry.left:
            entry.taken = entry.made()
            self._entries.append(entry)
        elif isinstance(answer, BaseException):
            entry.written.set_exception(answer)
        else:
            entry.written.set_result((entry.taken, answer))

    async def hold_at_once(self, taken: Intake) -> None:
        """Orders that come with this mail: those over a cap are held, all others count."""
        if not self._caps:
            return
        before = await self.read(taken.orders)
        self._hold(taken, await self.over([caps.want(order) for order in taken.orders]), before)

    def _hold(self, taken: Intake, found: Mapping[int, Over], before: Mapping[str, int]) -> None:
        """Hold the orders that were found to be over a cap, by their places; the others count."""
        now = self._store.clock.now()
        rows = {values["id"]: values for table, values in taken.change.inserts if table is schema.orders}
        for place, over in found.items():
            outcome = held(over)
            columns = {"state": State.HELD, "cap": over.name, "counted_at": None, **said(outcome)}
            taken.orders[place] = order = replace(taken.orders[place], **columns)
            values = rows[order.id]
            values |= {**columns, "state": State.HELD.value}
            if values["warn_at"] is not None:
                values["warn_at"] = now  # the sender hears of it now, not when it is late
            tell(taken.change, self._store, order.id, Event.HELD.value, f"{outcome.status} {outcome.reason}")
        self.taken(taken.change, taken.orders)
        self.decide(taken.change, before, [order for n, order in enumerate(taken.orders) if n not in found])
        if found:
            self.told(list(found.values()))


def held(over: Over) -> Outcome:
    """What is said of an order that a cap holds."""
    return person(Kind.LATER, "4.7.1", f"{over.why}; the message is held until there is room again")


def held_back(order: Order, over: Over, now: int) -> News:
    """The news of an order that was to go out and is held by a cap; it waits for no digest any more."""
    columns = {"cap": over.name, "over_at": None} | ({} if order.warn_at is None else {"warn_at": now})
    return News(order=order.id, event=Event.HELD, outcome=held(over), columns=columns)
