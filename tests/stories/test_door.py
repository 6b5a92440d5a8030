"""What the door answers when the relay behind it can't, and what LMTP is told of each recipient."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from faults import bare, to
from harness import SENDER, Journey, journey, settings

from relay import replies
from relay.config import Alias, Config
from relay.queue.engine import Trouble


@pytest.mark.asyncio
async def test_a_mail_that_can_t_be_read_now_may_come_again(relay: Journey) -> None:
    """451, nothing is stored, and small mail goes on."""
    await relay.app.reader.close()
    large = await relay.mail(bare("x" * 300_000), to("4567"))
    small = await relay.mail(bare(), to("4567"))

    assert "451 4.3.0 the mail could not be read now" == large[-1][:40]
    assert "250 2.0.0" == small[-1][:9]
    assert 1 == len(await relay.orders())


@pytest.mark.asyncio
async def test_a_store_in_trouble_is_a_451(relay: Journey) -> None:
    """What could not be written was not taken."""
    engine = relay.app.store.engine
    real = engine.write

    async def broken(_change):
        raise Trouble("disk I/O error")

    engine.write = broken
    refused = await relay.mail(bare(), to("4567"))
    engine.write = real

    assert "451 4.3.0 the mail could not be stored" == refused[-1][:38]
    assert [] == await relay.orders()


@pytest.mark.asyncio
async def test_recipients_past_the_limit_come_in_another_mail(tmp_path: Path) -> None:
    """452 for those, 250 for the others."""
    async with journey(tmp_path, config=settings(tmp_path, max_recipients=2)) as relay:
        answers = await relay.mail(bare(), [to("4567"), to("4568"), to("4569")])

        assert ["250", "250", "452", "250"] == [each[:3] for each in answers[1:]]
        assert 2 == len(await relay.orders())


@pytest.mark.asyncio
async def test_lmtp_is_answered_for_each_recipient(tmp_path: Path) -> None:
    """One answer a recipient (RFC 2033 4.2): what only a whole mail shows refuses one and not the other."""
    config = settings(tmp_path)
    door = config.listeners[0].model_copy(update={"protocol": "lmtp"})
    config = config.model_copy(update={"listeners": (door,)})
    async with journey(tmp_path, config=config) as relay:
        host, _, port = relay.app.listeners[0].address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        people = ("79991234567@sms.example.com", "bob@people.example")
        mail = f"From: {SENDER}\r\nSubject:\r\n\r\n\r\n"
        await reader.readline()
        for line in (
            "LHLO mon.example.com",
            f"MAIL FROM:<{SENDER}>",
            *(f"RCPT TO:<{p}>" for p in people),
            "DATA",
        ):
            writer.write(f"{line}\r\n".encode())
            while (await reader.readline())[3:4] == b"-":
                pass
        writer.write(f"{mail}.\r\n".encode())
        answers = [(await reader.readline()).decode() for _ in people]
        writer.close()

        assert len(await relay.orders()) == sum(each.startswith("250") for each in answers)
        assert ["554", "250"] == [each[:3] for each in answers]


def unsure(folder: Path) -> Config:
    """Anybody may claim an address of the domain, and nobody vouches for it."""
    config = settings(folder)
    sender = config.senders[0].model_copy(update={"networks": None, "from_": ("*@mon.example.com",)})
    return config.model_copy(update={"senders": (sender,)})


@pytest.mark.asyncio
async def test_a_stranger_does_not_learn_at_rcpt_which_names_there_are(tmp_path: Path) -> None:
    """An alias, one with members out of reach and no alias at all hear the same."""
    config = unsure(tmp_path)
    route = config.routes[0].model_copy(update={"countries": ("RU",)})
    aliases = {"oncall": Alias(to=["+79991234567"]), "abroad": Alias(to=["+442071838750"])}
    config = config.model_copy(update={"routes": (route, *config.routes[1:]), "aliases": aliases})
    async with journey(tmp_path, config=config) as relay:
        names = ("oncall", "abroad", "nobody", "911", "send")
        answers = await relay.mail(bare(), [f"{each}@sms.example.com" for each in names])
        assert {"250 2.1.5 recipient OK"} == set(answers[1:-1])
        assert "250 2.0.0" == answers[-1][:9]
        assert ["+79991234567"] == [order.target for order in await relay.orders() if order.state != "failed"]
        assert [] == relay.reports()


@pytest.mark.asyncio
async def test_what_a_stranger_learns_at_data_is_one_sentence(tmp_path: Path) -> None:
    """Each guess costs a mail and is an error; what the name is stays unsaid. A number hears the truth."""
    config = unsure(tmp_path)
    config = config.model_copy(update={"aliases": {"abroad": Alias(to=["+442071838750"])}})
    route = config.routes[0].model_copy(update={"countries": ("RU",)})
    config = config.model_copy(update={"routes": (route, *config.routes[1:])})
    async with journey(tmp_path, config=config) as relay:
        said = {
            (await relay.mail(bare(), f"{each}@sms.example.com"))[-1] for each in ("abroad", "nobody", "911")
        }
        assert {str(replies.NO_SUCH_NAME)} == said
        number = await relay.mail(bare(), "442071838750@sms.example.com")
        assert "550 5.7.1" == number[1][:9]
        assert [] == await relay.orders()


@pytest.mark.asyncio
async def test_who_is_known_hears_the_truth_at_rcpt(relay: Journey) -> None:
    """Clients of the house are told what is wrong, name by name."""
    answers = await relay.mail(bare(), "nobody@sms.example.com")
    assert "550 5.1.1 'nobody' is neither an alias here nor a phone number" == answers[1]
