"""The log is one line of JSON an event, whichever way it is written."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from relay import log


@pytest.fixture(params=["masked", "plain"])
def written(request):
    """What the log wrote; afterwards the log is as it was."""
    root = logging.getLogger()
    before = root.handlers, root.level
    stream = io.StringIO()
    log.set_up(stream, numbers=request.param)
    yield stream
    root.handlers, root.level = before


def test_an_event_is_what_structlog_makes_of_it(written):
    """The short way and structlog's own write the same, but for the moment."""
    formatter = logging.getLogger().handlers[0].formatter
    extra = {
        "mail": "0abc",
        "n": 1,
        "to": "+79991234567",
        "also": ["79991234567", 5],
        "why": 'a "quoted" ключ',
        "odd": {1, 2},
        "none": None,
        "level_": 1.5,
        "_no": 1,
    }
    record = logging.getLogger("relay.x").makeRecord(
        "relay.x", logging.WARNING, "f", 1, "took %s", ("a",), None, extra=extra
    )
    short = json.loads(formatter.format(record))
    long = json.loads(structlog.stdlib.ProcessorFormatter.format(formatter, record))
    assert list(short) == list(long)
    assert len(short.pop("timestamp")) == len(long.pop("timestamp"))
    assert short == long
    assert "" == written.getvalue()


def test_a_traceback_stands_in_its_event(written):
    """What went wrong is told with where it did, on the same line."""
    try:
        int("what")
    except ValueError:
        logging.getLogger("relay.x").exception("broke", extra={"peer": "a"})
    event = json.loads(written.getvalue())
    assert ("broke", "error", "a") == (event["event"], event["level"], event["peer"])
    assert "ValueError" in event["exception"]
