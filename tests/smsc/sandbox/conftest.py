"""A sandbox on a socket of its own, a clock that is turned by hand, and somebody who asks."""

import json

import aiohttp
import pytest
import pytest_asyncio

from relay.smsc.sandbox import Sandbox

START = 1_800_000_000.0  # 15.01.2027 11:00:00 in Moscow


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.time = START

    def __call__(self):
        return self.time

    def passes(self, seconds):
        self.time += seconds


class Client:
    """Asks the sandbox as one account does; parameters may replace the login."""

    def __init__(self, url, session):
        self.url = url
        self.session = session

    async def raw(self, endpoint, *, method="POST", **params):
        """Return HTTP status, headers and body of a call."""
        account = {} if {"login", "apikey"} & set(params) else {"login": "alex", "psw": "123"}
        fields = {key: str(value) for key, value in (account | params).items()}
        place = {"params": fields} if method == "GET" else {"data": fields}
        async with self.session.request(method, f"{self.url}/sys/{endpoint}.php", **place) as answer:
            return answer.status, answer.headers, await answer.read()

    async def text(self, endpoint, **params):
        """Return the answer's text."""
        charset = params.get("charset", "windows-1251")
        return (await self.raw(endpoint, **params))[2].decode(charset)

    async def send(self, phones="79991234567", mes="Hello", **params):
        """Send, and return the answer as JSON reads."""
        return json.loads(await self.text("send", phones=phones, mes=mes, fmt=3, **params))

    async def ask(self, endpoint, **params):
        """Ask, and return the answer as JSON reads."""
        return json.loads(await self.text(endpoint, fmt=3, **params))

    async def status(self, phone, ident, **params):
        """Return the status number of one message."""
        return (await self.ask("status", phone=phone, id=ident, **params))["status"]


@pytest.fixture
def clock():
    """Return a clock that stands until it is turned."""
    return Clock()


@pytest_asyncio.fixture
async def sandbox(clock):
    """Run a sandbox on the clock."""
    box = Sandbox(now=clock, slow=0.01)
    box.url = await box.start()
    yield box
    await box.stop()


@pytest_asyncio.fixture
async def client(sandbox):
    """Return somebody who asks the sandbox."""
    async with aiohttp.ClientSession() as session:
        yield Client(sandbox.url, session)
