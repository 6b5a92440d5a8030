"""DATA, and what becomes of a mail once all of it has come.

Policy: from the last dot on, the mail is taken to its end whatever the client does, and its answer
follows what became of it. What crashes meanwhile is `451 4.3.0` to the client, and a traceback in the
log. RFC 5321 4.1.1.4, and of LMTP RFC 2033 4.2.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from relay import replies
from relay.model import Envelope
from relay.replies import Reply, reply
from relay.smtp import chunking, data, legacy
from relay.smtp.chunking import Chunking
from relay.smtp.data import Body, Dots
from relay.smtp.guard import NO_ARGUMENT
from relay.smtp.incoming import Incoming
from relay.smtp.session import LaterAnswer

log = logging.getLogger("relay.smtp")

MAIL_FIRST = reply(503, "5.5.1", "say MAIL first")
_UNANNOUNCED = reply(421, "4.7.0", "the mail was sent without waiting for 354, closing")


class Receiving(Chunking):
    """A connection that takes mail, in lines or in chunks, and answers it."""

    async def data(self, argument: str) -> Reply | None:
        """DATA, RFC 5321 4.1.1.4, and the answers of LMTP, RFC 2033 4.2."""
        refusal = self._data_refusal(argument)
        if refusal is not None:
            # Who sends the mail unasked would have it read as commands. No fault otherwise: a
            # group of commands (RFC 2920) ends in DATA whatever became of those before it.
            await self._say(_UNANNOUNCED if self._reader.has_more else refusal)
            return None
        await self._say(replies.GO_AHEAD)
        await self._flush_replies()
        self._incoming = Incoming(self._limits, self._door.registry.room)
        await self._read_data(self._incoming)
        await self._end_mail(self._incoming)
        return None

    async def _end_mail(self, incoming: Incoming) -> None:
        envelope = self._mail
        assert envelope is not None  # noqa: S101 - judged by _mail_refusal
        later: LaterAnswer | None = None
        if incoming.flaw is not None:
            answers = [incoming.flaw] * self._answers_due(envelope)
            self._forget_mail()
        else:
            self._deadline = math.inf
            body = incoming.take()
            self._forget_mail()  # RFC 5321 4.1.1.4: whatever comes of it
            answers, later = await self._take_up(self._take(envelope, body))
        await self._say(*answers)
        await self._flush_replies()  # it is out before anybody counts on its having been heard
        if later is not None and not self._half_closed:
            await self._take_up(later.heard())

    def _data_refusal(self, argument: str) -> Reply | None:
        if argument:
            return NO_ARGUMENT
        return chunking.BEGUN if self._incoming else self._mail_refusal()

    def _mail_refusal(self) -> Reply | None:
        if self._mail is None:
            return MAIL_FIRST
        return None if self._mail.recipients else replies.NO_VALID_RECIPIENTS

    async def _read_data(self, incoming: Incoming) -> None:
        """Read to the end of the mail."""
        dots = legacy.LooseDots() if self._door.legacy else Dots()
        begun, come = self.loop.time(), 0
        while not dots.done:
            self._pace(begun, come)
            block = await self._reader.block(data.BLOCK)
            if not block:
                raise ConnectionResetError
            come += len(block)
            incoming.write(dots.feed(block))
            del block  # or it is held for as long as the client takes for the next
        self._slow_at = math.inf
        self._reader.put_back(dots.rest)
        incoming.finish()

    async def _take(self, envelope: Envelope, body: Body) -> tuple[list[Reply], LaterAnswer | None]:
        """Hand the mail over; no client can cancel that."""
        due = self._answers_due(envelope)
        later: LaterAnswer | None = None
        try:
            try:
                answer = await self._door.hooks.on_data(self._client, envelope, body)
            finally:
                data.remove(body)
                del body  # its octets are not held while an answer is waited for
            if not isinstance(answer, Reply | Sequence):
                later, answer = answer, await answer.answer()
            answers = _each(answer, due)
        except Exception:
            log.exception("DATA for %s failed", self._client.peer)
            answers = [replies.TROUBLE] * due
        if any(each.good for each in answers):
            self._commands = self._errors = 0
        return answers, later

    def _answers_due(self, envelope: Envelope) -> int:
        return len(envelope.recipients) if self._client.protocol == "lmtp" else 1


def _each(answer: Reply | Sequence[Reply], due: int) -> list[Reply]:
    answers = [answer] * due if isinstance(answer, Reply) else list(answer)
    if len(answers) != due:
        raise ValueError(f"{len(answers)} answers where {due} are due")
    return answers
