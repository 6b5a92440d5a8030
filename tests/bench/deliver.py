"""Delivering: distinct texts to distinct phones against the sandbox, which answers at once or after 50 ms.

`queue` is a queue filled beforehand, delivered with nothing else to do. `end to end` is mail
that comes in at the same time, at first far faster than it leaves. Seen from the provider: calls
a second between the tenth and the ninetieth of a hundred. Statuses are not polled meanwhile.
"""

from __future__ import annotations

import json
from pathlib import Path

import stage
from stage import Row

SLOTS = 14
LATENCIES = ((0.0, 3000), (0.05, 1100))  # seconds, and how many messages at most
_PATIENCE = 15.0


def run(folder: Path) -> list[Row]:
    """Both latencies, both ways."""
    rows = []
    for latency, mails in LATENCIES:
        for filled in (True, False):
            place = folder / f"deliver-{latency}-{filled}"
            place.mkdir()
            rows.append(_row(latency, _measure(place, latency, mails, filled=filled), filled=filled))
    return rows


def _measure(folder: Path, latency: float, mails: int, *, filled: bool) -> dict[str, float]:
    with stage.provider(folder, latency=latency, calls=mails) as provider:
        url = provider.word("sandbox")
        if filled:
            with stage.relay(folder, provider=url, only="smtp") as relay:
                stage.load(relay.word("smtp"), mails=mails, sessions=SLOTS)
            with stage.relay(folder, provider=url, only="delivery"):
                said = provider.line(_PATIENCE)
        else:
            with stage.relay(folder, provider=url) as relay:
                load = stage.start_load(relay.word("smtp"), mails=mails, sessions=SLOTS)
                try:
                    said = provider.line(_PATIENCE)
                finally:
                    stage.end(load)
    seen: dict[str, float] = json.loads(said)
    if seen["texts"] != seen["calls"]:
        raise RuntimeError(f"{seen['calls']:.0f} calls brought {seen['texts']:.0f} texts")
    return seen


def _row(latency: float, seen: dict[str, float], *, filled: bool) -> Row:
    way = "queue" if filled else "end to end"
    share = f"{100 * seen['rate'] * latency / SLOTS:.1f} % of {SLOTS}/latency · " if latency else ""
    return Row(
        what=f"deliver, provider {latency * 1000:.0f} ms, {way}",
        figure=f"{seen['rate']:.0f} messages/s",
        beside=f"{share}at most {seen['at_once']:.0f} calls at once",
    )
