"""A store that can't be read or written, rows that are gone, answers that nobody expects."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from faults import HOUR, act, bare, to
from harness import Journey

from relay.queue import housekeeping, schema
from relay.queue.engine import Full, Trouble
from relay.queue.states import State


def dead(relay: Journey) -> list[str]:
    """The loops that ended by themselves."""
    return [task.get_name() for task in relay.app._loops if task.done()]


@pytest.mark.both
@pytest.mark.asyncio
async def test_one_read_that_fails_during_a_call_ends_nobody(relay: Journey) -> None:
    """Trouble with the text of a claimed order: tried again, and sent once."""
    store, failed = relay.app.store, []
    real = store.contents

    async def flaky(ids):
        if not failed:
            failed.append(ids)
            raise Trouble("disk I/O error")
        return await real(ids)

    store.contents = flaky
    await relay.mail(bare(), "ann@mail.example.org")
    await relay.pass_time(300)

    assert 1 == len(failed)
    assert [] == dead(relay)
    assert 1 == len(relay.sandbox.messages)
    assert "delivered" == (await relay.order()).state


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_full_disk_in_the_middle_of_everything_ends_nobody(relay: Journey) -> None:
    """Full from the claim on until it is cleared: mail is put off; one message, one report."""
    engine, full, denied = relay.app.store.engine, False, 0
    real = engine.write

    async def flaky(change):
        nonlocal full, denied
        if full:
            denied += 1
            raise Full("no room on the disk")
        written = await real(change)
        if not denied and any(row.get("state") == State.SENDING for _, _, row in change.updates):
            full = True
        return written

    engine.write = flaky
    await relay.mail(bare(), to("2006"))
    await relay.until(lambda: denied, "a write that failed")
    replies = await relay.mail(bare("other"), to("4568"))
    full = False
    await relay.pass_time(200)

    assert "452" == replies[-1][:3]
    assert [] == dead(relay)
    assert 1 == len(relay.sandbox.messages)
    assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_a_full_disk_after_a_report_left_sends_it_once(relay: Journey) -> None:
    """The report is out, but can't be written down as done for a while: it is not sent again."""
    engine, denied = relay.app.store.engine, 0
    real = engine.write

    async def flaky(change):
        nonlocal denied
        done = any(table is schema.notice and row.get("state") == "done" for table, _, row in change.updates)
        if done and denied < 3:
            denied += 1
            raise Full("no room on the disk")
        return await real(change)

    engine.write = flaky
    await relay.mail(bare(), to("2006"))
    await relay.pass_time(HOUR)

    assert 3 == denied
    assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_expired_within_the_answer_to_a_send_is_final(relay: Journey) -> None:
    """The answer says status 3 of the phone: the order ends, it is not `sending` for ever."""
    exchange = relay.app.clients["main"]._exchange
    real = exchange.post
    phone = {"phone": "79991234567", "mccmnc": "", "cost": "2.5", "status": "3", "error": "0"}
    body = json.dumps({"id": "x", "cnt": 1, "cost": "2.5", "balance": "1", "phones": [phone]}).encode()

    async def odd(path, *arguments):
        heard = await real(path, *arguments)
        return replace(heard, body=body) if path == "send.php" else heard

    exchange.post = odd
    await relay.mail(bare(), to("4567"))
    await relay.pass_time(HOUR)

    assert ("failed", "4.4.7") == ((await relay.order()).state, (await relay.order()).status)


@pytest.mark.asyncio
async def test_a_retry_of_a_wiped_text_is_refused(relay: Journey) -> None:
    """Texts go after `keep.texts`: an order without its text can't be sent again."""
    await relay.mail(bare(), to("2006"))
    await relay.pass_time(300)
    await housekeeping.wipe(relay.app.store, relay.clock.now(), 0)

    assert 409 == await act(relay, (await relay.order()).id, "retry")
    assert 1 == len(await relay.orders())


@pytest.mark.asyncio
async def test_an_id_that_is_too_big_is_no_such_order(relay: Journey) -> None:
    """Thirteen letters hold 65 bits, a key has 63."""
    assert 400 == await act(relay, (1 << 65) - 1, "drop")
    assert 404 == await act(relay, (1 << 63) - 1, "drop")
