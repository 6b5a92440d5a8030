"""Foreign text made safe for the header lines and the fields of a report.

Everything that a report quotes was written by somebody else: the mail, its envelope, the
provider. Whatever it holds, what leaves this file is one line without control characters,
of bounded length, that can't begin another field. The encodings are those of RFC 2045
(bodies), RFC 2047 (words of a header), RFC 3461 section 4 (xtext) and RFC 6533 section 3
(utf-8 addresses).
"""

from __future__ import annotations

import base64
import quopri
import re
import textwrap
from datetime import UTC, datetime
from email.utils import format_datetime, formataddr, parseaddr

LIMIT = 400  # characters of a quoted sentence
ADDRESS_LIMIT = 800  # octets: more than any address of RFC 5321 has, less than a line may have

_LATEST = 253_402_300_799_000  # the last second of the year 9999
_DOT_STRING = r"[^\s<>(),:;@\\\"\[\]]+"
_QUOTED_STRING = r'"(?:[^"\\]|\\.)*"'
_MAILBOX = re.compile(rf"(?:{_DOT_STRING}|{_QUOTED_STRING})@[^\s<>()@,;\\\"]+")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,240}>")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}", re.ASCII)
_ATOM = re.compile(r"[A-Za-z0-9-]{1,40}")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_UNITEXT = re.compile(r"\\x\{([0-9A-F]{2,6})\}")


def clean(text: str, limit: int = LIMIT) -> str:
    """One printable line of at most `limit` characters."""
    line = "".join(c if c.isprintable() else " " for c in text[: limit + 1]).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plain(text: str, limit: int = LIMIT) -> str:
    """The same in ASCII, for fields that can hold nothing else."""
    return clean(text, limit).encode("ascii", "replace").decode("ascii")


def encoded(text: str) -> str:
    """A cleaned line as RFC 2047 words, where plain ASCII can't say it."""
    if text.isascii() and "=?" not in text:
        return text
    chunks = [b""]
    for each in text:
        octets = each.encode()
        if len(chunks[-1]) + len(octets) > 27:  # short, for it shares its line with the field's name
            chunks.append(b"")
        chunks[-1] += octets
    return " ".join(f"=?utf-8?B?{base64.b64encode(chunk).decode()}?=" for chunk in chunks)


def field(name: str, value: str, *, fold: bool = True) -> str:
    """A whole field with its line end, folded at its spaces; addresses are not folded."""
    start = f"{name}: "
    if not fold or len(start) + len(value) <= 76:
        return f"{start}{value}\r\n"
    lines = textwrap.wrap(
        value, 76, initial_indent=start, subsequent_indent=" ", break_long_words=False, break_on_hyphens=False
    )
    return "\r\n".join(lines) + "\r\n"


# -- values of their own grammar ----------------------------------------------------------


def mailbox(address: str) -> str:
    """The address where RFC 5321's grammar allows it, else "".

    One that holds the beginning of an encoded word gets none: software that decodes where
    RFC 2047 section 5 forbids it would read another address, or line ends.
    """
    fits = len(address.encode(errors="replace")) <= ADDRESS_LIMIT and address.isprintable()
    return address if fits and "=?" not in address and _MAILBOX.fullmatch(address) else ""


def author(value: str, hostname: str) -> str:
    """A From header such as `SMS relay <postmaster@…>`; an unusable one gets a stand-in."""
    name, address = parseaddr(clean(value))
    if not (mailbox(address) and address.isascii()):
        address = f"postmaster@{hostname}"
    if not name:
        return address
    if encoded(name) == name:
        return formataddr((name, address))
    return f"{encoded(name)} <{address}>"


def results(value: str) -> bytes:
    """Our Authentication-Results (RFC 8601), a line for each result; b"" where nothing was checked."""
    folded = value.replace("; ", ";\r\n\t")
    return f"Authentication-Results: {folded}\r\n".encode("ascii", "replace") if value else b""


def host(name: str) -> str:
    """A host name in ASCII, "" where nothing of it can be used."""
    if not name.isascii():
        try:
            name = name[:255].encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return re.sub(r"[^A-Za-z0-9.:_\[\]-]", "", name[:255])


