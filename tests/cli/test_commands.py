"""The command line, as a person types it, against a relay that runs."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from harness import Journey, journey, settings
from nameserver import nameserver
from nexthop import nexthop
from pki import Pki

from relay.cli import main
from relay.clock import Clock
from relay.config import Escalation
from relay.smsc.sandbox import Sandbox

MAIL = """\
From: Ops <ops@mon.example.com>
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

/var is nearly full
"""


def configured(folder: Path, **changes: object) -> Path:
    """A configuration file that says what `settings` says."""
    values = {
        "hostname": "relay.example.com",
        "listeners": [{"address": "127.0.0.1:0"}],
        "senders": [{"name": "all", "networks": ["127.0.0.0/8"]}],
        "accounts": {"main": {"url": "sandbox"}},
        "routes": [
            {"match": "*@sms.example.com", "channel": "sms"},
            {"match": "*@call.example.com", "channel": "call", "voice": "w2"},
            {"match": "*", "channel": "mail"},
        ],
        "reports": {"maildir": "reports", "gather": "100ms"},
        "delivery": {"poll": ["200ms"], "retry": ["200ms"]},
        "web": {"listen": ""},
    } | changes
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def run(*arguments: object, **options: object) -> Result:
    """`smsc-relay ARGUMENTS`."""
    return CliRunner().invoke(main, [str(each) for each in arguments], **options)


async def typed(*arguments: object) -> Result:
    """The same beside a relay that runs in this loop."""
    return await asyncio.to_thread(run, *arguments)


@pytest.mark.asyncio
async def test_a_message_is_sent_listed_and_shown(tmp_path: Path) -> None:
    """Send waits for the outcome; list and show tell of it; hold, release, drop and retry steer."""
    file = configured(tmp_path)
    first, *others = settings(tmp_path).routes
    steps = (Escalation.model_validate({"after": "1h", "channel": "call"}),)
    config = settings(
        tmp_path,
        delivery={"poll": (200,), "retry": (200,)},
        routes=(first.model_copy(update={"escalate": steps}), *others),
    )
    sandbox = Sandbox(steps=(0.05, 0.1))
    async with journey(tmp_path, clock=Clock(), sandbox=sandbox, config=config):
        sent = await typed("send", "-c", file, "+79991234567", "hello")
        failed = await typed("-c", file, "send", "--json", "+79991232006", "hello")
        listed = await typed("queue", "list", "-c", file)
        as_json = await typed("queue", "list", "--json", "--state", "failed", "-c", file)
        name = json.loads(as_json.output)[0]["id"]
        shown = await typed("queue", "show", "-c", file, name)
        shown_json = await typed("queue", "show", "--json", "-c", file, name)
        held = await typed("queue", "hold", "-c", file, name)
        again = await typed("queue", "retry", "-c", file, name)
        flash = await typed("send", "-c", file, "--channel", "flash", "--json", "+79991234567", "hello you")
        again_json = await typed("queue", "retry", "--json", "-c", file, name)
        nodes = await typed("nodes", "-c", file)
        nodes_json = await typed("nodes", "--json", "-c", file)
        refused = await typed("send", "-c", file, "nobody", "hello")

    assert (0, True) == (sent.exit_code, "delivered 2.1.5" in sent.output)
    assert (1, "failed") == (failed.exit_code, json.loads(failed.output)[0]["state"])
    assert 0 == listed.exit_code
    assert "+79991234567" in listed.output
    assert "hello" in shown.output
    assert "refused" in shown.output
    assert "1. call unless delivered: " in shown.output
    assert "hello" == json.loads(shown_json.output)["text"]
    assert (1, True) == (held.exit_code, "can't be held" in held.output)
    assert (0, True) == (again.exit_code, "waiting" in again.output)
    assert "flash" == json.loads(flash.output)[0]["channel"]
    assert "waiting" == json.loads(again_json.output)[0]["state"]
    assert "relay.example.com sqlite" in nodes.output
    assert "sqlite" == json.loads(nodes_json.output)[0]["store"]
    assert (1, True) == (refused.exit_code, "neither an alias" in refused.output)


@pytest.mark.asyncio
async def test_send_that_takes_too_long_says_so(tmp_path: Path) -> None:
    """No final word within --wait: exit 0 where the provider has it, and a hint."""
    file = configured(tmp_path)
    config = settings(tmp_path, delivery={"poll": (100,)})
    async with journey(tmp_path, clock=Clock(), sandbox=Sandbox(steps=(60, 60)), config=config):
        sent = await typed("send", "-c", file, "--wait", "0.5", "+79991234567", "hello")

    assert (0, True) == (sent.exit_code, "no final word yet; `smsc-relay queue show " in sent.output)


def test_without_a_running_relay_the_queue_says_where_it_looked(tmp_path: Path) -> None:
    """Exit 1 and the socket's path."""
    result = run("queue", "list", "-c", configured(tmp_path))
    assert (1, True) == (result.exit_code, "relay.sock" in result.output)


