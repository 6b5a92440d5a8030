"""Everything that can happen, in any order; then the law of one message and one word must hold.

The walks are those of `walk.Relay`. `MODEL_EXAMPLES` sets how many are made, `--hypothesis-seed`
which. What fails is shown as its steps.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from walk import Relay

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "20"))


@pytest.fixture
def quiet() -> Iterator[None]:
    """No log: a walk that fails is told by its steps."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(300 + 20 * EXAMPLES)
def test_one_message_and_one_word_whatever_happens(quiet: None) -> None:
    """Every order of every mail: one message and one true word, or none and a report that says so."""
    run_state_machine_as_test(
        Relay,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=25, deadline=None),
    )
