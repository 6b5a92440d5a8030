"""What reports say to people, in English and in Russian.

Only sentences live here, and which of them fits a status; where they stand is for `dsn`.
Why a message failed is for `reasons`.
"""

from __future__ import annotations

import json

from relay.message.channels import FORWARD
from relay.report import forwarded

LANGUAGES = ("en", "ru")

# -- sentences ----------------------------------------------------------------------------

_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "subject.failed": "Not delivered: {who}",
        "subject.unknown": "Unknown whether delivered: {who}",
        "subject.delayed": "Delayed: {who}",
        "subject.answered": "Answer about {who}",
        "subject.relayed": "Accepted by SMSC: {who}",
        "subject.forwarded": "Handed to the next mail server: {who}",
        "subject.delivered": "Delivered: {who}",
        "subject.expanded": "Passed on: {who}",
        "subject.several": "{who} and {more} more",
        "subject.none": "Report about your mail",
        "intro": "This is an automatic report of the relay at {host} about a mail that you sent.",
        "mail.subject": "Subject: {value}",
        "mail.arrival": "Received: {value}",
        "mail.id": "Message-ID: {value}",
        "mail.queue": "Number at the relay: {value}",
        "title.failed": "NOT DELIVERED",
        "title.unknown": "UNKNOWN WHETHER DELIVERED",
        "title.delayed": "DELAYED",
        "title.answered": "ANSWERED",
        "title.relayed": "ACCEPTED BY THE PROVIDER",
        "title.forwarded": "HANDED TO THE NEXT MAIL SERVER",
        "title.delivered": "DELIVERED",
        "title.expanded": "PASSED ON",
        "entry.phone": "phone {phone}",
        "entry.members": "This concerns {affected} of the {members} recipients behind this address.",
        "entry.provider": "The provider says: {words}",
        "entry.error": "The provider says: error {words}",
        "entry.server": "The mail server says: {words}",
        "entry.status": "Status: {status}",
        "entry.id": "Number at the provider: {id}",
        "entry.label": "Number given in the mail: {label}",
        "entry.bill": "Parts: {parts}",
        "entry.cost": "Cost: {cost}",
        "entry.attempt": "Last attempt: {when}",
        "entry.until": "Will be tried until: {when}",
        "entry.late": "You were told before that this had failed: that is corrected by this.",
        "entry.text": "What was sent: {text}",
        "entry.note": "Please note: {note}",
        "advice.failed": "Nothing more will be tried. If it still matters, put right what is named above"
        " and send the mail again.",
        "advice.again": "Nothing more will be tried. If it still matters, send the mail again.",
        "advice.address": "Nothing more will be tried. Check the number or address, then send the mail"
        " again.",
        "advice.reach": "Nothing more will be tried. The phone may have been off or out of reach: send the"
        " mail again when it is back, if it still matters.",
        "advice.content": "Nothing more will be tried. Change the text or the attached files, then send the"
        " mail again.",
        "advice.operator": "Nothing more will be tried, and the same mail would meet the same end. Tell the"
        " people who run this relay.",
        "advice.unknown": "The message may have arrived or not; nobody can say. It is not sent again by"
        " itself, so that it can't arrive twice. Ask the person, or send the mail again if a second copy"
        " does no harm.",
        "advice.delayed": "The message has not left for the phone yet. The relay goes on trying; there is no"
        " need to send the mail again.",
        "advice.answered": "This is what the operator answers now. Nothing was shown on the phone.",
        "answer.hlr": "The number is in service and can be reached.",
        "answer.ping": "The phone is switched on and can be reached.",
        "answer.no": "The number can't be reached: {why}",
        "answer.operator": "Operator: {value}",
        "answer.country": "Country: {value}",
        "answer.roaming": "Roaming: {value}",
        "answer.home": "no, the phone is at home",
        "advice.relayed": "The provider has taken the message on. It is not yet known to have arrived.",
        "advice.delayed forward": "The mail has not left for the next mail server yet. The relay goes on"
        " trying; there is no need to send it again.",
        "advice.forwarded": "The next mail server has taken the mail on, and does not report whether it"
        " arrives. What goes wrong from here on, that server will tell.",
        "advice.delivered": "The message has arrived. There is nothing to do.",
        "advice.expanded": "The message went on to several recipients; what becomes of each is not part of"
        " this report.",
    },
    "ru": {
        "subject.failed": "Не доставлено: {who}",
        "subject.unknown": "Неизвестно, доставлено ли: {who}",
        "subject.delayed": "Задерживается: {who}",
        "subject.answered": "Ответ о {who}",
        "subject.relayed": "Принято SMSC: {who}",
        "subject.forwarded": "Передано следующему почтовому серверу: {who}",
        "subject.delivered": "Доставлено: {who}",
        "subject.expanded": "Передано дальше: {who}",
        "subject.several": "{who} и ещё {more}",
        "subject.none": "Отчёт о вашем письме",
        "intro": "Это автоматический отчёт шлюза {host} о письме, которое вы отправили.",
        "mail.subject": "Тема: {value}",
        "mail.arrival": "Получено: {value}",
        "mail.id": "Message-ID: {value}",
        "mail.queue": "Номер на шлюзе: {value}",
        "title.failed": "НЕ ДОСТАВЛЕНО",
        "title.unknown": "НЕИЗВЕСТНО, ДОСТАВЛЕНО ЛИ",
        "title.delayed": "ЗАДЕРЖИВАЕТСЯ",
        "title.answered": "ПОЛУЧЕН ОТВЕТ",
        "title.relayed": "ПРИНЯТО ПРОВАЙДЕРОМ",
        "title.forwarded": "ПЕРЕДАНО СЛЕДУЮЩЕМУ ПОЧТОВОМУ СЕРВЕРУ",
        "title.delivered": "ДОСТАВЛЕНО",
        "title.expanded": "ПЕРЕДАНО ДАЛЬШЕ",
        "entry.phone": "телефон {phone}",
        "entry.members": "Получателей за этим адресом: {members}, из них это касается: {affected}.",
        "entry.provider": "Ответ провайдера: {words}",
        "entry.error": "Ответ провайдера: ошибка {words}",
        "entry.server": "Ответ почтового сервера: {words}",
        "entry.status": "Статус: {status}",
        "entry.id": "Номер у провайдера: {id}",
        "entry.label": "Номер, указанный в письме: {label}",
        "entry.bill": "Частей: {parts}",
        "entry.cost": "Стоимость: {cost}",
        "entry.attempt": "Последняя попытка: {when}",
        "entry.until": "Попытки продолжатся до: {when}",
        "entry.late": "Раньше вам сообщали, что это не удалось: теперь это исправлено.",
        "entry.text": "Что отправлено: {text}",
        "entry.note": "Обратите внимание: {note}",
        "advice.failed": "Новых попыток не будет. Если сообщение ещё нужно, исправьте указанное выше и"
        " отправьте письмо снова.",
        "advice.again": "Новых попыток не будет. Если сообщение ещё нужно, отправьте письмо снова.",
        "advice.address": "Новых попыток не будет. Проверьте номер или адрес и отправьте письмо снова.",
        "advice.reach": "Новых попыток не будет. Возможно, телефон был выключен или вне сети: если сообщение"
        " ещё нужно, отправьте письмо снова, когда он будет доступен.",
        "advice.content": "Новых попыток не будет. Измените текст или вложения и отправьте письмо снова.",
        "advice.operator": "Новых попыток не будет, и с таким же письмом случится то же самое. Сообщите тем,"
        " кто обслуживает этот шлюз.",
        "advice.unknown": "Сообщение могло дойти, а могло и не дойти: этого никто не знает. Само оно повторно"
        " не отправляется, чтобы не прийти дважды. Спросите адресата или отправьте письмо снова, если вторая"
        " копия не помешает.",
        "advice.delayed": "Сообщение ещё не ушло на телефон. Шлюз продолжает попытки, отправлять письмо снова"
        " не нужно.",
        "advice.answered": "Так оператор отвечает сейчас. На телефоне ничего не показано.",
        "answer.hlr": "Номер обслуживается и доступен.",
        "answer.ping": "Телефон включён и доступен.",
        "answer.no": "Номер недоступен: {why}",
        "answer.operator": "Оператор: {value}",
        "answer.country": "Страна: {value}",
        "answer.roaming": "Роуминг: {value}",
        "answer.home": "нет, телефон в домашней сети",
        "advice.relayed": "Провайдер принял сообщение. Дошло ли оно, пока неизвестно.",
        "advice.delayed forward": "Письмо ещё не ушло на следующий почтовый сервер. Шлюз продолжает попытки,"
        " отправлять его снова не нужно.",
        "advice.forwarded": "Следующий почтовый сервер принял письмо и не сообщает, дошло ли оно. Если дальше"
        " что-то пойдёт не так, об этом сообщит он.",
        "advice.delivered": "Сообщение доставлено. Ничего делать не нужно.",
        "advice.expanded": "Сообщение передано нескольким получателям; судьба каждого в этот отчёт не"
        " входит.",
    },
}

