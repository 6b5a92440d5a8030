"""A slow disk: each fsync takes 5 ms longer, for the relay and for Postfix; 100 kept sessions.

A library that is loaded before the C library (LD_PRELOAD) waits in their fsync and fdatasync. It is
compiled here, which wants `cc`.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import accept
import holding
import stage
from stage import HERE, Row

SESSIONS = 100
WHAT = "accept 1 kB, kept connections, fsync + 5 ms"
_WAY = accept.Way(1000, fresh=False, target="≥ 5 ×")


def run(folder: Path) -> Iterator[Row]:
    """Both, in turns."""
    compiler = shutil.which("cc")
    if not compiler:
        yield Row(what=WHAT, figure="-", beside="skipped: there is no C compiler (cc)")
        return
    library = folder / "slowdisk.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "slowdisk.c"), "-ldl"]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if made.returncode:
        yield Row(what=WHAT, figure="-", beside="skipped: cc could not compile slowdisk.c")
        return
    library.chmod(0o755)
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(
            stage.relay(folder, only="smtp", environment={"LD_PRELOAD": str(library)})
        )
        servers = {"relay": (relay.word("smtp"), lambda: relay.pid)}
        address = stack.enter_context(holding.postfix(folder, slow=str(library)))
        if not address:
            yield Row(what=WHAT, figure="-", beside=holding.MISSING)
            return
        servers["Postfix"] = address, partial(holding.master, folder)
        seen = stage.in_turns(
            {
                name: accept.Contender(address, pid, _WAY, sessions=SESSIONS, seconds=2).measure
                for name, (address, pid) in servers.items()
            },
            warm=1,
        )
        yield stage.against(WHAT, seen, "Postfix", _WAY.target)
