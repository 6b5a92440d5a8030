"""What the tests of replies share: a phone that says something, and the mails that tell of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import aiohttp
from harness import SENDER, Journey, settings
from pydantic import SecretStr

from relay.model import SECOND

SECRET = "s3cret"
PHONE = "79991234567"
MAIL = f"""\
From: {SENDER}
Subject: Disk
Message-ID: <7@mon.example.com>
References: <6@mon.example.com>

full
"""


def told(tmp_path: Path, **changes: Any) -> Any:
    """A configuration that takes replies."""
    web = {"listen": "127.0.0.1:0", "callback_secret": SecretStr(SECRET)}
    return settings(tmp_path, **{"web": web, "reports": {"gather": 10 * SECOND}, **changes})


async def says(
    relay: Journey, text: str, *, phone: str = PHONE, to_: str = "79037672215", **more: object
) -> int:
    """A phone sends a message; the answer to the provider's call."""
    md5 = hashlib.md5(f"{phone}:{text}:{to_}:{SECRET}".encode()).hexdigest()
    form = {"phone": phone, "mes": text, "to": to_, "md5": md5, "charset": "utf-8"}
    form |= {key: str(value) for key, value in more.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{relay.app.web.address}/callback/main", data=form) as answer,
    ):
        return answer.status


def inbox(relay: Journey) -> list[Any]:
    """The mails about what phones sent."""
    return [mail for mail in relay.reports() if mail["Auto-Submitted"] == "auto-generated"]


def body(mail: Any) -> str:
    """The text of a mail, each line ended by one LF."""
    return mail.get_content().replace("\r\n", "\n")
