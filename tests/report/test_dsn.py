"""Reports as bounce parsers, mail programs and people read them."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from email.header import decode_header, make_header
from email.message import Message

import pytest
from flufl.bounce import all_failures, scan_message
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.report import dsn, words
from relay.report.values import Action, Entry, Report

NOW = 1_795_000_000_000  # 2026-11-18 11:06:40 UTC
HEAD = b"From: nagios@example.com\r\nTo: 79991234567@sms.example.com\r\nSubject: Disk full\r\n"

FAILED = Entry(
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
    notes=("The text was cut to 1000 characters.",),
    excerpt="Disk full on db1",
)
DELAYED = Entry(
    address="oncall@sms.example.com",
    action=Action.DELAYED,
    status="4.4.1",
    reason="No connection to the provider.",
    will_retry_until=NOW + 60_000,
)
DELIVERED = Entry(
    address="78005553535@sms.example.com", action=Action.DELIVERED, status="2.1.5", reason="Delivered."
)
REPORT = Report(
    to="nagios@example.com",
    from_="SMS relay <postmaster@sms.example.com>",
    hostname="sms.example.com",
    envid="QQ+2B314",
    arrival=NOW - 5000,
    subject="Disk full",
    message_id="<alarm-1@example.com>",
    references="<thread-0@example.com>",
    mail_id="01hzy3k9qwert",
    head=HEAD,
    entries=(FAILED,),
)


def written(report: Report) -> bytes:
    """The report mail."""
    return dsn.compose(report, message_id="<report-1@sms.example.com>", boundary="=_b0undary", now=NOW)


def parsed(report: Report) -> Message:
    """The report mail as the standard library reads it."""
    return email.message_from_bytes(written(report))


def subject(report: Report) -> str:
    """Its subject, decoded."""
    return str(make_header(decode_header(parsed(report)["Subject"])))


def text(report: Report) -> str:
    """The text for people, its lines joined: how they are wrapped is of no interest."""
    octets = parsed(report).get_payload(0).get_payload(decode=True)
    return " ".join(octets.decode("utf-8").split())


def blocks(report: Report) -> list[Message]:
    """The blocks of the delivery status: of the message, then of each recipient."""
    return parsed(report).get_payload(1).get_payload()


def original(report: Report) -> Message:
    """The part that quotes the original."""
    return parsed(report).get_payload(2)


def of(*entries: Entry, **changes: object) -> Report:
    """The usual report, about these entries."""
    return replace(REPORT, entries=entries, **changes)


# -- as machines read it ------------------------------------------------------------------


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_bounce_is_recognised_by_a_bounce_parser(language):
    """An independent parser finds the failed address, in every language."""
    assert frozenset({b"79991234567@sms.example.com"}) == scan_message(parsed(of(FAILED, language=language)))


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_delay_is_a_temporary_failure(language):
    """A delay warning never makes a list unsubscribe the recipient."""
    expected = (frozenset({b"oncall@sms.example.com"}), frozenset())
    assert expected == all_failures(parsed(of(DELAYED, language=language)))


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("action", [Action.DELIVERED, Action.RELAYED, Action.EXPANDED])
def test_good_news_is_no_bounce(language, action):
    """No guess of a bounce parser takes an acknowledgement for a failure."""
    report = of(replace(DELIVERED, action=action), language=language)
    assert (frozenset(), frozenset()) == all_failures(parsed(report))


@pytest.mark.parametrize(
    "address", ['"8(999)1234567"@sms.example.com', '"a \\" b"@x.example', "+7-999@x.example"]
)
def test_odd_addresses_are_recognised(address):
    """The address is found as it was given, quotes and all."""
    found = scan_message(parsed(of(replace(FAILED, address=address))))
    assert frozenset({address.encode()}) == found


def test_the_header():
    """Who, to whom, when, in answer to what, and not to be answered by a machine."""
    mail = parsed(REPORT)
    expected = {
        "From": "SMS relay <postmaster@sms.example.com>",
        "To": "nagios@example.com",
        "Subject": "Not delivered: 79991234567@sms.example.com",
        "Date": "Wed, 18 Nov 2026 11:06:40 +0000",
        "Message-ID": "<report-1@sms.example.com>",
        "In-Reply-To": "<alarm-1@example.com>",
        "References": "<thread-0@example.com> <alarm-1@example.com>",
        "Auto-Submitted": "auto-replied",
        "X-Auto-Response-Suppress": "All",
        "MIME-Version": "1.0",
        "Content-Transfer-Encoding": "7bit",
    }
    assert expected == {name: mail[name] for name in expected}
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "delivery-status"
    kinds = ["text/plain", "message/delivery-status", "text/rfc822-headers"]
    assert kinds == [part.get_content_type() for part in mail.get_payload()]


def test_the_delivery_status():
    """Every field of RFC 3464 that is known, and the provider's own."""
    message, recipient = blocks(of(replace(FAILED, orcpt="rfc822;Bob+2Bx@x.example")))
    assert message.items() == [
        ("Original-Envelope-Id", "QQ+314"),
        ("Reporting-MTA", "dns; sms.example.com"),
        ("Arrival-Date", "Wed, 18 Nov 2026 11:06:35 +0000"),
        ("X-Queue-Id", "01hzy3k9qwert"),
    ]
    assert recipient.items() == [
        ("Original-Recipient", "rfc822; Bob+x@x.example"),
        ("Final-Recipient", "rfc822; 79991234567@sms.example.com"),
        ("Action", "failed"),
        ("Status", "5.1.3"),
        ("Remote-MTA", "dns; smsc.ru"),
        ("Diagnostic-Code", "X-SMSC; 7 invalid number"),
        ("Last-Attempt-Date", "Wed, 18 Nov 2026 11:06:39 +0000"),
        ("X-SMSC-Phone", "+79991234567"),
        ("X-SMSC-Id", "0123456789abc"),
        ("X-SMSC-Parts", "2"),
        ("X-SMSC-Cost", "3.50"),
    ]


