"""What an SMTP peer is told: every reply of the relay, hard or soft, in one place.

A `Reply` says all that a peer may know. Whatever else is known stays in the log: nothing
internal (a path, an exception, another customer's name) is ever part of a reply.
Codes are those of RFC 5321 section 4.2, enhanced codes those of RFC 3463 and RFC 5248.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: a three-digit code, an enhanced status ("" on banners and 3xx), a sentence."""

    code: int
    status: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.status} {self.text}" if self.status else f"{self.code} {self.text}"

    @property
    def good(self) -> bool:
        """The peer may go on: 2xx or 3xx."""
        return self.code < 400

    @property
    def temporary(self) -> bool:
        """The same command may work later: 4xx."""
        return 400 <= self.code < 500


def _clean(text: str) -> str:
    """One printable line of at most 400 characters: replies quote what peers wrote."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= 400 else line[:399] + "…"


def reply(code: int, status: str, text: str) -> Reply:
    """Make a reply whose text is safe to put on the wire."""
    return Reply(code, status, _clean(text))


OK = Reply(250, "2.0.0", "OK")
SENDER_OK = Reply(250, "2.1.0", "sender OK")
RECIPIENT_OK = Reply(250, "2.1.5", "recipient OK")
LOGGED_IN = Reply(235, "2.7.0", "logged in")
START_TLS = Reply(220, "2.0.0", "ready to start TLS")
GO_AHEAD = Reply(354, "", "end data with <CR><LF>.<CR><LF>")
BYE = Reply(221, "2.0.0", "bye")
CANNOT_VERIFY = Reply(252, "2.1.5", "cannot verify, but will take a mail and report")

# 4xx: the same mail may pass later
TROUBLE = Reply(451, "4.3.0", "temporary trouble here, try again later")
STORE_TROUBLE = Reply(451, "4.3.0", "the mail could not be stored, try again later")
STORE_FULL = Reply(452, "4.3.1", "no room to store the mail, try again later")
READ_TROUBLE = Reply(451, "4.3.0", "the mail could not be read now, try again later")
TOO_BUSY = Reply(421, "4.3.2", "too many connections, try again later")
CLOSING = Reply(421, "4.3.2", "going down, try again later")
IDLE = Reply(421, "4.4.2", "idle for too long, closing")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "too many errors, closing")
TOO_MANY_LOGINS = Reply(421, "4.7.0", "too many failed logins, closing")
LOCKED = Reply(454, "4.7.0", "too many failed logins, try again in ten minutes")
LOGIN_BUSY = Reply(454, "4.7.0", "too many logins at once, try again later")
LOGIN_TROUBLE = Reply(454, "4.7.0", "logins can't be checked now, try again later")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "too many recipients, send the rest in another mail")

# 5xx: the same mail will never pass
TLS_FIRST = Reply(530, "5.7.0", "say STARTTLS first")
LOGIN_FIRST = Reply(530, "5.7.0", "log in first (AUTH)")
WRONG_LOGIN = Reply(535, "5.7.8", "wrong user or password")
NOT_IN_CLEAR = Reply(538, "5.7.11", "no password goes in clear here, say STARTTLS first")
NOT_ALLOWED = Reply(550, "5.7.1", "this relay takes no mail from here; `senders` decides who may send")
SENDER_NOT_ALLOWED = Reply(550, "5.7.1", "this sender may not use this relay")
WRONG_CREDENTIALS = Reply(554, "5.7.8", "the login and password in the mail are those of no account here")
CREDENTIALS = Reply(550, "5.7.0", "a mail to send@ holds credentials, it goes to nobody else")
NO_SUCH_DOMAIN = Reply(550, "5.1.2", "no route for this domain")
NO_SUCH_NAME = Reply(550, "5.1.1", "no such name here, or none that you can reach")
NO_MAILBOX = Reply(550, "5.1.1", "no mailboxes here, write to the operator's own address")
NO_POSTMASTER = Reply(550, "5.1.1", "no postmaster here: reports.operator names nobody whom mail would reach")
TOO_LARGE = Reply(552, "5.3.4", "the mail is too large")
BARE_LINE_ENDS = Reply(550, "5.5.2", "bare CR or LF in the mail, lines must end with CR LF (RFC 5321 2.3.8)")
LOOP = Reply(554, "5.4.6", "mail loop: too many Received headers")
BAD_SENDER = Reply(553, "5.1.7", "bad sender address, write MAIL FROM:<user@domain>")
BAD_RECIPIENT = Reply(553, "5.1.3", "bad recipient address, write RCPT TO:<user@domain>")
NO_VALID_RECIPIENTS = Reply(554, "5.5.1", "no valid recipients")
UNKNOWN_COMMAND = Reply(500, "5.5.2", "command not recognised")


def not_yours(author: str) -> Reply:
    """The header names an author whom this client may not write as."""
    return reply(550, "5.7.1", f'From "{author}" is not yours to write as')


def out_of_reach(what: str) -> Reply:
    """The sender's entry leaves this channel or account to others."""
    return reply(550, "5.7.1", f"{what} is not for this sender")


def capped(why: str) -> Reply:
    """A cap is reached; later there is room again."""
    return reply(452, "4.7.1", f"{why}, try again later")


def queued(identity: str) -> Reply:
    """The mail is on disk, under this id."""
    return Reply(250, "2.0.0", f"queued as {identity}")
