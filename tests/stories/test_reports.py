"""What senders hear, and what must never be answered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP
from harness import PATIENCE, Journey, StillClock, journey, settings
from mortal import Mortal

from relay.config import Smarthost
from relay.delivery.news import news_of
from relay.model import Kind, Outcome
from relay.report import transport

BAD = "79991232006@sms.example.com"
GOOD = "79991234567@sms.example.com"
MAIL = """\
From: ops@mon.example.com
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

full
"""


@pytest.mark.asyncio
async def test_the_null_sender_is_never_answered(relay: Journey) -> None:
    """A monitor's null sender reaches the phone, and nobody gets a report."""
    await relay.mail(MAIL, BAD, sender="")
    await relay.pass_time(120)

    assert "failed" == (await relay.order()).state
    assert [] == relay.reports()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=x",
    ],
)
async def test_bounces_and_auto_replies_become_no_message(relay: Journey, header: str) -> None:
    """Refused at DATA on phone channels, and not answered with a report."""
    replies = await relay.mail(f"{header}\n{MAIL}", GOOD)
    await relay.pass_time(60)

    assert "550 5.7.1" == replies[-1][:9]
    assert [] == relay.sandbox.messages
    assert [] == relay.reports()


@pytest.mark.asyncio
async def test_generated_mail_is_sent_and_gets_its_bounce(relay: Journey) -> None:
    """Cron has a sender: it hears."""
    await relay.mail(f"Auto-Submitted: auto-generated\n{MAIL}", BAD)
    await relay.pass_time(120)

    assert 1 == len(relay.reports())


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("notify", "to", "subject"),
    [
        ("NEVER", BAD, ""),
        ("SUCCESS", BAD, ""),
        ("FAILURE", BAD, "Not delivered"),
        ("SUCCESS", GOOD, "Delivered"),
        ("FAILURE,DELAY", GOOD, ""),
    ],
)
async def test_notify_beats_the_configuration(relay: Journey, notify: str, to: str, subject: str) -> None:
    """RFC 3461: what the client asked for, and nothing else; ENVID and ORCPT come back."""
    await relay.mail(
        MAIL,
        to,
        options=["RET=HDRS", "ENVID=Qq314159"],
        rcpt_options=[f"NOTIFY={notify}", "ORCPT=rfc822;Bob+40Example.com"],
    )
    await relay.pass_time(120)

    assert [subject] * bool(subject) == [report["Subject"].split(":")[0] for report in relay.reports()]
    for report in relay.reports():
        assert "Original-Envelope-Id: Qq314159" in report.as_string()
        assert "Original-Recipient: rfc822;" in report.as_string()
        assert "Bob" in report.as_string()


@pytest.mark.both
@pytest.mark.asyncio
async def test_ret_full_returns_the_whole_mail_with_a_failure(relay: Journey) -> None:
    """And the header alone otherwise."""
    await relay.mail(MAIL, BAD, options=["RET=FULL"])
    await relay.pass_time(120)
    await relay.mail(MAIL.replace("<1@", "<2@"), "79991232011@sms.example.com")
    await relay.pass_time(120)

    full, head = relay.reports()
    assert "message/rfc822" in [part.get_content_type() for part in full.walk()]
    assert "text/rfc822-headers" in [part.get_content_type() for part in head.walk()]
    assert "\nfull" not in str(list(head.walk())[-1])


@pytest.mark.asyncio
@pytest.mark.parametrize(("success", "subjects"), [("accepted", ["Accepted"]), ("delivered", ["Delivered"])])
async def test_success_is_told_where_it_is_wanted(tmp_path: Path, success: str, subjects: list[str]) -> None:
    """Once, at the step that the configuration names."""
    config = settings(tmp_path, reports={"gather": 0, "success": success})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, GOOD)
        await relay.pass_time(120)

        assert subjects == [report["Subject"].split(" ")[0].rstrip(":") for report in relay.reports()]


