"""The fields of requests and the meaning of answers."""

import json
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from relay.smsc import wire
from relay.smsc.reading import Refused, Unreadable
from relay.smsc.wire import Accepted, Balance, PhoneLine

RECORDED = yaml.safe_load(Path(__file__).with_name("recorded_answers.yaml").read_text("utf-8"))
ASKED = [("+79991234567", "0abc")]
DAY = 86_400_000


def answer(value, status=200):
    """Read a value as the answer of send.php."""
    return wire.read_send(status, json.dumps(value).encode())


# -- requests -----------------------------------------------------------------------------


def test_a_send_has_its_fields_in_one_order():
    """The same message is the same fields, whatever the order of its parameters."""
    params = {"sender": "ALERTS", "flash": "1"}
    expected = [
        ("id", "0abc"),
        ("phones", "+79991234567,+79991234568"),
        ("mes", "Hello"),
        ("flash", "1"),
        ("sender", "ALERTS"),
        ("charset", "utf-8"),
        ("fmt", "3"),
        ("cost", "3"),
        ("op", "1"),
    ]
    for given_params in (params, dict(reversed(params.items()))):
        actual = wire.send_fields(
            id="0abc", phones=["+79991234567", "+79991234568"], text="Hello", params=given_params
        )
        assert expected == actual


def test_a_carriage_return_never_leaves():
    """Line ends of any kind are line feeds in `mes`."""
    asked = dict(wire.send_fields(id="1", phones=["1"], text="a\r\nb\rc\r\r\nd", params={}))
    assert asked["mes"] == "a\nb\nc\n\nd"


@pytest.mark.parametrize("flag", ["hlr", "ping"])
def test_a_message_without_text_has_no_mes(flag):
    """The vendor uses no `mes` there; the flag set to 0 is an ordinary message."""
    assert "mes" not in dict(wire.send_fields(id="1", phones=["1"], text="x", params={flag: "1"}))
    assert "mes" in dict(wire.send_fields(id="1", phones=["1"], text="x", params={flag: "0"}))


def test_parameters_cannot_replace_what_is_the_relays():
    """A route's parameter under a name of ours is left out."""
    sent = wire.send_fields(
        id="1",
        phones=["1"],
        text="x",
        params={"phones": "2", "psw": "s", "list": "2:x", "fmt": "0", "op": "0"},
    )
    assert sent == [
        ("id", "1"),
        ("phones", "1"),
        ("mes", "x"),
        ("charset", "utf-8"),
        ("fmt", "3"),
        ("cost", "3"),
        ("op", "1"),
    ]


def test_a_price_can_never_be_a_send():
    """Whatever the parameters, the question bears cost=1 and that alone."""
    asked = wire.price_fields(phones=["1"], text="x", params={"cost": "0", "id": "5", "flash": "1"})
    assert asked == [
        ("phones", "1"),
        ("mes", "x"),
        ("flash", "1"),
        ("charset", "utf-8"),
        ("fmt", "3"),
        ("cost", "1"),
    ]


def test_statuses_are_asked_position_by_position():
    """One send to two phones is asked about with its id twice."""
    asked = dict(wire.status_fields([("+7999", "a"), ("+7998", "a"), ("x@y.ru", "b")]))
    assert asked == {"phone": "+7999,+7998,x@y.ru", "id": "a,a,b", "charset": "utf-8", "fmt": "3"}


def test_a_list_has_as_many_recipients_as_were_given():
    """Whatever a recipient holds, it is one: nobody else is sent to or asked about."""
    for odd in ("a,b@x.ru", "a;b@x.ru", "a\nb@x.ru"):
        sent = dict(wire.send_fields(id="a", phones=["+7999", odd], text="x", params={}))
        asked = dict(wire.status_fields([("+7999", "a"), (odd, "a")]))
        assert sent["phones"] == asked["phone"] == "+7999,a?b@x.ru"


def test_the_balance_is_asked_with_its_currency():
    """The currency comes only where it is asked for."""
    assert dict(wire.balance_fields())["cur"] == "1"


