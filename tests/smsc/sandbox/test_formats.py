"""The four formats, byte for byte (the vendor's pages on sending, statuses and balance)."""

import pytest

pytestmark = pytest.mark.asyncio

PHONE = "79991234567"
SENT = [
    (0, 0, "OK - 1 SMS, ID - 7"),
    (0, 1, "2.50 (1 SMS)"),
    (0, 2, "OK - 1 SMS, ID - 7, COST - 2.50"),
    (0, 3, "OK - 1 SMS, ID - 7, COST - 2.50, BALANCE - 997.50"),
    (1, 0, "7,1"),
    (1, 1, "2.50,1"),
    (1, 2, "7,1,2.50"),
    (1, 3, "7,1,2.50,997.50"),
    (2, 0, "<result>\n<id>7</id>\n<cnt>1</cnt>\n</result>"),
    (2, 1, "<result>\n<cost>2.50</cost>\n<cnt>1</cnt>\n</result>"),
    (2, 2, "<result>\n<id>7</id>\n<cnt>1</cnt>\n<cost>2.50</cost>\n</result>"),
    (
        2,
        3,
        "<result>\n<id>7</id>\n<cnt>1</cnt>\n<cost>2.50</cost>\n<balance>997.50</balance>\n</result>",
    ),
    (3, 0, '{\n"id": 7,\n"cnt": 1\n}'),
    (3, 1, '{\n"cost": "2.50",\n"cnt": 1\n}'),
    (3, 2, '{\n"id": 7,\n"cnt": 1,\n"cost": "2.50"\n}'),
    (3, 3, '{\n"id": 7,\n"cnt": 1,\n"cost": "2.50",\n"balance": "997.50"\n}'),
]
PHONES = [
    (0, f"OK - 1 SMS, ID - 7\n{PHONE},25001,2.50,,\n123,,,22,249"),
    (1, f"7,1\n{PHONE},25001,2.50,,\n123,,,22,249"),
    (
        2,
        (
            "<result>\n<id>7</id>\n<cnt>1</cnt>\n<phones>\n"
            f'<phone mccmnc="25001" cost="2.50">{PHONE}</phone>\n'
            '<phone status="22" error="249">123</phone>\n</phones>\n</result>'
        ),
    ),
    (
        3,
        (
            '{\n"id": 7,\n"cnt": 1,\n"phones": [{\n'
            f'"phone": "{PHONE}",\n"mccmnc": "25001",\n"cost": "2.50"\n}},\n'
            '{\n"phone": "123",\n"status": "22",\n"error": "249"\n}]\n}'
        ),
    ),
]
ERRORS = [
    (0, {"mes": ""}, "ERROR = 1 (parameters error)"),
    (1, {"mes": ""}, "0,-1"),
    (2, {"mes": ""}, "<result>\n<error>parameters error</error>\n<error_code>1</error_code>\n</result>"),
    (3, {"mes": ""}, '{\n"error": "parameters error",\n"error_code": 1\n}'),
    (9, {"mes": ""}, "ERROR = 1 (parameters error)"),
    (0, {"phones": "1"}, "ERROR = 7 (invalid number), ID - 7"),
    (1, {"phones": "1"}, "7,-7"),
    (
        2,
        {"phones": "1"},
        "<result>\n<error>invalid number</error>\n<error_code>7</error_code>\n<id>7</id>\n</result>",
    ),
    (3, {"phones": "1"}, '{\n"error": "invalid number",\n"error_code": 7,\n"id": 7\n}'),
]
DATE, STAMP = "15.01.2027 11:00:00", 1800000000
SHORT = f'"status": -1,\n"last_date": "{DATE}",\n"last_timestamp": {STAMP},\n"flag": 0,\n"err": 0'
FULL = (
    f'{SHORT},\n"send_date": "{DATE}",\n"send_timestamp": {STAMP},\n"phone": "{PHONE}",\n"cost": "2.50",\n'
    '"sender_id": "BOSS",\n"status_name": "Ожидает отправки",\n"message": "Да, так"'
)
TAIL = '"type": 0,\n"comment": "про себя",\n"mccmnc": "25001",\n"sms_cnt": 1'
LAND = (
    '"country": "Россия",\n"operator": "МТС",\n"operator_orig": "МТС",\n'
    '"region": "Москва и Московская область"'
)
NUMBERS = f"-1,{STAMP},0"
STATUSES = [
    (0, 0, False, f"Status = -1, check_time = {DATE}, err = 0"),
    (0, 0, True, f"Status = -1, check_time = {DATE}, err = 0, id = 7, phone = {PHONE}"),
    (
        0,
        1,
        False,
        (
            f"Status = -1, check_time = {DATE}, err = 0, send_date = {DATE}, phone = {PHONE}, "
            "cost = 2.50, sender_id = BOSS, status_name = Ожидает отправки, "
            "message = Да, так, comment = про себя, type = 0"
        ),
    ),
    (1, 0, False, NUMBERS),
    (1, 0, True, f"{NUMBERS},7,{PHONE}"),
    (
        1,
        1,
        False,
        f"{NUMBERS},{STAMP},{PHONE},2.50,BOSS,Ожидает отправки,Да, так,про себя,0",
    ),
    (
        1,
        2,
        True,
        (
            f"{NUMBERS},{STAMP},{PHONE},Россия,МТС,Москва и Московская область,2.50,BOSS,"
            "Ожидает отправки,Да, так,про себя,0,7"
        ),
    ),
    (
        2,
        0,
        False,
        (
            f"<sms>\n<status>-1</status>\n<last_date>{DATE}</last_date>\n<last_timestamp>{STAMP}</last_timestamp>\n"
            "<flag>0</flag>\n<err>0</err>\n</sms>"
        ),
    ),
    (
        2,
        0,
        True,
        (
            f"<list>\n<sms>\n<status>-1</status>\n<last_date>{DATE}</last_date>\n"
            f"<last_timestamp>{STAMP}</last_timestamp>\n<flag>0</flag>\n<err>0</err>\n<id>7</id>\n"
            f"<phone>{PHONE}</phone>\n</sms>\n</list>"
        ),
    ),
    (3, 0, False, f"{{\n{SHORT}\n}}"),
    (3, 0, True, f'[{{\n{SHORT},\n"id": 7,\n"phone": "{PHONE}"\n}}]'),
    (3, 1, False, f"{{\n{FULL},\n{TAIL}\n}}"),
    (3, 2, False, f"{{\n{FULL},\n{LAND},\n{TAIL}\n}}"),
]
UNKNOWN = [
    (0, False, "Status = -3, check_time = , err = 0"),
    (1, False, "-3,0,0"),
    (1, True, "-3,0,0,8,89990000000"),
    (2, False, "<sms>\n<status>-3</status>\n</sms>"),
    (3, False, '{\n"status": -3\n}'),
    (3, True, '[{\n"status": -3,\n"id": 8,\n"phone": "89990000000"\n}]'),
]
BALANCES = [
    (0, 0, "1000.00"),
    (1, 0, "1000.00"),
    (2, 0, "<balance>1000.00</balance>"),
    (3, 0, '{\n"balance": "1000.00"\n}'),
    (0, 1, "1000.00 RUR"),
    (2, 1, "<result>\n<balance>1000.00</balance>\n<currency>RUR</currency>\n</result>"),
    (3, 1, '{\n"balance": "1000.00",\n"currency": "RUR"\n}'),
]


