"""What is asked of the database: every statement, made once, for both engines.

What is asked all the time finds its rows by an index, however long the queue; a test keeps
it so. What is asked about everything there is (at start, by people, by a scrape) says so.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Delete,
    Select,
    Table,
    bindparam,
    case,
    cast,
    column,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.sql.elements import BindParameter

from relay.model import Alarm, Kind
from relay.queue import schema
from relay.queue.followups import NoticeState, Told
from relay.queue.rows import RequestState
from relay.queue.states import State

STEP = 500
"""Rows that one step of the purge takes."""
RESTLESS_MOST = 1000
"""Orders of an account that wait for later and are passed over again and again, until they are asleep."""
MAILS_LOOKED_AT = 2000
"""Mails, or files, that one step of the purge looks at, whether or not any of them goes."""
CHUNKS = 16
"""Chunks of a file that one step takes, which is 4 MB: they are overwritten."""

_o, _r, _n, _c = schema.orders.c, schema.request.c, schema.notice.c, schema.content.c
_ids: BindParameter[Any] = bindparam("ids", expanding=True)

_waiting = (_o.account == bindparam("account"), _o.state == State.WAITING)
_unexpired = _o.expire_at > bindparam("now")
# Found by rank and age, not by the index of times: that would sort all that waits to hand out a few.
# What waits for a time far ahead is asleep, so that hardly any is passed over; what expired is handed
# out too, for whoever reads it to say so.
_due = _o.due_at + 0 <= bindparam("now")
_awake = _o.asleep == 0
_others = _o.sender.not_in(bindparam("but", expanding=True))
_further = (_o.rank > bindparam("rank")) | ((_o.rank == bindparam("rank")) & (_o.id > bindparam("key")))
_by_rank = select(schema.orders).where(*_waiting).order_by(_o.rank, _o.id).limit(bindparam("many"))
DUE = _by_rank.where(_awake, _due, _others)
DUE_TO = _by_rank.where(_awake, _o.target == bindparam("target"), _unexpired, _due, _others)
DUE_FORWARDS = _by_rank.where(_awake, _due, _further)
TO_MOVE = _by_rank.where(_o.accounts != "", _unexpired, _further)
_next_account = select(func.min(_o.account)).where(_o.state == State.WAITING, _o.account > bindparam("key"))
NEXT_TO_MOVE_AT = _next_account.where(_o.accounts != "")
NEXT_WAITING_AT = _next_account
_asleep = (*_waiting, _o.asleep == 1, _o.due_at <= bindparam("now"))
OVERSLEPT = select(_o.id).where(*_asleep).limit(1)
_later = (*_waiting, _o.asleep == 0, _o.due_at > bindparam("after"))
RESTLESS = select(_o.id).where(*_later).limit(1).offset(RESTLESS_MOST)
_first_asleep = select(_o.id).where(*_asleep).order_by(_o.due_at).limit(STEP)
WAKE = update(schema.orders).where(_o.id.in_(_first_asleep)).values(asleep=0)
LAY_DOWN = update(schema.orders).where(_o.id.in_(select(_o.id).where(*_later).limit(STEP))).values(asleep=1)
DUE_REQUESTS = (
    select(schema.request)
    .where(_r.account == bindparam("account"), _r.due_at <= bindparam("now"))
    .order_by(_r.due_at)
    .limit(bindparam("many"))
)
DUE_POLLS = (
    select(schema.orders)
    .where(_o.account == bindparam("account"), _o.poll_at <= bindparam("now"))
    .order_by(_o.poll_at)
    .limit(bindparam("many"))
)
NEXT_DUE = select(func.min(_o.due_at)).where(
    *_waiting, _o.asleep == bindparam("asleep"), _o.due_at > bindparam("now")
)
NEXT_REQUEST = select(func.min(_r.due_at)).where(_r.account == bindparam("account"), _r.due_at.is_not(None))
NEXT_POLL = select(func.min(_o.poll_at)).where(_o.account == bindparam("account"), _o.poll_at.is_not(None))
ORDERS_BY_ID = select(schema.orders).where(_o.id.in_(_ids))
ORDERS_BY_REQUEST = select(schema.orders).where(_o.request_id.in_(_ids)).order_by(_o.id)
ORDERS_BY_MAIL = select(schema.orders).where(_o.mail_id == bindparam("mail")).order_by(_o.id)
# One list of speakers, and not two that either may hold: PostgreSQL would look at every order for that.
_speakers = union_all(
    select(_o.id).where(_o.id.in_(_ids)),
    select(_o.parent_id).where(_o.id.in_(_ids), _o.parent_id.is_not(None)),  # their groups
)
MERGED = _o.merged_into.in_(_speakers)
_recipients_of_scene = (
    select(_o.recipient_id).where(_o.id.in_(_ids)).union(select(_o.recipient_id).where(MERGED))
)
_mails_of_scene = select(_o.mail_id).where(_o.id.in_(_ids)).union(select(_o.mail_id).where(MERGED))
SCENE_ORDERS = (
    select(schema.orders)
    .where(_o.mail_id.in_(_mails_of_scene), _o.recipient_id.in_(_recipients_of_scene))
    .order_by(_o.id)
)
SCENE_MAILS = select(schema.mail).where(schema.mail.c.id.in_(_mails_of_scene))
SCENE_RECIPIENTS = select(schema.recipient).where(schema.recipient.c.id.in_(_recipients_of_scene))
SCENE_MERGED = select(_o.id).where(MERGED)
ORDERS_OF_MAILS = select(schema.orders).where(_o.mail_id.in_(_ids)).order_by(_o.id)
ORDERS_MERGED = select(schema.orders).where(MERGED).order_by(_o.id)
ORDERS_MEMBERS = select(schema.orders).where(_o.parent_id.in_(_ids)).order_by(_o.id)
ORDERS_IN = select(schema.orders).where(_o.state == bindparam("state"), _o.finished_at.is_(None))
_open = _o.finished_at.is_(None)
# Not at the provider, and nobody speaks for it; or it is merged into one that is not there either.
_unsent = (_open, _o.sent_at.is_(None), _o.merged_into.is_(None))
_spoken_for = (_open, _o.merged_into.is_not(None), _o.kind == bindparam("kind"))
NOT_SENT = ("", Kind.NOTHING.value, Kind.LATER.value)
"""The kinds of outcome of a merged order whose speaker the provider has not got."""
_expired = select(schema.orders).where(_o.expire_at <= bindparam("now")).order_by(_o.expire_at)
_its_state = _o.state.concat("")  # looked at in what the index of times finds, not to find it
EXPIRED = _expired.where(*_unsent, _its_state.in_((State.WAITING, State.HELD))).limit(bindparam("many"))
EXPIRED_MERGED = _expired.where(*_spoken_for).limit(bindparam("many"))
NEXT_EXPIRY = select(func.min(_o.expire_at)).where(
    *_unsent,
    _its_state.in_((State.WAITING, State.HELD, State.SENDING)),  # which may come back to waiting
)
NEXT_EXPIRY_MERGED = select(func.min(_o.expire_at)).where(*_spoken_for)
NEXT_WARNING = select(func.min(_o.warn_at)).where(_o.warn_at.is_not(None))
TO_WARN = select(schema.orders).where(_o.warn_at <= bindparam("now")).limit(bindparam("many"))
SPENT = (
    select(
        schema.spent.c.cap,
        *(
            cast(func.coalesce(func.sum(schema.spent.c[name]), 0), BigInteger).label(name)
            for name in schema.AMOUNTS
        ),
    )
    .where(
        schema.spent.c.cap.in_(bindparam("caps", expanding=True)),
        schema.spent.c.at > bindparam("above"),
        schema.spent.c.at <= bindparam("now"),
    )
    .group_by(schema.spent.c.cap)
)
_counted = (
    schema.spent.c.cap,
    schema.spent.c.at,
)  # in one step of time a cap on each phone may count thousands
SWEEP_SPENT = delete(schema.spent).where(
    tuple_(*_counted).in_(select(*_counted).where(schema.spent.c.at <= bindparam("before")).limit(STEP))
)
HELD_CAPS = select(_o.cap).where(_o.state == State.HELD, _o.cap > bindparam("cap")).order_by(_o.cap).limit(1)
HELD_BY = (
    select(schema.orders)
    .where(_o.state == State.HELD, _o.cap == bindparam("cap"))
    .order_by(_o.id)
    .limit(bindparam("many"))
)
OLDEST_ORDER = (
    select(schema.orders)
    .where(_open, _o.state == bindparam("state"), _o.source != bindparam("source"))
    .order_by(_o.start_at)
    .limit(1)
)
LIST = (
    select(schema.orders)
    .where(_o.state.in_(bindparam("states", expanding=True)))
    .order_by(_o.id.desc())
    .limit(bindparam("many"))
)
COUNTS = select(_o.state, func.count().label("n")).where(_o.finished_at.is_(None)).group_by(_o.state)
OLDEST = select(func.min(_o.start_at)).where(_open, _o.state == bindparam("state"))
OPEN_SINCE = (
    select(schema.orders)
    .where(_open, _o.state.in_((State.SENT, State.UNSURE)), _o.start_at <= bindparam("before"))
    .limit(bindparam("many"))
)
MAILS = select(schema.mail).where(schema.mail.c.id.in_(_ids))
RECIPIENTS = select(schema.recipient).where(schema.recipient.c.id.in_(_ids))
CONTENTS = select(schema.content).where(_c.id.in_(_ids))
REQUESTS = select(schema.request).where(_r.id.in_(_ids))
CALLING = select(schema.request).where(_r.state == RequestState.CALLING)
PHONES = select(schema.phone).where(
    schema.phone.c.account == "",
    schema.phone.c.target.in_(bindparam("targets", expanding=True)),
)
ACCOUNTS = select(schema.account)
_told_at = case((_o.start_at > _o.sent_at, _o.start_at), else_=_o.sent_at)
LAST_TO = (
    select(schema.orders)
    .where(_o.target == bindparam("target"), _o.sent_at > bindparam("handed"), _told_at > bindparam("before"))
    .order_by(_told_at.desc(), _o.id.desc())
    .limit(bindparam("many"))
)
RECOVERED = (
    select(_o.id)
    .where(
        _o.target.in_(bindparam("targets", expanding=True)),
        _o.sent_at > bindparam("before"),
        _o.alarm == Alarm.RECOVERY,
        _o.topic.in_(bindparam("topics", expanding=True)),
    )
    .limit(1)
)
INCOMING_KNOWN = select(schema.incoming.c.id).where(schema.incoming.c.mark == bindparam("key"))
INCOMING_FROM = (
    select(schema.incoming)
    .where(
        schema.incoming.c.phone == bindparam("target"), schema.incoming.c.received_at > bindparam("before")
    )
    .order_by(schema.incoming.c.id)
)
INCOMING_OF = (
    select(schema.incoming)
    .where(schema.incoming.c.notice_id == bindparam("key"))
    .order_by(schema.incoming.c.id)
)
INCOMING_TOLD = (
    update(schema.incoming)
    .where(schema.incoming.c.id == bindparam("key"), schema.incoming.c.told == bindparam("was"))
    .values(told=Told.BOTH)
)
_s = schema.step.c
DUE_STEPS = (
    select(schema.step)
    .where(_s.due_at <= bindparam("now"))
    .order_by(_s.due_at, _s.id)
    .limit(bindparam("many"))
)
MAILS_WITH_STEPS = (
    select(_s.mail_id)
    .where(_s.mail_id > bindparam("above"), _s.due_at.is_not(None))
    .order_by(_s.mail_id)
    .limit(STEP)
)
NEXT_STEP = select(func.min(_s.due_at)).where(_s.due_at.is_not(None))
STEPS_OF_MAILS = select(schema.step).where(_s.mail_id.in_(_ids)).order_by(_s.recipient_id, _s.n)
OLD_INCOMING = delete(schema.incoming).where(
    schema.incoming.c.id.in_(
        select(schema.incoming.c.id).where(schema.incoming.c.received_at <= bindparam("before")).limit(STEP)
    )
)
OLD_STRAYS = delete(schema.stray).where(
    schema.stray.c.id.in_(
        select(schema.stray.c.id).where(schema.stray.c.at <= bindparam("before")).limit(STEP)
    )
)
STRAYS = (
    select(schema.stray)
    .where(schema.stray.c.at > bindparam("before"))
    .order_by(schema.stray.c.at.desc(), schema.stray.c.id.desc())
    .limit(bindparam("many"))
)
HEARD = select(schema.heard)
HEARD_AGAIN = (
    update(schema.heard).where(schema.heard.c.account == bindparam("key")).values(at=bindparam("now"))
)
CHUNK = select(schema.chunk.c.data).where(
    schema.chunk.c.file_id == bindparam("file"), schema.chunk.c.n == bindparam("n")
)
STORY = select(schema.story).where(schema.story.c.order_id == bindparam("order")).order_by(schema.story.c.id)
DUE_NOTICES = (
    select(schema.notice)
    .where(_n.due_at <= bindparam("now"), _n.state == NoticeState.WAITING)
    .order_by(_n.due_at)
    .limit(bindparam("many"))
)
LED = select(schema.notice).where(_n.lead_id == bindparam("key")).order_by(_n.id)
CLAIMED_NOTICES = select(schema.notice).where(
    _n.due_at > bindparam("now"), _n.report_id.is_not(None), _n.state == NoticeState.WAITING
)
MAIL_NOTICES = select(schema.notice).where(_n.mail_id == bindparam("mail"))
NOTICES = select(schema.notice).where(_n.id.in_(_ids)).order_by(_n.id)
OLD_OPERATOR_NOTICES = delete(schema.notice).where(
    _n.mail_id == 0, _n.state != NoticeState.WAITING, _n.created_at <= bindparam("before")
)
NEXT_NOTICE = select(func.min(_n.due_at)).where(_n.due_at.is_not(None))
REPEAT_KNOWN = select(schema.repeat.c.key).where(schema.repeat.c.key == bindparam("key"))
FORGET_REPEAT = delete(schema.repeat).where(schema.repeat.c.key == bindparam("key"))
SWEEP_REPEATS = delete(schema.repeat).where(
    schema.repeat.c.key.in_(
        select(schema.repeat.c.key).where(schema.repeat.c.at <= bindparam("before")).limit(STEP)
    )
)
_m = schema.mail.c
# The key of a mail is its time: what is old is found by it, a window at a time.
_window = select(_m.id).where(_m.id > bindparam("above"), _m.id <= bindparam("key"))
LAST_LOOKED_AT: Select[Any] = select(func.max(column("id"))).select_from(
    _window.order_by(_m.id).limit(MAILS_LOOKED_AT).subquery()
)
OLD_MAILS = (
    _window.where(
        ~exists().where(_o.mail_id == _m.id, _o.finished_at.is_(None)),
        ~exists().where(_n.mail_id == _m.id, _n.state == NoticeState.WAITING),
        ~exists().where(_s.mail_id == _m.id, _s.due_at.is_not(None)),
    )
    .order_by(_m.id)
    .limit(STEP)
)
NOT_WIPED = OLD_MAILS.where(
    or_(
        _m.head != b"",
        _m.subject != "",
        _m.full_id.is_not(None),
        exists().where(_c.mail_id == _m.id, or_(_c.text != "", _c.params != "{}")),
    )
)
FILES_OF = select(schema.file.c.id).where(schema.file.c.mail_id.in_(_ids))
WIPE_CONTENTS = (  # notes quote what was cut
    update(schema.content)
    .where(
        _c.id.in_(
            select(_c.id)
            .where(_c.mail_id.in_(_ids))
            .where(or_(_c.text != "", _c.params != "{}", _c.files != "[]", _c.notes != "[]"))
            .limit(STEP)
        )
    )
    .values(text="", params="{}", files="[]", notes="[]")
)
WIPE_MAILS = (
    update(schema.mail)
    .where(schema.mail.c.id.in_(_ids))
    .values(head=b"", subject="", notes="[]", full_id=None)
)
_stories = schema.story.join(schema.orders, _o.id == schema.story.c.order_id)


def _some(table: Table, rows: Select[Any]) -> Delete:
    """A delete of at most STEP of these rows: a mail may have a thousand recipients."""
    return delete(table).where(table.c.id.in_(rows.limit(STEP)))


FORGET = (
    _some(schema.story, select(schema.story.c.id).select_from(_stories).where(_o.mail_id.in_(_ids))),
    *(
        _some(table, select(table.c.id).where(table.c.mail_id.in_(_ids)))
        for table in (schema.notice, schema.step, schema.orders, schema.content, schema.recipient)
    ),
    delete(schema.mail).where(_m.id.in_(_ids)),
)
OLD_REQUESTS = delete(schema.request).where(
    _r.id.in_(select(_r.id).where(_r.id <= bindparam("key"), _r.state == RequestState.DONE).limit(STEP))
)
SILENT_PHONES = delete(schema.phone).where(
    schema.phone.c.account == "",
    schema.phone.c.target.in_(
        select(schema.phone.c.target).where(schema.phone.c.last_at <= bindparam("before")).limit(STEP)
    ),
)
_f, _k = schema.file.c, schema.chunk.c
_files = select(_f.id).where(_f.id > bindparam("above"), _f.id <= bindparam("key"))
LAST_FILE: Select[Any] = select(func.max(column("id"))).select_from(
    _files.order_by(_f.id).limit(MAILS_LOOKED_AT).subquery()
)
ORPHANS = _files.where(~exists().where(_m.id == _f.mail_id))
SWEEP_CHUNKS = delete(schema.chunk).where(
    _k.file_id == bindparam("key"),
    _k.n.in_(select(_k.n).where(_k.file_id == bindparam("key")).limit(CHUNKS)),
)
SWEEP_FILES = delete(schema.file).where(schema.file.c.id.in_(_ids))
