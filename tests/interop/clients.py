"""Real clients as command lines: each says how it sends one mail to a door.

A client that is not installed is skipped, and says so. To add a door in clear add it to
`doors.DOORS`, and to each client the options that it needs there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

SENDER = "ops@mon.example.com"
MAIL = f"From: {SENDER}\r\nTo: phone\r\nSubject: disk full\r\n\r\n.95 % of /var\r\n"
NODE_PATH = "/usr/share/nodejs:/usr/lib/node_modules"  # Debian's, and npm's


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How a program sends MAIL: its command line for a host, a port and a recipient, and its input."""

    name: str
    command: Callable[[str, int, str], list[str]]
    stdin: str = MAIL.replace("\r\n", "\n")
    there: Callable[[], bool] | None = None  # by default: the program is on the path

    @property
    def installed(self) -> bool:
        """Whether it can be run here."""
        return self.there() if self.there else shutil.which(self.command("", 0, "")[0]) is not None


def _nodemailer() -> bool:
    if shutil.which("node") is None:
        return False
    found = subprocess.run(
        ["node", "-e", "require('nodemailer')"],
        check=False,
        env={**os.environ, "NODE_PATH": NODE_PATH},
        capture_output=True,
    )
    return found.returncode == 0


_NODE = """
const [host, port, from, to] = process.argv.slice(1);
const raw = require('fs').readFileSync(0);
const way = require('nodemailer').createTransport({host, port: +port, secure: false, ignoreTLS: true});
way.sendMail({envelope: {from, to}, raw})
    .then(sent => console.log(sent.response), error => {console.error(error.message); process.exit(1);});
"""

CLIENTS = [
    Client(
        name="curl",
        command=lambda host, port, to: [
            *("curl", "--silent", "--show-error", "--crlf", f"smtp://{host}:{port}/mon.example.com"),
            *("--mail-from", SENDER, "--mail-rcpt", to, "--upload-file", "-"),
        ],
    ),
    Client(
        name="swaks",
        command=lambda host, port, to: [
            *("swaks", "--server", host, "--port", str(port), "--helo", "mon.example.com"),
            *("--from", SENDER, "--to", to, "--data", "-", "--pipeline"),
        ],
    ),
    Client(
        name="msmtp",
        command=lambda host, port, to: [
            *("msmtp", f"--host={host}", f"--port={port}", f"--from={SENDER}", "--domain=mon.example.com"),
            *("--dsn-notify=failure,success", "--dsn-return=headers", to),
        ],
    ),
    Client(
        name="nodemailer",
        command=lambda host, port, to: ["node", "-e", _NODE, host, str(port), SENDER, to],
        there=_nodemailer,
    ),
]
