"""Mail that goes on untouched to another mail server, queued, retried and bounced."""

from __future__ import annotations

import asyncio
import signal
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import aiosmtplib
import pytest
import pytest_asyncio
from harness import START, Journey, Process, journey, settings
from nexthop import ALL, NextHop, nexthop
from several import HURRIED

from relay import model
from relay.config import Config, Route, Smarthost
from relay.delivery import claims, leases
from relay.delivery import nexthop as nexthop_
from relay.delivery.nexthop import Handed
from relay.model import DAY, HOUR, SECOND
from relay.queue import statements as sql
from relay.queue.engine import Change, Stale, Trouble
from relay.report import smarthost

BOB, ANN = "Bob+tag@people.example", "ann@people.example"
SMS = "79991234567@sms.example.com"
MAIL = b"""\
From: ops@mon.example.com
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

full
"""
CRLF = MAIL.replace(b"\n", b"\r\n")


def forwards(folder: Path, *ports: int, **changes: Any) -> Config:
    """The demo's configuration, its mail forwarded: people.example to the first port, others to the last."""
    base = settings(folder, **changes)
    matches = ["*@people.example", "*@others.example"]
    routes = [
        Route(match=match, channel="forward", smtp=Smarthost(host="127.0.0.1", port=port, tls="none"))
        for match, port in zip(matches, ports, strict=False)
    ]
    kept = [route for route in base.routes if route.channel != "mail"]
    return base.model_copy(update={"routes": (*routes, *kept)})


@pytest_asyncio.fixture
async def hop() -> AsyncIterator[NextHop]:
    """A next mail server that offers everything."""
    async with nexthop() as found:
        yield found


@pytest_asyncio.fixture
async def relay(tmp_path: Path, hop: NextHop) -> AsyncIterator[Journey]:
    """A relay that forwards to it, on a still clock."""
    async with journey(tmp_path, config=forwards(tmp_path, hop.port)) as running:
        yield running


async def states(relay: Journey) -> list[str]:
    """The states of all orders, oldest first."""
    return [order.state.value for order in await relay.orders()]


# -- the mail itself ------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"full\r\n",
        b".\r\n..\r\n.dot\r\n\r\n.",
        "Диск".encode("cp1251") + b"\r\n\xff\xfe\x01\x7f\r\n",
        b"x" * 5000 + b"\r\n.",
        bytes(range(1, 10)) + b"\x0b\x0c" + bytes(range(14, 256)),
        b"",
        b"no end",
        b"y" * 600_000 + b"\r\n.\r\n" + b".z\r\n" * 200_000,
    ],
    ids=["plain", "dots", "8-bit", "long line", "binary", "empty", "no line end", "large"],
)
async def test_every_octet_goes_on(relay: Journey, hop: NextHop, body: bytes) -> None:
    """What comes out is what came in, below one line of trace."""
    mail = b"Subject: x\r\n\r\n" + body
    await relay.mail(mail, BOB)
    await relay.rest()

    (taken,) = hop.taken
    ended = mail if mail.endswith(b"\r\n") else mail + b"\r\n"
    assert ended == taken.content
    assert [f"RCPT TO:<{BOB}>"] == taken.rcpts


@pytest.mark.asyncio
async def test_the_trace_says_where_it_came_from(relay: Journey, hop: NextHop) -> None:
    """One Received line: from whom, by whom, our id, for whom where that is one, and when."""
    await relay.mail(MAIL, BOB)
    await relay.mail(MAIL.replace(b"<1@", b"<2@"), [BOB, ANN, SMS])
    await relay.rest()

    order = (await relay.orders())[0]
    one, several = (taken.trace for taken in hop.taken)
    name = model.show(order.mail_id)
    assert one.startswith("Received: from ")
    assert f"([127.0.0.1])\n\tby relay.example.com id {name}\n\tfor <{BOB}>; Fri, 15 Jan 2027 08:00:00" in one
    assert " for " not in several
    assert "7999" not in several


@pytest.mark.asyncio
async def test_forwarding_is_final_here(relay: Journey, hop: NextHop) -> None:
    """Delivered as far as we know: status, reason and the next server's words."""
    replies = await relay.mail(MAIL, BOB)
    await relay.rest()

    order = await relay.order()
    assert "250 2.0.0 queued" in replies[-1]
    assert ("delivered", "2.0.0", "taken by the mail server 127.0.0.1") == (
        order.state,
        order.status,
        order.reason,
    )
    assert ("smtp 250", "2.0.0 kept as 17") == (order.code, order.words)
    assert ("", BOB, None) == (order.account, order.target, order.request_id)
    assert [] == relay.sends()
    assert [] == relay.reports()
    assert "QUIT" == hop.said[-1]


