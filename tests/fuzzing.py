"""A hostile client of the front door: what it says, how it says it, and who watches what comes of that.

A script is a list of steps. `say` writes octets, `ask` waits for an answer as well (not for long; `sure`
waits until it comes), `shake` is a handshake (perhaps a bad one) where one is due, `torn` breaks a
record of TLS. The client drives TLS by hand, so that every octet of it can be another one.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import ssl
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from relay import replies
from relay.model import Envelope, Recipient
from relay.replies import Reply, reply
from relay.smtp.session import Session

TIMES = int(os.environ.get("FUZZ", "1"))
PATIENCE = 20.0  # seconds for a session to end: what takes longer hangs
_TURNS = 40  # of the loop, for an answer that may not come
EPILOGUE = b"\r\n.\r\nQUIT\r\n" * 20
"""What ends a session wherever it is: in a command, a mail, a login, a small chunk."""
_PROMPTS = {"334 ", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"}


def bounded(examples: int) -> settings:
    """So many examples, and `FUZZ` times as many in `make soak`."""
    return settings(max_examples=examples * TIMES, deadline=None, suppress_health_check=list(HealthCheck))


# -- what is said -------------------------------------------------------------------------

LINES = [
    *(b"EHLO c", b"LHLO c", b"helo c", b"EHLO", b"RSET", b"NOOP x", b"HELP", b"HELP DATA", b"VRFY x"),
    *(b"EXPN x", b"MAIL FROM:<a@b.example>", b"MAIL FROM:<> SIZE=10 BODY=8BITMIME"),
    *(b"MAIL FROM: x@y.example", b"MAIL FROM:<a@b.example> BY=600;R HOLDFOR=60 MT-PRIORITY=3"),
    *(b"MAIL FROM:<a@b.example> X=\xff", b"MAIL FROM:<a@b.example> AUTH=<>"),
    *(b"RCPT TO:<c@d.example>", b"RCPT TO:<refuse@d.example>", b"RCPT TO:<crash@d.example>", b"RCPT TO:c"),
    *(b"RCPT TO:<lost@d.example> NOTIFY=NEVER", b"RCPT TO:<later@d.example>", b"RCPT TO:<c@d.example>"),
    *(b"DATA", b"DATA", b".", b".", b"..", b"text", b"", b".\r", b"RSET\r", b"BDAT 0", b"BDAT 0 LAST"),
    *(b"BDAT 3 LAST\r\nab", b"BDAT 4\r\nab", b"BDAT 99\r\nab", b"BDAT 1 LAST", b"BDAT x", b"BDAT 999999"),
    *(b"AUTH PLAIN AA==", b"XCLIENT A=B", b"PROXY UNKNOWN", b"\x00\x01", b"\xff\xfe", b"x" * 300, b" "),
    b"\t",
]
"""Commands, and what is none, without their ends."""

ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])
PIECES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(LINES), ENDS).map(b"".join),
        st.sampled_from([b"\n.\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r\n", b"QUIT\r\n", b"GET / HTTP/1.1\r\n"]),
        st.binary(max_size=20),
    ),
    max_size=30,
).map(b"".join)


def b64(octets: bytes) -> bytes:
    """As it goes over the wire."""
    return base64.b64encode(octets)


_ALICE, _SECRET = b64(b"alice"), b64(b"secret")
_LOGIN = b"AUTH PLAIN " + b64(b"\0alice\0secret")
_WORDS = st.sampled_from(
    [
        *(_ALICE, _SECRET, _ALICE, _SECRET, b64(b"\0alice\0secret"), b64(b"crash"), b64(b"x\0y"), b"*", b"="),
        *(b"", b"==", b"AAA", b"!!!!", b"\xff\xfe", b"QUIT", b"RSET", _ALICE + b" ", b" " + _SECRET),
        *(b"\0", b"A" * 12_288, b"A" * 12_289, b"A" * 40_000, b64(b"a" * 256), b64(b"\r\nMAIL FROM:<e@x>")),
    ]
)
_BEGINNINGS = st.sampled_from(
    [
        *(
            b"AUTH PLAIN",
            b"AUTH LOGIN",
            b"auth login",
            b"AUTH",
            b"AUTH CRAM-MD5",
            b"AUTH PLAIN =",
            b"AUTH  LOGIN",
        ),
        *(
            _LOGIN,
            b"AUTH LOGIN " + _ALICE,
            b"AUTH PLAIN " + b64(b"\0crash\0x"),
            b"AUTH PLAIN *",
            _LOGIN + b" x",
        ),
        *(
            b"AUTH PLAIN " + b64(b"\0alice\0wrong"),
            b"AUTH PLAIN " + b"A" * 13_000,
            b"AUTH LOGIN =",
            b"AUTH \xff",
        ),
    ]
)
_HELLO = bytes.fromhex("160301002a0100002603034a") + bytes(35)
"""What begins like a handshake, and is none."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a client does; `how` and `at` are what is wrong with a handshake, and where."""

    do: str
    octets: bytes = b""
    how: str = ""
    at: float = 0.0


