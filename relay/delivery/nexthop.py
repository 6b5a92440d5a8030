"""The edge of forwarding: one SMTP transaction that hands one mail to the next server.

All that comes of it is an outcome for each recipient; trouble of the network, of TLS or of the
store is an outcome as well, never an exception. The mail is read from the store and written to
the socket in chunks: two of them are in memory, however large it is.

What can go wrong: the connection breaks after the last octet and before its answer. Nobody can
tell then whether the mail was taken; the outcome says so, and the mail goes again (RFC 1047).
Broken before that, or cut short by us because the store gave less than the whole mail, it has
not been taken, for the final dot was never written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import cast

import aiosmtplib

from relay.delivery import passing
from relay.model import Outcome
from relay.queue.engine import Trouble
from relay.queue.rows import Mail, Recipient
from relay.report import smarthost
from relay.report.smarthost import Smarthost

_TAKEN = (250, 251, 252)
_GO_ON = 354
_BLOCK = 3
"""Patience with a block of the mail, in answers' time: RFC 5321 4.5.3.2.5 has minutes for it."""
_LAST = 10
"""And with the answer to all of it (4.5.3.2.6): to give up early means a second copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A mail for some of its recipients; each call of `chunks` begins anew."""

    mail: Mail
    recipients: tuple[Recipient, ...]
    size: int
    chunks: Callable[[], AsyncIterator[bytes]]
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What became of it, by recipient; `reached` tells that there was a server to talk to."""

    told: dict[int, Outcome]
    reached: bool = True


async def hand_over(where: Smarthost, parcel: Parcel, *, hostname: str) -> Handed:
    """One connection, one transaction."""
    transaction: _Transaction | None = None
    try:
        async with smarthost.connected(where, hostname=hostname) as client:
            transaction = _Transaction(client, where, parcel, hostname)
            await transaction.run()
            await smarthost.farewell(client, where.timeout)
    except smarthost.TROUBLES as trouble:
        why = smarthost.said(where, trouble)
        if transaction is None:
            outcome = passing.unreached(where.host, why)
            return Handed(told={each.id: outcome for each in parcel.recipients}, reached=False)
        transaction.broke(why)
    except Trouble as trouble:
        assert transaction is not None  # noqa: S101 - nothing is read from the store before
        transaction.tell(passing.unreadable(str(trouble)))
    return Handed(told=transaction.told)


class _Transaction:
    """MAIL, RCPT, DATA. Raises one of smarthost.TROUBLES where the conversation ends early."""

    def __init__(self, client: aiosmtplib.SMTP, where: Smarthost, parcel: Parcel, hostname: str) -> None:
        self._client = client
        self._where = where
        self._parcel = parcel
        self._hostname = hostname
        self._ended = False  # the final dot may have left
        self._writer: asyncio.StreamWriter | None = None  # one that is collected closes its transport
        self.told: dict[int, Outcome] = {}

    def tell(self, outcome: Outcome, recipients: Iterable[Recipient] | None = None) -> None:
        """This holds for all of these, or all of the parcel's, of whom nothing is known yet."""
        for each in self._parcel.recipients if recipients is None else recipients:
            self.told.setdefault(each.id, outcome)

    def broke(self, why: str) -> None:
        """The conversation ended early."""
        broken = passing.unanswered if self._ended else passing.broke_off
        self.tell(broken(self._where.host, why))

    async def run(self) -> None:
        """Hand the mail over for as many of its recipients as the other side takes."""
        mail, offers = self._parcel.mail, self._client.supports_extension
        survey = passing.Survey()
        async for chunk in self._parcel.chunks():
            survey.feed(chunk)
            if survey.done:
                break
        utf8 = bool(mail.utf8) and (
            survey.wide or any(passing.wide(mail, each) for each in self._parcel.recipients)
        )
        if utf8 and not offers("smtputf8"):
            utf8 = False
            self._refuse_wide(header=survey.wide)
        due = [each for each in self._parcel.recipients if each.id not in self.told]
        if not due:
            return
        head = passing.trace(mail, hostname=self._hostname, recipient=due[0].address if len(due) == 1 else "")
        size = len(head) + self._parcel.size
        by = passing.by(mail.asked, self._least(), self._where.host, self._parcel.now)
        if isinstance(by, Outcome):
            self.tell(by)
            return
        options = passing.of_mail(mail, offers, size=size, eight=survey.eight, utf8=utf8)
        answer = await self._say(b"MAIL", b"FROM:<%b>" % mail.sender.encode(), *options, *by)
        if answer.code not in _TAKEN:
            self.tell(self._answered(answer, "mail"))
            return
        taken = [each for each in due if await self._rcpt(each, utf8=utf8)]
        if taken:
            await self._data(head, taken)

    def _refuse_wide(self, *, header: bool) -> None:
        refused = [
            each for each in self._parcel.recipients if header or passing.wide(self._parcel.mail, each)
        ]
        self.tell(passing.narrow(self._where.host, header=header), refused)

    async def _say(self, *words: bytes) -> aiosmtplib.SMTPResponse:
        return await self._client.execute_command(*words)

    async def _rcpt(self, recipient: Recipient, *, utf8: bool) -> bool:
        offers = self._client.supports_extension
        options = passing.of_rcpt(recipient, offers, utf8=utf8, untimed=self._untimed())
        answer = await self._say(b"RCPT", b"TO:<%b>" % recipient.address.encode(), *options)
        if answer.code in _TAKEN:
            return True
        self.tell(self._answered(answer, "recipient"), [recipient])
        return False

    async def _data(self, head: bytes, recipients: Iterable[Recipient]) -> None:
        answer = await self._say(b"DATA")
        asked = answer.code == _GO_ON
        if asked:
            answer = await self._mail(head)
        if not asked or answer.code not in _TAKEN:  # a 2xx to DATA itself takes nothing
            self.tell(self._answered(answer, "mail"), recipients)
            return
        dsn, untimed = self._client.supports_extension("dsn"), self._untimed()
        for each in recipients:
            text = smarthost.cleaned(self._where, answer.message)
            told = dsn and bool(each.wishes)
            outcome = passing.taken(self._where.host, answer.code, text, told=told, untimed=untimed)
            self.told[each.id] = outcome

    def _least(self) -> str | None:
        """The shortest time that this server promises; None where it promises none (RFC 2852 section 3)."""
        return self._client.esmtp_extensions.get("deliverby")

    def _untimed(self) -> bool:
        return passing.untimed(self._parcel.mail.asked, self._least(), self._parcel.now)

    async def _mail(self, head: bytes) -> aiosmtplib.SMTPResponse:
        """Write the mail and hear what is said of it, should that be before its end."""
        protocol, patience = self._client.protocol, self._where.timeout
        if protocol is None or protocol.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("connection lost")
        # uvloop's transports write, and are no asyncio.WriteTransport
        transport = cast("asyncio.WriteTransport", protocol.transport)
        self._writer = asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())
        hearing = asyncio.create_task(protocol.read_response())
        try:
            if await self._written(self._writer, head, hearing):
                return await asyncio.wait_for(hearing, _LAST * patience)
            answer = await hearing
            smarthost.hang_up(self._client)  # a QUIT would be taken for a line of the mail
            if answer.code in _TAKEN:
                raise aiosmtplib.SMTPServerDisconnected("the server answered before the end of the mail")
            return answer
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _written(
        self, writer: asyncio.StreamWriter, head: bytes, hearing: asyncio.Task[aiosmtplib.SMTPResponse]
    ) -> bool:
        """Whether the mail was written to its end: not where the other side spoke up before that."""
        wire, size = passing.Wire(), 0
        writer.write(wire.feed(head))
        async for chunk in self._parcel.chunks():
            size += len(chunk)
            writer.write(wire.feed(chunk))
            async with asyncio.timeout(_BLOCK * self._where.timeout):
                await writer.drain()
            if hearing.done():
                return False
        if size != self._parcel.size:
            raise Trouble("a part of it is missing")
        self._ended = True
        writer.write(wire.end())
        return True

    def _answered(self, answer: aiosmtplib.SMTPResponse, about: str) -> Outcome:
        text = smarthost.cleaned(self._where, answer.message)
        return passing.answered(self._where.host, answer.code, text, about=about)
