"""What the checks of a mail's sender mean together: alignment, DMARC, who is vouched for. Pure.

An identifier that passed a check counts for the author only where it is aligned with the
domain in From: of the same organisational domain, or with strict alignment the very same
(RFC 7489 section 3.1, RFC 9989). A public suffix vouches for itself alone. Whatever could not
be checked now leaves a verdict open only where it could have made it a pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dmarc as library

from relay.model import Result, Spf
from relay.smtp import domains
from relay.smtp.domains import Organisation

Records = Mapping[str, Sequence[bytes] | None]
"""TXT records by name; None where nobody could say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dkim:
    """What became of one signature; `domain` and `selector` are "" where they can't be read."""

    result: Result
    domain: str = ""
    selector: str = ""
    why: str = ""  # our own words, never the mail's


@dataclass(frozen=True, slots=True, kw_only=True)
class Dmarc:
    """What DMARC said of the author's domain, and what its owner asks for."""

    result: Result
    domain: str = ""
    policy: str = ""  # none, quarantine or reject; "" without a record
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arc:
    """What an ARC chain said (RFC 8617): who sealed it, and what the first sealer saw."""

    result: Result
    sealers: frozenset[str] = frozenset()
    passed: str = ""  # the author's domain that passed DMARC there


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """Everything that was found out; None where it was not asked."""

    spf: Spf | None = None
    read: bool = False  # the mail itself was looked at
    author: str = ""  # the address in From, "" where there is not exactly one
    dkim: tuple[Dkim, ...] = ()
    signed: Result = Result.NONE  # the best that a signature of the author's own domain can say
    dmarc: Dmarc | None = None
    arc: Arc | None = None
    vouched: bool = False  # the sender's domain passed a check itself: reports may go there


NOTHING = Verdicts()
"""What is known before anything was asked."""


# -- DMARC ----------------------------------------------------------------------------------


def dmarc_names(domain: str, organisation: Organisation) -> list[str]:
    """Where the record may stand: at the author's domain, else at the organisational one."""
    found = [f"_dmarc.{each}" for each in dict.fromkeys((domain, organisation(domain)))]
    return found if domain else []


_DMARC = re.compile(rb"v\s*=\s*DMARC1\s*(?:;|\Z)")


def dmarc(
    domain: str, records: Records, spf: Spf | None, dkim: Sequence[Dkim], organisation: Organisation
) -> Dmarc:
    """The verdict for the author's domain, "" where there is no author."""
    if not domain:
        return Dmarc(result=Result.FAIL, why="not one author in From")
    for name in dmarc_names(domain, organisation):
        found = records[name]
        if found is None:
            return Dmarc(result=Result.TEMPERROR, domain=domain, why="DNS")
        meant = [each for each in found if _DMARC.match(each)]
        if meant:
            return _judged(domain, name, meant, spf, dkim, organisation)
    return Dmarc(result=Result.NONE, domain=domain)


def _judged(
    domain: str,
    name: str,
    records: Sequence[bytes],
    spf: Spf | None,
    dkim: Sequence[Dkim],
    organisation: Organisation,
) -> Dmarc:
    if len(records) > 1:  # RFC 7489 section 6.6.3: as if there were none
        return Dmarc(result=Result.NONE, domain=domain, why="several records")
    above = None if name == f"_dmarc.{domain}" else name.removeprefix("_dmarc.")
    judge = library.DMARC(_Suffixes(organisation))
    try:
        policy = judge.parse_record(records[0].decode("ascii", "replace"), domain, above, strict=False)
    except library.RecordSyntaxError:
        return Dmarc(result=Result.PERMERROR, domain=domain, why="the record can't be read")
    for counted in ((Result.PASS,), (Result.PASS, Result.TEMPERROR)):
        mine = [each.domain for each in dkim if each.result in counted]
        mine = [each for each in mine if domains.same_organisation(each, domain, organisation)]
        sent = spf.domain if spf is not None and spf.result in counted else ""
        sent = sent if domains.same_organisation(sent, domain, organisation) else ""
        if library.DMARCResult.PASS is judge.get_result(policy, auth_results=_passed(sent, mine)).result:
            return Dmarc(result=counted[-1], domain=domain, policy=_asked(policy))
    return Dmarc(result=Result.FAIL, domain=domain, policy=_asked(policy))


def _passed(sent: str, signed: Sequence[str]) -> library.AuthResults:
    """Identifiers of the author's organisation as the library takes them: it would align `com` as well."""
    return library.AuthResults(
        spf=library.SPFAuthResult(sent, library.SPFResult.PASS) if sent else None,
        dkim=[library.DKIMAuthResult(each, library.DKIMResult.PASS) for each in signed],
    )


def _asked(policy: library.Policy) -> str:
    """What the owner asks for, of a record above the author's domain by its `sp`."""
    found = policy.sp if policy.org_domain and policy.sp.value else policy.p
    return str(found.value)


class _Suffixes:
    """Organisational domains as the library asks for them, by a name that means something else."""

    def __init__(self, organisation: Organisation) -> None:
        self.get_public_suffix = organisation


# -- together -------------------------------------------------------------------------------


def signed(author: str, dkim: Sequence[Dkim], organisation: Organisation) -> Result:
    """What the signatures of the author's own domain say; `none` where there is none."""
    own = [each.result for each in dkim if domains.same_organisation(each.domain, author, organisation)]
    best = (Result.PASS, Result.TEMPERROR, Result.FAIL, Result.POLICY, Result.PERMERROR)
    return next((each for each in best if each in own), Result.NONE)


def vouched(sender: str, spf: Spf | None, dkim: Sequence[Dkim], organisation: Organisation) -> bool:
    """Whether the sender's own domain passed a check: anybody may write another's there."""
    passed = [each.domain for each in dkim if each.result is Result.PASS]
    if spf is not None and spf.result is Result.PASS and not spf.helo:
        passed.append(spf.domain)
    return any(domains.same_organisation(each, domains.of(sender), organisation) for each in passed)
