"""What programs that read bounces make of our mails: reports of every action and language, and all others.

The standard library and flufl.bounce (Mailman's) are asked here; what they read is what list managers and
ticket systems act upon.
"""

from __future__ import annotations

import email
import email.policy
import itertools
import shutil
import subprocess
from dataclasses import replace

import pytest
from flufl.bounce import all_failures

from relay.model import Rest
from relay.queue import schema
from relay.queue.followups import Step
from relay.report import dsn, inbox, operator, steps, words
from relay.report.inbox import Answer
from relay.report.values import Action, Entry, Report
from relay.smsc import outcomes

NOW = 1_795_000_000_000
STATUS = {
    Action.FAILED: "5.1.3",
    Action.DELAYED: "4.4.1",
    Action.RELAYED: "2.0.0",
    Action.DELIVERED: "2.1.5",
    Action.EXPANDED: "2.0.0",
}
HOSTILE = (
    "x\r\nFinal-Recipient: rfc822; victim@bank.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--=_b--\r\n"
    "<victim@bank.example>: 550 user unknown\r\nX-Failed-Recipients: victim@bank.example"
)
ENTRY = Entry(
    address="79991234567@sms.example.com",
    action=Action.FAILED,
    status="5.1.3",
    reason="the provider says that the number is not valid",
    channel="sms",
    code="7",
    text="invalid number",
    remote="smsc.ru",
    phone="+79991234567",
    id="0123456789abc",
    parts=2,
    cost="3.50",
    last_attempt=NOW - 1000,
    will_retry_until=NOW + 60_000,
    excerpt="Disk full on db1",
)
STEPS = tuple(
    line
    for language in words.LANGUAGES
    for line in steps.notes(
        [
            Step.of(schema.row(schema.step, id=n, n=n, recipient_id=7, **columns))
            for n, columns in enumerate(
                (
                    {"state": "over", "channel": "call", "said": "the message was delivered"},
                    {"state": "over", "channel": "call", "said": "somebody has taken the alarm"},
                    {"state": "done", "goal": "+79991234567"},
                    {"state": "waiting", "goal": "boss@people.example"},
                ),
                start=1,
            )
        ],
        7,
        language,
    )
)
KINDS = {
    "number": ENTRY,
    "alias": replace(ENTRY, address="oncall@sms.example.com", phone="", members=5, affected=2),
    "group": replace(ENTRY, address="g777@sms.example.com", phone="", members=300, affected=300),
    "quoted": replace(ENTRY, address='"8(999)1234567"@sms.example.com'),
    "option": replace(ENTRY, address="79991234567+flash@sms.example.com"),
    "orcpt": replace(ENTRY, orcpt="rfc822;Bob+2BOps@mon.example.com"),
    "forward": replace(ENTRY, address="bob@people.example", channel="forward", code="smtp 550", phone=""),
    "long": replace(
        ENTRY, address=f"{'7' * 60}@{'a' * 60}.{'b' * 60}.example", text="x" * 3000, excerpt="y" * 900
    ),
    "hostile": replace(
        ENTRY, text=HOSTILE, reason=HOSTILE, excerpt=HOSTILE, notes=(HOSTILE,), remote=HOSTILE, cost=HOSTILE,
        label=HOSTILE,
    ),
    "unknown": replace(ENTRY, unknown=True),
    "escalated": replace(ENTRY, notes=STEPS),
    "8-bit": replace(ENTRY, text="номер неверен", reason="номер неверен", excerpt="Диск полон"),
}  # fmt: skip
EVERY = list(itertools.product(KINDS, Action, words.LANGUAGES))


def written(*entries: Entry, language: str = "en", **changes: object) -> bytes:
    """The octets of a report."""
    report = Report(
        to="nagios@example.com",
        from_="SMS relay <postmaster@sms.example.com>",
        hostname="sms.example.com",
        language=language,
        envid="QQ+2B314",
        arrival=NOW - 5000,
        subject="Disk full",
        message_id="<alarm-1@example.com>",
        head=b"From: nagios@example.com\r\nTo: 79991234567@sms.example.com\r\nSubject: Disk full\r\n",
        entries=entries,
    )
    return dsn.compose(replace(report, **changes), message_id="<r@sms.example.com>", boundary="=_b", now=NOW)


def judged(mail: bytes) -> tuple[set[bytes], set[bytes]]:
    """Whom flufl.bounce calls unreachable for now, and for good."""
    temporary, permanent = all_failures(email.message_from_bytes(mail))
    return set(temporary), set(permanent)


