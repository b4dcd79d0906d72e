"""How much room a limit has: slots of its capacity, starts of its rate. Pure; true only under the limit's lock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LimitUse:
    """`capacity` None: no cap. `rate` starts may fall into a window, of which `started` have; None: no rate."""

    capacity: int | None
    used: int = 0
    rate: int | None = None
    started: int = 0

    def admits(self, slots: int) -> bool:
        """Whether an attempt that takes so many slots may start."""
        if self.capacity is not None and self.used + slots > self.capacity:
            return False
        return self.rate is None or self.started < self.rate

    def occupy(self, slots: int) -> None:
        """An attempt starts."""
        self.used += slots
        self.started += 1

    @property
    def room(self) -> int | None:
        """How many attempts of one slot may start; None: any number."""
        bounds = [
            *([self.capacity - self.used] if self.capacity is not None else []),
            *([self.rate - self.started] if self.rate is not None else []),
        ]
        return max(min(bounds), 0) if bounds else None


GONE = LimitUse(0)
"""A limit that is not there."""
