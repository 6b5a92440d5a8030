"""Where a mail comes from: written by a person or a machine, and whether it came before.

RFC 3834 says how automatic mail calls itself; older habits are known too. What alarms from
cron or a monitor bear (auto-generated, bulk) is told from answers, which must never become
messages or be answered again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256

from relay import model
from relay.message import headers, transfer

_TRACE = frozenset((
    "received", "return-path", "x-received", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to",
    "x-envelope-from", "authentication-results", "x-authentication-results", "received-spf",
    "dkim-signature", "domainkey-signature", "x-google-dkim-signature", "x-virus-scanned", "x-virus-status",
    "x-rspamd-queue-id", "x-rspamd-server", "x-scanned-by", "x-mimedefang", "x-loop", "x-gm-message-state",
    "x-google-smtp-source",
    "x-sieve", "x-uidl", "status", "x-status",
))  # fmt: skip
_TRACE_PREFIXES = ("arc-", "x-spam", "x-arc-", "x-proofpoint", "x-barracuda", "x-ms-exchange-")
_AWAY = re.compile(
    r"(?:(?:re|auto): ?)?(?:"
    r"auto(?:matic|mated)?[- ]?(?:reply|response)|out of (?:the )?office(?! hours)|away from"
    r"|.{1,80} (?:is|will be) out of (?:the )?office"
    r"|auto(?:matische)?[- ]?antwort|abwesenheits(?:notiz|benachrichtigung|nachricht|assistent)"
    r"|réponse automatique|absence du bureau|respuesta automática|fuera de (?:la )?oficina"
    r"|risposta automatica|fuori sede|fuori ufficio|resposta automática|fora do escritório"
    r"|automatisch antwoord|afwezigheid|automatiskt? svar|autosvar|automaattinen vastaus|poissaolo"
    r"|odpowiedź automatyczna|autoodpowiedź|automatická odpoveď|automatická odpověď"
    r"|automatikus válasz|răspuns automat|otomatik (?:yanıt|cevap)"
    r"|αυτόματη απάντηση|автоматичен отговор|автоответ|автоматический ответ"
    r"|автовідповідь|автоматична відповідь|вне офиса|нет на месте"
    r")\b|自動(?:応答|返信|回覆|答覆)|自动(?:答复|回复)|不在通知|자동 ?(?:회신|응답)|부재중"
    r"|תשובה אוטומטית|رد تلقائي",
    re.IGNORECASE,
)
"""Subjects of vacation notices, which prove nothing alone: a person may write of one."""
_PERHAPS_AWAY = re.compile(
    r"(?:re: ?)?(?:auto:|abwesen(?:d|heit)|(?:i am )?on (?:vacation|holiday|leave)|vacation)\b", re.IGNORECASE
)
"""Subjects that an alarm may have too, of an alarm system at least."""
_SURELY_AWAY = re.compile(
    r"(?:out of office autoreply|abwesenheitsnotiz|auto-response for your message)\b", re.IGNORECASE
)
"""What Exchange and Mailman wrote before there was a header for it; nothing else begins so."""
_RECEIVED = re.compile(
    r"\[request received\]|ticket received\b|support ticket opened\b"
    r"|we(?:'ve| have) received your (?:request|mail|message|ticket)\b",
    re.IGNORECASE,
)
_TICKET = re.compile(r"\[[^\]]{1,80} #[0-9]{1,12}\] autoreply:", re.IGNORECASE)
_CONFIRM = re.compile(
    r"confirm [0-9a-f]{8,64}\Z|confirm (?:un)?subscribe\b|(?:command )?confirmation request\b"
    r"|majordomo results\b"
    r"|your message to .{1,80} awaits moderator approval|please confirm (?:your message\b|\(conf#)",
    re.IGNORECASE,
)
_ROBOT = re.compile(
    rb"\b(?:majordomo|listserv|sympa|mlmmj|ecartis)\b|-(?:request|help|confirm|bounces)[-+@]", re.IGNORECASE
)
_DAEMON = re.compile(
    rb"\b(?:mailer-daemon|postmaster|mail delivery (?:sub)?system|mailer daemon|system administrator"
    rb"|mail administrator|internet mail delivery|microsoftexchange[0-9a-f]{32})\b",
    re.IGNORECASE,
)
_BOUNCE = re.compile(
    r"failure notice|undeliver|non-?delivery|delivery (?:status )?(?:notification|failure)"
    r"|mail delivery (?:failed|failure|problem)|permanent delivery failure|mail failed, returning"
    r"|returned mail|mail returned|mail system error|message status - undeliverable|failed mail"
    r"|message (?:undeliverable|delivery failure|could not be delivered|not delivered)"
    r"|warning: (?:message .{1,40} delayed|could not send message)|notice: mail delivery status"
    r"|недоставлен|(?:сообщение |письмо )?не доставлен|не уда(?:ется|ётся|лось) доставить"
    r"|unzustellbar|non remis|no se puede entregar|impossibile recapitare|não é possível entregar"
    r"|.{0,40}退信|配信不能",
    re.IGNORECASE,
)
_ANSWERS = frozenset(
    ("x-autoreply", "x-autorespond", "x-autoreply-from", "x-autoresponse", "x-mail-autoreply")
)
_FAILURES = ("x-failed-recipients", "x-ms-exchange-message-is-ndr")
_ASKS = ("x-askversion", "x-delivery-agent", "x-mailman-version", "mailing-list")
"""Programs that ask a sender to confirm that he exists, or a subscription."""
_BLOCK = 64 * 1024
_WORD_END = re.compile(r"[;\s(]")


def auto(fields: tuple[headers.Field, ...], kind: str, subject: str) -> model.Auto:
    """What the mail says of its author; `kind` is its media type."""
    submitted = _word(fields, "auto-submitted")
    if kind in ("multipart/report", "message/delivery-status", "message/disposition-notification"):
        return model.Auto.REPORT
    if b"report-type=" in headers.first(fields, "content-type").lower().replace(b" ", b""):
        return model.Auto.REPORT
    if _bounce(fields, subject):
        return model.Auto.REPORT
    if submitted == "auto-replied" or _answers(fields, subject) or _away(fields, submitted, subject):
        return model.Auto.REPLIED
    bulk = _word(fields, "precedence") in ("bulk", "list", "junk")
    if bulk or (submitted and submitted != "no") or headers.first(fields, "list-id"):
        return model.Auto.GENERATED
    return model.Auto.PERSON


def _bounce(fields: tuple[headers.Field, ...], subject: str) -> bool:
    """A failure told without RFC 3464: by mail systems older than it, and by some of today."""
    if any(name in _FAILURES for name, _ in fields):
        return True
    return bool(_BOUNCE.match(subject) and _DAEMON.search(headers.first(fields, "from")[:400]))


def _answers(fields: tuple[headers.Field, ...], subject: str) -> bool:
    """The marks of programs that answer, older than the RFC or without regard to it."""
    said = any(name in _ANSWERS for name, _ in fields)
    said = said and any(_word(fields, name) not in ("", "no") for name in _ANSWERS)
    precedence = _word(fields, "precedence")
    said = said or precedence in ("auto_reply", "auto-reply")
    said = said or _word(fields, "x-autogenerated") in ("reply", "replied")
    # formail -r, with which procmail's recipes answer; machines that thread their alarms say bulk
    said = said or (precedence == "junk" and bool(headers.first(fields, "in-reply-to")))
    said = said or any(name == "delivered-by-the-graces-of" for name, _ in fields)
    return said or _asks(fields, subject)


def _asks(fields: tuple[headers.Field, ...], subject: str) -> bool:
    """Challenges, confirmations of lists, words that a request has come: the answers of desks and lists."""
    if _TICKET.match(subject):
        return True
    if _CONFIRM.match(subject):
        robot = _ROBOT.search(headers.first(fields, "from")[:400])
        return bool(robot) or any(name in _ASKS for name, _ in fields)
    return bool(_RECEIVED.match(subject)) and _answering(fields)


def _answering(fields: tuple[headers.Field, ...]) -> bool:
    """It names what it answers, or wants no answer itself."""
    return bool(headers.first(fields, "in-reply-to") or headers.first(fields, "x-auto-response-suppress"))


def _away(fields: tuple[headers.Field, ...], submitted: str, subject: str) -> bool:
    """A vacation notice: by its subject, and a header that an alarm of that subject would not have."""
    if _SURELY_AWAY.match(subject):
        return True
    if _AWAY.match(subject):
        automatic = submitted not in ("", "no") or _word(fields, "precedence") in ("bulk", "junk")
        return automatic or _answering(fields)
    return bool(_PERHAPS_AWAY.match(subject)) and _answering(fields)


def _word(fields: tuple[headers.Field, ...], name: str) -> str:
    """A field's first word in lower case, without parameters and comments."""
    value = headers.first(fields, name)
    return _WORD_END.split(value.decode("latin-1").lower().strip(), maxsplit=1)[0] if value else ""


def digest(fields: tuple[headers.Field, ...], body: memoryview) -> str:
    """What tells a repeated mail from a new one; "" for mail that never counts as a repeat.

    Fields that relays add on the way are left aside; line ends are counted alike.
    """
    named = [headers.first(fields, "message-id"), headers.first(fields, "date")]
    if not all(named):
        return ""
    kept = [b"%b:%b" % (name.encode(), b" ".join(value.split())) for name, value in fields if _is_own(name)]
    return model.stable_digest(*named, *kept, _body_digest(body))


@lru_cache(maxsize=512)
def _is_own(name: str) -> bool:
    """Whether a field is the author's, and not of the way that the mail came."""
    return name not in _TRACE and not name.startswith(_TRACE_PREFIXES)


def _body_digest(body: memoryview) -> bytes:
    if len(body) <= _BLOCK:
        return sha256(transfer.unix_lines(bytes(body))).digest()
    hasher, held = sha256(), b""
    for at in range(0, len(body), _BLOCK):
        block = held + bytes(body[at : at + _BLOCK])
        held = b"\r" if block.endswith(b"\r") else b""
        hasher.update(transfer.unix_lines(block[: len(block) - len(held)]))
    hasher.update(held)
    return hasher.digest()
