"""Header fields: cut from a block, unfolded, decoded (RFC 5322, 2047, 2231), broken ones too.

Names and values stay octets until somebody needs their text, since what mailers write there
without encoding it bears no label: the caller may hint at the charset of the body. Every
loop here is linear in its input, and inputs are bounded where they are cut.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from relay.message import charsets, transfer
from relay.message.again import remembered

Field = tuple[str, bytes]  # a name in lower case, a raw value on one line

FIELDS = 1000  # of one block; further ones are left out
VALUE = 32 * 1024  # octets of one raw value
_BLOCK = 4 * 1024 * 1024  # octets of a block that are looked at line by line, and lines of it:
_LINES = 50_000
_NAME = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


_PLAIN_BLOCK = re.compile(
    rb"(?:[!-9;-~]{1,200}+[ \t]{0,9}+:[^\n]*+\n(?:[ \t]{1,9}+[^\s][^\n]*+\n)*+)++(?=\r?\n)"
)
"""A header block as nearly all mails have it, in one look: fields, folded or not, above an empty line."""
_PLAIN_SIZE = 64 * 1024


def block_end(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the header block at `start` ends and where the body begins.

    The first line that is neither a field nor a folded one begins the body, even without a
    blank line: a device's text is worth more than its form.
    """
    plain = _PLAIN_BLOCK.match(raw, start, min(end, start + _PLAIN_SIZE))
    if plain:
        at = plain.end()
        return at, at + (1 if raw[at] == 0x0A else 2)
    return _by_line(raw, start, end)


def _by_line(raw: bytes, start: int, end: int) -> tuple[int, int]:
    at, lines = start, 0
    while at < end:
        lines += 1
        if lines > _LINES or at - start > _BLOCK:
            return _blank_line(raw, at - 1, end)
        stop = raw.find(b"\n", at, end)
        following = end if stop < 0 else stop + 1
        if not raw[at : min(following, at + 200)].strip():
            return at, following
        unread = at == start and raw.startswith((b"From ", b">From "), at, end)  # mbox's own line
        folded = raw[at : at + 1] in (b" ", b"\t") and at > start
        if not folded and not unread and not _NAME.match(raw, at, following):
            return at, at
        at = following
    return end, end


def _blank_line(raw: bytes, at: int, end: int) -> tuple[int, int]:
    found = [(spot, spot + len(gap)) for gap in (b"\n\n", b"\n\r\n") if (spot := raw.find(gap, at, end)) >= 0]
    return min(found, default=(end, end))


def fields(block: bytes) -> tuple[Field, ...]:
    """The fields of a header block, each value unfolded to one line."""
    found: list[tuple[str, list[bytes]]] = []
    for each in block.split(b"\n", _LINES)[:_LINES]:
        if each.startswith((b" ", b"\t")):
            if found and len(found[-1][1]) < FIELDS:
                found[-1][1].append(each[:VALUE].strip())
        elif (named := _NAME.match(each)) and len(found) < FIELDS:
            found.append((_named(named[1]), [each[named.end() : named.end() + VALUE].strip()]))
    return tuple(
        [(name, b" ".join(lines)[:VALUE].strip() if len(lines) > 1 else lines[0]) for name, lines in found]
    )


@lru_cache(maxsize=512)
def _named(name: bytes) -> str:
    return name.decode("ascii").lower()


def first(all_fields: tuple[Field, ...], name: str) -> bytes:
    """The raw value of the first field of this name, b"" where there is none."""
    for key, value in all_fields:
        if key == name:
            return value
    return b""


def line(text: str) -> str:
    """The text on one line: control characters and line ends are spaces."""
    return _CONTROLS.sub(" ", text).strip()


# -- encoded words (RFC 2047) ---------------------------------------------------------------