def surely(steps: Iterable[Step]) -> list[Step]:
    """The same steps, where each of them is answered for certain."""
    return [replace(step, do="sure") if step.do == "ask" else step for step in steps]


def _ask(octets: bytes) -> Step:
    return Step("ask", octets + b"\r\n")


EHLO, STARTTLS, SHAKE = _ask(b"EHLO c"), _ask(b"STARTTLS"), Step("shake")
MAIL = [
    _ask(b"MAIL FROM:<a@b.example>"),
    _ask(b"RCPT TO:<c@d.example>"),
    _ask(b"DATA"),
    _ask(b"text, twice\r\n" * 2 + b"."),
]
LOGIN = _ask(_LOGIN)
_CHUNKS = [*MAIL[:2], _ask(b"BDAT 3\r\na\r"), _ask(b"BDAT 5 LAST\r\nb\r\n")]

_SAYS = st.one_of(PIECES.map(lambda octets: Step("say", octets)), st.sampled_from(LINES).map(_ask))
_LOGINS = st.tuples(_BEGINNINGS, st.lists(_WORDS, max_size=3), st.booleans()).map(
    lambda found: (
        [_ask(each) for each in (found[0], *found[1])]
        if found[2]
        else [Step("say", b"".join(each + b"\r\n" for each in (found[0], *found[1])))]
    )
)
_SHAKES = st.one_of(
    st.just(SHAKE),
    st.builds(
        Step,
        st.just("shake"),
        st.one_of(st.just(_HELLO), st.binary(max_size=60), st.just(b"EHLO early\r\nNOOP\r\n")),
        st.sampled_from(["flip", "cut", "instead", "before", "behind", "late"]),
        st.floats(0, 1),
    ),
)
EVIL = b"EHLO c\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<c@d.example>\r\n"
_BEHIND = st.sampled_from(
    [
        b"",
        b"",
        b"NOOP\r\n",
        b"\n",
        b"x",
        EVIL,
        _HELLO,
    ]
)
_STARTS = st.tuples(
    st.sampled_from([b"", b"", b"NOOP\r\n", b"RSET\r\nEHLO c\r\n", b"DATA\r\n"]),
    st.sampled_from([b"STARTTLS\r\n", b"STARTTLS\r\n", b"starttls\n", b"STARTTLS x\r\n", b"STARTTLS\r"]),
    _BEHIND,
    _SHAKES,
).map(lambda found: [Step("ask", b"".join(found[:3])), found[3]])
_TORN = st.floats(0, 1).map(lambda at: [Step("torn", b"NOOP\r\n", at=at)])
_BEGUN = st.sampled_from(
    [[], [EHLO], [EHLO, STARTTLS, SHAKE, EHLO], [EHLO, STARTTLS, SHAKE, EHLO, LOGIN], [EHLO, LOGIN]]
)
_PARTS = st.one_of(
    _SAYS.map(lambda step: [step]),
    _LOGINS,
    _STARTS,
    _TORN,
    st.sampled_from([MAIL, _CHUNKS, MAIL[:3], _CHUNKS[:3]]),
)
_LAST = st.sampled_from(["end", "end", "end", "leave", "reset"]).map(Step)
SCRIPTS = st.tuples(_SHAKES, _BEGUN, st.lists(_PARTS, max_size=6), _LAST).map(
    lambda found: [found[0], *found[1], *(step for part in found[2] for step in part), found[3]]
)
"""Scripts; the handshake that begins each counts at an implicit door, and is passed over at others."""


# -- how it is said -----------------------------------------------------------------------


