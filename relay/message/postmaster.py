"""Mail to the postmaster goes to the operator (RFC 5321 section 4.5.1). Pure.

The postmaster of this server is `<postmaster>` without a domain, in any case, and `postmaster@` a domain that
is ours: the host's name, that of the reports' From, and those of phones. What a route or an alias
makes of such an address counts first. The mail goes on untouched, by the route that forwards the
operator's address or else by the smarthost of the reports.

It opens no relay: it goes to one address, which the configuration names, from those alone who may
send here at all. Where the operator's address is itself one of these, his mail would come back: there is
no postmaster then. Other ways in a circle end as all do, by their Received lines.
"""

from __future__ import annotations

from relay import config, replies
from relay.config import Config, Route
from relay.message import address, channels, routes
from relay.message.routes import Resolved
from relay.model import Target
from relay.replies import Reply

_LOCAL = "postmaster"


def means(given: str, known: Config) -> bool:
    """Whether the address is this server's postmaster, as far as routes and aliases leave him alone."""
    local, domain = address.split(given)
    if local.strip('"').lower() != _LOCAL:
        return False
    if not domain or domain in {known.hostname.lower(), _author(known)}:
        return True
    found = routes.find(given, known.routes)
    return found is not None and channels.CHANNELS[found.channel].phone


def instead(given: str, found: Reply, known: Config) -> Resolved | Reply:
    """What an address means that `found` is all that can be said of: the postmaster, or just that."""
    if not means(given, known):
        return found
    where, operator = smarthost(known), known.reports.operator
    if where is None or means(operator, known):
        return found if "@" in given else replies.NO_POSTMASTER
    way = Route(match="postmaster@*", channel="forward", smtp=where)
    return Resolved(route=way, channel=channels.FORWARD, targets=(Target(to=operator, hidden=True),))


def smarthost(known: Config) -> config.Smarthost | None:
    """Which way the operator's mail goes; None where it has none."""
    operator = known.reports.operator
    if not operator:
        return None
    found = routes.find(operator, known.routes)
    return found.smtp if found is not None and found.channel == channels.FORWARD else known.reports.smtp


def _author(known: Config) -> str:
    """The domain of the reports' From."""
    return known.reports.from_.rpartition("@")[2].rstrip("> ").lower()
