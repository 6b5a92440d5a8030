"""A mail is let in: decided by `policy`, checked by `checks`, in two steps.

At MAIL whoever no entry of `senders` could let in is refused, by SPF as well where that decides.
Where only the mail itself can tell, the envelope goes on without a `source`, and DATA decides.
Mail whose admission hangs on no check costs no DNS at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from relay import replies, values
from relay.config import Config
from relay.model import Envelope
from relay.replies import Reply
from relay.smtp import policy, results
from relay.smtp.accounts import Accounts
from relay.smtp.checks import Checks
from relay.smtp.data import Body
from relay.smtp.policy import Admission, Open
from relay.smtp.session import Session
from relay.smtp.verdicts import NOTHING, Verdicts

_log = logging.getLogger("relay.smtp")


class Admitting:
    """Lets mail in. `config` is asked at each step, since it may be re-read."""

    def __init__(self, config: Callable[[], Config], checks: Checks, accounts: Accounts) -> None:
        self._config = config
        self._book = policy.Book(config().senders)
        self._checks = checks
        self._accounts = accounts

    async def at_mail(self, client: Session, envelope: Envelope, *, logins: bool) -> Reply | Envelope:
        """Let a sender in, leave that to DATA, or say why not; with `logins`, that a login would do."""
        found = NOTHING
        said = self._may(client, envelope, found)
        if isinstance(said, Open) and said.checks[0] == "spf":
            found = await self._checks.sender(envelope)
            said = self._may(client, envelope, found)
        if isinstance(said, Open):
            return values.changed(envelope, source="", spf=found.spf)
        told = self._told(client, said, envelope, found)
        if told in (replies.NOT_ALLOWED, replies.SENDER_NOT_ALLOWED) and logins and self._unknown(client):
            return replies.LOGIN_FIRST
        return told

    async def at_data(self, client: Session, envelope: Envelope, body: Body) -> Reply | Envelope:
        """Decide on a mail that MAIL could not decide on; any other is as it was."""
        if envelope.source:
            return envelope
        found = Verdicts(spf=envelope.spf)
        said = self._may(client, envelope, found)
        if isinstance(said, Open):
            found = await self._checks.mail(envelope, body, said.checks)
            said = self._may(client, envelope, found)
        if isinstance(said, Open):
            raise RuntimeError(f"nobody checked {said.checks}")  # noqa: TRY004 - our own fault
        return self._told(client, said, envelope, found)

    def _held(self, client: Session) -> frozenset[str]:
        """The entries that take the client's login."""
        return self._accounts.held(client.user, client.proof)

    def _unknown(self, client: Session) -> bool:
        """Whether the client has not logged in, and some entry would let it in if it did."""
        senders = self._config().senders
        return not self._held(client) and policy.login_helps(senders, client.peer, client.certificates)

    def _may(self, client: Session, envelope: Envelope, found: Verdicts) -> Admission | Open | None:
        senders, held = self._config().senders, self._held(client)
        if found is NOTHING:
            if self._book.senders is not senders:
                self._book = policy.Book(senders)
            return self._book.may(client.peer, envelope.sender, client.certificates, held)
        return policy.may(
            senders,
            peer=client.peer,
            sender=envelope.sender,
            certificates=client.certificates,
            logins=held,
            found=found,
        )

    def _told(
        self, client: Session, said: Admission | None, envelope: Envelope, found: Verdicts
    ) -> Reply | Envelope:
        """The envelope of a mail that is let in, with what was found out; or why it is not."""
        value = results.value(self._config().hostname, found) if found is not NOTHING else ""
        if value:
            _log.info("checked", extra={"peer": envelope.peer, "results": value})
        if said is None:
            return policy.why_not(
                self._config().senders,
                peer=client.peer,
                sender=envelope.sender,
                certificates=client.certificates,
                logins=self._held(client),
                found=found,
            )
        return values.changed(
            envelope, source=said.name, verified=said.verified, spf=found.spf, results=value
        )
