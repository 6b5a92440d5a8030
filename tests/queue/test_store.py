"""The store: what is asked of the queue, on a real database."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from harness import START, StillClock
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Delete, Select, Update, select

from relay import model
from relay.message.drafts import Composed, Draft
from relay.model import DAY, MINUTE, SECOND, Content, Envelope, File, Ids, Letter, Recipient
from relay.queue import housekeeping, intake, schema
from relay.queue import statements as module
from relay.queue.engine import Change, Stale
from relay.queue.followups import NoticeState
from relay.queue.rows import Phone, RequestState, as_json
from relay.queue.sqlite import SQLite
from relay.queue.sqlite_dialect import Compiled
from relay.queue.states import State
from relay.queue.store import CHUNK, Store, tell


async def put(store, table, *rows, **common):
    """Write rows whose ids count from 1 where none is given."""
    change = Change()
    for number, row in enumerate(rows, 1):
        key = {"id": number} if "id" in table.columns else {}
        change.insert(table, **key | common | row)
    await store.write(change)


async def put_orders(store, *rows):
    """Write orders of account `a` that wait."""
    await put(store, schema.orders, *rows, account="a", state="waiting", expire_at=START + DAY)


def ids(rows):
    """The ids of rows, in their order."""
    return [row.id for row in rows]


# -- orders -------------------------------------------------------------------------------


async def waiting_due(store, account, many, but=()):
    """The waiting orders that are due, but for those of some senders."""
    return (await store.everything_due(account, START, requests=0, polls=0, orders=many, but=but))[2]


async def due_polls(store, many):
    """The sent orders that are to be asked about."""
    return (await store.everything_due("a", START, requests=0, polls=many, orders=0))[1]


async def due_requests(store, many):
    """The requests that are to be asked about."""
    return (await store.everything_due("a", START, requests=many, polls=0, orders=0))[0]


@pytest.mark.asyncio
async def test_due_in_order(store):
    """What is due comes by rank, then by age, however often it was tried."""
    await put_orders(
        store,
        {"id": 1, "rank": 0, "due_at": START - 5},
        {"id": 2, "rank": 0, "due_at": START - 9},
        {"id": 5, "rank": -1, "due_at": START - 1},
        {"id": 4, "rank": -1, "due_at": START - 1},
        {"id": 3, "rank": 2, "due_at": START - 100},
        {"id": 6, "rank": 0, "due_at": START},
    )
    assert [4, 5, 1, 2, 6, 3] == ids(await waiting_due(store, "a", 100))
    assert [4, 5, 1] == ids(await waiting_due(store, "a", 3))
    assert [] == ids(await waiting_due(store, "a", 0))


@pytest.mark.asyncio
async def test_due_is_one_account_s_waiting_orders(store):
    """Not yet due, another account's, or in another state: not due."""
    await put_orders(
        store,
        {"id": 1, "due_at": START},
        {"id": 2, "due_at": START + 1},
        {"id": 3, "due_at": START, "account": "b"},
        *({"id": 10 + n, "due_at": START, "state": state} for n, state in enumerate(State) if n),
    )
    assert [1] == ids(await waiting_due(store, "a", 100))
    assert [3] == ids(await waiting_due(store, "b", 100))
    assert [] == ids(await waiting_due(store, "c", 100))


@pytest.mark.asyncio
async def test_due_leaves_senders_out(store):
    """Orders of senders that are slowed don't come, and take nobody's place; their questions do."""
    await put_orders(
        store,
        {"id": 1, "sender": "ops", "due_at": START},
        {"id": 2, "sender": "dev", "due_at": START},
        {"id": 3, "sender": "", "due_at": START},
        {"id": 4, "sender": "ops", "state": "sent", "poll_at": START},
    )
    assert [1, 2, 3] == ids(await waiting_due(store, "a", 100))
    assert [2, 3] == ids(await waiting_due(store, "a", 2, but={"ops"}))
    assert [3] == ids(await waiting_due(store, "a", 100, but=iter(["ops", "dev", "nobody"])))
    rest = await store.everything_due("a", START, requests=9, polls=9, orders=9, but=["ops"])
    assert [[], [4], [2, 3]] == [ids(rows) for rows in rest]


@pytest.mark.asyncio
async def test_what_expired_is_due_as_well(store):
    """Whoever looks for what is due sees what expired, and need not pass over it; others don't."""
    await put_orders(
        store,
        {"id": 1, "due_at": START, "expire_at": START + 1, "target": "+1"},
        {"id": 2, "due_at": START, "expire_at": START, "target": "+1"},
        {"id": 3, "due_at": START - 9, "expire_at": START - 5},
    )
    assert [1, 2, 3] == ids(await waiting_due(store, "a", 100))
    assert [1] == ids(await store.due_to("a", ["+1"], START, 100))