def test_the_history_is_asked_for_a_day_more_on_either_side():
    """The account's time zone is not known, so the days are widened."""
    asked = dict(wire.messages_fields(1_800_000_000_000, 1_800_000_000_000 + 3 * DAY))
    assert (asked["start"], asked["end"]) == ("14.01.2027", "19.01.2027")
    assert "prev_id" not in asked
    assert dict(wire.messages_fields(0, DAY, "77"))["prev_id"] == "77"


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("+79991234567", "79991234567", "+79991234567"),
        ("+7 (999) 123-45-67", "79991234567", "+79991234567"),
        ("Ann@Example.COM", "ann@example.com", "ann@example.com"),
        ("G777", "g777", "g777"),
        ("@Alex_Nick", "@alex_nick", "@alex_nick"),
        ("#1122", "#1122", "#1122"),
        ("nobody", "NOBODY", "nobody"),
    ],
)
def test_recipients_are_compared_by_what_counts(one, other, shown):
    """Numbers by their digits, addresses and nicks without case."""
    assert wire.same_phone(one) == wire.same_phone(other)
    assert wire.shown_phone(other) == shown


def test_recipients_of_different_kinds_differ():
    """A group, a user's id and a number of the same digits are three recipients."""
    assert len({wire.same_phone(phone) for phone in ("777", "g777", "#777", "@777")}) == 4


# -- answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", RECORDED, ids=[each["name"] for each in RECORDED])
def test_recorded_answers_are_understood(recorded):
    """What the real provider has answered is read as it was meant, in either charset."""
    [(kind, meaning)] = recorded["meaning"].items()
    for charset in ("utf-8", "windows-1251", "koi8-r"):
        body = recorded["body"].encode(charset)
        if kind == "statuses":
            lines = wire.read_statuses(
                200, body, [(each.get("phone", "+7"), each.get("id", "1")) for each in meaning]
            )
            assert meaning == [
                told(line, wanted) for line, wanted in zip(lines.values(), meaning, strict=True)
            ]
        elif kind == "balance":
            expected = Balance(amount=meaning["amount"], currency=meaning.get("currency", ""))
            assert expected == wire.read_balance(200, body)
        else:
            assert meant(kind, meaning) == wire.read_send(200, body)


def meant(kind, meaning):
    """What the meaning of a recorded answer to a send reads as."""
    if kind == "refused":
        return Refused(code=str(meaning["code"]), text=meaning["text"], id=meaning.get("id", ""))
    return Accepted(
        id=meaning["id"],
        cnt=meaning["count"],
        cost=meaning.get("cost", ""),
        balance=meaning.get("balance", ""),
    )


def told(line, wanted):
    """Of a line, what the meaning of a recorded answer tells of."""
    known = {
        "status": line.status,
        "at": line.at // 1000 if line.at else None,
        "err": line.err,
        "id": line.id,
        "phone": line.phone,
        "name": line.name,
        "cost": line.cost,
    }
    return {key: known[key] for key in wanted}


def test_an_answer_with_cost_balance_and_phones():
    """Everything that cost=3 and op=1 add is read, strings or numbers."""
    value = {
        "id": "0abc",
        "cnt": "2",
        "cost": 2.8,
        "balance": "97,20",
        "phones": [
            {"phone": "79991234567", "mccmnc": "25001", "cost": "1.40", "status": "", "error": None},
            {"phone": 79991234568, "mccmnc": 25002, "cost": 1.4, "status": "22", "error": "249"},
            {"no": "phone"},
            "nonsense",
        ],
        "more": {"than": ["expected"]},
    }
    good = PhoneLine(phone="79991234567", cost="1.40", mccmnc="25001")
    bad = PhoneLine(phone="79991234568", cost="1.4", mccmnc="25002", status=22, error=249)
    expected = Accepted(
        id="0abc", cnt=2, cost="2.8", balance="97.20", phones={"79991234567": good, "79991234568": bad}
    )
    assert expected == answer(value)


def test_a_phone_told_twice_went_out_if_it_once_did():
    """A twin that was refused does not hide the message that was taken."""
    good, bad = {"phone": "1"}, {"phone": "1", "status": "23"}
    for lines in ([good, bad], [bad, good], [{"phone": "1", "error": 8}, good]):
        assert {"1": PhoneLine(phone="1")} == answer({"id": 1, "phones": lines}).phones


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "windows-1251", "koi8-r"])
def test_the_charset_is_seen_from_the_octets(charset):
    """The header cannot be relied on, so the text itself tells."""
    body = '{"error": "Неверный номер", "error_code": "7"}'.encode(charset)
    assert Refused(code="7", text="Неверный номер") == wire.read_send(200, body)


