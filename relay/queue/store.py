"""What the rooms ask of the queue, in the words of the trade.

A mail is put with everything that belongs to it in one `Change`; its large files are put
before it, in transactions of their own, and swept when no mail claims them. All else reads
rows as values, decides elsewhere, and writes a `Change` that names the versions it read.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, select, update
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.elements import BindParameter

from relay import model
from relay.clock import Clock
from relay.model import DAY, File, Ids
from relay.queue import schema
from relay.queue.engine import Change, Engine, Query
from relay.queue.rows import (
    Account,
    Content,
    Mail,
    Notice,
    NoticeState,
    Order,
    Phone,
    Recipient,
    Request,
    RequestState,
    StoredFile,
)
from relay.queue.states import State

CHUNK = 256 * 1024
REPEAT_KEPT = DAY
_CHUNKS_A_CHANGE = 16
_SWEEP_AFTER = DAY
_SWEEP_STEP = 500

_o, _r, _n, _c = schema.orders.c, schema.request.c, schema.notice.c, schema.content.c
_ids: BindParameter[Any] = bindparam("ids", expanding=True)

_DUE = (
    select(schema.orders)
    .where(
        _o.account == bindparam("account"),
        _o.state == State.WAITING,
        _o.due_at <= bindparam("now"),
        _o.expire_at > bindparam("now"),
        _o.sender.not_in(bindparam("but", expanding=True)),
    )
    .order_by(_o.rank, _o.due_at, _o.id)
    .limit(bindparam("many"))
)
_DUE_REQUESTS = (
    select(schema.request)
    .where(_r.account == bindparam("account"), _r.due_at <= bindparam("now"))
    .order_by(_r.due_at)
    .limit(bindparam("many"))
)
_DUE_POLLS = (
    select(schema.orders)
    .where(_o.account == bindparam("account"), _o.poll_at <= bindparam("now"))
    .order_by(_o.poll_at)
    .limit(bindparam("many"))
)
_NEXT_DUE = select(func.min(_o.due_at)).where(
    _o.account == bindparam("account"), _o.state == State.WAITING, _o.due_at > bindparam("now")
)
_NEXT_REQUEST = select(func.min(_r.due_at)).where(_r.account == bindparam("account"), _r.due_at.is_not(None))
_NEXT_POLL = select(func.min(_o.poll_at)).where(_o.account == bindparam("account"), _o.poll_at.is_not(None))
_ORDERS_BY_ID = select(schema.orders).where(_o.id.in_(_ids))
_ORDERS_BY_REQUEST = select(schema.orders).where(_o.request_id.in_(_ids)).order_by(_o.id)
_ORDERS_BY_MAIL = select(schema.orders).where(_o.mail_id == bindparam("mail")).order_by(_o.id)
_ORDERS_OF_MAILS = select(schema.orders).where(_o.mail_id.in_(_ids)).order_by(_o.id)
_RECIPIENTS_OF_MAILS = select(schema.recipient).where(schema.recipient.c.mail_id.in_(_ids))
_GROUPS_OF = select(_o.parent_id).where(_o.id.in_(_ids), _o.parent_id.is_not(None))
_ORDERS_MERGED = (
    select(schema.orders).where(_o.merged_into.in_(_ids) | _o.merged_into.in_(_GROUPS_OF)).order_by(_o.id)
)
_ORDERS_MEMBERS = select(schema.orders).where(_o.parent_id.in_(_ids)).order_by(_o.id)
_ORDERS_IN = select(schema.orders).where(_o.state == bindparam("state"), _o.finished_at.is_(None))
_STILL_HERE = _o.state.in_((State.WAITING, State.HELD)) | (
    # merged into one that is not at the provider either
    (_o.state == State.MERGED) & _o.kind.in_(("", "nothing", "later"))
)
_EXPIRED = (
    select(schema.orders)
    .where(_o.finished_at.is_(None), _o.expire_at <= bindparam("now"), _STILL_HERE)
    .order_by(_o.expire_at)
    .limit(bindparam("many"))
)
_NEXT_EXPIRY = select(func.min(_o.expire_at)).where(
    _o.finished_at.is_(None),
    _STILL_HERE | (_o.state == State.SENDING),  # which may come back to waiting
)
_NEXT_WARNING = select(func.min(_o.warn_at)).where(_o.warn_at.is_not(None))
_TO_WARN = select(schema.orders).where(_o.warn_at <= bindparam("now")).limit(bindparam("many"))
_LIST = (
    select(schema.orders)
    .where(_o.state.in_(bindparam("states", expanding=True)))
    .order_by(_o.id.desc())
    .limit(bindparam("many"))
)
_COUNTS = select(_o.state, func.count().label("n")).where(_o.finished_at.is_(None)).group_by(_o.state)
_OLDEST = select(func.min(_o.start_at)).where(
    _o.finished_at.is_(None), _o.state.in_((State.WAITING, State.SENDING, State.UNSURE))
)
_NEXT_OPEN = select(func.min(_o.start_at)).where(
    _o.finished_at.is_(None), _o.state.in_((State.SENT, State.UNSURE))
)
_OPEN_SINCE = (
    select(schema.orders)
    .where(
        _o.finished_at.is_(None), _o.state.in_((State.SENT, State.UNSURE)), _o.start_at <= bindparam("before")
    )
    .limit(bindparam("many"))
)
_MAILS = select(schema.mail).where(schema.mail.c.id.in_(_ids))
_RECIPIENTS = select(schema.recipient).where(schema.recipient.c.id.in_(_ids))
_CONTENTS = select(schema.content).where(_c.id.in_(_ids))
_REQUESTS = select(schema.request).where(_r.id.in_(_ids))
_CALLING = select(schema.request).where(_r.state == RequestState.CALLING)
_PHONES = select(schema.phone).where(
    schema.phone.c.account == bindparam("account"),
    schema.phone.c.target.in_(bindparam("targets", expanding=True)),
)
_ACCOUNTS = select(schema.account)
_CHUNK = select(schema.chunk.c.data).where(
    schema.chunk.c.file_id == bindparam("file"), schema.chunk.c.n == bindparam("n")
)
_STORY = select(schema.story).where(schema.story.c.order_id == bindparam("order")).order_by(schema.story.c.id)
_DUE_NOTICES = (
    select(schema.notice)
    .where(_n.due_at <= bindparam("now"), _n.state == NoticeState.WAITING)
    .order_by(_n.due_at)
    .limit(bindparam("many"))
)
_CLAIMED_NOTICES = select(schema.notice).where(
    _n.due_at > bindparam("now"), _n.report_id.is_not(None), _n.state == NoticeState.WAITING
)
_MAIL_NOTICES = select(schema.notice).where(_n.mail_id == bindparam("mail"))
_NOTICES = select(schema.notice).where(_n.id.in_(_ids)).order_by(_n.id)
_OLD_OPERATOR_NOTICES = delete(schema.notice).where(
    _n.mail_id == 0, _n.state != NoticeState.WAITING, _n.created_at <= bindparam("before")
)
_NEXT_NOTICE = select(func.min(_n.due_at)).where(_n.due_at.is_not(None))
_SWEEP_REPEATS = delete(schema.repeat).where(schema.repeat.c.at <= bindparam("before"))
_OLD_MAILS = (
    select(schema.mail.c.id)
    .where(
        schema.mail.c.received_at <= bindparam("before"),
        schema.mail.c.id > bindparam("above"),
        ~exists().where(_o.mail_id == schema.mail.c.id, _o.finished_at.is_(None)),
        ~exists().where(_n.mail_id == schema.mail.c.id, _n.state == NoticeState.WAITING),
    )
    .order_by(schema.mail.c.id)
    .limit(_SWEEP_STEP)
)
_FILES_OF = select(schema.file.c.id).where(schema.file.c.mail_id.in_(_ids))
_WIPE_CONTENTS = update(schema.content).where(_c.mail_id.in_(_ids)).values(text="", params="{}", files="[]")
_WIPE_MAILS = update(schema.mail).where(schema.mail.c.id.in_(_ids)).values(head=b"", subject="", full_id=None)
_FORGET = (
    delete(schema.story).where(schema.story.c.order_id.in_(select(_o.id).where(_o.mail_id.in_(_ids)))),
    delete(schema.notice).where(_n.mail_id.in_(_ids)),
    delete(schema.orders).where(_o.mail_id.in_(_ids)),
    delete(schema.content).where(_c.mail_id.in_(_ids)),
    delete(schema.recipient).where(schema.recipient.c.mail_id.in_(_ids)),
    delete(schema.mail).where(schema.mail.c.id.in_(_ids)),
)
_OLD_REQUESTS = delete(schema.request).where(_r.id <= bindparam("key"), _r.state == RequestState.DONE)
_SILENT_PHONES = delete(schema.phone).where(schema.phone.c.last_at <= bindparam("before"))
_ORPHANS = (
    select(schema.file.c.id)
    .where(
        schema.file.c.created_at <= bindparam("before"),
        ~exists().where(schema.mail.c.id == schema.file.c.mail_id),
    )
    .limit(_SWEEP_STEP)
)
_SWEEP_CHUNKS = delete(schema.chunk).where(schema.chunk.c.file_id.in_(_ids))
_SWEEP_FILES = delete(schema.file).where(schema.file.c.id.in_(_ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All rows that a decision about some orders needs."""

    orders: list[Order]
    merged: list[Order]  # those that the orders speak for
    siblings: list[Order]  # of the same mails, the orders themselves among them
    mails: dict[int, Mail]
    recipients: dict[int, Recipient]


