"""Several nodes on one PostgreSQL and one login: they share the work, and none of it is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import hashlib
import random
import signal
import sys
import time

import aiohttp
import aiosmtplib
import pytest
from harness import Process
from postgres import MISSING, Server
from several import HURRIED, IMPATIENT, LONG, SKEWED, lost, phone, several

from relay import model
from relay.queue import schema

pytestmark = pytest.mark.timeout(400)


@pytest.mark.asyncio
async def test_three_nodes(tmp_path, database):
    """Three nodes send what all of them took, each message once, and never more than 14 at once."""
    async with several(tmp_path, database, latency=0.3) as nodes:
        await nodes.start(3)
        ranges = range(50), range(100, 150), range(200, 250)
        sent = await asyncio.gather(*map(nodes.mail, nodes.nodes, ranges))
        await nodes.settled()
        assert [50, 50, 50] == [len(each) for each in sent]
        assert {phone(number): 1 for each in ranges for number in each} == nodes.delivered()
        assert 10 <= nodes.sandbox.max_in_flight <= 14
        assert [] == [call for call in nodes.sandbox.calls if b"too many" in call.answer.lower()]


@pytest.mark.asyncio
async def test_one_is_killed(tmp_path, database):
    """A node dies amid its calls: the others send what it had taken, ask about what it had begun."""
    async with several(tmp_path, database, latency=0.2) as nodes:
        await nodes.start(2)
        first, second = nodes.nodes
        taken, more = await asyncio.gather(nodes.mail(first, range(60)), nodes.mail(second, range(100, 160)))
        async with asyncio.timeout(LONG):
            await nodes.sandbox.until(lambda: len(nodes.sandbox.messages) > 30)
        await first.kill()
        await nodes.settled()
        assert {phone(number): 1 for number in [*taken, *more]} == nodes.delivered()
        assert 60 == len(taken)
        assert nodes.sandbox.max_in_flight <= 14
        await nodes.until("SELECT count(DISTINCT node) = 1 AND min(node) <> 0 FROM slot")
        shown = (await _shown(second)).splitlines()
        (dead,) = [line for line in shown if f":{first.process.pid} postgresql since " in line]
        (lives,) = [line for line in shown if f":{second.process.pid} postgresql since " in line]
        assert ", not heard of since " in dead
        assert ", leads, " in lives


async def _shown(node):
    """What `smsc-relay nodes` says."""
    program = (sys.executable, "-m", "relay", "nodes", "-c", str(node.config))
    shown = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    return (await shown.communicate())[0].decode()


@pytest.mark.asyncio
async def test_what_a_dead_node_had_said_is_said_again_by_another(tmp_path, database):
    """Nobody knows of its call, asked twice: the other node repeats it, by the same id, octet for octet."""
    async with several(tmp_path, database) as nodes:
        await nodes.start(2)
        nodes.sandbox.next_send_faults.append("silence")
        await nodes.mail(nodes.nodes[0], range(1))
        async with asyncio.timeout(LONG):
            await nodes.sandbox.until(lambda: bool(nodes.sandbox.calls))
        caller = await nodes.value("SELECT name FROM node WHERE id = (SELECT (id >> 12) & 1023 FROM request)")
        (node,) = [each for each in nodes.nodes if caller.endswith(f":{each.process.pid}")]
        await node.kill()
        await nodes.settled()
        paths = ("/sys/send.php", "/sys/status.php")
        first, *asked, again = (call for call in nodes.sandbox.calls if call.path in paths)
        assert [paths[1]] * len(asked) == [call.path for call in asked]
        assert len(asked) >= 2
        assert (first.path, first.body) == (again.path, again.body)
        assert {phone(0): 1} == nodes.delivered()


@pytest.mark.asyncio
async def test_one_stands_still(tmp_path, database):
    """A node stops past its leases, amid its calls, and goes on when others have taken these over."""
    async with several(tmp_path, database, latency=0.2) as nodes:
        await nodes.start(2)
        first, second = nodes.nodes
        taken, more = await asyncio.gather(nodes.mail(first, range(60)), nodes.mail(second, range(100, 160)))
        async with asyncio.timeout(LONG):
            await nodes.sandbox.until(lambda: len(nodes.sandbox.messages) > 30)
        first.signal(signal.SIGSTOP)
        begun = await nodes.value("SELECT count(*) FROM orders WHERE state = 'sending'")
        await nodes.settled()
        late = await nodes.value("SELECT sum(attempts) FROM orders")
        first.signal(signal.SIGCONT)
        await nodes.until("SELECT count(DISTINCT node) = 2 FROM slot WHERE node <> 0")
        again = await nodes.mail(first, range(200, 220))
        await nodes.settled()
        assert {phone(number): 1 for number in [*taken, *more, *again]} == nodes.delivered()
        assert 20 == len(again)
        assert begun
        assert late + 20 == await nodes.value("SELECT sum(attempts) FROM orders")
        assert nodes.sandbox.max_in_flight <= 14
        assert "orders are taken over" in (second.folder / "log").read_text()


@pytest.mark.asyncio
async def test_a_newer_program_shuts_out_an_older_one(tmp_path, database):
    """A node that works ends, and says why, when the schema names an oldest program that is newer."""
    async with several(tmp_path, database) as nodes:
        node = await nodes.add()
        taken = await nodes.mail(node, range(5))
        await nodes.settled()
        try:
            await nodes.value("UPDATE meta SET value = '99' WHERE key = 'oldest'")
            async with asyncio.timeout(LONG):
                await node.process.wait()
        finally:
            await nodes.value(f"UPDATE meta SET value = '{schema.OLDEST}' WHERE key = 'oldest'")
        assert 1 == node.process.returncode
        assert "use a newer smsc-relay" in (node.folder / "log").read_text()
        assert {phone(number): 1 for number in taken} == nodes.delivered()
        assert 0 == await nodes.value("SELECT count(*) FROM slot WHERE node <> 0")


@pytest.mark.asyncio
async def test_clocks_that_are_wrong(tmp_path, database, monkeypatch):
    """Nodes whose clocks are minutes apart go by the database's: nothing is lost, late, early or doubled."""
    async with several(tmp_path, database, latency=0.2) as nodes:
        for minutes in (-11, 7):
            monkeypatch.setenv("SKEW", str(60 * minutes))
            await nodes.add(program=SKEWED)
        first, second = nodes.nodes
        await nodes.until("SELECT count(DISTINCT node) = 2 FROM slot WHERE node <> 0")
        taken, more = await asyncio.gather(nodes.mail(first, range(30)), nodes.mail(second, range(100, 130)))
        async with asyncio.timeout(LONG):
            await nodes.sandbox.until(lambda: len(nodes.sandbox.messages) > 15)
        await first.kill()  # what it had in its hands is taken over by one that is 18 minutes ahead
        await nodes.settled()
        assert {phone(number): 1 for number in [*taken, *more]} == nodes.delivered()
        now = await nodes.value("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        for column in ("created_at", "start_at", "sent_at"):
            ends = [await nodes.value(f"SELECT {end}({column}) FROM orders") for end in ("min", "max")]
            assert now - 120_000 <= ends[0] <= ends[1] <= now


@pytest.mark.asyncio
async def test_nodes_share_a_cap(tmp_path, database):
    """What several nodes take at once for one sender, or one phone, passes no cap on it together."""
    rules = [
        {"sender": "all", "per": "day", "messages": 20, "over": "hold"},
        {"phone": f"+{phone(7)}", "per": "day", "messages": 3, "over": "hold"},
    ]
    async with several(tmp_path, database) as nodes:
        await nodes.start(2, caps=rules, storm={"burst": 0})
        senders = (
            nodes.mail(nodes.nodes[n % 2], range(5 * n, 5 * n + 5), to=lambda n: phone(n if n % 5 else 7))
            for n in range(8)
        )
        taken = sum(map(len, await asyncio.gather(*senders)))
        await nodes.settled()
        held = await nodes.value("SELECT count(*) FROM orders WHERE state = 'held'")
        assert 20 == nodes.delivered().total() == taken - held
        assert nodes.delivered()[phone(7)] <= 3
        assert 20 == await nodes.value("SELECT sum(messages) FROM spent WHERE cap = 'day sender all'")
        assert 40 == taken


@pytest.mark.asyncio
async def test_the_other_node_answers(tmp_path, database):
    """Who waits at one node for the outcome hears of it, though another makes the call."""
    door = {"listeners": [{"address": "127.0.0.1:0", "answer": "outcome", "answer_timeout": "20s"}]}
    async with several(tmp_path, database, latency=0.1) as nodes:
        await nodes.start(2, **door)
        begun = time.monotonic()
        for first in range(0, 12, 2):  # of so many phones some are each node's
            await asyncio.gather(
                *map(nodes.mail, nodes.nodes, (range(first, first + 1), range(first + 1, first + 2)))
            )
        assert time.monotonic() - begun < 12  # nobody waited for a look, let alone to the end
        assert {phone(number): 1 for number in range(12)} == nodes.delivered()
        assert 2 == await nodes.value("SELECT count(DISTINCT (id >> 12) & 1023) FROM request")


@pytest.mark.asyncio
@pytest.mark.parametrize("deaf", ["from the first", "again and again"])
async def test_words_that_nobody_hears(tmp_path, database, deaf):
    """What one node takes another sends, though it is told of none of it: it looks by itself."""
    pooled = f"{database}&statement_cache_size=0"
    lines = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    async with several(tmp_path, database) as nodes:
        door = await nodes.add("--only", "smtp", store=pooled)
        await nodes.add("--only", "delivery", store=pooled if deaf == "from the first" else database)
        for first in range(0, 12, 4):
            await nodes.until(f"SELECT count(*) = {int(deaf != 'from the first')} {lines}")
            await nodes.value(f"SELECT count(pg_terminate_backend(pid)) {lines}")
            begun = time.monotonic()
            await nodes.mail(door, range(first, first + 4))
            await nodes.settled()
            assert time.monotonic() - begun < 30
        assert {phone(number): 1 for number in range(12)} == nodes.delivered()


@pytest.mark.asyncio
async def test_fewer_slots_than_nodes(tmp_path, database):
    """No order waits for a node that has no slot to send it by: the one that has sends all at once."""
    async with several(tmp_path, database) as nodes:
        url = await nodes.sandbox.start()
        nodes.url, accounts = url, {"main": {"url": url, "login": "l", "psw": "p", "slots": 1}}
        for _ in range(2):
            await nodes.add(accounts=accounts)
        began = await nodes.value("SELECT max(started_at) FROM node")
        await nodes.until(f"SELECT min(seen_at) > {began} + 500 FROM node")  # each knows of the other
        await nodes.mail(nodes.nodes[0], range(8))
        await nodes.settled()
        waits = "max(at - created_at) FROM story JOIN orders ON orders.id = order_id WHERE event = 'claimed'"
        assert await nodes.value(f"SELECT {waits}") < 4000  # what is left lying for 5 s is anybody's


@pytest.mark.asyncio
async def test_nodes_ask_for_replies_as_one_would(tmp_path, database):
    """The provider takes the same question three times a minute: of three nodes one asks, each time."""
    async with several(tmp_path, database) as nodes:
        await nodes.start(3, inbox={"poll": "2s"})

        def asked():
            return [each.started_at for each in nodes.sandbox.calls if "get_answers" in each.params]

        async with asyncio.timeout(LONG):
            await nodes.sandbox.until(lambda: len(asked()) == 4)
        assert asked()[-1] - asked()[0] > 4


@pytest.mark.asyncio
async def test_what_fails_at_one_node_escalates_at_the_other(tmp_path, database):
    """The node that leads calls at once whom another node learnt to be out of reach, and each once."""
    route = {"match": "*@sms.example.com", "channel": "sms", "escalate": [{"after": "2h", "channel": "call"}]}
    async with several(tmp_path, database) as nodes:
        nodes.sandbox._provider.steps = (0.0, 0.0)  # the first question tells the end
        await nodes.start(2, routes=[route], delivery={"poll": ["1s"]})
        await nodes.mail(nodes.nodes[0], range(12), to=lost)
        await nodes.until("SELECT count(*) = 12 FROM step WHERE state = 'done'")
        assert 2 == await nodes.value("SELECT count(DISTINCT (id >> 12) & 1023) FROM request")
        async with asyncio.timeout(LONG):
            await nodes.sandbox.until(lambda: len(nodes.sandbox.messages) == 24)
        assert {lost(number): 2 for number in range(12)} == nodes.delivered()


@pytest.mark.asyncio
async def test_what_a_callback_ends_at_a_web_part_alone_escalates_at_once(tmp_path, database):
    """`--only web` hears that a phone was out of reach: nobody waits for the step's time."""
    route = {"match": "*@sms.example.com", "channel": "sms", "escalate": [{"after": "2h", "channel": "call"}]}
    async with several(tmp_path, database) as nodes:
        await nodes.start(1, routes=[route])
        (tmp_path / "web").mkdir()
        http = {"listen": "127.0.0.1:0", "callback_secret": "s3cret"}
        web = Process(tmp_path / "web", nodes.url, store=database, routes=[route], web=http)
        web.program = HURRIED
        nodes.nodes.append(web)
        address = (await web.start("--only", "web")).split("web=")[1].strip()
        await nodes.mail(nodes.nodes[0], range(1))
        await nodes.until("SELECT count(*) = 1 FROM orders WHERE state = 'sent'")
        name = model.show(await nodes.value("SELECT request_id FROM orders"))
        md5 = hashlib.md5(f"{name}:{phone(0)}:20:s3cret".encode()).hexdigest()
        form = {"id": name, "phone": phone(0), "status": "20", "md5": md5}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://{address}/callback/main", data=form) as answer,
        ):
            assert 200 == answer.status
        await nodes.until("SELECT count(*) = 1 FROM step WHERE state = 'done'")
        async with asyncio.timeout(LONG):
            await nodes.sandbox.until(lambda: len(nodes.sandbox.messages) == 2)


