"""The process that reads large mail: a question on stdin, an answer on stdout, until stdin ends.

A question is a line of JSON: where the mail lies and how the files are to be named that it
holds. An answer is a length and JSON. Limits on memory and processor time are set here, before
the first mail; the time on the wall is the parent's to watch.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

from relay import model
from relay.message import content

_INLINE = 64 * 1024  # octets of a file that travels in the answer
_INLINE_ALL = 1024 * 1024  # and of all that do


def main(arguments: list[str]) -> None:
    """Serve until stdin ends; the arguments are octets of memory and seconds for one mail."""
    memory, seconds = int(arguments[0]), float(arguments[1])
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # the parent decides when it is over
    limit_memory(memory)
    serve(sys.stdin.buffer, sys.stdout.buffer, seconds)


def limit_memory(memory: int) -> None:
    """Let this process grow by so many octets and no more; no core files of people's mail."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def serve(questions: BinaryIO, answers: BinaryIO, seconds: float) -> None:
    """Answer each question in turn."""
    for line in questions:
        _limit_time(seconds)
        try:
            answer = read(**json.loads(line))
        except Exception as fault:  # noqa: BLE001 - whatever it stumbles over, the parent is answered
            answer = {"error": type(fault).__name__}
        body = json.dumps(answer, ensure_ascii=False).encode()
        answers.write(len(body).to_bytes(4, "big") + body)
        answers.flush()


def _limit_time(seconds: float) -> None:
    """Of the processor, should the parent be gone and unable to kill."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 2
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def read(path: str, prefix: str, charset: str = "") -> dict[str, Any]:
    """The letter in the file `path`, as JSON can say it; its large files go to `prefix`N."""
    letter = content.read(Path(path).read_bytes(), charset)
    described = {name: getattr(letter, name) for name in model.Letter.__slots__}
    described["head"] = base64.b64encode(letter.head).decode()
    left, files = _INLINE_ALL, []
    for number, file in enumerate(letter.files):
        inline = file.size <= min(_INLINE, left)
        left -= file.size if inline else 0
        files.append(_described(file, "" if inline else f"{prefix}{number}"))
    described["files"] = files
    return described


def _described(file: model.File, path: str) -> dict[str, Any]:
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as spooled:  # noqa: PTH123 - a descriptor
            spooled.write(file.data)
    said = {name: getattr(file, name) for name in model.File.__slots__}
    return {**said, "path": path, "data": "" if path else base64.b64encode(file.data).decode()}


if __name__ == "__main__":
    main(sys.argv[1:])
