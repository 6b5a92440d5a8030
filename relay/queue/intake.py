"""An accepted mail as one `Change`: everything that becomes true with the 250.

A recipient that DATA found impossible is an order in `failed` from its first moment, so that
it has a story, stands in lists and is reported like any other failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from relay import model
from relay.message import deadlines
from relay.message.drafts import Composed, Draft, Refusal, StepDraft
from relay.model import WHOLE, Envelope, Letter, Outcome
from relay.queue import schema
from relay.queue.engine import Change
from relay.queue.followups import StepState
from relay.queue.rows import TRACE, Mail, Order, Recipient, StoredFile, as_json, columns
from relay.queue.states import State

FURTHER = 1 << 20
"""The position of recipients that the sender did not name: beyond those of any transaction."""


@dataclass(slots=True)
class Intake:
    """The change, and the rows of it that others decide upon."""

    change: Change
    mail: Mail
    recipients: list[Recipient] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    failed: list[tuple[Order, Outcome]] = field(default_factory=list)

    def warn(self, after: Mapping[int, int | None], by: int = 0) -> None:
        """Say when delay warnings are owed, by recipient: so long after its time has come, or at `by`."""
        for table, values in self.change.inserts:
            if table is schema.orders and values["finished_at"] is None:
                wait = after[values["recipient_id"]]
                values["warn_at"] = None if wait is None else by or values["start_at"] + wait


def repeat_key(envelope: Envelope, letter: Letter) -> str:
    """What tells a repeated mail; "" where it can't be told (RFC 1047, design promise 2)."""
    if not letter.digest:
        return ""
    recipients = sorted({recipient.address for recipient in envelope.recipients})
    parts = [envelope.sender, *recipients, letter.digest]
    return model.stable_digest(*(part.encode("utf-8", "surrogateescape") for part in parts))


def change_for(
    envelope: Envelope,
    letter: Letter,
    composed: Composed,
    *,
    mail_id: int,
    ids: model.Ids,
    now: int,
    size: int,
    files: dict[int, StoredFile],
    full_id: int | None,
) -> Intake:
    """Rows for mail, recipients, contents and orders. `files` has the mail itself as WHOLE."""
    change = Change()
    key = repeat_key(envelope, letter)
    change.once = (key, mail_id, now) if key else None
    mail = _mail(envelope, letter, mail_id, now, size, full_id, secret=composed.secret)
    change.insert(schema.mail, **columns(mail))
    intake = Intake(change=change, mail=mail)
    trace = [TRACE] if envelope.traced else []
    _fill(intake, envelope.recipients, composed, ids=ids, now=now, files=files, trace=trace)
    return intake


def further(
    mail: Mail,
    recipients: Sequence[model.Recipient],
    composed: Composed,
    *,
    ids: model.Ids,
    now: int,
    source: str,
) -> Intake:
    """Rows that are added to a mail which was taken before, for recipients that its sender did not name.

    They count for `source`; positions go on after those of any transaction.
    """
    intake = Intake(change=Change(), mail=replace(mail, source=source))
    _fill(intake, recipients, composed, ids=ids, now=now, files={}, first=FURTHER)
    return intake


def _fill(
    intake: Intake,
    recipients: Sequence[model.Recipient],
    composed: Composed,
    *,
    ids: model.Ids,
    now: int,
    files: Mapping[int, StoredFile],
    first: int = 0,
    trace: Sequence[str] = (),
) -> None:
    change, mail_id = intake.change, intake.mail.id
    for position, each in enumerate(recipients, start=first):
        notify = ",".join([*sorted(each.notify), *trace])
        recipient = Recipient(ids.new(now), 1, mail_id, position, each.address, each.orcpt, notify)
        change.insert(schema.recipient, **columns(recipient))
        intake.recipients.append(recipient)
    contents = [ids.new(now) for _ in composed.contents]
    for content_id, content in zip(contents, composed.contents, strict=True):
        notes = () if WHOLE in content.files else composed.notes  # nothing of it had to be read
        change.insert(
            schema.content,
            id=content_id,
            mail_id=mail_id,
            channel=content.channel,
            text=content.text,
            params=as_json(dict(content.params)),
            files=as_json([asdict(files[n]) for n in content.files]),
            notes=as_json([*notes, *content.notes]),
            alphabet=content.alphabet,
            parts=content.parts,
        )
    for step in composed.steps:
        _add_step(intake, step, ids, now)
    for draft in composed.drafts:
        _add_order(intake, draft, contents[draft.content], ids, now)
    for refusal in composed.refusals:
        _add_failed(intake, refusal, ids, now)


