"""The client against servers that misbehave in every way, and against the sandbox."""

import asyncio
import gzip
import json
import logging
import re
import socket
import ssl
import struct
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, quote_plus

import pytest
import trustme
from aiohttp.abc import AbstractResolver
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.clock import Clock
from relay.model import Kind, Rest
from relay.smsc.client import Answers, Attachment, Balance, Client, Credentials, Sent
from relay.smsc.sandbox import Sandbox

PSW, KEY = "pä ss/w&rd", "k3y-of-the-account"
LOGIN = Credentials(login="alex", psw=PSW)
OK = b'{"id": "0abc", "cnt": 1, "cost": "1.40", "balance": "98.60", "phones": [{"phone": "79991234567"}]}'
NOW = 1_800_000_000_000


class Still(Clock):
    """A clock that stands."""

    def now(self):
        return NOW


class Peer:
    """A server on a real socket; `answer(reader, writer, peer)` is what it does with a connection."""

    def __init__(self, answer):
        self.answer = answer
        self.heads = []
        self.bodies = []
        self.connections = 0
        self.gone = asyncio.Event()  # a client closed its side
        self.url = ""

    async def __call__(self, reader, writer):
        self.connections += 1
        try:
            await self.answer(reader, writer, self)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            self.gone.set()
        finally:
            writer.close()

    async def request(self, reader):
        """Read one whole request."""
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)[1])
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(size))


def http(body, status="200 OK", *, more="", size=None):
    """An HTTP answer's bytes."""
    length = len(body) if size is None else size
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n".encode() + body


def answering(*answers):
    """Answers each request of a connection with these bytes in turn, the last for ever."""

    async def answer(reader, writer, peer):
        left = list(answers)
        while True:
            await peer.request(reader)
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()

    return answer


def closing(data):
    """Answers with these bytes and closes."""

    async def answer(reader, writer, peer):
        await peer.request(reader)
        writer.write(data)
        await writer.drain()

    return answer


async def silent(reader, writer, peer):
    """Reads, and says nothing until the client leaves."""
    while await reader.read(65536):
        pass
    peer.gone.set()


@asynccontextmanager
async def serving(answer, *, tls=None, host="127.0.0.1", port=0):
    """A peer while it listens."""
    peer = Peer(answer)
    server = await asyncio.start_server(peer, host, port, ssl=tls)
    scheme = "https" if tls else "http"
    peer.port = server.sockets[0].getsockname()[1]
    peer.url = f"{scheme}://{'localhost' if tls else host}:{peer.port}"
    try:
        yield peer
    finally:
        server.close()


@asynccontextmanager
async def calling(url, *, credentials=LOGIN, read=5.0, connect=5.0, **more):
    """A client of this address."""
    client = Client(
        name="main", url=url, credentials=credentials, connect=connect, read=read, clock=Still(), **more
    )
    async with client:
        yield client


async def send(client, **more):
    """Send the usual message."""
    usual = {"id": "0abc", "phones": ["+79991234567"], "text": "Привет", "params": {"sender": "ALERTS"}}
    return await client.send(**(usual | more))


async def sent(answer, **more):
    """What becomes of the usual message at a server that answers so."""
    async with serving(answer) as peer, calling(peer.url, **more) as client:
        return await send(client)


def attachment(*chunks, size=None, name="отчёт.pdf"):
    """A file of these chunks; one that is an exception is raised."""

    async def give():
        for chunk in chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    whole = sum(len(chunk) for chunk in chunks if isinstance(chunk, bytes))
    return Attachment(name=name, type="application/pdf", size=whole if size is None else size, chunks=give)


# -- what is sent -------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("credentials", "fields"),
    [
        (LOGIN, [("login", "alex"), ("psw", PSW)]),
        (Credentials(apikey=KEY), [("apikey", KEY)]),
        (Credentials(login="alex", psw=PSW, apikey=KEY), [("apikey", KEY)]),
    ],
)
async def test_a_send_is_a_form_that_bears_the_login(credentials, fields):
    """Credentials are in the body alone, never in the URL."""
    async with serving(answering(http(OK))) as peer, calling(peer.url, credentials=credentials) as client:
        result = await send(client)
    head = peer.heads[0].decode()
    assert head.startswith("POST /sys/send.php HTTP/1.1\r\n")
    assert "Accept-Encoding: identity\r\n" in head
    assert "Content-Type: application/x-www-form-urlencoded\r\n" in head
    expected = [
        *fields,
        ("id", "0abc"),
        ("phones", "+79991234567"),
        ("mes", "Привет"),
        ("sender", "ALERTS"),
        ("charset", "utf-8"),
        ("fmt", "3"),
        ("cost", "3"),
        ("op", "1"),
    ]
    assert parse_qsl(peer.bodies[0].decode("ascii"), keep_blank_values=True) == expected
    assert (result.outcome.kind, result.outcome.cost, result.outcome.parts) == (Kind.ACCEPTED, "1.40", 1)
    assert (result.answer_id, result.balance, result.members) == ("0abc", "98.60", ())


