"""A mail and its resolved recipients become contents and orders: the composer.

Pure: the letter, what the addresses meant and the moment go in; what is to be stored comes
out. A recipient that can't be served is a `Refusal` of its own and harms no other. What was
cut, dropped or changed is a note on the content, for the report.

The order of the steps on a phone's text is fixed, each relying on those before: choose plain
or HTML, take the author's comment, trim, fill the route's template, clean, map the alphabet,
neutralise, cut. Neutralising comes after everything that could make a macro appear.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relay import model, replies
from relay.config import Route
from relay.message import channels, gsm, html, neutral, params, templates, text, trim
from relay.message.routes import Resolved, read_options
from relay.model import Auto, Content, Envelope, File, Letter
from relay.replies import Reply

MAX_CHARS = 1000
"""Of `mes` on phone channels, comment included (vendor: sending, `mes`)."""
MAX_RECEIVED = 50
"""Received headers before a mail is taken for a loop (RFC 5321 section 6.3)."""
_SEPARATOR = "\n~~~\n"
_HEADER = re.compile(r"x-smsc-([a-z0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An order to be: `recipient` and `content` are positions in what was composed."""

    recipient: int
    content: int
    target: str
    hidden: bool
    account: str
    channel: str
    priority: int
    start_at: int
    expire_at: int
    digest: str  # equal where one request may carry both
    says: str  # equal where the phone would read the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A recipient that this mail can't be sent to, and why."""

    recipient: int
    channel: str
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """What became of one mail."""

    contents: tuple[Content, ...] = ()
    drafts: tuple[Draft, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[int, ...]:
        """Numbers of the letter's files that some content takes."""
        return tuple(sorted({number for content in self.contents for number in content.files}))


@dataclass(slots=True)
class _Work:
    """One text on its way to a phone, and what is to be said about it."""

    text: str
    params: dict[str, str]
    notes: list[str] = field(default_factory=list)


def compose(
    letter: Letter,
    envelope: Envelope,
    resolved: Sequence[Resolved | Reply],
    *,
    now: int,
    fallback_sender: str,
) -> Composed:
    """Make the orders of a mail. `resolved` goes with `envelope.recipients`, one for one."""
    contents: list[Content] = []
    drafts: list[Draft] = []
    refusals: list[Refusal] = []
    made: dict[object, int | Reply] = {}
    for number, meant in enumerate(resolved):
        if isinstance(meant, Reply):
            refusals.append(Refusal(recipient=number, channel="", reply=meant))
            continue
        key = (id(meant.route), meant.channel, tuple(sorted(meant.given.items())))
        if key not in made:
            one = _content(letter, envelope, meant, fallback_sender)
            if isinstance(one, Content):
                contents.append(one)
            made[key] = one if isinstance(one, Reply) else len(contents) - 1
        place = made[key]
        if isinstance(place, Reply):
            refusals.append(Refusal(recipient=number, channel=meant.channel, reply=place))
            continue
        drafts += _drafts(number, place, contents[place], letter, meant, now)
    return Composed(
        contents=tuple(contents), drafts=tuple(drafts), refusals=tuple(refusals), notes=letter.notes
    )


def _drafts(
    number: int, place: int, content: Content, letter: Letter, meant: Resolved, now: int
) -> list[Draft]:
    files = [_file_digest(letter.files[n], now) for n in content.files]
    account = meant.route.account
    form = json.dumps(sorted(content.params.items()))
    digest = model.stable_digest(
        *(part.encode("utf-8", "replace") for part in (account, content.channel, content.text, form, *files))
    )
    heard = content.text.split(_SEPARATOR)[0]
    said = (content.channel, heard, *files)
    says = model.stable_digest(*(part.encode("utf-8", "replace") for part in said))
    start = params.due_from_time(content.params.get("time", ""), content.params.get("tz", ""), now)
    return [
        Draft(
            recipient=number,
            content=place,
            target=target.to,
            hidden=target.hidden,
            account=account,
            channel=content.channel,
            priority=meant.route.priority,
            start_at=start or now,
            expire_at=(start or now) + meant.route.expire,
            digest=digest,
            says=says,
        )
        for target in meant.targets
    ]


def _file_digest(file: File, now: int) -> str:
    """Equal for equal files; a spooled one equals only itself."""
    octets = file.data or f"{file.path} {now}".encode()
    return model.stable_digest(file.name.encode("utf-8", "replace"), octets)


def _content(letter: Letter, envelope: Envelope, meant: Resolved, fallback_sender: str) -> Content | Reply:
    """The content for one way of sending, or why there is none."""
    if letter.received > MAX_RECEIVED:
        return replies.LOOP
    work = _Work(text="", params={})
    options = _from_headers(letter, meant, work)
    if isinstance(options, Reply):
        return options
    name, asked = options
    channel = channels.CHANNELS[name]
    if channel.phone and meant.route.loops == "refuse" and letter.auto in (Auto.REPLIED, Auto.REPORT):
        return replies.reply(550, "5.7.1", "bounces and automatic replies are not sent to phones")
    work.params = {**_fitting(meant.route, name), **asked}
    why = params.agree(work.params)
    if why:
        return replies.reply(550, "5.5.4", why)
    kept = _files(letter, channel, meant.route, work)
    if isinstance(kept, Reply):
        return kept
    if name == "mail":
        return _as_mail(letter, envelope, meant.route, work, kept, fallback_sender)
    return _as_phone(letter, meant.route, channel, work, kept)


def _fitting(route: Route, channel: str) -> dict[str, str]:
    """The route's parameters; where an option changed the channel only those that it knows."""
    known = channels.CHANNELS[channel].params
    return {name: params.check(channel, name, value) for name, value in route.params.items() if name in known}


def _from_headers(letter: Letter, meant: Resolved, work: _Work) -> tuple[str, dict[str, str]] | Reply:
    """Channel and parameters after X-SMSC-* headers, which the address's options beat.

    A header counts for all recipients of the mail: on those whose channel knows nothing of
    its parameter it is passed over, and the report says so.
    """
    options: list[tuple[str, str]] = []
    for header, value in letter.headers:
        match = _HEADER.fullmatch(header)
        if match is None:
            continue
        option = (match[1].lower(), value.strip())
        if option[0] == "channel":
            option = (option[1].lower(), "")
        if option[0] in params.NAMES or option[0] in channels.OPTION_CHANNELS:
            options.append(option)
    if not options:
        return meant.channel, dict(meant.given)
    chosen = [name for name, _value in options if name in channels.OPTION_CHANNELS]
    by_option = meant.channel != meant.route.channel
    channel = chosen[-1] if chosen and not by_option else meant.channel
    known = channels.CHANNELS[channel].params
    fitting = []
    for option in options:
        if option[0] in known or (option[0] in chosen and not by_option):
            fitting.append(option)
        elif option[0] not in chosen:
            work.notes.append(f"X-SMSC-{option[0]} was passed over: it means nothing on {channel}")
    read = read_options(meant.route, fitting, channel)
    if isinstance(read, Reply):
        return read
    return channel, {**read[1], **meant.given}


def _files(letter: Letter, channel: channels.Channel, route: Route, work: _Work) -> tuple[int, ...] | Reply:
    """The files that go along, by number; where the channel takes none, what `attachments` says."""
    numbers = tuple(range(len(letter.files)))
    if not numbers:
        return ()
    if channel.takes_files is not None:
        found = channel.takes_files.check(letter.files)
        return found if isinstance(found, Reply) else numbers
    names = ", ".join(letter.files[n].name for n in numbers if not letter.files[n].inline)
    if route.attachments == "reject" and names:
        return replies.reply(554, "5.6.1", f"the channel {channel.name} takes no attachments: {names}")
    if names:
        work.notes.append(f"not sent, since the channel {channel.name} takes no files: {names}")
    return ()


# -- phone channels -----------------------------------------------------------------------


def _as_phone(
    letter: Letter, route: Route, channel: channels.Channel, work: _Work, kept: tuple[int, ...]
) -> Content | Reply:
    body = _body(letter)
    comment = ""
    if channel.comment == "author":
        body, comment = text.split_comment(body)
        if comment:
            work.notes.append(f"kept as a comment, not sent to the phone: {_quoted(comment)}")
    if route.trim:
        body, trimmed = trim.trim(body)
        if trimmed:
            work.notes.append("a signature, a quoted mail or a disclaimer was cut off")
    said = _filled(route.text, channel.text, letter, body, work)
    said, order = _placed(said, kept, everywhere=bool(kept))
    said = text.clean(said)
    chosen, more, note = gsm.choose(said, route.alphabet)
    work.params = {**more, **work.params}
    if note:
        work.notes.append(note)
    said = _harmless(chosen, route)
    if not said and not order:
        return replies.reply(554, "5.6.0", "nothing to send: subject and text are empty")
    said = _cut(said, route, channel, work)
    said = _numbered(said, order)
    size = gsm.measure(_transliterated(said, work.params)) if channel.counts_parts else None
    whole = _commented(said, comment, _route_comment(route, letter, work), channel, work)
    return Content(
        channel=channel.name,
        text=whole,
        params={**channel.flags, **work.params},
        files=order,
        alphabet=size.alphabet if size else "",
        parts=size.parts if size else 0,
        notes=tuple(work.notes),
    )


def _body(letter: Letter) -> str:
    if letter.html and html.is_stub(letter.plain, letter.html):
        return html.to_text(letter.html)
    return letter.plain


def _names(letter: Letter, subject: str, body: str) -> dict[str, str]:
    return {
        "subject": subject,
        "body": body,
        "from": letter.from_,
        "to": letter.to,
        "message_id": letter.message_id,
        "date": letter.date,
    }


def _filled(source: str | None, default: str, letter: Letter, body: str, work: _Work) -> str:
    """The route's template, filled; one that fails on this mail must not cost the alarm."""
    subject, body = text.once(letter.subject, body)
    try:
        return templates.fill(source or default, _names(letter, subject, body), letter.header)
    except templates.TemplateFault as error:
        work.notes.append(f"the route's text template failed ({error}): subject and text were sent plainly")
        return f"{subject}\n{body}"


def _harmless(said: str, route: Route) -> str:
    said = neutral.break_marks(said)
    return said if route.macros else neutral.neutralise(said)


def _cut(said: str, route: Route, channel: channels.Channel, work: _Work) -> str:
    limit = route.max_parts if channel.counts_parts else 10_000
    if "maxsms" in work.params and channel.counts_parts:
        limit = min(limit, int(work.params["maxsms"]))
    short, was_cut = gsm.cut(said, max_parts=limit, max_chars=MAX_CHARS)
    if was_cut:
        work.notes.append(f"the text was cut from {len(said)} to {len(short)} characters")
    return short


def _transliterated(said: str, given: Mapping[str, str]) -> str:
    """For counting parts only: what the provider makes Latin letters of fits GSM-7."""
    if given.get("translit", "0") == "0":
        return said
    return "".join(letter if gsm.fits(letter) else "ab" for letter in said)


def _route_comment(route: Route, letter: Letter, work: _Work) -> str:
    if not route.comment:
        return ""
    try:
        return templates.fill(route.comment, _names(letter, letter.subject, ""), letter.header)
    except templates.TemplateFault as error:
        work.notes.append(f"the route's comment template failed ({error})")
        return ""


def _commented(said: str, author: str, routes: str, channel: channels.Channel, work: _Work) -> str:
    """The text with its comment: what the phone gets first, then what the account's owner sees."""
    both = [neutral.break_marks(text.clean(each)) for each in (author, routes)]
    comment = "\n".join(each for each in both if each)
    if not comment or channel.comment == "none":
        return said
    room = MAX_CHARS - len(said) - len(_SEPARATOR)
    if room < len(comment):
        work.notes.append(f"the comment was cut to {max(room, 0)} characters")
    return f"{said}{_SEPARATOR}{comment[:room].rstrip()}" if room > 0 else said


# -- the mail channel ---------------------------------------------------------------------


def _as_mail(
    letter: Letter, envelope: Envelope, route: Route, work: _Work, kept: tuple[int, ...], fallback: str
) -> Content:
    as_html = bool(letter.html)
    body = html.for_mail(letter.html) if as_html else letter.plain
    said = _filled_mail(route, letter, body, work)
    said, order = _placed(said, kept, everywhere=False)
    said = neutral.break_marks(said)
    if not route.macros:
        said = neutral.neutralise(said, html=as_html)
    said = _numbered(text.printable(said).strip("\n"), order)
    if not said.strip():
        said = letter.subject or "(no text)"
    routes = _route_comment(route, letter, work)
    if not route.unsubscribe:
        said += "{no_unsub}"
    channel = channels.CHANNELS["mail"]
    if routes and channel.comment != "none":
        said += _SEPARATOR + neutral.break_marks(text.clean(routes))
    given = {**work.params, **channel.flags}
    given.setdefault("subj", text.one_line(letter.subject) or "(no subject)")
    given.setdefault("sender", letter.from_ or envelope.sender or fallback)
    if channel.takes_files is not None and (note := channel.takes_files.note(letter.files)):
        work.notes.append(note)
    return Content(channel="mail", text=said, params=given, files=order, notes=tuple(work.notes))


def _filled_mail(route: Route, letter: Letter, body: str, work: _Work) -> str:
    if route.text is None:
        return body
    try:
        return templates.fill(route.text, _names(letter, letter.subject, body), letter.header)
    except templates.TemplateFault as error:
        work.notes.append(f"the route's text template failed ({error}), so the text was sent plainly")
        return body


# -- where files stood --------------------------------------------------------------------

_MARK = re.compile(model.MARK)
_HALF_MARK = re.compile("\ufdd0[0-9]*|\ufdd1")
_TRAILING = re.compile(rf"(?:\s*{model.MARK})+\s*\Z")


def _placed(said: str, kept: Sequence[int], *, everywhere: bool) -> tuple[str, tuple[int, ...]]:
    """The text with the marks of kept files only, and the files in the request's order.

    Files go in the order of their places, those without a place after them. Marks at the
    very end say no more than that order does; `everywhere` keeps them all the same.
    """
    if not everywhere:
        said = _TRAILING.sub("", said)
    if not kept:
        return _MARK.sub("", said), ()
    placed = [n for n in dict.fromkeys(int(found) for found in _MARK.findall(said)) if n in kept]
    rest = [n for n in kept if n not in placed]
    if everywhere and rest:
        said += "".join(f"\n{model.mark(n)}" for n in rest)
    seen: set[int] = set()

    def once(match: re.Match[str]) -> str:
        number = int(match[1])
        if number not in kept or number in seen:
            return ""
        seen.add(number)
        return match[0]

    return _MARK.sub(once, said), tuple(placed + rest)


def _numbered(said: str, order: Sequence[int]) -> str:
    """The marks as the provider reads them: `<file n>`, from 1, in the request's order."""
    said = _MARK.sub(lambda match: f"<file {order.index(int(match[1])) + 1}>", said)
    return _HALF_MARK.sub("", said)  # a cut may have gone through one


def _quoted(words: str) -> str:
    one = text.one_line(words)
    return f'"{one}"' if len(one) <= 80 else f'"{one[:79]}…"'
