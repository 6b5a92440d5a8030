"""What answers is neither sent nor answered; what a machine writes is sent, and its sender hears."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import StillClock, journey, settings

LOOPS = Path(__file__).parent.parent / "mails" / "loops"
MAILS = {path.stem: path.read_bytes() for path in sorted(LOOPS.glob("*.eml"))}
ANSWERS = {name: mail for name, mail in MAILS.items() if name < "200"}
MACHINES = {name: mail for name, mail in MAILS.items() if name >= "200"}


def phone(name: str, fate: str) -> str:
    """A number for this mail alone."""
    return f"7999{name[:3]}{fate}@sms.example.com"


@pytest.mark.asyncio
async def test_no_answer_becomes_a_message_or_a_report(tmp_path: Path) -> None:
    """Not even where its sender is no null one, and its number would fail."""
    async with journey(tmp_path, clock=StillClock(), config=settings(tmp_path)) as relay:
        said = {name: await relay.mail(mail, phone(name, "2006")) for name, mail in ANSWERS.items()}
        await relay.pass_time(600)

        assert {"550 5.7.1"} == {replies[-1][:9] for replies in said.values()}
        assert [] == relay.sandbox.messages
        assert [] == relay.reports()


@pytest.mark.asyncio
async def test_an_answer_that_is_sent_and_fails_is_not_reported(tmp_path: Path) -> None:
    """With loops: send, NOTIFY or not: an answer to an answer is how loops begin (RFC 3834 section 2)."""
    config = settings(tmp_path, reports={"gather": 0, "success": "delivered"})
    route = config.routes[0].model_copy(update={"loops": "send"})
    config = config.model_copy(update={"routes": (route,)})
    async with journey(tmp_path, clock=StillClock(), config=config) as relay:
        for name, mail in ANSWERS.items():
            await relay.mail(mail, phone(name, "2006"), rcpt_options=["NOTIFY=SUCCESS,FAILURE,DELAY"])
        await relay.pass_time(600)

        assert len(ANSWERS) == len(await relay.orders())
        assert {"failed"} == {order.state for order in await relay.orders()}
        assert [] == relay.reports()


@pytest.mark.asyncio
async def test_machines_reach_the_phone_and_hear_of_failures(tmp_path: Path) -> None:
    """With a sender they get their bounce; a monitor's null sender is served and never answered."""
    async with journey(tmp_path, clock=StillClock(), config=settings(tmp_path)) as relay:
        for name, mail in MACHINES.items():
            await relay.mail(mail, phone(name, "4567"), sender="")
            await relay.mail(mail, phone(name, "2006"))
        await relay.pass_time(600)

        delivered = [order for order in await relay.orders() if order.state == "delivered"]
        assert len(MACHINES) == len(delivered)
        assert len(MACHINES) == len(relay.reports())
