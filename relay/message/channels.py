"""The channels: what each kind of message of send.php needs, takes and limits.

One declarative table; the provider's page on sending is its source. Code elsewhere asks the
table instead of a channel's name. ``built`` tells which channels this version serves: a route
to another loads with a warning, and its recipients are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from relay import replies
from relay.model import File
from relay.replies import Reply

_MB = 1 << 20
MAIL_INLINE_TOTAL = 15 * _MB
"""Files of one mail over this in all travel as links to the provider's site."""


# -- files -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRule:
    """Which files a channel takes. Zero means that the provider names no limit.

    `kinds` maps an extension to the sniffed types that may bear it, none meaning any type;
    without `kinds` every file goes. A file without an extension goes by its type alone:
    machines send recordings without names.
    """

    max_count: int = 0
    max_size: int = 0
    total: int = 0  # over this in all, files travel as links
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def check(self, files: Sequence[File]) -> Reply | None:
        """The reply that names the first file that can't go, None where all can."""
        for number, file in enumerate(files, start=1):
            if not self._fits(file):
                kinds = ", ".join(sorted(self.kinds))
                return replies.reply(
                    554, "5.6.1", f"the file {_quoted(file)} can't go this way: send {kinds}"
                )
            if self.max_size and file.size > self.max_size:
                limit = f"a file may have {self.max_size // _MB} MB"
                return replies.reply(552, "5.3.4", f"the file {_quoted(file)} is too large: {limit}")
            if self.max_count and number > self.max_count:
                limit = f"a message takes {self.max_count}"
                return replies.reply(552, "5.3.4", f"the file {_quoted(file)} is one too many: {limit}")
        return None

    def note(self, files: Sequence[File]) -> str:
        """What the sender should know about files that do go, "" mostly."""
        if not self.total or sum(file.size for file in files) <= self.total:
            return ""
        return f"the files are over {self.total // _MB} MB in all: what is above that travels as links"

    def _fits(self, file: File) -> bool:
        extension = _extension(file)
        if not self.kinds:
            return True
        if not extension:
            return any(file.type in types for types in self.kinds.values())
        types = self.kinds.get(extension)
        return types is not None and (not types or file.type in types)


def _extension(file: File) -> str:
    """The extension in lower case; what follows a dot and holds a space is none."""
    stem, dot, extension = file.name.rpartition(".")
    return extension.lower() if dot and stem and " " not in extension else ""


def _quoted(file: File) -> str:
    name = file.name or "without a name"
    return f'"{name}"' if len(name) <= 100 else f'"{name[:99]}…"'


_ANY: frozenset[str] = frozenset()
_IMAGES = {
    "jpg": frozenset({"image/jpeg"}),
    "jpeg": frozenset({"image/jpeg"}),
    "gif": frozenset({"image/gif"}),
    "png": frozenset({"image/png"}),
}
_SOUNDS = {
    "wav": frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"}),
    "mp3": frozenset({"audio/mpeg", "audio/mp3"}),
}
_DOCUMENTS = (
    "doc docx rtf dotx dot odf fodt odt txt info pdf xps eps pdax xlsx xlsm fods ods csv xltx 3gp m4v mov mp4"
)
_MAIL_FILES = FileRule(max_count=20, max_size=10 * _MB, total=MAIL_INLINE_TOTAL)
_CALL_FILES = FileRule(max_count=4, max_size=5 * _MB, kinds=_SOUNDS)
_MMS_FILES = FileRule(kinds=_IMAGES | _SOUNDS | dict.fromkeys(("txt", "amr", "mid", "mp4", "3gp"), _ANY))
_VIBER_FILES = FileRule(
    max_count=2,  # a picture and a video
    max_size=_MB,
    kinds=_IMAGES | dict.fromkeys(_DOCUMENTS.split(), _ANY),
)


# -- channels --------------------------------------------------------------------------------

_ALL = frozenset({"sender", "time", "tz", "period", "freq", "pp"})
_SMS = _ALL | {"translit", "tinyurl", "valid", "maxsms"}

AUTHOR, ROUTE, NONE = "author", "route", "none"  # whose comment the channel carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One kind of message: its flags in the request, and what it can do."""

    name: str
    help: str
    flags: Mapping[str, str] = field(default_factory=dict)
    built: bool = False
    phone: bool = True  # a number, a group or an alias stands before the @, with options
    params: frozenset[str] = _ALL  # parameters of send.php that mean something here
    needs: frozenset[str] = frozenset()  # parameters it can't do without
    text: str = "{{ subject }}\n{{ body }}"  # the template where the route gives none
    html: bool = False  # HTML is preferred and kept
    counts_parts: bool = False  # paid by the part: alphabet and max_parts apply
    comment: str = ROUTE
    takes_files: FileRule | None = None


