"""Hostile sessions at every kind of door: under TLS, logging in, behind a proxy, cut and spoilt anywhere.

The law: a session ends; what is said are replies of the protocol, in its order; a mail is stored
where, and only where, it was answered 250; nothing of a session stays. On both loops.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
import pytest_asyncio
from fuzzing import (
    EHLO,
    EPILOGUE,
    EVIL,
    LOGIN,
    MAIL,
    PIECES,
    SCRIPTS,
    SHAKE,
    STARTTLS,
    Step,
    Wire,
    Witness,
    bounded,
    judge,
    play,
    queued,
    surely,
)
from hypothesis import example, given
from hypothesis import strategies as st

pytestmark = pytest.mark.asyncio

HERE = "127.0.0.0/8"
HEADER = b"PROXY TCP4 127.0.0.9 127.0.0.1 4711 25\r\n"
DOORS = [
    {"tls": "starttls", "auth": "optional"},
    {"tls": "starttls", "auth": "optional", "clear": HERE},
    {"tls": "starttls", "protocol": "lmtp", "line_endings": "normalise"},
    {"tls": "required", "auth": "required"},
    {"tls": "implicit", "auth": "optional"},
    {"tls": "implicit", "protocol": "lmtp"},
    {"tls": "implicit", "auth": "required", "proxies": HERE},
    {"tls": "starttls", "proxies": HERE},
    {"auth": "required", "clear": HERE},
    {"profile": "legacy", "tls": "starttls", "auth": "optional", "clear": HERE},
    {"profile": "legacy", "tls": "implicit", "protocol": "lmtp"},
]
TINY = {"max_size": 120, "spool_over": 15, "command_line": 150, "max_recipients": 3, "errors": 1000}
SECONDS = 2.0  # of the processor, for one session


class Door:
    """One listener, with its witness."""

    def __init__(self, opened, witness, kind, pki) -> None:
        self.opened, self.witness = opened, witness
        self._kind, self._context = kind, pki.client()

    async def hold(self, script: list[Step]) -> Wire:
        """Play a session, and hold it to the law."""
        known = len(self.witness.stored)
        header = HEADER if "proxies" in self._kind else b""
        wire = Wire(self._context, implicit=self._kind.get("tls") == "implicit", header=header)
        begun = time.process_time()
        await play(self.opened.listener.address, wire, script)
        async with asyncio.timeout(20):
            while self.opened.registry.count:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0)
        assert time.process_time() - begun < SECONDS

        for said in (wire.clear, wire.secret):
            judge(said.decode())
        assert wire.noise[:1] in (b"", b"\x15", b"\x16"), wire.noise
        assert [] == self.witness.faults
        stored = set(self.witness.stored[known:])
        answered = queued(wire.clear.decode()) | queued(wire.secret.decode())
        assert answered == stored or (wire.left and answered < stored)
        room = self.opened.registry.room
        async with asyncio.timeout(20):
            while room.memory or room.spooled:  # noqa: ASYNC110 - the task ends after its connection
                await asyncio.sleep(0)
        return wire


@pytest_asyncio.fixture
async def door(house, pki):
    """Opens a door of one kind; the loop has what it opens for the first one."""

    async def opened(kind) -> Door:
        witness = Witness(
            required=kind.get("tls", "none"), login=kind.get("auth") == "required", clear="clear" in kind
        )
        return Door(await house(hooks=witness, **TINY, **kind), witness, kind, pki)

    one = await opened({})
    await one.hold([Step("end")])
    await one.opened.close()
    return opened


def in_use() -> tuple[int, int]:
    """Descriptors and tasks."""
    return len(list(Path("/dev/fd").iterdir())), len(asyncio.all_tasks())


def innocent(record: logging.LogRecord) -> bool:
    """Whether a line of the log may be: no traceback but of hooks that crash."""
    if record.exc_info and not isinstance(record.exc_info[1], RuntimeError):
        return False
    return record.name != "asyncio" or record.levelno < logging.WARNING


@bounded(80)
@given(SCRIPTS, st.sampled_from(DOORS))
@example([SHAKE, Step("torn", b"NOOP\r\n"), Step("end")], DOORS[4])  # "handshake not done yet"
@example(surely([EHLO, LOGIN, STARTTLS, SHAKE, EHLO, *MAIL, Step("end")]), DOORS[1])
@example([EHLO, Step("ask", STARTTLS.octets + EVIL), SHAKE, EHLO, *MAIL, Step("end")], DOORS[0])
async def test_no_session_breaks_the_law(door, spool, caplog, script, kind):
    """However it goes, it ends, and the door is as before."""
    caplog.clear()
    before = in_use()
    one = await door(kind)
    await one.hold(script)
    await one.opened.close()
    async with asyncio.timeout(20):
        while any(now > then for now, then in zip(in_use(), before, strict=True)):  # noqa: ASYNC110 - sockets are closed in the loop's next turns
            await asyncio.sleep(0)
    assert list(spool.iterdir()) == []
    assert [] == [each.getMessage() for each in caplog.records if not innocent(each)]


ENDING = EPILOGUE * 20  # more than all small chunks can take: in clear and under TLS a session ends within
SMALL = PIECES.map(lambda octets: octets.replace(b"999999", b"99"))
BEGINNING = surely([EHLO, *MAIL[:2]])
UNDER = [
    ({"tls": "implicit"}, [SHAKE]),
    ({"tls": "starttls"}, surely([STARTTLS, SHAKE])),
    ({"proxies": HERE}, []),
]


@bounded(30)
@given(st.sampled_from([b"", MAIL[2].octets]), SMALL, st.sampled_from(UNDER))
async def test_what_is_said_alone_decides_on_the_answers(door, start, said, under):
    """Under TLS or behind a proxy, the same octets are answered as in clear, and make the same mails."""
    heard = []
    for kind, before in (({}, []), under):
        one = await door(kind)
        wire = await one.hold([*before, *BEGINNING, Step("say", start + said + ENDING), Step("end")])
        answers = (wire.secret or wire.clear).decode().split("\r\n")
        heard.append(
            ([each for each in answers if not each.startswith(("220 ", "250-STARTTLS"))], one.witness.bodies)
        )
        await one.opened.close()
    assert heard[0] == heard[1]


async def test_no_session_leaves_memory_behind(door, spool, caplog):
    """The same sessions again and again: after the first rounds the process holds what it held.

    A session that left its state behind would leave some kB, one that left a handle some hundred octets.
    """
    drawn: list[tuple[list[Step], int]] = []

    @bounded(30)
    @given(SCRIPTS, st.integers(0, len(DOORS) - 1))
    def draw(script, number):
        drawn.append((script, number))

    draw()
    drawn += [([SHAKE, EHLO, STARTTLS, SHAKE, EHLO, LOGIN, *MAIL, Step("end")], n) for n in range(len(DOORS))]
    doors = [await door(kind) for kind in DOORS]
    seen: Counter[str] = Counter()

    async def play_all() -> int:
        for script, number in drawn:
            await doors[number].hold(script)
        for each in doors:
            seen.update(each.witness.seen)
            each.witness.forget()
        caplog.clear()
        await asyncio.sleep(0)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = [await play_all() for _ in range(2)][-1]
        after = [await play_all() for _ in range(3)][-1]
    finally:
        tracemalloc.stop()
    assert {"logins", "mails under TLS", "mails in clear"} <= set(seen)
    assert after - before < 200 * 3 * len(drawn), f"{after - before} octets"
