"""Who may log in: hashes of the configuration and of files, judged at one cost, locked in time."""

from __future__ import annotations

import asyncio
import threading

import pytest
from argon2 import PasswordHasher
from harness import START, StillClock

from relay import config, metrics, replies
from relay.config import Config, Sender
from relay.smtp import accounts, hashes
from relay.smtp.accounts import Accounts
from relay.smtp.lockout import ADDRESS_LIMIT, TIME

pytestmark = pytest.mark.asyncio

HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
SECRET, OTHER = HASHER.hash("secret"), HASHER.hash("other")


class House:
    """Accounts over a configuration that may change, with a record of what was tried."""

    def __init__(self, *senders: Sender, **options: object) -> None:
        self.config = config.default().model_copy(update={"senders": senders})
        self.clock = StillClock()
        self.tried: list[str] = []
        self.accounts = Accounts(lambda: self.config, self.clock, fits=self._fits, **options)

    def _fits(self, text: str, password: bytes) -> bool:
        self.tried.append(text)
        return hashes.fits(text, password)

    async def login(self, user: str, password: str, peer: str = "203.0.113.9") -> object:
        """What comes of a login; the time that the answer takes passes at once."""
        task = asyncio.create_task(self.accounts.login(user, password.encode(), peer))
        async with asyncio.timeout(10):
            while not task.done():
                await asyncio.sleep(0.001)
                moments = [until for until in self.clock.sleepers.values() if until is not None]
                if moments:
                    self.clock.set(min(moments))
        return task.result()


def entry(name: str = "staff", **values: object) -> Sender:
    """An entry of `senders`."""
    return Sender.model_validate({"name": name, **values})


def logins(result: str) -> float:
    """How often a login came to this."""
    return metrics.REGISTRY.get_sample_value("relay_smtp_logins_total", {"result": result}) or 0.0


async def test_a_login_holds_for_its_entries():
    """Those that have this very hash for the name, and for no other."""
    house = House(
        entry("a", users={"alice": SECRET}),
        entry("b", users={"bob": OTHER}),
        entry("c", users={"alice": SECRET, "bob": SECRET}),
    )
    alice, bob = await house.login("alice", "secret"), await house.login("bob", "other")
    assert (SECRET, OTHER) == (alice, bob)
    assert house.accounts.held("alice", SECRET) == {"a", "c"}
    assert house.accounts.held("bob", OTHER) == {"b"}
    assert replies.WRONG_LOGIN == await house.login("bob", "secret")
    assert house.accounts.held("", "") == house.accounts.held("carol", SECRET) == frozenset()


async def test_the_answer_and_the_work_are_the_same_whatever_was_wrong():
    """A name that nobody has is tried against a hash that somebody has, always the same one."""
    house = House(entry(users={"alice": SECRET, "bob": OTHER}))
    wrong = [
        await house.login("alice", "x"),
        await house.login("nobody", "secret"),
        await house.login("nobody", "secret", "198.51.100.1"),
    ]
    assert [replies.WRONG_LOGIN] * 3 == wrong
    assert house.tried[0] == SECRET
    assert house.tried[1] == house.tried[2]
    assert house.tried[1] in (SECRET, OTHER)


async def test_somebodys_password_lets_nobody_in():
    """The hash that is tried for an unknown name may even fit."""
    house = House(entry(users={"alice": SECRET}))
    for number in range(5):
        found = await house.login(f"nobody{number}", "secret", f"203.0.113.{number}")
        assert replies.WRONG_LOGIN == found
    assert [SECRET] * 5 == house.tried


async def test_where_nobody_may_log_in_a_stand_in_is_tried():
    """An entry without a hash costs what one with a hash does."""
    house = House(entry(networks=["127.0.0.0/8"]))
    assert replies.WRONG_LOGIN == await house.login("alice", "secret")
    assert [hashes.DUMMY] == house.tried


async def test_who_is_taken_out_is_out_at_once():
    """A login is proven by the hash that the configuration has now."""
    house = House(entry(users={"alice": SECRET}))
    proof = await house.login("alice", "secret")
    assert house.accounts.held("alice", proof) == {"staff"}
    for now in (OTHER, HASHER.hash("secret")):
        house.config = House(entry(users={"alice": now})).config
        assert house.accounts.held("alice", proof) == frozenset()
    house.config = House(entry(users={"bob": SECRET})).config
    assert house.accounts.held("alice", proof) == frozenset()