# -- each recipient its own fate --------------------------------------------------------------------


@pytest.mark.asyncio
async def test_recipients_of_one_mail_go_their_own_ways(relay: Journey, hop: NextHop) -> None:
    """A phone, two mailboxes in one transaction, and one that the next server does not know."""
    hop.answers[f"RCPT TO:<{ANN}>"] = "550 5.1.1 no such person\r"
    replies = await relay.mail(MAIL, [SMS, BOB, ANN, "eve@people.example"])
    await relay.pass_time(120)

    assert 5 == [reply[:3] for reply in replies].count("250") - 1
    assert ["delivered", "delivered", "failed", "delivered"] == await states(relay)
    assert 1 == len(relay.sends()) == len(hop.taken)
    assert [f"RCPT TO:<{BOB}>", "RCPT TO:<eve@people.example>"] == hop.taken[0].rcpts
    (report,) = relay.reports()
    text = report.as_string()
    assert "Not delivered: ann@people.example" == report["Subject"]
    assert "Status: 5.1.1" in text
    assert "Diagnostic-Code: smtp; 550 5.1.1 no such person" in text
    assert "Remote-MTA: dns; 127.0.0.1" in text
    assert "Action: failed" in text
    assert "The mail server says: 550 5.1.1 no such person" in text
    assert "SMSC" not in text.replace("X-SMSC", "")


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.parametrize("at", ["CONNECT", "MAIL", "RCPT", "DATA", "END"])
@pytest.mark.parametrize("answer", ["451 4.3.0 not now", "421 4.3.2 going down", ""])
async def test_what_is_not_taken_now_is_taken_later(
    relay: Journey, hop: NextHop, at: str, answer: str
) -> None:
    """Refused for now or broken off, at any step: it is tried again and arrives."""
    hop.answers[at] = [answer]
    await relay.mail(MAIL, BOB)
    await relay.rest()
    waiting = await relay.order()
    await relay.pass_time(30)

    assert ("waiting", "4") == (waiting.state, waiting.status[0])
    assert START + 10 * SECOND == waiting.due_at
    assert "delivered" == (await relay.order()).state
    assert [CRLF] == [taken.content for taken in hop.taken]
    assert [] == relay.reports()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("at", "answer", "status"),
    [
        ("MAIL", "550 5.7.1 not from you", "5.7.1"),
        ("RCPT", "553 what is that", "5.1.3"),
        ("RCPT", "550 no", "5.0.0"),
        ("RCPT", "550 4.2.2 mixed up", "5.0.0"),
        ("DATA", "554 5.5.1 no", "5.5.1"),
        ("END", "552 5.3.4 too large", "5.3.4"),
        ("END", "554-5.6.0 bad\r\n554 5.6.0 mail", "5.6.0"),
    ],
)
async def test_what_is_refused_bounces(
    relay: Journey, hop: NextHop, at: str, answer: str, status: str
) -> None:
    """Once, at once, with the next server's own words."""
    hop.answers[at] = answer
    await relay.mail(MAIL, BOB)
    await relay.pass_time(HOUR / SECOND)

    assert ["failed"] == await states(relay)
    (report,) = relay.reports()
    assert f"Status: {status}\n" in report.as_string()
    assert f"Diagnostic-Code: smtp; {answer[:3]} " in report.as_string()


@pytest.mark.asyncio
async def test_a_server_that_wants_a_login_is_no_bounce(relay: Journey, hop: NextHop) -> None:
    """530: an operator can put that right, so it waits."""
    hop.answers["MAIL"] = ["530 5.7.0 log in first"]
    await relay.mail(MAIL, BOB)
    await relay.rest()
    before = await states(relay)
    await relay.pass_time(30)

    assert (["waiting"], ["delivered"]) == (before, await states(relay))


