"""Texts that wait while all slots are busy leave in a `list`, and each has its own fate all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import Line, act, all_slots_taken, bare, worker
from harness import Journey, journey, settings
from mortal import Mortal, Trap

from relay.config import Cap
from relay.delivery.permits import All

PHONES = ("4567", "4568", "4569", "4570")


async def crowd(relay: Journey, *fates: str, free: int = 1, texts: tuple[str, ...] = ()) -> None:
    """A mail of its own to each of these, all of which find no slot; then so many are free."""
    async with all_slots_taken(relay, free):
        for number, fate in enumerate(fates):
            text = texts[number] if texts else f"text {number}"
            replies = await relay.mail(bare(text), f"7999123{fate}@sms.example.com")
            assert replies[-1].startswith("250")


def shapes(relay: Journey) -> list[int]:
    """How many lines each call to send.php brought; 0 for one that was no list."""
    return [len(params["list"].split("\n")) if "list" in params else 0 for params in relay.sends()]


async def ends(relay: Journey) -> dict[str, str]:
    """How each order ended, by the last digits of its phone."""
    return {order.target[-4:]: order.state.value for order in await relay.orders()}


def heard(relay: Journey) -> list[tuple[str, str]]:
    """What each phone heard, by its last digits."""
    return sorted((message.phone[-4:], message.text) for message in relay.sandbox.messages)


# -- together ---------------------------------------------------------------------------------------


@pytest.mark.both
@pytest.mark.asyncio
async def test_what_waited_for_a_slot_leaves_in_one_request(relay: Journey) -> None:
    """One id, a line for each, the new lines and the letters exact, and each phone its own status."""
    texts = ("a\nb", "Диск: 95 %; x, y\nдва", "C:\\new is full", "100% {} ~ ^ <>")
    await crowd(relay, *PHONES, texts=texts)
    await relay.pass_time(60)

    assert [3, 0] == shapes(relay)  # the third holds a backslash: how it would be read nobody says
    listed, alone = relay.sends()
    assert {"list", "id"} <= listed.keys()
    assert not {"phones", "mes", "nl"} & listed.keys()
    assert texts[2] in alone["mes"]
    assert [(phone, f"alarm\n{text}") for phone, text in zip(PHONES, texts, strict=True)] == heard(relay)
    assert dict.fromkeys(PHONES, "delivered") == await ends(relay)
    costs = [(order.parts, order.cost) for order in await relay.orders()]
    assert [(1, "2.50"), (1, "2.50")] == [costs[0], costs[3]]


@pytest.mark.asyncio
async def test_nothing_waits_for_company(relay: Journey) -> None:
    """With a slot for each, each goes by itself at once."""
    await crowd(relay, *PHONES, free=4)

    assert [0, 0, 0, 0] == shapes(relay)


@pytest.mark.asyncio
async def test_a_phone_hears_one_text_of_a_list(relay: Journey) -> None:
    """Its second text has a request of its own: an id and a phone are one message."""
    await crowd(relay, "4567", "4568", "4567")
    await relay.pass_time(60)

    assert [2, 0] == shapes(relay)
    assert 3 == len(relay.sandbox.messages)
    assert 3 == len({(message.id, message.phone) for message in relay.sandbox.messages})


@pytest.mark.asyncio
async def test_other_parameters_go_by_another_request(tmp_path: Path) -> None:
    """One by address option, all others as the route has it."""
    async with journey(tmp_path) as relay:
        first, *others = relay.app.config.routes
        route = first.model_copy(update={"allow": ("valid",)})
        relay.app.config = relay.app.config.model_copy(update={"routes": (route, *others)})
        await crowd(relay, "4567", "4568+valid=2", "4569", "4570+valid=2", free=2)

        assert [2, 2] == shapes(relay)
        assert {"2", None} == {params.get("valid") for params in relay.sends()}
        assert {"2": ["4568", "4570"], "": ["4567", "4569"]} == {
            params.get("valid", ""): [line[8:12] for line in params["list"].split("\n")]
            for params in relay.sends()
        }


@pytest.mark.asyncio
async def test_the_storm_rules_hold_within_a_list(tmp_path: Path) -> None:
    """The same text to the same phone is merged, and over the burst there is a digest."""
    async with journey(tmp_path, config=settings(tmp_path, storm={"burst": 3})) as relay:
        fates = ("4567", "4567", *("4568",) * 6, "4569")
        texts = ("same", "same", *(f"text {n}" for n in range(6)), "other")
        await crowd(relay, *fates, texts=texts)
        await relay.pass_time(300)

        said = [text for phone, text in heard(relay) if phone == "4567"]
        assert ["alarm\nsame"] == said
        burst = [text for phone, text in heard(relay) if phone == "4568"]
        assert 4 == len(burst)
        assert ["alarm\ntext 0", "alarm\ntext 1", "alarm\ntext 2"] == [t for t in burst if "text" in t[:10]]
        assert {"delivered", "merged"} == {order.state.value for order in await relay.orders()}


@pytest.mark.asyncio
async def test_a_person_who_holds_one_keeps_it_out(relay: Journey) -> None:
    """The others leave, the held one when it is released."""
    async with all_slots_taken(relay):
        for number, fate in enumerate(PHONES):
            await relay.mail(bare(f"text {number}"), f"7999123{fate}@sms.example.com")
        held = (await relay.orders())[1].id
        await act(relay, held, "hold")
    assert [3] == shapes(relay)
    await act(relay, held, "release")
    await relay.pass_time(60)

    assert [3, 0] == shapes(relay)
    assert dict.fromkeys(PHONES, "delivered") == await ends(relay)


# -- answers ----------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_the_answer_says_of_each_phone_settles_it(relay: Journey) -> None:
    """The bad number of an accepted list has failed, its sender hears so, the others arrive."""
    await crowd(relay, "4567", "0107", "4569", "0148")
    await relay.pass_time(60)

    assert [4] == shapes(relay)
    assert {"4567": "delivered", "0107": "failed", "4569": "delivered", "0148": "failed"} == await ends(relay)
    assert 2 == len(relay.reports())


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.parametrize("code", ["1", "5", "6", "7", "8"])
async def test_a_refused_list_is_halved_until_the_culprit_stands_alone(relay: Journey, code: str) -> None:
    """Under new ids; the others arrive once."""
    await crowd(relay, *PHONES, f"000{code}", "4572", "4573", "4574")
    await relay.pass_time(120)

    assert [8, 4, 4, 2, 2, 0, 0] == sorted(shapes(relay), reverse=True)
    assert 7 == len({params["id"] for params in relay.sends()})
    found = await ends(relay)
    assert "failed" == found.pop(f"000{code}")
    assert {"delivered"} == set(found.values())
    assert 7 == len(relay.sandbox.messages)
    assert 1 == len(relay.reports())


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [2, 3, 4])
async def test_what_refuses_the_account_halves_nothing(relay: Journey, code: int) -> None:
    """The list waits as it is; afterwards all of it arrives once."""
    relay.sandbox.next_send_faults.append(code)
    await crowd(relay, *PHONES)
    await relay.pass_time(3600)

    assert 4 == shapes(relay)[0]
    assert dict.fromkeys(PHONES, "delivered") == await ends(relay)
    assert 4 == len(relay.sandbox.messages)


@pytest.mark.asyncio
async def test_who_was_refused_lately_has_lists_of_its_own(relay: Journey) -> None:
    """One bad sender's texts delay no other's."""
    await relay.mail(bare("bad"), "79991230001@sms.example.com", sender="bad@mon.example.com")
    await relay.rest()
    async with all_slots_taken(relay, 2):
        for number, fate in enumerate(("4567", "0001", "4569", "0006")):
            sender = f"{'bad' if fate < '1' else 'good'}@mon.example.com"
            await relay.mail(bare(f"text {number}"), f"7999123{fate}@sms.example.com", sender=sender)
    lists = [params["list"] for params in relay.sends() if "list" in params]

    assert 2 == len(lists)
    assert [["0001", "0006"], ["4567", "4569"]] == sorted(
        [line[8:12] for line in each.split("\n")] for each in lists
    )


# -- calls that break off ---------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", ["accepted-reset", "accepted-cut", "accepted-http500", "accepted-html"])
async def test_a_list_that_was_accepted_is_never_repeated(relay: Journey, fault: str) -> None:
    """Its answer is lost: asked about by phone and id, one mass question, and all of it is known."""
    relay.sandbox.next_send_faults.append(fault)
    await crowd(relay, *PHONES, "4571", "4572")
    await relay.pass_time(120)

    assert [6] == shapes(relay)
    assert 6 == len(relay.sandbox.messages)
    assert {"delivered"} == set((await ends(relay)).values())
    assert [] == relay.reports()


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.parametrize("fault", ["reset", "http500", 9])
async def test_a_list_that_was_lost_goes_again_with_the_same_bytes(relay: Journey, fault: str | int) -> None:
    """Unknown twice for every phone: the same request under the same id."""
    relay.sandbox.next_send_faults.append(fault)
    await crowd(relay, *PHONES)
    await relay.pass_time(300)

    sends = [call for call in relay.sandbox.calls if call.path.endswith("send.php")]
    assert [4, 4] == shapes(relay)
    assert sends[0].body == sends[1].body
    assert 4 == len(relay.sandbox.messages)
    assert dict.fromkeys(PHONES, "delivered") == await ends(relay)


@pytest.mark.asyncio
async def test_a_phone_of_an_accepted_list_that_is_unknown_goes_alone(relay: Journey) -> None:
    """After a minute, under a new id, with its own text; the list is not repeated."""
    relay.sandbox.next_send_faults.append("accepted-reset")
    await crowd(relay, "4567", "0107", "4569")
    await relay.pass_time(50)
    before = len(relay.sends())
    await relay.pass_time(120)

    assert 1 == before
    assert [3, 0] == shapes(relay)
    assert "+79991230107" == relay.sends()[1]["phones"]
    assert "alarm\ntext 1" == relay.sends()[1]["mes"]
    assert {"4567": "delivered", "0107": "failed", "4569": "delivered"} == await ends(relay)


@pytest.mark.asyncio
async def test_a_repeated_list_that_is_refused_is_halved_when_it_is_sure(relay: Journey) -> None:
    """The refusal of a repeat counts once the first try is known to be lost; then halves go on."""
    relay.sandbox.next_send_faults.append("reset")
    await crowd(relay, "4567", "4568", "0006", "4570")
    await relay.pass_time(300)

    assert [4, 4] == shapes(relay)[:2]
    assert {"4567": "delivered", "4568": "delivered", "0006": "failed", "4570": "delivered"} == await ends(
        relay
    )
    assert 3 == len(relay.sandbox.messages)


@pytest.mark.asyncio
async def test_a_list_that_found_no_connection_keeps_its_id(relay: Journey) -> None:
    """Nobody has seen it: the same orders leave under it, though slots are free now."""
    line = Line(relay, {1})
    await crowd(relay, *PHONES)
    await relay.pass_time(120)

    assert 2 == len(line.sends)
    assert line.sends[0] == line.sends[1]
    assert [4] == shapes(relay)
    assert dict.fromkeys(PHONES, "delivered") == await ends(relay)


@pytest.mark.asyncio
async def test_a_list_without_one_of_its_own_has_a_new_id(relay: Journey) -> None:
    """It found no connection, and then a person drops one of it."""
    line = Line(relay, {1})
    await crowd(relay, *PHONES)
    await act(relay, (await relay.orders())[0].id, "drop")
    await relay.pass_time(120)

    assert line.sends[0][0] != line.sends[1][0]
    assert [3] == shapes(relay)
    assert {"4567": "dropped", "4568": "delivered", "4569": "delivered", "4570": "delivered"} == await ends(
        relay
    )


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["before a call", "after a call"])
async def test_a_list_in_flight_when_the_relay_died_is_asked_about(tmp_path: Path, where: str) -> None:
    """Accepted or not when it was killed: the next start asks, and goes on with the same request."""
    world = Mortal(tmp_path)
    await world.begin()
    try:
        relay = world.relay
        worker(relay)._permits = All(0)
        for number, fate in enumerate(PHONES):
            await relay.mail(bare(f"text {number}"), f"7999123{fate}@sms.example.com")
        worker(relay)._permits = All(1)
        world.trap = Trap(where, 1)
        worker(relay).kick()
        await world.pass_time(300)

        assert 2 == world.lives
        assert [4] == shapes(world.relay)
        assert dict.fromkeys(PHONES, "delivered") == await ends(world.relay)
        assert 4 == len(world.sandbox.messages)
        assert 1 == len({params["id"] for params in world.relay.sends()})
    finally:
        await world.end()


# -- caps, and many culprits ------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_a_cap_measures_goes_alone(tmp_path: Path) -> None:
    """Its answer tells what it cost: a list would pass the cap by all of its lines."""
    caps = (Cap.model_validate({"account": "main", "per": "day", "cost": 5, "over": "hold"}),)
    async with journey(tmp_path, config=settings(tmp_path, caps=caps)) as relay:
        await crowd(relay, *PHONES)
        await relay.pass_time(60)

        assert [0, 0] == shapes(relay)
        assert ["delivered", "delivered", "held", "held"] == list((await ends(relay)).values())


@pytest.mark.asyncio
async def test_many_culprits_slow_nobody(relay: Journey) -> None:
    """Once a sender was refused often, what is left of its lists goes alone: each costs one refusal more."""
    fates = [f"{4600 + n}" if n % 8 else "0007" for n in range(64)]
    async with all_slots_taken(relay, 8):
        for number, fate in enumerate(fates):
            await relay.mail(bare(f"text {number}"), f"7{900 + number}123{fate}@sms.example.com")
    await relay.pass_time(30)

    assert 8 * [8] == shapes(relay)[:8]
    refused = [call for call in relay.sandbox.calls if b'"error_code": 7' in (call.answer or b"")]
    assert len(refused) <= 20
    assert 56 == len(relay.sandbox.messages)
    assert {"delivered", "failed"} == {order.state.value for order in await relay.orders()}
