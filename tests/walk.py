"""Everything that can happen, in any order; then the law of one message and one word must hold.

A Hypothesis state machine over the real relay: its store on a file, the sandbox over HTTP, time
that is moved by hand. Mails come, calls meet every fate, statuses are told by the provider early,
late, twice, in any order or never, and by others who lie, alarms escalate, phones reply and take
them, persons meddle, the account rests, the clock jumps back, the process dies between any two of
its steps and starts again.

One thing is bounded: the provider takes a request at most `LATEST` seconds after its line broke.
The one case that is left beyond that has a test of its own.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from faults import act, too_often, worker
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from law import Books, Taken, breaches, open_books
from mortal import BOSS, EXPIRE, GIVE_UP, NIGHT, ONCALL, WHERE, Mortal, Trap
from telling import Telling

from relay.delivery.permits import All
from relay.queue.followups import StepState
from relay.smsc.sandbox.formats import Incoming

T = TypeVar("T")
Recipients = list[tuple[str, frozenset[str]]]  # an address, and whom it stands for
LATEST = 19

PHONES = ("4567", "4568", "4569", "4570", "4571", "4572")
FATES = (
    "2006",
    "0107",
    "0108",
    "0130",
    "0122",
    "0112",
    "0113",
    "0114",
    "0115",
    "0117",
    "0009",
    "0007",
    "0003",
    "3022",
)
BREAKS = ("reset", "http500", "html", "empty", "cut", "silence")
FAULTS = (
    *BREAKS,
    *(f"accepted-{each}" for each in BREAKS),
    *(f"late-{seconds}" for seconds in (1, 9.5, 12, LATEST)),
    *range(1, 10),
)
BROKEN_TWICE = st.tuples(
    st.sampled_from(("reset", "late-12", f"late-{LATEST}")), st.sampled_from(FAULTS)
).map(list)
RECIPIENTS = (
    *((f"7999123{each}@sms.example.com", frozenset({f"+7999123{each}"})) for each in PHONES),
    *((f"7999123{each}@sms.example.com", frozenset({f"+7999123{each}"})) for each in FATES),
    ("oncall@sms.example.com", frozenset(ONCALL)),
    ("night@sms.example.com", frozenset(NIGHT)),
    ("g777@sms.example.com", frozenset({"g777"})),
    ("ann@mail.example.org", frozenset({"ann@mail.example.org"})),
    ("fate-2006@mail.example.org", frozenset({"fate-2006@mail.example.org"})),
)
NOTIFY = ("", "", "SUCCESS,FAILURE", "SUCCESS,FAILURE,DELAY", "FAILURE", "NEVER")
TEXTS = ("same", "", "", "")
STEPS = (0.5, 1, 2, 5, 11, 30, 61, 200, 1800)


class Relay(Telling):
    """One relay's life."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="relay-"))
        self.taken: list[Taken] = []
        self.wrong: list[str] = []  # what was found on the way
        self.unanswered: list[tuple[Taken, str, list[str]]] = []  # no 250 came, so the client tries again
        self.replies: Counter[tuple[str, str]] = Counter()
        self.acknowledged: dict[int, set[int]] = {}  # by mail: the steps that had run when it was taken
        self.count = 0
        self.broken = False
        self.ended = False

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a step; after one that failed nothing is asked any more."""
        try:
            return self.runner.run(work)
        except BaseException:
            self.broken = True
            raise

    @initialize()
    def begin(self) -> None:
        async def begin() -> None:
            self.world = Mortal(self.folder)
            await self.world.begin()

        self.do(begin())

    # -- senders --------------------------------------------------------------------------

    @rule(
        to=st.lists(st.sampled_from(RECIPIENTS), min_size=1, max_size=4, unique=True),
        text=st.sampled_from(TEXTS),
        notify=st.sampled_from(NOTIFY),
        fates=st.just([]) | BROKEN_TWICE,
    )
    def mail(self, to: Recipients, text: str, notify: str, fates: list[str | int]) -> None:
        """A mail to one to four recipients, of a text heard before or not; its calls may meet trouble."""
        self.world.sandbox.next_send_faults.extend(fates)
        self.do(self.new(to, text, notify))

    @rule(first=st.integers(0, 30), count=st.integers(6, 15), bad=st.sampled_from(FATES))
    def mail_to_many(self, first: int, count: int, bad: str) -> None:
        """A mail to many phones, one of which has a fate of its own."""
        suffixes = (*(f"{4600 + first + n}" for n in range(count)), bad)
        phones = [f"7999123{suffix}" for suffix in suffixes]
        to = [(f"{phone}@sms.example.com", frozenset({f"+{phone}"})) for phone in phones]
        self.do(self.new(to, "", ""))

    @rule(
        first=st.integers(0, 30),
        count=st.integers(2, 8),
        bad=st.lists(st.sampled_from(FATES), max_size=2),
        free=st.integers(1, 2),
        fates=st.lists(st.sampled_from(FAULTS), max_size=3),
        trap=st.none() | st.tuples(st.sampled_from(WHERE), st.integers(1, 4)),
    )
    def mails_that_wait(
        self,
        first: int,
        count: int,
        bad: list[str],
        free: int,
        fates: list[str | int],
        trap: tuple[str, int] | None,
    ) -> None:
        """Mails with texts of their own come while all slots are busy: what is free then takes them in lists.

        Their calls may meet trouble, and the process may die of it.
        """

        async def wait() -> None:
            slots = worker(self.world.relay)
            slots._permits = All(0)
            for suffix in (*(f"{4600 + first + n}" for n in range(count)), *bad):
                phone = f"7999123{suffix}"
                await self.new([(f"{phone}@sms.example.com", frozenset({f"+{phone}"}))], "", "")
            slots._permits = All(free)
            self.world.sandbox.next_send_faults.extend(fates)
            if trap is not None and self.world.trap is None:
                self.world.trap = Trap(*trap)
            slots.kick()
            await self.world.pass_time(0)
            slots._permits = All(14)

        self.do(wait())

    async def new(self, to: Recipients, text: str, notify: str) -> None:
        """A mail of its own, which its client will know again."""
        self.count += 1
        mail = (
            f"From: ops@mon.example.com\nSubject: alarm\nMessage-ID: <{self.count}@mon.example.com>\n"
            f"Date: Fri, 20 Nov 2026 03:00:00 +0000\n\n{text or f'text {self.count}'}\n"
        )
        taken = Taken(f"mail-{self.count}", dict(to), notify)
        await self.post(taken, mail, [address for address, _ in to])

    async def post(self, taken: Taken, mail: str, to: list[str]) -> None:
        """Send it; where no answer comes it is the client's to send it again."""
        replies = await self.world.unless_dead(
            self.world.relay.mail(
                mail,
                to,
                options=[f"ENVID={taken.envid}"],
                rcpt_options=[f"NOTIFY={taken.notify}"] if taken.notify else [],
            )
        )
        if replies is None:
            self.unanswered.append((taken, mail, to))
            await self.again()
            return
        assert ["250"] * len(replies) == [reply[:3] for reply in replies], replies
        self.taken.append(taken)

    async def again(self) -> None:
        """The process died: it starts again, and clients without an answer say it again."""
        await self.world.die()
        await self.world.start()
        waiting, self.unanswered = self.unanswered, []
        for taken, mail, to in waiting:
            await self.post(taken, mail, to)

    # -- phones ---------------------------------------------------------------------------

    @precondition(lambda self: self.taken)
    @rule(
        phone=st.sampled_from((*NIGHT, BOSS, ONCALL[0])),
        word=st.sampled_from(("ok", "ok", "who?")),
        called=st.booleans(),
        listed=st.booleans(),
    )
    def reply(self, phone: str, word: str, called: bool, listed: bool) -> None:
        """A phone says something; the provider calls us, lists it, or both."""
        self.do(self.replies_(phone, word, called, listed))

    @rule(
        before=st.sampled_from((11, 40)),
        called=st.booleans(),
        listed=st.booleans(),
        fates=st.just([]) | BROKEN_TWICE,
    )
    def alarm_is_taken(self, before: float, called: bool, listed: bool, fates: list[str | int]) -> None:
        """An alarm in the night, of which some steps may have run, and whose calls may meet trouble."""
        self.do(self.new([("night@sms.example.com", frozenset(NIGHT))], "", ""))
        self.do(self.passes(before))
        self.world.sandbox.next_send_faults.extend(fates)
        self.do(self.replies_(NIGHT[0], "ok", called, listed))
        self.do(self.passes(200))

    async def replies_(self, phone: str, word: str, called: bool, listed: bool) -> None:
        world = self.world
        self.replies[phone, word] += 1
        if listed or not called:
            world.sandbox.receive(phone, word)
        told = Incoming(10_000 + self.replies.total(), phone, word, "79990000000", world.sandbox._now())
        # the provider calls again where we died
        while called and await world.unless_dead(world.tidings.said(told)) != 200:
            await self.again()
        await self.observe()

    async def observe(self) -> None:
        """Note which alarms are taken by now, and which steps have run."""
        world = self.world
        orders = await world.unless_dead(world.relay.orders()) or []
        taken = {order.mail_id for order in orders if order.answered_at is not None}
        steps = await world.unless_dead(world.relay.app.store.steps_of_mails(taken)) or []
        for mail in taken - self.acknowledged.keys() if steps else ():
            done = {step.id for step in steps if step.mail_id == mail and step.state is StepState.DONE}
            self.acknowledged[mail] = done

    # -- the provider ---------------------------------------------------------------------

    @rule(fates=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=3), sends=st.booleans())
    def calls_meet(self, fates: list[str | int], sends: bool) -> None:
        """The next calls, or the next sends, meet these fates."""
        if sends:
            self.world.sandbox.next_send_faults.extend(fates)
        else:
            named = [fate for fate in fates if isinstance(fate, str) and not fate.startswith("late")]
            self.world.sandbox.next_faults.extend(named)

    @rule(why=st.sampled_from(("money", "login")), seconds=st.sampled_from(STEPS))
    def account_rests(self, why: str, seconds: float) -> None:
        """For a while the account has no money, or its login is refused; then all is well again."""
        world = self.world

        async def rest() -> None:
            if why == "money":
                world.sandbox.set_balance("0")
            else:
                world.sandbox._provider.credentials = {"l": "another"}
            await self.passes(seconds)
            world.sandbox.set_balance("1000")
            world.sandbox._provider.credentials = None

        self.do(rest())

    @rule(seconds=st.sampled_from(STEPS))
    def provider_is_down(self, seconds: float) -> None:
        """No connection can be made for a while."""
        world = self.world

        async def down() -> None:
            await world.sandbox.stop()
            await self.passes(seconds)
            await world.sandbox.start(port=int(world.url.rpartition(":")[2]))

        self.do(down())

    # -- time and death -------------------------------------------------------------------

    async def passes(self, seconds: float) -> None:
        await self.world.pass_time(seconds)

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds: float) -> None:
        """From one awakening to the next."""
        self.do(self.passes(seconds))

    @rule(seconds=st.sampled_from((1, 30, 3600)))
    def clock_jumps_back(self, seconds: float) -> None:
        """Somebody sets it right."""
        self.world.jump_back(seconds)

    @rule(where=st.sampled_from(WHERE), left=st.integers(1, 12))
    def will_die(self, where: str, left: int) -> None:
        """The process will die there."""
        self.world.trap = Trap(where, left)

    @rule(away=st.sampled_from((0, 0, 3, 90, 1800)), clean=st.booleans())
    def stops_and_starts(self, away: float, clean: bool) -> None:
        """At any instant, drained or not."""
        world = self.world

        async def turn() -> None:
            if clean and world.trap is None:
                await world.stop()
            else:
                await world.die()
            world.clock.set(world.clock.now() + int(away * 1000))
            await world.start()

        self.do(turn())

    # -- persons --------------------------------------------------------------------------

    @precondition(lambda self: self.taken)
    @rule(which=st.integers(0, 50), action=st.sampled_from(("hold", "release", "drop", "retry")))
    def person(self, which: int, action: str) -> None:
        """Somebody meddles with an order."""
        world = self.world

        async def meddle() -> None:
            orders = await world.unless_dead(world.relay.orders())
            if orders:
                await world.unless_dead(act(world.relay, orders[which % len(orders)].id, action))
            if world.dead.is_set():
                await self.again()

        self.do(meddle())

    # -- the end --------------------------------------------------------------------------

    def teardown(self) -> None:
        """All faults end, everything settles, and the law holds."""
        try:
            if not self.broken and hasattr(self, "world"):
                self.runner.run(self.settle())
        finally:
            self.ended = True
            if hasattr(self, "world"):
                self.runner.run(self.world.end())
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    async def settle(self) -> None:
        world = self.world
        world.trap = None
        world.sandbox.next_faults.clear()
        world.sandbox.next_send_faults.clear()
        world.sandbox.before_answers.clear()
        await world.pass_time(EXPIRE + GIVE_UP + 3600)
        books = await open_books(world.relay, steady=not world.skew, tidings=world.tidings)
        bad = [*self.wrong, *breaches(books, self.taken, world.relay.reports())]
        bad += [*self.limits(), *self.after_all(books)]
        # The same word twice within a minute, by a call and in the list, may be one: nobody can tell.
        once = books.replies.keys() == self.replies.keys() and books.replies <= self.replies
        if books.steady and not once:
            bad.append(f"phones said {self.replies}, stored is {books.replies}")
        if bad:
            bad += [f"{each.phone} {each.text!r} {each.id} {each.final}" for each in world.sandbox.messages]
            for order in books.orders.values():
                lines = await world.relay.app.store.story(order.id)
                bad += [
                    f"{order.id} {order.target} {line['at']} {line['event']} {line['detail']}"
                    for line in lines
                ]
        assert not bad, "\n".join(bad)

    def after_all(self, books: Books) -> Iterator[str]:
        """Steps that ran though the alarm had been taken."""
        for step in books.steps:
            before = self.acknowledged.get(step.mail_id)
            if before is not None and step.state is StepState.DONE and step.id not in before:
                yield f"step {step.n} of {step.mail_id} ran after the alarm was taken"

    def limits(self) -> Iterator[str]:
        """What the provider's limits and our own loops say."""
        relay = self.world.relay
        yield from (f"a loop died: {task.get_name()}" for task in relay.app._loops if task.done())
        yield from (f"busy for ever: {each}" for each in worker(relay)._busy)
        if relay.sandbox.max_in_flight > 14:
            yield f"{relay.sandbox.max_in_flight} calls at once"
        if self.world.lives == 1 and not self.world.skew:  # how often it asked is kept in memory
            yield from (f"asked too often: {call.params['phone']}" for call in too_often(relay))
