"""Peers other than Postfix, and why one of them is not measured."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import plain
import stage
from stage import Server

MAILRISE = "sms@mailrise.xyz"
_MAILRISE = """\
configs:
  sms: {{urls: ["json://127.0.0.1:{sink}/"]}}
listen: {{host: 127.0.0.1, port: {port}}}
"""
_INSTALLED = 90.0  # seconds that it may take to install it
_READY = 20.0
OPENSMTPD = (
    "skipped: 7.6, tried in a place of its own, stopped answering for 15 s and more in four loads of six; "
    "its queue and its control socket have fixed places besides"
)


@contextlib.contextmanager
def mailrise(folder: Path) -> Iterator[tuple[Server | None, str]]:
    """A running Mailrise, or None and why there is none."""
    program, why = _program(folder)
    if not program:
        yield None, why
        return
    with plain.provider() as sink, contextlib.ExitStack() as stack:
        port = _free_port()
        config = folder / "mailrise.yaml"
        config.write_text(_MAILRISE.format(sink=sink.port, port=port))
        with (folder / "mailrise.log").open("ab") as log:
            process = subprocess.Popen(
                [program, str(config)], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                text=True, start_new_session=True,
            )  # fmt: skip
        stack.callback(stage.end, process)
        if _listens(port):
            yield Server(process, "Mailrise", f"ready smtp=127.0.0.1:{port}"), ""
        else:
            yield None, "skipped: Mailrise did not start"


def _program(folder: Path) -> tuple[str, str]:
    """Where Mailrise is: installed already, or into an environment of the benchmark's own."""
    if found := shutil.which("mailrise"):
        return found, ""
    if stage.QUICK:
        return "", "skipped: not installed, and QUICK installs nothing"
    place = folder / "mailrise"
    commands = (
        [sys.executable, "-m", "venv", str(place)],
        [str(place / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "mailrise"],
    )
    until = time.monotonic() + _INSTALLED
    try:
        for command in commands:
            left = max(1.0, until - time.monotonic())
            subprocess.run(command, capture_output=True, check=True, timeout=left)
    except (subprocess.SubprocessError, OSError) as error:
        return "", f"skipped: not installed, and pip could not install it ({type(error).__name__})"
    return str(place / "bin" / "mailrise"), ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    until = time.monotonic() + _READY
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
            return probe.recv(3) == b"220"
        threading.Event().wait(0.1)
    return False
