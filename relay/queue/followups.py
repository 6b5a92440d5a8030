"""What follows an order, as rows: notices to its sender, what its phone answers, steps of escalation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class NoticeState(StrEnum):
    """Where a notice stands."""

    WAITING = "waiting"
    DONE = "done"  # its report was taken by the smarthost
    FAILED = "failed"  # refused, or given up


@dataclass(frozen=True, slots=True)
class Notice:
    """One fact owed to a sender."""

    id: int
    version: int
    mail_id: int
    recipient_id: int
    order_id: int
    action: str
    status: str
    reason: str
    code: str
    words: str
    unknown: int
    state: NoticeState
    created_at: int
    due_at: int | None
    attempts: int
    report_id: int | None
    last: str
    lead_id: int | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{**row, "state": NoticeState(row["state"])})


class Told(StrEnum):
    """By what the provider told of a phone's message."""

    CALLED = ""  # a call to our handler
    FETCHED = "fetched"  # the answer to a question of ours
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a phone sent, or that it called."""

    id: int
    mark: str
    account: str
    phone: str
    to_phone: str
    kind: str  # "sms" or "call"
    text: str
    received_at: int
    order_id: int | None
    notice_id: int | None
    took: int
    told: Told

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{**row, "told": Told(row["told"])})


class StepState(StrEnum):
    """Where a step of escalation stands."""

    WAITING = "waiting"
    DONE = "done"  # its orders were made
    OVER = "over"  # it was not needed, or came to nothing


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a recipient's escalation."""

    id: int
    version: int
    mail_id: int
    recipient_id: int
    n: int
    after: int
    unless: str
    channel: str
    goal: str
    state: StepState
    due_at: int | None
    ended_at: int | None
    made_id: int | None
    said: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{**row, "state": StepState(row["state"])})

    @property
    def what(self) -> str:
        """What is tried, for people: a channel, an alias or address; no number."""
        digits = sum(letter.isdigit() for letter in self.goal)
        return self.channel or (self.goal if digits < 5 else "another phone")
