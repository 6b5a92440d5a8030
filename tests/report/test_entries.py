"""What a report quotes of a text."""

import pytest

from relay.queue.rows import Content
from relay.report import entries


def content(text, channel="sms"):
    """A text that went out."""
    return Content(
        id=1, mail_id=1, channel=channel, text=text, params="{}", files="[]", notes="[]", alphabet="", parts=1
    )


@pytest.mark.parametrize(
    ("of", "quoted"),
    [
        (None, ""),
        (content("<p>disk full</p>", "mail"), ""),
        (content("disk full"), "disk full"),
        (content("d" * 1000), "d" * (entries._EXCERPT - 1) + "…"),
    ],
)
def test_an_excerpt_is_the_beginning_of_what_a_phone_reads(of, quoted):
    """None of a mail's HTML, and no more than a line of a long text."""
    assert quoted == entries._excerpt(of)
