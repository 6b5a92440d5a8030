"""What a report says of an order for which another one spoke, in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.queue import schema
from relay.queue.rows import DIGEST, Order
from relay.queue.states import State
from relay.report import spoken

ORDER = Order.of(schema.row(schema.orders, id=1, says="a", merged_into=9, state=State.MERGED.value))
SAME = Order.of(schema.row(schema.orders, id=9, says="a", state=State.SENT.value, sent_at=1))
OTHER = replace(SAME, says="b")
DIGESTED = replace(OTHER, alarm=DIGEST)


@pytest.mark.parametrize(
    ("speaker", "english", "russian", "itself"),
    [
        (SAME, "the phone was being told the same", "телефону то же самое", True),
        (None, "the phone was being told the same", "телефону то же самое", True),
        (OTHER, "the phone was told that the problem is over", "телефону сообщено, что проблема", False),
        (DIGESTED, "sent as part of a digest", "отправлено в составе сводки", False),
        (replace(DIGESTED, sent_at=None), "put into a digest", "включено в сводку", False),
    ],
)
def test_how_another_spoke(speaker, english, russian, itself):
    """By the same words, by a digest, by the end of the problem; in a language that is not known: English."""
    speakers = {9: speaker} if speaker else {}
    for language, words in (("en", english), ("ru", russian), ("xx", english)):
        (said,) = spoken.notes([ORDER, ORDER], speakers, language)
        assert said.startswith(words)
    assert itself is spoken.itself(ORDER, speakers)


@pytest.mark.parametrize(
    "order", [replace(ORDER, state=State.FAILED), replace(ORDER, merged_into=None, state=State.DELIVERED)]
)
def test_an_end_of_its_own(order):
    """Of what expired or was dropped while another spoke for it nothing of that kind is said."""
    assert () == spoken.notes([order], {9: DIGESTED}, "en")
    assert spoken.itself(order, {9: DIGESTED})
