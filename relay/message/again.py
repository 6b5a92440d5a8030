"""What was made of a text is remembered for a while: in a storm the same texts come again. Pure.

A monitor sends its alarm to each person on duty in a mail of its own, and again until somebody acts.
Only the last short texts are remembered, so that no mail can fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

LONGEST = 2000  # characters, or octets, of a text that is remembered
_TEXTS = 128

S = TypeVar("S", str, bytes)
P = ParamSpec("P")
T = TypeVar("T")


def remembered(make: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """The function, which must depend on nothing but what it is given, with its last answers known."""
    known = cast("Callable[Concatenate[S, P], T]", lru_cache(maxsize=_TEXTS)(make))

    @wraps(make)
    def ask(text: S, /, *others: P.args, **named: P.kwargs) -> T:
        if len(text) > LONGEST:
            return make(text, *others, **named)
        return known(text, *others, **named)

    return ask
