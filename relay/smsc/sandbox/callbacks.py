"""The calls that the provider makes to a client's handler, of its own accord.

Source: the vendor's page "various", on transmitting statuses and messages to the handler. In the
handler's address what follows `?` goes into the body of a POST, beside the parameters; what
stands between `!` and `?` goes into the query. `charset` chooses windows-1251 (the default), utf-8 or
koi8-r, `fmt=2` XML, `fmt=3` JSON, for which there is no koi8-r. The value of `md5`, `sha1` or
`crc32` is the secret, and is replaced with the hash.

The page's tables are lost: the names of parameters that are not signed, the shape of the XML and how
crc32 is written (here in decimal) are the sandbox's own guess.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote
from xml.sax.saxutils import escape

from relay.smsc.sandbox import schedule
from relay.smsc.sandbox.decode import CHARSETS
from relay.smsc.sandbox.model import TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.smsc.sandbox.formats import Incoming
    from relay.smsc.sandbox.model import Message, Step

ALGORITHMS = ("md5", "sha1", "crc32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One call to the handler."""

    url: str
    content_type: str
    body: bytes


def of_status(handler: str, message: Message, step: Step) -> Post:
    """The call that tells of a message's status."""
    params = {
        "id": message.id,
        "phone": message.phone,
        "status": str(step.status),
        "time": schedule.stamp(step.at),
        "ts": str(int(step.at)),
        "err": str(step.err),
        "type": str(TYPES[message.kind]),
    }
    return _post(handler, params, ("id", "phone", "status"))


def of_message(handler: str, incoming: Incoming) -> Post:
    """The call that tells of a message that a phone sent."""
    params = {
        "id": str(incoming.id),
        "phone": incoming.phone,
        "mes": incoming.message,
        "to": incoming.to_phone,
        "time": schedule.stamp(incoming.sent_at),
        "ts": str(int(incoming.sent_at)),
    }
    return _post(handler, params, ("phone", "mes", "to"))


def of_call(handler: str, phone: str, at: float) -> Post:
    """The call that tells that a subscriber called to confirm his number."""
    params = {"phone": phone, "waitcall": "1", "ts": str(int(at))}
    return _post(handler, params, ("phone", "ts"))


def _post(handler: str, params: Mapping[str, str], signed: tuple[str, ...]) -> Post:
    address, _, posted = handler.partition("?")
    address, _, asked = address.partition("!")
    outside, inside = _listed(asked), _listed(posted)
    said = dict(outside + inside)
    fmt = said.get("fmt", "")
    charset = CHARSETS.get(said.get("charset", ""), "cp1251")
    if fmt in {"2", "3"} and charset == "koi8-r":
        charset = "cp1251"
    text = [params[name] for name in signed]

    def hashed(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [
            (
                name,
                _hash(name, ":".join([*text, value]).encode(charset, "replace"))
                if name in ALGORITHMS
                else value,
            )
            for name, value in pairs
        ]

    whole = [*params.items(), *hashed(inside)]
    url = f"{address}?{_form(hashed(outside), charset).decode()}" if outside else address
    if fmt == "2":
        lines = "".join(f"<{name}>{escape(value)}</{name}>\n" for name, value in whole)
        xml = f'<?xml version="1.0" encoding="{_label(charset)}"?>\n<sms>\n{lines}</sms>'
        return Post(url=url, content_type="text/xml", body=xml.encode(charset, "xmlcharrefreplace"))
    if fmt == "3":
        body = json.dumps(dict(whole), ensure_ascii=False, indent=0).encode(charset, "replace")
        return Post(url=url, content_type="application/json", body=body)
    return Post(url=url, content_type="application/x-www-form-urlencoded", body=_form(whole, charset))


def _hash(algorithm: str, text: bytes) -> str:
    if algorithm == "crc32":
        return str(zlib.crc32(text))
    return hashlib.new(algorithm, text, usedforsecurity=False).hexdigest()


def _listed(query: str) -> list[tuple[str, str]]:
    """The parameters of the handler's address; one without a value has none."""
    pairs = [each.partition("=") for each in query.split("&") if each]
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


def _form(pairs: list[tuple[str, str]], charset: str) -> bytes:
    return "&".join(f"{_quoted(name, charset)}={_quoted(value, charset)}" for name, value in pairs).encode(
        "ascii"
    )


def _quoted(text: str, charset: str) -> str:
    return quote_from_bytes(text.encode(charset, "replace"), safe="").replace("%20", "+")


def _label(charset: str) -> str:
    return next(label for label, codec in CHARSETS.items() if label and codec == charset)
