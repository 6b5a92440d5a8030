"""Answers in the four formats of the vendor's pages. Pure.

`fmt`: 0 words, 1 numbers with commas, 2 XML, 3 JSON. The layout is the recorded one: an
object's braces stand on lines of their own, nothing is indented, nothing follows the last
brace; sums of money are strings, ids and counts are numbers.
"""

from __future__ import annotations

import html
import json
import zlib
from typing import TYPE_CHECKING, NamedTuple

from relay.smsc.sandbox.model import STATUS_NAMES, TYPES, WITH_ID, Bad, Draft, Kind, Message, RefusalError
from relay.smsc.sandbox.recipients import country
from relay.smsc.sandbox.rules import is_number
from relay.smsc.sandbox.schedule import stamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

Value = str | int
Object = dict[str, Value]

DEFAULT_SENDER = "SMSC.RU"
UNKNOWN = -3
_WORDS = (
    *("send_date", "phone", "country", "operator", "region", "cost"),
    *("sender_id", "status_name", "message", "comment", "type"),
)
_HLR = ("imsi", "msc", "mcc", "mnc", "cn", "net", "rcn", "rnet")


class Asked(NamedTuple):
    """A question of status.php: what was asked, what is there, and when."""

    phone: str
    ident: str
    message: Message | None
    now: float


class Incoming(NamedTuple):
    """A message that a phone sent to the account."""

    id: int
    phone: str
    message: str
    to_phone: str
    sent_at: float


def error(fmt: int, refusal: RefusalError) -> str:
    """Write a refusal; errors 3, 6, 7 and 8 of send.php bear the message's id."""
    ident = refusal.ident if refusal.code in WITH_ID else ""
    match fmt:
        case 1:
            return f"{ident or 0},-{refusal.code}"
        case 2 | 3:
            fields: Object = {"error": refusal.text, "error_code": refusal.code}
            if ident:
                fields["id"] = number(ident)
            return _object(fields) if fmt == 3 else _element("result", fields)
        case _:
            return f"ERROR = {refusal.code} ({refusal.text})" + (f", ID - {ident}" if ident else "")


def sent(
    fmt: int,
    *,
    cost_mode: str,
    ident: str,
    count: int,
    cost: Decimal,
    balance: Decimal,
    phones: Sequence[Draft | Bad] | None = None,
) -> str:
    """Write the answer to a send; `cost_mode` is the parameter `cost`, `phones` the `op=1` list."""
    fields: Object
    if cost_mode == "1":
        fields = {"cost": money(cost), "cnt": count}
        words = f"{money(cost)} ({count} SMS)"
    else:
        fields = {"id": number(ident), "cnt": count}
        words = f"OK - {count} SMS, ID - {ident}"
        if cost_mode in {"2", "3"}:
            fields["cost"] = money(cost)
            words += f", COST - {money(cost)}"
        if cost_mode == "3":
            fields["balance"] = money(balance)
            words += f", BALANCE - {money(balance)}"
    lines = [_phone(item) for item in phones or ()]
    match fmt:
        case 2:
            extra = (
                "" if phones is None else "<phones>\n" + "".join(map(_phone_element, lines)) + "</phones>\n"
            )
            return _element("result", fields, extra)
        case 3:
            return _object(fields, {} if phones is None else {"phones": array(lines)})
        case _:
            head = words if fmt != 1 else ",".join(str(value) for value in fields.values())
            return "\n".join([head, *(",".join(str(line.get(key, "")) for key in _PHONE) for line in lines)])


_PHONE = ("phone", "mccmnc", "cost", "status", "error")


def _phone(item: Draft | Bad) -> Object:
    """Describe a number of `op=1`; status and error stand with refused numbers only."""
    if isinstance(item, Draft):
        return {"phone": item.phone, "mccmnc": item.mccmnc, "cost": money(item.cost)}
    return {"phone": item.phone, "status": str(item.status), "error": str(item.error)}


def _phone_element(line: Object) -> str:
    attributes = "".join(f' {key}="{html.escape(str(line[key]))}"' for key in _PHONE[1:] if key in line)
    return f"<phone{attributes}>{html.escape(str(line['phone']))}</phone>\n"


def balance(fmt: int, amount: Decimal, currency: str) -> str:
    """Write the balance; `currency` is given with `cur=1` only."""
    fields: Object = {"balance": money(amount)}
    if currency:
        fields["currency"] = currency
    match fmt:
        case 2 if currency:
            return _element("result", fields)
        case 2:
            return f"<balance>{money(amount)}</balance>"
        case 3:
            return _object(fields)
        case _:
            return " ".join(str(value) for value in fields.values())


def done(fmt: int) -> str:
    """Write that a deletion is done."""
    return {2: "<result>OK</result>", 3: _object({"result": "OK"})}.get(fmt, "OK")


def statuses(fmt: int, asked: Sequence[Asked], *, detail: int, multi: bool) -> str:
    """Write statuses; `detail` is the parameter `all`, `multi` the form for several messages."""
    match fmt:
        case 2:
            found = [_element("sms", _status(question, detail, multi=multi)) for question in asked]
            return "<list>\n" + "\n".join(found) + "\n</list>" if multi else found[0]
        case 3:
            objects = [_status(question, detail, multi=multi) for question in asked]
            return array(objects) if multi else _object(objects[0])
        case 1:
            return "\n".join(_numbers(question, detail, multi=multi) for question in asked)
        case _:
            return "\n".join(_words(question, detail, multi=multi) for question in asked)


