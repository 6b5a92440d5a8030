"""What a log shows of phone numbers and of a mail's content: the last digits, and nothing quoted."""

from __future__ import annotations

import re


class Masked(str):
    """What a log shows of a text with phone numbers; `whole` is for owners who want them in full."""

    __slots__ = ("whole",)
    whole: str

    @classmethod
    def of(cls, shown: str, whole: str) -> Masked:
        """`shown` in the place of `whole`."""
        made = cls(shown)
        made.whole = whole
        return made


def phone_masked(phone: str) -> Masked:
    """A recipient for logs: a number by its last four digits, an address without its name."""
    name, at, domain = phone.rpartition("@")
    if not at:
        return Masked.of("*" * max(0, len(phone) - 4) + phone[-4:], phone)
    number = "".join(letter for letter in name.lstrip("+").split("+")[0] if letter.isdigit())
    shown = f"***{number[-4:]}@{domain}" if len(number) > 4 else f"{name[:1]}***@{domain}"
    return Masked.of(shown, phone)


_QUOTATION = re.compile(r""""[^"]*"|'[^']*'""")


def quotes_masked(words: str) -> Masked:
    """A sentence for logs: a number that it quotes is shown by its last four digits."""
    return Masked.of(_QUOTATION.sub(lambda match: _masked(match[0]), words), words)


def content_hidden(words: str) -> str:
    """A sentence about a mail's content for logs: without what it quotes, or lists after a colon."""
    return _QUOTATION.sub("…", words).partition(": ")[0]


def _masked(quotation: str) -> str:
    digits = "".join(letter for letter in quotation if letter.isdigit())
    return f'"***{digits[-4:]}"' if len(digits) > 4 else quotation
