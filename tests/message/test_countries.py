"""Which countries a route reaches: by the number, before anything is spent."""

from __future__ import annotations

import pytest

from relay.config import Alias, Route
from relay.message import countries, routes
from relay.message.routes import Resolved
from relay.model import Target
from relay.replies import Reply

RU, KZ, US, GPS, NEW = "+79991234567", "+77011234567", "+12125551234", "+881612345678", "+70001234567"


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (RU, ("RU",)),
        (KZ, ("KZ",)),  # the same +7
        (US, ("US",)),
        (GPS, ()),  # a satellite phone is in no country
        (NEW, ("RU", "KZ")),  # in no numbering plan yet
        ("+999", ()),
        ("", ()),
    ],
)
def test_a_number_belongs_to_a_country(number, found):
    """By its numbering plan, where that knows it; else to all that share its code."""
    assert found == countries.of(number)


@pytest.mark.parametrize(
    ("number", "reached", "good"),
    [
        (RU, (), True),
        (RU, ("RU",), True),
        (RU, ("KZ", "RU"), True),
        (KZ, ("RU",), False),
        (NEW, ("RU",), False),
        (NEW, ("RU", "KZ"), True),
        (GPS, ("RU",), False),
        (GPS, (), True),
        ("g777", ("RU",), True),  # nobody here knows who is in a group
        ("@alex_nick", ("RU",), True),
    ],
)
def test_a_route_reaches_the_countries_of_its_list(number, reached, good):
    """Without a list all; what has no number can't be judged."""
    assert good is countries.allowed(number, reached)


def reaching(*countries_: str) -> Route:
    """A route with a list of countries."""
    return Route(match="*@sms.example.com", channel="sms", countries=countries_)


def test_the_refusal_names_the_country_and_the_list():
    """Whoever wrote the number reads why it was refused."""
    refused = countries.refusal([Target(to=RU), Target(to=KZ)], reaching("RU", "BY"))
    assert "550 5.7.1 '+77011234567' is a number of KZ; this route reaches RU, BY" == str(refused)
    assert "no country" in str(countries.refusal([Target(to=GPS)], reaching("RU")))
    assert "US or AG or AI or others" in str(countries.refusal([Target(to="+15551234567")], reaching("RU")))


def test_hidden_members_are_not_named():
    """The refusal of an alias tells the country, and no number."""
    route = Route.model_validate(
        {"match": "*", "channel": "sms", "account": "main", "accounts": ["main"], "countries": ["RU"]}
    )
    reply = routes.resolve("oncall@sms.example.com", [route], {"oncall": Alias(to=(RU, KZ))})
    assert isinstance(reply, Reply)
    assert "550 5.7.1 the alias 'oncall' has members with numbers of KZ; this route reaches RU" == str(reply)
    assert isinstance(
        routes.resolve("oncall@sms.example.com", [route], {"oncall": Alias(to=(RU,))}), Resolved
    )
