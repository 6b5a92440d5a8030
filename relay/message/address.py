"""Addresses: what stands before the @, and which phone number is meant by it.

On phone channels a local part is ``recipient[+option[=value]]…``. A leading plus belongs to
the recipient, since numbers have one, and a plus right after ``=`` belongs to the value,
since the provider's ``time=+5`` has one; every other plus begins an option. A quoted local
part says the same as an unquoted one and may hold more: spaces, commas, parentheses. An
unquoted parenthesis is refused: mail software drops it as a comment (RFC 5322 section
3.2.2), and the digits in it belong to the number.

Which options a route allows is not known here, nor what a value means (`params`). Syntax of
SMTP paths (RFC 5321 section 4.1.2) was checked before an address comes here; whatever comes
all the same gets a sentence, never a traceback.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult


class AddressError(ValueError):
    """The address can't be served; says in a sentence what to write instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One ``+name`` (value "") or ``+name=value`` of an address; the name in lower case."""

    name: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A local part taken apart: the recipient, unquoted and without its options."""

    recipient: str
    options: tuple[Option, ...] = ()


# -- reading and printing ------------------------------------------------------------------

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")  # RFC 5321, with the letters of RFC 6531
_QUOTED_STRING = re.compile(r'"(?:[^"\\]|\\.)*"\Z')
_LONGEST = 254  # octets, RFC 5321 4.5.3.1.3 without the brackets
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_PLUS = re.compile(r"(?<!=)\+")  # a plus that begins an option
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DOTS = dict.fromkeys(map(ord, "\u3002\uff0e\uff61"), ".")  # dots too, RFC 3490 section 3.1
_UNUSABLE = re.compile(r'[\s,;<>@"\\]')  # in a domain
_GROUP = re.compile(r"[gG][0-9]{1,10}\Z")


def split(address: str) -> tuple[str, str]:
    """The local part as written, quotes included, and the domain in lower case."""
    local, at, domain = address.rpartition("@")
    return (local, domain.translate(_DOTS).lower()) if at else (address, "")


@lru_cache(maxsize=1024)  # it is asked for where its route is looked for, and once more on that route
def parse(local: str) -> Parsed:
    """Take a phone channel's local part apart; raises AddressError."""
    text = _unquote(local)
    if not text.isprintable():
        raise AddressError("the address holds a character that can't be printed")
    body = text.removeprefix("+")
    head, *tail = _PLUS.split(body)
    if not head.strip():
        raise AddressError("there is no recipient before the options")
    recipient = text[: len(text) - len(body)] + head
    return Parsed(recipient=recipient, options=tuple(_option(each) for each in tail))


