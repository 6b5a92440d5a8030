"""What makes alarms alike: the same words whatever their numbers, and what a recovery ends. Pure.

A *mask* is coarse: alarms that differ only in numbers, times, dates, hexadecimal ids and
addresses of the network share it, so that a digest can count them as one kind. A *topic* is
fine: a problem and its recovery share it, so it keeps what names a thing (db1, eth0,
10.0.0.7) and leaves out states, times and percentages. Where a subject names no host, the
lines of the body that do count too: a recovery must never end another host's problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from relay import model
from relay.message.again import remembered

_CHARS = 2000  # of a text that make its mask
_SUBJECT = 300
_LINES = 60  # of a body among which a host is looked for

_NUMBERS = re.compile(
    r"0x[0-9a-f]{1,40}"
    r"|(?<![^\W_])(?=[0-9a-f]{0,39}[0-9])(?=[0-9]{0,39}[a-f])[0-9a-f]{6,40}(?![^\W_])"  # 9f86d081
    r"|(?<![^\W_])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,8}(?![^\W_])"  # IPv6, MAC
    r"|[0-9]{1,40}(?:[.,:/\-][0-9]{1,40}){0,9}",  # numbers, times, dates, IPv4
    re.IGNORECASE,
)
_CALENDAR = (
    "jan feb mar apr may jun jul aug sep oct nov dec mon tue wed thu fri sat sun"
    " янв фев мар апр мая май июн июл авг сен окт ноя дек пн вт ср чт пт сб вс"
)
_DIGIT = re.compile("[0-9]")
_DAYS = frozenset(_CALENDAR.split())
_LEFT, _RIGHT = r"(?<![\w.-])", r"(?![\w-]|\.\w)"
_STATES = re.compile(
    rf"{_LEFT}(?:(?:resolved|recovered|cleared|восстановлено|решено) (?:in|after|за|через)"
    r"(?: [0-9]{1,6} ?(?:[dhms]|ms|дн?|ч|м|мин|сек?)){1,5}"
    r"|(?:firing|resolved):[0-9]{1,6}"
    r"|problems?|critical|warning|firing|alerting|alert|alarm|down|unreachable|unavailable|offline|degraded"
    r"|failed|failure|failing|error|fatal|unknown|crashed|recovery|recovered|resolved|cleared|restored"
    r"|ok|okay|up|online|normal|healthy|available|reachable|back|again|not|now|state|status|is|was|has|been"
    r"|проблема|авария|сбой|ошибка|отказ|недоступ(?:ен|на|но|ны)|доступ(?:ен|на|но|ны)|предупреждение"
    r"|упал[аои]?|не|отвечает|восстановлен[аоы]?|восстановление|восстановил(?:ся|ась|ось|ись)|реш[её]н[аоы]?"
    rf"|устран[её]н[аоы]?|исправлен[аоы]?|норма|норме|снова|в норме|ок|тревога|снята){_RIGHT}",
    re.IGNORECASE,
)
_MOMENTS = re.compile(
    r"(?<![.\d])[0-9]{1,4}[./\-][0-9]{1,2}[./\-][0-9]{1,4}(?![.\d])"  # dates, but no addresses
    r"|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"|[0-9]{1,9}(?:[.,][0-9]{1,9})?\s?%"
    rf"|{_LEFT}[0-9]{{1,9}}(?:[.,][0-9]{{1,9}})?\s?(?:[dhms]|ms|min|sec|дн|ч|мин|сек){_RIGHT}",
    re.IGNORECASE,
)
_NAMES = re.compile(
    r"\W{0,8}(?:host|hostname|host ?group|server|device|service|instance|address|monitor|check|node|unit"
    r"|узел|хост|сервер|устройство|сервис|служба|адрес|датчик|объект)(?: name)?\s{0,3}[:=]"
    r"(?P<value>[^\n]{1,200})",
    re.IGNORECASE,
)
_WORDS = re.compile(r"\w+(?:[.:/\-]\w+){0,20}")


@remembered
def mask(text: str) -> str:
    """A digest that texts share which differ in numbers, times, dates, ids and addresses only."""
    pieces = text[:_CHARS].casefold().split()
    bare = " ".join([
        piece if piece.isalpha() or not _DIGIT.search(piece) else _NUMBERS.sub("0", piece) for piece in pieces
    ])  # fmt: skip
    words = " ".join([word for word in _plain_words(bare) if word not in _DAYS])
    return model.stable_digest(words.encode("utf-8", "replace"))[:16]


def topic(sender: str, subject: str, body: str) -> str:
    """A digest that a problem and its recovery share: of who says it, of what, on which host.

    "" where the words left say of nothing at all what it is.
    """
    return _topic(body, subject, sender)


@remembered
def _topic(body: str, subject: str, sender: str) -> str:
    first = subject if subject.strip() else body.lstrip()[:_SUBJECT].split("\n")[0]
    about = _about(first)
    if not about:
        return ""
    named = [" ".join(_plain_words(value.casefold())) for value in _named(body)]
    fields = [sender.casefold(), about, *named]
    return model.stable_digest(*(each.encode("utf-8", "replace") for each in fields))[:16]


def _about(line: str) -> str:
    line = " ".join(line[:_SUBJECT].split())
    line = _MOMENTS.sub(" ", _STATES.sub(" ", line))
    return " ".join(_plain_words(line.casefold()))


def _named(body: str) -> Iterator[str]:
    """What lines like "Host: db1" name."""
    for line in body[: 20 * _CHARS].split("\n", _LINES)[:_LINES]:
        match = _NAMES.match(line[:_SUBJECT]) if ":" in line or "=" in line else None
        if match and not _STATES.fullmatch(match["value"].strip()):
            yield match["value"]


def _plain_words(text: str) -> list[str]:
    return _WORDS.findall(text)
