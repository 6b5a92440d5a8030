"""What a client asks for at MAIL, end to end: to deliver a mail in time, to let it go first."""

from __future__ import annotations

from pathlib import Path

import aiosmtplib
import pytest
from faults import ALWAYS, Line, bare, change_route, oncall, to
from harness import SENDER, START, Journey, journey, settings

from relay.config import Quiet
from relay.config.shape import Sender
from relay.model import HOUR, MINUTE, SECOND

DAYS = 24 * HOUR


def told(relay: Journey, field: str) -> list[str]:
    """What the reports say in this field, in their order."""
    lines = "".join(report.as_string() for report in relay.reports()).splitlines()
    return [line.removeprefix(f"{field}: ") for line in lines if line.startswith(f"{field}: ")]


def actions(relay: Journey) -> list[str]:
    """What the reports say of the recipients."""
    return told(relay, "Action")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("option", "kept"),
    [
        ("HOLDFOR=3600", "for;3600"),
        ("holduntil=2027-01-15t10:00:00+01:00", "until;2027-01-15t10:00:00+01:00"),
        ("HOLDUNTIL=2026-01-15T10:00:00Z", "until;2026-01-15T10:00:00Z"),
    ],
)
async def test_a_report_names_the_hold_as_it_was_asked_for(relay: Journey, option: str, kept: str) -> None:
    """RFC 4865 section 5.1.2: the value of the parameter itself, and when the mail came."""
    await relay.mail(bare(), to("0007"), options=[option])
    await relay.pass_time(3700)

    assert (["failed"], [kept]) == (actions(relay), told(relay, "Future-Release-Request"))
    assert (["Fri, 15 Jan 2027 08:00:00 +0000"], []) == (
        told(relay, "Arrival-Date"),
        told(relay, "Deliver-By-Date"),
    )


# -- DELIVERBY (RFC 2852) -----------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("seconds", "valid", "waits"),
    [
        (120, "00:01", MINUTE),
        (1200, "00:15", 5 * MINUTE),
        (3600, "00:45", 15 * MINUTE),
        (2**31, "24:00", DAYS),
    ],
)
async def test_the_time_is_shared_by_queue_and_provider(
    relay: Journey, seconds: int, valid: str, waits: int
) -> None:
    """What waits here last plus what the provider may take never exceeds it."""
    seconds = min(seconds, 999_999_999)
    await relay.mail(bare(), to("4567"), options=[f"BY={seconds};R"])
    order = await relay.order()
    await relay.pass_time(5)

    (sent,) = relay.sends()
    hours, minutes = map(int, valid.split(":"))
    assert (valid, START + waits) == (sent["valid"], order.expire_at)
    assert waits + hours * HOUR + minutes * MINUTE <= seconds * SECOND


@pytest.mark.asyncio
async def test_what_can_t_go_in_time_comes_back(relay: Journey) -> None:
    """The provider is away: the order fails while it could still be late, and its sender hears."""
    Line(relay, ALWAYS)
    await relay.mail(bare(), to("4567"), options=["BY=1200;R"])
    await relay.pass_time(301)

    order = await relay.order()
    assert ("failed", "5.4.7", ["failed"], ["5.4.7"]) == (
        order.state,
        order.status,
        actions(relay),
        told(relay, "Status"),
    )
    assert (["Fri, 15 Jan 2027 08:00:00 +0000"], ["Fri, 15 Jan 2027 08:20:00 +0000"]) == (
        told(relay, "Arrival-Date"),
        told(relay, "Deliver-By-Date"),
    )


@pytest.mark.asyncio
async def test_what_ran_out_of_time_at_the_provider_comes_back(relay: Journey) -> None:
    """The phone is off until `valid` is over: the same status. Where nobody set a time, it is 4.4.7."""
    await relay.mail(bare(), to("0130"), options=["BY=1200;R"])
    await relay.mail(bare("two"), to("0130"))
    await relay.pass_time(2 * 86400)

    said = [report.as_string() for report in relay.reports()]
    found = [("\nStatus: 5.4.7\n" in each, "\nDeliver-By-Date: " in each) for each in said]
    assert (["failed", "failed"], ["4.4.7", "5.4.7"]) == (actions(relay), sorted(told(relay, "Status")))
    assert [(False, False), (True, True)] == sorted(found)  # of one moment either may be mailed first


