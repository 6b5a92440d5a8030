"""The sandbox answers as the real provider was recorded to: same layout, same words."""

import json
import re
from pathlib import Path

import pytest
import yaml

RECORDED = yaml.safe_load((Path(__file__).parents[1] / "recorded_answers.yaml").read_text())
PHONE = "79991234567"


def layout(body):
    """Return an answer with every number replaced."""
    return re.sub(r"-?\d+", "0", body)


async def produced(sandbox, client, name, fmt):
    """Make the sandbox give the answer of that name."""
    match name:
        case "a send is accepted" | "a send is accepted, in words":
            return await client.text("send", phones=PHONE, mes="Hi", fmt=fmt)
        case "a number is wrong, and the refusal bears the message's id":
            return await client.text("send", phones="123", mes="Hi", fmt=fmt)
        case "there is no money, in words":
            return await client.text("send", phones="79991230003", mes="Hi", fmt=fmt)
        case "the same request came within a minute" | "the same request came within a minute, in words":
            await client.send()
            return await client.text("send", phones=PHONE, mes="Hello", fmt=fmt)
        case "the login or the password is wrong":
            return await client.text("balance", login="alex", psw="wrong", fmt=fmt)
        case "the balance":
            return await client.text("balance", fmt=fmt)
        case "a message is delivered; an old answer without flag and err":
            await client.send(id=30)
            found = await client.text("status", phone=PHONE, id=30, fmt=fmt)
            return re.sub(r',\n"flag": \d+,\n"err": \d+', "", found)
    raise AssertionError(name)


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [a for a in RECORDED if a["exact"]], ids=lambda answer: answer["name"])
async def test_the_layout_is_the_recorded_one(sandbox, client, answer):
    """Numbers aside, not a byte differs."""
    found = await produced(sandbox, client, answer["name"], answer["fmt"])
    assert layout(found) == layout(answer["body"])


def test_recorded_answers_say_what_they_mean():
    """Each answer has a name of its own, a body that can be read, and one meaning."""
    assert len({answer["name"] for answer in RECORDED}) == len(RECORDED)
    for answer in RECORDED:
        assert set(answer) == {"name", "endpoint", "fmt", "exact", "body", "meaning"}
        assert len(answer["meaning"]) == 1
        if answer["fmt"] == 3:
            json.loads(answer["body"])


@pytest.mark.asyncio
async def test_a_status_in_full_has_the_recorded_fields(client):
    """What was recorded of the real provider is there, of the same types."""
    recorded = next(json.loads(a["body"]) for a in RECORDED if a["name"] == "a message is delivered, in full")
    await client.send(id=5)
    found = await client.ask("status", phone=PHONE, id=5, all=2)
    assert {key: type(found[key]) for key in recorded} == {
        key: type(value) for key, value in recorded.items()
    }


@pytest.mark.asyncio
async def test_several_statuses_have_the_recorded_fields(client):
    """Statuses 25 and 23 of one send, in the form for several."""
    recorded = next(json.loads(a["body"]) for a in RECORDED if a["name"].startswith("two phones"))
    await client.send("79991233025,79991233023", id=32)
    found = await client.ask("status", phone="79991233025,79991233023", id="32,32")
    assert [list(row) for row in found] == [list(row) for row in recorded]
