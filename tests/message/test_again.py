"""What was made of short texts is remembered, and nothing else."""

from __future__ import annotations

import pytest

from relay.message import again


@pytest.fixture
def asked():
    """A function of texts that is remembered, and what it was asked for."""
    texts: list[str] = []

    @again.remembered
    def shouted(text: str, end: str = "!") -> str:
        texts.append(text)
        return text.upper() + end

    return shouted, texts


def test_a_text_that_comes_again_is_not_worked_on_again(asked):
    """The second answer is the first one."""
    shouted, texts = asked

    assert ["DOWN!", "DOWN!"] == [shouted("down"), shouted("down")]
    assert ["down"] == texts


def test_whatever_else_it_is_given_counts(asked):
    """The same text with something else beside it is another question."""
    shouted, texts = asked

    assert ["UP!", "UP?", "UP."] == [shouted("up"), shouted("up", "?"), shouted("up", end=".")]
    assert ["up"] * 3 == texts


def test_a_long_text_is_not_kept(asked):
    """No mail fills the memory with what it says."""
    shouted, texts = asked
    text = "x" * (again.LONGEST + 1)

    assert shouted(text) == shouted(text)
    assert [text, text] == texts


def test_what_comes_seldom_is_forgotten(asked):
    """Only the last texts are remembered."""
    shouted, texts = asked
    for number in range(again._TEXTS + 1):
        shouted(f"{number}")

    shouted("0")

    assert again._TEXTS + 2 == len(texts)
