"""What a mail says and bears: its parts walked into plain text, HTML and files.

One of two alternatives is a text for the phone, the other one for mail: both are kept.
Parts that follow each other are joined, and where a file stood between them stands its mark.
HTML is the whole text as soon as one part has nothing else, since a plain text that says less than
the mail would lose the alarm for its footer. Encrypted parts are said to be that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape

from relay import model
from relay.message import charsets, flowed, headers, markup, parts, sniff, transfer

TEXT = 1024 * 1024  # characters of text that are kept of one mail
NESTED = 3  # mails inside of mails inside of mails
_ENCRYPTED = "the mail is encrypted, its text cannot be read"
_SIGNATURES = {"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"}
_SILENT = {  # parts that speak to programs
    "message/delivery-status", "message/global-delivery-status", "message/disposition-notification",
    "message/global-disposition-notification", "message/feedback-report", "message/tracking-status",
    "text/rfc822-headers", "message/global-headers", "application/applefile",
}  # fmt: skip
_SMIME = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_MAILS = {"message/rfc822", "message/global", "message/news"}
_OTHER_TEXTS = {"text/calendar", "text/vcard", "text/x-vcard", "text/directory", "text/csv", "text/css"}
_VARIANTS = {"text/x-amp-html", "text/watch-html", "text/enriched", "text/richtext"}
_MARK_END = model.mark(0)[-1]
_LOOKS_HTML = re.compile(r"\s*(?:<!doctype html|<html[\s>])", re.IGNORECASE)
_TAGS = re.compile(r"<[^<>]{0,200}>")


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a part and of all below it, in the two ways a mail may say it."""

    plain: str = ""
    html: str = ""
    mark: str = ""  # of a part that is a file


@dataclass(slots=True)
class Walk:
    """A walk over the parts of one mail, gathering its files on the way."""

    budget: parts.Budget
    hint: str = ""  # a charset that the mail names somewhere
    files: list[model.File] = field(default_factory=list)
    encrypted: bool = False
    left: int = TEXT
    lead: parts.Part | None = None  # a text although it bears a name, since no other part is one

    def read(self, root: parts.Part) -> Body:
        """The mail's text, cid images replaced by marks; its files are in `files` then."""
        self.lead = _lead(root, self.hint)
        body = self._any(root, 0)
        if self.encrypted and not body.plain.strip() and not body.html:
            return Body(plain=_ENCRYPTED)
        return self._placed(body if not body.mark else Body(plain=body.mark))

    # -- parts ------------------------------------------------------------------------------

    def _any(self, part: parts.Part, nested: int) -> Body:
        if part.type in _SILENT or part.type in _SIGNATURES:
            return Body()
        if part.group == "multipart":
            return self._group(part, nested)
        if part.type in _MAILS:
            return self._mail(part, nested)
        if part.type in _SMIME and not part.params.get("smime-type", b"").lower().startswith(
            (b"sign", b"cert")
        ):
            return self._note_encrypted()
        if part.type in _SMIME:
            self.budget.note("a part that is signed in a closed form (S/MIME) was taken as a file")
        if part is self.lead or _is_text(part, self.hint):
            return self._text(part)
        return self._file(part)

    def _group(self, part: parts.Part, nested: int) -> Body:
        children = part.children
        if not children:
            return Body()
        match part.type:
            case "multipart/alternative":
                return self._best(children, nested)
            case "multipart/related":
                return self._related(part, nested)
            case "multipart/encrypted":
                return self._note_encrypted()
            case "multipart/signed":
                children = children[:1] if len(children) == 2 else children
        return _joined([self._any(child, nested) for child in children])

    def _note_encrypted(self) -> Body:
        self.encrypted = True
        self.budget.note(_ENCRYPTED)
        return Body()

    def _best(self, children: tuple[parts.Part, ...], nested: int) -> Body:
        """Of alternatives the last plain text and the last HTML, which the sender held best."""
        plain, marked_up = "", ""
        for child in children:
            if child.type in _VARIANTS and len(children) > 1:
                continue
            body = self._any(child, nested)
            plain = body.plain if body.plain.strip() else plain
            marked_up = body.html or marked_up
        return Body(plain=plain, html=marked_up)

    def _related(self, part: parts.Part, nested: int) -> Body:
        """A root and the files that it shows; without HTML they are parts like others."""
        start = headers.parameter(part.params, "start").strip("<> ")
        root = next((c for c in part.children if start and _cid(c) == start), part.children[0])
        bodies = [(child is root, self._any(child, nested)) for child in part.children]
        if not any(body.html for _, body in bodies):
            return _joined([body for _, body in bodies])
        texts = [body for is_root, body in bodies if is_root or not body.mark]
        return _joined(texts)

    def _mail(self, part: parts.Part, nested: int) -> Body:
        """An attached mail: a line that says so, then its text."""
        data, note = transfer.decode(part.body, part.encoding)
        if note:
            self.budget.note(note)
        if nested >= NESTED or self.budget.count <= 0:
            self.budget.note(f"mails attached deeper than {NESTED} were left out")
            return Body()
        inner = parts.parse(data, self.budget, depth=8 * (nested + 1))
        subject = headers.decode(headers.first(inner.fields, "subject"), self.hint)
        sender = headers.address(headers.first(inner.fields, "from"), self.hint)
        title = f"Attached mail{' from ' + sender if sender else ''}: {subject or 'no subject'}"
        return _joined([Body(plain=title), self._any(inner, nested + 1)])

    # -- texts ------------------------------------------------------------------------------

    def _text(self, part: parts.Part) -> Body:
        data, note = transfer.decode(part.body, part.encoding)
        if note:
            self.budget.note(note)
        text = self._characters(part, data)
        if not text.strip():
            return Body()
        if part.type == "text/html" or (part.type == "text/plain" and _LOOKS_HTML.match(text)):
            return Body(html=markup.honest(text))
        if part.type in ("text/enriched", "text/richtext"):
            return Body(plain=_TAGS.sub("", text))
        format_ = part.params.get("format", b"").lower()
        if format_ == b"flowed" and part.type == "text/plain":
            text = flowed.unfold(text, delsp=part.params.get("delsp", b"").lower() == b"yes")
        return Body(plain=text)

    def _characters(self, part: parts.Part, data: bytes) -> str:
        """The octets as text with line ends of one kind, within what is left of the limit."""
        limit = self.left * 4
        text = charsets.decode(data[:limit], headers.parameter(part.params, "charset"), self.hint)
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        if part.type == "text/html" and len(text) > self.left // 4:
            text = markup.without_pictures(text)
        if len(text) > self.left or len(data) > limit:
            self.budget.note("a very long text was cut")
            text = text[: self.left]
        self.left -= len(text)
        return text

    # -- files ------------------------------------------------------------------------------

    def _file(self, part: parts.Part) -> Body:
        data, note = transfer.decode(part.body, part.encoding)
        if note:
            self.budget.note(note)
        if not data and not _name(part, self.hint):
            return Body()
        if part.type == "message/external-body":
            self.budget.note("a part that lies elsewhere (message/external-body) was left out")
            return Body()
        kind = sniff.sniff(data)
        number = len(self.files)
        name = _name(part, self.hint) or f"file-{number + 1}.{sniff.extension(kind)}"
        self.files.append(model.File(name=name, type=kind, size=len(data), data=data, cid=_cid(part)))
        return Body(mark=model.mark(number))

    def _placed(self, body: Body) -> Body:
        """The body with marks where its HTML shows files by their cid."""
        cids = {file.cid: number for number, file in enumerate(self.files) if file.cid}
        if not body.html or not cids:
            return body
        placed = markup.place(body.html, cids)
        for number in placed.shown | placed.used:
            file = self.files[number]
            self.files[number] = replace(file, inline=True)
        return Body(plain=body.plain, html=placed.html)


