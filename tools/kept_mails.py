"""What the kept mails (tests/mails) become: compared by a test, written anew by `make mails`.

Beside each NN-name.eml stands NN-name.orders.yaml: `to`, the recipients, and `orders`, what `explain`
says of them. After a change that is meant, write them anew and read the difference, line by line:
every line of it is a message on somebody's phone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from relay import config
from relay.cli.explain import charset_for, explained
from relay.message import content

FOLDER = Path(__file__).parents[1] / "tests" / "mails"
USUAL = ("79991234567@sms.example.com",)
_SAID = ("to", "refused", "account", "channel", "alarm", "phones", "alphabet", "parts", "files", "notes")
_ALWAYS = ("id", "phones", "charset", "fmt", "cost", "op")  # of every request


def mails() -> list[Path]:
    """The kept mails, in their order."""
    return sorted(FOLDER.glob("[0-9]*-*.eml"))


def settings() -> config.Config:
    """The configuration that they are explained for."""
    return config.load(FOLDER / "config.yaml").config


def expected(mail: Path) -> dict[str, Any]:
    """What is written beside a mail; only whom it goes to, the usual phone, where nothing is yet."""
    file = mail.with_suffix(".orders.yaml")
    return dict(yaml.safe_load(file.read_text("utf-8"))) if file.exists() else {"to": list(USUAL)}


def found(mail: Path, to: tuple[str, ...], relay: config.Config) -> list[dict[str, Any]]:
    """What the relay makes of a mail to these recipients, what is empty left out."""
    letter = content.read(mail.read_bytes(), charset_for(relay, to))
    return [_short(entry) for entry in explained(relay, letter, to, letter.from_)]


def _short(entry: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: entry[name] for name in _SAID if entry.get(name)}
    if "files" in told:
        told["files"] = [f"{file['name']} ({file['type']}, {file['size']})" for file in told["files"]]
    told["request"] = {name: value for name, value in entry.get("request", {}).items() if name not in _ALWAYS}
    return {name: value for name, value in told.items() if value}


def written(to: tuple[str, ...], orders: list[dict[str, Any]]) -> str:
    """The text of an orders.yaml."""
    return str(
        yaml.dump(
            {"to": list(to), "orders": orders},
            Dumper=_Dumper,
            allow_unicode=True,
            sort_keys=False,
            width=1000,
        )
    )


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as lines."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def main() -> Iterator[str]:
    """Write all of them anew; the names of those that changed."""
    relay = settings()
    for mail in mails():
        to = tuple(expected(mail)["to"])
        file, text = mail.with_suffix(".orders.yaml"), written(to, found(mail, to, relay))
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")
            yield file.name


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in main())