@pytest.mark.parametrize(("fmt", "cost", "expected"), SENT)
async def test_a_send_is_answered_in_each_format(client, fmt, cost, expected):
    """The parameter `cost` adds price and balance, or asks for the price alone."""
    assert await client.text("send", phones=PHONE, mes="Hi", id=7, fmt=fmt, cost=cost) == expected


@pytest.mark.parametrize(("fmt", "expected"), PHONES)
async def test_op_adds_every_number(client, fmt, expected):
    """Each number stands with its network and price, a wrong one with status and error."""
    assert await client.text("send", phones=f"{PHONE},123", mes="Hi", id=7, fmt=fmt, op=1) == expected


@pytest.mark.parametrize(("fmt", "params", "expected"), ERRORS)
async def test_a_refusal_is_answered_in_each_format(client, fmt, params, expected):
    """Errors 3, 6, 7 and 8 bear the id, the others do not; HTTP says 200 all the same."""
    fields = {"phones": PHONE, "mes": "Hi", "id": 7, "fmt": fmt} | params
    status, _, body = await client.raw("send", **fields)
    assert (status, body.decode()) == (200, expected)


@pytest.mark.parametrize(("fmt", "detail", "multi", "expected"), STATUSES)
async def test_a_status_is_answered_in_each_format(client, fmt, detail, multi, expected):
    """A comma after the phone asks for the form of several messages."""
    await client.send(PHONE, "Да, так\n~~~\nпро себя", id=7, sender="BOSS", charset="utf-8")
    phone = PHONE + "," if multi else PHONE
    answer = await client.text("status", phone=phone, id=7, fmt=fmt, all=detail, charset="utf-8")
    assert answer == expected


