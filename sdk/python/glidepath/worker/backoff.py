"""Waiting between tries, longer each time and never in step with other workers."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.1
MOST_SECONDS = 10.0


class Backoff:
    """Delays that double up to a bound, each drawn between half and the whole of it."""

    def __init__(self, first: float = FIRST_SECONDS, most: float = MOST_SECONDS) -> None:
        self._first = first
        self._most = most
        self._ceiling = first

    def next(self) -> float:
        """Seconds to wait before the next try."""
        ceiling, self._ceiling = self._ceiling, min(self._most, self._ceiling * 2)
        return random.uniform(ceiling / 2, ceiling)

    def reset(self) -> None:
        """It worked: begin anew."""
        self._ceiling = self._first
