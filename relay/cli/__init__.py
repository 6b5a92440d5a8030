"""The command line: what an operator types, and what it prints.

Data goes to stdout (JSON with `--json`), everything else to stderr. Exit 0: done; 1: failed;
2: wrong usage or configuration. `-c FILE` may stand before or after the subcommand.
"""

from __future__ import annotations

import importlib

import click

from relay import __version__

_COMMANDS = {
    "serve": ("serve", "Run the relay in the foreground."),
    "demo": ("demo", "Show a mail's whole journey, without an account or a configuration."),
    "check": ("check", "Judge the configuration, then try what it names."),
    "explain": ("explain", "Say what would become of a mail, without sending anything."),
    "send": ("queue", "Send one message through the queue and wait for its outcome."),
    "queue": ("queue", "Look at orders and steer them."),
    "sandbox": ("sandbox", "Run the provider's look-alike alone."),
    "nodes": ("queue", "Show the nodes that share the queue."),
    "hash-password": ("passwords", "Make an argon2 hash for `users`."),
}


class _Lazy(click.Group):
    """Imports a command's module when it is called for: `queue list` needs no SMTP server."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"relay.cli.{_COMMANDS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
@click.option("-c", "--config", "config", metavar="FILE", help="The configuration.")
@click.pass_context
def main(ctx: click.Context, config: str | None) -> None:
    """Turn e-mail into phone messages through SMSC, and tell the sender what became of them."""
    ctx.obj = config
