"""Mail to the operator: account trouble and the like, in plain words. Pure."""

from __future__ import annotations

import textwrap

from relay.report import fields


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
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", "8bit" if not body.isascii() else "7bit"),
    ]
    return ("".join(fields.field(name, value) for name, value in lines) + f"\r\n{body}\r\n").encode()
