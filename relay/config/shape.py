"""The shape of the configuration: every setting, its default as it is written in the file, its help.

This is the one place where a setting is declared. The documents are made from it, the example is
held against it, and `prepare`, `checks` and `page` find their way through it by `settings`. What a
route says stands in `routing`, what the listeners do in `door`. Here is judged what a value alone
can tell; what several values tell together is in `checks`, and what only a room can tell is the
business of `app`.
"""

from __future__ import annotations

import contextlib
import socket
import unicodedata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from relay.config import units
from relay.config.door import Dns, Listener, Positive, Sender, Tls
from relay.config.limits import Limits, Log
from relay.config.places import FilePath, ListenOrNot, Provider, Store
from relay.config.routing import AliasOrMembers, Route, Smarthost
from relay.config.setting import NONE, Shape, setting
from relay.config.units import (
    AliasName,
    Duration,
    Flag,
    Hostname,
    Line,
    Mailbox,
    MailboxOrNot,
    Name,
    Phone,
    Secret,
    Whole,
)

Times = Annotated[tuple[Annotated[Duration, AfterValidator(units.positive)], ...], Field(min_length=1)]


def _wide_enough(value: int) -> int:
    if value < 60_000:
        raise ValueError("write 60s or more; the provider refuses the same text to a phone within a minute")
    return value


def _word(value: str) -> str:
    if all(unicodedata.category(letter)[0] in "PZCM" for letter in value):
        raise ValueError("has nothing that is read in a reply; write a word, as in ok")
    return value


Word = Annotated[Line, AfterValidator(_word)]


class Account(Shape):
    """An account at the provider."""

    url: Provider = setting(
        "https://smsc.ru", help="The provider, scheme and host; or sandbox, the built-in one."
    )
    apikey: Secret = setting(NONE, help="The API key; or login and psw.")
    login: Secret = setting(NONE, help="The login, with psw.")
    psw: Secret = setting(NONE, help="The password, with login.")
    slots: Annotated[Whole, Field(ge=1, le=14)] = setting(
        14, help="Calls at once, 1 to 14; the provider bans a login at 15."
    )


class Dkim(Shape):
    """How reports are signed."""

    domain: Line = setting("", help="The signing domain: that of reports.from, or above it.")
    selector: Line = setting("", help="The selector of its key, as in SELECTOR._domainkey.DOMAIN.")
    key: FilePath | None = setting(
        None, help="The private key, a PEM file: RSA, or Ed25519. For our eyes only."
    )


class Reports(Shape):
    """What senders hear back, and by which way."""

    from_: Mailbox = setting(
        "SMS relay <postmaster@localhost>",
        alias="from",
        shown="SMS relay <postmaster@HOSTNAME>",
        help="The From of reports. The domain should take mail.",
    )
    operator: MailboxOrNot = setting(
        "",
        help="Who is told of account trouble, caps, old orders, failing reports, silent callbacks.",
    )
    operator_phone: Line = setting(
        "", help="The same by phone, through an account that is not in trouble: a number or an address."
    )
    low_balance: Annotated[Whole, Field(ge=0)] = setting(
        0, help="Tell the operator when an account holds less; 0 is never."
    )
    old_queue: Duration = setting(
        "30m", help="Tell the operator when a message has waited so long; 0 is never."
    )
    smtp: Smarthost | None = setting(
        None, shown="{host: 127.0.0.1, port: 25}", help="The smarthost that takes reports; or maildir."
    )
    maildir: FilePath | None = setting(None, help="A maildir that takes them instead.")
    failure: Flag = setting(True, help="Tell the sender of failures. NOTIFY of the mail beats this.")
    delay: Duration = setting("15m", help="Warn when a message is not at the provider by then; 0 is never.")
    success: Literal["never", "accepted", "delivered"] = setting(
        "never", help="Tell the sender of success: never, at the provider, or on the handset."
    )
    gather: Duration = setting("10s", help="Wait so long for further news of the same mail.")
    language: Literal["en", "ru"] = setting("en", help="The language of reports.")
    dkim: Dkim = setting({}, help="How reports are signed.")

    @model_validator(mode="before")
    @classmethod
    def _way(cls, values: object) -> object:
        """The smarthost of this host, where no other way is given."""
        if isinstance(values, dict) and "smtp" not in values and "maildir" not in values:
            return {**values, "smtp": {}}
        return values


