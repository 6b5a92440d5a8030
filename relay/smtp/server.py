"""The front door: SMTP and LMTP sessions, and the addresses where they begin.

What each verb asks of its peer, in which order, and what it answers; what a mail means is asked
from `Hooks`. Policy: every reply has an enhanced code (RFC 2034) and says what to write instead
where the peer is at fault; a refused recipient harms no other; from the last dot on, the mail is
taken to its end whatever the client does, and its answer follows what became of it.

RFC 5321 (SMTP), RFC 2033 (LMTP); what is offered is listed at EHLO.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from functools import partial

from relay import replies, values
from relay.config.places import AnyNetwork
from relay.model import Envelope
from relay.replies import Reply, reply
from relay.smtp import chunking, legacy, protocol, sockets, timing
from relay.smtp.auth import Logins
from relay.smtp.data import Body
from relay.smtp.door import Door, Refused, Verb, wall_clock
from relay.smtp.guard import NESTED, NO_ARGUMENT, NOT_HERE, Guard
from relay.smtp.limits import Rate
from relay.smtp.proxied import Proxied
from relay.smtp.proxy import Source
from relay.smtp.receiving import MAIL_FIRST, Receiving
from relay.smtp.registry import Registry
from relay.smtp.session import Hooks, Limits, Session
from relay.smtp.sockets import Listener
from relay.smtp.tls import Encryption

__all__ = ["Body", "Hooks", "Limits", "Listener", "Registry", "Session", "listen"]

log = logging.getLogger("relay.smtp")

_LOWERED = reply(250, "2.3.6", "sender OK, but its priority is not raised")
_NO_NAME = reply(501, "5.5.4", "say your host name after it")
_NO_ADDRESS = reply(501, "5.5.4", "write VRFY address")


class Conversation(Guard, Receiving):
    """One session: what each verb does."""

    def __init__(self, door: Door, source: Source | None = None) -> None:
        super().__init__(door, source)
        self.verbs = _LMTP if door.protocol == "lmtp" else _SMTP

    async def helo(self, argument: str) -> Reply | None:
        """HELO, RFC 5321 4.1.1.1."""
        if not argument and not self._door.legacy:
            return _NO_NAME
        self._greeted(argument, esmtp=False)
        await self._send(f"250 {self.hostname}")
        return None

    async def ehlo(self, argument: str) -> Reply | None:
        """EHLO, and LMTP's LHLO (RFC 2033 4.1)."""
        if not argument and not self._door.legacy:
            return _NO_NAME
        self._greeted(argument, esmtp=True)
        await self._send("\r\n".join(self._offers()))
        return None

    def _greeted(self, name: str, *, esmtp: bool) -> None:
        # Machines are named in every alphabet and encoding; nothing depends on the name.
        name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        self._client.helo = "".join(c if c.isprintable() else "?" for c in name[:255])
        self._client.esmtp = esmtp
        self._forget_mail()  # RFC 5321 4.1.4: as if RSET

    def _offers(self) -> list[str]:
        names = [
            self.hostname,
            "PIPELINING",  # RFC 2920
            f"SIZE {self._limits.max_size}",  # RFC 1870
            "CHUNKING",  # RFC 3030
            "8BITMIME",  # RFC 6152
            "SMTPUTF8",  # RFC 6531
            "DSN",  # RFC 3461
            "ENHANCEDSTATUSCODES",  # RFC 2034
            f"LIMITS RCPTMAX={self._most_recipients}",  # RFC 9422
            *timing.offers(self._door.now()),
        ]
        names += self._safety()
        return [*(f"250-{each}" for each in names), "250 HELP"]

    @property
    def _most_recipients(self) -> int:
        return min(self._limits.max_recipients, self._door.hooks.most_recipients())

    async def mail(self, argument: str) -> Reply | None:
        """MAIL FROM, RFC 5321 4.1.1.2."""
        refusal = self._greeting_first() or self._login_first()
        if refusal is not None:
            return refusal
        if self._mail is not None:
            return NESTED
        extended = self._client.esmtp or self._door.legacy
        limit, now = self._limits.max_size, self._door.now()
        read = protocol.read_mail(argument, extended=extended, max_size=limit, now=now)
        if isinstance(read, Reply) and self._door.legacy:
            argument = legacy.mended(argument, self.hostname)
            read = protocol.read_mail(argument, extended=extended, max_size=limit, now=now)
        if isinstance(read, Reply):
            return read
        if limited := self._no_room(read.declared_size) or self._spend(Rate.MAILS):
            await self._quietly(limited)
            return None
        envelope = values.changed(read, peer=self._client.peer, helo=self._client.helo)
        answer = await self._ask(self._door.hooks.on_mail(self._client, envelope), "MAIL")
        if isinstance(answer, Envelope):
            lowered = answer.priority != read.priority
            envelope, answer = answer, _LOWERED if lowered else replies.SENDER_OK
        if answer.good:
            self._mail = envelope
        await self._say(answer)
        return None

    async def rcpt(self, argument: str) -> Reply | None:
        """RCPT TO, RFC 5321 4.1.1.3.

        Nothing here counts as a fault: twenty bad recipients must not cost a good one its mail.
        """
        if self._mail is not None and (limited := self._spend(Rate.RECIPIENTS)):
            await self._quietly(limited)
        else:
            await self._say(await self._add(argument))
        return None

    async def _add(self, argument: str) -> Reply:
        envelope = self._mail
        if envelope is None:
            return MAIL_FIRST
        if self._incoming is not None:
            return chunking.BEGUN
        lenient = self._door.legacy
        extended, utf8 = self._client.esmtp or lenient, envelope.utf8 or lenient
        recipient = protocol.read_rcpt(argument, extended=extended, utf8=utf8)
        if isinstance(recipient, Reply) and lenient:
            argument = legacy.mended(argument, self._door.hooks.home())
            recipient = protocol.read_rcpt(argument, extended=extended, utf8=utf8)
        if isinstance(recipient, Reply):
            return recipient
        if len(envelope.recipients) >= self._most_recipients:
            return replies.TOO_MANY_RECIPIENTS
        answer: Reply = await self._ask(self._door.hooks.on_rcpt(self._client, envelope, recipient), "RCPT")
        if answer.good:
            recipients = (*envelope.recipients, recipient)
            self._mail = values.changed(envelope, recipients=recipients)
        return answer

    async def rset(self, argument: str) -> Reply | None:
        """RSET, RFC 5321 4.1.1.5."""
        if argument:
            return NO_ARGUMENT
        self._forget_mail()
        return replies.OK

    async def noop(self, _argument: str) -> Reply | None:
        """NOOP, RFC 5321 4.1.1.9; its argument is ignored."""
        return replies.OK

    async def quit(self, argument: str) -> Reply | None:
        """QUIT, RFC 5321 4.1.1.10."""
        return NO_ARGUMENT if argument else replies.BYE

    async def vrfy(self, argument: str) -> Reply | None:
        """VRFY tells nothing, RFC 5321 7.3."""
        return replies.CANNOT_VERIFY if argument else _NO_ADDRESS

    async def help(self, argument: str) -> Reply | None:
        """HELP, RFC 5321 4.1.1.8."""
        if not argument:
            return reply(214, "2.0.0", "commands: " + " ".join(sorted(self.verbs)))
        verb = self.verbs.get(argument.upper())
        return reply(214, "2.0.0", f"write {verb.syntax}") if verb else replies.UNKNOWN_COMMAND

    async def not_here(self, _argument: str) -> Reply | None:
        """Whatever exists but is not offered: EXPN."""
        return NOT_HERE


