"""How statements are run: the small interface that the store needs of a database.

What is asked for is data, not code. A `Change` is a set of rows that becomes true as a
whole or not at all; a `Query` is a statement and its parameters. So the same changes and
statements serve a second engine, and a batch of changes can be written together.

What can go wrong. A row that was to be changed is not as it was read: that change raises
`Stale`, and who asked reads and decides again. The disk is full: `Full`, nothing of the
change is there. Anything else of the database: `Trouble`. A change whose commit failed is
not on disk and nobody was told that it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Table
from sqlalchemy.sql import ClauseElement

from relay.queue import schema

Row = Mapping[str, Any]


Query = tuple[ClauseElement, Mapping[str, Any]]


class Trouble(Exception):  # noqa: N818
    """The database could not do it; nothing of the change is stored."""


class Full(Trouble):
    """No room on the disk."""


class TooOld(Trouble):
    """The database has a schema that only newer programs may use."""


class Stale(Trouble):
    """A row is not as it was when the change was decided: read and decide again."""


class InUse(Trouble):
    """Another process has the database."""


@dataclass(slots=True)
class Change:
    """Rows to insert and rows to change, all or none.

    `once` is a key that may be written only once and the mail it stands for: where the key
    is there already nothing is written, and the earlier mail's id is the answer. `sums` are what
    is added to rows of `spent`, which needs no version: whoever else adds does no harm. `counts` are
    caps that the change was decided upon, with the version that was read: where another
    decided upon one of them since, the change is stale. Only a store that is shared has them.
    Changes that are `together` were decided upon one after the other, and none makes another stale.
    """

    inserts: list[tuple[Table, dict[str, Any]]] = field(default_factory=list)
    updates: list[tuple[Table, tuple[str, ...], dict[str, Any]]] = field(default_factory=list)
    once: tuple[str, int, int] | None = None
    sums: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    together: object = None
    _places: dict[tuple[str, tuple[Any, ...]], int] = field(default_factory=dict)

    def insert(self, table: Table, **values: Any) -> None:
        """Add a whole row, defaults filled in."""
        self.inserts.append((table, schema.row(table, **values)))

    def update(self, table: Table, key: Any, version: int, **values: Any) -> None:
        """Change the row with this primary key, provided that it still has this version.

        A row that the change touches again is changed once, by both: engines run updates by
        statement, not in the order in which they were asked for. Raises Stale where the second
        decision was not made upon what the first one leaves.
        """
        names = (key,) if isinstance(key, int | str) else tuple(key)
        place = self._places.setdefault((table.name, names), len(self.updates))
        if place == len(self.updates):
            parameters = {f"k{i}": part for i, part in enumerate(names)}
            self.updates.append((table, (), parameters | {"was": version, "version": version}))
        _table, columns, parameters = self.updates[place]
        if parameters["version"] != version:
            raise Stale("a row was decided upon twice")
        parameters |= {"version": version + 1, **values}
        self.updates[place] = (table, tuple(dict.fromkeys((*columns, *values))), parameters)

    def update_further(self, table: Table, key: int, version: int, **values: Any) -> None:
        """Change a row that this change may have changed already; `version` is that which was read."""
        place = self._places.get((table.name, (key,)))
        if place is not None and self.updates[place][2]["was"] == version:
            version = self.updates[place][2]["version"]
        self.update(table, key, version, **values)

    def add(self, cap: str, at: int, **amounts: int) -> None:
        """Add amounts to what counts towards a cap at a step of its time."""
        row = self.sums.setdefault((cap, at), {"messages": 0, "parts": 0, "cost": 0})
        for name, amount in amounts.items():
            row[name] += amount

    def take(self, other: Change) -> None:
        """Add the new rows and the amounts of another change, and what it was decided upon."""
        self.inserts += other.inserts
        for cap, version in other.counts.items():
            self.counts[cap] = min(version, self.counts.get(cap, version))
        for (cap, at), amounts in other.sums.items():
            self.add(cap, at, **amounts)

    def __bool__(self) -> bool:
        return bool(self.inserts or self.updates or self.sums)


Also = Callable[[Change], Awaitable[None] | None]
"""Adds rows of its own to a change that another decides; asked anew whenever that is decided anew."""


class Engine(Protocol):
    """What the store needs of a database.

    `shared` says whether other processes may use it at the same time.
    """

    shared: bool

    async def write(self, change: Change) -> int | None:
        """Make the change durable; the earlier mail's id where `once` was there already."""
        ...

    async def read(self, statement: ClauseElement, **parameters: Any) -> list[Row]:
        """The rows of a SELECT."""
        ...

    async def read_all(self, *queries: Query) -> list[list[Row]]:
        """The rows of several SELECTs, at one moment and for the price of one."""
        ...

    async def delete(self, statement: ClauseElement, **parameters: Any) -> int:
        """Run a DELETE, or an UPDATE of what nobody decides upon, on its own; how many rows it met."""
        ...

    async def moment(self) -> int | None:
        """The database's time, UTC milliseconds; None where it has no clock but this process's."""
        ...

    async def close(self) -> None:
        """Finish what was asked for and let go of the database."""
        ...
