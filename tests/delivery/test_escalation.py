"""What a reply means, and who is told: tables."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery import escalation
from relay.delivery.escalation import Judged
from relay.model import HOUR, MINUTE, SECOND
from relay.queue import schema
from relay.queue.followups import Step
from relay.queue.rows import DIGEST, Order

NOW = 1_800_000_000_000
FIVE = 5 * MINUTE
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
        "ОК",
        "ок!",
        "Асk",
        "ok 👍",
        "👍👍🏽",
        "🫡 Ок 🫡",
        "ok ✅!!!",
        "ok =)",
        "ok ❤\ufe0f",
        "🇷🇺 принял",
        "+ 👌",
    ],
)
def test_what_acknowledges(text):
    """Case, punctuation, spaces, accents and emoji aside."""
    assert escalation.acknowledges(text, WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "", "...", "ok ok", "okay", "no", "не принял", "не ок", "0k", "++", "👎", "OK Google", "ok 👎",
        "ok\n> Disk full", "Liked “ok”", "ok?", "OK ??", "ок？", "؟ok", "ok⁉", "¿ok", "ok ❓", "ok ❌",
        "🚫 ok", "👎🏽 ok",
        "🙅\u200d♀\ufe0f ok", "ok 1️⃣", "🤷 ok", "👍 no", "😀", "=)", "ok 👍 later", "ok $",
    ],
)  # fmt: skip
def test_what_does_not(text):
    """Anything else, and whatever asks; nothing is never a word."""
    assert not escalation.acknowledges(text, [*WORDS, "!"])


def _around():
    """What may stand around a word: punctuation, blanks, emoji; nothing that asks or denies."""
    emoji = [chr(point) for point in (*range(0x1F300, 0x1FB00), *range(0x2600, 0x2768))]
    plain = st.characters(categories=("Po", "Pd", "Ps", "Pe", "Pi", "Pf", "Zs", "Zl", "Zp", "Cc", "Sk"))
    either = plain | st.sampled_from(emoji)
    return st.text(either.filter(_nods), max_size=8)


def _nods(sign):
    plain = unicodedata.normalize("NFKC", sign)
    return not any(each in escalation._NO or each in escalation._ASKS for each in plain) and not any(
        unicodedata.category(each)[0] in "LN" for each in plain
    )


CASED = st.sampled_from(["ok", "OK", "Ok", "Ок", "ack", "принял", "ПРИНЯЛ"])


@given(_around(), CASED, _around())
def test_nothing_around_a_word_takes_it_back(before, word, after):
    """Whatever punctuation, blanks and emoji stand before and behind it."""
    assert escalation.acknowledges(before + word + after, ["ok", "ack", "принял"])


@given(
    _around(),
    CASED,
    st.text("абвгдежзийлнопрстуф0123456789xyz ", min_size=1).filter(str.strip),
    st.booleans(),
)
def test_a_sentence_with_a_word_in_it_takes_nothing(around, word, more, first):
    """Any letter or digit more makes it something that only people can judge."""
    text = f"{more}{around}{word}" if first else f"{word}{around}{more}"
    assert not escalation.acknowledges(text, ["ok", "ack", "принял"])


@given(st.text(max_size=40), st.lists(st.text(max_size=8), max_size=4))
def test_any_text_is_judged(text, words):
    """Nothing raises, and without words, or without a letter of one, nothing acknowledges."""
    assert not escalation.acknowledges(text, [])
    if escalation.acknowledges(text, words):
        assert any(escalation.bare(word) in escalation.bare(text) for word in words if escalation.bare(word))


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


def test_what_never_reached_the_phone_is_not_meant():
    """Nobody takes what he was not told; what may still arrive, and what it spoke for, he does."""
    failed = order(3, state="failed", alarm=DIGEST)
    spoken = [order(4, state="merged", merged_into=3)]
    assert [] == escalation.meant([failed], {3: spoken}, {3, 4}, NOW)
    assert [2, 1] == ids(
        escalation.meant([failed, order(2, state="unknown"), order(1, state="sent")], {}, {3}, NOW)
    )


def test_what_was_sent_after_the_reply_is_not_meant():
    """A reply that was under way for long means what its phone had been told when it was said."""
    later = order(2, sent_at=NOW - HOUR)
    before = order(1, sent_at=NOW - 3 * HOUR)
    assert [1] == ids(escalation.meant([later, before], {}, {2}, NOW - 2 * HOUR))
    assert [2] == ids(escalation.meant([order(2, sent_at=NOW + escalation.CLOCKS)], {}, set(), NOW))


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
        order(12, target="+9", state="sending", sent_at=None),
        order(13, target="+10", state="unsure", sent_at=None),
    ]
    assert [3, 6, 10, 12, 13] == ids(escalation.told(family, "+1"))


def test_a_mailing_is_what_many_got_and_what_escalates_nowhere():
    """More than ten phones, whatever they got; each mail for itself."""
    ten = [order(n, mail_id=1, target=f"+{n}") for n in range(1, 11)]
    other = order(98, mail_id=2, target="+98")
    assert set() == escalation.mailings([*ten, order(99, mail_id=1, target="+1"), other], set())
    eleven = [*ten, order(99, mail_id=1, target="+99"), other]
    assert {1} == escalation.mailings(eleven, set())
    assert set() == escalation.mailings(eleven, {1})


def test_what_the_others_read():
    """Who, and the beginning of what; no comment, and how many more there are."""
    assert "ivan has taken it: Disk full" == escalation.telling("ivan", "Disk\nfull\n~~~\nsecret", 1, "en")
    assert "ivan занимается: x (+2)" == escalation.telling("ivan", "x", 3, "ru")
    assert len(escalation.telling("ivan", "x" * 900, 1, "xx")) < 90


# -- steps ----------------------------------------------------------------------------------


def step(n=1, **columns):
    """A step of the recipient 7, five minutes after its message."""
    values = {"mail_id": 1, "recipient_id": 7, "after": n * FIVE, "unless": "delivered", "channel": "call"}
    values |= {"state": "waiting", "due_at": NOW - FIVE + n * FIVE}
    return Step.of(schema.row(schema.step, id=n, n=n, **(values | columns)))


def mine(key=1, **columns):
    """An order of the recipient 7, five minutes old."""
    return order(key, **({"recipient_id": 7, "state": "sent", "start_at": NOW - FIVE} | columns))


def judged(orders, one=None, steps=(), *, recovered=False, now=NOW):
    """What becomes of a step."""
    return escalation.judge(one or step(), orders, steps, recovered=recovered, now=now)


def test_a_step_runs_at_its_time_and_not_before():
    """For the phones that have not got it."""
    orders = [mine(), mine(2, target="+2", state="delivered"), mine(3, target="+3", state="unsure")]
    assert Judged(run=True, phones=("+1", "+3")) == judged(orders)
    assert Judged(until=NOW) == judged(orders, now=NOW - 1)


def test_a_step_counts_from_the_message_s_own_time():
    """What quiet hours put off, and a step that was put off itself."""
    assert Judged(until=NOW + 2 * FIVE) == judged([mine(start_at=NOW + FIVE)])
    assert Judged(until=NOW + 9) == judged([mine()], step(due_at=NOW + 9))


def test_another_one_is_told_where_nobody_got_it():
    """An alias has got it where one of its members has."""
    boss = step(channel="", goal="boss")
    assert Judged(run=True) == judged([mine(), mine(2, target="+2")], boss)
    got = [mine(), mine(2, target="+2", state="merged", kind="delivered")]
    assert "the message was delivered" == judged(got, boss).over


def test_delivered_is_not_answered():
    """Everybody is called until somebody answers."""
    one = step(unless="answered")
    assert ("+1", "+2") == judged([mine(state="delivered"), mine(2, target="+2")], one).phones
    other = mine(9, recipient_id=8, answered_at=NOW)
    assert "somebody has taken the alarm" == judged([mine(state="delivered"), other], one).over


def test_what_an_earlier_step_brought_counts():
    """A call that was answered tells the phone as well; what a later step did, and others' orders, do not."""
    steps = [step(1, made_id=70, state="done", due_at=None), step(2), step(3, made_id=71)]
    call = mine(2, recipient_id=70, channel="call", state="delivered")
    late = NOW + FIVE
    assert "the message was delivered" == judged([mine(), call], steps[1], steps, now=late).over
    other = mine(3, recipient_id=71, state="delivered")
    assert judged([mine(), other, mine(4, recipient_id=8, state="delivered")], steps[1], steps, now=late).run


