"""What is forgotten, in bounded steps: texts in time, then all of a mail, and what nobody claimed."""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql import ClauseElement

from relay import model
from relay.model import DAY
from relay.queue import statements as sql
from relay.queue.store import Store

REPEAT_KEPT = DAY
HEARD_KEPT = 31 * DAY
"""How long a silent phone is remembered: what it is to hear later may wait at the provider for a month."""
SPENT_KEPT = 40 * DAY
_SWEEP_AFTER = DAY


async def sweep(store: Store) -> None:
    """Forget repeat keys past their day and files that no mail claimed."""
    now = store.clock.now()
    await _all_of(store, sql.SWEEP_REPEATS, before=now - REPEAT_KEPT)
    await _all_of(store, sql.SILENT_PHONES, before=now - HEARD_KEPT)
    await store.engine.delete(sql.OLD_OPERATOR_NOTICES, before=now - 30 * REPEAT_KEPT)
    await _all_of(store, sql.SWEEP_SPENT, before=now - SPENT_KEPT)
    await _drop_orphans(store, now - _SWEEP_AFTER)


async def _drop_orphans(store: Store, before: int) -> None:
    """Forget files of mails that never came."""
    last: int | None = 0
    while last is not None:
        looked = {"above": last, "key": model.key_at(before + 1) - 1}
        (row,) = await store.engine.read(sql.LAST_FILE, **looked)
        if (last := next(iter(row.values()))) is not None:
            rows = await store.engine.read(sql.ORPHANS, **looked | {"key": last})
            await _drop_files(store, [each["id"] for each in rows])


async def _all_of(store: Store, statement: ClauseElement, **parameters: Any) -> None:
    """Run a delete of at most STEP rows until it finds none: others write in between."""
    while await store.engine.delete(statement, **parameters):
        pass


async def _drop_files(store: Store, ids: list[int]) -> None:
    for start in range(0, len(ids), sql.STEP):
        some = ids[start : start + sql.STEP]
        for each in some:
            while await store.engine.delete(sql.SWEEP_CHUNKS, key=each) == sql.CHUNKS:
                pass
        await store.engine.delete(sql.SWEEP_FILES, ids=some)


async def wipe_incoming(store: Store, before: int) -> None:
    """Forget what phones sent, and what was told of messages that are none of ours, before a moment."""
    await _all_of(store, sql.OLD_INCOMING, before=before)
    await _all_of(store, sql.OLD_STRAYS, before=before)


async def wipe(store: Store, before: int, above: int) -> int:
    """Forget texts, files and headers of finished mails received before; the last mail looked at.

    One bounded step, from the mail after `above` on; 0 where none is left.
    """
    last, ids = await _finished(store, sql.NOT_WIPED, before, above)
    if ids:
        await _drop_files_of(store, ids)
        await _all_of(store, sql.WIPE_CONTENTS, ids=ids)
        await store.engine.delete(sql.WIPE_MAILS, ids=ids)
    return last


async def forget(store: Store, before: int, above: int) -> int:
    """Forget everything of finished mails received before; the last mail looked at.

    One bounded step, from the mail after `above` on; 0 where none is left.
    """
    last, ids = await _finished(store, sql.OLD_MAILS, before, above)
    if ids:
        await _drop_files_of(store, ids)
        for statement in sql.FORGET[:-1]:
            await _all_of(store, statement, ids=ids)
        await store.engine.delete(sql.FORGET[-1], ids=ids)
    if not last:
        await _all_of(store, sql.OLD_REQUESTS, key=model.key_at(before))
    return last


async def _finished(store: Store, statement: ClauseElement, before: int, above: int) -> tuple[int, list[int]]:
    """The last mail of the next window of those received before, and those of it that are to go."""
    looked = {"above": above, "key": model.key_at(before + 1) - 1}
    (row,) = await store.engine.read(sql.LAST_LOOKED_AT, **looked)
    window = next(iter(row.values()))
    if window is None:
        return 0, []
    ids = [each["id"] for each in await store.engine.read(statement, above=above, key=window)]
    return (ids[-1] if len(ids) == sql.STEP else window), ids


async def _drop_files_of(store: Store, mails: list[int]) -> None:
    await _drop_files(store, [row["id"] for row in await store.engine.read(sql.FILES_OF, ids=mails)])
