"""What each word of the provider means for an order: one table, drawn into the documents.

Vendor's pages: the errors of send.php, the statuses of status.php and the error codes inside
statuses. Codes that nobody has heard of are never taken for a refusal: an unknown *error*
leaves the order unsure (the provider may have the message all the same), an unknown *status*
says at least that the provider has it. Text from the provider is cleaned before it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from relay.model import Kind, Outcome, Rest

_LONGEST_NAME = 40  # characters of an operator's or a country's name
_LONGEST = 300  # characters of the provider's own text that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what the provider says, and what then holds for the order.

    `says` is "error" (an answer of send.php), "status" (a status of a message) or "err" (the
    error code inside a status that means undeliverable).
    """

    says: str
    code: int
    kind: Kind
    status: str
    reason: str
    rest: Rest = Rest.NONE


def _error(code: int, kind: Kind, status: str, reason: str, rest: Rest = Rest.NONE) -> Row:
    return Row(says="error", code=code, kind=kind, status=status, reason=reason, rest=rest)


def _status(code: int, kind: Kind, status: str, reason: str, rest: Rest = Rest.NONE) -> Row:
    return Row(says="status", code=code, kind=kind, status=status, reason=reason, rest=rest)


def _err(code: int, status: str, reason: str, kind: Kind = Kind.REFUSED) -> Row:
    return Row(says="err", code=code, kind=kind, status=status, reason=reason)


UNREACHED = "4.4.1"  # no answer from host (RFC 3463): no connection, or one that broke off
TOO_LATE = "4.4.7"  # delivery time expired
UNTOLD = "4.0.0"  # nobody can say

