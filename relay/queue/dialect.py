"""Statements in PostgreSQL's own words, each compiled once.

Many rows travel as one array for each column, so that a batch is one statement for each table
whatever its size, and the server tells how many rows it met. A list in a WHERE is one array
too; what the program itself fixes stands in the text, where the planner can hold it against
the indexes that are partial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ARRAY, BigInteger, BindParameter, LargeBinary, Table, bindparam, literal_column
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ClauseElement, operators, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BinaryExpression
from sqlalchemy.sql.functions import Function

from relay.queue import schema

DIALECT = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class Compiled:
    """Statements as PostgreSQL text, each compiled once."""

    def __init__(self) -> None:
        self._inserts: dict[str, str] = {}
        self._updates: dict[tuple[str, tuple[str, ...]], str] = {}
        self._others: dict[int, tuple[ClauseElement, str, Mapping[str, Any]]] = {}

    def insert(self, table: Table) -> str:
        """An INSERT of rows given as arrays, column by column."""
        if table.name not in self._inserts:
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            arrays = _arrays(table, table.columns.keys())
            self._inserts[table.name] = f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays})"
        return self._inserts[table.name]

    def added(self) -> str:
        """The INSERT of amounts that are added where their row is there; a row once at most."""
        if "+" not in self._inserts:
            sums = ", ".join(f"{name} = spent.{name} + excluded.{name}" for name in schema.AMOUNTS)
            on = f"ON CONFLICT (cap, at) DO UPDATE SET {sums}"
            self._inserts["+"] = f"{self.insert(schema.spent)} {on}"
        return self._inserts["+"]

    def update(self, table: Table, columns: Sequence[str]) -> str:
        """An UPDATE of rows given as arrays: keys, the version that was read, the new values."""
        key = (table.name, tuple(columns))
        if key not in self._updates:
            keys = [column.name for column in table.primary_key.columns]
            values = (*columns, "version")
            arrays = _arrays(table, [*keys, "version", *values])
            new = ", ".join(f'"{name}_"' for name in values)
            given = ", ".join([*(f"k{i}" for i in range(len(keys))), "was", new])
            changed = ", ".join(f'"{name}" = d."{name}_"' for name in values)
            same = " AND ".join(f'{table.name}."{name}" = d.k{i}' for i, name in enumerate(keys))
            self._updates[key] = (
                f"UPDATE {table.name} SET {changed} FROM unnest({arrays}) AS d ({given}) "
                f"WHERE {same} AND {table.name}.version = d.was"
            )
        return self._updates[key]

    def other(self, statement: ClauseElement, given: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """A statement's text and its arguments in their order."""
        # Statements live as long as the program; the reference kept here makes id() a safe key.
        entry = self._others.get(id(statement))
        if entry is None:
            plain = cast("ClauseElement", visitors.replacement_traverse(statement, {}, _replaced))
            compiled = cast("SQLCompiler", plain.compile(dialect=DIALECT))
            order = {name: compiled.params[name] for name in compiled.positiontup or ()}
            entry = self._others[id(statement)] = (statement, str(compiled), order)
        return entry[1], [given.get(name, value) for name, value in entry[2].items()]


def columns_of(names: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Rows as one list for each column; a text keeps all but the letter that PostgreSQL can't hold."""
    return [[_held(row[name]) for row in rows] for name in names]


def update_names(table: Table, columns: Sequence[str]) -> list[str]:
    """The parameters of a row's update, in the order of `Compiled.update`."""
    return [*(f"k{i}" for i in range(len(table.primary_key.columns))), "was", *columns, "version"]


def _held(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value


def _arrays(table: Table, names: Iterable[str]) -> str:
    kinds = {BigInteger: "bigint", LargeBinary: "bytea"}
    types = [kinds.get(type(table.columns[name].type), "text") for name in names]
    return ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(types, 1))


def _replaced(element: Any, **_: Any) -> Any:
    """What a part of a statement becomes; None where it stays."""
    if isinstance(element, BinaryExpression) and isinstance(element.right, BindParameter):
        if element.operator not in (operators.in_op, operators.not_in_op):
            return None
        right, kind = element.right, ARRAY(element.left.type)
        if right.value is not None:
            return element.left.in_([_literal(value, element.left.type) for value in right.value])
        array = sql_cast(bindparam(right.key, type_=kind), kind)
        if element.operator is operators.in_op:
            return element.left == Function("any", array)
        return element.left != Function("all", array)
    if isinstance(element, BindParameter) and element.unique and isinstance(element.value, str | int):
        return _literal(element.value, element.type)
    return None


def _literal(value: str | int, kind: Any) -> Any:
    """A value that stands in the program, as text."""
    return literal_column(str(value) if isinstance(value, int) else f"'{value}'", kind)
