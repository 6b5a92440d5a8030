"""A recogniser: which monitor's mails it knows, and the one line that it makes of each.

It is declared in a YAML document, read as strictly as the configuration: every fault is
found at once and told with its line, its key and what to write instead. `docs/recognisers.md`
tells operators the form. What a recogniser says of a mail is decided in `condense`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from relay.config.document import ConfigError, Document, Location
from relay.config.document import parse as read_document
from relay.message import patterns
from relay.model import Alarm

LARGEST = 64 * 1024  # characters of a document
_LONGEST = 1000  # characters of a pattern, or of a line
OWN = frozenset({"subject", "from", "to"})
"""Fields that every mail has without a pattern."""
MORE = "more"
"""The field that says how many alerts of a mail the line leaves out."""

_KEYS = ("about", "when", "each", "read", "recovery", "problem", "line")
_EACH = ("begin", "skip", "after", "until")
_HEADER = re.compile(r"header\.[A-Za-z0-9!#$%&'*+^_`|~.-]{1,80}")
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]")
_FIELD = re.compile(r"\{(\w{1,40})\}")
_ALARMS = {"problem": Alarm.PROBLEM, "recovery": Alarm.RECOVERY, "none": Alarm.NONE}

_PLACES = "write subject, from, to, body or a header, as in header.X-Mailer"
_A_TEXT = "is to be text; put it in single quotes"


class RecogniserFault(ValueError):  # noqa: N818
    """A recogniser that cannot be used; a line for each thing wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A regular expression and the lines of a mail among which it is searched."""

    place: str  # subject, from, to, body or header.name, the header's name in small letters
    regex: re.Pattern[str]
    after: re.Pattern[str] | None = None  # only below the first line where this is found
    until: re.Pattern[str] | None = None  # the lines below belong to it, up to one where this is found
    absent: bool = False  # a condition that holds where it is nowhere found
    needed: str = ""  # what stands in every line where it is found


@dataclass(frozen=True, slots=True, kw_only=True)
class Each:
    """Where in the body one of several alerts begins, and which of them are not worth a line."""

    begin: tuple[re.Pattern[str], ...]  # the first one that is found anywhere counts
    skip: re.Pattern[str] | None = None  # of an alert where this is found another one is told
    after: re.Pattern[str] | None = None  # they stand below this line,
    until: re.Pattern[str] | None = None  # and above this one


Conditions = tuple[tuple[Pattern, ...], ...]
"""Groups of patterns: all of one group must be found. None at all is never so."""

Line = tuple[tuple[bool, tuple[str, ...]], ...]
"""Pieces of a line: whether one may be left out; its words and names of fields by turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recogniser:
    """What one document declares; `problem` is None where all that is no recovery is one."""

    name: str
    about: str
    when: Conditions
    read: tuple[Pattern, ...]
    recovery: Conditions
    problem: Conditions | None
    lines: Mapping[Alarm, Line]
    each: Each | None = None
    gate: re.Pattern[str] | None = None  # found in the subject of every mail that it knows


def parse(name: str, source: str, *, file: str = "") -> Recogniser:
    """The recogniser that a document declares; raises RecogniserFault.

    `file` is what faults call the document, `NAME.yaml` where it is empty.
    """
    file = file or f"{name}.yaml"
    if len(source) > LARGEST:
        raise RecogniserFault(f"{file}:1:1: the file is larger than {LARGEST >> 10} KB")
    if all(not line.strip() or line.lstrip().startswith("#") for line in source.split("\n")):
        raise RecogniserFault(f"{file}:1:1: the file is empty; it needs when, read and line")
    try:
        page = read_document(source.encode("utf-8", "surrogatepass"), Path(file))
    except ConfigError as error:
        raise RecogniserFault(str(error)) from None
    found = _Form(page).recogniser(name)
    if page.faults():
        raise RecogniserFault("\n".join(page.faults()))
    return found