@contextlib.asynccontextmanager
async def replicated():
    """A server, and a standby without which it commits nothing."""
    if MISSING:
        pytest.skip(MISSING)
    server = await asyncio.to_thread(lambda: Server().make().start().with_template())
    standby = await asyncio.to_thread(server.standby)
    try:
        yield server, standby
    finally:
        for each in (server, standby):
            await asyncio.to_thread(each.remove)


@pytest.mark.asyncio
@pytest.mark.parametrize("dies", [True, False], ids=["dies", "stands still"])
async def test_failover(tmp_path, dies):
    """The database's server dies or falls silent, its standby takes over: what was answered is sent, once.

    The one that was silent wakes, takes itself for the first still, and is used by nobody.
    """
    name = "template"
    async with replicated() as (server, standby), several(tmp_path, server.url(name)) as nodes:
        hosts = f"host={server.folder},{standby.folder}&port={server.port},{standby.port}"
        nodes.both = f"postgresql://relay@/{name}?{hosts}"
        await nodes.add(program=IMPATIENT)
        await nodes.until("SELECT count(*) > 0 FROM slot WHERE node <> 0")
        clients = asyncio.create_task(nodes.insist(range(80)))
        async with asyncio.timeout(LONG):
            await nodes.sandbox.until(lambda: len(nodes.sandbox.messages) > 20)
        if dies:
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(0.5)  # in which the relay finds nobody to write to
        else:
            server.signal(signal.SIGSTOP)
        await asyncio.to_thread(standby.promote)
        nodes.store = standby.url(name)
        await clients
        if not dies:
            server.signal(signal.SIGCONT)
        more = await nodes.mail(nodes.nodes[0], range(100, 110))
        await nodes.settled()
        assert {phone(number): 1 for number in [*range(80), *more]} == nodes.delivered()
        assert 10 == len(more)
        assert nodes.nodes[0].process.returncode is None


