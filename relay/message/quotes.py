"""Quoted mail: what an author answers to, found by its attribution, its header or its ``>``.

Headers and attributions are known in English, Russian and the larger European languages. A
forwarded mail is no quote but the message; lines with ``>`` go only where they are clearly quotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LONG = 300  # a line longer than this is text, whatever it begins with

_WROTE = re.compile(
    r"\b(?:wrote|schrieb|a écrit|escribió|ha scritto|escreveu|schreef|skrev|kirjoitti|pisze"
    r"|napisał(?:\(a\)|a)?|napsal(?:\(a\)|a)?|пишет|писал(?:\(а\)|а)?|написал(?:\(а\)|а)?|пише|написав|напісаў)(?!\w)",
    re.IGNORECASE,
)
_LEAD = re.compile(r"(?:on|am|le|el|il|em|op|den|dne|w dniu|dnia)\s", re.IGNORECASE)
_SENDER = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,190}>?\s?:\Z")
_CLOCK = re.compile(r"\b[0-9]{1,2}:[0-9]{2}\b")
_REPLY = re.compile(
    r"-{2,20} ?(?:original message|исходное сообщение|первоначальное сообщение|ursprüngliche nachricht"
    r"|message d.origine|mensaje original|messaggio originale|mensagem original|oorspronkelijk bericht"
    r"|oryginalna wiadomość|původní zpráva) ?-{2,20}\Z",
    re.IGNORECASE,
)
_FORWARD = re.compile(
    r"(?:-{2,20} ?)?(?:begin )?(?:forwarded message|пересылаемое сообщение|пересланное сообщение"
    r"|перенаправленное сообщение|переслане повідомлення"
    r"|начало переадресованного сообщения|weitergeleitete nachricht|message transféré|mensaje reenviado"
    r"|messaggio inoltrato|mensagem encaminhada|doorgestuurd bericht) ?(?:-{2,20}|:)\Z",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\*{0,2}(?:(?P<sender>from|от|от кого|von|de|da|van|od)|(?P<when>sent|date|отправлено|дата|gesendet"
    r"|datum|envoyé|enviado|inviato|data|verzonden|wysłano)|(?P<about>subject|тема|betreff|objet|asunto|oggetto"
    r"|assunto|onderwerp|temat)"
    r"|(?P<to>to|cc|bcc|reply-to|importance|attachments|кому|копия|важность|вложения|an|kopie|à|cc|para|a|aan|do|dw))\s?:\*{0,2}\s{0,4}\S",
    re.IGNORECASE,
)
_FIELD = re.compile(r"\*{0,2}[^\W\d][\w -]{0,30}\s?:\*{0,2}\s")
_BLOCK = 3  # lines of ">" that are taken for a quote without an attribution


def may_hold(text: str) -> bool:
    """Whether there may be a quote in a text: every rule below asks for one of these."""
    return ":" in text or ">" in text or "--" in text


def without_quotes(lines: Sequence[str], *, reply: bool) -> list[str]:
    """What the author wrote. A mail that is nothing but a quote, or forwards one, stays."""
    kept: list[str] = []
    written = False
    at = 0
    quotes = any(">" in line for line in lines)
    while at < len(lines):
        line = lines[at].strip()
        if _says_nothing(line):
            kept.append(lines[at])
            written = written or bool(line.strip("_-=* "))
            at += 1
            continue
        if _FORWARD.match(line):
            return kept + list(lines[at:])
        if written and _begins_old_mail(lines, at):
            return kept
        skipped = _quote(lines, at, reply=reply) if quotes else at
        if skipped > at:
            at = skipped
            continue
        if written and _attributes(line) and _surely(line):
            return kept
        kept.append(lines[at])
        written = written or bool(line.strip("_-=* "))
        written = written and not _REPLY.match(line)  # a divider with nothing above it divides nothing
        at += 1
    return kept


def _says_nothing(line: str) -> bool:
    """Every rule below asks for a colon, a pair of dashes or a ">": most lines hold none of these."""
    return ":" not in line and "--" not in line and line[:1] != ">"


def _begins_old_mail(lines: Sequence[str], at: int) -> bool:
    """A divider, or the header of the mail that is answered, as Outlook puts it.

    A form on a web page looks alike: its From has no address and nobody that it goes to, or it has
    fields that no mail has.
    """
    line = lines[at].strip()
    if _REPLY.match(line):
        return True
    first = _HEADER.match(line) if len(line) <= LONG else None
    if not first or not first["sender"] or (at and lines[at - 1].strip("_-=* \t")):
        return False
    found: set[str | None] = set()
    for each in lines[at : at + 9]:
        match = _HEADER.match(each.strip()[:LONG])
        if match:
            found.add(match.lastgroup)
        elif not each.strip() or not _FIELD.match(each.strip()[:LONG]):
            break
        else:
            return False
    return {"when", "about"} <= found and ("@" in line or "to" in found)


def _attributes(line: str) -> bool:
    """Says who wrote what follows, and when."""
    if not line.endswith(":") or len(line) > LONG:
        return False
    return bool(_WROTE.search(line[-150:]) or (_SENDER.search(line) and _CLOCK.search(line)))


def _surely(line: str) -> bool:
    """No machine writes so: what follows is a quote even without its ">"."""
    named = _SENDER.search(line) is not None
    if not _CLOCK.search(line):
        return False
    return (named and "<" in line) or (bool(_LEAD.match(line)) and (named or bool(_WROTE.search(line))))


def _quote(lines: Sequence[str], at: int, *, reply: bool) -> int:
    """The line after the quote that begins at `at`, with its attribution; `at` where none does."""
    if _cited(lines[at]):
        end = _quoted(lines, at) if reply else at
        return end if sum(map(_cited, lines[at:end])) >= _BLOCK else at
    start = at + _attribution(lines, at)
    if start == at:
        return at  # before the lines below are looked at: at each line that would be quadratic
    while start < min(at + 4, len(lines)) and not lines[start].strip():
        start += 1
    end = _quoted(lines, start)
    return end if end > start else at


def _attribution(lines: Sequence[str], at: int) -> int:
    """How many lines the attribution at `at` has: none, one, or two where it was wrapped."""
    line = lines[at].strip()
    if _attributes(line):
        return 1
    after = lines[at + 1].strip()[:LONG] if at + 1 < len(lines) else ""
    wrapped = (
        len(line) <= LONG and _CLOCK.search(line) and not _CLOCK.search(after) and not _LEAD.match(after)
    )
    return 2 if wrapped and _attributes(f"{line} {after}") else 0


def _quoted(lines: Sequence[str], at: int) -> int:
    """The line after those that begin with ">", single empty ones between them included."""
    while at < len(lines):
        gap = not lines[at].strip() and _cited(*lines[at + 1 : at + 2])
        if not gap and not _cited(lines[at]):
            break
        at += 1
    return at


def _cited(line: str = "") -> bool:
    return line.lstrip().startswith(">")
