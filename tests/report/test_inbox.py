"""Mails that tell what a phone sent: their thread, their sender, and foreign text that stays text."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config import Alias
from relay.report.inbox import Answer, compose, joined, name_of

NOW = 1_800_000_000_000
ANSWER = Answer(
    to="ops@mon.example.com",
    phone="+79991234567",
    texts=("принято",),
    address="79991234567+flash@sms.example.com",
    subject="Disk 95 %",
    message_id="<1@mon.example.com>",
    references="<0@mon.example.com> <1@mon.example.com>",
    hostname="relay.example.com",
)


def mail(answer=ANSWER, **changes):
    """The mail as a mail program reads it."""
    octets = compose(replace(answer, **changes), message_id="<m@relay.example.com>", now=NOW)
    assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
    assert b"\n" not in octets.replace(b"\r\n", b"")
    return email.message_from_bytes(octets, policy=email.policy.default)


def body(mail):
    """The text of a mail, each line ended by one LF."""
    return mail.get_content().replace("\r\n", "\n")


def test_an_answer_stands_in_the_thread():
    """From the phone, to the sender, below the mail that it answers, and no machine replies to it."""
    found = mail()
    assert {
        "From": "+79991234567@sms.example.com",
        "To": "ops@mon.example.com",
        "Subject": "Re: Disk 95 %",
        "Message-ID": "<m@relay.example.com>",
        "In-Reply-To": "<1@mon.example.com>",
        "References": "<0@mon.example.com> <1@mon.example.com>",
        "Auto-Submitted": "auto-generated",
    } == {name: str(found[name]) for name in found if name in (
        "From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "Auto-Submitted")}  # fmt: skip
    assert "принято\n" == body(found)


def test_a_reply_to_a_reply_has_one_re():
    """The subject does not grow with the conversation."""
    assert "RE: x" == mail(subject="RE: x")["Subject"]


@pytest.mark.parametrize(
    ("language", "kind", "subject", "text"),
    [
        ("en", "sms", "Message from +79991234567", "принято\n"),
        ("en", "call", "Call from +79991234567", "+79991234567 called to confirm the number.\n"),
        ("ru", "sms", "Сообщение от +79991234567", "принято\n"),
        ("ru", "call", "Звонок от +79991234567", "+79991234567 подтверждает номер звонком.\n"),
    ],
)
def test_what_answers_nothing(language, kind, subject, text):
    """A mail of its own, from the phone at a domain of the relay's."""
    found = mail(
        address="",
        domain="sms.example.com",
        subject="",
        message_id="",
        references="",
        language=language,
        kind=kind,
    )
    assert (subject, text) == (found["Subject"], body(found))
    assert "+79991234567@sms.example.com" == found["From"]
    assert None is found["In-Reply-To"]
    assert None is found["References"]


def test_a_number_that_is_not_to_be_shown():
    """A member of an alias answers by the alias; nowhere stands more than four digits."""
    octets = compose(
        replace(ANSWER, hidden=True, address="oncall@sms.example.com"), message_id="<m@r.example>", now=NOW
    )
    assert b"79991234567" not in octets
    assert b"********4567 <oncall@sms.example.com>" in octets


EVIL = "x\r\nBcc: victim@example.com\r\n\r\n.\r\nMAIL FROM:<a>\0"


@pytest.mark.parametrize(
    "name", ["to", "phone", "address", "domain", "subject", "message_id", "references", "hostname"]
)
@pytest.mark.parametrize("hidden", [True, False])
def test_no_fact_becomes_a_header(name, hidden):
    """Line ends in any fact add no field and no body."""
    found = mail(**{name: EVIL, "hidden": hidden})
    assert None is found["Bcc"]
    assert "принято\n" == body(found)


def test_the_text_is_as_it_is():
    """Headers, dots, tags and macros in a phone's text are its text; line ends are a mail's."""
    text = EVIL.replace("\0", "") + "<script> {menu:1} __CALL__: ~~~"
    found = mail(texts=(text,))
    assert text.replace("\r\n", "\n") + "\n" == body(found)
    assert None is found["Bcc"]


def test_a_sender_in_utf_8():
    """Written where both sides can have it, a stand-in where not."""
    assert (
        "ops@пример.рф"
        in compose(
            replace(ANSWER, to="ops@пример.рф", utf8=True), message_id="<m@r.example>", now=NOW
        ).decode()
    )
    assert compose(replace(ANSWER, to="ops@пример.рф"), message_id="<m@r.example>", now=NOW).isascii()


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        ((), ""),
        (("ok",), "ok"),
        (("ok", "coming"), "ok\ncoming"),
        (("a" * 153, "b" * 153, "c"), "a" * 153 + "b" * 153 + "c"),
        (("я" * 67, "ю"), "я" * 67 + "ю"),
    ],
)
def test_parts_go_on_and_messages_stand_below(texts, whole):
    """What filled a part is followed by the rest of it; other messages have lines of their own."""
    assert whole == joined(texts)


@given(
    texts=st.lists(st.text(max_size=200), max_size=3),
    subject=st.text(max_size=60),
    phone=st.text(max_size=30),
)
def test_nothing_raises(texts, subject, phone):
    """Whatever the facts hold is one well-formed mail."""
    found = mail(texts=tuple(texts), subject=subject, phone=phone)
    assert "text/plain" == found.get_content_type()


def test_who_took_an_alarm_stands_below_his_words():
    """With a line of its own, and no line more than that."""
    said = body(mail(took="ivan\r\nBcc: x@example.com"))
    assert said.startswith("принято\n\nivan")
    assert said.endswith("has taken the alarm: nobody else is called for it.\n")
    assert 3 == len(said.splitlines())


def test_the_name_of_a_phone():
    """An alias that is its own, else the number, masked where it is hidden."""
    alone, team = Alias(to=("7 999 123-45-67",)), Alias(to=("+79991234567", "+79991234568"))
    assert "ivan" == name_of("+79991234567", {"team": team, "ivan": alone}, hidden=True)
    assert "********4567" == name_of("+79991234567", {"team": team}, hidden=True)
    assert "+79991234567" == name_of("+79991234567", {}, hidden=False)
