"""The calls to a handler, as the vendor's page has them, taken by a handler that knows nothing else."""

import hashlib
import json
import zlib
from urllib.parse import parse_qsl

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from relay.smsc.sandbox import Sandbox
from relay.smsc.sandbox.caller import TRIES

START = 1_800_000_000.0


class Handler:
    """A client's handler: keeps what came, answers with `status`."""

    def __init__(self):
        self.calls = []
        self.status = 200

    async def take(self, request):
        """One call."""
        self.calls.append((request.method, request.query_string, await request.read(), request.content_type))
        return web.Response(status=self.status)

    def forms(self):
        """The parameters of each call."""
        return [dict(parse_qsl(body.decode(), encoding="cp1251")) for _, _, body, _ in self.calls]


@pytest_asyncio.fixture
async def handler():
    """A handler on a socket of its own."""
    made = Handler()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/handler"
    yield made
    await runner.cleanup()


class Time:
    """Time that passes when it is told to."""

    now = START

    def __call__(self):
        return self.now


async def sent(client_session, url, phones="79991234567", **more):
    """A message that the sandbox took."""
    form = {"login": "alex", "psw": "123", "phones": phones, "mes": "Hello", "id": "17", **more}
    async with client_session.post(f"{url}/sys/send.php", data=form) as answer:
        assert (await answer.text()).startswith("OK")


@pytest_asyncio.fixture
async def told(handler):
    """A way to send a message under a handler's address: the sandbox, 5 s later."""
    boxes = []

    async def made(tail, **message):
        time = Time()
        box = Sandbox(now=time, handler=handler.url + tail)
        boxes.append(box)
        url = await box.start()
        await box.caller.stop()  # the test says when
        async with aiohttp.ClientSession() as session:
            await sent(session, url, **message)
        time.now += 5
        await box.caller.call()
        return box

    yield made
    for box in boxes:
        await box.stop()


def md5(text, codec="cp1251"):
    """The hash of a text as it is sent."""
    return hashlib.md5(text.encode(codec)).hexdigest()


@pytest.mark.asyncio
async def test_statuses_are_told_in_their_order_with_the_hash(handler, told):
    """Handed over, then delivered; id, phone, status and the secret make the hash; nothing twice."""
    box = await told("?md5=abc-1")
    await box.caller.call()

    assert [("17", "79991234567", "0"), ("17", "79991234567", "1")] == [
        (each["id"], each["phone"], each["status"]) for each in handler.forms()
    ]
    assert [md5("17:79991234567:0:abc-1"), md5("17:79991234567:1:abc-1")] == [
        each["md5"] for each in handler.forms()
    ]
    assert {"POST"} == {method for method, *_ in handler.calls}
    assert [200, 200] == box.caller.answers


@pytest.mark.asyncio
async def test_what_stands_between_the_marks_comes_in_the_query(handler, told):
    """`!param1&param2?param3&param4`: the first two by GET, the others by POST."""
    await told("!sha1=k&a?b=2&c")
    _, query, body, _ = handler.calls[-1]

    sha1 = hashlib.sha1(b"17:79991234567:1:k").hexdigest()
    assert f"sha1={sha1}&a=" == query
    assert body.endswith(b"&b=2&c=")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("charset", "codec"),
    [("", "cp1251"), ("windows-1251", "cp1251"), ("utf-8", "utf-8"), ("koi8-r", "koi8-r")],
)
async def test_a_phone_s_message_in_each_charset(handler, told, charset, codec):
    """The text in the charset that the address names, windows-1251 without; signed as it is sent."""
    box = await told(f"?charset={charset}&md5=k" if charset else "?md5=k")
    handler.calls.clear()
    box.receive("79991234567", "Принято", "79037672215")
    await box.caller.call()

    form = dict(parse_qsl(handler.calls[0][2].decode(), encoding=codec))
    assert ("79991234567", "Принято", "79037672215") == (form["phone"], form["mes"], form["to"])
    assert md5("79991234567:Принято:79037672215:k", codec) == form["md5"]


@pytest.mark.asyncio
async def test_documents(handler, told):
    """fmt=3 is a JSON object, fmt=2 XML; koi8-r is not used for them."""
    await told("?fmt=3&charset=utf-8&crc32=k")
    found = json.loads(handler.calls[-1][2])
    assert ("1", str(zlib.crc32(b"17:79991234567:1:k"))) == (found["status"], found["crc32"])

    box = await told("?fmt=2&charset=koi8-r")
    box.receive("7", "а<б")
    await box.caller.call()
    assert "<mes>а&lt;б</mes>" in handler.calls[-1][2].decode("cp1251")


@pytest.mark.asyncio
async def test_a_confirming_call(handler, told):
    """`waitcall` instead of a status, signed by phone and time."""
    box = await told("?md5=k")
    handler.calls.clear()
    box.caller.confirming("79991234567")
    await box.caller.call()

    (form,) = handler.forms()
    assert md5(f"79991234567:{int(START) + 5}:k") == form["md5"]
    assert "waitcall" in form


@pytest.mark.asyncio
async def test_what_is_not_answered_200_is_called_again(handler, told):
    """A few times, and then no more."""
    handler.status = 503
    box = await told("?md5=k", phones="79991230122")
    for _ in range(10):
        await box.caller.call()

    assert [503] * TRIES == box.caller.answers


@pytest.mark.asyncio
async def test_nobody_there(told):
    """A handler that can't be reached is called again like any other."""
    box = await told("?md5=k")
    box.call_handler("http://127.0.0.1:1/")
    box.receive("7", "x")
    await box.caller.call()
    assert 0 == box.caller.answers[-1]
