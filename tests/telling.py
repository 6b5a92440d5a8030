"""The part of the walks that the provider tells by itself: statuses, in whatever order and number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from law import Taken
from mortal import Mortal
from tidings import FORGED, FORMS, Word, one_by_one, together

T = TypeVar("T")
Call = Callable[[], Awaitable[None]]
TOLD = st.lists(
    st.tuples(
        st.integers(0, 40),  # which of what is due
        st.sampled_from(("once", "once", "twice", "again", "never", "forged", "strange")),
        st.integers(0, 4),  # in which form
    ),
    min_size=1,
    max_size=8,
)


class Telling(RuleBasedStateMachine):
    """What is told to a relay that may die of it, and start again."""

    world: Mortal
    taken: list[Taken]
    wrong: list[str]

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a step."""
        raise NotImplementedError

    async def again(self) -> None:
        """The process died: it starts again."""
        raise NotImplementedError

    @rule(told=TOLD, at_once=st.booleans())
    def statuses_are_told(self, told: list[tuple[int, str, int]], at_once: bool) -> None:
        """Some of what is due: in any order, once or twice, again or never; by others who lie, too."""

        async def tell() -> None:
            world = self.world
            world.tidings.look()
            calls = [call for each in told for call in self.calls(*each)]
            told_all = together(calls) if at_once else one_by_one(calls)
            answers = await world.unless_dead(told_all)
            if answers is None:
                await self.again()
            await world.pass_time(0)

        self.do(tell())

    def calls(self, which: int, way: str, form: int) -> list[Call]:
        """The calls that this comes to."""
        tidings = self.world.tidings
        known = tidings.told if way == "again" else tidings.waiting
        if not known:
            return []
        word = known[which % len(known)]
        match way:
            case "never":
                tidings.waiting.remove(word)
                return []
            case "forged":
                return [partial(self.answered, 403, tidings.forge, word, FORGED[form])]
            case "strange":
                return [partial(self.answered, 200, tidings.strange, word, FORMS[form])]
        times = 2 if way == "twice" else 1
        return [partial(self.answered, 200, tidings.tell, word, FORMS[form])] * times

    async def answered(self, wanted: int, call: Callable[..., Awaitable[int]], *about: Any) -> None:
        """A call meets this answer, unless the process dies of it; what is wrong is told at the end."""
        status = await call(*about)
        if status != wanted and not self.world.dead.is_set():
            self.wrong.append(f"a callback was answered {status}, not {wanted}")

    @rule(
        before=st.lists(st.sampled_from(("next", "last", "forged")), min_size=1, max_size=4),
        fates=st.lists(st.sampled_from(("accepted-reset", "accepted-html", "late-9.5", "cut")), max_size=2),
    )
    def told_before_the_answer(self, before: list[str], fates: list[str]) -> None:
        """What the next sends bring is told while their answers, which may get lost, are on the way."""
        world = self.world
        world.sandbox.next_send_faults.extend(fates)
        world.sandbox.before_answers.extend(partial(self.told_early, each) for each in before)

    async def told_early(self, what: str) -> None:
        """A status of each message of the last request; the books come to it only soon."""
        tidings, messages = self.world.tidings, self.world.sandbox.messages
        for message in [each for each in messages if each.id == messages[-1].id]:
            word = Word(message, message.final if what == "last" else message.history[:2][-1])
            if what == "forged":
                await self.answered(403, tidings.forge, word)
            else:
                await self.answered(200, tidings.tell, word)

    @precondition(lambda self: self.taken)
    @rule(which=st.integers(0, 50), known=st.booleans(), times=st.integers(0, 3), at_once=st.booleans())
    def arrives_after_all(self, which: int, known: bool, times: int, at_once: bool) -> None:
        """What was given up for lost is delivered; that is told never, once or several times."""

        async def arrive() -> None:
            world = self.world
            lost = world.tidings.given_up()
            if not lost:
                return
            message = lost[which % len(lost)]
            if known and await world.unless_dead(world.tidings.tell(Word(message, message.final))) is None:
                await self.again()
            word = world.tidings.arrives(message)
            calls = [partial(self.answered, 200, world.tidings.tell, word)] * times
            if await world.unless_dead(together(calls) if at_once else one_by_one(calls)) is None:
                await self.again()
            await world.pass_time(0)

        self.do(arrive())

    @rule()
    def statuses_are_told_as_they_come(self) -> None:
        """From now on nothing need be asked; or no longer so."""
        self.world.punctual = not self.world.punctual