@pytest.mark.asyncio
async def test_what_waits_for_long_sleeps_and_wakes_in_its_time(store, clock):
    """Where many wait for later they are put to sleep; when their time comes the first go by rank again."""
    many = module.RESTLESS_MOST + 1
    await put_orders(store, *({"id": n, "due_at": START + MINUTE, "rank": n % 2} for n in range(1, many)))
    assert not await store.lay_down(START)  # so many are passed over
    await put_orders(
        store, {"id": many, "due_at": START + MINUTE, "rank": -1}, {"id": many + 1, "due_at": START}
    )
    assert await store.lay_down(START)
    assert {0, 1} == {row["asleep"] for row in await store.engine.read(select(schema.orders.c.asleep))}
    assert [many + 1] == ids(await waiting_due(store, "a", 10))
    assert START + MINUTE == await store.next_send("a", START)
    due = await store.everything_due("a", START + MINUTE, requests=0, polls=0, orders=4)
    assert [many, 2, 4, 6] == ids(due[2])
    assert not await store.lay_down(START + MINUTE)


@pytest.mark.asyncio
async def test_of_a_great_many_some_wake_at_a_time(store):
    """What is urgent does not wait until thousands of others are awake; no one is forgotten."""
    many = 5000
    await put_orders(store, *({"id": n, "due_at": START - many + n, "asleep": 1} for n in range(1, many)))
    await put_orders(store, {"id": many, "due_at": START, "rank": -1})
    asleep = select(schema.orders.c.id).where(schema.orders.c.asleep == 1)
    assert [many, 1, 2] == ids(await waiting_due(store, "a", 3))
    assert 0 < len(await store.engine.read(asleep)) < many - 1
    assert [many, 1, 2] == ids(await waiting_due(store, "a", 3))
    assert [] == await store.engine.read(asleep)


@pytest.mark.asyncio
async def test_forwards_sleep_and_wake(store):
    """What goes past the provider likewise."""
    await put(store, schema.orders, {"id": 1, "due_at": START + 5, "asleep": 1}, state="waiting")
    assert ([], START + 5) == (await store.due_forwards(START, 9), await store.next_send("", START))
    assert [1] == ids(await store.due_forwards(START + 5, 9))


@settings(max_examples=30)
@given(
    orders=st.lists(
        st.tuples(
            st.integers(-2, 2),
            st.integers(-3, 3),
            st.sampled_from("ab"),
            st.sampled_from(["ops", "dev"]),
            st.integers(0, 1),
        ),
        max_size=25,
    ),
    many=st.integers(1, 10),
    but=st.sets(st.sampled_from(["ops", "dev"])),
)
def test_due_is_a_sorted_selection(orders, many, but, tmp_path_factory):
    """Whatever waits or sleeps, `due` is what sorting it would give, `next_send` the first moment after."""
    rows = [
        {
            "id": n,
            "rank": rank,
            "due_at": START + late,
            "account": account,
            "sender": who,
            "asleep": asleep,
        }
        for n, (rank, late, account, who, asleep) in enumerate(orders)
    ]

    async def run():
        engine = SQLite(str(tmp_path_factory.mktemp("due") / "relay.db"))
        store = Store(engine, Ids(1), StillClock())
        try:
            await put_orders(store, *rows)
            mine = sorted((r for r in rows if r["account"] == "a"), key=lambda r: (r["rank"], r["id"]))
            due = [row["id"] for row in mine if row["due_at"] <= START and row["sender"] not in but]
            later = [row["due_at"] for row in mine if row["due_at"] > START]
            assert due[:many] == ids(await waiting_due(store, "a", many, but))
            assert min(later, default=None) == await store.next_send("a", START)
        finally:
            await engine.close()

    asyncio.run(run())


@pytest.mark.asyncio
async def test_due_polls(store):
    """Orders whose status is to be asked for, those that wait longest first."""
    await put_orders(
        store,
        {"id": 1, "state": "sent", "poll_at": START},
        {"id": 2, "state": "sent", "poll_at": START - 7},
        {"id": 3, "state": "sent", "poll_at": START + 1},
        {"id": 4, "state": "sent"},
        {"id": 5, "state": "sent", "poll_at": START, "account": "b"},
    )
    assert [2, 1] == ids(await due_polls(store, 10))
    assert [2] == ids(await due_polls(store, 1))


@pytest.mark.asyncio
async def test_requests(store):
    """Requests come when due, by age of it, and by id; those under way are found at start."""
    await put(
        store,
        schema.request,
        {"id": 1, "state": "unsure", "due_at": START, "targets": '["+1","+2"]'},
        {"id": 2, "state": "repeat", "due_at": START - 9},
        {"id": 3, "state": "unsure", "due_at": START + 1},
        {"id": 4, "state": "calling"},
        {"id": 5, "state": "done"},
        {"id": 6, "state": "unsure", "due_at": START, "account": "b"},
        {"id": 7, "state": "calling", "account": "b"},
        account="a",
    )
    assert [2, 1] == ids(await due_requests(store, 10))
    assert [2] == ids(await due_requests(store, 1))
    assert {4, 7} == set(ids(await store.calling()))
    (request,) = await store.requests([1])
    assert (RequestState.UNSURE, ["+1", "+2"], START) == (request.state, request.phones, request.due_at)
    assert [] == await store.requests([])


