"""The provider's HTTP API as values: the fields of a request, and the meaning of an answer.

Vendor's pages: sending (send.php), status (status.php), balance (balance.php), history of
sent messages (get.php). Requests are always utf-8 with `fmt=3`; login and password are no
matter of this file. Of an answer every key may lack or be unknown, and only what clearly
says so is an acceptance; no octets whatever raise (`reading`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from relay.smsc import reading
from relay.smsc.reading import Refused, Unreadable

_OURS = frozenset(
    ("login", "psw", "apikey", "id", "phones", "mes", "list", "nl", "charset", "fmt", "cost", "op", "err")
)
_TEXTLESS = ("hlr", "ping")  # messages without text: `mes` is not used
_SEPARATOR = re.compile(r"[,;\s]")  # what ends a recipient (sending page: `phones`)
PAGE = 1000  # messages that get.php gives at once
HOURS = 168  # how far back get.php tells what phones sent

Fields = list[tuple[str, str]]


# -- what is asked ------------------------------------------------------------------------


def send_fields(*, id: str, phones: Sequence[str], text: str, params: Mapping[str, str]) -> Fields:  # noqa: A002
    """The fields of send.php, in one order whatever the order of `params`.

    A parameter that is the relay's own is left out of `params`, whoever put it there.
    """
    fields = [("id", id), ("phones", _joined(phones))]
    if not any(params.get(flag) == "1" for flag in _TEXTLESS) and (text or "fileurl" not in params):
        fields.append(("mes", text.replace("\r\n", "\n").replace("\r", "\n")))
    fields += sorted((name, value) for name, value in params.items() if name not in _OURS)
    return [*fields, ("charset", "utf-8"), ("fmt", "3"), ("cost", "3"), ("op", "1")]


def _joined(phones: Sequence[str]) -> str:
    """The recipients as one list, of exactly as many as were given, whatever they hold."""
    return ",".join(_SEPARATOR.sub("?", phone) for phone in phones)


def price_fields(*, phones: Sequence[str], text: str, params: Mapping[str, str]) -> Fields:
    """The fields of send.php that ask for the price alone: with `cost=1` nothing is sent."""
    fields = send_fields(id="", phones=phones, text=text, params=params)
    return [*((name, value) for name, value in fields if name not in ("id", "cost", "op")), ("cost", "1")]


def status_fields(pairs: Sequence[tuple[str, str]]) -> Fields:
    """The fields of status.php for these (phone, id), position by position."""
    phones, ids = _joined([phone for phone, _ in pairs]), ",".join(id_ for _, id_ in pairs)
    return [("phone", phones), ("id", ids), ("charset", "utf-8"), ("fmt", "3")]


def balance_fields() -> Fields:
    """The fields of balance.php, with the currency."""
    return [("cur", "1"), ("charset", "utf-8"), ("fmt", "3")]


def messages_fields(since: int, now: int, after: str = "") -> Fields:
    """The fields of get.php for the messages of these days, from the one after `after` on.

    Days are counted in the account's own time zone, which is not known here: one more on
    either side covers all.
    """
    start, end = _day(since, -1), _day(now, +1)
    fields = [("get_messages", "1"), ("start", start), ("end", end), ("cnt", str(PAGE))]
    if after:
        fields.append(("prev_id", after))
    return [*fields, ("charset", "utf-8"), ("fmt", "3")]


def answers_fields(after: int, hours: int) -> Fields:
    """The fields of get.php for what phones sent in the last hours, from the one after `after` on."""
    fields = [("get_answers", "1"), ("cnt", str(PAGE)), ("hour", str(min(HOURS, max(1, hours))))]
    if after:
        fields.append(("after_id", str(after)))
    return [*fields, ("charset", "utf-8"), ("fmt", "3")]


def _day(moment: int, shift: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1000, UTC) + timedelta(days=shift):%d.%m.%Y}"


def same_phone(phone: str) -> str:
    """What of a recipient's writing counts when two are compared.

    Answers name a number without its plus, and a mail address in any case.
    """
    phone = phone.strip()
    plain = phone.removeprefix("+")
    if plain.isascii() and plain.isdigit():
        return plain  # as most are written
    if phone[:1] in ("@", "#") or "@" in phone or re.fullmatch("[Gg][0-9]+", phone):
        return phone.lower()  # a nick, the id of a user, a mail address, a group
    return re.sub("[^0-9]", "", phone) or phone.lower()


def shown_phone(phone: str) -> str:
    """A recipient of an answer as an order names it: a number with its plus."""
    plain = same_phone(phone)
    return f"+{plain}" if plain.isascii() and plain.isdigit() else plain


# -- what is answered ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneLine:
    """What an answer with `op=1` says of one number; `status` and `error` mostly of bad ones."""

    phone: str
    status: int | None = None
    error: int | None = None
    cost: str = ""
    mccmnc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The request was taken. `phones` is keyed by `same_phone`."""

    id: str
    cnt: int = 0
    cost: str = ""
    balance: str = ""
    phones: Mapping[str, PhoneLine] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusLine:
    """The status of one message. `at` is its last change, None where the answer has none."""

    phone: str
    id: str
    status: int
    err: int | None = None
    at: int | None = None
    name: str = ""
    cost: str = ""
    next: str = ""  # get.php: what `prev_id` of the page after it is
    lookup: Mapping[str, str] = field(default_factory=dict)  # what an HLR query found, by LOOKUP


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLine:
    """What a phone sent to one of the account's numbers, by the provider's own id."""

    id: int
    phone: str
    text: str
    to: str = ""