def test_the_queue_needs_no_secrets(tmp_path: Path) -> None:
    """Whoever steers the queue need not be able to read the account's key."""
    account = {"url": "https://smsc.ru", "apikey_env": "NOT_SET_ANYWHERE"}
    file = configured(tmp_path, accounts={"main": account})
    assert 2 == run("check", "--offline", "-c", file).exit_code
    assert 1 == run("queue", "list", "-c", file).exit_code


def test_explain_shows_the_request_and_why_not(tmp_path: Path) -> None:
    """Route, channel, text, parts; a refused recipient with its reply."""
    mail = tmp_path / "mail.eml"
    mail.write_text(MAIL)
    to = ["--to", "79991234567@sms.example.com", "--to", "12@sms.example.com", "--to", "a@example.org"]
    told = json.loads(run("explain", "-c", configured(tmp_path), mail, *to, "--json").output)
    shown = run("explain", "-c", configured(tmp_path), mail, *to, "--price")
    bad = run("explain", "-c", configured(tmp_path), mail, "--to", "79991234567")

    assert ["sms", None, "mail"] == [entry.get("channel") for entry in told]
    assert "Disk 95 %\n/var is nearly full" == told[0]["text"]
    assert ("gsm7", 1) == (told[0]["alphabet"], told[0]["parts"])
    assert "+79991234567" == told[0]["request"]["phones"]
    assert "5.1.3" in told[1]["refused"]
    assert "nearly full" in shown.output
    assert "sandbox has no prices" in shown.output
    assert 2 == bad.exit_code


def test_explain_shows_the_steps_of_a_mail(tmp_path: Path) -> None:
    """When, unless what, and what."""
    steps = [{"after": "90s", "channel": "call"}, {"after": "15m", "unless": "answered", "to": "boss"}]
    route = {"match": "*@sms.example.com", "channel": "sms", "escalate": steps}
    file = configured(tmp_path, routes=[route], aliases={"boss": ["+79990000000"]})
    mail = tmp_path / "mail.eml"
    mail.write_bytes(b"Subject: s\r\n\r\nt\r\n")
    command = ("explain", "-c", file, mail, "--to", "79991234567@sms.example.com")
    (entry,) = json.loads(run(*command, "--json").output)
    assert [(90_000, "call"), (900_000, "boss")] == [(each["after"], each["what"]) for each in entry["steps"]]
    shown = run(*command).output
    assert "after 1 min 30 s unless delivered: call" in shown
    assert "after 15 min unless answered: boss" in shown


def test_explain_names_the_accounts_that_may_take_over(tmp_path: Path) -> None:
    """All of the route's, in their order."""
    mail = tmp_path / "mail.eml"
    mail.write_text(MAIL)
    accounts = {"main": {"url": "sandbox"}, "backup": {"url": "sandbox"}}
    route = {"match": "*@sms.example.com", "channel": "sms", "accounts": ["main", "backup"]}
    command = ("explain", "-c", configured(tmp_path, accounts=accounts, routes=[route]), mail)
    told = json.loads(run(*command, "--to", "79991234567@sms.example.com", "--json").output)
    shown = run(*command, "--to", "79991234567@sms.example.com").output

    assert ("main", ["main", "backup"]) == (told[0]["account"], told[0]["accounts"])
    assert ["or else", "backup"] == next(
        line.split("  ", 1)[0:1] + line.split()[-1:] for line in shown.splitlines() if "or else" in line
    )