@pytest.mark.asyncio
async def test_next_send(store):
    """The next send is the first waiting order's that is not due yet; questions don't count."""
    assert None is await store.next_send("a", START)
    await put_orders(
        store,
        {"id": 1, "due_at": START + 50},
        {"id": 2, "due_at": START + 10, "account": "b"},
        {"id": 3, "due_at": START + 20, "state": "held"},
        {"id": 4, "due_at": START},
        {"id": 5, "state": "sent", "due_at": START + 5, "poll_at": START + 30},
    )
    await put(store, schema.request, {"account": "a", "state": "unsure", "due_at": START + 40})
    assert START + 50 == await store.next_send("a", START)
    assert START + 10 == await store.next_send("b", START)
    assert None is await store.next_send("a", START + 50)


@pytest.mark.asyncio
async def test_next_question(store):
    """The next question is the first of a request's and a poll's, past or to come; sends don't count."""
    await put_orders(store, {"id": 1, "due_at": START + 10})
    assert None is await store.next_question("a")
    await put(store, schema.request, {"account": "a", "state": "unsure", "due_at": START + 40})
    assert START + 40 == await store.next_question("a")
    await put_orders(store, {"id": 2, "state": "sent", "poll_at": START + 30})
    assert START + 30 == await store.next_question("a")
    await put_orders(store, {"id": 3, "state": "sent", "poll_at": START - 99})
    assert START - 99 == await store.next_question("a")
    assert None is await store.next_question("b")


@pytest.mark.asyncio
async def test_orders_by_what_they_belong_to(store):
    """Orders are found by id, request, mail and group."""
    await put_orders(
        store,
        {"id": 3, "mail_id": 70, "request_id": 80},
        {"id": 2, "mail_id": 70, "request_id": 80, "merged_into": 3},
        {"id": 1, "mail_id": 71, "request_id": 81, "parent_id": 3},
        {"id": 4, "mail_id": 70, "merged_into": 1, "parent_id": 9},
    )
    assert {1, 3} == set(ids(await store.orders([3, 1, 99])))
    assert [2, 3] == ids(await store.orders_of_requests([80]))
    assert [1, 2, 3] == ids(await store.orders_of_requests(iter([81, 80])))
    assert [2, 3, 4] == ids(await store.orders_of_mail(70))
    assert [1] == ids(await store.members([3]))
    for find in (store.orders, store.orders_of_requests, store.members):
        assert [] == await find([])


@pytest.mark.asyncio
async def test_scene(store):
    """Some orders, those merged into them or into their groups, and everything of the recipients of both."""
    await put(store, schema.mail, {"id": 70}, {"id": 71}, {"id": 72})
    await put(store, schema.recipient, *({"id": 10 + n, "mail_id": n} for n in (70, 71, 72)))
    await put_orders(
        store,
        {"id": 1, "mail_id": 70, "recipient_id": 80},
        {"id": 2, "mail_id": 70, "recipient_id": 80, "parent_id": 1},
        {"id": 3, "mail_id": 71, "recipient_id": 81, "merged_into": 1},
        {"id": 4, "mail_id": 71, "recipient_id": 81},
        {"id": 5, "mail_id": 72, "recipient_id": 82, "merged_into": 4},
        {"id": 6, "mail_id": 72, "recipient_id": 82, "merged_into": 2},
        {"id": 7, "mail_id": 71, "recipient_id": 91},
    )
    group = await store.scene([1])
    assert ([1], [3], [1, 2, 3, 4]) == (ids(group.orders), ids(group.merged), ids(group.siblings))
    assert ({70, 71}, {80, 81}) == (group.mails.keys(), group.recipients.keys())
    member = await store.scene(iter([2]))
    assert ([2], [3, 6]) == (ids(member.orders), ids(member.merged))
    assert [1, 2, 3, 4, 5, 6] == ids(member.siblings)
    nothing = await store.scene([])
    assert ([], [], [], {}, {}) == (
        nothing.orders,
        nothing.merged,
        nothing.siblings,
        nothing.mails,
        nothing.recipients,
    )


@pytest.mark.asyncio
async def test_in_state(store):
    """Unfinished orders in one state, of whatever account."""
    await put_orders(
        store,
        {},
        {"state": "sending"},
        {"state": "sending", "account": "b"},
        {"state": "unsure"},
        {"state": "merged"},
        {"state": "merged", "finished_at": START},
    )
    assert {2, 3} == set(ids(await store.in_state(State.SENDING)))
    assert [1] == ids(await store.in_state(State.WAITING))
    assert [5] == ids(await store.in_state(State.MERGED))