_BOTH = {
    "MAIL": Verb(
        Conversation.mail,
        "MAIL FROM:<user@domain> [SIZE=octets] [BODY=7BIT|8BITMIME] [SMTPUTF8] [RET=FULL|HDRS] [ENVID=id]"
        " [BY=seconds;R|N[T]] [HOLDFOR=seconds|HOLDUNTIL=date-time] [MT-PRIORITY=-9..9]",
    ),
    "RCPT": Verb(
        Conversation.rcpt,
        "RCPT TO:<user@domain> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=rfc822;address]",
    ),
    "DATA": Verb(Conversation.data, "DATA"),
    "BDAT": Verb(Conversation.bdat, "BDAT octets [LAST]"),
    "RSET": Verb(Conversation.rset, "RSET"),
    "NOOP": Verb(Conversation.noop, "NOOP [anything]"),
    "QUIT": Verb(Conversation.quit, "QUIT"),
    "VRFY": Verb(Conversation.vrfy, "VRFY address"),
    "HELP": Verb(Conversation.help, "HELP [command]"),
    "EXPN": Verb(Conversation.not_here, "nothing, EXPN is not available"),
    "AUTH": Verb(Conversation.auth, "AUTH PLAIN|LOGIN [first answer in base64]"),
    "STARTTLS": Verb(Conversation.starttls, "STARTTLS"),
}
_SMTP = {"EHLO": Verb(Conversation.ehlo, "EHLO host"), "HELO": Verb(Conversation.helo, "HELO host"), **_BOTH}
_LMTP = {"LHLO": Verb(Conversation.ehlo, "LHLO host"), **_BOTH}


async def listen(
    address: str,
    hooks: Hooks,
    limits: Limits,
    registry: Registry,
    *,
    hostname: str,
    protocol: str = "smtp",
    profile: str = "strict",
    proxies: tuple[AnyNetwork, ...] = (),
    refused: Refused | None = None,
    now: Callable[[], int] = wall_clock,
    encryption: Encryption | None = None,
    logins: Logins | None = None,
    among: bool = False,
) -> Listener:
    """Take sessions at `host:port`, `[v6]:port` (port 0: any free one) or `unix:/path`.

    From `proxies` every connection has to begin with a PROXY header. `among` other processes,
    who listen there too, the system divides the connections.

    Raises OSError where that can't be, ValueError for what is no such address.
    """
    if profile == "legacy":
        limits = dataclasses.replace(limits, line_endings="legacy")
    door = Door(
        hooks=hooks,
        limits=limits,
        registry=registry,
        hostname=hostname,
        protocol=protocol,
        legacy=profile == "legacy",
        refused=refused,
        now=now,
        encryption=encryption,
        logins=logins,
    )

    def begin(source: Source | None = None) -> Conversation:
        return Conversation(door, source)

    listener = await sockets.bind(
        address, partial(Proxied, begin, proxies) if proxies else begin, among=among
    )
    door = dataclasses.replace(door, address=listener.address)
    await listener.start()
    return listener
