"""`smsc-relay check`: the configuration judged, then everything that it names tried."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from relay.cli.common import FAILED, WRONG, as_json, complaints, config_option, configuration, fail, say
from relay.clock import Clock
from relay.config import Account, Config, Loaded
from relay.delivery import forwarding
from relay.message import route_faults
from relay.model import Outcome
from relay.queue import lines
from relay.queue.engine import InUse, Trouble
from relay.queue.sqlite import SQLite
from relay.report import signing, smarthost
from relay.report.mailer import way_out
from relay.report.smarthost import Smarthost
from relay.report.transport import Maildir
from relay.smsc.client import Client, Credentials
from relay.smtp import accounts, certificates, dns, sockets


def doubts(loaded: Loaded) -> list[str]:
    """What the owner of the file should know, though it may be meant."""
    now = Clock().now()
    return [
        *loaded.warnings,
        *(loaded.fault(place, why) for place, why in route_faults.doubts(loaded.config.routes)),
        *(loaded.fault(place, why) for place, why in signing.doubts(loaded.config.reports)),
        *(loaded.fault(place, why) for place, why in certificates.doubts(loaded.config, now)),
        *(loaded.fault(place, why) for place, why in accounts.doubts(loaded.config)),
        *_open_store(loaded),
    ]


def _open_store(loaded: Loaded) -> list[str]:
    """A database holds texts and numbers; a copy that was put in its place may be open to all."""
    path = loaded.config.store_path
    with contextlib.suppress(OSError):
        if path.stat().st_mode & 0o007:
            return [loaded.fault(("store",), f"anybody on this machine may open {path}; chmod o= the file")]
    return []


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Judge the file alone, reach for nothing.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def check(config: str | None, *, offline: bool, json_: bool) -> None:
    """Judge the configuration, then try database, provider, report smarthost and ports."""
    loaded = configuration(config)
    wrong = complaints(loaded)
    if wrong:
        fail("\n".join(wrong), WRONG)
    for warning in doubts(loaded):
        say(f"warning: {warning}")
    found = [(str(loaded.path), ""), *asyncio.run(_reach(loaded.config, offline=offline, quiet=json_))]
    if json_:
        as_json([{"what": what, "trouble": trouble} for what, trouble in found])
    elif offline and not any(trouble for _what, trouble in found):
        click.echo(f"{loaded.path}: no faults")
    sys.exit(FAILED if any(trouble for _what, trouble in found) else 0)


def _certificate(config: Config) -> list[tuple[str, str]]:
    """Whether clients that check the time take our certificate."""
    ours = certificates.shown(config)
    if ours is None or config.tls is None:
        return []
    until = datetime.fromtimestamp(ours.ends, UTC).date().isoformat()
    expired = "" if ours.counts(Clock().now()) else "not valid now"
    return [(f"certificate {config.tls.certificate}, until {until}", expired)]


async def _reach(config: Config, *, offline: bool, quiet: bool) -> list[tuple[str, str]]:
    """Try everything, saying each as it comes; `offline` only what lies here."""
    found = []
    async for what, trouble in _tries(config, offline=offline):
        found.append((what, trouble))
        if not quiet:
            click.echo(f"{what}: {trouble or 'works'}")
    return found


async def _tries(config: Config, *, offline: bool) -> AsyncIterator[tuple[str, str]]:
    for result in _certificate(config):
        yield result
    if offline:
        return
    what, trouble, running = await _database(config)
    yield f"store {what}", trouble
    for name, account in config.accounts.items():
        async for result in _account(name, account, _senders(config, name)):
            yield result
    yield await _reports(config)
    for where in forwarding.ways(config):
        yield f"forward smarthost {where.address}", await _greeted(config, where)
    if any(entry.require for entry in config.senders):
        yield await _dns(config)
    doors = [f"listener {listener.address}" for listener in config.listeners]
    addresses = [listener.address for listener in config.listeners]
    if config.web.listen:
        doors.append(f"web {config.web.listen}")
        addresses.append(config.web.listen)
    for door, address in zip(doors, addresses, strict=True):
        yield await _port(door, address, running=running)


async def _database(config: Config) -> tuple[str, str, bool]:
    """The database, what is wrong with it, and whether a relay has it that keeps others out."""
    if config.shared:
        try:
            return await lines.tried(config.store), "", False
        except Trouble as trouble:
            return lines.shown(config.store), str(trouble), False
    file = config.store_path
    try:
        if not file.exists():  # making it would make it ours, and the service's user may be another
            return f"{file} (made at the first start)", _not_writable(file.parent), False
        await SQLite(str(file)).close()
    except InUse:
        return str(file), "", True
    except (Trouble, OSError) as error:
        return str(file), str(error), False
    return str(file), "", False


async def _account(name: str, account: Account, senders: Sequence[str]) -> AsyncIterator[tuple[str, str]]:
    if account.url == "sandbox":
        yield f"account {name} (the built-in sandbox: nothing leaves this machine)", ""
        return
    credentials = Credentials(
        login=account.login.get_secret_value(),
        psw=account.psw.get_secret_value(),
        apikey=account.apikey.get_secret_value(),
    )
    async with Client(name=name, url=account.url, credentials=credentials) as client:
        answer = await client.balance()
        if isinstance(answer, Outcome):
            said = f" (SMSC {answer.code} {answer.text})" if answer.code else ""
            yield f"account {name} at {account.url}", f"{answer.reason}{said}"
            return
        told = f"balance {answer.amount} {answer.currency}".rstrip()
        yield f"account {name} at {account.url}, {told}", ""
        if senders:
            yield await _names(name, senders, await client.senders())


async def _names(account: str, wanted: Sequence[str], known: list[str] | Outcome) -> tuple[str, str]:
    """Whether the account may send under the names of its routes, as far as the provider tells."""
    what = f"account {account}, sender {', '.join(wanted)}"
    if isinstance(known, Outcome) or not known:
        return f"{what} (the provider does not tell the account's names)", ""
    missing = [name for name in wanted if name.casefold() not in {each.casefold() for each in known}]
    if missing:
        return what, f"{', '.join(missing)} is not among the account's names: {', '.join(known)}"
    return what, ""


async def _reports(config: Config) -> tuple[str, str]:
    where = way_out(config.reports)
    if isinstance(where, Maildir):
        return f"reports into {where.path}", ""
    return f"report smarthost {where.address}", await _greeted(config, where)


async def _dns(config: Config) -> tuple[str, str]:
    """Whether somebody answers: what there is of the root's address is no matter."""
    asked = ", ".join(config.dns.servers) or "of the system"
    try:
        await dns.Resolver(config.dns.addresses, timeout=config.dns.timeout / 1000).ask("", "A")
    except dns.Trouble as trouble:
        return f"DNS servers {asked}", f"no answer ({trouble.kind})"
    return f"DNS servers {asked}", ""


async def _greeted(config: Config, where: Smarthost) -> str:
    return await smarthost.greet(replace(where, timeout=10), hostname=config.hostname)


def _senders(config: Config, account: str) -> list[str]:
    """The sender names of the account's phone routes; those of mail are addresses."""
    names = [
        route.params["sender"]
        for route in config.routes
        if account in route.accounts and route.channel != "mail" and "sender" in route.params
    ]
    return list(dict.fromkeys(names))


def _not_writable(folder: Path) -> str:
    while not folder.exists():
        folder = folder.parent
    return "" if os.access(folder, os.W_OK) else f"{folder} can't be written to"


async def _port(what: str, address: str, *, running: bool) -> tuple[str, str]:
    if running:
        return f"{what} (the relay is running)", ""
    if address.startswith("fd:"):
        return f"{what} (systemd opens it)", ""
    try:
        bound = await sockets.bind(address, asyncio.Protocol)
    except (OSError, ValueError) as error:
        return what, str(error)
    await bound.close()
    return what, ""
