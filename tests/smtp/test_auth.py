"""What clients say when they log in, read into a name and a password."""

from __future__ import annotations

import asyncio
import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import config
from relay.replies import Reply
from relay.smtp import auth
from relay.smtp.auth import Credentials


def b64(octets: bytes) -> str:
    """As it goes over the wire."""
    return base64.b64encode(octets).decode()


def said(argument: str, *lines: bytes | None) -> Credentials | Reply:
    """What comes of a client that says AUTH with this argument and then these lines."""
    left = list(lines)

    async def challenge(_text: str) -> bytes | None:
        return left.pop(0)

    found = asyncio.run(auth.exchange(argument, challenge))
    assert left == []
    return found


NOBODY = Credentials()
names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cn", "Cf", "Co"]), min_size=1
)


@given(names.filter(lambda name: len(name.encode()) <= 255), st.binary(min_size=1, max_size=255))
def test_every_name_and_password_come_through(name, password):
    """By both mechanisms and all their forms alike, in whatever alphabet."""
    password = password.replace(b"\0", b"0")
    user = name.encode()
    plain = b64(b"\0" + user + b"\0" + password)
    acting = b64(user + b"\0" + user + b"\0" + password)
    asked = b64(password).encode()
    found = [
        said(f"PLAIN {plain}"),
        said("plain", plain.encode()),
        said(f"Plain {acting}"),
        said("LOGIN", b64(user).encode(), asked),
        said(f"login {b64(user)}", asked),
    ]
    normal = auth.normal(name)
    if normal.isprintable():
        assert [Credentials(user=normal, password=password)] * 5 == found


@given(st.text(max_size=40), st.lists(st.binary(max_size=60), min_size=2, max_size=2))
def test_nothing_crashes_it(argument, lines):
    """Whatever is said comes to credentials or a reply of the protocol."""
    left = list(lines)

    async def challenge(_text: str) -> bytes | None:
        return left.pop(0)

    found = asyncio.run(auth.exchange(argument, challenge))
    assert isinstance(found, Credentials) or found.code in {500, 501, 504}


def test_the_two_forms_of_a_letter_are_one_name():
    """A keyboard may compose é, or not; of passwords each octet counts."""
    composed, apart = "andr\u00e9", "andre\u0301"
    messages = [b"\0" + name.encode() + b"\0x" for name in (composed, apart)]
    found = [said(f"PLAIN {b64(message)}") for message in messages]
    assert [Credentials(user=composed, password=b"x")] * 2 == found


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"alice",
        b"\0alice",
        b"\0alice\0",
        b"\0\0secret",
        b"root\0alice\0secret",
        b"\0alice\0sec\0ret",
        b"\0al\xffice\0secret",
        b"\0al\r\nice\0secret",
        b"\0" + b"a" * 256 + b"\0secret",
        b"\0alice\0" + b"s" * 256,
    ],
)
def test_what_can_be_nobodys(message):
    """No parts, no name, no password, another's name, no UTF-8, too long: wrong like any other."""
    assert NOBODY == said(f"PLAIN {b64(message) or '='}")


@pytest.mark.parametrize("password", [b"", b"a\0b"])
def test_a_password_that_can_be_nobodys(password):
    """LOGIN can carry what PLAIN can't."""
    assert NOBODY == said("LOGIN", b64(b"alice").encode(), b64(password).encode() or b"=")


@pytest.mark.parametrize(
    ("argument", "lines", "code"),
    [
        ("", [], 501),
        ("PLAIN AAAA AAAA", [], 501),
        ("DIGEST-MD5", [], 504),
        ("PLAIN", [None], 500),
        ("LOGIN", [None], 500),
        ("LOGIN", [b"*"], 501),
        ("LOGIN YQ==", [None], 500),
        ("LOGIN YQ==", [b"*"], 501),
        ("LOGIN é", [], 501),
        ("PLAIN", [b"\xff"], 501),
    ],
)
def test_what_is_no_login(argument, lines, code):
    """Each with its code (RFC 4954 section 6)."""
    found = said(argument, *lines)
    assert isinstance(found, Reply)
    assert code == found.code


def test_a_password_is_not_shown():
    """Not by repr, where a traceback would have it."""
    message = b64(b"\0alice\0hunter2")
    assert "hunter2" not in repr(said(f"PLAIN {message}"))


def test_what_the_configuration_says():
    """None where a listener takes no logins."""
    door = config.Listener(address="127.0.0.1:0")
    assert auth.logins(door) is None
    optional = door.model_copy(update={"auth": "optional"})
    assert auth.logins(optional) == auth.Logins(required=False, in_clear=())
    assert auth.logins(door.model_copy(update={"auth": "required"})).required


@pytest.mark.asyncio
async def test_long_lines(house):
    """12,288 octets are read on the command's line and in the exchange, and not one more."""
    door = await house(auth="optional", clear="127.0.0.0/8")
    client = await door.client()
    await client.hear()
    await client.ask("HELO c")
    longest = b"AUTH PLAIN " + b"A" * (12_288 - 12) + b" "
    assert (await client.ask(longest, b"\r\n")).startswith("535")
    assert (await client.ask(longest + b"A", b"\r\n")).startswith("500 5.5.2")
    await client.ask("AUTH PLAIN")
    assert (await client.ask(b"A" * 12_288, b"\r\n")).startswith("535")
    await client.ask("AUTH PLAIN")
    assert (await client.ask(b"A" * 12_289, b"\r\n")).startswith("500 5.5.6")
    await client.ask("AUTH LOGIN")
    assert (await client.ask(b"A" * 1_000_000, b"\r\n")).startswith("500 5.5.6")
    assert (await client.ask("NOOP")).startswith("250")
    assert (await client.ask(b"NOOP " + b"x" * 2048, b"\r\n")).startswith("500")