@pytest.mark.asyncio
async def test_who_shares_its_fate_is_told_his_own(relay: Journey) -> None:
    """Two mails of one text: one was to come back in time, the other set no time."""
    await relay.mail(bare(), to("0130"), options=["BY=1200;R"])
    await relay.mail(bare(), to("0130"))
    await relay.pass_time(2 * 86400)

    assert 1 == len(relay.sends())
    assert ["4.4.7", "5.4.7"] == sorted(told(relay, "Status"))


@pytest.mark.asyncio
async def test_valid_of_the_address_is_only_made_shorter(relay: Journey) -> None:
    """An hour that the sender wants at most stays an hour."""
    change_route(relay, allow=("valid",))
    await relay.mail(bare(), "79991234567+valid=1@sms.example.com", options=["BY=80000;R"])
    await relay.mail(bare(), "79991234568+valid=9@sms.example.com", options=["BY=3600;R"])
    await relay.pass_time(5)

    assert ["01:00", "00:45"] == [each["valid"] for each in relay.sends()]


@pytest.mark.asyncio
async def test_where_nothing_can_be_promised_the_recipient_is_refused(relay: Journey) -> None:
    """A call has no `valid`; quiet hours and times leave the moment to others. The rest is served."""
    people = [to("4567"), "79991234567@call.example.com", "bob@people.example"]
    first = await relay.mail(bare(), people, options=["BY=600;R"])
    change_route(relay, allow=("time",))
    second = await relay.mail(bare(), "79991234567+time=9-21@sms.example.com", options=["BY=600;R"])
    change_route(relay, quiet=Quiet(hours="22-7", by="hold"))
    third = await relay.mail(bare(), to("4567"), options=["BY=600;R"])

    assert ["250 2.1.5", "550 5.3.3", "550 5.3.3", "250 2.0.0"] == [each[:9] for each in first[1:]]
    assert ["550 5.3.3"] == [each[:9] for each in second[1:]]
    assert ["550 5.3.3"] == [each[:9] for each in third[1:]]
    assert 1 == len(await relay.orders())


@pytest.mark.asyncio
async def test_a_header_that_leaves_the_moment_open_is_refused_with_the_mail(relay: Journey) -> None:
    """What only the mail says is judged at its end."""
    change_route(relay, allow=("time",))
    mail = bare().replace("Subject:", "X-SMSC-Time: 9-21\nSubject:")
    answers = await relay.mail(mail, to("4567"), options=["BY=600;R"])

    assert "550 5.3.3" == answers[-1][:9]


@pytest.mark.asyncio
async def test_no_digest_carries_what_must_arrive_in_time(relay: Journey) -> None:
    """A storm sends such mails one by one, or gives them back."""
    for number in range(14):
        await relay.mail(bare(f"alarm {chr(97 + number) * 3}"), to("4567"), options=["BY=1200;R"])
    await relay.pass_time(1300)

    valid = [each.get("valid", "none") for each in relay.sends()]
    assert ["00:15"] * len(valid) == valid
    states = {order.state for order in await relay.orders()}
    assert states <= {"delivered", "failed"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("notify", "wanted"), [("", ["delayed"]), (" NOTIFY=DELAY", ["delayed"]), (" NOTIFY=FAILURE", [])]
)
async def test_who_wants_to_be_told_is_told_then(tmp_path: Path, notify: str, wanted: list[str]) -> None:
    """N: a delay report at the moment, whatever `reports.delay` says; NOTIFY may decline it."""
    async with journey(tmp_path, config=settings(tmp_path, reports={"gather": 0, "delay": 0})) as relay:
        Line(relay, ALWAYS)
        options = notify.split()
        await relay.mail(bare(), to("4567"), options=["BY=600;N"], rcpt_options=options)
        await relay.pass_time(599)
        before = actions(relay)
        await relay.pass_time(2)

        assert ([], wanted) == (before, actions(relay))
        assert ["4.4.7"] * len(wanted) == told(relay, "Status")
        assert ["Fri, 15 Jan 2027 08:10:00 +0000"] * len(wanted) == told(relay, "Deliver-By-Date")