@pytest.mark.parametrize(("fmt", "multi", "expected"), UNKNOWN)
async def test_a_message_that_is_not_there_has_status_minus_3(client, fmt, multi, expected):
    """The phone comes back as it was asked."""
    phone = "89990000000" + "," * multi
    assert await client.text("status", phone=phone, id=8, fmt=fmt) == expected


@pytest.mark.parametrize(("fmt", "cur", "expected"), BALANCES)
async def test_the_balance_is_answered_in_each_format(client, fmt, cur, expected):
    """`cur=1` adds the currency."""
    assert await client.text("balance", fmt=fmt, cur=cur) == expected


@pytest.mark.parametrize(
    ("fmt", "content_type"),
    [(0, "text/plain"), (1, "text/plain"), (2, "text/xml"), (3, "application/json")],
)
async def test_the_header_says_windows_1251_whatever_was_asked(client, fmt, content_type):
    """So it was recorded: the body is in the request's charset, the header does not know."""
    _, headers, _ = await client.raw("balance", fmt=fmt, charset="utf-8")
    assert headers["Content-Type"] == f"{content_type}; charset=windows-1251"


async def test_the_answer_ends_with_its_brace(client):
    """The recorded answer has 22 bytes for an id of two digits."""
    _, headers, body = await client.raw("send", phones=PHONE, mes="Hi", id=33, fmt=3)
    assert (headers["Content-Length"], len(body)) == ("22", 22)


async def test_hlr_statuses_say_where_the_phone_is(client):
    """An HLR query brings its eight fields home, and the sender reads HLR."""
    await client.send(PHONE, "", hlr=1, id=7)
    numbers = await client.text("status", phone=PHONE, id=7, fmt=1, all=1, charset="utf-8")
    assert numbers.split(",")[3:15] == [
        "250011234567890", "79168999100", "250", "01", "Russia", "MTS", "", "",
        str(STAMP), PHONE, "0.50", "HLR",
    ]  # fmt: skip
    answer = await client.ask("status", phone=PHONE, id=7)
    assert (answer["mcc"], answer["net"], answer["rcn"], answer["flag"]) == ("250", "MTS", "", 4)
    assert "imsi = 250011234567890" in await client.text("status", phone=PHONE, id=7)


async def test_with_all_1_the_hlr_mark_stands_where_the_libraries_look(client):
    """Field 14 reads HLR with `all=1`, field 17 with `all=2`."""
    await client.send(PHONE, "", hlr=1, id=7)
    for detail, place in ((1, 14), (2, 17)):
        numbers = await client.text("status", phone=PHONE, id=7, fmt=1, all=detail)
        assert numbers.split(",")[place] == "HLR"


async def test_a_text_without_comment_ends_the_numbers(client):
    """The libraries take what follows the text for the text, so nothing does."""
    await client.send(PHONE, "One, two", id=7)
    numbers = await client.text("status", phone=PHONE, id=7, fmt=1, all=1)
    assert numbers.split(",", 8)[8] == "One, two"


async def test_the_second_country_is_known(client):
    """Numbers of Kazakhstan and of nowhere have their own network codes."""
    answer = await client.send("77014929242,375291234567", op=1)
    assert [phone["mccmnc"] for phone in answer["phones"]] == ["40101", ""]