@pytest.mark.asyncio
async def test_explain_asks_for_the_price(tmp_path: Path) -> None:
    """--price asks the account with cost=1, and sends nothing."""
    mail = tmp_path / "mail.eml"
    mail.write_text(MAIL)
    sandbox = Sandbox()
    account = {"url": await sandbox.start(), "login": "l", "psw": "p"}
    file = configured(tmp_path, accounts={"main": account})
    told = await typed(
        "explain", "-c", file, mail, "--to", "79991234567@sms.example.com", "--price", "--json"
    )
    await sandbox.stop()

    assert "2.5" in str(json.loads(told.output)[0]["price"])
    assert [] == sandbox.messages


@pytest.mark.asyncio
async def test_check_tries_what_it_can_reach(tmp_path: Path) -> None:
    """Database, account with balance, reports, ports: each has a line; trouble makes it exit 1."""
    sandbox = Sandbox(credentials={"l": "p"})
    account = {"url": await sandbox.start(), "login": "l", "psw": "p"}
    good = await typed("check", "-c", configured(tmp_path, accounts={"main": account}))
    (tmp_path / "relay.db").write_bytes(b"")
    wrong = {"main": account | {"psw": "other"}}
    smtp = {"smtp": {"host": "127.0.0.1", "port": 9}}
    listeners = [{"address": "192.0.2.1:25"}]
    bad = await typed("check", "-c", configured(tmp_path, accounts=wrong, reports=smtp, listeners=listeners))
    async with journey(tmp_path, clock=Clock(), sandbox=Sandbox()) as running:
        assert isinstance(running, Journey)
        beside = await typed("check", "-c", configured(tmp_path))
    await sandbox.stop()

    assert (0, True) == (good.exit_code, "balance 1000.00" in good.output)
    assert not (tmp_path / "new").exists()
    assert 1 == bad.exit_code
    assert "SMSC 2" in bad.output
    assert "report smarthost 127.0.0.1:9: " in bad.output
    assert "listener 192.0.2.1:25: " in bad.output
    assert (0, True) == (beside.exit_code, "the relay is running" in beside.output)


@pytest.mark.asyncio
async def test_check_compares_the_sender_names_of_routes(tmp_path: Path) -> None:
    """A name that the account does not have is trouble; one that it has works."""
    sandbox = Sandbox()
    account = {"url": await sandbox.start(), "login": "l", "psw": "p"}
    route = {"match": "*@sms.example.com", "channel": "sms", "sender": "ALERTS"}
    good = await typed("check", "-c", configured(tmp_path, accounts={"main": account}, routes=[route]))
    routes = [route | {"sender": "NOBODY"}]
    bad = await typed(
        "check", "--json", "-c", configured(tmp_path, accounts={"main": account}, routes=routes)
    )
    await sandbox.stop()

    assert (0, True) == (good.exit_code, "account main, sender ALERTS: works" in good.output)
    assert 1 == bad.exit_code
    assert ["NOBODY is not among the account's names: SMSC.RU, ALERTS"] == [
        line["trouble"] for line in json.loads(bad.stdout) if line["trouble"]
    ]


@pytest.mark.asyncio
async def test_check_asks_every_account_of_a_route(tmp_path: Path) -> None:
    """The one that takes over must work and know the sender's name as well."""
    sandbox, second = Sandbox(), Sandbox()
    accounts = {
        "main": {"url": await sandbox.start(), "login": "l", "psw": "p"},
        "backup": {"url": await second.start(), "login": "m", "psw": "p"},
    }
    route = {"match": "*@sms.example.com", "channel": "sms", "sender": "ALERTS", "accounts": [*accounts]}
    good = await typed("check", "-c", configured(tmp_path, accounts=accounts, routes=[route]))
    await sandbox.stop()
    await second.stop()

    assert 0 == good.exit_code
    for name in accounts:
        assert f"account {name} at " in good.output
        assert f"account {name}, sender ALERTS: works" in good.output


