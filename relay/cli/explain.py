"""`smsc-relay explain`: what would become of a mail, without sending anything."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from email.utils import parseaddr
from typing import Any, BinaryIO, get_args

import click
from rich.console import Console
from rich.table import Table

from relay import model
from relay.cli.common import WRONG, as_json, config_option, configuration, fail
from relay.clock import Clock
from relay.config import Config, Route
from relay.message import content, gateway, gsm, orders, postmaster, recognisers, routes
from relay.message.drafts import Composed, Draft, StepDraft
from relay.message.routes import Resolved
from relay.message.wording import uncommented
from relay.model import Content, Envelope, Letter, Recipient
from relay.replies import Reply
from relay.smsc import wire
from relay.smsc.client import Client, Credentials


@click.command()
@config_option
@click.argument("mail", type=click.File("rb"))
@click.option(
    "--to", "to", multiple=True, required=True, metavar="ADDRESS", help="A recipient; may be repeated."
)
@click.option("--from", "from_", default=None, metavar="ADDRESS", help="The envelope sender; default: From.")
@click.option("--price", is_flag=True, help="Ask the provider what it would cost (cost=1).")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def explain(
    config: str | None, mail: BinaryIO, to: tuple[str, ...], from_: str | None, *, price: bool, json_: bool
) -> None:
    """Say what would become of MAIL (a file, or - for standard input), without sending anything."""
    settings = configuration(config).config
    bad = [each for each in to if "@" not in each.strip("@")]
    if bad:
        fail(f"--to takes mail addresses, such as 79991234567@sms.example.com; this is none: {bad[0]}", WRONG)
    letter = content.read(mail.read(), charset_for(settings, to))
    told = explained(settings, letter, to, from_ if from_ is not None else letter.from_)
    if price:
        asyncio.run(_add_prices(settings, told))
    if json_:
        as_json(told)
    else:
        _show(told)


def charset_for(config: Config, to: tuple[str, ...]) -> str:
    """Of a mail that names none: the provider's own grammar has another one than the rest."""
    found = [routes.resolve(each, config.routes, config.aliases) for each in to]
    return gateway.CHARSET if routes.by_command(found) else ""


def explained(config: Config, letter: Letter, to: tuple[str, ...], sender: str) -> list[dict[str, Any]]:
    """An entry for each recipient (for each text, where it has several): refused and why, or the request."""
    recipients = tuple(Recipient(address=each) for each in to)
    envelope = Envelope(sender=sender, recipients=recipients)
    resolved = [_meant(each.address, config) for each in recipients]
    made = _composed(config, letter, envelope, resolved)
    told = []
    for number, recipient in enumerate(recipients):
        meant = resolved[number]
        entry: dict[str, Any] = {"to": recipient.address, "refused": ""}
        if isinstance(meant, Resolved):
            entry |= {"route": meant.route.match, "account": meant.route.account}
        told += [
            entry | {"refused": str(each.reply)} | ({"phones": [each.target]} if each.target else {})
            for each in made.refusals
            if each.recipient == number
        ]
        drafts = [draft for draft in made.drafts if draft.recipient == number]
        for place in dict.fromkeys(draft.content for draft in drafts):
            alike = [draft for draft in drafts if draft.content == place]
            if isinstance(meant, Resolved) and meant.route.smtp is not None:
                told.append(entry | _forward(meant.route, made.contents[place], alike))
                continue
            told.append(entry | _request(letter, made, alike))
            told[-1]["steps"] = [_step(step) for step in made.steps if step.recipient == number]
            if isinstance(meant, Resolved) and told[-1]["alphabet"] and not meant.gateway:
                told[-1]["alphabets"] = _alphabets(config, letter, envelope, meant, number)
    return told


def _meant(address: str, config: Config) -> Resolved | Reply:
    found = routes.resolve(address, config.routes, config.aliases)
    return postmaster.instead(address, found, config) if isinstance(found, Reply) else found


def _composed(
    config: Config, letter: Letter, envelope: Envelope, resolved: Sequence[Resolved | Reply]
) -> Composed:
    return orders.compose(
        letter,
        envelope,
        resolved,
        now=Clock().now(),
        fallback_sender=parseaddr(config.reports.from_)[1],
        accounts=config.accounts,
        recognisers=recognisers.known(config.recognisers),
        zone=Clock().zone,
    )


