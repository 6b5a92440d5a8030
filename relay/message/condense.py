"""A monitor's mail as the one line worth waking for.

A recogniser is found by its `when`, reads fields out of the mail and fills its line; the
first one that can do all this is taken. Only the beginning of a mail is looked at: 20,000
characters, 400 lines, 500 characters of a line, so that the time is bounded whatever the
mail is. Patterns are searched line by line (`re.search`), each line without spaces at its ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from relay import model
from relay.message import text
from relay.message.alarms import alarm_of
from relay.message.recogniser import MORE, Conditions, Each, Line, Pattern, Recogniser, RecogniserFault, parse
from relay.model import Alarm

__all__ = ["Condensed", "Recogniser", "RecogniserFault", "alarm_of", "parse", "recognise", "table"]

MOST_CHARS = 20_000
MOST_LINES = 400
LONGEST_LINE = 500
MOST_JOINED = 10
"""Lines that a wrapped text is put together of."""
LONGEST = 300
"""Characters of a condensed line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condensed:
    """A mail in one line, whether it tells of a problem, and the recogniser that said so."""

    line: str
    alarm: Alarm
    by: str


def recognise(letter: model.Letter, body: str, recognisers: Sequence[Recogniser]) -> Condensed | None:
    """The mail in one line, by the first recogniser that knows it; None where none does.

    `body` is its readable text, before anything is trimmed.
    """
    mail = _Mail(letter, body)
    subject = "".join(mail.lines("subject"))
    for each in recognisers:
        if (each.gate is None or each.gate.search(subject)) and (found := _condensed(mail, each)):
            return found
    return None


class _Mail:
    """The lines of a mail that are looked at, by their place."""

    def __init__(self, letter: model.Letter, body: str) -> None:
        self._letter = letter
        self._body = body
        self._begins = body[:MOST_CHARS]
        self._lines: dict[str, list[str]] = {}

    def lines(self, place: str) -> list[str]:
        found = self._lines.get(place)
        if found is None:
            values = _lines(self._body) if place == "body" else self._values(place)
            found = self._lines[place] = [line for line in _all_plain(values) if line]
        return found

    def lacks(self, group: Sequence[Pattern]) -> bool:
        """Whether the body has not even the letters that a pattern of the group needs.

        Only of a plain one that is known before its lines are: in any other, letters may be left out.
        """
        missing = any(each.place == "body" and each.needed not in self._begins for each in group)
        return missing and self._is_plain

    @cached_property
    def _is_plain(self) -> bool:
        return text.is_plain(self._begins)

    def only(self, body: list[str]) -> _Mail:
        """The mail with these lines of its body alone."""
        mail = _Mail(self._letter, self._body)
        mail._lines = {**self._lines, "body": body}
        return mail

    def whole(self) -> bool:
        """Whether all of the body is looked at."""
        return len(self._body) <= MOST_CHARS and self._body.count("\n") < MOST_LINES

    def _values(self, place: str) -> list[str]:
        letter = self._letter
        if place == "subject":
            return [letter.subject]
        if place == "from":
            return [letter.from_, letter.header("From")]
        if place == "to":
            return [letter.to]
        return self._headers.get(place.removeprefix("header."), [])[:MOST_LINES]

    @cached_property
    def _headers(self) -> dict[str, list[str]]:
        """The values of each header, by its name in small letters."""
        found: dict[str, list[str]] = {}
        for key, value in self._letter.headers:
            found.setdefault(key.lower(), []).append(value)
        return found


def _lines(body: str) -> list[str]:
    return text.printable(body[:MOST_CHARS]).split("\n", MOST_LINES)[:MOST_LINES]


def _all_plain(lines: Sequence[str]) -> list[str]:
    if text.is_plain("".join(lines)):
        return [" ".join(line[:LONGEST_LINE].split()) for line in lines]
    return [_plain(line) for line in lines]


def _plain(line: str) -> str:
    """One printable line without places of files: those belong to the whole text alone."""
    if text.is_plain(line):
        return " ".join(line[:LONGEST_LINE].split())
    return text.one_line(re.sub(model.MARK, " ", text.printable(line[:LONGEST_LINE])), LONGEST_LINE)


def _condensed(mail: _Mail, recogniser: Recogniser) -> Condensed | None:
    if not _hold(recogniser.when, mail):
        return None
    alarm = _alarm(mail, recogniser)
    line = recogniser.lines.get(alarm)
    told, more = _one(mail, recogniser.each) if recogniser.each else (mail, "")
    said = _filled(line, {**_fields(told, recogniser.read), MORE: more}) if line else ""
    if not any(letter.isalnum() for letter in said):
        return None
    return Condensed(line=said, alarm=alarm, by=recogniser.name)


