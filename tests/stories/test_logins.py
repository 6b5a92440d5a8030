"""Who has logged in, or shown a certificate, sends as itself, within its caps; nobody else sends at all."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

import aiosmtplib
import pytest
from argon2 import PasswordHasher
from harness import Journey, journey, settings
from pki import HOST, Pki

from relay.clock import Clock
from relay.config import Cap, Config, Listener, Sender

pytestmark = pytest.mark.asyncio

HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PHONE = "79991234567@sms.example.com"


def staffed(folder: Path, pki: Pki, *, senders: tuple[Sender, ...] = (), **changes: object) -> Config:
    """Two kinds of door, two users with an address each, and a certificate."""
    common = {"address": "127.0.0.1:0", "auth": "optional", "client_ca": str(pki.root())}
    doors = (
        Listener.model_validate({**common, "tls": "starttls"}),
        Listener.model_validate({**common, "tls": "implicit", "auth": "required"}),
    )
    (folder / "users").write_text(f"bob:{HASHER.hash('bob-secret')}\n")
    own = (
        Sender(name="alice", users={"alice": HASHER.hash("secret")}, **{"from": ("alice@example.com",)}),
        Sender(name="bob", users_file=folder / "users", **{"from": ("bob@example.com", "*@bob.example.com")}),
        Sender(name="ups", certificates=("ups.example.com",), **{"from": ("ups@example.com",)}),
    )
    config = settings(folder, listeners=doors, tls=pki.pair(), hostname=HOST, **changes)
    return config.model_copy(update={"senders": (*own, *senders)})


def mail(author: str = "alice@example.com") -> str:
    """A mail that this author claims to have written."""
    return f"From: {author}\r\nSubject: Disk\r\n\r\n/var is full\r\n"


class Door:
    """A client of the standard library at one of the doors, in a thread."""

    def __init__(self, relay: Journey, pki: Pki, *, implicit: bool = False) -> None:
        self.port = int(relay.app.listeners[implicit].address.rpartition(":")[2])
        self.pki, self.implicit = pki, implicit

    def connected(self, context: ssl.SSLContext | None = None) -> smtplib.SMTP:
        """Under TLS, greeted."""
        context = context or self.pki.client()
        context.check_hostname = False
        client: smtplib.SMTP
        if self.implicit:
            client = smtplib.SMTP_SSL("127.0.0.1", self.port, context=context, timeout=20)
        else:
            client = smtplib.SMTP("127.0.0.1", self.port, timeout=20)
            client.starttls(context=context)
        client.ehlo()
        return client

    async def told(
        self, what: Callable[[smtplib.SMTP], object], context: ssl.SSLContext | None = None
    ) -> object:
        """What comes of it: `ok`, or the code and the words of the refusal."""

        def all_of_it() -> object:
            with self.connected(context) as client:
                try:
                    return what(client) or "ok"
                except smtplib.SMTPRecipientsRefused as refused:
                    return next(iter(refused.recipients.values()))
                except smtplib.SMTPResponseException as refused:
                    return refused.smtp_code, refused.smtp_error

        return await asyncio.to_thread(all_of_it)


def sends(
    sender: str, author: str = "", to: str = PHONE, login: tuple[str, str] | None = None, field: str = ""
):
    """A client that logs in, if it can, and sends."""

    def what(client: smtplib.SMTP) -> object:
        if login:
            client.login(*login)
        client.sendmail(sender, [to], (f"{field}\r\n" if field else "") + mail(author or sender))
        return None

    return what


ALICE, BOB = ("alice", "secret"), ("bob", "bob-secret")


async def test_real_clients_log_in_at_each_door(tmp_path: Path) -> None:
    """Smtplib and aiosmtplib, STARTTLS and implicit TLS, users of the configuration and of a file."""
    pki = Pki(tmp_path)
    async with journey(tmp_path, config=staffed(tmp_path, pki), clock=Clock()) as relay:
        for implicit in (False, True):
            door = Door(relay, pki, implicit=implicit)
            assert "ok" == await door.told(sends("alice@example.com", login=ALICE))
            await aiosmtplib.send(
                mail("bob@example.com"),
                sender="x@bob.example.com",
                recipients=[PHONE],
                hostname="127.0.0.1",
                port=door.port,
                use_tls=implicit,
                start_tls=not implicit,
                validate_certs=False,
                username="bob",
                password="bob-secret",
            )
        for mechanism in ("auth_plain", "auth_login"):
            for first in (True, False):

                def by(client: smtplib.SMTP, mechanism: str = mechanism, first: bool = first) -> None:
                    client.user, client.password = ALICE
                    name = mechanism.removeprefix("auth_")
                    client.auth(name, getattr(client, mechanism), initial_response_ok=first)
                    client.sendmail("alice@example.com", [PHONE], mail())

                assert "ok" == await Door(relay, pki).told(by)
        stored = await relay.app.store.counts()
        assert 8 == sum(stored.values())


async def test_without_a_login_nothing_leaves(tmp_path: Path) -> None:
    """Not at the door that asks for it, not at the one that only offers it, not with a wrong password."""
    pki = Pki(tmp_path)
    async with journey(tmp_path, config=staffed(tmp_path, pki), clock=Clock()) as relay:
        for implicit in (False, True):
            door = Door(relay, pki, implicit=implicit)
            assert (530, b"5.7.0 log in first (AUTH)") == await door.told(
                lambda client: client.mail("alice@example.com")
            )
            assert (503, b"5.5.1 say MAIL first") == await door.told(lambda client: client.rcpt(PHONE))
        for wrong in (("alice", "guess"), ("carol", "secret")):
            assert 535 == (await Door(relay, pki).told(sends("alice@example.com", login=wrong)))[0]
        assert [] == await relay.orders()
        assert [] == relay.sends()


async def test_nobody_sends_as_another(tmp_path: Path) -> None:
    """Neither in the envelope nor in the header, by login or by certificate."""
    pki = Pki(tmp_path)
    shown = pki.client(pki.pair("ups", "ups.example.com"))
    async with journey(tmp_path, config=staffed(tmp_path, pki), clock=Clock()) as relay:
        door = Door(relay, pki)
        for sender, author, said in (
            ("bob@example.com", "alice@example.com", b"5.7.1 this sender may not use this relay"),
            ("", "alice@example.com", b"5.7.1 this sender may not use this relay"),
            (
                "alice@example.com",
                "bob@example.com",
                b'5.7.1 From "bob@example.com" is not yours to write as',
            ),
            (
                "alice@example.com",
                "Alice <alice@example.com>, ceo@example.com",
                b'5.7.1 From "ceo@example.com" is',
            ),
        ):
            code, words = await door.told(sends(sender, author, login=ALICE))
            assert (550, said) == (code, words[: len(said)])
        code, _words = await door.told(sends("ups@example.com", "bob@example.com"), shown)
        assert 550 == code
        code, _words = await door.told(sends("bob@example.com"), shown)
        assert 530 == code
        assert [] == await relay.orders()
        assert "ok" == await door.told(sends("ups@example.com"), shown)


async def test_who_is_known_gets_reports(tmp_path: Path) -> None:
    """A login vouches for the sender's address: what can't be delivered is reported to it."""
    pki = Pki(tmp_path)
    async with journey(tmp_path, config=staffed(tmp_path, pki)) as relay:
        dead = "79991232006@sms.example.com"
        assert "ok" == await Door(relay, pki).told(sends("alice@example.com", to=dead, login=ALICE))
        await relay.pass_time(120)
        assert ["alice@example.com"] == [report["To"] for report in relay.reports()]


async def test_a_user_can_t_exceed_its_cap(tmp_path: Path) -> None:
    """However often it logs in, by whatever door; another user is not held up."""
    pki = Pki(tmp_path)
    cap = Cap(sender="alice", per="day", messages=2)
    async with journey(tmp_path, config=staffed(tmp_path, pki, caps=(cap,)), clock=Clock()) as relay:
        said = [
            await Door(relay, pki, implicit=bool(number % 2)).told(
                sends("alice@example.com", to=f"7999123456{number}@sms.example.com", login=ALICE)
            )
            for number in range(3)
        ]
        assert ["ok", "ok"] == said[:2]
        assert 452 == said[2][0]
        assert "ok" == await Door(relay, pki).told(sends("bob@example.com", login=BOB))


async def test_a_user_reaches_what_its_routes_allow(tmp_path: Path) -> None:
    """No channel, parameter or account that the route does not give, however it is asked for."""
    pki = Pki(tmp_path)
    config = staffed(tmp_path, pki)
    config = config.model_copy(update={"routes": config.routes[:1]})
    async with journey(tmp_path, config=config, clock=Clock()) as relay:
        door = Door(relay, pki)
        for to in (
            "79991234567+call@sms.example.com",
            "79991234567+sender=BANK@sms.example.com",
            "79991234567+login=other@sms.example.com",
            "79991234567@call.example.com",
            "somebody@elsewhere.example",
            "send@sms.example.com",
        ):
            assert 550 == (await door.told(sends("alice@example.com", to=to, login=ALICE)))[0], to
        assert [] == await relay.orders()


async def test_each_user_has_channels_and_accounts_of_its_own(tmp_path: Path) -> None:
    """What is another's is refused at RCPT, and at DATA where a header of the mail asks for it."""
    pki = Pki(tmp_path)
    config = staffed(tmp_path, pki)
    alice, bob, *others = config.senders
    alice = alice.model_copy(update={"channels": ("sms",)})
    bob = bob.model_copy(update={"accounts": ("backup",)})
    sms = config.routes[0].model_copy(update={"allow": ("call", "flash")})
    config = config.model_copy(update={"senders": (alice, bob, *others), "routes": (sms, *config.routes[1:])})
    async with journey(tmp_path, config=config, clock=Clock()) as relay:
        door = Door(relay, pki)
        call = await door.told(sends("alice@example.com", to="79991234567+call@sms.example.com", login=ALICE))
        flash = await door.told(sends("alice@example.com", login=ALICE, field="X-SMSC-Flash: 1"))
        other = await door.told(sends("bob@example.com", login=BOB))
        own = await door.told(sends("alice@example.com", login=ALICE))

        assert (550, b"5.7.1 the channel call is not for this sender") == call
        assert (550, b"5.7.1 the channel flash is not for this sender") == flash
        assert (550, b"5.7.1 the account main is not for this sender") == other
        assert "ok" == own
        assert ["sms"] == [order.channel for order in await relay.orders()]


