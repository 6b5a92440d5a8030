"""Octets become text, whatever label they bear."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay import model
from relay.message import charset_labels, charsets, cyrillic

ODD_LABELS = {
    "cp1251": "win-1251 windows1251 cp-1251 x-cp1251 WINDOWS-1251 windows_1251 'windows-1251' windows-1251*ru"
    " charset=windows-1251",
    "koi8-r": "koi8r koi8 koi-8 iso-ir-111 KOI8_R",
    "koi8-u": "koi8-ru koi8u",
    "cp866": "cp-866 dos-866 ibm866",
    "mac-cyrillic": "x-mac-cyrillic",
    "utf-8": "utf8mb4 utf8 UTF_8 unicode-1-1-utf-8",
    "cp874": "windows-874 tis-620",
    "iso8859-8": "iso-8859-8-i",
    "cp932": "x-sjis windows-31j shift_jis",
    "gb18030": "x-gbk gb2312 gb_2312-80",
    "cp1252": "windows1252 win-1252 cp-1252",
    "iso8859-1": "iso-8859-1 latin1 l1 iso8859_1 x-ansi",
    "": "ansi x-unknown unknown-8bit unicode default 8bit none us-ascii nonsense zlib base64 rot13"
    " unicode_escape idna punycode undefined " + "x" * 500 + " привет \0",
}


@pytest.mark.parametrize(
    ("label", "expected"),
    [(label, name) for name, labels in ODD_LABELS.items() for label in labels.split(" ")],
)
def test_odd_labels_are_known(label, expected):
    """Each label that mailers were seen to write means a codec, or says nothing."""
    assert expected == charset_labels.codec(label)


def test_every_alias_leads_to_a_codec():
    """No alias is misspelt."""
    for alias, name in charset_labels._ALIASES.items():
        assert not name or charset_labels.codec(alias), alias


@pytest.mark.parametrize(
    ("raw", "label", "expected"),
    [
        ("äöüß ÄÖÜ".encode("cp1252"), "windows-1252", "äöüß ÄÖÜ"),
        ("été à Orléans, 5 °C".encode("latin-1"), "", "été à Orléans, 5 °C"),
        (b"\x93quoted\x94 \x96 5 \x80\x81", "iso-8859-1", "“quoted” – 5 €"),
        ("Тест".encode(), "windows-1251", "Тест"),
        ("Привет, мир".encode()[:-1], "utf-8", "Привет, ми\ufffd"),
        ("Ошибка".encode("cp1251") + b" on server", "utf-8", "Ошибка on server"),
        ("日本".encode("iso2022_jp"), "", "日本"),
        ("日本語".encode("cp932"), "x-sjis", "日本語"),
        ("日本語".encode("cp932") * 10 + b"\x81", "x-sjis", "日本語" * 10 + "\ufffd"),
        ("Тест сервера".encode("cp1251"), "gb2312", "Тест сервера"),
        (b"+BCIENQRBBEI-", "utf-7", "Тест"),
        (b"a\x98b", "windows-1251", "a\ufffdb"),
        ("磁盘".encode("gbk"), "gbk", "磁盘"),
        ("Тест 5".encode("utf-16-le"), "utf-16", "Тест 5"),
        ("Тест 5".encode("utf-16-be"), "utf-16", "Тест 5"),
        ("Тест 5".encode("utf-16"), "utf-16le", "Тест 5"),
        ("Тест 5".encode("utf-32"), "utf-32", "Тест 5"),
        ("Тест 5".encode("utf-32-le"), "utf-32", "Тест 5"),
        (b"plain", "utf-16", "plain"),
        (b"\xef\xbb\xbfbom", "", "bom"),
        ("яюю нет".encode("cp1251"), "", "яюю нет"),
        ("С\xa0".encode("cp1251"), "windows-1251", "С\xa0"),
        (b"\xff\xfe" + "Тест".encode("cp1251") + b"1", "", "яюТест1"),
        ("Łódź".encode("iso8859-2"), "iso-8859-2", "Łódź"),
        (b"", "", ""),
    ],
)
def test_labels_are_believed_as_far_as_the_octets_allow(raw, label, expected):
    """Right labels, lying ones and none; cut and broken octets."""
    assert expected == charsets.decode(raw, label)


def test_a_hint_helps_octets_without_a_label():
    """The charset of the body reads an unencoded header, where the header can be in it."""
    assert charsets.decode("Łódź".encode("iso8859-2"), hint="iso-8859-2") == "Łódź"
    assert charsets.decode("ТЕХ".encode("koi8-r"), hint="koi8-r") == "ТЕХ"
    assert charsets.decode("ТЕХ".encode("cp1251"), hint="windows-1251") == "ТЕХ"
    assert charsets.decode("étéÿ".encode("latin-1"), hint="shift_jis") == "étéÿ"


WORDS = (
    "Диск", "Тест", "АВАРИЯ", "авария", "Авария", "Сбой", "СБОЙ", "сбой", "Пожар", "ТРЕВОГА", "тревога",
    "Внимание", "ошибка", "ОШИБКА", "сервер", "Сервер", "недоступен", "СЕРВЕР", "восстановлено",
    "питание", "температура", "Свободно", "место", "датчик", "Проверка", "да", "Нет", "Увага", "диск",
    "заповнений", "тривога", "ТРИВОГА", "помилка", "ПОМИЛКА", "сервер", "недоступний", "Київ", "Привіт",
    "перевірка",
)  # fmt: skip


IN_CHARSETS = [
    (word, charset)
    for word in WORDS
    for charset in ("cp1251", "koi8-u", "cp866", "iso8859-5")
    if word.encode(charset, "replace").decode(charset) == word
]


@pytest.mark.parametrize(("word", "charset"), IN_CHARSETS)
def test_one_word_tells_its_charset(word, charset):
    """Words of alarms in any case, Russian and Ukrainian, are read right without a label."""
    assert word == charsets.decode(word.encode(charset))


def test_western_words_do_not_become_cyrillic():
    """Accents among Latin letters speak for windows-1252."""
    for word in ("Größe", "Übung", "Ölstand", "été", "naïve", "São Paulo", "désactivée", "VÉRIFIÉ", "Straße"):
        assert word == charsets.decode(word.encode("cp1252"))


def test_what_nobody_writes_scores_less():
    """Cases that flip, rare pairs and strange signs count against a reading."""
    assert cyrillic.score("авария") > 0 > cyrillic.score("бЧБТЙС")
    assert cyrillic.score("тест") > cyrillic.score("ъыъь")
    assert cyrillic.score("тест 5 №") > cyrillic.score("тест№")
    assert cyrillic.score("┐└┴") < 0
    assert cyrillic.score("ascii") == 0


LABEL = st.sampled_from(
    ["", "utf-8", "cp1251", "gbk", "utf-16", "utf-7", "hz", "iso-2022-kr", "cp932", "koi8-r"]
)


@given(st.binary(max_size=200), LABEL, LABEL)
@settings(max_examples=300, deadline=None)
def test_no_octets_raise_and_no_text_holds_what_none_may(raw, label, hint):
    """Any octets under any label: no marks, no surrogates, no NUL."""
    text = charsets.decode(raw, label, hint)
    assert not re.search(model.MARK, text)
    assert not re.search("[\0\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\ufeff]", text)


@given(st.text(max_size=50))
@settings(max_examples=200, deadline=None)
def test_utf8_is_read_as_it_is(text):
    """What is encoded properly comes back, but for what no text may hold."""
    assert charsets.clean(text) == charsets.decode(text.encode("utf-8", "ignore"), "utf-8")


def test_noncharacters_of_all_planes_go_and_letters_stay():
    """Only the last two places of each plane are none."""
    assert charsets.clean("a\U0001fffe\U0010ffff\ufffeb") == "ab"
    assert charsets.clean("😀\U0001fffd\U00020000") == "😀\U0001fffd\U00020000"
