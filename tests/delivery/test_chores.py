"""What time brings about."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Journey, journey, settings
from sqlalchemy import func, select
from sqlalchemy import table as named

from relay.model import DAY

MAIL = """\
From: ops@mon.example.com
Subject: secret subject
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

secret text
"""
TO = "79991234567@sms.example.com"


async def rows(relay: Journey, table: str) -> int:
    """How many rows a table has."""
    found = await relay.app.store.engine.read(select(func.count().label("n")).select_from(named(table)))
    return found[0]["n"]


@pytest.mark.asyncio
async def test_texts_are_forgotten_first_and_all_the_rest_later(tmp_path: Path) -> None:
    """After `keep.texts` nothing of the text is left; after `keep.history` nothing at all."""
    config = settings(tmp_path, keep={"texts": 2 * DAY, "history": 5 * DAY})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, [TO, "boss@example.org"], options=["RET=FULL"])
        await relay.pass_time(60)
        order = (await relay.orders())[0]
        before = [await rows(relay, name) for name in ("mail", "chunk", "orders", "story")]
        await relay.pass_time(3 * DAY / 1000)
        (content,) = (await relay.app.store.contents([order.content_id])).values()
        (mail,) = (await relay.app.store.mails([order.mail_id])).values()
        between = await rows(relay, "chunk")
        await relay.pass_time(4 * DAY / 1000)
        after = [
            await rows(relay, name)
            for name in ("mail", "recipient", "content", "orders", "request", "notice", "story", "file")
        ]

    assert all(before)
    assert ("", b"", "", 0) == (content.text, mail.head, mail.subject, between)
    assert [0] * 8 == after


@pytest.mark.asyncio
async def test_what_ends_long_after_its_neighbours_is_forgotten_too(tmp_path: Path) -> None:
    """A held mail that goes when later ones have long been forgotten keeps its text no longer than they."""
    config = settings(tmp_path, keep={"texts": DAY, "history": 30 * DAY})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, TO, options=["HOLDFOR=432000"])
        await relay.mail(MAIL.replace("secret", "other"), TO)
        await relay.pass_time(3 * DAY / 1000)
        held, other = await relay.orders()
        contents = await relay.app.store.contents([held.content_id, other.content_id])
        before = [bool(contents[order.content_id].text) for order in (held, other)]
        await relay.pass_time(5 * DAY / 1000)
        contents = await relay.app.store.contents([held.content_id, other.content_id])

    assert [True, False] == before
    assert ["", ""] == [each.text for each in contents.values()]


@pytest.mark.asyncio
async def test_what_is_not_finished_is_kept(tmp_path: Path) -> None:
    """An order whose fate is open keeps its text, however old."""
    config = settings(tmp_path, keep={"texts": DAY, "history": DAY}, delivery={"give_up": 30 * DAY})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, "79991230122@sms.example.com")
        await relay.pass_time(10 * DAY / 1000)
        order = await relay.order()
        (content,) = (await relay.app.store.contents([order.content_id])).values()

    assert "sent" == order.state
    assert "secret text" in content.text
