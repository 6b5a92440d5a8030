"""What a listener is made of: all that its sessions share, and the commands that they understand."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import Any

from relay.replies import Reply
from relay.smtp import auth, tls
from relay.smtp.registry import Registry
from relay.smtp.session import Hooks, Limits, Session

Refused = Callable[[Session, Reply], None]


def wall_clock() -> int:
    """UTC milliseconds."""
    return int(time.time() * 1000)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What all sessions of one listener share."""

    hooks: Hooks
    limits: Limits
    registry: Registry
    hostname: str
    protocol: str = "smtp"
    legacy: bool = False  # lenient with old devices, for private networks alone
    address: str = ""
    now: Callable[[], int] = wall_clock
    refused: Refused | None = None  # told of every reply that is a refusal
    encryption: tls.Encryption | None = None
    logins: auth.Logins | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Verb:
    """What a command does, and how it is written.

    `obey` returns the reply, which counts where it is a fault of the client; or it answers by itself.
    """

    obey: Callable[[Any, str], Awaitable[Reply | None]]
    syntax: str
