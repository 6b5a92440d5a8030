"""Which requests to send are taken, and which refused with what (the vendor's page on sending)."""

from decimal import Decimal

import pytest

pytestmark = pytest.mark.asyncio

PHONE = "79991234567"
MAIL = {"phones": "bob@example.com", "mail": 1, "subj": "Hi", "sender": "me@example.com"}
A1000 = "a" * 1000


async def test_a_message_exists_once_it_was_accepted(sandbox, client, clock):
    """What was sent can be looked at as the provider has it."""
    assert await client.send(PHONE, "Hello", id=7, sender="ALERTS") == {"id": 7, "cnt": 1}
    (message,) = sandbox.messages
    assert (message.phone, message.id, message.text, message.kind) == (PHONE, "7", "Hello", "sms")
    assert (message.sender, message.login, message.accepted_at) == ("ALERTS", "alex", clock.time)
    assert message.params == {
        "login": "alex", "phones": PHONE, "mes": "Hello", "fmt": "3", "id": "7", "sender": "ALERTS",
    }  # fmt: skip
    assert sandbox.messages_to("+" + PHONE) == [message]
    assert sandbox.status_of(message) == -1


async def test_every_call_can_be_looked_at_without_its_password(sandbox, client, clock):
    """A call keeps its path, method, parameters, headers and times, but no secret."""
    await client.raw("balance", method="GET", fmt=3)
    (call,) = sandbox.calls
    assert (call.path, call.method, call.login) == ("/sys/balance.php", "GET", "alex")
    assert call.params == {"login": "alex", "fmt": "3"}
    assert (call.body, call.status, call.answer) == (b"", 200, b'{\n"balance": "1000.00"\n}')
    assert (call.started_at, call.finished_at) == (clock.time, clock.time)
    assert "Host" in call.headers


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"phones": ""}, 1),
        ({"phones": " "}, 1),
        ({"phones": "", "list": ""}, 1),
        ({"mes": ""}, 1),
        ({"mes": "  "}, 1),
        ({"mes": "\n~~~\nonly a comment"}, 1),
        ({"mes": A1000 + "a"}, 1),
        ({"mes": "", "call": 1}, 1),
        ({"mes": "", "mms": 1}, 1),
        ({"mes": "abc", "bin": 2}, 1),
        ({"call": 1, "viber": 1}, 1),
        ({"id": "a b"}, 1),
        ({"id": "x" * 41}, 1),
        ({"charset": "iso-8859-1"}, 1),
        ({"translit": 3}, 1),
        ({"maxsms": "two"}, 1),
        ({"flash": "yes"}, 1),
        ({"tz": "east"}, 1),
        ({"time": "9-21", "tz": "99"}, 1),
        ({"voice": "x"}, 1),
        ({"valid": "25"}, 1),
        ({"valid": "0"}, 1),
        ({"valid": "00:00"}, 1),
        ({"valid": "24:01"}, 1),
        ({"period": "0"}, 1),
        ({"period": "1", "freq": "1441"}, 1),
        ({"period": "long"}, 1),
        ({"smsreq": "9"}, 1),
        ({"bot": "my bot"}, 1),
        ({"time": "tomorrow"}, 5),
        ({"time": "3202271200"}, 5),
        ({"time": "01.13.27 12:00"}, 5),
        ({"time": "9-25"}, 5),
        ({"time": " 5"}, 5),
        ({"sender": "TWELVE CHARS"}, 6),
        ({"sender": "1234567890123456"}, 6),
        ({"sender": "Алекс", "charset": "utf-8"}, 6),
        ({"mes": "12ab", "tg": 1}, 6),
        ({"mes": "123", "tg": 1}, 6),
        ({"phones": "123"}, 7),
        ({"phones": "abc"}, 7),
        ({"phones": "+7 999 1234567"}, 7),
        ({"phones": "+0999123456"}, 7),
        ({"phones": "7999123456789012"}, 7),
        ({"phones": "G5"}, 7),
        ({"phones": "bob@example.com"}, 7),
        ({"phones": "@nick"}, 7),
        (MAIL | {"subj": ""}, 1),
        (MAIL | {"mes": ""}, 1),
        (MAIL | {"sender": ""}, 1),
        (MAIL | {"sender": "Bob"}, 6),
        (MAIL | {"phones": "bob"}, 7),
        ({"list": "79991234567 without a colon"}, 1),
        ({"list": "\n"}, 1),
        ({"list": "123:Hello"}, 7),
        ({"list": "TWELVE CHARS|79991234567:Hello"}, 6),
    ],
)
async def test_a_faulty_request_is_refused(sandbox, client, params, code):
    """Each fault has its error number, and nothing is accepted."""
    answer = await client.send(**({"phones": PHONE, "mes": "Hello"} | params))
    assert answer["error_code"] == code
    assert ("id" in answer) == (code in {3, 6, 7, 8})
    assert sandbox.messages == []


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({}, "sms"),
        ({"mes": A1000}, "sms"),
        ({"id": "alarm-7_b.c"}, "sms"),
        ({"id": "99999999999"}, "sms"),
        ({"sender": "ELEVENCHARS"}, "sms"),
        ({"sender": "+79991234567890"}, "sms"),
        ({"valid": "24", "tinyurl": 1, "period": "0.1", "freq": 1440}, "sms"),
        ({"freq": "never, and ignored"}, "sms"),
        ({"valid": "01:00"}, "sms"),
        ({"valid": "24:00"}, "sms"),
        ({"time": "0"}, "sms"),
        ({"flash": 1}, "flash"),
        ({"bin": 2, "mes": "050A03"}, "bin"),
        ({"bin": 1, "mes": "\x00abc"}, "bin"),
        ({"push": 1, "mes": "http://example.com\nExample"}, "push"),
        ({"hlr": 1, "mes": ""}, "hlr"),
        ({"ping": 1, "mes": ""}, "ping"),
        ({"mms": 1, "mes": "", "subj": "Picture"}, "mms"),
        ({"call": 1, "voice": "w2", "param": "20,10,3", "sender": "79991234567"}, "call"),
        ({"call": 1, "voice": "m,en"}, "call"),
        ({"call": 1, "mes": "", "fileurl": "http://example.com/voice.wav"}, "call"),
        ({"viber": 1, "mes": "", "fileurl": "http://example.com/a.png"}, "viber"),
        ({"soc": 1}, "soc"),
        ({"whatsapp": 1}, "whatsapp"),
        ({"tg": 1, "mes": "123456"}, "tg"),
        ({"bot": "@mybot_bot", "smsreq": "25"}, "bot"),
        ({"bot": "@mybot_bot", "phones": "@alex_nick"}, "bot"),
        ({"bot": "@mybot_bot", "phones": "#1122334455"}, "bot"),
        (MAIL, "mail"),
        (MAIL | {"mes": A1000 * 3}, "mail"),
        (MAIL | {"sender": "Me <me@example.com>"}, "mail"),
    ],
)
async def test_a_proper_request_is_accepted(sandbox, client, params, kind):
    """Each kind of message the vendor knows can be sent."""
    answer = await client.send(**({"phones": PHONE, "mes": "Hello"} | params))
    assert "error_code" not in answer
    assert [message.kind for message in sandbox.messages] == [kind]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("+79991234567", "79991234567"),
        ("89991234567", "79991234567"),
        ("9991234567", "79991234567"),
        ("8 (999) 123-45-67", "79991234567"),
        ("+89991234567", "89991234567"),
        ("375291234567", "375291234567"),
    ],
)
async def test_numbers_without_a_plus_are_corrected(sandbox, client, given, stored):
    """A number with a plus is taken as it stands, another is brought to its international form."""
    await client.send(given)
    assert [message.phone for message in sandbox.messages] == [stored]


