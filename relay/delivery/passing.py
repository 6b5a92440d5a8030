"""Mail as it is passed on to the next server, and what that server's replies mean. Pure.

Rule 1: the mail goes on octet by octet, with one trace line above it (RFC 5321 section 4.4), and
above that the results of our checks, where there were any (RFC 8601 section 4).
Only what DATA can't carry is put right: a CR or LF that stands alone becomes a line end, and
the last line gets its own. Rule 2: parameters of MAIL and RCPT go on where the next server
offers them. BY bears what is left of its time; with R the mail goes nowhere that can't promise it,
with N it goes without, and its sender hears so (RFC 2852 section 4). What was to be held has been,
here. With DSN it then also owes the sender what NOTIFY asked for, and we no longer do (RFC 3461
section 5.2). Rule 3: a reply counts for what
it says: 5xx is final and told in that server's own words, all else is tried again. 530 wants a login
or TLS, which an operator can put right, so it is no refusal.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from relay import model
from relay.message.deadlines import Timing
from relay.model import Kind, Notify, Outcome
from relay.queue.rows import Mail, Recipient
from relay.report import fields

UNREACHED = "4.4.1"  # no answer from host (RFC 3463)
BROKEN = "4.4.2"  # bad connection
TOO_LATE = "4.4.7"  # delivery time expired
NO_ROUTE = "4.4.4"  # unable to route

_NUMBER = re.compile("[0-9]{1,9}", re.ASCII)
_MOST_SECONDS = 999_999_999  # of the syntax of BY (RFC 2852 section 4)

Offers = Callable[[str], bool]
"""Whether the next server offers an extension, by its name in lower case."""


# -- the octets -------------------------------------------------------------------------------


class Wire:
    """A mail's octets as DATA carries them, over chunks cut anywhere (RFC 5321 4.5.2)."""

    def __init__(self) -> None:
        self._held = b""  # a CR whose LF may come with the next chunk
        self._begins = True  # the next octet begins a line

    def feed(self, chunk: bytes) -> bytes:
        """The next piece to write."""
        chunk, self._held = self._held + chunk, b""
        if chunk.endswith(b"\r"):
            chunk, self._held = chunk[:-1], b"\r"
        if not chunk:
            return b""
        if not chunk.count(b"\r\n") == chunk.count(b"\r") == chunk.count(b"\n"):
            chunk = re.sub(rb"\r\n|\r|\n", b"\r\n", chunk)
        piece = chunk.replace(b"\r\n.", b"\r\n..")
        if self._begins and chunk.startswith(b"."):
            piece = b"." + piece
        self._begins = chunk.endswith(b"\r\n")
        return piece

    def end(self) -> bytes:
        """What ends the mail."""
        return b".\r\n" if self._begins and not self._held else b"\r\n.\r\n"


class Survey:
    """What must be known of a mail's octets before MAIL is said."""

    def __init__(self) -> None:
        self.eight = False  # it is no 7-bit mail
        self.wide = False  # nor is its header
        self._tail = b""
        self._in_header = True

    def feed(self, chunk: bytes) -> None:
        """Look at the next chunk."""
        self.eight = self.eight or not chunk.isascii()
        if self._in_header:
            chunk = self._tail + chunk
            header, end, _body = chunk.partition(b"\r\n\r\n")
            self.wide = self.wide or not header.isascii()
            self._in_header, self._tail = not end, chunk[-3:]

    @property
    def done(self) -> bool:
        """Nothing more can be learnt."""
        return self.eight and not self._in_header


def trace(mail: Mail, *, hostname: str, recipient: str) -> bytes:
    """The Received line below what our checks said; `recipient` is "" where it is not to be named."""
    peer = {"": "", "unix": " (local)"}.get(mail.peer, f" ([{_literal(mail.peer)}])")
    how = " with UTF8SMTP" if mail.utf8 else ""
    lines = [
        f"Received: from {fields.host(mail.helo) or 'unknown'}{peer}",
        f"by {fields.host(hostname) or 'localhost'}{how} id {model.show(mail.id)}",
    ]
    if recipient and (recipient.isascii() or mail.utf8):
        lines.append(f"for <{recipient}>")
    received = "\r\n\t".join(lines) + f"; {fields.date(mail.received_at)}\r\n"
    return fields.results(mail.results) + received.encode()


def _literal(peer: str) -> str:
    peer = fields.host(peer.partition("%")[0])  # a zone means nothing elsewhere
    return f"IPv6:{peer}" if ":" in peer else peer


# -- the envelope -----------------------------------------------------------------------------


def wide(mail: Mail, recipient: Recipient) -> bool:
    """Whether this recipient can be named with SMTPUTF8 only."""
    return not f"{mail.sender}{recipient.address}".isascii()


def by(asked: Timing, least: str | None, host: str, now: int) -> list[bytes] | Outcome:
    """BY with what is left of the time, or why the mail can't go there.

    `least` is the shortest time that the next server promises, in seconds, None where it knows no BY.
    """
    if not asked.by:
        return []
    left = (asked.by - now) // model.SECOND
    if asked.returned:
        if least is None:
            return _unpromised(host, "5.3.3", "does not know BY=…;R, it can't promise when a mail arrives")
        if left < max(1, int(least) if _NUMBER.fullmatch(least) else 1):
            return _unpromised(
                host, "5.4.7", f"can't deliver within the {max(left, 0)} seconds that are left"
            )
    return [] if least is None else [f"BY={max(left, -_MOST_SECONDS)};{asked.mode}".encode()]


