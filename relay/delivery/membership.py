"""This node among those that share the queue.

Read aloud: every BEAT say that this node lives; look who else does; divide slots and orders among
those that deliver; give up slots that are another's by now, keep and take the own ones; hear what
others learnt of the accounts; the node that leads takes over what dead ones left on its way.

News travels between the beats by word of mouth (`tell`, `heard`): new orders wake the workers of
the node whose part they are, moves wake who waits for them. Nothing relies on a word being heard: everybody
looks for himself every LOOK.

What can go wrong. The database does not answer: slots lapse by this node's own clock, so that no
call begins. A node stands still and wakes: its slots and leases are lapsed, and its calls are not
begun, or count no more. It is dead: its orders wait for the end of their leases, and for any call
to have ended, and are asked about then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from relay.delivery import claims, leases, shares
from relay.delivery.permits import Held
from relay.delivery.settle import Settler
from relay.delivery.worker import Worker
from relay.model import HOUR, SECOND
from relay.queue import nodes as rows
from relay.queue.engine import TooOld, Trouble
from relay.queue.nodes import Node, Nodes
from relay.queue.states import State
from relay.queue.store import Store

_log = logging.getLogger("relay.delivery")

BEAT = 2.0
"""Seconds between signs of life."""
LOOK = 5.0
"""Seconds between looks at what no word told."""
LOOK_DEAF = 1.0
"""The same where words can't be heard, behind a pooler."""
_GATHER = 0.002  # seconds in which words are gathered into one
_MARGIN = SECOND  # a lease ends so much earlier for who has it
_WORDS = 300  # keys in one word
STEP = 200
_GONE = "the node that made the call does not answer"


