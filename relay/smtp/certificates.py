"""Certificates: files become a context, what a client sees of it, what its owner is told.

Policy: TLS 1.2 and newer with forward secrecy, unless a listener says otherwise. What a client
sees is found by a handshake with ourselves, in memory, with pair, ciphers and versions as they are.
What no client could use keeps the relay from starting. What some clients may refuse (another name,
its end) is a word, for a door that is open to the others is better than none.

A listener with `client_ca` asks for a client's certificate. The standard library can't take one
that it does not trust, so one from elsewhere ends the handshake. Whatever stands in that file is
trusted as it is, an authority or a client's own certificate.
"""

from __future__ import annotations

import ssl
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relay.config import Config, Listener, Location

SOON = 14 * 86400  # seconds before its end at which a certificate is worth a word
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:!aNULL:!eNULL:!DSS"
OLD_CIPHERS = "ALL:!aNULL:!eNULL:!DSS:!EXPORT:@SECLEVEL=0"  # what TLS 1.0 and 1.1 are made of

_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_LARGEST = 1 << 20
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_ANY_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME: the time is judged here


class Unusable(Exception):  # noqa: N818
    """Files that make no context: the setting that is to blame, and a sentence."""

    def __init__(self, setting: str, text: str) -> None:
        super().__init__(text)
        self.setting = setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Ours, as a client sees it; times are seconds since 1970."""

    names: tuple[str, ...]
    begins: int
    ends: int
    fits: bool  # the host name is among its names

    def counts(self, now: int) -> bool:
        """Whether it is valid at a time in milliseconds."""
        return self.begins <= now // 1000 < self.ends


# -- contexts -----------------------------------------------------------------------------


def made(listener: Listener, certificate: Path, key: Path) -> ssl.SSLContext:
    """The context of a listener, of what stands in the files now; raises Unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old = listener.tls_min in ("1.0", "1.1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # who writes 1.0 has been told
        context.minimum_version = _VERSIONS[listener.tls_min]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.set_ciphers(listener.tls_ciphers or (OLD_CIPHERS if old else CIPHERS))
    except ssl.SSLError:
        raise Unusable("tls_ciphers", "OpenSSL knows no such ciphers; see `openssl ciphers`") from None
    _pair(context, certificate, key)
    if listener.client_ca is not None:
        _authorities(context, listener.client_ca)
    return context


def _pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    if _BEGIN not in pem(certificate, "certificate"):
        raise Unusable("certificate", "holds no certificate in PEM")
    private = pem(key, "key")
    if "PRIVATE KEY-----" not in private:
        raise Unusable("key", "holds no private key in PEM")
    if "ENCRYPTED" in private:
        raise Unusable("key", "has a passphrase, which nobody types at three in the morning; remove it")
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable("key", "does not belong to the first certificate of tls.certificate") from None
        raise Unusable("certificate", f"can't be used with its key ({reason(error)})") from None
    except OSError as error:  # gone since it was read
        raise Unusable("certificate", f"can't be read: {_words(error)}") from None


def _authorities(context: ssl.SSLContext, path: Path) -> None:
    if _BEGIN not in pem(path, "client_ca"):
        raise Unusable("client_ca", "holds no certificate in PEM")
    try:
        context.load_verify_locations(path)
    except OSError as error:
        raise Unusable("client_ca", f"can't be used ({reason(error)})") from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_OPTIONAL


def pem(path: Path, setting: str) -> str:
    """What the file holds; raises Unusable."""
    try:
        if path.exists() and not path.is_file():
            raise Unusable(setting, "is no file")  # to open a pipe would wait
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("latin-1")
    except FileNotFoundError:
        raise Unusable(setting, "there is no such file") from None
    except OSError as error:
        raise Unusable(setting, f"can't be read: {_words(error)}") from None


def reason(error: OSError) -> str:
    """What OpenSSL or the system says, in words."""
    found = getattr(error, "reason", None) or error.strerror or "unreadable"
    return str(found).replace("_", " ").lower()


def _words(error: OSError) -> str:
    return (error.strerror or "input or output error").lower()


# -- what a client sees -------------------------------------------------------------------


def seen(context: ssl.SSLContext, certificate: Path, hostname: str) -> Certificate:
    """What a client sees that asks for `hostname`; raises Unusable where none could go on."""
    text = pem(certificate, "certificate")
    leaf = text[text.index(_BEGIN) : text.index(_END) + len(_END)] + "\n"
    found = _greeted(context, leaf, "")
    try:
        _greeted(context, leaf, hostname)
        fits = True
    except Unusable:
        fits = False
    return Certificate(
        names=tuple(value for kind, value in found.get("subjectAltName", ()) if kind == "DNS"),
        begins=int(ssl.cert_time_to_seconds(found["notBefore"])),
        ends=int(ssl.cert_time_to_seconds(found["notAfter"])),
        fits=fits,
    )


def _greeted(context: ssl.SSLContext, leaf: str, hostname: str) -> dict[str, Any]:
    """The certificate that a client is shown which trusts it, and asks for `hostname` if that is said."""
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.check_hostname = bool(hostname)
    ours.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _ANY_TIME
    ours.load_verify_locations(cadata=leaf)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(down, up, server_hostname=hostname or None)
    server = context.wrap_bio(up, down, server_side=True)
    waiting = [client, server]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
        except ssl.SSLCertVerificationError as error:
            raise Unusable("certificate", f"clients refuse it: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise Unusable("certificate", f"no client can use it ({reason(error)})") from None
    return client.getpeercert() or {}


# -- what the configuration is told -------------------------------------------------------


def complaints(config: Config) -> list[tuple[Location, str]]:
    """What keeps listeners from encrypting, each at its place."""
    found: dict[Location, str] = {}
    for number, listener in enumerate(config.listeners):
        if listener.tls == "none" or config.tls is None:
            continue
        try:
            context = made(listener, config.tls.certificate, config.tls.key)
            seen(context, config.tls.certificate, config.hostname)
        except Unusable as why:
            files = why.setting in ("certificate", "key")
            found[("tls", why.setting) if files else ("listeners", number, why.setting)] = str(why)
    return list(found.items())


def doubts(config: Config, now: int) -> list[tuple[Location, str]]:
    """What some clients may mind; `now` in milliseconds."""
    ours = shown(config)
    if ours is None or config.tls is None:
        return []
    place, key = ("tls", "certificate"), ("tls", "key")
    found: list[tuple[Location, str]] = [(place, why) for why in _times(ours, now // 1000)]
    if not ours.fits:
        names = ", ".join(ours.names) or "no host at all"
        found.append((place, f"is for {names}: clients that check will not take {config.hostname} for it"))
    if config.tls.key.stat().st_mode & stat.S_IRWXO:
        found.append((key, "anybody on this machine may open it; chmod o= the file"))
    return found


def shown(config: Config) -> Certificate | None:
    """Our certificate, None where no listener shows one that can be used."""
    for listener in config.listeners:
        if listener.tls != "none" and config.tls is not None:
            try:
                context = made(listener, config.tls.certificate, config.tls.key)
                return seen(context, config.tls.certificate, config.hostname)
            except Unusable:
                return None
    return None


def _times(ours: Certificate, now: int) -> list[str]:
    if now >= ours.ends:
        return ["has expired; clients that check refuse it"]
    if now < ours.begins:
        return ["does not count yet; look at this machine's clock"]
    if now >= ours.ends - SOON:
        return [f"expires in {(ours.ends - now) // 86400} days"]
    return []
