"""Statements in SQLite's own words, each compiled once.

The values of a row stand in a statement by their places, and several rows in one of them; a list
in a WHERE is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import Table, bindparam, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from relay.queue import schema

_DIALECT = sqlite.dialect(paramstyle="named")


class Compiled:
    """Statements as SQLite text, each compiled once."""

    def __init__(self) -> None:
        self._inserts: dict[tuple[str, int], str] = {}
        self._updates: dict[tuple[str, tuple[str, ...]], str] = {}
        self._added = ""
        self._values: dict[str, Callable[[Mapping[str, Any]], tuple[Any, ...]]] = {}
        self._others: dict[tuple[Any, ...], tuple[ClauseElement, str, Mapping[str, Any]]] = {}

    def insert(self, table: Table, rows: int) -> str:
        """One statement for so many rows, whose values stand in it by their places."""
        found = self._inserts.get((table.name, rows))
        if found is None:
            names = ", ".join(column.name for column in table.columns)
            row = f"({', '.join('?' * len(table.columns))})"
            found = f"INSERT INTO {table.name} ({names}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - ours
            self._inserts[table.name, rows] = found
        return found

    def values(self, table: Table) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
        """What takes the values out of a row, in the order of the table's columns."""
        found = self._values.get(table.name)
        if found is None:
            found = self._values[table.name] = itemgetter(*(column.name for column in table.columns))
        return found

    def update(self, table: Table, columns: tuple[str, ...]) -> str:
        found = self._updates.get((table.name, columns))
        if found is None:
            keys = list(table.primary_key.columns)
            statement = update(table).where(table.c.version == bindparam("was"))
            for i, column in enumerate(keys):
                statement = statement.where(column == bindparam(f"k{i}"))
            names = (*columns, "version")
            statement = statement.values({name: bindparam(name) for name in names})
            found = str(statement.compile(dialect=_DIALECT))
            self._updates[(table.name, columns)] = found
        return found

    def added(self) -> str:
        if not self._added:
            fresh = sqlite.insert(schema.spent)
            columns = {name: schema.spent.c[name] + fresh.excluded[name] for name in schema.AMOUNTS}
            added = fresh.on_conflict_do_update(index_elements=["cap", "at"], set_=columns)
            self._added = str(added.compile(dialect=_DIALECT))
        return self._added

    def other(self, statement: ClauseElement, parameters: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The text and the parameters of a statement; lists in it are written out.

        A list is filled up with its last value to a power of two, so that there are few texts of
        each statement: to make one costs more than to run it.
        """
        given: dict[str, Any] = {}
        key: tuple[Any, ...] = (id(statement),)
        for name, value in parameters.items():
            if isinstance(value, list):
                filled = _filled(value)
                key += name, len(filled)
                given.update(zip(_places(name, len(filled)), filled, strict=True))
            else:
                given[name] = value
        found = self._others.get(key)
        if found is None:
            # Statements live as long as the program; the reference kept here makes id() a safe key.
            compiled = cast("SQLCompiler", statement.compile(dialect=_DIALECT))
            lists = {name: _filled(value) for name, value in parameters.items() if isinstance(value, list)}
            state = compiled.construct_expanded_state({**parameters, **lists})
            constants: Mapping[str, Any] = {
                name: value for name, value in state.parameters.items() if name not in given
            }
            found = self._others[key] = (statement, state.statement, constants)
        _statement, sql, others = found
        return sql, {**others, **given}


@lru_cache(maxsize=256)
def _places(name: str, many: int) -> tuple[str, ...]:
    """What the values of a list are called where it is written out."""
    return tuple(f"{name}_{place}" for place in range(1, many + 1))


def _filled(values: list[Any]) -> list[Any]:
    return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values)) if values else values
