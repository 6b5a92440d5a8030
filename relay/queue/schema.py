"""The tables, one source for SQLite and PostgreSQL.

Keys are made by us before the row is written (`model.Ids`). Times are UTC milliseconds.
Absent text is ""; NULL means *not yet*. JSON is text that we encode, never queried into.
A row that is changed carries a `version`: who changes it names the version that it read, so
two deciders can never both be right about the same row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, Table, Text, text
from sqlalchemy.dialects import postgresql

VERSION = 5
"""The schema's version; a database of an older one is brought forward when it is opened."""
OLDEST = 3
"""The oldest program (by the schema version it knows) that may use a database of this version.

Those before 3 count priorities otherwise, and remember phones by account.
"""

metadata = MetaData()

_TEXT = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Text that sorts by its octets, as SQLite's does."""


def _key(name: str) -> Column[int]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


def _int(name: str, default: int = 0) -> Column[int]:
    return Column(name, BigInteger, nullable=False, info={"default": default})


def _when(name: str) -> Column[int]:
    """A time or a key that may be *not yet*."""
    return Column(name, BigInteger, nullable=True, info={"default": None})


def _text(name: str) -> Column[str]:
    return Column(name, _TEXT, nullable=False, info={"default": ""})


def _later(name: str) -> Column[str]:
    """A text that older programs don't know: where they write a row, it is absent."""
    return Column(name, _TEXT, nullable=False, server_default="", info={"default": ""})


