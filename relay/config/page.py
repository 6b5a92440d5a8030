"""The reference part of `docs/configuration.md`, drawn from the shape.

`python -m relay.config` prints it; a test holds the page against it.
"""

from __future__ import annotations

from relay.config.checks import NOT_BUILT
from relay.config.prepare import written
from relay.config.routing import KEPT, PARAMETERS, Route
from relay.config.setting import EACH, REQUIRED, Setting, fields, settings
from relay.config.shape import Config

_LATER = {one.pattern: one for one in NOT_BUILT if one.harmless is None}


def page() -> str:
    """A table of the settings at the top and one for each section, then the parameters of send.php."""
    parts = ["## Top level", _table(list(fields(Config).values()), ())]
    for section in settings(Config):
        if section.shape is not None:
            parts += [f"## {_heading(section)}", section.help]
            parts.append(_table(list(fields(section.shape).values()), section.pattern))
            if section.shape is Route:
                parts.append(_parameters())
    return "\n\n".join(parts) + "\n"


def _heading(section: Setting) -> str:
    shown = ""
    for part in section.pattern:
        shown += "[]" if part == EACH else f".{part}" if shown else part
    return f"`{shown}`"


def _table(rows: list[Setting], at: tuple[str, ...]) -> str:
    head = ["| Key | Default | Kind | What it is |", "|---|---|---|---|"]
    return "\n".join([*head, *(_row(one, at) for one in rows)])


def _row(one: Setting, at: tuple[str, ...]) -> str:
    keys = ", ".join(f"`{key}`" for key in written(one))
    kind = f"one of {', '.join(f'`{each or _EMPTY}`' for each in one.choices)}" if one.choices else one.kind
    kind = "one of these for each item" if one.kind.startswith("list of one of") else kind
    later = _LATER.get((*at, one.name)) or _LATER.get((*at, one.name, EACH))
    notes = f" {_note(refuses=later.refuses)}" if later else ""
    return f"| {keys} | {default(one)} | {kind} | {one.help}{notes} |".replace("||", r"\|\|")


_EMPTY = '""'


def _note(*, refuses: bool) -> str:
    return "*Not built yet: refuses to start.*" if refuses else "*Not built yet: only warns.*"


def default(one: Setting) -> str:
    """A setting's default as it would be written, in code quotes."""
    if one.default is REQUIRED:
        return "required"
    if one.shown:
        return one.shown if one.shown.startswith(("the ", "this ")) else f"`{one.shown}`"
    if one.secret or one.default is None:
        return "none"
    if one.kind == "section":
        return "see below"
    return f"`{literal(one.default)}`"


def literal(value: object) -> str:
    """A value as YAML writes it in a line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(literal(each) for each in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {literal(each)}" for key, each in value.items()) + "}"
    return str(value) if value != "" else _EMPTY


def _parameters() -> str:
    rows = (f"| `{name}` | {says} |" for name, says in PARAMETERS.items())
    table = "\n".join(["| Parameter | What it is |", "|---|---|", *rows])
    kept = ", ".join(f"`{name}`" for name in KEPT)
    return "\n\n".join([_ABOVE, table, f"These are the relay's own and refused on a route: {kept}."])


_ABOVE = """A route also takes parameters of send.php under their own names, as text or numbers. They go
out with every message of the route; `allow` says which of them a mail may set as well."""