NOT_SAID = ["", "nothing", "later"]
"""Last words of a merged order whose speaker is not at the provider either."""


@pytest.mark.asyncio
async def test_merged_orders_expire(store):
    """A merged order expires while the one that speaks for it is not at the provider, and no longer."""
    await put_orders(
        store,
        *(
            {"id": n, "state": "merged", "merged_into": 1, "kind": kind, "expire_at": START - 20 + n}
            for n, kind in enumerate([*NOT_SAID, "accepted", "unsure", "delivered"], 1)
        ),
        {"id": 9, "state": "merged", "merged_into": 1, "expire_at": START, "finished_at": START},
        {"id": 10, "state": "merged", "merged_into": 1, "expire_at": START + 1},
    )
    assert [1, 2, 3] == ids(await store.expired(START, 10))
    assert START - 19 == await store.next_deadline(DAY)


@pytest.mark.asyncio
async def test_expired(store):
    """Only orders that wait, are held or merged expire here, those first whose time passed first."""
    await put_orders(
        store,
        {"id": 1, "expire_at": START},
        {"id": 2, "expire_at": START - 5, "state": "held"},
        {"id": 3, "expire_at": START + 1},
        {"id": 4, "expire_at": START, "state": "sending"},
        {"id": 5, "expire_at": START, "state": "failed", "finished_at": START},
        {"id": 6, "expire_at": START - 9, "account": "b"},
    )
    assert [6, 2, 1] == ids(await store.expired(START, 10))
    assert [6] == ids(await store.expired(START, 1))


@pytest.mark.asyncio
async def test_to_warn(store):
    """Orders that owe a warning by now."""
    await put_orders(store, {"warn_at": START}, {"warn_at": START + 1}, {}, {"warn_at": START - 9})
    assert {1, 4} == set(ids(await store.to_warn(START, 10)))
    assert 1 == len(await store.to_warn(START, 1))


@pytest.mark.asyncio
async def test_open_since(store):
    """Orders without a final word whose time came by then, if the provider has them or may have them."""
    others = [state for state in State if state not in (State.SENT, State.UNSURE)]
    await put_orders(
        store,
        {"id": 1, "state": "sent", "start_at": START},
        {"id": 2, "state": "unsure", "start_at": START - 9, "account": "b"},
        {"id": 3, "state": "sent", "start_at": START + 1},
        {"id": 4, "state": "sent", "start_at": START, "finished_at": START},
        *({"id": 10 + n, "state": state, "start_at": START} for n, state in enumerate(others)),
    )
    assert {1, 2} == set(ids(await store.open_since(START, 99)))
    assert [2] == ids(await store.open_since(START - 1, 99))
    assert 1 == len(await store.open_since(START, 1))
    assert [] == await store.open_since(START - 10, 99)


@pytest.mark.asyncio
async def test_next_deadline(store):
    """The next deadline is the first order's that can still expire or be given up, or the first warning's."""
    assert None is await store.next_deadline(MINUTE)
    await put_orders(
        store, {"id": 3, "start_at": START, "expire_at": START + 3, "state": "failed", "finished_at": START}
    )
    assert None is await store.next_deadline(MINUTE)
    await put_orders(
        store,
        {"id": 1, "start_at": START + 5, "expire_at": START + 1, "state": "sent"},
        {"id": 2, "start_at": START + 7, "expire_at": START + 2, "state": "unsure"},
    )
    assert START + 5 + MINUTE == await store.next_deadline(MINUTE)
    assert START + 5 + DAY == await store.next_deadline(DAY)
    for number, state in enumerate(("sending", "held", "waiting")):
        at = START + 60 - number
        await put_orders(store, {"id": 10 + number, "expire_at": at, "state": state})
        assert at == await store.next_deadline(MINUTE)
    await put_orders(
        store, {"id": 20, "warn_at": START + 70}, {"id": 21, "warn_at": START + 30, "state": "merged"}
    )
    assert START + 30 == await store.next_deadline(MINUTE)
    assert START + 5 + 20 == await store.next_deadline(20)


@pytest.mark.asyncio
@pytest.mark.parametrize(("state", "counts"), [(state, state in ("sent", "unsure")) for state in State])
async def test_which_orders_are_given_up(state, counts, store):
    """Sent and unsure orders bring on the deadline of `give_up`, others don't."""
    await put_orders(store, {"start_at": START, "state": state})
    assert counts == (START + 1 == await store.next_deadline(1))


@pytest.mark.asyncio
async def test_an_order_changes(store):
    """An order that was read is changed by its version, and by that version once only."""
    await put_orders(store, {"rank": 3})
    (order,) = await store.orders([1])
    claim = Change()
    claim.update(schema.orders, order.id, order.version, state=State.SENDING, lease_until=START + MINUTE)
    await store.write(claim)
    with pytest.raises(Stale):
        await store.write(claim)
    (order,) = await store.orders([1])
    assert (State.SENDING, 2, START + MINUTE, 3) == (
        order.state,
        order.version,
        order.lease_until,
        order.rank,
    )


