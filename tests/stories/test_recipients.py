"""One transaction, several recipients: each is judged on its own and has its own fate."""

from __future__ import annotations

from pathlib import Path

import pytest
from flufl.bounce import scan_message
from harness import Journey, journey, settings

from relay.config import Alias

MAIL = """\
From: Ops <ops@mon.example.com>
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

/var is nearly full
"""


@pytest.mark.asyncio
async def test_bad_recipients_are_refused_at_rcpt_and_the_good_ones_share_a_request(relay: Journey) -> None:
    """Two good phones, a bad number, an unknown alias: two refusals at RCPT, one request for two."""
    replies = await relay.mail(
        MAIL,
        [
            "79991234567@sms.example.com",
            "7123@sms.example.com",
            "nobody@sms.example.com",
            "79991234568@sms.example.com",
        ],
    )
    await relay.pass_time(30)

    assert ["250", "250", "550", "550", "250", "250"] == [reply[:3] for reply in replies]
    assert "5.1.3" in replies[2]
    assert "5.1.1" in replies[3]
    assert "nobody" in replies[3]
    assert ["+79991234567,+79991234568"] == [params["phones"] for params in relay.sends()]


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_later_failure_is_reported_for_that_recipient_alone(relay: Journey) -> None:
    """One of two phones can't be reached: one bounce, about it and nobody else."""
    await relay.mail(MAIL, ["79991234567@sms.example.com", "79991232006@sms.example.com"])
    await relay.pass_time(60)

    (report,) = relay.reports()
    assert {b"79991232006@sms.example.com"} == set(scan_message(report))
    assert "79991234567" not in report.as_string()
    assert "Status: 4.4.7" in report.as_string()


@pytest.mark.asyncio
async def test_an_alias_is_three_orders_whose_numbers_the_sender_never_sees(tmp_path: Path) -> None:
    """Each member has a fate of its own; the report names the alias only."""
    members = ("+79991234567", "+79991232001", "+79991234569")
    config = settings(tmp_path, aliases={"oncall": Alias.model_validate({"to": list(members)})})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, "oncall@sms.example.com")
        await relay.pass_time(60)
        orders = await relay.orders()
        (report,) = relay.reports()

    assert ["delivered", "failed", "delivered"] == [order.state for order in orders]
    assert {b"oncall@sms.example.com"} == set(scan_message(report))
    text = "\n".join(str(part) for part in report.walk())
    assert not any(number.lstrip("+") in text for number in members)
    assert "1 of the 3" in report.get_body().get_content()


@pytest.mark.asyncio
async def test_what_one_channel_cannot_take_harms_no_other(relay: Journey) -> None:
    """A file that a call refuses and an SMS drops: DATA is 250, one bounce for the call."""
    mail = b"""\
From: Ops <ops@mon.example.com>
Subject: Log
Message-ID: <2@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain

see the log
--x
Content-Type: application/x-msdownload; name=tool.exe
Content-Disposition: attachment; filename=tool.exe
Content-Transfer-Encoding: base64

TVqQAAMAAAAEAAAA
--x--
"""
    replies = await relay.mail(mail, ["79991234567@sms.example.com", "79991234568@call.example.com"])
    await relay.pass_time(60)

    assert "250" == replies[-1][:3]
    (report,) = relay.reports()
    assert {b"79991234568@call.example.com"} == set(scan_message(report))
    assert "tool.exe" in report.get_body().get_content()
    assert ["see the log"] == [m.text.split("\n")[-1] for m in relay.sandbox.messages]


@pytest.mark.asyncio
async def test_data_is_refused_only_when_nobody_can_be_served(relay: Journey) -> None:
    """All recipients impossible: the reply to DATA says why, nothing is queued or reported."""
    replies = await relay.mail("From: a@b.example\n\n", "79991234567@sms.example.com")
    await relay.pass_time(60)

    assert "554 5.6.0" in replies[-1]
    assert [] == await relay.orders()
    assert [] == relay.reports()


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_group_is_one_order_whose_members_have_their_own_fates(relay: Journey) -> None:
    """Members are learnt from the provider's answer; the group is final with the last of them."""
    await relay.mail(MAIL, "g777@sms.example.com")
    await relay.pass_time(120)

    orders = await relay.orders()
    group, members = orders[0], orders[1:]
    assert "g777" == group.target
    assert "g777" == relay.sends()[0]["phones"]
    assert 3 == len(members)
    assert {group.id} == {member.parent_id for member in members}
    assert {"delivered"} == {order.state for order in orders}
