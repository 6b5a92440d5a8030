"""The edge of the room: hands one composed report to a smarthost or files it in a maildir.

One report is one SMTP transaction with one recipient. What comes of it is a `Delivery`;
trouble of the network, of TLS or of the disk is a verdict, never an exception.

Policy: only the smarthost's 5xx to MAIL, RCPT or DATA refuses a report for good. What an
operator can put right (no connection, a bad certificate, a wrong password, a 530 that asks for
TLS or a login) is *later*, so that no report is lost to a slip in the configuration. Once
DATA has been answered 250, nothing that follows takes that back.

What can go wrong: the connection breaks between the last octet and its 250. Nobody can tell
then whether the report was taken, and it goes again (RFC 1047); it bears the same Message-ID,
by which mail systems know it, and by which a maildir keeps one file of it.

SMTP is RFC 5321, its client aiosmtplib; DSN parameters are those of RFC 3461, the maildir is
https://cr.yp.to/proto/maildir.html.
"""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

import aiosmtplib

from relay.report import fields, smarthost
from relay.report.smarthost import Smarthost


@dataclass(frozen=True, slots=True, kw_only=True)
class Maildir:
    """A folder that takes reports instead; made where it is missing."""

    path: str


class Verdict(StrEnum):
    """What became of the report."""

    DONE = "done"  # taken, or filed
    LATER = "later"  # not now, try again
    REFUSED = "refused"  # never, whatever is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The verdict, and in one clean line what the other side said."""

    verdict: Verdict
    text: str


async def deliver(
    where: Smarthost | Maildir,
    *,
    sender: str = "",
    recipient: str,
    mail: bytes,
    hostname: str,
    utf8: bool = False,
    narrow: bytes = b"",
) -> Delivery:
    """Hand the report over; `narrow` is its ASCII form, sent where the smarthost takes no other."""
    if isinstance(where, Maildir):
        return await asyncio.to_thread(_file, Path(where.path), sender=sender, mail=mail, hostname=hostname)
    letter = _Letter(sender=sender, recipient=recipient, mail=mail, narrow=narrow, utf8=utf8)
    try:
        return await _send(where, letter, hostname=hostname)
    except smarthost.TROUBLES as trouble:
        return Delivery(verdict=Verdict.LATER, text=smarthost.said(where, trouble))


# -- a smarthost --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    sender: str
    recipient: str
    mail: bytes
    narrow: bytes
    utf8: bool


async def _send(where: Smarthost, letter: _Letter, *, hostname: str) -> Delivery:
    """One connection, one transaction. Raises on whatever happens outside of MAIL, RCPT and DATA."""
    async with smarthost.connected(where, hostname=hostname) as client:
        delivery = await _transact(client, letter, patience=where.timeout)
        await smarthost.farewell(client, where.timeout)
        return delivery


async def _transact(client: aiosmtplib.SMTP, letter: _Letter, *, patience: float) -> Delivery:
    """MAIL, RCPT, DATA, in the widest form that this smarthost takes."""
    if not fields.mailbox(letter.recipient) or (letter.sender and not fields.mailbox(letter.sender)):
        return _refused("the sender or the recipient of the report is not a mail address")
    mail, options = _form(client, letter)
    if not mail:
        return _refused("the smarthost takes neither SMTPUTF8 nor 8BITMIME, which this report needs")
    notify = [b"NOTIFY=NEVER"] if client.supports_extension("dsn") else []
    answer = await client.execute_command(b"MAIL", b"FROM:<%b>" % letter.sender.encode(), *options)
    if answer.code == 250:
        answer = await client.execute_command(b"RCPT", b"TO:<%b>" % letter.recipient.encode(), *notify)
    if answer.code not in (250, 251):
        return _verdict(answer.code, answer.message)
    try:
        # RFC 5321 4.5.3.2.6: ten times as long, for to give up early means a second copy
        answer = await client.data(mail, timeout=10 * patience)
    except aiosmtplib.SMTPDataError as refusal:
        return _verdict(refusal.code, refusal.message)
    return _verdict(answer.code, answer.message)


def _form(client: aiosmtplib.SMTP, letter: _Letter) -> tuple[bytes, list[bytes]]:
    """The octets to send and the parameters of MAIL; b"" where nothing fits."""
    simple = f"{letter.sender}{letter.recipient}".isascii()
    utf8 = letter.utf8 and not (simple and letter.mail.isascii())
    needed = [*(["smtputf8"] if utf8 else []), *([] if letter.mail.isascii() else ["8bitmime"])]
    mail, options = (letter.narrow if simple else b""), []
    if all(map(client.supports_extension, needed)) and (utf8 or simple):
        names = {"smtputf8": b"SMTPUTF8", "8bitmime": b"BODY=8BITMIME"}
        mail, options = letter.mail, [names[each] for each in needed]
    if client.supports_extension("size"):
        options.append(b"SIZE=%d" % len(mail))
    return mail, options


def _verdict(code: int, message: str) -> Delivery:
    text = fields.clean(f"{code} {message}")
    if code == 250:
        return Delivery(verdict=Verdict.DONE, text=text)
    final = 500 <= code < 600 and code != 530  # 530: wants a login or TLS first
    return Delivery(verdict=Verdict.REFUSED if final else Verdict.LATER, text=text)


def _refused(text: str) -> Delivery:
    return Delivery(verdict=Verdict.REFUSED, text=text)


# -- a maildir ----------------------------------------------------------------------------


def _file(folder: Path, *, sender: str, mail: bytes, hostname: str) -> Delivery:
    """File the report under a name made of its Message-ID, once, however often it is asked."""
    name = f"{_identity(mail)}.{fields.host(hostname).replace(':', '_') or 'localhost'}"
    try:
        for each in ("", "tmp", "new", "cur"):  # "": the maildir itself, whose parents get no mode
            (folder / each).mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _filed(folder, name):
            _write(folder, name, _stored(mail, sender))
    except OSError as trouble:
        return Delivery(verdict=Verdict.LATER, text=f"maildir: {trouble.strerror or 'input or output error'}")
    return Delivery(verdict=Verdict.DONE, text=f"filed as {name}")


def _identity(mail: bytes) -> str:
    """The same for the same report: of its Message-ID, or of all of it where it has none."""
    head = mail.partition(b"\r\n\r\n")[0]
    found = re.search(rb"^Message-ID:\s*(<[^<>\s]+>)", head, re.IGNORECASE | re.MULTILINE)
    return sha256(found[1] if found else mail).hexdigest()[:32]


def _stored(mail: bytes, sender: str) -> bytes:
    """As files are kept on this system: LF, and the return path on top (RFC 5321 4.4)."""
    return b"Return-Path: <%b>\n" % fields.mailbox(sender).encode() + fields.lines(mail)


def _filed(folder: Path, name: str) -> bool:
    """It is there already, perhaps read and flagged by a mail reader since."""
    if (folder / "new" / name).exists():
        return True
    return any(each.name.partition(":")[0] == name for each in (folder / "cur").iterdir())


def _write(folder: Path, name: str, mail: bytes) -> None:
    """Whole or not at all: written aside, synced, moved, and the move synced."""
    aside = folder / "tmp" / name
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(mail)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(folder / "new" / name)
    handle = os.open(folder / "new", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