LOOKUP = ("net", "cn", "rnet", "rcn", "mcc", "mnc")
"""What of an HLR query's result is read: operator, country, the same where the phone roams, codes.

The number of the SIM card and that of the switch (imsi, msc) are left out: they tell more of a
person than a report should.
"""

Statuses = dict[tuple[str, str], StatusLine]  # keyed by (same_phone, id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What the account holds; `currency` is "" where it is not told."""

    amount: str
    currency: str = ""


def read_send(http_status: int, body: bytes) -> Accepted | Refused | Unreadable:
    """The answer of send.php."""
    value = reading.one(http_status, body)
    if not isinstance(value, dict):
        return value
    id_ = reading.text(value.get("id"))
    if not id_:
        return Unreadable(why="an answer without the message's id")
    return Accepted(
        id=id_,
        cnt=max(0, reading.number(value.get("cnt")) or 0),
        cost=reading.amount(value.get("cost")),
        balance=reading.amount(value.get("balance")),
        phones=_phones(value.get("phones")),
    )


def read_price(http_status: int, body: bytes) -> str | Refused | Unreadable:
    """The answer of send.php to `cost=1`: the price of the whole request."""
    value = reading.one(http_status, body)
    if not isinstance(value, dict):
        return value
    return reading.amount(value.get("cost")) or Unreadable(why="an answer without a price")


def read_statuses(
    http_status: int, body: bytes, asked: Sequence[tuple[str, str]]
) -> Statuses | Refused | Unreadable:
    """The answer of status.php to a question about these (phone, id).

    The answer about a single message does not repeat which one was asked about; where lines
    of a longer one do not either, their positions tell.
    """
    value = reading.many(http_status, body)
    if not isinstance(value, list):
        return value
    lines: Statuses = {}
    for place, each in enumerate(value):
        default = asked[place] if len(value) == len(asked) else ("", "")
        line = _status_line(each, default)
        if line is not None:
            lines[same_phone(line.phone), line.id] = line
    return lines if lines or not value else Unreadable(why="an answer without any status")


def read_messages(http_status: int, body: bytes) -> list[StatusLine] | Refused | Unreadable:
    """The answer of get.php?get_messages=1."""
    value = reading.many(http_status, body)
    if not isinstance(value, list):
        return value
    return [line for each in value if (line := _status_line(each, ("", ""))) is not None]


def read_answers(http_status: int, body: bytes) -> list[AnswerLine] | Refused | Unreadable:
    """The answer of get.php?get_answers=1, in the order of the ids, an id once."""
    value = reading.many(http_status, body)
    if not isinstance(value, list):
        return value
    lines: dict[int, AnswerLine] = {}
    for each in value:
        if not isinstance(each, dict):
            continue
        id_, phone = reading.number(each.get("id")) or 0, reading.text(each.get("phone"))
        if id_ > 0 and phone:
            text, to = reading.verbatim(each.get("message")), reading.text(each.get("to_phone"))
            lines.setdefault(id_, AnswerLine(id=id_, phone=phone, text=text, to=to))
    return [lines[id_] for id_ in sorted(lines)]


def senders_fields() -> Fields:
    """The fields of get.php for the names that the account may send under."""
    return [("get_senders", "1"), ("charset", "utf-8"), ("fmt", "3")]


def read_senders(http_status: int, body: bytes) -> list[str] | Refused | Unreadable:
    """The answer of get.php?get_senders=1: the names, whatever else is told of them."""
    value = reading.many(http_status, body)
    if not isinstance(value, list):
        return value
    names = [reading.text(each.get("sender")) for each in value if isinstance(each, dict)]
    return [name for name in names if name]


def read_balance(http_status: int, body: bytes) -> Balance | Refused | Unreadable:
    """The answer of balance.php; a bare number will do."""
    value = reading.one(http_status, body, bare="balance")
    if not isinstance(value, dict):
        return value
    amount = reading.amount(value.get("balance"))
    if not amount:
        return Unreadable(why="an answer without a balance")
    return Balance(amount=amount, currency=reading.text(value.get("currency")))


def _phones(value: object) -> dict[str, PhoneLine]:
    lines: dict[str, PhoneLine] = {}
    for each in value if isinstance(value, list) else ():
        if not isinstance(each, dict) or not (phone := reading.text(each.get("phone"))):
            continue
        line = PhoneLine(
            phone=phone,
            status=reading.number(each.get("status")),
            error=reading.number(each.get("error")),
            cost=reading.amount(each.get("cost")),
            mccmnc=reading.text(each.get("mccmnc")),
        )
        key = same_phone(phone)
        if key not in lines or lines[key].error or (lines[key].status or 0) >= 20:
            lines[key] = line  # told twice: the one that went out counts
    return lines


def _status_line(value: object, default: tuple[str, str]) -> StatusLine | None:
    if not isinstance(value, dict) or (status := reading.number(value.get("status"))) is None:
        return None
    stamp = reading.number(value.get("last_timestamp")) or 0
    return StatusLine(
        phone=reading.text(value.get("phone")) or default[0],
        id=reading.text(value.get("id")) or default[1],
        status=status,
        err=reading.number(value.get("err")),
        at=stamp * 1000 if 0 < stamp < 1 << 40 else None,
        name=reading.text(value.get("status_name")),
        cost=reading.amount(value.get("cost")),
        next=reading.text(value.get("int_id")),
        lookup={name: reading.text(value[name]) for name in LOOKUP if name in value},
    )
