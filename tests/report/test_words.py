"""Sentences in every language, and the translation of reasons."""

from __future__ import annotations

import re

import pytest

from relay.report import reasons, words


def test_every_language_says_the_same_things():
    """No sentence is missing in a language, and none forgets one of its values."""
    tables = [words._WORDS[language] for language in words.LANGUAGES]
    told = [{key: sorted(re.findall(r"{(\w+)}", text)) for key, text in table.items()} for table in tables]
    assert all(each == told[0] for each in told)
    assert len({frozenset(words._CHANNELS[language]) for language in words.LANGUAGES}) == 1


def test_an_unknown_language_is_english():
    """A report is written rather than lost."""
    assert words.say("xx", "subject.delayed", who="x") == "Delayed: x"
    assert words.channel("xx", "call") == "voice call"


def test_an_unknown_channel_is_called_by_its_name():
    """A new channel needs no word to be reported."""
    assert words.channel("ru", "pager") == "pager"


@pytest.mark.parametrize(
    ("status", "code", "sentence", "expected"),
    [
        ("5.7.1", "254", "sender id", "Имя отправителя не зарегистрировано."),
        ("5.7.1", "status 20 err 254", "sender id", "Имя отправителя не зарегистрировано."),
        ("5.7.1", "999", "something new", "Провайдер запретил это сообщение. (Something new.)"),
        (
            "5.6.1",
            "",
            "a.exe is no sound",
            "Такой текст или такие файлы доставить нельзя. (A.exe is no sound.)",
        ),
        ("4.3.0", "3", "too late: no money", "На счёте у провайдера не хватает денег. (Too late: no money.)"),
        ("2.0.0", "", "the provider accepted the message", "Провайдер принял сообщение."),
        ("5.9.9", "77", "something new", "Something new."),
        ("5.9.9", "", "Who knows?", "Who knows?"),
        ("5.1.3", "", "", "Номер или адрес указан неверно."),
        ("5.9.9", "", "", ""),
    ],
)
def test_reasons_in_russian(status, code, sentence, expected):
    """The standard ones are translated, with the sentence beside where it may say more."""
    assert expected == reasons.reason("ru", status=status, code=code, sentence=sentence)


@pytest.mark.parametrize("channel", ["sms", "forward"])
def test_a_time_that_is_over_is_not_the_end(channel):
    """What is tried further has not failed."""
    told = reasons.reason("ru", status="4.4.7", code="9", sentence="why", channel=channel, late=True)
    assert "Назначенный срок прошёл, а сообщение ещё не доставлено. Попытки продолжаются. (Why.)" == told
    assert "Провайдер" in reasons.reason("ru", status="4.4.1", code="9", sentence="why", late=True)


def test_reasons_in_english():
    """They arrive in English and are made whole sentences."""
    assert reasons.reason("en", status="5.1.3", code="7", sentence="bad number") == "Bad number."


@pytest.mark.parametrize(
    ("status", "key"),
    [
        ("5.1.3", "address"),
        ("5.4.4", "address"),
        ("4.4.7", "reach"),
        ("4.4.1", "again"),
        ("5.6.1", "content"),
        ("5.3.4", "content"),
        ("5.7.1", "operator"),
        ("4.3.0", "operator"),
        ("5.5.4", "operator"),
        ("5.0.0", "failed"),
        ("", "failed"),
    ],
)
def test_advice_fits_the_failure(status, key):
    """Who mistyped a number is told to check it, who hit a wall to call the operator."""
    assert words.say("en", f"advice.{key}") == words.advice("en", "failed", status)


def test_advice_for_what_did_not_fail():
    """Its status does not matter."""
    assert words.say("ru", "advice.delivered") == words.advice("ru", "delivered", "5.1.3")


@pytest.mark.parametrize(
    ("status", "code", "begins"),
    [
        ("2.0.0", "smtp 250", "Следующий почтовый сервер принял письмо. (Why.)"),
        ("4.4.1", "", "Связаться со следующим почтовым сервером не удалось. (Why.)"),
        ("4.2.0", "smtp 450", "Следующий почтовый сервер письмо пока не принял. (Why.)"),
        ("5.1.1", "smtp 550", "Следующий почтовый сервер отказался принять письмо. (Why.)"),
        ("5.4.6", "", "Why."),
    ],
)
def test_reasons_of_forwarded_mail_name_no_provider(status, code, begins):
    """The status tells enough; what we refused ourselves is no mail server's word."""
    assert begins == reasons.reason("ru", status=status, code=code, sentence="why", channel="forward")


def test_an_odd_status_of_forwarded_mail():
    """Nothing is made up."""
    assert "Why." == reasons.reason("ru", status="9.9.9", code="smtp 1", sentence="why", channel="forward")


def test_advice_for_forwarded_mail_speaks_of_no_phone():
    """What is late, and what had no time left."""
    assert "mail server" in words.advice("en", "delayed", "4.4.1", "forward")
    assert words.say("en", "advice.again") == words.advice("en", "failed", "4.4.7", "forward")
    assert words.say("en", "advice.address") == words.advice("en", "failed", "5.1.1", "forward")