@pytest.mark.asyncio
async def test_orders_that_another_account_may_carry(store):
    """Those that wait for an account and have a list, by rank and age, a page after another."""
    both = '["a","b"]'
    await put_orders(
        store,
        {"accounts": both, "rank": 1},
        {"accounts": both},
        {"accounts": both, "due_at": START + DAY},
        {"accounts": both, "account": "b"},
        {"accounts": both, "state": "unsure"},
        {"accounts": both, "expire_at": START},
        {},
        {"accounts": both, "account": "gone", "state": "failed"},
    )
    first = await store.to_move("a", START, 2)
    assert [2, 3] == ids(first)
    assert [1] == ids(await store.to_move("a", START, 2, first[-1]))
    assert {"a", "b"} == await store.waited_for()


# -- phones, accounts, mails --------------------------------------------------------------


@pytest.mark.asyncio
async def test_phones(store):
    """Every phone asked for is answered: as it was written, or as one that heard nothing yet.

    One row tells what a phone heard, by whatever account.
    """
    await put(
        store,
        schema.phone,
        {"account": "", "target": "+1", "chain": 3, "texts": '[["x",5,6]]'},
    )
    found = await store.phones(iter(["+2", "+1"]))
    assert {
        "+1": Phone("", "+1", version=1, chain=3, texts='[["x",5,6]]'),
        "+2": Phone("", "+2", version=0),
    } == found
    assert {} == await store.phones([])


@pytest.mark.asyncio
async def test_accounts(store):
    """What is known of accounts, by name."""
    assert {} == await store.accounts()
    await put(store, schema.account, {"name": "a", "rest": "money", "probe_at": START}, {"name": "b"})
    found = await store.accounts()
    assert {"a", "b"} == set(found)
    assert ("money", START, 1) == (found["a"].rest, found["a"].probe_at, found["a"].version)


@pytest.mark.asyncio
async def test_a_mail_comes_back(store):
    """A mail that was taken in is read back as the values it was written as, and its story begun."""
    envelope = Envelope(sender="s@x", recipients=(Recipient(address="7@sms.x"), Recipient(address="8@sms.x")))
    draft = Draft(
        recipient=1,
        content=0,
        target="+7",
        hidden=False,
        account="a",
        channel="sms",
        priority=1,
        start_at=START,
        expire_at=START + DAY,
        digest="d",
        says="s",
    )
    composed = Composed(
        contents=(Content(channel="sms", text="Диск", params={"flash": "1"}),), drafts=(draft,)
    )
    taken = intake.change_for(
        envelope,
        Letter(digest="abc", head=b"a\xff\0b"),
        composed,
        mail_id=store.new_id(),
        ids=store.ids,
        now=START,
        size=9,
        files={},
        full_id=None,
    )
    assert None is await store.write(taken.change)
    assert taken.mail.id == await store.write(taken.change)
    assert {taken.mail.id: taken.mail} == await store.mails([taken.mail.id, 5])
    recipients = {each.id: each for each in taken.recipients}
    assert recipients == await store.recipients(recipients)
    assert taken.orders == await store.orders_of_mail(taken.mail.id) == await waiting_due(store, "a", 9)
    (content,) = (await store.contents([taken.orders[0].content_id])).values()
    assert ("Диск", {"flash": "1"}, []) == (content.text, content.form, content.attachments)
    assert ["queued"] == [each["event"] for each in await store.story(taken.orders[0].id)]


# -- files --------------------------------------------------------------------------------


async def back(store, stored):
    """A stored file's octets, and how they came."""
    parts = [part async for part in store.file_chunks(stored)]
    return b"".join(parts), [len(part) for part in parts]


def pattern(size):
    """Octets no two of whose chunks are the same."""
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


NEAR = st.builds(
    lambda n, by: max(0, n * CHUNK + by), st.sampled_from([0, 1, 2, 15, 16, 17]), st.integers(-2, 2)
)


@settings(max_examples=12)
@given(sizes=st.lists(NEAR, min_size=1, max_size=2), spooled=st.booleans())
@example(sizes=[CHUNK, 0, CHUNK + 1, 1], spooled=False)
@example(sizes=[15 * CHUNK], spooled=False)
@example(sizes=[16 * CHUNK, 33 * CHUNK], spooled=True)
def test_files_come_back(sizes, spooled, tmp_path_factory):
    """Files of any size come back octet for octet and chunk by chunk, from memory as from a spool file."""
    folder = tmp_path_factory.mktemp("files")

    async def run():
        engine = SQLite(str(folder / "relay.db"))
        store = Store(engine, Ids(1), StillClock())
        files = []
        for n, size in enumerate(sizes):
            data = pattern(size)
            (folder / f"{n}").write_bytes(data)
            source = {"path": str(folder / f"{n}")} if spooled else {"data": data}
            files.append(File(name=f"Файл {n}", type="image/png", size=size, **source))
        try:
            stored = await store.put_files(7, files)
            assert [(file.name, file.type, file.size) for file in files] == [
                (each.name, each.type, each.size) for each in stored
            ]
            for size, each in zip(sizes, stored, strict=True):
                octets, lengths = await back(store, each)
                assert pattern(size) == octets
                assert all(length == CHUNK for length in lengths[:-1])
            rows = await engine.read(select(schema.file).order_by(schema.file.c.id))
            assert [(each.id, 7, START, each.size) for each in stored] == [
                (row["id"], row["mail_id"], row["created_at"], row["size"]) for row in rows
            ]
        finally:
            await engine.close()

    asyncio.run(run())