@pytest.mark.asyncio
async def test_a_node_starts_again(tmp_path, database):
    """A killed node that starts again asks at once about what it had begun, and has its slots at once."""
    async with several(tmp_path, database, latency=0.3) as nodes:
        # with leases of its own length: nobody waits for their end here
        node = await nodes.add(program=("-m", "relay"))
        taken = await nodes.mail(node, range(30))
        async with asyncio.timeout(LONG):
            await nodes.sandbox.until(lambda: len(nodes.sandbox.messages) > 3)
        await node.kill()
        await node.start()
        await nodes.settled()
        assert {phone(number): 1 for number in taken} == nodes.delivered()
        said = await _shown(node)
        assert 1 == said.count("postgresql since")
        assert ", leads, " in said


def storm() -> list[tuple[str, str]]:
    """40 mails in no order: ten things break, ten more break and mend, one thing breaks ten times."""
    things = ("disk", "fan", "link", "pump", "door", "gate", "lamp", "pipe", "tank", "belt")
    mails = [(f"PROBLEM: {each} in hall {hall}", f"{each} {hall}") for hall in "ab" for each in things]
    mails += [(f"RESOLVED: {each} in hall b", f"{each} b") for each in things]
    mails += [("PROBLEM: power", "power is gone")] * 10
    random.Random(5).shuffle(mails)
    return mails