def decode(value: bytes, hint: str = "") -> str:
    """The text of a raw value: encoded words read, other octets by `charsets.decode`.

    Words that adjoin are joined before their characters are decoded, since mailers cut
    them inside a character.
    """
    if b"=?" not in value and value.isascii() and (plain := value.decode("ascii")).isprintable():
        return plain.strip()
    pieces: list[tuple[str, bytes]] = []  # the charset of an encoded word or "", octets
    for kind, charset, octets in _words(value):
        if kind and pieces and pieces[-1][0] == charset:
            pieces[-1] = (charset, _joined(pieces[-1][1], octets))
        elif kind and len(pieces) > 1 and not pieces[-1][0] and pieces[-2][0] and not pieces[-1][1].strip():
            pieces.pop()  # white space between two encoded words is not shown
            same = pieces[-1][0] == charset
            pieces[-1:] = (
                [(charset, _joined(pieces[-1][1], octets))] if same else [pieces[-1], (charset, octets)]
            )
        else:
            pieces.append((charset, octets))
    return line("".join(_text(octets, charset, hint) for charset, octets in pieces))


def _text(octets: bytes, charset: str, hint: str) -> str:
    if not charset:
        return charsets.decode(octets, hint=hint)
    data = transfer.base64_text(octets[1:]) if octets[:1] == b"b" else _q(octets[1:])
    return charsets.decode(data, charset, hint)


def _joined(before: bytes, after: bytes) -> bytes:
    """Two encoded words of one charset as one; each begins with the letter of its encoding."""
    if before[:1] == after[:1] == b"b" and not before.endswith(b"="):
        return before + after[1:]
    return b"q" + _as_q(before) + _as_q(after)


def _as_q(word: bytes) -> bytes:
    if word[:1] == b"q":
        return word[1:]
    return b"".join(b"=%02X" % octet for octet in transfer.base64_text(word[1:]))


def _q(text: bytes) -> bytes:
    return binascii.a2b_qp(text.replace(b"\r", b"").replace(b"\n", b""), header=True)


def _words(value: bytes) -> Iterator[tuple[bool, str, bytes]]:
    """The value in pieces: encoded or not, charset, octets."""
    at = 0
    while (start := value.find(b"=?", at)) >= 0:
        word = _word(value, start)
        if word is None:
            stop = start + 2
            yield False, "", value[at:stop]
        else:
            charset, encoding, octets, stop = word
            if start > at:
                yield False, "", value[at:start]
            yield True, charset, encoding + octets
        at = stop
    if at < len(value):
        yield False, "", value[at:]


def _word(value: bytes, start: int) -> tuple[str, bytes, bytes, int] | None:
    """The encoded word at `start`: charset, encoding, octets, where it stops."""
    mark = value.find(b"?", start + 2, start + 82)
    encoding = value[mark + 1 : mark + 3].lower()
    if mark < 0 or encoding not in (b"b?", b"q?"):
        return None
    charset = value[start + 2 : mark].decode("latin-1").partition("*")[0].strip().lower()
    stop = value.find(b"?=", mark + 3)
    if stop < 0:  # the closing mark was lost, with a cut header for example
        stop = len(value)
    return charset or "x-unknown", encoding[:1], value[mark + 3 : stop], min(stop + 2, len(value))


# -- parameters (RFC 2045 section 5.1, RFC 2231) --------------------------------------------


_LONGEST_PARAMETER = 2048  # octets: no file name is longer, and each is decoded more than once


def parameters(value: bytes) -> tuple[str, dict[str, bytes]]:
    """A value such as Content-Type's: its first word in lower case, and its raw parameters."""
    if not value:
        return "", {}
    head, *rest = _semicolons(value)
    if b"=" in head:  # the first semicolon was forgotten
        head, *forgotten = head.split(None, 1)
        rest = [*forgotten, *rest]
    found: dict[str, bytes] = {}
    for each in rest[:100]:
        name, equals, text = each.partition(b"=")
        key = name.strip().decode("latin-1").lower()
        if equals and key:
            found.setdefault(key, _unquoted(text.strip())[:_LONGEST_PARAMETER])
    return head.partition(b"(")[0].strip(b" \t,").decode("latin-1").lower(), found


def _semicolons(value: bytes) -> list[bytes]:
    """The value cut at semicolons outside quotes."""
    if b'"' not in value:
        return value.split(b";")
    pieces, start, quoted, skip = [], 0, False, False
    for at, octet in enumerate(value):
        if skip:
            skip = False
        elif quoted and octet == 0x5C:
            skip = True
        elif octet == 0x22:
            quoted = not quoted
        elif octet == 0x3B and not quoted:
            pieces.append(value[start:at])
            start = at + 1
    return [*pieces, value[start:]]


