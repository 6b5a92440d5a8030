"""Mail as it is passed on: its octets, its envelope, its trace, and what replies to it mean."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nexthop import BOB, MAIL

from relay.delivery import passing
from relay.message.deadlines import Timing
from relay.model import Kind, Outcome
from relay.queue.rows import Recipient
from relay.smtp.data import Dots
from relay.smtp.lines import Lines


def everything(_name: str) -> bool:
    """A server that offers all there is."""
    return True


def nothing(_name: str) -> bool:
    """One that knows HELO only."""
    return False


# -- the octets -------------------------------------------------------------------------------


def written(octets: bytes, cuts: list[int]) -> bytes:
    """What travels, the mail cut into chunks at these places."""
    wire = passing.Wire()
    places = sorted({min(cut, len(octets)) for cut in cuts} | {0, len(octets)})
    pieces = [wire.feed(octets[a:b]) for a, b in pairwise(places)]
    return b"".join(pieces) + wire.end()


@pytest.mark.parametrize(
    ("mail", "travels"),
    [
        (b"a\r\n", b"a\r\n.\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"", b".\r\n"),
        (b".\r\n..\r\n", b"..\r\n...\r\n.\r\n"),
        (b"a\n.b\r.c", b"a\r\n..b\r\n..c\r\n.\r\n"),
        (b"a\r", b"a\r\n.\r\n"),
        (b"\r\n.\r\n.\r\n", b"\r\n..\r\n..\r\n.\r\n"),
        (b"\r\r\n\n", b"\r\n\r\n\r\n.\r\n"),
    ],
)
def test_dots_and_line_ends(mail: bytes, travels: bytes) -> None:
    """RFC 5321 section 4.5.2; however it is cut."""
    assert travels == written(mail, [])
    assert travels == written(mail, list(range(len(mail))))


PIECES = st.lists(st.sampled_from([b".", b"..", b"\r\n", b"\r", b"\n", b"a", b"\xff", b"\0"]), max_size=30)


@given(PIECES, st.lists(st.integers(0, 40), max_size=8))
def test_what_travels_is_undone_by_the_front_door(pieces: list[bytes], cuts: list[int]) -> None:
    """Every octet comes back, lone line ends aside; none ends the mail before its end."""
    mail = b"".join(pieces)
    dots, lines = Dots(), Lines("strict")
    content = lines.feed(dots.feed(written(mail, cuts))) + lines.finish()
    proper = re.sub(rb"\r\n|\r|\n", b"\r\n", mail)
    assert dots.done
    assert not lines.bare
    assert b"" == dots.rest
    assert content == proper + (b"" if proper.endswith(b"\r\n") or not proper else b"\r\n")


@given(PIECES, st.lists(st.integers(0, 40), max_size=8))
def test_a_survey_does_not_depend_on_the_chunks(pieces: list[bytes], cuts: list[int]) -> None:
    """Whether there are 8-bit octets, and whether in the header."""
    mail = b"".join(pieces)
    places = sorted({min(cut, len(mail)) for cut in cuts} | {0, len(mail)})
    survey = passing.Survey()
    for a, b in pairwise(places):
        survey.feed(mail[a:b])
    header, end, _body = mail.partition(b"\r\n\r\n")
    assert (not mail.isascii(), not header.isascii()) == (survey.eight, survey.wide)
    assert survey.done == (survey.eight and bool(end))


# -- the trace --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({}, "Received: from mon.example.com ([192.0.2.7])\r\n\tby relay.example.com id "),
        ({"peer": "2001:db8::1"}, "Received: from mon.example.com ([IPv6:2001:db8::1])\r\n"),
        ({"peer": "fe80::1%eth0"}, "Received: from mon.example.com ([IPv6:fe80::1])\r\n"),
        ({"peer": "unix"}, "Received: from mon.example.com (local)\r\n"),
        ({"peer": "", "helo": ""}, "Received: from unknown\r\n"),
        ({"helo": "x\r\nBcc: y) (z"}, "Received: from xBcc:yz ([192.0.2.7])\r\n"),
        ({"helo": "[192.0.2.9]"}, "Received: from [192.0.2.9] ([192.0.2.7])\r\n"),
        (
            {"utf8": 1},
            "Received: from mon.example.com ([192.0.2.7])\r\n\tby relay.example.com with UTF8SMTP id ",
        ),
    ],
)
def test_the_trace(changes: dict[str, object], begins: str) -> None:
    """RFC 5321 section 4.4; a stranger's HELO can't begin another field."""
    line = passing.trace(replace(MAIL, **changes), hostname="relay.example.com", recipient="").decode()
    assert line.startswith(begins)
    assert line.endswith("; Fri, 15 Jan 2027 08:00:00 +0000\r\n")
    assert all(part[:1] == "\t" for part in line.split("\r\n")[1:-1])


@pytest.mark.parametrize(
    ("recipient", "utf8", "named"),
    [("bob@x", 0, True), ("", 0, False), ("боб@x", 0, False), ("боб@x", 1, True)],
)
def test_for_whom(recipient: str, utf8: int, named: bool) -> None:
    """Named where it is one, and where a header can hold it."""
    line = passing.trace(replace(MAIL, utf8=utf8), hostname="", recipient=recipient)
    assert named == (f"\r\n\tfor <{recipient}>;".encode() in line)
    assert b"by localhost" in line


# -- the envelope -----------------------------------------------------------------------------


def of_rcpt(
    recipient: Recipient, *, offers: passing.Offers = everything, utf8: bool = False, untimed: bool = False
) -> list[bytes]:
    """The parameters of RCPT."""
    return passing.of_rcpt(recipient, offers, utf8=utf8, untimed=untimed)


def test_parameters_go_on_where_they_are_offered() -> None:
    """And nothing is said to a server that knows none."""
    mail = replace(MAIL, ret="full", envid="Q+2B")
    bob = replace(BOB, orcpt="rfc822;b+2B@x", notify="delay,failure")
    assert [b"SIZE=9", b"BODY=8BITMIME", b"SMTPUTF8", b"RET=FULL", b"ENVID=Q+2B"] == passing.of_mail(
        mail, everything, size=9, eight=True, utf8=True
    )
    assert [b"SIZE=9"] == passing.of_mail(MAIL, everything, size=9, eight=False, utf8=False)
    assert [] == passing.of_mail(mail, nothing, size=9, eight=True, utf8=False)
    assert [b"NOTIFY=DELAY,FAILURE", b"ORCPT=rfc822;b+2B@x"] == of_rcpt(bob)
    assert [] == of_rcpt(BOB) == of_rcpt(bob, offers=nothing)


@pytest.mark.parametrize(("priority", "wanted"), [("", []), ("-4", [b"MT-PRIORITY=-4"])])
def test_the_priority_goes_on(priority: str, wanted: list[bytes]) -> None:
    """Where its client gave one, to a server that knows it (RFC 6710 section 4.1)."""
    mail = replace(MAIL, timing=json.dumps({"priority": priority}))
    assert [b"SIZE=9", *wanted] == passing.of_mail(mail, everything, size=9, eight=False, utf8=False)
    assert [] == passing.of_mail(mail, nothing, size=9, eight=False, utf8=False)


@pytest.mark.parametrize(
    ("mode", "least", "passed", "wanted"),
    [
        ("R", "", 0, b"BY=600;R"),
        ("R", "240", 360, b"BY=240;R"),
        ("RT", "240", 361, "5.4.7"),
        ("R", "", 599, b"BY=1;R"),
        ("R", "", 600, "5.4.7"),
        ("R", "soon", 0, b"BY=600;R"),
        ("R", None, 0, "5.3.3"),
        ("NT", "", 10, b"BY=590;NT"),
        ("N", "9999", 700, b"BY=-100;N"),
        ("N", "", 10**12, b"BY=-999999999;N"),
        ("N", None, 0, None),
    ],
)
def test_what_is_left_of_the_time_goes_on(
    mode: str, least: str | None, passed: int, wanted: bytes | str | None
) -> None:
    """Less by what it was here; with R only where the next server promises it (RFC 2852 section 4.1)."""
    asked = Timing(by=600_000, returned=mode.startswith("R"), traced=mode.endswith("T"))
    found = passing.by(asked, least, "mx", passed * 1000)
    told = found.status if isinstance(found, Outcome) else next(iter(found), None)
    assert wanted == told
    assert [] == passing.by(Timing(), least, "mx", 0)
    assert (least is None and passed < 600) == passing.untimed(asked, least, passed * 1000)


@pytest.mark.parametrize(
    ("notify", "said"),
    [
        ("", b"NOTIFY=DELAY,FAILURE"),
        ("trace", b"NOTIFY=DELAY,FAILURE"),
        ("success", b"NOTIFY=DELAY,SUCCESS"),
        ("delay", b"NOTIFY=DELAY"),
        ("never", b"NOTIFY=NEVER"),
    ],
)
def test_a_server_that_knows_no_times_is_asked_to_tell_of_delays(notify: str, said: bytes) -> None:
    """RFC 2852 section 4.1.4.2; who wants to hear nothing hears nothing."""
    assert [said] == of_rcpt(replace(BOB, notify=notify), untimed=True)


def test_an_orcpt_beyond_ascii_needs_smtputf8() -> None:
    """RFC 6533 section 3: without it, it would break the command."""
    bob = replace(BOB, orcpt="utf-8;боб@x")
    assert [] == of_rcpt(bob)
    assert ["ORCPT=utf-8;боб@x".encode()] == of_rcpt(bob, utf8=True)


def test_who_needs_smtputf8() -> None:
    """Whoever is beyond ASCII, and everybody where the sender is."""
    assert not passing.wide(MAIL, BOB)
    assert passing.wide(MAIL, replace(BOB, address="боб@x"))
    assert passing.wide(replace(MAIL, sender="оп@x"), BOB)


# -- outcomes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "kind", "status"),
    [
        (550, "5.1.1 no such person", Kind.REFUSED, "5.1.1"),
        (550, "no such person", Kind.REFUSED, "5.0.0"),
        (550, "5.1.1", Kind.REFUSED, "5.1.1"),
        (550, "4.2.2 mixed", Kind.REFUSED, "5.0.0"),
        (550, "5.1.12345 long", Kind.REFUSED, "5.0.0"),
        (552, "full", Kind.REFUSED, "5.2.2"),
        (553, "what", Kind.REFUSED, "5.1.3"),
        (530, "5.7.0 log in", Kind.LATER, "4.0.0"),
        (450, "4.2.0 greylisted", Kind.LATER, "4.2.0"),
        (452, "too many", Kind.LATER, "4.3.1"),
        (354, "go on?", Kind.LATER, "4.0.0"),
        (-1, "", Kind.LATER, "4.0.0"),
    ],
)
def test_replies(code: int, text: str, kind: Kind, status: str) -> None:
    """5xx is final; the status is the server's own where it fits the reply."""
    found = passing.answered("mail.example.com", code, text, about="recipient")
    assert (kind, status, f"smtp {code}", text) == (found.kind, found.status, found.code, found.text)
    assert "mail.example.com" in found.reason


