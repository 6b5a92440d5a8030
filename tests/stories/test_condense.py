"""Monitors' mails on their way: one line where the route wants it, and what kind of news it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Journey, journey, settings

from relay.config import Route

MAILS = Path(__file__).parents[1] / "mails" / "recognised"
MAIN = {"account": "main", "accounts": ["main"]}
ROUTES = (
    Route.model_validate({"match": "*@wake.example.com", "channel": "sms", "condense": True, **MAIN}),
    Route.model_validate({"match": "*@sms.example.com", "channel": "sms", **MAIN}),
)
OWN = """\
about: the pump house
when: {subject: '^PUMP '}
read: [{subject: '^PUMP (?P<number>\\d+)'}]
line: 'pump {number} stands still'
"""


def mail(name: str) -> bytes:
    """A kept mail of a monitor."""
    return (MAILS / f"{name}.eml").read_bytes()


async def sent(running: Journey, raw: bytes, *to: str) -> list[str]:
    """What phones get of a mail."""
    await running.mail(raw, to)
    await running.pass_time(5)
    return [params["mes"] for params in running.sends()]


@pytest.mark.asyncio
async def test_one_line_where_the_route_wants_it(tmp_path: Path) -> None:
    """Another route of the same mail gets all of it; both know that it is a problem."""
    async with journey(tmp_path, config=settings(tmp_path, routes=ROUTES)) as running:
        texts = await sent(
            running, mail("icinga-problem"), "79991234567@wake.example.com", "79991234568@sms.example.com"
        )
        orders = await running.orders()

    assert "CRITICAL db1/disk: free space: /var 1203 MiB (2%)" in texts
    assert any("\n" in text for text in texts)
    assert ["problem", "problem"] == [order.alarm for order in orders]


@pytest.mark.asyncio
async def test_a_recovery_is_known_without_being_condensed(tmp_path: Path) -> None:
    """By a recogniser, or by its words where none knows the mail."""
    async with journey(tmp_path, config=settings(tmp_path, routes=ROUTES)) as running:
        await sent(running, mail("zabbix-recovery"), "79991234567@sms.example.com")
        await sent(running, b"Subject: RESOLVED: pump 3\n\nruns", "79991234567@sms.example.com")
        await sent(running, b"Subject: Lunch\n\nat noon", "79991234567@sms.example.com")
        orders = await running.orders()

    assert ["recovery", "recovery", ""] == [order.alarm for order in orders]


@pytest.mark.asyncio
async def test_an_operators_own_recogniser_counts_and_is_read_again(tmp_path: Path) -> None:
    """A file in the folder is enough; after SIGHUP its new line counts."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "pump.yaml").write_text(OWN)
    config = settings(tmp_path, routes=ROUTES).model_copy(update={"recognisers": folder})
    async with journey(tmp_path, config=config) as running:
        first = await sent(running, b"Subject: PUMP 3\n\nlong story", "79991234567@wake.example.com")
        (folder / "pump.yaml").write_text(OWN.replace("stands still", "has stopped"))
        running.app.adopt(config)
        both = await sent(running, b"Subject: PUMP 4\n\nlong story", "79991234567@wake.example.com")

    assert ["pump 3 stands still"] == first
    assert "pump 4 has stopped" == both[-1]


@pytest.mark.asyncio
async def test_a_condensed_line_is_as_harmless_as_any_text(tmp_path: Path) -> None:
    """What a stranger put into the fields of a monitor's mail commands nothing."""
    raw = mail("icinga-problem").replace(b"free space", b"__CALL__: free")
    async with journey(tmp_path, config=settings(tmp_path, routes=ROUTES)) as running:
        (text,) = await sent(running, raw, "79991234567@wake.example.com")
        assert () == running.sandbox.messages[0].macros

    assert "__CALL__" not in text
