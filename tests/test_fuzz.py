"""Hostile input, made up within bounds: addresses, configurations, callbacks.

Nothing hangs, falls or answers outside its protocol; `FUZZ=n` takes n times as many examples.
The SMTP session has a fuzzer of its own (tests/smtp).
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
import yaml
from fuzzing import TIMES
from harness import journey, settings
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from pydantic import SecretStr

from relay import config, log
from relay.cli.check import doubts
from relay.cli.common import complaints
from relay.config import Alias, Route
from relay.config.setting import EACH
from relay.config.setting import settings as declared
from relay.config.shape import Config
from relay.message import address, routes
from relay.message.routes import Resolved
from relay.model import Recipient
from relay.replies import Reply
from relay.smtp import protocol

SECONDS = 2.0  # of the processor, for one example: thousands of times what it takes


def bounded(examples: int) -> hypothesis:
    """So many examples; none is shrunk for long."""
    return hypothesis(
        max_examples=examples * TIMES,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@contextmanager
def in_time() -> Iterator[None]:
    """What takes the processor for long hangs."""
    begun = time.process_time()
    yield
    assert time.process_time() - begun < SECONDS


# -- addresses ----------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *(
            "7",
            "9991234567",
            "+7",
            "8",
            "(999)",
            "-",
            " ",
            ".",
            "@",
            "#id",
            '"',
            "\\",
            '\\"',
            "<",
            ">",
            "%",
            "'",
            "\t",
        ),
        *("+flash", "+call", "+time=9-21", "+valid=", "=", "g777", "oncall", "OnCall", "sms.example.com"),
        *("٧", "１", "é", "\u200b", "\ud800", "\x7f", "a" * 70, "1" * 70, "(" * 40, "+a" * 60, "\\\\" * 40),
    ]
)
LOCAL = st.lists(PIECES | st.text(max_size=6), max_size=10).map("".join)
DOMAIN = st.sampled_from(
    ["sms.example.com", "SMS.example.com", "tg.example.com", "gate.example.com", "x", ""]
)
SMS = {"channel": "sms", "account": "main"}
ROUTES = [
    Route(match="*@sms.example.com", **SMS, allow=["flash", "call", "time", "valid"]),
    Route(match="*@tg.example.com", channel="bot", account="main", params={"bot": "@a_bot"}, region="RU"),
    Route(match="*@gate.example.com", **SMS, gateway=True, countries=["RU"], numbers=["+7*"]),
]
ALIASES = {"oncall": Alias(to=["+79991234567", "g777"])}
TARGET = re.compile(r"\+[1-9][0-9]{4,15}|g[0-9]+|[@#][\w.-]+", re.IGNORECASE)


def fits(reply: Reply) -> bool:
    """A reply is one line that can be sent, of a refusal's code with its status."""
    return (
        400 <= reply.code < 600
        and re.fullmatch(r"[45]\.\d{1,3}\.\d{1,3}", reply.status) is not None
        and reply.status[0] == str(reply.code)[0]
        and 0 < len(reply.text) <= 400
        and reply.text.isprintable()
    )


@bounded(600)
@given(
    LOCAL,
    DOMAIN,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", " NOTIFY=NEVER", " ORCPT=rfc822;a", " X"]),
)
def test_no_address_is_read_as_another_number(local, domain, extended, utf8, rest):
    """A refusal, or targets whose digits are those that were written, in their order."""
    with in_time():
        read = protocol.read_rcpt(f"TO:<{local}@{domain}>{rest}", extended=extended, utf8=utf8)
        if isinstance(read, Reply):
            assert fits(read)
            return
        assert isinstance(read, Recipient)
        found = routes.resolve(read.address, ROUTES, ALIASES)
        named = routes.names(read.address, ROUTES, ALIASES)
    if isinstance(found, Reply):
        assert fits(found)
        return
    assert isinstance(found, Resolved)
    assert all(TARGET.fullmatch(target.to) for target in found.targets)
    if not (found.alias or found.gateway or found.route.region or named):
        written = address.parse(address.split(read.address)[0]).recipient
        digits = "".join(letter for letter in written if letter.isdigit())
        assert [digits] == [target.to.strip("+gG") for target in found.targets]


# -- configurations -----------------------------------------------------------------------

