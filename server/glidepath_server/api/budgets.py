"""What the calls of one token may take of a listener, so that one caller does not keep the others out.

A call counts from its headers until its answer is sent, so also while its request is not whole or its answer is not
read. Over the number that may run it waits, unread; over the number that may be open it is refused. Callers without a
token, who reach public methods only, have one budget together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ..core.errors import LimitExceeded


@dataclass(slots=True)
class Budget:
    """Of one token: how many of its calls are open, and places for those that run."""

    running: asyncio.Semaphore
    open: int = 0


@dataclass(slots=True)
class Budgets:
    """`open_max` calls of a token at a time, of which `running_max` unary ones run."""

    open_max: int
    running_max: int
    _budgets: dict[str, Budget] = field(default_factory=dict)

    async def enter(self, key: str, *, runs: bool) -> None:
        """Take a place for the call that this task handles, until the task ends. Raises LimitExceeded.

        `runs` is for calls that do something and answer; streams and long polls are open and do nothing.
        """
        budget = self._budgets.setdefault(key, Budget(asyncio.Semaphore(self.running_max)))
        if budget.open >= self.open_max:
            raise LimitExceeded(
                f"{budget.open} calls of this token are open, at most {self.open_max} may be",
                hint="end some, or use several tokens",
                retry_after_seconds=1.0,
            )
        task = asyncio.current_task()
        assert task is not None
        budget.open += 1
        task.add_done_callback(lambda _: self._leave(key, budget))
        if runs:
            await budget.running.acquire()
            task.add_done_callback(lambda _: budget.running.release())

    def _leave(self, key: str, budget: Budget) -> None:
        budget.open -= 1
        if budget.open == 0 and self._budgets.get(key) is budget:
            del self._budgets[key]
