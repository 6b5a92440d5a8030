"""What a mail says and bears: its parts walked into plain text, HTML and files.

One of two alternatives is a text for the phone, the other one for mail: both are kept.
Parts that follow each other are joined, and where a file stood between them stands its mark.
HTML is the whole text as soon as one part has nothing else, since a plain text that says less than
the mail would lose the alarm for its footer. Encrypted parts are said to be that. What Outlook
packed into a winmail.dat speaks where the mail is silent, and an invitation is a line of its text.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from relay import model
from relay.message import (
    calendar,
    charsets,
    cms,
    headers,
    joined,
    markup,
    parts,
    places,
    sniff,
    texts,
    tnef,
    transfer,
    uuencode,
)
from relay.message.joined import Body
from relay.message.texts import ENCRYPTED, RICH_TYPES, TEXT

__all__ = ["TEXT", "Body", "Walk"]

NESTED = 3  # mails inside of mails inside of mails
EVENTS = 3  # invitations that a text tells of
CALENDARS = 20  # that are looked at for one
_SIGNATURES = {"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"}
_SILENT = {  # parts that speak to programs
    "message/delivery-status", "message/global-delivery-status", "message/disposition-notification",
    "message/global-disposition-notification", "message/feedback-report", "message/tracking-status",
    "text/rfc822-headers", "message/global-headers", "application/applefile",
}  # fmt: skip
_SMIME = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
_MAILS = {"message/rfc822", "message/global", "message/news"}
_CALENDARS = {"text/calendar", "text/x-vcalendar", "application/ics"}
_OTHER_TEXTS = {
    "text/vcard", "text/x-vcard", "text/directory", "text/csv", "text/css", *_CALENDARS, *RICH_TYPES,
}  # fmt: skip
_VARIANTS = {"text/x-amp-html", "text/watch-html", "text/enriched", "text/richtext", *RICH_TYPES}
_PERHAPS_TEXT = {"application/json", "application/xml", "application/x-yaml", "application/octet-stream"}
_TNEF = {"application/ms-tnef", "application/vnd.ms-tnef"}
_CALENDAR = 256 * 1024  # octets of one that are looked at


@dataclass(slots=True)
class Walk:
    """A walk over the parts of one mail, gathering its files on the way."""

    budget: parts.Budget
    hint: str = ""  # a charset that the mail names somewhere
    files: list[model.File] = field(default_factory=list)
    encrypted: bool = False
    lead: parts.Part | None = None  # a text although it bears a name, since no other part is one
    texts: texts.Texts = field(init=False)
    packed: list[tnef.Packed] = field(default_factory=list)  # of the mail that is being walked
    packed_mails: list[Body] = field(default_factory=list)
    events: list[calendar.Event] = field(default_factory=list)
    calendars: int = 0  # seen in all of the mail

    def __post_init__(self) -> None:
        self.texts = texts.Texts(self.budget, self.hint)

    def read(self, root: parts.Part) -> Body:
        """The mail's text, cid images replaced by marks; its files are in `files` then."""
        return self._plainly(root) if parts.is_plain(root) else self._walked(root)

    def _plainly(self, root: parts.Part) -> Body:
        """What `_walked` says of a mail that is one plain text."""
        body = joined.joined([self._unwrapped(self.texts.read(root))])
        return Body(plain=body.mark) if body.mark else body

    def _walked(self, root: parts.Part) -> Body:
        self.lead = _lead(root, self.hint)
        body = self._whole(root, 0)
        if self.encrypted and not body.plain.strip() and not body.html:
            return Body(plain=ENCRYPTED)
        return self._placed(body if not body.mark else Body(plain=body.mark))

    # -- parts ------------------------------------------------------------------------------

    def _whole(self, root: parts.Part, nested: int) -> Body:
        """All that one mail says, with what stands beside its text."""
        around = self.packed, self.packed_mails, self.events
        self.packed, self.packed_mails, self.events = [], [], []
        body = self._any(root, nested)
        said = joined.words(body) if self.packed or self.events else ""
        if not said:
            body = joined.joined([*(self.texts.packed(each) for each in self.packed), body])
            said = joined.words(body) if self.events else ""
        body = joined.joined([body, *self.packed_mails]) if self.packed_mails else body
        for event in self.events:
            line = Body(plain=event.line)
            if not said:
                body, said = joined.joined([line, body]), joined.words(line)
            elif event.summary.rstrip("…").casefold() not in said:
                body, said = joined.joined([body, line]), said + joined.words(line)
        self.packed, self.packed_mails, self.events = around
        return body

    def _any(self, part: parts.Part, nested: int) -> Body:
        if part.type in _SILENT or part.type in _SIGNATURES:
            return Body()
        if part.group == "multipart":
            return self._group(part, nested)
        if part.type in _MAILS:
            return self._mail(part, nested)
        if part.type == "message/partial":
            return self._piece(part, nested)
        if part.type in _SMIME or parts.name(part, self.hint).lower().endswith(".p7m"):
            return self._closed(part, nested)
        if part is self.lead or _is_text(part, self.hint):
            return self._unwrapped(self.texts.read(part))
        return self._file(part, nested)

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
        return joined.joined([self._any(child, nested) for child in children])

    def _note_encrypted(self) -> Body:
        self.encrypted = True
        self.budget.note(ENCRYPTED)
        return Body()

    def _best(self, children: tuple[parts.Part, ...], nested: int) -> Body:
        """Of alternatives the last plain text and the last HTML, which the sender held best."""
        plain, marked_up = "", ""
        for child in sorted(children, key=lambda each: each.type in _VARIANTS):
            if child.type in _VARIANTS and (plain or marked_up):
                break
            body = self._any(child, nested)
            plain = body.plain if places.words(body.plain) else plain
            marked_up = body.html or marked_up
        return Body(plain=plain, html=marked_up)

    def _related(self, part: parts.Part, nested: int) -> Body:
        """A root and the files that it shows; without HTML they are parts like others."""
        start = headers.parameter(part.params, "start").strip("<> ")
        root = next((c for c in part.children if start and parts.cid(c) == start), part.children[0])
        bodies = [(child is root, self._any(child, nested)) for child in part.children]
        if not any(body.html for _, body in bodies):
            return joined.joined([body for _, body in bodies])
        return joined.joined([body for is_root, body in bodies if is_root or not body.mark])

    # -- mails in a mail --------------------------------------------------------------------

    def _mail(self, part: parts.Part, nested: int) -> Body:
        """An attached mail: a line that says so, then its text."""
        inner = self._inner(self._octets(part), nested)
        if inner is None:
            return Body()
        subject = headers.decode(headers.first(inner.fields, "subject"), self.hint)
        sender = headers.address(headers.first(inner.fields, "from"), self.hint)
        return joined.joined([_title(subject, sender), self._whole(inner, nested + 1)])

    def _inner(self, data: bytes, nested: int) -> parts.Part | None:
        """The mail in these octets, None where it lies too deep."""
        if nested >= NESTED or self.budget.count <= 0:
            self.budget.note(f"mails attached deeper than {NESTED} were left out")
            return None
        return parts.parse(data, self.budget, depth=8 * (nested + 1))

    def _piece(self, part: parts.Part, nested: int) -> Body:
        """A piece of a mail that was sent in several (RFC 2046 section 5.2.2): the first one begins it."""
        self.budget.note("only a piece of a mail that was sent in pieces (message/partial) is here")
        if headers.parameter(part.params, "number").strip() == "1":
            inner = self._inner(self._octets(part), nested)
            return Body() if inner is None else self._any(inner, nested + 1)
        if any(b" " in line.strip() for line in bytes(part.body[:4096]).split(b"\n")):
            return self.texts.read(replace(part, type="text/plain"))
        return self._file(part, nested)

    def _closed(self, part: parts.Part, nested: int) -> Body:
        """S/MIME in one piece: what was only signed is read, unchecked."""
        found = cms.read(self._octets(part))
        if found.kind == cms.SIGNED and found.data:
            if not found.whole:
                self.budget.note("a part that is signed in a closed form (S/MIME) was cut off")
            inner = self._inner(found.data, nested)
            if inner is None:
                return Body()
            self.lead = self.lead or _lead(inner, self.hint)
            return self._any(inner, nested + 1)
        use = part.params.get("smime-type", b"").lower()
        known = part.type in _SMIME and not use.startswith((b"sign", b"cert", b"compress"))
        if found.kind == cms.ENVELOPED or (not found.kind and known):
            return self._note_encrypted()
        if use.startswith((b"sign", b"compress")):
            self.budget.note("a part in a closed form (S/MIME) could not be read and was taken as a file")
        return self._file(part, nested)

    # -- files ------------------------------------------------------------------------------

    def _octets(self, part: parts.Part) -> bytes:
        data, note = transfer.decode(part.body, part.encoding)
        if note:
            self.budget.note(note)
        return data

    def _file(self, part: parts.Part, nested: int) -> Body:
        data, name = self._octets(part), parts.name(part, self.hint)
        if part.type == "message/external-body":
            self.budget.note("a part that lies elsewhere (message/external-body) was left out")
            return Body()
        if not data and not name:
            return Body()
        kind = sniff.sniff(data)
        if kind in _TNEF or part.type in _TNEF:
            found = tnef.read(data, self.texts.left)
            if found is not None and (found.whole or found.files or found.plain or found.html or found.rtf):
                return self._outlook(found, nested)
            self.budget.note("a winmail.dat could not be read and was taken as a file")
        shown = False
        if kind in _CALENDARS or part.type in _CALENDARS:
            told = self._event(data, headers.parameter(part.params, "charset"))
            shown = told and part.disposition != "attachment" and (not name or part.disposition == "inline")
        kept = self._kept(model.File(
            name=name, type=kind, size=len(data), data=data, cid=parts.cid(part), inline=shown,
        ))  # fmt: skip
        return Body() if shown else kept  # a line of the text stands for it

    def _kept(self, file: model.File) -> Body:
        """Take the file in; one without a name gets one."""
        number = len(self.files)
        name = file.name or f"file-{number + 1}.{sniff.extension(file.type)}"
        self.files.append(replace(file, name=name))
        return Body(mark=model.mark(number))

    def _unwrapped(self, text: Body) -> Body:
        """The text with marks where files stood in it (uuencode)."""
        if "begin " not in text.plain:
            return text
        bodies = []
        for piece in uuencode.split(text.plain):
            if isinstance(piece, str):
                bodies.append(Body(plain=piece))
            elif self._affordable():
                if not piece.whole:
                    self.budget.note("a file in the text (uuencode) was cut off")
                name, kind = headers.file_name(piece.name), sniff.sniff(piece.data)
                bodies.append(
                    self._kept(model.File(name=name, type=kind, size=len(piece.data), data=piece.data))
                )
        return joined.joined(bodies) if len(bodies) > 1 else text

    def _affordable(self) -> bool:
        """Whether one more file may be taken of those that are no parts."""
        if self.budget.count <= 0:
            self.budget.note(f"parts beyond the first {parts.COUNT} were left out")
            return False
        self.budget.count -= 1
        return True

    def _event(self, data: bytes, label: str) -> bool:
        """Whether a calendar has something to tell; it is told with the mail's text."""
        self.calendars += 1
        if self.calendars > CALENDARS:
            return False
        text = charsets.decode(data[:_CALENDAR], label or "utf-8", self.hint)
        event = calendar.read(text.replace("\r\n", "\n").replace("\r", "\n"))
        if event is not None and len(self.events) < EVENTS:
            self.events.append(event)
        return event is not None

    def _outlook(self, found: tnef.Packed, nested: int, *, title: bool = False) -> Body:
        """What is in a winmail.dat: its files in its place, its text kept until the mail's own is known."""
        if not found.whole:
            self.budget.note("a winmail.dat was damaged: only what could be read of it is here")
        bodies = []
        if title:
            bodies += [_title(found.subject, ""), self.texts.packed(found)]
        else:
            self.packed.append(found)
        for inner in found.files:
            if not inner.data and not inner.name:
                continue
            if not self._affordable():
                break
            mail = tnef.read(inner.data, self.texts.left) if nested < NESTED else None
            if mail is not None:
                held = bodies if title else self.packed_mails  # its words are not this mail's own
                held.append(self._outlook(mail, nested + 1, title=True))
                continue
            kind = sniff.sniff(inner.data)
            if kind in _CALENDARS:
                self._event(inner.data, "")
            bodies.append(self._kept(model.File(
                name=headers.file_name(inner.name), type=kind, size=len(inner.data), data=inner.data,
                cid=inner.cid,
            )))  # fmt: skip
        return joined.joined(bodies)

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


