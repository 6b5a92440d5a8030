"""What the rooms ask of the queue, in the words of the trade.

A mail is put with everything that belongs to it in one `Change`; its large files are put
before it, in transactions of their own, and swept when no mail claims them. All else reads
rows as values, decides elsewhere, and writes a `Change` that names the versions it read. What
is due, and when, is asked in `agenda`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from relay.clock import Clock
from relay.model import DAY, File, Ids, stable_digest
from relay.queue import nodes, schema
from relay.queue import statements as sql
from relay.queue.agenda import Agenda
from relay.queue.engine import Change, Engine, Query, Row
from relay.queue.followups import Incoming, Notice, Step
from relay.queue.rows import Account, Content, Mail, Order, Phone, Recipient, Request, StoredFile
from relay.queue.states import State

CHUNK = 256 * 1024
_CHUNKS_A_CHANGE = 16
_KEPT_MOST = 31 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All rows that a decision about some orders needs."""

    orders: list[Order]
    merged: list[Order]  # those that the orders speak for
    siblings: list[Order]  # of the same recipients, the orders themselves among them
    mails: dict[int, Mail]
    recipients: dict[int, Recipient]


class Store(Agenda):
    """The queue on disk. `ids` and `clock` are the process's."""

    def __init__(self, engine: Engine, ids: Ids, clock: Clock) -> None:
        super().__init__(engine)
        self.ids = ids
        self.clock = clock

    @property
    def shared(self) -> bool:
        """Whether other processes may work on the same queue."""
        return self.engine.shared

    async def moment(self) -> int:
        """The time by which leases are judged: the database's, where it has a clock of its own."""
        before = self.clock.reading()
        moment = await self.engine.moment()
        if moment is not None:
            self.clock.follow(moment, before)
        return self.clock.now()

    def new_id(self) -> int:
        return self.ids.new(self.clock.now())

    async def write(self, change: Change) -> int | None:
        """Make a change durable; raises engine.Stale, engine.Full, engine.Trouble."""
        return await self.engine.write(change)

    # -- taking mail in -------------------------------------------------------------------

    async def put_files(self, mail: int, files: Sequence[File]) -> list[StoredFile]:
        """Put files' octets on disk, in transactions before the mail's own (which may never come)."""
        stored: list[StoredFile] = []
        for file in files:
            kept = StoredFile(id=self.new_id(), name=file.name, type=file.type, size=file.size)
            change = Change()
            change.insert(schema.file, **asdict(kept), mail_id=mail, created_at=self.clock.now())
            for n, data in enumerate(_chunks(file)):
                change.insert(schema.chunk, file_id=kept.id, n=n, data=data)
                if len(change.inserts) >= _CHUNKS_A_CHANGE:
                    await self.write(change)
                    change = Change()
            if change:
                await self.write(change)
            stored.append(kept)
        return stored

    async def forget_repeat(self, key: str) -> None:
        """A mail was refused after all: who sends it again means it."""
        await self.engine.delete(sql.FORGET_REPEAT, key=key)

    async def file_chunks(self, file: StoredFile) -> AsyncIterator[bytes]:
        """A stored file's octets, chunk by chunk."""
        for n in range((file.size + CHUNK - 1) // CHUNK):
            rows = await self.engine.read(sql.CHUNK, file=file.id, n=n)
            if not rows:
                return
            yield rows[0]["data"]

    # -- delivery -------------------------------------------------------------------------

    async def waited_for(self) -> set[str]:
        """The accounts that orders wait for which another may carry as well."""
        return set(await self._accounts(sql.NEXT_TO_MOVE_AT))

    async def scene(self, ids: Iterable[int]) -> Scene:
        """Orders, those that they speak for, and everything of the recipients of both."""
        wanted = set(ids)
        given = {"ids": list(wanted)}
        merged, rows, mails, recipients = await self.engine.read_all(
            (sql.SCENE_MERGED, given),
            (sql.SCENE_ORDERS, given),
            (sql.SCENE_MAILS, given),
            (sql.SCENE_RECIPIENTS, given),
        )
        spoken_for = {row["id"] for row in merged}
        orders = [Order.of(row) for row in rows]
        return Scene(
            orders=[order for order in orders if order.id in wanted],
            merged=[order for order in orders if order.id in spoken_for],
            siblings=orders,
            mails={row["id"]: Mail(**row) for row in mails},
            recipients={row["id"]: Recipient(**row) for row in recipients},
        )

    async def orders(self, ids: Iterable[int]) -> list[Order]:
        return await self._orders(sql.ORDERS_BY_ID, ids=list(ids))

    async def orders_of_requests(self, ids: Iterable[int]) -> list[Order]:
        return await self._orders(sql.ORDERS_BY_REQUEST, ids=list(ids))

    async def orders_of_mail(self, mail: int) -> list[Order]:
        return await self._orders(sql.ORDERS_BY_MAIL, mail=mail)

    async def orders_of_mails(self, mails: Iterable[int]) -> list[Order]:
        return await self._orders(sql.ORDERS_OF_MAILS, ids=list(mails))

    async def spoken_for(self, ids: Iterable[int]) -> dict[int, list[Order]]:
        """The orders for which others speak, by the one that does."""
        found: dict[int, list[Order]] = {}
        for order in await self._orders(sql.ORDERS_MERGED, ids=list(ids)):
            found.setdefault(order.merged_into or 0, []).append(order)
        return found

    async def members(self, ids: Iterable[int]) -> list[Order]:
        """The members of groups."""
        return await self._orders(sql.ORDERS_MEMBERS, ids=list(ids))

    async def in_state(self, state: State) -> list[Order]:
        """Unfinished orders in a state: at start, what a crash left behind."""
        return await self._orders(sql.ORDERS_IN, state=state)

    async def requests(self, ids: Iterable[int]) -> list[Request]:
        return [Request.of(row) for row in await self.engine.read(sql.REQUESTS, ids=list(ids))]

    async def calling(self) -> list[Request]:
        """Requests whose call was under way: at start, what a crash left behind."""
        return [Request.of(row) for row in await self.engine.read(sql.CALLING)]

    async def phones(self, targets: Iterable[str]) -> dict[str, Phone]:
        """What each phone heard last, by any account; one that heard nothing yet has version 0."""
        return (await self.phones_and_contents(targets, ()))[0]

    async def phones_and_contents(
        self, targets: Iterable[str], contents: Iterable[int]
    ) -> tuple[dict[str, Phone], dict[int, Content]]:
        """What each phone heard last, and the texts that are to go out, in one question."""
        wanted = list(targets)
        asked: list[Query] = [(sql.PHONES, {"targets": wanted})]
        if ids := list(contents):
            asked.append((sql.CONTENTS, {"ids": ids}))
        rows, *others = await self.engine.read_all(*asked)
        phones = {target: Phone("", target) for target in wanted} | {
            row["target"]: Phone(**row) for row in rows
        }
        return phones, {row["id"]: Content(**row) for each in others for row in each}

    async def accounts(self) -> dict[str, Account]:
        return {row["name"]: Account(**row) for row in await self.engine.read(sql.ACCOUNTS)}

    async def heard(self) -> dict[str, int]:
        """When the provider last called us about each account."""
        return {row["account"]: row["at"] for row in await self.engine.read(sql.HEARD)}

    async def note_heard(self, account: str, at: int) -> None:
        """The provider called us about an account."""
        if not await self.engine.delete(sql.HEARD_AGAIN, key=account, now=at):
            change = Change()
            change.insert(schema.heard, account=account, at=at)
            await self.write(change)

    async def keep_stray(self, account: str, name: str, phone: str, status: str) -> bool:
        """Keep what the provider told of a message that is none of ours, once a day; whether it is new."""
        now = self.clock.now()
        key, told = self.ids.new(now), ("stray", account, name, phone, status)
        change = Change(once=(stable_digest(*(each.encode("utf-8", "replace") for each in told)), key, now))
        change.insert(schema.stray, id=key, account=account, name=name, phone=phone, status=status, at=now)
        return await self.write(change) is None

    async def strays(self, after: int, many: int = 200) -> list[dict[str, Any]]:
        """What the provider told after a moment of messages that are none of ours, the last first."""
        return [dict(row) for row in await self.engine.read(sql.STRAYS, before=after, many=many)]

    async def claim(self, *what: object) -> bool:
        """Whether nobody has claimed it before, on this node or another; known for a day."""
        now = self.clock.now()
        key = stable_digest(*(str(each).encode() for each in ("claim", *what)))
        return await self.write(Change(once=(key, self.ids.new(now), now))) is None

    async def last_to(self, target: str, after: int, many: int) -> list[Order]:
        """The last orders that a phone may have heard after a moment, the youngest first.

        The provider may have kept them for a month.
        """
        asked = {"target": target, "before": after, "handed": after - _KEPT_MOST, "many": many}
        return await self._orders(sql.LAST_TO, **asked)

    async def recovered(self, topics: Iterable[str], targets: Iterable[str], after: int) -> bool:
        """Whether one of these phones was told after a moment that a problem of these topics is over."""
        asked = {"topics": list(topics), "targets": list(targets), "before": after}
        return bool(await self.engine.read(sql.RECOVERED, **asked))

    async def incoming_known(self, key: str) -> bool:
        """Whether a phone's message is stored already."""
        return bool(await self.engine.read(sql.INCOMING_KNOWN, key=key))

    async def repeat_known(self, key: str) -> bool:
        """Whether a key that is written once only is written."""
        return bool(await self.engine.read(sql.REPEAT_KNOWN, key=key))

    async def incoming_from(self, phone: str, after: int) -> list[Incoming]:
        """What a phone sent after a moment, oldest first."""
        rows = await self.engine.read(sql.INCOMING_FROM, target=phone, before=after)
        return [Incoming.of(row) for row in rows]

    async def told_again(self, row: Incoming) -> bool:
        """The provider told of a message by its other way too; whether nobody had noted that yet."""
        return bool(await self.engine.delete(sql.INCOMING_TOLD, key=row.id, was=row.told))

    async def incoming_of(self, notice: int) -> list[Incoming]:
        """What one mail to be sent is made of, oldest first."""
        return [Incoming.of(row) for row in await self.engine.read(sql.INCOMING_OF, key=notice)]

    async def mails_with_steps(self, after: int) -> list[int]:
        """The next mails, some hundred at most, of which a step of escalation may still run."""
        rows = await self.engine.read(sql.MAILS_WITH_STEPS, above=after)
        return sorted({row["mail_id"] for row in rows})

    async def steps_of_mails(self, mails: Iterable[int]) -> list[Step]:
        """The steps of mails, by recipient and in their order."""
        return [Step.of(row) for row in await self.engine.read(sql.STEPS_OF_MAILS, ids=list(mails))]

    async def mails(self, ids: Iterable[int]) -> dict[int, Mail]:
        return {row["id"]: Mail(**row) for row in await self.engine.read(sql.MAILS, ids=list(ids))}

    async def recipients(self, ids: Iterable[int]) -> dict[int, Recipient]:
        return {row["id"]: Recipient(**row) for row in await self.engine.read(sql.RECIPIENTS, ids=list(ids))}

    async def contents(self, ids: Iterable[int]) -> dict[int, Content]:
        return {row["id"]: Content(**row) for row in await self.engine.read(sql.CONTENTS, ids=list(ids))}

    # -- reports --------------------------------------------------------------------------

    async def claimed_notices(self, now: int) -> list[Notice]:
        """Notices that some report took, not due yet: claimed, or waiting for another try."""
        return [Notice.of(row) for row in await self.engine.read(sql.CLAIMED_NOTICES, now=now)]

    async def notices_of(self, mail: int) -> list[Notice]:
        return [Notice.of(row) for row in await self.engine.read(sql.MAIL_NOTICES, mail=mail)]

    async def notices(self, ids: Iterable[int]) -> list[Notice]:
        return [Notice.of(row) for row in await self.engine.read(sql.NOTICES, ids=list(ids))]

    async def led(self, notice: int) -> list[Notice]:
        """The notices that mail what this one mails to other senders as well."""
        return [Notice.of(row) for row in await self.engine.read(sql.LED, key=notice)]

    # -- money ----------------------------------------------------------------------------

    async def spent(self, windows: Sequence[tuple[list[str], int]], now: int) -> dict[str, Row]:
        """What counts towards caps, by cap: `windows` are caps with the moment after which it counts."""
        asked: list[Query] = [
            (sql.SPENT, {"caps": caps, "above": above, "now": now}) for caps, above in windows
        ]
        return {row["cap"]: row for rows in await self.engine.read_all(*asked) for row in rows}

    async def decided_upon(self, caps: Iterable[str]) -> dict[str, int]:
        """The versions of caps, for `Change.counts`; none where no other process may decide upon them.

        They are to be read before what is spent is.
        """
        wanted = list(caps) if self.shared else []
        rows = await self.engine.read(nodes.DECIDED_UPON, names=wanted) if wanted else []
        return dict.fromkeys(wanted, 0) | {row["name"]: row["version"] for row in rows}

    # -- people ---------------------------------------------------------------------------

    async def listed(self, states: Iterable[State], many: int) -> list[Order]:
        """The youngest orders in these states."""
        return await self._orders(sql.LIST, states=list(states), many=many)

    async def story(self, order: int) -> list[dict[str, Any]]:
        """What happened to an order, oldest first."""
        return [dict(row) for row in await self.engine.read(sql.STORY, order=order)]

    async def counts(self) -> dict[str, int]:
        """How many unfinished orders are in each state."""
        return {row["state"]: row["n"] for row in await self.engine.read(sql.COUNTS)}


def _chunks(file: File) -> Iterable[bytes]:
    if not file.path:
        yield from (file.data[at : at + CHUNK] for at in range(0, len(file.data), CHUNK))
        return
    with open(file.path, "rb") as spool:  # noqa: PTH123 - a spool file of ours, in 256 KiB steps
        while data := spool.read(CHUNK):
            yield data


def tell(change: Change, store: Store, order: int, event: str, detail: str = "") -> None:
    """Write a line of an order's story; `detail` never holds a text or a secret."""
    at = store.clock.now()
    change.insert(schema.story, id=store.ids.new(at), order_id=order, at=at, event=event, detail=detail)
