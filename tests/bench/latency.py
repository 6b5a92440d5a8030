"""Latency at rest: one mail at a time, from the final dot to 250, and from there to the provider.

A plain socket sends, and another (`plain`) takes the request: both in this one process, so that one
clock times both ends, the moment the 250 is read and the moment the request's first byte is.
Postfix with curl is timed likewise, in turns.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import holding
import load
import plain
import stage
from stage import OverError, Row

MAILS = 60 if stage.QUICK else 150  # of one round
WARM = 10
_PAUSE = 0.02
_PATIENCE = 10.0

Times = tuple[list[float], list[float]]
"""Seconds from the final dot to 250, and from there to the provider."""


class Client:
    """A session that is kept open."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), _PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard()
        self.say(b"EHLO bench.example.com\r\n")

    def say(self, octets: bytes) -> float:
        """Say it; when the reply was read."""
        self._socket.sendall(octets)
        return self._heard()

    def _heard(self) -> float:
        octets = b""
        while not (octets.endswith(b"\r\n") and octets.splitlines()[-1][3:4] == b" "):
            octets += (more := self._socket.recv(4096))
            if not more:
                raise RuntimeError("the server has closed the session")
        now = time.perf_counter()
        if octets[:1] not in (b"2", b"3"):
            raise RuntimeError(octets.decode(errors="replace"))
        return now

    def close(self) -> None:
        self._socket.close()


def _round(address: str, provider: plain.Provider, first: int) -> Times:
    answered, sent = [], []
    with contextlib.closing(Client(address)) as client:
        for number in range(first, first + MAILS + WARM):
            provider.came.clear()
            client.say(f"MAIL FROM:<{load.SENDER}>\r\n".encode())
            client.say(f"RCPT TO:<{load.phone(number)}@sms.example.com>\r\n".encode())
            client.say(b"DATA\r\n")
            start = time.perf_counter()
            end = client.say(load.mail(number, 1000, "latency"))
            if not provider.came.wait(_PATIENCE):
                raise OverError(f"nothing came to the provider within {_PATIENCE:.0f} s of the 250")
            answered.append(end - start)
            sent.append(max(0.0, provider.first - end))
            time.sleep(_PAUSE)
    return answered[WARM:], sent[WARM:]


def run(folder: Path) -> Iterator[Row]:
    """Medians, and the slowest of a hundred, of all rounds."""
    found: dict[str, Times] = {}
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(plain.provider())
        relay = stack.enter_context(stage.relay(folder, provider=provider.url))
        addresses = {"relay": relay.word("smtp")}
        if address := stack.enter_context(holding.postfix(folder, provider=provider.url)):
            addresses["Postfix and curl"] = address
        for turn in range(stage.ROUNDS):
            for name, each in addresses.items():
                answered, sent = found.setdefault(name, ([], []))
                more = _round(each, provider, turn * (MAILS + WARM))
                answered += more[0]
                sent += more[1]
    targets = (("≤ 3 ms", ""), ("≤ 4 ms", "≤ 15 ms"))
    for place, what in enumerate(("final dot to 250", "250 to the provider's first byte")):
        for which, share in enumerate((0.5, 0.99)):
            yield _row(
                what, share, {name: times[place] for name, times in found.items()}, targets[place][which]
            )


def _row(what: str, share: float, found: dict[str, list[float]], target: str) -> Row:
    ours, *theirs = (f"{1000 * stage.percentile(times, share):.1f} ms" for times in found.values())
    most = float(target.split()[1]) if target else 0.0
    ratio = 1000 * stage.percentile(found["relay"], share) / most if most else 0.0
    others = list(found)[1:]
    return Row(
        what=f"at rest, {what}, p{100 * share:.0f}",
        figure=ours,
        target=target,
        reached=f"{ratio:.2f} of it" if target else "",
        beside="".join(f"{name} {each}" for name, each in zip(others, theirs, strict=True))
        or f"{len(found['relay'])} mails, mean {1000 * statistics.mean(found['relay']):.1f} ms",
    )