def _count(name: str) -> Column[int]:
    """A number that older programs don't know: where they write a row, it is 0."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"), info={"default": 0})


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False, info={"default": b""})


def _only(rows: str) -> dict[str, Any]:
    """What makes an index one of these rows only, in either database."""
    return {"sqlite_where": text(rows), "postgresql_where": text(rows)}


# fmt: off
mail = Table(                     # one accepted SMTP transaction
    "mail", metadata,
    _key("id"), _int("received_at"),
    _text("sender"), _text("source"), _int("verified"), _text("peer"), _text("helo"),
    _text("subject"), _text("message_id"), _text("auto"), _text("digest"),
    _text("ret"), _text("envid"), _int("utf8"), _int("size"),
    _bytes("head"),               # the header block, for reports
    _when("full_id"),             # the file that holds the whole mail, only for RET=FULL
    _text("notes"),               # JSON: what could not be read
    _later("results"),            # what checks of the sender said, as in Authentication-Results
    _later("timing"),             # JSON: what its client asked of when it goes and arrives
)
repeat = Table(                   # what tells a repeated mail (RFC 1047), kept for 24 h
    "repeat", metadata,
    Column("key", _TEXT, primary_key=True), _int("mail_id"), _int("at"),
    Index("repeat_at", "at"),
)
recipient = Table(                # one RCPT of a mail
    "recipient", metadata,
    _key("id"), _int("version", 1), _int("mail_id"), _int("position"),
    _text("address"), _text("orcpt"), _text("notify"),
    Index("recipient_mail", "mail_id"),
)
content = Table(                  # what orders of one mail share
    "content", metadata,
    _key("id"), _int("mail_id"), _text("channel"), _text("text"),
    _text("params"), _text("files"), _text("notes"),      # JSON
    _text("alphabet"), _int("parts"),
    Index("content_mail", "mail_id"),
)
file = Table(                     # an attachment; its octets are chunk rows
    "file", metadata,
    _key("id"), _int("mail_id"), _int("created_at"), _text("name"), _text("type"), _int("size"),
    Index("file_mail", "mail_id"), Index("file_created", "created_at"),
)
chunk = Table(
    "chunk", metadata,
    Column("file_id", BigInteger, primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    _bytes("data"),
)
orders = Table(                   # one text to one phone by one channel
    "orders", metadata,
    _key("id"), _int("version", 1),
    _int("mail_id"), _int("recipient_id"), _when("content_id"),
    _when("parent_id"),           # the group's order of which this is a member
    _when("merged_into"),         # the order that speaks for it
    _when("request_id"),          # the request that carries, or last carried, it
    _text("sender"), _text("account"), _text("channel"), _text("target"), _int("hidden"),
    _text("state"), _int("rank"), _int("due_at"), _int("batch"),
    _text("digest"),              # equal where one request may carry both
    _text("says"),                # equal where the phone would read the same, comment aside
    _int("attempts"), _when("lease_until"),
    _int("created_at"), _int("start_at"), _int("expire_at"),
    _when("sent_at"), _when("finished_at"),
    _when("warn_at"),             # when a delay warning is owed
    _when("poll_at"), _int("polls"),
    _text("kind"), _text("status"), _text("reason"), _text("code"), _text("words"),
    _text("cost"), _int("parts"),
    _later("alarm"),              # "problem" or "recovery", where the mail is known for one
    _later("label"),              # the number that a mail in the provider's grammar gave it
    _later("accounts"),           # JSON: the accounts that may carry it, in order; "" is `account` alone
    _later("source"),             # the entry of `senders` that let its mail in
    _later("quiet"),              # the quiet hours that it keeps to while it waits here
    _later("cap"),                # the cap that holds it; "-" where a person let it pass all of them
    _when("counted_at"),          # since when it counts as a message towards caps
    _later("mask"),               # equal where texts differ in numbers and times only
    _later("topic"),              # equal for a problem and its recovery, "" where it is neither
    _count("digests"),            # how many digests that carried it ended before the provider had them;
                                  # who must go alone begins with one
    _when("over_at"),             # since when it waits for a digest
    _when("answered_at"),         # when somebody took the alarm of which it tells
    _count("asleep"),             # 1 where it waits for a time far ahead, so that nobody has to pass over it
    Index("orders_mail", "mail_id"),
    Index("orders_age", "account", "rank", "id", "due_at", **_only("state = 'waiting' AND asleep = 0")),
    Index("orders_due", "account", "asleep", "due_at", **_only("state = 'waiting'")),
    Index("orders_storm", "account", "target", "rank", "id", **_only("state = 'waiting' AND asleep = 0")),
    Index("orders_moving", "account", "rank", "id", **_only("state = 'waiting' AND accounts <> ''")),
    Index("orders_request", "request_id", **_only("request_id IS NOT NULL")),
    Index("orders_poll", "account", "poll_at", **_only("poll_at IS NOT NULL")),
    Index("orders_warn", "warn_at", **_only("warn_at IS NOT NULL")),
    Index("orders_merged", "merged_into", **_only("merged_into IS NOT NULL")),
    Index("orders_parent", "parent_id", **_only("parent_id IS NOT NULL")),
    Index("orders_target", "target", "sent_at", **_only("sent_at IS NOT NULL")),
    Index("orders_started", "state", "start_at", **_only("finished_at IS NULL")),
    Index("orders_open", "expire_at",
          **_only("finished_at IS NULL AND sent_at IS NULL AND merged_into IS NULL")),
    Index("orders_spoken", "kind", "expire_at", **_only("finished_at IS NULL AND merged_into IS NOT NULL")),
    Index("orders_held", "cap", "id", **_only("state = 'held'")),
)
request = Table(                  # one HTTP call: one or more orders under one id of ours
    "request", metadata,
    _key("id"), _int("version", 1), _text("account"), _int("content_id"),
    _text("targets"),             # JSON: phones; of a list for each line its content, then phones
    _text("state"),               # calling, unsure, repeat, done
    _text("cause"),               # lost, or nine: what error 9 says is known after 60 s only
    _int("created_at"), _int("attempts"),
    _when("sent_at"), _when("broke_at"), _when("due_at"), _int("asks"), _int("absences"),
    Index("request_due", "account", "due_at", **_only("due_at IS NOT NULL")),
    Index("request_calling", "id", **_only("state = 'calling'")),
)
notice = Table(                   # one fact owed to a sender
    "notice", metadata,
    _key("id"), _int("version", 1), _int("mail_id"), _int("recipient_id"), _int("order_id"),
    _text("action"), _text("status"), _text("reason"), _text("code"), _text("words"), _int("unknown"),
    _text("state"),               # waiting, done, failed
    _int("created_at"), _when("due_at"), _int("attempts"), _when("report_id"), _text("last"),
    _when("lead_id"),             # of what a phone sent: the notice that owes it to its first sender
    Index("notice_mail", "mail_id"),
    Index("notice_lead", "lead_id", **_only("lead_id IS NOT NULL")),
    Index("notice_due", "due_at", **_only("due_at IS NOT NULL")),
)
story = Table(                    # what happened to an order, for `queue show`
    "story", metadata,
    _key("id"), _int("order_id"), _int("at"), _text("event"), _text("detail"),
    Index("story_order", "order_id"),
)
phone = Table(                    # what a phone heard last, by whatever account (""): storms are judged by it
    "phone", metadata,
    Column("account", _TEXT, primary_key=True), Column("target", _TEXT, primary_key=True),
    _int("version", 1), _int("last_at"), _int("chain"), _text("texts"),
    Index("phone_last", "last_at"),
)
account = Table(                  # what must be known of an account after a restart
    "account", metadata,
    Column("name", _TEXT, primary_key=True),
    _int("version", 1), _text("rest"), _when("probe_at"), _int("probes"), _when("mass_at"),
    _count("answer_id"),          # the last answer of a phone that was fetched, by the provider's id
    _when("answers_at"),          # when answers were last fetched
)
spent = Table(                    # what counts towards a cap, a row for each step of its time
    "spent", metadata,
    Column("cap", _TEXT, primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    _int("messages"), _int("parts"),
    _int("cost"),                 # millionths
    Index("spent_at", "at"),
)
AMOUNTS = ("messages", "parts", "cost")
"""What of `spent` is added up."""
heard = Table(                    # when the provider last called us about an account by itself
    "heard", metadata,
    Column("account", _TEXT, primary_key=True), _int("at"),
)
stray = Table(                    # what the provider told of messages that are none of ours
    "stray", metadata,
    _key("id"), _text("account"), _text("name"), _text("phone"), _text("status"), _int("at"),
    Index("stray_at", "at", "id"),
)
incoming = Table(                 # what a phone sent, or that it called
    "incoming", metadata,
    _key("id"),
    _text("mark"),                # tells a repeat
    _text("account"), _text("phone"), _text("to_phone"), _text("kind"), _text("text"), _int("received_at"),
    _when("order_id"),            # the message that it answers
    _when("notice_id"),           # what mails it; several may share one
    _count("took"),               # 1 where it acknowledged an alarm
    _later("told"),               # by what the provider told of it: "" a call, "fetched", or "both"
    Index("incoming_mark", "mark", unique=True),
    Index("incoming_phone", "phone", "received_at"),
    Index("incoming_received", "received_at"),
    Index("incoming_notice", "notice_id", **_only("notice_id IS NOT NULL")),
)
step = Table(                     # a step of a recipient's escalation
    "step", metadata,
    _key("id"), _int("version", 1), _int("mail_id"), _int("recipient_id"),
    _int("n"), _int("after"),     # from 1; how long after the message
    _text("unless"),              # delivered, or answered
    _text("channel"), _text("goal"),  # the channel, or the address or alias, that is tried
    _text("state"),               # waiting, done, over
    _when("due_at"), _when("ended_at"),
    _when("made_id"),             # the recipient of the orders that it made
    _text("said"),                # why it is over
    Index("step_mail", "mail_id"),
    Index("step_due", "due_at", **_only("due_at IS NOT NULL")),
)
meta = Table("meta", metadata, Column("key", _TEXT, primary_key=True), _text("value"))
# fmt: on

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    table.name: {column.name: column.info.get("default") for column in table.columns}
    for table in metadata.tables.values()
}


def row(table: Table, **values: Any) -> dict[str, Any]:
    """A whole row: what is not given has the column's default."""
    defaults = _DEFAULTS[table.name]
    full = {**defaults, **values}
    if len(full) != len(defaults):
        unknown = ", ".join(full.keys() - defaults.keys())
        raise KeyError(f"{table.name} has no column {unknown}")
    return full
