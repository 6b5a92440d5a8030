"""The provider's calls to our handler as values: statuses, messages from phones, confirming calls.

Vendor's page: various, "Transmitting statuses and messages to the Client handler". Its tables
of parameters are lost, so that whatever is not signed may lack, and the form is read with
charity: the fields of a form, an XML document (`fmt=2`) or a JSON object (`fmt=3`), told by
their first letter; what the handler's address had before its `?` (the vendor's `!`) comes in
the query. A call is what its fields say: `waitcall` a confirming call, `mes` a message from a
phone, else a status.

What is signed is a text of the fields and the secret, `id:phone:status:SECRET`,
`phone:mes:to:SECRET` or `phone:ts:SECRET`. It is checked upon the octets that came. XML may have
no DTD and so no entities of its own.
"""

from __future__ import annotations

import codecs
import contextlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import md5, sha1
from urllib.parse import unquote_to_bytes
from zlib import crc32

from lxml import etree

from relay.smsc import reading
from relay.smsc.reading import Unreadable
from relay.smsc.wire import LOOKUP

MOST = 64 * 1024
"""Octets of a call's body that are read at most."""
ALGORITHMS = ("md5", "sha1", "crc32")
_FIELDS = 200
_CODECS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "windows-1251": "cp1251",
    "cp1251": "cp1251",
    "koi8-r": "koi8-r",
}
_IN_HEADER = re.compile(r"charset\s{0,5}=\s{0,5}\"?([a-z0-9-]{1,20})", re.IGNORECASE)
_DECLARATION = re.compile(r"\s{0,100}<\?xml[^>]{0,200}\?>")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORBIDDEN = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of a message of ours. `at` is the provider's own time for it."""

    id: str
    phone: str
    status: int
    err: int | None = None
    at: int | None = None
    cost: str = ""
    lookup: Mapping[str, str] = field(default_factory=dict)  # what an HLR query found, by wire.LOOKUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A message that a phone sent to one of the account's numbers. `id` is the provider's, if it has one."""

    phone: str
    text: str
    to: str = ""
    id: str = ""
    stamp: str = ""  # its time as it came: tells a repeat from the same words said again
    at: int | None = None  # the same, where it is one that can be read


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCall:
    """A subscriber called a number of the provider's, to confirm that the phone is his."""

    phone: str
    to: str = ""
    stamp: str = ""
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One call to the handler. `signed` are the texts, without the secret, that a signature may be of."""

    news: Status | Incoming | WaitCall
    signed: tuple[bytes, ...]
    signatures: tuple[tuple[str, str], ...]  # the algorithm and what it is said to give, every one that came


Fields = Mapping[str, bytes]

CONFIRMING = "[waitcall]"
"""How the text of a message begins in which the provider records a confirming call."""


def meaning(told: Incoming) -> Incoming | WaitCall:
    """What a message is: a phone's own, or the record of its call."""
    if told.text.lstrip().startswith(CONFIRMING):
        return WaitCall(phone=told.phone, to=told.to, stamp=told.stamp, at=told.at)
    return told


def read(query: bytes, content_type: str, body: bytes) -> Callback | Unreadable:
    """What a call says, of its raw query, the header Content-Type and the body; raises nothing."""
    if len(query) + len(body) > MOST:
        return Unreadable(why="too much")
    asked = list(_form(query))
    charset = _charset(asked)
    body = body.strip().removeprefix(codecs.BOM_UTF8)
    match body[:1]:
        case b"{" | b"[":
            found, within = _json(_decoded(body, charset, content_type)), "utf-8"
        case b"<":
            found, within = _xml(_decoded(body, charset, content_type)), "utf-8"
        case _:
            found = list(_form(body))
            within = charset = _charset(found) or charset
    if isinstance(found, Unreadable):
        return found
    if len(asked) + len(found) > _FIELDS:
        return Unreadable(why="too many parameters")
    values = {name: _decoded(value, charset, content_type).replace("\0", "") for name, value in asked}
    values |= {name: _decoded(value, within, content_type).replace("\0", "") for name, value in found}
    news = _news(values)
    if isinstance(news, Unreadable):
        return news
    pairs = [*asked, *found]
    signatures = [(name, _ascii(value)) for name, value in pairs if name in ALGORITHMS and value]
    return Callback(
        news=news,
        signed=tuple(_signed(dict(pairs), values, news)),
        signatures=tuple(dict.fromkeys(signatures)),
    )


def verified(callback: Callback, secret: str) -> bool:
    """Whether the call is signed with the secret: every signature that it bears is right, and one is there.

    Compared in constant time. No secret verifies nothing.
    """
    if not secret or not callback.signatures:
        return False
    right = [
        any([_same(name, value, text + b":" + secret.encode()) for text in callback.signed])  # noqa: C419 - all
        for name, value in callback.signatures
    ]
    return all(right)


