"""A YAML file as plain values, and the line and column of each of them.

The reader is stricter than YAML: one document, no tags, no merges, no key twice, no key without
a value. Only ``true`` and ``false`` are booleans and only plain decimal numbers are numbers, so
that ``+79991234567``, ``0123``, ``no`` and ``22-7`` stay the text they are. Events are read one
by one (never a recursive composer) and what aliases would unfold to is known before they are
unfolded, so that a hostile file costs no more than its size.

What stands in the file is never repeated in a fault: it may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

Location = tuple[str | int, ...]
"""Where a value stands: keys and, in lists, numbers from 0."""

LARGEST_FILE = 16 << 20
MOST_VALUES = 2_000_000  # after aliases are unfolded
DEEPEST = 32

NOT_FETCHED = "-"
"""What stands in the place of a secret that was not asked for."""
SECRETS = frozenset({"login", "psw", "apikey", "password", "callback_secret"})

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_KEY = re.compile(r"[\w.@+-]+")

_NO_KEY = "this is no key: a colon and a space are missing, or text is to stand in quotes"
_MERGE = "merging with << is not read here; write the keys out"
_TAB = "a tab stands here; indent with spaces"
_PROBLEMS = (  # libyaml's words, which are about YAML, and ours, which are about what to do
    ("cannot start any token", "no value can begin like this; indent with spaces and put text in quotes"),
    ("mapping values are not allowed", "a colon is not expected here; indent alike, put text in quotes"),
    (
        "expected node content",
        "a value is missing here, a bracket above is left open, or text such as ::1 needs quotes",
    ),
    ("expected alphabetic or numeric", "text that begins with * or & must stand in quotes"),
    ("expected key", "the indentation does not fit the lines above, or a quote or bracket is left open"),
    ("expected ',' or", "a comma or a closing bracket is missing before this"),
    ("expected ':'", "a colon and a space are missing after this key"),
    ("expected '-' indicator", "a list item begins with a hyphen; indent the items alike"),
    ("block sequence entries", "a list item cannot begin here; put it on a line of its own"),
    ("escape", "this backslash means nothing in double quotes; use single quotes"),
    ("unexpected end of stream", "the file ends inside a quoted text; close the quote"),
)


class ConfigError(Exception):
    """A configuration that cannot be used; `faults` has a line for each thing wrong with it."""

    def __init__(self, *faults: str, loaded: object = None) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        self.loaded = loaded  # what of it the rooms can judge all the same


class Unreadable(Exception):  # noqa: N818  # caught in `read`, never seen outside
    """The file cannot be read past this place."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line, self.column, self.text = line, column, text


def dotted(location: Location) -> str:
    """The place as people write it: ``routes[2].channel``; nothing below a secret is shown."""
    shown = ""
    for part in location:
        if isinstance(part, int):
            shown += f"[{part}]"
        elif not part:
            break
        else:
            shown += f".{part}" if shown else part
            if part in SECRETS:
                break
    return shown


@dataclass(slots=True)
class Document:
    """The file's values, where each stands, and what has been found wrong with it so far."""

    path: Path
    values: dict[str, object] = field(default_factory=dict)
    places: dict[Location, tuple[int, int]] = field(default_factory=dict)
    faulty: set[Location] = field(default_factory=set)
    _faults: dict[str, tuple[int, int]] = field(default_factory=dict)
    _warnings: dict[str, tuple[int, int]] = field(default_factory=dict)

    def place(self, location: Location) -> tuple[int, int]:
        """Line and column of the value, or of the nearest one around it."""
        while location and location not in self.places:
            location = location[:-1]
        return self.places.get(location, (1, 1))

    def value(self, location: Location) -> object:
        """The value at this place, None where there is none."""
        found: object = self.values
        for part in location:
            if isinstance(found, dict):
                found = found.get(part)
            elif isinstance(found, list) and isinstance(part, int):
                found = found[part]
            else:
                return None
        return found

    def sentence(self, location: Location, text: str, place: tuple[int, int] | None = None) -> str:
        """``file:line:column: key: text``."""
        line, column = place or self.place(location)
        key = dotted(location)
        return (
            f"{self.path}:{line}:{column}: {key}: {text}" if key else f"{self.path}:{line}:{column}: {text}"
        )

    def fault(self, location: Location, text: str, place: tuple[int, int] | None = None) -> None:
        """Note a fault; only the first one of a value counts, the rest follows from it."""
        if location and location in self.faulty:
            return
        self.faulty.add(location)
        self._faults.setdefault(self.sentence(location, text, place), place or self.place(location))

    def warn(self, location: Location, text: str) -> None:
        """Note what may stand, and may not do what its writer thinks."""
        self._warnings.setdefault(self.sentence(location, text), self.place(location))

    def faults(self) -> tuple[str, ...]:
        """All faults, in the order of the file."""
        return tuple(sorted(self._faults, key=lambda sentence: self._faults[sentence]))

    def warnings(self) -> tuple[str, ...]:
        """All warnings, in the order of the file."""
        return tuple(sorted(self._warnings, key=lambda sentence: self._warnings[sentence]))


