"""The transcripts of `tests/dialogs` with a bare door, whose hooks answer by the address."""

from __future__ import annotations

from typing import Any

import pytest
from transcripts import DIALOGS, Stage, of_relays, play, steps

from relay.smtp import proxied

OWN = [each for each in DIALOGS if not of_relays(each)]


def settings(text: str) -> dict[str, Any]:
    """`errors=3 protocol=lmtp` as keywords; `memory` and the like are the registry's.

    `stranger.mails=2` is what an address may take that nobody trusts.
    """
    found: dict[str, Any] = {}
    rules: dict[str, Any] = {}
    for name, value in (each.split("=") for each in text.split()):
        number = int(value) if value.isdigit() else float(value) if value[:2] == "0." else value
        if name.startswith("stranger."):
            rules.setdefault("address", {})[name.removeprefix("stranger.")] = number
            rules["senders"] = []
        elif name in {"memory", "spool", "free_disk"}:
            rules[name] = number
        else:
            found[name] = number
    return found | ({"rules": rules} if rules else {})


@pytest.mark.asyncio
@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
async def test_dialog(path, house, pki, monkeypatch):
    """The server says what the transcript says, and the hooks hear what it tells."""
    script = steps(path.read_text())
    given = settings(script.pop(0)[1] if script[0][0] == "L:" else "")
    monkeypatch.setattr(proxied, "_PATIENCE", given.pop("patience", proxied._PATIENCE))
    door = await house(**given)

    async def heard() -> list[str]:
        return door.hooks.heard

    async def wait(seconds: float) -> None:
        """Every client has been silent for so long."""
        for each in list(door.registry._open):
            each._deadline -= seconds
            each._timeout_cb()

    await play(script, Stage(client=door.client, pki=pki, heard=heard, pass_time=wait))


def test_there_are_dialogs():
    """The folder was found."""
    assert len(OWN) >= 20
