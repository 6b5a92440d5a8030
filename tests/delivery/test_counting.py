"""Caps where many mails come at once: judged together, in few transactions, and each rightly."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import pytest_asyncio

from relay.config import Cap
from relay.delivery.counting import Counting
from relay.message.drafts import Composed, Draft
from relay.model import HOUR, Content, Envelope, Ids, Letter, Recipient
from relay.queue import intake
from relay.queue.engine import Change, Trouble
from relay.queue.postgres import Postgres
from relay.queue.sqlite import SQLite
from relay.queue.states import State
from relay.queue.store import Store

NUMBERS = [f"+7999{n:07}" for n in range(100)]
DAY = {"per": "day", "over": "hold"}
TEN = Cap.model_validate({"sender": "mon", "messages": 10, **DAY})


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def store(request, tmp_path, clock):
    """The queue on either database."""
    if request.param == "sqlite":
        small = SQLite(str(tmp_path / "relay.db"))
        yield Store(small, Ids(1), clock)
        await small.close()
        return
    server = request.getfixturevalue("postgres")
    url = await server.database()
    engine = Postgres(url)
    await engine.open()
    yield Store(engine, Ids(1), clock)
    await engine.close()
    server.leave(url)


def mail(store, *to, digest="", source="mon"):
    """What makes a mail to these phones; one of the same digest is its repeat."""
    now, key = store.clock.now(), store.new_id()
    envelope = Envelope(
        sender="ops@mon.example.com", recipients=tuple(Recipient(address=each) for each in to), source=source
    )
    drafts = tuple(
        Draft(
            recipient=place, content=0, target=each, hidden=False, account="main", channel="sms", priority=0,
            start_at=now, expire_at=now + HOUR, digest="d", says="s",
        )
        for place, each in enumerate(to)
    )  # fmt: skip
    composed = Composed(contents=(Content(channel="sms", text="down", parts=1),), drafts=drafts)

    def made():
        return intake.change_for(
            envelope, Letter(digest=digest), composed, mail_id=key, ids=store.ids, now=now, size=1, files={},
            full_id=None,
        )  # fmt: skip

    return made


async def states(*writing):
    """The states of each mail's orders, or why it was not taken, or which mail it repeats."""
    found = []
    for each in await asyncio.gather(*writing, return_exceptions=True):
        if isinstance(each, BaseException):
            found.append(type(each))
        else:
            taken, first = each
            found.append(first or "".join(order.state.value[0] for order in taken.orders))
    return found


@pytest.mark.asyncio
async def test_many_at_once(store):
    """Of many mails as many pass as there is room for, the first ones; it takes few transactions."""
    counts = Counting(store, [TEN])
    before = store.engine.transactions
    found = await states(*(counts.written(mail(store, to)) for to in NUMBERS[:60]))
    assert ["w"] * 10 + ["h"] * 50 == found
    assert store.engine.transactions - before <= 6
    assert {"waiting": 10, "held": 50} == await store.counts()
    assert ["h"] * 3 == await states(*(counts.written(mail(store, to)) for to in NUMBERS[60:63]))
    orders = [order for state in State for order in await store.in_state(state)]
    assert Counter({"": 10, "day sender mon": 53}) == Counter(order.cap for order in orders)


@pytest.mark.asyncio
async def test_each_by_the_caps_that_it_touches(store):
    """A mail to several is judged phone by phone; one that no cap touches waits for nobody."""
    phones = Cap.model_validate({"phone": "*", "messages": 2, **DAY})
    counts = Counting(store, [phones, TEN])
    one, two, three = NUMBERS[:3]
    found = await states(
        counts.written(mail(store, one, two)),
        counts.written(mail(store, one)),
        counts.written(mail(store, one, two, three)),
        counts.written(mail(store, one, two)),
        counts.written(mail(store, three, source="other")),
        counts.written(mail(store, three)),
    )
    assert ["ww", "w", "hww", "hh", "w", "h"] == found
    async with counts.lock:
        assert ["w"] == await states(counts.written(mail(store, "g777", source="other")))


@pytest.mark.asyncio
async def test_a_repeat_takes_nobody_s_room(store):
    """Who would be over a cap only for a mail that is a repeat, and so counts for nothing, is not held."""
    counts = Counting(store, [TEN])
    first = mail(store, *NUMBERS[:9], digest="same")
    (taken, nothing) = await counts.written(first)
    assert nothing is None
    last, late = (mail(store, to, digest=to) for to in NUMBERS[20:22])
    again = mail(store, *NUMBERS[:9], digest="same")
    found = await states(*(counts.written(each) for each in (again, last, late)))
    assert [taken.mail.id, "w", "h"] == found


@pytest.mark.asyncio
async def test_what_can_t_be_written_takes_nobody_s_room(store):
    """A mail that the store does not take is told so, and the others are judged without it."""
    counts = Counting(store, [TEN])
    bad = mail(store, *NUMBERS[:10])

    def spoilt():
        taken = bad()
        taken.change.inserts += taken.change.inserts[:1]  # the same row twice
        return taken

    found = await states(counts.written(spoilt), *(counts.written(mail(store, to)) for to in NUMBERS[20:31]))
    assert [Trouble, *["w"] * 10, "h"] == found


@pytest.mark.asyncio
async def test_a_client_that_goes_holds_up_nobody(store):
    """Whoever is gone before its mail is judged leaves nothing behind, and the others go on."""
    counts = Counting(store, [TEN])
    async with counts.lock:
        writing = [asyncio.create_task(counts.written(mail(store, to))) for to in NUMBERS[:12]]
        await asyncio.sleep(0)
        for each in writing[:2]:
            each.cancel()
        await asyncio.sleep(0)
    assert ["w"] * 10 == (await states(*writing))[2:]
    assert {"waiting": 10} == await store.counts()


@pytest.mark.asyncio
async def test_where_the_store_fails_everybody_hears(store):
    """Nobody waits for ever for counts that can't be read."""
    counts = Counting(store, [TEN])
    await store.engine.close()
    assert [Trouble] * 3 == await states(*(counts.written(mail(store, to)) for to in NUMBERS[:3]))


@pytest.mark.asyncio
async def test_a_cap_that_comes_while_mails_are_judged(store):
    """The configuration is read again between reading and writing: nobody was judged by what is new."""
    counts, orders = Counting(store, [TEN]), mail(store, NUMBERS[0])().orders
    counts.adopt([TEN, Cap.model_validate({"phone": "*", "messages": 2, **DAY})])
    counts.decide(change := Change(), {"day sender mon": 3}, orders)
    assert {"day sender mon": 3} == change.counts


@pytest.mark.asyncio
async def test_two_processes_pass_no_cap_together(database, clock):
    """Each judges many at a time; together they take as many as there is room for."""
    engines = [Postgres(database), Postgres(database)]
    for each in engines:
        await each.open()
    stores = [Store(each, Ids(n), clock) for n, each in enumerate(engines, start=1)]
    counting = [Counting(each, [TEN]) for each in stores]
    found = await states(
        *(counting[n % 2].written(mail(stores[n % 2], to)) for n, to in enumerate(NUMBERS[:60]))
    )
    assert Counter(w=10, h=50) == Counter(found)
    assert sum(each.transactions for each in engines) < 30
    for each in engines:
        await each.close()
