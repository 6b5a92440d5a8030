"""A look-alike of the SMSC provider's HTTP API, written from the vendor's pages alone.

It imports nothing of the relay: what it says of a request is an independent opinion.
"""

from relay.smsc.sandbox.fates import DELIVERED, TABLE, Break, Fate, fate_of
from relay.smsc.sandbox.model import Bad, Call, File, Kind, Message, RefusalError, Step
from relay.smsc.sandbox.server import Sandbox

__all__ = [
    "DELIVERED",
    "TABLE",
    "Bad",
    "Break",
    "Call",
    "Fate",
    "File",
    "Kind",
    "Message",
    "RefusalError",
    "Sandbox",
    "Step",
    "fate_of",
]
