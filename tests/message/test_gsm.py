"""Alphabets, parts and cutting: what the operator counts and the phone shows."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay import model
from relay.message import gsm
from relay.message.gsm import Size

TEXTS = st.text(max_size=400) | st.text(alphabet="aя €^{🙂\n …é\u0301", max_size=400)
EVERY_LETTER = "".join(map(chr, range(0x110000)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Size("gsm7", 1, 0)),
        ("a" * 160, Size("gsm7", 1, 160)),
        ("a" * 161, Size("gsm7", 2, 161)),
        ("a" * 306, Size("gsm7", 2, 306)),
        ("a" * 307, Size("gsm7", 3, 307)),
        ("a" * 459, Size("gsm7", 3, 459)),
        ("a" * 460, Size("gsm7", 4, 460)),
        ("a" * 1000, Size("gsm7", 7, 1000)),
        ("€" * 80, Size("gsm7", 1, 160)),
        ("€" * 80 + "a", Size("gsm7", 2, 161)),
        ("a" * 152 + "€" + "a" * 152, Size("gsm7", 3, 306)),  # a pair is never split: 152, 153, 1
        ("a" * 151 + "€" + "a" * 153, Size("gsm7", 2, 306)),
        ("^{}\\[~]|€\f", Size("gsm7", 1, 20)),
        ("я" * 70, Size("ucs2", 1, 70)),
        ("я" * 71, Size("ucs2", 2, 71)),
        ("я" * 134, Size("ucs2", 2, 134)),
        ("я" * 135, Size("ucs2", 3, 135)),
        ("🙂" * 35, Size("ucs2", 1, 70)),
        ("🙂" * 36, Size("ucs2", 2, 72)),
        ("я" * 66 + "🙂" + "я" * 66, Size("ucs2", 3, 134)),  # 66, 67, 1
        ("ç", Size("ucs2", 1, 1)),  # only the capital is in the alphabet
    ],
)
def test_parts_are_counted_as_operators_do(text, wanted):
    """160 and 153 places of 7 bits, 70 and 67 of 16, and no half letters."""
    assert wanted == gsm.measure(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("«Диск» — 95 %", '"Диск" - 95 %'),
        ("“a” ‘b’ „c“ ‚d’ ‹e›", "\"a\" 'b' \"c\" 'd' 'e'"),
        ("a\u00a0b\u202fc\u3000d\te", "a b c d e"),
        ("…•№5 `x´", "...*No.5 'x'"),
        ("–—−‐", "----"),
        ("85°C ≥ 80", "85degC >= 80"),
    ],
)
def test_typography_becomes_what_one_types(text, wanted):
    """Signs of mailers and word processors are mapped to ASCII."""
    assert wanted == gsm.mapped(text)


@given(TEXTS)
def test_mapping_never_changes_a_letter_or_digit(text):
    """Every letter or digit stays itself; whatever is mapped was neither."""
    changed = {letter for letter in text if gsm.mapped(letter) != letter}
    assert not {each for each in changed if each.isascii() and each.isalnum()}
    kept = "".join(each for each in text if each not in changed)
    assert kept == gsm.mapped(kept)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_mapping_leaves_ascii_alone(text):
    """Of ASCII only the grave accent and the tab, which GSM-7 lacks, are changed."""
    assert text.replace("`", "'").replace("\t", " ") == gsm.mapped(text)


@pytest.mark.parametrize(
    ("text", "alphabet", "wanted"),
    [
        ("“Disk” – 95 %", "auto", ('"Disk" - 95 %', {}, "")),
        ("«Диск»\u00a0– 95 %", "auto", ("«Диск» – 95 %", {}, "")),
        ("«Диск»\u00a0–", "ucs2", ("«Диск»\u00a0–", {}, "")),
        ("«Диск»\u00a0–", "translit", ("«Диск» –", {"translit": "1"}, "")),
        ("“Disk” – 95 %", "gsm7", ('"Disk" - 95 %', {}, "")),
        ("ça ½ e\u0301 ＿Ａ", "gsm7", ("ca 1/2 e _A", {}, "")),
        (f"a{model.mark(0)}“b”", "auto", (f'a{model.mark(0)}"b"', {}, "")),
        (
            f"Я ?{model.mark(1)}",
            "gsm7",
            (f"? ?{model.mark(1)}", {}, "letters that GSM-7 lacks were replaced by question marks: 1 of 6"),
        ),
    ],
)
def test_the_route_chooses_the_alphabet(text, alphabet, wanted):
    """Auto never costs a letter, gsm7 says what it cost, translit leaves it to the provider."""
    assert wanted == gsm.choose(text, alphabet)


@given(TEXTS)
def test_gsm7_is_always_gsm7(text):
    """Whatever comes in, a forced text fits."""
    assert gsm.fits(gsm.choose(text, "gsm7")[0].replace(model.mark(0)[0], "").replace(model.mark(0)[-1], ""))


@pytest.mark.parametrize(
    ("text", "limits", "wanted"),
    [
        ("short", {"max_parts": 1}, ("short", False)),
        ("я" * 70, {"max_parts": 1}, ("я" * 70, False)),
        ("word " * 40, {"max_parts": 1}, ("word " * 30 + "word...", True)),
        ("слово " * 40, {"max_parts": 1}, ("слово " * 10 + "слово…", True)),
        ("a" * 161, {"max_parts": 1}, ("a" * 157 + "...", True)),
        ("a" * 1001, {"max_parts": 99}, ("a" * 997 + "...", True)),
        ("one two three", {"max_parts": 1, "max_chars": 10}, ("one two...", True)),
        ("one two-three", {"max_parts": 1, "max_chars": 11}, ("one...", True)),
        ("one\ntwothree", {"max_parts": 1, "max_chars": 10}, ("one...", True)),
        ("one two three", {"max_parts": 1, "max_chars": 2}, ("..", True)),
        ("я🙂🙂🙂🙂", {"max_parts": 1, "max_chars": 7}, ("я🙂🙂…", True)),
        ("яe\u0301e\u0301", {"max_parts": 1, "max_chars": 4}, ("яe\u0301…", True)),
        ("я👩\u200d👩\u200d👧x", {"max_parts": 1, "max_chars": 7}, ("я…", True)),
        ("я👍🏽x", {"max_parts": 1, "max_chars": 4}, ("я…", True)),
        ("я🇷🇺🇩🇪xxxx", {"max_parts": 1, "max_chars": 8}, ("я🇷🇺…", True)),
        ("e" + "\u0301" * 40, {"max_parts": 1, "max_chars": 20}, ("e" + "\u0301" * 15 + "…", True)),
        (f"aaaaaa{model.mark(10)}b", {"max_parts": 1, "max_chars": 10}, ("aaaaaa...", True)),
    ],
)
def test_a_text_is_cut_at_a_word_and_shows_it(text, limits, wanted):
    """The cut falls between words, between characters where a word is too long, and has a sign."""
    assert wanted == gsm.cut(text, **limits)


@given(TEXTS, st.integers(1, 4), st.integers(1, 300))
def test_a_cut_text_never_exceeds_its_limits(text, max_parts, max_chars):
    """Neither parts nor characters, and what is not cut is not touched."""
    short, was_cut = gsm.cut(text, max_parts=max_parts, max_chars=max_chars)
    assert gsm.measure(short).parts <= max_parts
    assert len(short.encode("utf-16-le", "surrogatepass")) // 2 <= max_chars
    assert was_cut or short == text
    assert text.startswith(short.removesuffix("…").rstrip("."))


@given(
    TEXTS | st.text(alphabet="я🙂", min_size=60, max_size=400),
    st.integers(1, 4),
    st.sampled_from([90, 300, 1000]),
)
def test_what_is_said_to_stay_stays(text, max_parts, max_chars):
    """Whatever letters take two places, and wherever the last word ends."""
    limits = {"max_parts": max_parts, "max_chars": max_chars}
    assert gsm.cut(text, **limits)[0].startswith(text[: gsm.room(text, **limits)].rstrip())


@given(st.text(alphabet="aя€🙂 ", max_size=700))
def test_parts_rejoin_to_the_text(text):
    """Filling parts by the published sizes by hand gives the number that is counted."""
    size = gsm.measure(text)
    joined = 153 if size.alphabet == "gsm7" else 67
    width = (lambda c: 2 if c == "€" else 1) if size.alphabet == "gsm7" else (lambda c: 1 + (ord(c) > 0xFFFF))
    parts = [""]
    for letter in text:
        if sum(map(width, parts[-1])) + width(letter) > joined:
            parts.append("")
        parts[-1] += letter
    assert text == "".join(parts)
    assert size.parts == (len(parts) if size.units > (160 if joined == 153 else 70) else 1)
    assert (tuple(parts) if size.parts > 1 else (text,)) == gsm.split(text)


@given(TEXTS)
def test_no_part_exceeds_the_operators_limit(text):
    """The parts rejoin to the text, are as many as were counted, and each fits into a message."""
    size, pieces = gsm.measure(text), gsm.split(text)
    assert text == "".join(pieces)
    assert size.parts == len(pieces)
    for piece in pieces:
        octets = -(-gsm.measure(piece).units * 7 // 8) if size.alphabet == "gsm7" else len(wide(piece))
        assert octets <= (140 if len(pieces) == 1 else 134)


def wide(text):
    """The octets of a text in UCS-2."""
    return text.encode("utf-16-be", "surrogatepass")


def counted(text):
    """The size of a text, letter by letter."""
    narrow = all(letter in gsm._BASIC + gsm._EXTENSION for letter in text)
    widths = [1 + (letter in gsm._EXTENSION if narrow else letter > "\uffff") for letter in text]
    parts, used = 1, 0
    for width in widths:
        if used + width > (153 if narrow else 67):
            parts, used = parts + 1, 0
        used += width
    single = sum(widths) <= (160 if narrow else 70)
    return Size("gsm7" if narrow else "ucs2", 1 if single else parts, sum(widths))


RUNS = st.lists(
    st.sampled_from(
        ["a" * 66, "a" * 152, "a", "€", "€" * 30, "я", "🙂", "🙂" * 20, "\U0010ffff", ".", "\ud800", "\f"]
    ),
    max_size=12,
)


@given(RUNS.map("".join) | TEXTS)
@example("a" * 152 + "€" + "a" * 151 + "€" * 80)
@example("я" * 66 + "🙂" + "я" * 65 + "🙂" * 40)
def test_counting_by_parts_counts_each_letter(text):
    """Going from part to part gives what adding letter to letter gives."""
    assert counted(text) == gsm.measure(text)


@given(TEXTS | RUNS.map("".join), st.integers(1, 3), st.integers(1, 500))
def test_what_is_within_the_limits_is_known_by_its_letters(text, max_parts, max_chars):
    """A text is left alone where its UTF-16 and its parts are within the limits, and only there."""
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    fits = units <= max_chars and counted(text).parts <= max_parts
    assert fits is not gsm.cut(text, max_parts=max_parts, max_chars=max_chars)[1]


def test_letters_that_are_passed_over_need_no_mapping():
    """What the searches before the mappings do not find, the mappings do not change."""
    plain, evenly = gsm._TYPOGRAPHY.sub("", EVERY_LETTER), gsm._ODD_SPACE.sub("", EVERY_LETTER)
    assert plain == plain.translate(gsm._MAPPED)
    assert evenly == evenly.translate(gsm._ALIKE)
    assert len(EVERY_LETTER) == len(plain) + len(gsm._MAPPED) == len(evenly) + len(gsm._ALIKE)


@given(st.text(alphabet="aя«№€^`\t\u00a07\ufdd0\ufdd1", max_size=8))
def test_auto_maps_only_where_that_makes_it_gsm7(text):
    """Giving up at the first letter beyond help gives what mapping all of the text gives."""
    plain = text.translate(gsm._MAPPED)
    helps = gsm.fits(re.sub(model.MARK, "", plain))
    assert (plain if helps else text.translate(gsm._ALIKE)) == gsm.choose(text, "auto")[0]


def test_letters_that_stand_alone_are_bounds_each():
    """Letters that are cut between without a look at them join nothing, whatever stands beside them."""
    apart = [letter for letter in EVERY_LETTER if gsm._APART.fullmatch(letter)]
    assert list(range(1, len(apart) + 1)) == list(gsm._bounds("".join(apart)))
    assert not [letter for letter in apart if gsm._extends(letter)]


@given(st.text(alphabet="aя —№\n", max_size=90), st.integers(1, 80))
def test_plain_letters_are_cut_as_any_others(text, max_chars):
    """The cut falls where looking at each letter makes it fall."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gsm, "_APART", re.compile("(?!)"))
        slow = gsm.cut(text, max_parts=1, max_chars=max_chars)
    assert slow == gsm.cut(text, max_parts=1, max_chars=max_chars)
