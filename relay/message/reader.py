"""Mail is read without holding up the event loop: small mail here, the rest in a worker process.

Small is also a plain text of up to a quarter of a megabyte: it is read faster than handed over.

A worker reads one mail at a time, within an address space and a time of its own; it holds
neither configuration nor sockets nor secrets. One that breaks a limit or dies is replaced, and
its mail is `Unreadable`: the same mail may be better liked tomorrow, so that is temporary.
Octets cross by files in the spool folder, everything else as one JSON value; what a worker
says of paths is not believed. Workers start when the first large mail comes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import relay
from relay import model
from relay.message import content

PREFIX = "part-"  # of every file that is made here in the spool folder
_QUICK = 8  # times as large as other mail may be what is read here since it `is_quick`
_MAILS = 500  # one worker reads, before a fresh one takes its place
_ANSWER = 64 * 1024 * 1024  # octets


class Unreadable(Exception):  # noqa: N818 - a state of the mail, not a fault of ours
    """The mail could not be read now: its worker ran out of time or memory, or died."""


class _Died(Unreadable):
    """The worker is gone; another may do."""


class _Worker:
    """A child process that reads mails one after another."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.mails = 0

    @classmethod
    async def start(cls, memory: int, seconds: float) -> _Worker:
        program = (sys.executable, "-P", "-s", "-m", "relay.message.reader_worker", str(memory), str(seconds))
        return cls(
            await asyncio.create_subprocess_exec(
                *program,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PYTHONPATH": str(Path(relay.__file__).parents[1]), "LC_ALL": "C.UTF-8"},
                start_new_session=True,  # a Ctrl-C is for the server, which drains first
            )
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, question: dict[str, str]) -> dict[str, Any]:
        """The worker's answer; what a broken pipe raises goes to the caller."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ConnectionError("no pipes")
        stdin.write(json.dumps(question).encode() + b"\n")
        await stdin.drain()
        length = int.from_bytes(await stdout.readexactly(4), "big")
        if length > _ANSWER:
            raise ValueError("an answer too long")
        answer: dict[str, Any] = dict(json.loads(await stdout.readexactly(length)))
        self.mails += 1
        return answer

    async def end(self) -> None:
        """Kill it and wait for its end, so that no zombie stays."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


class Reader:
    """Reads mails, at most `workers` large ones at once; others wait."""

    def __init__(
        self,
        *,
        spool_dir: str,
        workers: int = 1,
        inline_max: int = 32 * 1024,
        timeout: float = 60.0,
        memory: int = 1 << 30,
    ) -> None:
        self._spool = Path(spool_dir)
        self._turns = asyncio.Semaphore(workers)
        self._inline_max = inline_max
        self._quick_max = _QUICK * inline_max
        self._timeout = timeout
        self._memory = memory
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._closed = False

    async def read(self, *, data: bytes = b"", path: str = "", size: int, charset: str = "") -> model.Letter:
        """The letter that a mail holds, given as octets or as a file; raises Unreadable.

        Large files of the letter lie in the spool folder then, and are the caller's to unlink.
        """
        if size <= self._inline_max or (size <= self._quick_max and data and content.is_quick(data)):
            return content.read(await asyncio.to_thread(_small, path, size) if path else data, charset)
        async with self._turns:
            prefix = self._spool / f"{PREFIX}{secrets.token_hex(8)}-"
            if path:
                return await self._read(path, str(prefix), charset)
            mail = f"{prefix}mail"
            try:
                await asyncio.to_thread(_write, mail, data)
                return await self._read(mail, str(prefix), charset)
            except OSError as error:
                raise Unreadable(f"the spool took no file: {error.strerror}") from None
            finally:
                await asyncio.to_thread(Path(mail).unlink, missing_ok=True)

    async def close(self) -> None:
        """End the workers; a mail that is being read meanwhile is unreadable."""
        self._closed = True
        for worker in [*self._idle, *self._busy]:
            await worker.end()
        self._idle.clear()

    async def _read(self, path: str, prefix: str, charset: str) -> model.Letter:
        if self._closed:
            raise Unreadable("the reader is closed")
        try:
            answer = await self._answer({"path": path, "prefix": prefix, "charset": charset})
            return _letter(answer, prefix)
        except BaseException:
            await asyncio.to_thread(_sweep, prefix)
            raise

    async def _answer(self, question: dict[str, str]) -> dict[str, Any]:
        """A worker's answer. One that died while it waited for work costs the mail nothing."""
        while True:
            waited = bool(self._idle)
            try:
                return await self._ask(question)
            except _Died:
                if not waited:
                    raise

    async def _ask(self, question: dict[str, str]) -> dict[str, Any]:
        if self._closed:
            raise Unreadable("the reader was closed")
        try:
            worker = self._idle.pop() if self._idle else await _Worker.start(self._memory, self._timeout)
        except OSError as error:  # no file descriptor, no process, no memory left
            raise Unreadable(f"no process to read the mail: {error.strerror}") from None
        self._busy.add(worker)
        keep = False
        try:
            if self._closed:
                raise Unreadable("the reader was closed")
            async with asyncio.timeout(self._timeout):
                answer = await worker.ask(question)
            keep = "error" not in answer and worker.mails < _MAILS and not self._closed
        except TimeoutError:
            raise Unreadable("the mail could not be read in time") from None
        except (OSError, EOFError, TypeError, ValueError):
            raise _Died("the process that read the mail died") from None
        finally:
            self._busy.discard(worker)
            if keep:
                self._idle.append(worker)
            else:
                await asyncio.shield(worker.end())
        if "error" in answer:
            raise Unreadable(f"the mail could not be read: {str(answer['error'])[:80]}")
        return answer


def _small(path: str, size: int) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(size)


def _write(path: str, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(data)


def _sweep(prefix: str) -> None:
    """Unlink what a worker left behind."""
    base = Path(prefix)
    for each in base.parent.glob(f"{base.name}*"):
        each.unlink(missing_ok=True)


def _letter(answer: dict[str, Any], prefix: str) -> model.Letter:
    """The letter that a worker described; raises Unreadable where it described none."""
    try:
        answer["headers"] = tuple((name, value) for name, value in answer["headers"])
        answer["head"] = base64.b64decode(answer["head"])
        answer["files"] = tuple(_file(each, prefix) for each in answer["files"])
        answer["auto"] = model.Auto(answer["auto"])
        answer["notes"] = tuple(answer["notes"])
        return model.Letter(**answer)
    except (KeyError, TypeError, ValueError):
        raise Unreadable("the process that read the mail gave no letter") from None


def _file(described: dict[str, Any], prefix: str) -> model.File:
    path = described.pop("path")
    if path and (not path.startswith(prefix) or "/" in path.removeprefix(prefix)):
        raise ValueError("a path that is none of ours")
    return model.File(**{**described, "data": base64.b64decode(described["data"]), "path": path})
