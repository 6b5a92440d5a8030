"""The kept mails of real clients and devices: each becomes exactly what stands beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools"))

import kept_mails

RELAY = kept_mails.settings()
MAILS = kept_mails.mails()


@pytest.mark.parametrize("mail", MAILS, ids=[mail.stem for mail in MAILS])
def test_a_kept_mail_becomes_what_stands_beside_it(mail):
    """The requests, texts, files and notes of NN-name.orders.yaml; `make mails` writes them anew."""
    wanted = kept_mails.expected(mail)
    assert wanted["orders"] == kept_mails.found(mail, tuple(wanted["to"]), RELAY)


def test_every_mail_is_told_of():
    """The page beside them has a row for each."""
    page = (kept_mails.FOLDER / "README.md").read_text("utf-8")
    assert [] == [mail.name for mail in MAILS if f"| {mail.stem.replace('-', ' | ', 1)} |" not in page]