def _same(algorithm: str, value: str, text: bytes) -> bool:
    given = value.strip().lower().encode()
    match algorithm:
        case "md5":
            wanted = [md5(text, usedforsecurity=False).hexdigest()]
        case "sha1":
            wanted = [sha1(text, usedforsecurity=False).hexdigest()]
        case _:
            # How the number is written the page does not say: decimal as PHP's crc32(), or hex as its hash().
            wanted = [str(crc32(text)), f"{crc32(text):08x}", f"{crc32(text):x}"]
    return any([hmac.compare_digest(given, each.encode()) for each in wanted])  # noqa: C419 - all are compared


# -- the body -----------------------------------------------------------------------------


def _form(octets: bytes) -> Iterator[tuple[str, bytes]]:
    for each in octets.split(b"&", _FIELDS + 1):
        name, equals, value = each.partition(b"=")
        if name.strip() and (equals or value):
            yield _ascii(_unquoted(name)).strip(), _unquoted(value)


def _unquoted(octets: bytes) -> bytes:
    return unquote_to_bytes(octets.replace(b"+", b" "))


def _json(text: str) -> list[tuple[str, bytes]] | Unreadable:
    try:
        value = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return Unreadable(why="broken JSON")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return Unreadable(why="JSON, but not an object")
    return [(name, _octets(each)) for name, each in value.items() if isinstance(each, str)]


def _xml(text: str) -> list[tuple[str, bytes]] | Unreadable:
    """Every attribute and every element that holds no other, by its name; the names may stand once."""
    declaration = _DECLARATION.match(text)
    text = text[declaration.end() :] if declaration else text
    text = _NO_XML.sub("", text)
    if _FORBIDDEN.search(text):
        return Unreadable(why="XML with a DTD")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False
    )
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return Unreadable(why="broken XML")
    found: list[tuple[str, bytes]] = []
    for element in root.iter(etree.Element):
        found += [(str(name), _octets(str(value))) for name, value in element.attrib.items()]
        if len(element) == 0 and element is not root:
            found.append((str(element.tag), _octets(element.text or "")))
    if len({name for name, _ in found}) < len(found):
        return Unreadable(why="XML that says one thing twice")
    return found


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _ascii(octets: bytes) -> str:
    return octets.decode("ascii", "replace")


# -- charsets -----------------------------------------------------------------------------


def _charset(pairs: Iterable[tuple[str, bytes]]) -> str:
    """The codec that a parameter `charset` names, "" where none does."""
    named = [_CODECS.get(_ascii(value).strip().lower(), "") for name, value in pairs if name == "charset"]
    return named[-1] if named else ""


def _decoded(octets: bytes, charset: str, content_type: str) -> str:
    """The text of octets: by the parameter `charset`, if it is that, else by what the octets look like.

    The header is believed last: the provider names windows-1251 there whatever it writes.
    """
    if charset in ("", "utf-8"):
        try:
            return octets.decode("utf-8-sig")
        except UnicodeDecodeError:
            in_header = _IN_HEADER.search(content_type[:200])
            charset = _CODECS.get(in_header[1].lower(), "") if in_header else ""
    if charset in ("cp1251", "koi8-r"):
        return octets.decode(charset, "replace")
    return reading.decoded(octets)


# -- the meaning --------------------------------------------------------------------------


def _news(values: Mapping[str, str]) -> Status | Incoming | WaitCall | Unreadable:
    phone, to = values.get("phone", "").strip(), values.get("to", "").strip()
    stamp = next((values[name] for name in ("ts", "time", "sent") if values.get(name)), "")
    if not phone:
        return Unreadable(why="no phone")
    if "waitcall" in values:
        return WaitCall(phone=phone, to=to, stamp=stamp, at=_moment(values))
    if "mes" in values:
        id_ = (values.get("id") or values.get("sms_id") or "").strip()
        return meaning(
            Incoming(phone=phone, text=values["mes"], to=to, id=id_, stamp=stamp, at=_moment(values))
        )
    status, id_ = reading.number(values.get("status")), values.get("id", "").strip()
    if status is None or not id_:
        return Unreadable(why="neither a status nor a message")
    return Status(
        id=id_,
        phone=phone,
        status=status,
        err=reading.number(values.get("err")),
        at=_moment(values),
        cost=reading.amount(values.get("cost")),
        lookup={name: reading.text(values[name]) for name in LOOKUP if name in values},
    )


def _moment(values: Mapping[str, str]) -> int | None:
    stamp = reading.number(values.get("ts")) or 0
    return stamp * 1000 if 0 < stamp < 1 << 40 else None


def _signed(raw: Fields, values: Mapping[str, str], news: Status | Incoming | WaitCall) -> list[bytes]:
    """The texts that are signed. JSON and XML were decoded: there any charset may have been meant."""
    rows: list[tuple[str, ...]]
    match news:
        case Status():
            rows = [("id", "phone", "status")]
        case Incoming():
            rows = [("phone", "mes", "to")]
        case _:
            rows = [("phone", "ts"), ("phone", "mes", "to")] if "mes" in raw else [("phone", "ts")]
    texts = [b":".join(raw.get(name, b"") for name in row) for row in rows]
    for codec in ("cp1251", "koi8-r"):
        with contextlib.suppress(UnicodeEncodeError):
            texts += [":".join(values.get(name, "") for name in row).encode(codec) for row in rows]
    return list(dict.fromkeys(texts))
