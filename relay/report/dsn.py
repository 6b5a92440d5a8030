"""One report mail out of facts: multipart/report with a delivery status (RFC 3464, RFC 6522).

Pure: values in, octets out; message id, boundary and time are arguments. Three parts, in the
order in which they matter: the text for people, the same facts for machines, and the mail
that it is about, its header or (`full`) the whole of it.

Rule 1: nothing that a report quotes can become a header, a field or a part of its own; all
of it passes through `fields`. Rule 2: a line has at most 998 octets and ends with CR LF.
Rule 3: a report is plain 7-bit ASCII, unless the original used SMTPUTF8 (RFC 6533) or is
returned whole with 8-bit content. `narrowed` gives the report that is ASCII in any case, for
a smarthost that takes nothing else.

Whether a report is due, to whom and about which recipients is decided elsewhere.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from hashlib import sha256

from relay.message import channels
from relay.report import fields, forwarded, machines, reasons, words
from relay.report.values import Action, Entry, Report


def compose(report: Report, *, message_id: str, boundary: str, now: int) -> bytes:
    """The octets of the report mail; never raises, whatever the facts hold."""
    parts = [part for part in (_people(report), machines.part(report), _original(report)) if part]
    boundary = _boundary(boundary, parts)
    cte = "7bit" if all(part.isascii() for part in parts) else "8bit"
    top = _top(report, message_id=message_id, now=now)
    kind = machines.kind(report)
    top += f'Content-Type: multipart/report; report-type={kind};\r\n boundary="{boundary}"\r\n'
    top += f"Content-Transfer-Encoding: {cte}\r\n"
    opening, closing = f"\r\n--{boundary}\r\n".encode(), f"\r\n--{boundary}--\r\n".encode()
    return top.encode() + b"".join(opening + part for part in parts) + closing


def narrowed(report: Report) -> Report:
    """The same report for a smarthost that takes 7-bit mail only: its mail will be ASCII."""
    return replace(report, utf8=False, full=None)


def _boundary(wanted: str, parts: list[bytes]) -> str:
    """The boundary as wanted, or where a part holds it already, another."""
    boundary = re.sub(r"[^0-9A-Za-z_.=-]", "", wanted)[:60] or "=_report"
    while any(boundary.encode() in part for part in parts):
        boundary = sha256(boundary.encode()).hexdigest()[:40]
    return boundary


# -- the header ---------------------------------------------------------------------------


def _top(report: Report, *, message_id: str, now: int) -> str:
    hostname = fields.host(report.hostname) or "localhost"
    original = fields.message_ids(report.message_id, 1)
    thread = [each for each in fields.message_ids(report.references) if each not in original]
    lines = [
        ("From", fields.author(report.from_, hostname)),
        ("To", _to(report)),
        ("Subject", fields.encoded(_subject(report))),
        ("Date", fields.date(now)),
        ("Message-ID", " ".join(fields.message_ids(message_id, 1))),
        ("In-Reply-To", " ".join(original)),
        ("References", " ".join(thread + original)),
        ("Auto-Submitted", "auto-replied"),  # RFC 3834 section 5
        ("X-Auto-Response-Suppress", "All"),  # the same for Exchange, which wants it told so
        ("MIME-Version", "1.0"),
    ]
    return "".join(fields.field(name, value) for name, value in lines if value)


def _to(report: Report) -> str:
    """The original's sender; where the grammar can't have it, an empty group named after it."""
    address = fields.mailbox(report.to)
    if address and (report.utf8 or address.isascii()):
        return address
    name = fields.clean(report.to)
    return "undisclosed-recipients:;" if name.isascii() else f"{fields.encoded(name)}:;"


def _subject(report: Report) -> str:
    """Short: what happened to whom; the worst of it where there is more than one thing."""
    if not report.entries:
        return words.say(report.language, "subject.none")
    group, entries = next(iter(_groups(report).items()))
    who = fields.clean(entries[0].address, 80)
    others = len({entry.address for entry in entries}) - 1
    if others:
        who = words.say(report.language, "subject.several", who=who, more=others)
    return words.say(report.language, f"subject.{group}", who=who)


_ORDER = ("failed", "unknown", "delayed", "answered", "relayed", "forwarded", "delivered", "expanded")


def _group(entry: Entry) -> str:
    if entry.unknown:
        return "unknown"
    if entry.action is Action.RELAYED and entry.channel == channels.FORWARD:
        return "forwarded"
    answered = channels.asks(entry.channel) and entry.code.startswith("status ")
    return "answered" if answered and entry.action is not Action.DELAYED else entry.action.value


def _groups(report: Report) -> dict[str, list[Entry]]:
    """The entries by what happened, the worst first, otherwise in their order."""
    found = {group: [entry for entry in report.entries if _group(entry) == group] for group in _ORDER}
    return {group: entries for group, entries in found.items() if entries}


# -- the first part: for people -----------------------------------------------------------


def _people(report: Report) -> bytes:
    paragraphs = [_wrapped(words.say(report.language, "intro", host=fields.clean(report.hostname)))]
    paragraphs.append(_about(report))
    for group, entries in _groups(report).items():
        paragraphs.append(words.say(report.language, f"title.{group}"))
        hints = [words.advice(report.language, group, entry.status, entry.channel) for entry in entries]
        if len(set(hints)) == 1:  # said once for all of them
            paragraphs += [_told(report.language, entry) for entry in entries]
            paragraphs.append(_wrapped(hints[0]))
        else:
            for entry, hint in zip(entries, hints, strict=True):
                paragraphs.append(f"{_told(report.language, entry)}\n{_wrapped(hint, '  ')}")
    text = "\n\n".join(filter(None, paragraphs)) + "\n"
    cte, body = fields.transferable(text.encode())
    return fields.part("text/plain; charset=utf-8", cte, body)


def _about(report: Report) -> str:
    """Which mail this is about, as far as that is known."""
    facts = (
        ("mail.subject", fields.clean(report.subject)),
        ("mail.arrival", fields.shown(report.arrival) if report.arrival else ""),
        ("mail.id", fields.clean(report.message_id)),
        ("mail.queue", fields.clean(report.mail_id)),
    )
    say = [words.say(report.language, key, value=value) for key, value in facts if value]
    return "\n".join(_wrapped(line, "  ") for line in say)


def _told(language: str, entry: Entry) -> str:
    """Everything about one recipient: who, why, and what was sent."""
    status, code = ("unknown", "") if entry.unknown else (entry.status, entry.code)
    sentence = fields.clean(entry.reason)
    late = entry.action is Action.DELAYED
    sentence = reasons.reason(
        language, status=status, code=code, sentence=sentence, channel=entry.channel, late=late
    )
    who, said = forwarded.diagnostic(entry.code, entry.text)
    answer: list[str] = []
    if _group(entry) == "answered":
        sentence, answer = words.answer(
            language, entry.channel, sentence, fields.clean(entry.text), good=entry.action is Action.DELIVERED
        )
        said = fields.clean(entry.code)
    kind = "entry.error" if entry.code.isdigit() else "entry.provider"  # a status says itself that it is one
    kind = "entry.server" if who == forwarded.SMTP else kind
    cost = fields.clean(entry.cost)
    phones = {"affected": entry.affected, "members": entry.members}
    last, until = entry.last_attempt, entry.will_retry_until if entry.action is Action.DELAYED else 0
    facts = [
        sentence,
        *answer,
        words.say(language, "entry.late") if entry.late else "",
        words.say(language, "entry.members", **phones) if entry.members > 1 else "",
        words.say(language, kind, words=said) if said else "",
        words.say(language, "entry.status", status=fields.clean(entry.status)),
        words.say(language, "entry.id", id=fields.clean(entry.id)) if entry.id else "",
        words.say(language, "entry.label", label=fields.clean(entry.label)) if entry.label else "",
        words.say(language, "entry.bill", parts=entry.parts) if entry.parts > 0 else "",
        words.say(language, "entry.cost", cost=cost) if cost else "",
        words.say(language, "entry.attempt", when=fields.shown(last)) if last else "",
        words.say(language, "entry.until", when=fields.shown(until)) if until else "",
        words.say(language, "entry.text", text=fields.clean(entry.excerpt)) if entry.excerpt else "",
        *(words.say(language, "entry.note", note=fields.clean(note)) for note in entry.notes),
    ]
    return "\n".join([f"* {_who(language, entry)}", *(_wrapped(fact, "  ") for fact in facts if fact)])


def _who(language: str, entry: Entry) -> str:
    """The address, and in brackets how and where the message went."""
    way = [words.channel(language, fields.clean(entry.channel))] if entry.channel else []
    if entry.phone:
        way.append(words.say(language, "entry.phone", phone=fields.clean(entry.phone)))
    address = fields.clean(entry.address, fields.ADDRESS_LIMIT)
    return f"{address} ({', '.join(way)})" if way else address


def _wrapped(text: str, indent: str = "") -> str:
    further = indent + "  " if indent else ""
    lines = textwrap.wrap(
        text,
        76,
        initial_indent=indent,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


# -- the third part: what came ------------------------------------------------------------


def _original(report: Report) -> bytes:
    """The mail that this is about: its header, or with `full` all of it; b"" where nothing is known."""
    if report.full is not None:
        return _whole(report.full, utf8=report.utf8)
    head = fields.lines(report.head).strip(b"\n") + b"\n"
    if head == b"\n":
        return b""
    if not head.isascii() and report.utf8 and fields.short(head) and fields.is_utf8(head):
        return fields.part("message/global-headers", "8bit", head.replace(b"\n", b"\r\n"))
    if head.isascii() and fields.short(head):
        return fields.part("text/rfc822-headers", "7bit", head.replace(b"\n", b"\r\n"))
    # RFC 6522 section 4: broken headers may be made legal by quoted-printable
    return fields.part("text/rfc822-headers", "quoted-printable", fields.quoted(head))


def _whole(mail: bytes, *, utf8: bool) -> bytes:
    """The whole original. No encoding is allowed here, so lines that are too long are broken."""
    mail = re.sub(rb"([^\n]{990})(?=[^\n])", rb"\1\n ", fields.lines(mail).replace(b"\0", b""))
    head = mail.partition(b"\n\n")[0]
    kind = "global" if utf8 and not head.isascii() and fields.is_utf8(head) else "rfc822"
    return fields.part(f"message/{kind}", "7bit" if mail.isascii() else "8bit", mail.replace(b"\n", b"\r\n"))
