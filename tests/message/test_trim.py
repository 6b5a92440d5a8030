"""Signatures, disclaimers and quotes go; the message stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.message import trim

CUT = [
    ("Disk full\n-- \nIvan\n+7 999 123-45-67", "Disk full"),
    ("Disk full\n-- \r\nIvan", "Disk full"),
    ("Disk full\n--\nIvan Petrov\nadmin", "Disk full"),
    ("Disk full\n\nBest regards,\nIvan\nACME", "Disk full"),
    ("Диск полон\n\nС уважением,\nИван Петров\nтел. 123-45-67\n", "Диск полон"),
    ("Voll\nMit freundlichen Grüßen\nHans", "Voll"),
    ("Disk full\n\nSent from my iPhone", "Disk full"),
    ("Диск полон\nОтправлено с iPhone\n", "Диск полон"),
    ("Yes\n\nOn Mon, 5 May 2025 at 10:00, Ivan <i@x.org> wrote:\n> Is it?\n>\n> Really?", "Yes"),
    ("Yes\n\nOn Mon, 5 May 2025 at 10:00, Ivan Petrov\n<i@x.org> wrote:\n\n> Is it?", "Yes"),
    ("Yes\n\nOn Mon, 5 May 2025 at 10:00, Ivan <i@x.org>\nwrote:\n> Is it?\n\n> Hm?", "Yes"),
    ("Да\n\nпн, 5 мая 2025 г. в 10:00, Иван <i@x.org>:\n> Точно?", "Да"),
    ("Да\n05.05.2025, 10:00, Иван пишет:\n> Точно?", "Да"),
    ("Да\nПонедельник, 5 мая 2025, 10:00 +03:00 от Иван <i@x.org>:\nТочно?", "Да"),
    ("Ja\n\nAm 05.05.2025 um 10:00 schrieb Hans <h@x.de>:\nWirklich?", "Ja"),
    ("Oui\nLe lun. 5 mai 2025 à 10:00, Jean <j@x.fr> a écrit :\n> Vraiment ?", "Oui"),
    ("No\nEl lun, 5 may 2025 a las 10:00, Juan escribió:\nsaid before", "No"),
    ("Top\nOn 5 May Ivan wrote:\n> quote\n> more\nBottom", "Top\nBottom"),
    ("Ok\n-----Original Message-----\nFrom: x", "Ok"),
    ("Ok\n----- Исходное сообщение -----\nот кого-то", "Ok"),
    ("Ok\n\nFrom: Ivan\nSent: Monday\nTo: Petr\nSubject: Re: disk\n\nold", "Ok"),
    ("Ок\n\n*От:* Иван <i@x.org>\n*Отправлено:* 5 мая\n*Кому:* Пётр\n*Тема:* диск\n\nстарое", "Ок"),
    (
        "Disk full\n\nThis e-mail and its files are confidential\nand intended only for you.\n\nHost: db1",
        "Disk full\n\n\nHost: db1",
    ),
    ("Диск\n\nНастоящее сообщение предназначено исключительно для адресата.", "Диск"),
    ("[EXTERNAL] This email originated from outside of the organization.\n\nDisk full", "Disk full"),
    ("CAUTION: This email originated from outside.\n\nDisk full", "Disk full"),
    ("[EXTERNAL] Disk full", "Disk full"),
    (
        (
            "CAUTION: This email originated from outside of the organization. Do not click\n"
            "links or open attachments unless you recognize the sender.\nDisk full"
        ),
        "Disk full",
    ),
    ("Внимание! Это письмо получено от внешнего отправителя\nДиск полон", "Диск полон"),
    ("Disk full\nBest regards, Ivan Petrov", "Disk full"),
    ("Диск полон\n--\nС уважением, Иван Петров", "Диск полон"),
    ("Диск полон\n--\nС уважением,\nИван", "Диск полон"),
    ("Диск полон\nС ув., Иван", "Диск полон"),
    ("Диск повний\nНадіслано з iPhone", "Диск повний"),
    ("Full\nGet Outlook for iOS", "Full"),
]

KEPT = [
    "Disk full on db1",
    "",
    "\n",
    "PROBLEM\n--\nHost: db1\nValue: 95 %",
    "a\n-- \n" + "line\n" * 30,
    "CPU\n> 90 %\n> 80 %",
    "Backup wrote:\n5 files",
    "12:00 daemon wrote:\nno space left",
    "FYI\n---------- Forwarded message ---------\nFrom: mon@x.org\nDate: today\nSubject: disk\n\nFull",
    "Пересылаемое сообщение:\nОт: a\nДата: b\nТема: c",
    "From: mon\nSent: now\nSubject: disk\n\nDisk full",
    "-- \nIvan",
    "> a\n> b\n> c",
    "This e-mail is confidential: disk full",
    "External: 40 degC\nhigh",
    "> a\n> b\n> c\nanswer",
    "New request\n\nFrom: Ivan\nDate: today\nSubject: stuck in the lift\nMessage: two children",
    "Новая заявка\nОт: Иван\nДата: 5 мая\nТема: Застряли в лифте\nСообщение: подъезд 3, двое детей",
    "Nightly job\n02:00:01 rsync backup@nas1:\nrsync: connection refused\nERROR: no backup for db1",
    "rancid diff for fw1:\n> permit any any\n> deny ip\n> permit x\n\n-- \nERROR: 3 devices unreachable",
    "passwd changed:\n> root2:x:0:0\n> root3:x:0:0\n> root4:x:0:0",
    "Disk report srv1\n\n-- \n/dev/sda1 98% used\nCRITICAL: act now",
    "Sensor report\n--\nPump failed",
    "Line 1 down\nCheers\nLine 2 down",
    "Backup done.\n\nRegards\n\nP.S. db1 is on fire",
    "Tank 4\nCAUTION! Tank 4 pressure 9 bar\noperator privileged override active\nvalve 7 closed",
    "Тревога\nЭто сообщение предназначено только для дежурной смены: пожар в серверной 2",
    "Message from outside camera: intruder in yard\nZone 4",
    "Scan\nVirus-free: no! Trojan found on PC7",
    "Scan\nThis email has been scanned by Kaspersky: THREAT FOUND",
    "CAUTION: external source failed\nUPS 1",
    "WARNING: sender unit outside of range\nUPS 1",
    "-----Original Message-----\nFrom: mon\nSent: now\nSubject: disk\n\nDisk full",
    "________________\nFrom: mon\nSent: now\nSubject: disk\n\nDisk full",
    "--- Перенаправленное сообщение ---\nОт: a\nДата: b\nТема: c\n\nДиск",
    "Disclaimer: none\nof this matters",
    "This message is from the monitor",
    "Regards to all: the disk is full",
    "Best regards,\n" + "a long line of the text that is left " * 4,
    "From: 10.0.0.1\nTo: 10.0.0.2\nblocked",
    "x" * 400 + ":",
    "From: " + "x" * 400,
]


@pytest.mark.parametrize(("text", "left"), CUT)
def test_what_nobody_needs_is_cut(text, left):
    """Each kind of signature, disclaimer and quote, in the languages it comes in."""
    assert left == trim.trim(text)[0]


@pytest.mark.parametrize("subject", ["Fwd: disk", "FW: disk", " wg: disk", "Пересл.: диск", "TR : disque"])
def test_what_a_mail_passes_on_is_its_message(subject):
    """Below a word of its author the old mail stays, with whatever divides it; a signature still goes."""
    text = "See this\n\nFrom: Ivan <i@x.org>\nSent: Monday\nSubject: disk\n\nDisk full"
    assert text == trim.trim(f"{text}\n-- \nPetr", subject)[0]
    assert "See this" == trim.trim(text, "Re: disk")[0]


def test_a_quote_without_a_word_about_it_goes_from_answers_only():
    """A diff and a mail may begin their lines alike."""
    assert "answer" == trim.trim("> a\n> b\n> c\nanswer", reply=True)[0]


def test_of_a_long_text_the_beginning_is_looked_at():
    """A quote there takes all that follows; a signature at its far end is left alone."""
    far = "x\n" * 20_000
    assert "Yes" == trim.trim(f"Yes\n\n-----Original Message-----\n{far}")[0]
    assert (f"{far}-- \nIvan", ()) == trim.trim(f"{far}-- \nIvan")
    notice = "This e-mail is confidential and privileged.\n\n"
    assert f"Disk\n\n\n{far}".strip() == trim.trim(f"Disk\n\n{notice}{far}")[0]


@pytest.mark.parametrize("text", KEPT)
def test_what_may_be_the_message_stays(text):
    """What only looks like it stays, and a text never becomes nothing."""
    assert (text, ()) == trim.trim(text)


LINES = st.sampled_from(
    [
        *(
            "text",
            "",
            "> q",
            ">> q",
            "-- ",
            "--",
            "Ivan",
            "On 5 May 2025 at 10:00 Ivan wrote:",
            "wrote:",
            "10:00 a@b",
        ),
        *(
            "From: a",
            "Sent: b",
            "Subject: c",
            "Regards,",
            "Sent from my iPhone",
            "This e-mail is confidential",
        ),
        *(
            "This message",
            "-----Original Message-----",
            "--- Forwarded message ---",
            " > q",
            "a <a@b.c>:",
            "10:00 a <a@b.c>:",
        ),
    ]
)


@given(st.lists(LINES, max_size=12).map("\n".join) | st.text())
def test_lines_are_only_left_out(text):
    """What stays are lines of the text, in their order, and something always stays."""
    left, cut = trim.trim(text)
    lines = iter(line.strip() for line in text.split("\n"))
    assert all(line.strip() in lines for line in left.split("\n"))
    assert bool(left.strip()) is bool(text.strip())
    assert cut or left == text


@pytest.mark.timeout(20)  # a quadratic reading would take hours
@pytest.mark.parametrize(
    "line",
    [
        "From: x",
        "> a\n",
        "This message",
        "a wrote:",
        "12:00 x\nwrote:",
        "x" * 299 + ":",
        "a@" * 140 + ":",
        "- " * 140,
        "-- ",
    ],
)
def test_hostile_repetition_takes_linear_time(line):
    """A hundred and fifty thousand characters of one line are done in a moment."""
    text = f"{line}\n" * (150_000 // len(line))
    trim.trim(text)
