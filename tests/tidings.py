"""What the provider tells by itself: calls to the handler, made when and as often as a walk says.

The calls are the sandbox's own, of its own books: each status that a message comes to is due once.
When it is told, in which order, how often, whether at all, is the walk's to say; so are calls that
bear a wrong signature and say what is not true, and calls about what nobody sent. What was not
answered 200 stays due, as it would for the provider.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import aiohttp

from relay.smsc.sandbox import Message, Sandbox, Step, callbacks
from relay.smsc.sandbox.callbacks import Post
from relay.smsc.sandbox.formats import Incoming

SECRET = "s3cret"
FORMS = (
    "?md5={}",
    "?sha1={}&charset=utf-8",
    "?crc32={}&charset=koi8-r",
    "?fmt=2&md5={}",
    "!charset=utf-8&fmt=3?sha1={}",
)
FORGED = ("?md5=", "?sha1=another", "", "!md5=another&fmt=3", "?md5=another&fmt=2")
"""How the handler's address ends where the caller does not know the secret."""
GOOD, BAD = {1, 2, 4}, {3, 20, 22, 23, 25}


@dataclass(frozen=True, slots=True)
class Word:
    """One status of one message."""

    message: Message
    step: Step

    @property
    def of(self) -> tuple[str, str]:
        """The id and the phone that it is about."""
        return self.message.id, self.message.phone


class Tidings:
    """The calls to one handler, whose `address` may change with each start of the relay."""

    def __init__(self, sandbox: Sandbox, now: Callable[[], float], address: Callable[[], str]) -> None:
        self.waiting: list[Word] = []  # due, and not answered 200
        self.told: list[Word] = []
        self.arrived: set[tuple[str, str]] = set()  # the id and the phone of what was told to have arrived
        self.late: set[tuple[str, str]] = set()  # what was given up for lost before
        self._sandbox, self._now, self._address = sandbox, now, address
        self._due: dict[tuple[int, int], None] = {}  # the message and the step of it that were due already
        self._strangers = 0

    # -- what is due ----------------------------------------------------------------------

    def look(self) -> None:
        """Find what has fallen due."""
        now = self._now()
        for message in self._sandbox.messages:
            for number, step in enumerate(message.history):
                if number and step.at <= now and (message.int_id, number) not in self._due:
                    self._due[message.int_id, number] = None
                    self.waiting.append(Word(message, step))

    def next(self) -> float | None:
        """When something falls due next, in the provider's seconds."""
        steps = (
            step.at
            for message in self._sandbox.messages
            for number, step in enumerate(message.history)
            if number and (message.int_id, number) not in self._due
        )
        return min(steps, default=None)

    def given_up(self) -> list[Message]:
        """The messages that have come to an end, or to none, and did not arrive."""
        now = self._now()
        return [m for m in self._sandbox.messages if m.final.at <= now and m.final.status not in GOOD]

    def arrives(self, message: Message) -> Word:
        """A message that was given up for lost is on the handset after all; the books say so from now on."""
        step = Step(self._now(), 1)
        books = self._sandbox._provider
        fresh = replace(message, history=(*message.history, step))
        books._messages[books._messages.index(message)] = fresh
        books._by_name.update({name: fresh for name, each in books._by_name.items() if each is message})
        self.late.add((message.id, message.phone))
        self.look()
        return Word(fresh, step)

    # -- what is told ---------------------------------------------------------------------

    async def tell(self, word: Word, form: str = FORMS[0]) -> int:
        """One call, signed; the answer's HTTP status, 0 where there was none."""
        status = await self._post(callbacks.of_status(self._handler(form, SECRET), word.message, word.step))
        if status == 200:
            self.told.append(word)
            self.waiting = [each for each in self.waiting if each is not word]
            if word.step.status in GOOD:
                self.arrived.add(word.of)
        return status

    async def forge(self, word: Word, form: str = FORGED[0]) -> int:
        """Somebody else says the contrary, and does not know the secret."""
        step = Step(word.step.at, 20 if word.message.final.status in GOOD else 1)
        return await self._post(callbacks.of_status(self._handler(form, ""), word.message, step))

    async def strange(self, word: Word, form: str = FORMS[0]) -> int:
        """A status of what this relay never sent: another program's, an id that never was, another phone."""
        self._strangers += 1
        other = (
            {"id": str(self._strangers)},
            {"id": "z" * 13},
            # of a group the provider may tell of a phone that is new
            {"id": "0" * 13} if _of_group(word.message) else {"phone": "79990000000"},
        )[self._strangers % 3]
        message = replace(word.message, **other)
        return await self._post(callbacks.of_status(self._handler(form, SECRET), message, word.step))

    async def said(self, incoming: Incoming, form: str = FORMS[1]) -> int:
        """A phone sent a message."""
        return await self._post(callbacks.of_message(self._handler(form, SECRET), incoming))

    def _handler(self, form: str, secret: str) -> str:
        return f"http://{self._address()}/callback/main{form.format(secret)}"

    async def _post(self, post: Post) -> int:
        headers = {"Content-Type": post.content_type}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(post.url, data=post.body, headers=headers) as answer,
            ):
                return answer.status
        except aiohttp.ClientError:
            return 0


def _of_group(message: Message) -> bool:
    return message.params.get("phones", "").lower().startswith("g")


async def one_by_one(calls: Sequence[Callable[[], Awaitable[None]]]) -> bool:
    """Each call after the one before."""
    for call in calls:
        await call()
    return True


async def together(calls: Sequence[Callable[[], Awaitable[None]]]) -> bool:
    """All calls at once."""
    await asyncio.gather(*(call() for call in calls))
    return True
