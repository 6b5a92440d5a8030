"""What a phone or a mailbox reads: a letter's text through the route's template to `mes`.

The order of the steps on a phone's text is fixed, each relying on those before: take the
author's comment, trim, fill the template, clean, choose the alphabet, neutralise, cut, write
the files' places. Neutralising comes after everything that could make a command appear, and
comments go through it as well: they travel in the same `mes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape

from relay import replies
from relay.config import Route
from relay.message import channels, gsm, html, neutral, places, templates, text, trim
from relay.model import Content, Letter
from relay.replies import Reply

MAX_CHARS = 1000
"""Of `mes` on phone channels, comment included (vendor: sending, `mes`)."""
SEPARATOR = "\n~~~\n"
_NO_SUBJECT = "(no subject)"
_NO_TEXT = "(no text)"


class Source:
    """A letter, and what is made of it once for all ways of sending it."""

    def __init__(self, letter: Letter) -> None:
        self.letter = letter

    @cached_property
    def readable(self) -> str:
        """What a phone is to read of the body."""
        letter = self.letter
        if letter.readable:
            return letter.readable
        return html.readable(letter.plain, letter.html)

    @cached_property
    def for_mail(self) -> tuple[str, bool]:
        """What a mailbox is to read, and whether it is HTML: not where that shows nothing."""
        letter = self.letter
        if letter.html and (not letter.plain.strip() or html.shows(letter.html)):
            return html.for_mail(letter.html), True
        return letter.plain, False


@dataclass(slots=True)
class Work:
    """One text on its way, its parameters, and what is to be said about it."""

    source: Source
    route: Route
    channel: channels.Channel
    params: dict[str, str] = field(default_factory=dict)
    files: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def letter(self) -> Letter:
        return self.source.letter


# -- phone channels -----------------------------------------------------------------------


def for_phone(work: Work) -> Content | Reply:
    """The content for a phone, or why there is nothing to send."""
    body, comment = _body(work)
    said = text.clean(places.once(_filled(work, body)))
    if work.files:
        said = places.everywhere(said, work.files)
    said = _in_alphabet(said, work)
    said = _harmless(said, work)
    if not said:
        return replies.reply(554, "5.6.0", "nothing to send: subject and text are empty")
    said, order = _cut(said, work)
    said = places.numbered(said, order)
    counted = work.channel.counts_parts
    size = gsm.measure(_transliterated(said, work)) if counted else None
    return Content(
        channel=work.channel.name,
        text=_commented(said, [comment, _route_comment(work)], work),
        params={**work.channel.flags, **work.params},
        files=order,
        alphabet=size.alphabet if size else "",
        parts=size.parts if size else 0,
        notes=tuple(work.notes),
    )


def _body(work: Work) -> tuple[str, str]:
    """The body for the phone, and the author's comment where the channel carries one."""
    dropped = set(range(len(work.letter.files))) - set(work.files)
    body, comment = places.without(work.source.readable, dropped), ""
    if work.channel.comment == channels.AUTHOR:
        body, comment = text.split_comment(body)
        comment = places.without(comment)
        if comment:
            work.notes.append(f"kept as a comment, not sent to the phone: {_quoted(comment)}")
    if work.route.trim:
        body, trimmed = trim.trim(body)
        if trimmed:
            work.notes.append("a signature, a quoted mail or a disclaimer was cut off")
    return body, comment


def _filled(work: Work, body: str) -> str:
    """The route's template, filled; one that fails on this mail must not cost the alarm."""
    source = work.route.text or work.channel.text
    subject = work.letter.subject
    names = (subject, body)
    if {"subject", "body"} <= templates.uses(source):
        names = text.once(subject, body)
    try:
        return templates.fill(source, _names(work.letter, *names), work.letter.header)
    except templates.TemplateFault as fault:
        work.notes.append(f"the route's text template failed ({fault}): subject and text were sent plainly")
        return f"{subject}\n{body}"


def _names(letter: Letter, subject: str, body: str) -> dict[str, str]:
    return {
        "subject": subject,
        "body": body,
        "from": letter.from_,
        "to": letter.to,
        "message_id": letter.message_id,
        "date": letter.date,
    }


def _in_alphabet(said: str, work: Work) -> str:
    """The text in the alphabet that the route wants; what is read aloud keeps its letters."""
    if not work.channel.counts_parts:
        return said
    said, more, note = gsm.choose(said, work.route.alphabet)
    work.params = {**more, **work.params}
    if note:
        work.notes.append(note)
    return said


def _harmless(said: str, work: Work) -> str:
    said = neutral.break_marks(said)
    return said if work.route.macros else neutral.neutralise(said)


