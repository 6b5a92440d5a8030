"""Short ways through reading and composing say exactly what the long ones say.

What most mails are (one plain text, ASCII, no quote, no signature, a template of bare names) is
known at a glance and passes by the work for all others. Each such glance is held against the
work itself, over the kept mails and over whatever Hypothesis writes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay import model
from relay.message import (
    bodies,
    condense,
    content,
    gsm,
    headers,
    neutral,
    parts,
    patterns,
    places,
    quotes,
    recognisers,
    templates,
    text,
    transfer,
    trim,
)

KEPT = sorted((Path(__file__).parents[1] / "mails").glob("*.eml"))

LINES = st.sampled_from(
    [
        b"From: Ops <ops@example.com>", b"Subject: =?utf-8?B?0JTQuNGB0Lo=?=", b"Subject: disk 95 %",
        b"Date: Wed, 01 Jul 2026 10:00:00 +0000", b"Message-ID: <1@example.com>", b" folded", b"\tfolded",
        b" ",
        b"Content-Type: text/plain; charset=utf-8", b"Content-Type: text/plain; format=flowed; delsp=yes",
        b"Content-Type: text/plain; name=a.txt", b"Content-Disposition: inline", b"Content-Type: text/html",
        b"Content-Disposition: attachment", b"Content-Type: multipart/mixed; boundary=b", b"--b", b"--b--",
        b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable",
        b"From ops@example.com Wed", b">From ops", b"X y: z", b"X-Long" + b"g" * 250 + b": 1", b"no field",
        b'Content-Type : TEXT/plain ; charset="koi8-r"', b"", b"\r", b"begin 644 a.txt", b"#86)C", b"end",
        b"-----BEGIN PGP MESSAGE-----", b"-----END PGP MESSAGE-----", b"\xff\xfe", b"\xef\xf0\xe8", b"a=20b=",
        b"aGVsbG8=", b"<html><p>x</p>", b"           deep", b"\x0b", b"\x0c: 1", b":",
    ]
)  # fmt: skip
MAILS = st.builds(
    lambda lines, end: end.join(lines),
    st.lists(st.one_of(LINES, st.binary(max_size=12)), max_size=14),
    st.sampled_from([b"\r\n", b"\n"]),
)


def _read(raw: bytes, *, plainly: bool) -> tuple[object, ...]:
    budget = parts.Budget()
    root = parts.parse(raw, budget)
    walk = bodies.Walk(budget, content._hint(root))
    body = walk._plainly(root) if plainly else walk._walked(root)
    return body, walk.files, budget.notes


def _plain(raw: bytes) -> bool:
    return parts.is_plain(parts.parse(raw, parts.Budget()))


def test_plain_kept_mails_are_read_alike():
    """Many of the kept mails are one plain text; walked as others are, they say the same."""
    plain = [raw for raw in (path.read_bytes() for path in KEPT) if _plain(raw)]
    assert len(plain) > 50
    assert [] == [raw[:80] for raw in plain if _read(raw, plainly=True) != _read(raw, plainly=False)]


@given(MAILS)
@example(b"Content-Type: text/plain\n\nbegin 644 a.txt\n#86)C\n`\nend\n")
def test_plain_mails_are_read_alike(raw):
    """Whatever stands in a mail that is one plain text, the short way finds what the long one does."""
    if _plain(raw):
        assert _read(raw, plainly=False) == _read(raw, plainly=True)


@given(MAILS, st.integers(0, 40), st.integers(0, 40))
def test_header_blocks_end_alike(raw, start, cut):
    """A header found in one look ends where it does line by line."""
    end = max(start, len(raw) - cut)
    assert headers._by_line(raw, start, end) == headers.block_end(raw, start, end)


def test_kept_header_blocks_end_alike():
    """The same with what is kept, most of which is found in one look."""
    kept = [path.read_bytes() for path in KEPT]
    assert len(kept) * 3 // 4 < sum(headers._PLAIN_BLOCK.match(raw) is not None for raw in kept)
    assert [] == [
        raw[:80] for raw in kept if headers._by_line(raw, 0, len(raw)) != headers.block_end(raw, 0, len(raw))
    ]


@given(st.binary())
def test_digests_are_base32_of_sha256(octets):
    """Digests that are in databases already stay what they were."""
    framed = len(octets).to_bytes(8, "big") + octets
    expected = base64.b32encode(hashlib.sha256(framed).digest()).decode().rstrip("=").lower()
    assert expected == model.stable_digest(octets)


WORDS = st.text(st.one_of(st.sampled_from("ab: ->_*\n\t.,"), st.characters()), max_size=30)


@pytest.mark.parametrize(
    "source",
    ["{{ subject }}\n{{ body }}", "{{ body }}", "a {{from}}-{{ to }}\n", "", "\r\n{{ date }}{# no #}"],
)
@given(WORDS, WORDS)
def test_bare_names_are_filled_in_as_jinja_does(source, subject, body):
    """A template of words and bare names needs no program, and comes out the same."""
    names = {"subject": subject, "body": body, "from": "f", "to": "t", "message_id": "m", "date": "d"}
    assert templates._pieces(source) is not None
    assert templates._compiled(source).render(names) == templates.fill(source, names, str)


@pytest.mark.parametrize(
    "source",
    [
        "{{ subject | upper }}",
        "{{ header }}",
        "{{ header('X') }}",
        "{% if body %}x{% endif %}",
        "{{ a }}",
        "{{",
    ],
)
def test_other_templates_are_left_to_jinja(source):
    """A filter, a call, a condition, a name that nobody gave: none of these is bare."""
    assert templates._pieces(source) is None


@given(WORDS)
def test_plain_texts_hold_nothing_to_clean(said):
    """What is known as plain at a glance has nothing that any cleaning acts upon."""
    if text.is_plain(said):
        assert text._UNCLEAN.search(said) is None
        lines = "\n".join(line.rstrip() for line in said.split("\n"))
        assert text._GAPS.sub("\n\n", lines).strip() == text.clean(said)
        assert said == neutral._folded(said) == said.translate(neutral._LIGATURES)


LOOKED_AT = st.one_of(
    WORDS.map(lambda said: said.replace("\n", " ")),
    st.sampled_from(
        [
            "-- ", "--", "regards", "Best regards, Bob", "С уважением", "Sent from my phone", "> cited",
            "a: b",
            "-----Original Message-----", "Forwarded message:", "---- Forwarded message ----", "From: a@b.c",
            "On 1 Jan at 10:00, Bob <b@c.d> wrote:", "10:00 Bob", "wrote:", "To: x", "Sent: y", "Subject: z",
            "_____",
        ]
    ),
)  # fmt: skip


@given(LOOKED_AT, st.lists(LOOKED_AT, max_size=4))
def test_lines_passed_by_begin_no_quote(line, below):
    """A line without a colon, a dash pair or a leading ">" is none that any rule of quotes knows."""
    bare = line.strip()
    if quotes._says_nothing(bare):
        lines = [line, *below]
        assert not quotes._FORWARD.match(bare)
        assert not quotes._REPLY.match(bare)
        assert not quotes._begins_old_mail(lines, 0)
        assert not quotes._attributes(bare)
        assert quotes._quote(lines, 0, reply=True) == 0


@given(st.lists(LOOKED_AT, max_size=6), st.integers(0, 5), st.booleans())
def test_without_a_cited_line_there_is_no_quote(lines, at, reply):
    """An attribution alone makes no quote: something has to be cited below it."""
    if at < len(lines) and not any(">" in line for line in lines):
        assert at == quotes._quote(lines, at, reply=reply)


@given(LOOKED_AT, st.lists(LOOKED_AT, max_size=4))
def test_lines_passed_by_begin_no_signature(line, after):
    """Whatever begins a signature begins as `_may_sign` wants it."""
    kept = [each.strip() for each in after if each.strip()]
    assert trim._may_sign(line.lstrip()) or not trim._signs(line, kept)


@given(WORDS)
def test_a_text_is_measured_alike_again(said):
    """What is remembered of a text is what would be found anew."""
    assert gsm.measure.__wrapped__(said) == gsm.measure(said)


@given(st.lists(LOOKED_AT, max_size=6), st.booleans())
def test_a_text_without_the_signs_of_a_quote_is_left_as_it_is(lines, reply):
    """Where no line has a colon, a ">" or a pair of dashes there is nothing to leave out."""
    if not quotes.may_hold("\n".join(lines)):
        assert lines == quotes.without_quotes(lines, reply=reply)


@given(st.one_of(WORDS, st.text(st.characters(max_codepoint=127), max_size=30)))
def test_what_ascii_prints_fits_but_the_backtick(said):
    """A text known for GSM-7 at a glance has no letter that is foreign to it, none to be mapped, no mark."""
    if gsm._is_simple(said):
        assert gsm._FOREIGN.search(said) is None
        assert said == said.translate(gsm._MAPPED) == gsm._PLACES.sub("", said)


@given(st.text(st.sampled_from("a{}^[]~\\|€\f\n é"), max_size=12))
def test_letters_of_two_places_are_seen(said):
    """A text is counted as if each letter was looked up in the extension table."""
    if gsm.fits(said):
        assert len(said) + sum(letter in gsm._EXTENSION for letter in said) == gsm.measure(said).units


MARKED = st.lists(st.sampled_from(["a", " ", "\n", model.mark(0), "\ufdd0", "\ufdd1", "7"])).map("".join)


@given(MARKED, st.lists(st.integers(0, 3), unique=True, max_size=3))
def test_marks_are_looked_for_only_where_one_begins(said, numbers):
    """A text in which no mark begins comes out of every step as the search for marks leaves it."""
    if "\ufdd0" not in said:
        assert places._MARK.search(said) is None
        assert said == places.without(said) == places.only(said, numbers) == places.once(said)


PATTERNS = [
    pattern
    for each in recognisers.builtin()
    for group in (*each.when, *each.recovery, *(each.problem or ()))
    for pattern in group
]


def test_many_patterns_need_some_letters():
    """What the law below is about exists."""
    assert sum(bool(each.needed) for each in PATTERNS) > 15


@given(st.data())
def test_what_a_pattern_finds_holds_what_it_needs(data):
    """Where the letters that it needs are missing, a pattern is found nowhere."""
    pattern = data.draw(st.sampled_from([each for each in PATTERNS if each.needed]))
    line = data.draw(st.from_regex(pattern.regex))
    assert pattern.needed in line


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        (r"^Notification Type: \w+", "Notification"),
        (r"^(?:New|Old) alerts?:$", "alert"),
        ("ab*", "a"), ("ab+c", "ab"), ("ab{2}c", "ab"), ("ab{0,2}c", "a"), (r"a\.b", "a.b"), (r"\d\s\n", ""),
        ("abc|d", ""), ("(?i)abc", ""), ("(?i:abc)d", ""), ("(?=abc)d", ""), ("(?P<x>abc)de", "de"),
        ("[abc]de", "de"), (".a$", "a"),
    ],
)  # fmt: skip
def test_needed_letters_are_those_of_every_match(source, needed):
    """Alternatives, what may be absent and what case does not tell are never among them."""
    assert needed == patterns.needed(re.compile(source))


@given(st.sampled_from(PATTERNS), st.lists(st.one_of(WORDS, LOOKED_AT), max_size=4))
def test_a_mail_that_lacks_letters_is_known_by_no_such_pattern(pattern, lines):
    """Conditions hold for a body exactly where they hold line by line."""
    mail = condense._Mail(model.Letter(subject="x"), "\n".join(lines))
    if mail.lacks((pattern,)):
        assert not condense._holds(pattern, mail)


@given(st.lists(WORDS, max_size=4))
def test_lines_are_made_plain_alike_together(lines):
    """Lines that are all ASCII are made plain at once as each would be alone."""
    assert [condense._plain(line) for line in lines] == condense._all_plain(lines)


ENDS = st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b" ", b"\xff"]), max_size=8).map(b"".join)


@given(ENDS)
def test_line_ends_are_of_one_kind_alike(octets):
    """However CR and LF are mixed, a LF stands for each CR LF, and a CR alone stays."""
    assert octets.replace(b"\r\n", b"\n") == transfer.unix_lines(octets)


@given(ENDS)
def test_mails_begin_alike(octets):
    """A mail whose lines end with a CR alone is known by its first empty line alone."""
    raw = b"A: b" + octets
    gap = raw.find(b"\r\r") if b"\n" in raw else len(raw)
    old = raw.find(b"\r", 0, gap) >= 0 and raw.find(b"\n", 0, gap) < 0 <= gap
    assert old == (b"\r" not in content._begun(raw) and b"\r" in raw)


@given(WORDS, WORDS)
def test_what_says_nothing_twice_is_left_as_it_is(subject, body):
    """Subject and body that are apart at a glance hold each other nowhere."""
    short, long = text._folded(text._PREFIX.sub("", subject.strip())), text._folded(body)
    if short and long and text._apart(short, body):
        assert not text._begins(long, short)
        assert not text._is_line(short, long, body)
        assert not text._begins(short, long)
        assert not text._ends(short, long)


@given(st.text(st.characters(max_codepoint=160), max_size=30))
def test_plain_is_what_ascii_prints_in_lines(said):
    """Of ASCII whatever prints, and line ends."""
    assert (said.isascii() and said.replace("\n", "").isprintable()) == text.is_plain(said)