async def test_several_phones_are_one_request(sandbox, client):
    """Commas and semicolons part the numbers; each counts once; all share the id."""
    assert await client.send("79991234561;79991234562, 89991234561,", id=5) == {"id": 5, "cnt": 2}
    assert [(message.phone, message.id) for message in sandbox.messages] == [
        ("79991234561", "5"),
        ("79991234562", "5"),
    ]


async def test_a_wrong_number_among_others_goes_alone(sandbox, client):
    """The request is accepted for the rest, and `op=1` says what is wrong."""
    answer = await client.send(f"{PHONE},123", op=1)
    assert answer["cnt"] == 1
    assert answer["phones"][1] == {"phone": "123", "status": "22", "error": "249"}
    assert [message.phone for message in sandbox.messages] == [PHONE]


async def test_err_lists_wrong_numbers_only(client):
    """With `err=1` the answer names the numbers that are wrong."""
    answer = await client.send(f"{PHONE},123", err=1)
    assert answer["phones"] == [{"phone": "123", "status": "22", "error": "249"}]


async def test_a_group_is_its_members(sandbox, client):
    """`G777` reaches everybody in it, and `op=1` names them."""
    sandbox.groups["5"] = ["79991234005"]
    answer = await client.send("G777,g5", op=1)
    assert answer["cnt"] == 4
    assert [phone["phone"] for phone in answer["phones"]] == [*sandbox.groups["777"], "79991234005"]
    assert [message.phone for message in sandbox.messages] == [*sandbox.groups["777"], "79991234005"]


