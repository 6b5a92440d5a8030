"""`answer: outcome`: DATA itself says what became of the message."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from harness import PATIENCE, SENDER, Journey, StillClock, journey, settings

from relay import model
from relay.queue.followups import NoticeState

GOOD, OTHER = "79991234567@sms.example.com", "79991234568@sms.example.com"
WRONG, DENIED, POOR = (f"7999123{fate}@sms.example.com" for fate in ("0007", "0006", "0003"))
MAIL = """\
From: ops@mon.example.com
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

full
"""
SENT = re.compile(r"250 2\.0\.0 sent as [0-9a-z]{13} smsc id=[0-9a-z]{13} parts=1 cost=[0-9.]+")
QUEUED = re.compile(r"250 2\.0\.0 queued as [0-9a-z]{13}")


@contextlib.asynccontextmanager
async def answering(
    folder: Path,
    *,
    protocol: str = "smtp",
    doors: int = 1,
    only: str = "",
    expire: int = 15_000,
    **changes: object,
) -> AsyncIterator[Journey]:
    """A relay whose first door answers with the outcome; a second one does not."""
    config = settings(folder, **changes)
    route = config.routes[0].model_copy(update={"expire": expire})
    door = config.listeners[0].model_copy(update={"answer": "outcome", "protocol": protocol})
    update = {
        "listeners": (door, door.model_copy(update={"answer": "queued"}))[:doors],
        "routes": (route, *config.routes[1:]),
    }
    options = {"only": only} if only else {}
    async with journey(
        folder, clock=StillClock(), config=config.model_copy(update=update), **options
    ) as relay:
        yield relay


class Client:
    """A client that a test leads by the hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, relay: Journey, door: int = 0) -> Client:
        """One that is connected."""
        host, _, port = relay.app.listeners[door].address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def send(self, *to: str, hello: str = "EHLO", mail: str = MAIL) -> None:
        """A whole mail; the answer to its last dot is not read."""
        await self.heard()
        await self.say(f"{hello} mon.example.com")
        for line in (f"MAIL FROM:<{SENDER}>", *(f"RCPT TO:<{each}>" for each in to), "DATA"):
            await self.say(line)
        self.writer.write(mail.replace("\n", "\r\n").encode() + b".\r\n")
        await self.writer.drain()

    async def say(self, line: str) -> str:
        """A command and its answer."""
        self.writer.write(line.encode() + b"\r\n")
        return await self.heard()

    async def heard(self) -> str:
        """The last line of an answer."""
        async with asyncio.timeout(PATIENCE):
            while (line := (await self.reader.readline()).decode())[3:4] == "-":
                pass
        return line.strip()

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


async def waits(relay: Journey, count: int = 1) -> None:
    """Until so many answers are waited for."""
    await relay.until(lambda: relay.app.waiting.count == count, "the wait")


@pytest.mark.asyncio
async def test_what_was_sent_is_said_with_the_providers_words(tmp_path: Path) -> None:
    """Id, parts and cost, as the provider's statistics have them; nothing is waited for after that."""
    async with answering(tmp_path) as relay:
        replies = await relay.mail(MAIL, GOOD)
        order = await relay.order()
        await relay.pass_time(120)

        assert SENT.fullmatch(replies[-1])
        assert f"id={model.show(order.request_id or 0)} " in replies[-1]
        assert 0 == relay.app.waiting.count
        assert [] == relay.reports()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fate", "answer"),
    [
        ("0001", "554 5.5.4 the provider"),
        ("0005", "554 5.5.4 the provider"),
        ("0006", "550 5.7.1 the provider"),
        ("0007", "550 5.1.3 the provider"),
        ("0008", "554 5.4.4 the provider"),
        ("0107", "550 5.1.3 the provider"),
        ("0149", "550 5.1.3 "),
    ],
)
async def test_a_refusal_is_the_answer_and_no_report(tmp_path: Path, fate: str, answer: str) -> None:
    """5xx with the provider's reason; the sender's own mail server tells him, we do not."""
    async with answering(tmp_path, reports={"gather": 0}) as relay:
        replies = await relay.mail(MAIL, f"7999123{fate}@sms.example.com")
        await relay.pass_time(600)

        assert replies[-1].startswith(answer)
        assert "(SMSC " in replies[-1]
        assert "failed" == (await relay.order()).state
        assert [] == relay.reports()
        (notice,) = await relay.app.store.notices_of((await relay.order()).mail_id)
        assert (NoticeState.DONE, "answered at DATA") == (notice.state, notice.last)


