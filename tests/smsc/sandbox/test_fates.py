"""The last four digits of a number choose its fate (`docs/sandbox.md`)."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from relay.smsc.sandbox import TABLE, fate_of
from relay.smsc.sandbox.fates import suffix_of, table

DOCS = Path(__file__).parents[3] / "docs" / "sandbox.md"
PATHS = {
    "4567": [(-1, 0), (0, 0), (1, 0)],
    "0121": [(-1, 0)],
    "0122": [(-1, 0), (0, 0)],
    "0123": [(-1, 0), (0, 0), (1, 0), (2, 0)],
    "0124": [(-1, 0), (24, 0)],
    "0130": [(-1, 0), (0, 0), (3, 0)],
    "2000": [(-1, 0), (0, 0), (20, 0)],
    "2006": [(-1, 0), (0, 0), (20, 6)],
    "2255": [(-1, 0), (0, 0), (20, 255)],
    "2256": [(-1, 0), (0, 0), (1, 0)],
    "3022": [(-1, 0), (22, 249)],
    "3023": [(-1, 0), (23, 254)],
    "3025": [(-1, 0), (25, 248)],
}
BREAKS = (aiohttp.ClientError, ConnectionError)


def phone(suffix):
    """Return a number with that fate."""
    return "7999123" + suffix


async def left_in_silence(coroutine):
    """Wait a moment for an answer, and leave without one."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(coroutine, 0.1)


def test_the_documentation_shows_the_table():
    """Each fate stands in the page word for word."""
    assert table() in DOCS.read_text()


def test_no_two_fates_share_a_suffix():
    """A number has one fate."""
    suffixes = [fate.suffix for fate in TABLE]
    assert len(suffixes) == len(set(suffixes))


@pytest.mark.parametrize(
    ("recipient", "suffix"),
    [
        ("79991230130", "0130"),
        ("+79991230130", "0130"),
        ("#1122330130", "0130"),
        ("fate-0130@example.com", "0130"),
        ("FATE-0130@example.com", "0130"),
        ("@fate_0130", "0130"),
        ("bob0130@example.com", ""),
        ("@nick", ""),
    ],
)
def test_addresses_and_nicks_choose_by_name(recipient, suffix):
    """Numbers choose by their end, the others by `fate-NNNN`."""
    assert suffix_of(recipient) == suffix


def test_what_chooses_nothing_is_delivered():
    """A name without a fate has the usual one."""
    assert fate_of("bob@example.com") == fate_of("79991234567")


@pytest.mark.asyncio
@pytest.mark.parametrize(("suffix", "path"), PATHS.items())
async def test_a_fate_is_a_path_of_statuses(sandbox, client, clock, suffix, path):
    """Statuses follow one another in the steps of the sandbox, the last one for ever."""
    await client.send(phone(suffix), id=1)
    (message,) = sandbox.messages
    assert [(step.status, step.err) for step in message.history] == path
    assert [step.at - clock.time for step in message.history] == [0, 1, 2, 3][: len(path)]
    for status, err in path:
        answer = await client.ask("status", phone=phone(suffix), id=1)
        assert (answer["status"], answer["err"], answer["last_timestamp"]) == (status, err, clock.time)
        clock.passes(1)
    clock.passes(86400)
    assert await client.status(phone(suffix), 1) == message.final.status == path[-1][0]


@pytest.mark.asyncio
async def test_a_mail_address_has_its_fate(client, clock):
    """`fate-0130@…` expires."""
    await client.send("fate-0130@example.com", id=1, mail=1, subj="Hi", sender="a@b.example")
    clock.passes(5)
    assert await client.status("FATE-0130@example.com", 1) == 3


@pytest.mark.asyncio
@pytest.mark.parametrize("code", range(1, 9))
async def test_a_number_may_have_its_request_refused(sandbox, client, code):
    """One such number refuses all of its request, and nothing but its request."""
    answer = await client.send(f"79991234567,{phone(f'000{code}')}", id=5)
    assert answer["error_code"] == code
    assert answer.get("id") == (5 if code in {3, 6, 7, 8} else None)
    assert sandbox.messages == []
    assert "error_code" not in await client.send("79991234567", id=5)


@pytest.mark.asyncio
async def test_0009_is_taken_after_a_minute(sandbox, client, clock):
    """Error 9 until 60 s have passed since the first time."""
    assert (await client.send(phone("0009"), id=1))["error_code"] == 9
    clock.passes(59)
    assert (await client.send(phone("0009"), id=1))["error_code"] == 9
    assert sandbox.messages == []
    clock.passes(1)
    assert (await client.send(phone("0009"), id=1))["cnt"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("suffix", "status", "error"),
    [("0107", "22", "7"), ("0108", "25", "8"), ("0148", "25", "248"), ("0149", "22", "249")],
)
async def test_a_number_may_be_refused_alone(sandbox, client, suffix, status, error):
    """The request is accepted, this number is named, and no message to it exists."""
    answer = await client.send(f"{phone(suffix)},79991234567", id=5, op=1, cost=2)
    assert (answer["cnt"], answer["cost"]) == (1, "2.50")
    assert answer["phones"][1] == {"phone": phone(suffix), "status": status, "error": error}
    assert [message.phone for message in sandbox.messages] == ["79991234567"]
    assert await client.status(phone(suffix), 5) == -3


