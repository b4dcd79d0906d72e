"""How attempts fail because a test wants them to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from glidepath.worker.outcomes import Retry

FailPlan = int | bool | BaseException | Sequence[BaseException | None]
"""How attempts of a task fail before its body runs: True always, a number the first so many, an exception always with
it, a list one entry per attempt (None lets that one run, and so does the end of the list)."""


class PlannedFailure(Retry):
    """What an attempt fails with that `fail` let fail without naming an exception: it is retried like any other."""


def planned_failure(plan: FailPlan, attempt_number: int) -> BaseException | None:
    """What the attempt of this number fails with, if it is to fail."""
    if isinstance(plan, BaseException):
        return plan
    if isinstance(plan, bool | int):
        fails = plan is True or (plan is not False and attempt_number <= plan)
        return PlannedFailure(f"attempt {attempt_number} was to fail") if fails else None
    return plan[attempt_number - 1] if attempt_number <= len(plan) else None


def raising(error: BaseException) -> Callable[..., Any]:
    """A body that does nothing else."""

    def body(**arguments: Any) -> Any:
        raise error

    return body
