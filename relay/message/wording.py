"""What all ways of saying a mail share: the letter, its route's templates, comments, caution.

`phone` and `mailbox` make `mes` of it. Neutralising comes after everything that could make a
command appear, and comments go through it as well: they travel in the same `mes`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from relay.config import Route
from relay.message import channels, html, masks, neutral, places, templates, text, trim
from relay.message.alarms import alarm_of
from relay.message.condense import Condensed, recognise
from relay.message.recogniser import Recogniser
from relay.model import Alarm, Letter

MAX_CHARS = 1000
"""Of `mes` on phone channels, comment included (vendor: sending, `mes`)."""
_ANSWERED = ("re:", "re[", "aw:", "sv:", "отв:", "на:")
SEPARATOR = "\n~~~\n"
FILE_MARK = re.compile(r"<file [0-9]{1,3}>")
"""Where a file stands in a stored text; nobody reads it on a phone."""


class Source:
    """A letter, and what is made of it once for all ways of sending it."""

    def __init__(self, letter: Letter, recognisers: Sequence[Recogniser] = ()) -> None:
        self.letter = letter
        self._recognisers = recognisers
        self._trimmed: dict[str, tuple[str, tuple[str, ...]]] = {}

    @cached_property
    def readable(self) -> str:
        """What a phone is to read of the body."""
        letter = self.letter
        if letter.readable:
            return letter.readable
        return html.readable(letter.plain, letter.html)

    def trimmed(self, body: str) -> tuple[str, tuple[str, ...]]:
        """The body without what nobody needs, and what that was; made once for all ways of sending."""
        if body not in self._trimmed:
            letter = self.letter
            answers = letter.header("In-Reply-To") or letter.header("References")
            reply = bool(answers) or letter.subject[:4].lower().startswith(_ANSWERED)
            self._trimmed[body] = trim.trim(body, letter.subject, reply=reply)
        return self._trimmed[body]

    @cached_property
    def recognised(self) -> Condensed | None:
        """The line that a recogniser makes of the mail, None where none knows it."""
        return recognise(self.letter, self.readable, self._recognisers)

    @cached_property
    def alarm(self) -> Alarm:
        """Whether the mail tells of a problem or of its end."""
        found = self.recognised
        return found.alarm if found else alarm_of(self.letter.subject, self.readable)

    @cached_property
    def topic(self) -> str:
        """What a problem and its recovery share."""
        return masks.topic(self.letter.from_, self.letter.subject, self.readable)

    @cached_property
    def for_mail(self) -> tuple[str, bool]:
        """What a mailbox is to read, and whether it is HTML: not where that shows nothing."""
        letter = self.letter
        if letter.html and (not letter.plain.strip() or html.shows(letter.html)):
            return html.for_mail(letter.html), True
        return letter.plain, False


@dataclass(slots=True)
class Work:
    """One text on its way, its parameters, and what is to be said about it.

    `notes` are for the sender's report: what the phone got is less than, or other than, what was
    written. `rules` are for whoever asks why (`explain`): everything that had a say.
    """

    source: Source
    route: Route
    channel: channels.Channel
    params: dict[str, str] = field(default_factory=dict)
    files: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    beyond: int = 0  # characters of the body that were left out as no phone could get them

    @property
    def letter(self) -> Letter:
        return self.source.letter

    def note(self, sentence: str) -> None:
        """Say something to the sender, which is a rule that fired as well."""
        self.notes.append(sentence)
        self.rules.append(sentence)


# -- templates ----------------------------------------------------------------------------


def names(letter: Letter, subject: str, body: str) -> dict[str, str]:
    """What a template may name."""
    return {
        "subject": subject,
        "body": body,
        "from": letter.from_,
        "to": letter.to,
        "message_id": letter.message_id,
        "date": letter.date,
    }


def harmless(said: str, work: Work, *, html: bool = False) -> str:
    """The text without what the provider would obey, unless the route trusts its authors."""
    broken = neutral.break_marks(said)
    if broken != said:
        work.rules.append("lines of ~~~ that are no comment's were broken up")
    if work.route.macros:
        return broken
    kept = neutral.neutralise(broken, html=html)
    if kept != broken:
        work.rules.append("what the provider would obey was made harmless (macros: false)")
    return kept


# -- comments -----------------------------------------------------------------------------


def route_comment(work: Work) -> str:
    """What the route adds for the account's owner."""
    if not work.route.comment:
        return ""
    given = names(work.letter, work.letter.subject, "")
    try:
        return templates.fill(work.route.comment, given, work.letter.header)
    except templates.TemplateFault as fault:
        work.note(f"the route's comment template failed ({fault})")
        return ""


def commented(said: str, comments: Sequence[str], work: Work) -> str:
    """The text with its comment: what the phone gets first, then what the account's owner sees."""
    if work.channel.comment == channels.NONE or not any(comments):
        return said
    kept = [harmless(text.clean(places.without(each)), work) for each in comments]
    comment = "\n".join(each for each in kept if each)
    if not comment:
        return said
    if work.channel.phone:
        room = max(0, MAX_CHARS - len(said) - len(SEPARATOR))
        if room < len(comment):
            work.note(f"the comment was cut to {room} characters")
        comment = neutral.break_marks(comment[:room].rstrip())[:room]
    return f"{said}{SEPARATOR}{comment}" if comment else said


def uncommented(stored: str) -> str:
    """What a stored text says without its comment: what the phone gets."""
    return stored.partition(SEPARATOR)[0]


def file_names(letter: Letter, numbers: Sequence[int]) -> str:
    """Names of files, for a sentence."""
    return ", ".join(letter.files[n].name for n in numbers)


def quoted(words: str) -> str:
    """The words, shortened, for a sentence."""
    return f'"{text.one_line(words, 80)}"'
