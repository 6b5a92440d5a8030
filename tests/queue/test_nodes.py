"""The rows by which nodes that share a database divide what only one may have: leading, and slots."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import pytest_asyncio

from relay.queue import choice
from relay.queue.nodes import LEASE, PATIENCE, Nodes
from relay.queue.postgres import Postgres

SLOTS = range(14)


@pytest_asyncio.fixture
async def nodes(database):
    """Three nodes that have said that they live, and slots that nobody has."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for _ in range(3):
            engine = Postgres(database)
            await engine.open()
            stack.push_async_callback(engine.close)
            made.append(Nodes(engine, name="", part="", version=""))
            await made[-1].beat(0)
        await made[0].make_slots("main", len(SLOTS))
        yield made


async def later(node, table, column, milliseconds):
    """So long later, as far as this column goes."""
    await node._engine.rows(f"UPDATE {table} SET {column} = {column} - $1::bigint", milliseconds)


@pytest.mark.asyncio
async def test_one_leads(nodes):
    """Of nodes that would lead at once one does, and goes on; another when it has not said so for a lease."""
    found = await asyncio.gather(*(node.lead() for node in nodes))
    assert [False, False, True] == sorted(found)
    first = nodes[found.index(True)]
    second, third = (node for node in nodes if node is not first)
    assert [True, False, False] == [await node.lead() for node in (first, second, third)]
    assert [first.id] == [node.id for node in await second.all() if node.leads]
    await later(second, "node", "leads_until", LEASE + 1)
    assert [True, False, False] == [await node.lead() for node in (second, first, third)]


@pytest.mark.asyncio
async def test_a_slot_is_one_node_s(nodes):
    """Nodes that reach for all slots at once have each of them once."""
    found = await asyncio.gather(*(node.take("main", SLOTS) for node in nodes))
    assert sorted(SLOTS) == sorted(number for numbers in found for number in numbers)
    again = await asyncio.gather(*(node.take("main", SLOTS) for node in nodes))
    assert found == again


@pytest.mark.asyncio
async def test_a_slot_that_lapsed_is_another_s_when_calls_have_ended(nodes):
    """Not with the lease, but when a call that was begun at its end is over; who had it has it no more."""
    first, second, _third = nodes
    assert set(SLOTS) == await first.take("main", SLOTS)
    await later(first, "slot", "until", LEASE + PATIENCE - 5000)
    assert set() == await second.take("main", SLOTS)
    await later(first, "slot", "until", 5001)
    assert set(SLOTS) == await second.take("main", SLOTS)
    assert set() == await first.take("main", SLOTS)
    await second.leave("main", [3])
    assert {3} == await first.take("main", SLOTS)


@pytest.mark.asyncio
async def test_who_was_here_before(database, tmp_path):
    """A process finds the number of the last one in its place that began to work, however many died since."""
    found = []
    for seen_to in (True, False, False, True, False):
        async with contextlib.AsyncExitStack() as stack:
            store = await choice.opened(database, tmp_path, stack)
            found.append((store.left_by, store.node))
            if seen_to:
                store.recovered()
    first, _second, _third, fourth, _fifth = (node for _, node in found)
    assert [None, first, first, first, fourth] == [before for before, _ in found]