@pytest.mark.asyncio
async def test_a_sender_that_anybody_could_write_gets_no_report(tmp_path: Path) -> None:
    """Admitted by `from` alone: not verified, so no backscatter."""
    config = settings(tmp_path)
    sender = config.senders[0].model_copy(update={"networks": None, "from_": ("*@mon.example.com",)})
    config = config.model_copy(update={"senders": (sender,)})
    async with journey(tmp_path, config=config) as relay:
        replies = await relay.mail(MAIL, BAD)
        stranger = await relay.mail(MAIL, BAD, sender="x@elsewhere.example")
        await relay.pass_time(120)

        assert "250" == replies[-1][:3]
        assert "550 5.7.1" == stranger[0][:9]
        assert [] == relay.reports()


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("number", "expire", "subjects"),
    [
        ("79991230003", 3_600_000, ["Delayed", "Not delivered"]),
        ("79991230009", 86_400_000, ["Delayed", "Delivered"]),
    ],
)
async def test_a_delay_ends_in_a_report_of_its_own(
    tmp_path: Path, number: str, expire: int, subjects: list[str]
) -> None:
    """Warned once; then what came of it."""
    config = settings(tmp_path, reports={"gather": 0, "delay": 30_000, "success": "delivered"})
    route = config.routes[0].model_copy(update={"expire": expire})
    config = config.model_copy(update={"routes": (route,)})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, f"{number}@sms.example.com")
        await relay.pass_time(7200)

        assert subjects == [report["Subject"].split(":")[0] for report in relay.reports()]
        late = [report for report in relay.reports() if "Will-Retry-Until" in report.as_string()]
        assert ["Delayed"] == [report["Subject"].split(":")[0] for report in late]


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_arrives_after_it_had_failed_is_told(relay: Journey) -> None:
    """The provider changes its mind: one more report, of a delivery, that says so; and no third."""
    await relay.mail(MAIL, BAD)
    await relay.pass_time(120)
    good = Outcome(kind=Kind.DELIVERED, status="2.1.5", reason="delivered", code="status 1")
    for _ in range(2):
        await relay.app.settler.settle([news_of((await relay.order()).id, good)])
        await relay.pass_time(120)

    failed, delivered = relay.reports()
    assert ["Not delivered", "Delivered"] == [each["Subject"].split(":")[0] for each in (failed, delivered)]
    assert "You were told before" in next(delivered.iter_parts()).get_content()
    assert "Action: delivered" in delivered.as_string()
    assert "failed" == (await relay.order()).state


class Sink:
    """A smarthost that is down at first, then keeps what it is given."""

    def __init__(self) -> None:
        self.answers = ["451 4.3.0 not now"]
        self.mails: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop()
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 2.0.0 taken"


@pytest.mark.both
@pytest.mark.asyncio
async def test_reports_go_to_a_smarthost_and_are_tried_again(tmp_path: Path) -> None:
    """A null return path, one mail however often it was tried, one report for two failures."""
    import asyncio  # noqa: PLC0415

    sink = Sink()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(sink, hostname="sink", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    config = settings(
        tmp_path,
        reports={
            "gather": 10_000,
            "maildir": None,
            "smtp": Smarthost(host="127.0.0.1", port=port, tls="none"),
            "language": "ru",
        },
    )
    async with journey(tmp_path, clock=StillClock(), config=config) as relay:
        await relay.mail(MAIL, [BAD, "79991232011@sms.example.com"])
        await relay.pass_time(180)
    server.close()

    ((sender, recipients, content),) = sink.mails
    assert ("<>", ["ops@mon.example.com"]) == (sender, recipients)
    assert 2 == content.count(b"Final-Recipient:")
    assert b"Auto-Submitted: auto-replied" in content


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_report_under_way_goes_out_after_any_number_of_deaths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever life had it under way, the next that lives sends it at once, not when its time is over."""
    begun = asyncio.Event()

    async def never(*_arguments: object, **_more: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    world = Mortal(tmp_path)
    await world.begin()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(transport, "deliver", never)
            await world.relay.mail(MAIL, "79991232006@sms.example.com")
            for _life in range(3):
                begun.clear()
                async with asyncio.timeout(PATIENCE):
                    while not begun.is_set():
                        world.clock.set(world.clock.now() + 1000)
                        await asyncio.sleep(0.01)
                await world.die()
                await world.start()
        await world.relay.until(world.relay.reports, "the report")
        await world.pass_time(3600)
        assert 1 == len(world.relay.reports())
    finally:
        await world.end()
