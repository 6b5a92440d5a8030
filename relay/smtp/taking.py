"""A mail that DATA found good is taken: its files, then all the rest in one transaction.

What it owes from the first moment is written with it: delay warnings, reports of recipients that
can't be served, what caps count. A mail that repeats one that we took (RFC 1047) leaves nothing,
and is answered as that one is.

What can go wrong. The disk is full, the database is locked: nothing is kept but files that no mail
claims, which are swept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from relay import metrics, model, replies
from relay.config import Config
from relay.delivery.counting import Counting
from relay.delivery.settle import Settler
from relay.message.drafts import Composed
from relay.model import Envelope, File, Letter
from relay.queue import intake
from relay.queue.intake import Intake
from relay.queue.rows import StoredFile
from relay.queue.store import Store
from relay.replies import Reply
from relay.report import notices
from relay.smtp import accounts as logins
from relay.smtp import data, results
from relay.smtp.data import Body
from relay.smtp.waiting import Wait, Waiting

_log = logging.getLogger("relay.smtp")


class Taking:
    """Takes mails. `queued` hears of the accounts that have orders to send, `notice_due` of reports."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        store: Store,
        settler: Settler,
        counts: Counting,
        queued: Callable[[set[str]], None],
        notice_due: Callable[[], None],
        waiting: Waiting,
    ) -> None:
        self._config = config
        self._store = store
        self._settler = settler
        self._counts = counts
        self._queued = queued
        self._notice_due = notice_due
        self._waiting = waiting

    async def take(
        self,
        user: str,
        envelope: Envelope,
        letter: Letter,
        composed: Composed,
        body: Body,
        *,
        now: int,
        patience: int | None,
    ) -> Reply | Wait:
        """The 250; or the wait, where the client has `patience`, in milliseconds, to hear the outcome.

        Raises engine.Trouble, engine.Full: then nothing of the mail is kept.
        """
        mail_id = self._store.ids.new(now)
        kept = await self._store.put_files(mail_id, [letter.files[n] for n in composed.files])
        files = dict(zip(composed.files, kept, strict=True))
        returned = envelope.ret == "full" and bool(envelope.sender) and not composed.secret
        whole = await self._whole(mail_id, body) if returned or composed.whole else None
        if whole is not None:
            files[model.WHOLE] = whole

        def made() -> Intake:
            taken = intake.change_for(
                envelope,
                letter,
                composed,
                mail_id=mail_id,
                ids=self._store.ids,
                now=now,
                size=body.size,
                files=files,
                full_id=whole.id if whole and returned else None,
            )
            self._owe(taken, envelope)
            return taken

        wait = None if patience is None else self._waiting.expect(mail_id, now + patience)
        try:
            taken, first = await self._counts.written(made)
        except BaseException:
            if wait is not None:
                self._waiting.drop(wait)
            raise
        if first is not None:
            metrics.REPEATED.inc()
            _log.info("repeated", extra={"mail": model.show(first)})
            return self._again(first, wait)
        self._tell(user, envelope, taken, body)
        return wait or replies.queued(model.show(mail_id))

    def _again(self, first: int, wait: Wait | None) -> Reply | Wait:
        """A mail that was taken before is answered as that one is."""
        if wait is None:
            self._waiting.promise(first)
            return replies.queued(model.show(first))
        self._waiting.drop(wait)
        return self._waiting.expect(first, wait.until)

    def _owe(self, taken: Intake, envelope: Envelope) -> None:
        """Delay warnings and the reports of recipients that DATA found impossible."""
        reports = self._config().reports
        by_id = {recipient.id: recipient for recipient in taken.recipients}
        # a time that has passed: whoever had the mail before has told its sender
        ahead = envelope.deliver_by > taken.mail.received_at
        by = envelope.deliver_by if ahead and not envelope.returned else 0
        after = {
            recipient.id: notices.warn_after(taken.mail, recipient, reports, asked=bool(by))
            for recipient in taken.recipients
        }
        taken.warn(after, by)
        facts = self._settler.facts_for(taken.failed, taken.mail, list(by_id.values()))
        self._settler.terms.owe(taken.change, facts)

    async def _whole(self, mail_id: int, body: Body) -> StoredFile:
        """The mail itself, for a report with RET=FULL (RFC 3461 section 4.3), or to be forwarded."""
        body = await asyncio.to_thread(self._unforged, body) if body.path else self._unforged(body)
        whole = File(name="", type="message/rfc822", size=body.size, data=body.data, path=body.path)
        return (await self._store.put_files(mail_id, [whole]))[0]

    def _unforged(self, body: Body) -> Body:
        """The mail without results of checks that bear our name, but are not ours."""
        header = data.whole_header(body)
        kept = results.stripped(header, self._config().hostname)
        return body if kept == header else data.with_header(body, kept, len(header))

    def _tell(self, user: str, envelope: Envelope, taken: Intake, body: Body) -> None:
        metrics.MAILS.inc()
        for order in taken.orders:
            metrics.labelled(metrics.ORDERS, order.channel).inc()
        _log.info(
            "queued",
            extra={
                "mail": model.show(taken.mail.id),
                "source": envelope.source,
                **({"user": logins.masked(user)} if user else {}),
                "size": body.size,
                "orders": len(taken.orders),
                "refused": len(taken.failed),
            },
        )
        self._queued({order.account for order in taken.orders})
        if taken.failed:
            self._notice_due()
