"""Whole mails to whole phones through the sandbox."""

from __future__ import annotations

import pytest
from harness import Journey

GOOD = "79991234567@sms.example.com"
OTHER = "79991234568@sms.example.com"
MAIL = """\
From: Ops <ops@mon.example.com>
Subject: Disk 95 %
Message-ID: <1@mon.example.com>
Date: Fri, 20 Nov 2026 03:00:00 +0000

/var is nearly full
"""


@pytest.mark.both
@pytest.mark.asyncio
async def test_a_mail_becomes_one_message_and_is_delivered(relay: Journey) -> None:
    """The text reaches the phone, once, and nobody is told of success by default."""
    replies = await relay.mail(MAIL, GOOD)
    await relay.pass_time(60)

    assert replies[-1].startswith("250 2.0.0 queued as ")
    assert [("+79991234567", "Disk 95 %\n/var is nearly full")] == [
        (f"+{m.phone.lstrip('+')}", m.text) for m in relay.sandbox.messages
    ]
    assert "delivered" == (await relay.order()).state
    assert [] == relay.reports()