async def test_the_same_wrong_password_is_tried_once():
    """A device with an old password costs an answer, and no work; a new hash makes it worth another try."""
    house = House(entry(users={"alice": OTHER}))
    for _ in range(30):
        assert replies.WRONG_LOGIN == await house.login("alice", "secret")
    assert [OTHER] == house.tried
    assert replies.WRONG_LOGIN == await house.login("alice", "secret", "198.51.100.1")
    house.config = House(entry(users={"alice": SECRET})).config
    assert SECRET == await house.login("alice", "secret")


async def test_names_are_compared_in_one_form():
    """Composed in the file or not; upper and lower case are two names."""
    house = House(entry(users={"andre\u0301": SECRET}))
    assert SECRET == await house.login("andr\u00e9", "secret")
    assert replies.WRONG_LOGIN == await house.login("ANDR\u00c9", "secret")


async def test_a_file_of_users(tmp_path, caplog):
    """Read again when it changes; what can't be read changes nothing, what is no hash lets nobody in."""
    path = tmp_path / "users"
    path.write_text(
        f"# staff\n\nalice:{SECRET}\nbob:plain\nalice:{OTHER}\n:{SECRET}\ncarol:{OTHER}:Carol:x\n"
    )
    house = House(entry(users_file=path))
    proof = await house.login("alice", "secret")
    assert SECRET == proof
    assert OTHER == await house.login("carol", "other")
    assert replies.WRONG_LOGIN == await house.login("bob", "plain")
    assert "line 4 is no hash of a password" in str([getattr(each, "why", "") for each in caplog.records])
    path.write_text(f"alice:{OTHER}\n")
    assert house.accounts.held("alice", proof) == frozenset()
    assert OTHER == await house.login("alice", "other")
    path.unlink()
    assert OTHER == await house.login("alice", "other")
    assert replies.WRONG_LOGIN == await house.login("dave", "x", "198.51.100.7")
    assert any("can't be read, those" in each.message for each in caplog.records)
    path.write_text(f"dave:{SECRET}\n")
    assert SECRET == await house.login("dave", "secret")


async def test_a_file_that_never_could_be_read(tmp_path):
    """Whoever may stand in it is told to come again; who stands in the configuration logs in."""
    house = House(
        entry(users_file=tmp_path / "nothing", users={"alice": SECRET}), entry("b", users={"bob": OTHER})
    )
    assert replies.LOGIN_TROUBLE == await house.login("carol", "x")
    assert OTHER == await house.login("bob", "other")
    assert {"b"} == house.accounts.held("bob", OTHER)
    assert {"staff"} == house.accounts.held("alice", SECRET)


async def test_guessing_is_slowed_and_locked():
    """Later and later, then not looked at; a right password is not found out meanwhile."""
    house = House(entry(users={"alice": SECRET}))
    for number in range(ADDRESS_LIMIT):
        assert replies.WRONG_LOGIN == await house.login("alice", f"guess{number}")
    waited = house.clock.now() - START
    assert waited >= 250 + 500 + 1000 + 2000 + 4000 + 5 * 8000
    before, tried = logins("locked"), len(house.tried)
    assert replies.LOCKED == await house.login("alice", "secret")
    assert (before + 1, tried) == (logins("locked"), len(house.tried))
    house.clock.set(house.clock.now() + TIME)
    assert SECRET == await house.login("alice", "secret")


async def test_a_hundred_guesses_at_once_are_no_way_around():
    """What waited for its turn is looked at again before it is tried."""
    house = House(entry(users={"alice": SECRET}))
    tries = [
        asyncio.create_task(house.accounts.login("alice", b"guess%d" % number, "203.0.113.9"))
        for number in range(60)
    ]
    async with asyncio.timeout(20):
        while any(not each.done() for each in tries):
            await asyncio.sleep(0.001)
            house.clock.set(house.clock.now() + 1000)
    assert len(house.tried) <= ADDRESS_LIMIT + accounts.AT_ONCE
    assert {replies.WRONG_LOGIN, replies.LOCKED} == {each.result() for each in tries}


