"""What the relay watches of itself, and what its operator is told: decisions and words. Pure.

Each subject is told by mail once in its time, and by phone once an hour at most. A phone is
reached through an account that has nothing to do with the trouble; where there is none, the
mail has to do. What the relay sends to its operator's phone is never watched itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal, InvalidOperation

from relay import masking, model
from relay.config import Alias, Quiet, Route
from relay.message import channels, routes
from relay.message.routes import Resolved
from relay.model import HOUR, MINUTE
from relay.queue.rows import Order
from relay.replies import Reply

BALANCE_EVERY = 10 * MINUTE
"""How often an account's balance is asked for."""
_LONGEST = 140  # characters on a phone


def is_low(amount: str, least: int) -> bool | None:
    """Whether a balance is below what it should be; None where it can't be read."""
    try:
        return Decimal(amount.replace(",", ".")) < least
    except (InvalidOperation, ValueError):
        return None


def of_balance(account: str, amount: str, currency: str, least: int) -> str:
    """What the operator should know of a low balance."""
    held = f"{amount} {currency}".strip()
    return f"Account {account} holds {held}, which is less than {least} (reports.low_balance)."


def is_silent(ended_at: int, heard_at: int | None, now: int) -> bool | None:
    """Whether the provider's calls stopped: none came with a message that ended, nor in the hour after.

    None while that is open, or where none ever came: then nobody expects them.
    """
    if heard_at is None or heard_at >= ended_at - MINUTE:
        return False
    return True if now - ended_at >= HOUR else None


def of_silence(account: str, heard_at: int, now: int) -> str:
    """What the operator should know of calls that stopped."""
    return (
        f"For {(now - heard_at) // MINUTE} minutes the provider has not called us about account {account}, "
        "though messages came to their end. They are asked about instead. "
        "Look at the handler's address at the provider."
    )


def of_queue(order: Order, now: int) -> str:
    """What the operator should know of an order that waits for too long."""
    minutes = (now - order.start_at) // MINUTE
    why = f" Last heard: {order.reason}." if order.reason else ""
    by = f" by account {order.account}" if order.account else ""
    return f"Message {model.show(order.id)} has waited for {minutes} minutes to be sent{by}.{why}"


def subject_of_cap(name: str) -> str:
    """What a cap is called when the operator is told of it: its phone is masked."""
    per, kind, who = name.split(" ", 2)
    return f"cap on {kind} {masking.phone_masked(who) if kind == 'phone' else who}, {per}"


def of_cap(name: str, why: str, over: str) -> str:
    """What the operator should know of a cap that is reached."""
    then = "are refused for now" if over == "refuse" else "are held until there is room"
    return f"{subject_of_cap(name)}: {why}. Further messages {then}.".capitalize()


def on_phone(hostname: str, text: str) -> str:
    """The text for a phone: who says it, and as much as fits."""
    said = f"{hostname}: {text}"
    return said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."


def through(accounts: Sequence[str], resting: Collection[str], troubled: str) -> str:
    """The account that tells of trouble: the first that is well and not the one in trouble; "" for none."""
    return next((name for name in accounts if name not in resting and name != troubled), "")


def reached(
    to: str, all_routes: Sequence[Route], aliases: dict[str, Alias], account: str
) -> Resolved | Reply:
    """The operator's phone, reached through an account, whatever the hour; a reply says why it can't be.

    A number without a domain goes by SMS. Where the route is another account's, its parameters
    (a sender's name) stay behind: they are registered there.
    """
    plainly = {
        "text": "{{ body }}",
        "comment": "",
        "quiet": Quiet(),
        "account": account,
        "accounts": (account,),
        "escalate": (),
    }
    ways = []
    for route in all_routes:
        if channels.CHANNELS[route.channel].phone:
            params = route.params if route.account == account else {}
            ways.append(route.model_copy(update={**plainly, "params": params}))
    aliases = {name: each.model_copy(update={"escalate": ()}) for name, each in aliases.items()}
    if "@" in to:
        return routes.resolve(to, ways, aliases)
    ways.sort(key=lambda route: route.channel != "sms")
    if not ways:
        return Reply(550, "5.1.2", "no route leads to phones")
    return routes.on_route(to, ways[0], aliases)


def complaint(to: str, all_routes: Sequence[Route], aliases: dict[str, Alias]) -> str:
    """Why the operator's phone can't be reached, "" where it can."""
    found = reached(to, all_routes, aliases, "") if to else None
    return found.text if isinstance(found, Reply) else ""
