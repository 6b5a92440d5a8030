"""What leaves as a `list`: only what would wait, only what may share a request, a phone once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery import joining, plan
from relay.delivery.joining import LIST, SIZE, Text
from relay.queue import schema
from relay.queue.rows import Content, Order
from relay.queue.states import State

PLAIN = Text("{}", 20)


def order(number: int, **values: object) -> Order:
    """A waiting SMS with a text of its own to a phone of its own."""
    row = {
        "id": number, "target": f"+7999{number:07d}", "channel": "sms", "digest": f"text {number}",
        "content_id": number, "state": State.WAITING.value, **values,
    }  # fmt: skip
    return Order.of(schema.row(schema.orders, **row))


def content(text: str = "disk full", **values: object) -> Content:
    """A content of an SMS."""
    row = {"id": 1, "channel": "sms", "text": text, "params": "{}", "files": "[]", "notes": "[]", **values}
    return Content(**schema.row(schema.content, **row))


def made(orders: list[Order], room: int, **values: object) -> list[list[int]]:
    """The numbers of the orders of each request; unless said otherwise all of them may be joined."""
    texts = values.pop("texts", {each.id: PLAIN for each in orders})
    rows = joining.joined(plan.groups(orders), texts, room, **values)
    return [[each.id for each in row] for row in rows]


# -- what may be in a list ------------------------------------------------------------------------


def test_a_plain_text_may_be_in_a_list():
    """With new lines and with a comment, too."""
    assert Text("{}", 9) == joining.text_of(order(1), content())
    assert joining.text_of(order(1), content("db1\ndisk full\n~~~\nops <file 1>"))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"channel": "flash"}, content(channel="flash")),
        ({"channel": "viber"}, content(channel="viber")),
        ({"target": "g777"}, content()),
        ({"target": "ann@example.com"}, content()),
        ({}, content("C:\\new")),
        ({}, content("a|b")),
        ({}, content("__CALL__: wake up")),
        ({}, content("{menu: 1: call +79990000000}")),
        ({}, content(files='[{"id": 1}]')),
        ({}, None),
    ],
)
def test_what_goes_alone(values, text):
    """Other channels, groups, what a line can't say, what the provider would obey, files."""
    assert joining.text_of(order(1, **values), text) is None


# -- what joins -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("orders", "room"), [(1, 1), (5, 5), (5, 14), (14, 14)])
def test_nothing_joins_while_there_are_slots(orders, room):
    """Each text that finds a free slot goes by itself."""
    assert [[n] for n in range(orders)] == made([order(n) for n in range(orders)], room)


@pytest.mark.parametrize(
    ("orders", "room", "sizes"),
    [
        (2, 1, [2]),
        (5, 2, [3, 2]),
        (15, 14, [2, 2, 2, 2, 2, 2, 2, 1]),
        (28, 14, [2] * 14),
        (LIST + 1, 1, [LIST]),
        (400, 3, [LIST] * 3),
        (4, 0, []),
    ],
)
def test_what_would_wait_is_spread_over_the_free_slots(orders, room, sizes):
    """In its order, the first first; what is over a list's bound waits."""
    found = made([order(n) for n in range(orders)], room)
    assert sizes == [len(row) for row in found]
    assert list(range(sum(sizes))) == [n for row in found for n in row]


def test_a_phone_stands_once_in_a_request():
    """What else it is to hear goes by another slot, or waits."""
    orders = [order(n, target=f"+7999000000{n % 2}") for n in range(6)]
    assert [[0, 1], [2, 3]] == made(orders, 2)
    assert [[0, 1]] == made(orders, 1)


def test_equal_texts_are_one_line():
    """Several phones with one text stay together within the list."""
    orders = [order(1, digest="a"), order(2, digest="b"), order(3, digest="a")]
    assert [[1, 3, 2]] == made(orders, 1)


@pytest.mark.parametrize(
    "values",
    [{"accounts": '["main","backup"]'}, {"batch": 7}, {"request_id": 7}, {"sender": "refused@example.com"}],
)
def test_what_must_not_share_a_list(values):
    """Other accounts, another half, another request, and whoever was refused lately."""
    orders = [order(1), order(2), order(3, **values), order(4, **values)]
    assert [[1, 2], [3, 4]] == made(orders, 2, apart={"refused@example.com"})


def test_parameters_must_be_equal():
    """Each of them, and whatever can't be joined goes alone."""
    orders = [order(n) for n in range(5)]
    texts = {0: PLAIN, 1: Text('{"sender":"B"}', 5), 2: PLAIN, 3: Text('{"sender":"B"}', 5)}
    assert [[0, 2], [1, 3], [4]] == made(orders, 3, texts=texts)


@pytest.mark.parametrize("values", [{"batch": 7}, {"request_id": 7}])
def test_halves_and_what_found_no_connection_stay_together(values):
    """Though there is a slot for each."""
    orders = [order(1), order(2, **values), order(3, **values)]
    assert [[1], [2, 3]] == made(orders, 14)
    assert [[1], [2], [3]] == made(orders, 14, texts={})


def test_when_no_slot_is_left_lists_fill_up():
    """Beyond their even share, up to their bound."""
    orders = [order(1, accounts="x"), *(order(n) for n in range(2, 8))]
    assert [[1], [2, 3, 4, 5, 6, 7]] == made(orders, 2)


def test_the_texts_of_a_list_are_bounded():
    """Long ones make more and shorter lists."""
    orders = [order(n) for n in range(80)]
    found = made(orders, 2, texts={each.id: Text("{}", 1000) for each in orders})
    assert [40, 40] == [len(row) for row in found]
    found = made(orders, 1, texts={each.id: Text("{}", 1000) for each in orders})
    assert [SIZE // 1000] == [len(row) for row in found]


ROWS = st.lists(
    st.tuples(
        st.integers(0, 30),  # phone
        st.integers(0, 8),  # digest
        st.sampled_from(["{}", '{"sender":"A"}', ""]),
        st.sampled_from([0, 0, 0, 7, 8]),  # batch
        st.sampled_from(["a", "b"]),  # sender
    ),
    max_size=60,
)


@given(ROWS, st.integers(0, 14))
def test_law_of_lists(rows, room):
    """Nobody twice, a phone once, equal parameters, within all bounds, and none waits by a free slot."""
    forms = {n: form for n, (_phone, _digest, form, _batch, _sender) in enumerate(rows)}
    orders = [
        order(n, target=f"+79990000{phone:03d}", digest=f"{digest} {form}", batch=batch, sender=sender)
        for n, (phone, digest, form, batch, sender) in enumerate(rows)
    ]
    texts = {n: Text(form, 100) for n, form in forms.items() if form}
    found = joining.joined(plan.groups(orders), texts, room, apart={"b"})
    flat = [each.id for row in found for each in row]
    assert len(found) <= room
    assert len(flat) == len(set(flat))
    for row in found:
        assert len(row) <= LIST
        assert len({each.target for each in row}) == len(row)
        if len({each.digest for each in row}) > 1:
            assert len({(forms[each.id], each.batch, each.accounts) for each in row}) == 1
            assert all(forms[each.id] for each in row)
            leaders = {group[0].sender for group in plan.groups(row)}
            assert len(leaders) == 1 or "b" not in leaders
    if len(flat) < len(orders):
        assert len(found) == room
    if len(plan.groups(orders)) <= room:
        assert all(len({each.digest for each in row}) == 1 for row in found if not row[0].batch)