def test_faults_of_the_shape_hide_none_of_the_rooms(tmp_path: Path) -> None:
    """An unknown key, a bad time, a broken template and a bad parameter are all named at once."""
    routes = [{"match": "*@sms.example.com", "channel": "sms", "text": "{{ nobody }}", "valid": "99"}]
    file = configured(tmp_path, routes=routes, colour="red", delivery={"give_up": "soon"})
    said = run("check", "-c", file).output
    for key in ("colour", "delivery.give_up", "routes[0].text", "routes[0].valid"):
        assert key in said


def test_two_accounts_with_one_login_are_a_fault(tmp_path: Path) -> None:
    """The provider counts calls for each login, whatever we call it."""
    account = {"login": "me", "psw": "secret"}
    routes = [{"match": "*@sms.example.com", "channel": "sms", "account": "a"}]
    file = configured(tmp_path, accounts={"a": account, "b": account}, routes=routes)
    result = run("check", "--offline", "-c", file)
    assert (2, True) == (result.exit_code, "another account has the same login" in result.output)
    assert "secret" not in result.output


def test_a_wrong_configuration_starts_nothing_and_names_every_fault(tmp_path: Path) -> None:
    """file:line:column for what the shape, and for what the rooms find wrong."""
    routes = [{"match": "*@sms.example.com", "channel": "sms", "text": "{{ nobody }}", "valid": "99"}]
    file = configured(tmp_path, routes=routes, aliases={"oncall": ["nonsense"]})
    for command in (("serve",), ("check",)):
        result = run(*command, "-c", file)
        assert 2 == result.exit_code
        lines = [line for line in result.output.splitlines() if line.startswith(str(file))]
        assert ["aliases", "routes", "routes"] == sorted(
            line.split(": ")[1].split(".")[0].split("[")[0] for line in lines
        )
        assert all(line.split(":")[1].isdigit() and line.split(":")[2].isdigit() for line in lines)


def test_reports_that_would_come_back_to_the_relay_are_a_fault(tmp_path: Path) -> None:
    """The smarthost of reports must be another mail server."""
    file = configured(
        tmp_path,
        listeners=[{"address": "127.0.0.1:2525"}],
        reports={"smtp": {"host": "localhost", "port": 2525}},
    )
    result = run("check", "--offline", "-c", file)
    assert (2, True) == (result.exit_code, "is the relay itself" in result.output)


