"""Which country a phone number belongs to, and whether a route may reach it. Pure.

A route may name countries, numbers, or both: then a number has to be allowed by both.

A number that its country's plan does not know (plans change) counts as one of every country
that shares its code: it passes only where the route reaches all of these. Groups of the
provider and users of bots have no number here, so nothing can be said of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import phonenumbers

from relay import replies
from relay.config import Route
from relay.model import Target
from relay.replies import Reply

_NOWHERE = ("001", "ZZ")  # codes of no country, as for satellite phones


@lru_cache(maxsize=4096)
def of(number: str) -> tuple[str, ...]:
    """The ISO codes of the countries that a number may belong to, of +E.164; none for no country's."""
    try:
        read = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return ()
    sure = phonenumbers.region_code_for_number(read)
    found = (sure,) if sure else phonenumbers.region_codes_for_country_code(read.country_code or 0)
    return tuple(each for each in found if each not in _NOWHERE)


def allowed(number: str, countries: Sequence[str]) -> bool:
    """Whether a target may be reached where these countries may; without any all may."""
    if not countries or not number.startswith("+"):
        return True
    found = of(number)
    return bool(found) and set(found) <= set(countries)


def listed(number: str, numbers: Sequence[str]) -> bool:
    """Whether a target is one of these numbers, or begins as one of them that ends in a star."""
    if not numbers or not number.startswith("+"):
        return True
    return any(number.startswith(each[:-1]) if each.endswith("*") else number == each for each in numbers)


def refusal(targets: Sequence[Target], route: Route, alias: str = "") -> Reply | None:
    """Why a route may not reach these targets, None where it may. A hidden number is not named."""
    unlisted = [target for target in targets if not listed(target.to, route.numbers)]
    wrong = [target for target in targets if not allowed(target.to, route.countries)]
    if unlisted:
        who = f"{unlisted[0].to!r} is a number"
        if any(target.hidden for target in unlisted):
            who = f"the alias {alias!r} has members with numbers"
        return replies.reply(550, "5.7.1", f"{who} that this route does not reach")
    if not wrong:
        return None
    where = ", ".join(dict.fromkeys(_named(target.to) for target in wrong))
    who = f"{wrong[0].to!r} is a number of {where}"
    if any(target.hidden for target in wrong):
        who = f"the alias {alias!r} has members with numbers of {where}"
    return replies.reply(550, "5.7.1", f"{who}; this route reaches {', '.join(route.countries)}")


def _named(number: str) -> str:
    found = of(number)
    return " or ".join(found[:3]) + (" or others" if found[3:] else "") or "no country"
