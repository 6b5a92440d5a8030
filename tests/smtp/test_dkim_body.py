"""The hash of a body as DKIM signs it, held against the library's own canonicalisation."""

from __future__ import annotations

import hashlib

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import example, given
from hypothesis import strategies as st

from relay.smtp.dkim_body import Canonical

PIECES = st.lists(
    st.sampled_from([b"a", b".", b" ", b"\t", b"  ", b"\r\n", b"\r\n\r\n", b"\xd0\xb4", b"x y \r\n"])
)


def digest(body: bytes, cuts: list[int], *, relaxed: bool) -> bytes:
    """The hash of the body, fed in pieces."""
    canonical = Canonical(relaxed=relaxed)
    at = 0
    for cut in [*sorted(min(cut, len(body)) for cut in cuts), len(body)]:
        canonical.feed(body[at:cut])
        at = cut
    return canonical.digest()


@pytest.mark.parametrize("relaxed", [True, False])
@given(PIECES.map(b"".join), st.lists(st.integers(0, 60), max_size=6))
@example(b"", [])
@example(b"a \r\n", [2, 3])
@example(b" ", [])
@example(b"\r\n", [1])
@example(b"a\r\n" + b"\r\n" * 9000 + b"b", [5000])
def test_it_is_the_hash_of_the_canonical_body(relaxed, body, cuts):
    """However the body is cut, the hash is that of what the library makes of the whole."""
    whole = (Relaxed if relaxed else Simple).canonicalize_body(body)

    assert hashlib.sha256(whole).digest() == digest(body, cuts, relaxed=relaxed)


@pytest.mark.parametrize("run", [b" ", b"\t ", b"\r\n", b"\r\n \r\n"])
def test_a_body_of_nothing_but_white_space_takes_no_longer(run):
    """Two megabytes of it: patterns that try every beginning would take hours."""
    body = run * (2**21 // len(run))
    pieces = list(range(0, len(body), 2**18))

    assert digest(body, pieces, relaxed=False) != digest(body + b"x", pieces, relaxed=False)
    assert digest(body, pieces, relaxed=True) != digest(body + b"x", pieces, relaxed=True)
