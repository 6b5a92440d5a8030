"""Recognisers are read strictly: each fault is told with its place and what to write instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message.recogniser import LARGEST, RecogniserFault, parse
from relay.model import Alarm

GOOD = """\
about: Boiler, its alarms
when: {subject: '^Boiler '}
read:
  - subject: '^Boiler (?P<what>.+)'
line: 'boiler: {what}'
"""


def changed(old: str, new: str) -> str:
    """The good one with something else in the place of a piece of it."""
    assert old in GOOD
    return GOOD.replace(old, new)


def fault(source: str) -> str:
    """What is wrong with a source, "" where it is good."""
    try:
        parse("boiler", source)
    except RecogniserFault as raised:
        return str(raised)
    return ""


def test_a_good_one_is_read():
    """All that is not declared has its default: what is no recovery is a problem."""
    found = parse("boiler", GOOD)
    assert ("boiler", "Boiler, its alarms") == (found.name, found.about)
    assert [["subject"]] == [[each.place for each in group] for group in found.when]
    assert ((), None) == (found.recovery, found.problem)
    assert set(Alarm) == set(found.lines)


def test_all_that_can_be_declared_is_read():
    """Lists of places, lists of patterns, absence, headers, and a line for each alarm."""
    found = parse(
        "boiler",
        """
when:
  - {subject: [a, b], not.body: c}
  - {header.X-Boiler: d}
read:
  - {body: '(?P<x>.)', after: e}