@pytest.mark.asyncio
async def test_files_go_as_parts_and_a_repeat_is_byte_identical():
    """A request with files is multipart, the same bytes each time, its length known."""
    large = bytes(range(256)) * 2000
    async with serving(answering(http(OK))) as peer, calling(peer.url) as client:
        for _ in range(2):
            result = await send(client, files=[attachment(large[:99], large[99:]), attachment(b"2")])
            assert result.outcome.kind is Kind.ACCEPTED
    assert peer.bodies[0] == peer.bodies[1]
    assert large in peer.bodies[0]
    assert 'filename="отчёт.pdf"'.encode() in peer.bodies[0]
    assert b"multipart/form-data; boundary=" in peer.heads[0]
    assert b"Transfer-Encoding" not in peer.heads[0]


@pytest.mark.asyncio
async def test_a_connection_is_used_again():
    """Two calls in a row share a connection."""
    async with serving(answering(http(OK))) as peer, calling(peer.url) as client:
        await send(client)
        await send(client)
    assert (len(peer.bodies), peer.connections) == (2, 1)


@pytest.mark.asyncio
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_an_idle_connection_that_was_closed_costs_nothing(secure):
    """A peer that closes after each answer without saying so makes no order unsure."""
    tls = trust = None
    if secure:
        authority, trust = trustme.CA(), ssl.create_default_context()
        authority.configure_trust(trust)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(tls)
    async with serving(closing(http(OK)), tls=tls) as peer, calling(peer.url, trust=trust) as client:
        kinds = [(await send(client)).outcome.kind for _ in range(5)]
    assert kinds == [Kind.ACCEPTED] * 5
    assert (peer.connections, len(peer.bodies)) == (5, 5)


# -- what is understood -------------------------------------------------------------------


@pytest.mark.asyncio
async def test_phones_have_fates_of_their_own():
    """What op=1 tells of single numbers is keyed as they were given, costs included."""
    phones = ["+79991234567", "+79991234568", "+79991234569", "+79991234560", "+79991234561"]
    told = [
        {"phone": "79991234567", "cost": "1.40", "mccmnc": "25001"},
        {"phone": "79991234568", "status": "22", "error": "249", "cost": "0"},
        {"phone": "79991234569", "status": "25", "error": "8"},
        {"phone": "79991234560", "error": "248"},
    ]
    body = json.dumps({"id": "0abc", "cnt": 4, "cost": "2.80", "phones": told}).encode()
    async with serving(answering(http(body))) as peer, calling(peer.url) as client:
        result = await send(client, phones=phones)
    assert result.outcome.kind is Kind.ACCEPTED
    assert {phone: (each.kind, each.status) for phone, each in result.each.items()} == {
        "+79991234567": (Kind.ACCEPTED, "2.0.0"),
        "+79991234568": (Kind.REFUSED, "5.1.3"),
        "+79991234569": (Kind.REFUSED, "5.4.4"),
        "+79991234560": (Kind.REFUSED, "5.4.4"),
    }
    assert result.each["+79991234567"].cost == "1.40"
    assert result.members == ()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"status": "0", "error": "0"}, Kind.ACCEPTED),
        ({"status": -1}, Kind.ACCEPTED),
        ({"status": 0, "error": 248}, Kind.REFUSED),
        ({"status": 24}, Kind.ACCEPTED),
        ({"status": 23, "error": 254}, Kind.REFUSED),
        ({"error": 7}, Kind.REFUSED),
        ({}, Kind.ACCEPTED),
        ({"status": -3}, Kind.ACCEPTED),
        ({"status": -9}, Kind.ACCEPTED),
    ],
)
async def test_a_phones_line_is_read_by_status_and_error(line, kind):
    """An error decides, whether or not a status stands beside it."""
    body = json.dumps({"id": 1, "phones": [line | {"phone": "79991234567"}]}).encode()
    result = await sent(answering(http(body)))
    assert {"+79991234567": kind} == {phone: each.kind for phone, each in result.each.items()}


@pytest.mark.asyncio
async def test_members_of_a_group_are_learnt():
    """Phones that were not asked for are the group's members, each with its fate."""
    told = [{"phone": "79991234567"}, {"phone": "79991234568", "status": 22}, {"phone": "Ann@Example.com"}]
    body = json.dumps({"id": "0abc", "cnt": 3, "phones": told}).encode()
    async with serving(answering(http(body))) as peer, calling(peer.url) as client:
        result = await send(client, phones=["g777"])
    assert result.members == ("+79991234567", "+79991234568", "ann@example.com")
    assert result.each["+79991234568"].status == "5.1.3"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "kind", "status", "rest"),
    [
        (1, Kind.REFUSED, "5.5.4", Rest.NONE),
        (2, Kind.LATER, "4.7.8", Rest.LOGIN),
        (3, Kind.LATER, "4.3.0", Rest.MONEY),
        (4, Kind.LATER, "4.7.0", Rest.BLOCKED),
        (7, Kind.REFUSED, "5.1.3", Rest.NONE),
        (9, Kind.UNSURE, "4.4.1", Rest.NONE),
        (15, Kind.UNSURE, "4.4.1", Rest.NONE),
    ],
)
async def test_errors_become_outcomes(code, kind, status, rest):
    """An error holds for all phones and keeps the vendor's words."""
    body = json.dumps({"error": "the words", "error_code": code}).encode()
    result = await sent(answering(http(body)))
    outcome = result.outcome
    expected = (kind, status, rest, str(code), "the words")
    assert (outcome.kind, outcome.status, outcome.rest, outcome.code, outcome.text) == expected
    assert result.each == {}


