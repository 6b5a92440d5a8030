"""MAIL and RCPT lines: what the dialogs leave to laws and to single values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model import Envelope, Notify, Recipient
from relay.replies import Reply
from relay.smtp import protocol

NOW = 1_800_000_000_000

ATOM = st.text("abcXYZ019+-_/=!#$%&'*?^`{|}~ёЖ漢", min_size=1, max_size=12)
LOCAL = st.lists(ATOM, min_size=1, max_size=3).map(".".join) | st.text("ab @()<>,;:.[]ё", max_size=20).map(
    '"{}"'.format
)
LABEL = st.text("abcXYZ019ёЖ_", min_size=1, max_size=10)
DOMAIN = st.lists(LABEL, min_size=1, max_size=4).map(".".join) | st.just("[192.0.2.1]")
ADDRESS = st.tuples(LOCAL, DOMAIN).map("@".join)


def mail(argument: str) -> Envelope | Reply:
    """The envelope of a MAIL line after EHLO."""
    return protocol.read_mail(argument, extended=True, max_size=1000, now=NOW)


def rcpt(argument: str, *, utf8: bool = True) -> Recipient | Reply:
    """The recipient of a RCPT line after EHLO."""
    return protocol.read_rcpt(argument, extended=True, utf8=utf8)


@given(ADDRESS)
def test_an_address_is_read_as_it_stands(address):
    """No character of a good address is changed, in either command."""
    assert mail(f"FROM:<{address}> SMTPUTF8") == Envelope(sender=address, utf8=True)
    assert rcpt(f"TO:<{address}>") == Recipient(address=address)


@given(ADDRESS, st.lists(DOMAIN, min_size=1, max_size=3))
def test_a_source_route_is_dropped(address, hops):
    """Only the address behind the colon counts (RFC 5321 appendix C)."""
    assert rcpt(f"TO:<{','.join('@' + hop for hop in hops)}:{address}>") == Recipient(address=address)


@given(st.text(max_size=60))
def test_anything_is_an_envelope_or_a_permanent_reply(text):
    """Whatever is said, it is read or refused; what is refused is so with a 5xx on one line."""
    for read in (
        mail(text),
        mail(f"FROM:<{text}"),
        rcpt(text),
        rcpt(f"TO:<{text}>"),
        rcpt(f"TO:<a@b> {text}"),
    ):
        if isinstance(read, Reply):
            assert 500 <= read.code < 600
            assert read.status.startswith("5.")
            assert str(read).isprintable()


@given(st.text("0123456789()+- ", min_size=1, max_size=24))
def test_a_number_is_never_another_number(number):
    """Either the local part is the number as written, or it is refused."""
    read = rcpt(f"TO:<{number}@sms.example.com>")
    assert isinstance(read, Reply) or read.address == f"{number}@sms.example.com"


def test_all_parameters():
    """Every parameter finds its place; keywords and fixed values know no case."""
    assert mail("from:<> size=7 Body=8BitMIME ret=HDRS envid=x+2By smtputf8 auth=e+3Dm") == Envelope(
        sender="", declared_size=7, ret="hdrs", envid="x+2By", utf8=True
    )
    assert rcpt("to:<a@b> notify=Failure,SUCCESS,delay orcpt=RFC822;A@b") == Recipient(
        address="a@b",
        orcpt="RFC822;A@b",
        notify=frozenset({Notify.FAILURE, Notify.SUCCESS, Notify.DELAY}),
    )


@pytest.mark.parametrize(
    ("domain", "good"),
    [
        ("a" * 63 + ".example", True),
        ("a" * 64 + ".example", False),
        ("host_name.local", True),
        ("xn--e1afmkfd.example", True),
        ("a-.example", False),
        ("-a.example", False),
        ("a..example", False),
        (".example", False),
        ("[192.0.2.1]", True),
        ("[::1]", False),
        ("[ipv6:::1]", True),
        ("[IPv6:1]", False),
        ("[192.0.2.1", False),
        (".".join(["é" * 40] * 4), False),
    ],
)
def test_domains(domain, good):
    """Labels, literals and lengths of RFC 5321 4.1.2, 4.1.3 and 4.5.3.1."""
    assert isinstance(rcpt(f"TO:<a@{domain}>"), Recipient) == good


@pytest.mark.parametrize("local", ["a\u200bb", "a\u202eb", "a\x85b", '"a\u2028b"', "a\udce9b"])
def test_characters_that_nobody_sees_are_refused(local):
    """Zero-width, direction and line characters would make two addresses look like one."""
    read = rcpt(f"TO:<{local}@d.example>")
    assert isinstance(read, Reply)
    assert read.code == 553


@pytest.mark.parametrize("size", [254, 255])
def test_the_longest_path(size):
    """256 octets with the brackets are taken, one more is not."""
    address = "a" * (size - len("@d.example")) + "@d.example"
    taken = isinstance(rcpt(f"TO:<{address}>"), Recipient)
    assert taken == (size == 254)
    if not taken:
        assert mail(f"FROM:<{address}>") == protocol._LONG_SENDER


@pytest.mark.timeout(20)  # a quadratic reading would take hours
@pytest.mark.parametrize(
    "hostile",
    [
        "TO:<" + "a." * 20000,
        "TO:<" + "@a," * 20000,
        'TO:<"' + "\\a" * 20000,
        "TO:<a@" + "a-" * 20000 + ">",
        "TO:<a@b> " + "ORCPT=rfc822;" + "+2" * 20000,
        "TO:<a@b> NOTIFY=" + "SUCCESS," * 20000,
        "TO:<" + "(" * 40000,
    ],
)
def test_reading_is_linear(hostile):
    """Forty thousand octets of the worst kind take no time to speak of."""
    assert isinstance(rcpt(hostile), Reply)
