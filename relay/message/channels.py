"""The channels: what each kind of message of send.php needs, takes and limits.

One declarative table; the provider's page on sending is its source. Code elsewhere asks the
table instead of a channel's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from relay.message import attached
from relay.message.attached import FileRule

# -- channels --------------------------------------------------------------------------------

_ALL = frozenset({"sender", "time", "tz", "period", "freq", "pp"})
_SMS = _ALL | {"translit", "tinyurl", "valid", "maxsms"}

AUTHOR, ROUTE, NONE = "author", "route", "none"  # whose comment the channel carries


class Form(StrEnum):
    """What `mes` is on a channel."""

    WORDS = "words"  # a text for people
    NOTHING = "nothing"  # it is not used
    HEX = "hex"  # octets in hexadecimal digits
    LINK = "link"  # an address, and on the next line its title
    CODE = "code"  # 4 to 8 digits


class To(StrEnum):
    """What stands before the @."""

    PHONE = "phone"  # a number, a group or an alias, with options
    BOT_USER = "bot user"  # the same, or a nick or #id of Telegram
    MAILBOX = "mailbox"  # a mail address, left as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One kind of message: its flags in the request, and what it can do."""

    name: str
    help: str
    flags: Mapping[str, str] = field(default_factory=dict)
    to: To = To.PHONE
    params: frozenset[str] = _ALL  # parameters of send.php that mean something here
    needs: frozenset[str] = frozenset()  # parameters it can't do without
    text: str = "{{ subject }}\n{{ body }}"  # the template where the route gives none
    form: Form = Form.WORDS
    asks: bool = False  # a question: its answer is owed to the sender, like a failure
    html: bool = False  # HTML is preferred and kept
    counts_parts: bool = False  # paid by the part: alphabet and max_parts apply
    comment: str = ROUTE
    takes_files: FileRule | None = None
    digests: bool = False  # many messages of a storm may go as one digest
    mixes: bool = False  # words and files go together in a few ways only (attached.viber_mix)

    @property
    def phone(self) -> bool:
        """A phone, or a person's messenger, gets it: what is read there is text."""
        return self.to is not To.MAILBOX


_TABLE = (
    Channel(
        name="sms",
        help="a text message",
        params=_SMS,
        counts_parts=True,
        comment=AUTHOR,
        digests=True,
    ),
    Channel(
        name="flash",
        help="a text message shown at once and not kept",
        flags={"flash": "1"},
        params=_SMS,
        counts_parts=True,
        comment=AUTHOR,
        digests=True,
    ),
    Channel(
        name="bin",
        help="a binary message, its user data header first: hexadecimal digits, or a file of octets",
        flags={"bin": "2"},  # of octets too: `bin=1` would put them into a request that is UTF-8
        params=_ALL | {"valid"},
        text="{{ body }}",
        form=Form.HEX,
        comment=NONE,  # what follows the mark is read as pid and dcs
        takes_files=attached.BIN,
    ),
    Channel(
        name="push",
        help="a WAP push: a link and, on the next line, its title",
        flags={"push": "1"},
        params=_ALL | {"valid"},
        text="{{ body }}",
        form=Form.LINK,
    ),
    Channel(
        name="hlr",
        help="a question to the operator about the number; nothing reaches the phone",
        flags={"hlr": "1"},
        text="",
        form=Form.NOTHING,
        asks=True,
        comment=NONE,
    ),
    Channel(
        name="ping",
        help="a message that the phone does not show; tells whether it is switched on",
        flags={"ping": "1"},
        params=_ALL | {"valid"},
        text="",
        form=Form.NOTHING,
        asks=True,
        comment=NONE,
    ),
    Channel(
        name="mms",
        help="a multimedia message",
        flags={"mms": "1"},
        params=_ALL | {"subj", "tinyurl", "valid", "fileurl"},
        takes_files=attached.MMS,
    ),
    Channel(
        name="mail",
        help="an e-mail",
        flags={"mail": "1"},
        to=To.MAILBOX,
        params=_ALL | {"subj", "tinyurl", "fileurl"},
        needs=frozenset({"subj", "sender"}),
        text="{{ body }}",
        html=True,
        takes_files=attached.MAIL,
    ),
    Channel(
        name="soc",
        help="a message in Odnoklassniki, VKontakte or Mail.Ru Agent",
        flags={"soc": "1"},
        params=_ALL | {"tinyurl"},
        digests=True,
    ),
    Channel(
        name="viber",
        help="a Viber message",
        flags={"viber": "1"},
        params=_ALL | {"tinyurl", "fileurl"},
        takes_files=attached.VIBER,
        mixes=True,
        digests=True,
    ),
    Channel(
        name="whatsapp",
        help="a WhatsApp message",
        flags={"whatsapp": "1"},
        params=_ALL | {"tinyurl", "fileurl"},
        digests=True,
    ),
    Channel(
        name="tg",
        help="a confirmation code of 4 to 8 digits in Telegram",
        flags={"tg": "1"},
        text="{{ body }}",
        form=Form.CODE,
        comment=NONE,  # digits and nothing else
    ),
    Channel(
        name="bot",
        help="a message from a Telegram bot, to a number, a nick or #id",
        to=To.BOT_USER,
        params=_ALL | {"bot", "smsreq", "tinyurl", "fileurl"},
        needs=frozenset({"bot"}),
        digests=True,
    ),
    Channel(
        name="call",
        help="a voice call: the text is read out, recordings are played",
        flags={"call": "1"},
        params=_ALL | {"voice", "param", "fileurl"},
        takes_files=attached.CALL,
    ),
    Channel(
        name="forward",
        help="the mail itself, untouched, to another mail server",
        to=To.MAILBOX,
        params=frozenset(),
        html=True,
        comment=NONE,
        takes_files=FileRule(),
    ),
)