def test_what_the_client_wished_of_time():
    """RFC 2852 section 5 and RFC 4865 section 5.1.2, beside the time at which the mail came."""
    status = written(replace(REPORT, deliver_by=NOW + 5000, hold="for;7200")).decode()
    assert (
        "\r\nArrival-Date: Wed, 18 Nov 2026 11:06:35 +0000"
        "\r\nDeliver-By-Date: Wed, 18 Nov 2026 11:06:45 +0000"
        "\r\nFuture-Release-Request: for;7200\r\n" in status
    )


def test_what_is_not_known_is_left_out():
    """A bare entry has the four fields that it must have, and the message the one."""
    bare = Entry(address="a@x.example", action=Action.RELAYED, status="2.0.0", reason="Taken.")
    message, recipient = blocks(Report(to="b@x.example", from_="c@x.example", hostname="h", entries=(bare,)))
    assert message.keys() == ["Reporting-MTA"]
    assert recipient.keys() == ["Final-Recipient", "Action", "Status"]


def test_only_a_delayed_entry_will_be_retried():
    """Will-Retry-Until stands where Action is delayed, and nowhere else."""
    told = [
        block["Will-Retry-Until"] for block in blocks(of(DELAYED, replace(FAILED, will_retry_until=NOW)))[1:]
    ]
    assert told == ["Wed, 18 Nov 2026 11:07:40 +0000", None]


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (Action.FAILED, "5.0.0"),
        (Action.DELAYED, "4.0.0"),
        (Action.RELAYED, "2.0.0"),
        (Action.EXPANDED, "2.0.0"),
    ],
)
def test_a_status_that_is_none_is_replaced(action, status):
    """A status always has the three numbers of RFC 3463."""
    assert status == blocks(of(replace(FAILED, action=action, status="5.x\r\nEvil: yes")))[1]["Status"]


