"""An accepted mail as one change: its rows, and what tells a repeat of it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message.drafts import Composed, Draft, Refusal
from relay.model import (
    MINUTE,
    WHOLE,
    Alarm,
    Auto,
    Content,
    Envelope,
    Ids,
    Kind,
    Letter,
    Notify,
    Outcome,
    Recipient,
)
from relay.queue import intake, schema
from relay.queue.rows import StoredFile
from relay.queue.states import State
from relay.replies import Reply

NOW = 1_800_000_000_000
LATER = NOW + 5 * MINUTE
MAIL = 4242
ENVELOPE = Envelope(
    sender="ops@mon.example.com",
    recipients=(
        Recipient(address="79991234567@sms.example.com", orcpt="rfc822;Ops+2BDuty@Example.com"),
        Recipient(address="staff@sms.example.com", notify=frozenset({Notify.SUCCESS, Notify.FAILURE})),
        Recipient(address="79990000000@call.example.com", notify=frozenset({Notify.NEVER})),
    ),
    ret="hdrs",
    envid="QQ314159",
    utf8=True,
    peer="192.0.2.7",
    helo="mon.example.com",
    source="monitoring",
    verified=True,
    results="relay.example.com; spf=pass smtp.mailfrom=mon.example.com",
)
LETTER = Letter(
    subject="Диск 95 %",
    message_id="<1@mon.example.com>",
    head=b"Subject: disk\r\n",
    auto=Auto.GENERATED,
    digest="abc",
    notes=("an attachment could not be read",),
)
REPLY = Reply(554, "5.6.1", "a .exe can't be played to a phone")
COMPOSED = Composed(
    contents=(
        Content(channel="sms", text="Диск 95 %", params={"translit": "1"}, alphabet="ucs2", parts=1),
        Content(channel="call", text="<file 1>", files=(2, 0), notes=("the text was cut",)),
    ),
    drafts=(
        Draft(
            recipient=0,
            content=0,
            target="+79991234567",
            hidden=False,
            account="main",
            channel="sms",
            priority=5,
            start_at=LATER,
            expire_at=LATER + 60 * MINUTE,
            digest="d0",
            says="s0",
        ),
        Draft(
            recipient=1,
            content=1,
            target="+79997654321",
            hidden=True,
            account="second",
            channel="call",
            priority=-1,
            start_at=NOW,
            expire_at=NOW + 60 * MINUTE,
            digest="d1",
            says="s1",
        ),
        Draft(
            recipient=1,
            content=0,
            target="g777",
            hidden=True,
            account="main",
            channel="sms",
            priority=0,
            start_at=NOW,
            expire_at=NOW + 60 * MINUTE,
            digest="d0",
            says="s0",
        ),
    ),
    refusals=(Refusal(recipient=2, channel="call", reply=REPLY),),
    notes=LETTER.notes,
)
FILES = {
    0: StoredFile(id=900, name="a.wav", type="audio/wav", size=3),
    2: StoredFile(id=902, name="b.wav", type="audio/wav", size=4),
}


def taken(envelope=ENVELOPE, letter=LETTER, composed=COMPOSED, **changes):
    """The intake of the mail above, with changes."""
    given_ = {"mail_id": MAIL, "ids": Ids(1), "now": NOW, "size": 1234, "files": FILES, "full_id": None}
    return intake.change_for(envelope, letter, composed, **given_ | changes)


def rows(taken_, table):
    """The rows that a table gets."""
    return [values for each, values in taken_.change.inserts if each is table]


def test_an_order_keeps_its_accounts():
    """As JSON, in their order; its story's first line names them."""
    first, *others = COMPOSED.drafts
    several = replace(COMPOSED, drafts=(replace(first, accounts=("main", "b", "c")), *others))
    found = taken(composed=several)
    assert [("main", "b", "c"), ("second",), ("main",)] == [order.choice for order in found.orders]
    assert ["sms by main, or else b, c", "call by second", "sms by main"] == [
        line["detail"] for line in rows(found, schema.story) if line["event"] == "queued"
    ]


def test_mail_row():
    """The mail's row holds the transaction and what reports need of the letter."""
    assert [
        {
            "id": MAIL,
            "received_at": NOW,
            "sender": "ops@mon.example.com",
            "source": "monitoring",
            "verified": 1,
            "peer": "192.0.2.7",
            "helo": "mon.example.com",
            "subject": "Диск 95 %",
            "message_id": "<1@mon.example.com>",
            "auto": "generated",
            "digest": "abc",
            "ret": "hdrs",
            "envid": "QQ314159",
            "utf8": 1,
            "size": 1234,
            "head": b"Subject: disk\r\n",
            "full_id": None,
            "notes": '["an attachment could not be read"]',
            "results": "relay.example.com; spf=pass smtp.mailfrom=mon.example.com",
            "timing": "",
        }
    ] == rows(taken(), schema.mail)


def test_whole_mail_is_named():
    """The file of the whole mail, kept for RET=FULL, is named in the mail's row."""
    assert [77] == [row["full_id"] for row in rows(taken(full_id=77), schema.mail)]