CHANNELS: Mapping[str, Channel] = MappingProxyType({channel.name: channel for channel in _TABLE})
"""Every channel by the name that routes and options give it."""

FORWARD = "forward"
"""The one channel that goes past the provider: no account, no text, no request."""

OPTION_CHANNELS = frozenset(channel.name for channel in _TABLE if channel.phone) - {"bot"}
"""What a +option may choose; a bot has to be named, so that its route has to be its own."""


def asks(name: str) -> bool:
    """Whether a message of the channel is a question, whose answer is owed to the sender."""
    return name in CHANNELS and CHANNELS[name].asks


def digests(name: str) -> bool:
    """Whether messages of the channel may go as one digest: texts for people, to phones."""
    return name in CHANNELS and CHANNELS[name].digests


# -- the table for people ----------------------------------------------------------------------


def table() -> str:
    """The channels as a Markdown table."""
    head = "| Channel | What it is | Flags | Own parameters | Files | Comment |"
    return "\n".join([head, "|---|---|---|---|---|---|", *(_row(channel) for channel in _TABLE)])


def _row(channel: Channel) -> str:
    flags = ", ".join(f"`{name}={value}`" for name, value in channel.flags.items())
    own = ", ".join(f"`{name}`" for name in sorted(channel.params - _ALL))
    cells = [f"`{channel.name}`", channel.help, flags, own, _files(channel), channel.comment]
    return "| " + " | ".join(cell or "–" for cell in cells) + " |"


def _files(channel: Channel) -> str:
    rule = channel.takes_files
    if rule is None:
        return ""
    limits = [f"{rule.max_count} files"] if rule.max_count else []
    limits += [f"{rule.max_size // attached.MB} MB each"] if rule.max_size else []
    limits += [f"links above {rule.total // attached.MB} MB in all"] if rule.total else []
    return ", ".join([*limits, " ".join(rule.kinds) or "any kind"])


EXAMPLES: Mapping[str, tuple[str, str, str]] = {
    "sms": ("79991234567", "Disk full", "mes=Disk full"),
    "flash": ("79991234567+flash", "Disk full", "mes=Disk full&flash=1"),
    "bin": ("79991234567+bin", "00 48 65 6C 6C 6F", "mes=0048656C6C6F&bin=2"),
    "push": ("79991234567+push", "http://example.com/\nGraph", "mes=http://example.com/\nGraph&push=1"),
    "hlr": ("79991234567+hlr", "", "hlr=1"),
    "ping": ("79991234567+ping", "", "ping=1"),
    "mms": ("79991234567+mms+subj=Alarm", "Disk full", "mes=Disk full&mms=1&subj=Alarm"),
    "mail": (
        "anna@example.org",
        "Disk full",
        "mes=Disk full{no_unsub}&mail=1&sender=ops@example.com&subj=(no subject)",
    ),
    "soc": ("79991234567+soc", "Disk full", "mes=Disk full&soc=1"),
    "viber": ("79991234567+viber", "Disk full", "mes=Disk full&viber=1"),
    "whatsapp": ("79991234567+whatsapp", "Disk full", "mes=Disk full&whatsapp=1"),
    "tg": ("79991234567+tg", "123456", "mes=123456&tg=1"),
    "bot": ("alex_nick", "Disk full", "mes=Disk full&bot=@name_bot"),
    "call": ("79991234567+call+voice=w2", "Disk full", "mes=Disk full&call=1&voice=w2"),
}
"""For each channel what to write before the @, a mail's text, and what the request says of it."""


def examples() -> str:
    """The examples as a Markdown table."""
    rows = [
        f"| `{name}` | `{local}` | {f'`{_shown(body)}`' if body else 'any'} | `{_shown(query)}` |"
        for name, (local, body, query) in EXAMPLES.items()
    ]
    return "\n".join(["| Channel | Address | Text | Request |", "|---|---|---|---|", *rows])


def _shown(text: str) -> str:
    return text.replace("\n", "⏎")


def common() -> tuple[str, ...]:
    """The parameters that every channel of the provider takes, in alphabetical order."""
    return tuple(sorted(_ALL))


def escalates(name: str) -> bool:
    """Whether messages of the channel are words to people on phones, which may be said in another way."""
    return name in CHANNELS and CHANNELS[name].phone and CHANNELS[name].form is Form.WORDS
