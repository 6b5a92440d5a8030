"""Who may send: the first entry of `senders` whose conditions all hold. Pure.

Conditions are the client's network, the certificate that it has shown, the login, the envelope
sender, and what its domain vouches for (`require`). Those are known at different times: SPF at
MAIL, DKIM and DMARC at DATA. So an entry may be open, and then so is the admission: the mail goes
on, and is judged again once more is known. An entry whose `require` does not hold falls to the
next; one of which nobody can say (DNS is in trouble) falls to none, for nobody knows whose mail it is.

An entry by network, certificate or login vouches for the sender's address, so that its mail may be
answered with a report, and so does a check that the sender's own domain passed. An entry by `from`
alone lets mail in but vouches for nothing, since anybody can write that, and so no report goes to
its sender (no backscatter).

Who is known by name writes under the names that `from` gives: its patterns hold for the header's
From as well as for the envelope (`foreign`).
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from relay import replies
from relay.config import Sender
from relay.config.places import AnyNetwork
from relay.message.content import SHOWN
from relay.model import Letter, Result, Spf
from relay.replies import Reply
from relay.smtp import domains
from relay.smtp.verdicts import NOTHING, Verdicts


@dataclass(frozen=True, slots=True)
class Admission:
    """The entry that lets a mail in, and whether its sender's address may be trusted."""

    name: str
    verified: bool


_ADDRESS = re.compile(r""""[^"]*"@[^\s,;:<>()"]+|[^\s,;:<>()"\[\]]+@[^\s,;:<>()"]+""")

_LONGEST = 5000  # characters of From: what is longer may have been cut


@dataclass(frozen=True, slots=True)
class Open:
    """Some entry may let it in: which checks must tell, in the order of the entries."""

    checks: tuple[str, ...]


LOCAL = "unix"
"""The peer of a unix socket: it counts as this machine."""


_PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)


def may(
    senders: Sequence[Sender],
    *,
    peer: str,
    sender: str,
    certificates: frozenset[str] = frozenset(),
    logins: frozenset[str] = frozenset(),
    found: Verdicts = NOTHING,
) -> Admission | Open | None:
    """The admission of a mail, None where no entry lets it in. `logins` names entries (`accounts`)."""
    checks: list[str] = []
    for entry in _claimed(senders, sender, peer, certificates, logins):
        said = _required(entry, found)
        if said is Result.PASS and not checks:
            known = entry.networks is not None or personal(entry)
            return Admission(name=entry.name, verified=known or found.vouched)
        if said in (Result.PASS, Result.TEMPERROR):
            break
        checks += [entry.require] if said is None else []
    return Open(tuple(checks)) if checks else None


class Book:
    """Who may send under one configuration, before anything is looked up; clients come again."""

    def __init__(self, senders: Sequence[Sender]) -> None:
        self.senders = senders
        self._may = lru_cache(maxsize=2048)(self._judged)

    def may(
        self, peer: str, sender: str, certificates: frozenset[str], logins: frozenset[str]
    ) -> Admission | Open | None:
        """What `may` says where no check was made yet."""
        return self._may(peer, sender, certificates, logins)

    def _judged(
        self, peer: str, sender: str, certificates: frozenset[str], logins: frozenset[str]
    ) -> Admission | Open | None:
        return may(self.senders, peer=peer, sender=sender, certificates=certificates, logins=logins)


def anybody_from(
    senders: Sequence[Sender],
    *,
    peer: str,
    certificates: frozenset[str] = frozenset(),
    logins: frozenset[str] = frozenset(),
) -> bool:
    """Whether some entry could let this peer in, whatever the sender."""
    return any(_is(entry, peer, certificates, logins) for entry in senders)


def login_helps(senders: Sequence[Sender], peer: str, certificates: frozenset[str]) -> bool:
    """Whether some entry could let this peer in once it has logged in."""
    every = frozenset(entry.name for entry in senders if takes_logins(entry))
    return any(takes_logins(entry) and _is(entry, peer, certificates, every) for entry in senders)


def takes_logins(entry: Sender) -> bool:
    """Whether a login is a condition of the entry."""
    return bool(entry.users) or entry.users_file is not None


