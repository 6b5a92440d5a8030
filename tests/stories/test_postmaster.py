"""Mail to the postmaster reaches the operator by the smarthost of the reports (RFC 5321 section 4.5.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faults import bare, to
from harness import SENDER, journey, settings
from nexthop import NextHop, nexthop

from relay.config import Config, Sender, Smarthost

DUTY = "duty@office.example"


def operated(folder: Path, hop: NextHop, **changes: Any) -> Config:
    """The operator's mail leaves by this server, as the reports do."""
    where = Smarthost(host="127.0.0.1", port=hop.port, tls="none")
    reports = {"gather": 0, "operator": DUTY, "smtp": where, "maildir": None}
    return settings(folder, reports=reports, **changes)


@pytest.mark.asyncio
async def test_the_operator_gets_it_as_it_was_written(tmp_path: Path) -> None:
    """With and without a domain, in any case, beside a phone; at no cost, and no phone hears of it."""
    async with nexthop() as hop, journey(tmp_path, config=operated(tmp_path, hop)) as relay:
        people = ["PostMaster", "postmaster@sms.example.com", to("4567")]
        answers = await relay.mail(bare(), people)
        await relay.pass_time(5)

        assert ["250"] * 5 == [each[:3] for each in answers]
        (taken,) = hop.taken
        assert [f"RCPT TO:<{DUTY}>"] * 2 == [each[: len(DUTY) + 10] for each in taken.rcpts]
        assert taken.content == bare().replace("\n", "\r\n").encode()
        assert ["+79991234567"] == [sent["phones"] for sent in relay.sends()]


@pytest.mark.asyncio
async def test_what_the_operator_s_server_refuses_comes_back(tmp_path: Path) -> None:
    """To who wrote it, under the address that he wrote. A null sender hears nothing."""
    async with nexthop() as hop, journey(tmp_path, config=operated(tmp_path, hop)) as relay:
        hop.answers[f"RCPT TO:<{DUTY}"] = "550 5.1.1 no such user"
        await relay.mail(bare(), "postmaster")
        await relay.mail(bare("again"), "postmaster", sender="")
        await relay.pass_time(30)

        assert ["failed", "failed"] == [order.state.value for order in await relay.orders()]
        (report,) = hop.taken
        assert (f"RCPT TO:<{SENDER}>", True) == (
            report.rcpts[0][: len(SENDER) + 10],
            b"Final-Recipient: rfc822; postmaster\r\n" in report.data,
        )
        assert DUTY.encode() not in report.data


@pytest.mark.asyncio
async def test_a_circle_ends(tmp_path: Path) -> None:
    """The smarthost gives it back to us: after fifty Received lines it is refused."""
    async with nexthop() as hop, journey(tmp_path, config=operated(tmp_path, hop)) as relay:
        answers = await relay.mail("Received: from x\n" * 51 + bare(), "postmaster", sender="")
        assert "554 5.4.6" == answers[-1][:9]
        assert [] == await relay.orders()


@pytest.mark.asyncio
async def test_it_opens_no_relay(tmp_path: Path) -> None:
    """Who may not send may not write to the postmaster; who may can't choose where his mail goes."""
    house = (Sender.model_validate({"name": "house", "from": ["*@mon.example.com"]}),)
    async with nexthop() as hop, journey(tmp_path, config=operated(tmp_path, hop, senders=house)) as relay:
        stranger = await relay.mail(bare(), "postmaster", sender="x@evil.example")
        answers = await relay.mail(bare(), ["postmaster", "postmaster@evil.example", DUTY])
        await relay.pass_time(5)

        assert "550 5.7.1" == stranger[0][:9]
        assert [f"RCPT TO:<{DUTY}>"] == [each[: len(DUTY) + 10] for each in hop.taken[0].rcpts]
        assert "250" == answers[1][:3]


@pytest.mark.asyncio
async def test_without_an_operator_it_is_refused(tmp_path: Path) -> None:
    """With what is missing."""
    async with journey(tmp_path, config=settings(tmp_path)) as relay:
        answers = await relay.mail(bare(), "postmaster")
        assert (
            "550 5.1.1 no postmaster here: reports.operator names nobody whom mail would reach" == answers[1]
        )
