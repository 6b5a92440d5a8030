"""The bytes of a call become parameters and files.

Source: the vendor's page on sending. Every endpoint takes GET, POST and multipart. A
value is decoded in the charset that the same request names (windows-1251 by default), so
bytes are unquoted here and not by the web framework, which would take them for UTF-8.
Files are those parts that bear a file name; the names of their fields mean nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from relay.smsc.sandbox.model import File, RefusalError

CHARSETS = {"": "cp1251", "windows-1251": "cp1251", "utf-8": "utf-8", "koi8-r": "koi8-r"}

_BOUNDARY = re.compile(rb'boundary\s*=\s*(?:"([^"]+)"|([^\s;]+))', re.IGNORECASE)
_ATTRIBUTE = re.compile(rb'(?:^|;)\s*([a-z-]+\*?)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^;]*))', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A call's parameters and files; `charset` is a Python codec."""

    params: dict[str, str] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    charset: str = "cp1251"
    known: bool = True  # whether the provider knows the charset


def decode(query: bytes, content_type: str, body: bytes) -> Decoded:
    """Read a call to `/sys/…`: the body's parameters win over the address's."""
    raw = _pairs(query)
    parts: list[tuple[dict[bytes, bytes], str, bytes]] = []
    media = content_type.partition(";")[0].strip().lower()
    if media == "multipart/form-data":
        boundary = _BOUNDARY.search(content_type.encode("latin-1", "replace"))
        for part in _parts(body, boundary[1] or boundary[2]) if boundary else ():
            disposition, _, content = part
            if b"filename" in disposition or b"filename*" in disposition:
                parts.append(part)
            else:
                raw.append((disposition.get(b"name", b""), content))
    elif media in {"", "application/x-www-form-urlencoded"}:
        raw += _pairs(body)
    named = next((value for key, value in reversed(raw) if key == b"charset"), b"")
    label = named.decode("latin-1").strip().lower()
    charset = CHARSETS.get(label, "cp1251")
    return Decoded(
        params={key.decode(charset, "replace"): value.decode(charset, "replace") for key, value in raw},
        files=[File(_file_name(disposition, charset), kind, content) for disposition, kind, content in parts],
        charset=charset,
        known=label in CHARSETS,
    )


def decode_json(body: bytes) -> Decoded:
    """Read a call to `/rest/send/`: one flat object in UTF-8, named as send.php names them."""
    try:
        found = json.loads(body.decode("utf-8-sig"))
    except ValueError:
        raise RefusalError(1) from None
    if not isinstance(found, dict):
        raise RefusalError(1)
    return Decoded(params={key: _text(value) for key, value in found.items()}, charset="utf-8")


def _text(value: object) -> str:
    """Return a JSON value as the form would have written it."""
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
        case list():
            # Nobody has seen whether the provider takes arrays of numbers; be kind.
            return ",".join(_text(item) for item in value)
        case _:
            return str(value)


def _pairs(raw: bytes) -> list[tuple[bytes, bytes]]:
    pairs = []
    for piece in raw.split(b"&"):
        if piece:
            key, _, value = piece.partition(b"=")
            pairs.append((_unquote(key), _unquote(value)))
    return pairs


def _unquote(raw: bytes) -> bytes:
    return unquote_to_bytes(raw.replace(b"+", b" "))


def _parts(body: bytes, boundary: bytes) -> list[tuple[dict[bytes, bytes], str, bytes]]:
    """Return each part's disposition, content type and content (RFC 7578)."""
    found = []
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary)[1:]:
        if piece.startswith(b"--"):
            break
        head, gap, content = piece.lstrip(b" \t").removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not gap:
            continue
        headers = {}
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        rest = headers.get(b"content-disposition", b"").partition(b";")[2]
        disposition = {match[1].lower(): _value(match) for match in _ATTRIBUTE.finditer(rest)}
        found.append((disposition, headers.get(b"content-type", b"").decode("latin-1"), content))
    return found


def _value(match: re.Match[bytes]) -> bytes:
    """Return an attribute's value: in quotes, a backslash guards a quote or another backslash."""
    quoted: bytes | None = match[2]
    return match[3].strip() if quoted is None else re.sub(rb'\\(["\\])', rb"\1", quoted)


def _file_name(disposition: dict[bytes, bytes], charset: str) -> str:
    """Return a part's file name without folders: raw UTF-8, else in the request's charset."""
    raw = disposition.get(b"filename")
    if raw is None:
        raw = unquote_to_bytes(disposition[b"filename*"].rpartition(b"'")[2])
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = raw.decode(charset, "replace")
    return re.split(r"[\\/]", name)[-1]