def personal(entry: Sender) -> bool:
    """Whether the entry knows its clients, not only where they are."""
    return takes_logins(entry) or entry.certificates is not None


def out_of_reach(entry: Sender, channel: str, accounts: Collection[str]) -> str:
    """What of a message this entry's clients may not use: its channel or an account, "" for nothing."""
    if entry.channels and channel not in entry.channels:
        return f"the channel {channel}"
    barred = [each for each in accounts if each and entry.accounts and each not in entry.accounts]
    return f"the account {barred[0]}" if barred else ""


def foreign(entry: Sender, letter: Letter) -> str:
    """An address in From that a client known by this entry may not write as, "" where there is none.

    Each address that stands there counts, in names and comments as well: people read those. So does
    each From of several. One that holds no address, or one that can be read in two ways, is nobody's.
    """
    if entry.from_ is None or not personal(entry):
        return ""
    if len(letter.headers) >= SHOWN:
        return "one of too many header fields"
    values = [value for name, value in letter.headers if name.strip().lower() == "from"]
    authors = [each for value in values for each in _authors(value)]
    return next((each for each in authors if not _from_holds(entry, each)), "")


def _authors(value: str) -> list[str]:
    found = _ADDRESS.findall(value)
    clear = found and "".join(found).count("@") == value.count("@") and len(value) < _LONGEST
    return found if clear else [value]


def _is(entry: Sender, peer: str, certificates: frozenset[str], logins: frozenset[str]) -> bool:
    shown = entry.certificates is None or not certificates.isdisjoint(entry.certificates)
    logged_in = not takes_logins(entry) or entry.name in logins
    return shown and logged_in and _network_holds(entry, peer)


def private(peer: str) -> bool:
    """Whether a peer is in a private network: of this machine, RFC 1918, link-local or ULA."""
    return inside(_PRIVATE, peer)


def why_not(
    senders: Sequence[Sender],
    *,
    peer: str,
    sender: str,
    certificates: frozenset[str] = frozenset(),
    logins: frozenset[str] = frozenset(),
    found: Verdicts = NOTHING,
) -> Reply:
    """What a peer is told whose mail no entry lets in: the first thing that is in its way.

    Temporary where an entry may let it in later.
    """
    told = []
    for entry in _claimed(senders, sender, peer, certificates, logins):
        said = _required(entry, found)
        told.append(_refusal(entry, found))
        if said is Result.TEMPERROR:
            return told[-1]
    if told:
        return told[0]
    known = anybody_from(senders, peer=peer, certificates=certificates, logins=logins)
    return replies.SENDER_NOT_ALLOWED if known else replies.NOT_ALLOWED


def _claimed(
    senders: Sequence[Sender], sender: str, peer: str, certificates: frozenset[str], logins: frozenset[str]
) -> Iterator[Sender]:
    """The entries whose conditions hold as far as they are known before anything is looked up.

    A client that one of them knows by name is judged by those that do: it can't shed its `from`,
    its caps or its channels by being in a network that another entry trusts.
    """
    all_ = [entry for entry in senders if _is(entry, peer, certificates, logins)]
    by_name = [entry for entry in all_ if personal(entry)]
    return (entry for entry in by_name or all_ if _from_holds(entry, sender))


# -- what the sender's domain vouches for ----------------------------------------------------


def _required(entry: Sender, found: Verdicts) -> Result | None:
    """Whether the entry's `require` holds: pass, fail, temperror (nobody can say), None (not asked yet)."""
    said: Result | None = Result.PASS
    if entry.require == "spf":
        return None if found.spf is None else _three(found.spf.result)
    if entry.require == "dkim":
        said = _three(found.signed) if found.read else None
    elif entry.require == "dmarc":
        said = _dmarc(entry, found)
    if entry.require and found.read and not _from_holds(entry, found.author):
        return Result.FAIL
    return said


def _three(said: Result) -> Result:
    return said if said in (Result.PASS, Result.TEMPERROR) else Result.FAIL