@pytest.mark.asyncio
async def test_nobody_listens_and_then_somebody_does(relay: Journey, hop: NextHop) -> None:
    """Waiting mail goes out when the server is back; the sender hears of the delay once."""
    await hop.stop()
    await relay.mail(MAIL, BOB)
    await relay.mail(MAIL.replace(b"<1@", b"<2@"), ANN)
    await relay.pass_time(HOUR / SECOND)
    waiting = await relay.orders()
    await hop.start(hop.port)
    await relay.pass_time(HOUR / SECOND)

    assert {("waiting", "4.4.1")} == {(order.state, order.status) for order in waiting}
    assert 2 == len(hop.taken)
    assert ["delivered"] * 2 == await states(relay)
    reports = relay.reports()
    assert ["Delayed: Bob+tag@people.example", "Delayed: ann@people.example"] == sorted(
        str(report["Subject"]) for report in reports
    )
    assert "The mail has not left for the next mail server yet." in " ".join(reports[0].as_string().split())


@pytest.mark.asyncio
async def test_broken_after_the_last_octet(relay: Journey, hop: NextHop) -> None:
    """Nobody knows whether it was taken: it goes again (RFC 1047), and its story says why."""
    hop.answers["END"] = [""]
    await relay.mail(MAIL, BOB)
    await relay.pass_time(30)

    order = await relay.order()
    story = [line["event"] for line in await relay.app.store.story(order.id)]
    assert ["queued", "claimed", "lost", "absent", "claimed", "delivered"] == story
    assert [CRLF] == [taken.content for taken in hop.taken]


@pytest.mark.asyncio
async def test_what_nobody_takes_bounces_in_the_end(relay: Journey, hop: NextHop) -> None:
    """After the route's `expire`: 4.4.7, and what kept it."""
    hop.answers["RCPT"] = "450 4.2.0 greylisted"
    await relay.mail(MAIL, BOB)
    await relay.pass_time(25 * HOUR / SECOND)

    assert ["failed"] == await states(relay)
    text = relay.reports()[-1].as_string()
    assert "Status: 4.4.7" in text
    assert "Action: failed" in text
    assert "Diagnostic-Code: smtp; 450 4.2.0 greylisted" in text


# -- DSN, SMTPUTF8, sizes -----------------------------------------------------------------------------

ASKED = {
    "options": ["RET=HDRS", "ENVID=Qq+2B314"],
    "rcpt_options": ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;B@x"],
}


@pytest.mark.asyncio
async def test_dsn_goes_on_where_it_is_offered(relay: Journey, hop: NextHop) -> None:
    """The next server owes the good news then, and we send none (RFC 3461 section 5.2)."""
    await relay.mail(MAIL, BOB, **ASKED)
    await relay.pass_time(60)

    (taken,) = hop.taken
    assert "RET=HDRS ENVID=Qq+2B314" in taken.mail
    assert [f"RCPT TO:<{BOB}> NOTIFY=FAILURE,SUCCESS ORCPT=rfc822;B@x"] == taken.rcpts
    assert [] == relay.reports()


@pytest.mark.asyncio
async def test_without_dsn_the_good_news_is_ours(relay: Journey, hop: NextHop) -> None:
    """`relayed`: the next server has it, and will not say more."""
    hop.offers = ("8BITMIME",)
    await relay.mail(MAIL, BOB, **ASKED)
    await relay.pass_time(60)

    (taken,) = hop.taken
    assert ("MAIL FROM:<ops@mon.example.com>", [f"RCPT TO:<{BOB}>"]) == (taken.mail, taken.rcpts)
    (report,) = relay.reports()
    assert "Handed to the next mail server: Bob+tag@people.example" == report["Subject"]
    assert "Action: relayed\nStatus: 2.0.0" in report.as_string()
    assert "Remote-MTA: dns; 127.0.0.1" in report.as_string()


@pytest.mark.asyncio
@pytest.mark.parametrize(("success", "told"), [("never", 0), ("accepted", 1), ("delivered", 1)])
async def test_the_configuration_may_want_good_news(
    tmp_path: Path, hop: NextHop, success: str, told: int
) -> None:
    """Where NOTIFY says nothing, `reports.success` does."""
    config = forwards(tmp_path, hop.port, reports={"gather": 0, "success": success, "language": "ru"})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, BOB)
        await relay.pass_time(60)

        assert told == len(relay.reports())
        for report in relay.reports():
            assert "Передано следующему почтовому серверу" in report["Subject"]
            assert "провайдер" not in str(next(report.walk().__iter__()).get_body().get_content()).lower()


WIDE = "Ящик@people.example"