_TABLE = (
    Channel(
        name="sms",
        help="a text message",
        built=True,
        params=_SMS,
        counts_parts=True,
        comment=AUTHOR,
    ),
    Channel(
        name="flash",
        help="a text message shown at once and not kept",
        flags={"flash": "1"},
        built=True,
        params=_SMS,
        counts_parts=True,
        comment=AUTHOR,
    ),
    Channel(
        name="bin",
        help="a binary message, its user data header first, in hexadecimal digits",
        flags={"bin": "2"},
        params=_ALL | {"valid"},
        text="{{ body }}",
        comment=NONE,  # what follows the mark is read as pid and dcs
    ),
    Channel(
        name="push",
        help="a WAP push: a link and, on the next line, its title",
        flags={"push": "1"},
        params=_ALL | {"valid"},
        text="{{ body }}",
    ),
    Channel(
        name="hlr",
        help="a question to the operator about the number; nothing reaches the phone",
        flags={"hlr": "1"},
        text="",
        comment=NONE,
    ),
    Channel(
        name="ping",
        help="a message that the phone does not show; tells whether it is switched on",
        flags={"ping": "1"},
        params=_ALL | {"valid"},
        text="",
        comment=NONE,
    ),
    Channel(
        name="mms",
        help="a multimedia message",
        flags={"mms": "1"},
        params=_ALL | {"subj", "tinyurl", "valid", "fileurl"},
        takes_files=_MMS_FILES,
    ),
    Channel(
        name="mail",
        help="an e-mail",
        flags={"mail": "1"},
        built=True,
        phone=False,
        params=_ALL | {"subj", "tinyurl", "fileurl"},
        needs=frozenset({"subj", "sender"}),
        text="{{ body }}",
        html=True,
        takes_files=_MAIL_FILES,
    ),
    Channel(
        name="soc",
        help="a message in Odnoklassniki, VKontakte or Mail.Ru Agent",
        flags={"soc": "1"},
        params=_ALL | {"tinyurl"},
    ),
    Channel(
        name="viber",
        help="a Viber message",
        flags={"viber": "1"},
        params=_ALL | {"tinyurl", "fileurl"},
        takes_files=_VIBER_FILES,
    ),
    Channel(
        name="whatsapp",
        help="a WhatsApp message",
        flags={"whatsapp": "1"},
        params=_ALL | {"tinyurl", "fileurl"},
    ),
    Channel(
        name="tg",
        help="a confirmation code of 4 to 8 digits in Telegram",
        flags={"tg": "1"},
        text="{{ body }}",
        comment=NONE,  # digits and nothing else
    ),
    Channel(
        name="bot",
        help="a message from a Telegram bot, to a number, a nick or #id",
        params=_ALL | {"bot", "smsreq", "tinyurl", "fileurl"},
        needs=frozenset({"bot"}),
    ),
    Channel(
        name="call",
        help="a voice call: the text is read out, recordings are played",
        flags={"call": "1"},
        built=True,
        params=_ALL | {"voice", "param", "fileurl"},
        takes_files=_CALL_FILES,
    ),
    Channel(
        name="forward",
        help="the mail itself, untouched, to another mail server",
        phone=False,
        params=frozenset(),
        html=True,
        comment=NONE,
        takes_files=FileRule(),
    ),
)

CHANNELS: Mapping[str, Channel] = MappingProxyType({channel.name: channel for channel in _TABLE})
"""Every channel by the name that routes and options give it."""

OPTION_CHANNELS = frozenset(channel.name for channel in _TABLE if channel.phone) - {"bot"}
"""What a +option may choose; a bot has to be named, so that its route has to be its own."""


# -- the table for people ----------------------------------------------------------------------


def table() -> str:
    """The channels as a Markdown table."""
    head = "| Channel | What it is | Flags | Own parameters | Files | Comment | Served |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *(_row(channel) for channel in _TABLE)])


def _row(channel: Channel) -> str:
    flags = ", ".join(f"`{name}={value}`" for name, value in channel.flags.items())
    own = ", ".join(f"`{name}`" for name in sorted(channel.params - _ALL))
    served = "yes" if channel.built else "later"
    cells = [f"`{channel.name}`", channel.help, flags, own, _files(channel), channel.comment, served]
    return "| " + " | ".join(cell or "–" for cell in cells) + " |"


def _files(channel: Channel) -> str:
    rule = channel.takes_files
    if rule is None:
        return ""
    limits = [f"{rule.max_count} files"] if rule.max_count else []
    limits += [f"{rule.max_size // _MB} MB each"] if rule.max_size else []
    limits += [f"links above {rule.total // _MB} MB in all"] if rule.total else []
    return ", ".join([*limits, " ".join(rule.kinds) or "any kind"])


def common() -> tuple[str, ...]:
    """The parameters that every channel of the provider takes, in alphabetical order."""
    return tuple(sorted(_ALL))
