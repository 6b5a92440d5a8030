"""A mail becomes a `Letter`: its texts decoded, its files in order, nothing decided yet.

Any octets are a mail: nothing here raises, and what could not be read is said in `notes`.
Time grows with the mail's size alone, and depth, number of parts, length of texts and of headers
are bounded; files are as large as the mail makes them. Large mail that is not `is_quick` is read in
another process (`relay.message.reader`), which is where time and memory are held to a limit.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from functools import lru_cache

from relay import model
from relay.message import bodies, charset_labels, charsets, headers, html, origin, parts

_HEAD = 64 * 1024  # octets of the header block that are kept for reports
SHOWN = 200  # fields that a letter keeps, each of at most this many characters:
_VALUE = 10_000
_WORDS = re.compile(rb"\S")
_BLANK = re.compile(rb"[\0 \t\r\n]{0,4000}[\0\n]")
_FIELD = re.compile(rb"[!-9;-~]{1,200}[ \t]{0,9}:")
_USUAL = re.compile(
    rb"^(received|return-path|from|to|subject|date|message-id|mime-version|content-type|content-transfer-encoding"
    rb"|x-mailer|reply-to):",
    re.MULTILINE | re.IGNORECASE,
)  # two of them are no text


_KIND = re.compile(rb"^content-type:", re.MULTILINE | re.IGNORECASE)
_END = re.compile(rb"\n(?=\r?\n)")
_LATE = re.compile(
    rb"\r?\n(?=content-type:[ \t]{0,9}(?:text|multipart)/|mime-version:[ \t]{0,9}1)", re.IGNORECASE
)
"""The empty line above a field of the header that a careless script writes below it."""
_TRACE = frozenset((
    "received", "return-path", "delivered-to", "x-original-to", "envelope-to", "received-spf",
    "authentication-results", "x-received",
))  # fmt: skip
_OF_MAIL = frozenset((
    "from", "to", "cc", "bcc", "subject", "date", "sender", "reply-to", "message-id", "in-reply-to",
    "references", "mime-version", "user-agent", "importance", "priority", "precedence",
    "auto-submitted", "organization",
))  # fmt: skip
_OF_MAIL_TOO = ("x-", "content-", "list-", "resent-", "arc-", "dkim-")


def read(raw: bytes, charset: str = "") -> model.Letter:
    """Read a mail, whatever it is; `charset` is the likely one where it names none."""
    raw = _begun(raw)
    ends = headers.block_end(raw, 0, len(raw))
    parted = _parted(raw, *ends)
    if parted is not raw:
        raw, ends = parted, headers.block_end(parted, 0, len(parted))
    budget = parts.Budget()
    root = parts.parse(raw, budget, ends=ends)
    hint = _hint(root) or charset
    walk = bodies.Walk(budget, hint)
    body = walk.read(root)
    fields = root.fields
    subject = headers.decode(headers.first(fields, "subject"), hint)[:_VALUE]
    return model.Letter(
        subject=subject,
        from_=headers.address(headers.first(fields, "from"), hint),
        to=headers.decode(headers.first(fields, "to"), hint)[:_VALUE],
        message_id=_bare(headers.first(fields, "message-id")),
        date=_bare(headers.first(fields, "date")),
        headers=tuple(
            [
                (_title(name), headers.decode(value[: 4 * _VALUE], hint)[:_VALUE])
                for name, value in fields[:SHOWN]
            ]
        ),
        head=_head(raw, ends[0]),
        plain=body.plain.strip("\n"),
        html=body.html,
        readable=html.readable(body.plain.strip("\n"), body.html) if body.html else "",
        files=tuple(walk.files),
        auto=origin.auto(fields, _kind(root), subject),
        received=[name for name, _ in fields].count("received"),
        digest=origin.digest(fields, root.body),
        notes=tuple(budget.notes),
    )


_SIMPLE = frozenset(("", "utf-8", "iso8859-1", "cp1251", "cp1252", "koi8-r"))
_NOT_TEXT = (b"<", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_quick(raw: bytes) -> bool:
    """Whether `read` needs a millisecond for each hundred kilobytes at most: one plain text, as it stands.

    What may turn out to be HTML, what is encoded and what does not begin as mails do may need more.
    """
    if _begun(raw) is not raw:
        return False
    _, body = headers.block_end(raw, 0, len(raw))
    root = parts.parse(raw[:body], parts.Budget())
    label = headers.parameter(root.params, "charset")
    if not parts.is_plain(root) or root.encoding or charset_labels.codec(label) not in _SIMPLE:
        return False
    words = _WORDS.search(raw, body)
    return words is not None and not raw.startswith(_NOT_TEXT, words.start())


def _begun(raw: bytes) -> bytes:
    """The mail from its first field on, in octets that look like a mail's.

    Before the fields stand a byte order mark, zeros or empty lines where software was careless, and
    some writes all of it in UTF-16, or ends its lines with a CR alone.
    """
    for mark, name in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if raw.startswith(mark):
            with contextlib.suppress(UnicodeDecodeError):
                wide = raw.decode(name).encode()
                raw = wide if _FIELD.match(wide) else raw
    raw = raw.removeprefix(codecs.BOM_UTF8)
    blank = _BLANK.match(raw)
    if (
        blank
        and len({found[1].lower() for found in _USUAL.finditer(raw, blank.end(), blank.end() + 4096)}) > 1
    ):
        raw = raw[blank.end() :]
    end = _END.search(raw)
    late = _LATE.match(raw, end.end()) if end else None
    if end and late and not _KIND.search(raw, 0, end.end()):
        raw = raw[: end.end()] + raw[late.end() :]
    line = raw.find(b"\n")
    gap = raw.find(b"\r\r", 0, line) if line >= 0 else len(raw)  # the empty line, where no LF is before it
    if gap >= 0 and raw.find(b"\r", 0, gap) >= 0:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return raw


def _parted(raw: bytes, end: int, body: int) -> bytes:
    """The mail with what a device sends without a header below an empty line, where it is the text.

    "Alarm: pump 3" looks like a field: it is none where nothing is below and no field is one of a mail.
    """
    if _WORDS.search(raw, body):
        return raw
    names = [name for name, _ in headers.fields(raw[:end]) if name not in _TRACE]
    if not names:
        return raw
    if any(name in _OF_MAIL or name.startswith(_OF_MAIL_TOO) for name in names):
        return raw
    above: list[bytes] = []
    below: list[bytes] = []
    kept = above
    for line in raw[:end].splitlines(keepends=True):
        if line[:1] not in (b" ", b"\t"):
            name = line.partition(b":")[0].strip().lower().decode("latin-1")
            kept = above if name in _TRACE or line.startswith((b"From ", b">From ")) else below
        kept.append(line)
    return b"".join([*above, b"\n", *below])


def _hint(root: parts.Part) -> str:
    """The first charset that a text of the mail is labelled with, for octets without a label."""
    labels = (headers.parameter(part.params, "charset") for part in parts.leaves(root))
    return next((label for label in labels if charset_labels.codec(label)), "")


def _kind(root: parts.Part) -> str:
    """The type that the mail claims, even where it could not be taken apart."""
    return headers.parameters(headers.first(root.fields, "content-type"))[0] or root.type


def _bare(value: bytes) -> str:
    return headers.line(charsets.clean(value.decode("ascii", "replace")))[:998]


@lru_cache(maxsize=512)
def _title(name: str) -> str:
    """A field's name as people write it."""
    return "-".join(word[:1].upper() + word[1:] for word in name.split("-"))


def _head(raw: bytes, end: int) -> bytes:
    """The header block as it came, cut at a line end, with line ends of one kind."""
    block = raw[: min(end, _HEAD)]
    if end > _HEAD:
        block = block[: block.rfind(b"\n") + 1]
    lines = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")
    return lines.replace(b"\n", b"\r\n") + b"\r\n" if lines else b""