def test_words_are_one_line() -> None:
    """Whatever the other side says is stored and quoted as one line."""
    assert "no one" == passing.answered("h", 550, "no\none\x00", about="mail").text


def test_what_has_passed() -> None:
    """4.4.7, with what kept it."""
    last = Outcome(kind=Kind.LATER, status="4.2.0", reason="not now", code="smtp 450", text="wait")
    assert ("4.4.7", "smtp 450", "wait") == (
        passing.expired(last).status,
        passing.expired(last).code,
        passing.expired(last).text,
    )
    assert passing.expired(last).reason.endswith(": not now")
    assert "4.4.7" == passing.expired(None).status
    fine = Outcome(kind=Kind.NOTHING, status="2.0.0", reason="x")
    assert passing.expired(None) == passing.expired(fine)


def test_the_kinds_of_trouble() -> None:
    """Before the end of the mail it was not taken; after it nobody knows."""
    kinds = {
        passing.unreached("h", "x"): (Kind.LATER, "4.4.1"),
        passing.broke_off("h", "x"): (Kind.LATER, "4.4.2"),
        passing.unanswered("h", "x"): (Kind.UNSURE, "4.4.2"),
        passing.unreadable("x"): (Kind.LATER, "4.3.0"),
        passing.unrouted(): (Kind.LATER, "4.4.4"),
        passing.narrow("h", header=True): (Kind.REFUSED, "5.6.9"),
        passing.narrow("h", header=False): (Kind.REFUSED, "5.6.7"),
        passing.taken("h", 250, "ok", told=False, untimed=False): (Kind.DELIVERED, "2.0.0"),
    }
    assert list(kinds.values()) == [(each.kind, each.status) for each in kinds]
    assert passing.taken("h", 250, "ok", told=True, untimed=False).passed_on
