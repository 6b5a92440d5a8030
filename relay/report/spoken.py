"""What a report says of an order for which another one spoke: never that its own text was sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relay.queue.rows import DIGEST, Order
from relay.queue.states import State

_NOTES = {
    "en": {
        "same": "the phone was being told the same by another message, so it was sent once",
        "waits": "put into a digest: too many messages came for this phone at once, so it is to be told"
        " how many there are, with examples",
        "digest": "sent as part of a digest: too many messages came for this phone at once, so it was told"
        " how many there were, with examples",
        "over": "the phone was told that the problem is over, so the problem itself was not sent after that",
    },
    "ru": {
        "same": "телефону то же самое сообщало другое сообщение, поэтому текст отправлен один раз",
        "waits": "включено в сводку: на этот телефон пришло слишком много сообщений сразу, поэтому ему будет"
        " сообщено, сколько их, с примерами",
        "digest": "отправлено в составе сводки: на этот телефон пришло слишком много сообщений сразу, поэтому"
        " ему сообщено, сколько их было, с примерами",
        "over": "телефону сообщено, что проблема устранена, поэтому сама она после этого не отправлялась",
    },
}


def notes(orders: Sequence[Order], speakers: Mapping[int, Order], language: str) -> tuple[str, ...]:
    """What is to be said of these orders, each sentence once; nothing where each spoke for itself."""
    said = _NOTES.get(language, _NOTES["en"])
    ways = [how for order in orders if (how := _how(order, speakers))]
    return tuple(said[how] for how in dict.fromkeys(ways))


def itself(order: Order, speakers: Mapping[int, Order]) -> bool:
    """Whether the order's own text is what the phone was, or is to be, told."""
    return _how(order, speakers) in ("", "same")


def _how(order: Order, speakers: Mapping[int, Order]) -> str:
    """How another order speaks for it; "" where none does, or where it came to an end of its own."""
    if order.state is not State.MERGED or order.merged_into is None:
        return ""
    speaker = speakers.get(order.merged_into)
    if speaker is None or speaker.says == order.says:
        return "same"
    if speaker.alarm != DIGEST:
        return "over"
    return "waits" if speaker.sent_at is None else "digest"