def _title(subject: str, sender: str) -> Body:
    return Body(plain=f"Attached mail{' from ' + sender if sender else ''}: {subject or 'no subject'}")


def _is_text(part: parts.Part, hint: str) -> bool:
    """A text to read, not a file: no name, no other use."""
    readable = part.group == "text" and part.type not in _OTHER_TEXTS
    return readable and part.disposition != "attachment" and not parts.name(part, hint)


def _lead(root: parts.Part, hint: str) -> parts.Part | None:
    """The first text that bears a name or is rich, where no part is a text without one."""
    shown = [part for part in parts.leaves(root) if part.disposition != "attachment"]
    unnamed = [part for part in shown if _is_text(part, hint)]
    if any(bytes(part.body[:1000]).strip() for part in unnamed):
        return None
    plain = ("text/plain", "text/html")
    if shown and root is shown[0] and _may_be_read(root, hint):
        return root
    named = next((part for part in shown if part.type in plain and not unnamed), None)
    return named or next((part for part in shown if part.type in RICH_TYPES), None)


def _may_be_read(part: parts.Part, hint: str) -> bool:
    """The only part of a mail, of a type for programs: where it is text, it is what the mail says."""
    if part.type not in _PERHAPS_TEXT or parts.name(part, hint):
        return False
    sample = transfer.decode(part.body[:4096], part.encoding)[0]
    return b"\0" not in sample and sniff.sniff(sample) == sniff.TEXT
