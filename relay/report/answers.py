"""The rows of what phones sent become the mail that tells of it."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes
from email.errors import MessageError

from relay.config import Config
from relay.queue.followups import Notice
from relay.queue.store import Store
from relay.report.inbox import Answer, name_of

INBOX = "inbox"
"""The action of a notice that mails what a phone sent."""


class Answers:
    """Makes answers of rows, by the configuration as it is then."""

    def __init__(self, store: Store, config: Callable[[], Config]) -> None:
        self._store = store
        self._config = config

    async def answer(self, notice: Notice) -> Answer | None:
        """What a notice of this action is to mail; None where it is no longer stored, or goes to nobody."""
        rows = await self._store.incoming_of(notice.lead_id or notice.id)
        if not rows:
            return None
        config, first = self._config(), rows[0]
        texts = tuple(row.text for row in rows)
        answered = notice.order_id or first.order_id
        orders = await self._store.orders([answered]) if answered else []
        order = orders[0] if orders else None
        mail = (await self._store.mails({order.mail_id})).get(order.mail_id) if order else None
        if order is None or mail is None:
            if not config.inbox.default:
                return None
            return Answer(
                to=config.inbox.default,
                phone=first.phone,
                texts=texts,
                kind=first.kind,
                domain=_domain(config),
                hostname=config.hostname,
                language=config.reports.language,
            )
        recipient = (await self._store.recipients({order.recipient_id}))[order.recipient_id]
        return Answer(
            to=mail.sender,
            phone=first.phone,
            texts=texts,
            kind=first.kind,
            address=recipient.address,
            hidden=bool(order.hidden),
            took=name_of(first.phone, config.aliases, hidden=bool(order.hidden))
            if any(row.took for row in rows)
            else "",
            subject=mail.subject,
            message_id=mail.message_id,
            references=_references(mail.head),
            hostname=config.hostname,
            language=config.reports.language,
            utf8=bool(mail.utf8),
        )


def _domain(config: Config) -> str:
    """A domain of the relay's at which a phone can be written to; "" where no route names one."""
    for route in config.routes:
        name, _, domain = route.match.rpartition("@")
        if route.channel == "sms" and name == "*" and not set(domain) & set("*?["):
            return domain
    return ""


def _references(head: bytes) -> str:
    """The References of a mail's header."""
    try:
        return str(message_from_bytes(head).get("References", ""))
    except (MessageError, ValueError):
        return ""
