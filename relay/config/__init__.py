"""The configuration: found, read, judged as a whole, handed on as one frozen value.

`load` reads a file and raises ConfigError with *every* fault at once, each a sentence with its
``file:line:column``. It judges shape alone; whether a value makes sense to a room (a template, a
number, a charset) is that room's word, which `app` puts at the same place by `Loaded.fault`.
Secrets are fetched here, kept as SecretStr and repeated in no message.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from relay.config import checks, document, prepare
from relay.config.document import ConfigError, Document, Location
from relay.config.door import Dns, Listener, Sender, Tls
from relay.config.limits import Limits, Share
from relay.config.routing import Alias, Escalation, Quiet, Route, Smarthost
from relay.config.shape import (
    Account,
    Cap,
    Config,
    Delivery,
    Dkim,
    Inbox,
    Keep,
    Reports,
    Storm,
    Web,
)

__all__ = [
    "Account",
    "Alias",
    "Cap",
    "Config",
    "ConfigError",
    "Delivery",
    "Dkim",
    "Dns",
    "Escalation",
    "Inbox",
    "Keep",
    "Limits",
    "Listener",
    "Loaded",
    "Location",
    "Quiet",
    "Reports",
    "Route",
    "Sender",
    "Share",
    "Smarthost",
    "Storm",
    "Tls",
    "Web",
    "default",
    "find",
    "load",
]

VARIABLE = "SMSC_RELAY_CONFIG"
PLACES = (Path("config.yaml"), Path("/etc/smsc-relay/config.yaml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that may be used, and what its owner should know about it."""

    config: Config
    path: Path
    warnings: tuple[str, ...] = ()
    _document: Document = field(repr=False)

    def fault(self, loc: Location, text: str) -> str:
        """The sentence that says this of the value at `loc`: ``file:line:column: key: text``."""
        return self._document.sentence(_in_file(self._document, loc), text)


def find(argument: str | None = None) -> Path:
    """The configuration to use: the one asked for, else the first of the usual ones."""
    named = argument or os.environ.get(VARIABLE, "")
    if named:
        return Path(named)
    for path in PLACES:
        if path.is_file():
            return path
    places = " nor at ".join(str(path) for path in PLACES)
    raise ConfigError(f"no configuration: none at {places}; give one with -c FILE or ${VARIABLE}")


def load(path: Path, *, secrets: bool = True) -> Loaded:
    """The configuration in this file; raises ConfigError with every fault of it.

    Without `secrets` none is fetched from a file or the environment: for commands that only
    need to know where the running relay is, and whose user may not read them.
    """
    read = document.read(path)
    folder = path.absolute().parent
    prepare.prepare(read, folder if secrets else None)
    config = _validated(read, folder)
    checks.check(read)
    faults = read.faults()
    if faults or config is None:
        rest = config or _routes_of(read, folder)
        loaded = Loaded(config=rest, path=path, _document=read) if rest else None
        raise ConfigError(*faults, loaded=loaded)
    return Loaded(config=config, path=path, warnings=read.warnings(), _document=read)


def _routes_of(read: Document, folder: Path) -> Config | None:
    """What rooms judge, alone: so that faults elsewhere do not hide theirs. None where that is faulty."""
    kept = {name: read.values[name] for name in ("accounts", "routes", "aliases") if name in read.values}
    try:
        return Config.model_validate(kept, context={"folder": folder})
    except ValidationError:
        return None


def default(folder: Path | None = None) -> Config:
    """The configuration of the demo: the sandbox, a maildir, files in `folder` (or here)."""
    account = {"account": "main", "accounts": ["main"]}
    values: dict[str, object] = {
        "senders": [{"name": "monitoring", "networks": ["127.0.0.0/8", "::1"]}],
        "accounts": {"main": {"url": "sandbox"}},
        "routes": [
            {"match": "*@sms.example.com", "channel": "sms", **account},
            {"match": "*@call.example.com", "channel": "call", "params": {"voice": "w2"}, **account},
            {"match": "*", "channel": "mail", **account},
        ],
        "aliases": {"oncall": ["+79991234567", "+79991234568"]},
        "reports": {"maildir": "reports"},
    }
    return Config.model_validate(values, context={"folder": (folder or Path()).absolute()})


def _validated(read: Document, folder: Path) -> Config | None:
    try:
        return Config.model_validate(read.values, context={"folder": folder})
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
    for detail in details:
        place = _in_file(read, detail["loc"])
        if detail["type"] == "too_short" and read.value(place):
            continue  # every item was faulty, and each has been named
        read.fault(place, _words(detail))
    return None


def _in_file(read: Document, loc: Location) -> Location:
    """Where the file says what the shape has at `loc`."""
    parts = [part for part in loc if part != "[key]"]
    if parts[:1] == ["routes"] and parts[2:3] == ["params"]:
        del parts[2]
    if parts[:1] == ["aliases"] and parts[2:3] == ["to"] and loc[:3] not in read.places:
        del parts[2]  # a list alone
    return tuple(parts)


_SENTENCES: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "there is no such key; remove it",
    "string_type": "write text, in quotes where it reads like something else",
    "path_type": "write a path",
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "tuple_type": "write a list, as in [one, two]",
    "dict_type": "write keys and values, `key: value`",
    "model_type": "write keys and values, `key: value`",
    "too_short": "is empty; write one at least",
    "greater_than_equal": "write a number of {ge} or more",
    "less_than_equal": "write a number of {le} or less",
    "literal_error": "write {expected}",
    "value_error": "{error}",
}

_EXAMPLES: Mapping[Location, str] = {
    ("accounts",): "; name an account at the provider, as in main: {{url: sandbox}}",
    ("routes",): '; write a list, as in - {{match: "*@sms.example.com", channel: sms}}',
}


def _words(detail: ErrorDetails) -> str:
    """What the shape found, in our words and without the value."""
    template = _SENTENCES.get(detail["type"], "this cannot be read; look it up in docs/configuration.md")
    if detail["type"] == "missing":
        template += _EXAMPLES.get(detail["loc"], "")
    context = detail.get("ctx", {})
    if "expected" in context:
        context["expected"] = context["expected"].replace("'', ", "").replace("'", "")
    return template.format(**context)
