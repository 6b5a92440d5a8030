"""Whether the provider takes a request to send, and what it makes of it. Pure.

Source: the vendor's page on sending. Parameters (1) are judged first, then
text by text what it says, when (5) and from whom (6). Numbers (7) come last: those that
cannot be served are no reason to refuse a request that holds others: the vendor's `err=1`
lists "wrong numbers with their statuses", so such a number goes alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from relay.smsc.sandbox import files as attachments
from relay.smsc.sandbox import recipients, schedule, text
from relay.smsc.sandbox.model import Bad, Draft, Kind, RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.smsc.sandbox.decode import Decoded

MAX_TEXT = 1000
PRICES: Mapping[Kind, Decimal] = {
    Kind.MAIL: Decimal("0.20"),
    Kind.CALL: Decimal("4.00"),  # a minute begun
    Kind.HLR: Decimal("0.50"),
    Kind.MMS: Decimal("9.00"),
    Kind.VIBER: Decimal("1.50"),
    Kind.WHATSAPP: Decimal("1.50"),
    Kind.SOC: Decimal("1.50"),
    Kind.TG: Decimal("1.50"),
    Kind.BOT: Decimal("0.10"),
}
SMS_PRICE = Decimal("2.50")  # a part

_TEXTLESS = frozenset({Kind.HLR, Kind.PING})
_FILES_SUFFICE = frozenset({Kind.CALL, Kind.VIBER})  # `fileurl` or a file may stand for the text
_NAMED_SENDER = frozenset({Kind.SMS, Kind.FLASH, Kind.BIN, Kind.PUSH, Kind.PING, Kind.MMS})
_SENDER = re.compile(r"[ -~]{1,11}|\+?\d{1,15}")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+|[^<>@]*<[^@\s<>]+@[^@\s<>]+>")
_IDENT = re.compile(r"[A-Za-z0-9._-]{1,40}")
_BOTNAME = re.compile(r"@\w+")
_CODE = re.compile(r"\d{4,8}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_VALUES: Mapping[str, re.Pattern[str]] = {
    "translit": re.compile(r"[012]?"),
    "tinyurl": re.compile(r"[01]?"),
    "bin": re.compile(r"[012]?"),
    "maxsms": re.compile(r"\d*"),
    "tz": re.compile(r"([+-]?\d{1,2}(\.\d+)?)?"),
    "voice": re.compile(r"((m[234]?|w[234]?)?(,[a-z]{2})?)?"),
    "valid": re.compile(r"|[1-9]|1\d|2[0-4]|(?!0?0:00)([01]?\d|2[0-3]):[0-5]\d|24:00"),
    **{
        flag: re.compile(r"[01]?")
        for flag in ("flash", "push", "hlr", "ping", "mms", "mail", "call", "viber", "soc", "tg")
    },
}
_RANGES: Mapping[str, tuple[float, float]] = {
    "period": (0.1, 720),
    "freq": (1, 1440),
    "smsreq": (10, 999),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A request that the provider takes: its messages, and the numbers that go alone."""

    ident: str  # "" is assigned
    drafts: tuple[Draft, ...]
    bad: tuple[Bad, ...]


def judge(request: Decoded, groups: Mapping[str, Sequence[str]], now: float) -> Judged:
    """Return the messages a request asks for, or raise the refusal it earns."""
    params = request.params
    kind = kind_of(params)
    _check_values(params)
    if not request.known:
        raise RefusalError(1)
    ident = ident_of(params)
    rows = _rows(params, kind)
    sent = attachments.taken(request.files, kind)
    drafts: list[Draft] = []
    bad: list[str] = []
    for row in rows:
        draft = _draft(row, kind, params, sent, now)
        found = recipients.find(row.phones, draft.kind, groups)
        drafts += [replace(draft, phone=phone, mccmnc=recipients.country(phone)[0]) for phone in found.good]
        bad += found.bad
    if not drafts:
        raise RefusalError(7)
    # 249 is the vendor's code in a status for a wrong number.
    return Judged(
        ident=ident,
        drafts=tuple(drafts),
        bad=tuple(Bad(phone=phone, status=22, error=249) for phone in dict.fromkeys(bad)),
    )


