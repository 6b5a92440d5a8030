"""The rows as values: what the store hands out and pure rules decide upon.

What follows an order (notices, answers, steps of escalation) is in `followups`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from typing import Any, Self

from relay import masking, model
from relay.message import deadlines
from relay.message.channels import FORWARD
from relay.message.deadlines import Timing
from relay.model import Kind, Outcome
from relay.queue.states import State
from relay.values import Form, changed

DIGEST = "digest"
"""The `alarm` of an order that the relay made of many: a digest of them."""

TRACE = "trace"
"""Among the values of NOTIFY: the sender hears when the message was passed on (RFC 2852)."""


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # made once, not for each value


def as_json(value: Any) -> str:
    """JSON as it is kept in a column."""
    if not value and isinstance(value, list | dict):
        return "{}" if isinstance(value, dict) else "[]"
    return _encode(value)


class RequestState(StrEnum):
    """Where a request stands."""

    CALLING = "calling"  # the call is under way, under its orders' lease
    UNSURE = "unsure"  # the call broke off: its id is to be asked about when due
    REPEAT = "repeat"  # nothing is known under its id: the same bytes go out when due
    DONE = "done"  # answered, or answered about


@dataclass(frozen=True, slots=True)
class Mail:
    """One accepted SMTP transaction."""

    id: int
    received_at: int
    sender: str
    source: str
    verified: int
    peer: str
    helo: str
    subject: str
    message_id: str
    auto: str
    digest: str
    ret: str
    envid: str
    utf8: int
    size: int
    head: bytes
    full_id: int | None
    notes: str
    results: str = ""
    timing: str = ""

    @property
    def asked(self) -> Timing:
        """What its client asked of when it goes and arrives."""
        return deadlines.timing(self.timing)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT of a mail."""

    id: int
    version: int
    mail_id: int
    position: int
    address: str
    orcpt: str
    notify: str

    @property
    def wishes(self) -> frozenset[str]:
        """The NOTIFY values, none where the client left the choice to us."""
        return frozenset(self.notify.split(",")) - {TRACE} if self.notify else frozenset()

    @property
    def traced(self) -> bool:
        """Whether the sender hears that the message was passed on, whatever else it hears."""
        return TRACE in self.notify.split(",")


def columns(row: Mail | Recipient) -> dict[str, Any]:
    """The columns of a row by their names."""
    form = _FORMS[type(row)]
    return dict(zip(form.places, form.read(row), strict=True))


