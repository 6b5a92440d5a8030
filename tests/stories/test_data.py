"""What is stored, and that it is forgotten: docs/data.md against the schema and against the file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import aiohttp
import pytest
from harness import journey, settings
from pydantic import SecretStr
from sqlalchemy import select

from relay.model import DAY
from relay.queue import nodes, schema
from relay.queue.engine import Engine

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
WORDS = ("Geheimwort", "Betreffwort", "Kommentarwort", "Antwortwort", "Anhangwort", "Kopfwort")
MAIL = """\
From: ops@mon.example.com
Subject: Betreffwort
X-Header: Kopfwort
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain

Geheimwort
~~~
Kommentarwort
--b
Content-Type: text/csv; name="Anhangwort.csv"

Anhangwort
--b--
"""


def described() -> dict[str, list[str]]:
    """The columns of each table that the page describes."""
    found = {}
    for section in PAGE.split("\n### ")[1:]:
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        found[section.split("`")[1]] = [
            name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])
        ]
    return found


def test_the_page_describes_every_column_of_every_table_once() -> None:
    """None is forgotten, none is made up."""
    both = {**schema.metadata.tables, **nodes.metadata.tables}
    tables = {name: sorted(table.columns.keys()) for name, table in both.items()}
    assert tables == {name: sorted(columns) for name, columns in described().items()}


def test_every_column_has_an_end() -> None:
    """Each row says until when."""
    rows = [line for line in PAGE.split("\n## Tables\n")[1].splitlines() if line.startswith("| `")]
    assert rows
    ends = ("history", "texts", "a day", "as its file", "it ends", "for ever", "40 days", "31 days", "10 min")
    assert [] == [row for row in rows if not row.split("|")[3].strip().startswith(ends)]


async def cells(engine: Engine) -> dict[str, str]:
    """All that the database holds, by `table.column`, as text."""
    found = {}
    for table in schema.metadata.tables.values():
        rows = await engine.read(select(table))
        for column in table.columns:
            found[f"{table.name}.{column.name}"] = " ".join(
                each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each)
                for each in (row[column.name] for row in rows)
            )
    return found


@pytest.mark.both
@pytest.mark.asyncio
async def test_texts_are_where_the_page_says_and_then_nowhere(tmp_path: Path) -> None:
    """Columns that last until *texts* hold them; afterwards no octet of the file does."""
    web = {"listen": "127.0.0.1:0", "callback_secret": SecretStr("s3cret")}
    config = settings(tmp_path, web=web, keep={"texts": DAY, "history": 30 * DAY})
    async with journey(tmp_path, config=config) as relay:
        await relay.mail(MAIL, ["79991234567@sms.example.com", "boss@example.org"], options=["RET=FULL"])
        await relay.mail(MAIL.replace("Betreffwort", "Betreffwort 2"), "79991232006@sms.example.com")
        await relay.pass_time(60)
        md5 = hashlib.md5(b"79991234567:Antwortwort:79037672215:s3cret").hexdigest()
        form = {"phone": "79991234567", "mes": "Antwortwort", "to": "79037672215", "md5": md5}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://{relay.app.web.address}/callback/main", data=form) as answer,
        ):
            assert 200 == answer.status
        await relay.pass_time(60)
        before = await cells(relay.app.store.engine)
        await relay.pass_time(2 * DAY / 1000)
        after = await cells(relay.app.store.engine)
    found = {name for name, text in before.items() if any(word in text for word in WORDS)}
    short = {
        f"{table}.{column}"
        for table, rows in ((section.split("`")[1], section) for section in PAGE.split("\n### ")[1:])
        for row in rows.splitlines()
        if row.startswith("| `") and row.split("|")[3].strip().startswith(("texts", "as its file"))
        for column in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert {"mail.subject", "mail.head", "content.text", "content.params", "content.notes",
            "chunk.data", "file.name", "incoming.text"} <= found <= short  # fmt: skip
    assert {} == {name: text for name, text in after.items() if any(word in text for word in WORDS)}
    files = [path for path in tmp_path.rglob("relay.db*") if path.is_file()]
    assert len(files) >= 1 or config.store.startswith("postgresql:")  # whose files are the server's
    octets = b"".join(path.read_bytes() for path in files)
    assert [] == [word for word in WORDS if word.encode() in octets]
