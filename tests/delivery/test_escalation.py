"""What a reply means, and who is told: tables."""

from __future__ import annotations

import pytest

from relay.delivery import escalation
from relay.model import HOUR
from relay.queue import schema
from relay.queue.rows import DIGEST, Order

NOW = 1_800_000_000_000
WORDS = ["ok", "ack", "Принял", "👍", "+"]


def order(key=1, **columns):
    """An order that a phone was told."""
    values = {"mail_id": key, "channel": "sms", "target": "+1", "state": "delivered", "sent_at": NOW - 1}
    return Order.of(schema.row(schema.orders, id=key, **(values | columns)))


@pytest.mark.parametrize(
    "text",
    [
        "ok",
        "OK",
        " o.k.\n",
        "«Ok!»",
        "O K",
        "ＯＫ",
        "ack",
        "ПРИНЯЛ",
        "принял.",
        "👍",
        "👍🏽",
        "+",
        "принял\u0301",
    ],
)
def test_what_acknowledges(text):
    """Case, punctuation, spaces and accents aside."""
    assert escalation.acknowledges(text, WORDS)


@pytest.mark.parametrize("text", ["", "...", "ok ok", "okay", "no", "не принял", "0k", "++", "👎"])
def test_what_does_not(text):
    """Anything else; nothing is never a word."""
    assert not escalation.acknowledges(text, [*WORDS, "!"])


def ids(found):
    """Which orders they are."""
    return [each.id for each in found]


def test_the_last_one_and_those_of_the_hour_and_those_that_escalate():
    """Whatever the age of the last; an older one only while it escalates."""
    old = order(1, sent_at=NOW - 5 * HOUR)
    waits = order(2, sent_at=NOW - 4 * HOUR)
    lately = order(3, sent_at=NOW - HOUR)
    last = order(4, sent_at=NOW - HOUR + 1)
    assert [4, 3, 2] == ids(escalation.meant([last, lately, waits, old], {}, {2}, NOW))
    assert [1] == ids(escalation.meant([old], {}, set(), NOW))
    assert [] == escalation.meant([], {}, set(), NOW)


def test_what_is_no_alarm_is_not_meant():
    """Recoveries and what they spoke for, queries, our own words, what is taken already."""
    told = [
        order(1, source=escalation.TOOK),
        order(2, channel="hlr"),
        order(3, alarm="recovery"),
        order(4, answered_at=NOW),
        order(5),
    ]
    speaks = {3: [order(6, state="merged", merged_into=3)]}
    assert [5] == ids(escalation.meant(told, speaks, set(), NOW))


def test_a_digest_means_everything_in_it():
    """And so does a message that spoke for others."""
    spoken = [
        order(2, state="merged", merged_into=1),
        order(3, state="merged", merged_into=1, answered_at=NOW),
    ]
    assert [1, 2] == ids(escalation.meant([order(1, alarm=DIGEST)], {1: spoken}, set(), NOW))


def test_who_is_told():
    """Whoever knows: not the one who took it, not whom it never reached, nobody twice."""
    family = [
        order(1),
        order(2, target="+2"),
        order(3, target="+2"),
        order(4, target="+3", state="failed"),
        order(5, target="+4", state="waiting", sent_at=None),
        order(6, target="+5", state="merged", sent_at=None, kind="delivered"),
        order(7, target="+6", state="merged", sent_at=None, kind="later"),
        order(8, target="a@b.c", channel="mail"),
        order(9, target="g7"),
        order(10, target="+7", parent_id=9),
        order(11, target="+8", source=escalation.TOOK),
    ]
    assert [3, 6, 10] == ids(escalation.told(family, "+1"))


def test_a_mailing_is_what_many_got_and_what_escalates_nowhere():
    """More than ten phones, whatever they got."""
    ten = [order(n, target=f"+{n}") for n in range(1, 11)]
    assert not escalation.mailing([*ten, order(99, target="+1")], set())
    assert escalation.mailing([*ten, order(99, target="+99")], set())
    assert not escalation.mailing([*ten, order(99, target="+99")], {1})


def test_what_the_others_read():
    """Who, and the beginning of what; no comment, and how many more there are."""
    assert "ivan has taken it: Disk full" == escalation.telling("ivan", "Disk\nfull\n~~~\nsecret", 1, "en")
    assert "ivan занимается: x (+2)" == escalation.telling("ivan", "x", 3, "ru")
    assert len(escalation.telling("ivan", "x" * 900, 1, "xx")) < 90
