"""The mailer: notices that fell due become one report a mail, and leave.

Read aloud: take the notices that are due; for each mail, claim all of its notices that no
report has yet, under a new report id; compose the report; hand it over; mark the notices
done, or due again later. A report that failed for now keeps its notices and its Message-ID;
news that comes meanwhile makes a report of its own.

What can go wrong. The process dies after the smarthost took a report and before that is on
disk: it goes out again with the same Message-ID, by which mail systems know it. The smarthost
refuses for good, or `give_up` passes: the notices are marked failed and the log says so;
nobody is told, for a report about a report would be the beginning of a loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from relay import model
from relay.config import Config, Delivery, Reports
from relay.model import HOUR, MINUTE, SECOND, Auto
from relay.queue import schema
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.followups import Notice, NoticeState
from relay.queue.rows import Mail, Order, StoredFile
from relay.queue.store import Store
from relay.report import dsn, entries, fields, inbox, operator, signing, smarthost, transport
from relay.report.answers import INBOX, Answers
from relay.report.smarthost import Smarthost
from relay.report.transport import Delivery as Delivered
from relay.report.transport import Maildir, Verdict
from relay.report.values import Action, Report

_log = logging.getLogger("relay.report")

CLAIM = 15 * MINUTE
"""How long a report may be under way before its notices fall due again."""
AT_ONCE = 4
DUE = 200
OPERATOR = "operator"
"""The action of a notice that belongs to no mail: a word to the operator."""


class Mailer:
    """Sends what is owed. `remote` names the host that an order's outcome came from, if any did."""

    def __init__(
        self,
        *,
        store: Store,
        reports: Reports,
        delivery: Delivery,
        hostname: str,
        remote: Callable[[Order], str],
        chance: Callable[[], float],
        config: Callable[[], Config],
        mailed: Callable[[str], None] = lambda _verdict: None,
    ) -> None:
        self._store = store
        self._hostname = hostname
        self._remote = remote
        self._chance = chance
        self._mailed = mailed
        self._answers = Answers(store, config)
        self.trouble: Callable[[str], None] = lambda _text: None
        """Hears that reports fail, for ways past the mail."""
        self._kick = asyncio.Event()
        self._stopping = False
        self._trouble_told_at = -HOUR
        self._left_at = store.clock.now()  # when a mail left last
        self.adopt(reports, delivery)

    def adopt(self, reports: Reports, delivery: Delivery) -> None:
        """Go on by a re-read configuration."""
        self._reports, self._delivery, self._where = reports, delivery, way_out(reports)
        self._key = signing.opened(reports)

    def kick(self) -> None:
        """Notices were written."""
        self._kick.set()

    def stop(self) -> None:
        """Send nothing more; `run` returns when what is under way has ended."""
        self._stopping = True
        self._kick.set()

    async def run(self) -> None:
        """Send reports as they fall due, until stopped."""
        while not self._stopping:
            try:
                await self.round()
                until = await self._store.next_notice()
            except Trouble as trouble:
                _log.error("reports can't be read or claimed", extra={"why": str(trouble)})
                until = self._store.clock.now() + SECOND
            await self._store.clock.wait(self._kick, until)

    async def recover(self, left_by: int | None) -> None:
        """What the last process had under way is due now, not when its claim ends.

        Where nodes share the queue it is only what the node `left_by` had claimed.
        """
        now, change = self._store.clock.now(), Change()
        for n in await self._store.claimed_notices(now):
            if self._store.shared and model.marker(n.due_at or 0) != left_by:
                continue  # another node has it under way
            change.update(schema.notice, n.id, n.version, due_at=now)
        if change:
            await self._store.write(change)

    async def round(self) -> None:
        """Send everything that is due now."""
        while not self._stopping:
            due = await self._store.due_notices(self._store.clock.now(), DUE)
            if not due:
                return
            work = list({(n.mail_id, n.report_id, n.id if not n.mail_id else 0): n for n in due}.values())
            for start in range(0, len(work), AT_ONCE):
                await asyncio.gather(*(self._send(notice) for notice in work[start : start + AT_ONCE]))

    async def tell_operator(self, reason: str, text: str) -> None:
        """Owe the operator a word; without an address for him the log has it."""
        _log.warning("operator told", extra={"reason": reason, "told": text})
        if not self._reports.operator:
            return
        now, change = self._store.clock.now(), Change()
        change.insert(
            schema.notice, id=self._store.ids.new(now), mail_id=0, recipient_id=0, order_id=0,
            action=OPERATOR, status=reason, reason=text, state=NoticeState.WAITING.value,
            created_at=now, due_at=now,
        )  # fmt: skip
        await self._store.write(change)
        self.kick()

    # -- one report -----------------------------------------------------------------------

    async def _send(self, due: Notice) -> None:
        try:
            claimed = await self._claim(due)
        except Stale:
            return  # somebody changed it: it is read again in the next round
        if not claimed:
            return
        if due.action == OPERATOR:
            delivered = await self._send_to_operator(claimed[0])
        elif due.action == INBOX:
            delivered = await self._send_answer(claimed[0])
        else:
            delivered = await self._send_report(claimed)
        self._mailed(delivered.verdict.value)
        about = model.show(claimed[0].mail_id) if claimed[0].mail_id else ""
        _log.info("reported", extra={"mail": about, "verdict": delivered.verdict, "said": delivered.text})
        await self._settle(claimed, delivered)

    async def _claim(self, due: Notice) -> list[Notice]:
        """All notices that go into this report, marked as its own."""
        if due.action in (OPERATOR, INBOX):
            row = [due]
        else:
            everything = await self._store.notices_of(due.mail_id)
            row = [n for n in everything if n.state is NoticeState.WAITING and n.report_id == due.report_id]
        now, change = self._store.clock.now(), Change()
        report = due.report_id or self._store.ids.new(now)
        until = model.marked(now + CLAIM, self._store.ids.node)
        for n in row:
            change.update(schema.notice, n.id, n.version, report_id=report, due_at=until,
                          attempts=n.attempts + 1)  # fmt: skip
        await self._store.write(change)
        return await self._store.notices({n.id for n in row})

    async def _settle(self, notices: Sequence[Notice], delivered: Delivered) -> None:
        now = self._store.clock.now()
        given_up = now - min(n.created_at for n in notices) >= self._delivery.give_up
        done = delivered.verdict is Verdict.DONE
        failed = not done and (delivered.verdict is Verdict.REFUSED or given_up)
        if done:
            self._left_at = now
        elif failed:
            _log.error("a report was given up", extra={"mail": model.show(notices[0].mail_id),
                                                       "why": delivered.text})  # fmt: skip
            await self._report_trouble(notices, now, "A report to a sender was given up; the log says why.")
        elif now - max(self._left_at, min(n.created_at for n in notices)) >= HOUR:
            await self._report_trouble(notices, now, "No report has left for an hour; the log says why.")
        change = Change()
        for n in notices:
            if done or failed:
                state = NoticeState.DONE if done else NoticeState.FAILED
                values: dict[str, int | str | None] = {
                    "state": state.value, "due_at": None, "last": delivered.text,
                }  # fmt: skip
            else:
                at = _again(now, n.attempts, self._delivery.retry, self._chance())
                values = {"due_at": at, "last": delivered.text}
            change.update(schema.notice, n.id, n.version, **values)
        await self._store.write(change)

    async def _report_trouble(self, notices: Sequence[Notice], now: int, text: str) -> None:
        """A sender does not hear: the operator should, once an hour; by mail where the last of these left."""
        if notices[0].action != OPERATOR and now - self._trouble_told_at >= HOUR:
            before, self._trouble_told_at = self._trouble_told_at, now
            if before <= self._left_at:
                await self.tell_operator("reports", text)
            self.trouble(text)

    async def _send_to_operator(self, notice: Notice) -> Delivered:
        mail = operator.compose(
            to=self._reports.operator,
            from_=self._reports.from_,
            hostname=self._hostname,
            subject=notice.status,
            text=notice.reason,
            message_id=self._message_id(notice.report_id or notice.id),
            now=self._store.clock.now(),
        )
        return await self._deliver(self._reports.operator, mail)

    async def _send_answer(self, notice: Notice) -> Delivered:
        answer = await self._answers.answer(notice)
        if answer is None:
            return Delivered(verdict=Verdict.REFUSED, text="it is no longer stored, or goes to nobody")
        identity, now = self._message_id(notice.report_id or notice.id), self._store.clock.now()
        mail = inbox.compose(answer, message_id=identity, now=now)
        narrow = inbox.compose(replace(answer, utf8=False), message_id=identity, now=now)
        return await self._deliver(answer.to, mail, narrow, utf8=answer.utf8)

    async def _send_report(self, notices: Sequence[Notice]) -> Delivered:
        report = await self._report(notices)
        if report is None:
            return Delivered(verdict=Verdict.REFUSED, text="its mail is no longer stored")
        identity = notices[0].report_id or notices[0].id
        about = {
            "message_id": self._message_id(identity),
            "boundary": f"=_{model.show(identity)}",
        }
        now = self._store.clock.now()
        mail = dsn.compose(report, **about, now=now)
        narrow = b"" if mail.isascii() else dsn.compose(dsn.narrowed(report), **about, now=now)
        return await self._deliver(report.to, mail, narrow, utf8=report.utf8)

    async def _deliver(
        self, recipient: str, mail: bytes, narrow: bytes = b"", *, utf8: bool = False
    ) -> Delivered:
        """Sign each form, and hand over what this smarthost takes."""
        if self._key is not None:
            mail = await asyncio.to_thread(signing.signed, mail, self._key)
            narrow = await asyncio.to_thread(signing.signed, narrow, self._key)
        return await transport.deliver(
            self._where, recipient=recipient, mail=mail, narrow=narrow, utf8=utf8, hostname=self._hostname
        )

    def _message_id(self, identity: int) -> str:
        return f"<{model.show(identity)}@{self._hostname}>"

    async def _report(self, notices: Sequence[Notice]) -> Report | None:
        mails = await self._store.mails({notices[0].mail_id})
        mail = mails.get(notices[0].mail_id)
        if mail is None or not mail.sender or mail.auto in (Auto.REPLIED, Auto.REPORT):
            return None
        recipients = await self._store.recipients({n.recipient_id for n in notices})
        orders = await self._store.orders_of_mail(mail.id)
        contents = await self._store.contents({o.content_id for o in orders if o.content_id is not None})
        speaking = {order.merged_into for order in orders if order.merged_into is not None}
        speakers = {order.id: order for order in await self._store.orders(speaking)} if speaking else {}
        failing = any(n.action == Action.FAILED for n in notices)
        return Report(
            to=mail.sender,
            from_=self._reports.from_,
            hostname=self._hostname,
            language=self._reports.language,
            envid=mail.envid,
            arrival=mail.received_at,
            deliver_by=mail.asked.by,
            hold=mail.asked.hold,
            subject=mail.subject,
            message_id=mail.message_id,
            mail_id=model.show(mail.id),
            head=fields.results(mail.results) + mail.head if mail.head else b"",
            full=await self._whole(mail) if failing else None,
            utf8=bool(mail.utf8),
            entries=entries.of(
                notices,
                recipients,
                orders,
                contents,
                speakers,
                steps=await self._store.steps_of_mails([mail.id]),
                language=self._reports.language,
                remote=self._remote,
            ),
        )

    async def _whole(self, mail: Mail) -> bytes | None:
        """The mail itself, where RET=FULL asked for it (RFC 3461 section 4.3)."""
        if mail.full_id is None:
            return None
        kept = StoredFile(id=mail.full_id, name="", type="message/rfc822", size=mail.size)
        return b"".join([chunk async for chunk in self._store.file_chunks(kept)]) or None


def _again(now: int, attempts: int, steps: Sequence[int], chance: float) -> int:
    wait = steps[min(max(0, attempts - 1), len(steps) - 1)]
    return now + wait + int(wait * chance / 5)


def way_out(reports: Reports) -> Smarthost | Maildir:
    """Where reports leave: the maildir, or the smarthost (this machine's own where none is set)."""
    if reports.maildir is not None:
        return Maildir(path=str(reports.maildir))
    return smarthost.of(reports.smtp) if reports.smtp is not None else Smarthost(host="127.0.0.1", port=25)
