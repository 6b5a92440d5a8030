"""What makes a session safe: STARTTLS and AUTH.

Policy: nothing that was said in clear counts once TLS is on. No password is asked for in clear but on
private networks that the listener names. Nothing of a login changes within a mail, and a session has
one login. Five wrong ones end it.

RFC 3207 (STARTTLS), RFC 4954 (AUTH).
"""

from __future__ import annotations

from relay import replies
from relay.replies import Reply, reply
from relay.smtp import auth, legacy, policy
from relay.smtp.dialog import Dialog

HELO_FIRST = reply(503, "5.5.1", "say EHLO first")
LHLO_FIRST = reply(503, "5.5.1", "say LHLO first")
NESTED = reply(503, "5.5.1", "a mail is under way, end it with DATA or RSET")
NO_ARGUMENT = reply(501, "5.5.4", "takes no argument")
NOT_HERE = reply(502, "5.5.1", "not available here")

_TLS_ALREADY = reply(503, "5.5.1", "TLS is on already")
_UNSAFE = reply(421, "4.7.0", "commands were sent behind STARTTLS without waiting for 220, closing")
_ALREADY = reply(503, "5.5.1", "logged in already")
_TRIES = 5  # wrong logins in a session


class Guard(Dialog):
    """The commands that make a session safe, for the one who answers the others."""

    _wrong_logins = 0

    def _safety(self) -> list[str]:
        """What EHLO offers of them."""
        found = ["STARTTLS"] if self._door.encryption is not None and not self._client.tls else []
        return [*found, f"AUTH {auth.MECHANISMS}"] if self._may_log_in() else found

    def _greeting_first(self) -> Reply | None:
        if self._client.helo or self._door.legacy:
            return None
        return LHLO_FIRST if self._client.protocol == "lmtp" else HELO_FIRST

    def _login_first(self) -> Reply | None:
        """What the peer is told that must log in before a mail."""
        logins = self._door.logins
        return (
            replies.LOGIN_FIRST if logins is not None and logins.required and not self._client.user else None
        )

    def _may_log_in(self) -> bool:
        logins = self._door.logins
        return logins is not None and (self._client.tls or policy.inside(logins.in_clear, self._client.peer))

    async def starttls(self, argument: str) -> Reply | None:
        """STARTTLS, RFC 3207.

        Commands behind it were put there by somebody else, or by a client that would take the answers
        to them for encrypted ones.
        """
        encryption = self._door.encryption
        if encryption is None:
            return NOT_HERE
        if self._client.tls:
            return _TLS_ALREADY
        if argument:
            return NO_ARGUMENT
        if self._mail is not None:
            return NESTED
        if self._reader.has_more:
            await self._say(_UNSAFE)
            return None
        self._unsent += self._wire([replies.START_TLS])
        self._writer.write(bytes(self._unsent))  # no waiting: what comes next is TLS
        self._unsent.clear()
        await self._encrypt(encryption)
        client = self._client
        client.helo, client.esmtp, client.user, client.proof = "", False, "", ""  # RFC 3207 4.2
        return None

    async def auth(self, argument: str) -> Reply | None:
        """AUTH, RFC 4954."""
        refusal = self._auth_refusal()
        if refusal is not None:
            return refusal
        given = await auth.exchange(argument, self._challenge)
        if isinstance(given, Reply):
            return given
        hook = self._door.hooks.on_auth(self._client, given.user, given.password)
        answer: Reply = await self._ask(hook, "AUTH")
        if answer == replies.TROUBLE:
            answer = replies.LOGIN_TROUBLE
        self._wrong_logins += answer == replies.WRONG_LOGIN
        await self._say(replies.TOO_MANY_LOGINS if self._wrong_logins >= _TRIES else answer)
        return None

    def _auth_refusal(self) -> Reply | None:
        if self._door.logins is None:
            return NOT_HERE
        if not self._may_log_in():
            return replies.NOT_IN_CLEAR
        if self._client.user:
            return _ALREADY
        return NESTED if self._mail is not None else self._greeting_first()

    async def _challenge(self, text: str) -> bytes | None:
        await self._send(f"334 {text}")
        line = await self._read_line(auth.LINE)
        return legacy.command(line) if self._door.legacy and line is not None else line
