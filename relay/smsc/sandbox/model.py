"""What exists at the provider, and what can be told of the calls that made it.

Source: the vendor's pages on sending and on statuses. A message is one text to one
recipient; recipients of one request share its id, so a message is known by (phone, id).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What a message is; one for each flag parameter of send.php."""

    SMS = "sms"  # no flag
    FLASH = "flash"
    BIN = "bin"
    PUSH = "push"
    HLR = "hlr"
    PING = "ping"
    MMS = "mms"
    MAIL = "mail"
    CALL = "call"
    VIBER = "viber"
    SOC = "soc"
    WHATSAPP = "whatsapp"
    TG = "tg"
    BOT = "bot"  # the parameter holds the bot's name


#: `type` of status.php. The vendor gives 0-8, 10 and 12; the other three are the sandbox's own.
TYPES: Mapping[Kind, int] = {
    Kind.SMS: 0,
    Kind.FLASH: 1,
    Kind.BIN: 2,
    Kind.PUSH: 3,
    Kind.HLR: 4,
    Kind.PING: 5,
    Kind.MMS: 6,
    Kind.CALL: 7,
    Kind.MAIL: 8,
    Kind.VIBER: 10,
    Kind.SOC: 12,
    Kind.WHATSAPP: 13,
    Kind.TG: 14,
    Kind.BOT: 15,
}

STATUS_NAMES: Mapping[int, str] = {
    -3: "Сообщение не найдено",
    -2: "Остановлено",
    -1: "Ожидает отправки",
    0: "Передано оператору",
    1: "Доставлено",
    2: "Прочитано",
    3: "Просрочено",
    4: "Нажата ссылка",
    20: "Невозможно доставить",
    22: "Неверный номер",
    23: "Запрещено",
    24: "Недостаточно средств",
    25: "Недоступный номер",
}

ERRORS: Mapping[int, str] = {
    1: "parameters error",
    2: "authorise error",
    3: "no money",
    4: "ip is blocked",  # not recorded anywhere: the sandbox's wording
    5: "invalid time format",  # likewise
    6: "message is denied",
    7: "invalid number",
    8: "can't to deliver",
    9: "duplicate request, wait a minute",
}
TOO_MANY = "too many concurrent requests"

#: Errors of send.php that carry the message's id; the others do not.
WITH_ID = frozenset({3, 6, 7, 8})


class RefusalError(Exception):
    """The provider's refusal of a whole request: an error number and its text."""

    def __init__(self, code: int, text: str = "", *, ident: str = "") -> None:
        self.code = code
        self.text = text or ERRORS.get(code, "unknown error")
        self.ident = ident
        super().__init__(f"{self.code} ({self.text})")


class File(NamedTuple):
    """A file as it came: any part of a multipart body that bears a file name."""

    name: str
    content_type: str
    data: bytes


class Step(NamedTuple):
    """One entry of a message's history: from `at` on it has this status."""

    at: float
    status: int
    err: int = 0


@dataclass(slots=True, kw_only=True)
class Call:
    """One HTTP call as received; `params` lack the password and the API key."""

    path: str
    method: str
    params: dict[str, str]
    files: list[File]
    headers: dict[str, str]
    body: bytes
    started_at: float
    login: str = ""
    finished_at: float | None = None  # None: not answered yet
    answer: bytes | None = None  # None: none was written
    status: int = 0  # of the HTTP answer; 0 where none was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One message as a request asks for it, judged and priced, not yet accepted."""

    phone: str
    text: str
    comment: str
    kind: Kind
    sender: str
    count: int  # parts of an SMS, seconds of a call, else 1
    cost: Decimal
    mccmnc: str
    files: tuple[File, ...] = ()
    linked: tuple[str, ...] = ()  # names of files that travel as links (mail over 15 MB)
    macros: tuple[str, ...] = ()  # the vendor's macros found in the text
    due_at: float = 0.0  # 0: at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A recipient that cannot be served while others of the same request can."""

    phone: str
    status: int
    error: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that exists at the provider."""

    phone: str
    id: str
    login: str
    int_id: int  # the provider's own number of it, over all ids
    text: str
    comment: str
    kind: Kind
    sender: str
    count: int
    cost: Decimal
    mccmnc: str
    params: dict[str, str]
    files: list[File]
    linked: tuple[str, ...]
    macros: tuple[str, ...]
    accepted_at: float
    due_at: float
    history: tuple[Step, ...] = field(default=())

    def at(self, now: float) -> Step:
        """Return the status the message has at `now`."""
        step = self.history[0]
        for later in self.history[1:]:
            if later.at > now:
                break
            step = later
        return step

    @property
    def final(self) -> Step:
        """The last status the message will ever have."""
        return self.history[-1]
