"""Whoever waits for an outcome when the rows can't be read or changed any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import START, StillClock

from relay import model, replies
from relay.model import Ids
from relay.queue.sqlite import SQLite
from relay.queue.store import Store
from relay.smtp.waiting import MARGIN, Pending, Waiting

MAIL = model.key_at(START)
QUEUED = replies.queued(model.show(MAIL))


def waiting() -> Waiting:
    """One that nobody else listens to."""
    return Waiting(lambda _order, _state, _outcome: None)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("each", "answer"), [(None, QUEUED), (["a@x", replies.NO_MAILBOX], [QUEUED, replies.NO_MAILBOX])]
)
async def test_rows_that_cannot_be_read_are_queued(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, each: list[object] | None, answer: object
) -> None:
    """The mail is stored: a 4xx would bring it once more. Nothing counts as told."""
    engine = SQLite(str(tmp_path / "relay.db"))
    store = Store(engine, Ids(1), StillClock())
    await engine.close()
    outcomes = waiting()
    pending = Pending(outcomes.expect(MAIL, START + 20_000), outcomes, store, key="", each=each)

    assert answer == await pending.answer()
    await pending.heard()
    assert ["an outcome could not be read for an answer"] == [each.message for each in caplog.records]
    assert 0 == outcomes.count


@pytest.mark.asyncio
async def test_what_cannot_be_marked_is_reported_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk fails after the refusal was written: a second word, and a line in the log."""
    engine = SQLite(str(tmp_path / "relay.db"))
    store = Store(engine, Ids(1), StillClock())
    outcomes = waiting()
    pending = Pending(outcomes.expect(MAIL, START + 20_000), outcomes, store, key="key")
    pending._refused = {1}
    await engine.close()

    await pending.heard()
    assert ["a refusal will be reported too"] == [each.message for each in caplog.records]


def test_reports_are_held_back_while_somebody_waits() -> None:
    """Until the last one's time is up, and a little longer; a mail that nobody waits for is not."""
    outcomes = waiting()
    first, second = outcomes.expect(MAIL, 10), outcomes.expect(MAIL, 30)
    assert 30 + MARGIN == outcomes.held_until(MAIL)
    outcomes.drop(second)
    assert 10 + MARGIN == outcomes.held_until(MAIL)
    outcomes.drop(first)
    outcomes.drop(first)
    assert 0 == outcomes.held_until(MAIL) == outcomes.count
