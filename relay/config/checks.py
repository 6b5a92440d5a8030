"""What several values tell together, and what this version cannot do yet.

Works on the raw values, beside the shape: a fault in one setting does not hide another's. What
protects somebody and is not built yet refuses to start, the rest only warns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.config import places
from relay.config.document import NOT_FETCHED, Document, Location
from relay.config.setting import EACH, settings
from relay.config.shape import Config

_NAMED = ("networks", "users", "users_file", "certificates")  # they name who may send
_CONDITIONS = (*_NAMED, "require")  # the ones that cannot just be claimed

OWN_NAMES = frozenset({"watch", "acknowledgement", "storm"})
"""What stands in an entry's place where the relay itself writes: other rules hold for that."""

_DEFAULTS = {one.pattern: one.default for one in settings(Config)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotBuilt:
    """A setting that is read but does nothing yet, unless it says what happens anyway."""

    pattern: tuple[str, ...]
    says: str
    refuses: bool = False
    harmless: Callable[[object], bool] | None = None  # by default: equal to the default, or empty


def _refuses(*pattern: str, write: str) -> NotBuilt:
    return NotBuilt(pattern=pattern, says=f"is not built yet in this version; {write}", refuses=True)


NOT_BUILT = (
    # -- these protect: without them the relay would be more open than its owner thinks
    _refuses("web", "users", write="remove it; the dashboard is not served without it"),
)
"""Settings whose work comes with a later version."""


def select(values: object, pattern: tuple[str, ...], at: Location = ()) -> Iterator[tuple[Location, object]]:
    """Every value that a pattern of settings means, with its place."""
    if not pattern:
        yield at, values
    elif isinstance(values, dict):
        for key in values if pattern[0] == EACH else [pattern[0]]:
            if key in values:
                yield from select(values[key], pattern[1:], (*at, key))
    elif isinstance(values, list) and pattern[0] == EACH:
        for number, value in enumerate(values):
            yield from select(value, pattern[1:], (*at, number))


def check(document: Document) -> None:
    """Note what is wrong between values, and what their owner should know."""
    _senders(document)
    _listeners(document)
    _credentials(document)
    _reports(document)
    _forwards(document)
    _caps(document)
    _workers(document)
    _not_built(document)
    _cautions(document)


def _not_built(document: Document) -> None:
    for one in NOT_BUILT:
        for place, value in select(document.values, one.pattern):
            if place in document.faulty or _harmless(one, value):
                continue
            if one.refuses:
                document.fault(place, one.says)
            else:
                document.warn(place, one.says)


def _harmless(one: NotBuilt, value: object) -> bool:
    if one.harmless is not None:
        return one.harmless(value)
    default = _DEFAULTS.get(one.pattern, _DEFAULTS.get((*one.pattern, EACH)))
    return value == default or value in ("", [], {}, None)


# -- between values -------------------------------------------------------------------------


def _once(document: Document, pattern: tuple[str, ...], what: str, *, none: str = "") -> None:
    seen: set[str] = set()
    for place, value in select(document.values, pattern):
        key = str(value).lower()
        if key in seen and key != none and not key.endswith(":0"):
            document.fault(place, f"{what}; change one of them")
        seen.add(key)


def _senders(document: Document) -> None:
    _once(document, ("senders", EACH, "name"), "another entry has this name")
    for place, name in select(document.values, ("senders", EACH, "name")):
        if isinstance(name, str) and name in OWN_NAMES:
            document.fault(place, "is what the relay calls messages of its own; write another")
    for place, sender in select(document.values, ("senders", EACH)):
        conditions = (*_CONDITIONS, "from")
        if not isinstance(sender, dict) or any((*place, each) in document.faulty for each in conditions):
            continue
        if not any(sender.get(each) for each in conditions):
            document.fault(place, "this entry would let everybody in; add networks, as in [127.0.0.0/8]")
        if sender.get("trusted_sealers") and sender.get("require") != "dmarc":
            document.fault((*place, "trusted_sealers"), "is for require: dmarc; remove it")


def _listeners(document: Document) -> None:
    _once(document, ("listeners", EACH, "address"), "another listener has this address")
    for place, listener in select(document.values, ("listeners", EACH)):
        if isinstance(listener, dict):
            _encryption(document, place, listener)
            _logins(document, place, listener)
            if listener.get("profile") == "legacy":
                _legacy(document, place, str(listener.get("address", "")))
    for place, network in select(document.values, ("listeners", EACH, "proxy_protocol", EACH)):
        if str(network).endswith("/0"):
            document.fault(place, "anybody could claim any address; write the networks of your proxies")
    taken = any(auth != "none" for _place, auth in select(document.values, ("listeners", EACH, "auth")))
    for key in ("users", "users_file"):
        for place, users in select(document.values, ("senders", EACH, key)):
            if users and not taken:
                document.fault(place, "no listener takes logins; write auth: optional at one")
    asked = any(True for _ in select(document.values, ("listeners", EACH, "client_ca")))
    for place, _certificates in select(document.values, ("senders", EACH, "certificates")):
        if not asked:
            document.fault(place, "no listener asks for certificates; add client_ca to one with TLS")


def _encryption(document: Document, place: Location, listener: dict[str, object]) -> None:
    """TLS takes a certificate, and what belongs to it takes TLS."""
    encrypts = listener.get("tls", "none") != "none"
    if encrypts and "tls" not in document.values:
        example = "add tls: {certificate: cert.pem, key: key.pem} at the top level"
        document.fault((*place, "tls"), f"takes a certificate; {example}")
    for key in ("tls_min", "tls_ciphers", "client_ca"):
        if listener.get(key, "") not in ("", "1.2") and not encrypts:
            document.fault((*place, key), "does nothing without tls; write tls: starttls, or remove it")
    old = str(listener.get("tls_min", "1.2")) in ("1.0", "1.1")
    if old and listener.get("profile", "strict") != "legacy":
        document.fault((*place, "tls_min"), "is broken; write 1.2, or add profile: legacy for old devices")


def _logins(document: Document, place: Location, listener: dict[str, object]) -> None:
    """Logins take users, and passwords a wire that nobody reads."""
    clear = listener.get("auth_in_clear")
    if listener.get("auth", "none") == "none":
        if clear:
            document.fault((*place, "auth_in_clear"), "does nothing without auth; write auth: optional")
        return
    users = (select(document.values, ("senders", EACH, key)) for key in ("users", "users_file"))
    if not any(True for each in users for _ in each):
        document.fault((*place, "auth"), "nobody could log in; add users to an entry of senders")
    if listener.get("tls", "none") == "none" and not clear:
        document.fault(
            (*place, "auth"),
            "passwords would travel in clear; write tls: required, or auth_in_clear: [a private network]",
        )


def _legacy(document: Document, place: Location, address: str) -> None:
    """Whoever is lenient with old devices is so with attackers too."""
    try:
        host = "localhost" if address.startswith("unix:") else places.split(address)[0]
    except ValueError:
        return  # a fault of its own
    where = (*place, "profile")
    if host in ("0.0.0.0", "::"):  # noqa: S104
        document.warn(where, "who is in no private network is refused; bind a private address")
    elif re.search("[0-9:]$", host) and not places.private(host):
        document.fault(where, "legacy is for private networks only; bind a private address, or write strict")


def _credentials(document: Document) -> None:
    """An account needs exactly one of an API key and a login with its password."""
    for place, account in select(document.values, ("accounts", EACH)):
        if (
            not isinstance(account, dict)
            or account.get("url") == "sandbox"
            or (*place, "url") in document.faulty
        ):
            continue
        key, login, psw = ("apikey" in account, "login" in account, "psw" in account)
        if key and (login or psw):
            document.fault((*place, "login" if login else "psw"), "stands beside apikey; keep one of them")
        elif login != psw:
            document.fault(place, f"{'psw' if login else 'login'} is missing; a login needs both")
        elif not key and not login:
            document.fault(place, "the provider needs apikey, or login and psw; or write url: sandbox")
    _one_account_a_login(document)


def _one_account_a_login(document: Document) -> None:
    """Slots are counted for each account, and the provider counts them for each login."""
    seen: set[tuple[str, str]] = set()
    for place, account in select(document.values, ("accounts", EACH)):
        if not isinstance(account, dict) or account.get("url") == "sandbox":
            continue
        if "apikey" in account and ("login" in account or "psw" in account):
            continue  # a fault of its own
        who = account.get("apikey") or account.get("login")
        key = (str(account.get("url", "https://smsc.ru")), str(who))
        if who and who != NOT_FETCHED and key in seen:
            document.fault(
                place, "another account has the same login; the provider bans it at 15 calls at once"
            )
        seen.add(key)


def _reports(document: Document) -> None:
    reports = document.values.get("reports")
    if isinstance(reports, dict) and "smtp" in reports and "maildir" in reports:
        document.fault(("reports", "maildir"), "stands beside smtp; keep one of them")


def _forwards(document: Document) -> None:
    for place, route in select(document.values, ("routes", EACH)):
        if not isinstance(route, dict) or "channel" not in route:
            continue
        if route["channel"] == "forward" and "smtp" not in route:
            document.fault(
                (*place, "smtp"), "is missing; a forward route needs its smarthost, smtp: {host: …}"
            )
        elif route["channel"] != "forward" and "smtp" in route:
            document.fault((*place, "smtp"), "is for channel: forward; remove it")


def _workers(document: Document) -> None:
    """Processes share a queue as nodes do, and a port that each of them can bind."""
    workers = document.values.get("workers", 1)
    if not isinstance(workers, int) or workers < 2 or ("workers",) in document.faulty:
        return
    if not str(document.values.get("store", "")).startswith("postgresql:"):
        document.fault(("workers",), "one process has an SQLite file; write 1, or store: postgresql://…")
    for place, address in select(document.values, ("listeners", EACH, "address")):
        if str(address).startswith("fd:"):
            document.fault(place, "systemd's sockets are one process's; write host:port, or workers: 1")


def _caps(document: Document) -> None:
    """A cap on somebody who is not there would protect nobody."""
    accounts = document.values.get("accounts")
    senders = [str(name) for _place, name in select(document.values, ("senders", EACH, "name"))]
    known = {"sender": senders, "account": list(accounts) if isinstance(accounts, dict) else []}
    for place, cap in select(document.values, ("caps", EACH)):
        for key in known.keys() & (cap.keys() if isinstance(cap, dict) else ()):
            if isinstance(cap, dict) and cap[key] and str(cap[key]) not in known[key]:
                there = ", ".join(known[key]) or "none"
                document.fault((*place, key), f"there is no such {key}; there are: {there}")
    for place, account in select(document.values, ("senders", EACH, "accounts", EACH)):
        if str(account) not in known["account"]:
            there = ", ".join(known["account"]) or "none"
            document.fault(place, f"there is no such account; there are: {there}")


# -- allowed, but perhaps not meant ---------------------------------------------------------


def _cautions(document: Document) -> None:
    if not document.values.get("senders"):
        document.warn(("senders",), "nobody may send; add an entry, with networks")
    for place, sender in select(document.values, ("senders", EACH)):
        if isinstance(sender, dict) and not any(sender.get(each) for each in _CONDITIONS):
            document.warn(place, "anybody can write such an address; add networks")
        elif isinstance(sender, dict) and not any(sender.get(each) for each in (*_NAMED, "from")):
            document.warn(place, "any domain may send that vouches for its mail; add from, or networks")
    for place, network in select(document.values, ("senders", EACH, "networks", EACH)):
        if str(network).endswith("/0"):
            document.warn(place, "the whole Internet may send at your cost; write your networks")
    for place, url in select(document.values, ("accounts", EACH, "url")):
        if isinstance(url, str) and url.startswith("http://") and not _inside(url):
            document.warn(place, "login and texts travel in clear; write https://")
    encrypted = any(tls != "none" for _place, tls in select(document.values, ("listeners", EACH, "tls")))
    if "tls" in document.values and not encrypted:
        document.warn(("tls",), "no listener uses it; write tls: starttls at one")
    _unreachable(document)
    _callbacks(document)
    for pattern in (("reports", "smtp"), ("routes", EACH, "smtp")):
        for place, smtp in select(document.values, pattern):
            if isinstance(smtp, dict):
                _to_itself(document, place, smtp)


def _callbacks(document: Document) -> None:
    """The provider signs with what its own page allows: Latin letters, digits, minus, underscore."""
    web = document.values.get("web")
    if not isinstance(web, dict):
        return
    secret = web.get("callback_secret", "")
    if web.get("public_url") and not secret:
        document.warn(("web", "public_url"), "callbacks are refused without callback_secret; set one")
    if isinstance(secret, str) and secret != NOT_FETCHED and not re.fullmatch("[A-Za-z0-9_-]*", secret):
        document.warn(
            ("web", "callback_secret"), "the provider takes letters a to z, digits, - and _; write such a one"
        )


def _to_itself(document: Document, place: Location, smtp: dict[str, object]) -> None:
    """What comes back to the relay would go round, or be refused, and reach nobody."""
    host, port = str(smtp.get("host", "127.0.0.1")), str(smtp.get("port", 25))
    ours = [str(address) for _place, address in select(document.values, ("listeners", EACH, "address"))]
    here = {f"{each}:{port}" for each in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]")}  # noqa: S104
    own = {*(ours or ["127.0.0.1:2525"])}
    if (host in ("127.0.0.1", "localhost", "::1") and own & here) or f"{host}:{port}" in own:
        document.fault(place, "is the relay itself; name another mail server")


def _inside(url: str) -> bool:
    try:
        return places.private(urlsplit(url).hostname or "")
    except ValueError:
        return True  # no URL at all, which is a fault already


def _unreachable(document: Document) -> None:
    seen: dict[str, Location] = {}
    for place, value in select(document.values, ("routes", EACH, "match")):
        pattern = str(value).lower()
        earlier = seen.get(pattern) or seen.get("*") or seen.get("*@*")
        if earlier:
            line = document.place(earlier)[0]
            document.warn(place, f"the route on line {line} takes all of this; put this one before it")
        seen.setdefault(pattern, place)
