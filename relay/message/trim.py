"""Cuts from a text what nobody needs at night: signatures, disclaimers, quoted mail.

What a person or a device wrote comes before all else, so the rules lean to keeping: a
forwarded mail stays (it is the message), a dash line is a signature only where little
follows, lines with ``>`` go only where they are clearly quotes (`quotes`), and a text is never turned
into nothing. Lines are looked at one by one, long ones not at all: the time is linear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from relay.message import quotes
from relay.message.again import remembered
from relay.message.alarms import alarm_of
from relay.message.quotes import LONG
from relay.model import Alarm

_MOST = 20_000  # characters that are looked at: of what is behind them no phone gets any
_PASSED_ON = re.compile(
    r"\s*(?:fwd?|fw|wg|tr|rv|rif|enc|pd|doorst|пересл|перенапр|перес\.)\s{0,3}[.:]", re.IGNORECASE
)


@remembered
def trim(text: str, subject: str = "", *, reply: bool = False) -> tuple[str, tuple[str, ...]]:
    """The text without its signature, disclaimers and quotes, and which of these were cut.

    By its subject a mail is known that passes another on: there the quote is the message. `reply`
    says that the mail answers one, so that lines with ``>`` are a quote even without a word about it.
    """
    head, tail = _head(text)
    lines = head.split("\n")
    cut: list[str] = []
    kept: Sequence[str] = lines
    if quotes.may_hold(head) and not _PASSED_ON.match(subject):
        kept = quotes.without_quotes(lines, reply=reply)
        cut += ["a quoted mail"] if kept != lines else []
        tail = tail if kept and kept[-1] is lines[-1] else ""
    for what, without in _CUTS[: 1 if tail else None]:
        left = without(kept)
        if left != list(kept) and not _tells_of_trouble(kept, left):
            cut.append(what)
            kept = left
    said = ("\n".join(kept) + tail).strip()
    return (said, tuple(cut)) if said and cut else (text, ())


def _head(text: str) -> tuple[str, str]:
    """The beginning of a text, at a line's end, and the rest."""
    if len(text) <= _MOST:
        return text, ""
    end = text.find("\n", _MOST)
    end = end if 0 <= end <= 2 * _MOST else _MOST
    return text[:end], text[end:]