@pytest.mark.asyncio
async def test_large_file_is_several_transactions(engine, store):
    """A large file never holds the writer up for long."""
    before = engine.transactions
    await store.put_files(7, [File(name="a", type="b", size=40 * CHUNK, data=bytes(40 * CHUNK))])
    assert 3 <= engine.transactions - before


@pytest.mark.asyncio
async def test_no_files(engine, store):
    """A mail without files costs no transaction."""
    assert [] == await store.put_files(7, [])
    assert 0 == engine.transactions


@pytest.mark.asyncio
async def test_file_that_is_gone(engine, store):
    """A file whose chunks were swept ends early instead of failing."""
    (stored,) = await store.put_files(7, [File(name="a", type="b", size=3, data=b"abc")])
    await engine.delete(module.SWEEP_CHUNKS, key=stored.id)
    assert (b"", []) == await back(store, stored)


# -- sweeping -----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_no_step_of_the_purge_takes_much(engine, store, clock):
    """However many recipients a mail had, a step takes so many rows, and others write in between."""
    key, many = model.key_at(START), module.STEP + 200
    rows = range(1, many + 1)
    await put(store, schema.mail, {"id": key, "received_at": START, "subject": "s"})
    await put(store, schema.mail, *({"id": key + n, "received_at": START} for n in rows))
    await put(store, schema.orders, *({"id": n} for n in rows), mail_id=key, finished_at=START)
    await put(store, schema.story, *({"id": n, "order_id": n} for n in rows))
    for table in (schema.content, schema.recipient, schema.notice, schema.step):
        await put(
            store,
            table,
            *({"id": n} for n in rows),
            mail_id=key,
            **({"text": "t"} if table is schema.content else {}),
        )
    taken, delete_ = [], engine.delete

    async def counted(statement, **parameters):
        taken.append(await delete_(statement, **parameters))
        return taken[-1]

    engine.delete = counted
    for step in (housekeeping.wipe, housekeeping.forget):
        last, steps = 0, 0
        while last := await step(store, START, last):
            steps += 1
        assert steps
        assert 0 < max(taken) <= module.STEP
        assert many <= sum(taken)
        taken.clear()
    for table in (schema.mail, schema.orders, schema.story, schema.content, schema.recipient, schema.notice):
        assert [] == await engine.read(select(table))


@pytest.mark.asyncio
async def test_no_step_of_the_sweep_takes_much(engine, store, clock):
    """Nor where thousands of phones were counted in one hour, or nobody claimed thousands of files."""
    many = module.STEP + 200
    amounts = dict.fromkeys(schema.AMOUNTS, 1)
    await put(store, schema.spent, *({"cap": f"day phone +{n}", "at": START} for n in range(many)), **amounts)
    await put(store, schema.file, *({"id": n, "mail_id": n} for n in range(1, many)), created_at=START)
    await put(store, schema.file, {"id": many + 1, "mail_id": many + 1}, created_at=START)
    await put(store, schema.mail, {"id": many + 1})
    await put(store, schema.chunk, *({"n": n} for n in range(2 * module.CHUNKS + 1)), file_id=1, data=b"x")
    taken, delete_ = [], engine.delete

    async def counted(statement, **parameters):
        taken.append(await delete_(statement, **parameters))
        assert taken[-1] <= (module.CHUNKS if statement is module.SWEEP_CHUNKS else module.STEP)
        return taken[-1]

    engine.delete = counted
    clock.set(START + housekeeping.SPENT_KEPT)
    await housekeeping.sweep(store)
    assert 2 * many < sum(taken)
    for table in (schema.spent, schema.chunk):
        assert [] == await engine.read(select(table))
    assert [many + 1] == [row["id"] for row in await engine.read(select(schema.file.c.id))]


@pytest.mark.asyncio
async def test_sweep_repeats(engine, store, clock):
    """A repeat key is forgotten after its day, not before."""
    for n in range(3):
        await store.write(
            Change(once=(f"key{n}", n, START + n), inserts=[(schema.meta, {"key": f"{n}", "value": ""})])
        )
    clock.set(START + 1 + housekeeping.REPEAT_KEPT)
    await housekeeping.sweep(store)
    assert ["key2"] == [row["key"] for row in await engine.read(select(schema.repeat))]


