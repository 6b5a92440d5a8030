"""Language by charset, label, transfer encoding and place: the text comes out, or the case is unfair."""

from __future__ import annotations

import base64
import quopri
from collections import Counter
from itertools import product

import pytest

from relay.message import content

SENTENCES = {
    "ru": (
        "Внимание: на сервере db1 диск заполнен на 95 %, освободите место",
        "Пожарная тревога в третьем цехе, срочно перезвоните дежурному",
    ),
    "uk": (
        "Увага: на сервері db1 диск заповнено на 95 %, звільніть місце",
        "Пожежна тривога в третьому цеху, її слід перевірити негайно",
    ),
    "kk": (
        "Назар аударыңыз: db1 серверінің дискісі 95 % толды",
        "Үшінші цехта өрт дабылы, кезекшіге шұғыл қоңырау шалыңыз",
    ),
    "de": (
        "Achtung: Füllstand des Öltanks über 95 %, bitte prüfen",
        "Feueralarm in der großen Halle, Rückruf an den Wärter nötig",
    ),
    "pl": (
        "Uwaga: dysk serwera db1 jest pełny w 95 %, proszę zwolnić miejsce",
        "Alarm pożarowy w trzeciej hali, proszę natychmiast zadzwonić do dyżurnego",
    ),
    "zh": ("警告：服务器磁盘空间不足，已使用百分之九十五", "三号车间发生火灾，请立即联系值班人员"),
    "zh-hant": ("警告：伺服器磁碟空間不足，已使用百分之九十五", "三號廠房發生火災，請立即聯絡值班人員"),
}
CYRILLIC = ("ru", "uk")
CHARSETS = {  # each with its right labels, the usual one first
    "utf-8": ("utf-8", "UTF8", "utf8mb4", "unicode-1-1-utf-8"),
    "utf-16": ("utf-16", "UTF-16LE"),
    "cp1251": ("windows-1251", "win-1251", "cp-1251", "x-cp1251", "WINDOWS_1251"),
    "koi8-r": ("koi8-r", "koi8r", "KOI8R", "koi-8", "iso-ir-111"),
    "koi8-u": ("koi8-u", "koi8-ru", "KOI8U"),
    "iso8859-5": ("iso-8859-5", "ISO_8859-5:1988", "cyrillic"),
    "cp866": ("cp866", "cp-866", "dos-866", "IBM866"),
    "mac-cyrillic": ("x-mac-cyrillic", "x-mac-ukrainian"),
    "kz1048": ("kz-1048", "KZ1048", "strk1048-2002", "rk1048"),
    "cp1250": ("windows-1250", "win-1250", "x-cp1250", "cp-1250"),
    "iso8859-2": ("iso-8859-2", "latin2", "ISO_8859-2"),
    "iso8859-1": ("iso-8859-1", "latin1", "l1"),
    "iso8859-15": ("iso-8859-15", "latin-9"),
    "cp1252": ("windows-1252", "cp-1252", "x-cp1252"),
    "gb2312": ("gb2312", "gb_2312-80", "GB2312", "x-euc-cn", "chinese"),
    "gbk": ("gbk", "x-gbk", "cp936", "windows-936"),
    "gb18030": ("gb18030", "GB18030-2000"),
    "big5": ("big5", "x-x-big5", "Big5-HKSCS", "cn-big5"),
}
WRITES = {"gb2312": "zh", "gbk": "zh", "gb18030": "zh", "big5": "zh-hant"}
SILENT = ("", "ansi", "us-ascii", "unknown-8bit")  # labels that say nothing
WRONG = ("utf-8", "iso-8859-1")
ENCODINGS = ("8bit", "base64", "quoted-printable")
WIDE = "UTF-16 has zeros and line ends inside its letters: no header can hold it"
KAZAKH = "kz-1048 is windows-1251 but for the letters of Kazakh, which are other languages' there"
LATIN = "one octet a letter, and the octets are words of another Latin alphabet as well"


