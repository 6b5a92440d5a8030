"""Reports bear our signature: DKIM (RFC 6376, RFC 8463) over the octets that leave.

Policy: what leaves is signed last, in each of its forms, and nothing is changed after that. A key
that can't be used is a fault of the configuration, told by `check` and at the start; where it
goes wrong later, a report without a signature is better than none: it leaves so, and the log says
it. From is named once more than it occurs, so that nobody can put a second one above ours.

The key is read at the start and whenever the configuration is; signing takes some milliseconds
of pure Python, and is for a thread.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import stat
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from relay import config
from relay.config import Location, Reports
from relay.report import fields

_log = logging.getLogger("relay.report")

HEADERS = (
    "from", "from", "to", "subject", "date", "message-id", "in-reply-to", "references", "mime-version",
    "content-type", "content-transfer-encoding", "auto-submitted",
)  # fmt: skip
"""What the signature covers, a field that a mail has not got included: nobody can add it."""

_LARGEST = 64 << 10
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,250}[A-Za-z0-9])?")
_PEM = re.compile(rb"-----BEGIN ((?:RSA )?PRIVATE KEY)-----\s+([A-Za-z0-9+/=\s]{1,60000})-----END \1-----")
_ED25519 = bytes.fromhex("06032b657004220420")  # its name, then the seed within two wrappings (RFC 8410)
_SEED = 32
_SAMPLE = b"From: a@b.example\r\n\r\n"
_SMALLEST = 1024  # bits of an RSA key (RFC 8301 section 3.2)
_NO_KEY = "is no private key in PEM without a passphrase; RSA and Ed25519 (PKCS #8) can sign"


class KeyFault(ValueError):  # noqa: N818 - read as a word
    """The setting of `reports.dkim` at fault, and a sentence that says what is wrong with it."""

    def __init__(self, setting: str, why: str) -> None:
        super().__init__(why)
        self.setting = setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What signs, and under which name its public half is found: SELECTOR._domainkey.DOMAIN."""

    domain: bytes
    selector: bytes
    algorithm: bytes
    private: bytes = field(repr=False)


def key_of(wanted: config.Dkim) -> Key | None:
    """The key that the configuration names; None where nothing is to be signed. Raises KeyFault."""
    given = {name: value for name, value in wanted if value}
    if not given:
        return None
    for name in ("domain", "selector", "key"):
        if name not in given:
            raise KeyFault("", f"{name} is missing; to sign takes domain, selector and key")
    for name in ("domain", "selector"):
        if not _NAME.fullmatch(fields.host(given[name])):
            raise KeyFault(name, "write a name as the DNS has it, in letters, digits, '-' and '.'")
    algorithm, private = _private(_content(given["key"]))
    found = Key(
        domain=fields.host(given["domain"]).lower().encode(),
        selector=fields.host(given["selector"]).encode(),
        algorithm=algorithm,
        private=private,
    )
    try:
        _signature(_SAMPLE, found)
    except Exception:  # noqa: BLE001 - the parser of keys raises whatever its octets lead it to
        raise KeyFault("key", _NO_KEY) from None
    return found


def _content(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise KeyFault("key", "is no file")  # to open a pipe would wait
        if mode & stat.S_IRWXO:
            raise KeyFault("key", "anybody on this machine may open it; chmod o= the file")
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except FileNotFoundError:
        raise KeyFault("key", "there is no such file") from None
    except OSError as error:
        why = (error.strerror or "input or output error").lower()
        raise KeyFault("key", f"can't be read: {why}") from None


def _private(pem: bytes) -> tuple[bytes, bytes]:
    """The algorithm and the key, as the signer wants them."""
    found = _PEM.search(pem)
    if found is None:
        raise KeyFault("key", _NO_KEY)
    try:
        der = base64.b64decode(b"".join(found[2].split()), validate=True)
    except binascii.Error:
        raise KeyFault("key", _NO_KEY) from None
    at = der.find(_ED25519, 0, 16)
    if at >= 0:
        seed = der[at + len(_ED25519) :][:_SEED]
        return b"ed25519-sha256", base64.b64encode(seed)
    bits = _bits(found[0])
    if bits < _SMALLEST:
        raise KeyFault("key", f"is an RSA key of {bits} bits, which nobody trusts; make one of 2048")
    return b"rsa-sha256", found[0]


def _bits(pem: bytes) -> int:
    from dkim import crypto  # noqa: PLC0415 - as below

    try:
        return int(crypto.parse_pem_private_key(pem)["modulus"]).bit_length()
    except Exception:  # noqa: BLE001 - as above
        raise KeyFault("key", _NO_KEY) from None


# -- what the configuration is told -------------------------------------------------------


def complaints(reports: Reports) -> list[tuple[Location, str]]:
    """What is wrong with the key, at its place."""
    try:
        key_of(reports.dkim)
    except KeyFault as fault:
        place = ("reports", "dkim", fault.setting) if fault.setting else ("reports", "dkim")
        return [(place, str(fault))]
    return []


def doubts(reports: Reports) -> list[tuple[Location, str]]:
    """A signature of a domain that has nothing to do with From is worth little (RFC 7489 3.1.1)."""
    ours = fields.host(reports.dkim.domain).lower()
    author = parseaddr(reports.from_)[1].rpartition("@")[2].lower()
    if not ours or f".{author}".endswith(f".{ours}") or ours.endswith(f".{author}"):
        return []
    return [(("reports", "dkim", "domain"), f"reports come from {author}: DMARC counts signatures of that")]


# -- signing ------------------------------------------------------------------------------


def opened(reports: Reports) -> Key | None:
    """The key for what leaves from now on; None, and a line in the log, where it can't be used."""
    try:
        return key_of(reports.dkim)
    except KeyFault as fault:
        _log.error("reports are not signed", extra={"why": f"reports.dkim.{fault.setting}: {fault}"})
        return None


def signed(mail: bytes, key: Key | None) -> bytes:
    """The mail with our signature on top; as it is where there is no key, or signing fails."""
    if key is None or not mail:
        return mail
    try:
        return _signature(mail, key) + mail
    except Exception:  # noqa: BLE001 - as above; a report without a signature is better than none
        _log.exception("a report could not be signed")
        return mail


def _signature(mail: bytes, key: Key) -> bytes:
    import dkim  # noqa: PLC0415 - 80 ms, which `queue list` and the like need not wait for

    signer: Any = dkim.DKIM(mail, signature_algorithm=key.algorithm)
    field_: bytes = signer.sign(
        key.selector,
        key.domain,
        key.private,
        canonicalize=(b"relaxed", b"relaxed"),
        include_headers=[name.encode() for name in HEADERS],
    )
    return field_
