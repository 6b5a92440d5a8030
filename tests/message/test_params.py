"""Parameters of send.php: what may be written, and when a message will be sent."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import model
from relay.message import params
from relay.message.params import ParamError

GOOD = [
    ("sms", "sender", " ALERTS ", "ALERTS"),
    ("sms", "sender", "My Co. & Me", "My Co. & Me"),
    ("sms", "sender", "79991234567", "79991234567"),
    ("sms", "sender", "123456789012345", "123456789012345"),
    ("mail", "sender", "alarms@example.com", "alarms@example.com"),
    ("call", "sender", "+7 (999) 123-45-67", "79991234567"),
    ("sms", "translit", "2", "2"),
    ("sms", "tinyurl", "1", "1"),
    ("sms", "time", "0", "0"),
    ("sms", "time", "2011260930", "2011260930"),
    ("sms", "time", "0101120000", "0101120000"),
    ("sms", "time", "20.11.26 09:30", "20.11.26 09:30"),
    ("sms", "time", "9-21", "9-21"),
    ("sms", "time", "0-24", "0-24"),
    ("sms", "time", "01700000000", "01700000000"),
    ("sms", "time", "+5", "+5"),
    ("sms", "tz", "+2", "2"),
    ("sms", "tz", "-2.5", "-2.5"),
    ("sms", "period", "0.1", "0.1"),
    ("sms", "period", "0,5", "0.5"),
    ("sms", "period", "720", "720"),
    ("sms", "freq", "1440", "1440"),
    ("sms", "valid", "02", "2"),
    ("sms", "valid", "24", "24"),
    ("sms", "valid", "00:01", "00:01"),
    ("sms", "valid", "24:00", "24:00"),
    ("sms", "maxsms", "3", "3"),
    ("call", "voice", "W2", "w2"),
    ("call", "voice", "m,EN", "m,en"),
    ("call", "param", "20, 10, 3", "20,10,3"),
    ("call", "param", "0,0,0", "0,0,0"),
    ("call", "param", "99,3600,9", "99,3600,9"),
    ("mail", "subj", "Privet", "Privet"),
    ("sms", "pp", "123", "123"),
    ("bot", "smsreq", "25", "25"),
    ("bot", "bot", "mybot_bot", "@mybot_bot"),
    ("bot", "bot", "@mybot_bot", "@mybot_bot"),
    ("call", "fileurl", "http://mysite.com/voice.wav", "http://mysite.com/voice.wav"),
]

BAD = {
    "sender": ["", "ALERTSALERTS", "1234567890123456", "Имя", "a|b", "a\x00b"],
    "translit": ["", "3", "yes"],
    "tinyurl": ["2", "١"],
    "time": [
        "",
        "9",
        "21-9",
        "9-9",
        "9-25",
        "3111260930",
        "2013260930",
        "20.11.26",
        "2026-11-20",
        "+",
        "+x",
        "00",
        "٩-٢١",
    ],
    "tz": ["", "12", "-16", "x", "2.3", "+-1"],
    "period": ["0", "0.09", "720.1", "x", "1e2"],
    "freq": ["0", "1441", "1.5", ""],
    "valid": ["0", "25", "00:00", "24:01", "1:60", "x"],
    "maxsms": ["0", "-1", "256", "1" * 30],
    "voice": ["m1", "w5", "x", "m,english", "m, en", ""],
    "param": ["20", "20,10", "100,10,3", "20,3601,3", "20,10,10", "a,b,c", ""],
    "subj": ["", "x" * 201, "a\nb"],
    "pp": ["", "x"],
    "smsreq": ["9", "1000"],
    "fileurl": ["ftp://x/y", "http://", "http://[", "http://x/ y", "http://x/" + "y" * 1000, "x"],
    "bot": ["", "@", "a b", "@@abc"],
}


@pytest.mark.parametrize(("channel", "name", "value", "wanted"), GOOD)
def test_good_values_are_sent_as_the_provider_reads_them(channel, name, value, wanted):
    """What the vendor's page allows passes, and twice gives the same."""
    assert wanted == params.check(channel, name, value)
    assert wanted == params.check(channel, name, wanted)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_bad_values_are_refused_by_name(name, value):
    """The sentence begins with the parameter and says what to write."""
    with pytest.raises(ParamError, match=f"^{name}: write "):
        params.check("bot" if name in {"bot", "smsreq"} else "sms", name, value)


