"""`smsc-relay check`: the configuration judged, then everything that it names tried."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiosmtplib
import click

from relay.cli.common import FAILED, WRONG, config_option, configuration, fail, say
from relay.config import Account, Config, Loaded
from relay.message import routes
from relay.model import Outcome
from relay.queue.engine import InUse, Trouble
from relay.queue.sqlite import SQLite
from relay.smsc.client import Client, Credentials
from relay.smtp import sockets


def complaints(loaded: Loaded) -> list[str]:
    """What the rooms say of the values, at their places in the file."""
    config = loaded.config
    return [loaded.fault(place, why) for place, why in routes.complaints(config.routes, config.aliases)]


def doubts(loaded: Loaded) -> list[str]:
    """What the owner of the file should know, though it may be meant."""
    return [
        *loaded.warnings,
        *(loaded.fault(place, why) for place, why in routes.doubts(loaded.config.routes)),
    ]


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Judge the file alone, reach for nothing.")
def check(config: str | None, *, offline: bool) -> None:
    """Judge the configuration, then try database, provider, report smarthost and ports."""
    loaded = configuration(config)
    wrong = complaints(loaded)
    if wrong:
        fail("\n".join(wrong), WRONG)
    for warning in doubts(loaded):
        say(f"warning: {warning}")
    click.echo(f"{loaded.path}: no faults")
    if offline:
        return
    good = asyncio.run(_reach(loaded.config))
    sys.exit(0 if good else FAILED)


async def _reach(config: Config) -> bool:
    good = True
    async for what, trouble in _tries(config):
        click.echo(f"{what}: {trouble or 'works'}")
        good = good and not trouble
    return good


async def _tries(config: Config) -> AsyncIterator[tuple[str, str]]:
    running = False
    try:
        if config.store_path.exists():  # making it would make it ours, and the service's user may be another
            await SQLite(str(config.store_path)).close()
            yield f"store {config.store_path}", ""
        else:
            yield (
                f"store {config.store_path} (made at the first start)",
                _not_writable(config.store_path.parent),
            )
    except InUse:
        running = True
        yield f"store {config.store_path}", ""
    except (Trouble, OSError) as error:
        yield f"store {config.store_path}", str(error)
    for name, account in config.accounts.items():
        async for result in _account(name, account):
            yield result
    yield await _smarthost(config)
    doors = [f"listener {listener.address}" for listener in config.listeners]
    addresses = [listener.address for listener in config.listeners]
    if config.web.listen:
        doors.append(f"web {config.web.listen}")
        addresses.append(config.web.listen)
    for door, address in zip(doors, addresses, strict=True):
        yield await _port(door, address, running=running)


async def _account(name: str, account: Account) -> AsyncIterator[tuple[str, str]]:
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
    else:
        yield f"account {name} at {account.url}, balance {answer.amount} {answer.currency}".rstrip(), ""


async def _smarthost(config: Config) -> tuple[str, str]:
    reports = config.reports
    if reports.maildir is not None:
        return f"reports into {reports.maildir}", ""
    host, port = (reports.smtp.host, reports.smtp.port) if reports.smtp else ("127.0.0.1", 25)
    client = aiosmtplib.SMTP(hostname=host, port=port, timeout=10, start_tls=False)
    if reports.smtp and reports.smtp.tls == "implicit":
        client = aiosmtplib.SMTP(hostname=host, port=port, timeout=10, use_tls=True)
    try:
        await client.connect()
        await client.quit()
    except (aiosmtplib.SMTPException, OSError) as error:
        return f"report smarthost {host}:{port}", str(error) or type(error).__name__
    return f"report smarthost {host}:{port}", ""


def _not_writable(folder: Path) -> str:
    while not folder.exists():
        folder = folder.parent
    return "" if os.access(folder, os.W_OK) else f"{folder} can't be written to"


async def _port(what: str, address: str, *, running: bool) -> tuple[str, str]:
    if running:
        return f"{what} (the relay is running)", ""
    try:
        bound = await sockets.bind(address, asyncio.Protocol)
    except (OSError, ValueError) as error:
        return what, str(error)
    await bound.close()
    return what, ""
