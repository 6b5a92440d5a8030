"""The endpoints that ask: statuses, balance, and the history of messages.

Sources: the vendor's pages on statuses, balance and data. An answer goes by position: the
first phone with the first id. A comma at the end asks for the form of several messages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relay.smsc.sandbox import formats, limits, schedule
from relay.smsc.sandbox.model import Kind, Message, RefusalError
from relay.smsc.sandbox.provider import fmt_of, mark_of
from relay.smsc.sandbox.recipients import corrected

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.smsc.sandbox.decode import Decoded
    from relay.smsc.sandbox.provider import Provider

CURRENCY = "RUR"
DAY = 86400.0
MAX_SPAN = 184 * DAY  # "half a year"
_DIGITS = re.compile(r"[0-9]{1,19}")
MAX_MESSAGES, MAX_ANSWERS, MAX_HOURS = 1000, 10000, 168


class Questions:
    """Answers questions from the provider's books."""

    def __init__(self, provider: Provider) -> None:
        self._books = provider
        self.senders = ["SMSC.RU", "ALERTS"]
        self.incoming: list[formats.Incoming] = []
        self._singles = limits.Window(5)
        self._masses = limits.Window(1)
        self._balances = limits.Window(10)
        self._gets = limits.Window(3)

    def status(self, login: str, request: Decoded) -> str:
        """Answer status.php: single questions, mass questions, deletions."""
        params = request.params
        phone, ident = params.get("phone", ""), params.get("id", "")
        phones, idents = _listed(phone), _listed(ident)
        if not phones or len(phones) != len(idents):
            raise RefusalError(1)
        now = self._books.now()
        if params.get("del") == "1":
            return self._delete(login, request, list(zip(phones, idents, strict=True)))
        if len(phones) > 1:
            if not self._masses.allows(login, now):
                raise RefusalError(9)
        elif not self._singles.allows((login, phones[0].removeprefix("+"), idents[0]), now):
            raise RefusalError(9)
        asked = [
            formats.Asked(phone, ident, self._books.find(login, phone, ident), now)
            for phone, ident in zip(phones, idents, strict=True)
        ]
        detail = params.get("all", "")
        return formats.statuses(
            fmt_of(params),
            asked,
            detail=int(detail) if detail in {"1", "2"} else 0,
            multi="," in phone or "," in ident,
        )

    def _delete(self, login: str, request: Decoded, names: list[tuple[str, str]]) -> str:
        found = [self._books.find(login, *name) for name in names]
        if None in found:
            raise RefusalError(5, "delete error")
        for message in found:
            if message is not None:
                self._books.delete(message)
        return formats.done(fmt_of(request.params))

    def balance(self, login: str, request: Decoded) -> str:
        """Answer balance.php."""
        if not self._balances.allows(login, self._books.now()):
            raise RefusalError(9)
        currency = CURRENCY if request.params.get("cur") == "1" else ""
        return formats.balance(fmt_of(request.params), self._books.balances[login], currency)

    def get(self, login: str, request: Decoded) -> str:
        """Answer get.php: `get_messages=1`, `get_answers=1` and `get_senders=1`, nothing else."""
        commands: dict[str, Callable[[str, Decoded], str]] = {
            "get_messages": self._history,
            "get_answers": self._incoming,
            "get_senders": self._names,
        }
        answer = next(
            (command for name, command in commands.items() if request.params.get(name) == "1"), None
        )
        if answer is None:
            raise RefusalError(1)
        if not self._gets.allows((login, mark_of(request)), self._books.now()):
            raise RefusalError(9)
        return answer(login, request)

    def _history(self, login: str, request: Decoded) -> str:
        """List messages, newest first; `prev_id` goes on after the row of that `int_id`."""
        params = request.params
        start = schedule.day(params["start"]) if params.get("start") else 0.0
        end = schedule.day(params["end"]) + DAY if params.get("end") else self._books.now() + DAY
        if start and end - start > MAX_SPAN:
            raise RefusalError(1)
        most = _count(params.get("cnt", ""), MAX_MESSAGES)
        before = _count(params.get("prev_id", ""), 2**63, none=2**63)
        mails = params.get("format") == "8"
        names = {corrected(name) or name for name in _listed(params.get("phone", ""))}
        names |= {name.lower() for name in _listed(params.get("email", ""))}

        def wanted(message: Message) -> bool:
            return (
                message.login == login
                and (message.kind is Kind.MAIL) == (mails or bool(params.get("email")))
                and start <= message.accepted_at < end
                and message.int_id < before
                and (not names or message.phone.lower() in names)
            )

        found = sorted(filter(wanted, self._books.messages), key=lambda message: -message.int_id)
        return formats.messages(fmt_of(params), found[:most], self._books.now())

    def _incoming(self, login: str, request: Decoded) -> str:  # noqa: ARG002 - as the other command
        params = request.params
        most = _count(params.get("cnt", ""), MAX_ANSWERS)
        since = self._books.now() - 3600.0 * _count(params.get("hour", ""), MAX_HOURS, none=MAX_HOURS)
        after = _count(params.get("after_id", ""), 2**63, none=0)
        to = params.get("to_phone", "").removeprefix("+")
        found = [
            item
            for item in self.incoming
            if item.id > after and item.sent_at >= since and (not to or item.to_phone == to)
        ]
        return formats.incoming(fmt_of(params), found[:most])

    def _names(self, _login: str, request: Decoded) -> str:
        """The names that an account may send under; every account has the same."""
        if fmt_of(request.params) == 3:
            return "[" + ",\n".join(f'{{\n"sender": "{name}"\n}}' for name in self.senders) + "]"
        return "\n".join(f"sender = {name}" for name in self.senders)


def _listed(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _count(value: str, most: int, *, none: int = 100) -> int:
    """Read a count; what is beyond the limit is refused."""
    if not value:
        return none
    if not _DIGITS.fullmatch(value) or int(value) > most:
        raise RefusalError(1)
    return int(value)
