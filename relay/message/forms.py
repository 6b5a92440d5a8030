"""What `mes` must look like on the channels where it is no text for people.

The provider's page on sending says what each takes: octets with their user data header, an
address with its title, a code of digits, the buttons of Viber, the voice menus of calls. What
does not fit is refused with a sentence that says what to write, never bent until it does: of a
binary message or a menu a piece is worth nothing.
"""

from __future__ import annotations

import re

from relay.message import text

_OCTETS = 140  # of a binary message; a longer one goes in parts,
_JOINED = 134  # six octets of each being the header that joins them
_MAX_CHARS = 1000
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+\Z")
_PID_DCS = re.compile(
    r"pid\s{0,4}:\s{0,4}([0-9]{1,3})\s{0,4},\s{0,4}dcs\s{0,4}:\s{0,4}([0-9]{1,3})\Z", re.IGNORECASE
)
_LINK = re.compile(r"https?://[^\s<>\"]{1,500}\Z", re.IGNORECASE)
_CODE = re.compile(r"[0-9]{4,8}\Z")
_BUTTON = re.compile(r"\{\s{0,9}button\b([^{}]{0,1000})\}", re.IGNORECASE)
_TARGET = re.compile(r"(?:https?://\S{1,500}|tel:\+?[0-9]{5,15})\Z", re.IGNORECASE)
_BUTTON_TEXT = 30
_MENU = re.compile(r"\{\s{0,9}menu\s{0,9}:", re.IGNORECASE)


class FormError(ValueError):
    """The text is not what the channel takes; says in a sentence what is."""


def binary(body: str) -> tuple[str, int]:
    """A binary message of hexadecimal digits as `mes`, and its parts; raises FormError.

    Blanks between the digits don't count. After a line of ``~~~`` may stand ``pid: 0, dcs: 245``,
    in the provider's own writing.
    """
    digits, tail = text.split_comment(body.strip("\n"))
    digits = "".join(digits.split())
    if not _HEX.match(digits):
        raise FormError("a binary message is hexadecimal digits, two for each octet, as in 050A03070560")
    mes = digits.upper()
    if int(mes[:2], 16) >= len(mes) // 2:
        raise FormError(
            "the first octet of a binary message is the length of its user data header, which is longer"
            " than the message; begin with 00 where there is none"
        )
    octets = len(mes) // 2
    if tail:
        found = _PID_DCS.match(tail.strip())
        if not found or max(int(found[1]), int(found[2])) > 255:
            raise FormError("after the line ~~~ of a binary message stands pid: 0, dcs: 245 and nothing else")
        mes += f"\n~~~\npid: {int(found[1])}, dcs: {int(found[2])}"
    if len(mes) > _MAX_CHARS:
        raise FormError(f"a binary message takes {_MAX_CHARS // 2} octets at most")
    return mes, 1 if octets <= _OCTETS else -(-octets // _JOINED)


def push(body: str, subject: str) -> str:
    """A WAP push: the first line's address, and a title of the rest or the subject; raises FormError."""
    link, *rest = [line.strip() for line in body.strip().split("\n")]
    if not _LINK.match(link):
        raise FormError(
            "the first line of a WAP push is its address, as in http://example.com, the next its title"
        )
    title = text.one_line(" ".join(rest)) or text.one_line(subject)
    if not title:
        raise FormError("a WAP push needs a title, on the line after its address or as the subject")
    return f"{link}\n{title}"


def code(body: str) -> str:
    """A confirmation code; raises FormError."""
    found = body.strip()
    if not _CODE.match(found):
        raise FormError("a Telegram code is 4 to 8 digits and nothing else")
    return found


def buttons(said: str) -> None:
    """Raise FormError where a Viber button can't be one: the text would show its source."""
    found = _BUTTON.findall(said)
    if len(found) > 1:
        raise FormError("a Viber message takes one button")
    for inside in found:
        parts = inside.removeprefix(",").split(",", 1)
        if not inside.startswith(",") or len(parts) != 2 or not _TARGET.match(parts[0].strip()):
            raise FormError(
                "write a button as {button,https://example.com,text} or {button,tel:79991234567,text}"
            )
        if not 1 <= len(parts[1].strip()) <= _BUTTON_TEXT:
            raise FormError(f"a button's text has 1 to {_BUTTON_TEXT} characters")


def commands(said: str) -> bool:
    """Whether the text holds a menu or a button, of which nothing can be cut off."""
    return _MENU.search(said) is not None or _BUTTON.search(said) is not None