@pytest.mark.asyncio
async def test_smtputf8_goes_on(relay: Journey, hop: NextHop) -> None:
    """An address beyond ASCII arrives as it was, and so does a header."""
    mail = MAIL.replace(b"Disk", "Диск".encode())
    await relay.mail(mail, WIDE, sender="оп@mon.example.com", options=["SMTPUTF8"])
    await relay.mail(MAIL.replace(b"<1@", b"<2@"), BOB, options=["SMTPUTF8"])
    await relay.rest()

    wide, narrow = hop.taken
    assert "MAIL FROM:<оп@mon.example.com> SIZE=" in wide.mail
    assert wide.mail.endswith(" BODY=8BITMIME SMTPUTF8")
    assert [f"RCPT TO:<{WIDE}>"] == wide.rcpts
    assert "with UTF8SMTP id" in wide.trace
    assert mail.replace(b"\n", b"\r\n") == wide.content
    assert "SMTPUTF8" not in narrow.mail  # it was asked for and is not needed


@pytest.mark.asyncio
async def test_smtputf8_that_is_not_offered_refuses_those_who_need_it(relay: Journey, hop: NextHop) -> None:
    """5.6.7 for an address, 5.6.9 for a header; the others get the mail."""
    hop.offers = ("8BITMIME",)
    await relay.mail(MAIL, [BOB, WIDE], options=["SMTPUTF8"])
    await relay.mail(
        MAIL.replace(b"<1@", b"<2@").replace(b"Disk", "Диск".encode()), ANN, options=["SMTPUTF8"]
    )
    await relay.rest()

    found = [(order.state, order.status) for order in await relay.orders()]
    assert [("delivered", "2.0.0"), ("failed", "5.6.7"), ("failed", "5.6.9")] == found
    assert [[f"RCPT TO:<{BOB}>"]] == [taken.rcpts for taken in hop.taken]


@pytest.mark.asyncio
async def test_the_size_is_that_of_what_travels(relay: Journey, hop: NextHop) -> None:
    """SIZE counts octets with the trace line, dots undone (RFC 1870)."""
    await relay.mail(b"Subject: x\n\n.\n..\n", BOB)
    await relay.rest()

    (taken,) = hop.taken
    size = len(taken.trace.replace("\n", "\r\n")) + 2 + len(taken.content)
    assert f"MAIL FROM:<ops@mon.example.com> SIZE={size}" == taken.mail


@pytest.mark.asyncio
async def test_a_quoted_local_part_stays_quoted(relay: Journey, hop: NextHop) -> None:
    """SMTP carries what the provider could not be given."""
    address = '"Bob, the \\"builder\\""@people.example'
    await relay.mail(MAIL, address)
    await relay.rest()

    assert [f"RCPT TO:<{address}>"] == hop.taken[0].rcpts


@pytest.mark.asyncio
async def test_bounces_and_automatic_answers_are_forwarded(relay: Journey, hop: NextHop) -> None:
    """An MTA passes on what a phone should not get; when it fails nobody is told."""
    bounce = b"Content-Type: multipart/report; report-type=delivery-status; boundary=x\n" + MAIL
    replies = await relay.mail(bounce, [BOB, SMS], sender="")
    await relay.rest()
    hop.answers["RCPT"] = "550 5.1.1 gone"
    await relay.mail(bounce.replace(b"<1@", b"<2@"), ANN, sender="")
    await relay.pass_time(60)

    assert "250" == replies[-1][:3]
    assert "MAIL FROM:<>" == hop.taken[0].mail.split(" SIZE")[0]
    assert ["delivered", "failed", "failed"] == await states(relay)
    assert [] == relay.sends() == relay.reports()


@pytest.mark.asyncio
async def test_a_loop_is_refused(relay: Journey, hop: NextHop) -> None:
    """More Received lines than any way has."""
    replies = await relay.mail(b"Received: from x by y; z\n" * 51 + MAIL, BOB)
    await relay.rest()

    assert "554 5.4.6" == replies[-1][:9]
    assert [] == hop.taken


@pytest.mark.asyncio
async def test_what_can_not_be_read_goes_on_all_the_same(tmp_path: Path, hop: NextHop) -> None:
    """A mail that is too much for the reader is refused for phones; to be forwarded it need not be read."""
    async with journey(tmp_path, config=forwards(tmp_path, hop.port), inline_max=10) as relay:
        relay.app.reader._timeout = 0.0
        large = MAIL + b"z" * 300_000 + b"\n"
        for mail in (MAIL, large):
            mixed = await relay.mail(mail, [BOB, SMS])
            forward = await relay.mail(mail, BOB)
            loop = await relay.mail(b"Received: from x by y; z\n" * 51 + mail, BOB)
            assert ("451", "250", "554") == (mixed[-1][:3], forward[-1][:3], loop[-1][:3])
        await relay.rest()

        contents = [taken.content for taken in sorted(hop.taken, key=lambda taken: len(taken.data))]
        assert [CRLF, large.replace(b"\n", b"\r\n")] == contents


