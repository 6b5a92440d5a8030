"""A PostgreSQL server of the tests' own, and a database for each test.

The server keeps nothing over a crash of the machine and listens on a socket in its folder only.
Databases are cloned from one that has the tables already, and emptied for the next test. Where there
is no server to be had the tests that need one are skipped, and the summary says how many.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg

from relay.queue import nodes, schema
from relay.queue.postgres import Postgres

BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
MISSING = "" if BIN else "PostgreSQL is not installed (Debian: apt-get install postgresql)"
_FAST = "-c fsync=off -c full_page_writes=off -c shared_buffers=16MB -c max_connections=100"

EMPTIED = "; ".join(
    f"DELETE FROM {name}" for name in (*schema.metadata.tables, *nodes.metadata.tables) if name != "meta"
)


def apart(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a loop of its own, whether or not one is running here."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


class Server:
    """A running server."""

    def __init__(self, folder: Path | None = None, *, options: str = _FAST, port: int = 5432) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="relay-pg-"))
        self.data = self.folder / "data"
        self.port = port
        self._options = f"-k {self.folder} -c listen_addresses='' -p {port} {options}"
        self._names = itertools.count(1)
        self._free: list[str] = []
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def run(self, program: str, *arguments: object) -> None:
        """Run one of the server's programs as the server's user."""
        assert BIN
        env = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], "TZ": "UTC"}
        command = [str(BIN / program), *map(str, arguments)]
        ran = subprocess.run(
            command, check=False, capture_output=True, text=True, env=env, cwd=self.folder, **self._as
        )
        assert ran.returncode == 0, f"{program}: {ran.stdout}{ran.stderr}"

    def make(self) -> Server:
        """Make an empty cluster."""
        self.run("initdb", "-D", self.data, "-U", "relay", "-A", "trust", "--no-sync", "-E", "UTF8")
        return self

    def start(self) -> Server:
        """Start, and wait until it answers."""
        # its output goes to a file: a pipe that a server inherits is never at its end
        log = self.folder / "log"
        self.run("pg_ctl", "-D", self.data, "-w", "-s", "-l", log, "-o", self._options, "start")
        return self

    def standby(self) -> Server:
        """A second server that follows this one, and without which this one commits nothing."""
        second = Server(port=self.port + 1)
        second.run("pg_basebackup", "-h", self.folder, "-p", self.port, "-U", "relay", "-D", second.data,
                   "-R", "-c", "fast", "--no-sync")  # fmt: skip
        second.start()
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.execute("SELECT pg_reload_conf()")
        return second

    def promote(self) -> None:
        """Take writes from now on, as a standby whose primary is gone."""
        self.run("pg_ctl", "-D", self.data, "-w", "-s", "promote")

    def signal(self, which: signal.Signals) -> None:
        """Send all of its processes a signal, first the one that would notice what becomes of others."""
        first = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(first, which)
        for child in Path(f"/proc/{first}/task/{first}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), which)

    def stop(self, how: str = "immediate") -> None:
        """Stop; immediately is as a crash of the server is."""
        self.run("pg_ctl", "-D", self.data, "-w", "-s", "-m", how, "stop")

    def remove(self) -> None:
        """Stop, and leave nothing behind."""
        try:
            if (self.data / "postmaster.pid").exists():
                self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://relay@/{database}?host={self.folder}&port={self.port}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement by hand."""

        async def run() -> None:
            connection = await asyncpg.connect(self.url(database))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        apart(run())

    def empty(self) -> str:
        """The URL of a new database without tables."""
        name = f"empty{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def with_template(self) -> Server:
        """Make the database that others are cloned from."""
        self.execute("CREATE DATABASE template")

        async def tables() -> None:
            engine = Postgres(self.url("template"))
            await engine.open()
            await engine.rows("DELETE FROM node")
            await engine.close()

        apart(tables())
        return self

    async def database(self) -> str:
        """The URL of a database with all tables, all of them empty."""
        if self._free:
            name = self._free.pop()
            connection = await asyncpg.connect(self.url(name))
            await connection.execute(EMPTIED)
        else:
            name = f"test{next(self._names)}"
            connection = await asyncpg.connect(self.url("postgres"))
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE template")
        await connection.close()
        return self.url(name)

    def leave(self, url: str) -> None:
        """Another test may have the database."""
        self._free.append(url.partition("@/")[2].partition("?")[0])
