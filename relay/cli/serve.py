"""`smsc-relay serve`: the relay in the foreground."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable
from functools import partial

import click

from relay import log
from relay.app import PARTS, App
from relay.cli import workers
from relay.cli.check import doubts
from relay.cli.common import FAILED, WRONG, complaints, config_option, configuration, fail, say
from relay.cli.notify import READY, STOPPING, notify, reloading
from relay.cli.workers import Share
from relay.config import Config, ConfigError, Loaded, load
from relay.queue.engine import Trouble
from relay.rooms import CannotStart
from relay.smtp import sockets

try:
    import uvloop
except ImportError:
    _new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None  # asyncio's own
else:
    _new_loop = uvloop.new_event_loop

_log = logging.getLogger("relay.app")

_YOUNG = 10_000  # objects that are made before garbage is looked for: those of some mails


@click.command()
@config_option
@click.option("--only", type=click.Choice(PARTS), default=None, help="Run that part alone.")
def serve(config: str | None, only: str | None) -> None:
    """Run the relay in the foreground until SIGTERM or SIGINT.

    Its event loop is uvloop's where that is installed (extra `speed`), else asyncio's; the log says which.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to re-read it
    loaded = configuration(config)
    wrong = complaints(loaded)
    if wrong:
        fail("\n".join(wrong), WRONG)
    log.set_up(numbers=loaded.config.log.numbers)
    sockets.passed()  # before there are other descriptors, and children
    sockets.raise_descriptors(loaded.config.limits.connections)
    if os.geteuid() == 0:
        _log.warning("the relay runs as root", extra={"write": "User= in its unit, and see fd: for port 25"})
    own = workers.mine(os.environ)
    for warning in () if own else doubts(loaded):
        say(f"warning: {warning}")
    several = loaded.config.workers > 1 and not own and only != "web"
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            if several:
                runner.run(workers.serve(loaded.path, loaded.config, ["--only", only] if only else []))
            else:
                runner.run(_serve(loaded, only or "", own))
    except (Trouble, OSError, CannotStart) as error:
        fail(f"smsc-relay can't start: {error}", FAILED)
    except ExceptionGroup as group:  # a loop died: say it, and do not stay half alive
        for each in group.exceptions:
            _log.critical("a part died, the relay stops", exc_info=each)
        raise SystemExit(FAILED) from None


async def _serve(loaded: Loaded, only: str, own: Share | None) -> None:
    app = App(own(loaded.config) if own else loaded.config, only=only)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, _stop, stop)
    loop.add_signal_handler(signal.SIGHUP, _reload, app, loaded, own)
    if own:
        workers.orphaned(partial(_stop, stop))

    def ready(app: App) -> None:
        _settle()
        click.echo(app.ready_line())
        notify(READY)

    await app.serve(stop, ready)


def _settle() -> None:
    """What is there at the start stays: garbage is looked for among what comes later, and less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


def _stop(stop: asyncio.Event) -> None:
    notify(STOPPING)
    stop.set()


def _reload(app: App, loaded: Loaded, own: Share | None) -> None:
    """SIGHUP: the new configuration where it is a good one, else the old; certificates either way."""
    notify(reloading())
    new = _reread(loaded)
    if new is not None:
        log.set_up(numbers=new.log.numbers)
        app.adopt(own(new) if own else new)
    else:
        app.contexts.refresh()
    notify(READY)


def _reread(loaded: Loaded) -> Config | None:
    try:
        fresh = load(loaded.path)
    except ConfigError as error:
        _log.error("the new configuration is wrong, the old one stays", extra={"faults": list(error.faults)})
        return None
    wrong = complaints(fresh)
    if wrong:
        _log.error("the new configuration is wrong, the old one stays", extra={"faults": wrong})
        return None
    return fresh.config
