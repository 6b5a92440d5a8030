"""`smsc-relay serve`, started again and again by a parent that has imported it once.

Each line of standard input starts a life: `CONFIG<tab>STEP<tab>N<tab>MS`. The process kills itself with
SIGKILL when it comes to the step for the N-th time, or MS milliseconds after that; without a step it
lives until somebody ends it. Standard output says `pid …`, the relay's own ready line, and `died …`.
Nothing of the relay is changed but that it may die: what is on disk is all that a next life has.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from relay import cli
from relay.cli import serve as _imported  # noqa: F401 - so that a life begins at once
from relay.delivery.claims import Claims
from relay.queue.postgres import Postgres
from relay.queue.rows import DIGEST
from relay.queue.sqlite import SQLite
from relay.report import transport
from relay.smsc.exchange import Exchange
from relay.smtp.handler import Handler

Arguments = tuple[Any, ...]


def _any(_arguments: Arguments) -> bool:
    return True


def _mail(arguments: Arguments) -> bool:
    return arguments[1].once is not None


def _called() -> bool:
    """Whether this is done for a call to the handler: on a task of its own."""
    task = asyncio.current_task()
    return task is not None and task.get_name().startswith("callback ")


def _inserts(arguments: Arguments, table: str, **wanted: str) -> bool:
    return any(
        each.name == table and wanted.items() <= values.items() for each, values in arguments[1].inserts
    )


def _of_status(arguments: Arguments) -> bool:
    return _called() and _inserts(arguments, "story") and not _inserts(arguments, "incoming")


def _of_reply(arguments: Arguments) -> bool:
    return _inserts(arguments, "incoming")


def _of_digest(arguments: Arguments) -> bool:
    return _inserts(arguments, "orders", alarm=DIGEST)


def _to(path: str) -> Callable[[Arguments], bool]:
    return lambda arguments: arguments[1] == path


ENGINES = (SQLite, Postgres)

STEPS: dict[str, tuple[Any, str, bool, Callable[[Arguments], bool]]] = {
    "before DATA": (Handler, "on_rcpt", False, _any),
    "after the dot": (Handler, "on_data", True, _any),
    "before the commit": (ENGINES, "write", True, _mail),
    "between commit and 250": (ENGINES, "write", False, _mail),
    "after the claim": (Claims, "claim", False, _any),
    "before the call": (Exchange, "post", True, _to("send.php")),
    "after the answer": (Exchange, "post", False, _to("send.php")),
    "before a question": (Exchange, "post", True, _to("status.php")),
    "after a question": (Exchange, "post", False, _to("status.php")),
    "before a report": (transport, "deliver", True, _any),
    "after a report": (transport, "deliver", False, _any),
    "after a write": (ENGINES, "write", False, _any),
    "before a status's commit": (ENGINES, "write", True, _of_status),
    "after a status's commit": (ENGINES, "write", False, _of_status),
    "before a reply's commit": (ENGINES, "write", True, _of_reply),
    "after a reply's commit": (ENGINES, "write", False, _of_reply),
    "before a digest's commit": (ENGINES, "write", True, _of_digest),
    "after a digest's commit": (ENGINES, "write", False, _of_digest),
}
"""What is watched, whether the end comes before it or after, and which of its calls count."""


def _runs_a_step(arguments: Arguments) -> bool:
    return any(
        table.name == "step" and values.get("state") == "done" for table, _, values in arguments[1].updates
    )


MORE: dict[str, tuple[Any, str, bool, Callable[[Arguments], bool]]] = {
    "before a step's commit": (ENGINES, "write", True, _runs_a_step),
    "after a step's commit": (ENGINES, "write", False, _runs_a_step),
    "before a call of a step": (Exchange, "post", True, _to("send.php")),
    "after a call of a step": (Exchange, "post", False, _to("send.php")),
}
"""The same for escalation, where no step is due in a mail's first moments."""


def doom(step: str, times: int, later: int) -> None:
    """Let this process die there."""
    owners, name, before, counts = (STEPS | MORE)[step]
    left = times

    def here(arguments: Arguments) -> None:
        nonlocal left
        left -= counts(arguments)
        if left or not counts(arguments):
            return
        if not later:
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.get_running_loop().call_later(later / 1000, os.kill, os.getpid(), signal.SIGKILL)

    def watch(real: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*arguments: Any, **named: Any) -> Any:
            if before:
                here(arguments)
                return await real(*arguments, **named)
            value = await real(*arguments, **named)
            here(arguments)
            return value

        return watched

    for owner in owners if isinstance(owners, tuple) else (owners,):
        setattr(owner, name, watch(getattr(owner, name)))


def live(config: str, step: str, times: int, later: int) -> None:
    """One life, in this process."""
    log = os.open(Path(config).with_name("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    if step:
        doom(step, times, later)
    cli.main(["serve", "-c", config], standalone_mode=True)


def say(line: str) -> None:
    """Tell who started us."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Life after life."""
    for line in sys.stdin:
        config, step, times, later = line.rstrip("\n").split("\t")
        child = os.fork()
        if not child:
            try:
                live(config, step, int(times), int(later))
            except SystemExit as end:
                os._exit(int(end.code or 0))
            os._exit(70)
        say(f"pid {child}")
        _, status = os.waitpid(child, 0)
        say(f"died {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
