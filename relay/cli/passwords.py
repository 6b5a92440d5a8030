"""`smsc-relay hash-password`."""

from __future__ import annotations

import sys

import click
from argon2 import PasswordHasher

from relay.cli.common import as_json

MEMORY_KIB = 19 * 1024
"""19 MiB, two passes, one lane: about 20 ms a login (the OWASP minimum for argon2id)."""


@click.command(name="hash-password")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
def hash_password(*, from_stdin: bool, json_: bool) -> None:
    """Make an argon2 hash for `users`."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if not password:
        raise click.UsageError("an empty password would let anybody in")
    made = PasswordHasher(time_cost=2, memory_cost=MEMORY_KIB, parallelism=1).hash(password)
    if json_:
        as_json(made)
    else:
        click.echo(made)
