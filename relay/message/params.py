"""The parameters of send.php that people may set: which there are, what their values look like.

Each check takes what stood in a route, a header or an address and returns what is sent. The
provider's page is the source of the limits: values that it says it will clamp are taken,
values that it would quietly replace by defaults are refused, so that nobody waits for a call
that was never set up that way. Which channel a parameter makes sense on is in `channels`,
who may set it is the route's `allow`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlsplit

from relay import model
from relay.message import channels

SUBJ_MAX = 200

FORBIDDEN = frozenset(
    {
        *("login", "psw", "apikey", "charset", "fmt", "op", "err"),  # how the relay talks with the provider
        *("phones", "mes", "list", "nl", "id", "cost"),  # what a request is about
        *("imgcode", "userip"),  # captchas and limits for the visitors of a web page
        *(flag for channel in channels.CHANNELS.values() for flag in channel.flags),
    }
)
"""Parameters of send.php that are the relay's own: no route, header or option sets them."""

OPTION_CHANNELS = channels.OPTION_CHANNELS


class ParamError(ValueError):
    """The value won't do; says in a sentence which parameter and what to write."""


def check(channel: str, name: str, value: str) -> str:
    """The value as it is sent; raises ParamError."""
    if name in FORBIDDEN:
        raise ParamError(f"{name} is set by the relay itself")
    if name not in _RULES:
        raise ParamError(f"{name[:40]} is not a parameter of a message")
    value = value.strip()
    if not all(c.isprintable() for c in value):
        raise ParamError(f"{name}: write one line without control characters")
    reading, wanted = _RULES[name]
    found = reading(channel, value)
    if found is None:
        raise ParamError(
            f"{name}: write {_SENDER_WANTED.get(channel, wanted) if name == 'sender' else wanted}"
        )
    return found


def agree(params: Mapping[str, str]) -> str:
    """Why these parameters can't go together, "" where they can."""
    if "freq" in params and "period" not in params:
        return "freq: give period as well, the provider ignores freq without it"
    return ""


# -- one reading per parameter: the value as it is sent, or None ----------------------------

_Reading = Callable[[str, str], str | None]

_NAME = re.compile(r"[A-Za-z0-9 .,_\-&+!?'/#*()@]{1,11}\Z|\+?[0-9]{1,15}\Z")
_SEPARATORS = re.compile(r"[\s().-]")
_SENDER_WANTED = {
    "mail": "a mail address, as in alarms@example.com",
    "call": "a phone number that is registered with the provider, as in 79991234567",
}
_MOMENT = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\Z|(\d\d)\.(\d\d)\.(\d\d) (\d\d):(\d\d)\Z", re.ASCII)
_HOURS = re.compile(r"([0-9]{1,2})-([0-9]{1,2})\Z")
_STAMP = re.compile(r"0([0-9]{10})\Z")
_AHEAD = re.compile(r"\+([0-9]{1,7})\Z")


def _matching(pattern: str, change: Callable[[str], str] = str) -> _Reading:
    """What matches the pattern as a whole, after a change of form."""
    form = re.compile(rf"(?:{pattern})\Z", re.ASCII)

    def reading(_channel: str, value: str) -> str | None:
        value = change(value)
        return value if form.match(value) else None

    return reading


def _between(low: int, high: int) -> _Reading:
    """A whole number within the bounds."""
    form = re.compile(r"[0-9]{1,9}\Z")
    return lambda _channel, value: (
        str(int(value)) if form.match(value) and low <= int(value) <= high else None
    )


def _sender(channel: str, value: str) -> str | None:
    if channel == "mail":
        return value if re.match(r"[^\s@<>,;\"]{1,64}@[^\s@<>,;\"]{1,190}\Z", value) else None
    if channel == "call":
        digits = _SEPARATORS.sub("", value).removeprefix("+")
        return digits if re.match(r"[0-9]{5,15}\Z", digits) else None
    return value if _NAME.match(value) else None


def _time(_channel: str, value: str) -> str | None:
    if value == "0" or _STAMP.match(value) or _AHEAD.match(value):
        return value
    if hours := _HOURS.match(value):
        return value if int(hours[1]) < int(hours[2]) <= 24 else None
    return value if _moment(value) else None


def _tz(_channel: str, value: str) -> str | None:
    if not re.match(r"[+-]?[0-9]{1,2}(?:\.(?:0|25|5|75))?\Z", value) or not -15 <= Decimal(value) <= 11:
        return None
    return value.removeprefix("+")


def _period(_channel: str, value: str) -> str | None:
    value = value.replace(",", ".")
    if not re.match(r"[0-9]{1,3}(?:\.[0-9]{1,3})?\Z", value):
        return None
    return value if Decimal("0.1") <= Decimal(value) <= 720 else None


def _valid(_channel: str, value: str) -> str | None:
    if form := re.match(r"([0-9]{1,2}):([0-9]{2})\Z", value):
        minutes = int(form[1]) * 60 + int(form[2])
        return value if int(form[2]) < 60 and 1 <= minutes <= 24 * 60 else None
    return _between(1, 24)("", value)


def _param(_channel: str, value: str) -> str | None:
    form = re.match(r"([0-9]{1,2}),([0-9]{1,4}),([0-9])\Z", value.replace(" ", ""))
    return form[0] if form and int(form[2]) <= 3600 else None


def _subj(_channel: str, value: str) -> str | None:
    return value if 1 <= len(value) <= SUBJ_MAX else None