def test_once_all_is_lost_there_is_nothing_to_wait_for():
    """Failed, unknown, merged into what failed; not while one of them is open."""
    lost = [
        mine(1, state="failed", finished_at=NOW),
        mine(2, target="+2", state="unknown", finished_at=NOW),
        mine(3, target="+3", state="merged", kind="refused", finished_at=NOW),
    ]
    early = NOW - FIVE + 1
    assert judged(lost, now=early).run
    assert Judged(until=NOW) == judged([*lost, mine(4)], now=early)


def test_what_a_person_did_counts():
    """What he holds waits for him, what he gave up is over; what a cap holds is escalated."""
    for cap in ("", "-"):
        assert Judged(until=NOW + MINUTE) == judged([mine(state="held", cap=cap)])
    assert judged([mine(state="held"), mine(2)]).run
    assert judged([mine(state="held", cap="day phone +1")]).run
    assert ("+2",) == judged([mine(state="held"), mine(2, target="+2")]).phones
    beside = [mine(state="held"), mine(2, target="+2", state="delivered")]
    assert Judged(until=NOW + MINUTE) == judged(beside)
    assert "the message was given up by the operator" == judged([mine(state="dropped")]).over


def test_what_is_over_is_over():
    """The problem, whatever became of its message."""
    assert "the problem is over" == judged([mine()], recovered=True).over