@pytest.mark.parametrize(
    ("channel", "value", "says"),
    [
        ("mail", "ALERTS", "mail address"),
        ("mail", "a@b@c", "mail address"),
        ("call", "ALERTS", "phone number"),
    ],
)
def test_the_sender_depends_on_the_channel(channel, value, says):
    """A mail comes from an address, a call from a number."""
    with pytest.raises(ParamError, match=says):
        params.check(channel, "sender", value)


def test_every_parameter_has_good_and_bad_values_here():
    """No parameter is left untested."""
    assert params.NAMES == set(BAD) == {name for _, name, _, _ in GOOD}


@pytest.mark.parametrize("name", sorted(params.FORBIDDEN))
def test_the_relays_own_parameters_are_nobodys(name):
    """Login, recipients, format and channel flags can't be set from outside."""
    with pytest.raises(ParamError, match="by the relay itself"):
        params.check("sms", name, "1")


def test_unknown_parameters_are_refused():
    """A name that send.php has not is named back."""
    with pytest.raises(ParamError, match="speed is not a parameter"):
        params.check("sms", "speed", "1")


@given(st.sampled_from(sorted(params.NAMES)), st.sampled_from(["sms", "mail", "call"]), st.text(max_size=30))
def test_any_value_is_taken_or_refused(name, channel, value):
    """Nothing but ParamError escapes, and what passes is one printable line."""
    try:
        said = params.check(channel, name, value)
    except ParamError as error:
        said = str(error)
        named = said.startswith(f"{name}: ")
    else:
        named = True
    assert named
    assert said.isprintable()


def test_freq_needs_period():
    """The provider would ignore freq alone without a word."""
    assert "freq" in params.agree({"freq": "5"})
    assert "" == params.agree({"freq": "5", "period": "1"})
    assert "" == params.agree({"period": "1"})


NOW = 1_780_000_000_000  # 2026-05-28 20:26:40 UTC, 23:26:40 in Moscow
MOSCOW = timezone(timedelta(hours=3))


def at(*moment: int) -> int:
    """A Moscow time of May or June 2026 in milliseconds."""
    return int(datetime(2026, *moment, tzinfo=MOSCOW).timestamp()) * model.SECOND


@pytest.mark.parametrize(
    ("value", "tz", "wanted"),
    [
        ("", "", None),
        ("0", "", None),
        ("garbage", "", None),
        ("+5", "", NOW + 5 * model.MINUTE),
        ("+0", "", None),
        ("01780000060", "3", NOW + model.MINUTE),
        ("01700000000", "", None),
        ("2905261000", "", at(5, 29, 10, 0)),
        ("29.05.26 10:00", "0", at(5, 29, 10, 0)),
        ("2905261000", "2", at(5, 29, 8, 0)),
        ("2905261000", "-2.5", at(5, 29, 12, 30)),
        ("2805261000", "", None),
        ("3105269999", "", None),
        ("9-21", "", None),
        ("9-21", "0", at(5, 29, 9, 0)),
        ("9-24", "0", None),
        ("9-21", "-3", None),
        ("9-21", "11", None),
        ("12-21", "11", at(5, 29, 1, 0)),
    ],
)
def test_when_the_provider_will_send(value, tz, wanted):
    """The moment before which nothing is sent, None where that is at once or can't be told."""
    assert wanted == params.due_from_time(value, tz, NOW)