def _joined(bodies: list[Body]) -> Body:
    """Bodies one after another; marks stand on lines of their own."""
    bodies = [body for body in bodies if body.plain.strip() or body.html or body.mark]
    if len(bodies) == 1 and not bodies[0].mark:
        return bodies[0]
    whole = not any(body.html and not body.plain.strip() for body in bodies)
    plain = _lines([(body.mark, body.plain.strip("\n")) for body in bodies]) if whole else ""
    if not any(body.html for body in bodies):
        return Body(plain=plain)
    marked_up = [body.mark or markup.inside(body.html) or _marked_up(body.plain) for body in bodies]
    return Body(plain=plain, html="\n".join(marked_up))


def _lines(pieces: list[tuple[str, str]]) -> str:
    """Texts with an empty line between them, marks on lines of their own."""
    found = ""
    for mark, text in pieces:
        gap = "" if not found else "\n" if mark or found.endswith(_MARK_END) else "\n\n"
        found += gap + (mark or text)
    return found


def _marked_up(text: str) -> str:
    return "<div>" + escape(text.strip("\n"), quote=False).replace("\n", "<br>\n") + "</div>"


def _is_text(part: parts.Part, hint: str) -> bool:
    """A text to read, not a file: no name, no other use."""
    readable = part.group == "text" and part.type not in _OTHER_TEXTS
    return readable and part.disposition != "attachment" and not _name(part, hint)


def _lead(root: parts.Part, hint: str) -> parts.Part | None:
    """The first text that bears a name, where no part is a text without one."""
    found = list(leaves(root))
    if any(_is_text(part, hint) for part in found):
        return None
    plain = ("text/plain", "text/html")
    return next((part for part in found if part.type in plain and part.disposition != "attachment"), None)


def leaves(part: parts.Part) -> Iterator[parts.Part]:
    """The parts that have none below them, in order."""
    if not part.children:
        yield part
    for child in part.children:
        yield from leaves(child)


def _name(part: parts.Part, hint: str) -> str:
    """The cleaned file name that the part bears, by either header."""
    named = headers.parameter(part.disposition_params, "filename", hint)
    return headers.file_name(named or headers.parameter(part.params, "name", hint))


def _cid(part: parts.Part) -> str:
    return headers.first(part.fields, "content-id").decode("latin-1").strip("<> \t")[:400]