def untimed(asked: Timing, least: str | None, now: int) -> bool:
    """Whether the next server gets a mail whose time is not over, and can't be told of that time."""
    return asked.by > now and least is None


def _unpromised(host: str, status: str, why: str) -> Outcome:
    return Outcome(kind=Kind.REFUSED, status=status, reason=f"the mail server {host} {why}")


def of_mail(mail: Mail, offers: Offers, *, size: int, eight: bool, utf8: bool) -> list[bytes]:
    """The parameters of MAIL but for BY."""
    found = [b"SIZE=%d" % size] if offers("size") else []
    found += [b"BODY=8BITMIME"] if eight and offers("8bitmime") else []
    found += [b"SMTPUTF8"] if utf8 else []
    priority = mail.asked.priority
    found += [b"MT-PRIORITY=%b" % priority.encode()] if priority and offers("mt-priority") else []
    if offers("dsn"):
        found += [f"RET={mail.ret.upper()}".encode()] if mail.ret else []
        found += [f"ENVID={mail.envid}".encode()] if mail.envid else []
    return found


def of_rcpt(recipient: Recipient, offers: Offers, *, utf8: bool, untimed: bool) -> list[bytes]:
    """The parameters of RCPT; what RFC 6533 lets ORCPT hold needs SMTPUTF8.

    A server that can't be told of the mail's time is asked to tell of delays (RFC 2852 section 4.1.4.2).
    """
    if not offers("dsn"):
        return []
    wanted = set(recipient.wishes)
    if untimed and Notify.NEVER not in wanted:
        wanted = (wanted or {Notify.FAILURE}) | {Notify.DELAY}
    wishes = [each.upper() for each in sorted(wanted)]
    found = [f"NOTIFY={','.join(wishes)}".encode()] if wishes else []
    if recipient.orcpt and (utf8 or recipient.orcpt.isascii()):
        found.append(f"ORCPT={recipient.orcpt}".encode())
    return found


# -- what became of it ------------------------------------------------------------------------

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s|\Z)", re.ASCII)
_BY_CODE = {452: "4.3.1", 552: "5.2.2", 553: "5.1.3"}  # where one code has one meaning (RFC 5321 4.2.2)


def answered(host: str, code: int, text: str, *, about: str) -> Outcome:
    """What a reply that is no success means; `about` is the mail or the recipient."""
    final = 500 <= code < 600 and code != 530
    kind = Kind.REFUSED if final else Kind.LATER
    reason = f"the mail server {host} {'refuses' if final else 'does not take'} the {about}"
    reason += "" if final else " now"
    return Outcome(
        kind=kind,
        status=_status(code, text, "5" if final else "4"),
        reason=reason,
        code=f"smtp {code}",
        text=fields.clean(text),
    )


def _status(code: int, text: str, kind: str) -> str:
    found = _ENHANCED.match(text)
    if found and found[1][0] == kind:
        return found[1]
    other = _BY_CODE.get(code, "")
    return other if other[:1] == kind else f"{kind}.0.0"


def taken(host: str, code: int, text: str, *, told: bool, untimed: bool) -> Outcome:
    """The next server has the mail. With `told` it also reports to the sender what NOTIFY asked for."""
    return Outcome(
        kind=Kind.DELIVERED,
        status="2.0.0",
        reason=f"taken by the mail server {host}",
        code=f"smtp {code}",
        text=fields.clean(text),
        passed_on=told,
        untimed=untimed,
    )


def unreached(host: str, why: str) -> Outcome:
    """No connection, or none on which mail can be handed over."""
    reason = f"no connection to the mail server {host} could be made ({why})"
    return Outcome(kind=Kind.LATER, status=UNREACHED, reason=reason)


def broke_off(host: str, why: str) -> Outcome:
    """The connection broke before the end of the mail: it has not been taken."""
    reason = f"the connection to the mail server {host} broke off ({why})"
    return Outcome(kind=Kind.LATER, status=BROKEN, reason=reason)


def unanswered(host: str, why: str) -> Outcome:
    """The connection broke between the end of the mail and the answer to it."""
    reason = f"the mail server {host} did not say whether it took the mail ({why})"
    return Outcome(kind=Kind.UNSURE, status=BROKEN, reason=reason)


def unreadable(why: str) -> Outcome:
    """The mail could not be read from our own store."""
    return Outcome(kind=Kind.LATER, status="4.3.0", reason=f"the stored mail could not be read ({why})")


def narrow(host: str, *, header: bool) -> Outcome:
    """An address, or the header, needs SMTPUTF8, which is not offered (RFC 6531 section 3.2)."""
    what = "the mail's header is" if header else "the address, or the sender's, is"
    return Outcome(
        kind=Kind.REFUSED,
        status="5.6.9" if header else "5.6.7",
        reason=f"the mail server {host} takes no SMTPUTF8, and {what} not in plain ASCII",
    )


def unrouted() -> Outcome:
    """The configuration has no forward route for the address, or none any more."""
    return Outcome(kind=Kind.LATER, status=NO_ROUTE, reason="no route forwards mail for this address")


def expired(last: Outcome | None) -> Outcome:
    """The mail's time passed here; what kept it last is told with it."""
    reason = "the mail's time passed before the next mail server took it"
    if last is None or last.status[:1] not in ("4", "5"):
        return Outcome(kind=Kind.EXPIRED, status=TOO_LATE, reason=reason)
    return Outcome(
        kind=Kind.EXPIRED,
        status=TOO_LATE,
        reason=f"{reason}: {last.reason}",
        code=last.code,
        text=last.text,
    )
