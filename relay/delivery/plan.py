"""Which calls to make next on an account: one pure pass over what is due.

Rule 1: never more calls at once than slots, whatever their kind. Rule 2: questions about
unsure orders go first, then sends, then other questions; both kinds of question together
take at most four slots. Rule 3: a resting account sends nothing; blocked or unknown to the
provider it asks nothing either, and one balance call per step finds out when that is over.

Orders with equal content go in one request, a phone once; a group, or a mail address, goes
alone: a group can't be asked about by phone, and recipients of mail should not be listed
together. What was halved after a refusal stays in its half (`batch`); what could not be
connected keeps its request, and with it the id (`request_id`). Plain SMS of different
contents that would have to wait for a slot join as a `list` (`joining`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from relay.delivery import joining, stale
from relay.delivery.joining import Text
from relay.message import address
from relay.model import HOUR, MINUTE, SECOND, Rest
from relay.queue.rows import Order, Request, RequestState

QUESTIONS = 4
"""Slots that questions of both kinds may take together."""
PHONES = 100
"""Phones in one request."""
MASS = 200
"""Messages in one mass question."""
MASS_FROM = 9
"""So many due questions make a mass question worth its place in the minute."""
MASS_EVERY = MINUTE + SECOND
SINGLY = 5
"""Phones of an unsure request that are asked about one by one; more take a mass question."""
REFUSALS = 20
"""Refusals of one sender in a minute before its orders are slowed."""
OFTEN = 5
"""Refusals of one sender in a minute before its orders are joined no more."""
PROBES_A_MINUTE = 5
UNASKED = 2 * MINUTE
"""So long nothing is asked about a message where callbacks are arriving."""
ARRIVING = HOUR
"""So long after an account's last callback its callbacks count as arriving."""


@dataclass(frozen=True, slots=True)
class Resting:
    """An account's rest: why, and when it may be probed next."""

    why: Rest = Rest.NONE
    probe_at: int | None = None

    @property
    def silent(self) -> bool:
        """Not even questions: the provider would count them as more trouble."""
        return self.why in (Rest.LOGIN, Rest.BLOCKED)