@pytest.mark.asyncio
async def test_a_mail_that_was_refused_may_come_again(tmp_path: Path) -> None:
    """It was never taken, so the next one is no repeat; one that was taken is answered as before."""
    async with answering(tmp_path) as relay:
        refused = [await relay.mail(MAIL, WRONG) for _ in range(2)]
        taken = [await relay.mail(MAIL, GOOD) for _ in range(2)]

        assert ["550", "550"] == [replies[-1][:3] for replies in refused]
        assert taken[0][-1] == taken[1][-1]
        assert SENT.fullmatch(taken[0][-1])
        assert 3 == len(relay.sends())


@pytest.mark.asyncio
async def test_what_is_tried_again_is_queued_when_the_time_is_up(tmp_path: Path) -> None:
    """No money: never a 4xx, for the mail is stored and will be sent."""
    async with answering(tmp_path, expire=86_400_000, delivery={"retry": (5_000,)}) as relay:
        sending = asyncio.create_task(relay.mail(MAIL, POOR))
        await waits(relay)
        await relay.pass_time(19)
        still = sending.done()
        await relay.pass_time(2)
        replies = await sending

        assert not still
        assert QUEUED.fullmatch(replies[-1])
        assert "waiting" == (await relay.order()).state


@pytest.mark.asyncio
async def test_what_waits_for_longer_than_the_answer_is_queued_at_once(tmp_path: Path) -> None:
    """Nobody is kept waiting for a try that comes after the answer."""
    async with answering(tmp_path, expire=86_400_000, delivery={"retry": (60_000,)}) as relay:
        replies = await relay.mail(MAIL, POOR)

        assert QUEUED.fullmatch(replies[-1])


@pytest.mark.asyncio
async def test_a_call_that_broke_off_is_waited_for(tmp_path: Path) -> None:
    """It is asked about and repeated, and what comes of that is the answer."""
    async with answering(tmp_path, expire=86_400_000) as relay:
        sending = asyncio.create_task(relay.mail(MAIL, "79991230112@sms.example.com"))
        await waits(relay)
        await relay.pass_time(19)
        replies = await sending

        assert SENT.fullmatch(replies[-1])
        assert 1 == len(relay.sandbox.messages)


@pytest.mark.asyncio
async def test_what_expires_meanwhile_is_refused(tmp_path: Path) -> None:
    """A temporary cause that lasted is a permanent answer."""
    async with answering(tmp_path) as relay:
        sending = asyncio.create_task(relay.mail(MAIL, POOR))
        await waits(relay)
        await relay.pass_time(19)
        replies = await sending
        await relay.pass_time(120)

        assert re.match(r"554 5\.3\.0 ", replies[-1])
        assert [] == relay.reports()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("to", "answer", "reported"),
    [
        ((GOOD, OTHER), r"250 2\.0\.0 sent as [0-9a-z]{13} to 2 recipients", []),
        ((GOOD, WRONG), QUEUED.pattern, [WRONG]),
        ((WRONG, GOOD, DENIED), QUEUED.pattern, [WRONG, DENIED]),
        ((WRONG, "79991230008@sms.example.com"), r"550 5\.1\.3 .*", []),
        ((WRONG, DENIED), r"550 5\.7\.1 .*", []),
    ],
)
async def test_several_recipients_share_one_answer(
    tmp_path: Path, to: tuple[str, ...], answer: str, reported: list[str]
) -> None:
    """Different fates: 250, and the failures are reported; all failed: the worst of it, and no report."""
    async with answering(tmp_path) as relay:
        replies = await relay.mail(MAIL, to)
        await relay.pass_time(120)

        assert re.fullmatch(answer, replies[-1])
        found = "".join(report.as_string() for report in relay.reports())
        assert reported == re.findall(r"Final-Recipient: rfc822; (\S+)", found)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("members", "answer", "reports"),
    [
        (("+79991234567", "+79991234568"), r"250 2\.0\.0 sent as [0-9a-z]{13} smsc id=[0-9a-z,]{13,27}", 0),
        (("+79991234567", "+79991230007"), QUEUED.pattern, 1),
        (("+79991230006", "+79991230007"), r"550 5\.[17]\.[13] .*", 0),
    ],
)
async def test_an_alias_is_one_recipient(
    tmp_path: Path, members: tuple[str, ...], answer: str, reports: int
) -> None:
    """Refused where nobody is reached; where some are, those who are not stand in a report."""
    from relay.config import Alias  # noqa: PLC0415

    async with answering(tmp_path, aliases={"oncall": Alias(to=members)}) as relay:
        replies = await relay.mail(MAIL, "oncall@sms.example.com")
        await relay.pass_time(120)

        assert re.fullmatch(answer, replies[-1])
        assert all(each[1:] not in replies[-1] for each in members)
        assert reports == len(relay.reports())


