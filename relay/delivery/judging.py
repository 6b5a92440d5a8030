"""Judges what is due by the storm rules, and writes down what follows: merges, waits, digests.

The decisions are `storm`'s, pure, from rows; here the rows are read and the changes made. A
digest, the orders that it speaks for and what the phone remembers of it are written in one
transaction, which fails as a whole where any of it moved meanwhile: then it is read again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial

from relay import model
from relay.config import Storm
from relay.delivery import digest, joining, storm
from relay.delivery.claims import remember
from relay.delivery.counting import Counting
from relay.delivery.digest import Digest
from relay.delivery.gate import Gate
from relay.delivery.joining import Text
from relay.delivery.news import merged
from relay.delivery.settle import Settler
from relay.delivery.storm import Judged, Rules
from relay.message import channels
from relay.model import HOUR
from relay.queue import schema
from relay.queue.engine import Change
from relay.queue.rows import Content, Order, Phone
from relay.queue.states import State
from relay.queue.store import Store, tell

_log = logging.getLogger("relay.delivery")

_SHORT = {name for name, channel in channels.CHANNELS.items() if channel.counts_parts}
MOST = 1000
"""Orders to one phone that are looked at together, so the most that one digest carries."""

SAME = "the phone is being told the same by another message"
OVER = "the phone is being told that it is over"
TOGETHER = "it goes out as part of a digest of several messages"


def rules_of(settings: Storm) -> Rules:
    """The settings as the rules have them."""
    return Rules(
        window=settings.repeat_window,
        burst=settings.burst,
        per=settings.per,
        digest_every=settings.digest_every,
    )


class Judging:
    """The storm rules at work for one account."""

    def __init__(
        self,
        account: str,
        store: Store,
        settler: Settler,
        *,
        gate: Gate,
        counts: Counting,
        settings: Storm,
        language: str,
    ) -> None:
        self._account = account
        self._store = store
        self._settler = settler
        self._gate = gate
        self._counts = counts
        self.rules = rules_of(settings)
        self.language = language
        self.phones: dict[str, Phone] = {}  # what this round read of them, for judging and claiming
        self.contents: dict[int, Content] = {}  # likewise, of orders whose texts are short
        self._alone: set[int] = set()
        self._unsaid_orders: set[int] = set()

    def adopt(self, settings: Storm, language: str) -> None:
        """Go on by a re-read configuration."""
        self.rules, self.language = rules_of(settings), language

    async def judged(self, orders: Sequence[Order], now: int, *, but: Collection[str] = ()) -> Judged:
        """Judge what is due; what is to be merged or to wait does so at once.

        Where a phone gets more than a burst, all that is due for it is looked at, but for orders
        of some senders and what may not go out now. Raises engine.Stale where something moved meanwhile.
        """
        if not orders:
            return Judged()
        short = {order.content_id for order in orders if order.content_id and order.channel in _SHORT}
        targets = {order.target for order in orders}
        again = {key: self.contents[key] for key in short & self.contents.keys()}  # a text never changes
        self.phones, read = await self._store.phones_and_contents(targets, short - again.keys())
        self.contents = again | read
        self._unsaid_orders = await self._unsaid(self.phones)
        judged = self._judge(orders, now)
        if judged.crowded:
            due = await self._store.due_to(self._account, judged.crowded, now, MOST, but)
            known = {order.id for order in orders}
            passed = await self._gate.passed([order for order in due if order.id not in known], now)
            everything = sorted((*orders, *passed.orders), key=lambda order: (order.rank, order.id))
            judged = self._judge(everything, now)
        self._alone = judged.alone
        if judged.moves:
            await self._write(judged, now)
        return judged

    def texts(self, orders: Sequence[Order], room: int, *, alone: Collection[str]) -> dict[int, Text]:
        """The texts of what may leave in a list, where any would wait for room or is bound to others.

        `alone` are senders whose orders join nothing.
        """
        if len(orders) <= room and not any(order.batch or order.request_id for order in orders):
            return {}
        found = (
            (order.id, joining.text_of(order, self.contents.get(order.content_id or 0)))
            for order in orders
            if order.sender not in alone and self._gate.joins(order)
        )
        return {key: text for key, text in found if text is not None}

    def after(self, orders: Sequence[Order], now: int) -> dict[str, Phone]:
        """The phones once they have heard these orders, which were judged last."""
        return storm.after(orders, self.phones, self.rules, now=now, alone=self._alone)

    def _judge(self, orders: Sequence[Order], now: int) -> Judged:
        return storm.judge(orders, self.phones, self.rules, now=now, unsaid=self._unsaid_orders)

    async def _unsaid(self, phones: Mapping[str, Phone]) -> set[int]:
        """Orders that phones were to hear, but that the provider has not got.

        They ended before, or wait for another account, which may rest for long.
        """
        speakers = {who for phone in phones.values() for _says, _at, who in phone.heard}
        return {
            order.id
            for order in (await self._store.orders(speakers) if speakers else ())
            if (order.sent_at is None and order.state in (State.FAILED, State.DROPPED))
            or (order.state is State.WAITING and order.account != self._account)
        }

    async def _write(self, judged: Judged, now: int) -> None:
        made = {to: await self._digest(orders, now) for to, orders in judged.digests.items()}
        topics = {order.id: order for order, _ in judged.merge}
        speakers = await self._store.orders({into for _, into in judged.merge}) if judged.merge else []
        says = {order.id: order.says for order in speakers}
        news = [
            merged(order, into, SAME if says.get(into) == topics[order.id].says else OVER)
            for order, into in judged.merge
        ]
        for to, orders in judged.digests.items():
            news += [merged(order, made[to].order.id, TOGETHER) for order in orders]
        born = [(each.order, each.mail, each.recipient) for each in made.values()]
        also = partial(self._also, judged, made, now)
        seen = [order for order, _ in judged.merge]
        seen += [order for orders in judged.digests.values() for order in orders]
        await self._settler.settle(news, also, born=born, seen=seen)
        for each in made.values():
            count = len(judged.digests[each.order.target])
            _log.info("digest", extra={"order": each.order.named, "messages": count})

    async def _digest(self, orders: Sequence[Order], now: int) -> Digest:
        contents = await self._store.contents({order.content_id for order in orders if order.content_id})
        return digest.make(
            orders,
            contents,
            now=now,
            ids=self._store.ids,
            local=partial(clock_time, now=now),
            language=self.language,
        )

    def _also(self, judged: Judged, made: Mapping[str, Digest], now: int, change: Change) -> None:
        """What is written beside the merges: waits, digests, and what phones remember of both."""
        for order, until in judged.wait:  # one of them may be who speaks for another from now on
            change.update_further(schema.orders, order.id, order.version, due_at=until)
        for order, until in judged.over:
            since = now if order.over_at is None else order.over_at
            change.update_further(schema.orders, order.id, order.version, due_at=until, over_at=since)
        for each in made.values():
            change.insert(schema.mail, **asdict(each.mail))
            change.insert(schema.recipient, **asdict(each.recipient))
            change.inserts.append((schema.content, each.content))
            change.insert(schema.orders, **{**asdict(each.order), "state": each.order.state.value})
            count = len(judged.digests[each.order.target])
            self._counts.taken(change, [each.order])
            tell(change, self._store, each.order.id, "queued", f"a digest of {count} messages")
        for to in made.keys() | judged.ends.keys():
            before = self.phones[to]
            born = made[to].order if to in made else None
            ends = judged.ends.get(to, {})
            remember(change, before, storm.remembering(before, self.rules, now=now, ends=ends, digest=born))


def clock_time(moment: int, *, now: int) -> str:
    """A moment by the clock on the wall of the relay's own time zone; with its day once that is long ago."""
    shown = datetime.fromtimestamp(moment / model.SECOND).astimezone()
    return shown.strftime("%H:%M" if now - moment < 12 * HOUR else "%d.%m %H:%M")
