"""Text and comment templates: Jinja2, sandboxed and strict.

A template belongs to the operator, what it is filled with belongs to a stranger. So the
names it may use are few, a name that does not exist is an error when the configuration is
read, and what comes out is treated like any other stranger's text. The sandbox does not
bound time or memory: whoever writes the configuration is trusted with that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

NAMES = ("subject", "body", "from", "to", "message_id", "date", "header")
_environment = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
)
_FAULTS = (
    TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError,
)  # fmt: skip


class TemplateFault(ValueError):  # noqa: N818
    """A template that can't be filled; the text says why."""


@lru_cache(maxsize=1024)
def _compiled(source: str) -> Template:
    return _environment.from_string(source)


@lru_cache(maxsize=1024)
def _pieces(source: str) -> tuple[tuple[bool, str], ...] | None:
    """The template as words and bare names by turns, None where it is more than that.

    Such a one needs no program to be filled, and the defaults are such.
    """
    try:
        body = _environment.parse(source).body
    except (TemplateError, RecursionError):
        return None
    found: list[tuple[bool, str]] = []
    for node in (
        inner for each in body for inner in (each.nodes if isinstance(each, nodes.Output) else [each])
    ):
        if isinstance(node, nodes.TemplateData):
            found.append((False, node.data))
        elif isinstance(node, nodes.Name) and node.name in NAMES and node.name != "header":
            found.append((True, node.name))
        else:
            return None
    return tuple(found)


def fill(source: str, names: Mapping[str, str], header: Callable[[str], str]) -> str:
    """The template's text; raises TemplateFault."""
    pieces = _pieces(source)
    if pieces is not None:
        return "".join([names[piece] if named else piece for named, piece in pieces])
    try:
        return _compiled(source).render({**names, "header": header})
    except _FAULTS as error:
        raise TemplateFault(f"{error}") from error


def is_plain(source: str) -> bool:
    """Whether a template puts names among words and does nothing with them."""
    return _pieces(source) is not None


@lru_cache(maxsize=1024)
def uses(source: str) -> frozenset[str]:
    """The names that a template uses; none where it can't be read."""
    try:
        return frozenset(meta.find_undeclared_variables(_environment.parse(source)))
    except (TemplateError, RecursionError):
        return frozenset()


def check(source: str) -> str:
    """Why a template of the configuration can't be used; "" where it can."""
    sample = {name: "x" for name in NAMES if name != "header"}
    try:
        fill(source, sample, lambda _name: "x")
    except TemplateFault as error:
        return f"{error}; a template may use {', '.join(NAMES[:-1])} and header(name)"
    return ""