@dataclass(slots=True)
class Plan:
    """The calls to make now, in their order."""

    probe: bool = False
    asks: list[Request] = field(default_factory=list)
    repeats: list[Request] = field(default_factory=list)
    sends: list[list[Order]] = field(default_factory=list)
    polls: list[list[Order]] = field(default_factory=list)
    defer: list[Request] = field(default_factory=list)  # repeats that a rest forbids: asked about again
    all_of_it: bool = False  # nothing is due beside what this was made of

    @property
    def calls(self) -> int:
        return int(self.probe) + len(self.asks) + len(self.repeats) + len(self.sends) + len(self.polls)

    @property
    def longest(self) -> int:
        """Orders of the longest send; more than one tells that there was more to send than slots."""
        return max(map(len, self.sends), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The account's calls at this moment, and how many this process may make at once."""

    most: int
    taken: int
    questions: int
    most_questions: int = QUESTIONS

    @property
    def free(self) -> int:
        return max(0, self.most - self.taken)

    @property
    def free_questions(self) -> int:
        return max(0, min(self.free, self.most_questions - self.questions))


def groups(orders: Iterable[Order], now: int = 0) -> list[list[Order]]:
    """Orders as requests: equal content together, a phone once, at most PHONES of them.

    Those that say by how much they are late go together where they say the same `now`. These are
    also the lines of a `list`.
    """
    found: dict[object, list[list[Order]]] = {}
    for order in orders:
        if not together(order):
            found[order.id] = [[order]]
            continue
        key = (order.digest, order.batch, order.request_id, stale.minutes(order, now))
        rows = found.setdefault(key, [[]])
        if len(rows[-1]) >= PHONES or any(each.target == order.target for each in rows[-1]):
            rows.append([])
        rows[-1].append(order)
    return [row for rows in found.values() for row in rows]


def together(order: Order) -> bool:
    """Whether the order may share a request: only phones may."""
    return order.target.startswith("+")


def sendable(
    orders: Sequence[Order], *, resting: Resting, slots: Slots, slowed: Collection[str]
) -> list[Order]:
    """The due orders that may be judged now: none at rest, none of a sender that is slowed."""
    if resting.why is not Rest.NONE or not slots.free:
        return []
    return [order for order in orders if order.sender not in slowed]


def make(
    *,
    now: int,
    slots: Slots,
    resting: Resting,
    requests: Sequence[Request],
    orders: Sequence[Order],
    polls: Sequence[Order],
    mass_at: int | None,
    texts: Mapping[int, Text] = MappingProxyType({}),
    refused: Collection[str] = (),
) -> Plan:
    """The calls to make now. `orders` are those that the storm rules let through.

    `texts` has those of them that may be joined, by order; `refused` are senders who were refused lately.
    """
    plan = Plan()
    free, questions = slots.free, slots.free_questions
    if resting.why is not Rest.NONE and resting.probe_at is not None and resting.probe_at <= now and free:
        plan.probe = True
        free, questions = free - 1, min(questions, free - 1)
    mass = mass_at is None or not 0 <= now - mass_at < MASS_EVERY
    if not resting.silent:
        plan.asks, mass = _asks(requests, questions, mass=mass)
        free, questions = free - len(plan.asks), questions - len(plan.asks)
    again = [request for request in requests if request.state is RequestState.REPEAT]
    if resting.why is not Rest.NONE:
        plan.defer = again
    else:
        plan.repeats = again[:free]
        free -= len(plan.repeats)
        plan.sends = joining.joined(groups(orders, now), texts, free, apart=refused)
        free -= len(plan.sends)
    if not resting.silent:
        plan.polls = _polls(polls, min(questions, free), mass=mass)
    return plan


def wants_more(made: Plan, ready: Sequence[Order], slots: Slots) -> bool:
    """Whether further due orders could change the plan: by filling a slot, or joining its last request."""
    if made.calls < slots.free:
        return True
    return bool(ready) and any(row[-1].id == ready[-1].id for row in made.sends)


def wants_mass(request: Request) -> bool:
    """Whether asking about an unsure request takes the minute's mass question."""
    return len(request.phones) > SINGLY


def _asks(requests: Sequence[Request], room: int, *, mass: bool) -> tuple[list[Request], bool]:
    """The unsure requests to ask about, and whether the minute's mass question is still free."""
    asks: list[Request] = []
    for request in requests:
        wants = wants_mass(request)
        if request.state is not RequestState.UNSURE or len(asks) >= room or (wants and not mass):
            continue
        mass = mass and not wants
        asks.append(request)
    return asks, mass


def askable(order: Order) -> bool:
    """Whether the provider can be asked about the order by its target: a number or a mail address."""
    return together(order) or "@" in order.target[1:]


def is_group(order: Order) -> bool:
    """Whether the order is for a group, whose members become orders under it."""
    return address.is_group(order.target)


def _polls(due: Sequence[Order], room: int, *, mass: bool) -> list[list[Order]]:
    """Single questions; where many are due, one mass question a minute takes most of them."""
    if room <= 0:
        return []
    found: list[list[Order]] = []
    single = [order for order in due if askable(order)]
    if len(single) >= MASS_FROM and mass:
        found.append(single[:MASS])
        single = single[MASS:]
    groups = [order for order in due if not askable(order)]
    return (found + [[order] for order in (*groups, *single)])[:room]


def refused(refusals: Iterable[tuple[int, str]], now: int) -> Counter[str]:
    """Who was refused in the last minute, and how often, of (when, sender) pairs."""
    return Counter(sender for at, sender in refusals if 0 <= now - at < MINUTE)


def often(refusals: Iterable[tuple[int, str]], now: int) -> set[str]:
    """Senders whose orders go alone: halving all their lists would end in more than REFUSALS."""
    return {sender for sender, count in refused(refusals, now).items() if count >= OFTEN}


def slowed(refusals: Iterable[tuple[int, str]], now: int) -> set[str]:
    """Senders with more than REFUSALS refusals in the last minute, of (when, sender) pairs."""
    return {sender for sender, count in refused(refusals, now).items() if count > REFUSALS}


def step(steps: Sequence[int], number: int) -> int:
    """The wait before try `number` (from 0); the last step repeats."""
    return steps[min(number, len(steps) - 1)]


def first_poll(now: int, steps: Sequence[int], heard_at: int | None) -> int:
    """How long after its acceptance a message is first asked about; `heard_at`: the last callback."""
    arriving = heard_at is not None and 0 <= now - heard_at < ARRIVING
    return max(step(steps, 0), UNASKED) if arriving else step(steps, 0)


def answers_every(now: int, sent_at: int, heard_at: int | None, shortest: int) -> int:
    """How long to wait between questions for what phones sent; `sent_at`: the last message to one.

    Where a callback followed that message they arrive, and a question is a precaution.
    """
    if heard_at is not None and sent_at <= heard_at <= now:
        return max(shortest, HOUR)
    return max(shortest, min(HOUR, (now - sent_at) // 10))


def retry_at(now: int, attempts: int, steps: Sequence[int], chance: float) -> int:
    """When to try again after `attempts` tries: the step, spread by up to a fifth.

    `chance` is in [0, 1). The spread keeps orders that failed together from coming back together.
    """
    wait = step(steps, max(0, attempts - 1))
    return now + wait + int(wait * chance / 5)


def halves(orders: Sequence[Order]) -> tuple[list[Order], list[Order]]:
    """A refused request's orders as two smaller requests."""
    middle = (len(orders) + 1) // 2
    return list(orders[:middle]), list(orders[middle:])


def probe_after(steps: Sequence[int], probes: int, why: Rest) -> int:
    """How long until the next probe of a resting account; a blocked one is left alone longer."""
    wait = step(steps, probes) * (2 if why is Rest.BLOCKED else 1)
    return max(wait, MINUTE // PROBES_A_MINUTE)