@pytest.mark.asyncio
async def test_statuses_are_keyed_as_they_were_asked():
    """Answers name phones without a plus; what is not answered is not there."""
    told = [
        {"status": 1, "phone": "79991234567", "id": "a", "cost": "1.40", "last_timestamp": 1},
        {"status": "25", "err": "248", "phone": "79991234568", "id": "a", "status_name": "Недоступный номер"},
    ]
    pairs = [("+79991234567", "a"), ("+79991234568", "a"), ("+79991234569", "a")]
    async with (
        serving(answering(http(json.dumps(told).encode()))) as peer,
        calling(peer.url) as client,
    ):
        answers = await client.status(pairs)
    assert answers.outcome is None
    assert list(answers.each) == pairs[:2]
    good, bad = answers.each.values()
    assert (good.kind, good.cost) == (Kind.DELIVERED, "1.40")
    assert (bad.kind, bad.status, bad.text) == (Kind.REFUSED, "5.4.4", "Недоступный номер")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "rest"),
    [
        (closing(b""), Rest.NONE),
        (closing(http(b"<html>")), Rest.NONE),
        (closing(http(b'{"error":"authorise error","error_code":2}')), Rest.LOGIN),
        (closing(http(b'{"error":"parameters error","error_code":1}')), Rest.NONE),
    ],
)
async def test_a_failed_question_moves_nothing(answer, rest):
    """Whatever goes wrong with a question, no order is moved by it."""
    async with serving(answer) as peer, calling(peer.url) as client:
        status = (await client.status([("+7", "a")])).outcome
        balance = await client.balance()
        history = await client.look_up("a", NOW)
    for outcome in (status, balance, history):
        assert (outcome.kind, outcome.rest) == (Kind.NOTHING, rest)


@pytest.mark.asyncio
async def test_a_balance():
    """The balance is told with its currency."""
    body = b'{"balance": "98.60", "currency": "RUR"}'
    async with serving(answering(http(body))) as peer, calling(peer.url) as client:
        assert await client.balance() == Balance(amount="98.60", currency="RUR")
    assert peer.heads[0].startswith(b"POST /sys/balance.php ")


MESSAGE = {"phones": ["+79991234567"], "text": "Привет", "params": {"sender": "ALERTS"}}


@pytest.mark.asyncio
async def test_a_price_is_asked_for_without_sending():
    """The question is the send's own but for cost=1; nothing exists at the provider after it."""
    async with sandboxed() as (box, client):
        price = await client.price(**MESSAGE)
        result = await send(client)
    assert price == result.outcome.cost
    assert float(price) > 0
    assert len(box.messages) == 1
    assert box.calls[0].params["cost"] == "1"
    assert "id" not in box.calls[0].params


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (closing(b""), "it closed the connection"),
        (closing(http(b'{"error":"invalid number","error_code":7}')), "not a phone number"),
        (closing(http(b'{"cnt":1}')), "without a price"),
        (closing(http(b"<html>")), "a web page"),
    ],
)
async def test_a_price_that_is_not_known_is_a_sentence(answer, said):
    """Why the price is not known is told in its place."""
    async with serving(answer) as peer, calling(peer.url) as client:
        assert said in await client.price(**MESSAGE)


def page(start, count, *, id_="other", after=0):
    """A page of the provider's history."""
    lines = [
        {"status": 1, "phone": str(7000 + n), "id": id_, "int_id": after + n}
        for n in range(start, start + count)
    ]
    return http(json.dumps(lines).encode())


@pytest.mark.asyncio
async def test_the_history_is_searched_page_by_page():
    """Pages follow each other until one is not full; phones under the id are found."""
    async with (
        serving(answering(page(0, 1000), page(1000, 1000), page(0, 2, id_="mine"))) as peer,
        calling(peer.url) as client,
    ):
        found = await client.look_up("mine", NOW)
    assert {phone: each.kind for phone, each in found.items()} == {
        "+7000": Kind.DELIVERED,
        "+7001": Kind.DELIVERED,
    }
    asked = [dict(parse_qsl(body.decode())) for body in peer.bodies]
    assert [each.get("prev_id") for each in asked] == [None, "999", "1999"]
    assert asked[0]["start"] == "14.01.2027"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([http(b"[]")], 1),
        ([http(b'{"error":"record not found","error_code":3}')], 1),
        ([page(0, 1000), page(0, 1000)], 2),  # the same page again: no way on
        ([page(n * 1000, 1000) for n in range(9)], 5),  # and not for ever
    ],
)
async def test_a_search_ends(answers, asked):
    """Nothing found is an empty answer, after a bounded number of questions."""
    async with serving(answering(*answers)) as peer, calling(peer.url) as client:
        assert await client.look_up("mine", NOW) == {}
    assert len(peer.bodies) == asked