TABLE: tuple[Row, ...] = (
    _error(1, Kind.REFUSED, "5.5.4", "the provider refuses the request's parameters"),
    _error(
        2,
        Kind.LATER,
        "4.7.8",
        "the provider refuses the account's login, or this machine's address",
        Rest.LOGIN,
    ),
    _error(3, Kind.LATER, "4.3.0", "the account at the provider is out of money", Rest.MONEY),
    _error(
        4,
        Kind.LATER,
        "4.7.0",
        "the provider blocks this machine's address for a while after frequent errors",
        Rest.BLOCKED,
    ),
    _error(5, Kind.REFUSED, "5.5.4", "the provider cannot read the date or time of sending"),
    _error(6, Kind.REFUSED, "5.7.1", "the provider forbids the message, for its text or its sender's name"),
    _error(7, Kind.REFUSED, "5.1.3", "the provider says that the number is not a phone number"),
    _error(8, Kind.REFUSED, "5.4.4", "the provider cannot deliver to this number"),
    _error(
        9,
        Kind.UNSURE,
        UNREACHED,
        "the provider has seen the same request within the last minute, or too many requests at once",
    ),
    _status(-3, Kind.ABSENT, UNREACHED, "the provider knows nothing of the message"),
    _status(
        -2, Kind.ACCEPTED, "2.0.0", "the provider has the message and holds it back, its mailing is stopped"
    ),
    _status(-1, Kind.ACCEPTED, "2.0.0", "the provider has the message and will send it"),
    _status(0, Kind.ACCEPTED, "2.0.0", "the message was handed to the phone's operator"),
    _status(1, Kind.DELIVERED, "2.1.5", "the message was delivered"),
    _status(2, Kind.DELIVERED, "2.1.5", "the message was delivered and read"),
    _status(3, Kind.EXPIRED, TOO_LATE, "the message's time passed before the phone could be reached"),
    _status(4, Kind.DELIVERED, "2.1.5", "the message was delivered and its link was opened"),
    _status(20, Kind.REFUSED, "5.0.0", "the message cannot be delivered"),
    _status(22, Kind.REFUSED, "5.1.3", "the provider says that the number is not a phone number"),
    _status(23, Kind.REFUSED, "5.0.0", "the provider forbids the message"),
    _status(
        24,
        Kind.ACCEPTED,
        "2.0.0",
        "the provider has the message, but its account is out of money",
        Rest.MONEY,
    ),
    _status(25, Kind.REFUSED, "5.4.4", "the provider says that the number takes no messages"),
    _err(1, "5.1.1", "the operator says that no such subscriber exists"),
    _err(2, "5.0.0", "the recipient's mailbox is full, or its server refuses the mail"),
    _err(3, "5.0.0", "the recipient's mail server was not found"),
    _err(4, "5.0.0", "the recipient's mailbox is blocked"),
    _err(6, TOO_LATE, "the phone was off or out of reach all the time"),
    _err(
        11, "5.2.1", "the subscriber cannot receive such messages (service not connected, roaming, landline)"
    ),
    _err(12, "5.2.1", "the phone or its SIM card has a fault"),
    _err(13, "5.2.1", "the subscriber is blocked by the operator"),
    _err(21, "5.6.1", "the phone does not support such messages"),
    _err(200, "5.0.0", "the message was sent in test mode only"),
    _err(219, "5.0.0", "the SIM card was replaced, for a day the operator holds such messages back"),
    _err(220, "4.4.5", "the operator's queue for this phone is full"),
    _err(237, UNREACHED, "the call was not answered"),
    _err(238, "5.7.1", "the message fits no template that is registered for this sender"),
    _err(239, "5.7.1", "the message is forbidden, or comes from an address that is new to the provider"),
    _err(240, UNREACHED, "the phone was busy, or the call was declined"),
    _err(241, "5.6.1", "the message could not be converted to speech, or not all of its parts arrived"),
    _err(242, UNREACHED, "an answering machine took the call"),
    _err(243, "5.7.1", "mass or advertising messages need a contract with the provider"),
    _err(244, "5.7.1", "such mailings are forbidden, or the text has a forbidden link"),
    _err(245, UNTOLD, "the operator told nothing about the message for a day", Kind.UNKNOWN),
    _err(246, "5.7.1", "messages may not be sent at this hour"),
    _err(247, "4.7.1", "the account's limit for a day is reached"),
    _err(248, "5.4.4", "the provider says that the number takes no messages (no route)"),
    _err(249, "5.1.3", "the provider says that the number is not a phone number"),
    _err(250, "5.7.1", "the settings of the account at the provider forbid this number"),
    _err(251, "4.7.1", "the limit of messages to one number for a day is reached"),
    _err(252, "5.7.1", "the provider forbids this number"),
    _err(253, "5.7.1", "the provider's spam filter stopped the message"),
    _err(254, "5.7.1", "the sender's name is not registered at the provider or the operator"),
    _err(255, "5.0.0", "the operator rejected the message without saying why"),
)

_ROWS = {(row.says, row.code): row for row in TABLE}
_FAILED = (20, 22, 23, 25)  # statuses that `err` explains


def rows(says: str) -> Iterator[Row]:
    """The rows of one kind of word, in the order of the table."""
    return (row for row in TABLE if row.says == says)


def clean(text: str) -> str:
    """The provider's text as one printable line, short enough to store and to quote."""
    # Cut first: what is thrown away need not be looked at. Twice the length leaves room for blanks.
    line = text[: 2 * _LONGEST]
    if not line.isprintable():
        line = "".join(c if c.isprintable() else " " for c in line)
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def accepted(*, cost: str = "", parts: int = 0) -> Outcome:
    """The provider took the request."""
    return Outcome(
        kind=Kind.ACCEPTED, status="2.0.0", reason="the provider accepted the message", cost=cost, parts=parts
    )


def for_error(code: int | str, text: str = "") -> Outcome:
    """What an error of send.php means. An unknown one leaves the order unsure."""
    row = _ROWS.get(("error", _number(code)))
    text = clean(text)
    if row is None:
        reason = (
            f"the provider answered with an error that is not known here ({clean(str(code)) or 'no code'})"
        )
        return Outcome(kind=Kind.UNSURE, status=UNREACHED, reason=reason, code=clean(str(code)), text=text)
    return _outcome(row, str(row.code), text)