def _dmarc(entry: Sender, found: Verdicts) -> Result | None:
    """DMARC passes here, or did at the first of a chain of sealers that the entry trusts, all of them."""
    if found.dmarc is None:
        return None
    said, arc = _three(found.dmarc.result), found.arc
    if said is Result.PASS or arc is None or not entry.trusted_sealers:
        return said
    if arc.result is Result.TEMPERROR:
        return Result.TEMPERROR
    trusted = arc.sealers <= {domains.ascii_of(each) for each in entry.trusted_sealers}
    same = bool(arc.passed) and arc.passed == domains.of(found.author)
    return Result.PASS if arc.result is Result.PASS and trusted and same else said


def _refusal(entry: Sender, found: Verdicts) -> Reply:
    """Why `require` does not hold: RFC 7372, and of SPF RFC 7208 section 8."""
    if found.read and found.author and not _from_holds(entry, found.author):
        return replies.SENDER_NOT_ALLOWED
    if entry.require == "spf" and found.spf is not None:
        return _spf_refusal(found.spf)
    if entry.require == "dkim":
        return _dkim_refusal(found)
    domain = domains.of(found.author)
    if _required(entry, found) is Result.TEMPERROR:
        return replies.reply(451, "4.4.3", f"DMARC of {domain} could not be looked up, try again later")
    if not domain:
        return replies.reply(550, "5.7.26", "DMARC needs one author in From")
    if found.dmarc is not None and found.dmarc.result is Result.NONE:
        return replies.reply(550, "5.7.26", f"{domain} has no DMARC record, nothing vouches for the mail")
    return replies.reply(550, "5.7.26", f"the mail fails DMARC of {domain}")


def _spf_refusal(said: Spf) -> Reply:
    whose = said.domain or "this HELO name"
    if said.result is Result.TEMPERROR:
        return replies.reply(451, "4.4.3", f"SPF of {whose} could not be looked up, try again later")
    if said.result is Result.PERMERROR:
        return replies.reply(550, "5.7.24", f"the SPF record of {whose} can't be evaluated")
    return replies.reply(550, "5.7.23", f"SPF of {whose} does not name this client ({said.result})")


def _dkim_refusal(found: Verdicts) -> Reply:
    if found.signed is Result.TEMPERROR:
        return replies.reply(
            451, "4.7.5", "the key of a DKIM signature could not be looked up, try again later"
        )
    if not found.author:
        return replies.reply(550, "5.7.22", "a DKIM signature needs one author in From")
    if any(each.result is Result.PASS for each in found.dkim):
        return replies.reply(550, "5.7.22", "no valid DKIM signature of the domain in From")
    why = next((f" ({each.why})" for each in found.dkim if each.why), "")
    return replies.reply(550, "5.7.20", f"no valid DKIM signature{why}")


# -- what the client claims -------------------------------------------------------------------


def by_network(senders: Sequence[Sender], *, peer: str) -> bool:
    """Whether a peer is known by its network alone, as this machine is; "all addresses" knows nobody."""
    return peer == LOCAL or any(
        entry.networks is not None
        and not (entry.users or entry.users_file or entry.certificates or entry.require)
        and any(
            network.prefixlen and address in network
            for address in _addresses(peer)
            for network in entry.networks
        )
        for entry in senders
    )


def _network_holds(entry: Sender, peer: str) -> bool:
    return entry.networks is None or inside(entry.networks, peer)


def inside(networks: Iterable[AnyNetwork], peer: str) -> bool:
    """Whether the peer is in one of these networks; one that has left already ("") is nowhere."""
    return any(address in network for network in networks for address in _addresses(peer))


@lru_cache(maxsize=1024)  # a session asks at each mail, and clients come again
def _addresses(peer: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses that a peer counts as: a v4 one that came mapped into v6 is both."""
    if peer == LOCAL:
        return [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    if not peer:
        return []
    address = ipaddress.ip_address(peer.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return [address] if mapped is None else [address, mapped]


def _from_holds(entry: Sender, sender: str) -> bool:
    """Patterns are on addresses, and the null sender has none: not even `*` fits it."""
    if entry.from_ is None:
        return True
    return bool(sender) and any(
        fnmatch.fnmatchcase(sender.lower(), pattern.lower()) for pattern in entry.from_
    )
