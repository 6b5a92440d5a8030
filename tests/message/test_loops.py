"""A hundred bounces and automatic answers that must not reach a phone, and mails of machines that must.

tests/mails/loops has them: below 200 what answers, from 200 on what machines write of their own accord.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config import default
from relay.message import content, orders, routes
from relay.message.drafts import Composed
from relay.model import Auto, Envelope, Recipient

LOOPS = Path(__file__).parent.parent / "mails" / "loops"
MAILS = {path.stem: path.read_bytes() for path in sorted(LOOPS.glob("*.eml"))}
ANSWERS = [name for name in MAILS if name < "200"]
MACHINES = [name for name in MAILS if name >= "200"]
PHONE = Recipient(address="79991234567@sms.example.com")


def composed(name: str, loops: str = "refuse") -> Composed:
    """What becomes of the mail on a phone route."""
    config = default()
    route = config.routes[0].model_copy(update={"loops": loops})
    envelope = Envelope(sender="", recipients=(PHONE,))
    letter = content.read(MAILS[name].replace(b"\n", b"\r\n"))
    where = [routes.resolve(PHONE.address, (route,), {})]
    return orders.compose(
        letter,
        envelope,
        where,
        now=1_800_000_000_000,
        fallback_sender="relay@example.com",
        accounts=config.accounts,
    )


def test_there_are_enough_of_them():
    """A rule that catches ten is luck."""
    assert 100 <= len(ANSWERS)
    assert 30 <= len(MACHINES)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_becomes_no_message(name):
    """Refused under loops: refuse, and known for an answer, so that nothing is reported of it either."""
    assert content.read(MAILS[name]).auto in (Auto.REPLIED, Auto.REPORT)
    found = composed(name)
    assert () == tuple(found.drafts)
    assert ["550 5.7.1"] == [str(each.reply)[:9] for each in found.refusals]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_route_may_want_answers_on_the_phone(name):
    """loops: send is for those who do."""
    assert 1 == len(composed(name, "send").drafts)


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_reaches_the_phone(name):
    """Cron, monitors, lists and devices, whatever they call themselves, are what the relay is for."""
    assert content.read(MAILS[name]).auto in (Auto.PERSON, Auto.GENERATED)
    found = composed(name)
    assert 1 == len(found.drafts)
    assert [] == list(found.refusals)