@pytest.mark.asyncio
async def test_the_command_line_has_no_mail_to_forward(relay: Journey) -> None:
    """`send` makes one text; it is refused, not sent as an empty mail."""
    connector = aiohttp.UnixConnector(path=str(relay.app.config.web.socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://relay/api/send", json={"to": BOB, "text": "hello"}) as answer,
    ):
        assert (422, True) == (answer.status, "send it by SMTP" in await answer.text())


# -- people and time ------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_person_steers_forwards_too(relay: Journey, hop: NextHop) -> None:
    """Hold, release, drop; and a retry of what has been forwarded sends the kept mail again."""

    async def do(action: str) -> int:
        connector = aiohttp.UnixConnector(path=str(relay.app.config.web.socket))
        name = model.show((await relay.orders())[0].id)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"http://relay/api/queue/{name}/{action}") as answer,
        ):
            return answer.status

    hop.answers["RCPT"] = ["450 4.2.0 wait"]
    await relay.mail(MAIL, BOB)
    await relay.rest()
    held = await do("hold")
    await relay.pass_time(600)
    nothing = len(hop.taken)
    released = await do("release")
    await relay.rest()
    retried = await do("retry")
    await relay.rest()

    assert (200, 200, 200) == (held, released, retried)
    assert (0, 2) == (nothing, len(hop.taken))
    assert [CRLF] * 2 == [taken.content for taken in hop.taken]
    assert ["delivered"] * 2 == await states(relay)


@pytest.mark.asyncio
async def test_the_mail_is_kept_as_long_as_it_is_needed(tmp_path: Path, hop: NextHop) -> None:
    """However old: its octets go when its last recipient is final, and not before."""
    hop.answers[f"RCPT TO:<{ANN}>"] = "450 4.2.0 greylisted"
    config = forwards(
        tmp_path, hop.port, keep={"texts": HOUR, "history": 30 * DAY}, delivery={"retry": (6 * HOUR,)}
    )
    (route, *others) = config.routes
    config = config.model_copy(update={"routes": (route.model_copy(update={"expire": 3 * DAY}), *others)})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, [BOB, ANN], options=["RET=FULL"])
        await relay.pass_time(2 * DAY / SECOND)
        before = await relay.app.store.engine.read(sql.FILES_OF, ids=[(await relay.orders())[0].mail_id])
        hop.answers.clear()
        await relay.pass_time(DAY / SECOND)
        after = await relay.app.store.engine.read(sql.FILES_OF, ids=[(await relay.orders())[0].mail_id])

        assert 1 == len(before)  # one copy, for forwarding and for RET=FULL
        assert [CRLF] * 2 == [taken.content for taken in hop.taken]
        assert [] == list(after)


@pytest.mark.asyncio
async def test_a_configuration_that_is_read_again_counts(tmp_path: Path, hop: NextHop) -> None:
    """Waiting mail goes where the route points now; without a route it waits, and expires."""
    async with nexthop() as other:
        hop.answers["RCPT"] = "450 4.2.0 greylisted"
        async with journey(tmp_path, config=forwards(tmp_path, hop.port)) as relay:
            await relay.mail(MAIL, BOB)
            await relay.rest()
            relay.app.adopt(forwards(tmp_path))
            await relay.pass_time(60)
            without = await relay.order()
            relay.app.adopt(forwards(tmp_path, other.port))
            await relay.pass_time(HOUR / SECOND)

            assert ("waiting", "4.4.4") == (without.state, without.status)
            assert (0, 1) == (len(hop.taken), len(other.taken))
            assert "delivered" == (await relay.order()).state