def _cut(said: str, work: Work) -> tuple[str, tuple[int, ...]]:
    """The text within the limits, and the files in their order: a cut never loses a file's place."""
    order = places.order(said, work.files)
    room = MAX_CHARS - places.WIDTH * len(order)
    most = 10_000
    if work.channel.counts_parts:
        most = min(work.route.max_parts, int(work.params.get("maxsms", most)))
    short, was_cut = _short(said, most, room, work)
    if not was_cut:
        return said, order
    work.notes.append(f"the text was cut from {len(said)} to {len(short)} characters")
    return places.everywhere(short, order), order


def _short(said: str, parts: int, chars: int, work: Work) -> tuple[str, bool]:
    """The longest beginning that fits; a transliterated text counts as the Latin one it becomes."""
    if not _is_transliterated(work):
        return gsm.cut(said, max_parts=parts, max_chars=chars)
    low, high = 0, min(chars, len(said))
    while low < high:
        middle = (low + high + 1) // 2
        short, _ = gsm.cut(said, max_parts=10_000, max_chars=middle)
        if gsm.measure(_transliterated(short, work)).parts <= parts:
            low = middle
        else:
            high = middle - 1
    return gsm.cut(said, max_parts=10_000, max_chars=low)


def _is_transliterated(work: Work) -> bool:
    return work.params.get("translit", "0") != "0"


def _transliterated(said: str, work: Work) -> str:
    """For counting only: what the provider makes Latin letters of, two for one on average."""
    if not _is_transliterated(work):
        return said
    return "".join(letter if gsm.fits(letter) else "ab" for letter in said)


# -- comments -----------------------------------------------------------------------------


def _route_comment(work: Work) -> str:
    if not work.route.comment:
        return ""
    names = _names(work.letter, work.letter.subject, "")
    try:
        return templates.fill(work.route.comment, names, work.letter.header)
    except templates.TemplateFault as fault:
        work.notes.append(f"the route's comment template failed ({fault})")
        return ""


def _commented(said: str, comments: Sequence[str], work: Work) -> str:
    """The text with its comment: what the phone gets first, then what the account's owner sees."""
    if work.channel.comment == channels.NONE or not any(comments):
        return said
    kept = [_harmless(text.clean(places.without(each)), work) for each in comments]
    comment = "\n".join(each for each in kept if each)
    if not comment:
        return said
    if work.channel.phone:
        room = max(0, MAX_CHARS - len(said) - len(SEPARATOR))
        if room < len(comment):
            work.notes.append(f"the comment was cut to {room} characters")
        comment = neutral.break_marks(comment[:room].rstrip())[:room]
    return f"{said}{SEPARATOR}{comment}" if comment else said


def _quoted(words: str) -> str:
    return f'"{text.one_line(words, 80)}"'


# -- the mail channel ---------------------------------------------------------------------


def for_mail(work: Work, sender: str) -> Content:
    """The content for a mailbox: HTML stays HTML; what the vendor demands has a stand-in."""
    body, as_html = work.source.for_mail
    subject = text.one_line(work.letter.subject, 1000)
    said = _filled_mail(work, body, subject, as_html=as_html)
    kept = [n for n in work.files if not work.letter.files[n].inline]
    dropped = set(range(len(work.letter.files))) - set(work.files)
    said = places.once(places.without(places.without_trailing(said, kept), dropped))
    if not places.words(said) and not work.files:
        said = (escape(subject) if as_html else subject) or _NO_TEXT
    order = places.order(said, work.files)
    said = text.printable(said).strip("\n")
    said = neutral.break_marks(said)
    if not work.route.macros:
        said = neutral.neutralise(said, html=as_html)
    said = places.numbered(said, order) or _NO_TEXT
    if not work.route.unsubscribe:
        said += "{no_unsub}"
    said = _commented(said, [_route_comment(work)], work)
    given = {**work.params, **work.channel.flags}
    given.setdefault("subj", _harmless_subject(subject, work) or _NO_SUBJECT)
    given.setdefault("sender", sender)
    rule = work.channel.takes_files
    note = rule.note([work.letter.files[n] for n in order]) if rule else ""
    work.notes += [note] if note else []
    return Content(channel="mail", text=said, params=given, files=order, notes=tuple(work.notes))


def _harmless_subject(subject: str, work: Work) -> str:
    return text.one_line(_harmless(subject, work), 1000)


def _filled_mail(work: Work, body: str, subject: str, *, as_html: bool) -> str:
    if work.route.text is None:
        return body
    letter = work.letter
    if as_html:
        letter = replace(letter, from_=escape(letter.from_), to=escape(letter.to))
        letter = replace(letter, message_id=escape(letter.message_id), date=escape(letter.date))
        subject = escape(subject)

    def header(name: str) -> str:
        return escape(work.letter.header(name)) if as_html else work.letter.header(name)

    try:
        return templates.fill(work.route.text, _names(letter, subject, body), header)
    except templates.TemplateFault as fault:
        work.notes.append(f"the route's text template failed ({fault}), so the text was sent plainly")
        return body


def file_names(letter: Letter, numbers: Sequence[int]) -> str:
    """Names of files, for a sentence."""
    return ", ".join(letter.files[n].name for n in numbers)
