"""Calls that broke off, and what meets their repeats: still one message, never two."""

from __future__ import annotations

import pytest
from faults import Line, bare, to, worker
from harness import START, Journey, StillClock


@pytest.mark.asyncio
async def test_a_repeat_without_connection_is_still_unsure(relay: Journey) -> None:
    """Reset but accepted late; the repeat finds no connection: it is asked about before it goes again."""
    line = Line(relay, broken={2, 3})
    await relay.mail(bare(), to("0118"))
    await relay.pass_time(900)

    assert len(line.sends) >= 2
    assert 1 == len(relay.sandbox.messages)
    assert "delivered" == (await relay.order()).state


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [2, 3, 4])
async def test_a_repeat_that_meets_a_resting_account_is_still_unsure(relay: Journey, code: int) -> None:
    """Reset but accepted late; the repeat is refused with 2, 3 or 4: it is asked about all the same."""
    await relay.mail(bare(), to("0118"))
    await relay.pass_time(5)
    relay.sandbox.next_send_faults.append(code)
    await relay.pass_time(900)

    assert not relay.sandbox.next_send_faults
    assert 1 == len(relay.sandbox.messages)
    assert "delivered" == (await relay.order()).state


@pytest.mark.asyncio
async def test_an_ask_that_ends_while_a_round_is_read_is_not_begun_again(
    relay: Journey, clock: StillClock
) -> None:
    """A round has read a request whose ask ends meanwhile: no second ask by the old row, no slot lost."""
    store, met = relay.app.store, []
    real = store.phones_and_contents

    async def slow(*what):
        found = await real(*what)
        met.append(worker(relay).in_flight)
        await relay.until(lambda: not worker(relay).in_flight, "the ask's end")
        return found

    relay.sandbox.next_send_faults.append("reset")
    await relay.mail(bare("one"), to("4567"))
    await relay.pass_time(5)
    relay.sandbox.latency = 1.0
    clock.set(START + 10_000)
    await relay.until(lambda: worker(relay).in_flight == 1, "the second ask")
    store.phones_and_contents = slow
    await relay.mail(bare("two"), to("4568"))
    await relay.until(lambda: met, "a round during the ask")
    store.phones_and_contents = real
    relay.sandbox.latency = 0
    await relay.pass_time(60)

    assert 1 == met[0]
    assert ["delivered", "delivered"] == [order.state for order in await relay.orders()]
    assert 2 == len(relay.sandbox.messages)
    assert set() == worker(relay)._busy
