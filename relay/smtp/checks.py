"""The checks of a mail's sender: what they need is fetched here, what it means is said elsewhere.

Records are fetched on the loop; hashing and signatures, and the SPF library, run in two threads
of their own, a piece at a time. The whole of a check has a deadline. Whatever comes in its way
is a temporary error, never a pass and never a failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from publicsuffixlist import PublicSuffixList

from relay import metrics
from relay.clock import Clock
from relay.config import Dns
from relay.model import Envelope, Result, Spf
from relay.smtp import domains, signatures, spf, verdicts
from relay.smtp.data import Body, pieces, whole_header
from relay.smtp.dkim_body import Canonical
from relay.smtp.dns import Resolver, Trouble
from relay.smtp.verdicts import Arc, Dmarc, Verdicts

_log = logging.getLogger("relay.smtp")

DEADLINE = 20.0
"""Seconds that the checks of one step may take (RFC 7208 section 4.6.4 wants 20 at least)."""
_PIECE = 32 * 1024  # octets hashed at once: the loop must not wait for more
_QUESTIONS = 200  # for one SPF verdict; the library's own limits end before that

T = TypeVar("T")


class Checks:
    """Finds out what the domains of a mail say of it. `config` is asked each time, it may be re-read."""

    def __init__(self, config: Callable[[], Dns], clock: Clock, *, deadline: float = DEADLINE) -> None:
        self._config = config
        self._resolver: tuple[Dns, Resolver] | None = None
        self._clock = clock
        self._deadline = deadline
        self._threads = ThreadPoolExecutor(2, "checks")

    @cached_property
    def _suffixes(self) -> PublicSuffixList:
        return PublicSuffixList()

    def close(self) -> None:
        """End the threads; a check that is under way comes to its end first."""
        self._threads.shutdown()

    def organisation(self, domain: str) -> str:
        """The organisational domain by the public suffix list."""
        return self._suffixes.privatesuffix(domain) or domain

    async def sender(self, envelope: Envelope) -> Verdicts:
        """SPF, which is known at MAIL."""
        said = await self._spf(envelope)
        return Verdicts(spf=said, vouched=verdicts.vouched(envelope.sender, said, (), self.organisation))

    async def mail(self, envelope: Envelope, body: Body, checks: Iterable[str]) -> Verdicts:
        """All that these checks (`spf`, `dkim`, `dmarc`) want to know of a mail."""
        checks = set(checks)
        said = envelope.spf
        if said is None and checks & {"spf", "dmarc"}:
            said = await self._spf(envelope)
        found = Verdicts(spf=said)
        if checks & {"dkim", "dmarc"}:
            found = await self._content(found, body, dmarc="dmarc" in checks)
        return replace(found, vouched=verdicts.vouched(envelope.sender, said, found.dkim, self.organisation))

    async def _off_loop(self, work: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*given))

    # -- SPF --------------------------------------------------------------------------------

    async def _spf(self, envelope: Envelope) -> Spf:
        try:
            async with asyncio.timeout(self._deadline):
                said = await self._spf_asked(envelope)
        except TimeoutError:
            said = replace(spf.identity(envelope.sender, envelope.helo), result=Result.TEMPERROR)
        _count("spf", said.result)
        return said

    async def _spf_asked(self, envelope: Envelope) -> Spf:
        answers: dict[spf.Question, Any] = {}
        peer = envelope.peer.partition("%")[0]
        for _ in range(_QUESTIONS):
            try:
                return await self._off_loop(
                    lambda: spf.evaluate(
                        peer=peer, sender=envelope.sender, helo=envelope.helo, answers=answers
                    )
                )
            except spf.Missing as missing:
                answers[missing.question] = await self._found(*missing.question)
        return replace(spf.identity(envelope.sender, envelope.helo), result=Result.PERMERROR)

    def _asker(self) -> Resolver:
        config = self._config()
        if self._resolver is None or self._resolver[0] != config:
            self._resolver = config, Resolver(config.addresses, timeout=config.timeout / 1000)
        return self._resolver[1]

    async def _found(self, name: str, kind: str) -> tuple[Any, ...] | None:
        try:
            return (await self._asker().ask(name, kind)).values
        except Trouble as trouble:
            _log.info("no answer from DNS", extra={"why": str(trouble)})
            return None

    # -- DKIM, DMARC, ARC -------------------------------------------------------------------

    async def _content(self, found: Verdicts, body: Body, *, dmarc: bool) -> Verdicts:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._judged(found, body, dmarc=dmarc)
        except TimeoutError:
            late = Dmarc(result=Result.TEMPERROR, why="too slow") if dmarc else None
            return replace(found, read=True, signed=Result.TEMPERROR, dmarc=late)

    async def _judged(self, found: Verdicts, body: Body, *, dmarc: bool) -> Verdicts:
        header = await self._off_loop(whole_header, body)
        fields = await self._off_loop(signatures.fields_of, header)
        if fields is None:
            failed = Dmarc(result=Result.FAIL, why="not one author in From") if dmarc else None
            return replace(found, read=True, dmarc=failed)
        author = domains.author(fields)
        domain = domains.of(author)
        signed = signatures.of(fields, author, self.organisation, now=self._clock.now())
        chain = signatures.arc_keys(fields) if dmarc else []
        names = {each.key for each in signed if each.flaw is None} | set(chain or ())
        names |= set(verdicts.dmarc_names(domain, self.organisation)) if dmarc else set()
        records = await self._records(names)
        hashes: dict[str, bytes] = {}
        if chain or any(each.flaw is None and records[each.key] for each in signed):
            hashes = await self._off_loop(_hashes, body, len(header))
        judged = [await self._off_loop(signatures.judged, header, each, records, hashes) for each in signed]
        found = replace(found, read=True, author=author, dkim=tuple(judged))
        for each in judged:
            _count("dkim", each.result)
        found = replace(found, signed=verdicts.signed(domain, judged, self.organisation))
        if dmarc:
            said = verdicts.dmarc(domain, records, found.spf, judged, self.organisation)
            _count("dmarc", said.result)
            found = replace(found, dmarc=said, arc=await self._arc(header, chain, records, hashes))
        return found

    async def _arc(
        self, header: bytes, chain: list[str] | None, records: verdicts.Records, hashes: signatures.Hashes
    ) -> Arc | None:
        if not chain:
            return Arc(result=Result.FAIL) if chain is None else None
        keys = {name: records[name] for name in chain}
        said = await self._off_loop(signatures.arc, header, keys, hashes)
        _count("arc", said.result)
        return said

    async def _records(self, names: Iterable[str]) -> dict[str, list[bytes] | None]:
        async def one(name: str) -> tuple[str, list[bytes] | None]:
            found = await self._found(name, "TXT")
            return name, None if found is None else [b"".join(strings) for strings in found]

        return dict(await asyncio.gather(*(one(name) for name in sorted(names))))


def _count(kind: str, result: Result) -> None:
    metrics.CHECKS.labels(check=kind, result=result.value).inc()


def _hashes(body: Body, start: int) -> dict[str, bytes]:
    """The hashes of what stands from `start` on, by canonicalisation."""
    made = {"simple": Canonical(relaxed=False), "relaxed": Canonical(relaxed=True)}
    for block in pieces(body):
        for at in range(start, len(block), _PIECE):
            for each in made.values():
                each.feed(block[at : at + _PIECE])
        start = max(0, start - len(block))
    return {name: each.digest() for name, each in made.items()}
