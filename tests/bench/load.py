"""Load for an SMTP server: mails over kept or fresh connections, each reply awaited (no pipelining).

A process of its own, so that it takes none of the server's loop. Each session is one small
protocol that writes its next line when a reply is complete; nothing is parsed that need not be.
Mails are distinct: text, Message-ID and (unless `--to` names one) phone. Phones end in 4000 to
9999, which are ordinary numbers to the sandbox. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from base64 import encodebytes

import click

LINE = b"x" * 70 + b"\r\n"
SENDER = "ops@mon.example.com"


def phone(number: int) -> str:
    """A distinct ordinary phone for each number."""
    return f"79{10000 + number // 6000:05d}{4000 + number % 6000:04d}"


def mail(number: int, size: int, token: str, *, attach: bool = False) -> bytes:
    """A distinct mail of about that size, ready to be written after the 354."""
    head = (
        f"From: <{SENDER}>\r\nTo: <{phone(number)}@sms.example.com>\r\nSubject: alarm {number}\r\n"
        f"Date: Wed, 01 Jul 2026 10:00:00 +0000\r\nMessage-ID: <{number}.{token}@mon.example.com>\r\n"
        "MIME-Version: 1.0\r\n"
    )
    text = f"host{number} is down, disk {number % 100} % full\r\n"
    if not attach:
        head += f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}"
        return head.encode() + LINE * max(0, (size - len(head)) // len(LINE)) + b".\r\n"
    head += (
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n'
        f"{text}--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        'Content-Disposition: attachment; filename="log.pdf"\r\n\r\n'
    )
    return head.encode() + _octets(size - len(head)) + b"--b--\r\n.\r\n"


def _octets(size: int) -> bytes:
    piece = encodebytes(b"%PDF-1.4\n" + os.urandom(57 * 1024 - 9)).replace(b"\n", b"\r\n")
    return piece * max(1, size // len(piece))


class Work:
    """What all sessions share: the mails still to be sent, and what became of them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.token = f"{os.getpid()}.{time.time_ns()}"
        self.next = args.first
        self.last = args.first + args.mails
        self.taken = self.refused = 0
        self.done = asyncio.get_running_loop().create_future()
        self.open = 0
        self.big = mail(0, args.size, self.token, attach=True) if args.attach else b""

    def take(self) -> int | None:
        """The number of the next mail."""
        if self.next >= self.last:
            return None
        self.next += 1
        return self.next - 1

    def content(self, number: int) -> bytes:
        """Large mails differ in nothing but their number: making each would cost too much."""
        if self.big:
            return self.big.replace(b"Message-ID: <0.", b"Message-ID: <%d." % number, 1)
        return mail(number, self.args.size, self.token)

    def recipient(self, number: int) -> str:
        return self.args.to or f"{phone(number)}@{self.args.host}"


class Client(asyncio.Protocol):
    """One session: greeting, EHLO, then MAIL, RCPT, DATA, text, again and again or QUIT."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._buffer = b""
        self._step = 0
        self._number: int | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._buffer.endswith(b"\r\n"):
            return
        lines = self._buffer.splitlines()
        if lines[-1][3:4] == b"-":  # more lines of this reply are to come
            return
        self._buffer = b""
        self._heard(lines[-1])

    def connection_lost(self, _error: Exception | None) -> None:
        work = self._work
        work.open -= 1
        if self._number is not None:  # the server left within a mail
            work.refused += 1
        if work.args.fresh and work.next < work.last:
            connect(work)
        elif work.open == 0 and not work.done.done():
            work.done.set_result(None)

    def _heard(self, line: bytes) -> None:
        good = line[:1] in (b"2", b"3")
        match self._step:
            case 0:
                self._say(b"EHLO bench.example.com\r\n", 1)
            case 1:
                self._begin()
            case 2 if good:
                self._say(b"RCPT TO:<%s>\r\n" % self._work.recipient(self._number or 0).encode(), 3)
            case 3 if good:
                self._say(b"DATA\r\n", 4)
            case 4 if good:
                self._say(self._work.content(self._number or 0), 5)
            case 5 if good:
                self._work.taken += 1
                self._next()
            case 2 | 3 | 4 | 5:
                self._work.refused += 1
                self._say(b"RSET\r\n", 6)
            case 6:
                self._next()
            case _:
                assert self._transport is not None
                self._transport.close()

    def _next(self) -> None:
        self._number = None
        if self._work.args.fresh:
            self._say(b"QUIT\r\n", 7)
        else:
            self._begin()

    def _begin(self) -> None:
        self._number = self._work.take()
        if self._number is None:
            self._say(b"QUIT\r\n", 7)
        else:
            self._say(b"MAIL FROM:<%s>\r\n" % SENDER.encode(), 2)

    def _say(self, octets: bytes, step: int) -> None:
        self._step = step
        assert self._transport is not None
        self._transport.write(octets)


_TASKS: set[asyncio.Task[object]] = set()


def connect(work: Work) -> None:
    """Open one more session."""
    work.open += 1
    host, _, port = work.args.address.rpartition(":")
    made = asyncio.get_running_loop().create_connection(lambda: Client(work), host, int(port))
    task: asyncio.Task[object] = asyncio.ensure_future(made)
    _TASKS.add(task)

    def connected(task: asyncio.Task[object]) -> None:
        _TASKS.discard(task)
        if not task.cancelled() and task.exception() is not None and not work.done.done():
            work.done.set_exception(task.exception())

    task.add_done_callback(connected)


async def main(args: argparse.Namespace) -> None:
    """Send all mails, then say how long that took."""
    work = Work(args)
    start = time.perf_counter()
    for _ in range(min(args.sessions, args.mails)):
        connect(work)
    await work.done
    seconds = time.perf_counter() - start
    said = {"taken": work.taken, "refused": work.refused, "seconds": seconds, "rate": work.taken / seconds}
    click.echo(json.dumps(said))


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Send mails as fast as the server takes them.")
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("--mails", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first mail")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--size", type=int, default=1000, help="octets of each mail")
    parser.add_argument("--fresh", type=int, default=0, help="1: a connection for each mail")
    parser.add_argument("--attach", type=int, default=0, help="1: most of the mail is an attachment")
    parser.add_argument("--host", default="sms.example.com", help="the domain of the phones")
    parser.add_argument("--to", default="", help="one recipient for all")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(options()))
