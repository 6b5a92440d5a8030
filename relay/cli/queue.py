"""`smsc-relay queue …`, `send` and `nodes`: they talk to the running server over its unix socket."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp
import click
from rich.console import Console
from rich.table import Table

from relay import model
from relay.cli.common import FAILED, as_json, config_option, configuration, fail, say
from relay.queue.states import FINAL, State

_STEP = 0.2


class _Refused(Exception):  # noqa: N818
    """The server would not; its sentence."""


async def _call(socket: str, method: str, path: str, body: Any = None) -> Any:
    connector = aiohttp.UnixConnector(path=socket)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.request(method, f"http://relay{path}", json=body) as answer,
    ):
        value = json.loads(await answer.text())
        if answer.status >= 400:
            raise _Refused(value.get("error", f"HTTP {answer.status}"))
        return value


def _ask(config: str | None, method: str, path: str, body: Any = None) -> Any:
    socket = str(configuration(config, secrets=False).config.web.socket)
    try:
        return asyncio.run(_call(socket, method, path, body))
    except _Refused as refused:
        return fail(str(refused))
    except (aiohttp.ClientError, OSError, ValueError):
        return fail(f"no relay answers on {socket}: is `smsc-relay serve` running with this configuration?")


def _console() -> Console:
    """A table's rows stay lines in a pipe; on a terminal they are fitted to it."""
    return Console(width=None if sys.stdout.isatty() else 1000, highlight=False)


def _time(at: int | None) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else ""


def _said(order: dict[str, Any]) -> str:
    return f"{order['status']} {order['reason']} {model.quoted(order['code'], order['words'])}".strip()


@click.group()
def queue() -> None:
    """Look at orders and steer them."""


@queue.command("list")
@config_option
@click.option("--state", "states", multiple=True, type=click.Choice([s.value for s in State]))
@click.option("--limit", default=50, show_default=True)
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def queue_list(config: str | None, states: tuple[str, ...], limit: int, *, json_: bool) -> None:
    """The youngest orders."""
    query = "&".join([*(f"state={state}" for state in states), f"limit={limit}"])
    found = _ask(config, "GET", f"/api/queue?{query}")
    if json_:
        as_json(found)
        return
    table = Table("id", "state", "channel", "to", "since", "what happened", box=None)
    for order in found:
        table.add_row(
            order["id"],
            order["state"],
            order["channel"],
            order["to"],
            _time(order["created_at"]),
            _said(order),
        )
    _console().print(table)


@queue.command("show")
@config_option
@click.argument("id_", metavar="ID")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def queue_show(config: str | None, id_: str, *, json_: bool) -> None:
    """An order's whole story."""
    order = _ask(config, "GET", f"/api/queue/{id_}")
    if json_:
        as_json(order)
        return
    console = _console()
    facts = Table.grid(padding=(0, 2))
    for key in (
        "id",
        "state",
        "channel",
        "account",
        "to",
        "recipient",
        "parts",
        "cost",
        "attempts",
        "request",
    ):
        facts.add_row(key, str(order[key]))
        if key == "account" and len(order["accounts"]) > 1:
            facts.add_row("accounts", ", ".join(order["accounts"]))
    if order["state"] == State.WAITING:
        facts.add_row("due", _time(order["due_at"]))
    if order["held_by"]:
        facts.add_row("held by", f"the cap {order['held_by']}")
    facts.add_row("mail", f"{order['mail']['id']} from <{order['mail'].get('from', '')}>")
    if order["mail"].get("results"):
        facts.add_row("checked", order["mail"]["results"])
    facts.add_row("outcome", _said(order))
    facts.add_row("text", order["text"])
    for note in order["notes"]:
        facts.add_row("note", note)
    if order["answered_at"]:
        facts.add_row("taken", _time(order["answered_at"]))
    for step in order["steps"]:
        moment = f"due {_time(step['due_at'])}" if step["due_at"] else _time(step["ended_at"])
        said = (
            f"{step['n']}. {step['what']} unless {step['unless']}: {step['state']}, {moment} {step['said']}"
        )
        facts.add_row("step", said.rstrip())
    for report in order["reports"]:
        facts.add_row("report", f"{report['action']}: {report['state']} {report['said']}")
    console.print(facts, markup=False)
    for line in order["story"]:
        console.print(f"{_time(line['at'])}  {line['event']:<10} {line['detail']}", markup=False)


def _action(name: str, text: str) -> None:
    @queue.command(name, help=text)
    @config_option
    @click.argument("ids", metavar="ID...", nargs=-1, required=True)
    @click.option("--json", "json_", is_flag=True, help="Print JSON.")
    def act(config: str | None, ids: tuple[str, ...], *, json_: bool) -> None:
        orders = [_ask(config, "POST", f"/api/queue/{each}/{name}") for each in ids]
        if json_:
            as_json(orders)
        for order in [] if json_ else orders:
            click.echo(f"{order['id']} {order['state']}")


_action("hold", "Stop a waiting order until it is released.")
_action("release", "Let a held order go on.")
_action("retry", "Send a finished order once more, as a new one.")
_action("drop", "Give an order up; its sender is told.")


@click.command()
@config_option
@click.argument("phone")
@click.argument("text")
@click.option("--channel", default="", help="The channel; default sms, or what the address's route says.")
@click.option("--wait", default=120.0, show_default=True, help="Seconds to wait for the outcome.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def send(config: str | None, phone: str, text: str, channel: str, wait: float, *, json_: bool) -> None:
    """Send one message through the queue and wait for its outcome."""
    orders = _ask(config, "POST", "/api/send", {"to": phone, "text": text, "channel": channel})
    deadline = time.monotonic() + wait
    final = {state.value for state in FINAL} | {State.MERGED.value}
    while any(order["state"] not in final for order in orders) and time.monotonic() < deadline:
        time.sleep(_STEP)
        orders = [_ask(config, "GET", f"/api/queue/{order['id']}") for order in orders]
    if json_:
        as_json(orders)
    for order in [] if json_ else orders:
        click.echo(f"{order['id']} {order['to']} {order['state']} {_said(order)}".rstrip())
    if any(order["state"] not in final for order in orders):
        names = " ".join(order["id"] for order in orders if order["state"] not in final)
        say(f"no final word yet; `smsc-relay queue show {names.split()[0]}` tells later")
    bad = {State.FAILED.value, State.UNKNOWN.value, State.DROPPED.value}
    sys.exit(FAILED if any(order["state"] in bad for order in orders) else 0)


@click.command()
@config_option
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def nodes(config: str | None, *, json_: bool) -> None:
    """Show the nodes that share the queue; with SQLite there is one."""
    found = _ask(config, "GET", "/api/nodes")
    if json_:
        as_json(found)
        return
    for node in found:
        last = "" if node.get("lives", True) else f", not heard of since {_time(node['seen'])}"
        does = f", {node['part']} only" if node.get("part") else ""
        leads = ", leads" if node.get("leads") else ""
        calls = f", {node['calls']} calls under way" if not last else ""
        click.echo(f"{node['node']} {node['store']} since {_time(node['since'])}{does}{leads}{calls}{last}")
