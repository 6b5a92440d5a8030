"""One account's worker: round after round it starts what the plan says, on its slots.

Read aloud: until told to stop: read what is due;
judge it by the storm rules; merge what was heard, make digests; plan the calls; claim their orders under a
lease; start the calls, each on a slot of its own, or `ahead` of the next slot; sleep until a call ends,
something new is put into the queue, or the next thing falls due.

What can go wrong is met in `rounds`. A store that can't be written: nothing is claimed. A call
that raises is a fault of ours: the worker stops, and with it the process, rather than go on
half alive; the next start finds the rows and asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from relay.config import Delivery, Storm
from relay.delivery import joining, leases, plan
from relay.delivery.ahead import Ahead, claimable
from relay.delivery.asking import Asking
from relay.delivery.calls import Calls
from relay.delivery.claims import Claims
from relay.delivery.fetching import Fetching
from relay.delivery.gate import Gate
from relay.delivery.judging import Judging
from relay.delivery.permits import Permits
from relay.delivery.plan import Plan, Resting, Slots
from relay.delivery.polling import Polling
from relay.delivery.refusals import Refusals
from relay.delivery.rounds import Rounds
from relay.delivery.sending import Sending
from relay.delivery.standing import Standing
from relay.model import MINUTE, SECOND, Kind, Rest
from relay.queue.rows import Content, Order, Request
from relay.queue.store import Store
from relay.smsc.wire import Balance

DUE = 400
"""Orders read in a round at most: enough to fill all slots with requests of several phones."""
REQUESTS = 64
"""Requests to be asked about or repeated that are read in a round."""
SETTLING = 28
"""Sends that may leave their slots before what became of them is on disk."""
FEW = 4
"""Orders read at first, beside two for each free slot: a call that ends need not read the whole queue."""


class Worker(Rounds[bool]):
    """Delivers one account's orders; its calls are marked by whether they are questions."""

    def __init__(
        self,
        *,
        name: str,
        permits: Permits,
        store: Store,
        judging: Judging,
        sending: Sending,
        asking: Asking,
        polling: Polling,
        standing: Standing,
        gate: Gate,
        fetching: Fetching,
    ) -> None:
        super().__init__(store)
        self.name = name
        self._permits = permits
        self._judging = judging
        self._sending = sending
        self._asking = asking
        self._polling = polling
        self._claims = Claims(name, store)
        self.standing = standing
        self._gate = gate
        self._fetching = fetching
        self._calls = Calls(name, asking=asking, polling=polling, fetching=fetching, standing=standing)
        self._taken: set[asyncio.Task[None]] = set()  # those that the provider has answered: it took them
        self._ahead = Ahead(self._slots)
        self._busy: set[int] = set()  # orders and requests whose call is under way
        self._longest = 0  # orders in the last round's longest list: there is likely to be another
        self.refusals = Refusals()
        self._heard: Callable[[Balance], None] | None = None  # who wants to know the balance

    def adopt(self, delivery: Delivery, storm_rules: Storm, language: str) -> None:
        """Go on by a re-read configuration; digests speak `language`."""
        self._judging.adopt(storm_rules, language)
        self.standing.adopt(delivery)
        self._sending.adopt(delivery)
        self._asking.adopt(delivery)
        self._polling.adopt(delivery)

    def kick(self) -> None:
        """There is something new to do, or there are more slots: those who wait for one have it first."""
        self._ahead.let_in()
        super().kick()

    def look_at_balance(self, heard: Callable[[Balance], None]) -> None:
        """Ask for the balance when a slot for questions is free; not at rest, when it is asked anyway."""
        self._heard = heard
        self.kick()

    @property
    def calls(self) -> int:
        """How many slots are in use; what is claimed waits for one at least."""
        return max(self._slots().taken, bool(self._ahead))

    @property
    def asking(self) -> int:
        """How many of the calls under way are questions."""
        return sum(self._tasks.values())

    @property
    def resting(self) -> Resting:
        """Why the account rests, and when it is to be probed."""
        return self.standing.resting

    async def run(self) -> None:
        """Work until stopped; raises what a call raised."""
        await self.standing.load()
        await super().run()

    # -- a round --------------------------------------------------------------------------

    async def round(self) -> int | None:
        """Start every call that may start now; when to look again at the latest."""
        now = self._store.clock.now()
        while not self._stopping:
            self._look()
            made = await self._plan(now)
            await self._start(made, now)
            if not made.calls or made.all_of_it:
                break
            now = self._store.clock.now()
        self._look_for_answers()
        return await self._next(now)  # what has fallen due since was not looked for

    def _look(self) -> None:
        if self._heard is not None and self._slots().free_questions:
            heard, self._heard = self._heard, None
            if self.resting.why is Rest.NONE:
                self._call(self._calls.balance(heard), question=True)

    def _look_for_answers(self) -> None:
        due = self._fetching.due_at()
        if due is not None and due <= self._store.clock.now() and self._may_ask():
            self._fetching.begin()
            self._call(self._calls.fetch(), question=True)

    def _may_ask(self) -> bool:
        """Whether a question that has time may go now: others have none, so one slot stays for them."""
        kept = min(1, self._permits.questions - 1)  # a node that shares an account may have only one
        return self._slots().free_questions > max(0, kept) and not self.resting.silent

    def _slots(self) -> Slots:
        """A send that was taken has left its slot, unless too many of these are still to be written down."""
        return Slots(
            most=self._permits.most,
            taken=len(self._tasks) - len(self._ahead) - min(len(self._taken), SETTLING),
            questions=sum(self._tasks.values()),
            most_questions=self._permits.questions,
        )

    async def _plan(self, now: int) -> Plan:
        slots = self._slots()
        ahead = not slots.free
        if ahead:
            slots = self._ahead.room
        if not slots.free:
            return Plan()
        many = min(DUE, FEW + max(2, self._longest) * slots.free)
        while True:
            refusals = self.refusals.all()
            slowed = plan.slowed(refusals, now)
            requests, polls, due = await self._store.everything_due(
                self.name,
                now,
                requests=REQUESTS,
                polls=self._polls_to_read(slots, now),
                orders=many,
                but=slowed,
            )
            # Here and now, before anything is awaited: what ends meanwhile is no longer as it was read.
            requests = [request for request in requests if request.id not in self._busy]
            polls = [order for order in polls if order.id not in self._busy]
            ready = plan.sendable(due, resting=self.resting, slots=slots, slowed=slowed)
            passed = await self._gate.passed(ready, now)
            judged = await self._judging.judged(passed.orders, now, but=slowed)
            if judged.moves or passed.aside:
                many = min(DUE, 2 * many)
                continue  # what was read has changed, and others may be behind it
            orders = judged.send
            may = self._may_wait(requests, orders)
            self._ahead.fits(may)
            if ahead and not may:
                return Plan()
            made = plan.make(
                now=now,
                slots=slots,
                resting=self.resting,
                requests=requests,
                orders=orders,
                polls=polls,
                mass_at=self.standing.row.mass_at,
                texts=self._judging.texts(orders, slots.free, alone=plan.often(refusals, now)),
                refused=plan.refused(refusals, now),
            )
            made.all_of_it = len(due) < many and len(requests) + len(polls) == 0
            if len(due) < many or many >= DUE or not plan.wants_more(made, orders, slots):
                self._longest = made.longest
                return made
            many = min(DUE, max(4 * many, joining.LIST * slots.free + FEW))

    def _may_wait(self, requests: Sequence[Request], orders: Sequence[Order]) -> bool:
        """Whether these may be claimed ahead: not where a question, or a probe, has to have the next slot."""
        if requests or self._heard is not None or self.resting.why is not Rest.NONE:
            return False
        return all(claimable(order) and self._gate.joins(order) for order in orders)

    def _polls_to_read(self, slots: Slots, now: int) -> int:
        """As many as a mass question takes where one may go, else enough for the free slots."""
        if not slots.free_questions:
            return 0
        mass_at = self.standing.row.mass_at
        mass = mass_at is None or not 0 <= now - mass_at < plan.MASS_EVERY
        return plan.MASS if mass else 3 * plan.QUESTIONS  # those under way are due as well

    async def _start(self, made: Plan, now: int) -> None:
        if made.probe and self._slots().free:
            self.standing.probing = True
            if await self.standing.may_probe(now):
                self._call(self._calls.probe(), question=True)
            else:
                self.standing.probing = False
        for request in made.defer:
            await self._claims.defer(request, now)
        for request in made.asks:
            if not self._slots().free:
                break  # another node has it meanwhile
            if plan.wants_mass(request) and not await self.standing.remember(mass_at=now):
                continue  # another node asks its mass question in this minute
            self._call(self._calls.ask(request), question=True, busy=(request.id,))
        for request in made.repeats:
            await self._repeat(request, now)
        if made.sends:
            await self._claim(made.sends, now)
        for orders in made.polls:
            if not self._slots().free:
                break
            if len(orders) > 1 and not await self.standing.remember(mass_at=now):
                continue
            self._call(self._calls.poll(orders), question=True, busy=[order.id for order in orders])

    async def _next(self, now: int) -> int | None:
        """When something will fall due; None where only a call that ends will tell."""
        if not self._slots().free:
            return None
        resting = self.resting
        moments = [resting.probe_at if resting.why is not Rest.NONE else None]
        if resting.why is Rest.NONE:
            moments.append(await self._store.next_send(self.name, now))
        if not resting.silent:
            moments.append(await self._question_at(now))
            moments.append(self._fetching.due_at() if self._may_ask() else None)
        if plan.slowed(refusals := self.refusals.all(), now):
            moments.append(refusals[0][0] + MINUTE)
        return min((moment for moment in moments if moment is not None), default=None)

    async def _question_at(self, now: int) -> int | None:
        """When the next question may be asked; one that is overdue waits for room, or for its minute."""
        due = await self._store.next_question(self.name)
        if due is None or due > now:
            return due
        mass_at = self.standing.row.mass_at
        if mass_at is not None and now < mass_at + plan.MASS_EVERY:
            return mass_at + plan.MASS_EVERY
        return None if self._tasks else now + SECOND

    async def _claim(self, sends: Sequence[list[Order]], now: int) -> None:
        """Claim all these requests' orders, then start their calls."""
        judging = self._judging
        after = judging.after([order for row in sends for order in row], now)
        contents = dict(judging.contents)
        claimed = await self._claims.claim(
            sends, judging.phones, after, now, contents=contents, language=judging.language
        )
        for request, orders in claimed:
            known = {key: contents[key] for key, _phones in request.lines if key in contents}
            self._call(self._send(request, orders, known), busy=_keys(request, orders))

    async def _repeat(self, request: Request, now: int) -> None:
        claimed = await self._claims.repeat(request, self._judging.rules, now)
        if claimed is not None:
            again, orders = claimed
            self._call(self._send(again, orders, {}), busy=_keys(request, orders))

    # -- calls ----------------------------------------------------------------------------

    def _call(
        self, call: Coroutine[Any, Any, None], *, question: bool = False, busy: Sequence[int] = ()
    ) -> None:
        """Start a call on a slot; its orders and request are nobody else's meanwhile."""
        self._busy.update(busy)

        def ended(task: asyncio.Task[None]) -> None:
            self._taken.discard(task)
            self._ahead.let_in()
            self._busy.difference_update(busy)

        self._begin(call, question, ended)

    async def _send(self, request: Request, orders: Sequence[Order], known: Mapping[int, Content]) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - every call is one

        def taken() -> None:
            if all(self._gate.joins(order) for order in orders):
                self._taken.add(task)
                self._ahead.let_in()
                self._kick.set()

        async with leases.kept(self._store, orders):
            waited = await self._ahead.turn()
        if waited and self.resting.why is not Rest.NONE:
            await self._sending.not_begun(request, orders, "the account rests")
            return
        started = asyncio.get_running_loop().time()
        outcome = await self._calls.timed("send", self._sending.send(request, orders, known, taken))
        self._ahead.took(asyncio.get_running_loop().time() - started)
        self.refusals.heed(outcome, (order.sender for order in orders), self._store.clock.now())
        if outcome.kind is Kind.ACCEPTED:
            self._fetching.sent()
        await self.standing.heed(outcome)


def _keys(request: Request, orders: Sequence[Order]) -> list[int]:
    """A request and its orders, by their keys."""
    return [request.id, *(order.id for order in orders)]
