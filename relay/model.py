"""The nouns of the relay: values that the rooms hand to each other.

Absent text is ``""``; ``None`` means *not yet*. Times are UTC milliseconds, lengths of time
are milliseconds as well, sizes are octets. Nothing here does anything: the values are made
where their facts are known and handed on unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

# -- time ---------------------------------------------------------------------------------

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# -- identity -----------------------------------------------------------------------------

_EPOCH = 1_735_689_600_000  # 2025-01-01, so that 41 bits of milliseconds last until 2094
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u to misread


class Ids:
    """Makes 63-bit keys that grow with time: 41 bits of milliseconds, 10 of node, 12 of count.

    Keys are made before the row is written, so that a batch of rows is plain data and the
    provider's id of a request is stored before the call that bears it.
    """

    def __init__(self, node: int) -> None:
        self.node = node & 0x3FF
        self._last = 0
        self._count = 0

    def new(self, now: int) -> int:
        """A key that this maker has not made before, even where the clock jumps back."""
        now = max(now - _EPOCH, self._last)
        if now > self._last:
            self._count = 0
        self._last = now
        key = (now << 22) | (self.node << 12) | self._count
        self._count += 1
        if self._count == 1 << 12:
            self._last, self._count = now + 1, 0
        return key


def key_at(moment: int) -> int:
    """The smallest key that could have been made at a moment."""
    return max(0, moment - _EPOCH) << 22


def maker(key: int) -> int:
    """The node that made a key."""
    return key >> 12 & 0x3FF


def marked(until: int, node: int) -> int:
    """The end of a claim, two seconds late at most, that tells which node has the claim."""
    return (until >> 10) + 1 << 10 | node


def marker(until: int) -> int:
    """The node that marked it."""
    return until & 0x3FF


_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)


def show(key: int) -> str:
    """The key as people see it: thirteen letters and digits."""
    pairs = [_PAIRS[(key >> shift) & 1023] for shift in (55, 45, 35, 25, 15, 5)]
    return "".join([*pairs, _ALPHABET[key & 31]])


def unshow(text: str) -> int:
    """The key that `show` printed; raises ValueError for anything else."""
    if len(text) != 13:
        raise ValueError("an id has thirteen letters and digits")
    key = 0
    for letter in text.lower():
        key = key << 5 | _ALPHABET.index(letter)
    if key >> 63:
        raise ValueError("there is no such id")
    return key


# -- what the mail asked for --------------------------------------------------------------


class Notify(StrEnum):
    """When a recipient's sender wants to hear (RFC 3461 section 4.1)."""

    NEVER = "never"
    SUCCESS = "success"
    FAILURE = "failure"
    DELAY = "delay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One RCPT of a transaction: the address as given and what DSN parameters came with it.

    `notify` is empty where the client left the choice to us.
    """

    address: str
    orcpt: str = ""
    notify: frozenset[Notify] = frozenset()


class Result(StrEnum):
    """What a check of the sender said, in the words of RFC 8601 section 2.7."""

    NONE = "none"  # the domain publishes nothing, or the mail bears nothing, that could be checked
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SOFTFAIL = "softfail"  # SPF only: probably not from there
    NEUTRAL = "neutral"  # SPF only: the domain does not say
    POLICY = "policy"  # right, but not in a way that is accepted here
    TEMPERROR = "temperror"  # nobody can say now, later perhaps
    PERMERROR = "permerror"  # what is published, or signed, can't be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Spf:
    """What SPF said of the client, for the sender's domain or, of a null sender, for its HELO name."""

    result: Result
    domain: str
    helo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What SMTP said before DATA. `sender` is "" for the null sender."""

    sender: str
    recipients: tuple[Recipient, ...] = ()
    ret: str = ""  # "", "full" or "hdrs" (RFC 3461 4.3)
    envid: str = ""  # still in xtext, as it came (RFC 3461 4.4)
    utf8: bool = False
    declared_size: int = 0
    hold_until: int = 0  # 0: not held (RFC 4865)
    hold: str = ""  # what was said of that, as reports name it: "for;3600" or "until;2027-01-15T08:30:00Z"
    deliver_by: int = 0  # 0: whenever (RFC 2852)
    returned: bool = False  # what is later than that comes back; otherwise its sender is told
    traced: bool = False  # the sender hears that it was passed on
    priority: int | None = None  # -9 to 9 (RFC 6710); None where the client said nothing
    peer: str = ""
    helo: str = ""
    source: str = ""  # the entry of `senders` that let it in; "" while only DATA can tell
    verified: bool = False  # the sender's address may be trusted with a report
    spf: Spf | None = None  # None where nothing depends on it, or did by MAIL
    results: str = ""  # the value of our Authentication-Results, where something was checked


class Auto(StrEnum):
    """Who wrote a mail, as far as its headers tell (RFC 3834)."""

    PERSON = "person"  # no sign of a machine
    GENERATED = "generated"  # cron, a monitor: wants to reach the phone, gets its bounce
    REPLIED = "replied"  # a vacation notice, an auto-reply: never answered, never a message
    REPORT = "report"  # a bounce or another multipart/report: likewise


class Alarm(StrEnum):
    """Whether a monitor's mail says that something broke or that it works again."""

    NONE = ""  # neither, or nobody can tell
    PROBLEM = "problem"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An attachment, decoded. `data` or, where it was large, `path` holds its octets."""

    name: str
    type: str  # sniffed from the octets, "application/octet-stream" where unknown
    size: int
    data: bytes = b""
    path: str = ""
    cid: str = ""  # Content-ID without its brackets
    inline: bool = False  # the text shows it: HTML by its cid, or an invitation's line


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail as it was read: texts decoded, files in order, nothing decided yet.

    In `plain` and `html` a `mark` stands where a file stood (model.mark).
    """

    subject: str = ""
    from_: str = ""  # the bare address of the From header
    to: str = ""
    message_id: str = ""
    date: str = ""
    headers: tuple[tuple[str, str], ...] = ()  # decoded, unfolded, in order
    head: bytes = b""  # the raw header block, for reports
    plain: str = ""
    html: str = ""
    readable: str = ""  # what a phone is to read, where that had to be made of HTML
    files: tuple[File, ...] = ()
    auto: Auto = Auto.PERSON
    received: int = 0  # how many Received headers, against loops
    digest: str = ""  # of headers and body, trace headers aside: tells a repeat (RFC 1047)
    notes: tuple[str, ...] = ()  # what could not be read, in sentences for the report

    def header(self, name: str) -> str:
        """The first header of this name, "" where there is none."""
        name, size = name.lower(), len(name)
        return next((value for key, value in self.headers if len(key) == size and key.lower() == name), "")