@pytest.mark.asyncio
async def test_a_message_that_another_speaks_for_is_sent(tmp_path: Path) -> None:
    """The same text to the same phone within the window goes out once, and both hear that it did."""
    async with answering(tmp_path) as relay:
        first = await relay.mail(MAIL, GOOD)
        second = await relay.mail(MAIL.replace("<1@", "<2@"), GOOD)

        assert SENT.fullmatch(first[-1])
        assert re.fullmatch(r"250 2\.0\.0 sent as [0-9a-z]{13}", second[-1])
        assert 1 == len(relay.sends())


@pytest.mark.asyncio
async def test_lmtp_hears_the_fate_of_each(tmp_path: Path) -> None:
    """One answer for each recipient, in their order; what was refused is not reported."""
    async with answering(tmp_path, protocol="lmtp") as relay:
        client = await Client.at(relay)
        await client.send(WRONG, GOOD, DENIED, hello="LHLO")
        heard = [await client.heard() for _ in range(3)]
        await client.say("QUIT")
        client.close()
        await relay.pass_time(120)

        assert ["550 5.1.3", "250 2.0.0", "550 5.7.1"] == [each[:9] for each in heard]
        assert SENT.fullmatch(heard[1])
        assert [] == relay.reports()


@pytest.mark.asyncio
async def test_lmtp_hears_the_fate_of_each_after_the_last_chunk(tmp_path: Path) -> None:
    """The same by BDAT: one answer to each chunk, then one for each recipient."""
    async with answering(tmp_path, protocol="lmtp") as relay:
        client = await Client.at(relay)
        await client.heard()
        lines = ("LHLO c", f"MAIL FROM:<{SENDER}>", *(f"RCPT TO:<{each}>" for each in (WRONG, GOOD, DENIED)))
        for line in lines:
            await client.say(line)
        octets = MAIL.replace("\n", "\r\n").encode()
        client.writer.write(b"BDAT 9\r\n%b" % octets[:9])
        chunk = await client.heard()
        client.writer.write(b"BDAT %d LAST\r\n%b" % (len(octets) - 9, octets[9:]))
        heard = [await client.heard() for _ in range(3)]
        await client.say("QUIT")
        client.close()
        await relay.pass_time(120)

        assert "250 2.0.0 9 octets received" == chunk
        assert ["550 5.1.3", "250 2.0.0", "550 5.7.1"] == [each[:9] for each in heard]
        assert [] == relay.reports()


