"""DNS for sender verification: asked once, remembered, never waited for beyond its time.

An answer says what there is, or that there is nothing (no such name, or no such records). Where
nobody could say (timeout, SERVFAIL, refusal), `Trouble` is raised: that is never the same as
nothing. What is found is kept for its time to live, an hour at most; that there is nothing for
a minute; trouble not at all. Everything here is bounded: what is kept, questions under way,
records of an answer and their sizes.

TCP follows where UDP was cut short, names are asked as they stand (no search list).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
from dns.rdatatype import RdataType

from relay import metrics

_log = logging.getLogger("relay.smtp")

KEPT = 4096  # answers
KEPT_OCTETS = 8 * 2**20  # of memory for all of them: how long they are is up to who is verified
_LONGEST, _NOTHING = 3600.0, 60.0  # seconds that an answer, and that there is nothing, is kept
_AT_ONCE = 64  # questions
RECORDS = 100  # of one answer; further ones are left out
RECORD_SIZE = 4096  # octets of one TXT record on the wire; a longer one is left out


class Kind(StrEnum):
    """What DNS said, in the words of the metric."""

    FOUND = "found"
    NO_NAME = "no_name"  # NXDOMAIN, or a name that can't exist
    NO_RECORDS = "no_records"  # the name exists, but not with this type
    TIMEOUT = "timeout"
    FAILED = "failed"  # SERVFAIL, a refusal, nonsense


@dataclass(frozen=True, slots=True)
class Answer:
    """What there is: A and AAAA as text, MX as (preference, name), PTR as names, TXT as strings."""

    kind: Kind
    values: tuple[Any, ...] = ()


class Trouble(Exception):  # noqa: N818
    """Nobody could say; the text is for the log."""

    def __init__(self, kind: Kind, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class Resolver:
    """Asks the servers given, (address, port) each, or with none those of the system."""

    def __init__(self, servers: Sequence[tuple[str, int]] = (), *, timeout: float = 5.0) -> None:
        self._servers = tuple(servers)
        self._timeout = timeout
        self._asker: dns.asyncresolver.Resolver | None = None
        self._kept: OrderedDict[tuple[str, str], tuple[float, Answer]] = OrderedDict()
        self._octets = 0  # of what is kept
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, name: str, kind: str) -> Answer:
        """The records of this type at this name, aliases followed; raises Trouble."""
        question = (name.lower().removesuffix("."), kind)
        now = asyncio.get_running_loop().time()
        until, answer = self._kept.get(question, (0.0, None))
        if answer is not None and now < until:
            self._kept.move_to_end(question)
            return answer
        try:
            async with self._room:
                answer, lives = await self._asked(*question)
        except Trouble as trouble:
            self._asker = self._asker if self._servers else None  # the system's may be others by now
            metrics.DNS.labels(result=trouble.kind.value).inc()
            raise
        metrics.DNS.labels(result=answer.kind.value).inc()
        self._keep(question, answer, now + lives)
        return answer

    def _keep(self, question: tuple[str, str], answer: Answer, until: float) -> None:
        if question in self._kept:
            self._forget(question)
        self._kept[question] = (until, answer)
        self._octets += _weight(answer)
        while len(self._kept) > KEPT or self._octets > KEPT_OCTETS:
            self._forget(next(iter(self._kept)))

    def _forget(self, question: tuple[str, str]) -> None:
        _until, answer = self._kept.pop(question)
        self._octets -= _weight(answer)

    async def _asked(self, name: str, kind: str) -> tuple[Answer, float]:
        """The answer and for how many seconds it holds; "" is the root."""
        try:
            labels = name.split(".") if name else []
            exact = dns.name.Name([*(label.encode() for label in labels), b""])  # nothing is escaped
            said = await self._resolver().resolve(
                exact, kind, search=False, raise_on_no_answer=False, lifetime=self._timeout
            )
        except dns.resolver.NXDOMAIN:
            return Answer(Kind.NO_NAME), _NOTHING
        except dns.exception.Timeout as error:
            raise Trouble(Kind.TIMEOUT, f"{kind} of {name}: no answer in time") from error
        except (dns.name.NameTooLong, dns.name.LabelTooLong, dns.name.EmptyLabel):
            return Answer(Kind.NO_NAME), _NOTHING
        except (dns.exception.DNSException, OSError) as error:
            raise Trouble(Kind.FAILED, f"{kind} of {name}: {type(error).__name__}") from error
        if said.rrset is None:
            return Answer(Kind.NO_RECORDS), _NOTHING
        read = _READ[RdataType[kind]]
        values = [read(each) for each in list(said.rrset)[:RECORDS]]
        if kind == "TXT":  # each of its strings has an octet for its length
            values = [each for each in values if len(each) + sum(map(len, each)) <= RECORD_SIZE]
        return Answer(Kind.FOUND, tuple(values)), min(float(said.chaining_result.minimum_ttl), _LONGEST)

    def _resolver(self) -> dns.asyncresolver.Resolver:
        if self._asker is None:
            asker = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                asker.nameservers = [dns.nameserver.Do53Nameserver(*each) for each in self._servers]
            asker.timeout = max(self._timeout / 2, 0.1)  # of one try: a lost packet is asked again
            asker.use_edns(0, 0, 1232)
            self._asker = asker
        return self._asker


def _weight(answer: Answer) -> int:
    """The octets of memory that an answer takes."""
    parts = (part for value in answer.values if isinstance(value, tuple) for part in value)
    return sum(map(sys.getsizeof, (*answer.values, *parts)))


_READ: dict[RdataType, Callable[[Any], Any]] = {
    RdataType.A: lambda found: found.address,
    RdataType.AAAA: lambda found: found.address,
    RdataType.MX: lambda found: (found.preference, found.exchange.to_text(omit_final_dot=True)),
    RdataType.PTR: lambda found: found.target.to_text(omit_final_dot=True),
    RdataType.TXT: lambda found: found.strings,
}
