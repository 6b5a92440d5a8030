"""The provider's account over HTTP: sends, asks, and turns whatever happens into an `Outcome`.

What the network or the provider does never raises: what could not be connected, broke off,
or makes no sense becomes an `Outcome` that says so. Cancellation passes through, and what
`before` raises. Login, password and key are form fields: never in a URL, a log, an error;
where the provider's text repeats them they are struck out.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote_plus

from aiohttp.abc import AbstractResolver

from relay.clock import Clock
from relay.model import Kind, Outcome
from relay.smsc import lists, outcomes, wire
from relay.smsc.exchange import Answer, Body, Encoded, Exchange
from relay.smsc.multipart import Attachment, Form
from relay.smsc.reading import Refused, Unreadable
from relay.smsc.wire import Balance

__all__ = ["Answers", "Attachment", "Balance", "Client", "Credentials", "Sent"]

_PAGES = 5  # pages of the history that one look-up reads
NO_RECORD = "3"  # what get.php says where there is nothing to tell

T = TypeVar("T")


class _Barred(Exception):  # noqa: N818
    """No slot for the call any more: no byte of it has left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How the account logs in: by a key, or by login and password. Nothing prints them."""

    login: str = ""
    psw: str = ""
    apikey: str = ""

    def __repr__(self) -> str:
        return "Credentials(…)"

    def fields(self) -> wire.Fields:
        """The form fields that log in."""
        return [("apikey", self.apikey)] if self.apikey else [("login", self.login), ("psw", self.psw)]

    def struck_from(self, text: str) -> str:
        """The text without any secret, as it is or as a form writes it."""
        for secret in filter(None, (self.psw, self.apikey)):
            text = text.replace(secret, "***").replace(quote_plus(secret, errors="replace"), "***")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of a send.

    `outcome` holds for every phone that is not in `each`: there is what the answer says of
    single phones, keyed as they were given, good ones with their own cost, bad ones with
    their error. `members` are the phones (with a plus) that were not asked for: the members
    of a group; `each` has them too.
    """

    outcome: Outcome
    each: Mapping[str, Outcome] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    answer_id: str = ""
    balance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What became of a question about statuses; `each` is keyed as it was asked.

    `outcome` is None where the answer could be read. Else it says why not and whether the
    account must rest; its kind is NOTHING, since a failed question moves no order.
    """

    outcome: Outcome | None = None
    each: Mapping[tuple[str, str], Outcome] = field(default_factory=dict)


class Client:
    """One account's calls to the provider. How many run at once is the caller's to say.

    `reachable` is None before the first call, then whether the last one got an answer that
    could be read; `last_answer_at` is when one last did. `may` is asked just before the bytes
    of any call leave.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        credentials: Credentials,
        connect: float = 10.0,
        read: float = 30.0,
        clock: Clock | None = None,
        trust: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.name = name
        self.reachable: bool | None = None
        self.last_answer_at: int | None = None
        self.may: Callable[[], bool] = lambda: True
        self._credentials = credentials
        self._clock = clock or Clock()
        self._exchange = Exchange(url, connect=connect, read=read, trust=trust, resolver=resolver)

    def __repr__(self) -> str:
        return f"<Client {self.name}>"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Get ready for calls; nothing is connected yet."""
        await self._exchange.open()

    async def close(self) -> None:
        """Drop the connections; calls under way fail as broken ones do."""
        await self._exchange.close()

    async def send(
        self,
        *,
        id: str,  # noqa: A002 - the provider's name for it
        phones: Sequence[str],
        text: str,
        params: Mapping[str, str],
        files: Sequence[Attachment] = (),
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Sent:
        """Send one text to these phones, under this id of ours.

        `before` is awaited when the connection stands and no byte has left; what it raises
        ends the call, untold to the provider, and is raised here.
        """
        fields = [
            *self._credentials.fields(),
            *wire.send_fields(id=id, phones=phones, text=text, params=params),
        ]
        body = Form(id=id, fields=fields, files=files) if files else Encoded(fields)
        return await self._send(body, phones, before)

    async def send_list(
        self,
        *,
        id: str,  # noqa: A002
        lines: Sequence[tuple[Sequence[str], str]],
        params: Mapping[str, str],
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> Sent:
        """Send several texts, each to phones of its own, under this id of ours; `before` as in `send`.

        Raises ValueError for what a list can't say (`lists.fits`).
        """
        fields = [*self._credentials.fields(), *lists.list_fields(id=id, lines=lines, params=params)]
        phones = [phone for several, _text in lines for phone in several]
        return await self._send(Encoded(fields), phones, before)

    async def _send(
        self, body: Body, phones: Sequence[str], before: Callable[[], Awaitable[None]] | None
    ) -> Sent:
        async def ready() -> None:
            if before is not None:
                await before()
            self._permitted()

        try:
            heard = self._heard(await self._exchange.post("send.php", body, ready))
        except _Barred:
            return Sent(outcome=outcomes.barred())
        if isinstance(heard, Outcome):
            return Sent(outcome=heard)
        answer = self._understood(wire.read_send(heard.status, heard.body))
        return Sent(outcome=answer) if isinstance(answer, Outcome) else _sent(answer, phones)

    async def status(self, pairs: Sequence[tuple[str, str]]) -> Answers:
        """Ask for the statuses of these (phone, id)."""
        heard = await self._ask("status.php", wire.status_fields(pairs))
        if isinstance(heard, Outcome):
            return Answers(outcome=heard)
        lines = self._answered(wire.read_statuses(heard.status, heard.body, pairs))
        if isinstance(lines, Outcome):
            return Answers(outcome=lines)
        found = ((pair, lines.get((wire.same_phone(pair[0]), pair[1]))) for pair in pairs)
        return Answers(each={pair: self._status(line) for pair, line in found if line is not None})

    async def balance(self) -> Balance | Outcome:
        """Ask what the account holds; an outcome where that is not told (kind NOTHING)."""
        heard = await self._ask("balance.php", wire.balance_fields())
        if isinstance(heard, Outcome):
            return heard
        return self._answered(wire.read_balance(heard.status, heard.body))

    async def price(self, *, phones: Sequence[str], text: str, params: Mapping[str, str]) -> str:
        """What such a message would cost, nothing being sent; or why that is not known.

        Files are not asked about. The answer is for people: a sum, or a sentence.
        """
        heard = await self._ask("send.php", wire.price_fields(phones=phones, text=text, params=params))
        if isinstance(heard, Outcome):
            return heard.reason
        price = self._understood(wire.read_price(heard.status, heard.body))
        return price.reason if isinstance(price, Outcome) else price

    async def senders(self) -> list[str] | Outcome:
        """Ask under which names the account may send; an outcome where that is not told."""
        heard = await self._ask("get.php", wire.senders_fields())
        if isinstance(heard, Outcome):
            return heard
        return self._answered(wire.read_senders(heard.status, heard.body))

    async def answers(self, after: int, hours: int) -> list[wire.AnswerLine] | Outcome:
        """Ask what phones sent in the last hours, from the one after `after` on (an outcome: not told)."""
        heard = await self._ask("get.php", wire.answers_fields(after, hours))
        if isinstance(heard, Outcome):
            return heard
        read = wire.read_answers(heard.status, heard.body)
        return self._answered([] if isinstance(read, Refused) and read.code == NO_RECORD else read)

    async def look_up(self, id: str, since: int) -> Mapping[str, Outcome] | Outcome:  # noqa: A002
        """The phones that the provider's history since then holds under this id, by number.

        Empty where it holds none, which proves little: the history may lag behind.
        """
        found: dict[str, Outcome] = {}
        after = ""
        for _ in range(_PAGES):
            page = await self._page(since, after)
            if isinstance(page, Outcome):
                return found or page
            found |= {wire.shown_phone(line.phone): self._status(line) for line in page if line.id == id}
            last = page[-1].next if page else ""
            if len(page) < wire.PAGE or last in ("", after):
                break
            after = last
        return found

    async def _page(self, since: int, after: str) -> list[wire.StatusLine] | Outcome:
        """One page of the provider's history."""
        heard = await self._ask("get.php", wire.messages_fields(since, self._clock.now(), after))
        if isinstance(heard, Outcome):
            return heard
        read = wire.read_messages(heard.status, heard.body)
        return self._answered([] if isinstance(read, Refused) and read.code == NO_RECORD else read)

    async def _ask(self, path: str, fields: wire.Fields) -> Answer | Outcome:
        """The answer to a question."""
        body = Encoded([*self._credentials.fields(), *fields])

        async def ready() -> None:
            self._permitted()

        try:
            heard = self._heard(await self._exchange.post(path, body, ready))
        except _Barred:
            return outcomes.about_question(outcomes.barred())
        return outcomes.about_question(heard) if isinstance(heard, Outcome) else heard

    def _permitted(self) -> None:
        if not self.may():
            raise _Barred

    def _answered(self, answer: T | Refused | Unreadable) -> T | Outcome:
        understood = self._understood(answer)
        return outcomes.about_question(understood) if isinstance(understood, Outcome) else understood

    def _heard(self, heard: Answer | Outcome) -> Answer | Outcome:
        if isinstance(heard, Outcome):
            self.reachable = False
        return heard

    def _understood(self, answer: T | Refused | Unreadable) -> T | Outcome:
        """The answer itself where it is a good one, else what it means."""
        self.reachable = not isinstance(answer, Unreadable)
        if isinstance(answer, Unreadable):
            return outcomes.unreadable(answer.why)
        self.last_answer_at = self._clock.now()
        if isinstance(answer, Refused):
            return outcomes.for_error(answer.code, self._credentials.struck_from(answer.text))
        return answer

    def _status(self, line: wire.StatusLine) -> Outcome:
        outcome = outcomes.for_status(line.status, line.err, self._credentials.struck_from(line.name))
        lookup = {name: self._credentials.struck_from(value) for name, value in line.lookup.items()}
        return outcomes.looked_up(replace(outcome, cost=line.cost), lookup)