def messages(fmt: int, found: Sequence[Message], now: float) -> str:
    """Write the history of get.php; formats 0 and 1 are lines of `key = value`."""
    rows = []
    for message in found:
        row = _full(message, now, 2)
        row |= {
            "id": number(message.id),
            "int_id": message.int_id,
            "sms_cnt": message.count,
            "format": TYPES[message.kind],
            "crc": zlib.crc32(message.text.encode("utf-8", "replace")),
            "mccmnc": message.mccmnc,
            "comment": message.comment,
        }
        rows.append(row)
    return _table(fmt, rows)


def incoming(fmt: int, found: Sequence[Incoming]) -> str:
    """Write the messages that phones sent."""
    return _table(
        fmt,
        [
            {
                "id": item.id,
                "received": stamp(item.sent_at),
                "phone": item.phone,
                "message": item.message,
                "to_phone": item.to_phone,
                "sent": stamp(item.sent_at),
            }
            for item in found
        ],
    )


def money(amount: Decimal) -> str:
    """Write a sum with two places."""
    return f"{amount:.2f}"


def number(ident: str) -> Value:
    """Return an id as JSON has it: a number, or a string where the client chose letters."""
    return int(ident) if is_number(ident) else ident


def array(objects: Sequence[Mapping[str, Value]]) -> str:
    """Write objects as a JSON array, brackets against braces."""
    return "[" + ",\n".join(_object(fields) for fields in objects) + "]"


def _object(fields: Mapping[str, Value], ready: Mapping[str, str] | None = None) -> str:
    written = {key: json.dumps(value, ensure_ascii=False) for key, value in fields.items()} | dict(
        ready or {}
    )
    return "{\n" + ",\n".join(f'"{key}": {value}' for key, value in written.items()) + "\n}"


def _element(name: str, fields: Mapping[str, Value], extra: str = "") -> str:
    inner = "".join(f"<{key}>{html.escape(str(value))}</{key}>\n" for key, value in fields.items())
    return f"<{name}>\n{inner}{extra}</{name}>"


def _table(fmt: int, rows: Sequence[Object]) -> str:
    match fmt:
        case 3:
            return array(rows)
        case 2:
            return "<list>\n" + "".join(_element("sms", row) + "\n" for row in rows) + "</list>"
        case _:
            return "\n".join(", ".join(f"{key} = {value}" for key, value in row.items()) for row in rows)


def _status(question: Asked, detail: int, *, multi: bool) -> Object:
    message = question.message
    if message is None:
        fields: Object = {"status": UNKNOWN}
    elif detail:
        fields = _full(message, question.now, detail)
        fields |= {"comment": message.comment, "mccmnc": message.mccmnc, "sms_cnt": message.count}
    else:
        fields = _short(message, question.now)
    if multi:
        fields |= {"id": number(question.ident), "phone": question.phone}
    return fields


def _short(message: Message, now: float) -> Object:
    step = message.at(now)
    fields: Object = {
        "status": step.status,
        "last_date": stamp(step.at),
        "last_timestamp": int(step.at),
        "flag": TYPES[message.kind],
        "err": step.err,
    }
    return fields | _hlr(message)


def _full(message: Message, now: float, detail: int) -> Object:
    fields = _short(message, now)
    fields |= {
        "send_date": stamp(message.accepted_at),
        "send_timestamp": int(message.accepted_at),
        "phone": message.phone,
        "cost": money(message.cost),
        "sender_id": _sender(message),
        "status_name": STATUS_NAMES[message.at(now).status],
        "message": message.text,
    }
    if detail == 2:
        _, land, operator, region = country(message.phone)
        fields |= {"country": land, "operator": operator, "operator_orig": operator, "region": region}
    fields["type"] = TYPES[message.kind]
    return fields


def _numbers(question: Asked, detail: int, *, multi: bool) -> str:
    """Write a status as numbers; the official libraries split it by position."""
    message = question.message
    if message is None:
        found: list[Value] = [UNKNOWN, 0, 0]
        return ",".join(str(value) for value in found + ([question.ident, question.phone] if multi else []))
    step = message.at(question.now)
    found = [step.status, int(step.at), step.err, *_hlr(message).values()]
    if detail:
        found += [int(message.accepted_at), message.phone]
        found += country(message.phone)[1:] if detail == 2 else ()
        found += [money(message.cost), _sender(message), STATUS_NAMES[step.status], message.text]
        # The libraries take all that follows the text for the text: no comment, nothing more.
        found += [message.comment, TYPES[message.kind]] if message.comment else []
    if multi:
        found += [question.ident] if detail else [question.ident, question.phone]
    return ",".join(str(value) for value in found)


def _words(question: Asked, detail: int, *, multi: bool) -> str:
    message = question.message
    if message is None:
        pairs: Object = {"Status": UNKNOWN, "check_time": "", "err": 0}
    else:
        step = message.at(question.now)
        pairs = {"Status": step.status, "check_time": stamp(step.at), "err": step.err}
        pairs |= _hlr(message)
        if detail:
            full = _full(message, question.now, detail) | {"comment": message.comment}
            pairs |= {name: full[name] for name in _WORDS if name in full}
    if multi:
        pairs |= {"id": question.ident, "phone": question.phone}
    return ", ".join(f"{key} = {value}" for key, value in pairs.items())


def _hlr(message: Message) -> Object:
    """Return what an HLR query brings home; other kinds bring nothing."""
    if message.kind is not Kind.HLR:
        return {}
    values = ("250011234567890", "79168999100", "250", message.mccmnc[3:], "Russia", "MTS", "", "")
    found: Object = {}
    found.update(zip(_HLR, values, strict=True))
    return found


def _sender(message: Message) -> str:
    return "HLR" if message.kind is Kind.HLR else message.sender or DEFAULT_SENDER
