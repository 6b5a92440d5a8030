"""What is answered where the outcome was awaited, from rows alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay import model
from relay.model import Kind
from relay.queue import schema
from relay.queue.rows import Order
from relay.queue.states import State
from relay.smtp import answers
from relay.smtp.answers import Fate

UNTIL = 20_000
MAIL = model.key_at(1_800_000_000_000)
ORDER = Order.of(
    schema.row(schema.orders, id=7, mail_id=MAIL, recipient_id=1, state="waiting", due_at=0, expire_at=90_000)
)
REQUEST = model.key_at(1_800_000_000_001)
SENT = replace(ORDER, state=State.SENT, request_id=REQUEST, parts=2, cost="3.50", kind="accepted")
FAILED = replace(
    ORDER, state=State.FAILED, status="5.1.3", reason="no number", code="7", words="invalid", kind="refused"
)


@pytest.mark.parametrize(
    ("state", "fate"),
    [
        (State.WAITING, Fate.OPEN),
        (State.SENDING, Fate.OPEN),
        (State.UNSURE, Fate.OPEN),
        (State.HELD, Fate.QUEUED),
        (State.UNKNOWN, Fate.QUEUED),
        (State.SENT, Fate.SENT),
        (State.DELIVERED, Fate.SENT),
        (State.FAILED, Fate.FAILED),
        (State.DROPPED, Fate.FAILED),
        (State.MERGED, Fate.OPEN),
    ],
)
def test_each_state_says_what_can_be_said(state, fate):
    """Only what is on its way to the provider is waited for."""
    order = replace(ORDER, state=state)
    assert fate is answers.fate(order, UNTIL)
    assert ({7} if fate is Fate.OPEN else set()) == answers.awaited([order], UNTIL)


@pytest.mark.parametrize(
    ("due", "expires", "fate"),
    [
        (UNTIL, 90_000, Fate.OPEN),
        (UNTIL + 1, 90_000, Fate.QUEUED),
        (UNTIL + 1, UNTIL, Fate.OPEN),
    ],
)
def test_a_try_that_comes_too_late_is_not_waited_for(due, expires, fate):
    """Unless the order comes to its end before that."""
    assert fate is answers.fate(replace(ORDER, due_at=due, expire_at=expires), UNTIL)


@pytest.mark.parametrize(
    ("kind", "finished", "fate"),
    [
        ("", None, Fate.OPEN),
        (Kind.UNSURE, None, Fate.OPEN),
        (Kind.ACCEPTED, None, Fate.SENT),
        (Kind.DELIVERED, 5, Fate.SENT),
        (Kind.REFUSED, 5, Fate.FAILED),
        (Kind.EXPIRED, 5, Fate.FAILED),
        (Kind.UNKNOWN, 5, Fate.QUEUED),
    ],
)
def test_a_merged_order_shares_its_speakers_fate(kind, finished, fate):
    """And waits for the speaker's next move, since it makes none itself."""
    order = replace(ORDER, state=State.MERGED, merged_into=9, kind=str(kind), finished_at=finished)
    assert fate is answers.fate(order, UNTIL)
    assert ({9} if fate is Fate.OPEN else set()) == answers.awaited([order], UNTIL)


def test_members_of_a_group_are_not_waited_for():
    """The group's own order is what the mail made."""
    member = replace(ORDER, id=8, parent_id=7)
    group = replace(SENT, channel="sms", target="g777")
    assert set() == answers.awaited([group, member], UNTIL)
    assert ["sent"] == [
        each.text[:4] for each in answers.of_recipients(MAIL, [group, member], UNTIL).values()
    ]


def said(*orders):
    """The reply to a mail of one recipient."""
    return str(answers.of_all(MAIL, answers.of_recipients(MAIL, orders, UNTIL).values()))


@pytest.mark.parametrize(
    ("orders", "reply"),
    [
        ([SENT], f"250 2.0.0 sent as MAIL smsc id={model.show(REQUEST)} parts=2 cost=3.50"),
        ([replace(SENT, parts=0, cost="")], f"250 2.0.0 sent as MAIL smsc id={model.show(REQUEST)}"),
        ([replace(SENT, request_id=None)], "250 2.0.0 sent as MAIL"),
        ([SENT, replace(SENT, id=8)], f"250 2.0.0 sent as MAIL smsc id={model.show(REQUEST)}"),
        ([SENT, FAILED], "250 2.0.0 queued as MAIL"),
        ([ORDER], "250 2.0.0 queued as MAIL"),
        ([replace(FAILED, state=State.UNKNOWN)], "250 2.0.0 queued as MAIL"),
        ([], "250 2.0.0 queued as MAIL"),
        ([FAILED], "550 5.1.3 no number (SMSC 7 invalid)"),
        ([FAILED, ORDER], "250 2.0.0 queued as MAIL"),
        ([replace(FAILED, status="4.4.7", code="", words="")], "554 5.4.7 no number"),
        ([replace(FAILED, status="5.3.4")], "552 5.3.4 no number (SMSC 7 invalid)"),
        ([replace(FAILED, status="5.7.1")], "550 5.7.1 no number (SMSC 7 invalid)"),
        ([replace(FAILED, code="smtp 550", words="a\r\nb")], "550 5.1.3 no number (smtp 550 a  b)"),
        ([replace(FAILED, words="x" * 900)], "550 5.1.3 no number (SMSC 7 " + "x" * 381 + "…"),
    ],
)
def test_one_recipient_hears_its_outcome(orders, reply):
    """Never a 4xx, whatever the rows say, and on one line."""
    assert reply.replace("MAIL", model.show(MAIL)) == said(*orders)


def test_several_hear_the_worst_or_that_it_is_queued():
    """What concerns all goes before what is wrong with one; one that is served makes it a 250."""
    of_mail = replace(FAILED, id=8, recipient_id=2, status="5.6.1", reason="no such text")
    other = replace(SENT, id=9, recipient_id=3)
    assert said(FAILED, of_mail).startswith("554 5.6.1 no such text")
    assert said(FAILED, replace(FAILED, id=8, recipient_id=2, status="5.4.4")).startswith("550 5.1.3")
    assert said(FAILED, of_mail, other) == f"250 2.0.0 queued as {model.show(MAIL)}"
    assert said(other, SENT) == f"250 2.0.0 sent as {model.show(MAIL)} to 2 recipients"
    assert said(ORDER, other).startswith("250 2.0.0 queued")
