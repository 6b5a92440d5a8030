"""Values are made anew with some fields changed, quickly: a mail is handed on so several times. Pure.

`dataclasses.replace` and the constructor of a frozen class set each field by its name; here the slots
of a class are looked up once, and written one after the other. What a class checks when it makes a
value is not checked: for those that check nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeVar

T = TypeVar("T")


class Form:
    """The slots of a class, in their order."""

    def __init__(self, kind: type[Any]) -> None:
        names: tuple[str, ...] = kind.__slots__
        self._kind = kind
        self._writers = tuple(getattr(kind, name).__set__ for name in names)
        self.read: Callable[[Any], tuple[Any, ...]] = attrgetter(*names)
        self.places: Mapping[str, int] = {name: place for place, name in enumerate(names)}

    def made(self, row: Iterable[Any]) -> Any:
        """A value of the class with these in its slots."""
        value = object.__new__(self._kind)
        for write, each in zip(self._writers, row, strict=True):
            write(value, each)
        return value


_FORMS: dict[type[Any], Form] = {}


def changed(value: T, **fields: Any) -> T:
    """The value with some fields changed; its class has slots, at least two."""
    kind = type(value)
    form = _FORMS.get(kind) or _FORMS.setdefault(kind, Form(kind))
    row = list(form.read(value))
    for name, each in fields.items():
        row[form.places[name]] = each
    return form.made(row)  # type: ignore[no-any-return]