@pytest.mark.asyncio
async def test_0110_is_never_answered(sandbox, client):
    """Silence until the client leaves, every time, and nothing accepted."""
    for _ in range(2):
        await left_in_silence(client.send(phone("0110")))
    assert sandbox.messages == []
    assert [call.answer for call in sandbox.calls] == [None, None]


@pytest.mark.asyncio
async def test_0111_is_accepted_and_reset(sandbox, client, clock):
    """The message exists; the same request within a minute is a repeat, later another message."""
    with pytest.raises(BREAKS):
        await client.send(phone("0111"), id=1)
    assert len(sandbox.messages) == 1
    assert (await client.send(phone("0111"), id=1))["error_code"] == 9
    clock.passes(60)
    with pytest.raises(BREAKS):
        await client.send(phone("0111"), id=1)
    assert len(sandbox.messages) == 2


@pytest.mark.asyncio
async def test_0112_is_reset_before_it_is_accepted(sandbox, client):
    """The second time it is accepted; another text has a first time of its own."""
    with pytest.raises(BREAKS):
        await client.send(phone("0112"), id=1)
    assert sandbox.messages == []
    assert await client.send(phone("0112"), id=1) == {"id": 1, "cnt": 1}
    with pytest.raises(BREAKS):
        await client.send(phone("0112"), "Another", id=2)


@pytest.mark.asyncio
async def test_0113_is_accepted_in_silence(sandbox, client, clock):
    """The message exists though nothing was answered; afterwards all is as usual."""
    await left_in_silence(client.send(phone("0113"), id=1))
    assert await client.status(phone("0113"), 1) == -1
    clock.passes(60)
    assert (await client.send(phone("0113"), id=1))["cnt"] == 1
    assert len(sandbox.messages) == 2


@pytest.mark.asyncio
async def test_0114_is_a_server_error(sandbox, client):
    """HTTP 500 and nothing accepted, the first time."""
    status, _, body = await client.raw("send", phones=phone("0114"), mes="Hi")
    assert (status, sandbox.messages) == (500, [])
    assert b"<h1>500" in body
    assert (await client.send(phone("0114"), "Hi"))["cnt"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("suffix", ["0115", "0116", "0117"])
async def test_an_answer_may_be_spoilt(sandbox, client, suffix):
    """Accepted, but what comes back is a page, nothing, or half of the answer."""
    status, _, body = await client.raw("send", phones=phone(suffix), mes="Hi", fmt=3, id=12)
    expected = {"0115": b"<html>", "0116": b"", "0117": b'{\n"id": 12,'[:11]}[suffix]
    assert status == 200
    assert body.startswith(expected)
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert len(sandbox.messages) == 1


@pytest.mark.asyncio
async def test_0118_is_accepted_after_the_break(sandbox, client, clock):
    """The request exists 15 s after its connection was reset, from that time on."""
    with pytest.raises(BREAKS):
        await client.send(phone("0118"), id=1)
    clock.passes(14)
    assert await client.status(phone("0118"), 1) == -3
    clock.passes(2)
    assert await client.status(phone("0118"), 1) == 0
    assert [message.accepted_at for message in sandbox.messages] == [clock.time - 1]


@pytest.mark.asyncio
async def test_a_repeat_of_0118_makes_no_second_message(sandbox, client, clock):
    """What comes late meets the duplicate filter when it comes."""
    for seconds in (11, 49):
        with pytest.raises(BREAKS):
            await client.send(phone("0118"), id=1)
        clock.passes(seconds)
    assert (await client.send(phone("0118"), id=1))["error_code"] == 9
    assert len(sandbox.messages) == 1
    assert sandbox.balances["alex"] == Decimal("997.50")


@pytest.mark.asyncio
async def test_0120_is_answered_late(client, sandbox):
    """The answer comes after `slow` seconds, 5 unless told otherwise."""
    sandbox.slow = 60
    await left_in_silence(client.send(phone("0120"), id=1))
    assert len(sandbox.messages) == 1
    sandbox.slow = 0
    assert (await client.send(phone("0120"), id=2))["cnt"] == 1


@pytest.mark.asyncio
async def test_every_fate_of_the_table_is_known_to_a_test():
    """A fate added to the table needs a test."""
    tested = set(PATHS) | {f"000{code}" for code in range(1, 10)}
    tested |= {"0107", "0108", "0148", "0149", "0110", "0111", "0112", "0113", "0114", "0115"}
    tested |= {"0116", "0117", "0118", "0120"}
    assert {fate.suffix for fate in TABLE} - tested == set()
