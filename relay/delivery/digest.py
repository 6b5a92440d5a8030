"""Many messages to one phone in one: the text of a digest, and its rows. Pure.

The text says how many, since when by the relay's clock, and the kinds of message, the most
frequent first, with the youngest of each as its example. It takes two parts at most. Its words
are those of the reports' language, Russian only where the examples are in Cyrillic anyway: a
Russian word would halve the room of a text in GSM-7.

A digest has a mail and a recipient of its own, so that it is kept, shown and forgotten like
any other; the mail has no sender, so nobody is told of it but those whose messages it carries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay import model
from relay.delivery import caps
from relay.message import channels, gsm, neutral
from relay.message.text import one_line
from relay.message.wording import FILE_MARK, uncommented
from relay.model import Ids
from relay.queue import schema
from relay.queue.rows import DIGEST, Content, Mail, Order, Recipient
from relay.queue.states import State

PARTS = 2
_ROOM = {"gsm7": 2 * 153, "ucs2": 2 * 67}
_EXAMPLE = {"gsm7": 50, "ucs2": 32}  # characters that an example should have at least
_KEPT = ("sender", "bot", "smsreq", "valid", "translit")
_HOURS = re.compile(r"[0-9]{1,2}-[0-9]{1,2}")
_HEADS = {
    "en": ("+{count} more since {since}:", "+{count} more since {since}, {kinds} kinds:"),
    "ru": ("ещё {count} с {since}:", "ещё {count} с {since}, разных {kinds}:"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A digest's rows, before they are written."""

    order: Order
    mail: Mail
    recipient: Recipient
    content: dict[str, Any]


def make(
    orders: Sequence[Order],
    contents: Mapping[int, Content],
    *,
    now: int,
    ids: Ids,
    local: Callable[[int], str],
    language: str,
) -> Digest:
    """The digest of these orders to one phone. `local` shows a moment by the relay's clock.

    It goes as the first of them would: by its channel, sender and account, ahead of its rank. Another
    account carries it only where that may carry each of them; it keeps to quiet hours only where
    each of them does; a person lets it pass caps only where they all may. It counts as one message.
    """
    first = orders[0]
    accounts = tuple(name for name in first.choice if all(name in each.choice for each in orders))
    text = text_of(orders, contents, local=local, language=language)
    form = _form(orders, contents)
    mail, recipient = _mail(ids.new(now), now), ids.new(now)
    size = gsm.measure(text)
    counted = channels.CHANNELS[first.channel].counts_parts
    content = schema.row(
        schema.content,
        id=ids.new(now),
        mail_id=mail.id,
        channel=first.channel,
        text=text,
        params=json.dumps(form, ensure_ascii=False),
        files="[]",
        notes="[]",
        alphabet=size.alphabet if counted else "",
        parts=size.parts if counted else 0,
    )
    order = schema.row(
        schema.orders,
        id=ids.new(now),
        mail_id=mail.id,
        recipient_id=recipient,
        content_id=content["id"],
        account=first.account,
        channel=first.channel,
        target=first.target,
        hidden=1,
        state=State.WAITING.value,
        rank=min(each.rank for each in orders) - 2,  # ahead of recoveries, which it must not follow
        due_at=now,
        digest=_digest(
            "\n".join(dict.fromkeys((first.account, *accounts))),
            first.channel,
            text,
            json.dumps(form, ensure_ascii=False),
        ),
        says=_digest(first.channel, text),
        created_at=now,
        start_at=now,
        expire_at=max(each.expire_at for each in orders),
        alarm=DIGEST,
        accounts=json.dumps(accounts, separators=(",", ":")) if len(accounts) > 1 else "",
        source=_source(orders),
        quiet=first.quiet if all(each.quiet for each in orders) else "",
        cap=caps.PASSED if all(each.cap == caps.PASSED for each in orders) else "",
        counted_at=now,
    )
    return Digest(
        order=Order.of(order),
        mail=mail,
        recipient=Recipient(recipient, 1, mail.id, 0, first.target, "", ""),
        content=content,
    )


def _mail(key: int, now: int) -> Mail:
    values = schema.row(schema.mail, id=key, received_at=now, source="storm", notes="[]")
    return Mail(**values)


def _form(orders: Sequence[Order], contents: Mapping[int, Content]) -> dict[str, str]:
    """The parameters of the first; the hours in which the provider may send it where all have some."""
    forms = [found.form if (found := contents.get(order.content_id or 0)) else {} for order in orders]
    hours = all(_HOURS.fullmatch(form.get("time", "")) for form in forms)
    names = (*_KEPT, "time", "tz") if hours else _KEPT
    flags = dict(channels.CHANNELS[orders[0].channel].flags)
    return flags | {name: forms[0][name] for name in names if name in forms[0]}


def _source(orders: Sequence[Order]) -> str:
    """Towards whose caps it counts; none stops what the relay tells its operator."""
    return caps.WATCH if any(each.source == caps.WATCH for each in orders) else orders[0].source


def _digest(*fields: str) -> str:
    return model.stable_digest(*(each.encode("utf-8", "replace") for each in fields))


def text_of(
    orders: Sequence[Order],
    contents: Mapping[int, Content],
    *,
    local: Callable[[int], str],
    language: str,
) -> str:
    """What the phone reads."""
    kinds: dict[str, list[str]] = {}
    for order in orders:
        said = _said(contents.get(order.content_id or 0))
        kinds.setdefault(order.mask or order.says, []).append(said)
    frequent = sorted(kinds.values(), key=len, reverse=True)
    alphabet = "gsm7" if all(gsm.fits(row[-1]) for row in frequent) else "ucs2"
    short, long = _HEADS["ru" if language == "ru" and alphabet == "ucs2" else "en"]
    since = local(min(order.start_at for order in orders))
    room = _ROOM[alphabet] - len(long) - len(since)
    shown = min(len(frequent), room // _EXAMPLE[alphabet])
    head = short if shown == len(frequent) else long
    lines = [head.format(count=len(orders), since=since, kinds=len(frequent))]
    for row in frequent[:shown]:
        count = f"{len(row)}x " if len(row) > 1 else ""
        lines.append(_shortened(count + row[-1], room // shown - 1, alphabet))
    text = neutral.neutralise(neutral.break_marks("\n".join(lines)))
    return gsm.cut(text, max_parts=PARTS)[0]


def _said(content: Content | None) -> str:
    """A message in one line, without files and what only the account's owner sees."""
    if content is None:
        return "?"
    return one_line(FILE_MARK.sub(" ", uncommented(content.text)), _ROOM["gsm7"])


def _shortened(line: str, limit: int, alphabet: str) -> str:
    """The line within so many characters, with dots that its alphabet has."""
    if len(line) <= limit:
        return line
    dots = "..." if alphabet == "gsm7" else "…"
    return line[: limit - len(dots)].rstrip() + dots