def test_null_sender():
    """A mail that nobody can be told about keeps no header for a report."""
    (row,) = rows(taken(envelope=replace(ENVELOPE, sender="")), schema.mail)
    assert ("", b"") == (row["sender"], row["head"])


def test_recipient_rows():
    """Each RCPT is a row in its place, as it was given, with its DSN wishes."""
    assert [
        (1, MAIL, 0, "79991234567@sms.example.com", "rfc822;Ops+2BDuty@Example.com", ""),
        (1, MAIL, 1, "staff@sms.example.com", "", "failure,success"),
        (1, MAIL, 2, "79990000000@call.example.com", "", "never"),
    ] == [tuple(row.values())[1:] for row in rows(taken(), schema.recipient)]


def test_content_rows():
    """Each content is a row; its files are named in the request's order, its notes follow the mail's."""
    sms, call = rows(taken(), schema.content)
    assert {
        "mail_id": MAIL,
        "channel": "sms",
        "text": "Диск 95 %",
        "params": '{"translit":"1"}',
        "files": "[]",
        "notes": '["an attachment could not be read"]',
        "alphabet": "ucs2",
        "parts": 1,
    } == {name: value for name, value in sms.items() if name != "id"}
    assert '["an attachment could not be read","the text was cut"]' == call["notes"]
    assert (
        '[{"id":902,"name":"b.wav","type":"audio/wav","size":4},'
        '{"id":900,"name":"a.wav","type":"audio/wav","size":3}]'
    ) == call["files"]


def test_order_rows():
    """Each draft is a waiting order, due at once, that points to its recipient and content."""
    made = taken()
    recipients = [row["id"] for row in rows(made, schema.recipient)]
    contents = [row["id"] for row in rows(made, schema.content)]
    wanted = {
        "version": 1,
        "mail_id": MAIL,
        "recipient_id": recipients[0],
        "content_id": contents[0],
        "parent_id": None,
        "merged_into": None,
        "request_id": None,
        "sender": "ops@mon.example.com",
        "account": "main",
        "channel": "sms",
        "target": "+79991234567",
        "hidden": 0,
        "state": "waiting",
        "rank": -10,
        "batch": 0,
        "digest": "d0",
        "says": "s0",
        "attempts": 0,
        "lease_until": None,
        "created_at": NOW,
        "start_at": LATER,
        "expire_at": LATER + 60 * MINUTE,
        "sent_at": None,
        "finished_at": None,
        "warn_at": None,
        "poll_at": None,
        "kind": "",
    }
    first, second, third, _ = rows(made, schema.orders)
    assert wanted == {name: first[name] for name in wanted}
    assert NOW <= first["due_at"] <= LATER
    assert ("second", 1, 2, contents[1]) == tuple(
        second[name] for name in ("account", "hidden", "rank", "content_id")
    )
    assert [recipients[0], recipients[1], recipients[1]] == [
        row["recipient_id"] for row in (first, second, third)
    ]


def test_refused_recipients_are_failed_orders():
    """A recipient that DATA found impossible is a failed order from its first moment."""
    made = taken()
    row = rows(made, schema.orders)[-1]
    wanted = {
        "mail_id": MAIL,
        "recipient_id": rows(made, schema.recipient)[2]["id"],
        "content_id": None,
        "sender": "ops@mon.example.com",
        "account": "",
        "channel": "call",
        "target": "79990000000@call.example.com",
        "state": "failed",
        "created_at": NOW,
        "start_at": NOW,
        "expire_at": NOW,
        "finished_at": NOW,
        "warn_at": None,
        "poll_at": None,
        "kind": "refused",
        "status": "5.6.1",
        "reason": "a .exe can't be played to a phone",
    }
    assert wanted == {name: row[name] for name in wanted}


def test_stories():
    """Every order's story begins with its first moment."""
    made = taken()
    assert [
        ("queued", "sms by main"),
        ("queued", "call by second"),
        ("queued", "sms by main"),
        ("failed", "5.6.1 a .exe can't be played to a phone"),
    ] == [(row["event"], row["detail"]) for row in rows(made, schema.story)]
    assert [row["id"] for row in rows(made, schema.orders)] == [
        row["order_id"] for row in rows(made, schema.story)
    ]
    assert {NOW} == {row["at"] for row in rows(made, schema.story)}


def test_values_are_the_rows():
    """What others decide upon is what is written."""
    made = taken()
    assert MAIL == made.mail.id
    assert rows(made, schema.recipient) == [
        {name: getattr(each, name) for name in schema.recipient.columns.keys()}  # noqa: SIM118
        for each in made.recipients
    ]
    failed, outcome = made.failed[0]
    assert rows(made, schema.orders) == [
        {name: getattr(each, name) for name in schema.orders.columns.keys()}  # noqa: SIM118
        for each in (*made.orders, failed)
    ]
    assert [State.WAITING] * 3 == [order.state for order in made.orders]
    assert Outcome(kind=Kind.REFUSED, status="5.6.1", reason="a .exe can't be played to a phone") == outcome
    assert outcome == failed.outcome