def for_status(status: int, err: int | None = None, text: str = "") -> Outcome:
    """What a status of a message means; `err` explains those that mean undeliverable.

    A status that no page names still says that the provider has the message: nothing else
    is concluded from it. Below -3 not even that can be read from it.
    """
    code = f"status {status} err {err}" if err else f"status {status}"
    row = _ROWS.get(("status", status))
    if row is None:
        return _unheard(status, code, clean(text))
    why = _ROWS.get(("err", err)) if err else None
    if status in _FAILED and err:
        row = why or replace(row, status="5.0.0")
    elif status == 3 and why is not None and why.kind is Kind.REFUSED:
        row = replace(row, status=why.status, reason=f"{row.reason}: {why.reason}")
    return _outcome(row, code, clean(text))


def no_connection(why: str = "") -> Outcome:
    """No connection could be made: the provider has heard nothing."""
    reason = _because("no connection to the provider could be made", why)
    return Outcome(kind=Kind.LATER, status=UNREACHED, reason=reason, rest=Rest.UNREACHABLE)


def barred() -> Outcome:
    """The call was not begun: other nodes have all the slots of the account."""
    return Outcome(kind=Kind.LATER, status="4.4.1", reason="the call could not be begun")


def broke_off(why: str = "") -> Outcome:
    """The connection broke, or fell silent, after bytes may have left."""
    reason = _because("the call to the provider broke off before its answer", why)
    return Outcome(kind=Kind.UNSURE, status=UNREACHED, reason=reason)


def unreadable(why: str = "") -> Outcome:
    """The provider answered something that cannot be read."""
    reason = _because("the provider's answer could not be read", why)
    return Outcome(kind=Kind.UNSURE, status=UNREACHED, reason=reason)


def expired(last: Outcome | None = None) -> Outcome:
    """The order's time passed here; the status is that of what kept it, where that is known."""
    reason = "the message's time passed before it could be sent"
    if last is None or last.status[:1] not in ("4", "5"):
        return Outcome(kind=Kind.EXPIRED, status=TOO_LATE, reason=reason)
    return Outcome(
        kind=Kind.EXPIRED,
        status=last.status,
        reason=f"{reason}: {last.reason}",
        code=last.code,
        text=last.text,
    )


def unknown(last: Outcome | None = None) -> Outcome:
    """Asking was given up: nobody can say what became of the order."""
    return Outcome(
        kind=Kind.UNKNOWN,
        status=UNTOLD,
        reason=_because("nobody could say what became of the message", last.reason if last else ""),
        code=last.code if last else "",
        text=last.text if last else "",
    )


def looked_up(outcome: Outcome, found: Mapping[str, str]) -> Outcome:
    """The outcome of an HLR query with what it found, JSON under the provider's names."""
    if not {"net", "cn"} & found.keys():  # statuses of other messages may bear its codes too
        return outcome
    said = {name: clean(value)[:_LONGEST_NAME] for name, value in found.items()}
    return replace(outcome, text=json.dumps(said, ensure_ascii=False))


def about_question(outcome: Outcome) -> Outcome:
    """What a failed *question* says: it may rest the account, but it moves no order."""
    return replace(outcome, kind=Kind.NOTHING)


def _number(code: int | str) -> int:
    try:
        return int(code)
    except ValueError:
        return 0  # no row bears it


def _because(fact: str, why: str) -> str:
    return f"{fact} ({clean(why)})" if why else fact


def _outcome(row: Row, code: str, text: str) -> Outcome:
    return Outcome(kind=row.kind, status=row.status, reason=row.reason, code=code, text=text, rest=row.rest)


def _unheard(status: int, code: str, text: str) -> Outcome:
    if status < -3:
        reason = f"the provider gave a status that is not known here ({status})"
        return Outcome(kind=Kind.NOTHING, status=UNTOLD, reason=reason, code=code, text=text)
    reason = f"the provider has the message, with a status that is not known here ({status})"
    return Outcome(kind=Kind.ACCEPTED, status="2.0.0", reason=reason, code=code, text=text)
