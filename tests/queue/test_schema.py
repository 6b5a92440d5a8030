"""The tables: whole rows, versions, and the same schema for both databases."""

from __future__ import annotations

import re

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from relay.queue import followups, rows, schema

TABLES = list(schema.metadata.tables.values())
VALUES = {
    schema.mail: rows.Mail,
    schema.recipient: rows.Recipient,
    schema.content: rows.Content,
    schema.orders: rows.Order,
    schema.request: rows.Request,
    schema.notice: followups.Notice,
    schema.incoming: followups.Incoming,
    schema.step: followups.Step,
    schema.phone: rows.Phone,
    schema.account: rows.Account,
}


def named(tables):
    """Tables by their names, for the test's id."""
    return [pytest.param(table, id=table.name) for table in tables]


def test_tables():
    """Mail, recipient, content, order, request and notice are tables, and what goes with them."""
    assert {
        "mail",
        "repeat",
        "recipient",
        "content",
        "file",
        "chunk",
        "orders",
        "request",
        "notice",
        "story",
        "phone",
        "account",
        "spent",
        "heard",
        "stray",
        "incoming",
        "step",
        "meta",
    } == set(schema.metadata.tables)


@pytest.mark.parametrize("table", named(TABLES))
def test_row_has_every_column(table):
    """A row made from nothing has all columns, and None only for keys and for what is not yet."""
    row = schema.row(table)
    assert [column.name for column in table.columns] == list(row)
    for column in table.columns:
        absent = row[column.name] is None
        assert absent == (column.primary_key or column.nullable), column.name


@pytest.mark.parametrize("table", named(TABLES))
def test_row_takes_what_is_given(table):
    """What is given stands in the row, all else keeps its default."""
    last = table.columns.keys()[-1]
    assert {**schema.row(table), last: 77} == schema.row(table, **{last: 77})


def test_rows_do_not_share():
    """Changing one row leaves the next one alone."""
    schema.row(schema.meta)["value"] = "spoilt"
    assert "" == schema.row(schema.meta)["value"]


@pytest.mark.parametrize("table", named(TABLES))
def test_row_refuses_unknown_columns(table):
    """A misspelt column is an error, not a lost value."""
    with pytest.raises(KeyError, match=f"{table.name} has no column colour"):
        schema.row(table, colour="red")


@pytest.mark.parametrize("table", named(table for table in TABLES if "version" in table.columns))
def test_first_version_is_one(table):
    """A row that is written has version 1; 0 is left to say that there is no row."""
    assert 1 == schema.row(table)["version"]


def test_rows_that_change_have_versions():
    """What two deciders may change at once carries a version."""
    versioned = {table.name for table in TABLES if "version" in table.columns}
    assert {"recipient", "orders", "request", "notice", "phone", "account", "step"} == versioned


@pytest.mark.parametrize(("table", "value"), [pytest.param(t, v, id=t.name) for t, v in VALUES.items()])
def test_values_have_the_table_s_columns(table, value):
    """A row reads as its value without a column more or less, in the table's order."""
    assert table.columns.keys() == list(value.__slots__)


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("table", named(TABLES))
def test_both_databases(table, dialect):
    """Each table is one statement for either database, with 64 bits for every number and no generated key."""
    text = str(CreateTable(table).compile(dialect=dialect))
    columns = re.findall(r'^\t"?(\w+)"? (?:BIGINT|TEXT|BLOB|BYTEA)\b', text, re.MULTILINE)
    assert table.columns.keys() == columns
    assert "SERIAL" not in text
    assert "AUTOINCREMENT" not in text


@pytest.mark.parametrize("table", named(TABLES))
def test_indexes_are_the_same(table):
    """An index that holds only some rows holds the same rows in either database."""
    for index in table.indexes:
        texts = {
            " ".join(str(CreateIndex(index).compile(dialect=dialect)).split())
            for dialect in (sqlite.dialect(), postgresql.dialect())
        }
        assert 1 == len(texts), texts


def test_versions():
    """The schema never asks for a newer program than itself."""
    assert 1 <= schema.OLDEST <= schema.VERSION