@pytest.mark.asyncio
async def test_a_time_that_was_over_before_is_named_in_reports(relay: Journey) -> None:
    """Whoever had the mail before has told of it; a warning of delay comes at its usual time."""
    Line(relay, ALWAYS)
    await relay.mail(bare(), to("4567"), options=["BY=-60;N"])
    await relay.pass_time(899)
    before = actions(relay)
    await relay.pass_time(2)

    assert ([], ["delayed"], ["4.4.7"]) == (before, actions(relay), told(relay, "Status"))
    assert ["Fri, 15 Jan 2027 07:59:00 +0000"] == told(relay, "Deliver-By-Date")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("notify", "wanted"),
    [
        ("", ["relayed"]),
        ("NOTIFY=SUCCESS", ["relayed", "delivered"]),
        ("NOTIFY=FAILURE", ["relayed"]),
        ("NOTIFY=NEVER", []),
    ],
)
async def test_a_traced_mail_is_told_of_when_it_was_passed_on(
    relay: Journey, notify: str, wanted: list[str]
) -> None:
    """T: the sender hears once the provider has it."""
    await relay.mail(bare(), to("4567"), options=["BY=600;NT"], rcpt_options=notify.split())
    await relay.pass_time(600)

    assert wanted == actions(relay)


@pytest.mark.asyncio
async def test_a_traced_alias_is_told_of_once(relay: Journey) -> None:
    """When all of its members are with the provider."""
    oncall(relay, "+79991234567", "+79991234568")
    await relay.mail(bare(), "oncall@sms.example.com", options=["BY=600;NT"])
    await relay.pass_time(600)

    assert ["relayed"] == actions(relay)


# -- MT-PRIORITY (RFC 6710, RFC 6758) -----------------------------------------------------


@pytest.mark.asyncio
async def test_what_is_urgent_goes_first(tmp_path: Path) -> None:
    """Of what is due at one moment the higher priority leaves first, whatever came first."""
    config = settings(tmp_path)
    account = config.accounts["main"].model_copy(update={"slots": 1})
    config = config.model_copy(update={"accounts": {"main": account}})
    async with journey(tmp_path, config=config) as relay:
        for number, priority in enumerate(["-9", "0", "5", "9", "-1"]):
            await relay.mail(
                bare(f"text {chr(97 + number)}"),
                to(f"456{number}"),
                options=["HOLDFOR=60", "BY=3600;R", f"MT-PRIORITY={priority}"],
            )
        await relay.pass_time(120)

        assert ["9", "5", "0", "-1", "-9"] == [
            ["-9", "0", "5", "9", "-1"][int(message.phone[-1])] for message in relay.sandbox.messages
        ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("field", "options", "rank"),
    [
        ("MT-Priority: 7", [], -14),
        ("MT-Priority: -3 (routine)", [], 6),
        ("MT-Priority: 7", ["MT-PRIORITY=2"], -4),
        ("MT-Priority: 12", [], 0),
        ("MT-Priority: high", [], 0),
    ],
)
async def test_the_mail_itself_may_say_how_urgent_it_is(
    relay: Journey, field: str, options: list[str], rank: int
) -> None:
    """Its header counts where the client said nothing."""
    await relay.mail(bare().replace("Subject:", f"{field}\nSubject:"), to("4567"), options=options)

    assert rank == (await relay.order()).rank


@pytest.mark.asyncio
async def test_a_stranger_jumps_no_queue(tmp_path: Path) -> None:
    """Who is let in by an address that anybody can write may be less urgent, not more."""
    config = settings(tmp_path, senders=(Sender.model_validate({"name": "any", "from": [SENDER]}),))
    async with journey(tmp_path, config=config) as relay:
        up = await relay.mail(bare("one"), to("4567"), options=["MT-PRIORITY=9"])
        header = bare("two").replace("Subject:", "MT-Priority: 9\nSubject:")
        await relay.mail(header, to("4568"))
        await relay.mail(bare("three"), to("4569"), options=["MT-PRIORITY=-9"])

        assert "250 2.3.6" == up[0][:9]
        assert [0, 0, 18] == [order.rank for order in await relay.orders()]


# -- LIMITS (RFC 9422), and BDAT with LMTP and outcomes -----------------------------------


@pytest.mark.asyncio
async def test_the_limit_that_is_told_is_the_one_of_the_configuration(tmp_path: Path) -> None:
    """Also once it was re-read."""
    async with journey(tmp_path, config=settings(tmp_path, max_recipients=7)) as relay:
        host, _, port = relay.app.listeners[0].address.rpartition(":")
        said = []
        for most in (7, 3):
            relay.app.adopt(relay.app.config.model_copy(update={"max_recipients": most}))
            async with aiosmtplib.SMTP(hostname=host, port=int(port), start_tls=False) as client:
                said.append((await client.ehlo()).message)
        assert [True, True] == ["LIMITS RCPTMAX=7" in said[0], "LIMITS RCPTMAX=3" in said[1]]