def _tells_of_trouble(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether what would go says that something broke: then it is no signature and no notice."""
    kept = set(after)
    rest = next(iter(after), "") or "\0"  # what stood behind a banner on its line is not gone
    gone = [line for line in before if line not in kept and not line.endswith(rest)][:_NOTICE]
    return any(alarm_of(line, "") is Alarm.PROBLEM for line in gone if not _LEGAL.search(line))


# -- disclaimers ---------------------------------------------------------------------------

_OPENING = re.compile(
    r"[\s*_\[(<=-]{0,6}(?:this (?:e-?mail|message|communication)"
    r"|the (?:information|contents?)\b.{0,20} (?:in|of) this|(?:confidentiality|legal) (?:notice|note)"
    r"|disclaimer|caution\W|(?:external|warning|notice)\W.{0,10}this"
    r"|if you (?:are not|have received)|please consider the env|think before you print"
    r"|(?:данное|настоящее|это)(?: электронное)? (?:сообщение|письмо)|информация, содержащаяся в"
    r"|содержание данного|уведомление о конфиденциальности|если вы (?:получили|не являетесь)"
    r"|внимание!? (?:это|данное)"
    r"|diese (?:e-?mail|nachricht)|der inhalt dieser|ce (?:message|courriel|courrier)|cet e-?mail"
    r"|est[ea] (?:mensaje|correo|e-?mail|mensagem)|quest[oa] (?:messaggio|e-?mail|comunicazione)"
    r"|il presente messaggio|dit (?:bericht|e-?mail)|deze e-?mail|(?:ta|niniejsza) wiadomość|tato zpráva)",
    re.IGNORECASE,
)
_LEGAL = re.compile(
    r"confidential|intended (?:only|solely|recipient)|privileged|from outside|before (?:you print|printing)"
    r"|конфиденциал|предназначен\w{0,6} (?:только|исключительно)|не являетесь|по ошибке|адресат"
    r"|прежде чем печатать"
    r"|vertraulich|confidentiel|confidencial|riservat|vertrouwelijk|poufn|důvěrn",
    re.IGNORECASE,
)
_LEGAL_LENGTH = 120  # a notice with one such word only is at least this long
_NOTICE = 30  # lines of one disclaimer


_BANNER = re.compile(
    r"[\s*_<=!-]{0,6}(?:\[external(?: (?:e-?mail|sender|message))?\]"
    r"|(?:(?:caution|warning|notice|внимание)\s{0,3}[:!]\s{0,3})?(?:this |the |это )?"
    r"(?:e-?mail|message|sender|письмо) "
    r".{0,30}(?:(?:originated|came|comes|sent|received|is) .{0,20}(?:from outside|from an external)"
    r"|outside (?:of )?(?:the|your) organi|от внешнего))",
    re.IGNORECASE,
)
"""What mail systems put on top of a stranger's mail; an alarm may begin with CAUTION or EXTERNAL too."""


_ADVICE = re.compile(
    r"\b(?:click|attachments?|links?|recogni[sz]e the sender|вложени\w{1,3}|ссылк\w{1,3})\b", re.IGNORECASE
)
"""How such a banner goes on, on the lines right below."""


def _without_disclaimers(lines: Sequence[str]) -> list[str]:
    """The lines without legal notices, and without the banner that mail systems put on top."""
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    if lines and len(lines[first]) <= LONG and _BANNER.match(lines[first]):
        _, marked, rest = lines[first].partition("]")
        rest = rest.strip() if marked and not _BANNER.match(rest) else ""
        below = first + 1
        while below < len(lines) and below < first + 4 and _ADVICE.search(lines[below][:LONG]):
            below += 1
        lines = [*([rest] if rest else []), *lines[below:]]
    openings = [n for n, line in enumerate(lines) if _OPENING.match(line)]
    kept = list(lines[: openings[0]] if openings else lines)
    at = len(kept)
    while at < len(lines):
        end = at + 1
        if not _OPENING.match(lines[at]):
            kept.append(lines[at])
        else:
            while end < min(at + _NOTICE, len(lines)) and lines[end].strip():
                end += 1
            said = " ".join(line[:2000] for line in lines[at:end])
            legal = {match[0].lower() for match in _LEGAL.finditer(said)}
            if not legal or (len(legal) == 1 and len(said) < _LEGAL_LENGTH):
                kept += lines[at:end]
        at = end
    return kept


# -- signatures ----------------------------------------------------------------------------

_GREETING = re.compile(
    r"(?:(?:with )?(?:best|kind|warm) )?regards|best wishes|с ув\.?|sincerely"
    r"|yours (?:sincerely|faithfully|truly)"
    r"|cheers|с (?:наилучшими )?(?:уважением|пожеланиями)|с наилучшими|всего (?:доброго|хорошего)"
    r"|искренне ваш|з повагою|(?:mit )?(?:freundlichen|besten|viele|herzlichen?) grü(?:ße|ßen|sse|ssen)|mfg"
    r"|cordialement|bien à vous|saludos(?: cordiales)?|atentamente|cordiali saluti|distinti saluti"
    r"|atenciosamente|met vriendelijke groet(?:en)?"
    r"|pozdrawiam|s pozdravem",
    re.IGNORECASE,
)
_NAMED = re.compile(r",\s{1,3}(?:[A-ZА-ЯЁЇІЄҐ][\w.'’-]{0,30}\s?){1,4}\Z")
"""A greeting's comma and the name of its author, on one line."""
_DEVICE = re.compile(
    r"(?:sent from (?:my|mail for|yahoo|outlook)|надіслано (?:з|із)"
    r"|проверено (?:на вирусы|антивирусом)|virus-free"
    r"|this e-?mail has been (?:checked|scanned) (?:for viruses|by)"
    r"|sent via|get outlook for|отправлено (?:с|из)|(?:скачать|получить) outlook"
    r"|gesendet von mein|von meinem|envoyé de(?:puis)? mon|enviado desde mi|inviato da|verzonden vanaf)\b",
    re.IGNORECASE,
)
_SIGNER = re.compile(f"--|(?:{_GREETING.pattern})|(?:{_DEVICE.pattern})", re.IGNORECASE)
_FOUND = re.compile(r"[!:]\s|found|threat|infected|trojan|обнаруж|угроз|заражен", re.IGNORECASE)
"""Footers of virus scanners that found nothing don't say so."""
_POINTS = {ord(sign): None for sign in " .,!"}
_WINDOW = 24  # lines at the end among which a signature begins


def _without_signature(lines: Sequence[str]) -> list[str]:
    """The lines before the first thing near the end that looks like a signature."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    return list(lines[: next(_signatures(lines, end), len(lines))])


def _signatures(lines: Sequence[str], end: int) -> Iterator[int]:
    for at in range(max(0, end - _WINDOW), end):
        line = lines[at].rstrip("\r")
        if _may_sign(line.lstrip()):
            after = [each.strip() for each in lines[at + 1 : end] if each.strip()]
            if _signs(line, after):
                yield at


def _may_sign(line: str) -> bool:
    """Whether the line begins as those do that `_signs` looks at with what follows them."""
    return _SIGNER.match(line) is not None


def _signs(line: str, after: Sequence[str]) -> bool:
    """The line begins a signature, `after` being what the text ends with.

    Without its space (RFC 3676 section 4.3) a pair of dashes may as well divide an alarm, so
    that a name has to follow it.
    """
    if line == "-- ":
        return len(after) <= 12
    line = line.strip()
    if line == "--":
        return 1 <= len(after) <= 5 and after[0].translate(_POINTS).isalpha()
    if _GREETING.fullmatch(_NAMED.sub("", line[:LONG]).rstrip(",.! ")):
        return (
            len(after) <= 8 and all(len(each) <= 80 for each in after) and (not after or _is_name(after[0]))
        )
    return len(line) <= 100 and len(after) <= 2 and bool(_DEVICE.match(line)) and not _FOUND.search(line)


def _is_name(line: str) -> bool:
    """A few words, none of which a sentence would hold: people and companies."""
    words = line.strip(",.! ").split()
    return (
        len(words) <= 5 and all(word[:1].isupper() or len(word) <= 3 for word in words) and line[-1:] != ":"
    )


_CUTS: tuple[tuple[str, Callable[[Sequence[str]], list[str]]], ...] = (
    ("a disclaimer", _without_disclaimers),
    ("a signature", _without_signature),
)
