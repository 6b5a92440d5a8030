"""Mails of programs that take little care: what they meant is what a phone shows."""

from __future__ import annotations

import base64

import pytest

from relay.message import charsets, content, places, text
from relay.message.wording import Source

RU = "Давление масла ниже нормы"
B64 = base64.b64encode(RU.encode()).decode()
FOOTER = "words below a part in base64, such as a mailing list's footer, were left out"
IN_BASE64 = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"


def read(raw: str | bytes) -> tuple[str, tuple[str, ...]]:
    """What a phone reads of a mail, and what is noted."""
    letter = content.read(raw if isinstance(raw, bytes) else raw.encode())
    return text.clean(places.without(Source(letter).readable)), letter.notes


@pytest.mark.parametrize(
    ("raw", "said", "notes"),
    [
        (f"{IN_BASE64}{B64}\n\n-- \nsent by device 7\n", RU, (FOOTER,)),
        (f"{IN_BASE64}{B64.rstrip('=')}\n_____\nops mailing list\n", RU, (FOOTER,)),
        (f"{IN_BASE64}{B64[:20]}\n{B64[20:]}\n", RU, ()),
        ("Subject: x\n\nContent-Type: text/html\n\n<p>3 lamps</p>", "3 lamps", ()),
        ("Subject: x\n\nContent-Type: is a header\n\nyes", "Content-Type: is a header\n\nyes", ()),
        ("Content-Type: text/plain\n\nContent-Type: text/html\n\nx", "Content-Type: text/html\n\nx", ()),
        ('Content-Type: application/json\n\n{"status":"firing"}', '{"status":"firing"}', ()),
        ("Content-Type: application/octet-stream\n\nbackup failed", "backup failed", ()),
        ("Content-Type: application/octet-stream\n\n\0\1\2", "", ()),
        ("Content-Type: application/json; name=a.json\n\n{}", "", ()),
        ("Subject: x\n\nstarted<br>fuel 64 %<BR />\ntemp &lt; 90", "started\nfuel 64 %\ntemp < 90", ()),
        ("Subject: x\n\n\x1b[1;31mERROR\x1b[0m \x1b[2K\x1b]disk", "ERROR ]disk", ()),
    ],
)  # fmt: skip
def test_what_was_meant_is_read(raw, said, notes):
    """Footers below base64, fields below the header, types for programs, HTML's line ends, colours."""
    assert (said, notes) == read(raw)


def test_a_style_sheet_is_no_text():
    """Where the plain alternative begins with one, the HTML speaks."""
    css = "body {margin:0;padding:0}\n.btn {color:#fff}\n\nOrder 77 is packed"
    plain = f"--b\nContent-Type: text/plain\n\n{css}\n"
    html = "--b\nContent-Type: text/html\n\n<style>body {margin:0}</style><p>Order 77 is packed</p>\n--b--\n"
    kind = "Content-Type: multipart/alternative; boundary=b\n\n"
    assert "Order 77 is packed" == read(kind + plain + html)[0]
    assert css == read(f"Content-Type: text/plain\n\n{css}")[0]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("Ошибка на db1\n".encode() + "Файл не найден".encode("cp1251"), "Ошибка на db1\nФайл не найден"),
        (
            "Ошибка\n".encode() + "Файл не найден\n".encode("koi8-r") + "Конец".encode(),
            "Ошибка\nФайл не найден\nКонец",
        ),
        (RU.encode()[:-1], RU[:-1] + "\ufffd"),
        (b"caf\xe9\n" + RU.encode(), f"café\n{RU}"),
    ],
)
def test_lines_of_several_charsets_are_each_read(raw, said):
    """A log that several programs write to: the odd lines are guessed together."""
    assert said == charsets.decode(raw, "utf-8")


@pytest.mark.parametrize(
    "words", [RU, "Überdruck – Ölstand prüfen, größer", "Кот «Ч» № 5", "Тревога в зоне 4"]
)
def test_what_was_encoded_twice_is_read_once(words):
    """UTF-8 that was taken for windows-1252 and written in UTF-8 again."""
    broken = b"".join(
        bytes([octet]).decode("cp1252", "ignore").encode() or bytes([octet]).decode("latin-1").encode()
        for octet in words.encode()
    )
    assert words == charsets.decode(broken, "utf-8")


@pytest.mark.parametrize("words", ["Ñandú y Ñu", "Ð Ñ", "Ã© Ã¨ and Привет", "Ð¢ÑÐµ\u2014ж"])
def test_what_only_looks_like_that_stays(words):
    """Where a letter can't have come to be so, nothing is changed."""
    assert words == charsets.decode(words.encode(), "utf-8")
