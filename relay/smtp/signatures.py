"""DKIM signatures and ARC sets, judged with the keys that were fetched (RFC 6376, 8301, 8463, 8617). Pure.

Each signature gets a verdict of its own. Refused whatever the key says: SHA-1 (RFC 8301), a
part of the body only (`l=`: anybody may add to it), From or Subject unsigned, a field twice
that may stand once (the lower one is signed, the upper one is read, RFC 6376 section 8.15),
RSA below 1024 bits or of a size that only costs time, and what has expired. The library does
the rest; what it would let pass, or says with one word for different things, is judged here.

The body is hashed beforehand (`dkim_body`), so only the header block comes here.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import authres
import authres.arc
import authres.dmarc
import dkim
from dkim.canonicalization import CanonicalizationPolicy, InvalidCanonicalizationPolicyError
from dkim.util import InvalidTagValueList, parse_tag_value

from relay.message import headers
from relay.model import Result
from relay.smtp import domains
from relay.smtp.domains import Organisation
from relay.smtp.verdicts import Arc, Dkim, Records

SIGNATURES = 10  # of one mail that are judged
SETS = 10  # of an ARC chain
_LONGEST = 8192  # octets of a signature; long runs of white space cost the library's patterns dearly
_RUN = re.compile(rb"\s{64}")
_SMALLEST, _LARGEST = 1024, 8192  # bits of an RSA key, RFC 8301 section 3.2

Fields = Sequence[tuple[bytes, bytes]]
Hashes = Mapping[str, bytes]
"""SHA-256 of the body by canonicalisation, `simple` and `relaxed`."""

_TROUBLE = (
    dkim.DKIMException,
    InvalidTagValueList,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What the library raises over odd signatures and keys."""

_LINES, _SIZE = 5000, 256 * 1024  # of a header; the library's work grows faster than those
_FOLDED = re.compile(rb"(?:\n[ \t][^\n]*+){300}")
_NAMES = 200  # that a signature may list


def fields_of(header: bytes) -> Fields | None:
    """The fields of a header block, raw; None where it is none by RFC 5322, or costs too much to judge."""
    if len(header) > _SIZE or header.count(b"\n") > _LINES:
        return None
    if _FOLDED.search(header):
        return None
    try:
        found, _ = dkim.rfc822_parse(header)
    except _TROUBLE:
        return None
    return [(name, value) for name, value in found] if _alike(header, [name for name, _ in found]) else None


