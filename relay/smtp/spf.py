"""What SPF says of a client (RFC 7208), told from DNS answers that are at hand. Pure.

The library asks for a record in the middle of its work. It is given what was fetched before;
where something is `Missing`, whoever called fetches that and calls again. So no thread waits
for DNS, and the same answers always give the same verdict. The limits of RFC 7208 section
4.6.4 (10 lookups, 2 void ones, 10 names of MX and PTR) are the library's.

A null sender is checked as postmaster at its HELO name (section 2.4). The explanation of a
failure is never fetched: it is a stranger's text.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import spf

from relay.model import Result, Spf
from relay.smtp import domains

Question = tuple[str, str]
"""A name in lower case and a record type."""

Answers = Mapping[Question, Sequence[Any] | None]
"""What was fetched: values of A, AAAA, MX (preference, name), PTR and TXT (tuples of strings).

Empty where there is nothing; None where nobody could say.
"""


class Missing(Exception):  # noqa: N818
    """An answer is needed that is not at hand."""

    def __init__(self, question: Question) -> None:
        super().__init__(*question)
        self.question = question


_at_hand: ContextVar[Answers] = ContextVar("answers")


def _look_up(name: str, kind: str, *_limits: object) -> list[tuple[Question, Any]]:
    question = (name.lower(), kind)
    answers = _at_hand.get()
    if question not in answers:
        raise Missing(question)
    values = answers[question]
    if values is None:
        raise spf.TempError("DNS")
    return [(question, value) for value in values]


spf.DNSLookup = _look_up


class _Query(spf.query):  # type: ignore[misc]
    def get_explanation(self, _spec: str) -> None:
        return None

    def validated_ptrs(self) -> list[str]:
        """The client's names that lead back to it; trouble passes names over (section 5.5)."""
        names = self._or_nothing(self.dns_ptr, self.i)[: spf.MAX_PTR]
        return [
            name for name in names if self.cidrmatch(self._or_nothing(self.dns_a, name, self.A), self.cidrmax)
        ]

    def _or_nothing(self, look_up: Callable[..., list[str]], *asked: str) -> list[str]:
        try:
            return look_up(*asked)
        except spf.TempError:
            return []


def identity(sender: str, helo: str) -> Spf:
    """Whose record is asked: of the sender's domain, or of a null sender's HELO name."""
    domain = domains.of(sender) if sender else domains.ascii_of(helo)
    return Spf(result=Result.NONE, domain=domain, helo=not sender)


def evaluate(*, peer: str, sender: str, helo: str, answers: Answers) -> Spf:
    """The verdict; raises `Missing` for what must be fetched first."""
    asked = identity(sender, helo)
    try:
        ipaddress.ip_address(peer)
    except ValueError:
        return asked  # a unix socket has no address that a record could name
    if "." not in asked.domain:
        return asked  # section 4.3
    local = sender.rpartition("@")[0] or "postmaster"
    query = _Query(peer, f"{local}@{asked.domain}", domains.ascii_of(helo) or "unknown")
    query.l, query.o, query.d = local, asked.domain, asked.domain  # it takes the first @ for the only one
    given = _at_hand.set(answers)
    try:
        said = Result(query.check()[0])
    except Missing:
        raise
    except Exception:  # noqa: BLE001 - the library trips over records in many ways; none is a pass
        said = Result.PERMERROR
    finally:
        _at_hand.reset(given)
    return Spf(result=said, domain=asked.domain, helo=asked.helo)
