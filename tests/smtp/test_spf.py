"""SPF against the RFC 7208 test suite, by a real DNS server, and what the suite leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from nameserver import SERVFAIL, nameserver

from relay.clock import Clock
from relay.config import Dns
from relay.model import Envelope
from relay.smtp.checks import Checks

SUITE = Path(__file__).parents[1] / "rfc7208" / "rfc7208-tests.yml"


def records(listed: list[object]) -> object:
    """What the suite says of a name, as our server takes it; SPF stands for TXT where that is not given."""
    given = [pair for each in listed for pair in pairs(each)]
    txt = any(kind == "TXT" for kind, _ in given)
    made = []
    for kind, value in given:
        meant = "TXT" if kind == "SPF" and not txt else kind
        if meant != "SPF" and value != "NONE":
            made.append((meant, SERVFAIL if value == "TIMEOUT" else tuple(value) if kind == "MX" else value))
    return made


def pairs(listed: object) -> list[tuple[str, object]]:
    """Types and values of one entry of the suite."""
    return [("ANY", listed)] if isinstance(listed, str) else list(listed.items())


def scenarios() -> list[object]:
    """The suite's scenarios: each a zone and cases."""
    return list(yaml.safe_load_all(SUITE.read_text("utf-8")))


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda each: each["description"])
@pytest.mark.asyncio
async def test_the_suite_of_rfc_7208(scenario):
    """Every case of the suite gets one of the results that it allows."""
    zone = {name: records(listed) for name, listed in scenario["zonedata"].items()}
    wrong = {}
    async with nameserver(zone) as server:
        checks = Checks(lambda: Dns(servers=[server.address]), Clock())
        for name, case in scenario["tests"].items():
            allowed = [case["result"]] if isinstance(case["result"], str) else case["result"]
            envelope = Envelope(sender=case["mailfrom"], helo=case["helo"], peer=case["host"])
            said = (await checks.sender(envelope)).spf
            if said.result.value not in allowed:
                wrong[name] = said.result.value, allowed
        checks.close()

    assert {} == wrong
    assert scenario["tests"]