@pytest.mark.asyncio
async def test_sweep_orphans(engine, store, clock):
    """Files that no mail claimed within a day go with their chunks; claimed and young ones stay."""
    file = File(name="a", type="b", size=CHUNK + 1, data=bytes(CHUNK + 1))
    (claimed,) = await store.put_files(1, [file])
    await put(store, schema.mail, {"id": 1})
    orphans = await store.put_files(2, [file, file])
    clock.set(START + DAY // 2)
    (young,) = await store.put_files(3, [file])
    await housekeeping.sweep(store)
    assert 4 == len(await engine.read(select(schema.file)))
    clock.set(START + DAY + MINUTE)
    await housekeeping.sweep(store)
    left = {claimed.id, young.id}
    assert left == {row["id"] for row in await engine.read(select(schema.file))}
    assert left == {row["file_id"] for row in await engine.read(select(schema.chunk.c.file_id))}
    for each in (claimed, young):
        assert file.data == (await back(store, each))[0]
    for each in orphans:
        assert b"" == (await back(store, each))[0]


@pytest.mark.asyncio
async def test_sweep_after_a_long_time_off(engine, store, clock):
    """A relay that was off for weeks sweeps what a crash before that left behind."""
    await store.put_files(2, [File(name="a", type="b", size=3, data=b"abc")])
    clock.set(START + 30 * DAY)
    await housekeeping.sweep(store)
    assert [] == await engine.read(select(schema.file))
    assert [] == await engine.read(select(schema.chunk.c.n))


# -- notices ------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_notices(store):
    """Notices come when due, oldest first; claimed ones are those that a report took and that wait."""
    assert None is await store.next_notice()
    await put(
        store,
        schema.notice,
        {"id": 1, "due_at": START},
        {"id": 2, "due_at": START - 5, "mail_id": 6},
        {"id": 3, "due_at": START + 1},
        {"id": 4, "due_at": START + 9, "report_id": 50},
        {"id": 5, "due_at": None, "state": "done", "report_id": 51},
        {"id": 6, "due_at": START - 9, "state": "failed"},
        {"id": 7, "due_at": START - 1, "report_id": 52},
        state="waiting",
        mail_id=5,
    )
    due = await store.due_notices(START, 10)
    assert [2, 7, 1] == ids(due)
    assert {NoticeState.WAITING} == {notice.state for notice in due}
    assert [2] == ids(await store.due_notices(START, 1))
    assert [4] == ids(await store.claimed_notices(START))
    assert {1, 3, 4, 5, 6, 7} == set(ids(await store.notices_of(5)))
    assert [2, 5] == ids(await store.notices(iter([5, 2, 99])))
    assert [] == await store.notices([])
    assert START - 9 == await store.next_notice()


@pytest.mark.asyncio
async def test_sweep_operator_notices(engine, store, clock):
    """What was told to the operator, of no mail, goes after thirty days; what waits or is of a mail stays."""
    await put(
        store,
        schema.notice,
        {"id": 1, "state": "done"},
        {"id": 2, "state": "failed"},
        {"id": 3, "state": "waiting"},
        {"id": 4, "state": "done", "mail_id": 5},
        {"id": 5, "state": "done", "created_at": START + 1},
        created_at=START,
    )
    clock.set(START + 30 * DAY)
    await housekeeping.sweep(store)
    assert {3, 4, 5} == {row["id"] for row in await engine.read(select(schema.notice.c.id))}


# -- people -------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_listed(store):
    """Lists show the youngest first, only in the states asked for."""
    await put_orders(store, {}, {"state": "failed"}, {}, {"state": "sent"})
    assert [4, 3, 2, 1] == ids(await store.listed(State, 10))
    assert [3, 2] == ids(await store.listed({State.WAITING, State.FAILED}, 2))
    assert [] == await store.listed([], 10)


@pytest.mark.asyncio
async def test_counts(store):
    """How many unfinished orders there are in each state that has any, of all accounts."""
    assert {} == await store.counts()
    await put_orders(
        store, {}, {}, {"state": "failed", "finished_at": START}, {"account": "b"}, {"state": "held"}
    )
    assert {"waiting": 3, "held": 1} == await store.counts()


@pytest.mark.asyncio
async def test_oldest(store):
    """Since when the oldest order has been due that is not at the provider for sure and that nobody holds."""
    assert None is await store.oldest()
    others = ["held", "sent", "merged", "delivered", "dropped"]
    await put_orders(
        store,
        *({"id": 10 + n, "start_at": START - 50, "state": state} for n, state in enumerate(others)),
        {"id": 1, "start_at": START - 99, "state": "waiting", "finished_at": START},
    )
    assert None is await store.oldest()
    for number, state in enumerate(("waiting", "sending", "unsure"), 1):
        at = START - number
        # a later try does not make it younger
        row = {"id": 20 + number, "start_at": at, "due_at": START + DAY, "state": state, "account": state}
        await put_orders(store, row)
        assert at == await store.oldest()


@pytest.mark.asyncio
async def test_story(store, clock):
    """A story is told in the order in which it was written, even within one millisecond."""
    change = Change()
    tell(change, store, 5, "queued", "sms by main")
    tell(change, store, 6, "queued")
    tell(change, store, 5, "claimed")
    await store.write(change)
    clock.set(START + SECOND)
    change = Change()
    tell(change, store, 5, "sent", "4.0.0 ok")
    await store.write(change)
    assert [
        (START, "queued", "sms by main"),
        (START, "claimed", ""),
        (START + SECOND, "sent", "4.0.0 ok"),
    ] == [(each["at"], each["event"], each["detail"]) for each in await store.story(5)]
    assert [] == await store.story(7)


def test_ids_grow(store, clock):
    """Ids of the store are made by the process's clock and never twice."""
    made = [store.new_id() for _ in range(10)]
    clock.set(START + 1)
    made.append(store.new_id())
    assert sorted(set(made)) == made


def test_json():
    """JSON in a column is short and keeps letters as they are."""
    assert '{"a":["ж",1,null]}' == as_json({"a": ["ж", 1, None]})


# -- speed --------------------------------------------------------------------------------

SMALL_OR_WHOLE = {"LIST", "CALLING", "ACCOUNTS", "HEARD", "LAST_LOOKED_AT", "LAST_FILE"}
"""Asked at start or by people, about everything there is."""
ALL_OPEN = {"COUNTS"}
"""Asked at start or by scrapes, about all unfinished orders."""
STATEMENTS = {
    name: each
    for name, each in [
        *vars(module).items(),
        *((f"FORGET_{n}", each) for n, each in enumerate(module.FORGET)),
    ]
    if isinstance(each, (Select, Delete, Update)) and not name.startswith("_")
}
PARAMETERS = {
    "account": "a",
    "target": "+1",
    "state": "waiting",
    "ids": [1, 2],
    "targets": ["+1"],
    "topics": ["t"],
    "states": ["sent"],
    "but": ["ops"],
    "caps": ["day sender a"],
    "cap": "day sender a",
    "source": "watch",
} | dict.fromkeys(
    [
        "key",
        "rank",
        "now",
        "many",
        "mail",
        "file",
        "n",
        "order",
        "before",
        "handed",
        "above",
        "was",
        "after",
        "asleep",
        "kind",
    ],
    1,
)


def steps_of(name, path):
    """How SQLite goes about a statement, step by step."""
    needed = {key: PARAMETERS[key] for key in STATEMENTS[name].compile().params if key in PARAMETERS}
    sql, parameters = Compiled().other(STATEMENTS[name], needed)
    raw = sqlite3.connect(path)
    plan = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    raw.close()
    return plan


@pytest.mark.asyncio
@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - SMALL_OR_WHOLE - ALL_OPEN))
async def test_statements_use_an_index(name, sqlite, path):
    """What is asked all the time finds its rows by an index, however long the queue."""
    plan = steps_of(name, path)
    searches = [each for each in plan if each.startswith("SEARCH")]
    assert searches
    # a minimum that has no index is called a search too, of the whole table
    assert [] == [each for each in searches if " USING " not in each]
    assert [] == [each for each in plan if each.startswith("SCAN")]


