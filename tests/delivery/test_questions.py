"""How often one message may be asked about, and what is remembered of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from relay.delivery.questions import MOST, Questions
from relay.model import HOUR, MINUTE, SECOND

NOW = 1_800_000_000_000
SPAN = 61 * SECOND
A, B = ("+79991234567", "01jq"), ("+79991234568", "01jq")


def asked(*moments: int, pair: tuple[str, str] = A) -> Questions:
    """Questions of which these were put."""
    questions = Questions()
    for each in moments:
        questions.note([pair], each)
    return questions


def test_what_was_never_asked_may_be():
    """A message of which nothing is known may be asked about now, and so may nothing at all."""
    assert NOW == Questions().allowed_at([A, B], NOW)
    assert NOW == Questions().allowed_at([], NOW)


def test_five_a_minute():
    """The sixth question waits until the first is 61 seconds old."""
    assert 5 == MOST
    questions = asked(*(NOW + n for n in range(4)))
    assert NOW + 10 == questions.allowed_at([A], NOW + 10)
    questions.note([A], NOW + 10)
    assert NOW + SPAN == questions.allowed_at([A], NOW + 10)
    assert NOW + SPAN == questions.allowed_at([A], NOW + SPAN - 1)
    assert NOW + SPAN == questions.allowed_at([A], NOW + SPAN)
    assert NOW + HOUR == questions.allowed_at([A], NOW + HOUR)


def test_the_minute_slides():
    """Each question counts for its own 61 seconds, not for a minute that begins anew."""
    questions = asked(*(NOW + n * 10 * SECOND for n in range(5)))
    questions.note([A], NOW + SPAN)
    assert NOW + 10 * SECOND + SPAN == questions.allowed_at([A], NOW + SPAN)


def test_messages_are_counted_apart():
    """The same phone under another id, and another phone under the same, are other messages."""
    questions = asked(*[NOW] * 5)
    assert NOW == questions.allowed_at([B], NOW)
    assert NOW == questions.allowed_at([(A[0], "01jr")], NOW)


def test_a_question_about_several_waits_for_all():
    """Messages that are asked about together wait for the last of them that may be."""
    questions = asked(*[NOW] * 5)
    for each in range(5):
        questions.note([B], NOW + each)
    questions.note([B], NOW + 7)
    assert NOW + SPAN == questions.allowed_at([A], NOW + 8)
    assert NOW + 1 + SPAN == questions.allowed_at([A, B, ("+1", "x")], NOW + 8)
    assert NOW + 1 + SPAN == questions.allowed_at(iter([B, A]), NOW + 8)


def test_asking_whether_is_not_asking():
    """Only what was noted counts, however often it was considered."""
    questions = asked(*[NOW] * 4)
    assert [NOW] * 9 == [questions.allowed_at([A], NOW) for _ in range(9)]


def test_a_question_to_come_holds_nothing_up():
    """After the clock was set back a message does not go unasked until the clock has caught up."""
    questions = asked(*[NOW + HOUR] * 5)
    assert questions.allowed_at([A], NOW) <= NOW + SPAN


def test_old_questions_are_forgotten():
    """However many messages are asked about, those of the last minute alone are remembered for long."""
    questions = asked(NOW, *[NOW + SPAN] * 4, pair=B)
    for minute in (0, 1):
        many = [(f"+{n}", str(minute)) for n in range(20_001)]
        questions.note(many, NOW + minute)
    questions.note([A], NOW + 1 + SPAN)
    assert {A, B} == questions._asked.keys()
    questions.note([B], NOW + 1 + SPAN)
    assert NOW + 2 * SPAN == questions.allowed_at([B], NOW + 1 + SPAN)


@given(
    gaps=st.lists(st.integers(0, 30 * SECOND), max_size=40),
    pairs=st.lists(st.sets(st.sampled_from([A, B])), min_size=40, max_size=40),
)
@examples(max_examples=100)
def test_law_of_questions(gaps, pairs):
    """Who asks when it is allowed asks about no message six times a minute, and never waits for longer."""
    questions, now = Questions(), NOW
    times: dict[tuple[str, str], list[int]] = {A: [], B: []}
    for gap, wanted in zip(gaps, pairs, strict=False):
        now += gap
        allowed = questions.allowed_at(wanted, now)
        assert now <= allowed <= now + SPAN
        if allowed > now:
            assert any(len(times[each]) >= 5 and now - times[each][-5] < SPAN for each in wanted)
        now = allowed
        assert now == questions.allowed_at(wanted, now)
        questions.note(wanted, now)
        for each in wanted:
            times[each].append(now)
    for moments in times.values():
        assert all(late - early > MINUTE for early, late in zip(moments, moments[5:], strict=False))