def test_ids_differ():
    """No two rows of a mail share an id."""
    inserted = [values["id"] for _, values in taken().change.inserts]
    assert len(inserted) == len(set(inserted)) == 1 + 3 + 2 + 4 + 4


def test_nobody_to_be_served():
    """A mail of refusals alone is a mail with failed orders and no content."""
    refusals = tuple(Refusal(recipient=n, channel="", reply=REPLY) for n in range(3))
    made = taken(composed=Composed(refusals=refusals))
    assert ([], [], 3) == (made.orders, rows(made, schema.content), len(made.failed))
    assert ["failed"] * 3 == [row["state"] for row in rows(made, schema.orders)]


# -- delay warnings -----------------------------------------------------------------------


def test_warn():
    """A warning is owed so long after the order's own time, where one is wanted; a failed order owes none."""
    made = taken()
    first, second, third = (each.id for each in made.recipients)
    made.warn({first: 10 * MINUTE, second: None, third: 5 * MINUTE})
    assert [LATER + 10 * MINUTE, None, None, None] == [row["warn_at"] for row in rows(made, schema.orders)]


def test_warn_at_once():
    """A wait of nothing is a wait, not the lack of one."""
    made = taken()
    made.warn({each.id: 0 for each in made.recipients})
    assert [LATER, NOW, NOW, None] == [row["warn_at"] for row in rows(made, schema.orders)]


# -- repeats ------------------------------------------------------------------------------

TEXTS = st.text(alphabet="ab@.ж", max_size=6)


def envelope(sender, addresses):
    """An envelope of nothing else."""
    return Envelope(sender=sender, recipients=tuple(Recipient(address=each) for each in addresses))


def test_once():
    """The change is written once for its key, in the name of this mail."""
    key = intake.repeat_key(ENVELOPE, LETTER)
    assert (key, MAIL, NOW) == taken().change.once
    assert key


def test_no_digest_no_key():
    """A mail that can't be told from others is never taken for a repeat."""
    letter = replace(LETTER, digest="")
    assert "" == intake.repeat_key(ENVELOPE, letter)
    assert None is taken(letter=letter).change.once


@given(TEXTS, st.lists(TEXTS, max_size=5), st.randoms())
def test_key_is_the_same_for_the_same(sender, addresses, random):
    """The order of the recipients does not matter, nor how and from where the mail came this time."""
    shuffled = list(addresses)
    random.shuffle(shuffled)
    again = replace(envelope(sender, shuffled), peer="192.0.2.9", helo="other", envid="x", ret="full")
    letter = replace(LETTER, head=b"Received: again", received=3)
    assert intake.repeat_key(envelope(sender, addresses), LETTER) == intake.repeat_key(again, letter)


@given(*[st.tuples(TEXTS, st.lists(TEXTS, max_size=3), TEXTS.filter(bool))] * 2)
def test_key_differs_for_others(one, other):
    """Two mails have the same key only where sender, recipients (each once) and content are the same."""
    keys = [
        intake.repeat_key(envelope(sender, addresses), Letter(digest=digest))
        for sender, addresses, digest in (one, other)
    ]
    same = (one[0], set(one[1]), one[2]) == (other[0], set(other[1]), other[2])
    assert same == (keys[0] == keys[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", ["b", "c"], "d"), ("b", ["a", "c"], "d")),
        (("a", ["bc"], "d"), ("ab", ["c"], "d")),
        (("a", ["b", "c"], "d"), ("a", ["bc"], "d")),
        (("a", ["b", "c"], "d"), ("a", ["b"], "c")),
        (("a", ["b"], "d"), ("a", ["b", "b2"], "d")),
        (("a", ["b"], "d"), ("a", ["b"], "e")),
        (("", ["b"], "d"), ("b", [], "d")),
    ],
)
def test_key_knows_where_a_part_ends(one, other):
    """The same letters cut in another way are another mail."""
    keys = {intake.repeat_key(envelope(s, addresses), Letter(digest=d)) for s, addresses, d in (one, other)}
    assert 2 == len(keys)


def test_a_forward_keeps_the_whole_mail():
    """Its content has the one file; what could not be read of the mail is no matter."""
    whole = StoredFile(9, "", "message/rfc822", 77)
    draft = replace(COMPOSED.drafts[0], content=0, channel="forward", account="", target="bob@own.example")
    made = Composed(
        contents=(Content(channel="forward", text="", files=(WHOLE,)),), drafts=(draft,), notes=("odd",)
    )
    change = taken(composed=made, files={WHOLE: whole})
    (content,) = rows(change, schema.content)
    assert [asdict(whole)] == json.loads(content["files"])
    assert "[]" == content["notes"]
    assert ["forward"] == [row["detail"] for row in rows(change, schema.story)]


@pytest.mark.parametrize(
    ("priority", "alarm", "wanted"),
    [
        (0, "", 0),
        (0, "problem", 0),
        (0, "recovery", -1),
        (5, "problem", -10),
        (5, "recovery", -11),
        (-1, "recovery", 1),
    ],
)
def test_ranks(priority, alarm, wanted):
    """By priority, and recoveries first among those of one priority."""
    assert wanted == intake.rank(priority, Alarm(alarm))
