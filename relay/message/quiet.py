"""Quiet hours: when a route leaves phones alone. Pure.

By the provider, a message goes out with the hours in which it may be sent (`time=7-22` for quiet
hours of 22-7), and the provider waits. By holding, the order waits here. What an order has to
keep to is written with it, `22-7` or `22-7/-1`: with a zone, in hours from Moscow's as the
provider counts, or by the local time of this machine.

Whoever sets `time` has said when, and so is not delayed; a question about a number (HLR, ping)
wakes nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from relay import model
from relay.config import Route
from relay.message.channels import CHANNELS

Zone = Callable[[int], int]
"""How far local time is ahead of UTC at a moment, both in milliseconds."""


def utc(_at: int) -> int:
    """The zone of nowhere in particular."""
    return 0


def reaches(channel: str) -> bool:
    """Whether a message of the channel disturbs somebody, and can be told when to."""
    return "time" in CHANNELS[channel].params and not CHANNELS[channel].asks


def _applies(route: Route, channel: str, params: Mapping[str, str]) -> bool:
    return bool(route.quiet.hours) and reaches(channel) and "time" not in params


def time(route: Route, channel: str, params: Mapping[str, str]) -> str:
    """The `time` that makes the provider wait, "" where it need not."""
    if route.quiet.by != "provider" or not _applies(route, channel, params):
        return ""
    first, last = _hours(route.quiet.hours)
    return f"{last}-{first or 24}"


def kept(route: Route, channel: str, params: Mapping[str, str]) -> str:
    """The quiet hours that an order keeps to while it waits here, "" for none."""
    if route.quiet.by != "hold" or not _applies(route, channel, params):
        return ""
    return f"{route.quiet.hours}/{params['tz']}" if "tz" in params else route.quiet.hours


def until(quiet: str, at: int, zone: Zone) -> int | None:
    """When the quiet hours end that it is at `at`; None where it is not quiet then."""
    if not quiet:
        return None
    hours, _, tz = quiet.partition("/")
    if tz:
        ahead = int((3 + Decimal(tz)) * model.HOUR)  # Moscow is three hours ahead, all year
        zone = lambda _at: ahead  # noqa: E731
    first, last = _hours(hours)
    local = at + zone(at)
    hour = local % model.DAY // model.HOUR
    if not (first <= hour < last if first < last else hour >= first or hour < last):
        return None
    end = local - local % model.DAY + last * model.HOUR
    end += model.DAY if end <= local else 0
    return max(at + 1, end - zone(end - zone(at)))  # the clocks may be changed meanwhile


def why(quiet: str) -> str:
    """Why an order waits, for people."""
    hours = quiet.partition("/")[0]
    return f"the quiet hours of its route are {hours}, the message waits for {_hours(hours)[1]:02}:00"


def _hours(written: str) -> tuple[int, int]:
    first, _, last = written.partition("-")
    return int(first) % 24, int(last) % 24
