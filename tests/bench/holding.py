"""Postfix, the peer to be measured beside where it is installed.

It accepts mail and holds it, or hands each to `curl.sh`, fourteen at once, which posts it to the provider:
what is done without a relay. A private instance, with configuration and queue in the benchmark's
folder: nothing of the machine's own mail system is touched or started. Needs root, as Postfix does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from stage import HERE, SLOTS

MISSING = "skipped: Postfix can not be run here (it must be installed, curl too, and wants root)"
_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file = {folder}/postfix.log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.example.com
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
relay_domains = sms.example.com
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
"""
_HOLD = "smtpd_recipient_restrictions = static:HOLD, permit_mynetworks, reject\n"
_CURL = """\
smtpd_recipient_restrictions = permit_mynetworks, reject
relay_transport = curl
curl_destination_recipient_limit = 1
curl_destination_concurrency_limit = {slots}
curl_initial_destination_concurrency = {slots}
"""
_PIPE = "curl unix - n n - {slots} pipe flags= user=nobody argv={script} ${{user}} {url}"
_SLOW = "import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_PRELOAD={slow}\n"
_SMTPD = "127.0.0.1:{port} inet n - n - 100 smtpd"
_LEFT_OUT = frozenset({"lmtp", "local", "virtual", "pipe", "maildrop", "uucp", "mailman", "bsmtp"})


def program() -> str:
    """Where Postfix is; "" where it can't be run here."""
    found = shutil.which("postfix") or shutil.which("postfix", path="/usr/sbin")
    return found if found and os.geteuid() == 0 and shutil.which("curl") else ""


def version() -> str:
    """What it calls itself."""
    command = shutil.which("postconf") or shutil.which("postconf", path="/usr/sbin")
    if not program() or not command:
        return ""
    said = subprocess.run([command, "mail_version"], capture_output=True, text=True, check=False, timeout=10)
    return f"Postfix {said.stdout.rpartition('=')[2].strip()}"


@contextlib.contextmanager
def postfix(folder: Path, *, provider: str = "", slow: str = "") -> Iterator[str]:
    """The address of a running Postfix; "" where there is none to run.

    It holds its mail, or posts it to a `provider`; its disk is made `slow` by that library.
    """
    if not program():
        yield ""
        return
    place = folder / "postfix"
    port = _write(place, provider, slow)
    command = [program(), "-c", str(place / "etc")]
    started = subprocess.run([*command, "start"], capture_output=True, text=True, check=False, timeout=20)
    try:
        yield f"127.0.0.1:{port}" if started.returncode == 0 and _listens(port) else ""
    finally:
        try:
            subprocess.run([*command, "stop"], capture_output=True, check=False, timeout=20)
        finally:
            _kill(folder)


def _kill(folder: Path) -> None:
    """End what `postfix stop` has left, provided that it is this very one."""
    with contextlib.suppress(OSError, ValueError):
        pid = master(folder)
        if Path(f"/proc/{pid}/cwd").resolve() == (folder / "postfix" / "spool").resolve():
            os.killpg(pid, signal.SIGKILL)


def master(folder: Path) -> int:
    """The process whose children are all of that Postfix."""
    return int((folder / "postfix" / "spool" / "pid" / "master.pid").read_text())


def _write(place: Path, provider: str, slow: str) -> int:
    etc = place / "etc"
    for each in (etc, place / "spool", place / "data"):
        each.mkdir(parents=True)
    for each in (place.parent, place, etc, place / "spool"):
        each.chmod(0o755)
    shutil.chown(place / "data", "postfix")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    more = _CURL.format(slots=SLOTS) if provider else _HOLD
    more += _SLOW.format(slow=slow) if slow else ""
    (etc / "main.cf").write_text(_MAIN.format(folder=place) + more)
    services = [line for line in _stock() if line.split()[0] not in _LEFT_OUT and line.split()[1] != "inet"]
    services.append(_SMTPD.format(port=port))
    if provider:
        script = shutil.copy(HERE / "curl.sh", place)  # where the one that runs it can read it
        services.append(_PIPE.format(slots=SLOTS, script=script, url=provider))
    (etc / "master.cf").write_text("\n".join(services) + "\n")
    return port


def _stock() -> list[str]:
    """The services of the installed master.cf, none of them in a chroot."""
    found = []
    for name in (
        "/etc/postfix/master.cf.proto",
        "/etc/postfix/master.cf",
        "/usr/share/postfix/master.cf.dist",
    ):
        if Path(name).is_file():
            for line in Path(name).read_text().splitlines():
                words = line.split()
                if len(words) >= 8 and not line.startswith(("#", " ", "\t")):
                    found.append(" ".join([*words[:4], "n", *words[5:]]))
            break
    return found


def _listens(port: int) -> bool:
    for _ in range(50):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as probe:
            return probe.recv(3) == b"220"
        time.sleep(0.1)
    return False