@dataclass(slots=True)
class _Node:
    line: int
    column: int
    text: str = ""
    plain: bool = False
    kind: Literal["scalar", "list", "mapping"] = "scalar"
    items: list[_Node] = field(default_factory=list)  # of a mapping: key, value, key, value
    size: int = 1
    complete: bool = True


class _Tree:
    """Makes nodes of events; the stack is ours, so that depth costs nothing."""

    def __init__(self) -> None:
        self.root: _Node | None = None
        self.open: list[_Node] = []
        self.named: dict[str, _Node] = {}

    def take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise Unreadable(line, column, "a second document begins here; keep one to a file")
        if isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor or "", line, column)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            self._begin(event, line, column)

    def _begin(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, line: int, column: int) -> None:
        if event.tag is not None:
            raise Unreadable(line, column, "tags are not read here; put text that begins with ! in quotes")
        node = _Node(line, column)
        if event.anchor is not None:
            self.named[event.anchor] = node
        self._put(node)
        if isinstance(event, yaml.ScalarEvent):
            node.text, node.plain = event.value, event.implicit[0]
            return
        if len(self.open) == DEEPEST:
            raise Unreadable(line, column, "lists and mappings are nested too deep here")
        node.kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "list"
        node.complete = False
        self.open.append(node)

    def _alias(self, anchor: str, line: int, column: int) -> None:
        node = self.named.get(anchor)
        if node is None:
            raise Unreadable(line, column, "this refers to nothing; put text that begins with * in quotes")
        if not node.complete:
            raise Unreadable(line, column, "this refers to what it is part of")
        self._put(node)

    def _put(self, node: _Node) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        parent.items.append(node)
        parent.size += node.size

    def _close(self) -> None:
        node = self.open.pop()
        node.complete = True
        if self.open:
            self.open[-1].size += node.size - 1
        if node.size > MOST_VALUES:
            raise Unreadable(node.line, node.column, "this unfolds to too many values")


def _unfold(node: _Node, location: Location, document: Document) -> object:
    document.places.setdefault(location, (node.line, node.column))
    if node.kind == "scalar":
        return _scalar(node, location, document)
    if node.kind == "list":
        return [_unfold(item, (*location, at), document) for at, item in enumerate(node.items)]
    return _mapping(node, location, document)


def _mapping(node: _Node, location: Location, document: Document) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in zip(node.items[::2], node.items[1::2], strict=True):
        here, place = (*location, key.text), (key.line, key.column)
        if key.kind != "scalar" or not _KEY.fullmatch(key.text):
            wrong = _MERGE if key.text == "<<" else _NO_KEY
            document.fault((), wrong, place)
            document.faulty.add(location)  # what it seems to lack may stand in this key
        elif key.text in values:
            first = document.places[here][0]
            # Its own place, so that what is wrong with the first one is still said.
            document.fault((*here, ""), f"stands twice, first on line {first}; keep one", place)
        else:
            document.places[here] = place
            values[key.text] = _unfold(value, here, document)
    return values


def _scalar(node: _Node, location: Location, document: Document) -> object:
    if not node.plain:
        return node.text
    if node.text in {"", "~", "null", "Null", "NULL"}:
        document.fault(location, 'has no value; write one ("", [] or {} for none) or remove it')
        return None
    if node.text.lower() in {"true", "false"}:
        return node.text.lower() == "true"
    return int(node.text) if _INTEGER.fullmatch(node.text) else node.text


def _text(octets: bytes) -> str:
    try:
        text = octets.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = octets[: error.start].decode("utf-8")
        raise Unreadable(*_end(before), "this is not UTF-8; save the file in that encoding") from None
    found = _UNPRINTABLE.search(text)
    if found:
        raise Unreadable(*_end(text[: found.start()]), "a character that cannot be printed stands here")
    return text


def _end(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _tree(text: str) -> _Node:
    tree = _Tree()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            tree.take(event)
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark, str(error.problem)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        words = next((ours for theirs, ours in _PROBLEMS if theirs in problem), problem)
        if any(each.startswith("\t", column - 1) for each in text.split("\n")[line - 1 : line]):
            words = _TAB
        raise Unreadable(line, column, words) from None
    if tree.root is None:
        raise Unreadable(1, 1, "the file is empty; begin with a copy of config.example.yaml")
    if tree.root.kind != "mapping":
        raise Unreadable(
            tree.root.line, tree.root.column, "the file is to hold keys and values, `key: value`"
        )
    return tree.root


def parse(octets: bytes, path: Path) -> Document:
    """The values of a file with these octets; raises ConfigError where it is no YAML at all."""
    document = Document(path)
    try:
        document.values = _mapping(_tree(_text(octets)), (), document)
    except Unreadable as fault:
        document.fault((), fault.text, (fault.line, fault.column))
        raise ConfigError(*document.faults()) from None
    return document


def read(path: Path) -> Document:
    """The values of this file; raises ConfigError where it cannot be read."""
    try:
        with path.open("rb") as file:
            octets = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{path}:1:1: the file cannot be read: {error.strerror}") from None
    if len(octets) > LARGEST_FILE:
        raise ConfigError(f"{path}:1:1: the file is larger than {LARGEST_FILE >> 20} MB")
    return parse(octets, path)
