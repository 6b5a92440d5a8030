"""Requests as the vendor's own libraries write them, replayed byte for byte.

The exchanges stand in `exchanges/*.yaml`: what the library sends, what it must get, and
what the provider then has. Line ends of multipart bodies are written as the wire has them.
"""

from pathlib import Path

import pytest
import yaml
from yarl import URL

EXCHANGES = [
    pytest.param(exchange, id=f"{file.stem}: {exchange['name']}")
    for file in sorted((Path(__file__).parent / "exchanges").glob("*.yaml"))
    for exchange in yaml.safe_load(file.read_text())
]


@pytest.mark.asyncio
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_the_vendors_libraries_are_understood(sandbox, client, clock, exchange):
    """Each request is answered in the form its library takes apart."""
    for turn in exchange["turns"]:
        clock.passes(turn.get("after", 0))
        body = turn.get("body", "")
        if "multipart" in turn.get("type", ""):
            body = body.replace("\n", "\r\n")
        headers = {"Content-Type": turn["type"]} if "type" in turn else {}
        url = URL(sandbox.url + turn["target"], encoded=True)
        method = "POST" if "type" in turn else "GET"
        async with client.session.request(method, url, data=body.encode(), headers=headers) as answer:
            assert (answer.status, (await answer.read()).decode(turn["charset"])) == (200, turn["answer"])
    has = [{key: getattr(message, key) for key in expected} for message, expected in zip(
        sandbox.messages, exchange["messages"], strict=True)]  # fmt: skip
    assert has == exchange["messages"]
    for message, names in zip(sandbox.messages, exchange.get("files", []), strict=False):
        assert [file.name for file in message.files] == names
