"""Claimed sends wait for a slot in their order; how many there may be."""

from __future__ import annotations

import asyncio

import pytest

from relay.delivery.ahead import MOST, QUICK, Ahead
from relay.delivery.plan import Slots


class Calls:
    """Calls on a few slots, some of which are claimed ahead."""

    def __init__(self, most: int, taken: int) -> None:
        self.most, self.taken = most, taken
        self.ahead = Ahead(lambda: Slots(most=self.most, taken=self.taken - len(self.ahead), questions=0))
        self.ahead.fits(True)
        self.begun: list[int] = []

    def start(self, number: int) -> asyncio.Task[bool]:
        """A call, which counts from now on."""
        self.taken += 1

        async def call() -> bool:
            waited = await self.ahead.turn()
            self.begun.append(number)
            return waited

        return asyncio.create_task(call())

    def end(self, many: int = 1) -> None:
        """So many calls have ended."""
        self.taken -= many
        self.ahead.let_in()


async def settled() -> None:
    """Whatever can go on without an event from outside has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_a_free_slot_is_taken_at_once():
    """Without waiting, as long as there is one."""
    calls = Calls(most=2, taken=1)
    assert await calls.start(0) is False
    late = calls.start(1)
    await settled()
    assert [0] == calls.begun
    assert 1 == len(calls.ahead)
    calls.end()
    assert await late is True


@pytest.mark.asyncio
async def test_a_slot_that_falls_free_amid_a_claim_is_not_left_free():
    """Both were claimed while none was; by the time they come one is, and nobody else will say so."""
    calls = Calls(most=2, taken=1)
    first, second = calls.start(0), calls.start(1)
    await settled()
    assert [0] == calls.begun
    assert first.done()
    calls.end()
    assert await second is True


@pytest.mark.asyncio
async def test_each_has_its_turn():
    """In the order of their claims, one for each free slot, also for slots that were not there before."""
    calls = Calls(most=1, taken=1)
    tasks = [calls.start(number) for number in range(3)]
    await settled()
    assert [] == calls.begun
    calls.end()
    await settled()
    assert [0] == calls.begun
    calls.most = 3
    calls.ahead.let_in()
    await settled()
    assert [0, 1, 2] == calls.begun
    assert [True] * 3 == await asyncio.gather(*tasks)


@pytest.mark.asyncio
@pytest.mark.parametrize("known", [True, False])
async def test_who_is_cancelled_keeps_nobody_waiting(known):
    """Its turn is the next one's, whether it has heard by then that it is cancelled or not."""
    calls = Calls(most=1, taken=1)
    first, second = calls.start(0), calls.start(1)
    await settled()
    first.cancel()
    if known:
        await settled()
    assert (1 if known else 2) == len(calls.ahead)
    calls.end(2)
    assert await second is True
    assert [1] == calls.begun


@pytest.mark.parametrize(
    ("most", "took", "room"),
    [(14, QUICK, MOST), (14, QUICK + 0.01, 0), (1, 0.05, 1), (0, 0.05, 0), (14, None, 0)],
)
def test_how_many_may_be_claimed(most, took, room):
    """A few, no more than slots, and only where calls are known to be quick; never questions."""
    calls = Calls(most=most, taken=most)
    if took is not None:
        calls.ahead.took(took)
    assert (room, 0) == (calls.ahead.room.free, calls.ahead.room.free_questions)


def test_where_others_are_sent_nothing_is_read_for_it():
    """As long as the last orders were not such as may be claimed there is no room."""
    calls = Calls(most=14, taken=14)
    calls.ahead.took(0.05)
    calls.ahead.fits(False)
    assert 0 == calls.ahead.room.free
    calls.ahead.fits(True)
    assert MOST == calls.ahead.room.free


@pytest.mark.asyncio
async def test_who_is_on_the_way_counts():
    """What was claimed a moment ago has no place yet where it waits, and takes one all the same."""
    calls = Calls(most=14, taken=14)
    calls.ahead.took(0.05)
    tasks = [calls.start(number) for number in range(MOST // 2)]
    assert MOST // 2 == calls.ahead.room.free
    tasks += [calls.start(number) for number in range(MOST // 2)]
    assert 0 == calls.ahead.room.free
    calls.end(MOST)
    assert MOST == len(await asyncio.gather(*tasks))


@pytest.mark.asyncio
async def test_several_are_claimed_together():
    """Each claim costs reading, judging and a commit: none is made for one place of many."""
    calls = Calls(most=14, taken=14)
    calls.ahead.took(0.05)
    tasks = [calls.start(number) for number in range(MOST)]
    await settled()
    rooms = []
    for _ in range(MOST):
        calls.end()
        await settled()
        rooms.append(calls.ahead.room.free)
    assert [0, *range(2, MOST + 1)] == rooms
    assert [True] * MOST == await asyncio.gather(*tasks)