def test_words_of_the_provider_in_another_alphabet():
    """A delivery status is ASCII: other words are encoded, and lose nothing."""
    said = "неверный номер, " * 10
    block = blocks(of(replace(FAILED, text=said)))[1]
    kind, _, value = block["Diagnostic-Code"].partition("; ")
    assert kind == "X-SMSC"
    assert f"7 {said}".strip() == str(make_header(decode_header(value)))


# -- as people read it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "english", "russian"),
    [
        (FAILED, "Not delivered: 79991234567@sms.example.com", "Не доставлено: 79991234567@sms.example.com"),
        (DELAYED, "Delayed: oncall@sms.example.com", "Задерживается: oncall@sms.example.com"),
        (
            replace(DELAYED, action=Action.RELAYED),
            "Accepted by SMSC: oncall@sms.example.com",
            "Принято SMSC: oncall@sms.example.com",
        ),
        (
            replace(DELAYED, action=Action.DELIVERED),
            "Delivered: oncall@sms.example.com",
            "Доставлено: oncall@sms.example.com",
        ),
        (
            replace(DELAYED, action=Action.EXPANDED),
            "Passed on: oncall@sms.example.com",
            "Передано дальше: oncall@sms.example.com",
        ),
        (
            replace(DELAYED, action=Action.RELAYED, unknown=True),
            "Unknown whether delivered: oncall@sms.example.com",
            "Неизвестно, доставлено ли: oncall@sms.example.com",
        ),
    ],
)
def test_the_subject_says_what_happened_to_whom(entry, english, russian):
    """The subject alone is enough on a small screen."""
    assert english == subject(of(entry))
    assert russian == subject(of(entry, language="ru"))


def test_the_subject_says_the_worst():
    """Of several fates the worst is in the subject, with the count of those that share it."""
    other = replace(FAILED, address="2@sms.example.com")
    assert (
        subject(of(DELIVERED, FAILED, other, DELAYED))
        == "Not delivered: 79991234567@sms.example.com and 1 more"
    )


def test_a_report_about_nobody():
    """Even a report without entries is a mail."""
    assert subject(of()) == "Report about your mail"


def test_people_read_it_first():
    """The first part says of each recipient what is known, grouped by what happened."""
    read = text(of(DELIVERED, replace(FAILED, members=3, affected=1), DELAYED))
    for each in [
        "of the relay at sms.example.com about a mail that you sent.",
        "Subject: Disk full",
        "Received: 2026-11-18 11:06:35 UTC",
        "Message-ID: <alarm-1@example.com>",
        "Number at the relay: 01hzy3k9qwert",
        "NOT DELIVERED * 79991234567@sms.example.com (SMS, phone +79991234567)",
        "The provider says that the number is not valid.",
        "This concerns 1 of the 3 recipients behind this address.",
        "The provider says: error 7 invalid number",
        "Status: 5.1.3",
        "Number at the provider: 0123456789abc",
        "Parts: 2",
        "Cost: 3.50",
        "Last attempt: 2026-11-18 11:06:39 UTC",
        "What was sent: Disk full on db1",
        "Please note: The text was cut to 1000 characters.",
        "Check the number or address",
        "Will be tried until: 2026-11-18 11:07:40 UTC",
        "there is no need to send the mail again.",
        "The message has arrived.",
    ]:
        assert each in read
    assert read.index("1234567@") < read.index("oncall@") < read.index("78005553535@")


def test_it_is_read_in_russian():
    """Everything that is ours is said in Russian, the notes are quoted."""
    read = text(of(FAILED, language="ru"))
    for each in [
        "Это автоматический отчёт шлюза sms.example.com",
        "НЕ ДОСТАВЛЕНО * 79991234567@sms.example.com (SMS, телефон +79991234567)",
        "По словам провайдера, это не номер телефона.",
        "Ответ провайдера: ошибка 7 invalid number",
        "Обратите внимание: The text was cut to 1000 characters.",
        "Проверьте номер или адрес",
    ]:
        assert each in read


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_what_nobody_knows_is_said_as_that(language):
    """An unknown fate is neither a failure nor a success, and its status explains nothing."""
    entry = replace(FAILED, unknown=True, status="4.4.1", code="245", reason="No word came in a day.")
    read = text(of(entry, language=language))
    assert "No word came in a day." in read
    assert words.say(language, "advice.unknown") in read
    assert words.say(language, "title.unknown") in read
    assert words.say(language, "title.failed") not in read


