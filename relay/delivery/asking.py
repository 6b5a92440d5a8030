"""Questions: about requests whose call broke off, and about resting accounts.

Unsure requests (the bytes may have left, no readable answer came) follow one protocol. Ask
for the status of each phone under our id. Any status of any phone: the request was accepted
and is never repeated; a phone of it still unknown 60 s after the break goes alone under a new
id. All phones unknown twice, the second time at least 10 s after the break (60 s where the
provider answered with error 9): the same bytes go out once more under the same id; where
even that was refused, the refusal counts. What can't be asked about by phone (groups) is
looked for in the history and never repeated. What stays open until `give_up` is unknown.
Where the account rests and another may carry the orders they are not repeated but let go of,
once "unknown" is the last word on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from relay.config import Delivery
from relay.delivery import plan
from relay.delivery.claims import ASK_STEPS
from relay.delivery.news import News, news_of, person
from relay.delivery.polling import APART, left_alone
from relay.delivery.questions import Questions
from relay.delivery.sending import REFUSED, SECOND_ASK, Sending, to_halve
from relay.delivery.settle import Settler
from relay.model import SECOND, Kind, Outcome, Rest
from relay.queue import schema
from relay.queue.engine import Change
from relay.queue.rows import Order, Request, RequestState
from relay.queue.states import Event, State
from relay.queue.store import Store
from relay.smsc import outcomes
from relay.smsc.client import Answers, Client, Sent
from relay.smsc.wire import Balance

SURE_ABSENT = 61 * SECOND
"""How long after the break "unknown" is the last word on a phone of an accepted request."""


class Asking:
    """The questions of one account."""

    def __init__(
        self,
        *,
        store: Store,
        settler: Settler,
        client: Client,
        sending: Sending,
        delivery: Delivery,
        questions: Questions,
        elsewhere: Callable[[Order], bool] = lambda _order: False,
    ) -> None:
        self._store = store
        self._settler = settler
        self._client = client
        self._sending = sending
        self._delivery = delivery
        self._questions = questions
        self._elsewhere = elsewhere  # whether another account would carry the order now

    def adopt(self, delivery: Delivery) -> None:
        """Go on by a re-read configuration."""
        self._delivery = delivery

    def _now(self) -> int:
        return self._store.clock.now()

    # -- asking about an unsure request ---------------------------------------------------

    async def ask(self, request: Request) -> Outcome | None:
        """Ask what became of a request whose call broke off; the outcome where the asking failed."""
        fresh = await self._store.requests([request.id])
        if not fresh or fresh[0].version != request.version:
            return None  # it was asked about since it was read
        if self._store.shared:
            if not await left_alone(self._store, [request]):
                return None
            request = replace(request, version=request.version + 1)
        orders = await self._store.orders_of_requests([request.id])
        open_ = [order for order in orders if order.state is State.UNSURE]
        if not open_:
            await self._settler.surely([], partial(self._sending.close, request))
            return None
        now = self._now()
        pairs = [(order.target, request.name) for order in open_]
        allowed = self._questions.allowed_at(pairs, now)
        if allowed > now:
            await self._ask_again(request, allowed, request.absences)
            return None
        self._questions.note(pairs, now)
        found = await self._look(request, open_)
        if isinstance(found, Outcome):
            await self._ask_again(request, now + plan.step(ASK_STEPS, request.asks), request.absences)
            return found
        await self._judge(request, orders, open_, found)
        money = [known for known in found.values() if known.rest is not Rest.NONE]
        return money[0] if money else None

    async def _look(self, request: Request, orders: Sequence[Order]) -> Mapping[str, Outcome] | Outcome:
        """What the provider knows of each target under our id; an Outcome where it can't be asked."""
        if not all(plan.askable(order) for order in orders):
            return await self._client.look_up(request.name, request.created_at)
        pairs = [(order.target, request.name) for order in orders]
        asked: list[Answers] = []
        if len(pairs) > plan.SINGLY:
            asked.append(await self._client.status(pairs))
        else:
            for pair in pairs:
                asked.append(await self._client.status([pair]))
                if asked[-1].outcome is not None:
                    break
        found: dict[str, Outcome] = {}
        for answers in asked:
            if answers.outcome is not None:
                return answers.outcome
            found |= {phone: outcome for (phone, _id), outcome in answers.each.items()}
        missing = [order.target for order in orders if order.target not in found]
        if missing:
            return outcomes.unreadable("the answer leaves out a message that it was asked about")
        return found

    async def _judge(
        self,
        request: Request,
        orders: Sequence[Order],
        open_: Sequence[Order],
        found: Mapping[str, Outcome],
    ) -> None:
        now = self._now()
        since = now - (request.broke_at or now)
        if not all(plan.askable(order) for order in open_):
            await self._judge_group(request, open_, found)
            return
        heard = [order for order in open_ if found[order.target].kind is not Kind.ABSENT]
        absent = [order for order in open_ if found[order.target].kind is Kind.ABSENT]
        accepted = bool(heard) or len(open_) < len(orders)
        news = [news_of(order.id, _known(found[order.target])) for order in heard]
        if accepted:
            alone = absent if since >= SURE_ABSENT else []
            without = "the provider took the request without this phone"
            news += [self._again(order, now, self._store.new_id(), without) for order in alone]
            left = len(absent) - len(alone)
            later = partial(self._due, request, now + max(SECOND, SURE_ABSENT - since), 0)
            await self._settler.surely(news, later if left else partial(self._sending.close, request))
            return
        # the provider's filter of repeats guards a repeat, but not what goes out by another account
        moves = request.cause != REFUSED and all(self._elsewhere(order) for order in open_)
        wait = SURE_ABSENT if request.cause == "nine" or moves else SECOND_ASK
        if request.absences < 1 or since < wait:
            await self._ask_again(request, now + max(SECOND, wait - since), request.absences + 1)
            return
        if request.cause == REFUSED:
            await self._refused_after_all(request, open_)
        elif moves:
            nothing, batch = "the provider knows nothing of the request", self._store.new_id()
            news = [self._again(order, now, batch, nothing) for order in open_]
            await self._settler.surely(news, partial(self._sending.close, request))
        else:
            await self._repeat(request, open_, now)

    async def _refused_after_all(self, request: Request, orders: Sequence[Order]) -> None:
        """The repeat was refused, and the first try was never heard: the refusal counts."""
        outcome = orders[0].outcome or outcomes.for_error(1)
        if to_halve(request, orders, outcome):
            await self._sending.halve(request, orders, outcome, Event.ABSENT)
            return
        await self._settler.surely(
            [news_of(order.id, outcome) for order in orders], partial(self._sending.close, request)
        )

    async def _judge_group(
        self, request: Request, open_: Sequence[Order], found: Mapping[str, Outcome]
    ) -> None:
        """A group or a nick: found in the history it was accepted; not found says nothing."""
        if not found:
            after = plan.step(self._delivery.poll, request.asks)
            await self._ask_again(request, self._now() + after, 0)
            return
        members = tuple(found) if all(map(plan.is_group, open_)) else ()
        sent = Sent(outcome=outcomes.accepted(), each=found, members=members)
        news = [news_of(order.id, sent.outcome) for order in open_]
        await self._sending.taken(request, open_, sent, news)

    def _again(self, order: Order, now: int, batch: int, why: str) -> News:
        """The provider has not got it: it goes with its batch, under a new id, or fails if too late."""
        outcome = person(Kind.ABSENT, "4.4.1", why)
        if order.expire_at <= now:
            return News(order=order.id, event=Event.EXPIRED, outcome=_too_late())
        columns = {"request_id": None, "batch": batch, "due_at": now}
        return News(order=order.id, event=Event.ABSENT, outcome=outcome, columns=columns)

    async def _repeat(self, request: Request, orders: Sequence[Order], now: int) -> None:
        """Nothing is known under the id: the same bytes once more, unless it is too late for all."""
        if all(order.expire_at <= now for order in orders):
            news = [News(order=order.id, event=Event.EXPIRED, outcome=_too_late()) for order in orders]
            await self._settler.surely(news, partial(self._sending.close, request))
            return

        def again(change: Change) -> None:
            change.update(
                schema.request,
                request.id,
                request.version,
                state=RequestState.REPEAT.value,
                due_at=now,
                asks=request.asks + 1,
            )

        await self._settler.surely([], again)

    async def _ask_again(self, request: Request, at: int, absences: int) -> None:
        if self._store.shared and request.asks:
            at = max(at, self._now() + APART)
        await self._settler.surely([], partial(self._due, request, at, absences))

    def _due(self, request: Request, at: int, absences: int, change: Change) -> None:
        change.update(
            schema.request, request.id, request.version, due_at=at, asks=request.asks + 1, absences=absences
        )

    async def balance(self) -> Balance | Outcome:
        """What the account holds; an outcome where that is not told."""
        return await self._client.balance()

    # -- probing a resting account --------------------------------------------------------

    async def probe(self) -> Outcome | None:
        """One balance call: None when the account may work again, else why it may not."""
        answer = await self._client.balance()
        if isinstance(answer, Outcome):
            return answer
        if answer.amount.startswith("-") or not answer.amount.strip("0.,- "):
            return outcomes.for_error(3, "the balance is empty")
        return None


def _known(outcome: Outcome) -> Outcome:
    """A status that moves nothing still says that the provider has the message."""
    return outcomes.accepted() if outcome.kind is Kind.NOTHING else outcome


def _too_late() -> Outcome:
    return outcomes.expired(None)
