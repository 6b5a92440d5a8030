"""The address grammar, and phone numbers as people write them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.message import address
from relay.message.address import AddressError, Option, Parsed

DOC = (Path(__file__).parents[2] / "docs" / "address.md").read_text(encoding="utf-8")


def rows(head: str) -> list[list[str]]:
    """The cells of a table of the page, below the head that begins so."""
    table = DOC.partition(f"| {head} |")[2].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def quoted(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]*)`", cell)


def read(how, *args):
    """What is read, None where it is refused; anything but AddressError is a failure."""
    try:
        return how(*args)
    except AddressError:
        return None


@pytest.mark.parametrize(("text", "region", "wanted"), rows("Number | Region"))
def test_numbers_of_the_page(text, region, wanted):
    """Each number of docs/address.md is read as the page says."""
    text, region = quoted(text)[0], (quoted(region) or [""])[0]
    if wanted == "refused":
        with pytest.raises(AddressError):
            address.number(text, region)
    else:
        assert quoted(wanted)[0] == address.number(text, region)


@pytest.mark.parametrize(("local", "recipient", "options"), rows("Before the `@`"))
def test_options_of_the_page(local, recipient, options):
    """Each local part of docs/address.md is taken apart as the page says."""
    found = address.parse(quoted(local)[0])
    shown = [f"{each.name}={each.value}" if each.value else each.name for each in found.options]
    assert (quoted(recipient)[0], quoted(options)) == (found.recipient, shown)


@pytest.mark.parametrize(
    ("given_", "local", "domain"),
    [
        ("79991234567@SMS.Example.com", "79991234567", "sms.example.com"),
        ('"a@b"@Example.com', '"a@b"', "example.com"),
        ("Ivan@почта.РФ", "Ivan", "почта.рф"),
        ("postmaster", "postmaster", ""),
    ],
)
def test_an_address_is_split_at_its_last_at(given_, local, domain):
    """The local part stays as written, the domain is in lower case."""
    assert (local, domain) == address.split(given_)


@pytest.mark.parametrize(
    ("local", "says"),
    [
        ("8(999)1234567", "quotes"),
        ("79991234567(home)", "quotes"),
        ("", "no recipient"),
        ("+", "no recipient"),
        ("++flash", "no recipient"),
        ("79991234567+", "without a name"),
        ("79991234567++flash", "without a name"),
        ("79991234567+=2", "without a name"),
        ("79991234567+79997654321", "one recipient"),
        ("79991234567+fl.ash", "not the name"),
        ("79991234567+" + "x." * 99, "…"),
        ('"79991234567', "enclose"),
        ('"', "enclose"),
        ('"79991234567\\"', "enclose"),
        ('"7"9"', "enclose"),
        ('7"9"', "enclose"),
        ("7999\r\n", "can't be printed"),
    ],
)
def test_bad_local_parts_are_refused_with_a_hint(local, says):
    """What can't be read gets a sentence that names the trouble."""
    with pytest.raises(AddressError, match=re.escape(says)):
        address.parse(local)


@pytest.mark.parametrize(
    ("parsed", "local"),
    [
        (Parsed(recipient="79991234567", options=(Option(name="flash"),)), "79991234567+flash"),
        (Parsed(recipient='a"\\b'), '"a\\"\\\\b"'),
        (Parsed(recipient="8(999)1"), '"8(999)1"'),
        (Parsed(recipient="a..b"), '"a..b"'),
        (Parsed(recipient="дежурный"), "дежурный"),
    ],
)
def test_what_needs_quotes_is_printed_with_them(parsed, local):
    """Printing quotes only what SMTP can't carry bare."""
    assert local == address.print_(parsed)
    assert parsed == address.parse(local)


PRINTABLE = st.characters(codec="utf-8").filter(str.isprintable)
WORD = st.text(PRINTABLE.filter(lambda c: c != "+"), max_size=12)
RECIPIENTS = st.tuples(st.sampled_from(["", "+"]), WORD.filter(str.strip)).map("".join)
VALUES = st.tuples(st.sampled_from(["", "+"]), WORD).map("".join)
OPTIONS = st.builds(Option, name=st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True), value=VALUES)
PARSED = st.builds(
    Parsed,
    recipient=RECIPIENTS.filter(lambda text: not text.endswith("=")),
    options=st.lists(OPTIONS.filter(lambda option: not option.value.endswith("=")), max_size=3).map(tuple),
)


