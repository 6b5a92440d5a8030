"""The parts of a mail as spans of its octets (RFC 2046), however it is nested or broken.

The standard library's parser makes an object of each line, many times the mail's size in
memory, checks each line against every open boundary, and gives up with RecursionError on a
mail of some tens of kilobytes that is all nesting. Here a part is where it begins and where it
ends: each boundary is searched once inside its own container, by `bytes.find`. Nothing raises,
and depth and number of parts are bounded; what is left out is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from relay.message import headers, transfer

DEPTH = 30
COUNT = 500
_UNDONE = 2  # transfer encodings of multiparts inside each other that are undone; each is a copy of its part

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")
_SHORT_TYPES = {"text": "text/plain", "html": "text/html", "plain": "text/plain"}
_LOST_BOUNDARY = re.compile(
    rb"^--([^\s-][^\r\n]{0,199}?)[ \t]*\r?\nContent-[A-Za-z-]{1,40}:", re.MULTILINE | re.IGNORECASE
)
_FIRST_BOUNDARY = re.compile(rb"^--([^\s-][^\r\n]{0,199}?)[ \t]*\r?\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: its fields and what they say, and the octets that they are about."""

    fields: tuple[headers.Field, ...]
    type: str
    params: Mapping[str, bytes]
    disposition: str
    disposition_params: Mapping[str, bytes]
    encoding: str
    body: memoryview  # still in its transfer encoding
    children: tuple[Part, ...] = ()
    named: bool = True  # it says its type itself

    @property
    def group(self) -> str:
        """The type's first half: "text" of "text/plain"."""
        return self.type.partition("/")[0]


@dataclass(slots=True)
class Budget:
    """What is left of the limits while a mail is taken apart, and what was found amiss."""

    count: int = COUNT
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Say this once."""
        if sentence not in self.notes and len(self.notes) < 20:
            self.notes.append(sentence)


def parse(raw: bytes, budget: Budget, *, depth: int = 0, ends: tuple[int, int] | None = None) -> Part:
    """The mail's own part, with all parts below it; `ends` are those of its header, where they are known."""
    return _part(raw, 0, len(raw), "text/plain", budget, depth, 0, ends)


def _part(
    raw: bytes,
    start: int,
    end: int,
    default: str,
    budget: Budget,
    depth: int,
    undone: int,
    ends: tuple[int, int] | None = None,
) -> Part:
    head_end, body = ends or headers.block_end(raw, start, end)
    fields = headers.fields(raw[start:head_end])
    kind, params = headers.parameters(headers.first(fields, "content-type"))
    placed, placed_params = headers.parameters(headers.first(fields, "content-disposition"))
    encoding = transfer.label(headers.first(fields, "content-transfer-encoding").decode("latin-1"))
    kind = _SHORT_TYPES.get(kind, kind)
    named = _TYPE.fullmatch(kind) is not None
    kind = kind if named else default
    children: tuple[Part, ...] = ()
    view = memoryview(raw)[body:end]
    if kind.startswith("multipart/"):
        children = _children(raw, body, end, kind, params, encoding, budget, depth, undone)
        if not children and depth < DEPTH and budget.count > 0 and bytes(view[:1000]).strip():
            budget.note("a multipart mail without boundaries was read as one text")
            kind = "text/plain"
    return Part(
        fields=fields, type=kind, params=params, disposition=placed, disposition_params=placed_params,
        encoding=encoding, body=view, children=children, named=named,
    )  # fmt: skip


def _children(
    raw: bytes,
    start: int,
    end: int,
    kind: str,
    params: Mapping[str, bytes],
    encoding: str,
    budget: Budget,
    depth: int,
    undone: int,
) -> tuple[Part, ...]:
    if depth >= DEPTH:
        budget.note(f"parts nested deeper than {DEPTH} were left out")
        return ()
    boundary = _boundary(params)
    spans = _spans(raw, start, end, boundary, budget)
    if not spans and undone < _UNDONE and encoding in ("base64", "quoted-printable"):
        undone += 1  # forbidden, but some do it
        raw, _ = transfer.decode(memoryview(raw)[start:end], encoding)
        start, end = 0, len(raw)
        spans = _spans(raw, start, end, boundary, budget)
    if not spans and (lost := _lost(raw, start, min(end, start + 64 * 1024))):
        budget.note("the boundary between the parts was missing and has been guessed")
        spans = _spans(raw, start, end, lost, budget)
    default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
    found = [
        (_part(raw, begin, stop, default, budget, depth + 1, undone), last) for begin, stop, last in spans
    ]
    return tuple(_sorted_out(found, boundary))