def _fileurl(_channel: str, value: str) -> str | None:
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    fits = parts.scheme in {"http", "https"} and parts.hostname and len(value) <= 1000 and " " not in value
    return value if fits else None


_RULES: Mapping[str, tuple[_Reading, str]] = {
    "sender": (_sender, "a name of up to 11 Latin letters, digits and signs, or up to 15 digits"),
    "translit": (_matching("[012]"), "0, 1 (translit) or 2 (mpaHc/Ium)"),
    "tinyurl": (_matching("[01]"), "0 or 1 (shorten links)"),
    "time": (_time, "DDMMYYhhmm, DD.MM.YY hh:mm, hours as in 9-21, 0 and a Unix time, or + and minutes"),
    "tz": (_tz, "the difference from Moscow time in hours, -15 to 11"),
    "period": (_period, "hours from 0.1 to 720"),
    "freq": (_between(1, 1440), "minutes from 1 to 1440"),
    "valid": (_valid, "hours from 1 to 24, or hh:mm from 00:01 to 24:00"),
    "maxsms": (_between(1, 255), "a number of parts, 1 or more"),
    "voice": (
        _matching("(?:m[234]?|w[234]?)(?:,[a-z]{2})?", str.lower),
        "m, m2, m3, m4, w, w2, w3 or w4, with a language if needed, as in w2,en",
    ),
    "param": (
        _param,
        "wait,interval,tries as in 25,60,3: seconds of ringing 0-99, seconds between tries 0-3600, tries 0-9",
    ),
    "subj": (_subj, f"one line of up to {SUBJ_MAX} characters"),
    "pp": (_matching("[0-9]{1,12}"), "the partner's number"),
    "smsreq": (_between(10, 999), "days from 10 to 999"),
    "fileurl": (_fileurl, "an address that begins with http:// or https://"),
    "bot": (
        _matching("@[A-Za-z0-9_]{3,64}", lambda name: f"@{name.removeprefix('@')}"),
        "the bot as @name_bot",
    ),
}

EXAMPLES: Mapping[str, tuple[str, str]] = {
    "sender": ("sms", "+sender=ALERTS"),
    "translit": ("sms", "+translit=1"),
    "tinyurl": ("sms", "+tinyurl=1"),
    "time": ("sms", "+time=9-21"),
    "tz": ("sms", "+time=9-21+tz=3"),
    "period": ("sms", "+period=1+freq=10"),
    "freq": ("sms", "+period=1+freq=10"),
    "valid": ("sms", "+valid=2"),
    "maxsms": ("sms", "+maxsms=2"),
    "voice": ("call", "+voice=w2"),
    "param": ("call", "+param=25,60,3"),
    "subj": ("mms", "+subj=Alarm"),
    "pp": ("sms", "+pp=12345"),
    "smsreq": ("bot", "+smsreq=25"),
    "fileurl": ("call", "+fileurl=https://example.com/a.wav"),
    "bot": ("bot", "+bot=name_bot"),
}
"""For each parameter a channel that knows it, and the options of an address that set it."""

NAMES = frozenset(_RULES)
"""Every parameter that a route, a header or an option may name."""


def table() -> str:
    """The parameters as a Markdown table."""
    rows = {name: (wanted, *EXAMPLES[name]) for name, (_, wanted) in _RULES.items()}
    for channel, wanted in _SENDER_WANTED.items():
        example = ("call", "+sender=79991234567") if channel == "call" else (channel, "")
        rows[f"sender` on `{channel}"] = (wanted, *example)
    lines = [
        f"| `{name}` | {wanted} | {f'`{example}` on `{channel}`' if example else 'a route’s `sender`'} |"
        for name, (wanted, channel, example) in sorted(rows.items())
    ]
    return "\n".join(["| Parameter | Write | As an option |", "|---|---|---|", *lines])


# -- when the provider will send -------------------------------------------------------------


def due_from_time(value: str, tz: str, now: int) -> int | None:
    """The moment before which the provider won't send a message with this `time`.

    None where that is at once, or can't be told: hours (9-21) without `tz` are counted in the
    time zone of the account's settings. A date without `tz` is read as Moscow time.
    """
    if not value:
        return None
    if ahead := _AHEAD.match(value):
        due = now + int(ahead[1]) * model.MINUTE
    elif stamp := _STAMP.match(value):
        due = int(stamp[1]) * model.SECOND
    elif moment := _moment(value):
        due = _stamp_of(moment) - _offset(tz)
    elif (hours := _HOURS.match(value)) and tz:
        due = _opening(int(hours[1]), int(hours[2]), now + _offset(tz)) - _offset(tz)
    else:
        return None
    return due if due > now else None


def _moment(value: str) -> datetime | None:
    form = _MOMENT.match(value)
    if not form:
        return None
    day, month, year, hour, minute = (int(each) for each in form.groups() if each is not None)
    try:
        return datetime(2000 + year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None


def _stamp_of(moment: datetime) -> int:
    return int(moment.timestamp()) * model.SECOND


def _offset(tz: str) -> int:
    """How far local time is ahead of UTC: Moscow is, by three hours, all year."""
    return int((3 + Decimal(tz or "0")) * model.HOUR)


def _opening(first: int, last: int, local: int) -> int:
    """The next local moment within the hours: `local` itself where it is."""
    midnight = local - local % model.DAY
    start = midnight + first * model.HOUR
    if local < start:
        return start
    if local < midnight + last * model.HOUR:
        return local
    return start + model.DAY
