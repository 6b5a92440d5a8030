"""A mail and its resolved recipients become contents and orders: the composer.

Pure: the letter, what the addresses meant and the moment go in; what is to be stored comes
out, as `drafts`. A recipient that can't be served is a `Refusal` of its own and harms no other.
What was cut, dropped or changed is a note on the content, for the report. How the content itself
is made is in `ways`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from relay import model, replies
from relay.config import Account, Escalation, Route
from relay.message import (
    address,
    bodies,
    channels,
    countries,
    deadlines,
    gateway,
    masks,
    params,
    places,
    quiet,
    routes,
    ways,
)
from relay.message.drafts import Composed, Draft, Refusal, StepDraft
from relay.message.recogniser import Recogniser
from relay.message.routes import Resolved
from relay.message.wording import Source, uncommented
from relay.model import Alarm, Content, Envelope, File, Letter, Target
from relay.replies import Reply

_APART = ("time", "tz", "period", "freq", "subj", "fileurl", "bot")
"""Parameters that make the same text another message for the person who gets it."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way of sending the letter, shared by all recipients that take it."""

    place: int  # of its content
    content: Content
    digest: str
    says: str
    mask: str = ""
    ahead: bool = False  # it leaves at once although its mail is held: the provider keeps it


@dataclass(frozen=True, slots=True)
class _Marks:
    """What the mail means, over and above its text."""

    alarm: Alarm
    label: str
    topic: str
    priority: int  # which the mail asks for, on top of the route's


def compose(
    letter: Letter,
    envelope: Envelope,
    resolved: Sequence[Resolved | Reply],
    *,
    now: int,
    fallback_sender: str,
    accounts: Mapping[str, Account] | None = None,
    recognisers: Sequence[Recogniser] = (),
    zone: quiet.Zone = quiet.utc,
) -> Composed:
    """Make the orders of a mail. `resolved` goes with `envelope.recipients`, one for one.

    `accounts` are those that a mail in the provider's own grammar may name by their credentials,
    `recognisers` know the mails of monitors, the first that fits counts. `zone` is this machine's.
    """
    sender = letter.from_ or envelope.sender or fallback_sender
    board = _Board(sender, envelope, now, zone, deadlines.priority(envelope, letter.header("MT-Priority")))
    source = Source(letter, recognisers)
    secret = routes.by_command(resolved)
    for number, meant in enumerate(resolved):
        if isinstance(meant, Reply):
            board.refuse(number, meant)
        elif meant.gateway:
            _obey(board, number, letter, meant, accounts or {})
        elif secret:
            board.refuse(number, replies.CREDENTIALS, meant.channel)
        else:
            board.add(number, source, meant)
    return Composed(
        contents=tuple(board.contents),
        drafts=tuple(board.drafts),
        refusals=tuple(board.refusals),
        steps=tuple(board.steps),
        notes=letter.notes,
        secret=secret,
    )


class _Board:
    """What a mail becomes, recipient by recipient; a way of sending it is made once."""

    def __init__(self, sender: str, envelope: Envelope, now: int, zone: quiet.Zone, priority: int) -> None:
        self._sender = sender
        self._envelope = envelope
        self._priority = priority
        self._now = now
        self._zone = zone
        self._ways: dict[object, _Way | Reply] = {}
        self.contents: list[Content] = []
        self.drafts: list[Draft] = []
        self.refusals: list[Refusal] = []
        self.steps: list[StepDraft] = []

    def refuse(
        self, number: int, reply: Reply, channel: str = "", *, target: str = "", label: str = ""
    ) -> None:
        """A recipient can't be served."""
        self.refusals.append(
            Refusal(recipient=number, channel=channel, reply=reply, target=target, label=label)
        )

    def add(self, number: int, source: Source, meant: Resolved, *, label: str = "") -> None:
        """A recipient is served in the way that its address means, if it can be."""
        given = tuple(sorted(meant.given.items()))
        key = (source, id(meant.route), meant.channel, meant.named, given)
        if key not in self._ways:
            self._ways[key] = self._made(source, meant)
        way = self._ways[key]
        if isinstance(way, Reply):
            targets = [target.to for target in meant.targets] if meant.gateway else [""]
            for target in targets:
                self.refuse(number, way, meant.channel, target=target, label=label)
        else:
            alarm = source.alarm if channels.CHANNELS[meant.channel].phone else Alarm.NONE
            topic = source.topic if alarm else ""
            marks = _Marks(alarm=alarm, label=label, topic=topic, priority=self._priority)
            made = _drafts(number, way, meant, self._envelope, self._now, self._zone, marks)
            self.drafts += made
            if channels.escalates(way.content.channel) and alarm is not Alarm.RECOVERY and not meant.gateway:
                self.steps += _steps(number, meant.escalate, made)

    def _made(self, source: Source, meant: Resolved) -> _Way | Reply:
        made = ways.content(source, meant, self._sender)
        if not isinstance(made, Reply):
            made = deadlines.bounded(made, meant.route, self._envelope, self._now)
        if isinstance(made, Reply):
            return made
        way = _way(len(self.contents), made, source.letter, meant.route, self._now)
        handed = deadlines.handed(made, meant.route, self._envelope, self._now)
        if handed is not None:  # the phone hears no other text because of when it does
            says = way.says
            way = _way(way.place, handed, source.letter, meant.route, self._now)
            way = replace(way, says=says, ahead=True)
        self.contents.append(way.content)
        return way


# -- the provider's own grammar -----------------------------------------------------------


