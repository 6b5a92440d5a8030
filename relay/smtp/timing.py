"""What a client may ask about when its mail goes and which mail goes first. Pure.

DELIVERBY (RFC 2852): `BY=seconds;R` wants the mail back where it can't be delivered in time, `N` wants
to be told then, `T` wants to hear that it was passed on. FUTURERELEASE (RFC 4865): `HOLDFOR=seconds` or
`HOLDUNTIL=date-time` keeps it in the queue until then. MT-PRIORITY (RFC 6710) ranks it from -9 to 9.
Seconds count from MAIL. What comes of these wishes is decided in `message.deadlines`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from relay.message.deadlines import SHORTEST
from relay.model import DAY, SECOND
from relay.replies import Reply, reply

HOLD_MOST = 30 * DAY
"""How long a mail may be held at most."""

_SYNTAX = {
    "BY": (
        re.compile("([+-]?[0-9]{1,9});([NR])(T?)", re.IGNORECASE),
        "write BY=seconds;R or BY=seconds;N, with a T behind it to have it traced",
    ),
    "HOLDFOR": (re.compile("[1-9][0-9]{0,8}"), "write HOLDFOR=seconds"),
    "HOLDUNTIL": (
        re.compile(
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})",
            re.IGNORECASE,
        ),
        "write HOLDUNTIL=2027-01-15T08:30:00Z",
    ),
    "MT-PRIORITY": (re.compile("0|-?[1-9]"), "write MT-PRIORITY= and a number from -9 to 9"),
}
RULES: Mapping[str, tuple[re.Pattern[str], str]] = _SYNTAX
"""What the values look like, and what to write otherwise."""

_NO_TIME = reply(501, "5.5.4", "BY=seconds;R needs a time ahead")
_TOO_SOON = reply(555, "5.5.4", f"BY=seconds;R needs {SHORTEST // SECOND} seconds or more")
_TOO_LATE = reply(501, "5.5.4", f"a mail is held for {HOLD_MOST // SECOND} seconds at most")
_TWO_HOLDS = reply(501, "5.5.4", "write HOLDFOR or HOLDUNTIL, not both")
_NO_MOMENT = reply(501, "5.5.4", _SYNTAX["HOLDUNTIL"][1])
_HELD_TOO_LONG = reply(501, "5.5.4", "the mail would be held beyond the time of BY")


def offers(now: int) -> tuple[str, ...]:
    """The keywords at EHLO; the last moment of a hold depends on when it is said."""
    last = datetime.fromtimestamp((now + HOLD_MOST) // SECOND, UTC)
    return (
        f"DELIVERBY {SHORTEST // SECOND}",
        f"FUTURERELEASE {HOLD_MOST // SECOND} {last:%Y-%m-%dT%H:%M:%SZ}",
        "MT-PRIORITY",
    )


def read(given: Mapping[str, str], now: int) -> dict[str, Any] | Reply:
    """The fields of an envelope that these parameters set; their syntax has been judged."""
    if given.keys().isdisjoint(_SYNTAX):
        return {}
    hold = _hold(given, now)
    if isinstance(hold, Reply):
        return hold
    fields: dict[str, Any] = {"hold_until": hold, "hold": _said(given)}
    if "MT-PRIORITY" in given:
        fields["priority"] = int(given["MT-PRIORITY"])
    by = _SYNTAX["BY"][0].fullmatch(given.get("BY", ""))
    if by is None:
        return fields
    seconds, returned = int(by[1]), by[2].upper() == "R"
    if returned and seconds <= 0:
        return _NO_TIME
    if returned and seconds * SECOND < SHORTEST:
        return _TOO_SOON
    if hold and now + seconds * SECOND <= hold:
        return _HELD_TOO_LONG
    return fields | {"deliver_by": now + seconds * SECOND, "returned": returned, "traced": bool(by[3])}


def _said(given: Mapping[str, str]) -> str:
    """What was said of a hold, as RFC 4865 section 5.1.2 writes it."""
    kinds = {"HOLDFOR": "for", "HOLDUNTIL": "until"}
    return next((f"{kind};{given[name]}" for name, kind in kinds.items() if name in given), "")


def _hold(given: Mapping[str, str], now: int) -> int | Reply:
    """Until when the mail is held; 0 where it is not."""
    if "HOLDFOR" in given and "HOLDUNTIL" in given:
        return _TWO_HOLDS
    until = now + int(given.get("HOLDFOR", "0")) * SECOND
    if "HOLDUNTIL" in given:
        try:
            moment = datetime.fromisoformat(given["HOLDUNTIL"].upper())
        except ValueError:
            return _NO_MOMENT
        until = int(moment.timestamp()) * SECOND
    if until > now + HOLD_MOST:
        return _TOO_LATE
    return until if until > now else 0
