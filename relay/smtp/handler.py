"""What is answered at each step of a mail: sender, recipients, data.

RCPT  address -> route -> 250, or the reply that says why not
DATA  read -> composed -> taken -> 250 2.0.0 queued as ID, or what `waiting` tells

DATA is refused only where no recipient at all can be served; otherwise the 250 stands and
those that can't be served are reported. A mail that repeats one that we took (RFC 1047) is
answered 250 with the first one's id, and nothing of it is stored.

What can go wrong. The mail can't be read within its limits (and is not merely to be forwarded), the
disk is full, the database is locked: 4xx, nothing is kept, the client tries again. Whatever
raises is answered `451 4.3.0` by the server, and the log has the details.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from email.utils import parseaddr
from functools import lru_cache

from relay import masking, metrics, replies
from relay.config import Config, Listener, Route, Sender
from relay.delivery import caps
from relay.delivery.caps import Want
from relay.delivery.counting import Counting
from relay.delivery.settle import Settler
from relay.message import content, deadlines, gateway, orders, postmaster, routes
from relay.message.channels import FORWARD
from relay.message.reader import Reader, Unreadable
from relay.message.recogniser import Recogniser
from relay.message.routes import Resolved
from relay.model import Envelope, Letter, Recipient
from relay.queue import intake
from relay.queue.engine import Full, Trouble
from relay.queue.store import Store
from relay.replies import Reply
from relay.smtp import policy, results
from relay.smtp.accounts import Accounts
from relay.smtp.admission import Admitting
from relay.smtp.data import Body
from relay.smtp.session import Session
from relay.smtp.taking import Taking
from relay.smtp.waiting import Pending, Waiting

_log = logging.getLogger("relay.smtp")

_OF_CONTENT = ("5.3.4", "5.6.")  # statuses of replies that may name a file, or quote a mail


class Handler:
    """The hooks of the front door. `config` is asked at each step, since it may be re-read."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        admitting: Admitting,
        store: Store,
        settler: Settler,
        counts: Counting,
        reader: Reader,
        recognisers: Callable[[], Sequence[Recogniser]],
        queued: Callable[[set[str]], None],
        notice_due: Callable[[], None],
        waiting: Waiting,
        accounts: Accounts,
    ) -> None:
        self._config = config
        self._admitting = admitting
        self._store = store
        self._counts = counts
        self._reader = reader
        self._recognisers = recognisers
        self._waiting = waiting
        self._taking = Taking(
            config=config,
            store=store,
            settler=settler,
            counts=counts,
            queued=queued,
            notice_due=notice_due,
            waiting=waiting,
        )
        self._accounts = accounts
        self.logins = False  # the listener takes them
        self._read = config()
        self._book = routes.Book(self._read.routes, self._read.aliases)
        self._commands = any(route.gateway for route in self._read.routes)
        self.patience: int | None = None  # milliseconds that DATA waits for the outcome

    def answering(self, listener: Listener) -> Handler:
        """The same hooks, with answers to DATA as this listener wants them."""
        hooks = copy.copy(self)
        hooks.logins = listener.auth != "none"
        hooks.patience = listener.answer_timeout if listener.answer == "outcome" else None
        return hooks

    def most_recipients(self) -> int:
        """How many recipients a mail may have, told at EHLO."""
        return self._config().max_recipients

    def home(self) -> str:
        """The domain of a recipient without one: that of the only route to phones."""
        return routes.home(self._config().routes)

    async def on_auth(self, session: Session, user: str, password: bytes) -> Reply:
        """Who the client is."""
        answer = await self._accounts.login(user, password, session.peer)
        if isinstance(answer, Reply):
            return answer
        session.user, session.proof = user, answer
        return replies.LOGGED_IN

    async def on_mail(self, session: Session, envelope: Envelope) -> Reply | Envelope:
        """Who may send is decided here, before a recipient is looked at; or else at DATA."""
        answer = await self._admitting.at_mail(session, envelope, logins=self.logins)
        if isinstance(answer, Envelope) and answer.priority and not answer.verified:
            return replace(answer, priority=min(answer.priority, 0))  # RFC 6710: no stranger jumps the queue
        return answer

    async def on_rcpt(self, _session: Session, envelope: Envelope, recipient: Recipient) -> Reply:
        """Whether this address can be served, each on its own."""
        if len(envelope.recipients) >= self._config().max_recipients:
            return replies.TOO_MANY_RECIPIENTS
        if self._kept_from(envelope, recipient):
            return replies.CREDENTIALS if self._by_command(envelope) else replies.RECIPIENT_OK
        resolved = self._resolve(recipient)
        if isinstance(resolved, Reply):
            return resolved
        if barred := self._barred(envelope, [(0, resolved.channel, _payers(resolved.route))]):
            return barred[0]
        if envelope.returned:
            given = {**resolved.route.params, **resolved.given}
            if late := deadlines.refusal(resolved.channel, resolved.route, given):
                return late
        if self._by_command(envelope):
            return replies.CREDENTIALS  # not 452: it would be tried again alone, and the text sent
        return await self._capped(envelope, resolved) or replies.RECIPIENT_OK

    def _kept_from(self, envelope: Envelope, recipient: Recipient) -> bool:
        """Whether the recipient is a name, and the sender nobody whom we know by now.

        Whether there is such a name is not told to them at RCPT, where asking is free.
        """
        config = self._config()
        return not envelope.verified and routes.names(recipient.address, config.routes, config.aliases)

    def _meant(self, envelope: Envelope) -> list[Resolved | Reply]:
        """What each recipient means; why it means nothing in the same words for all names."""
        meant = []
        for each in envelope.recipients:
            resolved = self._resolve(each)
            if isinstance(resolved, Reply) and self._kept_from(envelope, each):
                resolved = replies.NO_SUCH_NAME
            meant.append(resolved)
        return meant

    async def _capped(self, envelope: Envelope, resolved: Resolved) -> Reply | None:
        """Why this recipient can't be taken now: a cap has no room for any message to it."""
        wants = [
            Want(
                source=envelope.source,
                target=target.to,
                account=resolved.route.account,
                channel=resolved.channel,
            )
            for target in resolved.targets
        ]
        try:
            full = await self._counts.refused(wants, before=len(envelope.recipients))
        except Trouble as trouble:
            _log.error("a mail could not be stored", extra={"why": str(trouble)})
            return replies.STORE_TROUBLE
        return replies.capped(full[0].why) if full else None

    def _by_command(self, envelope: Envelope) -> bool:
        """Whether the mail holds a command in the provider's grammar, and with it credentials.

        What its other recipients mean is not looked up: that would take longer for some names.
        """
        config = self._config()
        if config is not self._read:
            self._reread(config)
        return self._commands and any(
            routes.commands(each.address, config.routes) for each in envelope.recipients
        )

    async def on_data(
        self, session: Session, envelope: Envelope, body: Body
    ) -> Reply | Sequence[Reply] | Pending:
        """Let in, read, compose, store; the 250 comes after the commit."""
        admitted = await self._admitting.at_data(session, envelope, body)
        if isinstance(admitted, Reply):
            return admitted
        envelope = admitted
        try:
            charset = gateway.CHARSET if self._by_command(envelope) else ""
            letter = await self._reader.read(data=body.data, path=body.path, size=body.size, charset=charset)
        except Unreadable as why:
            found = self._header(envelope, body)
            if found is not None:
                return await self._stored(session, envelope, found, body)
            _log.warning("a mail could not be read", extra={"peer": session.peer, "why": str(why)})
            return replies.READ_TROUBLE
        try:
            return await self._stored(session, envelope, letter, body)
        finally:
            for file in letter.files:
                if file.path:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(file.path)  # noqa: PTH108 - a spool file of the reader's

    def _header(self, envelope: Envelope, body: Body) -> Letter | None:
        """All that must be read of a mail that only goes on as it is; a repeat of it is not known then."""
        meant = [self._resolve(recipient) for recipient in envelope.recipients]
        if not all(isinstance(each, Resolved) and each.channel == FORWARD for each in meant):
            return None
        return replace(content.read(body.header()), digest="")

    async def _stored(
        self, session: Session, envelope: Envelope, letter: Letter, body: Body
    ) -> Reply | Sequence[Reply] | Pending:
        head = results.stripped(letter.head, self._config().hostname)
        if head is not letter.head:
            letter = replace(letter, head=head)
        try:
            return await self._take(session, envelope, letter, body)
        except Full:
            return replies.STORE_FULL
        except Trouble as trouble:
            _log.error("a mail could not be stored", extra={"why": str(trouble)})
            return replies.STORE_TROUBLE

    def _resolve(self, recipient: Recipient) -> Resolved | Reply:
        config = self._config()
        if config is not self._read:
            self._reread(config)
        found = self._book.resolve(recipient.address)
        return postmaster.instead(recipient.address, found, config) if isinstance(found, Reply) else found

    def _reread(self, config: Config) -> None:
        self._read, self._book = config, routes.Book(config.routes, config.aliases)
        self._commands = any(route.gateway for route in config.routes)  # few have one

    def _entry(self, envelope: Envelope) -> Sender | None:
        """The entry that let the mail in; None before it is known."""
        return next((each for each in self._config().senders if each.name == envelope.source), None)

    def _foreign(self, envelope: Envelope, letter: Letter) -> str:
        """An author in the header as whom this client may not write, "" where there is none."""
        entry = self._entry(envelope)
        return policy.foreign(entry, letter) if entry is not None else ""

    def _barred(
        self, envelope: Envelope, each: Iterable[tuple[int, str, Collection[str]]]
    ) -> dict[int, Reply]:
        """Which messages this sender can't have, and why: of each its number, channel and payers."""
        entry = self._entry(envelope)
        if entry is None or not (entry.channels or entry.accounts):
            return {}
        return {
            number: replies.out_of_reach(what)
            for number, channel, payers in each
            if (what := policy.out_of_reach(entry, channel, payers))
        }

    def refused(self, session: Session, reply: Reply) -> None:
        """Every refusal, of whatever command, leaves a line and is counted."""
        metrics.REFUSED.labels(status=reply.status).inc()
        about_content = reply.status.startswith(_OF_CONTENT)
        said = masking.content_hidden(str(reply)) if about_content else masking.quotes_masked(str(reply))
        _log.info("refused", extra={"peer": session.peer, "reply": said})

    async def _take(
        self, session: Session, envelope: Envelope, letter: Letter, body: Body
    ) -> Reply | Sequence[Reply] | Pending:
        author = self._foreign(envelope, letter)
        if author:
            return replies.not_yours(author)
        now = self._store.clock.now()
        composed = orders.compose(
            letter,
            envelope,
            self._meant(envelope),
            now=now,
            fallback_sender=_address(self._config().reports.from_),
            accounts=self._config().accounts,
            recognisers=self._recognisers(),
            zone=self._store.clock.zone,
        )
        if not composed.drafts and not composed.refusals:
            return replies.NO_VALID_RECIPIENTS
        barred = self._barred(
            envelope,
            ((each.recipient, each.channel, (each.account, *each.accounts)) for each in composed.drafts),
        )
        composed = composed.refusing(barred) if barred else composed
        lmtp = session.protocol == "lmtp"
        full = await self._counts.refused(caps.wants(envelope.source, composed.drafts))
        if full:
            less = composed.refusing({number: replies.capped(over.why) for number, over in full.items()})
            # where others are served, DATA can't refuse these alone: they are held
            composed = less if lmtp or not less.drafts else composed
        if not composed.drafts and not lmtp:
            return _worst([refusal.reply for refusal in composed.refusals])
        each: list[str | Reply] | None = None
        if lmtp:
            served = {draft.recipient for draft in composed.drafts}  # of send@: some of its phones
            reported = tuple(refusal for refusal in composed.refusals if refusal.recipient in served)
            refused = {refusal.recipient: refusal.reply for refusal in composed.refusals}
            refused = {number: reply for number, reply in refused.items() if number not in served}
            each = [refused.get(n, one.address) for n, one in enumerate(envelope.recipients)]
            composed = replace(composed, refusals=reported)
            if not composed.drafts:
                return [one if isinstance(one, Reply) else replies.OK for one in each]
        answer = await self._taking.take(
            session.user, envelope, letter, composed, body, now=now, patience=self.patience
        )
        if isinstance(answer, Reply):
            return [one if isinstance(one, Reply) else answer for one in each] if each else answer
        key = intake.repeat_key(envelope, letter)
        return Pending(answer, self._waiting, self._store, key=key, each=each)


@lru_cache(maxsize=8)
def _address(written: str) -> str:
    return parseaddr(written)[1]


def _payers(route: Route) -> tuple[str, ...]:
    """The accounts that a route may take; what is forwarded takes none."""
    return () if route.channel == FORWARD else (route.account, *route.accounts)


def _worst(found: Sequence[Reply]) -> Reply:
    """The reply for DATA where nobody can be served: a temporary one if any is, else the first."""
    return next((each for each in found if each.temporary), found[0])