class Wire(asyncio.Protocol):
    """A client that hears everything at once, in clear and under TLS."""

    def __init__(self, context: ssl.SSLContext, *, implicit: bool = False, header: bytes = b"") -> None:
        self._context = context
        self._header = header
        self.clear, self.secret = bytearray(), bytearray()  # what was heard
        self.noise = bytearray()  # heard between clear and secret: of TLS, or a fault
        self.implicit = self._due = implicit  # a handshake is due: not a word in clear any more
        self._tls: ssl.SSLObject | None = None
        self.shaken = False
        self._mangle: Step | None = None
        self.spoilt = False  # a handshake or record was
        self.lost = asyncio.Event()
        self.left = False  # we went first
        self._over = False  # we say no more
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if self._header and not self.implicit:
            transport.write(self._header)
            self._header = b""

    def data_received(self, data: bytes) -> None:
        if self._tls is not None:
            self._in.write(data)
            self._turn()
        elif self._due:
            self.noise += data
        else:
            self.clear += data
            self._look()

    def _look(self) -> None:
        """From the word to start TLS on, nothing is said in clear."""
        at = self.clear.find(b"\r\n220 2.0.0 ")
        end = self.clear.find(b"\r\n", at + 2)
        if at >= 0 and end >= 0:
            self._due = True
            self.noise += self.clear[end + 2 :]
            del self.clear[end + 2 :]

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost.set()

    # -- TLS ------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Go on with TLS as far as it goes."""
        assert self._tls is not None
        try:
            if not self.shaken:
                self._tls.do_handshake()
                self.shaken = True
                if self._mangle is not None and self._mangle.how == "behind":
                    self._tls.write(self._mangle.octets or b"\n")
            while octets := self._tls.read(65536):
                self.secret += octets
            over = True
        except ssl.SSLWantReadError:
            over = False
        except ssl.SSLError:
            over = True
        self._send(self._mangled(self._out.read()))
        if over:
            self._transport.close()

    def _mangled(self, flight: bytes) -> bytes:
        how, self._mangle = self._mangle, None
        if how is None or not flight:
            self._mangle = how
            return flight
        at = int(how.at * (len(flight) - 1))
        match how.how:
            case "flip":
                self.spoilt = True
                return flight[:at] + bytes([flight[at] ^ 0x20]) + flight[at + 1 :]
            case "cut":
                self.spoilt = True
                return flight[:at]
            case "instead":
                self.spoilt = True
                return how.octets
            case "before":
                self.spoilt = bool(how.octets)
                return how.octets + flight
            case "late":  # the second flight is the one that is wrong
                self._mangle = replace(how, how="flip")
                return flight
        if not self.shaken:
            self._mangle = how
        return flight

    def _send(self, octets: bytes) -> None:
        if octets and not (self._over or self._transport.is_closing()):
            self._transport.write(self._header + octets)
            self._header = b""

    # -- steps ----------------------------------------------------------------------------

    @property
    def _heard(self) -> int:
        return len(self.clear) + len(self.secret) + len(self.noise)

    async def take(self, step: Step) -> None:
        """Do one step."""
        match step.do:
            case "say" | "ask" | "sure":
                await self._say(step.octets, wait=step.do != "say", sure=step.do == "sure")
            case "shake" if self._due and self._tls is None:
                self._mangle = step if step.how else None
                self._tls = self._context.wrap_bio(self._in, self._out, server_hostname="relay.example")
                self._turn()
                await self._until(lambda: self.shaken, patient=not step.how)
            case "torn" if self.shaken:
                self.spoilt = True
                self._tls.write(step.octets)  # type: ignore[union-attr]
                record = bytearray(self._out.read())
                record[int(step.at * (len(record) - 1))] ^= 1
                self._send(bytes(record))
            case "reset":
                self.left = True
                self._transport.abort()
            case "leave":
                self.left = True
                self._transport.close()
            case "end":
                await self._end()

    async def _say(self, octets: bytes, *, wait: bool = False, sure: bool = False) -> None:
        before = self._heard
        if self.shaken:
            octets = octets.replace(b"evil@", b"late@")  # only what is said in clear is evil
            try:
                self._tls.write(octets)  # type: ignore[union-attr]
            except ssl.SSLError:
                return  # it is over
            octets = self._out.read()
        self._send(octets)
        if wait:
            await self._until(lambda: self._heard > before, patient=sure)

    async def _until(self, true: Any, *, patient: bool = False) -> None:
        """Wait for something that may never be; the patient are sure that it will."""
        async with asyncio.timeout(PATIENCE):
            turns = 0
            while not (true() or self.lost.is_set()) and (patient or turns < _TURNS):
                await asyncio.sleep(0)
                turns += 1

    async def _end(self) -> None:
        """Say what ends every session, until it has ended."""
        await self._say(EPILOGUE)
        if not self.shaken or self.spoilt:
            with contextlib.suppress(OSError):  # it may have been closed by then
                if not self._transport.is_closing():
                    self._over = True
                    self._transport.write_eof()
            return
        async with asyncio.timeout(PATIENCE):
            while not self.lost.is_set():
                if not self._transport.get_write_buffer_size():
                    await self._say(EPILOGUE * 50)
                for _ in range(_TURNS):
                    await asyncio.sleep(0)