async def test_a_login_is_not_shed_by_a_trusted_network(tmp_path: Path) -> None:
    """An entry by network lets anybody in; who has logged in is held to its own addresses all the same."""
    pki = Pki(tmp_path)
    house = Sender.model_validate({"name": "house", "networks": ["127.0.0.0/8"]})
    config = staffed(tmp_path, pki)
    config = config.model_copy(update={"senders": (house, *config.senders)})
    async with journey(tmp_path, config=config, clock=Clock()) as relay:
        door = Door(relay, pki)
        as_another = await door.told(sends("boss@example.com", login=ALICE))
        own = await door.told(sends("alice@example.com", login=ALICE))
        without = await door.told(sends("boss@example.com"))

        assert isinstance(as_another, tuple)
        assert 550 == as_another[0]
        assert ("ok", "ok") == (own, without)
        assert ["alice", "house"] == sorted(order.source for order in await relay.orders())


async def test_a_session_ends_with_the_user(tmp_path: Path) -> None:
    """Whoever is taken out of the file sends no more, even where it is logged in."""
    pki = Pki(tmp_path)
    async with journey(tmp_path, config=staffed(tmp_path, pki), clock=Clock()) as relay:

        def what(client: smtplib.SMTP) -> object:
            client.login(*BOB)
            first = client.mail("bob@example.com")
            client.rset()
            (tmp_path / "users").write_text(f"carol:{HASHER.hash('x')}\n")
            return first[0], client.mail("bob@example.com")[0]

        assert (250, 530) == await Door(relay, pki).told(what)