def test_hidden_numbers_stay_hidden():
    """Without a phone nothing is said of one, to people or machines."""
    entry = replace(FAILED, address="oncall@sms.example.com", phone="")
    assert "999" not in text(of(entry))
    assert blocks(of(entry))[1]["X-SMSC-Phone"] is None


def test_english_stays_readable_as_it_is():
    """An English report is not encoded at all; with some foreign words most of it still is not."""
    assert b"Check the number or address" in written(REPORT)
    assert b"Check the number or address" in written(replace(REPORT, subject="Диск 95 %"))
    assert "Subject: Диск 95 %" in text(replace(REPORT, subject="Диск 95 %"))


# -- the original -------------------------------------------------------------------------


def test_the_header_comes_back():
    """The third part is the header as it came."""
    assert HEAD.decode() == original(REPORT).get_payload()


def test_nothing_comes_back_where_nothing_is_known():
    """Without a header there is no third part."""
    assert len(parsed(replace(REPORT, head=b"")).get_payload()) == 2


@pytest.mark.parametrize(
    "head",
    [
        "Subject: Диск\r\n".encode("koi8-r"),
        "Subject: Диск\r\n".encode(),
        b"Subject: " + b"x" * 1000 + b"\r\n",
        b"Subject: a\0b\r\n",
    ],
)
def test_a_broken_header_comes_back_whole(head):
    """Eight bits, long lines and NULs survive in quoted-printable, and the mail stays ASCII."""
    report = replace(REPORT, head=head)
    assert written(report).isascii()
    assert head.rstrip() == original(report).get_payload(decode=True).rstrip()


def test_the_whole_mail_comes_back():
    """With RET=FULL the third part is the mail itself."""
    mail = HEAD + b"\r\nDisk is full.\r\n"
    part = original(replace(REPORT, full=mail))
    assert part.get_content_type() == "message/rfc822"
    assert part.get_payload(0).get_payload().strip() == "Disk is full."
    assert b"\r\n\r\n" + mail in written(replace(REPORT, full=mail))


def test_a_whole_mail_is_made_fit_to_travel():
    """Lines that are too long are broken, line ends repaired, NULs dropped; eight bits are announced."""
    mail = HEAD.replace(b"\r\n", b"\r") + b"\n\xd0\x94\0" + b"x" * 3000 + b"\r\n"
    octets = written(replace(REPORT, full=mail))
    assert b"\0" not in octets
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    outer, inner = email.message_from_bytes(octets), email.message_from_bytes(octets).get_payload(2)
    assert [outer["Content-Transfer-Encoding"], inner["Content-Transfer-Encoding"]] == ["8bit", "8bit"]
    assert inner.get_payload(0)["Subject"] == "Disk full"


def test_a_boundary_that_stands_in_the_mail_is_changed():
    """A mail that quotes the boundary can't end a part."""
    report = replace(REPORT, head=HEAD + b"X-Evil: --=_b0undary--\r\n")
    assert len(parsed(report).get_payload()) == 3
    assert b'boundary="=_b0undary"' not in written(report)


def test_an_unusable_boundary_has_a_stand_in():
    """Only letters and a few signs are taken from the boundary that was asked for."""
    octets = dsn.compose(REPORT, message_id="<r@x>", boundary='"\r\n', now=NOW)
    assert b'boundary="=_report"' in octets


# -- SMTPUTF8 -----------------------------------------------------------------------------