async def play(address: str, wire: Wire, script: Iterable[Step]) -> None:
    """One session from its connection to its end; TimeoutError where it hangs."""
    host, _, port = address.rpartition(":")
    await asyncio.get_running_loop().create_connection(lambda: wire, host, int(port))
    if not wire.implicit:
        await wire._until(lambda: wire.clear, patient=True)
    for step in script:
        await wire.take(step)
    async with asyncio.timeout(PATIENCE):
        await wire.lost.wait()


# -- who watches --------------------------------------------------------------------------


class Witness:
    """Hooks that hold the front door to its law, and write down every breach of it.

    The local part says how they answer: `refuse` 550, `later` 451, `crash` and `lost` raise. Alice's
    password is `secret`; `crash` raises there, too.
    """

    def __init__(self, *, required: str = "none", login: bool = False, clear: bool = False) -> None:
        self._required, self._login, self._clear = required == "required", login, clear
        self.faults: list[str] = []
        self.seen: Counter[str] = Counter()
        self.stored: list[str] = []
        self.bodies: list[bytes] = []

    def forget(self) -> None:
        """Hold nothing of what was seen."""
        self.seen.clear()
        self.stored.clear()
        self.bodies.clear()

    def most_recipients(self) -> int:
        return 2000

    def home(self) -> str:
        return "phones.example"

    def _hold(self, true: object, what: str) -> None:
        if not true:
            self.faults.append(what)

    async def on_auth(self, session: Session, user: str, password: bytes) -> Reply:
        self._hold(session.tls or self._clear, "a password in clear")
        if user == "crash":
            raise RuntimeError("secret=hunter2")
        if (user, password) != ("alice", b"secret"):
            return replies.WRONG_LOGIN
        self.seen["logins"] += 1
        session.user = user
        session.proof = "under TLS" if session.tls else "in clear"
        return replies.LOGGED_IN

    async def on_mail(self, session: Session, envelope: Envelope) -> Reply | Envelope:
        self._hold(session.tls or not self._required, "a mail without TLS")
        self._hold(session.user or not self._login, "a mail without a login")
        self._hold(
            not session.user or (session.proof == "under TLS") == session.tls, "a login outlived STARTTLS"
        )
        self._hold(not session.tls or not envelope.sender.startswith("evil"), "a mail from before STARTTLS")
        answer = self._answer(envelope.sender, replies.SENDER_OK)
        return replace(envelope, source="test", verified=True) if answer.good else answer

    async def on_rcpt(self, _session: Session, envelope: Envelope, recipient: Recipient) -> Reply:
        self._hold(envelope.source == "test", "a recipient without a sender")
        return self._answer(recipient.address, replies.RECIPIENT_OK)

    def _answer(self, address: str, good: Reply) -> Reply:
        match address.partition("@")[0]:
            case "refuse":
                return reply(550, "5.1.1", f"no {address} here")
            case "later":
                return reply(451, "4.7.1", "not now")
            case "crash":
                raise RuntimeError("secret=hunter2")
        return good

    async def on_data(self, session: Session, envelope: Envelope, body: Any) -> Reply | Sequence[Reply]:
        self._hold(envelope.source == "test", "a mail without a sender")
        self._hold(envelope.recipients, "a mail without recipients")
        if any(each.address.startswith("lost@") for each in envelope.recipients):
            raise RuntimeError("secret=hunter2")
        self.seen["mails under TLS" if session.tls else "mails in clear"] += 1
        self.stored.append(f"mail{len(self.stored) + 1}")
        self.bodies.append(body.read())
        answer = replies.queued(self.stored[-1])
        return [answer] * len(envelope.recipients) if session.protocol == "lmtp" else answer


REPLY = re.compile(r"(?:220|250|354|421|[245]\d\d)(?:-[^\r\n]+|(?: [245]\.\d\.\d+)? [^\r\n]+)|334 \S*")
_WITHOUT_STATUS = re.compile(r"220 relay|250[ -]|354 |334 ")


def judge(said: str) -> None:
    """Only replies are said, each whole, each with its status, and nothing behind the last one."""
    lines = said.split("\r\n")
    assert lines.pop() == ""
    for number, line in enumerate(lines, 1):
        then = lines[number] if number < len(lines) else ""
        assert REPLY.fullmatch(line), line
        assert re.match(r"\d{3} [245]\.\d\.\d+ ", line) or _WITHOUT_STATUS.match(line), line
        assert not line.startswith("334") or line in _PROMPTS, line
        assert "hunter2" not in line
        if line[3:4] == "-":
            assert then[:3] == line[:3] == "250", (line, then)
        if line[:3] in ("221", "421", "521"):
            assert then == "", (line, then)


def queued(said: str) -> set[str]:
    """The mails that were answered 250."""
    return set(re.findall(r"^250 2\.0\.0 queued as (\S+)", said, re.MULTILINE))
