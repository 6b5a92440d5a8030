"""One way of sending a letter: its channel, its parameters and files, and the content made of them.

Parameters come from the route, then from X-SMSC-* headers, then from the options of the address;
the later of these wins. A header counts for all recipients of a mail, so that one which means
nothing for this one is passed over with a note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from relay import replies
from relay.config import Route
from relay.message import channels, mailbox, neutral, params, phone, quiet, wording
from relay.message.routes import Resolved, is_on, reaches, read_options
from relay.message.wording import Source, Work
from relay.model import WHOLE, Auto, Content, File, Letter
from relay.replies import Reply

MAX_RECEIVED = 50
"""Received headers before a mail is taken for a loop (RFC 5321 section 6.3)."""
_HEADER = re.compile(r"x-smsc-([a-z0-9]+)", re.IGNORECASE)


def content(source: Source, meant: Resolved, sender: str) -> Content | Reply:
    """The content for one way of sending, or why there is none."""
    letter, route = source.letter, meant.route
    if letter.received > MAX_RECEIVED:
        return replies.LOOP
    if meant.channel == channels.FORWARD:
        return _as_it_is(meant)
    notes: list[str] = []
    chosen = _chosen(letter, meant, notes)
    if isinstance(chosen, Reply):
        return chosen
    name, asked = chosen
    channel = channels.CHANNELS[name]
    if channel.phone and route.loops == "refuse" and letter.auto in (Auto.REPLIED, Auto.REPORT):
        return replies.reply(550, "5.7.1", "bounces and automatic replies are not sent to phones")
    if not all(reaches(name, target.to) for target in meant.targets):
        return replies.reply(550, "5.1.3", f"{name} can't reach a bot's user, who has no number")
    own = _fitting(route, name, notes)
    if hours := quiet.time(route, name, {**own, **asked}):
        own["time"] = hours
    rules = [*_reasons(meant, name, own, asked), *notes]
    if hours := quiet.kept(route, name, {**own, **asked}):
        rules.append(f"the order waits here during the quiet hours, {hours}")
    work = Work(source, route, channel, {**own, **asked}, (), notes, rules)
    if "subj" in asked:
        work.params["subj"] = wording.harmless(asked["subj"], work)
    why = params.agree(work.params) or _missing(work) or _forbidden(work, asked)
    if why:
        return replies.reply(550, "5.5.4", why)
    files = _files(work)
    if isinstance(files, Reply):
        return files
    work.files = files
    return phone.for_phone(work) if channel.phone else mailbox.for_mail(work, sender)


def _as_it_is(meant: Resolved) -> Content:
    """The mail itself; nothing of it is looked at."""
    rule = f"the route {meant.route.match} fits, the mail goes on untouched"
    return Content(channel=channels.FORWARD, text="", files=(WHOLE,), rules=(rule,))


def _reasons(meant: Resolved, channel: str, own: Mapping[str, str], asked: Mapping[str, str]) -> list[str]:
    """Why the message goes this way, for `explain`."""
    found = [f"the route {meant.route.match} fits, its channel is {meant.route.channel}"]
    if meant.alias:
        found.append(f"the alias {meant.alias} stands for {len(meant.targets)} recipients")
    if channel != meant.route.channel:
        found.append(f"an option of the address or a header chose the channel {channel}")
    found += [f"the route sets {name}={value}" for name, value in own.items() if name not in asked]
    for name, value in asked.items():
        who = "the address" if name in meant.given else "a header"
        found.append(f"{who} sets {name}={value}")
    return found


def _forbidden(work: Work, asked: Mapping[str, str]) -> str:
    """Why an author may not have a file fetched: those kept at the provider are the account's own."""
    url = asked.get("fileurl", "")
    if not url or work.route.macros or neutral.neutralise(url) == url:
        return ""
    return "fileurl: files that are kept at the provider are not for the authors of mails"


def _missing(work: Work) -> str:
    """Which parameter the channel can't do without, "" where none lacks; `mail` has stand-ins."""
    needs = work.channel.needs - work.params.keys() if work.channel.phone else ()
    return "; ".join(f"{name}: {work.channel.name} can't do without it" for name in sorted(needs))


# -- channel and parameters ---------------------------------------------------------------


