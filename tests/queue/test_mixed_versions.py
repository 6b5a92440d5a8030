"""Programs of several versions on one database: what the oldest that may use it writes and reads."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, select

from relay.queue import schema
from relay.queue.engine import Change
from relay.queue.states import State


def tables(version):
    """The tables as a program knows them that knows this version of the schema."""
    raw = sqlite3.connect(":memory:")
    raw.executescript((Path(__file__).parent / "schemas" / f"{version}.sql").read_text())
    found = {}
    for name in schema.metadata.tables.keys() - {"meta"}:
        columns = raw.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
        if columns:
            today, metadata = schema.metadata.tables[name].columns, MetaData()
            found[name] = Table(
                name,
                metadata,
                *(Column(each, today[each].type, primary_key=bool(key)) for each, key in columns),
            )
    raw.close()
    return found


def a_row(table):
    """A row of such a table: all that the program knows of, and nothing else."""
    row = {}
    for column in table.columns:
        kind = {BigInteger: 7, LargeBinary: b"7"}.get(type(column.type), "7")
        row[column.name] = None if schema.metadata.tables[table.name].columns[column.name].nullable else kind
    return row | ({"state": State.WAITING.value} if table.name == "orders" else {})


@pytest.mark.asyncio
@pytest.mark.parametrize("version", range(schema.OLDEST, schema.VERSION))
async def test_rows_of_an_older_program(engine, version):
    """What an older program writes is read and changed by this one, and what this one left by that."""
    older = tables(version)
    assert len(older) > 12
    change = Change()
    for table in older.values():
        change.inserts.append((table, a_row(table)))
    await engine.write(change)
    for name, table in older.items():
        today = schema.metadata.tables[name]
        (row,) = await engine.read(select(today))
        expected = schema.row(today) | a_row(table)
        assert expected == row, name
        if "version" in today.columns:
            keys = tuple(row[column.name] for column in today.primary_key.columns)
            for of in (today, table):  # this program changes it, then that one
                last = next(each for each in reversed(table.columns.keys()) if each != "version")
                change = Change()
                change.update(of, keys, row["version"], **{last: row[last]})
                await engine.write(change)
                (row,) = await engine.read(select(of))
            assert expected["version"] + 2 == row["version"]
            assert table.columns.keys() == list(row)
