r"""The provider's own mail grammar: one line of fields, for systems set up for its mail gateway.

``login:psw:id:time,tz:translit,format,sender,test:phones:mes`` sends one text; with `phones` empty
the last field is a list of ``phones:mes`` lines, where ``\\n`` stands for a line end. An empty
login makes `psw` the key. What can't be plain text stands in ``[text]…[/text]`` (the provider's
page on its mail gateway). Sub-fields may be missing from the right: real senders leave them out.

Nothing here quotes a field in a sentence but those that are no secret: the line holds credentials.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.config import Account
from relay.message import params
from relay.message.channels import CHANNELS

MAILBOX = "send"
"""The local part that takes the grammar, on a route that has `gateway: true`."""
CHARSET = "koi8-r"
"""Of a mail that names none."""
_FIELDS = 7
_MOST_LINES = 1000
_FORMATS = (
    "sms", "flash", "push", "hlr", "bin", "bin", "ping",
    "mms", "mail", "call", "viber", "soc", "bot", "tg",
)  # fmt: skip
_IDENT = re.compile(r"[A-Za-z0-9._-]{0,40}\Z")
_HEAD = re.compile(r"(?P<sender>[^|:;,]{0,40})(?:,(?P<tz>[^|:;]{0,10}))?\|")
_LINE = re.compile(r"(?P<phones>[^:;]{1,30000}):(?P<mes>.*)", re.DOTALL)
_SEPARATOR = re.compile(r"[,;]")


class GatewayError(ValueError):
    """The mail is no command of the grammar; says in a sentence what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One text and whom it goes to, as written."""

    phones: tuple[str, ...]
    mes: str
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command; nothing prints its credentials."""

    login: str = field(repr=False)
    psw: str = field(repr=False)
    id: str
    channel: str
    lines: tuple[Line, ...]

    def account(self, accounts: Mapping[str, Account]) -> str:
        """The account whose credentials these are, "" for none; every one is compared, in constant time."""
        found = ""
        for name, account in accounts.items():
            login, psw, key = (
                secret.get_secret_value() for secret in (account.login, account.psw, account.apikey)
            )
            by_password = bool(login and psw) & _same(self.login, login) & _same(self.psw, psw)
            by_key = bool(key) & _same(self.login, "") & _same(self.psw, key)
            found = name if by_password | by_key else found
        return found


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def parse(text: str) -> Command:
    """The command that a mail's text holds; raises GatewayError."""
    fields = _inside(text).strip("\r\n").replace("\r\n", "\n").split(":", _FIELDS - 1)
    if len(fields) < _FIELDS:
        raise GatewayError(
            "write login:psw:id:time,tz:translit,format,sender,test:phones:mes, all in the text of the mail"
        )
    login, psw, ident, moment, more, phones, rest = fields
    if not _IDENT.match(ident.strip()):
        raise GatewayError("id takes up to 40 Latin letters, digits and . - _")
    translit, format_, sender, test = (*more.split(",", 3), "", "", "")[:4]
    if test.strip() not in ("", "0"):
        raise GatewayError("test: a trial run is not known here, leave it empty")
    channel = _channel(format_.strip())
    common = _common(channel, moment, translit)
    if phones.strip():
        lines = [Line(phones=_phones(phones), mes=rest, params=common | _sender(channel, sender))]
    else:
        lines = _list(rest, channel, sender, common)
    return Command(login=login.strip(), psw=psw, id=_given(ident), channel=channel, lines=tuple(lines))


def _inside(text: str) -> str:
    """What stands between the marks of a mail that could not be plain text; all of it without them."""
    start = text.find("[text]")
    end = text.find("[/text]", start)
    return text[start + len("[text]") : end].strip() if 0 <= start < end else text


def _given(ident: str) -> str:
    return "" if ident.strip() == "0" else ident.strip()


def _channel(format_: str) -> str:
    if not format_:
        return _FORMATS[0]
    if not re.fullmatch("[0-9]{1,2}", format_, re.ASCII) or int(format_) >= len(_FORMATS):
        raise GatewayError(f"format is a number from 0 to {len(_FORMATS) - 1}")
    return _FORMATS[int(format_)]


def _common(channel: str, moment: str, translit: str) -> dict[str, str]:
    time, _, tz = moment.partition(",")
    time = "" if time.strip() == "0" else time.strip()
    given = {"time": time, "tz": tz.strip(), "translit": translit.strip()}
    return _checked(channel, {name: value for name, value in given.items() if value})


def _sender(channel: str, sender: str) -> dict[str, str]:
    """The sender's name; empty, or a dot, is the default. A bot is named in its place."""
    if sender.strip() in ("", "."):
        return {}
    return _checked(channel, {"bot" if channel == "bot" else "sender": sender.strip()})


def _checked(channel: str, given: Mapping[str, str]) -> dict[str, str]:
    """The parameters that mean something on the channel; the provider passes over the others too."""
    known = {name: value for name, value in given.items() if name in CHANNELS[channel].params}
    try:
        return {name: params.check(channel, name, value) for name, value in known.items()}
    except params.ParamError as error:
        raise GatewayError(str(error)) from None


def _phones(written: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(each.strip() for each in _SEPARATOR.split(written) if each.strip()))
    if not found:
        raise GatewayError("phones: there is nobody to send to")
    if len(found) > _MOST_LINES:
        raise GatewayError(f"phones: one mail takes {_MOST_LINES}")
    return found


def _list(rest: str, channel: str, sender: str, common: Mapping[str, str]) -> list[Line]:
    """The lines of a list, each with a sender and a time zone of its own where it names them."""
    lines: list[Line] = []
    people = 0
    for number, written in enumerate((each for each in rest.split("\n") if each.strip()), start=1):
        head = _HEAD.match(written)
        line = _LINE.match(written[head.end() :] if head else written)
        if not line:
            raise GatewayError(f"line {number} of the list: write phones:mes")
        named = _sender(channel, (head["sender"] if head else "") or sender)
        zone = _checked(channel, {"tz": head["tz"].strip()}) if head and head["tz"] else {}
        lines.append(
            Line(
                phones=_phones(line["phones"]),
                mes=line["mes"].replace("\\n", "\n"),
                params={**common, **named, **zone},
            )
        )
        people += len(lines[-1].phones)
        if people > _MOST_LINES:
            raise GatewayError(f"the list is too long: one mail takes {_MOST_LINES} recipients")
    if not lines:
        raise GatewayError("the list is empty: write phones:mes, a line for each text")
    return lines