def _sent(answer: wire.Accepted, phones: Sequence[str]) -> Sent:
    """The phones that an answer tells of, under the names that we gave them."""
    given = {wire.same_phone(phone): phone for phone in phones}
    each = {
        given.get(plain) or wire.shown_phone(line.phone): _told(line) for plain, line in answer.phones.items()
    }
    return Sent(
        outcome=outcomes.accepted(cost=answer.cost, parts=answer.cnt),
        each=each,
        members=tuple(
            wire.shown_phone(line.phone) for plain, line in answer.phones.items() if plain not in given
        ),
        answer_id=answer.id,
        balance=answer.balance,
    )


def _told(line: wire.PhoneLine) -> Outcome:
    """What an answer's line means for its phone.

    An error without a status means undeliverable. 7 and 8 are no status's errors: there
    send.php's own are meant.
    """
    if line.error in (7, 8):
        return replace(outcomes.for_error(line.error), cost=line.cost)
    if line.status is None and not line.error:
        return outcomes.accepted(cost=line.cost)
    status = 20 if line.status is None or (line.error and line.status <= 0) else line.status
    outcome = outcomes.for_status(status, line.error)
    if outcome.kind in (Kind.ABSENT, Kind.NOTHING):  # contradicts the acceptance that it came with
        return outcomes.accepted(cost=line.cost)
    return replace(outcome, cost=line.cost)
