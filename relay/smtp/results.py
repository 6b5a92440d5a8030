"""The Authentication-Results field (RFC 8601): ours is written, forged ones of our name are taken out. Pure.

Whoever reads the mail further on believes what bears our name. So whatever came in under that
name goes, whoever sent it (section 5), and the one that we write names nothing but checked
domains and our own words.
"""

from __future__ import annotations

import re

import authres
import authres.arc
import authres.dmarc

from relay.model import Result
from relay.smtp.verdicts import Verdicts

NAME = "Authentication-Results"

_FIELD = re.compile(rb"authentication-results[ \t]*:", re.IGNORECASE)


def value(host: str, found: Verdicts) -> str:
    """The field's value on one line, "" where nothing was checked."""
    results: list[authres.AuthenticationResult] = []
    if found.spf is not None:
        named = {"smtp_helo" if found.spf.helo else "smtp_mailfrom": found.spf.domain or None}
        results.append(authres.SPFAuthenticationResult(result=found.spf.result.value, **named))
    results += [
        authres.DKIMAuthenticationResult(
            result=each.result.value,
            reason=each.why or None,
            header_d=each.domain or None,
            header_s=each.selector or None,
        )
        for each in found.dkim
    ]
    if found.read and not found.dkim:
        results.append(authres.DKIMAuthenticationResult(result=Result.NONE.value))
    if found.arc is not None:
        results.append(authres.arc.ARCAuthenticationResult(result=found.arc.result.value))
    if found.dmarc is not None:
        results.append(
            authres.dmarc.DMARCAuthenticationResult(
                result=found.dmarc.result.value,
                result_comment=f"p={found.dmarc.policy}" if found.dmarc.policy else None,
                reason=found.dmarc.why or None,
                header_from=found.dmarc.domain or None,
            )
        )
    if not results:
        return ""
    header = authres.AuthenticationResultsHeader(authserv_id=host, results=results)
    return str(header).removeprefix(f"{NAME}: ")


def stripped(header: bytes, host: str) -> bytes:
    """The header block without those fields that bear our name; as it was where there are none."""
    if NAME.lower().encode() not in header.lower():
        return header
    kept: list[bytes] = []
    pieces: list[bytes] = []  # the lines of the field at hand, where it is one of those
    for line in [*header.splitlines(keepends=True), b""]:
        if line[:1] in (b" ", b"\t") and pieces:
            pieces.append(line)
            continue
        if pieces and not _ours(b"".join(pieces), host):
            kept += pieces
        pieces = [line] if _FIELD.match(line) else []
        kept += [] if pieces else [line]
    return b"".join(kept)


def _ours(raw: bytes, host: str) -> bool:
    """Whether a field bears our name, however it is dressed up; in doubt it does."""
    value = raw.partition(b":")[2].decode("latin-1")
    server = _uncommented(value).partition(";")[0]
    plain = "".join(each for each in server if each not in '"\\')
    return re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w.-])", plain, re.IGNORECASE) is not None


def _uncommented(text: str) -> str:
    kept, depth, skip = [], 0, False
    for each in text:
        if skip:
            skip = False
        elif each == "\\" and depth:
            skip = True
        elif each in "()":
            depth = max(0, depth + (1 if each == "(" else -1))
        elif not depth:
            kept.append(each)
    return text if depth else "".join(kept)  # a comment without an end hides nothing
