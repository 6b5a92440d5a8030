"""Health, readiness, metrics, and the API on the unix socket."""

from __future__ import annotations

import stat
from pathlib import Path

import aiohttp
import pytest
from harness import Journey, journey, settings

from relay import model

MAIL = "From: ops@mon.example.com\nSubject: Disk\n\nfull\n"
TO = "79991234567@sms.example.com"


async def call(relay: Journey, method: str, path: str, **options) -> tuple[int, object]:
    """One call over the unix socket: the status and what the JSON says."""
    connector = aiohttp.UnixConnector(path=str(relay.app.config.web.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, f"http://relay{path}", **options) as answer,
    ):
        text = await answer.text()
        return answer.status, await answer.json() if "json" in answer.content_type else text


@pytest.mark.asyncio
async def test_over_tcp_there_is_health_and_no_api(tmp_path: Path) -> None:
    """The port serves /healthz, /readyz and /metrics; the API needs the socket."""
    async with (
        journey(tmp_path, config=settings(tmp_path, web={"listen": "127.0.0.1:0"})) as relay,
        aiohttp.ClientSession(f"http://{relay.app.web.address}") as session,
    ):
        await relay.mail(MAIL, TO)
        await relay.pass_time(10)
        found = {}
        for path in ("/healthz", "/readyz", "/metrics", "/api/queue"):
            async with session.get(path) as answer:
                found[path] = (answer.status, await answer.text())

    assert (200, "ok\n") == found["/healthz"]
    assert 200 == found["/readyz"][0]
    assert "relay_mails_total" in found["/metrics"][1]
    assert 'relay_calls_total{account="main",kind="send",result="accepted"}' in found["/metrics"][1]
    assert 404 == found["/api/queue"][0]


@pytest.mark.asyncio
async def test_not_ready_says_why(relay: Journey) -> None:
    """A resting account, an unreachable provider and a store that fails each have a sentence."""
    await relay.rest()
    await relay.app.workers["main"].standing.remember(rest="login", probe_at=None)
    relay.app.clients["main"].reachable = False
    resting = await call(relay, "GET", "/readyz")
    await relay.app.store.engine.close()
    closed = await call(relay, "GET", "/readyz")

    assert 503 == resting[0]
    assert ["could not be reached", "rests (login)"] == [
        words for words in ("could not be reached", "rests (login)") if words in str(resting[1])
    ]
    assert "store: " in str(closed[1])


@pytest.mark.asyncio
async def test_the_socket_is_its_owners_alone(relay: Journey) -> None:
    """Mode 0600: whoever may open it may steer the queue."""
    mode = Path(relay.app.config.web.socket).stat().st_mode
    assert 0o600 == stat.S_IMODE(mode)


@pytest.mark.asyncio
async def test_an_orders_whole_story(relay: Journey) -> None:
    """Text, parameters, notes, request, reports, and each move with its time."""
    await relay.mail(MAIL, "79991232006@sms.example.com")
    await relay.pass_time(60)
    _, (brief,) = await call(relay, "GET", "/api/queue?state=failed")
    status, whole = await call(relay, "GET", f"/api/queue/{brief['id']}")

    assert 200 == status
    assert ("Disk\nfull", "79991232006@sms.example.com") == (whole["text"], whole["recipient"])
    assert ["queued", "claimed", "accepted", "refused"] == [line["event"] for line in whole["story"]]
    assert [("failed", "done")] == [(report["action"], report["state"]) for report in whole["reports"]]