_CHANNELS: dict[str, dict[str, str]] = {
    "en": {
        "sms": "SMS",
        "flash": "flash SMS",
        "bin": "binary SMS",
        "push": "WAP push",
        "hlr": "HLR lookup",
        "ping": "ping SMS",
        "mms": "MMS",
        "mail": "e-mail",
        "soc": "social network",
        "viber": "Viber",
        "whatsapp": "WhatsApp",
        "tg": "Telegram",
        "bot": "bot",
        "call": "voice call",
        "forward": "e-mail",
    },
    "ru": {
        "sms": "SMS",
        "flash": "Flash-SMS",
        "bin": "бинарное SMS",
        "push": "WAP-push",
        "hlr": "HLR-запрос",
        "ping": "Ping-SMS",
        "mms": "MMS",
        "mail": "электронная почта",
        "soc": "социальная сеть",
        "viber": "Viber",
        "whatsapp": "WhatsApp",
        "tg": "Telegram",
        "bot": "бот",
        "call": "голосовой звонок",
        "forward": "электронная почта",
    },
}


def say(language: str, key: str, **values: object) -> str:
    """A sentence of the language; of English where the language is not known."""
    return _WORDS.get(language, _WORDS["en"])[key].format(**values)


def channel(language: str, name: str) -> str:
    """How people call a channel."""
    return _CHANNELS.get(language, _CHANNELS["en"]).get(name, name)


