"""Who may log in: names and hashes of `senders`, and the judgement of a login.

Policy: the entry that comes first in `senders` decides the password of a name. A login holds for each
entry that has this very hash for the name, for as long as it has it: who is taken out, or gets another
password, sends no further mail, even in a session that is open. What was wrong is never told, and costs
the same: a name that nobody has is tried against somebody's hash, whose answer is thrown away.

Passwords are tried in threads, two at a time, with a queue that is bounded; a client that leaves does
not end the trying, nor its being counted. `users_file` is read again when it changes; while it can't be
read, what it said last counts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import stat
from collections.abc import Callable, Mapping
from hashlib import blake2b, sha256
from pathlib import Path

from relay import masking, metrics, replies
from relay.clock import Clock
from relay.config import Config, Location, Sender
from relay.replies import Reply
from relay.smtp import auth, hashes
from relay.smtp.lockout import Lockout
from relay.smtp.tls import mark

_log = logging.getLogger("relay.smtp")

AT_ONCE = 2  # passwords that are tried at a time
MOST_WAITING = 64
_LARGEST = 1 << 20  # octets of a users_file

Table = Mapping[str, str]
"""Names and their hashes."""


class Unreadable(Exception):  # noqa: N818
    """A users_file that can't be read: a sentence."""


class Accounts:
    """The logins of one process. `config` is asked at each, since it may be re-read."""

    def __init__(
        self,
        config: Callable[[], Config],
        clock: Clock,
        *,
        fits: Callable[[str, bytes], bool] = hashes.fits,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._config = config
        self._clock = clock
        self._fits = fits
        self._most_waiting = most_waiting
        self._lockout = Lockout()
        self._key = secrets.token_bytes(16)  # so that what is remembered of a guess tells nobody
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._trying: set[asyncio.Task[Reply | str]] = set()
        self._files: dict[Path, tuple[object, Table | None]] = {}

    async def login(self, user: str, password: bytes, peer: str) -> Reply | str:
        """What proves the login from now on, for `held`; or what the client is told."""
        if self._lockout.locked(user, peer, self._clock.now()):
            return self._told(replies.LOCKED, "locked", user, peer)
        if len(self._trying) >= self._most_waiting:
            return self._told(replies.LOGIN_BUSY, "busy", user, peer)
        task = asyncio.get_running_loop().create_task(self._try(user, password, peer))
        self._trying.add(task)
        task.add_done_callback(self._trying.discard)
        answer = await asyncio.shield(task)
        if answer == replies.WRONG_LOGIN:
            await self._clock.wait(asyncio.Event(), self._clock.now() + self._delay(user, peer))
        return answer

    async def _try(self, user: str, password: bytes, peer: str) -> Reply | str:
        async with self._slots:
            if self._lockout.locked(user, peer, self._clock.now()):
                return self._told(replies.LOCKED, "locked", user, peer)
            table, whole = self._known()
            found = table.get(user, "")
            tried = found or _somebody(table, user)
            guess = self._guess(user, password, tried)
            known_wrong = self._lockout.tried(user, peer, self._clock.now(), guess)
            right = not known_wrong and await asyncio.to_thread(self._fits, tried, password)
        now = self._clock.now()
        if found and right:
            self._lockout.good(user, peer, now)
            self._told(replies.LOGGED_IN, "good", user, peer)
            return found
        if not found and not whole:
            return self._told(replies.LOGIN_TROUBLE, "trouble", user, peer)
        self._lockout.failed(user, peer, now, guess)
        # An unknown name stays out of the log: people type passwords there.
        return self._told(replies.WRONG_LOGIN, "wrong", user if found else "", peer)

    def _guess(self, user: str, password: bytes, tried: str) -> bytes:
        """Stands for what was tried, against which hash: another hash makes it another guess."""
        said = f"{user}\0{tried}\0".encode() + password
        return blake2b(said, key=self._key, digest_size=8).digest()

    def _delay(self, user: str, peer: str) -> int:
        return self._lockout.delay(user, peer, self._clock.now())

    def _told(self, answer: Reply, result: str, user: str, peer: str) -> Reply:
        metrics.LOGINS.labels(result=result).inc()
        if result == "good":
            _log.info("logged in", extra={"peer": peer, "user": masked(user)})
        else:
            known = masked(user) if result == "wrong" else ""
            _log.warning("login refused", extra={"peer": peer, "user": known, "result": result})
        return answer

    def held(self, user: str, proof: str) -> frozenset[str]:
        """The entries of `senders` for which the login counts now."""
        if not (user and proof):
            return frozenset()
        return frozenset(entry.name for entry in self._config().senders if self._hash(entry, user) == proof)

    def _known(self) -> tuple[Table, bool]:
        """Every name with the hash that decides, and whether all files could be read."""
        table: dict[str, str] = {}
        whole = True
        for entry in self._config().senders:
            found = self._of(entry)
            whole = whole and found is not None
            for name, text in (found or {}).items():
                table.setdefault(name, text)
        return table, whole

    def _hash(self, entry: Sender, user: str) -> str | None:
        """What the entry has for this name."""
        from_file = self._file(entry.users_file) if entry.users_file is not None else None
        return inline(entry).get(user) or (from_file or {}).get(user)

    def _of(self, entry: Sender) -> Table | None:
        """The names of an entry; None while its file could never be read."""
        own = inline(entry)
        if entry.users_file is None:
            return own
        from_file = self._file(entry.users_file)
        return None if from_file is None else {**from_file, **own}

    def _file(self, path: Path) -> Table | None:
        now = mark(path)
        before, table = self._files.get(path, (None, None))
        if before == now:
            return table
        try:
            table, faults = read(path)
            if faults:
                _log.warning("some users can't log in", extra={"file": str(path), "why": faults})
        except Unreadable as why:
            _log.error(
                "the users can't be read, those that were known stay",
                extra={"file": str(path), "why": str(why)},
            )
        self._files[path] = now, table
        return table


def _somebody(table: Table, user: str) -> str:
    """A hash to try where the name has none: the same at each try, one of those that others have."""
    if not table:
        return hashes.DUMMY
    number = int.from_bytes(sha256(user.encode("utf-8", "surrogateescape")).digest()[:8], "big")
    return list(table.values())[number % len(table)]


def masked(user: str) -> str:
    """A name for logs: a phone number in it is shown by its last four digits."""
    return masking.quotes_masked(f'"{user}"')[1:-1]


def inline(entry: Sender) -> dict[str, str]:
    """The names that stand in the configuration itself."""
    return {auth.normal(name): text.get_secret_value() for name, text in entry.users.items()}


def read(path: Path) -> tuple[dict[str, str], list[str]]:
    """The names of an htpasswd file, and the lines that count for nobody; raises Unreadable."""
    table, faults = {}, []
    for name, text, number in _lines(path):
        wrong = hashes.complaint(text) if name else "has no name"
        if wrong:
            faults.append(f"line {number} {wrong}")
        else:
            table[name] = text
    return table, faults


def _lines(path: Path) -> list[tuple[str, str, int]]:
    """Name, hash and number of each line; of a name that stands twice the first, as Apache has it."""
    try:
        if path.exists() and not path.is_file():
            raise Unreadable("is no file")  # to open a pipe would wait
        with path.open("rb") as file:
            octets = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise Unreadable("there is no such file") from None
    except OSError as error:
        raise Unreadable(f"can't be read: {(error.strerror or 'input or output error').lower()}") from None
    if len(octets) > _LARGEST:
        raise Unreadable("is larger than 1 MB")
    try:
        text = octets.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8") from None
    found: dict[str, tuple[str, str, int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.strip().partition(":")
            found.setdefault(auth.normal(name), (auth.normal(name), rest.partition(":")[0], number))
    return list(found.values())


# -- what the configuration is told -------------------------------------------------------


def complaints(config: Config) -> list[tuple[Location, str]]:
    """Hashes that are none, files that can't be read, and names with two passwords, at their places."""
    found: list[tuple[Location, str]] = []
    decides: dict[str, str] = {}
    for number, entry in enumerate(config.senders):
        place: Location = ("senders", number, "users")
        for name, secret in entry.users.items():
            text = secret.get_secret_value()
            why = hashes.complaint(text)
            if not why and decides.setdefault(auth.normal(name), text) != text:
                why = "another entry has this user with another hash; write the same there"
            found += [((*place, name), why)] if why else []
        if entry.users_file is not None:
            found += [(("senders", number, "users_file"), why) for why in _file_complaints(entry.users_file)]
    return found


def doubts(config: Config) -> list[tuple[Location, str]]:
    """Files of hashes that anybody may take away and guess at."""
    return [
        (("senders", number, "users_file"), "anybody on this machine may open it; chmod o= the file")
        for number, entry in enumerate(config.senders)
        if entry.users_file is not None
        and entry.users_file.exists()
        and entry.users_file.stat().st_mode & stat.S_IRWXO
    ]


def _file_complaints(path: Path) -> list[str]:
    try:
        table, faults = read(path)
    except Unreadable as why:
        return [str(why)]
    return faults if table or faults else ["holds no user; add one with `htpasswd -B`"]
