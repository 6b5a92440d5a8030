"""How a setting is declared, and how all of them are found again.

A default is given as it would be written in the file and goes through the same validation, so that
documents can show it and nobody has to say ``40MB`` twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr
from pydantic.fields import FieldInfo

REQUIRED = "required"
NONE = SecretStr("")
"""The secret that is not there."""
EACH = "*"
"""In a pattern of settings: any item of a list or mapping."""


class Shape(BaseModel):
    """A part of the configuration: frozen, nothing unknown in it, its errors silent about inputs."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


def setting(default: Any = ..., *, help: str, alias: str | None = None, shown: str | None = None) -> Any:  # noqa: A002
    """A field; `shown` is what documents call its default where that is only known at run time."""
    extra: dict[str, JsonValue] = {} if shown is None else {"shown": shown}
    return Field(default, description=help, alias=alias, json_schema_extra=extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: where it stands, what it holds, what it is by default."""

    pattern: tuple[str, ...]  # EACH where any item of a list or mapping is meant
    name: str
    help: str
    default: object  # REQUIRED where it has none
    shown: str  # for documents, "" where the default says it
    kind: str
    choices: tuple[str, ...]
    shape: type[Shape] | None  # what it is made of, where it is a section

    @property
    def secret(self) -> bool:
        """Whether it may also be given as a file or an environment variable."""
        return self.kind == "secret"


def settings(shape: type[Shape], pattern: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every setting of this part and, after each section, those in it."""
    for name in _declared(shape):
        one = _setting(shape, name, pattern)
        yield one
        if one.shape is not None:
            yield from settings(one.shape, one.pattern)


@cache
def fields(shape: type[Shape]) -> dict[str, Setting]:
    """The settings of this part alone, by the names that stand in the file."""
    return {one.name: one for one in (_setting(shape, name, ()) for name in _declared(shape))}


def _declared(shape: type[Shape]) -> list[str]:
    """Fields with a help text; one without is filled by us, not by the file."""
    return [name for name, field in shape.model_fields.items() if field.description]


def _setting(shape: type[Shape], attribute: str, pattern: tuple[str, ...]) -> Setting:
    field = shape.model_fields[attribute]
    name = field.alias or attribute
    inner, many, kind, choices = _kind(field.annotation, field.metadata)
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return Setting(
        pattern=(*pattern, name, EACH) if many and inner else (*pattern, name),
        name=name,
        help=field.description or "",
        default=_default(field),
        shown=str(extra.get("shown", "")),
        kind=kind,
        choices=choices,
        shape=inner,
    )


def _default(field: FieldInfo) -> object:
    return REQUIRED if field.is_required() else field.default


def _kind(annotation: Any, metadata: list[Any]) -> tuple[type[Shape] | None, bool, str, tuple[str, ...]]:
    """What an annotation holds: the part, whether many of it, and its kind and choices in words."""
    word = next((each for each in metadata if isinstance(each, str)), "")
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], [*metadata, *arguments[1:]])
    if word:
        return None, False, word, ()
    if origin in {Union, UnionType}:
        return _kind(next(each for each in arguments if each is not type(None)), [])
    if origin is Literal:
        return None, False, "one of", tuple(arguments)
    if origin in {tuple, dict}:
        inner, _, kind, choices = _kind(arguments[0] if origin is tuple else arguments[1], [])
        plural = "list of" if origin is tuple else "names and"
        return inner, True, f"{plural} {kind}", choices
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return annotation, False, "section", ()
    raise TypeError(f"{annotation} has no word for documents")
