"""Statuses, deletions and history (the vendor's pages on statuses and data)."""

import zlib

import pytest

pytestmark = pytest.mark.asyncio

PHONE = "79991234567"


async def test_positions_match_phones_with_ids(client):
    """The first phone goes with the first id; one send to several phones shares its id."""
    await client.send("79991234561,79991234562", id=5)
    await client.send("79991234561", "Other", id=6)
    answer = await client.ask(
        "status", phone="79991234561,79991234562,+79991234561,79991234562", id="5,5,6,6"
    )
    assert [(row["phone"], row["id"], row["status"]) for row in answer] == [
        ("79991234561", 5, -1),
        ("79991234562", 5, -1),
        ("+79991234561", 6, -1),
        ("79991234562", 6, -3),
    ]


async def test_numbers_for_several_are_lines(client):
    """With `fmt=1` each message has a line."""
    await client.send(id=5)
    answer = await client.text("status", phone=f"{PHONE},{PHONE}", id="5,6", fmt=1)
    assert answer.split("\n") == [f"-1,1800000000,0,5,{PHONE}", f"-3,0,0,6,{PHONE}"]


@pytest.mark.parametrize(
    "params", [{"phone": PHONE}, {"id": 5}, {"phone": f"{PHONE},{PHONE}", "id": 5}, {"phone": ",", "id": ","}]
)
async def test_a_question_needs_a_phone_for_every_id(client, params):
    """What does not match by position is a parameter error."""
    assert (await client.ask("status", **params))["error_code"] == 1


async def test_the_newest_of_two_messages_answers(client, clock):
    """An id need not be unique; the latest message under it is the one that counts."""
    await client.send(id=5)
    clock.passes(60)
    await client.send(mes="Again", id=5)
    assert (await client.ask("status", phone=PHONE, id=5, all=1))["message"] == "Again"


async def test_messages_of_another_login_are_not_seen(client):
    """Each account has its own messages."""
    await client.send(id=5)
    answer = await client.ask("status", phone=PHONE, id=5, login="bob", psw="1")
    assert answer == {"status": -3}


@pytest.mark.parametrize(
    ("fmt", "answer"),
    [(0, "OK"), (1, "OK"), (2, "<result>OK</result>"), (3, '{\n"result": "OK"\n}')],
)
async def test_a_message_can_be_deleted(sandbox, client, fmt, answer):
    """`del=1` takes the message out; a second time there is nothing to delete (error 5)."""
    await client.send(id=5)
    assert await client.text("status", phone=PHONE, id=5, fmt=fmt, **{"del": 1}) == answer
    assert sandbox.messages == []
    assert await client.status(PHONE, 5) == -3
    assert (await client.ask("status", phone=PHONE, id=5, **{"del": 1}))["error_code"] == 5


async def test_the_history_lists_messages(client, clock):
    """Each row says all there is to say of a message, the newest first."""
    await client.send(id=5, sender="BOSS", mes="One\n~~~\nnote")
    clock.passes(10)
    await client.send("G777", "Two", id="alarm")
    rows = await client.ask("get", get_messages=1, charset="utf-8")
    assert [(row["id"], row["int_id"], row["status"]) for row in rows] == [
        ("alarm", 4, -1), ("alarm", 3, -1), ("alarm", 2, -1), (5, 1, 1),
    ]  # fmt: skip
    assert rows[3] == {
        "status": 1, "last_date": "15.01.2027 11:00:02", "last_timestamp": 1800000002, "flag": 0, "err": 0,
        "send_date": "15.01.2027 11:00:00", "send_timestamp": 1800000000, "phone": PHONE,
        "country": "Россия", "operator": "МТС", "operator_orig": "МТС",
        "region": "Москва и Московская область", "cost": "2.50", "sender_id": "BOSS",
        "status_name": "Доставлено", "message": "One", "type": 0, "id": 5, "int_id": 1, "sms_cnt": 1,
        "format": 0, "crc": zlib.crc32(b"One"), "mccmnc": "25001", "comment": "note",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({}, [4, 3, 1]),
        ({"start": "15.01.2027", "end": "15.01.2027"}, [1]),
        ({"start": "16.01.2027"}, [4, 3]),
        ({"end": "15.01.2027"}, [1]),
        ({"phone": "+79991234567"}, [3, 1]),
        ({"phone": "79991234568,79990000000"}, [4]),
        ({"cnt": 1}, [4]),
        ({"cnt": 2, "prev_id": 4}, [3, 1]),
        ({"format": 8}, [2]),
        ({"email": "BOB@example.com"}, [2]),
        ({"format": 8, "email": "eve@example.com"}, []),
        ({"login": "bob", "psw": "1"}, []),
    ],
)
async def test_the_history_can_be_narrowed(client, clock, params, ids):
    """By dates, numbers, addresses, kind and count; `prev_id` goes on from a row."""
    await client.send(id=1)
    await client.send("bob@example.com", id=2, mail=1, subj="Hi", sender="a@b.example")
    clock.passes(86400)
    await client.send(id=3)
    await client.send("79991234568", id=4)
    assert [row["id"] for row in await client.ask("get", get_messages=1, **params)] == ids


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"get_stat": 1},
        {"get_messages": 1, "start": "2027-01-15"},
        {"get_messages": 1, "start": "01.01.2026"},
        {"get_messages": 1, "cnt": 1001},
        {"get_messages": 1, "cnt": "all"},
        {"get_answers": 1, "hour": 169},
    ],
)
async def test_a_faulty_question_for_data_is_refused(client, params):
    """Dates, counts and commands that are none are parameter errors."""
    assert (await client.ask("get", **params))["error_code"] == 1


async def test_the_history_in_words_and_in_xml(client):
    """Formats 0 and 1 are lines of `key = value`, format 2 a list."""
    await client.send(id=5, mes="<b>")
    for fmt in (0, 1):
        words = await client.text("get", get_messages=1, fmt=fmt)
        assert words.startswith("status = -1, last_date = 15.01.2027 11:00:00, last_timestamp = 1800000000")
    xml = await client.text("get", get_messages=1, fmt=2)
    assert xml.startswith("<list>\n<sms>\n<status>-1</status>\n")
    assert "<message>&lt;b&gt;</message>" in xml
    assert xml.endswith("</sms>\n</list>")


async def test_answers_of_phones_can_be_read(sandbox, client, clock):
    """What phones sent is listed by number, age and recipient."""
    sandbox.receive(PHONE, "Stop")
    clock.passes(7200)
    sandbox.receive(PHONE, "Да", "79990000001")
    rows = await client.ask("get", get_answers=1, charset="utf-8")
    assert rows[0] == {
        "id": 1, "received": "15.01.2027 11:00:00", "phone": PHONE, "message": "Stop",
        "to_phone": "79990000000", "sent": "15.01.2027 11:00:00",
    }  # fmt: skip
    assert [row["id"] for row in rows] == [1, 2]
    for narrowed in ({"hour": 1}, {"after_id": 1}, {"to_phone": "+79990000001"}):
        assert [row["id"] for row in await client.ask("get", get_answers=1, **narrowed)] == [2]
    assert [row["id"] for row in await client.ask("get", get_answers=1, cnt=1)] == [1]


async def test_a_confirming_call_is_recorded_as_a_message(sandbox, client):
    """As the vendor's page says, with the text "[waitcall] "."""
    sandbox.confirm(PHONE)
    (row,) = await client.ask("get", get_answers=1, charset="utf-8")
    assert (PHONE, "[waitcall] ") == (row["phone"], row["message"])
