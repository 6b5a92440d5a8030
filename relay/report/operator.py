"""Mail to the operator: account trouble and the like, in plain words. Pure."""

from __future__ import annotations

import textwrap

from relay.model import Outcome, Rest
from relay.report import fields

_REST = {
    Rest.LOGIN: "the provider refuses the login (or this machine's address); nothing is sent until it works",
    Rest.MONEY: "the account is out of money; nothing is sent until it is paid",
    Rest.BLOCKED: "the provider blocks this machine's address for a while; nothing is sent meanwhile",
    Rest.UNREACHABLE: "no connection to the provider can be made; nothing is sent until one can",
}
_LENT = " What may go by another account of its route does so meanwhile."


def of_rest(account: str, rest: Rest, outcome: Outcome | None, *, lends: bool = False) -> str:
    """What the operator should know of an account that goes to rest, and whether others stand in."""
    said = f" The provider said: {outcome.code} {outcome.text}." if outcome and outcome.code else ""
    return f"Account {account}: {_REST[rest]}.{said}{_LENT if lends else ''}"


def compose(
    *, to: str, from_: str, hostname: str, subject: str, text: str, message_id: str, now: int
) -> bytes:
    """One plain mail; its text is ours, and it never quotes a message."""
    body = "\r\n".join(textwrap.wrap(fields.clean(text), 72)) or "."
    lines = [
        ("From", fields.author(from_, fields.host(hostname) or "localhost")),
        ("To", fields.mailbox(to) or "undisclosed-recipients:;"),
        ("Subject", fields.encoded(f"[smsc-relay] {subject}")),
        ("Date", fields.date(now)),
        ("Message-ID", message_id),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "8bit" if not body.isascii() else "7bit"),
    ]
    return ("".join(fields.field(name, value) for name, value in lines) + f"\r\n{body}\r\n").encode()