@pytest.mark.asyncio
async def test_a_search_that_breaks_keeps_what_it_found():
    """A page that fails does not lose the ones before it."""
    first = page(0, 1000, id_="mine")
    async with serving(answering(first, http(b"x"))) as peer, calling(peer.url) as client:
        assert len(await client.look_up("mine", NOW)) == 1000


# -- what goes wrong ----------------------------------------------------------------------


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.asyncio
async def test_a_refused_connection_is_tried_later():
    """Nobody listens: the provider has heard nothing."""
    async with calling(f"http://127.0.0.1:{free_port()}") as client:
        outcome = (await send(client)).outcome
        assert (outcome.kind, outcome.status, client.reachable) == (Kind.LATER, "4.4.1", False)
        assert "could not be reached" in outcome.reason


@pytest.mark.asyncio
async def test_a_name_that_is_not_found_is_tried_later():
    """No address, no connection."""
    async with calling("http://smsc.example", resolver=Names({})) as client:
        outcome = (await send(client)).outcome
    assert (outcome.kind, outcome.reason.endswith("(its name could not be resolved)")) == (Kind.LATER, True)


@pytest.mark.asyncio
async def test_a_connection_that_takes_too_long_is_tried_later():
    """A host that does not complete a connection within `connect` has heard nothing."""

    async def never(reader, writer, peer):
        await silent(reader, writer, peer)

    async with serving(never) as peer, calling(f"https://127.0.0.1:{peer.port}", connect=0.1) as client:
        outcome = (await send(client)).outcome  # TLS is begun and never answered
        await peer.gone.wait()
    assert (outcome.kind, outcome.reason.endswith("(it did not answer in time)")) == (Kind.LATER, True)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["localhost", "other.example"])
async def test_a_certificate_that_is_not_trusted_hears_nothing(name):
    """An unknown issuer or another host's certificate ends before a byte of the request."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(tls)
    trust = ssl.create_default_context()
    if name != "localhost":
        authority.configure_trust(trust)
    async with serving(answering(http(OK)), tls=tls) as peer, calling(peer.url, trust=trust) as client:
        outcome = (await send(client)).outcome
    assert (outcome.kind, outcome.reason.endswith("(its certificate is not valid)")) == (Kind.LATER, True)
    assert peer.bodies == []


@pytest.mark.asyncio
async def test_a_certificate_that_is_trusted():
    """Over TLS the same call works."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with serving(answering(http(OK)), tls=tls) as peer, calling(peer.url, trust=trust) as client:
        assert (await send(client, files=[attachment(bytes(300_000))])).outcome.kind is Kind.ACCEPTED


