"""How single values are written: lengths of time, sizes, names, mail addresses, numbers, secrets.

Each is a type for the models of `shape`: it takes what YAML gave and either makes the value the
program works with or says what to write instead. The words after the validator are what the
documents call the type. No message repeats what stood in the file.
"""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, StrictBool, StrictInt

_TIMES = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"([0-9]{1,9}) ?(ms|s|m|h|d)")
_LONGEST = 3650 * _TIMES["d"]

_SIZES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_SIZE = re.compile(r"([0-9]{1,9}) ?([kmg]?b)", re.IGNORECASE)

HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def duration(value: object) -> int:
    """Milliseconds of ``10s``; a bare number says nothing of its unit and is refused."""
    if type(value) is int and value == 0:
        return 0
    if type(value) is int:
        raise ValueError("a length of time needs its unit: ms, s, m, h or d, as in 10s or 24h")
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write a length of time, a number and ms, s, m, h or d, as in 10s or 24h")
    length = int(match[1]) * _TIMES[match[2]]
    if length > _LONGEST:
        raise ValueError("write a length of time of at most 3650d")
    return length


def positive(value: int) -> int:
    """The same length of time, if it is one at all."""
    if value <= 0:
        raise ValueError("write a length of time above 0")
    return value


def size(value: object) -> int:
    """Octets of ``40MB``; kB, MB and GB are powers of 1024."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write a size, a number and kB, MB or GB, as in 40MB")
    octets = int(match[1]) * _SIZES[match[2].lower()]
    if not 1 << 10 <= octets <= 1 << 30:
        raise ValueError("write a size between 1kB and 1GB")
    return octets


def text(value: object) -> object:
    """Numbers are text where text is wanted: the reader made them of nothing else."""
    return str(value) if type(value) is int else value


def line(value: object) -> object:
    """Text without line ends or other control characters."""
    value = text(value)
    if isinstance(value, str) and _CONTROL.search(value):
        raise ValueError("write it on one line, without control characters")
    return value


def name(value: object) -> object:
    """A name that can stand in a URL, a metric and a log."""
    value = text(value)
    if isinstance(value, str) and not _NAME.fullmatch(value):
        raise ValueError("a name has Latin letters, digits, '-' and '_', and begins with a letter or digit")
    return value


def mailbox(value: object) -> object:
    """A mail address, with or without a name."""
    value = line(value)
    if isinstance(value, str):
        address = parseaddr(value)[1]
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            raise ValueError('write a mail address, as in "SMS relay <postmaster@sms.example.com>"')
    return value


def mailbox_or_not(value: object) -> object:
    """A mail address, or "" for none."""
    return value if value == "" else mailbox(value)


def secret(value: object) -> object:
    """One line that is never shown."""
    value = text(value)
    if isinstance(value, str) and (not value or _CONTROL.search(value)):
        raise ValueError("is empty, or more than one line of plain text")
    return value


def certificate(value: object) -> object:
    """Who a client's certificate must name: its SHA-256 fingerprint, or a name that stands in it."""
    value = line(value)
    if not isinstance(value, str):
        return value
    digits = re.sub(r"^sha256( fingerprint=|:)", "", value.lower()).replace(":", "")
    if re.fullmatch(r"[0-9a-f]{64}", digits):
        return f"sha256:{digits}"
    if not value or re.search(r"\s|[:=]", value) or re.fullmatch(r"[0-9a-f]{32,}", digits):
        raise ValueError("write a SHA-256 fingerprint in hex, or a name in the certificate")
    return value.lower()


def pattern(value: object) -> object:
    """A pattern on mail addresses: ``*`` for any text."""
    value = line(value)
    if isinstance(value, str) and (re.search(r"\s", value) or (value != "*" and "@" not in value)):
        raise ValueError("write a pattern on the whole address, as in *@sms.example.com, or * for every one")
    return value


def region(value: object) -> object:
    """A country's two letters, or "" for none."""
    value = text(value)
    if isinstance(value, str) and not re.fullmatch(r"([A-Za-z]{2})?", value):
        raise ValueError("write the two letters of a country, as in RU")
    return value.upper() if isinstance(value, str) else value


def country(value: object) -> object:
    """A country's two letters."""
    if value == "":
        raise ValueError("write the two letters of a country, as in RU")
    return region(value)


def alias(value: object) -> object:
    """A local part that can name an alias."""
    value = text(value)
    if isinstance(value, str) and not re.fullmatch(r"[\w.-]{1,64}", value):
        raise ValueError("an alias has letters, digits, '-', '_' and '.', up to 64 of them")
    return value


def hostname(value: object) -> object:
    """The name that we give ourselves."""
    if isinstance(value, str) and not HOST.fullmatch(value):
        raise ValueError("write a full host name in Latin letters, as in sms.example.com")
    return value


def hours(value: object) -> object:
    """From one hour to another, or "" for none."""
    if isinstance(value, str) and not re.fullmatch(r"(([01]?[0-9]|2[0-4])-([01]?[0-9]|2[0-4]))?", value):
        raise ValueError("write two hours, as in 22-7")
    return value


def phone(value: object) -> object:
    """A phone number with its country code, "*" for each, or "" for none."""
    value = text(value)
    if isinstance(value, str) and not re.fullmatch(r"(\+[0-9]{5,20}|\*)?", value):
        raise ValueError('write the number as it is sent to, as in "+79991234567", or "*" for each phone')
    return value


def numbers(value: object) -> object:
    """A phone number with its country code, or its beginning and a star."""
    value = text(value)
    if isinstance(value, str) and not re.fullmatch(r"\+[0-9]{1,20}\*?", value):
        raise ValueError('write a number, or its beginning and *, as in "+79991234567" or "+7999*"')
    return value


Flag = Annotated[StrictBool, "true or false"]
Whole = Annotated[StrictInt, "number"]
Port = Annotated[StrictInt, Field(ge=1, le=65535), "port"]
Duration = Annotated[int, BeforeValidator(duration), "time"]
Size = Annotated[int, BeforeValidator(size), "size"]
Text = Annotated[str, BeforeValidator(text), "text"]
Line = Annotated[str, BeforeValidator(line), "text"]
Name = Annotated[str, BeforeValidator(name), "name"]
Mailbox = Annotated[str, BeforeValidator(mailbox), "mail address"]
MailboxOrNot = Annotated[str, BeforeValidator(mailbox_or_not), "mail address"]
Secret = Annotated[SecretStr, BeforeValidator(secret), "secret"]
Phone = Annotated[str, BeforeValidator(phone), "phone"]
Numbers = Annotated[str, BeforeValidator(numbers), "numbers"]
Pattern = Annotated[str, BeforeValidator(pattern), "pattern"]
Region = Annotated[str, BeforeValidator(region), "country"]
Country = Annotated[str, BeforeValidator(country), "country"]
AliasName = Annotated[str, BeforeValidator(alias), "name"]
Hostname = Annotated[str, BeforeValidator(hostname), "host"]
ClientCertificate = Annotated[str, BeforeValidator(certificate), "certificate"]
Hours = Annotated[str, BeforeValidator(hours), "hours"]