SECRET = "hunter2-hunter2"
WORDS = [
    *("10s", "1MB", "-1", "*", "*@x", "fd:smtp", "unix:", "[::]:25", "0.0.0.0/0", "sandbox", "{{", "{% x"),
    *("+7999*", "RU", "22-7", "../x", "a:b:c", "~", "on", "1e9", "0x10", "%s", SECRET),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PATTERNS = tuple(one.pattern for one in declared(Config))
BASE = {"accounts": {"main": {"url": "sandbox"}}, "routes": [{"match": "*@a.example", "channel": "sms"}]}
PLACED = re.compile(r"\S*fuzz\.yaml(:\d+:\d+)?: \S")


def put(values: dict, pattern: tuple[str, ...], value: object) -> None:
    """Write a value at the first place that a pattern means, whatever stands on the way."""
    at: object = values
    for here, then in zip(pattern, (*pattern[1:], None), strict=True):
        last = then is None
        if isinstance(at, list):
            at[:] = at or [{}]
            key: object = 0
        elif isinstance(at, dict):
            key = next(iter(at), "main") if here == EACH else here
        else:
            return
        if last:
            at[key] = value
        elif not isinstance(at, list) and key not in at:
            at[key] = [{}] if then == EACH and pattern[0] != "accounts" else {}
        at = at[key]


@bounded(250)
@given(st.lists(st.tuples(st.sampled_from(PATTERNS), VALUES), min_size=1, max_size=4))
def test_no_configuration_makes_it_fall(tmp_path_factory, changes):
    """A configuration that loads is judged by all rooms; another is told its faults, by their places."""
    values = json.loads(json.dumps(BASE))
    for pattern, value in changes:
        put(values, pattern, value)
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), "utf-8", "surrogateescape")
    with in_time():
        faults, found = told(path)
    assert [] == [each for each in faults if not PLACED.match(each)]
    assert [] == [each for each in found if "\n" in each]


def told(path: Path) -> tuple[list[str], list[str]]:
    """The faults of a configuration; where it has none, what the rooms say of it."""
    try:
        loaded = config.load(path)
    except config.ConfigError as error:
        return list(error.faults) or ["no fault"], []
    assert SECRET not in repr(loaded.config.accounts)
    return [], [*complaints(loaded), *doubts(loaded)]


# -- callbacks ----------------------------------------------------------------------------

NAMES = ["id", "phone", "status", "err", "mes", "to", "time", "ts", "md5", "sha1", "crc32", "cost", "x"]
USUAL = ["79991234567", "1", "-3", "20", "0" * 32, "9" * 40]
FIELD = st.tuples(st.sampled_from(NAMES), st.text(max_size=12) | st.sampled_from(USUAL))
FORM = st.lists(FIELD, max_size=12).map(urlencode).map(str.encode)
DOCUMENT = st.lists(FIELD, max_size=6).map(dict).map(lambda form: json.dumps([form]).encode())
XML = st.lists(FIELD, max_size=6).map(
    lambda form: ("<s>" + "".join(f"<{key}>{value}</{key}>" for key, value in form) + "</s>").encode()
)
ENTITY = b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"
DEEP = st.sampled_from([b"[" * 5000, b'{"a":' * 3000, b"<a>" * 5000, ENTITY])
BODY = FORM | DOCUMENT | XML | DEEP | st.binary(max_size=300)
TYPE = st.sampled_from(
    [
        *("application/x-www-form-urlencoded", "application/json", "text/xml", "text/plain; charset=koi8-r"),
        *("multipart/form-data", "x"),
    ]
)
CALLS = st.tuples(
    st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    st.sampled_from(["main", "other", "%00", "main/..", "m%61in", "é"]),
    FORM | st.binary(max_size=40).map(lambda octets: octets.replace(b"#", b"").replace(b" ", b"")),
    TYPE,
    BODY,
)


@pytest.mark.asyncio
async def test_no_callback_makes_it_fall(tmp_path: Path) -> None:
    """Over HTTP: an answer of the documented ones, no traceback, no memory kept, and the relay goes on."""
    calls: list[tuple] = []

    @bounded(250)
    @given(CALLS)
    def make(one):
        calls.append(one)

    make()
    form, kind = b"id=1&phone=79991234567&status=1&md5=" + b"0" * 32, "application/x-www-form-urlencoded"
    calls += [("POST", account, b"", kind, form) for account in ("main", "other")]
    web = {"listen": "127.0.0.1:0", "callback_secret": SecretStr("s3cret")}
    root = logging.getLogger()
    before, stream = root.handlers, io.StringIO()
    async with journey(tmp_path, config=settings(tmp_path, web=web)) as relay:
        log.set_up(stream)
        host, port = relay.app.web.address.rsplit(":", 1)
        try:
            answers = set()
            tracemalloc.start()
            for method, account, query, kind, body in calls:
                answers.add(await raw(host, int(port), method, account, query, kind, body))
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
            root.handlers = before
        assert answers <= {200, 400, 403, 404, 405, 413}, answers
        assert {403, 404} <= answers
        assert kept < 16 * 2**20
        assert "exception" not in stream.getvalue()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{host}:{port}/healthz") as healthy,
        ):
            assert 200 == healthy.status
        assert [] == await relay.orders()


async def raw(host: str, port: int, method: str, account: str, query: bytes, kind: str, body: bytes) -> int:
    """One request as octets, since a client library would mend it; its status."""
    line = f"{method} /callback/{account}?".encode() + query + b" HTTP/1.1\r\n"
    head = f"Host: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(line + head.encode() + body)
        said = await reader.readline()
        writer.transport.abort()
    return int(said.split()[1])
