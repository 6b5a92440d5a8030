"""PgBouncer between nodes and their database, in transaction mode. Run by `make interop`."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from several import phone, several

pytestmark = pytest.mark.timeout(400)

_INI = """
[databases]
* = host={database} port=5432 user=relay
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = 5432
auth_type = any
pool_mode = transaction
default_pool_size = 2
logfile = {folder}/log
"""


@pytest.mark.asyncio
async def test_nodes_share_two_sessions(
    tmp_path: Path, open_folder: Path, database: str, wanted: Callable[..., None]
) -> None:
    """Two nodes, with ten lines to it, get on with two sessions of the database: each message goes once."""
    wanted("pgbouncer", root=True)
    name, _, rest = database.partition("@/")[2].partition("?host=")
    config = open_folder / "pgbouncer.ini"
    config.write_text(_INI.format(database=rest.partition("&")[0], folder=open_folder))
    shutil.chown(open_folder, "postgres")
    process = await asyncio.create_subprocess_exec("pgbouncer", "-q", "-u", "postgres", str(config))
    try:
        async with asyncio.timeout(20):
            while not (open_folder / ".s.PGSQL.5432").exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.02)
        async with several(tmp_path, database, latency=0.05) as nodes:
            nodes.both = f"postgresql://relay@/{name}?host={open_folder}&statement_cache_size=0"
            await nodes.start(2)
            ranges = range(40), range(100, 140)
            taken = await asyncio.gather(*map(nodes.mail, nodes.nodes, ranges))
            await nodes.settled()
            assert [40, 40] == [len(each) for each in taken]
            assert {phone(number): 1 for each in ranges for number in each} == nodes.delivered()
            assert nodes.sandbox.max_in_flight <= 14
            for node in nodes.nodes:
                assert '"error"' not in (node.folder / "log").read_text()
    finally:
        process.terminate()
        await process.wait()