WIDE = replace(
    REPORT,
    to="ольга@example.com",
    utf8=True,
    head="Subject: Диск\r\n".encode(),
    entries=(replace(FAILED, address="иван@пример.рф", orcpt="utf-8;\\x{438}@x.example"),),
)


def test_a_report_in_utf8():
    """Who used SMTPUTF8 gets the global types of RFC 6533, addresses as they are."""
    mail = parsed(WIDE)
    kinds = ["text/plain", "message/global-delivery-status", "message/global-headers"]
    assert kinds == [part.get_content_type() for part in mail.get_payload()]
    octets = written(WIDE).decode()
    assert "\r\nTo: ольга@example.com\r\n" in octets
    assert "\r\nFinal-Recipient: utf-8; иван@пример.рф\r\n" in octets
    assert "\r\nOriginal-Recipient: utf-8; и@x.example\r\n" in octets
    assert "\r\nSubject: Диск\r\n" in octets
    assert mail["Content-Transfer-Encoding"] == "8bit"


def test_a_narrowed_report_is_ascii():
    """For a smarthost without SMTPUTF8 the same is said in ASCII escapes."""
    report = dsn.narrowed(replace(WIDE, full="Subject: Диск\r\n\r\nДиск\r\n".encode()))
    assert written(report).isascii()
    block = blocks(report)[1]
    assert block["Original-Recipient"] == "utf-8; \\x{438}@x.example"
    assert block["Final-Recipient"].startswith("utf-8; \\x{438}\\x{432}")
    assert str(make_header(decode_header(parsed(report)["To"].removesuffix(":;")))) == "ольга@example.com"


def test_plain_addresses_need_no_utf8():
    """A sender who could use SMTPUTF8 but did not need it gets a report that any parser knows."""
    report = replace(REPORT, utf8=True)
    assert written(report) == written(REPORT)


def test_a_whole_mail_in_utf8():
    """With a header in UTF-8 the whole mail is a message/global."""
    mail = "Subject: Диск\r\n\r\nДиск\r\n".encode()
    assert original(replace(WIDE, full=mail)).get_content_type() == "message/global"
    assert original(replace(REPORT, full=mail)).get_content_type() == "message/rfc822"


def test_a_header_that_is_not_utf8_is_quoted():
    """Even with SMTPUTF8 only UTF-8 travels as it is."""
    head = b"Subject: \xff\r\n"
    part = original(replace(WIDE, head=head))
    assert part.get_content_type() == "text/rfc822-headers"
    assert head.strip() == part.get_payload(decode=True).strip()


def test_an_address_that_no_header_can_hold():
    """A sender's address outside the grammar is not quoted into To."""
    assert parsed(replace(REPORT, to="a@b, c@d"))["To"] == "undisclosed-recipients:;"


# -- whatever it holds --------------------------------------------------------------------

wild = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "a\r\nBcc: evil@x.example",
            "a\n\n--=_b0undary\nContent-Type: text/html",
            "\ud800\u2028\u202e\x00\x85",
            "=?utf-8?B?0JTQuNGB0Lo=?=",
            "x" * 3000,
            "я" * 3000,
            "utf-8;\\x{0A}\\x{D800}\\x{1F600}\\x{FFFFFF}" + "и" * 900,
            "rfc822;a+0D+0AEvil: yes@x",
            "<a@b>\r\n <c@d>",
            '"\\' * 300 + "@x",
            " ",
        ]
    ),
)
number = st.one_of(st.integers(), st.integers(min_value=NOW, max_value=NOW + 10**9))
entries = st.builds(
    Entry,
    address=wild,
    action=st.sampled_from(Action),
    status=wild,
    reason=wild,
    orcpt=wild,
    channel=wild,
    code=wild,
    text=wild,
    remote=wild,
    phone=wild,
    id=wild,
    parts=number,
    cost=wild,
    members=number,
    affected=number,
    last_attempt=number,
    will_retry_until=number,
    unknown=st.booleans(),
    notes=st.lists(wild, max_size=2).map(tuple),
    excerpt=wild,
)
octets = st.one_of(st.binary(max_size=200), wild.map(lambda each: each.encode(errors="replace")))
reports = st.builds(
    Report,
    to=wild,
    from_=wild,
    hostname=wild,
    language=st.sampled_from(["en", "ru", "xx"]),
    envid=wild,
    arrival=number,
    subject=wild,
    message_id=wild,
    references=wild,
    mail_id=wild,
    head=octets,
    full=st.none() | octets,
    utf8=st.booleans(),
    entries=st.lists(entries, max_size=3).map(tuple),
)

