"""When a message goes, and by when it must have arrived: what the mail's client asked for. Pure.

A mail that is to be held (FUTURERELEASE, RFC 4865) goes out at once with the provider's `time`, where
nothing else says when: then it is sent on time whatever becomes of the line between. Where the channel
knows no `time`, where the message has its own, in quiet hours, and where it must arrive by a moment, it waits
in our own queue. Either way `expire` and delay warnings count from its release.

A mail that must arrive by a moment or come back (DELIVERBY with R, RFC 2852 section 4) shares out what
time there is: a part of it in our queue, where the order expires, and the rest as `valid` at the provider,
exact to the minute. So whatever becomes of it, no phone hears it later than that. Where the provider
has no such limit for the channel, or decides itself when to send, the promise can't be given and the
recipient is refused. Mail that is forwarded takes the wish along, to a server that can promise it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from relay.config import Route
from relay.message import channels, quiet
from relay.model import HOUR, MINUTE, SECOND, Content, Envelope, Kind, Outcome
from relay.replies import Reply, reply

SHORTEST = 2 * MINUTE
"""The shortest time in which a message may have to arrive: a minute here, one at the provider."""

EXPIRED = "4.4.7"  # delivery time expired (RFC 3463)

_MOST_VALID = 24 * HOUR
_TOO_LATE = reply(550, "5.4.7", "the message can't go out in time for BY=seconds;R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What of a client's wishes is kept with its mail: for what is told of it, and for a next server."""

    by: int = 0  # when it is to have arrived (RFC 2852); 0: whenever
    returned: bool = False  # what is later than that comes back
    traced: bool = False  # its sender hears that it was passed on
    hold: str = ""  # how long it was to be held, as the client said (RFC 4865)
    priority: str = ""  # how far it goes ahead of others (RFC 6710)

    @property
    def mode(self) -> str:
        """The mode of BY, as the client gave it."""
        return f"{'R' if self.returned else 'N'}{'T' if self.traced else ''}"


_NONE = Timing()


def stored(envelope: Envelope) -> str:
    """The wishes as JSON, "" where there are none."""
    kept = Timing(
        by=envelope.deliver_by,
        returned=envelope.returned,
        traced=bool(envelope.deliver_by) and envelope.traced,
        hold=envelope.hold,
        priority="" if envelope.priority is None else str(envelope.priority),
    )
    return "" if kept == _NONE else json.dumps(asdict(kept), separators=(",", ":"))


def timing(text: str) -> Timing:
    """What `stored` made."""
    return Timing(**json.loads(text)) if text else _NONE


def ended(outcome: Outcome, asked: Timing) -> Outcome:
    """The outcome of an order; where its time was to end by BY=…;R, as RFC 2852 section 4.1.3 states it."""
    if not asked.returned or not (outcome.kind is Kind.EXPIRED or outcome.status == EXPIRED):
        return outcome
    return replace(outcome, status=f"5{EXPIRED[1:]}")


def late(outcome: Outcome, asked: Timing, now: int) -> Outcome:
    """Why an order is late; where BY=…;N set a time and it is over, as RFC 2852 section 4.1.3 states it."""
    if not asked.by or asked.returned or now < asked.by:
        return outcome
    reason = f"the time that was set for the message has passed, and it is tried further: {outcome.reason}"
    return replace(outcome, status=EXPIRED, reason=reason)


def refusal(channel: str, route: Route, params: Mapping[str, str]) -> Reply | None:
    """Why nothing can be promised of when such a message arrives."""
    if channel == channels.FORWARD:
        return None  # the next server is asked
    if "valid" not in channels.CHANNELS[channel].params or channel == "mms":  # the vendor's page: SMS
        return reply(550, "5.3.3", f"BY=seconds;R can't be promised on the channel {channel}")
    if {"time", "period"} & params.keys():
        return reply(550, "5.3.3", "BY=seconds;R can't be promised of what the provider sends later")
    if quiet.kept(route, channel, params) or quiet.time(route, channel, params):
        return reply(550, "5.3.3", "BY=seconds;R can't be promised where there are quiet hours")
    return None


def handed(content: Content, route: Route, envelope: Envelope, now: int) -> Content | None:
    """The content with the `time` until which the provider holds it; None where that is up to us."""
    given = content.params
    if envelope.hold_until <= now or envelope.returned or not quiet.reaches(content.channel):
        return None
    if {"time", "period"} & given.keys() or quiet.kept(route, content.channel, given):
        return None
    stamp = f"0{-(-envelope.hold_until // SECOND)}"  # the vendor's form that no time zone changes
    rest = {name: value for name, value in given.items() if name != "tz"}
    note = f"{held(envelope, now)}: the provider has it until then"
    return replace(content, params={**rest, "time": stamp}, notes=(*content.notes, note))


def bounded(content: Content, route: Route, envelope: Envelope, now: int) -> Content | Reply:
    """The content with no more `valid` than leaves time for our queue; or why that can't be."""
    if not envelope.returned or content.channel == channels.FORWARD:
        return content
    why = refusal(content.channel, route, content.params)
    if why is not None:
        return why
    left = envelope.deliver_by - max(now, envelope.hold_until)
    if left < SHORTEST:
        return _TOO_LATE
    wanted = min(left * 3 // 4, left - MINUTE, _MOST_VALID, _length(content.params.get("valid", "24")))
    minutes = max(1, wanted // MINUTE)
    return replace(content, params={**content.params, "valid": f"{minutes // 60:02}:{minutes % 60:02}"})


def expiry(content: Content, route: Route, envelope: Envelope, start: int) -> int:
    """When an order that goes at `start` is given up where it still waits."""
    usual = start + route.expire
    if not envelope.returned:
        return usual
    if content.channel == channels.FORWARD:
        return min(usual, envelope.deliver_by)
    return min(usual, envelope.deliver_by - _length(content.params["valid"]))


def _length(valid: str) -> int:
    """The milliseconds of hours, or of hh:mm."""
    hours, _, minutes = valid.partition(":")
    return int(hours) * HOUR + int(minutes or "0") * MINUTE


def priority(envelope: Envelope, said: str) -> int:
    """How far the mail goes ahead of others of its route (RFC 6710), -9 to 9.

    `said` is its MT-Priority field (RFC 6758), which counts where the client said nothing itself and
    the sender is one that we know.
    """
    if envelope.priority is not None:
        return envelope.priority
    number = said.partition("(")[0].strip()
    known = envelope.verified and number.removeprefix("-") in {*"0123456789"}
    return int(number) if known else 0


def held(envelope: Envelope, now: int) -> str:
    """Why an order waits although its route does not want it to; "" where it does not."""
    if envelope.hold_until <= now:
        return ""
    moment = datetime.fromtimestamp(envelope.hold_until // SECOND, UTC)
    return f"its client asked to hold the mail until {moment:%Y-%m-%d %H:%M:%S} UTC"
