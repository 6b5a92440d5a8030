"""`smsc-relay demo`: a mail's whole journey in a fresh folder, with nothing but this program.

A relay with the sandbox as its provider and a maildir for its reports is started in-process;
a sample alarm is sent to it over a real SMTP connection, and every step of its way is shown
with the bytes that went over the wire.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiosmtplib
import click
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from relay.app import App
from relay.cli.common import FAILED
from relay.config import Config, default
from relay.queue.rows import Order
from relay.queue.states import FINAL, State
from relay.smsc.sandbox import Sandbox

GOOD = "79991234567@sms.example.com"
BAD = "79990003025@sms.example.com"
SENDER = "zabbix@mon.example.com"
ALARM = f"""\
From: Zabbix <{SENDER}>
To: {GOOD}, {BAD}
Subject: PROBLEM: Disk space on db1
Message-ID: <demo-1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Disk /var is 95 % full, 1.2 GB left.
""".replace("\n", "\r\n")
PATIENCE = 30.0


@click.command()
@click.option("--once", is_flag=True, help="Exit after the journey.")
def demo(*, once: bool) -> None:
    """Show a mail's whole journey, without an account or a configuration."""
    with tempfile.TemporaryDirectory(prefix="smsc-relay-demo-") as folder:
        good = asyncio.run(_demo(Path(folder), once=once))
    raise SystemExit(0 if good else FAILED)


def settings(folder: Path) -> Config:
    """The demo's configuration: free ports, and waits short enough to watch."""
    base = default(folder)
    reports = base.reports.model_copy(update={"gather": 500, "success": "delivered"})
    delivery = base.delivery.model_copy(update={"poll": (1000, 1000, 2000), "retry": (1000, 5000)})
    web = base.web.model_copy(update={"listen": "127.0.0.1:0"})
    listeners = (base.listeners[0].model_copy(update={"address": "127.0.0.1:0"}),)
    return base.model_copy(
        update={"reports": reports, "delivery": delivery, "web": web, "listeners": listeners}
    )


async def _demo(folder: Path, *, once: bool) -> bool:
    console = Console(highlight=False)
    sandbox = Sandbox(latency=0.05, steps=(0.5, 1.5))
    app = App(settings(folder), sandboxes={"main": sandbox})
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    async with app.running():
        console.print(app.ready_line())
        good = await _journey(console, app, sandbox, folder)
        if good and not once:
            _hints(console, app, folder)
            await stop.wait()
    await sandbox.stop()
    return good


async def _journey(console: Console, app: App, sandbox: Sandbox, folder: Path) -> bool:
    _step(console, 1, "a monitor sends a mail to two phones", ALARM)
    replies = await _send(app, [GOOD, BAD])
    _step(console, 2, "the relay answers once the mail is on disk", "\n".join(replies))
    orders = await _settled(app)
    if orders is None:
        console.print("the orders did not come to an end in time")
        return False
    sends = [call for call in sandbox.calls if call.path.endswith("/send.php")]
    for call in sends:
        shown = "\n".join(f"{name}={value}" for name, value in call.params.items())
        answer = (call.answer or b"").decode("utf-8", "replace")
        _step(console, 3, f"the provider is asked: {call.method} {call.path}", f"{shown}\n\n{answer}")
    states = [f"{order.target}  {order.state}  {order.status} {order.reason}" for order in orders]
    _step(console, 4, "the statuses come home", "\n".join(states))
    reports = await _reports(folder)
    if not reports:
        console.print("no report came in time")
        return False
    for number, report in enumerate(reports, start=5):
        _step(console, number, "the sender hears what became of it", report)
    return any(order.state == "delivered" for order in orders)


async def _send(app: App, recipients: Sequence[str]) -> list[str]:
    host, _, port = app.listeners[0].address.rpartition(":")
    client = aiosmtplib.SMTP(hostname=host, port=int(port), start_tls=False)
    await client.connect()
    lines = [f"C: MAIL FROM:<{SENDER}>", f"S: {_said(await client.mail(SENDER))}"]
    for recipient in recipients:
        lines += [f"C: RCPT TO:<{recipient}>", f"S: {_said(await client.rcpt(recipient))}"]
    lines += ["C: DATA …", f"S: {_said(await client.data(ALARM))}"]
    await client.quit()
    return lines


def _said(answer: aiosmtplib.SMTPResponse) -> str:
    return f"{answer.code} {answer.message}"


async def _settled(app: App) -> list[Order] | None:
    for _ in range(int(PATIENCE * 10)):
        orders = await app.store.listed(list(State), 10)
        if orders and all(order.state in FINAL for order in orders):
            return sorted(orders, key=lambda order: order.id)
        await asyncio.sleep(0.1)
    return None


async def _reports(folder: Path) -> list[str]:
    """The reports in the maildir, once what was owed has come."""
    new = folder / "reports" / "new"
    for _ in range(int(PATIENCE * 10)):
        found = sorted(new.glob("*")) if new.is_dir() else []
        texts = [path.read_text("utf-8") for path in found]
        if all(any(action in text for text in texts) for action in ("Action: failed", "Action: delivered")):
            return [_readable(text) for text in texts]
        await asyncio.sleep(0.1)
    return []


def _readable(text: str) -> str:
    """A report as a mail program shows it: its header, its text, and the fields for machines."""
    mail = email.message_from_string(text, policy=email.policy.default)
    head = "\n".join(f"{name}: {mail[name]}" for name in ("From", "To", "Subject", "Auto-Submitted"))
    people, machines = list(mail.walk())[1:3]
    fields = "\n".join(str(part).strip() + "\n" for part in machines.walk() if part is not machines)
    return f"{head}\n\n{people.get_content().strip()}\n\n{fields}"


def _step(console: Console, number: int, title: str, content: str) -> None:
    body = Text(content.replace("\r\n", "\n").strip())
    console.print(Panel(body, title=f"{number}. {title}", title_align="left"))


def _hints(console: Console, app: App, folder: Path) -> None:
    host, _, port = app.listeners[0].address.rpartition(":")
    server, sms, call = f"{host}:{port}", "79991234567@sms.example.com", "79991234567@call.example.com"
    fire = "printf 'Subject: fire\\n\\ncome\\n'"
    lines = [
        "The relay keeps running. Send it mail of your own (Ctrl-C ends it):",
        "",
        f"  swaks --server {server} --from you@example.com --to {sms}",
        f"  {fire} | curl -sS --crlf smtp://{server} --mail-from you@example.com --mail-rcpt {call} -T -",
        "",
        "The last digits of a number choose its fate in the sandbox (docs/sandbox.md).",
        f"Reports: {folder}/reports/new",
        f"Health and metrics: http://{app.web.address}/healthz http://{app.web.address}/metrics",
    ]
    for line in lines:  # to be copied: a terminal may wrap it, we must not
        console.print(Text(line), soft_wrap=True)