TOP = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
}
FIELDS = {
    "Reporting-MTA",
    "Original-Envelope-Id",
    "Arrival-Date",
    "X-Queue-Id",
    "Original-Recipient",
    "Final-Recipient",
    "Action",
    "Status",
    "Remote-MTA",
    "Diagnostic-Code",
    "Last-Attempt-Date",
    "Will-Retry-Until",
    "X-SMSC-Phone",
    "X-SMSC-Id",
    "X-SMSC-Parts",
    "X-SMSC-Cost",
}


@settings(max_examples=60, deadline=None)
@given(report=reports, message_id=wild)
def test_nothing_breaks_out_of_a_report(report, message_id):
    """Whatever any field holds: lines end with CR LF, are short, and no header or field is added."""
    mail = dsn.compose(report, message_id=message_id, boundary="=_b0undary", now=NOW)
    assert re.search(rb"\r(?!\n)|(?<!\r)\n|\0", mail) is None
    assert max(map(len, mail.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(mail)
    assert set(message.keys()) <= TOP
    assert len(message.keys()) == len(set(message.keys()))
    assert message.get_content_type() == "multipart/report"
    assert 2 <= len(message.get_payload()) <= 3
    assert dsn.compose(dsn.narrowed(report), message_id=message_id, boundary="b", now=NOW).isascii()


@settings(max_examples=60, deadline=None)
@given(report=reports)
def test_the_status_is_read_back_whole(report):
    """One block for the mail and one for each recipient, with known fields and the same actions."""
    message, *recipients = blocks(dsn.narrowed(report))
    assert {name for block in [message, *recipients] for name in block} <= FIELDS
    if report.entries:
        assert [each.action.value for each in report.entries] == [block["Action"] for block in recipients]
        assert all(re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", block["Status"]) for block in recipients)


word = st.text("abcXYZ019.+-_", min_size=1, max_size=20)
plain_entries = st.builds(
    Entry,
    address=st.builds("{}@{}.example".format, word, st.text("abc09", min_size=1, max_size=10)),
    action=st.sampled_from([Action.FAILED, Action.DELAYED]),
    status=st.sampled_from(["5.1.3", "4.4.7", "5.7.1"]),
    reason=wild,
    text=wild,
    excerpt=wild,
    notes=st.lists(wild, max_size=2).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(
    found=st.lists(plain_entries, min_size=1, max_size=4, unique_by=lambda each: each.address),
    language=st.sampled_from(words.LANGUAGES),
)
def test_recipients_are_read_back_as_they_were(found, language):
    """Parsers get the same addresses, statuses and actions, whatever the texts beside them hold."""
    report = of(*found, language=language)
    recipients = blocks(report)[1:]
    assert [f"rfc822; {each.address}" for each in found] == [block["Final-Recipient"] for block in recipients]
    assert [(each.status, each.action) for each in found] == [
        (block["Status"], block["Action"]) for block in recipients
    ]
    failed = frozenset(each.address.encode() for each in found if each.action is Action.FAILED)
    assert failed == scan_message(parsed(report))


def test_the_modern_parser_finds_no_fault():
    """The standard library's strict view of the mail has no defects to name."""
    mail = email.message_from_bytes(written(REPORT), policy=email.policy.default)
    assert [defect for part in mail.walk() for defect in part.defects] == []
    assert mail["From"].addresses[0].addr_spec == "postmaster@sms.example.com"