async def test_a_number_is_assigned_where_no_id_is_given(client):
    """Without an id, or with `id=0`, the provider counts; a refusal uses a number up."""
    assert (await client.send(mes="1"))["id"] == 1
    assert (await client.send("123"))["id"] == 2
    assert (await client.send(mes="3", id=0))["id"] == 3
    assert (await client.send("123", id=44))["id"] == 44
    assert (await client.send("123", sender="TWELVE CHARS", id="alarm"))["id"] == "alarm"


async def test_an_id_of_letters_is_quoted(client):
    """The provider tells numbers from names."""
    assert (await client.send(id="alarm-7"))["id"] == "alarm-7"
    assert (await client.send(mes="2", id="007"))["id"] == 7
    assert await client.status(PHONE, "07") == -1


async def test_the_list_has_texts_of_its_own(sandbox, client):
    """Each line is a message; a backslash and an n stand for a new line."""
    raw = "79991234561:One\\ntwo\n79991234562,79991234563;Three: 4\n\nBOSS,2|79991234561:a|b:c\n"
    answer = await client.send("", "", list=raw, sender="ALERTS", id=9)
    assert answer == {"id": 9, "cnt": 4}
    assert [(message.phone, message.text, message.sender) for message in sandbox.messages] == [
        ("79991234561", "One\ntwo", "ALERTS"),
        ("79991234562", "Three: 4", "ALERTS"),
        ("79991234563", "Three: 4", "ALERTS"),
        ("79991234561", "a|b:c", "BOSS"),
    ]


async def test_a_bar_in_the_text_is_no_sender(sandbox, client):
    """What stands before the bar is a sender only if it comes before the numbers."""
    await client.send("", "", list="79991234561:a|79991234562:b")
    assert [(message.phone, message.text) for message in sandbox.messages] == [
        ("79991234561", "a|79991234562:b")
    ]


async def test_a_line_in_a_list_opens_a_message(sandbox, client):
    """A text that holds a raw new line and a number reaches a second phone."""
    await client.send("", "", list="79991234561:alarm\n79991234562: gotcha")
    assert [message.phone for message in sandbox.messages] == ["79991234561", "79991234562"]


async def test_multiline_lists_keep_their_lines(sandbox, client):
    """With `nl=1` a line that begins with no number belongs to the text before it."""
    await client.send("", "", list="79991234561:One\nand: more\n\nend\n+79991234562:Two", nl=1)
    assert [(message.phone, message.text) for message in sandbox.messages] == [
        ("79991234561", "One\nand: more\n\nend"),
        ("79991234562", "Two"),
    ]


async def test_the_zone_of_a_line_moves_its_hour(sandbox, client, clock):
    """`sender,tz|phones:mes` sets the zone for one line."""
    await client.send("", "", list="A,0|79991234561:x\nA,2|79991234562:y", time="1501271400")
    assert [message.due_at - clock.time for message in sandbox.messages] == [3 * 3600, 3600]


async def test_a_comment_is_kept_from_the_phone(sandbox, client):
    """What follows the line of tildes is stored, not sent, not paid for."""
    assert (await client.send(mes="Hello\n~~~\n" + "x" * 900, cost=2))["cost"] == "2.50"
    (message,) = sandbox.messages
    assert (message.text, message.comment, message.macros) == ("Hello", "x" * 900, ("comment",))


@pytest.mark.parametrize(
    ("mes", "kind", "text", "macros"),
    [
        ("__CALL__: Privet", "call", "Privet", ("prefix call",)),
        (" __call__: Privet", "call", "Privet", ("prefix call",)),
        ("__VIBER__: Hi", "viber", "Hi", ("prefix viber",)),
        ("__SOC__: Hi", "soc", "Hi", ("prefix soc",)),
        ("__BOT__: Hi", "bot", "Hi", ("prefix bot",)),
        ("__MMS__: Hi", "mms", "Hi", ("prefix mms",)),
        ("__PING__", "ping", "", ("prefix ping",)),
        ("__HLR__", "hlr", "", ("prefix hlr",)),
        ("see __CALL__: me", "sms", "see __CALL__: me", ()),
        ("{menu: 1: call:7999}", "sms", "{menu: 1: call:7999}", ("menu",)),
        ("{button,tel:7999,x}", "sms", "{button,tel:7999,x}", ("button",)),
        ("<file /upload/files/a.mp3>", "sms", "<file /upload/files/a.mp3>", ("file /upload/files/a.mp3",)),
        ("<FILE http://x/a.mp3 width=1>", "sms", "<FILE http://x/a.mp3 width=1>", ("file http://x/a.mp3",)),
        ("<file 1> {no_unsub}", "sms", "<file 1> {no_unsub}", ("file 1", "no_unsub")),
        ("{menus} <files 1>", "sms", "{menus} <files 1>", ()),
    ],
)
async def test_prefixes_and_macros_in_a_text_work(sandbox, client, mes, kind, text, macros):
    """The provider honours what a text asks for, and the sandbox says so."""
    await client.send(mes=mes)
    (message,) = sandbox.messages
    assert (message.kind, message.text, message.macros) == (kind, text, macros)


