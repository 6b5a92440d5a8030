"""What commands share: the configuration option, and how failures end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

from relay.config import ConfigError, Loaded, find, load
from relay.delivery import watch
from relay.message import recognisers, route_faults
from relay.message.recogniser import RecogniserFault
from relay.report import signing
from relay.smtp import accounts, certificates

F = TypeVar("F", bound=Callable[..., Any])

FAILED = 1
WRONG = 2


def config_option(command: F) -> F:
    """`-c FILE` after the subcommand; the one before it counts where this is not given."""
    return click.option("-c", "--config", "config", metavar="FILE", help="The configuration.")(command)


def configuration(config: str | None, *, secrets: bool = True) -> Loaded:
    """The configuration, or the end of the command with every fault said."""
    chosen = config or click.get_current_context().find_root().obj
    try:
        return load(find(chosen), secrets=secrets)
    except ConfigError as error:
        rest = complaints(error.loaded) if isinstance(error.loaded, Loaded) else []
        say("\n".join([*error.faults, *(each for each in rest if each not in error.faults)]))
        sys.exit(WRONG)


def say(text: str) -> None:
    """A line for the person at the terminal, not for a pipe."""
    click.echo(text, err=True)


def fail(text: str, code: int = FAILED) -> NoReturn:
    """End the command."""
    say(text)
    sys.exit(code)


def complaints(loaded: Loaded) -> list[str]:
    """What the rooms say of the values, at their places in the file."""
    config = loaded.config
    found = [
        loaded.fault(place, why) for place, why in route_faults.complaints(config.routes, config.aliases)
    ]
    why = watch.complaint(config.reports.operator_phone, config.routes, dict(config.aliases))
    found += [loaded.fault(("reports", "operator_phone"), why)] if why else []
    try:
        recognisers.known(config.recognisers)
    except RecogniserFault as fault:
        found += [loaded.fault(("recognisers",), why) for why in str(fault).split("\n")]
    files = [*signing.complaints(config.reports), *certificates.complaints(config)]
    files += accounts.complaints(config)
    return [*found, *(loaded.fault(place, why) for place, why in files)]


def as_json(value: Any) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))