def status(value: str, otherwise: str) -> str:
    """An enhanced status (RFC 3463), or the stand-in."""
    return value if _STATUS.fullmatch(value) else otherwise


def message_ids(text: str, most: int = 20) -> list[str]:
    """The message ids that a References header holds: the first and the last ones."""
    found = list(dict.fromkeys(_MESSAGE_ID.findall(text[:32_000])))
    return found if len(found) <= most else found[:1] + found[len(found) - most + 1 :]


def date(moment: int) -> str:
    """A moment as RFC 5322 writes it."""
    return format_datetime(_time(moment))


def shown(moment: int) -> str:
    """A moment as people read it, in any language."""
    return _time(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def _time(moment: int) -> datetime:
    return datetime.fromtimestamp(min(max(moment, 0), _LATEST) // 1000, UTC)


# -- addresses and the envelope id (RFC 3461, RFC 6533) -----------------------------------


def decode_xtext(text: str) -> str:
    """What xtext stands for; as it came where that would not be printable ASCII."""
    decoded = _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)
    return decoded if decoded.isascii() and decoded.isprintable() else text


def typed_address(address: str, *, wide: bool) -> str:
    """`rfc822; address`, or the utf-8 type: as it is where `wide`, else in ASCII escapes."""
    address = clean(address, ADDRESS_LIMIT)
    if address.isascii():
        return f"rfc822; {address}"
    return f"utf-8; {_fitting(address) if wide else _unitext(address)}"


def original_address(orcpt: str, *, wide: bool) -> str:
    """What ORCPT said, ready for Original-Recipient; "" where it has no type."""
    kind, semicolon, value = clean(orcpt, ADDRESS_LIMIT).partition(";")
    if not semicolon or not _ATOM.fullmatch(kind):
        return ""
    if kind.lower() == "utf-8":
        address = clean(_UNITEXT.sub(_character, value), ADDRESS_LIMIT)
        return f"{kind}; {_fitting(address) if wide else _unitext(address)}"
    if not value.isascii():
        return typed_address(value, wide=wide)
    return f"{kind}; {decode_xtext(value)}"


def _fitting(address: str) -> str:
    return address.encode()[:ADDRESS_LIMIT].decode(errors="ignore")


def _unitext(address: str) -> str:
    """The utf-8-addr-xtext form: all but plain visible ASCII as a code point in braces."""
    escaped = ""
    for each in address:
        fits = "!" <= each <= "~" and each not in "+=\\"
        escaped += each if fits else f"\\x{{{ord(each):02X}}}"
        if len(escaped) > ADDRESS_LIMIT:  # no real address gets here; a line must not burst
            break
    return escaped


def _character(escape: re.Match[str]) -> str:
    point = int(escape[1], 16)
    return chr(point) if point <= 0x10FFFF else escape[0]


# -- bodies -------------------------------------------------------------------------------


def part(kind: str, cte: str, body: bytes) -> bytes:
    """One part of a multipart: its two header lines and its body."""
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {cte}\r\n\r\n".encode() + body


def lines(octets: bytes) -> bytes:
    """The same lines, each ended by one LF, whatever ended them before."""
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def short(text: bytes) -> bool:
    """No line is longer than RFC 5322 allows, and no NUL is among them."""
    return b"\0" not in text and all(len(line) <= 998 for line in text.split(b"\n"))


def is_utf8(octets: bytes) -> bool:
    """Nothing in it is other than UTF-8."""
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def quoted(text: bytes) -> bytes:
    """The text in quoted-printable (RFC 2045 section 6.7)."""
    return quopri.encodestring(text).replace(b"\n", b"\r\n")


def transferable(text: bytes) -> tuple[str, bytes]:
    """The encoding that leaves most to read, and the text in it."""
    if text.isascii() and short(text):
        return "7bit", text.replace(b"\n", b"\r\n")
    if 6 * len(text.translate(None, bytes(range(0x80)))) < len(text):
        return "quoted-printable", quoted(text)
    return "base64", base64.encodebytes(text.replace(b"\n", b"\r\n")).replace(b"\n", b"\r\n")
