"""Small changes for the tests of engines, and what is asked about them."""

from __future__ import annotations

import asyncio

from sqlalchemy import bindparam, delete, select

from relay.queue import schema
from relay.queue.engine import Change

STORY = select(schema.story).order_by(schema.story.c.id)
REPEATS = select(schema.repeat.c.key, schema.repeat.c.mail_id, schema.repeat.c.at)
ACCOUNT = select(schema.account).where(schema.account.c.name == bindparam("name"))
FORGET = delete(schema.story).where(schema.story.c.order_id == bindparam("order"))


def line(*ids, once=None):
    """A change that writes a line of a story for each id."""
    change = Change(once=once)
    for each in ids:
        change.insert(schema.story, id=each, order_id=1, event="queued")
    return change


def account(name="main"):
    """A change that writes an account's row."""
    change = Change()
    change.insert(schema.account, name=name)
    return change


async def written(engine):
    """The ids of all lines there are."""
    return [row["id"] for row in await engine.read(STORY)]


async def results(*tasks):
    """What each task came to: its value, or its error's type."""
    done = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(each) if isinstance(each, BaseException) else each for each in done]


async def asked(engine, *changes):
    """Tasks that have put their changes before the writer."""
    tasks = [asyncio.create_task(engine.write(change)) for change in changes]
    await asyncio.sleep(0)
    return tasks
