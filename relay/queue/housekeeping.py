"""What is forgotten, in bounded steps: texts in time, then all of a mail, and what nobody claimed."""

from __future__ import annotations

from sqlalchemy.sql import ClauseElement

from relay import model
from relay.model import DAY
from relay.queue import statements as sql
from relay.queue.store import Store

REPEAT_KEPT = DAY
SPENT_KEPT = 40 * DAY
_SWEEP_AFTER = DAY


async def sweep(store: Store) -> None:
    """Forget repeat keys past their day and files that no mail claimed."""
    now = store.clock.now()
    await _all_of(store, sql.SWEEP_REPEATS, before=now - REPEAT_KEPT)
    await _all_of(store, sql.SILENT_PHONES, before=now - REPEAT_KEPT)
    await store.engine.delete(sql.OLD_OPERATOR_NOTICES, before=now - 30 * REPEAT_KEPT)
    await _all_of(store, sql.SWEEP_SPENT, before=now - SPENT_KEPT)
    rows = await store.engine.read(sql.ORPHANS, before=now - _SWEEP_AFTER)
    await _drop_files(store, [row["id"] for row in rows])


async def _all_of(store: Store, statement: ClauseElement, **parameters: int) -> None:
    """Run a delete of at most STEP rows until it finds none: others write in between."""
    while await store.engine.delete(statement, **parameters):
        pass


async def _drop_files(store: Store, ids: list[int]) -> None:
    if ids:
        await store.engine.delete(sql.SWEEP_CHUNKS, ids=ids)
        await store.engine.delete(sql.SWEEP_FILES, ids=ids)


async def wipe_incoming(store: Store, before: int) -> None:
    """Forget what phones sent before a moment."""
    await _all_of(store, sql.OLD_INCOMING, before=before)


async def wipe(store: Store, before: int, above: int) -> int:
    """Forget texts, files and headers of finished mails received before; the last mail wiped.

    One bounded step, from the mail after `above` on; 0 where none is left.
    """
    rows = await store.engine.read(sql.NOT_WIPED, before=before, above=above)
    ids = [row["id"] for row in rows]
    if ids:
        files = await store.engine.read(sql.FILES_OF, ids=ids)
        await _drop_files(store, [row["id"] for row in files])
        await store.engine.delete(sql.WIPE_CONTENTS, ids=ids)
        await store.engine.delete(sql.WIPE_MAILS, ids=ids)
    return ids[-1] if ids else 0


async def forget(store: Store, before: int) -> bool:
    """Forget everything of finished mails received before, in one bounded step; whether any went."""
    rows = await store.engine.read(sql.OLD_MAILS, before=before, above=0)
    ids = [row["id"] for row in rows]
    if ids:
        await _drop_files(store, [row["id"] for row in await store.engine.read(sql.FILES_OF, ids=ids)])
        for statement in sql.FORGET:
            await store.engine.delete(statement, ids=ids)
    else:
        await _all_of(store, sql.OLD_REQUESTS, key=model.key_at(before))
    return bool(ids)