recovery: {to: f}
problem: [{from: g}]
line: {problem: 'p {x}', recovery: 'r {x}[[ {subject}]]', none: 'n {from}'}
""",
    )
    assert [("subject", False), ("subject", False), ("body", True)] == [
        (each.place, each.absent) for each in found.when[0]
    ]
    assert "header.x-boiler" == found.when[1][0].place
    assert "e" == found.read[0].after.pattern
    assert ((False, ("r ", "x", "")), (True, (" ", "subject", "")), (False, ("",))) == found.lines[
        Alarm.RECOVERY
    ]
    assert found.problem[0][0].regex.pattern == "g"


PLACES = "is to be places with patterns, as in subject: '^ALARM'"
FAULTS = [
    ("", "boiler.yaml:1:1: the file is empty; it needs when, read and line"),
    ("# only this\n\n", "boiler.yaml:1:1: the file is empty; it needs when, read and line"),
    ("#" * (LARGEST + 1), "boiler.yaml:1:1: the file is larger than 64 KB"),
    ("- a", "boiler.yaml:1:1: the file is to hold keys and values, `key: value`"),
    ("when: [", "boiler.yaml:2:1: a value is missing here, a bracket above is left open"),
    ("\ud800", "boiler.yaml:1:1: this is not UTF-8"),
    (GOOD + "about: x\n", "boiler.yaml:6:1: about: stands twice, first on line 1; keep one"),
    (
        GOOD + "lines: x\n",
        "lines: there is no such key; the keys are about, when, each, read, recovery, problem, line",
    ),
    (changed("Boiler, its alarms", "7"), "boiler.yaml:1:1: about: is to be text; put it in single quotes"),
    (changed("when: {subject: '^Boiler '}\n", ""), "when: is missing; say by what the mails are known"),
    (changed("{subject: '^Boiler '}", "x"), f"when: {PLACES}, or a list of such"),
    (changed("{subject: '^Boiler '}", "[]"), f"when: {PLACES}, or a list of such"),
    (changed("{subject: '^Boiler '}", "{}"), f"when: {PLACES}"),
    (changed("{subject: '^Boiler '}", "[x]"), f"when[0]: {PLACES}"),
    (
        changed("subject: '^Boiler '", "title: x"),
        "when.title: is no place; write subject, from, to, body or a header",
    ),
    (changed("subject: '^Boiler '", "header: x"), "when.header: is no place"),
    (changed("subject: '^Boiler '", "subject: []"), "when.subject: holds no pattern; write one or remove it"),
    (
        changed("subject: '^Boiler '", "subject: ''"),
        "when.subject: is an empty pattern, which is found everywhere",
    ),
    (changed("subject: '^Boiler '", "subject: 112"), "when.subject: is to be text; put it in single quotes"),
    (
        changed("subject: '^Boiler '", "subject: ['a', '(']"),
        "when.subject[1]: is no regular expression: missing )",
    ),
    (changed("'^Boiler '", "'" + "x" * 1001 + "'"), "when.subject: is longer than 1000 characters"),
    (changed("'^Boiler '", "'(a+)+$'"), "when.subject: repeats what is repeated itself, as in (a+)+"),
    (
        changed("- subject", "  subject"),
        "read: is to be a list of patterns, as in - subject: '(?P<host>\\S+) is down'",
    ),
    (changed("- subject: '^Boiler (?P<what>.+)'", "- x"), "read[0]: is to be one place with its pattern"),
    (changed("- subject", "- body: a\n    subject"), "read[0]: is to be one place with its pattern"),
    (changed("- subject", "- after: '('\n    subject"), "read[0].after: is no regular expression"),
    (
        changed("- subject", "- until: 5\n    subject"),
        "read[0].until: is to be text; put it in single quotes",
    ),
    (changed("- subject", "- not.subject"), "read[0].not.subject: is no place"),
    (
        changed("(?P<what>.+)", "(.+)"),
        "read[0].subject: yields no field; name one in it, as in (?P<host>\\S+)",
    ),
    (changed("?P<what>", "?P<from>"), "read[0].subject: from is the mail's own; name it otherwise"),
    (changed("?P<what>", "?P<more>"), "read[0].subject: more is the mail's own; name it otherwise"),
    (GOOD + "each: x\n", "each: is to be begin with a pattern, as in begin: '^Alert: '; skip, after, until"),
    (GOOD + "each: {skip: x}\n", "each: is to be begin with a pattern"),
    (GOOD + "each: {begin: x, end: y}\n", "each: is to be begin with a pattern"),
    (GOOD + "each: {begin: []}\n", "each.begin: holds no pattern; write one"),
    (GOOD + "each: {begin: [x, '(']}\n", "each.begin: is no regular expression"),
    (GOOD + "each: {begin: x, skip: 5}\n", "each.skip: is to be text; put it in single quotes"),
    (changed("{what}'", "{more}'"), "line: no pattern under read yields more; name it there"),
    (changed("line: 'boiler: {what}'\n", ""), "line: is missing; write what the phone is to show"),
    (changed("'boiler: {what}'", "7"), "line: is to be text; put it in single quotes"),
    (changed("{what}'", "{where}'"), "line: no pattern under read yields where; name it there, (?P<where>…)"),
    (changed("boiler: {what}", "boiler"), "line: names no field; write what differs from mail to mail"),
    (changed("boiler: {what}", "{what"), "line: {name} is a field and [[…]] may be left out; no other"),
    (changed("boiler: {what}", "[[{what}"), "line: {name} is a field and [[…]] may be left out; no other"),
    (
        changed("boiler: {what}", "[[[[{what}]]]]"),
        "line: {name} is a field and [[…]] may be left out; no other",
    ),
    (
        changed("boiler: {what}", "x" * 1000 + "{what}"),
        "line: is longer than 1000 characters; a phone shows 300",
    ),
    (changed("'^Boiler '", "'[[a]'"), "when.subject: is no regular expression: Possible nested set"),
    (changed("'boiler: {what}'", "{}"), "line: holds no line; the lines are problem, recovery, none"),
    (
        changed("'boiler: {what}'", "{bad: '{what}'}"),
        "line.bad: there is no such line; the lines are problem,",
    ),
]


@pytest.mark.parametrize(("source", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_a_fault_names_the_key_and_what_to_write(source, said):
    """Each kind of fault, in a sentence for the operator."""
    assert said in fault(source)


def test_all_faults_are_told_at_once():
    """In the order of the file, under the name that the file was given."""
    with pytest.raises(RecogniserFault) as raised:
        parse("boiler", "when: {subjct: x}\nread: x\nline: '{y}'\n", file="etc/boiler.yaml")
    places = [line.split(": ")[:2] for line in str(raised.value).split("\n")]
    assert [
        ["etc/boiler.yaml:1:8", "when.subjct"],
        ["etc/boiler.yaml:2:1", "read"],
        ["etc/boiler.yaml:3:1", "line"],
    ] == places


@given(st.text())
def test_any_text_is_read_or_refused(source):
    """No other exception leaves, and a fault begins with its place."""
    assert fault(source).startswith("boiler.yaml:")


@given(st.text("()[]{}?:P<x>*+\\a1,|^$.", min_size=1, max_size=30))
def test_any_pattern_is_read_or_refused(pattern):
    """No other exception leaves, and a fault names the pattern's key."""
    said = fault(changed("^Boiler ", pattern.replace("'", "''")))
    assert not said or "when.subject: " in said
