"""What the provider allows in a minute (the vendor's pages on sending, statuses, balance, data)."""

import asyncio

import aiohttp
import pytest

from relay.smsc.sandbox import Sandbox, limits

pytestmark = pytest.mark.asyncio

PHONE = "79991234567"
REPEAT = {"error": "duplicate request, wait a minute", "error_code": 9}


async def test_an_identical_request_is_refused_for_a_minute(sandbox, client, clock):
    """One identical request a minute, counted from the one that was accepted."""
    assert "id" in await client.send(id=5)
    clock.passes(30)
    assert await client.send(id=5) == REPEAT
    clock.passes(29)
    assert await client.send(id=5) == REPEAT
    clock.passes(1)
    assert "id" in await client.send(id=5)
    assert len(sandbox.messages) == 2


@pytest.mark.parametrize(
    "params", [{"mes": "Other"}, {"id": 6}, {"phones": "79991234568"}, {"sender": "BOSS"}, {"login": "bob"}]
)
async def test_any_other_parameter_makes_another_request(client, params):
    """Identical means every parameter, the id among them, of one account."""
    await client.send(id=5, login="alex", psw="1")
    again = {"id": 5, "login": "alex", "psw": "1"} | params
    assert "error_code" not in await client.send(**again)


async def test_what_only_shapes_the_answer_makes_no_other_request(client):
    """Format, price, password and charset aside, the request is the same."""
    await client.send(id=5)
    assert await client.send(id=5, cost=3, op=1, charset="utf-8", psw="other", login="alex") == REPEAT


async def test_a_refused_request_may_be_repeated_at_once(client, sandbox):
    """The filter remembers what was accepted, nothing else."""
    sandbox.next_send_faults.append(8)
    assert (await client.send(id=5))["error_code"] == 8
    assert "error_code" not in await client.send(id=5)


async def test_other_files_make_another_request(client, sandbox):
    """The bytes of files count as parameters do."""
    url = f"{sandbox.url}/sys/send.php"
    answers = []
    for content in (b"one", b"two", b"two"):
        form = aiohttp.FormData({"login": "alex", "psw": "1", "phones": PHONE, "mes": "x", "mms": "1"})
        form.add_field("file0", content, filename="a.jpg")
        async with client.session.post(url, data=form) as answer:
            answers.append(await answer.text())
    assert [answer[:9] for answer in answers] == ["OK - 1 SM", "OK - 1 SM", "ERROR = 9"]


async def test_a_price_may_be_asked_five_times_a_minute(client, clock):
    """The sixth identical question for a price is refused."""
    answers = [await client.send(cost=1) for _ in range(6)]
    assert ["error_code" in answer for answer in answers] == [False] * 5 + [True]
    clock.passes(60)
    assert "cost" in await client.send(cost=1)


async def test_one_message_may_be_asked_about_five_times_a_minute(client, clock):
    """The sixth question is refused; other messages are not concerned."""
    await client.send(id=5)
    answers = [await client.ask("status", phone=plus + PHONE, id=5) for plus in ("", "+") * 3]
    assert [answer.get("error_code") for answer in answers] == [None] * 5 + [9]
    assert await client.status(PHONE, 6) == -3
    clock.passes(60)
    assert await client.status(PHONE, 5) == 1


async def test_one_mass_question_a_minute(client, clock):
    """The second mass question is refused; single questions are not concerned."""
    several = {"phone": f"{PHONE},79991234568", "id": "5,5"}
    assert len(await client.ask("status", **several)) == 2
    clock.passes(59)
    assert await client.ask("status", **several) == REPEAT
    assert len(await client.ask("status", phone=PHONE + ",", id="5,")) == 1
    clock.passes(1)
    assert len(await client.ask("status", **several)) == 2


