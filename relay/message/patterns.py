"""Regular expressions that would never end: found by their form, before anything is searched with them.

A pattern goes back wherever it may have matched otherwise. Where what is repeated may itself match in
several ways, the ways multiply with each repetition: `(a+)+b` takes hours for a line of forty letters.
The judgement is on the safe side: some patterns that would end are refused too, with what to write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_MOST = 3  # repetitions of what may be the same, one after the other: the time is the line's length to this
_FEW = 10  # what is counted up to more is as good as endless
_ENDLESS = 1 << 30

_NESTED = "repeats what is repeated itself, as in (a+)+, which may take hours; write (a++)+"
_ALTERNATIVES = "repeats alternatives, as in (a|b)+, which may take hours; write [ab]+ or (?>a|b)+"
_LENGTHS = "repeats what may be longer or shorter, as in (a{1,9})+, which may take hours; write (a{1,9}+)+"
_ROW = (
    "repeats more than three things that may be the same, as in .*.*.*.*, which may take hours; "
    "look for less of the line"
)
_FLAGS = "has (?x) or a comment, (?#…), which are not read here; write the pattern without"

_TOKEN = re.compile(
    r"(?P<atom>\\.|\[\^?\]?(?:\\.|[^\]\\])*+\])"  # an escape, a set
    r"|(?P<unread>\(\?#|\(\?[a-zA-Z]{0,9}x[a-zA-Z-]{0,9}[:)])"
    r"|(?P<flags>\(\?[a-zA-Z]{1,9}\))"
    r"|(?P<open>\((?:\?(?:P<\w+>|P=|[:=!>]|<[=!]|\(\w+\)|[a-zA-Z-]+:))?)"
    r"|(?P<close>\))"
    r"|(?P<bar>\|)"
    r"|(?P<repeat>(?:[*+?]|\{\d*,\d*\}|\{\d+\}))(?P<kind>[+?]?)"
    r"|(?P<letter>.)",
    re.DOTALL,
)
_WORD = re.compile(r"\\[dw]|\w|\[(?:[^\W_]|\\[dw]|(?<=\w)-(?=\w))+\]")  # letters and digits only
_SIGN = re.compile(r"\\[s\W]|[^\w.^$)\\\[]")  # neither a letter nor a digit
_ATOMIC = ("(?>", "(?=", "(?!", "(?<=", "(?<!")


_Ways = tuple[int, int, int]
"""Repetitions in a row: of anything; of letters since the last sign; of signs since the last letter."""


@dataclass(slots=True)
class _Group:
    """What has been seen in a group that is still open."""

    atomic: bool = False  # it never gives back
    endless: bool = False  # it holds a repetition without end,
    bars: bool = False  # alternatives,
    varies: bool = False  # something of several lengths,
    told: bool = False  # letters or digits of several lengths, which a dividing sign at its end tells apart
    ways: _Ways = (0, 0, 0)  # repetitions that overlap, on the way to here,
    begun: _Ways = (0, 0, 0)  # where the group began,
    most: _Ways = (0, 0, 0)  # at the end of its worst alternative,
    held: _Ways = (0, 0, 0)  # before the last thing
    last: str = ""  # the last thing in it, "" where it may be absent


def fault(source: str) -> str:
    """Why a pattern may take hours, and what to write instead; "" where it ends."""
    stack = [_Group()]
    ended: _Group | None = None  # the group that the last token closed
    for token in _TOKEN.finditer(source):
        group, inner = stack[-1], ended
        ended = None
        said = ""
        if token["unread"]:
            said = _FLAGS
        elif token["open"]:
            stack.append(_Group(token["open"] in _ATOMIC, ways=group.ways, begun=group.ways))
        elif token["close"]:
            ended = _closed(stack) if len(stack) > 1 else None
        elif token["bar"]:
            group.bars, group.most, group.ways = True, _worse(group), group.begun
        elif token["repeat"]:
            said = _repeated(group, inner, token["repeat"]) if token["kind"] != "+" else ""
        elif not token["flags"]:
            _pass(group, token[0])
        if said:
            return said
    return ""


def needed(regex: re.Pattern[str]) -> str:
    """Letters that stand side by side in whatever the pattern finds; "" where none are certain.

    No white space is among them. What stands in a group is not looked at.
    """
    source = regex.pattern
    if regex.flags != re.UNICODE or "(?" in source.replace("(?:", "").replace("(?P<", ""):
        return ""
    runs, depth = [""], 0
    for token in _TOKEN.finditer(source):
        atom = token[0]
        depth += (token["open"] is not None) - (token["close"] is not None)
        if depth:
            runs.append("")
        elif token["bar"]:
            return ""
        elif token["repeat"]:
            runs[-1] = runs[-1] if _bounds(token["repeat"])[0] else runs[-1][:-1]
            runs.append("")
        elif token["letter"] and atom not in ".^$" and not atom.isspace():
            runs[-1] += atom
        elif token["atom"] and atom[0] == "\\" and not (atom[1].isalnum() or atom[1].isspace()):
            runs[-1] += atom[1]
        else:
            runs.append("")
    return max(runs, key=len)


def _pass(group: _Group, atom: str) -> None:
    """Go on to the next thing: a letter ends a row of signs, a sign one of letters."""
    wide, words, signs = group.held = group.ways
    group.last = atom
    group.ways = wide, 0 if _SIGN.fullmatch(atom) else words, 0 if _WORD.fullmatch(atom) else signs


def _worse(group: _Group) -> _Ways:
    wide, words, signs = (max(each) for each in zip(group.most, group.ways, strict=True))
    return wide, words, signs


def _closed(stack: list[_Group]) -> _Group:
    """The group that ends; the outer one is told what it holds, unless that never gives back."""
    inner, outer = stack.pop(), stack[-1]
    outer.last = ")"
    if inner.atomic:
        return _Group()
    inner.varies |= inner.told and not _SIGN.fullmatch(inner.last)
    outer.endless |= inner.endless
    outer.bars |= inner.bars
    outer.varies |= inner.varies or inner.told
    outer.ways = _worse(inner)
    outer.held = _worse(replace(inner, ways=inner.begun))  # where it may be absent
    return inner


def _repeated(group: _Group, inner: _Group | None, repeat: str) -> str:
    """Take in that the last thing is repeated, which is the group `inner` where it is one."""
    least, most = _bounds(repeat)
    if inner is not None and most > _MOST:
        found = (inner.endless, _NESTED), (inner.bars, _ALTERNATIVES), (inner.varies, _LENGTHS)
        if said := next((said for holds, said in found if holds), ""):
            return said
    if least == most:
        return ""
    word, sign = _WORD.fullmatch(group.last), _SIGN.fullmatch(group.last)
    wide, words, signs = group.ways if least else group.held  # what may be absent ends no row
    if most <= _FEW:
        group.told |= word is not None
        group.varies |= word is None
    elif word:
        group.endless, words = True, words + 1
    elif sign:
        group.endless, signs = True, signs + 1
    else:
        group.endless, wide = True, wide + 1
    group.ways, group.last = (wide, words, signs), group.last if least else ""
    return _ROW if wide + max(words, signs) > _MOST else ""


def _bounds(repeat: str) -> tuple[int, int]:
    if repeat in "*+?":
        return int(repeat == "+"), 1 if repeat == "?" else _ENDLESS
    least, comma, most = repeat.strip("{}").partition(",")
    low = int(least[:6] or 0)
    high = int(most[:6]) if most else _ENDLESS
    return low, high if comma else low