async def test_a_mail_prefix_needs_a_mail_address(client):
    """A text with `__MAIL__:` to a phone reaches nobody."""
    answer = await client.send(mes="__MAIL__: Hi", sender="a@b.example")
    assert answer["error_code"] == 7


async def test_prefixes_are_for_sms_only(sandbox, client):
    """A message that has a kind keeps it."""
    await client.send(mes="__CALL__: Privet", viber=1)
    assert [message.kind for message in sandbox.messages] == ["viber"]


@pytest.mark.parametrize(
    ("params", "count", "cost"),
    [
        ({"mes": "a" * 160}, 1, "2.50"),
        ({"mes": "a" * 161}, 2, "5.00"),
        ({"mes": "{" * 80}, 1, "2.50"),
        ({"mes": "{" * 81}, 2, "5.00"),
        ({"mes": "я" * 70, "charset": "utf-8"}, 1, "2.50"),
        ({"mes": "я" * 71, "charset": "utf-8"}, 2, "5.00"),
        ({"mes": "я" * 500, "charset": "utf-8", "maxsms": 2}, 2, "5.00"),
        ({"mes": "a" * 5000, "maxsms": 3}, 3, "7.50"),
        ({"mes": "a" * 161, "phones": "79991234561,79991234562"}, 4, "10.00"),
        ({"mes": "ab" * 140, "bin": 2}, 1, "2.50"),
        ({"mes": "ab" * 141, "bin": 2}, 2, "5.00"),
        ({"mes": "a" * 150, "call": 1}, 10, "4.00"),
        ({"mes": "a" * 901, "call": 1}, 61, "8.00"),
        ({"mes": "", "call": 1, "fileurl": "http://x/a.wav"}, 10, "4.00"),
        (MAIL, 1, "0.20"),
        ({"hlr": 1}, 1, "0.50"),
    ],
)
async def test_messages_are_counted_and_priced(client, params, count, cost):
    """Parts for SMS, seconds for calls, one for the rest."""
    answer = await client.send(**({"phones": PHONE, "mes": "Hello"} | params), cost=2)
    assert (answer["cnt"], answer["cost"]) == (count, cost)


async def test_translit_saves_parts(sandbox, client):
    """A text in Latin letters is counted as such."""
    answer = await client.send(mes="я" * 75, translit=1, charset="utf-8")
    assert answer["cnt"] == 1
    assert sandbox.messages[0].text == "ya" * 75


async def test_a_price_can_be_asked_without_sending(sandbox, client):
    """`cost=1` sends nothing, costs nothing and knows no fate."""
    assert await client.send("79991230007", cost=1) == {"cost": "2.50", "cnt": 1}
    assert sandbox.messages == []
    assert sandbox.balances["alex"] == 1000


async def test_money_is_spent_and_runs_out(sandbox, client):
    """What an account has left is told with `cost=3`; without enough of it nothing goes (error 3)."""
    sandbox.balances["alex"] = Decimal(3)
    assert (await client.send(cost=3, id=1))["balance"] == "0.50"
    assert await client.send(mes="More", id=2) == {"error": "no money", "error_code": 3, "id": 2}
    assert len(sandbox.messages) == 1
    assert (await client.send(mes="More", id=3, login="bob", psw="1", cost=3))["balance"] == "997.50"


async def test_every_account_can_be_emptied(sandbox, client):
    """`set_balance` is for all accounts, those not yet seen too."""
    await client.send(id=1)
    sandbox.set_balance("2.00")
    assert (await client.send(id=2))["error_code"] == 3
    assert (await client.send(id=2, apikey="k"))["error_code"] == 3


async def test_a_message_waits_for_its_time(sandbox, client, clock):
    """Until it is due a message is queued; from then on its status moves."""
    await client.send(time="+60", id=5)
    clock.passes(3599)
    assert await client.status(PHONE, 5) == -1
    clock.passes(2)
    assert await client.status(PHONE, 5) == 0
    clock.passes(1)
    assert await client.status(PHONE, 5) == 1
