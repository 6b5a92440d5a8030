"""An invitation becomes a line, and the line is said where the mail does not say it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import Route
from relay.message import calendar, content, orders, routes
from relay.message.drafts import Composed
from relay.model import Envelope, Recipient

MOSCOW = "DTSTART;TZID=Europe/Moscow:20261121T150000"


def event(*lines: str, method: str = "REQUEST", kind: str = "VEVENT") -> str:
    """A calendar with one component."""
    head = ["BEGIN:VCALENDAR", *([f"METHOD:{method}"] if method else [])]
    zone = ["BEGIN:VTIMEZONE", "TZID:Europe/Moscow", "DTSTART:19700101T000000", "END:VTIMEZONE"]
    return "\n".join([*head, *zone, f"BEGIN:{kind}", *lines, f"END:{kind}", "END:VCALENDAR"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            event("SUMMARY:Plan", MOSCOW, "DTEND;TZID=Europe/Moscow:20261121T160000", "LOCATION:Room 5"),
            "Invitation: Plan, 2026-11-21 15:00 Europe/Moscow – 16:00, Room 5",
        ),
        (event("SUMMARY:Plan", MOSCOW, method="CANCEL"), "Cancelled: Plan, 2026-11-21 15:00 Europe/Moscow"),
        (event("SUMMARY:Plan", "STATUS:CANCELLED", method=""), "Cancelled: Plan"),
        (event("SUMMARY:Plan", method="PUBLISH"), "Event: Plan"),
        (event("SUMMARY:Plan", method=""), "Event: Plan"),
        (event("SUMMARY:Plan", "DUE:20261121", kind="VTODO", method=""), "Task: Plan, 2026-11-21"),
        (event("SUMMARY:P", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@b", method="REPLY"), "Accepted: P"),
        (event("SUMMARY:P", 'ATTENDEE;CN="x;:y";PARTSTAT=declined:a@b', method="REPLY"), "Declined: P"),
        (event("SUMMARY:P", "ATTENDEE:mailto:a@b", method="REPLY"), "Reply: P"),
        (event("SUMMARY:P", method="COUNTER"), "Other time proposed: P"),
        (event("SUMMARY:P", "DTSTART:20261121T120000Z"), "Invitation: P, 2026-11-21 12:00 UTC"),
        (event("SUMMARY:P", "DTSTART:20261121T1200"), "Invitation: P, 2026-11-21 12:00"),
        (event("SUMMARY:P", "DTSTART;VALUE=DATE:20261121"), "Invitation: P, 2026-11-21"),
        (event("SUMMARY:P", "DTSTART:20261121", "DTEND:20261122"), "Invitation: P, 2026-11-21"),
        (event("SUMMARY:P", "DTSTART:20261121", "DTEND:20261124"), "Invitation: P, 2026-11-21 – 2026-11-23"),
        (event("SUMMARY:P", "DTSTART:20261121", "DTEND:20261120"), "Invitation: P, 2026-11-21"),
        (event("SUMMARY:P", "DTSTART:20261121", "DTEND:20261121T10"), "Invitation: P, 2026-11-21"),
        (event("SUMMARY:P", "DTSTART:20261121", "DTEND:20261121T1000"), "Invitation: P, 2026-11-21"),
        (
            event("SUMMARY:P", MOSCOW, "DURATION:PT10H30M"),
            "Invitation: P, 2026-11-21 15:00 Europe/Moscow – 2026-11-22 01:30",
        ),
        (event("SUMMARY:P", MOSCOW, "DURATION:PT0S"), "Invitation: P, 2026-11-21 15:00 Europe/Moscow"),
        (event("SUMMARY:P", MOSCOW, "DURATION:-P1D"), "Invitation: P, 2026-11-21 15:00 Europe/Moscow"),
        (event("SUMMARY:P", "DTSTART:99991231", "DURATION:P9W"), "Invitation: P, 9999-12-31"),
        (
            event("SUMMARY:P", MOSCOW, "DTEND;TZID=Asia/Tokyo:20261121T220000"),
            "Invitation: P, 2026-11-21 15:00 Europe/Moscow – 2026-11-21 22:00 Asia/Tokyo",
        ),
        (
            event("SUMMARY:P", 'DTSTART;X="a:b";TZID="/example.net/1/Europe/Moscow":20261121T150000'),
            "Invitation: P, 2026-11-21 15:00 Europe/Moscow",
        ),
        (event("SUMMARY:P", "DTSTART:20261399"), "Invitation: P"),
        (event("SUMMARY:P", "DTSTART:20261121T9900"), "Invitation: P"),
        (event("DTSTART:00010101T0000"), "Invitation: 0001-01-01 00:00"),
        (event("SUMMARY;LANGUAGE=ru:План\\, обзор\\;\\nи\\\\ещё"), "Invitation: План, обзор; и\\ещё"),
        (event("SUMMARY:Very lo", " ng", "\t name"), "Invitation: Very long name"),
        (event("BEGIN:VALARM", "SUMMARY:alarm", "END:VALARM", "SUMMARY:P"), "Invitation: P"),
        (event("item1.SUMMARY:P") + "\n" + event("SUMMARY:second"), "Invitation: P"),
        (event("SUMMARY:" + "x" * 300), "Invitation: " + "x" * 199 + "…"),
        (event('SUMMARY;X="a', "DTSTART:20261121"), "Invitation: 2026-11-21"),
        ("BEGIN:VEVENT\nSUMMARY:cut", "Event: cut"),
    ],
)  # fmt: skip
def test_an_event_is_one_line(text, expected):
    """Method, name, beginning, end and place, each as far as it is there."""
    assert expected == calendar.read(text).line
    assert expected == calendar.read(text.replace("\n", "\r\n")).line


@pytest.mark.parametrize("text", ["", "BEGIN:VCALENDAR", "SUMMARY:outside", event(), event("LOCATION:only")])
def test_what_names_nothing_is_no_event(text):
    """Neither a name nor a moment."""
    assert calendar.read(text) is None


@given(st.text(max_size=200), st.text(max_size=50), st.from_regex(r"[0-9TPHMSZ]{0,20}"))
def test_no_text_raises(around, value, moment):
    """Whatever stands in a calendar."""
    calendar.read(around)
    calendar.read(event(f"SUMMARY:{value}", f"DTSTART;{value}:{moment}", f"DURATION:{moment}"))


def test_a_huge_calendar_is_read_at_its_beginning():
    """Five thousand lines are enough."""
    assert calendar.read("BEGIN:VEVENT\n" + "X:1\n" * 500_000 + "SUMMARY:late") is None
    assert calendar.read("BEGIN:VEVENT\nSUMMARY:a\n" + ' ";' * 500_000).summary.startswith("a")


# -- in mails ---------------------------------------------------------------------------------

PLAN = event("SUMMARY:Plan B", MOSCOW, "DURATION:PT1H", "LOCATION:Room 5")
LINE = "Invitation: Plan B, 2026-11-21 15:00 Europe/Moscow – 16:00, Room 5"


def many(kind: str, *pieces: str) -> bytes:
    """A multipart mail."""
    inner = "".join(f"--b\n{piece}\n" for piece in pieces)
    return f"Content-Type: multipart/{kind}; boundary=b\n\n{inner}--b--\n".encode()


def invite(text: str = PLAN, head: str = "Content-Type: text/calendar; method=REQUEST") -> str:
    """A calendar part in base64."""
    return f"{head}\nContent-Transfer-Encoding: base64\n\n{base64.encodebytes(text.encode()).decode()}"


NAMED = "Content-Type: application/ics; name=invite.ics\nContent-Disposition: attachment; filename=invite.ics"
TEXT, HTML = "Content-Type: text/plain\n\n", "Content-Type: text/html\n\n"
BOTH = f"Content-Type: multipart/alternative; boundary=c\n\n--c\n{TEXT}hi\n--c\n{invite()}\n--c--"
FIVE = [*(f"\ufdd0{n}\ufdd1" for n in range(5)), "Invitation: n0\n\nInvitation: n1\n\nInvitation: n2"]


@pytest.mark.parametrize(
    ("raw", "said", "files"),
    [
        (invite().encode(), LINE, [("file-1.ics", True)]),
        (many("alternative", TEXT + "see you", invite()), f"see you\n\n{LINE}", [("file-1.ics", True)]),
        (many("alternative", TEXT + "About  plan b!", invite()), "About  plan b!", [("file-1.ics", True)]),
        (many("alternative", TEXT + " ", invite()), LINE, [("file-1.ics", True)]),
        (
            many("mixed", TEXT + "hi", invite(head=NAMED)),
            f"hi\n\ufdd00\ufdd1\n{LINE}", [("invite.ics", False)],
        ),
        (
            many("mixed", BOTH, invite(head=NAMED)),
            f"hi\n\ufdd01\ufdd1\n{LINE}", [("file-1.ics", True), ("invite.ics", False)],
        ),
        (
            many("mixed", invite(head="Content-Type: a/b; name=x.ics")),
            f"{LINE}\n\ufdd00\ufdd1", [("x.ics", False)],
        ),
        (many("alternative", TEXT + "hi", invite("BEGIN:VCALENDAR")), "hi", [("file-1.ics", False)]),
        (
            many("mixed", TEXT + "hi", *[invite(event(f"SUMMARY:n{n}"), NAMED) for n in range(5)]),
            "\n".join(["hi", *FIVE]),
            [("invite.ics", False)] * 5,
        ),
    ],
)  # fmt: skip
def test_a_mail_tells_of_its_invitation_once(raw, said, files):
    """The line is the text or joins it, unless the text names the event already."""
    letter = content.read(raw)
    assert (said, files) == (letter.plain, [(file.name, file.inline) for file in letter.files])
    assert letter.notes == ()


@pytest.mark.parametrize("channel", ["sms", "call"])
def test_an_invitation_in_the_body_is_no_file_on_a_phone(channel):
    """Its line says it all: nothing is dropped or refused; a mailbox gets the file itself."""
    raw = many("mixed", TEXT + "see you", invite())
    ways = [routes_to("*@phone.example", channel, attachments="reject"), routes_to("*", "mail")]
    made = composed(raw, ways, "79991234567@phone.example", "bob@people.example")
    phone, mailbox = made.contents
    assert (f"see you\n\n{LINE}", (), ()) == (phone.text, phone.files, phone.notes)
    assert (0,) == mailbox.files
    assert mailbox.text.startswith(f"see you\n\n{LINE}")
    named = composed(many("mixed", TEXT + "see you", invite(head=NAMED)), ways, "79991234567@phone.example")
    assert ["5.6.1"] == [refusal.reply.status for refusal in named.refusals]


def routes_to(match: str, channel: str, **values: object) -> Route:
    """A route of the account `main`."""
    found = {"match": match, "channel": channel, "account": "main", "accounts": ["main"], "alphabet": "ucs2"}
    voice = {"params": {"voice": "w2"}} if channel == "call" else {}
    return Route.model_validate({**found, **voice, **values})


def composed(raw: bytes, ways: list[Route], *to: str) -> Composed:
    """What a mail to these addresses becomes."""
    envelope = Envelope(sender="a@b.c", recipients=tuple(Recipient(address=address) for address in to))
    resolved = [routes.resolve(address, ways, {}) for address in to]
    return orders.compose(
        content.read(raw), envelope, resolved, now=1_800_000_000_000, fallback_sender="relay@example.com"
    )


def test_no_more_than_twenty_calendars_are_looked_at():
    """The rest are files that tell nothing."""
    empty = invite("BEGIN:VCALENDAR")
    letter = content.read(many("mixed", TEXT + "hi", *[empty] * 19, invite(), invite(event("SUMMARY:late"))))
    assert ("Plan B" in letter.plain, "late" in letter.plain, len(letter.files)) == (True, False, 21)


def test_html_gets_the_line_too():
    """Both ways of saying it, so that phone and mailbox read alike."""
    letter = content.read(many("alternative", TEXT + "hi", HTML + "<p>hi</p>", invite()))
    assert (f"hi\n\n{LINE}", f"<p>hi</p>\n<div>{LINE}</div>") == (letter.plain, letter.html)
    assert (
        content.read(many("alternative", HTML + "<p>Plan <b>B</b></p>", invite())).html
        == "<p>Plan <b>B</b></p>"
    )
