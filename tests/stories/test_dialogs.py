"""The transcripts of `tests/dialogs` with a whole relay, over local DNS: who may send, and what is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import Journey, StillClock, journey, settings
from letters import letters, records
from nameserver import SERVFAIL, nameserver
from pki import Pki
from transcripts import DIALOGS, Client, Stage, Step, of_relays, play, steps

from relay.config import Alias, Cap, Config, Dns, Listener, Route, Sender, Smarthost
from relay.config import Limits as Shares

OWN = [each for each in DIALOGS if of_relays(each)]


def configured(folder: Path, script: list[Step], pki: Pki, server: str) -> tuple[Config, dict[str, Any]]:
    """The tests' configuration with the changes of the R lines, and what of these is the zone's."""
    lines = []
    while script[0][0] == "R:":
        lines.append(script.pop(0)[1])
    changes = yaml.safe_load("\n".join(lines))
    changed = changes.pop("zone", {})
    door = {"address": "127.0.0.1:0", **changes.pop("listener", {})}
    if "client_ca" in door:
        door["client_ca"] = str(pki.root())
    config = settings(folder, tls=pki.pair())
    update = {
        "listeners": (Listener.model_validate(door),),
        "dns": Dns(servers=[server], timeout="2s"),
        "senders": tuple(Sender.model_validate(each) for each in changes.pop("senders", [])),
        "limits": Shares.model_validate(changes.pop("limits", {})),
        "aliases": {name: Alias.model_validate(each) for name, each in changes.pop("aliases", {}).items()},
    }
    if "routes" in changes:
        routes = [{"account": "main", **each} for each in changes.pop("routes")]
        update["routes"] = tuple(Route.model_validate(each) for each in routes)
    if "caps" in changes:
        update["caps"] = tuple(Cap.model_validate(each) for each in changes.pop("caps"))
    if "operator" in changes:  # nobody listens there: what he is sent waits
        smtp = Smarthost(host="127.0.0.1", port=1, tls="none")
        own = {"operator": changes.pop("operator"), "smtp": smtp, "maildir": None}
        update["reports"] = config.reports.model_copy(update=own)
    assert not changes, f"what are {changes}?"
    return config.model_copy(update=update), changed


async def stored(relay: Journey) -> list[str]:
    """The mails that were taken: by which entry, whether verified, and what was found out about them."""
    orders = await relay.orders()
    mails = await relay.app.store.mails({order.mail_id for order in orders})
    return [f"stored {mail.source} {mail.verified} {mail.results}" for _, mail in sorted(mails.items())]


@pytest.mark.asyncio
@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
async def test_dialog(path: Path, tmp_path: Path) -> None:
    """The server says what the transcript says, and keeps what it tells."""
    script, pki, clock = steps(path.read_text()), Pki(tmp_path), StillClock()
    async with nameserver(records()) as dns:
        config, changed = configured(tmp_path, script, pki, dns.address)
        dns.zone |= {name: SERVFAIL if value == "SERVFAIL" else value for name, value in changed.items()}
        async with journey(tmp_path, config=config, clock=clock) as relay:

            async def wait(seconds: float) -> None:
                """Somebody but the relay's own loops waits: a failed login for its answer."""
                await relay.until(lambda: len(clock.sleepers) > len(relay.app._loops), "a wait")
                clock.set(clock.now() + int(seconds * 1000))

            clients: list[Client] = []

            async def client() -> Client:
                host, _, port = relay.app.listeners[0].address.rpartition(":")
                clients.append(Client(*await asyncio.open_connection(host, int(port))))
                return clients[-1]

            async def heard() -> list[str]:
                return await stored(relay)

            try:
                await play(
                    script, Stage(client=client, pki=pki, heard=heard, letters=letters(), pass_time=wait)
                )
            finally:
                for each in clients:
                    each.writer.close()


def test_there_are_dialogs() -> None:
    """The folder was found."""
    assert len(OWN) >= 8
