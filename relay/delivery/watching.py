"""The watch: trouble reaches the operator by mail, and through another account his phone.

What was told is counted where caps count, in the database: a relay that is started again and
again does not tell again. What can't be told (no mail address, no account that is well) stands
in the log.

What can go wrong. The store can't be written: the trouble is logged, and told when it is seen
again. The phone's message is refused or stuck: nobody is told of that one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from functools import partial
from typing import Any

from relay import metrics
from relay.config import Config
from relay.delivery import caps, watch
from relay.delivery.caps import Over
from relay.delivery.counting import Counting
from relay.delivery.worker import Worker
from relay.message import orders
from relay.model import HOUR, MINUTE, Envelope, Letter, Outcome, Recipient, Rest
from relay.queue import intake
from relay.queue.engine import Change, Trouble
from relay.queue.rows import Order
from relay.queue.states import State
from relay.queue.store import Store
from relay.replies import Reply
from relay.report import operator
from relay.smsc.wire import Balance

_log = logging.getLogger("relay.delivery")

QUEUE_EVERY = MINUTE
"""How often the oldest order is looked at."""


_REMEMBERED = 10_000


class Watch:
    """The watch of one process. `mail` writes to the operator, `queued` hears of new orders."""

    def __init__(
        self,
        config: Config,
        *,
        store: Store,
        counts: Counting,
        workers: Mapping[str, Worker],
        mail: Callable[[str, str], Awaitable[None]],
        queued: Callable[[set[str]], None],
        lends: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._store = store
        self._counts = counts
        self._workers = workers
        self._mail = mail
        self._queued = queued
        self._lends = lends
        self._tasks: set[asyncio.Task[None]] = set()
        self._rests: dict[str, tuple[Rest, int]] = {}
        self._well: dict[str, bool] = {}  # whether the balance was high enough when it was last seen
        self.heard: Callable[[str], int | None] = lambda _account: None  # an account's last callback
        self._ended: dict[str, int] = {}  # by account, when a message ended that no callback has told of yet
        self._balance_at = store.clock.now()  # a relay that starts again and again asks none the more
        self._queue_at = 0
        self._oldest_at: int | None = None
        self._unseen = False
        self._capped: dict[str, int] = {}  # when caps were last told

    def adopt(self, config: Config) -> None:
        """Go on by a re-read configuration."""
        self._config = config

    @property
    def busy(self) -> bool:
        """Whether something is being told."""
        return bool(self._tasks)

    async def stop(self) -> None:
        """Give up what is still to be told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what others see ------------------------------------------------------------------

    def rested(self, account: str, rest: Rest, outcome: Outcome | None) -> None:
        """An account went to rest, or works again."""
        metrics.RESTING.labels(account=account).set(0 if rest is Rest.NONE else 1)
        if rest is Rest.NONE:
            _log.info("account works again", extra={"account": account})
            return
        now = self._store.clock.now()
        last, at = self._rests.get(account, (Rest.NONE, 0))
        if last is rest and now - at < HOUR:
            return  # it came and went and came again: once an hour is enough
        self._rests[account] = (rest, now)
        text = operator.of_rest(account, rest, outcome, lends=self._lends(account))
        self._begin(self._tell(f"account {account}", text, account))

    def moved(self, order: Order, state: State) -> None:
        """A message came to its end: a call of the provider should have told of it."""
        if order.state is State.SENT and state in (State.DELIVERED, State.FAILED):
            self._ended.setdefault(order.account, self._store.clock.now())

    def capped(self, over: Collection[Over]) -> None:
        """Caps were reached."""
        now = self._store.clock.now()
        if len(self._capped) > _REMEMBERED:
            self._capped = {name: at for name, at in self._capped.items() if now - at < HOUR}
        for each in over:
            if now - self._capped.get(each.name, 0) < HOUR:
                continue
            self._capped[each.name] = now
            text = watch.of_cap(each.name, each.why, each.cap.over)
            self._begin(self._tell(watch.subject_of_cap(each.name), text, each.cap.account, per="hour"))

    async def step_failed(self, what: str, text: str) -> None:
        """A step of escalation came to nothing."""
        more = "Of others that lead there the log tells; you are not told of them again within the hour."
        await self._tell(f"escalation: {what}", f"{text} {more}", "", per="hour")

    def reports_fail(self, text: str) -> None:
        """The mailer can't tell senders, and so perhaps not the operator either."""
        self._begin(self._phone("reports", text, ""))

    def _begin(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._surely(telling))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _surely(self, telling: Coroutine[Any, Any, None]) -> None:
        try:
            await telling
        except Trouble as trouble:
            _log.error("the operator could not be told", extra={"why": str(trouble)})

    # -- a chore --------------------------------------------------------------------------

    async def next(self) -> int | None:
        """When to look again; None where nothing is to be looked at."""
        reports = self._config.reports
        moments = [self._balance_at + watch.BALANCE_EVERY] if reports.low_balance else []
        moments += [at + HOUR for name, at in self._ended.items() if self.heard(name) is not None]
        if reports.old_queue and self._unseen:
            moments.append(self._queue_at + QUEUE_EVERY)
        elif reports.old_queue and self._oldest_at is not None:
            moments.append(max(self._queue_at + QUEUE_EVERY, self._oldest_at + reports.old_queue))
        return min(moments, default=None)

    async def turn(self) -> bool:
        """Look at what is due; nothing of it makes an order go sooner."""
        now, reports = self._store.clock.now(), self._config.reports
        if reports.low_balance and now - self._balance_at >= watch.BALANCE_EVERY:
            self._balance_at = now
            for name, worker in self._workers.items():
                worker.look_at_balance(partial(self._balance, name))
        await self._look_for_calls(now)
        self._unseen = now - self._queue_at < QUEUE_EVERY  # orders may have come since
        if reports.old_queue and not self._unseen:
            await self._look_at_queue(now)
        return False

    async def _look_for_calls(self, now: int) -> None:
        for account, ended_at in list(self._ended.items()):
            heard_at = self.heard(account)
            silent = watch.is_silent(ended_at, heard_at, now)
            if silent is None:
                continue
            del self._ended[account]
            if silent and heard_at is not None:
                text = watch.of_silence(account, heard_at, now)
                await self._tell(f"callbacks of {account}", text, account, per="day")

    async def _look_at_queue(self, now: int) -> None:
        self._queue_at = now
        oldest = await self._store.oldest_order(caps.WATCH)
        self._oldest_at = None if oldest is None else oldest.start_at
        if oldest is not None and now - oldest.start_at >= self._config.reports.old_queue:
            await self._tell("queue", watch.of_queue(oldest, now), oldest.account, per="hour")

    def _balance(self, account: str, balance: Balance) -> None:
        low = watch.is_low(balance.amount, self._config.reports.low_balance)
        if low is None:
            return
        fell = low and self._well.get(account, False)
        self._well[account] = not low
        if low:
            text = watch.of_balance(
                account, balance.amount, balance.currency, self._config.reports.low_balance
            )
            self._begin(self._tell(f"balance of {account}", text, account, per="day", anew=fell))

    # -- telling --------------------------------------------------------------------------

    async def _tell(
        self, subject: str, text: str, account: str, *, per: str = "", anew: bool = False
    ) -> None:
        """Tell by mail and by phone; once in the time `per` unless it is news `anew`."""
        if per and not await self._first(f"{per} told {subject}", anew=anew):
            return
        await self._mail(subject, text)
        await self._phone(subject, text, account)

    async def _first(self, name: str, *, anew: bool = False) -> bool:
        """Whether this was not told in its time yet; from now on it was."""
        if not anew and await self._told(name):
            return False
        change, now = Change(), self._store.clock.now()
        change.add(name, caps.step(name, now), messages=1)
        await self._store.write(change)
        return True

    async def _told(self, name: str) -> bool:
        now = self._store.clock.now()
        return bool(await self._store.spent([([name], caps.since(name, now))], now))

    async def _phone(self, subject: str, text: str, troubled: str) -> None:
        """Tell by phone, once an hour, through an account that has nothing to do with it."""
        config, name = self._config, f"hour phoned {subject}"
        to = config.reports.operator_phone
        resting = {each for each, worker in self._workers.items() if worker.resting.why is not Rest.NONE}
        account = watch.through(list(self._workers), resting, troubled)
        if not to or not account or await self._told(name):
            return
        meant = watch.reached(to, config.routes, dict(config.aliases), account)
        if isinstance(meant, Reply):
            _log.error("the operator could not be told", extra={"why": meant.text})
            return
        now, said = self._store.clock.now(), watch.on_phone(config.hostname, text)
        envelope = Envelope(sender="", source=caps.WATCH, recipients=(Recipient(address=to),))
        letter = Letter(plain=said, readable=said)
        composed = orders.compose(letter, envelope, [meant], now=now, fallback_sender="")
        taken = intake.change_for(
            envelope, letter, composed, mail_id=self._store.new_id(), ids=self._store.ids, now=now,
            size=len(said), files={}, full_id=None,
        )  # fmt: skip
        self._counts.taken(taken.change, taken.orders)
        taken.change.add(name, caps.step(name, now), messages=1)
        await self._store.write(taken.change)
        self._queued({order.account for order in taken.orders})