def test_the_members_of_a_group_stand_for_it():
    """Each that has not got it."""
    family = [
        mine(1, target="g7"),
        mine(2, target="+2", parent_id=1),
        mine(3, target="+3", parent_id=1, state="delivered"),
    ]
    assert ("+2",) == judged(family).phones


def test_a_step_waits_for_those_before_it():
    """Even where these were put off; those of others, and what is over, hold up nobody."""
    late = NOW + FIVE
    first, second = step(1, due_at=late + 7), step(2, due_at=late)
    assert Judged(until=late + 7 + FIVE) == judged([mine()], second, [first, second], now=late)
    twin = step(2, due_at=late, after=FIVE)
    assert Judged(until=late + SECOND) == judged([mine()], twin, [step(1, due_at=late), twin], now=late)
    past = [step(1, state="over", due_at=None), step(1, recipient_id=8, due_at=late + 9), second]
    assert judged([mine()], second, past, now=late).run


def test_steps_behind_a_late_one_keep_their_distance():
    """One that is due later anyway stays; those of others, and what is over, are left alone."""
    late = NOW + 30 * FIVE
    steps = [
        step(1),
        step(2),
        step(3, due_at=late + 9 * FIVE),
        step(4, due_at=None),
        step(5, recipient_id=8),
    ]
    assert [(steps[1], late + FIVE)] == escalation.behind(steps[0], steps, late)
    assert [] == escalation.behind(steps[0], steps[:2], NOW)


def test_what_has_not_gone_out_need_not():
    """Orders of steps only, and only those that wait."""
    family = [
        mine(1, state="waiting"),
        mine(2, recipient_id=70, state="waiting"),
        mine(3, recipient_id=70, state="held"),
        mine(4, recipient_id=70),
    ]
    steps = [step(made_id=70), step(2)]
    assert [2, 3] == ids(escalation.unsent(family, steps))
    beside = [
        mine(5, recipient_id=70, state="merged", merged_into=2),
        mine(6, recipient_id=70, state="merged", kind="accepted"),
        mine(7, recipient_id=70, state="merged", finished_at=NOW),
        mine(8, recipient_id=70, state="unsure"),
        mine(9, recipient_id=70, state="sending"),
        mine(10, state="sending"),
    ]
    assert [5, 2, 3] == ids(escalation.unsent([*family, *beside], steps))
    assert [8, 9] == ids(escalation.under_way([*family, *beside], steps))


def test_a_step_is_named_without_a_number():
    """By its channel, its alias or its address."""
    named = {"": "call", "boss": "", "b2@x.org": "", "+79991234567": ""}
    assert ["call", "boss", "b2@x.org", "another phone"] == [
        step(goal=goal, channel=channel).what for goal, channel in named.items()
    ]


def test_one_of_a_digest_is_escalated_for_all():
    """The first, or the one that was; not another phone's, not another step, not what arrived."""
    orders = [mine(n, mail_id=n, recipient_id=n, state="merged", merged_into=9) for n in (1, 2)]
    first, second = (step(n, mail_id=n, recipient_id=n, due_at=NOW) for n in (1, 2))
    beside = {9: [*orders, mine(9, mail_id=9, recipient_id=9)]}

    def carried(one, of, others, rows=beside):
        return escalation.carried(one, of, rows, [first, second, *others], NOW)

    done = step(3, mail_id=2, recipient_id=2, state="done", due_at=None)
    over = "another message that went out with it is escalated"
    assert [None, Judged(until=NOW + SECOND)] == [
        carried(first, orders[:1], []),
        carried(second, orders[1:], []),
    ]
    assert Judged(over=over) == carried(first, orders[:1], [done])
    for other in (
        step(0, recipient_id=2, channel="viber"),
        step(0, recipient_id=2, state="over", due_at=None),
    ):
        assert carried(first, orders[:1], [other]) is None
    assert carried(second, [mine(2, recipient_id=2)], [], {}) is None
    assert carried(second, [mine(2, recipient_id=2, state="delivered")], [], {}) is None
    elsewhere = {9: [mine(1, recipient_id=1, target="+2")]}
    assert carried(second, orders[1:], [], elsewhere) is None


def test_a_digest_waits_for_no_step_that_is_later():
    """One whose time has not come stands for none, though it was made first: who is due is called."""
    orders = [mine(n, mail_id=n, recipient_id=n, state="merged", merged_into=9) for n in (1, 2)]
    far, near = step(1, recipient_id=1, due_at=NOW + HOUR), step(2, recipient_id=2, due_at=NOW)
    assert escalation.carried(near, orders[1:], {9: orders}, [far, near], NOW) is None
