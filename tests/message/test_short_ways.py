"""Short ways through reading and composing say exactly what the long ones say.

What most mails are (one plain text, ASCII, no quote, no signature, a template of bare names) is
known at a glance and passes by the work for all others. Each such glance is held against the
work itself, over the kept mails and over whatever Hypothesis writes.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay import model
from relay.message import bodies, content, gsm, headers, neutral, parts, quotes, templates, text, trim

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
