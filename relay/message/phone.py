"""What a phone reads or hears: a letter's text through the route's template to `mes`.

The order of the steps is fixed, each relying on those before: take the author's comment, trim,
condense or fill the template, clean, choose the alphabet, neutralise, cut, write the files'
places. Channels where `mes` is no text for people have forms of their own (`forms`).
"""

from __future__ import annotations

from relay import replies
from relay.message import attached, channels, forms, gsm, places, templates, text, wording
from relay.message.channels import Form
from relay.message.wording import (
    MAX_CHARS,
    Work,
    commented,
    harmless,
    names,
    quoted,
    route_comment,
    uncommented,
)
from relay.model import Content
from relay.replies import Reply

_AMPLE = 5 * MAX_CHARS  # of a text: what is behind it no phone can get, so nothing is done with it
_NO_SUBJECT = "(no subject)"


def for_phone(work: Work) -> Content | Reply:
    """The content for a phone, or why there is nothing to send."""
    try:
        match work.channel.form:
            case Form.NOTHING:
                return _content(work, "")
            case Form.HEX:
                return _binary(work)
            case Form.LINK:
                return _link(work)
            case Form.CODE:
                return _content(work, forms.code(_plainly(work)))
            case _:
                return _words(work)
    except forms.FormError as error:
        return replies.reply(554, "5.6.0", str(error))


def _words(work: Work) -> Content | Reply:
    body, comment = _body(work)
    known = work.source.recognised
    if known:
        work.rules.append(f"the recogniser {known.by} knows the mail: {known.alarm or 'no alarm'}")
    if known and work.route.condense:
        said = known.line
        work.note(f"condensed to one line, as a mail of {known.by}")
    else:
        said = text.clean(places.once(_filled(work, body)))
    if work.channel.mixes:
        refusal = _mix(work, said)
        if refusal:
            return refusal
        said = text.clean(places.without(said, set(range(len(work.letter.files))) - set(work.files)))
    return _said(work, said, comment)


def _said(work: Work, said: str, comment: str = "") -> Content | Reply:
    """A text on its way from what it says to what is sent."""
    whole, said = len(said) + work.beyond, said[:_AMPLE]
    if work.files:
        said = places.everywhere(said, work.files)
    said = _in_alphabet(places.only(said, work.files), work)
    said = harmless(said, work)
    if not said and "fileurl" not in work.params and not work.params.get("subj"):
        return replies.reply(554, "5.6.0", "nothing to send: subject and text are empty")
    if work.route.macros and work.channel.mixes:
        forms.buttons(said)
    if "subj" in work.channel.params and not places.words(said):
        work.params.setdefault("subj", _NO_SUBJECT)
    short, order, was_cut = _cut(said, work, whole)
    if was_cut and work.route.macros and forms.commands(said):
        return replies.reply(
            554, "5.6.0", f"a text with a menu or a button can't be cut: write {MAX_CHARS} characters at most"
        )
    said = commented(places.numbered(short, order), [comment, route_comment(work)], work)
    return _content(work, said, order)


def _content(work: Work, said: str, order: tuple[int, ...] = (), parts: int = 0) -> Content:
    size = None
    if work.channel.counts_parts:
        size = gsm.measure(_transliterated(uncommented(said), work))
        work.rules.append(f"counted as {size.alphabet}: {size.units} places, {size.parts} parts")
    return Content(
        channel=work.channel.name,
        text=said,
        params={**work.channel.flags, **work.params},
        files=order,
        alphabet=size.alphabet if size else "",
        parts=size.parts if size else parts,
        notes=tuple(work.notes),
        rules=tuple(work.rules),
    )


# -- forms --------------------------------------------------------------------------------


def _plainly(work: Work) -> str:
    """What the route's template makes of the text, its files left out."""
    return places.without(_filled(work, _body(work)[0]))


def _link(work: Work) -> Content | Reply:
    """A WAP push; an address that the provider would obey is refused, since changed it is another."""
    mes = forms.push(_plainly(work), work.letter.subject)
    link = mes.split("\n", 1)[0]
    if harmless(link, work) != link:
        raise forms.FormError("this address is one that the provider itself would fetch or obey")
    return _said(work, mes)