@pytest.mark.asyncio
@pytest.mark.parametrize("dies", [False, True], ids=["both live", "one is killed"])
async def test_two_nodes_flood_no_phone(tmp_path, database, dies):
    """40 alarms to one phone fall due at both nodes at once: it hears what it would hear of one node.

    A burst, one digest, every recovery and these first; and each of 40 senders is told what became of
    his. It stays so where the node that was sending is killed amid it and the other goes on.
    """
    mails, to = storm(), f"{phone(1)}@sms.example.com"
    hour = time.gmtime().tm_hour + 9  # quiet hours far from now keep what is held in our own queue
    quiet = {"hours": f"{hour % 24}-{(hour + 1) % 24}", "by": "hold"}

    async def send(node, numbers):
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=node.port, start_tls=False) as client:
            for number in numbers:
                subject, text = mails[number]
                mail = f"From: a@mon.example.com\r\nSubject: {subject}\r\n\r\n{text}\r\n"
                await client.sendmail(f"s{number}@mon.example.com", [to], mail, mail_options=["HOLDFOR=3600"])

    async with several(tmp_path, database, latency=0.1) as nodes:
        nodes.sandbox._provider.steps = (0.0, 0.0)  # the first question tells the end
        await nodes.start(
            2,
            routes=[{"match": "*@sms.example.com", "channel": "sms", "quiet": quiet}],
            storm={"burst": 10, "per": "10m", "digest_every": "15s"},
            reports={"maildir": "reports", "gather": "100ms", "success": "delivered"},
            delivery={"poll": ["1s"], "retry": ["1s"]},
        )
        await asyncio.gather(*(send(node, range(n, 40, 2)) for n, node in enumerate(nodes.nodes)))
        at = int(time.time() * 1000) + 2000
        await nodes.value(f"UPDATE orders SET due_at = {at}, start_at = {at}, version = version + 1")
        for number, node in enumerate(nodes.nodes, start=2):  # which has it look at what is due
            await nodes.mail(node, range(number, number + 1))
        if dies:
            async with asyncio.timeout(LONG):
                await nodes.sandbox.until(lambda: len(nodes.sandbox.messages_to(phone(1))) > 11)
            await (await _whose(nodes)).kill()
        await nodes.until("SELECT count(*) = 42 FROM notice WHERE action = 'delivered' AND state = 'done'")
        texts = [message.text for message in nodes.sandbox.messages_to(phone(1))]
        ahead = await nodes.value(
            "SELECT max(at) FILTER (WHERE alarm = 'recovery') <= min(at) FILTER (WHERE alarm = 'problem')"
            " FROM (SELECT alarm, min(story.at) AS at FROM story JOIN orders ON orders.id = order_id"
            f" WHERE event = 'claimed' AND target = '+{phone(1)}' GROUP BY orders.id) AS first"
        )
        spoken_for = {
            row["sender"]
            for row in await nodes.rows(
                "SELECT mail.sender FROM orders JOIN mail ON mail.id = orders.mail_id"
                " JOIN orders AS digest ON digest.id = orders.merged_into WHERE digest.alarm = 'digest'"
            )
        }
        reports = [_read(path) for path in tmp_path.glob("node*/reports/new/*")]

    ended = [text for text in texts if text.startswith("RESOLVED")]
    assert sorted(f"{subject}\n{text}" for subject, text in mails if "RESOLVED" in subject) == sorted(ended)
    assert ahead  # two calls that are under way together may overtake each other
    assert (10, 21) == (sum(text.startswith("PROBLEM") for text in texts), len(texts))
    assert texts[-1].startswith(f"+{len(spoken_for)} more since ")
    told = {(str(report["To"]), str(report["Message-ID"])): report for report in reports}
    assert sorted([*(f"s{n}@mon.example.com" for n in range(40)), *2 * ["ops@mon.example.com"]]) == sorted(
        to for to, _id in told
    )
    for (sender, _id), report in told.items():
        said = " ".join(report.get_body(("plain",)).get_content().split())
        assert "DELIVERED" in said
        assert ("sent as part of a digest" in said) is (sender in spoken_for)


