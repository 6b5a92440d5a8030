"""Where a recipient goes: the route, the channel, the targets and the options of an address.

Everything that can be judged by the address alone is judged here, at RCPT: an unknown
domain, a bad number, an unknown alias, an option that the route does not allow. What is
refused is told with a sentence that says what to write instead.

An alias is expanded here, each member a target of its own; members are addresses on the
same route (numbers, groups, other aliases), and their numbers are hidden from the sender.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

from relay import replies
from relay.config import Alias, Escalation, Route
from relay.message import address, channels, countries, gateway, params
from relay.message.channels import To
from relay.model import Target
from relay.replies import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What an address means: `given` holds the parameters that its +options set."""

    route: Route
    channel: str
    targets: tuple[Target, ...]
    given: Mapping[str, str] = field(default_factory=dict)
    named: bool = False  # an option of the address named the channel: no header changes it
    alias: str = ""
    escalate: tuple[Escalation, ...] = ()  # of its alias, or else of the route
    gateway: bool = False  # its mail is a command in the provider's own grammar


@lru_cache(maxsize=4096)
def _pattern(match: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(match.lower()), re.DOTALL)


def find(given: str, routes: Sequence[Route]) -> Route | None:
    """The first route whose pattern fits the address without its +options."""
    plain = address.bare(given).lower()
    return next((route for route in routes if _pattern(route.match).match(plain)), None)


def home(routes: Sequence[Route]) -> str:
    """The domain of the only route to phones, "" where there are several or it has no single domain."""
    found = [route.match for route in routes if channels.CHANNELS[route.channel].phone]
    domain = found[0].removeprefix("*@") if len(found) == 1 else ""
    return domain if re.fullmatch(r"[\w.-]+", domain) else ""


def commands(given: str, routes: Sequence[Route]) -> bool:
    """Whether an address takes commands in the provider's own grammar; no alias is looked at."""
    if address.split(given)[0].lower() != gateway.MAILBOX:
        return False
    route = find(given, routes)
    return route is not None and route.gateway and channels.CHANNELS[route.channel].phone


def by_command(resolved: Sequence[Resolved | Reply]) -> bool:
    """Whether a mail to these holds a command in the provider's own grammar, and with it credentials."""
    return any(isinstance(each, Resolved) and each.gateway for each in resolved)


def resolve(given: str, routes: Sequence[Route], aliases: Mapping[str, Alias]) -> Resolved | Reply:
    """What the address means, or the reply that says why it means nothing here."""
    if "@" not in given:
        return replies.NO_MAILBOX
    route = find(given, routes)
    if route is None:
        return replies.NO_SUCH_DOMAIN
    channel = channels.CHANNELS[route.channel]
    if not channel.phone:
        return _mailbox(given, route)
    local, _domain = address.split(given)
    if route.gateway and local.lower() == gateway.MAILBOX:
        return Resolved(route=route, channel=route.channel, targets=(), gateway=True)
    return on_route(local, route, aliases)


def names(given: str, routes: Sequence[Route], aliases: Mapping[str, Alias]) -> bool:
    """Whether the address has a name, or anything else that is no number, on a phone route.

    What that leads to, if anywhere, is known here alone: it is nothing to tell a stranger.
    """
    route = find(given, routes) if "@" in given else None
    if route is None or not channels.CHANNELS[route.channel].phone:
        return False
    try:
        recipient = address.parse(address.split(given)[0]).recipient
        if not address.is_group(recipient):
            address.number(recipient, route.region)
    except address.AddressError:
        return True
    return recipient.casefold() in {name.casefold() for name in aliases}


class Book:
    """What addresses mean under one configuration. The last ones asked for are remembered.

    A mail's address is asked for at RCPT and at DATA, and phones on duty come again.
    """

    def __init__(self, routes: Sequence[Route], aliases: Mapping[str, Alias]) -> None:
        self.resolve = lru_cache(maxsize=2048)(partial(resolve, routes=routes, aliases=aliases))


def _mailbox(given: str, route: Route) -> Resolved | Reply:
    """What an address means on a route to mail addresses: itself, options and all."""
    as_given = address.forwarded if route.channel == channels.FORWARD else address.mailbox
    try:
        target = Target(to=as_given(given))
    except address.AddressError as error:
        return replies.reply(553, "5.1.3", str(error))
    return Resolved(route=route, channel=route.channel, targets=(target,))


