"""From what the file says to what the shape takes: secrets fetched, unknown keys refused, gaps closed.

Works on the raw values, so that a fault in one of them does not hide those in the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from relay.config import units
from relay.config.document import NOT_FETCHED, Document, Location
from relay.config.routing import KEPT, PARAMETERS, Route
from relay.config.setting import EACH, Setting, Shape, fields, settings
from relay.config.shape import Config

LARGEST_SECRET = 64 << 10

WHERE = {one.name: one.pattern for one in reversed(tuple(settings(Config)))}


def prepare(document: Document, folder: Path | None) -> None:
    """Bring the document's values into the shape's form; what cannot be brought is noted as fault.

    Without a folder secrets are not fetched: each has a stand-in.
    """
    _part(Config, document.values, (), document, folder)
    _accounts(document)


def _part(shape: type[Shape], values: object, at: Location, document: Document, folder: Path | None) -> None:
    if not isinstance(values, dict):
        return  # the shape says what belongs there
    known = fields(shape)
    for one in known.values():
        if one.secret:
            _secret(one, values, at, document, folder)
    unknown = [key for key in values if key not in known]
    if shape is Route:
        values["params"] = {key: _parameter(key, values.pop(key), at, document) for key in unknown}
    else:
        for key in unknown:
            del values[key]
            document.fault((*at, key), _stranger(key, at, known))
    for one in known.values():
        if one.shape is not None and one.name in values:
            for inner, place in _items(one, values[one.name], (*at, one.name)):
                _part(one.shape, inner, place, document, folder)


def _items(one: Setting, value: object, at: Location) -> Iterable[tuple[object, Location]]:
    """The parts that a value holds, each with its place."""
    if one.pattern[-1] != EACH:
        return [(value, at)]
    if isinstance(value, dict):
        return [(item, (*at, key)) for key, item in value.items()]
    if isinstance(value, list):
        return [(item, (*at, number)) for number, item in enumerate(value)]
    return []


# -- unknown keys ---------------------------------------------------------------------------


def _stranger(key: str, at: Location, known: dict[str, Setting]) -> str:
    names = [name for one in known.values() for name in written(one)]
    close = get_close_matches(key.lower(), names, 1)
    if close:
        return f"there is no such key; did you mean {close[0]}?"
    if key in WHERE and len(WHERE[key]) > 1 and WHERE[key][:-1] != at:
        return f"this key belongs under {_shown(WHERE[key][:-1])}; look at the indentation"
    return f"there is no such key; here stand {', '.join(names)}"


def _shown(pattern: tuple[str, ...]) -> str:
    return ".".join(part for part in pattern if part != EACH)


def written(one: Setting) -> tuple[str, ...]:
    """The keys that a setting may be given by."""
    return (one.name, f"{one.name}_file", f"{one.name}_env") if one.secret else (one.name,)


def _parameter(key: str, value: object, at: Location, document: Document) -> str:
    """The value of a parameter of send.php, as it will be sent."""
    here = (*at, key)
    if key in KEPT:
        document.fault(here, f"not for a route: {KEPT[key]}")
    elif key not in PARAMETERS:
        close = get_close_matches(key.lower(), [*fields(Route), *PARAMETERS], 1)
        hint = f"did you mean {close[0]}?" if close else "remove it"
        document.fault(here, f"neither a setting of routes nor a parameter of send.php; {hint}")
    elif isinstance(value, bool) or not isinstance(value, (str, int)):
        document.fault(here, "a parameter of send.php is text or a number; write it in quotes (1 for true)")
    return str(value)


# -- secrets --------------------------------------------------------------------------------


def _secret(
    one: Setting, values: dict[str, object], at: Location, document: Document, folder: Path | None
) -> None:
    """Put the secret itself in the place of where to find it."""
    given = [name for name in written(one) if name in values]
    for more in given[1:]:
        document.fault((*at, more), f"the same secret stands under {given[0]}; keep one of them")
    for name in given:
        found = values.pop(name)
        if name == given[0] and name != one.name:
            document.places[(*at, one.name)] = document.place((*at, name))
            found = _fetched(name, found, (*at, name), document, folder)
            if found is None:
                document.faulty.add((*at, one.name))
        if name == given[0]:
            values[one.name] = found


def _fetched(name: str, named: object, at: Location, document: Document, folder: Path | None) -> str | None:
    """What the file or variable holds. Its name is never said: it may be the secret, misplaced."""
    if not isinstance(named, str) or not named:
        document.fault(at, "write the name, as text")
        return None
    if folder is None:
        return NOT_FETCHED
    if name.endswith("_env"):
        found = os.environ.get(named, "")
        if not found:
            document.fault(at, "the environment variable of this name is not set, or empty")
        return found or None
    return _from_file(named, at, document, folder)


def _from_file(named: str, at: Location, document: Document, folder: Path) -> str | None:
    file = folder / named
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if credentials and "/" not in named and (Path(credentials) / named).is_file():
        file = Path(credentials) / named
    try:
        if not file.is_file():
            raise FileNotFoundError
        with file.open(encoding="utf-8") as opened:
            found = opened.read(LARGEST_SECRET + 1)
    except (OSError, ValueError):
        document.fault(at, "the file of this name is missing, or cannot be read as text")
        return None
    found = found.rstrip("\r\n")
    if not found or len(found) > LARGEST_SECRET:
        document.fault(at, "the file of this name is empty, or too large for a secret")
        return None
    return found


# -- gaps -----------------------------------------------------------------------------------


def _accounts(document: Document) -> None:
    """Give every route its account, and every account must be there."""
    accounts = document.values.get("accounts")
    names = list(accounts) if isinstance(accounts, dict) else []
    routes = document.values.get("routes")
    for number, route in enumerate(routes if isinstance(routes, list) else []):
        if isinstance(route, dict) and route.get("channel") != "forward":
            _account(route, names, ("routes", number), document)


def _account(route: dict[str, object], names: list[str], at: Location, document: Document) -> None:
    if "account" in route and "accounts" in route:
        document.fault((*at, "accounts"), "stands beside account; keep one of them")
        return
    if "account" not in route and "accounts" not in route:
        if len(names) > 1:
            document.fault((*at, "account"), f"is missing, and there are several: {', '.join(names)}")
        route["account"] = names[0] if names else ""
    if "account" in route:
        route["accounts"] = [route["account"]]
        document.faulty.add((*at, "accounts", 0))  # the same value: one fault of it is enough
        _named(route["account"], (*at, "account"), names, document)
        return
    several = route["accounts"]
    if isinstance(several, list):
        if not several:
            document.fault((*at, "accounts"), "is empty; name an account")
        for number, name in enumerate(several):
            _named(name, (*at, "accounts", number), names, document)
        route["account"] = several[0] if several else ""


def _named(name: object, at: Location, names: list[str], document: Document) -> None:
    name = units.text(name)
    if isinstance(name, str) and names and name not in names:
        close = get_close_matches(name, names, 1) or names[:1]
        document.fault(at, f"there is no such account; did you mean {close[0]}?")