def _binary(work: Work) -> Content | Reply:
    """A binary message: of the mail's text, or of its only file where the text is empty."""
    body = places.without(_filled(work, work.source.readable))
    if not body.strip() and work.files:
        file = work.letter.files[work.files[0]]
        if file.path or file.size > MAX_CHARS // 2:
            raise forms.FormError(f"a binary message takes {MAX_CHARS // 2} octets at most")
        body = file.data.hex()
        work.rules.append("the file's octets are the message")
    elif work.files:
        work.note(f"not sent, since the text is the message: {wording.file_names(work.letter, work.files)}")
    work.files = ()
    mes, parts = forms.binary(body)
    if parts > work.route.max_parts:
        raise forms.FormError(f"a binary message can't be cut, and this one takes {parts} parts")
    return _content(work, mes, parts=parts)


def _mix(work: Work, said: str) -> Reply | None:
    """Keep the files that may stand with these words; what can't go is dropped, or refused."""
    files = [work.letter.files[n] for n in work.files]
    kept = tuple(work.files[n] for n in attached.viber_mix(files, text=bool(places.words(said))))
    dropped = [n for n in work.files if n not in kept]
    if not dropped:
        return None
    named = wording.file_names(work.letter, dropped)
    if work.route.attachments == "reject" or not (kept or places.words(said)):
        return replies.reply(
            554,
            "5.6.1",
            f"{work.channel.name} takes words, a picture, a video with a picture, or one document alone; this"
            f" can't go with the rest: {named}",
        )
    work.note(f"not sent, since {work.channel.name} can't show it beside the rest: {named}")
    work.files = kept
    return None


# -- steps --------------------------------------------------------------------------------


def _body(work: Work) -> tuple[str, str]:
    """The body for the phone, and the author's comment where the channel carries one."""
    dropped = set(range(len(work.letter.files))) - set(work.files)
    body, comment = places.without(work.source.readable, dropped), ""
    if work.channel.comment == channels.AUTHOR:
        body, comment = text.split_comment(body)
        comment = places.without(comment)
        if comment:
            work.note(f"kept as a comment, not sent to the phone: {quoted(comment)}")
    if work.route.trim and not (work.route.macros and forms.commands(body)):  # its end is not a signature
        body, cut = work.source.trimmed(body)
        if cut:
            work.note(f"cut off: {', '.join(cut)}")
    return body, comment


def _filled(work: Work, body: str) -> str:
    """The route's template, filled; one that fails on this mail must not cost the alarm."""
    source = work.route.text or work.channel.text
    work.rules.append(f"the {'route' if work.route.text else 'channel'}'s template was filled: {source!r}")
    subject = work.letter.subject
    said = (subject, body)
    if {"subject", "body"} <= templates.uses(source):
        said = text.once(subject, body, _surely(work, body))
    if templates.is_plain(source):
        said = (said[0], _beginning(work, said[1]))
    try:
        return templates.fill(source, names(work.letter, *said), work.letter.header)
    except templates.TemplateFault as fault:
        work.note(f"the route's text template failed ({fault}): subject and text were sent plainly")
        return f"{subject}\n{body}"


def _surely(work: Work, body: str) -> int:
    """How many characters of the body get to the phone, however much of it is cut off."""
    return gsm.room(body[:MAX_CHARS], max_parts=_most_parts(work), max_chars=MAX_CHARS)


def _beginning(work: Work, body: str) -> str:
    """So much of a long body that what is behind it could not get to a phone: the rest costs time alone."""
    most = 4 * _AMPLE  # most of it may be empty lines
    if len(body) <= most or places.some_in(body) or len(text.clean(body[:most])) < _AMPLE:
        return body
    work.beyond = len(body) - most
    return body[:most]


def _in_alphabet(said: str, work: Work) -> str:
    """The text in the alphabet that the route wants; what is read aloud keeps its letters."""
    if not work.channel.counts_parts:
        return said
    said, more, note = gsm.choose(said, work.route.alphabet)
    work.params = {**more, **work.params}
    if note:
        work.note(note)
    return said


def _cut(said: str, work: Work, whole: int) -> tuple[str, tuple[int, ...], bool]:
    """The text within the limits, the files in their order, and whether it was cut.

    A cut never loses a file's place.
    """
    order = places.order(said, work.files)
    room = MAX_CHARS - places.WIDTH * len(order)
    short, was_cut = _short(said, _most_parts(work), room, work)
    if not was_cut:
        return said, order, False
    work.note(f"the text was cut from {max(whole, len(said))} to {len(short)} characters")
    return places.everywhere(short, order), order, True


def _most_parts(work: Work) -> int:
    """The parts that a text may have; as many as it likes where nobody counts them."""
    if not work.channel.counts_parts:
        return 10_000
    return min(work.route.max_parts, int(work.params.get("maxsms", 10_000)))


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
