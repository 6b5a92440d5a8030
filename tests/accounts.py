"""What tests of two accounts share: a configuration with both, and looking at both providers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import Journey, settings

from relay.config import Config
from relay.smsc.sandbox import Sandbox

BOTH = ("main", "backup")


def two(folder: Path, **changes: Any) -> Config:
    """Accounts main and backup at sandboxes of their own, and every route may use both."""
    config = settings(folder, **changes)
    main = config.accounts["main"]
    routes = tuple(
        route if route.smtp else route.model_copy(update={"account": "main", "accounts": BOTH})
        for route in config.routes
    )
    return config.model_copy(update={"accounts": {"main": main, "backup": main}, "routes": routes})


def other(relay: Journey) -> Sandbox:
    """The provider of the account backup."""
    return relay.app.sandboxes["backup"]


def heard(relay: Journey) -> list[tuple[str, str]]:
    """What phones got, by whichever provider: phone and text."""
    return sorted((each.phone, each.text) for box in relay.app.sandboxes.values() for each in box.messages)


def texts(sandbox: Sandbox) -> list[str]:
    """The last lines of what a provider was given, in its order."""
    return [message.text.split("\n")[-1] for message in sandbox.messages]


async def moves(relay: Journey, order: int) -> list[str]:
    """Where an order's story says that it moved, and why."""
    return [line["detail"] for line in await relay.app.store.story(order) if line["event"] == "moved"]