@pytest.mark.asyncio
async def test_slow_servers_hold_nobody_up(tmp_path: Path, hop: NextHop) -> None:
    """Four connections to a server that hangs, and SMS and other servers' mail pass by; and the reverse."""
    hop.gate = asyncio.Event()
    async with nexthop() as other:
        config = forwards(tmp_path, hop.port, other.port)
        async with journey(tmp_path, config=config) as relay:
            for number in range(10):
                await relay.mail(MAIL.replace(b"<1@", b"<%d@" % number), BOB)
            await relay.mail(MAIL, [SMS, "eve@others.example"])
            await relay.until(lambda: relay.sends() and other.taken, "the others' mail")
            await relay.until(lambda: 4 == hop.open, "four connections")
            relay.sandbox.latency = 1
            await relay.mail(MAIL.replace(b"Disk", b"CPU"), SMS)
            await relay.until(lambda: relay.app.workers["main"].in_flight, "the call")
            hop.gate.set()
            await relay.until(lambda: 10 == len(hop.taken), "all of them")

            assert 1 == relay.app.workers["main"].in_flight
            assert 4 == hop.most


@pytest.mark.asyncio
async def test_many_recipients_go_a_hundred_at_a_time(relay: Journey, hop: NextHop) -> None:
    """What every server has to take (RFC 5321 section 4.5.3.1.8)."""
    await relay.mail(MAIL, [f"u{n}@people.example" for n in range(250)])
    await relay.rest()

    assert [50, 100, 100] == sorted(len(taken.rcpts) for taken in hop.taken)
    assert ["delivered"] * 250 == await states(relay)


@pytest.mark.asyncio
async def test_a_long_queue_for_one_server_is_looked_past(tmp_path: Path, hop: NextHop) -> None:
    """More than a page waits for a server that hangs: another server's mail is found behind it."""
    hop.gate = asyncio.Event()
    async with (
        nexthop() as other,
        journey(tmp_path, config=forwards(tmp_path, hop.port, other.port)) as relay,
    ):
        await relay.mail(MAIL, [f"u{n}@people.example" for n in range(900)])
        await relay.until(lambda: 4 == hop.open, "four connections")
        await relay.mail(MAIL, "eve@others.example")
        await relay.until(lambda: other.taken, "the other's mail")
        hop.gate.set()
        await relay.rest()

        assert ["delivered"] * 901 == await states(relay)
        assert 9 == len(hop.taken)


# -- trouble of our own -----------------------------------------------------------------------------------


@pytest.mark.both
@pytest.mark.asyncio
@pytest.mark.parametrize(("trouble", "seconds"), [(Stale, 0), (Trouble, 1)])
async def test_a_claim_that_fails_is_made_again(
    relay: Journey, hop: NextHop, trouble: type[Trouble], seconds: int
) -> None:
    """At once where a row had changed, in a second where the store could not."""
    store, write = relay.app.store, relay.app.store.write
    failed = []

    async def fails_once(change: Change) -> int | None:
        if change.updates and not failed:
            failed.append(change)
            raise trouble("not now")
        return await write(change)

    store.write = fails_once
    await relay.mail(MAIL, BOB)
    await relay.pass_time(seconds)

    assert 1 == len(failed)
    assert ["delivered"] == await states(relay)


