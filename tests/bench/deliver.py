"""Delivering: distinct texts to distinct phones against the sandbox, which answers at once or after 50 ms.

`queue` is a queue filled beforehand, delivered with nothing else to do. `end to end` is mail
that comes in at the same time, at first far faster than it leaves. What waits for a slot leaves in
lists; `single` is the same as flash messages, which never do. Seen from the provider: messages a
second between the tenth and the ninetieth of a hundred. Statuses are not polled meanwhile.
"""

from __future__ import annotations

import json
from pathlib import Path

import stage
from stage import Row

SLOTS = 14
WAYS = (  # seconds of latency, how many messages at most, and whether they may leave in lists
    (0.0, 6000, True),
    (0.05, 6000, True),
    (0.05, 1100, False),
)
_PATIENCE = 30.0


def run(folder: Path) -> list[Row]:
    """All of them, from a full queue and end to end."""
    rows = []
    for latency, mails, lists in WAYS:
        for filled in (True, False):
            place = folder / f"deliver-{latency}-{lists}-{filled}"
            place.mkdir()
            host = "sms.example.com" if lists else "flash.example.com"
            seen = _measure(place, latency, mails, filled=filled, host=host)
            rows.append(_row(latency, seen, filled=filled, lists=lists))
    return rows


def _measure(folder: Path, latency: float, mails: int, *, filled: bool, host: str) -> dict[str, float]:
    with stage.provider(folder, latency=latency, calls=mails) as provider:
        url = provider.word("sandbox")
        if filled:
            with stage.relay(folder, provider=url, only="smtp") as relay:
                stage.load(relay.word("smtp"), mails=mails, sessions=SLOTS, host=host)
            with stage.relay(folder, provider=url, only="delivery"):
                said = provider.line(_PATIENCE)
        else:
            with stage.relay(folder, provider=url) as relay:
                load = stage.start_load(relay.word("smtp"), mails=mails, sessions=SLOTS, host=host)
                try:
                    said = provider.line(_PATIENCE)
                finally:
                    stage.end(load)
    seen: dict[str, float] = json.loads(said)
    if seen["texts"] != seen["messages"]:
        raise RuntimeError(f"{seen['messages']:.0f} messages brought {seen['texts']:.0f} texts")
    return seen


def _row(latency: float, seen: dict[str, float], *, filled: bool, lists: bool) -> Row:
    way = ("queue" if filled else "end to end") + ("" if lists else ", single")
    each = seen["messages"] / seen["calls"]
    share = f"{100 * seen['rate'] * latency / SLOTS:.1f} % of {SLOTS}/latency · " if latency else ""
    return Row(
        what=f"deliver, provider {latency * 1000:.0f} ms, {way}",
        figure=f"{seen['rate']:.0f} messages/s",
        beside=f"{share}{each:.0f} a call · at most {seen['at_once']:.0f} calls at once",
    )
