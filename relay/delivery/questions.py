"""How often one message may be asked about: five times a minute (vendor: status.php, error 9).

Kept in memory by the process that asks. After a restart a question too many may be asked; the
provider then answers with error 9, which moves nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from relay.model import MINUTE, SECOND

MOST = 5
_SPAN = MINUTE + SECOND  # a second of grace for the way there
_REMEMBERED = 20_000

Pair = tuple[str, str]  # phone and our id


class Questions:
    """When each message was last asked about."""

    def __init__(self) -> None:
        self._asked: dict[Pair, deque[int]] = {}

    def allowed_at(self, pairs: Iterable[Pair], now: int) -> int:
        """The first moment from `now` on at which all of these may be asked about."""
        moments = [now]
        for pair in pairs:
            times = self._asked.get(pair)
            if times is not None and len(times) == MOST and 0 <= now - times[0] < _SPAN:
                moments.append(times[0] + _SPAN)
        return max(moments)

    def note(self, pairs: Iterable[Pair], now: int) -> None:
        """They are asked about now."""
        if len(self._asked) > _REMEMBERED:
            self._asked = {pair: times for pair, times in self._asked.items() if now - times[-1] < _SPAN}
        for pair in pairs:
            self._asked.setdefault(pair, deque(maxlen=MOST)).append(now)
