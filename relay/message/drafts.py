"""What a mail becomes, as values: contents, orders and steps to be, and the recipients that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from relay.model import WHOLE, Alarm, Content
from relay.replies import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An order to be: `recipient` and `content` are positions in what was composed."""

    recipient: int
    content: int
    target: str
    hidden: bool
    account: str
    channel: str
    priority: int
    start_at: int
    expire_at: int
    digest: str  # equal where one request may carry both
    says: str  # equal where the phone would hear the same
    label: str = ""  # the number that a mail in the provider's grammar gave it
    alarm: Alarm = Alarm.NONE
    accounts: tuple[str, ...] = ()  # in their order, where another than `account` may carry it too
    quiet: str = ""  # the quiet hours that it keeps to while it waits here
    mask: str = ""  # equal where texts differ in numbers and times only
    topic: str = ""  # equal for a problem and its recovery
    leaves_at: int = 0  # until when it waits here, 0 where it goes at once
    waits: str = ""  # why it does
    apart: bool = False  # no digest may carry it


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDraft:
    """A step of a recipient's escalation to be; `n` counts from 1."""

    recipient: int
    n: int
    after: int
    unless: str
    channel: str
    goal: str
    due_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A recipient that this mail can't be sent to, and why."""

    recipient: int
    channel: str
    reply: Reply
    target: str = ""  # where a recipient stands for several: the one that can't be served
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """What became of one mail."""

    contents: tuple[Content, ...] = ()
    drafts: tuple[Draft, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    steps: tuple[StepDraft, ...] = ()
    notes: tuple[str, ...] = ()
    secret: bool = False  # the mail holds credentials: it is never kept as a whole

    @property
    def files(self) -> tuple[int, ...]:
        """Numbers of the letter's files that some content takes."""
        return tuple(sorted({number for content in self.contents for number in content.files} - {WHOLE}))

    def refusing(self, why: Mapping[int, Reply]) -> Composed:
        """The same, with these recipients refused."""
        refused = {draft.recipient: draft.channel for draft in self.drafts if draft.recipient in why}
        return replace(
            self,
            drafts=tuple(draft for draft in self.drafts if draft.recipient not in why),
            steps=tuple(step for step in self.steps if step.recipient not in why),
            refusals=(
                *self.refusals,
                *(Refusal(recipient=each, channel=to, reply=why[each]) for each, to in refused.items()),
            ),
        )

    @property
    def whole(self) -> bool:
        """Whether some content takes the mail itself."""
        return any(WHOLE in content.files for content in self.contents)