async def _whose(nodes):
    """The node that sends to the phone."""
    made = "(SELECT (id >> 12) & 1023 FROM request WHERE targets LIKE '%{0}%' LIMIT 1)"
    first = "(SELECT (id >> 12) & 1023 FROM mail WHERE sender = 's0@mon.example.com')"
    own = await nodes.value(f"SELECT {made.format(phone(1))} = {first}")
    return nodes.nodes[0] if own else nodes.nodes[1]


def _read(path):
    """A mail of a maildir."""
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


@pytest.mark.asyncio
async def test_a_node_that_comes_amid_a_flood(tmp_path, database):
    """Who has all slots and much to send begins no call on those that the other should have by now."""
    async with several(tmp_path, database, latency=5) as nodes:
        flash = {"routes": [{"match": "*@sms.example.com", "channel": "flash"}]}
        await nodes.start(1, **flash)
        await nodes.mail(nodes.nodes[0], range(200))
        await nodes.add(**flash)
        await nodes.until(
            "SELECT min(n) = 7 AND max(n) = 7 FROM (SELECT count(*) AS n FROM slot GROUP BY node) AS each"
        )
        assert await nodes.value("SELECT count(*) > 0 FROM orders WHERE state = 'waiting'")
        assert nodes.sandbox.max_in_flight <= 14
