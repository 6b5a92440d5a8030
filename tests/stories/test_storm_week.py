"""A week of storms through the whole relay: what phones were sent, and what senders were told of it."""

from __future__ import annotations

import os
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from faults import HOUR
from harness import Journey, journey, settings

from relay.model import MINUTE, SECOND
from relay.queue.rows import DIGEST
from relay.queue.states import State

MANY = int(os.environ.get("STORM_MAILS", "1000"))
PHONES = 3
WEEK = 7 * 24 * HOUR
THINGS = ("pump", "fan", "door", "link", "disk", "pipe", "lamp", "gate", "tank", "belt")


def waves() -> list[tuple[int, str, str]]:
    """When, to which phone, and the mail: problems and recoveries in a few waves."""
    chance = random.Random(11)
    found: list[tuple[int, str, str]] = []
    while len(found) < MANY:
        wave = chance.randrange(WEEK)
        phone = f"7999123456{chance.randrange(PHONES)}"
        for _ in range(min(chance.randrange(30, 120), MANY - len(found))):
            kind = chance.choice(["PROBLEM", "PROBLEM", "PROBLEM", "RESOLVED"])
            thing = f"{chance.choice(THINGS)} at house {chance.choice('abcdefghijklmnop')}"
            text = f"From: a@mon.example.com\nSubject: {kind}: {thing}\n\nvalue {len(found)}\n"
            found.append((wave + chance.randrange(200), f"{phone}@sms.example.com", text))
    return sorted(found)


async def play(relay: Journey) -> None:
    """Every mail at its time, then hours of peace."""
    now = 0
    for number, (at, to, mail) in enumerate(waves()):
        if at > now:
            await relay.pass_time(at - now)
            now = at
        await relay.mail(mail, to, sender=f"s{number}@mon.example.com")
    await relay.pass_time(6 * HOUR)


@pytest.mark.asyncio
@pytest.mark.timeout(36_000)
async def test_a_week_of_storms(tmp_path: Path) -> None:
    """Each phone gets a burst and a digest a minute at most, every recovery, and each sender the truth."""
    reports = {"gather": 0, "success": "delivered"}
    delivery = {"poll": (20 * SECOND, 10 * MINUTE)}
    config = settings(tmp_path, reports=reports, delivery=delivery)
    async with journey(tmp_path, config=config) as relay:
        relay.sandbox.set_balance("1000000")
        await play(relay)
        orders = sorted(await relay.app.store.listed(list(State), 10 * MANY), key=lambda order: order.id)
        by_id = {order.id: order for order in orders}
        asked = [order for order in orders if order.alarm != DIGEST]
        sent = [order for order in orders if order.state is State.DELIVERED]

        assert MANY == len(asked)
        assert {State.DELIVERED, State.MERGED} == {order.state for order in orders}
        assert len(sent) == len(relay.sandbox.messages) < MANY
        for phone in {order.target for order in orders}:
            told = sorted(
                (order for order in sent if order.target == phone), key=lambda each: each.sent_at or 0
            )
            times = [order.sent_at or 0 for order in told]
            recoveries = [each.sent_at or 0 for each in told if each.alarm == "recovery"]
            for at in times:
                minute = [each for each in times if at <= each < at + MINUTE]
                ended = [each for each in recoveries if at <= each < at + MINUTE]
                assert len(minute) - len(ended) <= 10 + 1
            digests = [each.sent_at or 0 for each in told if each.alarm == DIGEST]
            assert all(later - at >= MINUTE for at, later in pairwise(digests))
            chain, last = 0, 0
            for at in times:
                chain, last = (chain + 1 if at - last < MINUTE else 1), at
                assert chain < 50
        heard = {(message.phone, message.text.split("\n")[0]) for message in relay.sandbox.messages}
        for order in asked:
            speaker = by_id.get(order.merged_into or 0)
            assert (speaker or order).state is State.DELIVERED
            if order.alarm == "recovery" and speaker is not None:
                assert (speaker.alarm, speaker.says) == (order.alarm, order.says)
                assert (speaker.sent_at or 0) > order.created_at - MINUTE
        ended = {(to.partition("@")[0], mail.split("\n")[1]) for _, to, mail in waves() if "RESOLVED" in mail}
        assert {(phone, subject.removeprefix("Subject: ")) for phone, subject in ended} == {
            (phone, line) for phone, line in heard if line.startswith("RESOLVED")
        }
        letters = Counter(str(report["To"]) for report in relay.reports())
        assert {f"s{number}@mon.example.com": 1 for number in range(MANY)} == letters
        bodies = {
            str(report["To"]): " ".join(report.get_body(("plain",)).get_content().split())
            for report in relay.reports()
        }
        mails = await relay.app.store.mails([order.mail_id for order in asked])
        for order in asked:
            body, speaker = bodies[mails[order.mail_id].sender], by_id.get(order.merged_into or 0)
            assert "DELIVERED" in body
            assert ("sent as part of a digest" in body) is (speaker is not None and speaker.alarm == DIGEST)