def _mail(
    envelope: Envelope,
    letter: Letter,
    mail_id: int,
    now: int,
    size: int,
    full_id: int | None,
    *,
    secret: bool,
) -> Mail:
    return Mail(
        id=mail_id,
        received_at=now,
        sender=envelope.sender,
        source=envelope.source,
        verified=int(envelope.verified),
        peer=envelope.peer,
        helo=envelope.helo,
        subject="" if secret else letter.subject,
        message_id=letter.message_id,
        auto=letter.auto.value,
        digest=letter.digest,
        ret=envelope.ret,
        envid=envelope.envid,
        utf8=int(envelope.utf8),
        size=size,
        head=letter.head if envelope.sender and not secret else b"",
        full_id=full_id,
        notes=as_json(list(letter.notes)),
        results=envelope.results,
        timing=deadlines.stored(envelope),
    )


def _add_order(intake: Intake, draft: Draft, content_id: int, ids: model.Ids, now: int) -> None:
    reason = draft.waits
    said = {"kind": model.Kind.LATER.value, "status": "4.7.1", "reason": reason} if reason else {}
    values = schema.row(
        schema.orders,
        id=ids.new(now),
        mail_id=intake.mail.id,
        recipient_id=intake.recipients[draft.recipient].id,
        content_id=content_id,
        sender=intake.mail.sender,
        account=draft.account,
        accounts=as_json(list(draft.accounts)) if draft.accounts else "",
        channel=draft.channel,
        target=draft.target,
        hidden=int(draft.hidden),
        state=State.WAITING.value,
        rank=rank(draft.priority, draft.alarm),
        due_at=max(now, draft.leaves_at),
        digest=draft.digest,
        says=draft.says,
        created_at=now,
        start_at=draft.start_at,
        expire_at=draft.expire_at,
        label=draft.label,
        alarm=draft.alarm.value,
        source=intake.mail.source,
        quiet=draft.quiet,
        counted_at=now,
        **said,
        mask=draft.mask,
        topic=draft.topic,
        digests=int(draft.apart),
    )
    intake.change.inserts.append((schema.orders, values))
    intake.orders.append(Order.of(values))
    _story(intake, ids, now, values["id"], "queued", f"{_way(draft)}; {reason}" if reason else _way(draft))


def _add_step(intake: Intake, step: StepDraft, ids: model.Ids, now: int) -> None:
    intake.change.insert(
        schema.step, id=ids.new(now), mail_id=intake.mail.id,
        recipient_id=intake.recipients[step.recipient].id, n=step.n, after=step.after, unless=step.unless,
        channel=step.channel, goal=step.goal, state=StepState.WAITING.value, due_at=step.due_at,
    )  # fmt: skip


def rank(priority: int, alarm: model.Alarm) -> int:
    """Who goes first, the smallest: by priority, and of equal priority the recoveries."""
    return -2 * priority - (alarm is model.Alarm.RECOVERY)


def _way(draft: Draft) -> str:
    way = f"{draft.channel} by {draft.account}" if draft.account else draft.channel
    return f"{way}, or else {', '.join(draft.accounts[1:])}" if draft.accounts else way


def _add_failed(intake: Intake, refusal: Refusal, ids: model.Ids, now: int) -> None:
    recipient = intake.recipients[refusal.recipient]
    outcome = Outcome(kind=model.Kind.REFUSED, status=refusal.reply.status, reason=refusal.reply.text)
    values = schema.row(
        schema.orders,
        id=ids.new(now),
        mail_id=intake.mail.id,
        recipient_id=recipient.id,
        sender=intake.mail.sender,
        channel=refusal.channel,
        target=refusal.target or recipient.address,
        label=refusal.label,
        state=State.FAILED.value,
        created_at=now,
        start_at=now,
        expire_at=now,
        finished_at=now,
        kind=outcome.kind.value,
        status=outcome.status,
        reason=outcome.reason,
    )
    intake.change.inserts.append((schema.orders, values))
    intake.failed.append((Order.of(values), outcome))
    _story(intake, ids, now, values["id"], "failed", f"{outcome.status} {outcome.reason}")


def _story(intake: Intake, ids: model.Ids, now: int, order: int, event: str, detail: str) -> None:
    intake.change.insert(schema.story, id=ids.new(now), order_id=order, at=now, event=event, detail=detail)