_MARK_OPEN, _MARK_CLOSE = "\ufdd0", "\ufdd1"  # noncharacters: no text may hold them


def mark(number: int) -> str:
    """What stands in a text where file `number` (from 0) stood."""
    return f"{_MARK_OPEN}{number}{_MARK_CLOSE}"


MARK = f"{_MARK_OPEN}([0-9]{{1,6}}){_MARK_CLOSE}"  # the pattern of a mark, the number its group


# -- what is sent -------------------------------------------------------------------------

WHOLE = -1
"""Among the numbers of a letter's files: the mail itself, octet by octet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What orders of one mail share: text, parameters, files.

    `text` is exactly what goes out as `mes`, comment included; `params` are parameters of
    send.php under their own names, channel flags included.
    """

    channel: str
    text: str
    params: Mapping[str, str] = field(default_factory=dict)
    files: tuple[int, ...] = ()  # numbers of the letter's files, in the request's order; or WHOLE
    alphabet: str = ""  # "gsm7" or "ucs2" where the channel counts parts
    parts: int = 0
    notes: tuple[str, ...] = ()  # what was cut, dropped or changed, for the report
    rules: tuple[str, ...] = ()  # everything that had a say, for `explain`; not stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an order goes: a number as +E.164, a group (g777) or a mail address."""

    to: str
    hidden: bool = False  # a member of an alias: its number is not shown to the sender


class Kind(StrEnum):
    """What became of an order, or of a question about it."""

    ACCEPTED = "accepted"  # the provider has it
    LATER = "later"  # not now, try again: the provider has not got it
    REFUSED = "refused"  # never
    UNSURE = "unsure"  # the call broke off: it may or may not have it
    ABSENT = "absent"  # asked, and the provider knows nothing of it
    DELIVERED = "delivered"  # on the handset
    EXPIRED = "expired"  # its time passed before it got through
    UNKNOWN = "unknown"  # nobody can say
    NOTHING = "nothing"  # news that moves nothing


class Rest(StrEnum):
    """Why an account must rest after an answer."""

    NONE = ""
    LOGIN = "login"
    MONEY = "money"
    BLOCKED = "blocked"
    UNREACHABLE = "unreachable"  # no connection: of weight only where it lasts, and another account may do


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an order: made once where it is known, stored, printed by all.

    `status` is the enhanced status (RFC 3463) and is never empty, nor is `reason`, a
    sentence for people. `code` and `text` are the provider's own, or a mail server's: "smtp 550".
    """

    kind: Kind
    status: str
    reason: str
    code: str = ""
    text: str = ""
    rest: Rest = Rest.NONE
    cost: str = ""
    parts: int = 0
    passed_on: bool = False  # the next mail server has taken over what the sender is owed (RFC 3461 5.2)
    untimed: bool = False  # but not by when the mail is to arrive (RFC 2852 4.1.4.2)

    def __post_init__(self) -> None:
        if not self.status or not self.reason:
            raise ValueError("an outcome needs a status and a reason")


def quoted(code: str, text: str) -> str:
    """What the other side said, as people are shown it; "" where it said nothing."""
    who = "" if code.startswith("smtp ") else "SMSC "
    return f"({who}{code} {text})".replace(" )", ")") if code else ""


def stable_digest(*fields: bytes) -> str:
    """A digest of fields that no other cut of the same octets shares."""
    framed = [part for each in fields for part in (len(each).to_bytes(8, "big"), each)]
    return _base32(sha256(b"".join(framed)).digest())


def _stretched(size: int) -> list[tuple[int, int, int]]:
    """The steps that make octets of groups of five bits: what stays, what moves, and how far.

    Each step cuts all stretches of `2 * each` groups in the middle and moves their upper halves away.
    """
    steps = []
    each = size // 2
    while each:
        half = (1 << 5 * each) - 1
        stays = sum(half << 16 * each * n for n in range(size // (2 * each)))
        steps.append((stays, stays << 5 * each, 3 * each))
        each //= 2
    return steps


_GROUPS = 64  # the power of two above the 52 groups of a SHA-256
_STRETCH = _stretched(_GROUPS)
_BASE32 = bytes(b"abcdefghijklmnopqrstuvwxyz234567"[octet & 31] for octet in range(256))


def _base32(digest: bytes) -> str:
    """A SHA-256 in base32 (RFC 4648), small letters, no padding; a fifth of what base64.b32encode takes."""
    bits = int.from_bytes(digest, "big") << 5 * _GROUPS - 8 * len(digest)
    for stays, moves, by in _STRETCH:
        bits = bits & stays | (bits & moves) << by
    return bits.to_bytes(_GROUPS, "big").translate(_BASE32)[:52].decode()
