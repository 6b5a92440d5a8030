"""How nodes divide an account: every slot is somebody's, and none is two nodes'."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import clock as clocks
from relay.clock import Follower
from relay.delivery import plan, shares
from relay.delivery.permits import All, Held
from relay.delivery.shares import Part

NODES = st.sets(st.integers(1, 1023), min_size=1, max_size=20)


@given(NODES, st.integers(1, 14))
def test_all_slots_are_shared_out(living, most):
    """Each slot of an account is exactly one node's, and no node has two more than another."""
    parts = [shares.part(sorted(living), node) for node in living]
    rows = [shares.slots(part, most) for part in parts]
    assert list(range(most)) == sorted(number for row in rows for number in row)
    assert max(map(len, rows)) - min(map(len, rows)) <= 1
    assert sum(map(shares.questions, rows)) == min(most, plan.QUESTIONS)


@given(NODES, st.integers(1, 14), st.integers(0, 2**31))
def test_all_work_is_shared_out(living, most, hashed):
    """Each order is exactly one node's, and that node has a slot to send it by, however few there are."""
    parts = [shares.part(sorted(living), node) for node in living]
    owners = [part for part in parts if hashed % shares.work(part, most).of == shares.work(part, most).number]
    assert [True] == [bool(shares.slots(part, most)) for part in owners]


@given(NODES, st.integers(1, 14))
def test_who_leads_may_ask(living, most):
    """However many nodes there are, the one that leads has a slot that carries the right to ask."""
    leader = max(living)
    parts = [shares.part(sorted(living), node, first=[leader]) for node in living]
    assert len(living) == len(set(parts))
    assert shares.questions(shares.slots(shares.part(sorted(living), leader, first=[leader]), most))


def test_part_of_a_node_that_nobody_sees():
    """Who is not among those that live, and who is alone, has the whole."""
    assert Part() == shares.part([], 5) == shares.part([1, 2], 5) == shares.part([5], 5)
    assert [Part(2, 0), Part(2, 1)] == [shares.part([9, 5], node) for node in (5, 9)]


@given(st.sets(st.integers(0, 13)), st.sets(st.integers(0, 13)), st.integers(0, 14), st.integers(0, 4))
def test_given_up(held, wanted, calls, asking):
    """Only what another should have is given up, and never what a call under way needs."""
    calls = min(calls, len(held))
    asking = min(asking, calls, shares.questions(held))
    gone = shares.given_up(held, wanted, calls=calls, asking=asking)
    kept = held - gone
    assert gone <= held - wanted
    assert len(kept) >= calls
    assert shares.questions(kept) >= asking
    if not calls:
        assert held - wanted == gone


def test_held_slots_lapse():
    """What a node holds it may use until its lease has run out by its own steady clock."""
    now = 0
    held = Held(lambda: now, {0, 3, 4, 9}, until=10)
    assert (True, 4, 2) == (held.valid, held.most, held.questions)
    held.owed = {0, 9}
    assert (2, 1) == (held.most, held.questions)  # another node should have these
    held.owed = {0, 3, 4, 9}
    assert (1, 1) == (held.most, held.questions)  # what was claimed already needs one to leave by
    now = 10
    assert (False, 0, 0) == (held.valid, held.most, held.questions)
    assert (14, 4) == (All(14).most, All(14).questions)


def test_follower():
    """A clock that follows another shows its time, evenly, and heeds no look that took long."""
    clock = Follower()
    clock.follow(1_000_000, clock.reading())
    assert 1_000_000 <= clock.now() < 1_060_000
    clock.follow(5_000_000, clock.reading() - 3000)
    assert clock.now() < 1_060_000
    clock.follow(2_000_000, clock.reading() - 100)
    assert 2_000_000 <= clock.now() < 2_060_000


@pytest.mark.asyncio
async def test_follower_waits():
    """It waits for a moment of its own."""
    clock, never = Follower(), asyncio.Event()
    clock.follow(1_000_000, clock.reading())
    await clock.wait(never, clock.now() + 30)
    assert clock.now() >= 1_000_030


@pytest.mark.asyncio
async def test_a_clock_that_is_set_wakes_who_waits(monkeypatch):
    """Who waits for a moment looks at the clock now and then: one that was set ahead is not slept through."""
    monkeypatch.setattr(clocks, "_LOOK", 0.02)
    clock, never = Follower(), asyncio.Event()
    clock.follow(1_000_000, clock.reading())
    waiting = asyncio.create_task(clock.wait(never, 9_000_000))
    await asyncio.sleep(0)
    clock.follow(9_000_000, clock.reading())
    async with asyncio.timeout(20):
        await waiting
