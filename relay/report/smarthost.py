"""A mail server that we hand mail to, and the beginning of every conversation with it.

Policy: `connected` is one connection, with TLS, login and EHLO behind it; whatever goes wrong
until then (no connection, a bad certificate, a wrong password) is trouble that an operator can
put right, never a verdict about a mail. `said` puts it into one clean line, without the password.

SMTP is RFC 5321, its client aiosmtplib.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, cast

import aiosmtplib

from relay import config
from relay.report import fields

Tls = Literal["none", "opportunistic", "starttls", "implicit"]

TROUBLES = (aiosmtplib.SMTPException, OSError, ValueError)
"""What a conversation may raise, at any step of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Smarthost:
    """A mail server that takes mail from us; `ca` names a file of further authorities."""

    host: str
    port: int = 25
    tls: Tls = "none"
    username: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""
    timeout: float = 60  # seconds for each answer

    @property
    def address(self) -> str:
        """HOST:PORT, as people read it."""
        return f"{self.host}:{self.port}"


def of(smtp: config.Smarthost) -> Smarthost:
    """The smarthost that the configuration means."""
    return Smarthost(
        host=smtp.host,
        port=smtp.port,
        tls={"starttls": "opportunistic", "required": "starttls"}.get(smtp.tls, smtp.tls),  # type: ignore[arg-type]
        username=smtp.username,
        password=smtp.password.get_secret_value(),
    )


async def greet(where: Smarthost, *, hostname: str) -> str:
    """Connect, as for a mail: TLS, login, EHLO. What went wrong, "" where nothing did."""
    try:
        async with connected(where, hostname=hostname) as client:
            await client.quit()
    except TROUBLES as trouble:
        return said(where, trouble)
    return ""


@contextlib.asynccontextmanager
async def connected(where: Smarthost, *, hostname: str) -> AsyncIterator[aiosmtplib.SMTP]:
    """A connection on which MAIL may follow; closed when the block ends, at once where it fails."""
    client = _client(where, fields.host(hostname) or "localhost")
    try:
        await client.connect()
        await _greet(client)
        yield client
    except BaseException:
        hang_up(client)
        raise
    finally:
        client.close()


def hang_up(client: aiosmtplib.SMTP) -> None:
    """Close without waiting for the other side to read what is still to be written."""
    if client.transport is not None:  # uvloop's is no asyncio.WriteTransport, and has it all the same
        cast("asyncio.WriteTransport", client.transport).abort()


async def farewell(client: aiosmtplib.SMTP, patience: float) -> None:
    """QUIT; what was taken stays taken, whatever is answered."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        await client.quit(timeout=min(patience, 5))


def said(where: Smarthost, trouble: Exception) -> str:
    """What the other side, or the system, said of a failure: one clean line."""
    if isinstance(trouble, aiosmtplib.SMTPResponseException):
        return cleaned(where, f"{trouble.code} {trouble.message}")
    return cleaned(where, str(trouble) or type(trouble).__name__)


def cleaned(where: Smarthost, text: str) -> str:
    """The other side's words without the password, which a careless server may echo."""
    if where.password:
        text = text.replace(where.password, "***")
    return fields.clean(text)


def _client(where: Smarthost, hostname: str) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=where.host,
        port=where.port,
        local_hostname=hostname,
        timeout=where.timeout,
        use_tls=where.tls == "implicit",
        # Opportunistic TLS takes any certificate: it keeps listeners out, which clear text would not
        # (RFC 7435). Whoever sends a password, or wants to know the other side, asks for starttls.
        start_tls=None if where.tls == "opportunistic" else where.tls == "starttls",
        validate_certs=where.tls != "opportunistic",
        cert_bundle=where.ca or None,
        username=where.username or None,
        password=where.password or None,
    )


async def _greet(client: aiosmtplib.SMTP) -> None:
    """EHLO, unless STARTTLS or the login needed one already; HELO to those who know no other."""
    if client.is_ehlo_or_helo_needed:
        try:
            await client.ehlo()
        except aiosmtplib.SMTPHeloError:
            await client.helo()
