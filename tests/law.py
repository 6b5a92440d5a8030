"""The law of one message and one word, held against the provider's books and the maildir.

For each order of each mail that was answered 250: exactly one message at the provider and one
truthful final word about it, or none and one report that says it was not sent; what nobody can
answer is unknown and reported as that. A step of escalation runs once at most, and not after somebody
took the alarm; what a phone said is stored once. An order that another one speaks for has no message of
its own and shares that one's end. What was given up for lost, told so, and then arrives is told once
more, once. What the provider has is taken from the sandbox, what senders heard from the maildir; of
the relay's rows only what an order is and how it ended is believed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from harness import Journey
from sqlalchemy import select
from tidings import BAD, GOOD, Tidings

from relay.queue import intake, schema
from relay.queue.followups import Step, StepState
from relay.queue.rows import Order
from relay.queue.states import State
from relay.smsc.sandbox import Message

KIND_STATES = {
    "delivered": State.DELIVERED,
    "refused": State.FAILED,
    "expired": State.FAILED,
    "unknown": State.UNKNOWN,
}
TITLES = {
    "NOT DELIVERED": "failed",
    "UNKNOWN WHETHER DELIVERED": "unknown",
    "DELAYED": "delayed",
    "ACCEPTED BY THE PROVIDER": "relayed",
    "DELIVERED": "delivered",
}
LATE = 60  # seconds after which nothing that was under way is accepted any more
TOLD = (State.FAILED, State.DROPPED, State.UNKNOWN)


@dataclass(slots=True)
class Taken:
    """A mail that was answered 250, as its client knows it."""

    envid: str
    recipients: Mapping[str, frozenset[str]]  # the phones or groups behind each that was accepted
    notify: str = ""

    def wants(self, what: str) -> bool:
        """Whether its sender wants to hear of this."""
        return what in self.notify.split(",") if self.notify else what == "FAILURE"


@dataclass(slots=True)
class Books:
    """Everything that is held against each other."""

    orders: dict[int, Order]
    names: dict[int, set[str]]  # the requests that carried each order
    mails: dict[str, int]  # by envelope id
    recipients: dict[tuple[int, str], int]
    notices: list[Mapping[str, Any]]
    requests: list[Mapping[str, Any]]
    steps: Sequence[Step]
    replies: Counter[tuple[str, str]]  # what phones said, as it is stored
    messages: Sequence[Message]
    retried: set[int]
    arrived: set[tuple[str, str]]  # the id and the phone of what the provider told to have arrived
    late: set[tuple[str, str]]  # of what did so after it had been given up for lost
    steady: bool  # whether the clock never went back: "within a minute" means little where it did

    def ends(self, order: Order) -> State:
        """How an order ended; one that another speaks for ends as that one did."""
        if order.state is not State.MERGED:
            return order.state
        speaker = self.speaker(order)
        if speaker is not None and _corrected(speaker) and _corrected(order):
            return speaker.state
        return KIND_STATES.get(order.kind, order.state)

    def speaker(self, order: Order) -> Order | None:
        """Who speaks for an order, in the end."""
        speaker = self.orders.get(order.merged_into or 0)
        while speaker is not None and speaker.state is State.MERGED:
            speaker = self.orders.get(speaker.merged_into or 0)
        return speaker

    def ends_at(self, message: Message) -> int:
        """The status that a message came to, before it arrived after all."""
        late = (message.id, message.phone) in self.late
        return message.history[-2 if late else -1].status

    def corrections(self, order: Order) -> tuple[int, int]:
        """How often, at least and at most, it is to be told that an order given up for lost arrived."""
        own = self.speaker(order) if order.state is State.MERGED else order
        if own is None or self.ends(order) not in (State.FAILED, State.UNKNOWN):
            return 0, 0
        of = {(message.id, message.phone) for message in self.of(own)}
        return int(bool(of & self.arrived)), int(bool(of & self.late))

    def of(self, order: Order) -> list[Message]:
        """The messages that the provider has of an order."""
        return [m for m in self.messages if m.id in self.names[order.id] and m.phone == _plain(order.target)]

    def leaves(self, recipient: int) -> list[Order]:
        """A recipient's orders; of a group its members."""
        own = [order for order in self.orders.values() if order.recipient_id == recipient]
        parents = {order.parent_id for order in own}
        return [order for order in own if order.id not in parents]