def _gate(when: Conditions) -> re.Pattern[str] | None:
    """One pattern of what each of the groups asks of the subject; None where one of them asks nothing.

    Only plain patterns are joined: flags and groups of one would mean something else in another.
    """
    asked = [
        next((each.regex.pattern for each in group if each.place == "subject" and _joins(each)), "")
        for group in when
    ]
    return re.compile("|".join(f"(?:{source})" for source in asked)) if asked and all(asked) else None


def _joins(pattern: Pattern) -> bool:
    bare = pattern.regex.flags == re.UNICODE and not pattern.regex.groups
    return bare and not pattern.absent


class _Form:
    """Reads a document key by key; what is wrong is noted in it and read as nothing."""

    def __init__(self, page: Document) -> None:
        self.page = page

    def recogniser(self, name: str) -> Recogniser:
        values = self.page.values
        for key in values:
            if key not in _KEYS:
                self.page.fault((key,), f"there is no such key; the keys are {', '.join(_KEYS)}")
        about = self.text(("about",), values.get("about", ""))
        when = self.conditions("when")
        read = self.read()
        if "when" not in values:
            self.page.fault(("when",), "is missing; say by what the mails are known, as in subject: '^ALARM'")
        each = self.each() if "each" in values else None
        fields = {field for pattern in read for field in pattern.regex.groupindex}
        return Recogniser(
            name=name,
            about=about,
            when=when,
            each=each,
            read=read,
            recovery=self.conditions("recovery"),
            problem=self.conditions("problem") if "problem" in values else None,
            lines=self.lines(fields | {MORE} if each else fields),
            gate=_gate(when),
        )

    def text(self, location: Location, value: object) -> str:
        if isinstance(value, str):
            return value
        self.page.fault(location, _A_TEXT)
        return ""

    # -- patterns -------------------------------------------------------------------------

    def conditions(self, key: str) -> Conditions:
        """A mapping of places to patterns, or a list of such mappings."""
        value = self.page.values.get(key, [])
        if isinstance(value, dict):
            return (self.group((key,), value),)
        if not isinstance(value, list) or (not value and key in self.page.values):
            self.page.fault(
                (key,), "is to be places with patterns, as in subject: '^ALARM', or a list of such"
            )
            return ()
        return tuple(self.group((key, at), each) for at, each in enumerate(value))

    def group(self, location: Location, value: object) -> tuple[Pattern, ...]:
        if not isinstance(value, dict) or not value:
            self.page.fault(location, "is to be places with patterns, as in subject: '^ALARM'")
            return ()
        found: list[Pattern] = []
        for place, sources in value.items():
            here = (*location, place)
            if not isinstance(sources, list):
                found += self.pattern(here, place, sources)
            elif not sources:
                self.page.fault(here, "holds no pattern; write one or remove it")
            for at, source in enumerate(sources if isinstance(sources, list) else []):
                found += self.pattern((*here, at), place, source)
        return tuple(sorted(found, key=lambda pattern: pattern.place == "body"))  # its many lines last

    def each(self) -> Each | None:
        value = self.page.values["each"]
        if not isinstance(value, dict) or "begin" not in value or value.keys() - {*_EACH}:
            self.page.fault(
                ("each",), "is to be begin with a pattern, as in begin: '^Alert: '; skip, after, until"
            )
            return None
        sources = value["begin"] if isinstance(value["begin"], list) else [value["begin"]]
        begin = [self.regex(("each", "begin"), source) for source in sources]
        if not begin:
            self.page.fault(("each", "begin"), "holds no pattern; write one")
        skip, after, until = (
            self.regex(("each", key), value[key]) if key in value else None for key in _EACH[1:]
        )
        return Each(begin=tuple(filter(None, begin)), skip=skip, after=after, until=until)

    def read(self) -> tuple[Pattern, ...]:
        value = self.page.values.get("read", [])
        if not isinstance(value, list):
            self.page.fault(
                ("read",), "is to be a list of patterns, as in - subject: '(?P<host>\\S+) is down'"
            )
            return ()
        found: list[Pattern] = []
        for at, each in enumerate(value):
            found += self.reader(("read", at), each)
        return tuple(found)

    def reader(self, location: Location, value: object) -> list[Pattern]:
        if not isinstance(value, dict) or len(value.keys() - {"after", "until"}) != 1:
            self.page.fault(
                location,
                "is to be one place with its pattern, as in body: '^Host: (?P<host>.+)', after, until",
            )
            return []
        [place] = value.keys() - {"after", "until"}
        here = (*location, place)
        after = self.regex((*location, "after"), value["after"]) if "after" in value else None
        until = self.regex((*location, "until"), value["until"]) if "until" in value else None
        patterns = [
            replace(each, after=after, until=until) for each in self.pattern(here, place, value[place])
        ]
        for pattern in patterns:
            fields = pattern.regex.groupindex.keys()
            if not fields:
                self.page.fault(here, "yields no field; name one in it, as in (?P<host>\\S+)")
            elif own := fields & (OWN | {MORE}):
                self.page.fault(here, f"{', '.join(sorted(own))} is the mail's own; name it otherwise")
        return patterns

    def pattern(self, location: Location, place: str, source: object) -> list[Pattern]:
        absent = location[0] != "read" and place.startswith("not.")
        place = place.removeprefix("not.") if absent else place
        if place not in OWN | {"body"} and not _HEADER.fullmatch(place):
            self.page.fault(location, f"is no place; {_PLACES}")
            return []
        regex = self.regex(location, source)
        if regex is None:
            return []
        needed = "" if absent else patterns.needed(regex)
        return [Pattern(place=place.lower(), regex=regex, absent=absent, needed=needed)]

    def regex(self, location: Location, value: object) -> re.Pattern[str] | None:
        source = self.text(location, value)
        if not source:
            self.page.fault(
                location, "is an empty pattern, which is found everywhere; write one or remove it"
            )
        elif len(source) > _LONGEST:
            self.page.fault(location, f"is longer than {_LONGEST} characters; look for less of the line")
        elif endless := patterns.fault(source):
            self.page.fault(location, endless)
        else:
            try:
                with warnings.catch_warnings(action="error"):  # [[a] may mean something else one day
                    return re.compile(source)
            except (re.error, OverflowError, RecursionError, Warning) as error:
                self.page.fault(location, f"is no regular expression: {error}")
        return None

    # -- the line -------------------------------------------------------------------------

    def lines(self, fields: set[str]) -> Mapping[Alarm, Line]:
        value = self.page.values.get("line")
        if value is None:
            self.page.fault(("line",), "is missing; write what the phone is to show, as in '{host}: {what}'")
            return {}
        if not isinstance(value, dict):
            line = self.line(("line",), value, fields)
            return dict.fromkeys(Alarm, line)
        found: dict[Alarm, Line] = {}
        for key, each in value.items():
            if key in _ALARMS:
                found[_ALARMS[key]] = self.line(("line", key), each, fields)
            else:
                self.page.fault(("line", key), f"there is no such line; the lines are {', '.join(_ALARMS)}")
        if not value:
            self.page.fault(("line",), f"holds no line; the lines are {', '.join(_ALARMS)}")
        return found

    def line(self, location: Location, value: object, fields: set[str]) -> Line:
        source = self.text(location, value)
        pieces = [(at % 2 == 1, tuple(_FIELD.split(each))) for at, each in enumerate(_OPTIONAL.split(source))]
        words = [word for _, piece in pieces for word in piece[::2]]
        names = [name for _, piece in pieces for name in piece[1::2]]
        unknown = [name for name in names if name not in fields | OWN]
        if any(sign in word for word in words for sign in ("{", "}", "[[", "]]")):
            self.page.fault(
                location, "{name} is a field and [[…]] may be left out; no other { } [[ ]] may stand"
            )
        elif unknown:
            self.page.fault(
                location, f"no pattern under read yields {unknown[0]}; name it there, (?P<{unknown[0]}>…)"
            )
        elif not names:
            self.page.fault(location, "names no field; write what differs from mail to mail, as in {subject}")
        elif len(source) > _LONGEST:
            self.page.fault(location, f"is longer than {_LONGEST} characters; a phone shows 300")
        return tuple(pieces)
