"""What a mailbox reads: the mail's own HTML or text, with what the provider demands of an e-mail.

HTML is kept; subject and sender, which the provider's page calls mandatory, have stand-ins.
"""

from __future__ import annotations

from dataclasses import replace
from html import escape

from relay.message import places, templates, text
from relay.message.wording import Work, commented, harmless, names, route_comment
from relay.model import Content

_NO_SUBJECT = "(no subject)"
_NO_TEXT = "(no text)"


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
    said = places.only(said, work.files)
    said = harmless(text.printable(said).strip("\n"), work, html=as_html)
    work.rules.append("HTML is kept" if as_html else "the plain text is sent")
    said = places.numbered(said, order) or _NO_TEXT
    if not work.route.unsubscribe:
        said += "{no_unsub}"
    said = commented(said, [route_comment(work)], work)
    given = {**work.params, **work.channel.flags}
    given.setdefault("subj", _subject(subject, work) or _NO_SUBJECT)
    given.setdefault("sender", sender)
    rule = work.channel.takes_files
    note = rule.note([work.letter.files[n] for n in order]) if rule else ""
    if note:
        work.note(note)
    return Content(
        channel="mail",
        text=said,
        params=given,
        files=order,
        notes=tuple(work.notes),
        rules=tuple(work.rules),
    )


def _subject(subject: str, work: Work) -> str:
    return text.one_line(harmless(subject, work), 1000)


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
        return templates.fill(work.route.text, names(letter, subject, body), header)
    except templates.TemplateFault as fault:
        work.note(f"the route's text template failed ({fault}), so the text was sent plainly")
        return body