def test_a_wrong_recogniser_is_told_at_its_place(tmp_path: Path) -> None:
    """The configuration's place, then the file's own, what is wrong and what to write."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "pump.yaml").write_text("when: {subject: '('}\nline: '{subject}'\n")
    checked = run("check", "--offline", "-c", configured(tmp_path, recognisers="own"))
    missing = run("check", "--offline", "-c", configured(tmp_path, recognisers="nowhere"))

    assert (2, 2) == (checked.exit_code, missing.exit_code)
    assert re.search(
        r"config.yaml:\d+:\d+: recognisers: .*pump.yaml:1:8: when.subject: is no regular", checked.output
    )
    assert "the folder cannot be read" in missing.output


def test_explain_reads_standard_input(tmp_path: Path) -> None:
    """MAIL may be `-`."""
    to = "79991234567@sms.example.com"
    told = run("explain", "-c", configured(tmp_path), "-", "--to", to, "--json", input=MAIL)
    assert "Disk 95 %\n/var is nearly full" == json.loads(told.stdout)[0]["text"]


def test_a_password_is_hashed() -> None:
    """An argon2 hash; an empty password is refused."""
    good = run("hash-password", "--stdin", input="secret\n")
    typed_twice = run("hash-password", input="secret\nsecret\n")
    as_json = run("hash-password", "--stdin", "--json", input="secret\n")
    assert json.loads(as_json.output).startswith("$argon2id$")
    assert good.output.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "$argon2id$" in typed_twice.output
    assert 2 == run("hash-password", "--stdin", input="\n").exit_code


def test_help_names_every_command() -> None:
    """And an unknown one is refused."""
    told = run("--help")
    for name in ("serve", "demo", "check", "explain", "send", "queue", "sandbox", "nodes", "hash-password"):
        assert name in told.output
        assert 0 == run(name, "--help").exit_code
    assert 2 == run("dance").exit_code


@pytest.mark.asyncio
async def test_check_greets_the_smarthosts_of_forward_routes(tmp_path: Path) -> None:
    """Each once; one that does not answer is trouble."""
    async with nexthop() as hop:
        smtp = {"host": "127.0.0.1", "port": hop.port}
        routes = [{"match": f"*@{n}.example", "channel": "forward", "smtp": smtp} for n in ("a", "b")]
        good = await typed("check", "-c", configured(tmp_path, routes=routes))
        greeted = hop.connections
    bad = await typed("check", "-c", configured(tmp_path, routes=routes))

    assert (0, 1) == (good.exit_code, greeted)
    assert f"forward smarthost 127.0.0.1:{hop.port}: works" in good.output
    assert 1 == bad.exit_code


@pytest.mark.asyncio
async def test_check_asks_the_dns_servers(tmp_path: Path) -> None:
    """Where an entry of senders needs them; any answer will do."""
    inside = {"name": "all", "networks": ["127.0.0.0/8"]}
    partner = {"name": "partner", "from": ["*@partner.example"], "require": "dmarc"}
    async with nameserver({}) as server:
        dns = {"servers": [server.address], "timeout": "500ms"}
        good = await typed("check", "-c", configured(tmp_path, dns=dns, senders=[inside, partner]))
        unasked = await typed("check", "-c", configured(tmp_path, dns=dns, senders=[inside]))
        asked = len(server.asked)
    bad = await typed("check", "-c", configured(tmp_path, dns=dns, senders=[inside, partner]))

    assert (0, 0, 1) == (good.exit_code, unasked.exit_code, asked)
    assert f"DNS servers {server.address}: works" in good.output
    assert "DNS" not in unasked.output
    assert (1, True) == (bad.exit_code, f"DNS servers {server.address}: no answer" in bad.output)


def test_explain_names_the_smarthost(tmp_path: Path) -> None:
    """No request, for there is none."""
    mail = tmp_path / "mail.eml"
    mail.write_text(MAIL)
    route = {"match": "*@a.example", "channel": "forward", "smtp": {"host": "mail.example.com", "port": 587}}
    file = configured(tmp_path, routes=[route])
    (told,) = json.loads(run("explain", "-c", file, mail, "--to", "Bob@a.example", "--json").output)
    shown = run("explain", "-c", file, mail, "--to", "Bob@a.example", "--price")

    assert ("forward", "mail.example.com:587", ["Bob@a.example"]) == (
        told["channel"],
        told["smarthost"],
        told["recipients"],
    )
    assert "request" not in told
    assert (0, True) == (shown.exit_code, "mail.example.com:587" in shown.output)


def test_explain_knows_the_postmaster(tmp_path: Path) -> None:
    """His mail goes to the operator, as at the door."""
    mail = tmp_path / "mail.eml"
    mail.write_text(MAIL)
    reports = {"operator": "duty@office.example", "smtp": {"host": "mail.example.com"}}
    file = configured(tmp_path, reports=reports)
    (told,) = json.loads(
        run("explain", "-c", file, mail, "--to", "Postmaster@sms.example.com", "--json").output
    )
    assert ("forward", ["duty@office.example"]) == (told["channel"], told["recipients"])


def test_forwarding_to_itself_is_a_fault(tmp_path: Path) -> None:
    """Mail would go round until its trace is too long."""
    smtp = {"host": "127.0.0.1", "port": 2525}
    routes = [{"match": "*", "channel": "forward", "smtp": smtp}]
    listeners = [{"address": "127.0.0.1:2525"}]
    wrong = run("check", "--offline", "-c", configured(tmp_path, routes=routes, listeners=listeners))

    assert 2 == wrong.exit_code
    assert "routes[0].smtp: is the relay itself" in wrong.output


def test_check_judges_the_key_that_signs_reports(tmp_path: Path) -> None:
    """A key that can't sign is a fault at its place; a domain that is not From's is a doubt."""
    dkim = {"domain": "example.org", "selector": "relay", "key": "dkim.pem"}
    file = configured(tmp_path, reports={"maildir": "reports", "from": "r@sms.example.com", "dkim": dkim})
    missing = run("check", "--offline", "-c", file)

    assert 2 == missing.exit_code
    assert re.search(r"config\.yaml:\d+:\d+: reports\.dkim\.key: there is no such file", missing.stderr)

    seed = base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + bytes(32)).decode()
    (tmp_path / "dkim.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{seed}\n-----END PRIVATE KEY-----\n")
    (tmp_path / "dkim.pem").chmod(0o600)
    doubted = run("check", "--offline", "-c", file)

    assert 0 == doubted.exit_code
    assert "reports.dkim.domain: reports come from sms.example.com: DMARC counts" in doubted.stderr


def test_check_judges_the_certificate(tmp_path: Path) -> None:
    """What no client could use is a fault at its place; what some would mind is said."""
    pki = Pki(tmp_path)
    door = {"address": "127.0.0.1:0", "tls": "starttls"}
    files = {"certificate": "relay.pem", "key": "relay.key"}
    file = configured(tmp_path, hostname="relay.example", listeners=[door], tls=files)
    missing = run("check", "--offline", "-c", file)
    start = run("serve", "-c", file)
    pki.pair("relay", not_after=dt.datetime(2999, 1, 2, tzinfo=dt.UTC))
    good = run("check", "-c", file)
    (tmp_path / "relay.key").chmod(0o644)
    doubted = run("check", "--offline", "-c", file)
    pki.pair("relay", "other.example", not_after=dt.datetime(2020, 1, 2, tzinfo=dt.UTC))
    expired = run("check", "--offline", "-c", file)
    listed = run("check", "--offline", "--json", "-c", file)

    assert (2, 2) == (missing.exit_code, start.exit_code)
    assert re.search(r"config\.yaml:\d+:\d+: tls\.certificate: there is no such file", missing.stderr)
    assert missing.stderr == start.stderr
    assert f"certificate {tmp_path}/relay.pem, until 2999-01-02: works\n" in good.stdout
    assert 0 == doubted.exit_code
    assert "tls.key: anybody on this machine may open it" in doubted.stderr
    assert 1 == expired.exit_code
    assert "tls.certificate: has expired" in expired.stderr
    assert "tls.certificate: is for other.example: clients that check" in expired.stderr
    assert "no faults" not in expired.stdout
    assert {
        "what": f"certificate {tmp_path}/relay.pem, until 2020-01-02",
        "trouble": "not valid now",
    } in json.loads(listed.stdout)


def test_check_warns_of_a_database_that_anybody_may_open(tmp_path: Path) -> None:
    """It holds texts and numbers; a backup that was put in its place may have come with another mode."""
    file = configured(tmp_path, store="sqlite:///relay.db")
    store = tmp_path / "relay.db"
    store.touch()
    said = {}
    for mode in (0o644, 0o640):
        store.chmod(mode)
        said[mode] = run("check", "--offline", "-c", file).stderr

    assert f"store: anybody on this machine may open {store}; chmod o= the file" in said[0o644]
    assert "anybody" not in said[0o640]


def test_check_leaves_sockets_of_systemd_to_it(tmp_path: Path) -> None:
    """What it opens can't be tried here; a bad name is a fault."""
    good = configured(tmp_path, listeners=[{"address": "fd:smtp"}])
    assert 0 == run("check", "--offline", "-c", good).exit_code
    tried = run("check", "-c", good)
    assert "listener fd:smtp (systemd opens it): works" in tried.stdout
    bad = run("check", "--offline", "-c", configured(tmp_path, listeners=[{"address": "fd:"}]))
    assert "write fd: and the FileDescriptorName= of a socket unit, as in fd:smtp" in bad.stderr