def test_a_textual_id_may_stand_without_quotes():
    """The vendor's page shows ids bare, and ours are letters and digits."""
    assert wire.read_send(200, b'{\n"id": 0abc4def,\n"cnt": 1\n}') == Accepted(id="0abc4def", cnt=1)
    body = b'[{"status":1,"id":0abc,"phone":79991234567}]'
    assert list(wire.read_statuses(200, body, ASKED)) == [("79991234567", "0abc")]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "an empty answer"),
        (b" \n", "an empty answer"),
        (b"\xef\xbb\xbf", "an empty answer"),
        (b"<html><body>502</body></html>", "a web page or XML"),
        (b'{"id": 33, "cn', "broken JSON"),
        (b"[1, 2", "broken JSON"),
        (b"busy", "not JSON"),
        (b"\x1f\x8b\x08\x00\xff\xfe", "not JSON"),
        (b"[" * 100_000, "broken JSON"),
        (b"7", "JSON, but not an object"),
        (b'"OK"', "JSON, but not an object"),
        (b"null", "JSON, but not an object"),
        (b"[]", "JSON, but not an object"),
        (b"[{}, {}]", "JSON, but not an object"),
        (b"{}", "an answer without the message's id"),
        (b'{"cost": "1.40", "cnt": 1}', "an answer without the message's id"),
        (b'{"id": null, "cnt": 1}', "an answer without the message's id"),
        (b'{"id": true}', "an answer without the message's id"),
        (b'{"id": {"a": 1}}', "an answer without the message's id"),
    ],
)
def test_what_makes_no_sense_is_unreadable(body, why):
    """Only an answer that clearly says so is an acceptance; why not is told without a quote."""
    assert Unreadable(why=why) == wire.read_send(200, body)


@pytest.mark.parametrize("status", [300, 301, 302, 308, 500, 502, 503, 599])
def test_a_server_error_or_redirect_is_unreadable_whatever_it_says(status):
    """HTTP 5xx leaves the order unsure even where its body looks like an answer."""
    assert Unreadable(why=f"HTTP status {status}") == answer({"error": "no money", "error_code": 3}, status)


def test_a_client_error_is_read_where_it_can_be():
    """HTTP 4xx with an answer in it is that answer, else unreadable."""
    assert Refused(code="2", text="authorise error") == answer(
        {"error": "authorise error", "error_code": 2}, 403
    )
    expected = Unreadable(why="a web page or XML, HTTP status 413")
    assert expected == wire.read_send(413, b"<html>too large</html>")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"error_code": 7}, Refused(code="7")),
        ({"error_code": "-7", "error": "x"}, Refused(code="7", text="x")),
        ({"error_code": 7.0, "error": "x"}, Refused(code="7", text="x")),
        ({"error": "busy"}, Refused(code="", text="busy")),
        ({"error_code": "abc"}, Refused(code="abc")),
        ({"error_code": 10**30}, Refused(code=str(10**30))),
        ({"error_code": 7, "id": 5, "cnt": 1}, Refused(code="7", id="5")),
        ({"error_code": 0, "error": "", "id": 5}, Accepted(id="5")),
        ({"error_code": None, "error": None, "id": 5}, Accepted(id="5")),
        ([{"error_code": 7}], Refused(code="7")),
        ({"id": 5, "cnt": -1, "cost": "NaN", "balance": "much", "phones": {}}, Accepted(id="5")),
        ({"id": 5, "cnt": float("nan")}, Accepted(id="5")),
        ({"id": 5, "cnt": 10**40}, Accepted(id="5")),
        ({"id": "a\x00\ud800b"}, Accepted(id="a?b")),
    ],
)
def test_odd_answers(value, expected):
    """Errors win over acceptances, and what is absurd is as good as absent."""
    assert expected == answer(value)


def test_a_number_of_many_digits_does_not_hurt():
    """Numbers are never reckoned with before their size is known."""
    body = b'{"id": 5, "cnt": ' + b"9" * 100_000 + b"}"
    assert wire.read_send(200, body) == Accepted(id="5")


def test_the_answer_about_one_message_is_about_the_one_asked():
    """A single answer repeats neither phone nor id."""
    lines = wire.read_statuses(200, b'{"status":"-3"}', ASKED)
    assert [(phone, id_, line.status, line.err, line.at) for (phone, id_), line in lines.items()] == [
        ("79991234567", "0abc", -3, None, None)
    ]


def test_lines_without_phone_or_id_are_told_by_their_place():
    """Positions tell where the answer has as many lines as were asked about, and only there."""
    asked = [("+71", "a"), ("+72", "b")]
    body = b'[{"status":1},{"status":0,"phone":"72"}]'
    assert list(wire.read_statuses(200, body, asked)) == [("71", "a"), ("72", "b")]
    assert list(wire.read_statuses(200, b'[{"status":1}]', asked)) == [("", "")]