@pytest.mark.parametrize(("kind", "action", "language"), EVERY)
def test_flufl_finds_the_recipient_and_whether_it_is_final(kind, action, language):
    """Failed is permanent, delayed is temporary, and good news is no bounce at all."""
    entry = replace(KINDS[kind], action=action, status=STATUS[action])
    who = {(entry.address if kind != "orcpt" else "Bob+Ops@mon.example.com").encode()}
    temporary, permanent = judged(written(entry, language=language))
    assert (who if action is Action.DELAYED else set()) == temporary
    assert (who if action is Action.FAILED else set()) == permanent


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_flufl_tells_several_fates_apart(language):
    """One report, five recipients, each where it belongs."""
    entries = [
        replace(ENTRY, address=f"{action.value}@sms.example.com", action=action, status=STATUS[action])
        for action in Action
    ]
    temporary, permanent = judged(written(*entries, language=language))
    assert {b"delayed@sms.example.com"} == temporary
    assert {b"failed@sms.example.com"} == permanent


@pytest.mark.parametrize(("kind", "action", "language"), EVERY)
def test_the_standard_library_reads_every_part(kind, action, language):
    """Three parts without a defect; the blocks hold what happened, and the text its words."""
    entry = replace(KINDS[kind], action=action, status=STATUS[action])
    mail = email.message_from_bytes(written(entry, language=language), policy=email.policy.default)
    assert [] == [defect for part in mail.walk() for defect in part.defects]
    people, machines, original = mail.iter_parts()
    about, recipient = machines.get_payload()
    assert ("multipart/report", "delivery-status") == (mail.get_content_type(), mail.get_param("report-type"))
    assert ("dns; sms.example.com", "QQ+314") == (about["Reporting-MTA"], about["Original-Envelope-Id"])
    assert (action.value, STATUS[action]) == (recipient["Action"], recipient["Status"])
    assert f"rfc822; {entry.address}" == recipient["Final-Recipient"]
    assert (action is Action.DELAYED) == ("Will-Retry-Until" in recipient)
    assert ("Диск" in people.get_content()) == (kind == "8-bit")
    assert "text/rfc822-headers" == original.get_content_type()
    assert "auto-replied" == mail["Auto-Submitted"]


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_wide_report_is_read_as_utf8(language):
    """RFC 6533: the global types, the address as people write it; narrow, it is in escapes."""
    entry = replace(ENTRY, address="иван@пример.example", orcpt="utf-8;\\x{438}@x.example")
    wide = written(entry, language=language, utf8=True, to="опс@пример.example")
    mail = email.message_from_bytes(wide, policy=email.policy.SMTPUTF8)
    machines = list(mail.iter_parts())[1]
    assert "message/global-delivery-status" == machines.get_content_type()
    assert "global-delivery-status" == mail.get_param("report-type")
    assert "Final-Recipient: utf-8; иван@пример.example\r\n" in wide.decode()
    assert "Original-Recipient: utf-8; и@x.example\r\n" in wide.decode()
    narrow = written(entry, language=language, to="ops@example.com")
    assert "delivery-status" == email.message_from_bytes(narrow).get_param("report-type")
    block = list(email.message_from_bytes(narrow).get_payload(1).get_payload())[1]
    assert "utf-8; \\x{438}@x.example" == block["Original-Recipient"]
    assert block["Final-Recipient"].startswith("utf-8; \\x{438}\\x{432}")


def test_an_envelope_id_comes_back_to_the_last_blank():
    """RFC 3461 section 6.3: decoded, and first of the fields (RFC 3464 section 2.2)."""
    envid = "+20".join(f"part{n}+20+20x" for n in range(12))[:100]
    mail = email.message_from_bytes(written(ENTRY, envid=envid))
    block = mail.get_payload(1).get_payload(0)
    assert ["Original-Envelope-Id", "Reporting-MTA", "Arrival-Date"] == block.keys()
    assert envid.replace("+20", " ").rstrip() == block["Original-Envelope-Id"]


@pytest.mark.parametrize(
    ("language", "says"), [("en", "You were told before that this had failed"), ("ru", "Раньше вам сообщали")]
)
def test_late_good_news_is_told_as_that(language, says):
    """Delivered after it was reported as failed: action and status of delivery, and a word of the first."""
    good = replace(ENTRY, action=Action.DELIVERED, status="2.1.5")
    late, usual = (
        email.message_from_bytes(
            written(replace(good, late=each), language=language), policy=email.policy.default
        )
        for each in (True, False)
    )
    assert says in next(late.iter_parts()).get_content()
    assert says not in next(usual.iter_parts()).get_content()


# -- mails that are no reports ------------------------------------------------------------------

