"""What the door answers when the relay behind it can't, and what LMTP is told of each recipient."""

from __future__ import annotations

import asyncio
from collections.abc import ItemsView, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from faults import bare, to
from harness import SENDER, Journey, journey, settings

from relay import replies
from relay.config import Alias, Config, Route, Sender
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


class Watched(dict[str, Alias]):
    """Aliases that write down whoever looks at them."""

    def __init__(self, names: dict[str, Alias], looks: list[str]) -> None:
        super().__init__(names)
        self.looks = looks

    def __getitem__(self, name: str) -> Alias:
        self.looks.append("alias")
        return super().__getitem__(name)

    def get(self, name: str, default: Alias | None = None) -> Alias | None:
        self.looks.append("alias")
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.looks.append("alias")
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self.looks.append("aliases")
        return super().__iter__()

    def items(self) -> ItemsView[str, Alias]:
        self.looks.append("aliases")
        return super().items()


class WatchedRoutes(tuple[Route, ...]):
    """Routes that write down whoever looks at them."""

    __slots__ = ()
    looks: ClassVar[list[str]] = []

    def __iter__(self) -> Iterator[Route]:
        self.looks.append("routes")
        return super().__iter__()


async def looked(relay: Journey, names: Sequence[str], looks: list[str]) -> dict[str, tuple[str, ...]]:
    """What each of these recipients is answered at RCPT, and what was looked at for that."""
    await relay.rest()  # nobody else looks
    host, _, port = relay.app.listeners[0].address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    async def answer(line: str = "") -> str:
        if line:
            writer.write(f"{line}\r\n".encode())
        said = (await reader.readline()).decode()
        return said.strip()

    await answer()
    await answer("HELO mon.example.com")
    await answer(f"MAIL FROM:<{SENDER}>")
    found = {}
    for each in names:
        looks.clear()
        found[each] = (await answer(f"RCPT TO:<{each}>"), *looks)
    writer.close()
    return found


HARVEST = [f"{each}@sms.example.com" for each in ("oncall", "OnCall", "nobody", "abroad", "oncal", "x" * 64)]


def watched(config: Config) -> tuple[Config, list[str]]:
    """The configuration, and what is looked at in it."""
    looks = WatchedRoutes.looks
    names = {"oncall": Alias(to=["+79991234567"]), "abroad": Alias(to=["+442071838750"])}
    update = {"routes": WatchedRoutes(config.routes), "aliases": Watched(names, looks)}
    return config.model_copy(update=update), looks


@pytest.mark.asyncio
@pytest.mark.parametrize("auth", ["none", "optional"])
async def test_who_may_not_send_costs_no_look_at_any_address(tmp_path: Path, auth: str) -> None:
    """Refused at MAIL, a stranger hears the same of every recipient, and nothing was looked up for it."""
    config = settings(tmp_path)
    entry = config.senders[0].model_copy(
        update={"networks": tuple(Sender(name="x", networks=["10.0.0.0/8"]).networks)}
    )
    door = config.listeners[0].model_copy(update={"auth": auth, "auth_in_clear": config.senders[0].networks})
    config, looks = watched(config.model_copy(update={"senders": (entry,), "listeners": (door,)}))
    async with journey(tmp_path, config=config) as relay:
        there = [
            *HARVEST,
            "79991234567@sms.example.com",
            "bob@people.example",
            "79991234567@nowhere",
            "oncall",
        ]
        found = await looked(relay, there, looks)
        assert {("503 5.5.1 say MAIL first",)} == set(found.values())


@pytest.mark.asyncio
async def test_who_may_turn_out_to_be_a_stranger_costs_the_same_look_at_every_name(tmp_path: Path) -> None:
    """Before the mail is there to judge, a name that exists takes no step that another does not take."""
    config, looks = watched(unsure(tmp_path))
    async with journey(tmp_path, config=config) as relay:
        found = await looked(relay, HARVEST, looks)
        (same,) = set(found.values())
        assert "250 2.1.5 recipient OK" == same[0]
        assert "alias" not in same[1:]
        assert "aliases" not in same[1:]
        number = await looked(relay, ["79991234567@sms.example.com"], looks)  # what the probe sees of a look
        assert {"routes", "aliases"} <= set(*number.values())


@pytest.mark.asyncio
async def test_behind_a_mail_of_commands_every_name_is_refused_alike(tmp_path: Path) -> None:
    """Such a mail goes to nobody else: a stranger hears that of names that exist and of others."""
    config = unsure(tmp_path)
    route = config.routes[0].model_copy(update={"gateway": True})
    config, looks = watched(config.model_copy(update={"routes": (route, *config.routes[1:])}))
    async with journey(tmp_path, config=config) as relay:
        found = await looked(relay, ["send@sms.example.com", *HARVEST], looks)
        assert "250 2.1.5 recipient OK" == found.pop("send@sms.example.com")[0]
        assert {str(replies.CREDENTIALS)} == {said for said, *_looks in found.values()}
        assert 1 == len({tuple(looks) for _said, *looks in found.values()})


@pytest.mark.asyncio
async def test_who_is_known_hears_the_truth_at_rcpt(relay: Journey) -> None:
    """Clients of the house are told what is wrong, name by name."""
    answers = await relay.mail(bare(), "nobody@sms.example.com")
    assert "550 5.1.1 'nobody' is neither an alias here nor a phone number" == answers[1]
