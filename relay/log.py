"""The log: one line an event, on stderr, as JSON (or for a terminal, in words).

Events are the words of the trade (queued, refused, sent, failed); what belongs to them is in
fields. Texts of messages and secrets are never given to the log, so nothing here hides them;
phone numbers are masked where they are given (`model.phone_masked`).
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def _fields(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What `extra` gave, as fields of the event."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event.update({k: v for k, v in record.__dict__.items() if k not in _STANDARD and k[0] != "_"})
    return event


def set_up(stream: TextIO | None = None, *, level: str = "INFO") -> None:
    """Send the standard library's log to `stream` (default stderr) in our form."""
    stream = stream or sys.stderr
    render: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if stream.isatty():
        render = structlog.dev.ConsoleRenderer()
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _fields,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            render,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("mail.log", "mail.debug", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
