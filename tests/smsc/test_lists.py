r"""`list` requests: what is written reads back the same, and a text never opens another line."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.smsc import lists
from relay.smsc.sandbox import recipients

PHONES = st.lists(st.from_regex(r"\+[1-9][0-9]{9,12}", fullmatch=True), min_size=1, max_size=3, unique=True)
TEXTS = st.text(alphabet=st.sampled_from("aЖ :;|,\n\r\\n~{}<>79+\u2028"), min_size=1, max_size=40) | st.text(
    min_size=1
)
EXAMPLES = [
    ("list=79999999999:Hello!%0A79999999999:Hello\\nworld!",
     [("79999999999", "Hello!"), ("79999999999", "Hello\nworld!")]),
    ("list=79999999999:Hello1!\\n~~~\\nComment1%0A78888888888:Hello2!\\n~~~\\nComment2",
     [("79999999999", "Hello1!\n~~~\nComment1"), ("78888888888", "Hello2!\n~~~\nComment2")]),
]  # fmt: skip


@pytest.mark.parametrize(("example", "lines"), EXAMPLES)
def test_the_pages_examples_are_written_like_this(example, lines):
    """But for the plus, which takes the provider's corrections off."""
    fields = lists.list_fields(id="1", lines=[([f"+{phone}"], text) for phone, text in lines], params={})
    assert dict(parse_qsl(example))["list"] == dict(fields)["list"].replace("+", "")
    assert ["id", "list", "charset", "fmt", "cost", "op"] == [name for name, _ in fields]


@given(st.lists(st.tuples(PHONES, TEXTS), min_size=1, max_size=5))
def test_lines_cannot_be_forged(pairs):
    """The sandbox, which reads lists by the vendor's page alone, finds these lines and no other."""
    pairs = [(phones, text) for phones, text in pairs if lists.fits(phones, text)]
    if not pairs:
        return
    written = dict(lists.list_fields(id="1", lines=pairs, params={}))["list"]
    found = recipients.lines(written, multiline=False)
    plain = [text.replace("\r\n", "\n").replace("\r", "\n") for _, text in pairs]
    assert [(",".join(phones), text) for (phones, _), text in zip(pairs, plain, strict=True)] == [
        (line.phones, line.mes) for line in found
    ]


@pytest.mark.parametrize(
    ("phones", "text"),
    [
        (["+79999999999"], "C:\\new"),
        (["+79999999999"], "a\\\nb"),
        (["+79999999999"], ""),
        (["+79999999999"], "x|79990000000:owned"),
        ([], "x"),
        (["g777"], "x"),
        (["@nick"], "x"),
        (["+7999:x"], "x"),
    ],
)
def test_what_a_list_cannot_say_is_refused(phones, text):
    """It has to go alone."""
    assert not lists.fits(phones, text)
    with pytest.raises(ValueError, match="alone"):
        lists.line(phones, text)


def test_a_list_needs_a_line():
    """An empty one would be an error of parameters."""
    with pytest.raises(ValueError, match="needs a line"):
        lists.list_fields(id="1", lines=[], params={})