def _obey(
    board: _Board, number: int, letter: Letter, meant: Resolved, accounts: Mapping[str, Account]
) -> None:
    """The orders of a mail to send@: whoever knows an account's credentials may set everything."""
    try:
        command = gateway.parse(_command_of(letter))
    except gateway.GatewayError as error:
        board.refuse(number, replies.reply(554, "5.6.0", str(error)), meant.channel)
        return
    account = command.account(accounts)
    if not account:
        board.refuse(number, replies.WRONG_CREDENTIALS, meant.channel)
        return
    plainly = {"text": "{{ body }}", "trim": False, "condense": False, "comment": ""}
    route = meant.route.model_copy(update={**plainly, "account": account, "accounts": (account,)})
    for line in command.lines:
        said = replace(letter, subject="", plain=line.mes, html="", readable=line.mes, headers=())
        board_line = Resolved(
            route=route, channel=command.channel, targets=(), given=line.params, named=True, gateway=True
        )
        source = Source(said)
        targets = list(_reached(board, number, command, line, route))
        if targets:
            board.add(number, source, replace(board_line, targets=tuple(targets)), label=command.id)


def _command_of(letter: Letter) -> str:
    """The text that holds the command; raises GatewayError where not all of it was read.

    Files have no places in a list: they go along at the end.
    """
    text = letter.readable or letter.plain
    if len(text) >= bodies.TEXT:
        raise gateway.GatewayError("the mail is too long for a command")
    return places.without(text)


def _reached(
    board: _Board, number: int, command: gateway.Command, line: gateway.Line, route: Route
) -> Iterator[Target]:
    """Whom a line's text goes to; a number that is none harms no other."""
    for each in line.phones:
        why = f"{each[:40]!r} is nobody that {command.channel} can reach"
        try:
            found = routes.target(each, command.channel, route.region)
        except address.AddressError as error:
            found, why = "", str(error)
        if found and (abroad := countries.refusal([Target(to=found)], route)):
            board.refuse(number, abroad, command.channel, target=found, label=command.id)
        elif found:
            yield Target(to=found)
        else:
            reply = replies.reply(553, "5.1.3", why)
            board.refuse(number, reply, command.channel, target=each[:200], label=command.id)


# -- drafts -------------------------------------------------------------------------------


def _way(place: int, content: Content, letter: Letter, route: Route, now: int) -> _Way:
    if content.channel == channels.FORWARD:
        return _Way(place, content, "", "")  # no request to share, no phone to hear it
    files = [_file_digest(letter.files[n], now) for n in content.files]
    form = json.dumps(sorted(content.params.items())) if content.params else "[]"
    comments = channels.CHANNELS[content.channel].comment != channels.NONE
    heard = uncommented(content.text) if comments else content.text
    payers = "\n".join(dict.fromkeys((route.account, *route.accounts)))
    apart = _APART + (("sender",) if content.channel == "mail" else ())
    moment = [f"{name}={content.params[name]}" for name in apart if name in content.params]
    return _Way(
        place,
        content,
        _digest(payers, content.channel, content.text, form, *files),
        _digest(content.channel, heard, *moment, *files),
        masks.mask(heard) if channels.CHANNELS[content.channel].digests else "",
    )


def _digest(*fields: str) -> str:
    return model.stable_digest(*(each.encode("utf-8", "replace") for each in fields))


def _file_digest(file: File, now: int) -> str:
    """Equal for equal files; a spooled one equals only itself."""
    octets = file.data or f"{file.path} {now}".encode()
    return model.stable_digest(file.name.encode("utf-8", "replace"), octets)


def _drafts(
    number: int,
    way: _Way,
    meant: Resolved,
    envelope: Envelope,
    now: int,
    zone: quiet.Zone,
    marks: _Marks,
) -> list[Draft]:
    given = way.content.params
    hours = quiet.kept(meant.route, way.content.channel, given)
    waits = "" if way.ahead else deadlines.held(envelope, now)
    leaves = now if way.ahead else max(now, envelope.hold_until)
    start = params.due_from_time(given.get("time", ""), given.get("tz", ""), leaves) or leaves
    if until := quiet.until(hours, leaves, zone):
        leaves = start = until
        waits = quiet.why(hours)
    return [
        Draft(
            recipient=number,
            content=way.place,
            target=target.to,
            hidden=target.hidden,
            account="" if way.content.channel == channels.FORWARD else meant.route.account,
            channel=way.content.channel,
            priority=meant.route.priority + marks.priority,
            start_at=start,
            expire_at=deadlines.expiry(way.content, meant.route, envelope, start),
            quiet=hours,
            digest=way.digest,
            says=way.says,
            accounts=_choice(meant.route, target.to, way.content.channel),
            mask=way.mask,
            leaves_at=leaves,
            waits=waits,
            apart=envelope.returned,
            label=marks.label,
            alarm=marks.alarm,
            topic=marks.topic,
        )
        for target in meant.targets
    ]


def _steps(number: int, wanted: Sequence[Escalation], drafts: Sequence[Draft]) -> list[StepDraft]:
    """The steps of a recipient, in the order of their times."""
    start = min(draft.start_at for draft in drafts)
    return [
        StepDraft(
            recipient=number, n=n, after=each.after, unless=each.unless,
            channel=each.channel, goal=each.to, due_at=start + each.after,
        )
        for n, each in enumerate(sorted(wanted, key=lambda step: step.after), start=1)
    ]  # fmt: skip


def _choice(route: Route, target: str, channel: str) -> tuple[str, ...]:
    """The accounts that may carry it, where there are several.

    Groups and the friends of a bot are an account's own: another one's g777 are other people.
    """
    several = tuple(dict.fromkeys(route.accounts))
    everywhere = channel != channels.FORWARD and (target.startswith("+") or "@" in target)
    return several if everywhere and len(several) > 1 else ()
