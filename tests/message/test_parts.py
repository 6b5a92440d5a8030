"""A mail is taken apart as the standard library would, where that one can."""

from __future__ import annotations

import email
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