@pytest.mark.asyncio
async def test_hold_release_drop_and_retry(relay: Journey) -> None:
    """A person's moves are news like any other; what can't happen is said."""
    relay.sandbox.fault = 3
    relay.sandbox.set_balance("0")
    await relay.mail(MAIL, TO)
    await relay.pass_time(1)
    name = model.show((await relay.order()).id)
    held = await call(relay, "POST", f"/api/queue/{name}/hold")
    twice = await call(relay, "POST", f"/api/queue/{name}/hold")
    early = await call(relay, "POST", f"/api/queue/{name}/retry")
    released = await call(relay, "POST", f"/api/queue/{name}/release")
    dropped = await call(relay, "POST", f"/api/queue/{name}/drop")
    relay.sandbox.fault = None
    relay.sandbox.set_balance("1000")
    again = await call(relay, "POST", f"/api/queue/{name}/retry")
    await relay.pass_time(600)

    assert ["held", "waiting", "dropped", "waiting"] == [
        answer[1]["state"] for answer in (held, released, dropped, again)
    ]
    assert (409, 409) == (twice[0], early[0])
    assert "can't be held" in twice[1]["error"]
    assert ["dropped", "delivered"] == [order.state for order in await relay.orders()]
    assert 1 == len(relay.sandbox.messages)
    assert ["Not delivered"] == [report["Subject"].split(":")[0] for report in relay.reports()]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/queue?state=lost", 400),
        ("GET", "/api/queue?limit=many", 400),
        ("GET", "/api/queue/nonsense", 400),
        ("GET", "/api/queue/0000000000000", 404),
        ("POST", "/api/queue/0000000000000/drop", 404),
        ("POST", "/api/queue/0000000000000/retry", 404),
        ("POST", "/api/queue/0000000000000/eat", 404),
        ("POST", "/api/send", 400),
    ],
)
async def test_what_makes_no_sense_is_said(relay: Journey, method: str, path: str, status: int) -> None:
    """A sentence and the right status, never a traceback."""
    assert status == (await call(relay, method, path))[0]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "status", "state"),
    [
        ({"to": "+79991234567", "text": "hello"}, 200, "delivered"),
        ({"to": "79991234567@call.example.com", "text": "hello"}, 200, "delivered"),
        ({"to": "+79991234567", "text": "hello", "channel": "call"}, 200, "delivered"),
        ({"to": "+79991234567", "text": "hello", "channel": "viber"}, 422, ""),
        ({"to": "nobody", "text": "hello"}, 422, ""),
        ({"to": "a@b.example,c@d.example", "text": "hello"}, 422, ""),
        ({"to": "a@b.example\r\nX: y", "text": "hello"}, 422, ""),
        ({"to": "79991234567@sms.example.com> NOTIFY=NEVER", "text": "hello"}, 422, ""),
        ({"to": "bob\ud800@b.example", "text": "hello"}, 422, ""),
        ({"to": "g777", "text": "hello", "channel": "mail"}, 422, ""),
        ({"to": "79991234567@sms.example.com", "text": "hello", "channel": "call"}, 422, ""),
        ({"to": "+79991234567", "text": ""}, 422, ""),
    ],
)
async def test_send_is_a_mail_without_a_mail(relay: Journey, body: dict, status: int, state: str) -> None:
    """Routed, composed, queued and delivered like any other; refused with the same sentences."""
    code, _ = await call(relay, "POST", "/api/send", json=body)
    await relay.pass_time(30)

    assert status == code
    assert [state] * bool(state) == [order.state for order in await relay.orders()]


@pytest.mark.asyncio
async def test_a_store_that_fails_is_a_503(relay: Journey) -> None:
    """Nothing is said to be done that is not on disk."""
    relay.sandbox.fault = 3
    await relay.mail(MAIL, TO)
    await relay.pass_time(1)
    store, write = relay.app.store, relay.app.store.write
    name = model.show((await relay.order()).id)

    async def fails(change):
        from relay.queue.engine import Trouble  # noqa: PLC0415

        raise Trouble("the disk is gone")

    store.write = fails
    answers = [
        await call(relay, "POST", f"/api/queue/{name}/hold"),
        await call(relay, "POST", "/api/send", json={"to": "+79991234568", "text": "x"}),
    ]
    store.write = write
    await call(relay, "POST", f"/api/queue/{name}/drop")
    store.write = fails
    answers.append(await call(relay, "POST", f"/api/queue/{name}/retry"))
    store.write = write

    assert [503, 503, 503] == [answer[0] for answer in answers]
