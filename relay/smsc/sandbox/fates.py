"""Which fate a number chooses by its last four digits.

Not the vendor's: the one thing the sandbox adds, so that every outcome can be seen
without an account. One table; `docs/sandbox.md` shows it, and a test compares the two.
An e-mail address or a nick chooses likewise by `fate-NNNN` (or `fate_NNNN`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Break(StrEnum):
    """How an answer can fail to arrive."""

    SILENCE = "silence"  # nothing comes until the client leaves
    RESET = "reset"  # the connection is reset
    HTTP500 = "http500"  # a web server's error page
    HTML = "html"  # HTTP 200 with a page instead of an answer
    EMPTY = "empty"  # HTTP 200 without a body
    CUT = "cut"  # the first half of the answer
    SLOW = "slow"  # the answer, late


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a message to numbers that end in `suffix` (or up to `last`)."""

    suffix: str
    help: str
    last: str = ""
    refuse: int = 0  # the whole request is refused with this error
    wait: float = 0.0  # seconds for which it is refused, counted from the first time
    bad: tuple[int, int] | None = None  # this number alone is refused: status and error
    broken: Break | None = None
    accepted: bool = True  # whether a broken call was accepted all the same
    once: bool = False  # breaks the first time only
    late: float = 0.0  # seconds until the request is accepted
    path: tuple[tuple[int, int], ...] = ((0, 0), (1, 0))  # statuses and errs after -1


def _refused(code: int, meaning: str) -> Fate:
    return Fate(
        suffix=f"{code:04}",
        refuse=code,
        help=f"the whole request is refused with error {code} ({meaning})",
    )


TABLE: tuple[Fate, ...] = (
    _refused(1, "parameters"),
    _refused(2, "login"),
    _refused(3, "no money"),
    _refused(4, "address blocked"),
    _refused(5, "date"),
    _refused(6, "denied"),
    _refused(7, "number"),
    _refused(8, "cannot be delivered"),
    Fate(
        suffix="0009",
        refuse=9,
        wait=60.0,
        help="refused with error 9 for the first 60 s, accepted from then on",
    ),
    Fate(
        suffix="0107",
        bad=(22, 7),
        help="the request is accepted, this number is not: status 22, error 7 with `op=1`",
    ),
    Fate(
        suffix="0108",
        bad=(25, 8),
        help="the request is accepted, this number is not: status 25, error 8 with `op=1`",
    ),
    Fate(
        suffix="0110",
        broken=Break.SILENCE,
        accepted=False,
        help="never answered, not accepted",
    ),
    Fate(
        suffix="0111",
        broken=Break.RESET,
        help="accepted, the connection is reset before the answer",
    ),
    Fate(
        suffix="0112",
        broken=Break.RESET,
        accepted=False,
        once=True,
        help="the connection is reset and nothing accepted the first time, then as usual",
    ),
    Fate(
        suffix="0113",
        broken=Break.SILENCE,
        once=True,
        help="accepted, but never answered the first time, then as usual",
    ),
    Fate(
        suffix="0114",
        broken=Break.HTTP500,
        accepted=False,
        once=True,
        help="HTTP 500 and nothing accepted the first time, then as usual",
    ),
    Fate(suffix="0115", broken=Break.HTML, help="accepted, answered with an HTML page"),
    Fate(suffix="0116", broken=Break.EMPTY, help="accepted, answered with nothing"),
    Fate(suffix="0117", broken=Break.CUT, help="accepted, the answer is cut in half"),
    Fate(
        suffix="0118",
        broken=Break.RESET,
        late=15.0,
        help="the connection is reset at once, the request accepted 15 s later",
    ),
    Fate(suffix="0120", broken=Break.SLOW, help="accepted, answered after 5 s"),
    Fate(suffix="0121", path=(), help="stays queued (-1) for ever"),
    Fate(suffix="0122", path=((0, 0),), help="stays with the operator (0) for ever"),
    Fate(suffix="0123", path=((0, 0), (1, 0), (2, 0)), help="delivered (1), then read (2)"),
    Fate(suffix="0124", path=((24, 0),), help="not enough money (24) for ever"),
    Fate(suffix="0130", path=((0, 0), (3, 0)), help="expired (3)"),
    Fate(
        suffix="0148",
        bad=(25, 248),
        help="as 0108, with the error of the status (248, no route) with `op=1`",
    ),
    Fate(
        suffix="0149",
        bad=(22, 249),
        help="as 0107, with the error of the status (249, wrong number) with `op=1`",
    ),
    Fate(
        suffix="2000",
        last="2255",
        path=((0, 0), (20, 0)),
        help="undeliverable (20), err = the last three digits",
    ),
    Fate(suffix="3022", path=((22, 249),), help="wrong number (22), err 249"),
    Fate(suffix="3023", path=((23, 254),), help="forbidden (23), err 254"),
    Fate(suffix="3025", path=((25, 248),), help="unreachable number (25), err 248"),
)
DELIVERED = Fate(suffix="other", help="delivered (1)")

_BY_SUFFIX = {fate.suffix: fate for fate in TABLE if not fate.last}
_NAMED = re.compile(r"fate[-_](\d{4})", re.IGNORECASE)
_UNDELIVERABLE = next(fate for fate in TABLE if fate.last)


def suffix_of(phone: str) -> str:
    """Return the four digits by which a recipient chooses its fate, or nothing."""
    named = _NAMED.search(phone)
    if named:
        return named[1]
    digits = phone.lstrip("+#")
    return digits[-4:] if digits.isdigit() else ""


def fate_of(phone: str) -> Fate:
    """Return the fate of a message to this recipient."""
    suffix = suffix_of(phone)
    if len(suffix) == 4 and _UNDELIVERABLE.suffix <= suffix <= _UNDELIVERABLE.last:
        err = int(suffix[1:])
        return Fate(suffix=suffix, help=f"undeliverable (20), err {err}", path=((0, 0), (20, err)))
    return _BY_SUFFIX.get(suffix, DELIVERED)


def table() -> str:
    """Return the table as it stands in `docs/sandbox.md`."""
    rows = ["| ends in | what happens |", "|---|---|"]
    for fate in (*TABLE, DELIVERED):
        suffix = f"`{fate.suffix}`…`{fate.last}`" if fate.last else f"`{fate.suffix}`"
        rows.append(f"| {suffix if fate is not DELIVERED else 'anything else'} | {fate.help} |")
    return "\n".join(rows) + "\n"
