"""What reports say differently of mail that went, or was to go, to another mail server. Pure.

It has no phone and no provider: its reasons, its advice and the words that are quoted are a mail
server's.
"""

from __future__ import annotations

from relay.report import fields

SMTP = "smtp"
"""The type of a diagnostic code that is an SMTP reply (RFC 3464 section 2.3.6)."""

# A mail server's own sentence stands beside it: what it means is known by its status alone.
_REASONS_RU: dict[str, str] = {
    "2": "Следующий почтовый сервер принял письмо.",
    "4": "Следующий почтовый сервер письмо пока не принял.",
    "4.4.1": "Связаться со следующим почтовым сервером не удалось.",
    "4.4.2": "Соединение со следующим почтовым сервером прервалось.",
    "4.4.4": "Для этого адреса сейчас нет маршрута.",
    "4.4.7": "Срок жизни письма истёк, прежде чем его принял следующий почтовый сервер.",
    "5": "Следующий почтовый сервер отказался принять письмо.",
}


def reason_ru(status: str, sentence: str) -> str:
    """The reason in Russian, the English sentence after it."""
    translation = _REASONS_RU.get(status) or _REASONS_RU.get(status[:1], "")
    return f"{translation} ({sentence})" if translation else sentence


def advice(what: str) -> str:
    """Which advice fits, instead of the one for a message to a phone."""
    return {"reach": "again", "delayed": "delayed forward"}.get(what, what)


def diagnostic(code: str, text: str) -> tuple[str, str]:
    """Whose words an outcome quotes (RFC 3464 section 2.3.6), and the words."""
    kind, _, number = code.rpartition(" ")
    if kind == SMTP:
        return kind, fields.clean(f"{number} {text}")
    return "X-SMSC", fields.clean(f"{code} {text}")