class Store:
    """The queue on disk. `ids` and `clock` are the process's."""

    def __init__(self, engine: Engine, ids: Ids, clock: Clock) -> None:
        self.engine = engine
        self.ids = ids
        self.clock = clock

    def new_id(self) -> int:
        return self.ids.new(self.clock.now())

    async def write(self, change: Change) -> int | None:
        """Make a change durable; raises engine.Stale, engine.Full, engine.Trouble."""
        return await self.engine.write(change)

    async def _one(self, statement: ClauseElement, **parameters: Any) -> int | None:
        rows = await self.engine.read(statement, **parameters)
        return next(iter(rows[0].values())) if rows else None

    async def _orders(self, statement: ClauseElement, **parameters: Any) -> list[Order]:
        return [Order.of(row) for row in await self.engine.read(statement, **parameters)]

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

    async def file_chunks(self, file: StoredFile) -> AsyncIterator[bytes]:
        """A stored file's octets, chunk by chunk."""
        for n in range((file.size + CHUNK - 1) // CHUNK):
            rows = await self.engine.read(_CHUNK, file=file.id, n=n)
            if not rows:
                return
            yield rows[0]["data"]

    # -- delivery -------------------------------------------------------------------------

    async def everything_due(
        self, account: str, now: int, *, requests: int, polls: int, orders: int, but: Iterable[str] = ()
    ) -> tuple[list[Request], list[Order], list[Order]]:
        """Requests, sent orders and waiting orders whose time has come, so many of each at most.

        Waiting orders come by rank, then age, but for those of some senders; the others by how
        long they have been due.
        """
        due = {"account": account, "now": now}
        found = await self.engine.read_all(
            (_DUE_REQUESTS, {**due, "many": requests}),
            (_DUE_POLLS, {**due, "many": polls}),
            (_DUE, {**due, "many": orders, "but": list(but)}),
        )
        return (
            [Request.of(row) for row in found[0]],
            [Order.of(row) for row in found[1]],
            [Order.of(row) for row in found[2]],
        )

    async def next_send(self, account: str, now: int) -> int | None:
        """When the next waiting order of an account falls due that is not due now."""
        return await self._one(_NEXT_DUE, account=account, now=now)

    async def next_question(self, account: str) -> int | None:
        """When the next question of an account falls, or fell, due."""
        asked: list[Query] = [(_NEXT_REQUEST, {"account": account}), (_NEXT_POLL, {"account": account})]
        moments = [next(iter(rows[0].values())) for rows in await self.engine.read_all(*asked)]
        return min((moment for moment in moments if moment is not None), default=None)

    async def scene(self, ids: Iterable[int]) -> Scene:
        """Orders, those that they speak for, and everything of the mails of both."""
        wanted = list(ids)
        own, merged = await self.engine.read_all(
            (_ORDERS_BY_ID, {"ids": wanted}), (_ORDERS_MERGED, {"ids": wanted})
        )
        of_mails = {"ids": list({row["mail_id"] for row in (*own, *merged)})}
        siblings, mails, recipients = await self.engine.read_all(
            (_ORDERS_OF_MAILS, of_mails), (_MAILS, of_mails), (_RECIPIENTS_OF_MAILS, of_mails)
        )
        return Scene(
            orders=[Order.of(row) for row in own],
            merged=[Order.of(row) for row in merged],
            siblings=[Order.of(row) for row in siblings],
            mails={row["id"]: Mail(**row) for row in mails},
            recipients={row["id"]: Recipient(**row) for row in recipients},
        )

    async def orders(self, ids: Iterable[int]) -> list[Order]:
        return await self._orders(_ORDERS_BY_ID, ids=list(ids))

    async def orders_of_requests(self, ids: Iterable[int]) -> list[Order]:
        return await self._orders(_ORDERS_BY_REQUEST, ids=list(ids))

    async def orders_of_mail(self, mail: int) -> list[Order]:
        return await self._orders(_ORDERS_BY_MAIL, mail=mail)

    async def members(self, ids: Iterable[int]) -> list[Order]:
        """The members of groups."""
        return await self._orders(_ORDERS_MEMBERS, ids=list(ids))

    async def in_state(self, state: State) -> list[Order]:
        """Unfinished orders in a state: at start, what a crash left behind."""
        return await self._orders(_ORDERS_IN, state=state)

    async def expired(self, now: int, many: int) -> list[Order]:
        """Orders that waited past their time."""
        return await self._orders(_EXPIRED, now=now, many=many)

    async def open_since(self, before: int, many: int) -> list[Order]:
        """Sent or unsure orders whose time came before a moment and that have no final word."""
        return await self._orders(_OPEN_SINCE, before=before, many=many)

    async def next_deadline(self, give_up: int) -> int | None:
        """When the next order expires, owes a delay warning, or is given up."""
        opened = await self._one(_NEXT_OPEN)
        moments = [await self._one(_NEXT_EXPIRY), await self._one(_NEXT_WARNING)]
        moments.append(None if opened is None else opened + give_up)
        return min((moment for moment in moments if moment is not None), default=None)

    async def to_warn(self, now: int, many: int) -> list[Order]:
        """Orders that owe a delay warning."""
        return await self._orders(_TO_WARN, now=now, many=many)

    async def requests(self, ids: Iterable[int]) -> list[Request]:
        return [Request.of(row) for row in await self.engine.read(_REQUESTS, ids=list(ids))]

    async def calling(self) -> list[Request]:
        """Requests whose call was under way: at start, what a crash left behind."""
        return [Request.of(row) for row in await self.engine.read(_CALLING)]

    async def phones(self, account: str, targets: Iterable[str]) -> dict[str, Phone]:
        """What each phone heard last; a phone that heard nothing yet has version 0."""
        wanted = list(targets)
        rows = await self.engine.read(_PHONES, account=account, targets=wanted)
        return {target: Phone(account, target) for target in wanted} | {
            row["target"]: Phone(**row) for row in rows
        }

    async def accounts(self) -> dict[str, Account]:
        return {row["name"]: Account(**row) for row in await self.engine.read(_ACCOUNTS)}

    async def mails(self, ids: Iterable[int]) -> dict[int, Mail]:
        return {row["id"]: Mail(**row) for row in await self.engine.read(_MAILS, ids=list(ids))}

    async def recipients(self, ids: Iterable[int]) -> dict[int, Recipient]:
        return {row["id"]: Recipient(**row) for row in await self.engine.read(_RECIPIENTS, ids=list(ids))}

    async def contents(self, ids: Iterable[int]) -> dict[int, Content]:
        return {row["id"]: Content(**row) for row in await self.engine.read(_CONTENTS, ids=list(ids))}

    # -- reports --------------------------------------------------------------------------

    async def due_notices(self, now: int, many: int) -> list[Notice]:
        return [Notice.of(row) for row in await self.engine.read(_DUE_NOTICES, now=now, many=many)]

    async def claimed_notices(self, now: int) -> list[Notice]:
        """Notices that some report took, not due yet: claimed, or waiting for another try."""
        return [Notice.of(row) for row in await self.engine.read(_CLAIMED_NOTICES, now=now)]

    async def notices_of(self, mail: int) -> list[Notice]:
        return [Notice.of(row) for row in await self.engine.read(_MAIL_NOTICES, mail=mail)]

    async def notices(self, ids: Iterable[int]) -> list[Notice]:
        return [Notice.of(row) for row in await self.engine.read(_NOTICES, ids=list(ids))]

    async def next_notice(self) -> int | None:
        return await self._one(_NEXT_NOTICE)

    # -- people ---------------------------------------------------------------------------

    async def listed(self, states: Iterable[State], many: int) -> list[Order]:
        """The youngest orders in these states."""
        return await self._orders(_LIST, states=list(states), many=many)

    async def story(self, order: int) -> list[dict[str, Any]]:
        """What happened to an order, oldest first."""
        return [dict(row) for row in await self.engine.read(_STORY, order=order)]

    async def counts(self) -> dict[str, int]:
        """How many unfinished orders are in each state."""
        return {row["state"]: row["n"] for row in await self.engine.read(_COUNTS)}

    async def oldest(self) -> int | None:
        """Since when the order has been due that has waited longest for the provider."""
        return await self._one(_OLDEST)

    # -- housekeeping ---------------------------------------------------------------------

    async def sweep(self) -> None:
        """Forget repeat keys past their day and files that no mail claimed."""
        now = self.clock.now()
        await self.engine.delete(_SWEEP_REPEATS, before=now - REPEAT_KEPT)
        await self.engine.delete(_SILENT_PHONES, before=now - REPEAT_KEPT)
        await self.engine.delete(_OLD_OPERATOR_NOTICES, before=now - 30 * REPEAT_KEPT)
        rows = await self.engine.read(_ORPHANS, before=now - _SWEEP_AFTER)
        await self._drop_files([row["id"] for row in rows])

    async def _drop_files(self, ids: list[int]) -> None:
        if ids:
            await self.engine.delete(_SWEEP_CHUNKS, ids=ids)
            await self.engine.delete(_SWEEP_FILES, ids=ids)

    async def wipe(self, before: int, above: int) -> int:
        """Forget texts, files and headers of finished mails received before; the last mail wiped.

        One bounded step, from the mail after `above` on; 0 where none is left.
        """
        rows = await self.engine.read(_OLD_MAILS, before=before, above=above)
        ids = [row["id"] for row in rows]
        if ids:
            files = await self.engine.read(_FILES_OF, ids=ids)
            await self._drop_files([row["id"] for row in files])
            await self.engine.delete(_WIPE_CONTENTS, ids=ids)
            await self.engine.delete(_WIPE_MAILS, ids=ids)
        return ids[-1] if ids else 0

    async def forget(self, before: int) -> bool:
        """Forget everything of finished mails received before, in one bounded step; whether any went."""
        rows = await self.engine.read(_OLD_MAILS, before=before, above=0)
        ids = [row["id"] for row in rows]
        if ids:
            await self._drop_files([row["id"] for row in await self.engine.read(_FILES_OF, ids=ids)])
            for statement in _FORGET:
                await self.engine.delete(statement, ids=ids)
        else:
            await self.engine.delete(_OLD_REQUESTS, key=model.key_at(before))
        return bool(ids)


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


def as_json(value: Any) -> str:
    """JSON as it is kept in a column."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
