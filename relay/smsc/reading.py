"""Answers of the provider read with charity: whatever octets come, a value comes back.

What is not understood costs a question at least, so numbers may be strings and strings
numbers, the charset another one than was asked for (the header cannot be relied on), a
textual id may stand without quotes, and an answer may come in the vendor's default format
where `fmt` was not minded. What still makes no sense is `Unreadable`, which says why and
never quotes. What the values mean is the matter of `wire`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

_BARE_ID = re.compile(r'("(?:id|int_id)"\s{0,20}:\s{0,20})([0-9A-Za-z._-]{1,40})(?=\s{0,20}[,}])')
_PLAIN_ERROR = re.compile(
    r"\s{0,20}ERROR\s{0,20}=\s{0,20}([0-9]{1,9})"
    r"(?:\s{0,20}\(([^)]{0,300})\))?(?:, ID - ([0-9A-Za-z._-]{1,40}))?"
)
_PLAIN_OK = re.compile(r"\s{0,20}OK - ([0-9]{1,9}) SMS, ID - ([0-9A-Za-z._-]{1,40})")
_WHOLE = re.compile(r"([+-]?[0-9]{1,15})(?:\.0{1,9})?")
_MONEY = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")
_read = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).decode  # made once


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The request was answered with an error. `code` is "" where the answer has none."""

    code: str
    text: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """The answer makes no sense; `why` never quotes it."""

    why: str


def one(http_status: int, body: bytes, bare: str = "") -> dict[str, object] | Refused | Unreadable:
    """The one JSON object of an answer; a bare number becomes one with the key `bare`."""
    value = _value(http_status, body)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if bare and isinstance(value, str):
        value = {bare: value}
    if isinstance(value, (Refused, Unreadable)):
        return value
    if not isinstance(value, dict):
        return Unreadable(why="JSON, but not an object")
    return _refused(value) or value


def many(http_status: int, body: bytes) -> list[object] | Refused | Unreadable:
    """The lines of an answer about several messages, or the one of a single answer."""
    value = _value(http_status, body)
    if isinstance(value, dict):
        return _refused(value) or [value]
    if isinstance(value, (list, Refused, Unreadable)):
        return value
    return Unreadable(why="JSON, but neither an object nor a list")


def _value(http_status: int, body: bytes) -> object:
    """What the body holds as JSON, a `Refused` for the plain form of an error, or `Unreadable`."""
    if http_status >= 500 or 300 <= http_status < 400:
        return Unreadable(why=f"HTTP status {http_status}")
    answer = decoded(body)
    for mended in (False, True):  # a textual id may stand without quotes
        try:
            return _read(_BARE_ID.sub(r'\1"\2"', answer) if mended else answer)
        except (ValueError, RecursionError):
            continue
    return _plain(answer) or Unreadable(why=_unlike(http_status, answer))


def decoded(body: bytes) -> str:
    """The text of octets of the provider, whatever their header says.

    utf-8 was asked for and proves itself. Else it is windows-1251 or koi8-r, which have the
    small letters where the other has the capitals: most letters of a sentence are small.
    """
    try:
        return body.decode(json.detect_encoding(body)).lstrip("\ufeff")
    except UnicodeError:
        upper = sum(octet >= 0xE0 for octet in body)
        lower = sum(0xC0 <= octet < 0xE0 for octet in body)
        return body.decode("koi8-r" if lower > upper else "cp1251", errors="replace")


def _plain(answer: str) -> object:
    """The vendor's answer in its default format, where `fmt` was not minded."""
    if found := _PLAIN_ERROR.match(answer):
        return Refused(code=found[1], text=found[2] or "", id=found[3] or "")
    if found := _PLAIN_OK.match(answer):
        return {"id": found[2], "cnt": found[1]}
    return None


def _unlike(http_status: int, answer: str) -> str:
    """What an answer looks like that is not JSON, without a word of it."""
    start = answer[:200].lstrip().lower()
    if not start:
        kind = "an empty answer"
    elif start.startswith("<"):
        kind = "a web page or XML"
    elif start.startswith(("{", "[")):
        kind = "broken JSON"
    else:
        kind = "not JSON"
    return kind if http_status < 300 else f"{kind}, HTTP status {http_status}"


def _refused(value: Mapping[str, object]) -> Refused | None:
    """The error of an answer, where it is one."""
    code, said = text(value.get("error_code")), text(value.get("error"))
    if code in ("", "0") and said in ("", "0"):
        return None
    known = number(code.lstrip("-"))
    return Refused(code=code if known is None else str(known), text=said, id=text(value.get("id")))


def text(value: object) -> str:
    """A scalar as text that can be stored: no lone surrogates, no NUL, no space around it; else ""."""
    return verbatim(value).strip()


def verbatim(value: object) -> str:
    """The same with the space around it, which counts between the parts of a message."""
    if not isinstance(value, str):  # numbers were left as they are written
        return ""
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    return value.replace("\0", "")


def number(value: object) -> int | None:
    """A whole number of a size that a database holds, from a number or its writing."""
    found = _WHOLE.fullmatch(text(value))
    return int(found[1]) if found else None


def amount(value: object) -> str:
    """A sum of money as the provider wrote it, a comma read as a point; else ""."""
    written = text(value).replace(",", ".")
    return written if _MONEY.fullmatch(written) else ""
