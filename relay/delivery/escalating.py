"""Steps of escalation fall due: another channel, or another phone, is tried. A chore.

A step is a row, written with the mail. When it is due, `escalation` decides of the rows what becomes
of it. Its orders are made in the transaction that marks it as done and that fails as a whole
where an order or a step that was looked at has moved meanwhile: so it runs once, whatever is
killed, and never for what was delivered or taken. They are orders like any other, of the same mail.

What can go wrong. The text is no longer kept, or no route leads where the step points any more: it
is over, the story says so, and the operator is told.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from email.utils import parseaddr

from relay import masking, model
from relay.config import Config
from relay.delivery import escalation
from relay.delivery.acknowledging import plainly
from relay.delivery.counting import Counting
from relay.delivery.escalation import Judged
from relay.delivery.settle import Settler
from relay.message import channels, countries, orders, routes
from relay.message.routes import Resolved
from relay.message.wording import FILE_MARK, uncommented
from relay.model import Alarm, Envelope, Letter, Target
from relay.queue import intake, schema, states
from relay.queue.engine import Change, Stale, Trouble
from relay.queue.followups import Step, StepState
from relay.queue.intake import Intake
from relay.queue.rows import Mail, Order, Recipient
from relay.queue.states import State
from relay.queue.store import Store, tell
from relay.replies import Reply
from relay.report import notices

_log = logging.getLogger("relay.delivery")
STEP = 200
_TRIES = 20


class Escalating:
    """Runs the steps. `queued` hears of accounts that have new orders, `failed` of what led nowhere."""

    def __init__(
        self,
        *,
        store: Store,
        settler: Settler,
        counts: Counting,
        config: Callable[[], Config],
        queued: Callable[[set[str]], None],
        failed: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._settler = settler
        self._counts = counts
        self._config = config
        self._queued = queued
        self._failed = failed
        self._ended: set[int] = set()  # orders that failed, or whose step did, since the last turn
        self._begun = False
        self.wake: Callable[[], None] = lambda: None

    def moved(self, order: Order, state: State) -> None:
        """An order moved: where it failed, nobody need wait for a step's time."""
        if state in states.FINAL and state is not State.DELIVERED:
            self._ended.add(order.id)
            self.wake()

    async def next(self) -> int | None:
        """When the next step is due; None where none is."""
        return self._store.clock.now() if self._ended else await self._store.next_step()

    async def turn(self) -> bool:
        """Run what is due, and what need not wait; whether there are new orders."""
        ran = await self.hurry()
        while due := await self._store.due_steps(self._store.clock.now(), STEP):
            for step in _first(due):
                ran = await self._surely(step) or ran
            ran = await self.hurry() or ran
        return ran

    async def hurry(self) -> bool:
        """Run what need not wait; it is tried again where the store can't take it."""
        ran = False
        while self._ended or not self._begun:
            ended, begun = self._ended, self._begun
            self._ended, self._begun = set(), True
            try:
                ran = (not begun and await self._look_behind()) or ran
                for step in await self._hurried(ended):
                    ran = await self._surely(step) or ran
            except Trouble:
                self._ended |= ended
                self._begun = begun
                raise
        return ran

    async def _look_behind(self) -> bool:
        """Run the next step of everything, mail by mail: a crash forgets what failed before it."""
        ran, after = False, 0
        while mails := await self._store.mails_with_steps(after):
            for step in _next(await self._store.steps_of_mails(mails)):
                ran = await self._surely(step) or ran
            after = mails[-1]
        return ran

    async def _hurried(self, ended: Collection[int]) -> list[Step]:
        """The next steps of what ended."""
        if await self._store.next_step() is None:
            return []
        scene = await self._store.scene(ended)
        mails = {order.mail_id for order in (*scene.orders, *scene.merged)}
        steps = await self._store.steps_of_mails(mails)
        return _next(steps)

    async def _surely(self, step: Step) -> bool:
        for _ in range(_TRIES):
            try:
                return await self._run(step)
            except Stale:
                continue
        raise Stale("a mail kept changing while a step of it was due")

    # -- one step -------------------------------------------------------------------------

    async def _run(self, due: Step) -> bool:
        steps = await self._store.steps_of_mails([due.mail_id])
        step = next((each for each in steps if each.id == due.id), due)
        if step.state is not StepState.WAITING:
            return False
        now = self._store.clock.now()
        family = await self._store.orders_of_mails([due.mail_id])
        known = escalation.known_by(step, family, steps)
        recovered = await self._recovered(known)
        judged = escalation.judge(step, family, steps, recovered=recovered, now=now)
        if judged.run:
            judged = await self._carried(step, known, now) or judged
        made: Intake | None = None
        failed = ""
        if judged.run:
            found = await self._made(step, judged, known, len(steps_of(step, steps)), now)
            made = found if isinstance(found, Intake) else None
            failed = "" if isinstance(found, Intake) else found
            judged = Judged(over=failed) if failed else judged
        elif judged.until is not None and judged.until == step.due_at:
            return False
        async with self._counts.alone(made.orders if made else []):
            if made:
                await self._counts.hold_at_once(made)
            await self._store.write(self._change(step, judged, known, steps, made, now))
        if failed:
            self._ended.update(order.id for order in known)
            await self._complain(step, failed)
        if made:
            self._tell(step, made)
        return made is not None

    def _change(
        self,
        step: Step,
        judged: Judged,
        known: Sequence[Order],
        steps: Sequence[Step],
        made: Intake | None,
        now: int,
    ) -> Change:
        change = Change()
        if judged.until is not None:
            change.update(schema.step, step.id, step.version, due_at=judged.until)
            return change
        for order in known:  # what was decided by them must fail where they moved
            change.update(schema.orders, order.id, order.version)
        state = StepState.DONE if made else StepState.OVER
        change.update(
            schema.step, step.id, step.version, state=state.value, due_at=None, ended_at=now,
            said=judged.over, made_id=made.recipients[0].id if made else None,
        )  # fmt: skip
        line = f"step {step.n}, {step.what}: {judged.over or 'sent'}"
        for order in known[:1]:
            tell(change, self._store, order.id, "escalated" if made else "not escalated", line)
        if made:
            for later, at in escalation.behind(step, steps, now):
                change.update(schema.step, later.id, later.version, due_at=at)
            change.take(made.change)
        return change

    async def _carried(self, step: Step, known: Sequence[Order], now: int) -> Judged | None:
        """What becomes of it where another message of the same digest, or the same words, is escalated."""
        speakers = {order.merged_into for order in known if order.merged_into is not None}
        if not speakers:
            return None
        beside = await self._store.spoken_for(speakers)
        for order in await self._store.orders(speakers):
            beside.setdefault(order.id, []).append(order)
        mails = {order.mail_id for row in beside.values() for order in row}
        return escalation.carried(step, known, beside, await self._store.steps_of_mails(mails), now)

    async def _recovered(self, known: Sequence[Order]) -> bool:
        """Whether phones were told since that the problem is over."""
        topics = {order.topic for order in known} - {""}
        if not topics:
            return False
        spoken = {order.merged_into for order in known if order.merged_into is not None}
        ended = await self._store.orders(spoken)
        if any(order.alarm == Alarm.RECOVERY and order.topic in topics for order in ended):
            return True
        since = min(order.created_at for order in known) - 1
        return await self._store.recovered(topics, {order.target for order in known}, since)

    # -- its orders -----------------------------------------------------------------------

    async def _made(
        self, step: Step, judged: Judged, known: Sequence[Order], of: int, now: int
    ) -> Intake | str:
        """The rows of a step's orders; or why there can be none."""
        mail = (await self._store.mails({step.mail_id})).get(step.mail_id)
        recipient = (await self._store.recipients({step.recipient_id})).get(step.recipient_id)
        contents = await self._store.contents({each.content_id for each in known if each.content_id})
        text = next((each.text for each in contents.values() if each.text), "")
        if mail is None or recipient is None or not text:
            return "the text is no longer kept"
        meant = self._meant(step, judged, recipient, known)
        if isinstance(meant, str):
            return meant
        said = FILE_MARK.sub("", uncommented(text)).strip()
        note = f"escalation, step {step.n} of {of}: sent since the message was not {step.unless} in time"
        letter = Letter(subject=mail.subject, from_=mail.sender, plain=said, readable=said, notes=(note,))
        address = step.goal if meant.alias or not channels.CHANNELS[meant.channel].phone else ""
        to = model.Recipient(
            address=_address(address, recipient.address),
            orcpt=recipient.orcpt,
            notify=frozenset(model.Notify(each) for each in recipient.wishes),
        )
        composed = orders.compose(
            letter,
            Envelope(sender=mail.sender, recipients=(to,)),
            [meant],
            now=now,
            fallback_sender=parseaddr(self._config().reports.from_)[1],
            zone=self._store.clock.zone,
        )
        if not composed.drafts:
            return "; ".join(each.reply.text for each in composed.refusals) or "there is nobody to send it to"
        first = known[0]  # what kind of alarm it is was known of the whole mail
        alike = [replace(each, alarm=Alarm(first.alarm), topic=first.topic) for each in composed.drafts]
        composed = replace(composed, drafts=tuple(alike))
        made = intake.further(mail, [to], composed, ids=self._store.ids, now=now, source=mail.source)
        self._owe(made, mail)
        return made

    def _owe(self, made: Intake, mail: Mail) -> None:
        """Delay warnings, and the report of what turned out impossible at once."""
        reports = self._config().reports
        made.warn({each.id: notices.warn_after(mail, each, reports) for each in made.recipients})
        facts = self._settler.facts_for(made.failed, mail, made.recipients)
        self._settler.terms.owe(made.change, facts)

    def _meant(
        self, step: Step, judged: Judged, recipient: Recipient, known: Sequence[Order]
    ) -> Resolved | str:
        """Whom the step reaches, as the configuration is now; or why nobody."""
        config = self._config()
        ways = [plainly(route, route.channel) for route in config.routes]
        own = routes.find(recipient.address, ways)
        if step.goal:
            found = (
                routes.resolve(step.goal, ways, config.aliases)
                if "@" in step.goal
                else Reply(550, "5.1.2", "the route of the message is gone")
                if own is None
                else routes.on_route(step.goal, own, config.aliases)
            )
            if isinstance(found, Reply):
                return found.text
            if found.channel == channels.FORWARD or found.gateway:
                return "the address takes whole mails"
            hidden = tuple(replace(each, hidden=True) for each in found.targets)
            return replace(found, targets=hidden, escalate=())
        if own is None or not channels.CHANNELS[own.channel].phone:
            return "the route of the message is gone"
        hides = {order.target: bool(order.hidden) for order in known}
        phones = [each for each in judged.phones if routes.reaches(step.channel, each)]
        targets = tuple(Target(to=each, hidden=hides.get(each, True)) for each in phones)
        if not targets:
            return f"{step.channel} reaches nobody of them"
        if abroad := countries.refusal(targets, own):
            return abroad.text
        return Resolved(route=own, channel=step.channel, targets=targets, named=True)

    # -- what is said ---------------------------------------------------------------------

    def _tell(self, step: Step, made: Intake) -> None:
        _log.info(
            "escalated",
            extra={"mail": model.show(step.mail_id), "step": step.n, "orders": len(made.orders)},
        )
        self._queued({order.account for order in made.orders})
        if made.failed:
            self._settler.notice_due()

    async def _complain(self, step: Step, why: str) -> None:
        about = model.show(step.mail_id)
        _log.error("a step of escalation came to nothing", extra={"mail": about, "step": step.n, "why": why})
        text = (
            f"Step {step.n} of the escalation of mail {about} came to nothing: {masking.quotes_masked(why)}."
        )
        await self._failed(step.what, text)


class Hurrying:
    """The steps of what failed on this node, whichever node runs those that are due. A chore."""

    def __init__(self, escalating: Escalating) -> None:
        self._escalating = escalating

    async def next(self) -> int | None:
        """Never by itself: a move wakes the chores."""
        return None

    async def turn(self) -> bool:
        """Run them; whether there are new orders."""
        return await self._escalating.hurry()


def steps_of(step: Step, steps: Iterable[Step]) -> list[Step]:
    """All steps of the same recipient."""
    return [each for each in steps if each.recipient_id == step.recipient_id]


def _next(steps: Iterable[Step]) -> list[Step]:
    """Of each recipient the first step that waits."""
    return _first(step for step in steps if step.state is StepState.WAITING)


def _first(steps: Iterable[Step]) -> list[Step]:
    """Of each recipient the first step."""
    found: dict[int, Step] = {}
    for step in steps:
        if step.recipient_id not in found or step.n < found[step.recipient_id].n:
            found[step.recipient_id] = step
    return list(found.values())


def _address(to: str, first: str) -> str:
    """What the report calls the recipient: a step's alias or address, never a number of the operator's."""
    if not to:
        return first
    return to if "@" in to else f"{to}@{first.rpartition('@')[2]}"
