"""When a message is due: the parameters `time` and `tz` of send.php.

Source: the vendor's page on sending. Four forms: DDMMYYhhmm or DD.MM.YY hh:mm, a range of
hours h1-h2, 0ts with Unix seconds, +m with minutes from now. A time that has passed means
at once. Hours are Moscow's unless `tz` moves them; the account of the sandbox lives there too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from relay.smsc.sandbox.model import RefusalError

MOSCOW = timezone(timedelta(hours=3))

_DATE = re.compile(r"(\d\d)\.?(\d\d)\.?(\d\d) ?(\d\d):?(\d\d)")
_DATES = (re.compile(r"\d{10}"), re.compile(r"\d\d\.\d\d\.\d\d \d\d:\d\d"))
_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})")
_STAMP = re.compile(r"0(\d{1,12})")
_MINUTES = re.compile(r"\+(\d{1,8})")


def due(time: str, tz: str, now: float) -> float:
    """Return when a message is due in Unix seconds, 0 for at once; refuse with error 5."""
    if time in {"", "0"}:
        return 0.0
    zone = _zone(tz)
    if any(form.fullmatch(time) for form in _DATES):
        found = _DATE.fullmatch(time)
        moment = _moment([int(group) for group in found.groups()] if found else [], zone)
    elif hours := _HOURS.fullmatch(time):
        moment = _next(int(hours[1]), int(hours[2]), zone, now)
    elif stamp := _STAMP.fullmatch(time):
        moment = float(stamp[1])
    elif minutes := _MINUTES.fullmatch(time):
        moment = now + 60.0 * int(minutes[1])
    else:
        raise RefusalError(5)
    return moment if moment > now else 0.0


def stamp(moment: float) -> str:
    """Write a time as the provider does: DD.MM.YYYY hh:mm:ss in the account's zone."""
    return datetime.fromtimestamp(moment, MOSCOW).strftime("%d.%m.%Y %H:%M:%S")


def day(text: str) -> float:
    """Read a date DD.MM.YYYY as the Unix time at which that day begins."""
    try:
        return datetime.strptime(text, "%d.%m.%Y").replace(tzinfo=MOSCOW).timestamp()
    except ValueError:
        raise RefusalError(1) from None


def _zone(tz: str) -> timezone:
    """Return the zone `tz` hours east of Moscow."""
    try:
        return timezone(timedelta(hours=3 + float(tz or 0)))
    except (ValueError, OverflowError):
        raise RefusalError(1) from None


def _moment(numbers: list[int], zone: timezone) -> float:
    try:
        dayno, month, year, hour, minute = numbers
        return datetime(2000 + year, month, dayno, hour, minute, tzinfo=zone).timestamp()
    except ValueError:
        raise RefusalError(5) from None


def _next(first: int, last: int, zone: timezone, now: float) -> float:
    """Return when the range of hours is next entered; a range may go over midnight."""
    if first > 24 or last > 24:
        raise RefusalError(5)
    local = datetime.fromtimestamp(now, UTC).astimezone(zone)
    hour = local.hour + local.minute / 60 + local.second / 3600
    inside = first <= hour < last if first <= last else hour >= first or hour < last
    if inside:
        return now
    start = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(hours=first)
    if start <= local:
        start += timedelta(days=1)
    return start.timestamp()