def unfair(language: str, charset: str, label: str, place: str, text: str) -> str:
    """Why no reader could be expected to know this case, "" where one can."""
    if place == "raw subject" and charset == "utf-16":
        return WIDE
    if label in CHARSETS[charset]:
        return ""  # a raw subject is in the charset that the body names
    if charset in ("utf-8", "utf-16"):
        return ""  # a form that chance does not produce, or a mark at the beginning
    if language in CYRILLIC or language.startswith("zh"):
        return ""  # letters that stand in words, or signs in pairs, tell their charset
    if language == "kk":
        return KAZAKH
    if text.encode(charset).decode("cp1252", "replace") != text:
        return LATIN
    return ""


def writable(text: str, charset: str) -> bool:
    """Whether the charset has all letters of the text."""
    try:
        return text.encode(charset).decode(charset) == text
    except UnicodeEncodeError:
        return False


def cases():
    """All of the grid: language, charset, label, sentence, place, transfer encoding, why it is unfair."""
    for language, charset in product(SENTENCES, CHARSETS):
        if charset.startswith(("gb", "big5")) and language != WRITES[charset]:
            continue  # these have letters of all the world, which nobody writes in them
        labels = dict.fromkeys((*CHARSETS[charset], *SILENT, *WRONG))
        for text, label in product(SENTENCES[language], labels):
            if writable(text, charset):
                for place, encoding in PLACES:
                    yield language, charset, label, text, place, encoding


PLACES = [("body", each) for each in ENCODINGS]
PLACES += [("encoded subject", "base64"), ("encoded subject", "quoted-printable"), ("raw subject", "8bit")]
GRID = list(cases())
FAIR = [case for case in GRID if not unfair(*case[:3], case[4], case[3])]


def encoded(octets: bytes, encoding: str) -> bytes:
    """The octets of a body under a transfer encoding."""
    if encoding == "base64":
        return base64.encodebytes(octets)
    return quopri.encodestring(octets) if encoding == "quoted-printable" else octets


def word(octets: bytes, label: str, encoding: str) -> bytes:
    """One encoded word (RFC 2047), however long."""
    if encoding == "base64":
        return f"=?{label}?B?{base64.b64encode(octets).decode()}?=".encode()
    return f"=?{label}?Q?{''.join(f'={octet:02X}' for octet in octets)}?=".encode()


def mail(charset: str, label: str, text: str, place: str, encoding: str) -> bytes:
    """A mail with the text in one place."""
    octets = text.encode(charset)
    kind = f"Content-Type: text/plain{f'; charset={label}' if label else ''}\n".encode()
    if place == "body":
        return kind + f"Content-Transfer-Encoding: {encoding}\n\n".encode() + encoded(octets, encoding)
    if place == "encoded subject":
        return b"Subject: " + word(octets, label or "x-unknown", encoding) + b"\n\nbody"
    return b"Subject: " + octets + b"\n" + kind + b"\n" + octets


@pytest.mark.parametrize(
    ("language", "charset", "label"), sorted({case[:3] for case in FAIR}), ids=lambda each: each or "none"
)
def test_the_text_comes_out_as_it_was_written(language, charset, label):
    """Both sentences, in every place and transfer encoding that is fair."""
    for case in FAIR:
        if case[:3] == (language, charset, label):
            _, _, _, text, place, encoding = case
            letter = content.read(mail(charset, label, text, place, encoding))
            assert text == (letter.plain if place == "body" else letter.subject), (place, encoding)


def test_the_grid_is_large_and_little_of_it_is_left_out():
    """How many cases there are, and how many are unfair for which reason: neither changes unseen."""
    reasons = Counter(unfair(*case[:3], case[4], case[3]) for case in GRID)
    assert {"": 3764, WIDE: 112, KAZAKH: 72, LATIN: 144} == reasons