def _alike(header: bytes, names: Sequence[bytes]) -> bool:
    """Whether those who read the text see the same fields as those who verify it, and no text among them.

    They would begin the text at a folded line of white space alone, or at a very long name; the
    library passes over a line `From : x`, which others read as the author.
    """
    end, text = headers.block_end(header, 0, len(header))
    seen = [name.encode() for name, _ in headers.fields(header[:end])]
    return text == len(header) and seen == [name.lower() for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A DKIM-Signature field as far as it can be read without its key."""

    number: int  # from the top
    domain: str = ""
    selector: str = ""
    flaw: Dkim | None = None  # the verdict, where no key is needed for it

    @property
    def key(self) -> str:
        """Where the key is published."""
        return f"{self.selector}._domainkey.{self.domain}"


# -- DKIM -----------------------------------------------------------------------------------


def of(fields: Fields, author: str, organisation: Organisation, *, now: int) -> list[Signature]:
    """The signatures to judge, those of the author's own domain first; `now` is in milliseconds."""
    values = [value for name, value in fields if name.lower() == b"dkim-signature"][: 10 * SIGNATURES]
    read = [_signature(number, value, fields, now) for number, value in enumerate(values)]
    mine = domains.of(author)
    read.sort(key=lambda each: not domains.same_organisation(each.domain, mine, organisation))
    return read[:SIGNATURES]


def _signature(number: int, value: bytes, fields: Fields, now: int) -> Signature:
    try:
        tags = _tags(value)
    except _TROUBLE:
        return Signature(number=number, flaw=Dkim(result=Result.PERMERROR, why="unreadable"))
    domain, selector = _name(tags.get(b"d", b"")), _name(tags.get(b"s", b""))
    if not domain or not selector:
        return Signature(number=number, flaw=Dkim(result=Result.PERMERROR, why="no domain or selector"))
    found = _flaw(tags, fields, now)
    flaw = Dkim(result=found[0], domain=domain, selector=selector, why=found[1]) if found else None
    return Signature(number=number, domain=domain, selector=selector, flaw=flaw)


def _tags(value: bytes) -> dict[bytes, bytes]:
    if len(value) > _LONGEST or _RUN.search(value):
        raise ValueError("too long")
    tags: dict[bytes, bytes] = parse_tag_value(value)
    return {name: re.sub(rb"\s+", b"", text) for name, text in tags.items()}


def _name(text: bytes) -> str:
    return domains.ascii_of(text.decode("ascii")) if text.isascii() else ""


_ONCE = frozenset((
    b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type",
    b"content-transfer-encoding",
))  # fmt: skip


def _doubled(fields: Fields) -> bool:
    """Whether a field stands twice that may stand once."""
    names = [name.lower() for name, _ in fields if name.lower() in _ONCE]
    return len(names) > len(set(names))


def _left_out(names: Sequence[bytes], fields: Fields) -> str:
    """What must be signed where it is there, and is not."""
    if b"from" not in names:
        return "From"
    there = any(name.lower() == b"subject" for name, _ in fields)
    return "Subject" if there and b"subject" not in names else ""


def _flaw(tags: Mapping[bytes, bytes], fields: Fields, now: int) -> tuple[Result, str] | None:
    """What is wrong with a signature whatever its key."""
    if tags.get(b"a", b"").lower().endswith(b"-sha1"):
        return Result.POLICY, "SHA-1"
    if b"l" in tags:
        return Result.POLICY, "only part of the body is signed"
    names = tags.get(b"h", b"").lower().split(b":")
    if left := _left_out(names, fields):
        return Result.PERMERROR, f"{left} is not signed"
    if len(names) > _NAMES:
        return Result.PERMERROR, "too many fields are signed"
    if _doubled(fields):
        return Result.POLICY, "a field stands twice"
    expires = tags.get(b"x", b"")
    if expires and not (expires.isdigit() and len(expires) <= 12):  # RFC 6376 section 3.5
        return Result.PERMERROR, "unreadable"
    if expires and int(expires) * 1000 < now:
        return Result.FAIL, "expired"
    return None


def judged(header: bytes, signature: Signature, keys: Records, hashes: Hashes) -> Dkim:
    """The verdict on one signature; `keys` has what was fetched under its `key`."""
    if signature.flaw is not None:
        return signature.flaw
    result, why = _judged(header, signature, keys[signature.key], hashes)
    return Dkim(result=result, domain=signature.domain, selector=signature.selector, why=why)


def _judged(
    header: bytes, signature: Signature, records: Sequence[bytes] | None, hashes: Hashes
) -> tuple[Result, str]:
    if records is None:
        return Result.TEMPERROR, "DNS"
    if not records:
        return Result.PERMERROR, "no key"
    flaw: tuple[Result, str] | None = None
    for record in records[:3]:  # more than one is undefined (RFC 6376 section 3.6.2.2)
        found = _with_key(header, signature, record, hashes)
        if found[0] is Result.PASS:
            return found
        flaw = flaw or found
    return flaw or (Result.PERMERROR, "no key")


def _with_key(header: bytes, signature: Signature, record: bytes, hashes: Hashes) -> tuple[Result, str]:
    judge = _Dkim(header, hashes)
    try:
        tags, _, _ = judge.verify_headerprep(signature.number)
        flaw = _key_flaw(record, tags)
        if flaw:
            return flaw
        good = judge.verify(signature.number, dnsfunc=lambda _name, **_: record)
    except _BodyChanged:
        return Result.FAIL, "the body was changed"
    except _TROUBLE:
        return Result.PERMERROR, "unreadable"
    return (Result.PASS, "") if good else (Result.FAIL, "the signature does not fit")


def _key_flaw(record: bytes, tags: Mapping[bytes, bytes]) -> tuple[Result, str] | None:
    """What is wrong with a key for a signature of these tags (RFC 6376 sections 3.6.1 and 6.1.2)."""
    try:
        given = _tags(record)
        if not given[b"p"]:
            return Result.PERMERROR, "the key is revoked"
        key, bits, kind, _ = dkim.evaluate_pk("", record)
    except _TROUBLE:
        return Result.PERMERROR, "the key can't be read"
    algorithm = re.sub(rb"\s+", b"", tags[b"a"])
    identity = re.sub(rb"\s+", b"", tags.get(b"i", b"@" + tags[b"d"])).lower()
    hashes = given.get(b"h", b"sha256").lower().split(b":")
    services = given.get(b"s", b"*").lower().split(b":")
    if algorithm.partition(b"-")[0] != kind or b"sha256" not in hashes:
        return Result.PERMERROR, "the key is for another algorithm"
    if not {b"*", b"email"} & set(services):
        return Result.PERMERROR, "the key is not for mail"
    if b"s" in given.get(b"t", b"").lower().split(b":") and not identity.endswith(b"@" + tags[b"d"].lower()):
        return Result.PERMERROR, "the key is not for subdomains"
    if kind == b"rsa" and not (_SMALLEST <= bits <= _LARGEST and key["publicExponent"].bit_length() <= 32):
        return Result.POLICY, f"an RSA key of {bits} bits"
    return None


class _BodyChanged(dkim.ValidationError):  # type: ignore[misc]
    """The body is not the one that was signed."""


class _Quiet:
    """The library's log: it would quote the mail."""

    def debug(self, *_said: object) -> None:
        pass

    error = debug


class _Body(dkim.DomainSigner):  # type: ignore[misc]
    """A verifier that holds the hashes of the body instead of the body."""

    def __init__(self, header: bytes, hashes: Hashes) -> None:
        super().__init__(header, logger=_Quiet(), minkey=_SMALLEST)
        self.hashes = hashes

    def verify_sig(
        self, sig: dict[bytes, bytes], include: list[bytes], header: tuple[bytes, bytes], dnsfunc: object
    ) -> bool:
        """Compare the body's hash, then let the library verify the header's."""
        if b"bh" in sig:
            self._compare(sig)
            sig = {name: value for name, value in sig.items() if name != b"bh"}
        return bool(super().verify_sig(sig, include, header, dnsfunc))

    def _compare(self, sig: Mapping[bytes, bytes]) -> None:
        if b"l" in sig:
            raise dkim.ValidationError("l=")
        try:
            policy = CanonicalizationPolicy.from_c_value(sig.get(b"c", b"simple/simple"))
            signed = base64.b64decode(re.sub(rb"\s+", b"", sig[b"bh"]), validate=True)
        except (InvalidCanonicalizationPolicyError, binascii.Error) as error:
            raise dkim.MessageFormatError("c= or bh=") from error
        if signed != self.hashes[policy.body_algorithm.name.decode()]:
            raise _BodyChanged("bh=")


class _Dkim(_Body, dkim.DKIM):  # type: ignore[misc]
    pass


class _Arc(_Body, dkim.ARC):  # type: ignore[misc]
    pass


# -- ARC ------------------------------------------------------------------------------------


_ARC_SIGNED = (b"arc-seal", b"arc-message-signature")


def arc_keys(fields: Fields) -> list[str] | None:
    """Where the keys of a chain are published; none without a chain, None where it can't be read."""
    sets = [value for name, value in fields if name.lower() in _ARC_SIGNED]
    if len(sets) > 2 * SETS:
        return None
    try:
        tags = [_tags(value) for value in sets]
    except _TROUBLE:
        return None
    found = [(_name(each.get(b"s", b"")), _name(each.get(b"d", b""))) for each in tags]
    signed = [each[b"h"].lower().split(b":") for each in tags if b"h" in each]
    if not all(map(all, found)) or (sets and _doubled(fields)):
        return None
    if any(_left_out(each, fields) or len(each) > _NAMES for each in signed):
        return None
    return [f"{selector}._domainkey.{domain}" for selector, domain in found]


def arc(header: bytes, keys: Records, hashes: Hashes) -> Arc:
    """The verdict on a chain whose keys were fetched. It is a pass only where every seal holds."""
    if any(found is None for found in keys.values()):
        return Arc(result=Result.TEMPERROR)

    def key(name: bytes, **_: object) -> bytes:
        record = next(iter(keys.get(name.decode("ascii").rstrip(".").lower()) or ()), b"")
        if not record or _key_flaw(record, {b"a": b"rsa-sha256", b"d": b"", b"i": b"@"}):
            raise dkim.KeyFormatError("no key")
        return record

    try:
        said, sets, _ = _Arc(header, hashes).verify(dnsfunc=key)
        if said != b"pass":
            return Arc(result=Result.NONE if said == b"none" else Result.FAIL)
        sealers = frozenset(_name(each["as-domain"]) for each in sets)
        first = next(each["aar-value"] for each in sets if each["instance"] == 1)
        return Arc(result=Result.PASS, sealers=sealers, passed=_passed(first))
    except _TROUBLE:
        return Arc(result=Result.FAIL)


_CONTEXT = authres.FeatureContext(authres.arc, authres.dmarc)


def _passed(results: bytes) -> str:
    """The author's domain that passed DMARC, by an ARC-Authentication-Results of instance 1."""
    _, _, rest = results[:_LONGEST].partition(b";")  # i=1
    try:
        said = _CONTEXT.parse("Authentication-Results: " + rest.decode("ascii").strip())
    except (authres.AuthResError, ArithmeticError, LookupError, TypeError, ValueError):
        return ""
    found = [
        each.value
        for result in said.results
        if (result.method, result.result) == ("dmarc", "pass")
        for each in result.properties
        if (each.type, each.name) == ("header", "from")
    ]
    return domains.ascii_of(found[0]) if len(found) == 1 else ""
