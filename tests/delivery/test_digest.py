"""Digests and marks of lateness: their words, their limits, their rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay.delivery import digest, plan, stale
from relay.delivery.digest import PARTS
from relay.delivery.judging import clock_time
from relay.message import gsm, masks
from relay.model import DAY, HOUR, MINUTE, Ids
from relay.queue import schema
from relay.queue.rows import DIGEST, Content, Order
from relay.queue.states import State

NOW = 1_800_000_000_000


def content(number: int, text: str, channel: str = "sms", **params: str) -> Content:
    """A stored text."""
    size = gsm.measure(text)
    row = schema.row(
        schema.content, id=number, mail_id=number, channel=channel, text=text, params=json.dumps(params),
        files="[]", notes="[]", alphabet=size.alphabet, parts=size.parts if channel == "sms" else 0,
    )  # fmt: skip
    return Content(**row)


def order(number: int, text: str = "x", channel: str = "sms", **columns: object) -> Order:
    """A waiting order of that text."""
    row = schema.row(
        schema.orders, id=number, content_id=number, channel=channel, target="+79991234567",
        mask=masks.mask(text), says=text, digest=text, state=State.WAITING.value,
        **{"account": "main", "start_at": NOW, **columns},
    )  # fmt: skip
    return Order.of(row)


def said(texts: Sequence[str], language: str = "en") -> str:
    """The digest of these texts."""
    orders = [order(n, text) for n, text in enumerate(texts, 1)]
    contents = {n: content(n, text) for n, text in enumerate(texts, 1)}
    return digest.text_of(orders, contents, local=lambda _: "12:04", language=language)


@pytest.mark.parametrize(
    ("texts", "language", "wanted"),
    [
        (["disk 1", "disk 2", "fan"], "en", "+3 more since 12:04:\n2x disk 2\nfan"),
        (["disk 1", "disk 2", "fan"], "ru", "+3 more since 12:04:\n2x disk 2\nfan"),
        (["насос", "насос"], "ru", "ещё 2 с 12:04:\n2x насос"),
        (["насос", "насос"], "en", "+2 more since 12:04:\n2x насос"),
        (["a\nb  c\n~~~\nfor the owner", "fan"], "en", "+2 more since 12:04:\na b c\nfan"),
        (["look <file 1> here", "fan"], "en", "+2 more since 12:04:\nlook here\nfan"),
    ],
)
def test_words_of_a_digest(texts, language, wanted):
    """Count, since when, the most frequent kinds with the youngest of each."""
    assert wanted == said(texts, language)


def test_a_digest_says_how_many_kinds_it_leaves_out():
    """Long examples are shortened, and as many shown as have room to say something."""
    texts = [f"{chr(97 + n) * 8} {'word ' * 30}" for n in range(12)]
    text = said(texts)
    assert text.startswith("+12 more since 12:04, 12 kinds:\n")
    assert 6 == len(text.split("\n"))
    assert all(line.endswith("...") for line in text.split("\n")[1:])


def test_a_text_that_is_gone_counts():
    """Where a content is not there any more, its message is still counted."""
    assert "+2 more since 12:04:\nx\n?" == digest.text_of(
        [order(1), order(2, "y")], {1: content(1, "x")}, local=lambda _: "12:04", language="en"
    )


@given(st.lists(st.text(min_size=1, max_size=400), min_size=1, max_size=60), st.sampled_from(["en", "ru"]))
@examples(max_examples=150)
def test_law_of_length(texts, language):
    """Whatever was to be said, it takes two parts at most, and says how many there are."""
    text = said(texts, language)
    assert gsm.measure(text).parts <= PARTS
    assert str(len(texts)) in text.split("\n")[0]


def test_rows_of_a_digest():
    """It goes as the first would, ahead of recoveries, for as long as the last may wait; it has no sender."""
    orders = [
        order(1, "a", "viber", rank=-4, expire_at=NOW + HOUR),
        order(2, "b", expire_at=NOW + DAY),
    ]
    contents = {1: content(1, "a", "viber", viber="1", sender="ops", time="0-24"), 2: content(2, "b")}
    made = digest.make(orders, contents, now=NOW, ids=Ids(1), local=lambda _: "12:04", language="en")
    assert ("viber", "main", -6, NOW + DAY, DIGEST) == (
        made.order.channel, made.order.account, made.order.rank, made.order.expire_at, made.order.alarm
    )  # fmt: skip
    assert {"viber": "1", "sender": "ops"} == json.loads(made.content["params"])
    assert ("", 0) == (made.content["alphabet"], made.content["parts"])
    assert ("", made.mail.id) == (made.mail.sender, made.recipient.mail_id)
    assert (made.recipient.id, made.mail.id) == (made.order.recipient_id, made.order.mail_id)


def made_of(first: dict[str, object], second: dict[str, object], **params: dict[str, str]) -> digest.Digest:
    """The digest of two orders; `one` and `two` are parameters of their contents."""
    orders = [order(1, "a", **first), order(2, "b", **second)]
    contents = {1: content(1, "a", **params.get("one", {})), 2: content(2, "b", **params.get("two", {}))}
    return digest.make(orders, contents, now=NOW, ids=Ids(1), local=lambda _: "12:04", language="en")


ABC, CB = json.dumps(["a", "b", "c"]), json.dumps(["c", "b"])


@pytest.mark.parametrize(
    ("first", "second", "choice"),
    [
        ({"accounts": ABC}, {"accounts": ABC}, ("a", "b", "c")),
        ({"accounts": ABC}, {"accounts": CB}, ("b", "c")),
        ({"accounts": ABC}, {}, ("b",)),
        ({}, {}, ("b",)),
    ],
)
def test_accounts_of_a_digest(first, second, choice):
    """It may go by those accounts by which each of its messages may, in the order of the first."""
    made = made_of({"account": "b", **first}, {"account": "b", **second})
    assert ("b", choice) == (made.order.account, made.order.choice)


@pytest.mark.parametrize(
    ("first", "second", "source", "quiet", "cap"),
    [
        ({"source": "x", "quiet": "22-7", "cap": "-"}, {"source": "x", "quiet": "21-7", "cap": "-"},
         "x", "22-7", "-"),
        ({"source": "x", "quiet": "22-7", "cap": "-"}, {"source": "y"}, "x", "", ""),
        ({"source": "x"}, {"source": "watch", "quiet": "22-7", "cap": "-"}, "watch", "", ""),
    ],
)  # fmt: skip
def test_what_holds_for_a_digest(first, second, source, quiet, cap):
    """Quiet hours and a leave to pass caps that all have; nothing stops what the operator is told."""
    made = made_of(first, second).order
    assert (source, quiet, cap, NOW) == (made.source, made.quiet, made.cap, made.counted_at)


@pytest.mark.parametrize(
    ("one", "two", "kept"),
    [
        ({"time": "7-22", "tz": "-3"}, {"time": "8-21"}, {"time": "7-22", "tz": "-3"}),
        ({"time": "7-22"}, {"time": "7-22"}, {"time": "7-22"}),
        ({"time": "7-22", "tz": "-3"}, {}, {}),
        ({"time": "+5"}, {"time": "+5"}, {}),
    ],
)
def test_hours_that_the_provider_keeps(one, two, kept):
    """Where the provider is to leave the phone alone with each message, it does with the digest."""
    assert kept == json.loads(made_of({}, {}, one=one, two=two).content["params"])


def test_clock_time():
    """The hour and minute; with the day once it is half a day ago."""
    assert 5 == len(clock_time(NOW - HOUR, now=NOW))
    assert 11 == len(clock_time(NOW - 12 * HOUR, now=NOW))


# -- what is late ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "late", "minutes"),
    [
        ("sms", 15 * MINUTE, 0),
        ("sms", 15 * MINUTE + 1, 15),
        ("call", 125 * MINUTE, 125),
        ("bot", 125 * MINUTE, 125),
        ("mail", DAY, 0),
        ("hlr", DAY, 0),
        ("bin", DAY, 0),
        ("push", DAY, 0),
        ("tg", DAY, 0),
        ("forward", DAY, 0),
        ("sms", -HOUR, 0),
    ],
)
def test_what_is_late(channel, late, minutes):
    """More than a quarter of an hour after its time, where words are sent to people."""
    assert minutes == stale.minutes(order(1, channel=channel), NOW + late)


@pytest.mark.parametrize(
    ("text", "late", "language", "wanted"),
    [
        ("disk full", 125, "en", "(delayed 2 h 05 min) disk full"),
        ("disk full", 16, "en", "(delayed 16 min) disk full"),
        ("disk full", 125, "ru", "(delayed 2 h 05 min) disk full"),
        ("насос", 125, "ru", "(с опозданием 2 ч 05 мин) насос"),
        ("насос", 40, "ru", "(с опозданием 40 мин) насос"),
        ("насос", 125, "en", "(delayed 2 h 05 min) насос"),
        ("disk full", 0, "en", "disk full"),
        ("x" * 150, 125, "en", "(+2h05) " + "x" * 150),
        ("x" * 155, 125, "en", "x" * 155),
        ("ж" * 60, 16, "ru", "(+16 мин) " + "ж" * 60),
        ("disk\n~~~\ncomment", 16, "en", "(delayed 16 min) disk\n~~~\ncomment"),
        ("__MMS__: x", 125, "en", "__MMS__: x"),
        ("<file 1> look", 125, "en", "<file 1> look"),
    ],
)
def test_marks(text, late, language, wanted):
    """A mark makes no further part; where even the short one would, there is none."""
    assert wanted == stale.marked(content(1, text), late, language)


def test_marks_of_channels_without_parts():
    """A thousand characters are the limit."""
    assert stale.marked(content(1, "x" * 975, "viber"), 125, "en").startswith("(delayed")
    assert stale.marked(content(1, "x" * 990, "viber"), 125, "en").startswith("(+2h05) ")
    assert "x" * 999 == stale.marked(content(1, "x" * 999, "viber"), 125, "en")
    assert {"text": "y"} == stale.counted(content(1, "x", "viber"), "y")
    assert {"text": "ж", "alphabet": "ucs2"} == stale.counted(content(1, "x"), "ж")


def test_marks_of_what_the_provider_transliterates():
    """It is counted as the Latin text that it becomes, and marked in English."""
    row = content(1, "насос", translit="1")
    assert "(delayed 2 h 05 min) насос" == stale.marked(row, 125, "ru")


def test_equal_texts_of_other_age_are_other_requests():
    """What says another delay is another text."""
    rows = [order(1, "x"), order(2, "x", start_at=NOW)]
    rows[1] = Order.of({**{f: getattr(rows[1], f) for f in rows[1].__slots__}, "target": "+79991234568"})
    assert 1 == len(plan.groups(rows, NOW + HOUR))
    older = Order.of({**{f: getattr(rows[1], f) for f in rows[1].__slots__}, "start_at": NOW - HOUR})
    assert 2 == len(plan.groups([rows[0], older], NOW + HOUR))
