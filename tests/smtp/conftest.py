"""A front door with hooks that record what they are asked and answer by the address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from typing import Any

import pytest
import pytest_asyncio
from pki import Pki
from transcripts import Client

from relay import config, replies
from relay.config import Limits as Shares
from relay.config import Sender
from relay.model import Envelope, Recipient
from relay.replies import Reply, reply
from relay.smtp import certificates
from relay.smtp.auth import Logins
from relay.smtp.limits import Rules
from relay.smtp.server import Body, Hooks, Limits, Listener, Registry, Session, listen
from relay.smtp.tls import Encryption


class Recorder:
    """Hooks that write down what they hear; the local part says how they answer.

    `refuse` 550, `later` 451, `leave` 421, `crash` raises, `nobody` has no
    priority; at DATA any recipient `lost` raises,
    `unwanted` 554, `uneven` answers a wrong number of times, `held` waits for `release`, and
    LMTP's `full` 452 for itself alone. Alice's password is `secret`; `crash` raises there, too.
    """

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.sessions: list[Session] = []
        self.envelopes: list[Envelope] = []
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.taking = asyncio.Event()
        self.release = asyncio.Event()
        self.taken = asyncio.Event()

    def most_recipients(self) -> int:
        return 2000

    def home(self) -> str:
        return "phones.example"

    async def on_auth(self, session: Session, user: str, password: bytes) -> Reply:
        if user == "crash":
            raise RuntimeError("secret=hunter2")
        if (user, password) != ("alice", b"secret"):
            return replies.WRONG_LOGIN
        self.heard.append(f"login {user}")
        session.user = user
        return replies.LOGGED_IN

    async def on_mail(self, session: Session, envelope: Envelope) -> Reply | Envelope:
        self.heard.append(told("mail", envelope))
        self.sessions.append(session)
        answer = self._answer(envelope.sender, replies.SENDER_OK)
        if not answer.good:
            return answer
        priority = 0 if envelope.sender.startswith("nobody@") else envelope.priority
        return replace(envelope, source="test", verified=True, priority=priority)

    async def on_rcpt(self, _session: Session, _envelope: Envelope, recipient: Recipient) -> Reply:
        self.heard.append(told("rcpt", recipient))
        return self._answer(recipient.address, replies.RECIPIENT_OK)

    def _answer(self, address: str, good: Reply) -> Reply:
        match address.partition("@")[0]:
            case "refuse":
                return reply(550, "5.1.1", f"no {address} here")
            case "later":
                return reply(451, "4.7.1", "not now")
            case "leave":
                return replies.CLOSING
            case "crash":
                raise RuntimeError("secret=hunter2")
        return good

    async def on_data(self, session: Session, envelope: Envelope, body: Body) -> Reply | Sequence[Reply]:
        names = {each.address.partition("@")[0] for each in envelope.recipients}
        self.taking.set()
        if "held" in names:
            await self.release.wait()
        if "lost" in names:
            raise RuntimeError("secret=hunter2")
        if "unwanted" in names:
            return reply(554, "5.6.0", "not wanted")
        if "uneven" in names:
            return [replies.OK] * (len(envelope.recipients) + 1)
        content = body.read()
        self.envelopes.append(envelope)
        self.bodies.append(content)
        self.paths.append(body.path)
        self.heard.append("data " + escaped(content))
        self.taken.set()
        if session.protocol == "lmtp" and len(envelope.recipients) > 1:
            full = reply(452, "4.2.2", "mailbox full")
            return [
                full if each.address.startswith("full@") else replies.queued(each.address)
                for each in envelope.recipients
            ]
        return replies.queued(f"mail{len(self.bodies)}")


def told(what: str, value: Any) -> str:
    """A noun on one line: its address, then what else is set."""
    words = [what]
    for name in value.__slots__:
        item = getattr(value, name)
        if name in {"sender", "address"}:
            words.append(f"<{item}>")
        elif name not in {"peer", "helo", "recipients"} and item:
            words.append(f"{name}={','.join(sorted(item)) if isinstance(item, frozenset) else item}")
    return " ".join(words)


def escaped(octets: bytes) -> str:
    r"""Octets as a dialog writes them: \r, \n, \x00."""
    return octets.decode("latin-1").encode("unicode_escape").decode()


class House:
    """A listener, its registry, its recorder, and clients that know the way."""

    def __init__(self, listener: Listener, registry: Registry, hooks: Recorder) -> None:
        self.listener, self.registry, self.hooks = listener, registry, hooks
        self.clients: list[Client] = []

    async def client(self) -> Client:
        """A new connection."""
        address = self.listener.address
        if address.startswith("unix:"):
            streams = await asyncio.open_unix_connection(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            streams = await asyncio.open_connection(host.strip("[]"), int(port))
        self.clients.append(Client(*streams))
        return self.clients[-1]

    async def close(self) -> None:
        """Send everybody away and wait until they have gone."""
        self.hooks.release.set()
        await self.listener.close()
        for each in self.clients:
            each.writer.close()
        await self.registry.drain(5)


LOCAL = Sender(name="local", networks=["127.0.0.0/8", "::1"])
"""The entry that makes this machine's clients trusted."""


Opener = Callable[..., Awaitable[House]]


@pytest.fixture(scope="session")
def pki(tmp_path_factory) -> Pki:
    """One authority for all tests: keys take long to make."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def ours(pki) -> config.Tls:
    """The certificate of the front doors."""
    return pki.pair()


@pytest_asyncio.fixture
async def house(tmp_path, ours) -> AsyncIterator[Opener]:
    """Opens front doors: limits, protocol and TLS as keywords, what clients may take as `rules`."""
    async with AsyncExitStack() as stack:

        async def opened(
            address: str = "127.0.0.1:0",
            *,
            protocol: str = "smtp",
            profile: str = "strict",
            proxies: str = "",
            hooks: Hooks | None = None,
            now: int = 1_800_000_000_000,
            tls: str = "none",
            handshake: float = 10.0,
            auth: str = "none",
            clear: str = "",
            door: dict[str, Any] | None = None,
            rules: dict[str, Any] | None = None,
            **limits: Any,
        ) -> House:
            networks = (ip_network(clear),) if clear else ()
            logins = Logins(required=auth == "required", in_clear=networks) if auth != "none" else None
            encryption = None
            if tls != "none":
                settings = config.Listener(address=address, tls=tls, **(door or {}))
                context = partial(certificates.made, settings, ours.certificate, ours.key)
                encryption = Encryption(mode=tls, context=context, handshake=handshake)
            spool = tmp_path / "spool"
            spool.mkdir(exist_ok=True)
            own = {"senders": [LOCAL], "connections": 1000} | (rules or {})
            few = {key: own.pop(key) for key in ("senders", "connections")}
            counted = Rules(limits=Shares(**own), **few)
            recorder, registry = Recorder(), Registry(lambda: counted)
            listener = await listen(
                address,
                hooks or recorder,
                Limits(**{"spool_dir": str(spool), **limits}),
                registry,
                hostname="relay.example",
                protocol=protocol,
                profile=profile,
                now=lambda: now,
                proxies=tuple(ip_network(each) for each in proxies.split(",") if each),
                encryption=encryption,
                logins=logins,
            )
            made = House(listener, registry, recorder)
            stack.push_async_callback(made.close)
            return made

        yield opened


@pytest.fixture
def spool(tmp_path):
    """The folder where large mail is spooled."""
    return tmp_path / "spool"
