"""A mail is taken apart as the standard library would, where that one can."""

from __future__ import annotations

import email
import quopri
import tracemalloc
from email import policy
from pathlib import Path

import pytest

from relay.message import parts, transfer

BROKEN = ("same-boundary",)  # the standard library takes the outer end for the inner one
MAILS = [path for path in sorted((Path(__file__).parent / "mails").glob("*.eml")) if path.stem not in BROKEN]


def ours(part: parts.Part) -> list[tuple[str, bytes]]:
    """Types and octets of the leaves."""
    if part.children:
        return [leaf for child in part.children for leaf in ours(child)]
    return [(part.type, transfer.decode(part.body, part.encoding)[0])]


def theirs(message: email.message.Message) -> list[tuple[str, bytes]]:
    """The same by the standard library, whose attached mails are parts and not octets."""
    if message.get_content_maintype() == "message":
        return [(message.get_content_type(), b"")]
    if message.is_multipart():
        return [leaf for child in message.get_payload() for leaf in theirs(child)]
    return [(message.get_content_type(), message.get_payload(decode=True))]


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_the_parts_are_those_of_the_standard_library(path):
    """Types, order and octets of all leaves agree on sound mail."""
    raw = path.read_bytes()
    found = [
        (kind, b"" if kind.startswith("message/") else data)
        for kind, data in ours(parts.parse(raw, parts.Budget()))
    ]
    assert theirs(email.message_from_bytes(raw, policy=policy.compat32)) == found


def test_boundaries_that_begin_alike_are_told_apart():
    """One boundary is the beginning of another, and of lines of text."""
    raw = (
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=ab\n\n"
        b"--ab\n\none\n--abc\n--a b\n--ab--\n\n--a \t\r\n\ntwo\n --a\n--a--\n--a\n\nnever"
    )
    assert [b"one\n--abc\n--a b", b"two\n --a"] == [
        data for _, data in ours(parts.parse(raw, parts.Budget()))
    ]


def test_notes_are_said_once_and_not_for_ever():
    """Twenty different sentences are enough."""
    budget = parts.Budget()
    for number in range(50):
        budget.note(f"note {number // 2}")
    assert [f"note {number}" for number in range(20)] == budget.notes


def nested(levels: int, text: bytes) -> bytes:
    """A multipart in each multipart, all of it quoted-printable at every level."""
    body = b"Content-Type: text/plain\n\n" + text
    for level in range(levels):
        body = quopri.encodestring(b"--b=%d\n%s\n--b=%d--\n" % (level, body, level))
        head = (
            b'Content-Type: multipart/mixed; boundary="b=%d"\nContent-Transfer-Encoding: quoted-printable\n\n'
        )
        body = head % level + body
    return body


@pytest.mark.parametrize("levels", [1, 2])
def test_an_encoding_of_a_multipart_is_undone_twice(levels):
    """RFC 2045 section 6.4 forbids it, and each is a copy of the part: many would fill the memory."""
    budget = parts.Budget()
    [leaf] = parts.leaves(parts.parse(nested(levels, b"fire"), budget))
    assert ("text/plain", b"fire", []) == (leaf.type, bytes(leaf.body), budget.notes)


def test_a_mail_encoded_at_every_level_takes_no_more_memory_than_three_of_it():
    """However many levels there are."""
    raw = nested(9, b"x" * 20_000)
    tracemalloc.start()
    try:
        parts.parse(raw, parts.Budget())
        assert tracemalloc.get_traced_memory()[1] < 4 * len(raw)
    finally:
        tracemalloc.stop()