def _boundary(params: Mapping[str, bytes]) -> bytes:
    whole = params.get("boundary") or headers.parameter(params, "boundary").encode()
    return whole.rstrip()[:200]


def _lost(raw: bytes, start: int, end: int) -> bytes:
    """A boundary that no header names: a line before fields of a part, or one that ends as they do."""
    if found := _LOST_BOUNDARY.search(raw, start, end):
        return found[1]
    found = _FIRST_BOUNDARY.search(raw, start, end)
    return found[1] if found and raw.find(b"\n--" + found[1] + b"--", found.end() - 1, end) >= 0 else b""


def _sorted_out(found: list[tuple[Part, bool]], boundary: bytes) -> Iterator[Part]:
    """Parts in their order; one of parts with its own parent's boundary gets those before the next end."""
    each = iter(found)
    for part, is_last in each:
        inner: list[Part] = []
        last = is_last
        if part.type.startswith("multipart/") and not part.children and _boundary(part.params) == boundary:
            while not last and (following := next(each, None)):
                inner.append(following[0])
                last = following[1]
        yield replace(part, children=tuple(inner)) if inner else part


def _spans(raw: bytes, start: int, end: int, boundary: bytes, budget: Budget) -> list[tuple[int, int, bool]]:
    """Where the parts between lines of `--boundary` begin and end, and whether the end of all follows.

    The last one may lack its end.
    """
    found: list[tuple[int, int, bool]] = []
    if not boundary:
        return found
    mark, begin, at = b"--" + boundary, -1, start
    while (at := raw.find(mark, at, end)) >= 0:
        opens_line = at == start or raw[at - 1] == 0x0A
        line_end = raw.find(b"\n", at, end)
        line_end = end if line_end < 0 else line_end
        tail = raw[at + len(mark) : min(line_end, at + len(mark) + 80)].strip()
        if opens_line and tail in (b"", b"--"):
            if begin >= 0:
                found.append((begin, _before(raw, begin, at), bool(tail)))
            begin = -1 if tail else min(line_end + 1, end)
            if tail and raw.find(b"\n" + mark + b"--", line_end, end) < 0:
                return found  # the last end; one before it is that of a part with the same boundary
            if begin >= 0 and not _affordable(budget):
                return found
        at = line_end
    if begin >= 0:
        found.append((begin, end, True))
    return found


def _affordable(budget: Budget) -> bool:
    if budget.count <= 0:
        budget.note(f"parts beyond the first {COUNT} were left out")
        return False
    budget.count -= 1
    return True


def _before(raw: bytes, begin: int, at: int) -> int:
    """The end of a part: the line end before a boundary belongs to the boundary."""
    if at > begin and raw[at - 1] == 0x0A:
        at -= 2 if at - 1 > begin and raw[at - 2] == 0x0D else 1
    return max(begin, at)


# -- what a part says of itself --------------------------------------------------------------

_PLAIN = frozenset(("charset", "format", "delsp"))


def is_plain(root: Part) -> bool:
    """The whole mail is one plain text, as nearly every monitor's is: nothing else is to be looked for."""
    bare = root.disposition != "attachment" and not root.disposition_params
    return bare and root.type == "text/plain" and root.params.keys() <= _PLAIN


def leaves(part: Part) -> Iterator[Part]:
    """The parts that have none below them, in order."""
    if not part.children:
        yield part
    for child in part.children:
        yield from leaves(child)


def name(part: Part, hint: str = "") -> str:
    """The cleaned file name that the part bears, by either header."""
    named = headers.parameter(part.disposition_params, "filename", hint)
    return headers.file_name(named or headers.parameter(part.params, "name", hint))


def cid(part: Part) -> str:
    """The part's Content-ID without its brackets."""
    return headers.first(part.fields, "content-id").decode("latin-1").strip("<> \t")[:400]