def on_route(local: str, route: Route, aliases: Mapping[str, Alias]) -> Resolved | Reply:
    """What a local part means on a phone route."""
    try:
        parsed = address.parse(local)
    except address.AddressError as error:
        return replies.reply(553, "5.1.3", str(error))
    given = [(option.name, option.value) for option in parsed.options]
    options = read_options(route, given)
    if isinstance(options, Reply):
        return options
    named = any(name in channels.OPTION_CHANNELS and is_on(value) for name, value in given)
    channel, values = options
    try:
        targets, alias = _targets(parsed.recipient, route, channel, aliases)
    except address.AddressError as error:
        return replies.reply(550, "5.1.3", str(error))
    if not targets:
        who = "neither an alias here nor a phone number"
        if channels.CHANNELS[channel].to is To.BOT_USER:
            who = "neither an alias here nor a phone number, a nick or #id of a bot's user"
        return replies.reply(550, "5.1.1", f"{parsed.recipient!r} is {who}")
    if abroad := countries.refusal(targets, route, alias):
        return abroad
    steps = next((each.escalate for name, each in aliases.items() if name.casefold() == alias.casefold()), ())
    return Resolved(
        route=route,
        channel=channel,
        targets=targets,
        given=values,
        named=named,
        alias=alias,
        escalate=steps or route.escalate,
    )


def read_options(
    route: Route, options: Sequence[tuple[str, str]], channel: str = ""
) -> tuple[str, dict[str, str]] | Reply:
    """The channel and the parameters that options (of an address or of headers) set.

    What the route does not allow is refused, naming it; so is a bad value.
    """
    channel = channel or route.channel
    for name, value in options:
        if name not in route.allow:
            known = name in params.NAMES or name in channels.OPTION_CHANNELS
            why = "is not allowed on this route" if known else "is not known"
            allowed = f"; allowed are: {', '.join(route.allow)}" if route.allow else ""
            return replies.reply(550, "5.7.1", f"the option {name} {why}{allowed}")
        if name in channels.OPTION_CHANNELS:
            if value not in ("", "0", "1"):
                return replies.reply(550, "5.5.4", f"the option {name} takes no value but 0 and 1")
            channel = name if is_on(value) else channel
    values: dict[str, str] = {}
    for name, value in options:
        if name in channels.OPTION_CHANNELS:
            continue
        if name not in channels.CHANNELS[channel].params:
            return replies.reply(550, "5.5.4", f"the option {name} means nothing on the channel {channel}")
        try:
            values[name] = params.check(channel, name, value)
        except params.ParamError as error:
            return replies.reply(550, "5.5.4", str(error))
    return channel, values


def is_on(value: str) -> bool:
    """Whether the value of a channel's flag switches it on."""
    return value != "0"


def _targets(
    recipient: str, route: Route, channel: str, aliases: Mapping[str, Alias]
) -> tuple[tuple[Target, ...], str]:
    """The recipient's targets (none where it is nothing that the channel reaches) and its alias."""
    names = {name.casefold(): alias for name, alias in aliases.items()}
    if recipient.casefold() in names:
        found = _members(recipient.casefold(), names, route.region, set())
        unfit = [each for each in found if not reaches(channel, each)]
        if unfit:
            raise address.AddressError(f"the alias {recipient!r} has members that {channel} can't reach")
        return tuple(Target(to=each, hidden=True) for each in dict.fromkeys(found)), recipient
    to = target(recipient, channel, route.region)
    return ((Target(to=to),) if to else ()), ""


def target(recipient: str, channel: str, region: str) -> str:
    """Who is meant by one recipient on a channel, "" where nobody; raises AddressError."""
    if channels.CHANNELS[channel].to is To.MAILBOX:
        return address.mailbox(recipient)
    if address.is_group(recipient):
        return recipient.lower()
    if any(letter.isalpha() for letter in recipient) or recipient[:1] in ("#", "@"):
        user = address.bot_user(recipient)
        return user if user and reaches(channel, user) else ""
    if not any(letter.isdigit() for letter in recipient):
        return ""
    return address.number(recipient, region)


def reaches(channel: str, to: str) -> bool:
    """Whether a channel reaches a target: only a bot has users without a number."""
    return not address.is_bot_user(to) or channels.CHANNELS[channel].to is To.BOT_USER


def _members(name: str, aliases: Mapping[str, Alias], region: str, seen: set[str]) -> list[str]:
    """The members of an alias; one that is named again, in a circle or not, counts once."""
    seen.add(name)
    found: list[str] = []
    for member in aliases[name].to:
        inner = member.casefold()
        if inner in seen:
            continue
        if inner in aliases:
            found += _members(inner, aliases, region, seen)
        elif address.is_group(member):
            found.append(member.lower())
        elif address.is_bot_user(member):
            found.append(address.bot_user(member))
        else:
            found.append(address.number(member, region))
    return found
