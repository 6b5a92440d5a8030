"""Who a request is for: numbers, groups, mail addresses, nicks, and `list` lines.

Source: the vendor's page on sending. A number without a plus may be corrected to its
international form, one with a plus is taken as it stands. `G777` is the group numbered 777.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from relay.smsc.sandbox.model import Kind, RefusalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SEPARATORS = re.compile(r"[,;]")
_GROUP = re.compile(r"[Gg](\d+)")
_NOISE = re.compile(r"[ ()\u00a0.\-]")
_DIGITS = re.compile(r"[1-9]\d{6,14}")
_MAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.?[^@\s,;.]+")
_NICK = re.compile(r"@[A-Za-z0-9_]{2,}|#\d+")
_LINE = re.compile(r"(?:(?P<head>[^|:;\n]*)\|)?(?P<phones>[^:;\n]+)[:;](?P<mes>.*)", re.DOTALL)
_PHONES = re.compile(r"[+\dGg][\d,Gg+ ()\-]*")


class Line(NamedTuple):
    """One line of a `list`: who, what, and perhaps from whom."""

    phones: str
    mes: str
    sender: str = ""
    tz: str = ""


class Found(NamedTuple):
    """The recipients of a text: those that can be served, and those that cannot."""

    good: list[str]
    bad: list[str]


def find(phones: str, kind: Kind, groups: Mapping[str, Sequence[str]]) -> Found:
    """Return the recipients a `phones` value names, each once, groups as their members."""
    good: dict[str, None] = {}
    bad: dict[str, None] = {}
    for raw in _SEPARATORS.split(phones):
        name = raw.strip()
        if not name:
            continue
        members = _members(name, kind, groups)
        if members:
            good.update(dict.fromkeys(members))
        else:
            bad[name] = None
    return Found(list(good), list(bad))


def _members(name: str, kind: Kind, groups: Mapping[str, Sequence[str]]) -> Iterable[str]:
    if kind is Kind.MAIL:
        return (name,) if _MAIL.fullmatch(name) else ()
    group = _GROUP.fullmatch(name)
    if group:
        return groups.get(group[1], ())
    if kind in {Kind.BOT, Kind.TG} and _NICK.fullmatch(name):
        return (name,)
    number = corrected(name)
    return (number,) if number else ()


def corrected(name: str) -> str:
    """Return a number in the form the provider stores, digits alone; nothing if it is none."""
    if name.startswith("+"):
        digits = name[1:]
    else:
        digits = _NOISE.sub("", name)
        if len(digits) == 11 and digits.startswith("8"):
            digits = "7" + digits[1:]
        elif len(digits) == 10 and digits.startswith("9"):
            digits = "7" + digits
    return digits if _DIGITS.fullmatch(digits) else ""


def lines(raw: str, *, multiline: bool) -> list[Line]:
    r"""Read a `list` value; ``\n`` in a text stands for a new line.

    With `nl=1` a text may go on over several lines: a line that does not begin with numbers
    and a colon belongs to the text before it. The vendor gives that mode no more words.
    """
    found: list[str] = []
    for row in raw.replace("\r\n", "\n").split("\n"):
        if multiline and found and not _begins(row):
            found[-1] += "\n" + row
        elif row.strip():
            found.append(row)
    if not found:
        raise RefusalError(1)
    return [_line(row) for row in found]


def _begins(row: str) -> bool:
    match = _LINE.fullmatch(row)
    return match is not None and _PHONES.fullmatch(match["phones"].strip()) is not None


def _line(row: str) -> Line:
    match = _LINE.fullmatch(row)
    if match is None:
        raise RefusalError(1)
    sender, _, tz = (match["head"] or "").partition(",")
    return Line(match["phones"], match["mes"].replace("\\n", "\n"), sender.strip(), tz.strip())


def country(phone: str) -> tuple[str, str, str, str]:
    """Return mccmnc, country, operator and region of a number; a toy of two countries."""
    if phone.startswith("77"):
        return ("40101", "Казахстан", "Beeline", "")
    if phone.startswith("7") and phone.isdigit():
        return ("25001", "Россия", "МТС", "Москва и Московская область")
    return ("", "", "", "")
