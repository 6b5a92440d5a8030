"""What phones send reaches several nodes, by calls and by lists at once: it is one mail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from harness import journey
from replies import PHONE, says, told

from relay.delivery import assembly
from relay.model import Ids
from relay.queue import schema
from relay.queue.postgres import Postgres
from relay.queue.store import Store
from relay.smsc import callbacks

US = "79037672215"


@pytest.mark.asyncio
async def test_a_message_that_several_nodes_hear_of_at_once_is_one(tmp_path: Path, database: str) -> None:
    """One node is called, two others fetch the list, all of them in the same moment."""
    config = told(tmp_path, store=database, inbox={"default": "desk@example.com"})
    engines = [Postgres(database), Postgres(database)]
    async with journey(tmp_path, config=config) as first:
        app, others = first.app, []
        for engine in engines:
            await engine.open()
            store = Store(engine, Ids(engine.node), app.clock)
            others.append(
                assembly.inbox(
                    store,
                    app.settler,
                    app.counts,
                    config=lambda: config,
                    kick=app.mailer.kick,
                    queued=app.queued,
                )
            )
        texts = [f"reply {number}" for number in range(1, 11)]
        for number, text in enumerate(texts, 1):
            one = callbacks.Incoming(phone=PHONE, text=text, to=US)
            await asyncio.gather(
                says(first, text), *(each.take("main", one, listed=number) for each in others)
            )
        rows = await app.store.engine.read(schema.incoming.select())
        for engine in engines:
            await engine.close()
    assert sorted(texts) == sorted(row["text"] for row in rows)