def _unquoted(text: bytes) -> bytes:
    if text[:1] == b'"':
        text = text[1:].partition(b'"')[0] if b"\\" not in text else text[1:].rpartition(b'"')[0] or text[1:]
        return re.sub(rb'\\(["\\])', rb"\1", text)
    return text.partition(b" (")[0].strip(b"'\" ") if b"=?" not in text else text


def parameter(found: Mapping[str, bytes], name: str, hint: str = "") -> str:
    """A parameter's text: plain, continued or encoded by RFC 2231, or by RFC 2047 against it."""
    if name in found:
        plain = found[name]
        if b"=?" not in plain and b"%" in plain and plain.lower().startswith((b"utf-8''", b"utf8''")):
            return _extended(plain, hint)
        if f"{name}*" not in found and f"{name}*0*" not in found:
            return decode(plain, hint)
    if f"{name}*" in found:
        return _extended(found[f"{name}*"], hint)
    return _continued(found, name, hint)


def _extended(value: bytes, hint: str) -> str:
    charset, quote, rest = value.partition(b"'")
    text = rest.partition(b"'")[2] if quote else value
    label = charset.decode("latin-1") if quote else ""
    return line(charsets.decode(unquote_to_bytes(text), label, hint))


def _continued(found: Mapping[str, bytes], name: str, hint: str) -> str:
    """The pieces name*0, name*1*, …; the first encoded one bears the charset."""
    if not found:
        return ""
    octets, label, encoded = [], "", False
    for number in range(100):
        if f"{name}*{number}*" in found:
            value = found[f"{name}*{number}*"]
            if number == 0 and value.count(b"'") >= 2:
                charset, _, rest = value.partition(b"'")
                label, value = charset.decode("latin-1"), rest.partition(b"'")[2]
            octets.append(unquote_to_bytes(value))
            encoded = True
        elif f"{name}*{number}" in found:
            octets.append(found[f"{name}*{number}"])
        else:
            break
    joined = b"".join(octets)
    return line(charsets.decode(joined, label, hint)) if encoded else decode(joined, hint)


# -- names and addresses --------------------------------------------------------------------

_RESERVED = re.compile(r'[<>:"|?*\\/]+')
_NAME_LENGTH = 100


def file_name(text: str) -> str:
    """A file name without a path or anything that harms, its alphabet and its ending kept."""
    if not text:
        return ""
    text = line(charsets.clean(text)).replace("\\", "/").rpartition("/")[2]
    text = "".join(c for c in text if c.isprintable())
    text = _RESERVED.sub("_", " ".join(text.split())).strip(" .'")
    if len(text) <= _NAME_LENGTH:
        return text
    stem, dot, ending = text.rpartition(".")
    if not dot or len(ending) > 10:
        return text[:_NAME_LENGTH]
    return stem[: _NAME_LENGTH - len(ending) - 1].rstrip() + dot + ending


@remembered
def address(value: bytes, hint: str = "") -> str:
    """The bare address of the first mailbox in a From value, "" where there is none."""
    bare = unquoted(decode(value[:4096], hint))
    words = re.findall(r'"[^"]*"@[^\s,;<>]+|[^\s,;<>]+', bare)
    inside = bare.partition("<")[2].partition(">")[0].strip()
    return next((each for each in (inside, *words) if "@" in each.strip("@") and each.isprintable()), "")


_QUOTING = re.compile(r'["()\\]')


def unquoted(text: str) -> str:
    """The text without comments and quoted strings, but a quoted local part stays."""
    if not _QUOTING.search(text):
        return text
    kept, depth, opened, skip = [], 0, -1, False
    for at, each in enumerate(text):
        if skip:
            skip = False
        elif each == "\\":
            skip = True
        elif each == '"' and not depth:
            if opened >= 0 and text[at + 1 : at + 2] == "@":
                kept.append(text[opened : at + 1])
            opened = at if opened < 0 else -1
        elif opened >= 0:
            continue
        elif each in "()":
            depth = max(0, depth + (1 if each == "(" else -1))
        elif not depth:
            kept.append(each)
    return "".join(kept)
