"""What clients may take of the front door, and what the log may show: the shape of `limits` and `log`.

Two kinds of client: those that `senders[].networks` admits are trusted, everybody else is a
stranger, counted by address and by network. 0 is no limit.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from relay.config.setting import Shape, setting
from relay.config.units import Size, Whole

Count = Annotated[Whole, Field(ge=0)]


class Share(Shape):
    """What may be taken at once, and within a minute."""

    connections: Count = setting(0, help="Connections at once.")
    sessions: Count = setting(0, help="New sessions a minute.")
    mails: Count = setting(0, help="MAIL commands a minute.")
    recipients: Count = setting(0, help="RCPT commands a minute.")
    errors: Count = setting(0, help="Answers 5xx a minute; over it new sessions, MAIL and RCPT wait.")


class Address(Share):
    """One stranger's address."""

    connections: Count = setting(20, help="Connections at once.")
    sessions: Count = setting(120, help="New sessions a minute.")
    mails: Count = setting(60, help="MAIL commands a minute; none once it has logged in.")
    recipients: Count = setting(600, help="RCPT commands a minute; none once it has logged in.")
    errors: Count = setting(30, help="Answers 5xx a minute; over it new sessions, MAIL and RCPT wait.")


class Network(Share):
    """All strangers of one network, an IPv4 /24 or an IPv6 /64."""

    connections: Count = setting(100, help="Connections at once.")
    sessions: Count = setting(600, help="New sessions a minute.")
    mails: Count = setting(300, help="MAIL commands a minute.")
    recipients: Count = setting(3000, help="RCPT commands a minute.")
    errors: Count = setting(150, help="Answers 5xx a minute; over it new sessions, MAIL and RCPT wait.")


class Trusted(Share):
    """One trusted address."""

    connections: Count = setting(100, help="Connections at once.")
    sessions: Count = setting(0, help="New sessions a minute.")
    mails: Count = setting(0, help="MAIL commands a minute.")
    recipients: Count = setting(0, help="RCPT commands a minute.")
    errors: Count = setting(0, help="Answers 5xx a minute; over it new sessions, MAIL and RCPT wait.")


class Limits(Shape):
    """What clients may take of the front door."""

    connections: Annotated[Whole, Field(ge=1, le=100_000)] = setting(
        1000, help="Connections at once, by all listeners; a quarter is kept for the trusted."
    )
    address: Address = setting({}, help="One stranger's address.")
    network: Network = setting({}, help="All strangers of one network, an IPv4 /24 or an IPv6 /64.")
    trusted: Trusted = setting({}, help="One trusted address.")
    memory: Size = setting("64MB", help="Mails on their way in, in memory; over it all mail is spooled.")
    spool: Size = setting("1GB", help="Mails on their way in, in spool files; over it 452 4.3.1.")
    free_disk: Size = setting("100MB", help="What must stay free on the disk of the spool; else 452 4.3.1.")
    data_rate: Size = setting(
        "1kB", help="What a client has to send of a mail in a second, on average, after 5 minutes."
    )


class Log(Shape):
    """What the log shows."""

    numbers: Literal["masked", "plain"] = setting(
        "masked", help="Phone numbers in the log: masked (their last four digits) or plain."
    )
