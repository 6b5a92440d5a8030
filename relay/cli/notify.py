"""A word to the service manager: that the relay is ready, reloads, stops (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import time

READY, STOPPING = "READY=1", "STOPPING=1"


def notify(state: str) -> None:
    """Tell it, where there is one that listens."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if where:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(state.encode(), "\0" + where[1:] if where[0] == "@" else where)


def reloading() -> str:
    """What is told before the configuration is read again; READY follows."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