def _fitting(route: Route, channel: str, notes: list[str]) -> dict[str, str]:
    """The route's parameters; where an option changed the channel only those that fit it."""
    fitting: dict[str, str] = {}
    for name, value in route.params.items():
        if name not in channels.CHANNELS[channel].params:
            continue
        try:
            fitting[name] = params.check(channel, name, value)
        except params.ParamError:
            notes.append(f"the route's {name} was left out, since it does not fit the channel {channel}")
    return fitting


def _chosen(letter: Letter, meant: Resolved, notes: list[str]) -> tuple[str, dict[str, str]] | Reply:
    """Channel and parameters: the route's, then X-SMSC-* headers, then the address's options."""
    options = list(_from_headers(letter, meant, notes))
    if not options:
        return meant.channel, dict(meant.given)
    flags = [name for name, _value in options if name in channels.OPTION_CHANNELS]
    channel = flags[-1] if flags else meant.channel
    known = channels.CHANNELS[channel].params
    fitting = []
    for option in options:
        if option[0] in known or option[0] in flags:
            fitting.append(option)
        else:
            notes.append(f"X-SMSC-{option[0]} was passed over: it means nothing on the channel {channel}")
    read = read_options(meant.route, fitting, channel)
    if isinstance(read, Reply):
        return read
    again = read_options(meant.route, list(meant.given.items()), channel)
    return again if isinstance(again, Reply) else (channel, {**read[1], **again[1]})


def _from_headers(letter: Letter, meant: Resolved, notes: list[str]) -> Sequence[tuple[str, str]]:
    """The options that headers set.

    A header counts for all recipients of a mail, so one that means nothing for this one is
    passed over with a note instead of refusing it: channels where none can be chosen.
    """
    fixed = meant.named or not channels.CHANNELS[meant.route.channel].phone
    found: list[tuple[str, str]] = []
    for header, value in letter.headers:
        match = _HEADER.fullmatch(header) if header[:2] in ("X-", "x-") else None
        if match is None:
            continue
        name, word = match[1].lower(), value.strip()
        if name == "channel":
            name, word = word.lower(), ""
            if name not in channels.OPTION_CHANNELS:
                notes.append(f"X-SMSC-Channel was passed over: {name[:40]!r} is no channel to choose")
                continue
        if name in channels.OPTION_CHANNELS:
            if not fixed and is_on(word):
                found.append((name, word))
        elif name in params.NAMES and (
            channels.CHANNELS[meant.route.channel].phone or name in meant.route.allow
        ):
            found.append((name, word))
        elif name in params.NAMES:
            notes.append(f"X-SMSC-{name} was passed over: it is not allowed on this route")
        else:
            notes.append(f"X-SMSC-{name[:40]} was passed over: it is nothing that a header may set")
    return found


# -- files --------------------------------------------------------------------------------


def _files(work: Work) -> tuple[int, ...] | Reply:
    """The files that go along, by number; where the channel takes none, what `attachments` says."""
    letter, rule = work.letter, work.channel.takes_files
    numbers = tuple(n for n, file in enumerate(letter.files) if not (work.channel.phone and _is_told(file)))
    attached = [n for n in numbers if not letter.files[n].inline]
    if rule is None:
        if work.route.attachments == "reject" and attached:
            names = wording.file_names(letter, attached)
            return replies.reply(
                554, "5.6.1", f"the channel {work.channel.name} takes no attachments: {names}"
            )
        _dropped(work, numbers)
        return ()
    if rule.kinds:  # pictures of a mail's layout must not keep an alarm from being called out
        decoration = [n for n in numbers if n not in attached and rule.check([letter.files[n]])]
        _dropped(work, decoration)
        numbers = tuple(n for n in numbers if n not in decoration)
    return rule.check([letter.files[n] for n in numbers]) or numbers


def _is_told(file: File) -> bool:
    """Whether a line of the text says all that a phone needs: it is an invitation in the mail's body."""
    return file.inline and file.type == "text/calendar"


def _dropped(work: Work, numbers: Sequence[int]) -> None:
    if numbers:
        names = wording.file_names(work.letter, numbers)
        work.note(f"not sent, since the channel {work.channel.name} does not take it: {names}")