def test_lines_that_are_no_status_are_passed_over():
    """One bad line does not spoil the others; nothing but bad ones is unreadable."""
    body = b'[7, {"status":"x"}, {"status":1,"phone":"71","id":"a","last_timestamp":1e400}]'
    [line] = wire.read_statuses(200, body, []).values()
    assert (line.status, line.at) == (1, None)
    assert isinstance(wire.read_statuses(200, b"[7]", ASKED), Unreadable)
    assert wire.read_statuses(200, b"[]", ASKED) == {}


@pytest.mark.parametrize(
    "read", [lambda *a: wire.read_statuses(*a, ASKED), wire.read_messages, wire.read_balance]
)
def test_questions_are_refused_and_broken_as_sends_are(read):
    """An error or garbage is the same to every reader."""
    assert Refused(code="2", text="authorise error") == read(200, b"ERROR = 2 (authorise error)")
    assert Refused(code="9") == read(200, b'{"error_code": 9}')
    assert isinstance(read(500, b"{}"), Unreadable)
    assert isinstance(read(200, b"true"), Unreadable)


def test_the_history_tells_phones_under_an_id():
    """A page's lines have ids, phones and what continues the page."""
    body = b'[{"status":1,"phone":"79991234567","id":"0abc","int_id":9,"cost":"1.4"},{"no":"status"}]'
    [line] = wire.read_messages(200, body)
    assert (line.id, line.phone, line.next, line.cost) == ("0abc", "79991234567", "9", "1.4")


def test_a_balance_that_is_no_sum_is_unreadable():
    """The balance must be a number, negative where there is credit."""
    assert isinstance(wire.read_balance(200, b'{"balance": "lots"}'), Unreadable)
    assert wire.read_balance(200, b'{"balance": -5.5, "credit": 10}') == Balance(amount="-5.5")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "cnt", "phones", "phone", "status", "error", "error_code", "err", "balance", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
READERS = [
    wire.read_price,
    wire.read_send,
    wire.read_balance,
    wire.read_messages,
    lambda status, body: wire.read_statuses(status, body, ASKED),
]


def texts(value):
    """Every text in what was read."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        yield from texts([getattr(value, each.name) for each in fields(value)])
    elif isinstance(value, dict):
        yield from texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


@given(st.binary(max_size=400), st.integers(100, 599))
@example(b"\xff\xfe\x00\x00", 200)
@example(b"\x00", 200)
def test_no_octets_raise(body, status):
    """Whatever comes, every reader gives a value."""
    for read in READERS:
        assert read(status, body) is not None


@given(JSON)
def test_no_json_raises(value):
    """Whatever JSON comes, what is read of it can be stored."""
    body = json.dumps(value).encode()
    for read in READERS:
        for text in texts(read(200, body)):
            assert text.encode("utf-8").decode("utf-8") == text
            assert "\0" not in text


@given(JSON, st.integers(0, 60))
def test_no_cut_json_is_an_acceptance(value, cut):
    """An answer that was cut off is never taken for a whole one."""
    body = json.dumps({"x": value, "id": "0abc", "cnt": 1}).encode()
    if 0 < cut < len(body):
        assert isinstance(wire.read_send(200, body[:-cut]), Unreadable)


def test_sender_names_are_read_whatever_else_is_told():
    """A list of objects, one object, a refusal, or nothing that can be read."""
    assert wire.read_senders(200, b'[{"sender":"ACME","x":1},{"name":"y"},7]') == ["ACME"]
    assert isinstance(wire.read_senders(200, b'{"error":"no","error_code":2}'), Refused)
    assert isinstance(wire.read_senders(200, b"<html>"), Unreadable)


def test_answers_of_phones_are_asked_for_by_age_and_the_last_one_known():
    """At most as far back as the provider looks, and from the beginning where none is known."""
    asked = dict(wire.answers_fields(7, 999))
    assert (asked["get_answers"], asked["after_id"], asked["hour"]) == ("1", "7", "168")
    first = dict(wire.answers_fields(0, 0))
    assert ("after_id" in first, first["hour"]) == (False, "1")


def test_answers_of_phones_come_in_their_order():
    """By id, each once; what has no phone or no id is nobody's; the space of a part stays."""
    body = b"""[{"id":"9","phone":"79991234567","message":"b ","to_phone":"7900"},{"id":8,"phone":"7999",
        "message":5},{"id":9,"phone":"7"},{"id":7},{"phone":"7999"},{"id":-1,"phone":"7"},"x"]"""
    first, second = wire.read_answers(200, body)
    assert (first.id, first.text) == (8, "5")
    assert (second.phone, second.text, second.to) == ("79991234567", "b ", "7900")
    refused = wire.read_answers(200, b'{"error":"authorise error","error_code":2}')
    assert refused.code == "2"
