"""What the front door and those behind it agree on: limits, the session, the three hooks.

No behaviour here, so that a handler can be written and tested without a server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.model import Envelope, Recipient
from relay.replies import Reply
from relay.smtp.data import Body
from relay.smtp.lines import Manner


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of everything one peer may take; sizes in octets, times in seconds."""

    max_size: int = 40 * 2**20  # of a mail, dots undone
    max_recipients: int = 1000
    connections: int = 0  # at once by this listener; 0: only the registry's limits count
    idle: float = 300.0  # without a whole command, or without a block of a mail (RFC 5321 4.5.3.2.7)
    session: float = 3600.0  # from greeting to end
    commands: int = 10_000  # without a mail taken
    errors: int = 20  # of the client's own, without a mail taken; a refused address is none
    data_rate: int = 1024  # octets of a mail in a second, on average, once `idle` has passed
    spool_over: int = 256 * 1024  # larger mail goes to a file
    spool_dir: str = ""  # where those files are; "" is the system's own place
    line_endings: Manner = "strict"  # what becomes of a CR or LF that stands alone in a mail
    command_line: int = 2048  # RFC 5321's 512 with all that the offered extensions add


@dataclass(slots=True, kw_only=True)
class Session:
    """One connection, as far as hooks need to know it."""

    peer: str  # the IP address, or "unix"
    port: int = 0
    helo: str = ""
    esmtp: bool = False  # the client said EHLO or LHLO
    listener: str = ""  # its address as bound
    protocol: str = "smtp"  # or "lmtp"
    tls: bool = False
    certificates: frozenset[str] = frozenset()  # whom the client's certificate names
    user: str = ""  # who logged in
    proof: str = field(default="", repr=False)  # by what the login is known to hold still


class LaterAnswer(Protocol):
    """The answer to a mail that was taken, where there is none yet."""

    async def answer(self) -> Reply | Sequence[Reply]:
        """The answer; it is waited for whatever the client does meanwhile."""
        ...

    async def heard(self) -> None:
        """Called once the answer was written, unless the client had left by then."""
        ...


class Hooks(Protocol):
    """What is asked at each step of a mail. A hook that raises is answered `451 4.3.0`."""

    def most_recipients(self) -> int:
        """How many recipients a mail may have, told at EHLO (RFC 9422)."""
        ...

    def home(self) -> str:
        """The domain of a recipient without one, on a listener for old devices; "" where none is meant."""
        ...

    async def on_auth(self, session: Session, user: str, password: bytes) -> Reply:
        """Judge a login; where it is right, `user` and `proof` of the session are filled in."""
        ...

    async def on_mail(self, session: Session, envelope: Envelope) -> Reply | Envelope:
        """Judge the sender: the envelope to go on with (`source`, `verified` filled in), or a reply.

        A good reply takes the envelope as it is.
        """
        ...

    async def on_rcpt(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply:
        """Judge one recipient; only a good reply adds it to the envelope."""
        ...

    async def on_data(
        self, session: Session, envelope: Envelope, body: Body
    ) -> Reply | Sequence[Reply] | LaterAnswer:
        """Take the mail. It runs to its end whatever the client does meanwhile.

        LMTP: one reply for each recipient, or one reply for all. The body's file is removed
        when this returns, also where the answer comes later.
        """
        ...