async def open_books(relay: Journey, *, steady: bool = True, tidings: Tidings | None = None) -> Books:
    """Read them all; `tidings` are what the provider told by itself."""
    engine = relay.app.store.engine
    orders = {order.id: order for order in await relay.orders()}
    names: dict[int, set[str]] = defaultdict(set)
    retried = set()
    for line in await engine.read(select(schema.story)):
        if line["detail"].startswith("request "):
            names[line["order_id"]].add(line["detail"].removeprefix("request "))
        if line["event"] == "retried":
            retried.add(line["order_id"])
    for order in orders.values():
        if order.parent_id is not None:
            names[order.id] = names[order.parent_id]
    return Books(
        orders=orders,
        names=names,
        mails={row["envid"]: row["id"] for row in await engine.read(select(schema.mail))},
        recipients={
            (row["mail_id"], row["address"]): row["id"]
            for row in await engine.read(select(schema.recipient))
            if row["position"] < intake.FURTHER  # whom the sender named
        },
        notices=await engine.read(select(schema.notice)),
        requests=await engine.read(select(schema.request)),
        steps=await relay.app.store.steps_of_mails({order.mail_id for order in orders.values()}),
        replies=Counter((row["phone"], row["text"]) for row in await engine.read(select(schema.incoming))),
        messages=relay.sandbox.messages,
        retried=retried,
        arrived=tidings.arrived if tidings else set(),
        late=tidings.late if tidings else set(),
        steady=steady,
    )


def breaches(books: Books, taken: Sequence[Taken], reports: Sequence[EmailMessage]) -> list[str]:
    """Everything in which the law does not hold."""
    return [
        *_of_mails(books, taken),
        *(
            f"{_shown(order)}: {wrong}"
            for order in books.orders.values()
            for wrong in _of_order(books, order)
        ),
        *_of_messages(books),
        *_of_steps(books),
        *_of_rows(books),
        *_of_reports(books, taken, reports),
    ]


def _of_mails(books: Books, taken: Sequence[Taken]) -> Iterator[str]:
    for mail in taken:
        if mail.envid not in books.mails:
            yield f"{mail.envid}: answered 250 and not there"
            continue
        for address, targets in mail.recipients.items():
            key = books.recipients.get((books.mails[mail.envid], address))
            own = {order.target for order in books.orders.values() if order.recipient_id == key}
            if not targets <= own:
                yield f"{mail.envid}: {address} lacks {targets - own}"


def _of_order(books: Books, order: Order) -> Iterator[str]:
    """One message and a true word of it, or none."""
    if order.finished_at is None:
        yield "is not over"
        return
    members = any(each.parent_id == order.id for each in books.orders.values())
    mine = books.of(order)
    finals = [books.ends_at(message) for message in mine]
    late = any((message.id, message.phone) in books.late for message in mine)
    if order.state is State.MERGED:
        speaker = books.speaker(order)
        if mine or speaker is None or books.ends(order) is not speaker.state:
            its = speaker.state if speaker else "nobody"
            yield f"speaks for itself: {finals}, ends {books.ends(order)}, its speaker {its}"
    elif members:
        return  # a group: its members are looked at
    elif len(mine) > 1:
        yield f"{len(mine)} messages under {[m.id for m in mine]}"
    elif order.state is State.DELIVERED and not (set(finals) & GOOD or late):
        yield f"delivered, the provider says {finals}"
    elif order.state is State.FAILED and set(finals) - BAD:
        yield f"failed, the provider says {finals}"
    elif order.state is State.DROPPED and finals:
        yield f"dropped, the provider says {finals}"
    elif order.state is State.UNKNOWN and (set(finals) & (GOOD | BAD) or not (finals or _group(order))):
        yield f"unknown, the provider says {finals}"


def _of_messages(books: Books) -> Iterator[str]:
    """Each message belongs to one order, and no phone heard a text twice within a minute."""
    carried = Counter(
        (name, _plain(books.orders[key].target)) for key, all_ in books.names.items() for name in all_
    )
    heard: dict[tuple[str, str], Message] = {}
    again = {_plain(books.orders[key].target) for key in books.retried if key in books.orders}
    groups = {name for key, all_ in books.names.items() if _group(books.orders[key]) for name in all_}
    for message in books.messages:
        if carried[message.id, message.phone] != 1 and message.id not in groups:
            yield f"{message.phone} {message.text!r} under {message.id} belongs to nobody"
        if message.id in groups or message.phone in again or not books.steady:
            continue  # the provider knows who is in a group; who asks for a retry gets one
        before = heard.get((message.phone, message.text))
        if before is not None and message.accepted_at - before.accepted_at < 60:
            yield f"{message.phone} heard {message.text!r} twice: {before.id}, {message.id}"
        heard[message.phone, message.text] = message


def _of_steps(books: Books) -> Iterator[str]:
    """Each step is over; it was told to its phone once at most, and nothing of it after somebody took it."""
    for step in books.steps:
        who = f"step {step.n} of {step.mail_id}"
        own = [order for order in books.orders.values() if order.recipient_id == step.made_id]
        family = [order for order in books.orders.values() if order.mail_id == step.mail_id]
        taken = min((order.answered_at for order in family if order.answered_at is not None), default=None)
        if step.state is StepState.WAITING or (step.state is StepState.DONE) != bool(own):
            yield f"{who} is {step.state}, with {len(own)} orders"
        if any(order.id in books.retried for order in family):
            continue  # a person wanted one more
        if len(own) > 1:
            yield f"{who} ran {len(own)} times"
        if taken is None or not books.steady:
            continue
        late = [m for order in own for m in books.of(order) if m.accepted_at > taken / 1000 + LATE]
        if late:
            yield f"{who} was told after the alarm was taken: {late}"


