"""The profile for old devices: what is mended means what it said, and one dot on a line ends a mail."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model import Envelope, Recipient
from relay.smtp import legacy, policy, protocol
from relay.smtp.legacy import LooseDots

WIRE = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r\r\n", b".", b"..", b"\r", b"a", b"\n.\n", b"\r\n.\r\n", b"\0"])
).map(b"".join)
NAME = st.text("abcXYZ019+-_/=!#$%&'*?^`{|}~ёЖ", min_size=1, max_size=12)
SLIPS = st.sampled_from(
    ["<{}>", " <{}>", "{}", " {}", "< {} >", "Night watch <{}>", '"Night, watch" <{}>', "\t<{}>"]
)


def fed(wire, cuts):
    """What comes out of a stream that is cut at these places."""
    dots, out, start = LooseDots(), b"", 0
    for end in [*sorted(cuts), len(wire)]:
        block, start = wire[start:end], end
        if dots.done:
            dots.rest += block
        elif block:
            out += dots.feed(block)
    return out, dots


@given(WIRE, st.data())
def test_a_dot_alone_on_a_line_ends_a_mail(wire, draws):
    """However it is cut, the end and the content are those of the whole."""
    whole = b"\n" + wire
    end = re.search(rb"\n\.\r{0,2}\n", whole)
    out, dots = fed(wire, draws.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    assert dots.done == (end is not None)
    if end is not None:
        assert out == whole[: end.start() + 1].replace(b"\n.", b"\n")[1:]
        assert dots.rest == whole[end.end() :]
    else:
        assert len(wire) - len(out) <= 5 + wire.count(b"\n.")


@given(
    NAME, NAME, SLIPS, st.sampled_from(["FROM", "from", "To", "TO "]), st.sampled_from([":", ": ", "", " : "])
)
def test_every_slip_is_read_as_what_was_meant(local, domain, slip, keyword, colon):
    """The address is the one that was written, to its last character."""
    domain = re.sub(r"[^A-Za-z0-9]", "x", domain)
    address = f"{local}@{domain}.example"
    argument = legacy.mended(f"{keyword}{colon or ' '}{slip.format(address)}", "other.example")
    if keyword.strip().upper() == "FROM":
        read = protocol.read_mail(argument, extended=True, max_size=1000, now=1)
        assert isinstance(read, Envelope)
        assert read.sender == address
    else:
        read = protocol.read_rcpt(argument, extended=True, utf8=True)
        assert read == Recipient(address=address)


@given(st.text(max_size=80))
def test_nothing_is_too_odd_to_be_mended(text):
    """Anything comes out as some line; the strict reading judges it."""
    for line in (text, f"FROM:{text}", f"TO:<{text}", f"to {text}>"):
        assert isinstance(legacy.mended(line, "d.example"), str)


@pytest.mark.parametrize("domain", ["d.example", ""])
def test_a_domain_is_added_where_there_is_one_to_add(domain):
    """Without one, the strict reading refuses the address."""
    assert legacy.mended("TO:<79991234567>", domain) == f"TO:<79991234567{'@d.example' if domain else ''}>"


@pytest.mark.timeout(20)
def test_mending_is_linear():
    """The longest line of the worst kind takes no time to speak of."""
    for piece in ('"', "<", " ", "a <", '"a', ">", "a", "< "):
        for before, after in (("", ""), ("<", ""), ('"', ""), ("", "<"), ('"a" ', ">")):
            legacy.mended(f"FROM:{before}{piece * 20_000}{after}", "d.example")


@pytest.mark.parametrize(
    ("peer", "private"),
    [
        *(("127.0.0.1", True), ("unix", True), ("::1", True), ("10.1.2.3", True), ("172.31.0.1", True)),
        *(("192.168.0.9", True), ("fe80::1%eth0", True), ("fd00::1", True), ("::ffff:10.0.0.1", True)),
        *(("172.32.0.1", False), ("8.8.8.8", False), ("100.64.0.1", False), ("2001:4860::1", False)),
        *(("::ffff:8.8.8.8", False), ("192.0.2.1", False), ("", False)),
    ],
)
def test_private_networks(peer, private):
    """This machine, RFC 1918, link-local and unique local addresses; a mapped IPv4 address is itself."""
    assert policy.private(peer) == private


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["", "\r", "\t", " \0"])
async def test_a_device_logs_in_as_it_says_everything(house, end):
    """In clear where its network may, without EHLO, in lower case, with what it leaves at its lines' ends."""
    door = await house(profile="legacy", auth="required", clear="192.168.0.0/16", proxies="127.0.0.1")
    client = await door.client()
    await client.say("PROXY TCP4 192.168.0.9 192.168.0.1 4711 25")
    await client.hear()
    assert (await client.ask("MAIL FROM: plc@b.example")).startswith("530")
    assert await client.ask(f"auth login{end}") == "334 VXNlcm5hbWU6"
    assert await client.ask(f"YWxpY2U={end}") == "334 UGFzc3dvcmQ6"
    assert (await client.ask(f"c2VjcmV0{end}")).startswith("235")
    assert (await client.ask("MAIL FROM: plc@b.example")).startswith("250")
    assert ["alice"] == [each.user for each in door.hooks.sessions]


@pytest.mark.asyncio
async def test_a_device_of_another_network_does_not_log_in(house):
    """A private network that was not named is asked for no password in clear; a public one is sent away."""
    door = await house(profile="legacy", auth="optional", clear="192.168.0.0/16", proxies="127.0.0.1")
    client = await door.client()
    await client.say("PROXY TCP4 10.0.0.9 192.168.0.1 4711 25")
    await client.hear()
    assert "AUTH" not in await client.ask("EHLO c")
    assert (await client.ask("AUTH LOGIN")).startswith("538 5.7.11")
    client = await door.client()
    await client.say("PROXY TCP4 203.0.113.9 192.168.0.1 4711 25")
    assert (await client.hear()).startswith("554 5.7.1")
    assert await client.hear() == ""
    assert [] == door.hooks.heard
