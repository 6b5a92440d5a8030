"""A change as data: rows to insert, rows to change, a key to write once."""

from __future__ import annotations

import pytest

from relay.queue import schema
from relay.queue.engine import Change, Full, InUse, Stale, Trouble


def test_insert_fills_in_the_row():
    """An inserted row is whole, so that all inserts of a table are one statement."""
    change = Change()
    change.insert(schema.meta, key="a", value="b")
    change.insert(schema.account, name="main")
    assert [
        (schema.meta, {"key": "a", "value": "b"}),
        (
            schema.account,
            {
                "name": "main",
                "version": 1,
                "rest": "",
                "probe_at": None,
                "probes": 0,
                "mass_at": None,
                "answer_id": 0,
                "answers_at": None,
            },
        ),
    ] == change.inserts


def test_insert_knows_the_columns():
    """A column that is not there is found out when the row is made, not in the writer."""
    change = Change()
    with pytest.raises(KeyError, match="meta has no column colour"):
        change.insert(schema.meta, key="a", colour="red")
    assert not change


@pytest.mark.parametrize(
    ("table", "key", "keys"),
    [
        (schema.orders, 7, {"k0": 7}),
        (schema.account, "main", {"k0": "main"}),
        (schema.phone, ("main", "+7999"), {"k0": "main", "k1": "+7999"}),
        (schema.phone, ["main", "+7999"], {"k0": "main", "k1": "+7999"}),
    ],
)
def test_update_names_key_and_version(table, key, keys):
    """An update says which row it is about, which version was read, and that the next one follows."""
    change = Change()
    change.update(table, key, 4, rank=-1, state="held")
    parameters = {**keys, "was": 4, "version": 5, "rank": -1, "state": "held"}
    assert [(table, ("rank", "state"), parameters)] == change.updates


def test_empty_change():
    """A change is empty until a row is inserted or updated."""
    inserted, updated = Change(), Change()
    inserted.insert(schema.meta, key="a")
    updated.update(schema.orders, 1, 1, rank=0)
    assert (False, True, True) == (bool(Change()), bool(inserted), bool(updated))


@pytest.mark.parametrize("kind", [Full, InUse, Stale])
def test_all_are_trouble(kind):
    """Who cares only whether it worked catches one thing."""
    assert issubclass(kind, Trouble)