class Membership:
    """This node's part in what several do. `slots` are the accounts' slots, `held` those of this node."""

    def __init__(
        self,
        nodes: Nodes,
        *,
        store: Store,
        settler: Settler,
        workers: Mapping[str, Worker],
        slots: Mapping[str, int],
        delivers: bool,
        kick: Callable[[set[str]], None],
        moved: Callable[[Iterable[int]], None],
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        self._nodes = nodes
        self._store = store
        self._settler = settler
        self._workers = workers
        self._slots = slots
        self._delivers = delivers
        self._kick = kick
        self._moved = moved
        self._tell = tell
        self.held = {name: Held(store.clock.reading) for name in slots}
        self.deaf: Callable[[], bool] = lambda: False
        self.also: Callable[[], Awaitable[None]] | None = None
        """What else a look looks at."""
        self._wake = asyncio.Event()
        self._leads_until = 0
        self._orphans_at = 0
        self._looked_at = 0
        self._told: dict[str, dict[str, None]] = {}
        self._telling: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def leads(self) -> bool:
        """Whether this node does the chores."""
        return self._store.clock.reading() < self._leads_until

    async def start(self, left_by: int | None = None) -> None:
        """Join the others; of the process before this one nothing is under way. Raises engine.Trouble."""
        if left_by is not None:
            await self._nodes.end(left_by)
        await self._nodes.introduce()
        for account, most in self._slots.items():
            await self._nodes.make_slots(account, most)
        await self._beat()
        self._say("nodes", ())

    async def run(self) -> None:
        """Beat until stopped; raises engine.TooOld where a newer program has changed the schema."""
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._wake.wait()
            self._wake.clear()
            if self._stopping:
                return
            try:
                await self._beat()
                await self._look()
            except TooOld:
                raise
            except Trouble as trouble:
                _log.error("this node can't say that it lives", extra={"why": str(trouble)})

    def no_more(self) -> None:
        """End `run` after the beat under way."""
        self._stopping = True
        self._wake.set()

    async def stop(self) -> None:
        """Leave: what nobody needs any more is the others' at once."""
        self._stopping = True
        if self._telling is not None:
            await self._telling
        try:
            if not any(worker.in_flight for worker in self._workers.values()):
                await self._nodes.end(self._nodes.id)
            self._say("nodes", ())
            if self._telling is not None:
                await self._telling
        except Trouble as trouble:
            _log.error("this node could not leave", extra={"why": str(trouble)})

    async def all(self) -> list[Node]:
        """All nodes that live or lately did."""
        return await self._nodes.all()

    # -- a beat ---------------------------------------------------------------------------

    async def _beat(self) -> None:
        in_flight = sum(worker.calls for worker in self._workers.values())
        living = [node for node in await self._nodes.beat(in_flight) if node.delivers]
        await self._store.moment()
        if not self._delivers:
            return
        await self._lead()
        led = [node.id for node in living if node.leads]
        mine = shares.part([node.id for node in living], self._nodes.id, first=led)
        for account, most in self._slots.items():
            own = shares.work(mine, most)
            self._store.own[account] = own.of, own.number
            await self._hold(account, shares.slots(mine, most))
        await self._share_refusals()
        for worker in self._workers.values():
            await worker.standing.load()
        if self.leads:
            await self._take_over()

    async def _lead(self) -> None:
        before, led = self._store.clock.reading(), self.leads
        if await self._nodes.lead():
            self._leads_until = before + rows.LEASE - _MARGIN
            if not led:
                _log.info("this node leads")

    async def _hold(self, account: str, wanted: Collection[int]) -> None:
        """Keep this node's slots of an account, take what should be its own, give up what should not."""
        held, worker = self.held[account], self._workers[account]
        gone = shares.given_up(held.numbers, wanted, calls=worker.calls, asking=worker.asking)
        held.numbers -= gone  # before anything is awaited: no call begins on them
        before, had = self._store.clock.reading(), held.most
        held.numbers = await self._nodes.take(account, held.numbers.union(wanted))
        held.owed = held.numbers.difference(wanted)
        held.until = before + rows.LEASE - _MARGIN
        if gone:
            await self._nodes.leave(account, gone)
            self._say("nodes", ())
        if held.most > had:
            worker.kick()

    async def _share_refusals(self) -> None:
        for account, worker in self._workers.items():
            if told := worker.refusals.untold():
                await self._nodes.refused(account, told)
        found: dict[str, list[tuple[int, str]]] = {}
        for row in await self._nodes.refusals():
            found.setdefault(row["account"], []).extend([(row["at"], row["sender"])] * row["n"])
        for account, worker in self._workers.items():
            worker.refusals.hear(found.get(account, []))

    async def _take_over(self) -> None:
        """What nodes left on its way that died, or stand still, is asked about."""
        now = self._store.clock.now()
        while orders := await self._store.lapsed(now - rows.PATIENCE, STEP):
            _log.warning("orders are taken over", extra={"orders": len(orders)})
            await claims.reopen(self._store, self._settler, orders, [], why=_GONE)
            self._kick({order.account for order in orders})
        reading = self._store.clock.reading()
        if reading >= self._orphans_at:
            self._orphans_at = reading + HOUR
            await self._take_orphans(now - leases.SHARED_LEASE - rows.PATIENCE)
            await self._nodes.sweep()

    async def _take_orphans(self, before: int) -> None:
        """Requests whose answer nobody waits for any more, while their orders moved on, are asked about."""
        calling = [each for each in await self._store.calling() if (each.sent_at or each.created_at) < before]
        orders = await self._store.orders_of_requests([each.id for each in calling]) if calling else []
        borne = {order.request_id for order in orders if order.state is State.SENDING}
        left = [request for request in calling if request.id not in borne]
        await claims.reopen(self._store, self._settler, [], left, why=_GONE)

    async def _look(self) -> None:
        every = (LOOK_DEAF if self.deaf() else LOOK) * SECOND
        if self._store.clock.reading() - self._looked_at >= every:
            self._looked_at = self._store.clock.reading()
            await self._nodes.check_usable()
            self._kick({"", *self._workers})
            if self.also is not None:
                await self.also()

    # -- words ----------------------------------------------------------------------------

    def queued(self, accounts: Collection[str]) -> None:
        """New orders wait for these accounts."""
        self._say("queued", accounts)

    def has_moved(self, order: int) -> None:
        """An order has moved."""
        self._say("moved", (str(order),))

    def heard(self, word: str) -> None:
        """What some node told; "" where words may have been missed."""
        sender, _, rest = word.partition(" ")
        kind, _, values = rest.partition(" ")
        if sender == str(self._nodes.id):
            return
        if kind == "queued":
            self._kick(set(values.split(",")))
        elif kind == "moved":
            self._moved(int(value) for value in values.split(",") if value.isdecimal())
        else:
            self._looked_at = 0
            self._wake.set()

    def _say(self, kind: str, values: Iterable[str]) -> None:
        self._told.setdefault(kind, {}).update(dict.fromkeys(values))
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._speak())

    async def _speak(self) -> None:
        """Tell what has gathered, until there is nothing more."""
        while self._told:
            await asyncio.sleep(_GATHER)
            told, self._told = self._told, {}
            for kind, values in told.items():
                row = list(values) or [""]
                for start in range(0, len(row), _WORDS):
                    await self._tell(f"{self._nodes.id} {kind} {','.join(row[start : start + _WORDS])}")
