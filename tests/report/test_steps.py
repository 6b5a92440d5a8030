"""What reports say of steps: a line each, in both languages, no number of the operator's."""

from __future__ import annotations

from relay.queue import schema
from relay.queue.followups import Step
from relay.report import steps


def step(n, **columns):
    """A step of the recipient 7."""
    return Step.of(schema.row(schema.step, id=n, n=n, **({"recipient_id": 7, "state": "waiting"} | columns)))


FOUND = [
    step(1, channel="call", state="over", said="the message was delivered"),
    step(2, goal="+79991234567", state="done"),
    step(3, goal="boss"),
    step(1, recipient_id=8, channel="call"),
]


def test_a_line_for_each_step():
    """Which, what, and what became of it."""
    assert (
        "escalation, step 1 of 3 (call): was not sent: the message was delivered",
        "escalation, step 2 of 3 (another phone): was sent",
        "escalation, step 3 of 3 (boss): waits for its time",
    ) == steps.notes(FOUND, 7, "en")


def test_in_russian():
    """Every reason that the relay gives; another language is English."""
    assert (
        "эскалация, шаг 1 из 3 (call): не отправлен: сообщение доставлено",
        "эскалация, шаг 2 из 3 (другой телефон): отправлен",
        "эскалация, шаг 3 из 3 (boss): ждёт своего времени",
    ) == steps.notes(FOUND, 7, "ru")
    assert ("escalation, step 1 of 1 (call): waits for its time",) == steps.notes(FOUND, 8, "xx")