@pytest.mark.asyncio
@pytest.mark.parametrize("lost", [sql.SWEEP_CHUNKS, sql.WIPE_CONTENTS])
async def test_a_mail_that_is_gone_is_never_sent_in_part(relay: Journey, hop: NextHop, lost: Any) -> None:
    """It waits, says why, and fails in the end."""
    hop.answers["MAIL"] = ["451 not now"]
    await relay.mail(MAIL, BOB)
    await relay.rest()
    order = await relay.order()
    files = await relay.app.store.engine.read(sql.FILES_OF, ids=[order.mail_id])
    which = {"ids": [order.mail_id]} if lost is sql.WIPE_CONTENTS else {"key": files[0]["id"]}
    await relay.app.store.engine.delete(lost, **which)
    await relay.pass_time(60)
    waiting = await relay.order()
    await relay.pass_time(DAY / SECOND)

    assert ("waiting", "4.3.0") == (waiting.state, waiting.status)
    assert "the stored mail could not be read" in waiting.reason
    assert (["failed"], []) == (await states(relay), hop.taken)


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_lease_that_lapsed_sends_nothing(
    relay: Journey, hop: NextHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another might have the order by now: it waits for its next turn."""
    monkeypatch.setattr(leases, "LEASE", 0)
    monkeypatch.setattr(leases, "SHARED_LEASE", 0)
    await relay.mail(MAIL, BOB)
    await relay.rest()
    waiting = await relay.order()
    monkeypatch.undo()
    await relay.pass_time(30)

    assert ("waiting", "4.3.0") == (waiting.state, waiting.status)
    assert (["delivered"], 1) == (await states(relay), len(hop.taken))


@pytest.mark.asyncio
async def test_what_a_node_learns_too_late_counts_no_more(
    relay: Journey, hop: NextHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused to the node that stood still, while the one that took the mail over hands it on."""
    real, app, calls = nexthop_.hand_over, relay.app, []

    async def slow(*arguments: Any, **more: Any) -> Handed:
        calls.append(arguments)
        if len(calls) == 1:
            handed = await real(*arguments, **more)
            hop.answers.clear()
            why = "the node does not answer"
            await claims.reopen(app.store, app.settler, await relay.orders(), [], why=why)
            app.forwarder.kick()
            await relay.until(lambda: len(calls) == 2)
            return handed
        await relay.until(lambda: app.forwarder.in_flight == 1)
        assert ["sending"] == await states(relay)
        return await real(*arguments, **more)

    monkeypatch.setattr(nexthop_, "hand_over", slow)
    hop.answers["RCPT"] = "550 5.1.1 nobody"
    await relay.mail(MAIL, BOB)
    await relay.pass_time(30)
    assert (["delivered"], 1, []) == (await states(relay), len(hop.taken), relay.reports())


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_fault_of_ours_ends_the_loop(
    tmp_path: Path, hop: NextHop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than go on half alive; the next start hands the mail over."""

    async def broken(*_arguments: object, **_more: object) -> None:
        raise RuntimeError("a fault")

    config = forwards(tmp_path, hop.port)
    monkeypatch.setattr(nexthop_, "hand_over", broken)
    async with journey(tmp_path, config=config) as relay:
        (loop,) = [task for task in relay.app._loops if task.get_name() == "forwarder"]
        await relay.mail(MAIL, BOB)
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(asyncio.shield(loop), 5)
        assert ["sending"] == await states(relay)
    monkeypatch.undo()
    async with journey(tmp_path, config=config) as relay:

        async def delivered() -> bool:
            return ["delivered"] == await states(relay)

        await relay.pass_time(120)  # on a database of several nodes the lease has to run out
        await relay.until(delivered, "the next start")
        assert 1 == len(hop.taken)


@pytest.mark.asyncio
async def test_a_large_mail_is_never_held_whole(relay: Journey, hop: NextHop) -> None:
    """10 MB go out in chunks: what the sending needs of memory is a small part of that."""
    body = (b".x" * 38 + b"\r\n") * (10 * 2**20 // 78)
    hop.answers["DATA"] = ["451 4.3.0 not yet"]
    await relay.mail(b"Subject: x\r\n\r\n" + body, BOB)
    await relay.rest()
    parcel = await relay.app.forwarder._parcel(await relay.orders())
    del body

    async def discard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        for answer in (b"250 x", b"250 x", b"250 x", b"354 x"):
            await reader.readline()
            writer.write(answer + b"\r\n")
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            tail = (tail + await reader.read(65536))[-8:]
        writer.write(b"250 x\r\n")
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(discard, "127.0.0.1", 0)
    where = smarthost.Smarthost(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    tracemalloc.start()
    handed = await nexthop_.hand_over(where, parcel, hostname="relay.example.com")
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    server.close()

    assert ["delivered"] == [outcome.kind for outcome in handed.told.values()]
    assert peak < 4 * 2**20


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_kill_while_mail_is_handed_over(tmp_path: Path, hop: NextHop) -> None:
    """Killed before the answer: the next start hands it over again, at least once it arrives."""
    hop.gate = asyncio.Event()
    smtp = {"host": "127.0.0.1", "port": hop.port, "tls": "none"}
    route = {"match": "*@people.example", "channel": "forward", "smtp": smtp}
    process = Process(tmp_path, "http://127.0.0.1:9", routes=[route])
    process.program = HURRIED  # on a database of several nodes the lease has to run out
    await process.start()
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=process.port, start_tls=False)
    async with client:
        await client.sendmail("ops@mon.example.com", [BOB], CRLF)
    async with asyncio.timeout(15):
        while not hop.open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await process.kill()
    hop.gate.set()
    hop.taken.clear()
    await process.start()
    async with asyncio.timeout(15):
        while not [taken for taken in hop.taken if CRLF == taken.content]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert 0 == await process.kill(signal.SIGTERM)


# -- wishes that go on (RFC 2852, RFC 4865, RFC 6710) ----------------------------------------------

WISHES = ("SIZE 100000000", "DSN", "DELIVERBY 60", "MT-PRIORITY", "FUTURERELEASE 99 2030-01-01T00:00:00Z")


def actions(relay: Journey) -> list[str]:
    """What the reports say, and for which status."""
    lines = "".join(report.as_string() for report in relay.reports()).splitlines()
    return [line for line in lines if line.startswith(("Action: ", "Status: "))]


@pytest.mark.asyncio
async def test_wishes_go_on_to_a_server_that_knows_them(relay: Journey, hop: NextHop) -> None:
    """What is left of BY, after a try that failed, too; MT-PRIORITY as it was; a hold has been kept here."""
    hop.offers = WISHES
    hop.answers["MAIL"] = ["451 4.3.0 not now"]
    await relay.mail(MAIL, BOB, options=["BY=3600;R", "HOLDFOR=600", "MT-PRIORITY=3"])
    await relay.pass_time(599)
    before = list(hop.said)
    await relay.pass_time(60)

    mails = [line.partition(" SIZE=")[2].split(" ", 1)[1] for line in hop.said if line.startswith("MAIL")]
    assert ([], ["MT-PRIORITY=3 BY=3000;R", "MT-PRIORITY=3 BY=2990;R"]) == (before, mails)
    assert ["delivered"] == await states(relay)
    assert [] == relay.reports()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("offers", "status"), [(("SIZE 1000",), "5.3.3"), (("DELIVERBY 700",), "5.4.7")], ids=["none", "too slow"]
)
async def test_what_nobody_promises_comes_back(
    relay: Journey, hop: NextHop, offers: tuple[str, ...], status: str
) -> None:
    """BY=…;R is not handed to a server that would pass over it."""
    hop.offers = offers
    await relay.mail(MAIL, BOB, options=["BY=600;R"])
    await relay.pass_time(60)

    assert (["failed"], []) == (await states(relay), hop.taken)
    assert ["Action: failed", f"Status: {status}"] == actions(relay)


@pytest.mark.asyncio
async def test_what_is_late_before_anybody_takes_it_comes_back(relay: Journey, hop: NextHop) -> None:
    """It is no longer tried once its time has passed."""
    hop.answers["MAIL"] = ["451 4.3.0 not now"] * 99
    hop.offers = WISHES
    await relay.mail(MAIL, BOB, options=["BY=600;R"])
    await relay.pass_time(601)

    assert (["failed"], []) == (await states(relay), hop.taken)
    assert "Action: failed" in actions(relay)


@pytest.mark.asyncio
@pytest.mark.parametrize("offers", [WISHES, ("SIZE 1000",)], ids=["one that knows it", "one that does not"])
async def test_a_notice_is_wished_for_and_a_trace(
    relay: Journey, hop: NextHop, offers: tuple[str, ...]
) -> None:
    """With N the mail goes to any server; T tells its sender that it did."""
    hop.offers = offers
    await relay.mail(MAIL, BOB, options=["BY=600;NT"])
    await relay.pass_time(60)

    assert (["delivered"], 1) == (await states(relay), len(hop.taken))
    assert ["Action: relayed", "Status: 2.0.0"] == actions(relay)
    assert (offers is WISHES) == hop.taken[0].mail.endswith(" BY=600;NT")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("by", "notify", "offers", "rcpt", "wanted"),
    [
        ("600", "", WISHES, "", []),
        ("600", "", ALL, " NOTIFY=DELAY,FAILURE", ["Action: relayed"]),
        ("600", "NOTIFY=SUCCESS", ALL, " NOTIFY=DELAY,SUCCESS", ["Action: relayed"]),
        ("600", "NOTIFY=NEVER", ALL, " NOTIFY=NEVER", []),
        ("-5", "", ALL, "", []),
    ],
)
async def test_a_server_that_knows_no_times_gets_the_mail_without(
    relay: Journey, hop: NextHop, by: str, notify: str, offers: tuple[str, ...], rcpt: str, wanted: list[str]
) -> None:
    """It is asked to tell of delays, and the sender hears that the mail went on (RFC 2852 4.1.4.2)."""
    hop.offers = offers
    await relay.mail(MAIL, BOB, options=[f"BY={by};N"], rcpt_options=notify.split())
    await relay.pass_time(60)

    assert [f"RCPT TO:<{BOB}>{rcpt}"] == hop.taken[0].rcpts
    assert wanted == [line for line in actions(relay) if line.startswith("Action")]
