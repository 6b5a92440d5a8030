"""How places are written: hosts, addresses to listen on, networks, paths, databases, the provider.

The like of `units`, whose values stand alone.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, ValidationInfo

from relay.config.units import HOST, line

AnyNetwork = IPv4Network | IPv6Network
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_INSIDE = tuple(
    ip_network(each)
    for each in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
_LOCAL = re.compile(r"localhost|.+\.localhost")


def host(value: object) -> object:
    """A host's name or address."""
    value = line(value)
    if isinstance(value, str) and not (HOST.fullmatch(value) or is_ip(value)):
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
    valid = is_ip(found) if match["v6"] else HOST.fullmatch(found)
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
    if isinstance(value, str) and not (HOST.fullmatch(value) and "." in value):
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


Host = Annotated[str, BeforeValidator(host), "host"]
Listen = Annotated[str, BeforeValidator(listen), "address"]
ListenOrNot = Annotated[str, BeforeValidator(listen_or_not), "address"]
Nameserver = Annotated[str, BeforeValidator(nameserver), "address"]
Domain = Annotated[str, BeforeValidator(domain), "domain"]
Network = Annotated[AnyNetwork, BeforeValidator(network), "network"]
FilePath = Annotated[Path, BeforeValidator(path), "path"]
Store = Annotated[str, BeforeValidator(store), "URL"]
Provider = Annotated[str, BeforeValidator(provider), "URL"]
PrivateNetwork = Annotated[IPv4Network | IPv6Network, BeforeValidator(private_network), "network"]