def _draft(
    row: recipients.Line, kind: Kind, params: Mapping[str, str], sent: attachments.Taken, now: float
) -> Draft:
    """Return the message of one text, to nobody yet."""
    body = text.split(row.mes, kind)
    _check_text(body.text, body.kind, params, has_files=bool(sent.files or params.get("fileurl")))
    due = schedule.due(params.get("time", ""), row.tz or params.get("tz", ""), now)
    sender = row.sender or params.get("sender", "")
    _check_sender(sender, body.kind)
    shown = text.translit(body.text, params.get("translit", ""))
    # `maxsms` cuts first: the limit is held against what it leaves.
    shown = text.limited(shown, int(params.get("maxsms") or 0))
    if body.kind is not Kind.MAIL and len(shown) > MAX_TEXT:
        raise RefusalError(1)
    count, cost = priced(shown, body.kind, len(sent.files), params)
    return Draft(
        phone="",
        text=shown,
        comment=body.comment,
        kind=body.kind,
        sender=sender,
        count=count,
        cost=cost,
        mccmnc="",
        files=sent.files,
        linked=sent.linked,
        macros=body.macros,
        due_at=due,
    )


def kind_of(params: Mapping[str, str]) -> Kind:
    """Return what the flags make of a request; two flags at once are an error."""
    # The bot's parameter is its name; the others are flags.
    flags = [kind for kind in Kind if kind is not Kind.SMS and params.get(kind, "").strip() not in {"", "0"}]
    if len(flags) > 1:
        raise RefusalError(1)
    return flags[0] if flags else Kind.SMS


def ident_of(params: Mapping[str, str]) -> str:
    """Return the client's id, or nothing where the provider is to assign one."""
    ident = params.get("id", "")
    if ident in {"", "0"}:
        return ""
    if not _IDENT.fullmatch(ident):
        raise RefusalError(1)
    return plain(ident)


def plain(ident: str) -> str:
    """Return an id in the form in which ids are compared."""
    return str(int(ident)) if is_number(ident) else ident


def is_number(ident: str) -> bool:
    """Tell an id of the numeric form (1 to 2147483647) from one of letters."""
    return ident.isascii() and ident.isdigit() and 1 <= int(ident) <= 2147483647


def priced(shown: str, kind: Kind, files: int, params: Mapping[str, str]) -> tuple[int, Decimal]:
    """Return the count and the price of one message; the sandbox's own price list."""
    if kind is Kind.CALL:
        # The vendor estimates beforehand too: here 15 letters a second, 10 seconds a file.
        seconds = max(1, -(-len(shown) // 15) + 10 * (files or bool(params.get("fileurl"))))
        return seconds, PRICES[kind] * -(-seconds // 60)
    if kind is Kind.BIN:
        size = len(shown) // 2 if params.get("bin") == "2" else len(shown)
        count = 1 if size <= 140 else -(-size // 134)
        return count, SMS_PRICE * count
    if kind in PRICES:
        return 1, PRICES[kind]
    count = text.parts(shown)
    return count, SMS_PRICE * count


def _rows(params: Mapping[str, str], kind: Kind) -> list[recipients.Line]:
    if params.get("list"):
        return recipients.lines(params["list"], multiline=params.get("nl") == "1")
    if not params.get("phones", "").strip():
        raise RefusalError(1)
    mes = "" if kind in _TEXTLESS else params.get("mes", "")
    return [recipients.Line(params["phones"], mes)]


def _check_values(params: Mapping[str, str]) -> None:
    for name, pattern in _VALUES.items():
        if not pattern.fullmatch(params.get(name, "").strip()):
            raise RefusalError(1)
    for name, (least, most) in _RANGES.items():
        value = params.get(name, "")
        if not value or (name == "freq" and not params.get("period")):
            continue  # "without period, freq is ignored"
        try:
            number = float(value)
        except ValueError:
            raise RefusalError(1) from None
        if not least <= number <= most:
            raise RefusalError(1)


def _check_text(shown: str, kind: Kind, params: Mapping[str, str], *, has_files: bool) -> None:
    """Refuse a text that the kind does not allow."""
    prefixed = kind is not kind_of(params)  # prefixes bring neither subject nor bot with them
    if not shown.strip() and kind not in _TEXTLESS:
        subject = kind is Kind.MMS and params.get("subj")
        if not subject and not (kind in _FILES_SUFFICE and has_files):
            raise RefusalError(1)
    if kind is Kind.MAIL and not prefixed and not params.get("subj"):
        raise RefusalError(1)
    if kind is Kind.BOT and not prefixed and not _BOTNAME.fullmatch(params["bot"]):
        raise RefusalError(1)
    if kind is Kind.BIN and params["bin"] == "2" and not _HEX.fullmatch(shown):
        raise RefusalError(1)
    if kind is Kind.TG and not _CODE.fullmatch(shown):
        raise RefusalError(6)


def _check_sender(sender: str, kind: Kind) -> None:
    """Refuse a sender that the kind does not allow; a missing one is the account's default."""
    if kind is Kind.MAIL:
        if not sender:
            raise RefusalError(1)
        if not _ADDRESS.fullmatch(sender):
            raise RefusalError(6)
    elif sender and kind in _NAMED_SENDER and not _SENDER.fullmatch(sender):
        raise RefusalError(6)
