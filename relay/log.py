"""The log: one line an event, on stderr, as JSON (or for a terminal, in words).

Events are the words of the trade (queued, refused, sent, failed); what belongs to them is in
fields. Texts of messages and secrets are never given to the log, so nothing here hides them. Of
an exception the log has type and place, and its words only where they are the system's or our
own: what others raise may quote a mail. Phone numbers are given as `masking.Masked`, and what looks
like one in the words of others is masked here, unless `log.numbers` wants them plain.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

_NUMBER = re.compile(r"\+[0-9][0-9 ().-]{7,20}[0-9]|(?<![\w.])[0-9](?:[ ()-]{0,2}[0-9]){8,14}(?!\w)")
_SHORTEST = 9  # characters of what looks like a number
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def _fields(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What `extra` gave, as fields of the event."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event.update(_extra(record))
    return event


def _exception(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The exception as text, for a reader and without what it may quote."""
    found = event.pop("exc_info", None)
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(_chain(error))
    return event


def _chain(error: BaseException) -> list[str]:
    """The exception, then what caused it and so on."""
    lines: list[str] = []
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        kind = type(cause)
        ours = isinstance(cause, OSError) or kind.__module__.partition(".")[0] == "relay"
        lines.append(f"{kind.__module__}.{kind.__qualname__}" + (f": {cause}" if ours else ""))
        lines += [line.rstrip("\n") for line in traceback.format_tb(cause.__traceback__)]
        if isinstance(cause, BaseExceptionGroup):
            lines += [line for each in cause.exceptions for line in _chain(each)]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return lines


def _plain(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: getattr(value, "whole", value) for key, value in event.items()}


def _masked(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: _without_numbers(value) for key, value in event.items()}


def _without_numbers(value: object) -> object:
    if isinstance(value, str):
        if len(value) < _SHORTEST:
            return value
        return _NUMBER.sub(lambda match: f"***{match[0][-4:]}", value)
    if isinstance(value, list | tuple):
        return [_without_numbers(each) for each in value]
    return value


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {k: v for k, v in record.__dict__.items() if k not in _STANDARD and k[0] != "_"}


_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Writes what structlog would write; an event without a traceback takes a fifth of the time."""

    last: structlog.typing.Processor  # what is done to all fields before they are written

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info or record.exc_text or record.stack_info:
            return super().format(record)
        event = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            **_extra(record),
        }
        return _encode(self.last(None, "", event))


def set_up(stream: TextIO | None = None, *, level: str = "INFO", numbers: str = "masked") -> None:
    """Send the standard library's log to `stream` (default stderr) in our form.

    `numbers` is `masked`, or `plain` for phone numbers in full.
    """
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
    last = _plain if numbers == "plain" else _masked
    form = structlog.stdlib.ProcessorFormatter if stream.isatty() else _Formatter
    formatter = form(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _exception,
            last,
            render,
        ],
    )
    if isinstance(formatter, _Formatter):
        formatter.last = last
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # no line names a thread, a process or a place in the code; to find them out takes half of its time
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - the switch that its manual names
    for name in ("mail.log", "mail.debug", "aiohttp.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