@pytest.mark.asyncio
@pytest.mark.parametrize("whole", [True, False])
async def test_a_client_that_leaves_is_told_by_report(tmp_path: Path, whole: bool) -> None:
    """Hung up, or silent for good: nobody can know that the refusal was read."""
    async with answering(tmp_path) as relay:
        client = await Client.at(relay)
        await client.send(POOR)
        await waits(relay)
        if whole:
            client.close()
        else:
            client.writer.write_eof()
        await relay.until(
            lambda: not relay.app.connections or any(each._half_closed for each in relay.app.registry._open),
            "the client's leaving",
        )
        await relay.pass_time(19)
        await relay.until(lambda: relay.app.waiting.count == 0, "the end of the wait")
        await relay.pass_time(120)
        client.close()

        assert "failed" == (await relay.order()).state
        assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_the_report_waits_for_the_answer(tmp_path: Path) -> None:
    """Until the refusal is out nothing is mailed, however short `gather` is."""
    async with answering(tmp_path) as relay:
        client = await Client.at(relay)
        await client.send(POOR, WRONG)
        await waits(relay)
        await relay.pass_time(14)
        early = relay.reports()
        await relay.pass_time(5)
        heard = await client.heard()
        await client.say("QUIT")
        client.close()
        await relay.pass_time(120)

        assert [] == early
        assert "554 5.3.0" == heard[:9]
        assert [] == relay.reports()


@pytest.mark.asyncio
async def test_who_heard_250_elsewhere_gets_his_report(tmp_path: Path) -> None:
    """The same mail by a door that does not wait: the refusal at the other door does not cover it."""
    async with answering(tmp_path, doors=2) as relay:
        waiting, other = await Client.at(relay, 0), await Client.at(relay, 1)
        await waiting.send(POOR)
        await waits(relay)
        await other.send(POOR)
        elsewhere = await other.heard()
        await relay.pass_time(19)
        heard = await waiting.heard()
        await relay.pass_time(120)
        waiting.close()
        other.close()

        assert QUEUED.fullmatch(elsewhere)
        assert "554 5.3.0" == heard[:9]
        assert 1 == len(relay.reports())


@pytest.mark.asyncio
async def test_a_repeat_waits_with_the_first(tmp_path: Path) -> None:
    """A client that lost patience and comes again hears of the same mail, which goes out once."""
    async with answering(tmp_path) as relay:
        first, again = await Client.at(relay), await Client.at(relay)
        await first.send(POOR)
        await waits(relay)
        await again.send(POOR)
        await waits(relay, 2)
        await relay.pass_time(19)
        heard = [await first.heard(), await again.heard()]
        first.close()
        again.close()

        assert heard[0] == heard[1]
        assert "554 5.3.0" == heard[0][:9]
        assert 1 == len(await relay.orders())


@pytest.mark.asyncio
async def test_a_relay_that_stops_answers_at_once(tmp_path: Path) -> None:
    """Queued, for it is on disk."""
    async with answering(tmp_path) as relay:
        client = await Client.at(relay)
        await client.send(POOR)
        await waits(relay)
        stopped = asyncio.get_running_loop().time()
    heard = await client.heard()
    client.close()

    assert QUEUED.fullmatch(heard)
    assert asyncio.get_running_loop().time() - stopped < 10


@pytest.mark.sqlite("another node may deliver, so a door alone waits")
@pytest.mark.asyncio
async def test_a_door_without_delivery_does_not_wait(tmp_path: Path) -> None:
    """`--only smtp`: nothing will move here."""
    async with answering(tmp_path, only="smtp") as relay:
        replies = await relay.mail(MAIL, GOOD)

        assert QUEUED.fullmatch(replies[-1])


@pytest.mark.asyncio
async def test_many_wait_at_once(tmp_path: Path) -> None:
    """A hundred clients with a hundred fates: each hears its own."""
    async with answering(tmp_path) as relay:
        to = [f"7999{n:03d}{'0007' if n % 10 == 0 else '4567'}@sms.example.com" for n in range(100)]
        mails = [MAIL.replace("full", f"disk {n}").replace("<1@", f"<{n}@") for n in range(100)]
        tasks = [asyncio.create_task(relay.mail(*each)) for each in zip(mails, to, strict=True)]
        while not all(task.done() for task in tasks):
            await relay.pass_time(1)
        answers = [task.result()[-1] for task in tasks]

        assert ["5" if n % 10 == 0 else "2" for n in range(100)] == [each[:1] for each in answers], answers
        assert {} == relay.app.waiting._by_order == relay.app.waiting._by_mail