def _alarm(mail: _Mail, recogniser: Recogniser) -> Alarm:
    if _hold(recogniser.recovery, mail):
        return Alarm.RECOVERY
    if recogniser.problem is None or _hold(recogniser.problem, mail):
        return Alarm.PROBLEM
    return Alarm.NONE


def _hold(conditions: Conditions, mail: _Mail) -> bool:
    for group in conditions:
        if mail.lacks(group):
            continue
        for each in group:
            if not _holds(each, mail):
                break
        else:
            return True
    return False


def _holds(pattern: Pattern, mail: _Mail) -> bool:
    search = pattern.regex.search
    for line in mail.lines(pattern.place):  # a condition has no `after` and no `until`
        if search(line):
            return not pattern.absent
    return pattern.absent


def _found(pattern: Pattern, mail: _Mail) -> Iterator[re.Match[str]]:
    """Where the pattern is found, at most once in a line."""
    lines = mail.lines(pattern.place)
    start = 0
    if pattern.after:
        below = (at + 1 for at, line in enumerate(lines) if pattern.after.search(line))
        start = next(below, len(lines))
    for at in range(start, len(lines)):
        match = pattern.regex.search(_joined(lines, at, pattern.until))
        if match:
            yield match


def _joined(lines: Sequence[str], at: int, until: re.Pattern[str] | None) -> str:
    """The line, with those below that belong to it."""
    end = at + 1
    while until and end < min(len(lines), at + MOST_JOINED) and not until.search(lines[end]):
        end += 1
    return " ".join(lines[at:end])[:LONGEST_LINE]


def _one(mail: _Mail, each: Each) -> tuple[_Mail, str]:
    """The mail with the first alert that is worth it alone, and how many others there are.

    Fields of different alerts would say together what is true of none.
    """
    lines = mail.lines("body")
    found = _alerts(_section(lines, each), each) or _alerts(lines, each)
    worth = [alert for alert in found if not (each.skip and any(map(each.skip.search, alert)))] or found
    if not worth:
        return mail, ""
    others = len(worth) - 1
    more = f"+{others}" if mail.whole() else f"at least {others}"
    return mail.only(worth[0]), more if others else ""


def _section(lines: list[str], each: Each) -> list[str]:
    """The lines among which the alerts stand; those above `until` where `after` is not found."""
    below = (at + 1 for at, line in enumerate(lines) if each.after and each.after.search(line))
    start = next(below, 0)
    above = (at for at in range(start, len(lines)) if each.until and each.until.search(lines[at]))
    return lines[start : next(above, len(lines))]


def _alerts(lines: list[str], each: Each) -> list[list[str]]:
    """The lines of each alert, from one beginning to the next."""
    for pattern in each.begin:
        starts = [at for at, line in enumerate(lines) if pattern.search(line)]
        if starts:
            ends = [*starts[1:], len(lines)]
            return [lines[start:end] for start, end in zip(starts, ends, strict=True)]
    return []


def _fields(mail: _Mail, patterns: Sequence[Pattern]) -> dict[str, str]:
    """Each field as the first pattern that has a value for it yields it."""
    fields = {name: "".join(mail.lines(name)[:1]) for name in ("subject", "from", "to")}
    for pattern in patterns:
        wanted = {name for name in pattern.regex.groupindex if not fields.get(name)}
        match = next(_found(pattern, mail), None) if wanted else None
        if match:
            fields |= {name: (match[name] or "").strip() for name in wanted}
    return fields


def _filled(line: Line, fields: Mapping[str, str]) -> str:
    """The line; "" where a field is absent that may not be left out."""
    said = ""
    for optional, words in line:
        values = [fields.get(name, "") for name in words[1::2]]
        if all(values):
            said += "".join(words[at] if at % 2 == 0 else fields[words[at]] for at in range(len(words)))
        elif not optional:
            return ""
    return text.one_line(said, LONGEST)


# -- the table for people ----------------------------------------------------------------------


def table(recognisers: Sequence[Recogniser]) -> str:
    """The recognisers as a Markdown table."""
    rows = [f"| `{each.name}` | {each.about} | {_shown(each)} |" for each in recognisers]
    return "\n".join(["| Name | Mails | Line |", "|---|---|---|", *rows])


def _shown(recogniser: Recogniser) -> str:
    """The line of a problem, as it stands in its file."""
    line = recogniser.lines.get(Alarm.PROBLEM) or next(iter(recogniser.lines.values()))
    said = ""
    for optional, words in line:
        piece = "".join(word if at % 2 == 0 else f"{{{word}}}" for at, word in enumerate(words))
        said += f"[[{piece}]]" if optional else piece
    return f"`{said}`"
