"""Moving orders: bounded, by rank and age, all or nothing, and again where a row changed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from harness import START, StillClock, settings

from relay.delivery import assembly
from relay.delivery.counting import Counting
from relay.delivery.moving import STEP, Mover
from relay.delivery.settle import Settler
from relay.delivery.worker import Worker
from relay.model import DAY, Ids, Rest
from relay.queue import schema
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.rows import Account, as_json
from relay.queue.sqlite import SQLite
from relay.queue.store import Store
from relay.smsc.client import Client, Credentials


class Bench:
    """A mover over a real store, and workers that do not run."""

    def __init__(self, folder: Path, clock: StillClock) -> None:
        self.engine = SQLite(str(folder / "relay.db"))
        self.store = Store(self.engine, Ids(1), clock)
        self.kicked: set[str] = set()
        self.workers: dict[str, Worker] = {}
        config = settings(folder)
        self.config = config.model_copy(
            update={"accounts": dict.fromkeys(("a", "b"), config.accounts["main"])}
        )
        self.mover = Mover(self.config, store=self.store, workers=self.workers, kick=self.kicked.update)
        counts = Counting(self.store, config.caps)
        settler = Settler(
            self.store,
            reports=config.reports,
            delivery=config.delivery,
            chance=lambda: 0.0,
            notice_due=lambda: None,
            counts=counts,
        )
        inbox = assembly.inbox(
            self.store,
            settler,
            counts,
            config=lambda: self.config,
            kick=lambda: None,
            queued=lambda _accounts: None,
        )
        for name in ("a", "b"):
            self.workers[name] = assembly.worker(
                name,
                self.config,
                store=self.store,
                settler=settler,
                counts=counts,
                held=lambda: None,
                client=Client(name=name, url="http://127.0.0.1:9", credentials=Credentials()),
                chance=lambda: 0.0,
                rest_told=lambda *_told: None,
                mover=self.mover,
                inbox=inbox,
            )

    def rest(self, account: str, why: Rest = Rest.MONEY) -> None:
        """The account rests."""
        self.workers[account].standing.row = Account(account, rest=why.value)

    async def put(self, many: int = 1, **values: object) -> None:
        """Orders that wait for `a` and may go by `b`."""
        change = Change()
        for number in range(1, many + 1):
            row = {
                "id": number,
                "account": "a",
                "accounts": as_json(["a", "b"]),
                "state": "waiting",
                "expire_at": START + DAY,
            }
            change.insert(schema.orders, **row | values)
        await self.store.write(change)

    async def at(self, account: str) -> list[int]:
        """The orders that wait for an account."""
        return [order.id for order in await self.store.to_move(account, START, 10_000)]


@pytest_asyncio.fixture
async def bench(tmp_path: Path, clock: StillClock) -> AsyncIterator[Bench]:
    """A mover to try."""
    made = Bench(tmp_path, clock)
    yield made
    await made.engine.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("many", [1, STEP - 1, STEP, STEP + 1, 3 * STEP])
async def test_everything_moves_in_bounded_batches(bench: Bench, many: int) -> None:
    """However many wait; the other account's worker is woken."""
    await bench.put(many)
    bench.rest("a")
    await bench.mover.turn()

    assert ([], many) == (await bench.at("a"), len(await bench.at("b")))
    assert {"b"} == bench.kicked


@pytest.mark.asyncio
async def test_nothing_moves_while_all_is_well_or_all_rest(bench: Bench) -> None:
    """Nor is anything written then."""
    await bench.put(3)
    await bench.mover.turn()
    bench.rest("a")
    bench.rest("b")
    await bench.mover.turn()

    assert [1, 2, 3] == await bench.at("a")
    assert {1} == {order.version for order in await bench.store.orders([1, 2, 3])}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("attempts", "due", "then"),
    [
        (0, START - 5, START - 5),
        (0, START + 5, START + 5),  # somebody wants it later
        (1, START + 5, START),  # only the step of a try that another account need not wait for
        (1, START - 5, START - 5),
    ],
)
async def test_when_a_moved_order_is_due(bench: Bench, attempts: int, due: int, then: int) -> None:
    """At once, if it waited only because it had been tried."""
    await bench.put(attempts=attempts, due_at=due, request_id=7)
    change = Change()
    change.insert(schema.request, id=7, account="a", state="done", targets="[]")
    await bench.store.write(change)
    bench.rest("a", Rest.BLOCKED)
    await bench.mover.turn()

    (order,) = await bench.store.orders([1])
    assert ("b", None, then) == (order.account, order.request_id, order.due_at)


@pytest.mark.asyncio
async def test_an_order_that_changed_meanwhile_is_read_again(bench: Bench) -> None:
    """Its batch is not there; the next look moves what still waits."""
    await bench.put(2)
    bench.rest("a")
    rows = await bench.store.to_move("a", START, STEP)
    change = Change()
    change.update(schema.orders, 1, 1, state="held")
    await bench.store.write(change)
    with pytest.raises(Stale):
        await bench.mover._move("a", rows)
    assert [2] == await bench.at("a")
    await bench.mover.turn()

    assert [2] == await bench.at("b")
    assert ["held", "waiting"] == [order.state for order in await bench.store.orders([1, 2])]


@pytest.mark.asyncio
async def test_a_store_in_trouble_is_tried_a_second_later(bench: Bench, clock: StillClock) -> None:
    """Nothing has moved, and nothing is lost of it."""
    await bench.put(2)
    bench.rest("a")
    write = bench.store.write

    async def broken(change: Change) -> int | None:
        raise Trouble("no room")

    bench.store.write = broken  # type: ignore[method-assign]
    running = asyncio.create_task(bench.mover.run())
    async with asyncio.timeout(10):
        while not clock.sleepers:  # noqa: ASYNC110 - a sleeper has no event
            await asyncio.sleep(0.001)
    assert [1, 2] == await bench.at("a")
    bench.store.write = write  # type: ignore[method-assign]
    clock.set(START + 1000)
    async with asyncio.timeout(10):
        while [1, 2] != await bench.at("b"):  # noqa: ASYNC110 - nor has a row
            await asyncio.sleep(0.001)
    bench.mover.stop()
    await running

    assert running.done()


@pytest.mark.asyncio
async def test_orders_that_come_to_wait_for_an_unknown_account_move(bench: Bench) -> None:
    """A held order whose account was taken out of the file is released after the start."""
    await bench.mover.turn()
    await bench.put(account="gone", accounts=as_json(["gone", "b"]))
    await bench.mover.turn()
    before = await bench.at("gone")
    bench.mover.waits({"gone"})
    await bench.mover.turn()

    assert ([1], [1]) == (before, await bench.at("b"))


def test_who_lends(tmp_path: Path, clock: StillClock) -> None:
    """The accounts that stand beside another in some route of the configuration that counts now."""
    bench = Bench(tmp_path, clock)
    config = bench.config
    assert not bench.mover.lends("a")
    route = config.routes[0].model_copy(update={"accounts": ("a", "b")})
    alone = config.routes[0].model_copy(update={"accounts": ("c", "c")})
    bench.mover.adopt(config.model_copy(update={"routes": (route, alone)}))

    assert [True, True, False] == [bench.mover.lends(name) for name in ("a", "b", "c")]