@given(PARSED)
@example(Parsed(recipient="+7999", options=(Option(name="time", value="+5"), Option(name="call"))))
def test_printing_and_parsing_come_back_to_the_same(parsed):
    """Parsing what was printed gives what was printed from."""
    assert parsed == address.parse(address.print_(parsed))


@given(st.text(max_size=40) | st.text(alphabet='79+=()"\\ flash', max_size=20))
def test_whatever_parses_prints_to_something_that_parses_the_same(local):
    """For any local part that is read, print and parse are the identity; others are refused."""
    parsed = read(address.parse, local)
    assert parsed is None or parsed == address.parse(address.print_(parsed))


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("79991234567+flash+time=+5@SMS.Example.com", "79991234567@sms.example.com"),
        ("+79991234567+call@x.org", "+79991234567@x.org"),
        ("OnCall@x.org", "oncall@x.org"),
        ('"oncall"@x.org', "oncall@x.org"),
        ('"8(999)1+call"@x.org', '"8(999)1"@x.org'),
        ("Anna+lists@x.org", "anna@x.org"),
        ("8(999)1@x.org", "8(999)1@x.org"),
        ("Postmaster", "postmaster"),
    ],
)
def test_bare_is_what_patterns_are_matched_with(given_, wanted):
    """Options go, case goes, and what can't be parsed stays as it is."""
    assert wanted == address.bare(given_)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("g777", True), ("G1", True), ("g", False), ("g7a", False), ("79", False), ("g7\n", False)],
)
def test_groups(text, wanted):
    """A group is g or G and digits."""
    assert wanted is address.is_group(text)


@pytest.mark.parametrize(
    ("text", "region", "wanted"),
    [
        (" 7 999 123 45 67 ", "", "+79991234567"),
        ("7.999.123.45.67", "", "+79991234567"),
        ("0049 30 901820", "DE", "+4930901820"),
        ("030 901820", "de", "+4930901820"),
        ("390612345678", "", "+390612345678"),
        ("87011234567", "RU", "+77011234567"),  # as dialled in Russia; +870 would be a satellite
        ("89001234567", "RU", "+79001234567"),
        ("35799123456", "RU", "+35799123456"),
        ("0000000", "RU", None),
        ("380111111111", "RU", "+380111111111"),  # valid nowhere, possible as international only
        ("8(999)123-45-67 ext 5", "RU", None),
        ("+1-800-FLOWERS", "", None),
        ("+79991234567,+79991234568", "", None),
        ("+", "", None),
        ("", "RU", None),
        ("9" * 60, "", None),
        ("99" * 15, "", None),
        ("9991234567", "XX", None),
        ("1234567", "US", None),  # possible only within an area
    ],
)
def test_numbers_are_read_as_they_are_dialled(text, region, wanted):
    """National before international, valid before possible, nothing guessed."""
    if wanted is None:
        with pytest.raises(AddressError, match="not a phone number"):
            address.number(text, region)
    else:
        assert wanted == address.number(text, region)


@given(st.text(max_size=50), st.sampled_from(["", "RU", "US", "DE"]))
def test_a_number_is_e164_or_refused(text, region):
    """Whatever is written, out comes a plus and digits, or a sentence."""
    found = read(address.number, text, region)
    assert found is None or re.fullmatch(r"\+[1-9][0-9]{5,18}", found)


def test_numbers_in_use_are_remembered_and_no_more_than_that():
    """A number is read once however it is surrounded by spaces; refusals and endless texts are not kept."""
    address._e164.cache_clear()
    for text in ("+79991234567", " +79991234567 ", "\n" * 9999 + "+79991234567"):
        assert "+79991234567" == address.number(text)
    for text in ("+1", "nobody", "7" * 9999):
        with pytest.raises(AddressError):
            address.number(text)
    known = address._e164.cache_info()
    assert (1, 2, 4096) == (known.currsize, known.hits, known.maxsize)