SORTED_FEW = {"NOTICES", "ORDERS_BY_REQUEST", "ORDERS_BY_MAIL", "ORDERS_MEMBERS", "SCENE_ORDERS"} | {
    "INCOMING_FROM",
    "INCOMING_OF",
    "LAST_TO",
    "LED",
    "SCENE_MAILS",
    "SCENE_RECIPIENTS",
    "ORDERS_MERGED",
    "ORDERS_OF_MAILS",
    "STEPS_OF_MAILS",
    "STORY",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - SMALL_OR_WHOLE - ALL_OPEN - SORTED_FEW))
async def test_the_first_of_many_are_found_in_their_order(name, sqlite, path):
    """Nothing sorts a whole queue to hand out its first rows."""
    assert [] == [each for each in steps_of(name, path) if "FOR ORDER BY" in each]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", sorted(ALL_OPEN))
async def test_whole_statements_leave_history_alone(name, sqlite, path):
    """What is asked about all open orders reads these alone, however many are finished."""
    (step,) = [each for each in steps_of(name, path) if each.startswith(("SCAN", "SEARCH"))]
    assert step.endswith("USING INDEX orders_started")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["OLDEST", "OLDEST_ORDER", "OPEN_SINCE", "ORDERS_IN"])
async def test_ages_are_found_by_their_index(name, sqlite, path):
    """Scrapes and chores find the oldest open orders from their oldest end."""
    (step,) = steps_of(name, path)
    assert step.startswith("SEARCH orders USING INDEX orders_started")
