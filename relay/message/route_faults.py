"""What is wrong with routes and aliases that are well written each, but lead nowhere or mean nothing.

The form of a configuration is judged where it is read; here is judged what it says to this room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from relay.config import Alias, Escalation, Route
from relay.message import address, channels, params, quiet, templates
from relay.message.routes import Resolved, on_route, resolve
from relay.replies import Reply

Place = tuple[str | int, ...]


def complaints(routes: Sequence[Route], aliases: Mapping[str, Alias]) -> list[tuple[Place, str]]:
    """What this room finds wrong in the configuration: (place, sentence) pairs."""
    found: list[tuple[Place, str]] = []
    for index, route in enumerate(routes):
        at = ("routes", index)
        for name in ("text", "comment"):
            source = getattr(route, name)
            why = templates.check(source) if source else ""
            if why:
                found.append(((*at, name), why))
        found += [((*at, name), why) for name, why in _bad_params(route)]
        found += [
            ((*at, "allow", n), f"{each} is neither a parameter nor a channel that an option may set")
            for n, each in enumerate(route.allow)
            if each not in params.NAMES and each not in channels.OPTION_CHANNELS
        ]
        found += [
            ((*at, "escalate", *place), why)
            for place, why in _bad_steps(route.escalate, [route], routes, aliases)
        ]
    for name, alias in aliases.items():
        bad = _bad_steps(alias.escalate, routes, routes, aliases)
        found += [(("aliases", name, "escalate", *place), why) for place, why in bad]
    names = {name.casefold(): alias for name, alias in aliases.items()}
    found += [
        (("aliases", name), "leads to nobody: its members are aliases that lead back to it")
        for name in aliases
        if _leads_to_nobody(name.casefold(), names, set())
    ]
    known = {name.casefold() for name in aliases}
    for name, alias in aliases.items():
        for n, member in enumerate(alias.to):
            if member.casefold() in known or address.is_group(member) or address.is_bot_user(member):
                continue
            why = _no_number(member, {"", *(route.region for route in routes)})
            if why:
                found.append((("aliases", name, "to", n), why))
    return found


def doubts(routes: Sequence[Route]) -> list[tuple[Place, str]]:
    """What is no fault, but does nothing: parameters that no channel of their route knows."""
    found: list[tuple[Place, str]] = []
    for index, route in enumerate(routes):
        ways = [route.channel, *(each for each in route.allow if each in channels.OPTION_CHANNELS)]
        if route.gateway and not channels.CHANNELS[route.channel].phone:
            found.append((("routes", index, "gateway"), f"does nothing on the channel {route.channel}"))
        found += [
            (("routes", index, name), f"does nothing on the channel {route.channel}")
            for name in ("countries", "numbers")
            if getattr(route, name) and not channels.CHANNELS[route.channel].phone
        ]
        if route.escalate and not channels.escalates(route.channel):
            found.append((("routes", index, "escalate"), f"does nothing on the channel {route.channel}"))
        if route.quiet.hours and not any(quiet.reaches(each) for each in ways):
            found.append((("routes", index, "quiet"), f"does nothing on the channel {route.channel}"))
        found += [
            (("routes", index, name), f"means nothing on the channel {route.channel}")
            for name in route.params
            if not any(name in channels.CHANNELS[each].params for each in ways)
        ]
    return found


def _bad_steps(
    steps: Sequence[Escalation], own: Sequence[Route], routes: Sequence[Route], aliases: Mapping[str, Alias]
) -> list[tuple[Place, str]]:
    """What is wrong with steps of messages that come by some routes."""
    phones = [route for route in own if channels.CHANNELS[route.channel].phone]
    bad: list[tuple[Place, str]] = []
    for n, step in enumerate(steps):
        if step.channel and not (
            step.channel in channels.OPTION_CHANNELS and channels.escalates(step.channel)
        ):
            known = sorted(each for each in channels.OPTION_CHANNELS if channels.escalates(each))
            bad.append(((n, "channel"), f"can't say a text to a phone; write one of {', '.join(known)}"))
        if not step.to or not phones:
            continue
        found = [
            resolve(step.to, routes, aliases) if "@" in step.to else on_route(step.to, route, aliases)
            for route in phones
        ]
        reply = next((each for each in found if isinstance(each, Reply)), None)
        if all(isinstance(each, Reply) for each in found) and reply is not None:
            bad.append(((n, "to"), f"reaches nobody: {reply.text}"))
        elif any(isinstance(each, Resolved) and each.channel == channels.FORWARD for each in found):
            bad.append(((n, "to"), "is an address of a forward route, which takes whole mails only"))
    return bad


def _no_number(member: str, regions: Iterable[str]) -> str:
    """Why a member is no number in any of these regions, "" where it is in one."""
    why = ""
    for region in sorted(regions):
        try:
            address.number(member, region)
        except address.AddressError as error:
            why = why or str(error)
        else:
            return ""
    return why


def _bad_params(route: Route) -> list[tuple[str, str]]:
    bad: list[tuple[str, str]] = []
    known = channels.CHANNELS[route.channel].params
    chosen = [each for each in route.allow if each in channels.OPTION_CHANNELS]
    for name, value in route.params.items():
        ways = [each for each in (route.channel, *chosen) if name in channels.CHANNELS[each].params]
        faults = [why for each in ways if (why := _bad_param(each, name, value))]
        # What fits one of the route's channels is left out of the others, and said in the report.
        if faults and len(faults) == len(ways):
            bad.append((name, faults[0]))
    why = params.agree({name: value for name, value in route.params.items() if name in known})
    bad += [("channel", why)] if why else []
    if route.channel == "bot" and not {"bot"} & {*route.params, *route.allow}:
        bad.append(("channel", "bot needs the bot that sends; write bot: as in @name_bot"))
    return bad


def _bad_param(channel: str, name: str, value: str) -> str:
    try:
        params.check(channel, name, value)
    except params.ParamError as error:
        return str(error)
    return ""


def _leads_to_nobody(name: str, aliases: Mapping[str, Alias], seen: set[str]) -> bool:
    seen.add(name)
    inner = [member.casefold() for member in aliases[name].to]
    if any(member not in aliases for member in inner):
        return False
    return all(member in seen or _leads_to_nobody(member, aliases, seen) for member in inner)