@dataclass(frozen=True, slots=True)
class Content:
    """What orders of one mail share: text, parameters, files."""

    id: int
    mail_id: int
    channel: str
    text: str
    params: str
    files: str
    notes: str
    alphabet: str
    parts: int

    @property
    def form(self) -> dict[str, str]:
        """The parameters of send.php."""
        return dict(json.loads(self.params))

    @property
    def attachments(self) -> list[StoredFile]:
        return [StoredFile(**each) for each in json.loads(self.files)]

    @property
    def said(self) -> tuple[str, ...]:
        """The notes: what was cut, dropped or changed."""
        return tuple(json.loads(self.notes))


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose octets are chunk rows."""

    id: int
    name: str
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class Order:
    """One text to one phone by one channel."""

    id: int
    version: int
    mail_id: int
    recipient_id: int
    content_id: int | None
    parent_id: int | None
    merged_into: int | None
    request_id: int | None
    sender: str
    account: str
    channel: str
    target: str
    hidden: int
    state: State
    rank: int
    due_at: int
    batch: int
    digest: str
    says: str
    attempts: int
    lease_until: int | None
    created_at: int
    start_at: int
    expire_at: int
    sent_at: int | None
    finished_at: int | None
    warn_at: int | None
    poll_at: int | None
    polls: int
    kind: str
    status: str
    reason: str
    code: str
    words: str
    cost: str
    parts: int
    alarm: str
    label: str
    accounts: str
    source: str
    quiet: str
    cap: str
    counted_at: int | None
    mask: str
    topic: str
    digests: int
    over_at: int | None
    answered_at: int | None
    asleep: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        values = list(_columns_of(row))
        values[_STATE] = _STATES[values[_STATE]]
        return _FORM.made(values)  # type: ignore[no-any-return]

    def changed(self, **values: Any) -> Order:
        """The order with some columns changed."""
        return changed(self, **values)

    @property
    def forwarded(self) -> bool:
        """Whether it goes to a mail server, past the provider."""
        return self.channel == FORWARD

    @property
    def choice(self) -> tuple[str, ...]:
        """The accounts that may carry it, in their order."""
        return tuple(json.loads(self.accounts)) if self.accounts else (self.account,)

    @property
    def told_at(self) -> int:
        """When its phone heard it at the earliest: the provider may have it before its time."""
        return max(self.sent_at or 0, self.start_at)

    @property
    def outcome(self) -> Outcome | None:
        """The last outcome; None while there is none."""
        if not self.kind:
            return None
        return Outcome(
            kind=Kind(self.kind), status=self.status, reason=self.reason, code=self.code, text=self.words
        )

    @property
    def named(self) -> masking.Masked:
        """What the log calls it."""
        what = f"<order {model.show(self.id)} {self.state} "
        return masking.Masked.of(f"{what}{masking.phone_masked(self.target)}>", f"{what}{self.target}>")

    def __repr__(self) -> str:
        return str(self.named)


_FORMS: Mapping[type[Mail | Recipient], Form] = {Mail: Form(Mail), Recipient: Form(Recipient)}
_FORM = Form(Order)
_STATE = _FORM.places["state"]
_STATES = {state.value: state for state in State}
_columns_of = itemgetter(*_FORM.places)

Line = tuple[int, list[str]]
"""A content's id, and whom a request brings it to."""


def carried(lines: Sequence[Line]) -> dict[str, Any]:
    """The columns of a request that say what goes to whom: `targets`, and the content of a single text.

    A list is an array for each line: the content's id, then the phones.
    """
    if len(lines) == 1:
        return {"content_id": lines[0][0], "targets": as_json(lines[0][1])}
    return {"content_id": 0, "targets": as_json([[content, *phones] for content, phones in lines])}


@lru_cache(maxsize=64)
def _lines(content: int, targets: str) -> tuple[Line, ...]:
    """A call asks for its lines several times."""
    found = json.loads(targets)
    if found and isinstance(found[0], list):
        return tuple((key, phones) for key, *phones in found)
    return ((content, found),)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP call that carries orders under one id of ours."""

    id: int
    version: int
    account: str
    content_id: int
    targets: str
    state: RequestState
    cause: str
    created_at: int
    attempts: int
    sent_at: int | None
    broke_at: int | None
    due_at: int | None
    asks: int
    absences: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{**row, "state": RequestState(row["state"])})

    @property
    def lines(self) -> list[Line]:
        """What goes to whom, in the order of the request; more than one line is a `list`."""
        return list(_lines(self.content_id, self.targets))

    @property
    def is_list(self) -> bool:
        """Whether it carries several texts."""
        return len(self.lines) > 1

    @property
    def phones(self) -> list[str]:
        """The targets, in the order of the request."""
        return [phone for _content, phones in self.lines for phone in phones]

    @property
    def name(self) -> str:
        """Our id as the provider knows it."""
        return model.show(self.id)


@dataclass(frozen=True, slots=True)
class Phone:
    """What a phone heard last: the texts of the last minutes and the length of its chain.

    It is one row whichever accounts speak to the phone, so `account` is "".
    """

    account: str
    target: str
    version: int = 0  # 0: no row yet
    last_at: int = 0
    chain: int = 0
    texts: str = "[]"

    @property
    def heard(self) -> list[tuple[str, int, int]]:
        """(digest of the text, when, by which order), oldest first."""
        return [(says, at, order) for says, at, order, *_ in json.loads(self.texts)]


@dataclass(frozen=True, slots=True)
class Account:
    """What must be known of an account after a restart."""

    name: str
    version: int = 0
    rest: str = ""
    probe_at: int | None = None
    probes: int = 0
    mass_at: int | None = None
    answer_id: int = 0
    answers_at: int | None = None