def print_(parsed: Parsed) -> str:
    """The local part that `parse` reads as `parsed`, quoted where it has to be."""
    text = parsed.recipient + "".join(
        f"+{option.name}={option.value}" if option.value else f"+{option.name}" for option in parsed.options
    )
    if _DOT_STRING.match(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def bare(address: str) -> str:
    """The address without its options, in lower case: what patterns and aliases are matched with.

    For matching only, never for sending: the case of a mail address belongs to its owner.
    What can't be parsed is matched as it stands.
    """
    local, domain = split(address)
    with contextlib.suppress(AddressError):
        local = print_(Parsed(recipient=parse(local).recipient))
    return (f"{local}@{domain}" if domain else local).lower()


def mailbox(address: str) -> str:
    """The mail address as the provider can be given it; raises AddressError.

    Pointless quotes are taken off. A local part that needs its quotes is refused: the provider
    takes lists, and a comma, a semicolon or a space in an address would end it there, so that
    somebody whom the mail never named got the message.
    """
    local, _at, domain = address.rpartition("@")
    plain = _unquote(local) if local.startswith('"') else local
    if not (domain and _DOT_STRING.match(plain) and f"{plain}{domain}".isprintable()):
        raise AddressError("a mail address with quotes, commas or spaces can't be served, write user@domain")
    if _UNUSABLE.search(domain):
        raise AddressError("the domain of the address holds a character that no domain has")
    return f"{plain}@{domain}"


def forwarded(address: str) -> str:
    """The mail address exactly as given, quotes and all; raises AddressError for what SMTP can't carry."""
    local, _at, domain = address.rpartition("@")
    carried = _DOT_STRING.match(local) or _QUOTED_STRING.match(local)
    if not (carried and domain and address.isprintable() and not _UNUSABLE.search(domain)):
        raise AddressError("this is no mail address, write user@domain, or quote what stands before the @")
    if len(address.encode()) > _LONGEST:
        raise AddressError("the address is too long for a mail server")
    return address


def _unquote(local: str) -> str:
    if not local.startswith('"'):
        if "(" in local or ")" in local:
            raise AddressError(
                'parentheses need quotes around all before the @, as in "8(999)1234567"; or leave them out'
            )
        if '"' in local:
            raise AddressError("quotes must enclose all of the part before the @")
        return local
    inside = local[1:-1]
    if len(local) < 2 or not local.endswith('"') or '"' in _ESCAPED.sub("", inside) or _odd_end(inside):
        raise AddressError("quotes must enclose all of the part before the @")
    return _ESCAPED.sub(r"\1", inside)


def _odd_end(inside: str) -> bool:
    """The last backslash escapes the closing quote."""
    return (len(inside) - len(inside.rstrip("\\"))) % 2 == 1


def _option(text: str) -> Option:
    name, _, value = text.partition("=")
    if not name:
        raise AddressError("an option without a name: write +name or +name=value")
    if not _NAME.match(name):
        hint = "; one address takes one recipient" if name[0].isdigit() else ""
        raise AddressError(f'"{_short(name)}" is not the name of an option{hint}')
    return Option(name=name.lower(), value=value)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


# -- recipients ----------------------------------------------------------------------------

_BOT_USER = re.compile(r"@[A-Za-z][A-Za-z0-9_]{3,31}\Z|#[0-9]{1,20}\Z")  # nicks as Telegram gives them
_NUMBER = re.compile(r"\+?[\d\s().\-/\u2010-\u2015]{1,40}\Z")


def is_group(text: str) -> bool:
    """A group of contacts kept at the provider: ``g777`` or ``G777``."""
    return bool(_GROUP.match(text))


def is_bot_user(text: str) -> bool:
    """A user of a Telegram bot: ``@nick`` or ``#id``."""
    return bool(_BOT_USER.match(text))


def bot_user(text: str) -> str:
    """A nick, with or without its @, or an #id, as the provider is given it; "" for anything else.

    Telegram knows nicks in any case.
    """
    written = (text if text[:1] in ("@", "#") else f"@{text}").lower()
    return written if is_bot_user(written) else ""


def number(text: str, region: str = "") -> str:
    """The phone number as ``+`` and E.164 digits; raises AddressError.

    With a plus it is read as it stands, without one and without a region as international.
    With a region (an ISO country code) it is national where that makes a valid number, else
    international where that does, else whichever of the two is possible: numbering plans
    change, so *possible* suffices. What remains has no reading that can be dialled.
    """
    text = text.strip()
    if not _NUMBER.match(text):
        raise AddressError(_hint(text, region))
    return _e164(text, region)


@lru_cache(maxsize=4096)  # a mail's numbers are read at RCPT and at DATA, and phones on duty come again
def _e164(text: str, region: str) -> str:
    if text.startswith("+"):
        readings = [_read(text, None)]
    elif region:
        readings = [_read(text, region.upper()), _read(f"+{text}", None)]
    else:
        readings = [_read(f"+{text}", None)]
    judges = (phonenumbers.is_valid_number, _possible)
    for good in judges if len(readings) > 1 else reversed(judges):  # of one reading either will do
        for reading in readings:
            if reading is not None and good(reading):
                return str(phonenumbers.format_number(reading, PhoneNumberFormat.E164))
    raise AddressError(_hint(text, region))


def _read(text: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except NumberParseException:
        return None


def _possible(number: PhoneNumber) -> bool:
    """Possible from anywhere: a local number without its area code is not."""
    return bool(phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE)


def _hint(text: str, region: str) -> str:
    national = f" or as it is dialled in {region.upper()}" if region else ""
    how = f"write it with its country code, as in +79991234567{national}"
    return f'"{_short(text)}" is not a phone number: {how}'