class Delivery(Shape):
    """When to try again, to ask and to give up."""

    retry: Times = setting(
        ["10s", "1m", "5m", "15m", "1h"], help="Waits between tries that failed for now; the last repeats."
    )
    poll: Times = setting(
        ["10s", "30s", "2m", "10m", "1h"], help="Waits between questions for the status; the last repeats."
    )
    give_up: Positive = setting("72h", help="After so long without a final word the outcome is unknown.")


class Storm(Shape):
    """What keeps a phone from being flooded; counted for each phone."""

    repeat_window: Annotated[Duration, AfterValidator(_wide_enough)] = setting(
        "60s", help="The same text within this time is sent once; at least 60s."
    )
    burst: Annotated[Whole, Field(ge=0)] = setting(
        10, help="Over so many messages the rest is a digest; 0: none."
    )
    per: Positive = setting("1m", help="The time in which a burst is counted.")
    digest_every: Positive = setting("1m", help="How often a digest goes out at most.")


class Cap(Shape):
    """An upper limit, on one sender, phone or account."""

    sender: Line = setting("", help="The entry of senders that it limits; or phone, or account.")
    phone: Phone = setting("", help="The phone that it limits; * is each phone, for itself.")
    account: Line = setting("", help="The account that it limits.")
    per: Literal["minute", "hour", "day", "month"] = setting("day", help="The time in which it counts.")
    messages: Annotated[Whole, Field(ge=0)] | None = setting(None, help="So many messages at most.")
    parts: Annotated[Whole, Field(ge=0)] | None = setting(None, help="So many parts at most.")
    cost: Annotated[Whole, Field(ge=0)] | None = setting(
        None, help="So much money at most, as the account counts."
    )
    over: Literal["refuse", "hold"] = setting(
        "refuse", help="Over it: answer 4xx, or hold the order and report it."
    )

    @model_validator(mode="after")
    def _judge(self) -> Cap:
        if [self.sender, self.phone, self.account].count("") != 2:
            raise ValueError("a cap limits one of sender, phone and account")
        if self.messages is self.parts is self.cost is None:
            raise ValueError("a cap needs messages, parts or cost")
        return self


class Inbox(Shape):
    """Where messages from phones go."""

    default: MailboxOrNot = setting("", help="Where messages of phones go that answer nobody.")
    window: Positive = setting("72h", help="For so long a reply belongs to the last message to its phone.")
    poll: Duration = setting(
        "1m", help="How often answers are fetched where the provider does not bring them; 0 is never."
    )
    acknowledge: tuple[Word, ...] = setting(["ok", "ack", "принял"], help="Words that acknowledge an alarm.")


class Keep(Shape):
    """How long finished orders are remembered."""

    texts: Duration = setting("30d", help="Texts, files and headers.")
    history: Duration = setting("400d", help="Everything else of an order.")


class Web(Shape):
    """HTTP: health, metrics, callbacks, the dashboard."""

    listen: ListenOrNot = setting(
        "127.0.0.1:8025", help='Where to listen: host:port or [v6]:port; "" is nowhere.'
    )
    socket: FilePath = setting("relay.sock", help="The unix socket that the command line talks to.")
    public_url: Line = setting(
        "", help="Under which URL the provider reaches web.listen; the log then says what to enter there."
    )
    callback_secret: Secret = setting(
        NONE, help="What the provider signs callbacks with; none: they are refused."
    )
    users: dict[str, Secret] = setting({}, help="Who may see the dashboard: a name and its hash-password.")