def _alphabets(
    config: Config, letter: Letter, envelope: Envelope, meant: Resolved, number: int
) -> dict[str, dict[str, Any]]:
    """What each setting of `alphabet` would make of the text: its alphabet and its parts."""
    told = {}
    for name in get_args(Route.model_fields["alphabet"].annotation):
        route = meant.route.model_copy(update={"alphabet": name})
        alone = replace(envelope, recipients=envelope.recipients[number : number + 1])
        made = _composed(config, letter, alone, [replace(meant, route=route)])
        if made.contents:
            content_ = made.contents[0]
            told[name] = {"alphabet": content_.alphabet, "parts": content_.parts}
    return told


def _request(letter: Letter, made: Composed, drafts: Sequence[Draft]) -> dict[str, Any]:
    content_ = made.contents[drafts[0].content]
    fields = wire.send_fields(
        id="ID", phones=[draft.target for draft in drafts], text=content_.text, params=content_.params
    )
    said = uncommented(content_.text)
    return {
        "account": drafts[0].account,
        "accounts": list(drafts[0].accounts),
        "channel": content_.channel,
        "alarm": drafts[0].alarm.value,
        "phones": [draft.target for draft in drafts],
        "text": content_.text,
        "alphabet": content_.alphabet,
        "parts": content_.parts,
        "pieces": list(gsm.split(said)) if content_.alphabet else [],
        "files": [_file(letter.files[n]) for n in content_.files],
        "notes": [*made.notes, *content_.notes],
        "rules": list(content_.rules),
        "request": dict(fields),
    }


def _step(step: StepDraft) -> dict[str, Any]:
    return {"after": step.after, "unless": step.unless, "what": step.channel or step.goal}


def _forward(route: Route, content_: Content, drafts: Sequence[Draft]) -> dict[str, Any]:
    """What goes on untouched: no request, nothing that could cost anything."""
    return {
        "account": "",
        "channel": content_.channel,
        "smarthost": f"{route.smtp.host}:{route.smtp.port}" if route.smtp else "",
        "recipients": [draft.target for draft in drafts],
        "rules": list(content_.rules),
    }


def _file(file: model.File) -> dict[str, Any]:
    return {"name": file.name, "type": file.type, "size": file.size}


async def _add_prices(config: Config, told: list[dict[str, Any]]) -> None:
    for entry in told:
        account = config.accounts.get(entry.get("account", ""))
        if account is None or entry["refused"]:
            continue
        if account.url == "sandbox":
            entry["price"] = "the sandbox has no prices; configure an account"
            continue
        credentials = Credentials(
            login=account.login.get_secret_value(),
            psw=account.psw.get_secret_value(),
            apikey=account.apikey.get_secret_value(),
        )
        async with Client(name=entry["account"], url=account.url, credentials=credentials) as client:
            entry["price"] = await client.price(
                phones=entry["phones"], text=entry["text"], params=_params(entry)
            )


def _params(entry: dict[str, Any]) -> dict[str, str]:
    """The parameters without those that every request has."""
    plain = {name for name, _value in wire.send_fields(id="ID", phones=["+70000000000"], text="", params={})}
    return {name: value for name, value in entry["request"].items() if name not in plain}


def _show(told: list[dict[str, Any]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 1000, highlight=False)
    for entry in told:
        table = Table.grid(padding=(0, 2))
        table.add_row("to", entry["to"])
        if entry["refused"]:
            table.add_row("refused", entry["refused"])
        for key in ("route", "account", "channel", "alarm", "smarthost", "parts", "price"):
            if entry.get(key):
                table.add_row(key, str(entry[key]))
            if key == "account" and entry.get("accounts"):
                table.add_row("or else", ", ".join(entry["accounts"][1:]))
        for file in entry.get("files", ()):
            table.add_row("file", f"{file['name']} ({file['type']}, {file['size']} octets)")
        for name, size in entry.get("alphabets", {}).items():
            table.add_row(
                "alphabet" if name == "auto" else "", f"{name}: {size['alphabet']}, {size['parts']} parts"
            )
        for number, piece in enumerate(entry.get("pieces", ()), start=1):
            table.add_row(f"part {number}", piece)
        for rule in entry.get("rules", ()):
            table.add_row("rule", rule)
        for step in entry.get("steps", ()):
            minutes, seconds = divmod(step["after"] // model.SECOND, 60)
            after = f"{minutes} min" if not seconds else f"{minutes} min {seconds} s"
            table.add_row("escalate", f"after {after} unless {step['unless']}: {step['what']}")
        for note in entry.get("notes", ()):
            table.add_row("report", note)
        if entry.get("request"):
            table.add_row("request", "")
        for name, value in entry.get("request", {}).items():
            table.add_row(name, value, style="bold" if name == "mes" else "")
        console.print(table, markup=False)
        console.print()
