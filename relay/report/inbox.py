"""A phone's message as a mail: text and nothing else, in the thread of the mail that it answers. Pure.

It comes from the phone's own address at the relay, so that a reply to it is a message to that
phone. Whatever the phone sent stands in the body; of the header only the subject and the
message ids of the first mail are quoted, cleaned by `fields`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formataddr

from relay.config import Alias
from relay.masking import phone_masked
from relay.report import fields
from relay.smsc.wire import same_phone

_FULL = (66, 67, 152, 153)  # characters of a part that more of the same message follows
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "sms": "Message from {}",
        "call": "Call from {}",
        "called": "{} called to confirm the number.",
        "took": "{} has taken the alarm: nobody else is called for it.",
    },
    "ru": {
        "sms": "Сообщение от {}",
        "call": "Звонок от {}",
        "called": "{} подтверждает номер звонком.",
        "took": "Тревогу принял {}: больше никого не вызываем.",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is to be mailed: who sent it, to whom it goes, which mail it answers."""

    to: str
    phone: str
    texts: Sequence[str]  # in the order in which they came; of calls, ""
    kind: str = "sms"  # or "call"
    address: str = ""  # what the mail that it answers was sent to; "" where it answers none
    domain: str = ""  # where it answers none
    took: str = ""  # who acknowledged the alarm with it; "" where nobody did
    hidden: bool = False  # the number is not to be shown: it answers by the address
    subject: str = ""
    message_id: str = ""
    references: str = ""
    hostname: str = "localhost"
    language: str = "en"
    utf8: bool = False


def compose(answer: Answer, *, message_id: str, now: int) -> bytes:
    """The octets of the mail; never raises, whatever the facts hold."""
    words = _WORDS.get(answer.language, _WORDS["en"])
    shown = fields.clean(phone_masked(answer.phone) if answer.hidden else answer.phone, 40)
    text = words["called"].format(shown) if answer.kind == "call" else joined(answer.texts)
    text = (
        f"{text.rstrip()}\n\n{words['took'].format(fields.clean(answer.took, 60))}" if answer.took else text
    )
    cte, body = fields.transferable(_octets(text))
    original = fields.message_ids(answer.message_id, 1)
    thread = [each for each in fields.message_ids(answer.references) if each not in original]
    lines = [
        ("From", _author(answer, shown)),
        ("To", _to(answer)),
        ("Subject", fields.encoded(_subject(answer, words[answer.kind].format(shown)))),
        ("Date", fields.date(now)),
        ("Message-ID", message_id),
        ("In-Reply-To", " ".join(original)),
        ("References", " ".join(thread + original)),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),  # the same for Exchange, which wants it told so
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Transfer-Encoding", cte),
    ]
    top = "".join(
        fields.field(name, value, fold=name not in ("From", "To")) for name, value in lines if value
    )
    return top.encode() + b"\r\n" + body


def name_of(phone: str, aliases: Mapping[str, Alias], *, hidden: bool) -> str:
    """Who has a phone, for others: an alias that is his alone, else the number, masked where it is hidden."""
    digits = same_phone(phone)
    own = [name for name, alias in aliases.items() if [same_phone(each) for each in alias.to] == [digits]]
    return own[0] if own else phone_masked(phone) if hidden else phone


def joined(texts: Sequence[str]) -> str:
    """Messages that came together: parts of one go on where the one before was full, others stand below."""
    whole = ""
    before = ""
    for text in texts:
        whole += text if not whole or len(before) in _FULL else f"\n{text}"
        before = text
    return whole


def _octets(text: str) -> bytes:
    text = text.replace("\0", "").rstrip("\r\n") + "\n"
    return fields.lines(text.encode("utf-8", "replace"))


def _author(answer: Answer, shown: str) -> str:
    hostname = fields.host(answer.hostname) or "localhost"
    if answer.hidden and answer.address.isascii() and fields.mailbox(answer.address):
        return formataddr((shown, answer.address))
    domain = fields.host(answer.address.rpartition("@")[2] or answer.domain) or hostname
    address = fields.mailbox(f"{answer.phone}@{domain}")
    return address if address and not answer.hidden else f"postmaster@{hostname}"


def _to(answer: Answer) -> str:
    fits = fields.mailbox(answer.to) and (answer.utf8 or answer.to.isascii())
    return answer.to if fits else "undisclosed-recipients:;"


def _subject(answer: Answer, otherwise: str) -> str:
    subject = fields.clean(answer.subject, 200)
    if not subject:
        return otherwise
    return subject if subject[:3].lower() == "re:" else f"Re: {subject}"
