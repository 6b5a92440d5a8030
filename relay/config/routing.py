"""The part of the shape that says where a recipient goes: routes, aliases, escalations.

A route takes, beside its own settings, parameters of the provider's send.php under their own
names. Their names stand here, and those that the relay keeps for itself, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from relay.config import units
from relay.config.places import Host
from relay.config.setting import NONE, Shape, setting
from relay.config.units import Duration, Flag, Hours, Line, Pattern, Port, Region, Secret, Text, Whole

Channel = Literal[
    "sms",
    "flash",
    "bin",
    "push",
    "hlr",
    "ping",
    "mms",
    "mail",
    "soc",
    "viber",
    "whatsapp",
    "tg",
    "bot",
    "call",
    "forward",
]

PARAMETERS = {
    "sender": "the name or number that the phone shows; on mail, the From address",
    "translit": "1 or 2: Cyrillic in Latin letters, in one of two manners",
    "tinyurl": "1: links are shortened",
    "time": "when to send: a moment DDMMYYhhmm, or hours as in 9-21",
    "tz": "the time zone of time, in hours from Moscow's",
    "period": "send to many over so many hours, 0.1 to 720; with freq",
    "freq": "minutes between the portions of period, 1 to 1440",
    "valid": "how long the operator tries: hours, 1 to 24, or hh:mm",
    "maxsms": "parts at most, cut by the provider",
    "voice": "the voice of a call: m to m4, w to w4, with a language as in w,en",
    "param": "a call's seconds of ringing, seconds between tries, and tries, as in 25,30,3",
    "subj": "the subject of mail and MMS",
    "smsreq": "bot only: days after which a phone is confirmed again, 10 to 999",
    "fileurl": "the URL of a file to send along",
    "pp": "the number of a partner of the provider",
    "bot": "bot only: the bot that sends, as in @name_bot",
}
"""Parameters of send.php that a route may set, and what they say."""

_RELAYS_OWN = "the relay sets it itself; remove it"
_CHANNELS_OWN = "the channel is chosen by `channel`; remove this and write there"
KEPT = {
    **dict.fromkeys(("login", "psw", "apikey"), "the login belongs under accounts; remove it here"),
    **dict.fromkeys(("phones", "mes", "list", "nl", "id", "charset", "fmt", "cost", "op"), _RELAYS_OWN),
    **dict.fromkeys(("err", "imgcode", "userip"), _RELAYS_OWN),
    **dict.fromkeys(
        (
            "sms",
            "flash",
            "bin",
            "push",
            "hlr",
            "ping",
            "mms",
            "mail",
            "soc",
            "viber",
            "whatsapp",
            "tg",
            "call",
        ),
        _CHANNELS_OWN,
    ),
}
"""Parameters of send.php that no route may set, and what to do instead."""

ALLOWED = (
    *PARAMETERS,
    "sms",
    "flash",
    "bin",
    "push",
    "hlr",
    "ping",
    "mms",
    "soc",
    "viber",
    "whatsapp",
    "tg",
    "call",
)
"""What `allow` may name."""


def _option(value: str) -> str:
    if value not in ALLOWED:
        raise ValueError(
            "no such option; write channels and parameters of send.php, as in [flash, time, valid]"
        )
    return value


class Smarthost(Shape):
    """A mail server that takes what we send on."""

    host: Host = setting("127.0.0.1", help="Its name or address.")
    port: Port = setting(25, help="Its port.")
    tls: Literal["none", "starttls", "required", "implicit"] = setting(
        "starttls", help="none, starttls (where offered), required, implicit (from the first byte)."
    )
    username: Line = setting("", help="The login there, with password.")
    password: Secret = setting(NONE, help="The password there, with username.")

    @model_validator(mode="after")
    def _judge(self) -> Smarthost:
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("a login needs both username and password")
        return self


class Escalation(Shape):
    """What happens when a message is not answered for."""

    after: Duration = setting(help="How long after the message.")
    unless: Literal["delivered", "answered"] = setting("delivered", help="What makes it unnecessary.")
    channel: Line = setting("", help="The channel to try next; or to.")
    to: Line = setting("", help="The address or alias to try next; or channel.")

    @model_validator(mode="after")
    def _judge(self) -> Escalation:
        if bool(self.channel) == bool(self.to):
            raise ValueError("an escalation needs one of channel and to")
        return self


class Quiet(Shape):
    """When phones are left alone."""

    hours: Hours = setting("", help='From one hour to another, as in 22-7; "" is never.')
    by: Literal["provider", "hold"] = setting("provider", help="Who waits: the provider (time=), or we.")

    @model_validator(mode="after")
    def _judge(self) -> Quiet:
        if not self.hours:
            return self
        first, last = (int(hour) % 24 for hour in self.hours.split("-"))
        if first == last:
            raise ValueError("the quiet hours end when they begin; write two hours, as in 22-7")
        if self.by == "provider" and last >= (first or 24):
            raise ValueError(
                "the provider waits for hours of one day only, and these leave two pieces; write by: hold"
            )
        return self


class Route(Shape):
    """Where a recipient goes. Further keys are parameters of send.php, gathered in `params`."""

    match: Pattern = setting(help="A pattern on the address without its +options; * is any text.")
    channel: Channel = setting(help="How it is sent; forward hands mail on to the smarthost smtp.")
    account: Line = setting("", shown="the only account", help="The account it is sent from.")
    accounts: tuple[Line, ...] = setting(
        [], help="Several, in their order: where one rests the next takes over; instead of account."
    )
    smtp: Smarthost | None = setting(None, help="Only with forward: the smarthost.")
    region: Region = setting("", help="The country of numbers without its code, as in RU.")
    text: Text | None = setting(
        None,
        shown='"{{ subject }}\\n{{ body }}"; on mail, bin, push and tg "{{ body }}"',
        help="What the phone reads, a Jinja2 template.",
    )
    comment: Text = setting("", help='What the account\'s owner reads, a template, as in "{{ from }}".')
    allow: tuple[Annotated[str, AfterValidator(_option), "option"], ...] = setting(
        [], help="What +options and X-SMSC-* headers may set, as in [flash, time, valid]."
    )
    attachments: Literal["drop", "reject"] = setting(
        "drop", help="Files where the channel takes none: drop them and say so, or reject the mail."
    )
    macros: Flag = setting(
        False, help="Text may carry the provider's own macros, prefixes and file references."
    )
    unsubscribe: Flag = setting(False, help="mail only: let the provider add its unsubscribe link.")
    loops: Literal["refuse", "send"] = setting(
        "refuse", help="Bounces, vacation notices and other automatic answers: refuse them, or send them."
    )
    trim: Flag = setting(True, help="Cut signatures, quoted mail and disclaimers.")
    condense: Flag = setting(False, help="Say a monitor's mail in one line, by the recogniser that knows it.")
    alphabet: Literal["auto", "gsm7", "ucs2", "translit"] = setting(
        "auto", help="gsm7 replaces what does not fit, translit writes Cyrillic in Latin letters."
    )
    max_parts: Annotated[Whole, Field(ge=1, le=99)] = setting(
        10, help="Longer text is cut at a word, and the report says so."
    )
    priority: Annotated[Whole, Field(ge=-1000, le=1000)] = setting(0, help="Higher goes first.")
    expire: Annotated[Duration, AfterValidator(units.positive)] = setting(
        "24h", help="What is not at the provider by then has failed."
    )
    gateway: Flag = setting(False, help="send@ this domain takes the provider's own mail grammar.")
    countries: tuple[units.Country, ...] = setting(
        [], help="Countries whose numbers may be reached; empty: all."
    )
    numbers: tuple[units.Numbers, ...] = setting(
        [], help='Numbers that may be reached, as in "+79991234567" or "+7999*"; empty: all.'
    )
    quiet: Quiet = setting({}, help="When phones are left alone.")
    escalate: tuple[Escalation, ...] = setting([], help="What happens when a message is not answered for.")
    params: Mapping[str, str] = Field(default_factory=dict)


def _members(value: object) -> object:
    if isinstance(value, (str, int)):
        raise ValueError('write a list of members, as in ["+79991234567"]')  # noqa: TRY004  # pydantic's
    return {"to": value} if isinstance(value, list) else value


class Alias(Shape):
    """A name for several recipients."""

    to: Annotated[tuple[Line, ...], Field(min_length=1)] = setting(help="Its members: numbers and groups.")
    escalate: tuple[Escalation, ...] = setting([], help="What happens when a message is not answered for.")


AliasOrMembers = Annotated[Alias, BeforeValidator(_members)]