async def test_the_balance_may_be_asked_ten_times_a_minute(client, clock):
    """The eleventh question is refused."""
    answers = [await client.ask("balance") for _ in range(11)]
    assert [answer.get("error_code") for answer in answers] == [None] * 10 + [9]
    clock.passes(60)
    assert "balance" in await client.ask("balance")


async def test_identical_questions_for_data_three_times_a_minute(client):
    """The fourth identical question is refused, a different one is not."""
    answers = [await client.text("get", get_messages=1, fmt=3) for _ in range(4)]
    assert [answer == "[]" for answer in answers] == [True, True, True, False]
    assert await client.ask("get", get_messages=1, cnt=5) == []


async def test_a_chain_of_more_than_fifty_is_stopped(sandbox, client, clock):
    """The 51st message with gaps under a minute is forbidden (23); a minute's silence ends the chain."""
    for number in range(51):
        await client.send(id=number + 1)
        clock.passes(59)
    assert [message.final.status for message in sandbox.messages] == [1] * 50 + [23]
    assert (sandbox.messages[-1].final.err, await client.status(PHONE, 51)) == (239, 23)
    clock.passes(1)
    await client.send(id=52)
    assert sandbox.messages[-1].final.status == 1


async def test_mail_has_no_chains(sandbox, client):
    """The flood rule is about phones."""
    for number in range(52):
        await client.send("bob@example.com", id=number + 1, mail=1, subj="Hi", sender="a@b.example")
    assert {message.final.status for message in sandbox.messages} == {1}


async def test_fourteen_calls_at_once_are_well(sandbox, client):
    """Fourteen calls of any kind are answered, and counted."""
    sandbox.latency = 0.05
    answers = await asyncio.gather(*(client.send(id=number) for number in range(1, 15)))
    assert [answer.get("error_code") for answer in answers] == [None] * 14
    assert sandbox.max_in_flight == 14


async def test_the_fifteenth_call_at_once_is_refused(sandbox, client):
    """Fifteen at once on one login are too many; another login has its own count."""
    sandbox.latency = 0.05
    mine = [client.ask("balance") if number % 2 else client.send(id=number) for number in range(2, 17)]
    answers = await asyncio.gather(*mine, client.send(login="bob", psw="1"))
    refused = [answer for answer in answers if "error_code" in answer]
    assert refused == [{"error": "too many concurrent requests", "error_code": 9}]
    assert sandbox.max_in_flight == 15


async def test_a_client_that_leaves_frees_its_place(sandbox, client):
    """A call is over when its client has gone."""
    sandbox.fault = "silence"
    calls = [asyncio.create_task(client.send(id=number)) for number in range(1, 15)]
    await sandbox.until(lambda: len(sandbox.calls) == 14)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    sandbox.fault = None
    await sandbox.until(lambda: all(call.finished_at is not None for call in sandbox.calls))
    assert "error_code" not in await client.send(id=15)


async def test_too_many_errors_block_the_address(clock):
    """More faulty requests in a minute than `block_after` shut the address out (error 4)."""
    box = Sandbox(now=clock, block_after=2)
    url = await box.start()
    try:
        async with aiohttp.ClientSession() as session:

            async def ask(phones):
                fields = {"login": "alex", "psw": "1", "phones": phones, "mes": "Hi", "fmt": "1"}
                async with session.post(f"{url}/sys/send.php", data=fields) as answer:
                    return await answer.text()

            assert [await ask("1") for _ in range(4)] == ["1,-7", "2,-7", "3,-7", "0,-4"]
            clock.passes(limits.BLOCKED_FOR - 1)
            assert await ask(PHONE) == "0,-4"
            clock.passes(1)
            assert await ask(PHONE) == "4,1"
    finally:
        await box.stop()


async def test_a_window_forgets_keys_that_are_quiet():
    """A long-lived sandbox does not grow with every message asked about."""
    window = limits.Window(1)
    for number in range(limits._PRUNE_AT + 1):
        window.allows(number, 0.0)
    assert window.allows("late", 100.0)
    assert len(window._times) == 1
