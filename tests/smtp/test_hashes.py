"""Which hashes of passwords are taken, and what fits them."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from passlib import hash as kinds

from relay.smtp import hashes

ARGON2 = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("secret")
BCRYPT = kinds.bcrypt.using(rounds=4).hash("secret")
SHA256 = kinds.sha256_crypt.using(rounds=1000).hash("secret")
SHA512 = kinds.sha512_crypt.using(rounds=1000).hash("secret")


@pytest.mark.parametrize(
    "text",
    [ARGON2, BCRYPT, BCRYPT.replace("$2b$", "$2y$"), SHA256, SHA512],
    ids=["argon2", "bcrypt", "htpasswd", "sha256", "sha512"],
)
def test_a_password_fits_its_hash(text):
    """Argon2, bcrypt as htpasswd writes it, SHA-crypt."""
    assert hashes.complaint(text) == ""
    assert hashes.fits(text, b"secret")
    for wrong in (b"", b"Secret", b"secret ", b"\xff\xfe", b"s" * 255):
        assert not hashes.fits(text, wrong)


def test_bcrypt_sees_72_octets():
    """What goes beyond them must not be taken for right."""
    text = kinds.bcrypt.using(rounds=4).hash("x" * 72)
    assert hashes.fits(text, b"x" * 72)
    assert not hashes.fits(text, b"x" * 73)


def test_the_stand_in_is_a_hash():
    """Nobody's password, at the cost of the command's own hashes."""
    assert hashes.complaint(hashes.DUMMY) == ""
    assert not hashes.fits(hashes.DUMMY, b"")
    assert "m=19456,t=2,p=1" in hashes.DUMMY


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("hunter2", "is no hash"),
        ("", "is no hash"),
        ("$argon2id$v=19$m=65536,t=3", "is no hash"),
        (SHA512[:-1], "is no hash"),
        (SHA512.replace("$6$", "$5$"), "is no hash"),
        (kinds.apr_md5_crypt.hash("secret"), "weak"),
        (kinds.md5_crypt.hash("secret"), "weak"),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "weak"),
        ("rqXexS6ZhobKA", "weak"),
        (ARGON2.replace("m=8", "m=1048576"), "too much"),
        (ARGON2.replace("t=1", "t=99999").replace("m=8", "m=1024"), "too much"),
        (ARGON2.replace("t=1", "t=0"), "too much"),
        (ARGON2.replace("p=1", "p=0"), "too much"),
        (BCRYPT.replace("$04$", "$20$"), "too much"),
        (SHA512.replace("rounds=1000", "rounds=999999999"), "too much"),
    ],
    ids=range(15),
)
def test_what_is_not_taken(text, word):
    """No hash at all, one that falls to guessing, one that costs the machine."""
    assert word in hashes.complaint(text)
    assert "hunter2" not in hashes.complaint(text)
