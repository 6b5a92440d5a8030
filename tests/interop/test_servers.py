"""Other servers before this one: Postfix relays to it, HAProxy stands before it. Run by `make interop`."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import smtplib
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from interop.clients import MAIL, SENDER
from interop.doors import opened, run
from interop.test_clients import PHONE, arrived

_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mail.mon.example.com
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
default_transport = {transport}:[{host}]:{port}
relayhost =
lmtp_host_lookup = native
smtp_host_lookup = native
"""
_MASTER = """
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 5 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


@contextlib.asynccontextmanager
async def postfix(
    folder: Path, transport: str, host: str, port: int, more: str = ""
) -> AsyncIterator[list[str]]:
    """A Postfix of its own that gives all mail to the relay; the command line that hands it a mail."""
    config = folder / "conf"
    for each in (config, folder / "spool", folder / "data"):
        each.mkdir()
    shutil.chown(folder / "data", "postfix")
    values = {"folder": folder, "transport": transport, "host": host, "port": port}
    (config / "main.cf").write_text(_MAIN.format(**values) + more)
    (config / "master.cf").write_text(_MASTER)
    await run(["postfix", "-c", str(config), "start"])
    try:
        yield ["sendmail", "-C", str(config), "-i", "-f", SENDER]
    finally:
        await run(["postfix", "-c", str(config), "stop"])


@pytest.mark.asyncio
@pytest.mark.parametrize(("transport", "kind"), [("smtp", "plain"), ("lmtp", "lmtp"), ("smtp", "legacy")])
async def test_postfix_relays(tmp_path: Path, open_folder: Path, wanted, transport: str, kind: str) -> None:
    """By SMTP and LMTP, with what the sender wants to hear; Postfix takes our answer for its own log."""
    wanted("postfix", root=True)
    async with (
        opened(tmp_path, kind) as (relay, host, port),
        postfix(open_folder, transport, host, port) as sendmail,
    ):
        await run([*sendmail, "-N", "success,failure", "-V", "-R", "hdrs", PHONE], MAIL.replace("\r\n", "\n"))
        await relay.until(relay.orders, "the mail")
        await arrived(relay)
        order = await relay.order()
        recipient = (await relay.app.store.recipients({order.recipient_id}))[order.recipient_id]
        assert ("failure,success", f"rfc822;{PHONE}") == (recipient.notify, recipient.orcpt)
        log = open_folder / "log"
        await relay.until(lambda: "status=sent (250 2.0.0 queued as" in log.read_text(), "Postfix's word")


async def sent(port: int) -> bool:
    """Whether a client with another address than ours could send; False where nobody listens yet."""

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port, source_address=("127.0.0.9", 0)) as client:
            client.sendmail(SENDER, [PHONE], MAIL.encode())

    try:
        await asyncio.to_thread(send)
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.asyncio
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
async def test_haproxy_says_who_is_there(tmp_path: Path, open_folder: Path, wanted, version: str) -> None:
    """The client behind it is the peer of what is stored."""
    wanted("haproxy", root=True)
    async with opened(tmp_path, "plain", proxy_protocol=(ip_network("127.0.0.1"),)) as (relay, host, port):
        with socket.create_server((host, 0)) as free:
            front = free.getsockname()[1]
        config = open_folder / "haproxy.cfg"
        config.write_text(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n"
            f"listen smtp\n bind {host}:{front}\n server relay {host}:{port} {version}\n"
        )
        process = await asyncio.create_subprocess_exec("haproxy", "-q", "-db", "-f", str(config))
        try:
            await relay.until(lambda: sent(front), "HAProxy")
        finally:
            process.terminate()
            await process.wait()
        await arrived(relay)
        order = await relay.order()
        assert "127.0.0.9" == (await relay.app.store.mails({order.mail_id}))[order.mail_id].peer
