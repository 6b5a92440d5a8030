"""How single values are written: lengths of time, sizes, networks, addresses, paths, secrets.

Each is a type for the models of `shape`: it takes what YAML gave and either makes the value the
program works with or says what to write instead. The words after the validator are what the
documents call the type. No message repeats what stood in the file.
"""

from __future__ import annotations

import re
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, StrictBool, StrictInt, ValidationInfo

AnyNetwork = IPv4Network | IPv6Network

_TIMES = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"([0-9]{1,9}) ?(ms|s|m|h|d)")
_LONGEST = 3650 * _TIMES["d"]

_SIZES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_SIZE = re.compile(r"([0-9]{1,9}) ?([kmg]?b)", re.IGNORECASE)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9])?")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_INSIDE = tuple(
    ip_network(each)
    for each in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
_LOCAL = re.compile(r"localhost|.+\.localhost")


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


def host(value: object) -> object:
    """A host's name or address."""
    value = line(value)
    if isinstance(value, str) and not (_HOST.fullmatch(value) or is_ip(value)):
        raise ValueError("write a host name in Latin letters or an IP address, without a port")
    return value


def is_ip(value: str) -> bool:
    """Whether this is an IP address."""
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def split(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``; raises ValueError."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise ValueError("write host:port or [v6]:port, as in 127.0.0.1:2525 or [::1]:2525")
    found: str = match["v6"] or match["host"]
    valid = is_ip(found) if match["v6"] else _HOST.fullmatch(found)
    if not valid:
        raise ValueError("write host:port; for every interface of this host 0.0.0.0:port and [::]:port")
    return found, int(match["port"])


def listen(value: object, info: ValidationInfo) -> object:
    """Where to listen: host:port, [v6]:port, unix:/path, or fd:NAME of systemd's."""
    value = line(value)
    if not isinstance(value, str):
        return value
    if value.startswith("fd:"):
        if not re.fullmatch(r"[!-9;-~]{1,255}", value.removeprefix("fd:")):
            raise ValueError("write fd: and the FileDescriptorName= of a socket unit, as in fd:smtp")
        return value
    if value.startswith("unix:"):
        return f"unix:{path(value.removeprefix('unix:'), info)}"
    split(value)
    return value


def listen_or_not(value: object) -> object:
    """Where to listen, over TCP only; "" is nowhere."""
    value = line(value)
    if isinstance(value, str) and value:
        split(value)
    return value


def nameserver(value: object) -> object:
    """The address of a DNS server, with a port or without."""
    value = line(value)
    if not isinstance(value, str) or is_ip(value):
        return value
    try:
        found, port = split(value)
    except ValueError:
        found, port = "", 0
    if not (is_ip(found) and port):
        raise ValueError("write the IP address of a DNS server, as in 192.0.2.53 or [2001:db8::53]:5353")
    return value


def domain(value: object) -> object:
    """The name of a domain."""
    value = line(value)
    if isinstance(value, str) and not (_HOST.fullmatch(value) and "." in value):
        raise ValueError("write the name of a domain, as in lists.example.org")
    return value


def network(value: object) -> AnyNetwork:
    """A network or a single address."""
    if isinstance(value, (IPv4Network, IPv6Network)):
        return value
    if not isinstance(value, str):
        raise ValueError('write a network or an address, as in 10.0.0.0/8 or "::1"')  # noqa: TRY004  # pydantic's
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        meant = ip_network(value, strict=False)
    except ValueError:
        raise ValueError('write a network or an address, as in 10.0.0.0/8 or "::1"') from None
    raise ValueError(f"this is an address inside a network; write {meant} for the whole network")


def private_network(value: object) -> IPv4Network | IPv6Network:
    """A network that is reached without leaving the house."""
    found = network(value)
    if not any(found.version == each.version and found.subnet_of(each) for each in _INSIDE):  # type: ignore[arg-type]
        raise ValueError("write a private network, as in 10.0.0.0/8: passwords in clear go no further")
    return found


def path(value: object, info: ValidationInfo) -> object:
    """A path; a relative one begins at the folder of the configuration."""
    value = line(value)
    if not isinstance(value, str):
        return value
    if not value:
        raise ValueError("write a path")
    return Path((info.context or {}).get("folder", "")) / value


def store(value: object, info: ValidationInfo) -> object:
    """A database's URL; the file of an SQLite one begins at the folder of the configuration."""
    value = line(value)
    if not isinstance(value, str):
        return value
    if value.startswith(("postgresql:", "postgres:")):
        return _postgres(value)
    file = value.removeprefix("sqlite:///")
    if file in {value, "", ":memory:"} or "?" in file:
        raise ValueError("write sqlite:///FILE, as in sqlite:///relay.db, without parameters")
    return f"sqlite:///{path(file, info)}"


def _postgres(value: str) -> str:
    """The URL of a PostgreSQL database, as libpq has it: `host=a,b` in its query is several hosts."""
    meant = "write postgresql://USER@HOST/DATABASE"
    try:
        parts = urlsplit(value)
    except ValueError:
        raise ValueError(meant) from None
    if parts.scheme != "postgresql" or not parts.path.strip("/") or "/" in parts.path[1:] or parts.fragment:
        raise ValueError(meant)
    host = dict(parse_qsl(parts.query)).get("host", "")
    if not parts.netloc.rpartition("@")[2] and not host:
        raise ValueError(f"{meant}, or ?host=/FOLDER for a socket")
    return value


def provider(value: object) -> object:
    """Scheme and host of the provider, or the word sandbox."""
    value = line(value)
    if not isinstance(value, str) or value == "sandbox":
        return value
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("write https:// and the provider's host, as in https://smsc.ru, or: sandbox")
    if "@" in parts.netloc:
        raise ValueError("keep the login out of the URL; it has keys of its own, login and psw, or apikey")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("write scheme and host alone, as in https://smsc.ru; /sys/… is appended")
    host(parts.hostname)
    return f"{parts.scheme}://{parts.netloc}"


def private(hostname: str) -> bool:
    """Whether this host is reached without leaving the house."""
    if _LOCAL.fullmatch(hostname.lower()):
        return True
    try:
        return ip_address(hostname).is_private
    except ValueError:
        return False


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
    if isinstance(value, str) and not _HOST.fullmatch(value):
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
Host = Annotated[str, BeforeValidator(host), "host"]
Listen = Annotated[str, BeforeValidator(listen), "address"]
ListenOrNot = Annotated[str, BeforeValidator(listen_or_not), "address"]
Nameserver = Annotated[str, BeforeValidator(nameserver), "address"]
Domain = Annotated[str, BeforeValidator(domain), "domain"]
Network = Annotated[AnyNetwork, BeforeValidator(network), "network"]
FilePath = Annotated[Path, BeforeValidator(path), "path"]
Store = Annotated[str, BeforeValidator(store), "URL"]
Provider = Annotated[str, BeforeValidator(provider), "URL"]
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
PrivateNetwork = Annotated[IPv4Network | IPv6Network, BeforeValidator(private_network), "network"]
Hours = Annotated[str, BeforeValidator(hours), "hours"]
