"""What goes out late says so: "(delayed 2 h 05 min) disk full". Pure.

The mark stands in front of words that a person reads or hears, more than 15 minutes after the
order's time. It never makes a text longer than its limits allow: no more parts than it had, 1000
characters in all; where the long mark would, a short one is tried, then none. Texts that hold
commands or files of the provider are left as they are: some count only where they begin.
"""

from __future__ import annotations

from typing import Any

from relay.message import channels, gsm, neutral
from relay.message.channels import Form
from relay.message.wording import MAX_CHARS, uncommented
from relay.model import HOUR, MINUTE
from relay.queue.rows import Content, Order

LATE = 15 * MINUTE
"""How long after its time a message says that it is late."""
_LONG = {
    "en": ("(delayed {} h {:02} min) ", "(delayed {} min) "),
    "ru": ("(с опозданием {} ч {:02} мин) ", "(с опозданием {} мин) "),
}
_SHORT = {"en": ("(+{}h{:02}) ", "(+{} min) "), "ru": ("(+{}ч{:02}) ", "(+{} мин) ")}


def minutes(order: Order, now: int) -> int:
    """By how many minutes the order is late; 0 where it needs no mark."""
    late = now - order.start_at
    if late <= LATE:
        return 0
    channel = channels.CHANNELS.get(order.channel)
    said = channel is not None and channel.form is Form.WORDS and channel.phone
    return late // MINUTE if said else 0


def marked(content: Content, late: int, language: str) -> str:
    """The text with a mark that it is late by so many minutes; as it is where none fits."""
    text = content.text
    if not late or neutral.neutralise(text) != text:
        return text
    said = uncommented(text)
    translit = content.form.get("translit", "0") != "0"
    russian = language == "ru" and not translit and not gsm.fits(said)
    most = content.parts if channels.CHANNELS[content.channel].counts_parts else MAX_CHARS
    for marks in (_LONG, _SHORT):
        mark = _mark(marks["ru" if russian else "en"], late)
        if len(mark + text) <= MAX_CHARS and _parts(mark + said, translit=translit) <= most:
            return mark + text
    return text


def counted(content: Content, text: str) -> dict[str, Any]:
    """The columns of a content that change with its text."""
    if not channels.CHANNELS[content.channel].counts_parts:
        return {"text": text}
    return {"text": text, "alphabet": gsm.measure(uncommented(text)).alphabet}


def _mark(forms: tuple[str, str], late: int) -> str:
    hours, left = divmod(late, HOUR // MINUTE)
    return forms[0].format(hours, left) if hours else forms[1].format(left)


def _parts(said: str, *, translit: bool) -> int:
    """As it was counted when the text was made: the provider makes two Latin letters of one."""
    if translit:
        said = "".join(letter if gsm.fits(letter) else "ab" for letter in said)
    return gsm.measure(said).parts
