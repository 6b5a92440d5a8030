"""Who is the postmaster, and when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay import replies
from relay.config import Alias, Config, Route, Smarthost
from relay.config.shape import Reports
from relay.message import postmaster, routes
from relay.message.routes import Resolved

HERE, THERE = Smarthost(host="reports.example"), Smarthost(host="mail.example")
ROUTES = (
    Route(match="*@sms.example.com", channel="sms", account="main"),
    Route(match="*@people.example", channel="forward", smtp=THERE),
    Route(match="*@shop.example", channel="mail", account="main"),
)


def known(operator: str = "duty@office.example", **reports: object) -> Config:
    """A configuration with routes to phones, to a mail server, and to the provider's mail."""
    made = Reports(
        **{"operator": operator, "from": "SMS relay <post@Reports.example>", "smtp": HERE} | reports
    )
    given = {"hostname": "Relay.example.com", "routes": ROUTES, "reports": made, "aliases": {}}
    return Config.model_construct(**given)


def found(given: str, config: Config) -> tuple[str, str] | str:
    """To whom an address leads, and by which smarthost; else the refusal's status."""
    plain = routes.resolve(given, config.routes, config.aliases)
    meant = postmaster.instead(given, plain, config) if not isinstance(plain, Resolved) else plain
    if not isinstance(meant, Resolved):
        return meant.status
    (target,) = meant.targets
    return target.to, meant.route.smtp.host if meant.route.smtp else meant.channel


OPERATOR = ("duty@office.example", "reports.example")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("postmaster", OPERATOR),
        ("PostMaster", OPERATOR),
        ("postmaster@SMS.example.com", OPERATOR),
        ('"POSTMASTER"@sms.example.com', OPERATOR),
        ("postmaster@relay.example.com", OPERATOR),
        ("postmaster@reports.example", OPERATOR),
        ("postmaster@people.example", ("postmaster@people.example", "mail.example")),
        ("postmaster@shop.example", ("postmaster@shop.example", "mail")),
        ("postmaster@elsewhere.example", "5.1.2"),
        ("postmaster+x@relay.example.com", "5.1.2"),
        ("abuse@relay.example.com", "5.1.2"),
        ("postmasters@sms.example.com", "5.1.1"),
        ("abuse@sms.example.com", "5.1.1"),
    ],
)
def test_who_is_the_postmaster(given: str, wanted: object) -> None:
    """Without a domain, and at ours; where a route takes the address, it is that route's."""
    assert wanted == found(given, known())


def test_the_operator_s_own_way() -> None:
    """By the route that forwards his address, where there is one."""
    assert ("duty@people.example", "mail.example") == found("postmaster", known("duty@people.example"))
    assert ("duty@shop.example", "reports.example") == found("postmaster", known("duty@shop.example"))


@pytest.mark.parametrize(
    "config",
    [
        known(""),
        known(smtp=None, maildir=Path("reports")),
        known("postmaster@sms.example.com"),
        known("postmaster@relay.example.com"),
    ],
    ids=["nobody", "a maildir", "himself", "himself by name"],
)
def test_nobody_there(config: Config) -> None:
    """No operator, no way to him, or one that leads here: the refusal says so."""
    assert replies.NO_POSTMASTER == postmaster.instead("postmaster", replies.NO_MAILBOX, config)
    assert "5.1.1" == found("postmaster@sms.example.com", config)
    assert "5.1.2" == found("postmaster@relay.example.com", config)


def test_an_alias_of_that_name_counts_first() -> None:
    """A phone may be the postmaster's."""
    config = known().model_copy(update={"aliases": {"postmaster": Alias(to=["+79991234567"])}})
    assert ("+79991234567", "sms") == found("postmaster@sms.example.com", config)