ANSWER = Answer(
    to="ops@mon.example.com",
    phone="+79991234567",
    texts=("принято, еду",),
    address="oncall@sms.example.com",
    subject="Disk 95 %",
    message_id="<1@mon.example.com>",
    references="<0@mon.example.com>",
    hostname="sms.example.com",
)
ANSWERS = {
    "reply": ANSWER,
    "taken": replace(ANSWER, took="ivan", texts=("Ok 👍",)),
    "taken by a hidden phone": replace(ANSWER, took="********4567", hidden=True),
    "called": replace(ANSWER, kind="call", texts=("",), took="+79991234567"),
    "called, nothing answered": replace(ANSWER, kind="call", texts=("",), address="", message_id=""),
    "to the default": replace(ANSWER, address="", domain="sms.example.com", subject="", message_id=""),
    "no word": replace(ANSWER, texts=("",)),
    "parts": replace(ANSWER, texts=("a" * 153, "b" * 153, "failed 550")),
    "about a bounce": replace(ANSWER, subject="Undelivered Mail Returned to Sender", texts=("failed?",)),
    "about a delay": replace(ANSWER, subject="Delivery Status Notification (Delay)", texts=("no. delay",)),
}
OTHERS = {
    f"{name}, {language}": (
        inbox.compose(
            replace(answer, language=language, utf8=utf8), message_id="<m@sms.example.com>", now=NOW
        ),
        answer.to,
    )
    for name, answer in ANSWERS.items()
    for language in words.LANGUAGES
    for utf8 in (False, True)
} | {
    f"operator, {rest}": (
        operator.compose(
            to="root@sms.example.com",
            from_="SMS relay <postmaster@sms.example.com>",
            hostname="sms.example.com",
            subject="account main",
            text=operator.of_rest("main", rest, outcomes.for_error(code, "логин неверен"), lends=True),
            message_id="<o@sms.example.com>",
            now=NOW,
        ),
        "root@sms.example.com",
    )
    for rest, code in ((Rest.LOGIN, 2), (Rest.MONEY, 3), (Rest.BLOCKED, 4))
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_bounce_is_taken_for_none(name):
    """What a phone said, who took an alarm, a word to the operator: nobody is unreachable by it."""
    mail, to = OTHERS[name]
    assert (set(), set()) == judged(mail)
    found = email.message_from_bytes(mail, policy=email.policy.default)
    assert [] == [*found.defects, *(defect for field in found.values() for defect in field.defects)]
    assert ("text/plain", to) == (found.get_content_type(), found["To"])
    # RFC 3834 section 5: no machine answers it, and it is no answer of one
    assert ("auto-generated", "All") == (found["Auto-Submitted"], found["X-Auto-Response-Suppress"])


# -- Sisimai, a reader in another language ------------------------------------------------------

SISIMAI = """
for my $file (@ARGV) { for my $each (@{Sisimai->make($file, delivered => 1) || []}) {
    print join("\\t", $file, $each->recipient->address, $each->action, $each->softbounce), "\\n";
} }
"""


def sisimai(files):
    """What it reads out of files, where it is installed (libsisimai-perl): it is no Python package."""
    perl = shutil.which("perl")
    if not perl or subprocess.run([perl, "-MSisimai", "-e1"], capture_output=True, check=False).returncode:
        pytest.skip("Sisimai is a library of Perl and Ruby, and is not installed here")
    run = subprocess.run(
        [perl, "-MSisimai", "-e", SISIMAI, *files], capture_output=True, check=True, text=True
    )
    return [line.split("\t") for line in run.stdout.splitlines()]


def test_sisimai_takes_no_other_mail_for_a_bounce(tmp_path):
    """At most for the answer of a machine (-1), which it calls a vacation."""
    for n, (mail, _to) in enumerate(OTHERS.values()):
        (tmp_path / f"{n:03}.eml").write_bytes(mail)
    read = sisimai(sorted(map(str, tmp_path.iterdir())))
    assert [] == [line for line in read if line[3] != "-1"]


def test_sisimai_finds_the_recipient_and_what_happened(tmp_path):
    """Of every report: who, and whether it failed for good, for now or not at all."""
    wanted = {}
    soft = {Action.FAILED: "0", Action.DELAYED: "1"}
    for kind, action, language in EVERY:
        if kind in ("hostile", "quoted"):  # it believes statuses that texts quote, and drops comments
            continue
        file = tmp_path / f"{kind}-{action.value}-{language}.eml"
        entry = replace(KINDS[kind], action=action, status=STATUS[action])
        file.write_bytes(written(entry, language=language))
        wanted[str(file)] = [entry.address, action.value, soft.get(action, "-1")]
    assert wanted == {file: read for file, *read in sisimai(wanted)}
