"""Transfer encodings undone (RFC 2045 section 6), broken ones as far as they go.

Whatever the octets are, something comes back; what could not be read as it was labelled is
said in a sentence. Nothing here knows of characters.
"""

from __future__ import annotations

import binascii
import contextlib
import re
from functools import lru_cache

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_ALPHABET = bytes(set(range(256)) - set(_ALPHABET))
_PLAIN = {"", "7bit", "8bit", "binary", "none", "ascii", "usascii", "utf8", "text", "plain"}
_SPELT = {  # as some write them
    "quotedprintable": "quoted-printable", "quotedprintible": "quoted-printable", "qp": "quoted-printable",
    "base64": "base64", "b64": "base64", "xbase64": "base64", "base64encoded": "base64",
    **dict.fromkeys(("uuencode", "uuencoded", "xuuencode", "xuuencoded", "uue", "xuue"), "x-uuencode"),
}  # fmt: skip
_SOFT = re.compile(rb"=[ \t]+(?=\r?\n)")
_BARE_CR = re.compile(rb"\r(?!\n)")
_SHORT = 40  # characters of a label that is worth remembering
_LABEL = re.compile(r"[\s;,(\"']*([^\s;,(\"']{0,40})")


def label(value: str) -> str:
    """The encoding that a Content-Transfer-Encoding header names, "" where it is none at all."""
    return _usual(value) if len(value) <= _SHORT else _label(value)


@lru_cache(maxsize=256)
def _usual(value: str) -> str:
    return _label(value)


def _label(value: str) -> str:
    found = _LABEL.match(value.lower())
    name = found[1] if found else ""
    bare = "".join(each for each in name if each not in "-_.'")
    return "" if bare in _PLAIN else _SPELT.get(bare, name)


def unix_lines(octets: bytes) -> bytes:
    """The octets with LF for each CR LF; a CR that stands alone stays."""
    if _BARE_CR.search(octets):
        return octets.replace(b"\r\n", b"\n")
    return octets.translate(None, b"\r")  # a quarter of the time


def decode(body: memoryview, encoding: str) -> tuple[bytes, str]:
    """The octets of a part, and a sentence where they could not be read as labelled."""
    encoding = label(encoding)
    if not encoding:
        return bytes(body), ""
    if encoding == "base64":
        return _base64(body)
    if encoding == "quoted-printable":
        data = bytes(body)
        return binascii.a2b_qp(_SOFT.sub(b"=", data) if b"= " in data or b"=\t" in data else data), ""
    if encoding == "x-uuencode":
        return _uuencode(bytes(body))
    shown = "".join(c for c in encoding if c.isprintable())
    return bytes(body), f"a part in the unknown transfer encoding {shown} was taken as it was"


def base64_text(text: bytes) -> bytes:
    """Base64 of any state of repair: junk ignored, padding mended."""
    clean = text.translate(None, _NOT_ALPHABET)
    clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


_FOOTER = "words below a part in base64, such as a mailing list's footer, were left out"
_PADDING = re.compile(rb"=")
_PADDED = re.compile(rb"[=\s]*+")
_LINE = re.compile(rb"[A-Za-z0-9+/=]{1,1000}[ \t]*\Z")


def _base64(body: memoryview) -> tuple[bytes, str]:
    """Base64, and what a mailing list or a device wrote below it as it was."""
    head = _above(bytes(body[:_LONGEST_ABOVE])) if len(body) <= _LONGEST_ABOVE else b""
    if head:
        return base64_text(head), _FOOTER
    return _whole(body)


_LONGEST_ABOVE = 256 * 1024  # of larger parts the footer is passed over without being looked for


def _above(text: bytes) -> bytes:
    """The lines of base64 that stand above words; b"" where there are no words, or no base64."""
    lines = text.split(b"\n")
    end = next((at for at, line in enumerate(lines) if not _LINE.match(line.rstrip(b"\r"))), len(lines))
    rest = b"".join(lines[end:]).translate(None, _ALPHABET + b"=\r\n \t")
    words = any(b" " in line.strip() or b"__" in line for line in lines[end:])
    return b"\n".join(lines[:end]) if end and rest and words and _ends(lines[end]) else b""


def _ends(line: bytes) -> bool:
    """An empty line, or one that divides: what is below it is no part of what is above."""
    return not line.strip() or line.startswith((b"--", b"__"))


def _whole(body: memoryview) -> tuple[bytes, str]:
    head = bytes(body[:4096])
    junk = head.translate(None, _ALPHABET + b"=\r\n \t")
    if len(junk) * 10 > len(head):
        return bytes(body), "a part that was labelled base64 but is not was taken as it was"
    padding = _PADDING.search(body)  # in its middle it ends all, or nothing, by the version of Python
    if padding is None or _PADDED.fullmatch(body, padding.end()):
        with contextlib.suppress(binascii.Error):
            return binascii.a2b_base64(body), ""  # passes over line ends
    return _pieces(bytes(body)), ""


def _pieces(text: bytes) -> bytes:
    """Base64 with padding in its middle: some devices encode line by line.

    Words after the padding, such as a mailing list's footer, are no base64 and are left out.
    """
    first, padding, rest = text.partition(b"=")
    if not padding or rest.translate(None, _ALPHABET + b"=\r\n \t"):
        return base64_text(first)
    return b"".join(base64_text(piece) for piece in text.split(b"=") if piece.strip())


def _uuencode(text: bytes) -> tuple[bytes, str]:
    lines = text.splitlines()
    begin = next((at for at, line in enumerate(lines) if line.startswith(b"begin ")), -1)
    if begin < 0:
        return text, "a part that was labelled uuencoded but is not was taken as it was"
    found = []
    for line in lines[begin + 1 :]:
        if line.strip() == b"end":
            break
        if line:  # an empty one means nothing, though binascii would make zeros of it
            found.append(_uu_line(line))
    return b"".join(found), ""


def _uu_line(line: bytes) -> bytes:
    """One line of uuencode; encoders that leave out trailing spaces or add a check are met."""
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        groups = ((line[0] - 32 & 63) + 2) // 3  # of four letters, as the line's first one says
        try:
            return binascii.a2b_uu(line[: 1 + groups * 4])
        except binascii.Error:
            return b""
