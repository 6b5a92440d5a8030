"""What a report says, as values: of the mail as a whole, and of each recipient."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What became of a recipient (RFC 3464 section 2.3.3)."""

    FAILED = "failed"  # never, and nothing more is tried
    DELAYED = "delayed"  # not yet at the provider, trying goes on
    RELAYED = "relayed"  # the provider has it
    DELIVERED = "delivered"  # on the handset
    EXPANDED = "expanded"  # went on to several, whose fates are reported nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a report says about one recipient: all of its orders that met the same fate."""

    address: str  # the RCPT as given
    action: Action
    status: str  # enhanced (RFC 3463)
    reason: str  # a sentence for people
    orcpt: str = ""  # from RCPT, as it came: "rfc822;Bob@x.example"
    channel: str = ""
    code: str = ""  # the provider's own code and words, or "smtp 550" and those of a mail server
    text: str = ""
    remote: str = ""  # the provider's host, or the mail server's
    phone: str = ""  # "" where its number is not shown
    id: str = ""  # of the request at the provider
    label: str = ""  # the number that the mail itself gave it
    parts: int = 0
    cost: str = ""
    members: int = 1  # of an alias or a group
    affected: int = 1  # how many of them this is about
    last_attempt: int = 0
    will_retry_until: int = 0
    unknown: bool = False  # nobody can say what became of it
    late: bool = False  # the sender was told otherwise before
    notes: tuple[str, ...] = ()  # what was cut, dropped, merged: whole sentences
    excerpt: str = ""  # the beginning of what was sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report mail before it is written: whom it goes to, about which mail, what it says."""

    to: str  # the envelope sender of the original
    from_: str  # a header value: "SMS relay <postmaster@…>"
    hostname: str
    language: str = "en"
    envid: str = ""  # xtext, as it came
    arrival: int = 0
    deliver_by: int = 0  # when it was to have arrived (RFC 2852); 0: whenever
    hold: str = ""  # how long it was to be held, as its client said (RFC 4865)
    subject: str = ""
    message_id: str = ""
    references: str = ""
    mail_id: str = ""  # ours
    head: bytes = b""  # the original header block
    full: bytes | None = None  # the original whole, with RET=FULL
    utf8: bool = False  # the original used SMTPUTF8
    entries: tuple[Entry, ...] = ()