async def test_tries_are_few_at_a_time_and_bounded():
    """Two threads, a queue of fixed length, and a word to those beyond it; other names are not harmed."""
    at_once, most, going = 0, 0, threading.Event()
    lock = threading.Lock()

    def slow(_text: str, _password: bytes) -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        going.wait(10)
        with lock:
            at_once -= 1
        return True

    setup = House(entry(users={f"user{n}": SECRET for n in range(6)})).config
    found = Accounts(lambda: setup, StillClock(), fits=slow, most_waiting=5)
    tries = [asyncio.create_task(found.login(f"user{n}", b"x", "203.0.113.9")) for n in range(6)]
    await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
    assert [replies.LOGIN_BUSY] == [each.result() for each in tries if each.done()]
    going.set()
    assert [SECRET] * 5 == [await each for each in tries[:5]]
    assert accounts.AT_ONCE == most


async def test_a_client_that_leaves_is_counted():
    """Hanging up before the answer neither frees a slot nor forgets the failure."""
    house = House(entry(users={"alice": SECRET}))
    for number in range(ADDRESS_LIMIT):
        guess = b"guess%d" % number
        task = asyncio.create_task(house.accounts.login("alice", guess, "203.0.113.9"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):
        while house.accounts._trying:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
    assert ADDRESS_LIMIT == len(house.tried)
    assert replies.LOCKED == await house.login("alice", "secret")


async def test_the_log_says_who_but_not_what(caplog):
    """A name that exists, a number by its end; an unknown name may be a password and is left out."""
    caplog.set_level("INFO")
    house = House(entry(users={"alice": SECRET, "+79991234567": SECRET}))
    await house.login("alice", "secret")
    await house.login("+79991234567", "secret")
    await house.login("alice", "hunter2")
    await house.login("hunter2", "x")
    said = [(each.message, each.user) for each in caplog.records if hasattr(each, "user")]
    good, bad = "logged in", "login refused"
    assert [(good, "alice"), (good, "***4567"), (bad, "alice"), (bad, "")] == said
    assert "hunter2" not in caplog.text + str([each.__dict__ for each in caplog.records])


async def test_a_file_that_anybody_may_open(tmp_path):
    """Hashes are worth guessing at: a word to the owner."""
    path = tmp_path / "users"
    setup = House(entry("a", networks=["::1"]), entry("b", users_file=path)).config
    assert [] == accounts.doubts(setup)
    path.touch(0o640)
    assert [] == accounts.doubts(setup)
    path.chmod(0o644)
    ((place, why),) = accounts.doubts(setup)
    assert (("senders", 1, "users_file"), "anybody on this machine may open it; chmod o= the file") == (
        place,
        why,
    )


async def test_what_the_configuration_is_told(tmp_path):
    """Each hash that is none, each line of a file, each name with two passwords, at its place."""
    path = tmp_path / "users"
    path.write_text("alice:x\nbob:$apr1$1$2\n")
    empty = tmp_path / "empty"
    empty.touch()
    wide = tmp_path / "wide"
    wide.write_bytes(b"\xff\xfe")
    large = tmp_path / "large"
    large.write_bytes(b"#" * ((1 << 20) + 1))
    senders = [
        entry("a", users={"alice": SECRET, "bob": "hunter2"}),
        entry("b", users={"alice": OTHER}),
        entry("c", users={"alice": SECRET}),
        entry("d", users_file=path),
        *(entry(each.name, users_file=each) for each in (empty, wide, large, tmp_path, tmp_path / "nothing")),
    ]
    setup: Config = config.default().model_copy(update={"senders": tuple(senders)})
    found = [(".".join(map(str, place)), why) for place, why in accounts.complaints(setup)]
    assert [
        ("senders.0.users.bob", "is no hash of a password; make one with `smsc-relay hash-password`"),
        ("senders.1.users.alice", "another entry has this user with another hash; write the same there"),
        ("senders.3.users_file", "line 1 is no hash of a password; make one with `smsc-relay hash-password`"),
        (
            "senders.3.users_file",
            "line 2 is a weak hash; make another with `smsc-relay hash-password` or `htpasswd -B`",
        ),
        ("senders.4.users_file", "holds no user; add one with `htpasswd -B`"),
        ("senders.5.users_file", "is not UTF-8"),
        ("senders.6.users_file", "is larger than 1 MB"),
        ("senders.7.users_file", "is no file"),
        ("senders.8.users_file", "there is no such file"),
    ] == found