@pytest.mark.asyncio
async def test_no_tls_where_it_is_expected_hears_nothing():
    """A server that speaks plain text to a TLS hello gets no request."""

    async def plain(reader, writer, peer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with serving(plain) as peer, calling(f"https://127.0.0.1:{peer.port}") as client:
        outcome = (await send(client)).outcome
    assert (outcome.kind, outcome.reason.endswith("(TLS could not be agreed on)")) == (Kind.LATER, True)


async def reset(reader, writer, peer):
    """Reads the request and resets the connection."""
    await peer.request(reader)
    found = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def endless(reader, writer, peer):
    """Answers without end."""
    await peer.request(reader)
    writer.write(http(b"", size=1 << 40))
    try:
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()
    except ConnectionError:
        peer.gone.set()


MISBEHAVIOURS = {
    "closed after the request": closing(b""),
    "reset": reset,
    "silence": silent,
    "closed in the status line": closing(b"HTTP/1.1 20"),
    "closed in the headers": closing(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "closed after the headers": closing(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
    "closed after half the body": closing(http(OK[:40], size=len(OK))),
    "silence after half the body": answering(http(OK[:40], size=len(OK))),
    "cut JSON": closing(http(OK[:40])),
    "an empty body": closing(http(b"")),
    "an empty body until the end": closing(b"HTTP/1.1 200 OK\r\n\r\n"),
    "HTML": closing(http(b"<html><body>Technical works</body></html>")),
    "HTTP 500": closing(http(b"<html>500</html>", "500 Internal Server Error")),
    "HTTP 502 with an answer": closing(http(OK, "502 Bad Gateway")),
    "HTTP 403": closing(http(b"<html>403</html>", "403 Forbidden")),
    "HTTP 413": closing(http(b"", "413 Content Too Large")),
    "HTTP 204": closing(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "not HTTP": closing(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "garbage": closing(b"\x00\xff\xfe\r\n\r\n\x80" * 50),
    "an impossible status": closing(b"HTTP/1.1 9999 What\r\n\r\n"),
    "a header without end": closing(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
    "headers without end": closing(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n"),
    "a control character in a header": closing(http(OK, more="X: a\x00b\r\n")),
    "a length that is none": closing(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + OK),
    "two lengths": closing(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + OK),
    "chunked garbage": closing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + OK),
    "a chunk cut off": closing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + OK),
    "a packed answer": closing(http(gzip.compress(OK), more="Content-Encoding: gzip\r\n")),
    "a redirect": closing(http(b"", "302 Found", more="Location: http://127.0.0.1:1/\r\n")),
    "a redirect to nowhere": closing(http(b"", "307 Temporary Redirect", more="Location: ::::\r\n")),
    "a huge body": endless,
}


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", MISBEHAVIOURS.values(), ids=MISBEHAVIOURS.keys())
async def test_after_a_byte_has_left_whatever_happens_is_unsure(answer):
    """No misbehaviour raises, none is taken for an answer, each is asked about first."""
    async with serving(answer) as peer, calling(peer.url, read=0.2) as client:
        outcome = (await send(client)).outcome
        assert (outcome.kind, outcome.status, outcome.rest) == (Kind.UNSURE, "4.4.1", Rest.NONE)
        assert client.reachable is False
        assert client.last_answer_at is None
    assert peer.connections == 1  # nothing is repeated by itself


@pytest.mark.asyncio
async def test_a_connection_that_closes_before_a_byte_has_left_has_heard_nothing():
    """A peer that accepts and closes at once is tried afresh, and then later."""
    closed = asyncio.Queue()

    async def close(reader, writer, peer):
        writer.close()
        await writer.wait_closed()
        closed.put_nowait(True)

    async with serving(close) as peer, calling(peer.url) as client:
        outcome = (await send(client, before=closed.get)).outcome
    assert (outcome.kind, outcome.status) == (Kind.LATER, "4.4.1")
    assert peer.connections == 2


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]))
def test_no_octets_make_the_client_raise(octets, head):
    """Whatever a server says, the outcome is unsure: no garbage is an acceptance."""
    assert asyncio.run(sent(closing(head + octets))).outcome.kind is Kind.UNSURE


@pytest.mark.asyncio
async def test_health_is_known_from_the_last_call():
    """Nothing is known first, then whether the provider answers."""
    answers = answering(http(OK), http(b'{"error_code":9}'), http(b"x"))
    async with serving(answers) as peer, calling(peer.url) as client:
        assert (client.reachable, client.last_answer_at) == (None, None)
        for expected in (True, True, False):
            await send(client)
            assert (client.reachable, client.last_answer_at) == (expected, NOW)


@pytest.mark.asyncio
async def test_a_closed_client_has_told_nothing():
    """A call on a client that is not open says so; closing and opening twice is fine."""
    async with serving(answering(http(OK))) as peer, calling(peer.url) as client:
        await client.open()
        await client.close()
        await client.close()
        assert (await send(client)).outcome.kind is Kind.LATER
        await client.open()
        assert (await send(client)).outcome.kind is Kind.ACCEPTED


# -- limits on silence --------------------------------------------------------------------


def dripping(data, pause):
    """Answers octet by octet."""

    async def answer(reader, writer, peer):
        await peer.request(reader)
        for octet in data:
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


@pytest.mark.asyncio
async def test_a_slow_answer_is_waited_for():
    """The limit is on silence: an answer that drips for longer than it is read all the same."""
    began = asyncio.get_running_loop().time()
    result = await sent(dripping(http(b'{"id": 1}'), 0.01), read=0.25)
    assert result.outcome.kind is Kind.ACCEPTED
    assert asyncio.get_running_loop().time() - began > 0.25


@pytest.mark.asyncio
async def test_an_answer_that_crawls_for_ever_is_given_up():
    """A peer cannot hold a slot for ever by a byte now and then."""
    result = await sent(dripping(http(b" " * 1000), 0.03), read=0.1)
    assert (result.outcome.kind, result.outcome.reason.endswith("(it fell silent)")) == (Kind.UNSURE, True)


@asynccontextmanager
async def narrow(answer):
    """A peer whose kernel takes little at once, so that the client feels how it reads."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listening.bind(("127.0.0.1", 0))
    peer = Peer(answer)
    server = await asyncio.start_server(peer, sock=listening, limit=4096)
    peer.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()


@pytest.mark.asyncio
async def test_a_slow_reader_may_take_its_time():
    """A large upload takes many times the limit on silence and succeeds."""
    size = 3 << 20

    async def slowly(reader, writer, peer):
        left = None
        while left is None or left > 0:
            data = await reader.read(65536)
            if left is None:
                head, _, data = data.partition(b"\r\n\r\n")
                left = int(re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)[1])
            left -= len(data)
            await asyncio.sleep(0.001)
        writer.write(http(OK))
        await writer.drain()

    began = asyncio.get_running_loop().time()
    async with narrow(slowly) as peer, calling(peer.url, read=0.25) as client:
        result = await send(client, files=[attachment(bytes(size))])
    assert result.outcome.kind is Kind.ACCEPTED
    assert asyncio.get_running_loop().time() - began > 0.25


@pytest.mark.asyncio
async def test_a_reader_that_stops_is_given_up():
    """An upload that makes no way for as long as the limit is broken off."""
    stopped = asyncio.Event()

    async def stop(reader, writer, peer):
        await reader.read(1)
        writer.transport.pause_reading()
        await stopped.wait()

    async with narrow(stop) as peer, calling(peer.url, read=0.2) as client:
        outcome = (await send(client, files=[attachment(bytes(5 << 20))])).outcome
        stopped.set()
    assert (outcome.kind, outcome.reason.endswith("(it fell silent)")) == (Kind.UNSURE, True)


@pytest.mark.asyncio
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can be told so")
async def test_what_was_given_up_does_not_arrive_later():
    """A request that the system still had to send when we gave it up is not sent when the line is back."""
    got = []

    async def late(reader, writer, peer):
        client = f"0100007F:{writer.get_extra_info('peername')[1]:04X} "
        await broken.wait()
        while f": {client}" in Path("/proc/net/tcp").read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        try:
            while data := await reader.read(65536):
                got.append(data)
        finally:
            peer.gone.set()

    broken = asyncio.Event()
    async with narrow(late) as peer, calling(peer.url, read=0.3) as client:
        assert (await send(client, text="x" * 60_000)).outcome.kind is Kind.UNSURE
        broken.set()
        async with asyncio.timeout(20):
            await peer.gone.wait()
    assert 0 < sum(map(len, got)) < 60_000


@pytest.mark.asyncio
async def test_an_answer_before_the_upload_ends_is_heard():
    """A refusal that comes early is the answer, and the rest is not sent."""

    async def early(reader, writer, peer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(b'{"error":"authorise error","error_code":2}'))
        await writer.drain()
        writer.transport.pause_reading()
        await done.wait()

    done = asyncio.Event()
    async with narrow(early) as peer, calling(peer.url, read=5.0) as client:
        result = await send(client, files=[attachment(bytes(5 << 20))])
        done.set()
    assert result.outcome.rest is Rest.LOGIN


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "file",
    [
        attachment(b"x" * 100_000, RuntimeError("the store is gone"), size=200_000),
        attachment(OSError("disk"), size=10),
        attachment(b"short", size=10),
        attachment(b"long", size=2),
    ],
    ids=["the source breaks", "the source breaks at once", "too short", "too long"],
)
async def test_a_file_that_cannot_be_read_is_no_fault_of_the_providers(file):
    """The request is cut off: it may have been heard, and the reason is named."""
    async with serving(silent) as peer, calling(peer.url) as client:
        outcome = (await send(client, files=[file])).outcome
    assert outcome.kind is Kind.UNSURE
    assert outcome.reason.endswith("(a file of the message could not be read)")


@pytest.mark.asyncio
async def test_a_cancelled_call_ends_at_once():
    """Cancellation passes through and the connection is closed."""
    async with serving(silent) as peer, calling(peer.url) as client:
        heard = asyncio.Event()

        async def before():
            heard.set()

        call = asyncio.create_task(send(client, before=before))
        await heard.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await peer.gone.wait()


# -- just before the bytes leave ----------------------------------------------------------


@pytest.mark.asyncio
async def test_before_is_asked_when_nothing_has_left():
    """The lease is checked on a connection that stands, with no byte of the request out."""
    got = []

    async def watch(reader, writer, peer):
        connected.set()
        got.append(await reader.read(1))
        writer.write(http(OK))
        await writer.drain()

    async def before():
        await connected.wait()
        seen.append(list(got))

    connected, seen = asyncio.Event(), []
    async with serving(watch) as peer, calling(peer.url) as client:
        await send(client, before=before)
    assert (seen, got) == ([[]], [b"P"])


class LeaseLostError(Exception):
    """What `before` may raise."""


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [LeaseLostError(), TimeoutError(), OSError(5, "x"), ValueError()], ids=repr)
@pytest.mark.parametrize("files", [[], [attachment(b"x" * 100_000)]], ids=["form", "files"])
async def test_before_may_end_the_call_untold(error, files):
    """What it raises comes out as it is, and the provider hears not one byte."""
    heard = []

    async def watch(reader, writer, peer):
        heard.append(await reader.read())
        peer.gone.set()

    async def before():
        raise error

    async with serving(watch) as peer, calling(peer.url) as client:
        with pytest.raises(type(error)) as raised:
            await send(client, before=before, files=files)
        await peer.gone.wait()
    assert (raised.value is error, heard) == (True, [b""])


@pytest.mark.asyncio
async def test_before_may_take_longer_than_silence_may():
    """Waiting for the lease is not the provider's silence."""

    async def before():
        await asyncio.sleep(0.15)

    async with serving(answering(http(OK))) as peer, calling(peer.url, read=0.1) as client:
        assert (await send(client, before=before)).outcome.kind is Kind.ACCEPTED


# -- mirrors ------------------------------------------------------------------------------


class Names(AbstractResolver):
    """Names of the vendor's hosts, on this machine's own addresses."""

    def __init__(self, names):
        self.names = names

    async def resolve(self, host, port=0, family=0):
        if host not in self.names:
            raise OSError(None, "no such name")
        return [
            {
                "hostname": host,
                "host": self.names[host],
                "port": port,
                "family": family or socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def close(self):
        pass


NAMES = {"smsc.ru": "127.0.0.2", "www2.smsc.ru": "127.0.0.3", "www3.smsc.ru": "127.0.0.4"}


def hosts(peer):
    """The hosts that a peer's requests were for."""
    return [re.search(rb"Host: ([^:\r]+)", head)[1].decode() for head in peer.heads]


@pytest.mark.asyncio
async def test_a_mirror_is_asked_where_no_connection_can_be_made():
    """The first that connects is used, and asked first from then on."""
    before = []

    async def counted():
        before.append(1)

    async with (
        serving(answering(http(OK)), host="127.0.0.4") as mirror,
        calling(f"http://smsc.ru:{mirror.port}", resolver=Names(NAMES)) as client,
    ):
        assert (await send(client, before=counted)).outcome.kind is Kind.ACCEPTED
        async with serving(answering(http(OK)), host="127.0.0.2", port=mirror.port) as home:
            assert (await send(client)).outcome.kind is Kind.ACCEPTED
            assert (hosts(mirror), hosts(home)) == (["www3.smsc.ru"] * 2, [])
    assert before == [1]


@pytest.mark.asyncio
async def test_a_mirror_that_is_gone_gives_way_to_the_first():
    """Where the mirror that worked cannot be reached any more, the others are tried."""
    async with serving(closing(http(OK, more="Connection: close\r\n")), host="127.0.0.3") as mirror:
        client = Client(
            name="main", url=f"http://smsc.ru:{mirror.port}", credentials=LOGIN, resolver=Names(NAMES)
        )
        await client.open()
        assert (await send(client)).outcome.kind is Kind.ACCEPTED
    async with serving(answering(http(OK)), host="127.0.0.2", port=mirror.port) as home:
        assert (await send(client)).outcome.kind is Kind.ACCEPTED
        await client.close()
    assert hosts(home) == ["smsc.ru"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer", [reset, closing(b""), closing(http(b"x", "503 Busy"))], ids=["reset", "end", "503"]
)
async def test_no_mirror_is_asked_once_a_byte_has_left(answer):
    """A call that broke off is asked about, not repeated elsewhere."""
    async with (
        serving(answer, host="127.0.0.2") as home,
        serving(answering(http(OK)), host="127.0.0.3", port=home.port) as mirror,
        calling(f"http://smsc.ru:{home.port}", resolver=Names(NAMES)) as client,
    ):
        assert (await send(client)).outcome.kind is Kind.UNSURE
    assert (home.connections, mirror.connections) == (1, 0)


@pytest.mark.asyncio
async def test_without_any_mirror_the_order_waits():
    """No host of the vendor's can be reached."""
    async with calling(f"http://smsc.ru:{free_port()}", resolver=Names(NAMES)) as client:
        assert (await send(client)).outcome.kind is Kind.LATER


# -- secrets ------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_secrets_are_told_to_nobody(caplog):
    """A provider that repeats the form cannot make it into outcome, log or repr."""
    caplog.set_level(logging.DEBUG)
    said = f"bad psw={quote_plus(PSW)} {PSW}"
    bodies = [
        json.dumps({"error": said, "error_code": 2}).encode(),
        f"<html>{said}</html>".encode(),
        json.dumps([{"status": 20, "status_name": said, "phone": "79991234567", "id": "a"}]).encode(),
    ]
    results = []
    async with serving(answering(*map(http, bodies))) as peer, calling(peer.url) as client:
        results += [await send(client), await send(client), await client.status([("+79991234567", "a")])]
        results += [client, LOGIN, Credentials(apikey=KEY)]
    told = "\n".join([*map(repr, results), caplog.text, *(str(record.args) for record in caplog.records)])
    assert "bad psw=*** ***" in told
    for secret in (PSW, quote_plus(PSW), KEY, "alex"):
        assert secret not in told
        assert secret.encode() not in b"".join(peer.heads)


@pytest.mark.asyncio
async def test_a_call_that_fails_tells_no_secret(caplog):
    """Neither does one that raises."""
    caplog.set_level(logging.DEBUG)

    async def before():
        raise LeaseLostError

    async with serving(silent) as peer, calling(peer.url, read=0.1) as client:
        results = [await send(client)]
        with pytest.raises(LeaseLostError) as raised:
            await send(client, before=before)
    assert PSW not in repr(results) + caplog.text + repr(raised.value)
    assert raised.value.__cause__ is None


def test_results_are_values():
    """What is handed out compares by what it says."""
    assert Answers() == Answers(outcome=None, each={})
    assert Sent(outcome=None).members == ()
    assert Credentials(login="a", psw="b").struck_from("a bb") == "a ******"


# -- against the sandbox ------------------------------------------------------------------


@asynccontextmanager
async def sandboxed(*, read=0.3, **more):
    """A client of a sandbox."""
    box = Sandbox(slow=0.05, steps=(0.0, 0.0), **more)
    try:
        async with calling(await box.start(), read=read) as client:
            yield box, client
    finally:
        await box.stop()


FATES = [
    ("0001", Kind.REFUSED, "5.5.4"),
    ("0002", Kind.LATER, "4.7.8"),
    ("0003", Kind.LATER, "4.3.0"),
    ("0004", Kind.LATER, "4.7.0"),
    ("0005", Kind.REFUSED, "5.5.4"),
    ("0006", Kind.REFUSED, "5.7.1"),
    ("0007", Kind.REFUSED, "5.1.3"),
    ("0008", Kind.REFUSED, "5.4.4"),
    ("0009", Kind.UNSURE, "4.4.1"),
    ("0110", Kind.UNSURE, "4.4.1"),
    ("0111", Kind.UNSURE, "4.4.1"),
    ("0113", Kind.UNSURE, "4.4.1"),
    ("0114", Kind.UNSURE, "4.4.1"),
    ("0115", Kind.UNSURE, "4.4.1"),
    ("0116", Kind.UNSURE, "4.4.1"),
    ("0117", Kind.UNSURE, "4.4.1"),
    ("0120", Kind.ACCEPTED, "2.0.0"),
    ("4567", Kind.ACCEPTED, "2.0.0"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("suffix", "kind", "status"), FATES)
async def test_every_fate_of_the_sandbox_is_understood(suffix, kind, status):
    """What the look-alike says of a number is what the client makes of it."""
    async with sandboxed() as (_, client):
        outcome = (await send(client, phones=[f"+7999123{suffix}"])).outcome
    assert (outcome.kind, outcome.status) == (kind, status)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("suffix", "status"), [("0107", "5.1.3"), ("0108", "5.4.4"), ("0148", "5.4.4"), ("0149", "5.1.3")]
)
async def test_a_bad_number_among_good_ones(suffix, status):
    """One number of the request is refused, the other goes."""
    bad = f"+7999123{suffix}"
    async with sandboxed() as (box, client):
        result = await send(client, phones=["+79991234567", bad])
    assert result.outcome.kind is Kind.ACCEPTED
    assert (result.each[bad].kind, result.each[bad].status) == (Kind.REFUSED, status)
    assert result.each["+79991234567"].kind is Kind.ACCEPTED
    assert [message.phone for message in box.messages if message.phone.endswith("4567")] == ["79991234567"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("4567", Kind.DELIVERED),
        ("0121", Kind.ACCEPTED),
        ("0123", Kind.DELIVERED),
        ("0124", Kind.ACCEPTED),
        ("0130", Kind.EXPIRED),
        ("2001", Kind.REFUSED),
        ("2245", Kind.UNKNOWN),
        ("3022", Kind.REFUSED),
        ("3023", Kind.REFUSED),
    ],
)
async def test_the_sandbox_tells_of_statuses(suffix, kind):
    """A message is asked about alone and beside one that the provider knows nothing of."""
    phone = f"+7999123{suffix}"
    async with sandboxed() as (_, client):
        await send(client, phones=[phone])
        alone = await client.status([(phone, "0abc")])
        beside = await client.status([(phone, "0abc"), ("+79990000000", "0abc")])
    assert (alone.outcome, beside.outcome) == (None, None)
    assert alone.each[phone, "0abc"].kind is kind
    assert [each.kind for each in beside.each.values()] == [kind, Kind.ABSENT]


@pytest.mark.asyncio
async def test_the_sandbox_takes_a_call_with_a_file():
    """The multipart body is read by an independent reader as it was meant."""
    wav = b"RIFF" + bytes(range(256)) * 1000
    params = {"call": "1", "voice": "w2"}
    async with sandboxed() as (box, client):
        result = await send(
            client, text="слушайте <file 1>", params=params, files=[attachment(wav, name="тревога.wav")]
        )
        balance = await client.balance()
    assert result.outcome.kind is Kind.ACCEPTED
    call = box.calls[0]
    assert (call.params["mes"], call.params["call"], call.params["voice"]) == ("слушайте <file 1>", "1", "w2")
    assert [(file.name, file.data) for file in call.files] == [("тревога.wav", wav)]
    assert isinstance(balance, Balance)


@pytest.mark.asyncio
async def test_the_sandbox_knows_a_group_and_its_history():
    """Members are learnt from the answer, and from the history where the answer was lost."""
    async with sandboxed() as (box, client):
        box.groups["777"] = ["79991234567", "79991234568"]
        result = await send(client, phones=["g777"])
        found = await client.look_up("0abc", box._now() * 1000)
    assert result.members == ("+79991234567", "+79991234568")
    assert sorted(found) == ["+79991234567", "+79991234568"]