def answer(language: str, channel: str, sentence: str, found: str, *, good: bool) -> tuple[str, list[str]]:
    """What a question about a number brought: its state in a sentence, then what else is known.

    `found` is what an HLR query found, as `outcomes.looked_up` keeps it.
    """
    state = say(language, f"answer.{channel}") if good else say(language, "answer.no", why=sentence)
    try:
        facts = {str(name): str(value) for name, value in json.loads(found).items()}
    except (ValueError, AttributeError):
        return state, []
    code = " ".join(filter(None, (facts.get("mcc"), facts.get("mnc"))))
    operator = " ".join(filter(None, (facts.get("net"), f"({code})" if code else "")))
    abroad = ", ".join(filter(None, (facts.get("rnet"), facts.get("rcn"))))
    lines = {"operator": operator, "country": facts.get("cn", "")}
    home = good and {"rnet", "rcn"} <= facts.keys()  # where nothing is said of roaming, nothing is known
    lines["roaming"] = abroad or (say(language, "answer.home") if home else "")
    return state, [say(language, f"answer.{key}", value=value) for key, value in lines.items() if value]


def advice(language: str, group: str, status: str, channel: str = "") -> str:
    """What to do about an entry of this group; a mail that was to be forwarded has no phone."""
    what = _cause(status) if group == "failed" else group
    if channel == FORWARD:
        what = forwarded.advice(what)
    return say(language, f"advice.{what}")


def _cause(status: str) -> str:
    """Which kind of advice a failure's status calls for."""
    area = status[2:]
    if area.startswith("1.") or area == "4.4":
        return "address"
    if area == "4.7":
        return "reach"
    if area.startswith("4."):
        return "again"
    if area.startswith("6.") or area == "3.4":
        return "content"
    if area.startswith(("7.", "3.", "5.")):
        return "operator"
    return "failed"