def own_name() -> str:
    """This host's full name, or what can stand for it in a greeting."""
    for name in (socket.getfqdn(), socket.gethostname()):
        with contextlib.suppress(ValueError):
            if not name.endswith(".arpa"):
                return str(units.hostname(name))
    return "localhost"


class Config(Shape):
    """The whole configuration."""

    hostname: Hostname = setting(
        "localhost", shown="this host's name", help="Our name in greetings, reports and Message-IDs."
    )
    store: Store = setting(
        "sqlite:///relay.db",
        help="The database: sqlite:///FILE, or postgresql://user@host/database for several nodes.",
    )
    workers: Annotated[Whole, Field(ge=1, le=64)] = setting(
        1, help="Processes on this machine; several need PostgreSQL."
    )
    max_recipients: Annotated[Whole, Field(ge=1, le=100_000)] = setting(
        1000, help="Recipients of one mail at most."
    )
    listeners: Annotated[tuple[Listener, ...], Field(min_length=1)] = setting(
        [{"address": "127.0.0.1:2525"}], help="The doors that mail comes in by."
    )
    limits: Limits = setting(
        {},
        help="What clients may take. Whom senders[].networks admits is trusted, all others are strangers.",
    )
    tls: Tls | None = setting(None, help="The certificate of the listeners.")
    senders: tuple[Sender, ...] = setting(
        [], help="Who may send; the first entry whose conditions all hold counts. Without one: refused."
    )
    dns: Dns = setting({}, help="How the domains of senders are looked up; only where require needs it.")
    accounts: Annotated[dict[Name, Account], Field(min_length=1)] = setting(
        help="Accounts at the provider, each under a name of yours."
    )
    routes: Annotated[tuple[Route, ...], Field(min_length=1)] = setting(
        help="Where a recipient goes; the first match wins. Without one: 550 5.1.2."
    )
    aliases: dict[AliasName, AliasOrMembers] = setting(
        {}, help="Names on phone channels: a list of members, or {to: [...], escalate: [...]}."
    )
    recognisers: FilePath | None = setting(
        None,
        help="A folder of recognisers of your own (docs/recognisers.md), tried first.",
    )
    reports: Reports = setting({}, help="What senders hear back, and by which way.")
    delivery: Delivery = setting({}, help="When to try again, to ask and to give up.")
    storm: Storm = setting({}, help="What keeps a phone from being flooded; counted for each phone.")
    caps: tuple[Cap, ...] = setting(
        [], help="Upper limits; windows slide, and what is over is refused or held, never lost."
    )
    inbox: Inbox = setting({}, help="Where messages from phones go.")
    keep: Keep = setting({}, help="How long finished orders are remembered.")
    log: Log = setting({}, help="What the log shows.")
    web: Web = setting({}, help="HTTP: health, metrics, callbacks, the dashboard.")

    @model_validator(mode="before")
    @classmethod
    def _name(cls, values: object) -> object:
        """This host's name, where no other is given, and reports that come from it."""
        if not isinstance(values, dict):
            return values
        values = {"hostname": own_name(), **values} if "hostname" not in values else dict(values)
        reports, name = values.get("reports", {}), values["hostname"]
        if isinstance(reports, dict) and isinstance(name, str):
            values["reports"] = {"from": f"SMS relay <postmaster@{name}>", **reports}
        return values

    @property
    def shared(self) -> bool:
        """Whether several nodes may share the store."""
        return self.store.startswith("postgresql:")

    @property
    def store_path(self) -> Path:
        """The file of an SQLite store."""
        return Path(self.store.removeprefix("sqlite:///"))

    @property
    def spool_path(self) -> Path:
        """The folder of what is on its way into the store, on this machine."""
        beside = self.web.socket if self.shared else self.store_path
        return Path(f"{beside}.spool")
