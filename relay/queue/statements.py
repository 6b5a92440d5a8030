"""What is asked of the database: every statement, made once, for both engines.

What is asked all the time finds its rows by an index, however long the queue; a test keeps
it so. What is asked about everything there is (at start, by people, by a scrape) says so.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, bindparam, case, cast, delete, exists, func, or_, select, update
from sqlalchemy.sql.elements import BindParameter

from relay.model import Alarm
from relay.queue import schema
from relay.queue.followups import NoticeState, Told
from relay.queue.rows import RequestState
from relay.queue.states import State

STEP = 500
"""Rows that one step of the purge takes."""

_o, _r, _n, _c = schema.orders.c, schema.request.c, schema.notice.c, schema.content.c
_ids: BindParameter[Any] = bindparam("ids", expanding=True)

_ready = (_o.account == bindparam("account"), _o.state == State.WAITING, _o.expire_at > bindparam("now"))
# Found by rank and age, not by the index of times: that would sort all that waits to hand out a few.
_due = _o.due_at + 0 <= bindparam("now")
_others = _o.sender.not_in(bindparam("but", expanding=True))
_further = (_o.rank > bindparam("rank")) | ((_o.rank == bindparam("rank")) & (_o.id > bindparam("key")))
_by_rank = select(schema.orders).where(*_ready).order_by(_o.rank, _o.id).limit(bindparam("many"))
DUE = _by_rank.where(_due, _others)
DUE_TO = (
    _by_rank.where(_o.target == bindparam("target"), _due, _others)
    .order_by(None)
    .order_by(_o.rank + 0, _o.id)  # by the phone's own index, and sorted
)
DUE_FORWARDS = _by_rank.where(_due, _further)
TO_MOVE = _by_rank.where(_o.accounts != "", _further)
WAITING_AT = select(_o.account).distinct().where(_o.state == State.WAITING, _o.accounts != "")
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
    _o.account == bindparam("account"), _o.state == State.WAITING, _o.due_at > bindparam("now")
)
NEXT_REQUEST = select(func.min(_r.due_at)).where(_r.account == bindparam("account"), _r.due_at.is_not(None))
NEXT_POLL = select(func.min(_o.poll_at)).where(_o.account == bindparam("account"), _o.poll_at.is_not(None))
ORDERS_BY_ID = select(schema.orders).where(_o.id.in_(_ids))
ORDERS_BY_REQUEST = select(schema.orders).where(_o.request_id.in_(_ids)).order_by(_o.id)
ORDERS_BY_MAIL = select(schema.orders).where(_o.mail_id == bindparam("mail")).order_by(_o.id)
GROUPS_OF = select(_o.parent_id).where(_o.id.in_(_ids), _o.parent_id.is_not(None))
MERGED = _o.merged_into.in_(_ids) | _o.merged_into.in_(GROUPS_OF)
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
STILL_HERE = _o.state.in_((State.WAITING, State.HELD)) | (
    # merged into one that is not at the provider either
    (_o.state == State.MERGED) & _o.kind.in_(("", "nothing", "later"))
)
EXPIRED = (
    select(schema.orders)
    .where(_o.finished_at.is_(None), _o.expire_at <= bindparam("now"), STILL_HERE)
    .order_by(_o.expire_at)
    .limit(bindparam("many"))
)
NEXT_EXPIRY = select(func.min(_o.expire_at)).where(
    _o.finished_at.is_(None),
    STILL_HERE | (_o.state == State.SENDING),  # which may come back to waiting
)
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
SWEEP_SPENT = delete(schema.spent).where(
    schema.spent.c.at.in_(
        select(schema.spent.c.at).where(schema.spent.c.at <= bindparam("before")).limit(STEP)
    )
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
    .where(
        _o.finished_at.is_(None),
        _o.state.in_((State.WAITING, State.SENDING, State.UNSURE)),
        _o.source != bindparam("source"),
        _o.start_at > bindparam("above"),
    )
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
OLDEST = select(func.min(_o.start_at)).where(
    _o.finished_at.is_(None), _o.state.in_((State.WAITING, State.SENDING, State.UNSURE))
)
NEXT_OPEN = select(func.min(_o.start_at)).where(
    _o.finished_at.is_(None), _o.state.in_((State.SENT, State.UNSURE))
)
OPEN_SINCE = (
    select(schema.orders)
    .where(
        _o.finished_at.is_(None), _o.state.in_((State.SENT, State.UNSURE)), _o.start_at <= bindparam("before")
    )
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
WAITING_STEPS = select(schema.step).where(_s.due_at.is_not(None)).order_by(_s.due_at)
NEXT_STEP = select(func.min(_s.due_at)).where(_s.due_at.is_not(None))
STEPS_OF_MAILS = select(schema.step).where(_s.mail_id.in_(_ids)).order_by(_s.recipient_id, _s.n)
OLD_INCOMING = delete(schema.incoming).where(
    schema.incoming.c.id.in_(
        select(schema.incoming.c.id).where(schema.incoming.c.received_at <= bindparam("before")).limit(STEP)
    )
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
OLD_MAILS = (
    select(schema.mail.c.id)
    .where(
        schema.mail.c.received_at <= bindparam("before"),
        schema.mail.c.id > bindparam("above"),
        ~exists().where(_o.mail_id == schema.mail.c.id, _o.finished_at.is_(None)),
        ~exists().where(_n.mail_id == schema.mail.c.id, _n.state == NoticeState.WAITING),
        ~exists().where(_s.mail_id == schema.mail.c.id, _s.due_at.is_not(None)),
    )
    .order_by(schema.mail.c.id)
    .limit(STEP)
)
_m = schema.mail.c
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
    update(schema.content).where(_c.mail_id.in_(_ids)).values(text="", params="{}", files="[]", notes="[]")
)
WIPE_MAILS = (
    update(schema.mail)
    .where(schema.mail.c.id.in_(_ids))
    .values(head=b"", subject="", notes="[]", full_id=None)
)
FORGET = (
    delete(schema.story).where(schema.story.c.order_id.in_(select(_o.id).where(_o.mail_id.in_(_ids)))),
    delete(schema.notice).where(_n.mail_id.in_(_ids)),
    delete(schema.step).where(_s.mail_id.in_(_ids)),
    delete(schema.orders).where(_o.mail_id.in_(_ids)),
    delete(schema.content).where(_c.mail_id.in_(_ids)),
    delete(schema.recipient).where(schema.recipient.c.mail_id.in_(_ids)),
    delete(schema.mail).where(schema.mail.c.id.in_(_ids)),
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
ORPHANS = (
    select(schema.file.c.id)
    .where(
        schema.file.c.created_at <= bindparam("before"),
        ~exists().where(schema.mail.c.id == schema.file.c.mail_id),
    )
    .limit(STEP)
)
SWEEP_CHUNKS = delete(schema.chunk).where(schema.chunk.c.file_id.in_(_ids))
SWEEP_FILES = delete(schema.file).where(schema.file.c.id.in_(_ids))