def _of_rows(books: Books) -> Iterator[str]:
    yield from (f"request {row['id']} is {row['state']}" for row in books.requests if row["state"] != "done")
    yield from (f"notice {row['id']} is {row['state']}" for row in books.notices if row["state"] != "done")


def _of_reports(books: Books, taken: Sequence[Taken], reports: Sequence[EmailMessage]) -> Iterator[str]:
    """Each recipient that is owed a final word hears it once."""
    said = _said(reports)
    for mail in taken:
        for address in mail.recipients:
            key = books.recipients.get((books.mails.get(mail.envid, 0), address), 0)
            leaves = books.leaves(key)
            words = said.get((mail.envid, address), Counter())
            ends = Counter(books.ends(order) for order in leaves)
            failures, unknown = ends[State.FAILED] + ends[State.DROPPED], ends[State.UNKNOWN]
            if not mail.wants("FAILURE"):
                failures = unknown = 0
            arrived = mail.wants("SUCCESS") and {State.DELIVERED} == set(ends)
            told = Counter(n["order_id"] for n in books.notices if n["recipient_id"] == key and _bad(n))
            owed = (
                Counter(o.id for o in leaves if books.ends(o) in TOLD) if mail.wants("FAILURE") else Counter()
            )
            who = f"{mail.envid} {address} ({dict(ends)})"
            if told != owed:
                yield f"{who}: owes {owed}, owned up to {told}"
            yield from _of_corrections(books, mail, key, leaves, who)
            late = sum(each["recipient_id"] == key and _late(books, each) for each in books.notices)
            if late and not words["delivered"]:
                yield f"{who}: heard nothing of what arrived after all"
            for word, number in (("failed", failures), ("unknown", unknown), ("delivered", int(arrived))):
                # several fates of one address may be one entry (each of them is one notice); good
                # news is told once, and again of a retry
                retried = sum(order.id in books.retried for order in leaves)
                most = number if word != "delivered" else number * (1 + retried) + late
                if not min(number, 1) <= words[word] <= most:
                    yield f"{who}: heard {dict(words)}"
            if words["relayed"]:
                yield f"{who}: heard {dict(words)}"


def _of_corrections(books: Books, mail: Taken, key: int, leaves: Sequence[Order], who: str) -> Iterator[str]:
    """What arrived after its sender was told otherwise is told once, and nothing else is."""
    told = Counter(n["order_id"] for n in books.notices if n["recipient_id"] == key and _late(books, n))
    for order in leaves:
        least, most = books.corrections(order) if mail.wants("FAILURE") else (0, 0)
        if not least <= told[order.id] <= most:
            yield f"{who}: {_shown(order)} was corrected {told[order.id]} times, not {least} to {most}"


def _said(reports: Sequence[EmailMessage]) -> dict[tuple[str, str], Counter[str]]:
    """The words that people read, by envelope id and recipient; one report that came twice is one."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    of_orders = [report for report in reports if report["Auto-Submitted"] == "auto-replied"]
    for report in {str(report["Message-ID"]): report for report in of_orders}.values():
        people, machines, *_ = report.iter_parts()
        head, *blocks = machines.get_payload()
        title = ""
        for line in people.get_content().splitlines():
            title = TITLES.get(line, title)
            if line.startswith("* "):
                found[str(head["Original-Envelope-Id"]), line.split()[1]][title] += 1
                action = str(blocks_for(blocks, line.split()[1]))
                assert title in action or title == "unknown", f"{title} to people, {action} to machines"
    return found


def blocks_for(blocks: Sequence[EmailMessage], address: str) -> list[str]:
    """The actions that machines read of an address."""
    return [str(b["Action"]) for b in blocks if str(b["Final-Recipient"]).endswith(f" {address}")]


def _bad(notice: Mapping[str, Any]) -> bool:
    return notice["action"] == "failed" or bool(notice["unknown"])


def _late(books: Books, notice: Mapping[str, Any]) -> bool:
    """Whether it corrects what was told before."""
    order = books.orders.get(notice["order_id"])
    return notice["action"] == "delivered" and order is not None and books.ends(order) in TOLD


def _corrected(order: Order) -> bool:
    """Whether it arrived after it had come to its end."""
    return order.kind == "delivered" and order.state in (State.FAILED, State.UNKNOWN, State.MERGED)


def _group(order: Order) -> bool:
    return not (order.target.startswith("+") or "@" in order.target)


def _plain(target: str) -> str:
    return target.removeprefix("+").lower()


def _shown(order: Order) -> str:
    return f"order {order.id} to {order.target} {order.state}"
