"""An invitation as one line of text (RFC 5545): what, when and where, and nothing more.

Only the first event or task is read, within the first lines of the file. Moments are shown as
they were written, in the zone that they name: the phone's own zone is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

_LARGEST = 256 * 1024  # characters that are looked at
_LINES = 5000
_SUMMARY, _PLACE, _ZONE = 200, 120, 60  # characters that are shown
_WORDS = {
    "REQUEST": "Invitation",
    "CANCEL": "Cancelled",
    "REPLY": "Reply",
    "COUNTER": "Other time proposed",
    "DECLINECOUNTER": "Other time declined",
    "ADD": "Invitation",
}
_REPLIES = {"ACCEPTED": "Accepted", "DECLINED": "Declined", "TENTATIVE": "Tentatively accepted"}
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(?:\d\d)?(Z?))?", re.ASCII)
_DURATION = re.compile(
    r"\+?P(?:(\d{1,5})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?", re.ASCII
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Event:
    """The line that a calendar comes to, and its name alone, which a text may say already."""

    line: str
    summary: str


@dataclass(frozen=True, slots=True)
class _Moment:
    when: date  # a datetime, or a bare date for whole days
    zone: str

    def show(self, since: _Moment | None = None) -> str:
        """The moment; after another one only what differs."""
        day = f"{self.when:%Y-%m-%d}" if self.when.year > 999 else self.when.isoformat()[:10]
        if not isinstance(self.when, datetime):
            return day
        time = f"{self.when:%H:%M}"
        if since is None:
            return f"{day} {time} {self.zone}".rstrip()
        if self.zone not in ("", since.zone):
            return f"{day} {time} {self.zone}"
        return time if self.when.date() == _day(since.when) else f"{day} {time}"


def read(text: str) -> Event | None:
    """The first event or task of a calendar, None where the text is none or says nothing."""
    method, found = _fields(text)
    summary = _value(found, "SUMMARY", _SUMMARY)
    start = _moment(found, "DTSTART") or _moment(found, "DUE")
    if not summary and start is None:
        return None
    said = [summary, _span(start, found), _value(found, "LOCATION", _PLACE)]
    what = _what(method, found)
    return Event(line=f"{what}: {', '.join(each for each in said if each)}", summary=summary)


def _what(method: str, found: dict[str, tuple[str, str]]) -> str:
    if found.get("STATUS", ("", ""))[1].strip().upper() == "CANCELLED":
        return "Cancelled"
    if method == "REPLY":
        answer = _parameter(found.get("ATTENDEE", ("", ""))[0], "PARTSTAT").upper()
        return _REPLIES.get(answer, "Reply")
    return _WORDS.get(method, "Task" if "TASK" in found else "Event")


def _fields(text: str) -> tuple[str, dict[str, tuple[str, str]]]:
    """The calendar's method, and of its first component each property's parameters and value."""
    method, inside, deeper = "", "", 0
    found: dict[str, tuple[str, str]] = {}
    for line in _unfolded(text[:_LARGEST]):
        name, parameters, value = _property(line)
        word = value.strip().upper()
        if not inside:
            if name == "METHOD":
                method = word
            elif name == "BEGIN" and word in ("VEVENT", "VTODO"):
                inside = word
                found |= {"TASK": ("", "")} if word == "VTODO" else {}
        elif name == "BEGIN":
            deeper += 1  # an alarm has a summary of its own
        elif name == "END":
            if not deeper:
                break
            deeper -= 1
        elif not deeper:
            found.setdefault(name, (parameters, value))
    return method, found


def _unfolded(text: str) -> Iterator[str]:
    """Logical lines (RFC 5545 section 3.1)."""
    pieces: list[str] = []
    for line in text.split("\n", _LINES)[:_LINES]:
        bare = line.rstrip("\r")
        if bare[:1] in (" ", "\t"):
            pieces.append(bare[1:])
            continue
        yield "".join(pieces)
        pieces = [bare]
    yield "".join(pieces)


def _property(line: str) -> tuple[str, str, str]:
    """Name, parameters and value; a colon in quotes is no end."""
    head, quote, _ = line.partition('"')
    if not quote or ":" in head:
        head, _, value = line.partition(":")
    else:
        at, quoted = 0, False
        for at, each in enumerate(line):  # noqa: B007 - the place is what is wanted
            quoted ^= each == '"'
            if each == ":" and not quoted:
                break
        head, value = line[:at], line[at + 1 :]
    name, _, parameters = head.partition(";")
    return name.strip().upper().rpartition(".")[2], parameters, value


def _parameter(parameters: str, name: str) -> str:
    for each in parameters.split(";"):
        key, _, value = each.partition("=")
        if key.strip().upper() == name:
            return value.strip().strip('"')
    return ""


def _value(found: dict[str, tuple[str, str]], name: str, limit: int) -> str:
    text = _ESCAPED.sub(lambda match: " " if match[1] in "nN" else match[1], found.get(name, ("", ""))[1])
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _moment(found: dict[str, tuple[str, str]], name: str) -> _Moment | None:
    parameters, value = found.get(name, ("", ""))
    match = _MOMENT.fullmatch(value.strip())
    if match is None:
        return None
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    try:
        if match[4] is None:
            return _Moment(date(year, month, day), "")
        when = datetime(year, month, day, int(match[4]), int(match[5]))  # noqa: DTZ001 - its zone is a name
    except ValueError:
        return None
    zone = "UTC" if match[6] else " ".join(_parameter(parameters, "TZID").split())
    return _Moment(when, "/".join(zone.split("/")[-2:])[:_ZONE] if zone.startswith("/") else zone[:_ZONE])


def _span(start: _Moment | None, found: dict[str, tuple[str, str]]) -> str:
    if start is None:
        return ""
    end = _moment(found, "DTEND") or _after(start, found.get("DURATION", ("", ""))[1])
    if end is None or isinstance(end.when, datetime) != isinstance(start.when, datetime):
        return start.show()
    if not isinstance(end.when, datetime):  # whole days end before the day that is named
        last = end.when - timedelta(days=1) if end.when > start.when else start.when
        return start.show() if last == start.when else f"{start.show()} – {_Moment(last, '').show()}"
    return start.show() if end == start else f"{start.show()} – {end.show(start)}"


def _after(start: _Moment, duration: str) -> _Moment | None:
    match = _DURATION.fullmatch(duration.strip().upper())
    if match is None:
        return None
    weeks, days, hours, minutes, seconds = (int(each or 0) for each in match.groups())
    try:
        length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
        return _Moment(start.when + length, start.zone)
    except OverflowError:
        return None


def _day(when: date) -> date:
    return when.date() if isinstance(when, datetime) else when
