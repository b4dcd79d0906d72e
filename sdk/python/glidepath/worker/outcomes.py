"""What a task may raise to say how its attempt ends. Anything else that it raises is a failure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from glidepath.errors import GlidepathError

if TYPE_CHECKING:
    from glidepath.authoring.dags import Dag

WAIT_SECONDS_MAX = 366 * 86_400.0


class Outcome(GlidepathError):
    """Base of the ends that a task asks for by raising."""


class Skip(Outcome):
    """Nothing to do: the task ends as skipped, with this reason."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(reason)


class Retry(Outcome):
    """Failed, worth another try no earlier than `after` (seconds or a timedelta); the task's retries still bound it."""

    def __init__(self, message: str = "", *, after: float | timedelta = 0) -> None:
        self.after_seconds = after.total_seconds() if isinstance(after, timedelta) else float(after)
        super().__init__(message or f"asked for a retry after {self.after_seconds:g} s")


class Fail(Outcome):
    """Failed, and another try cannot help: not retried whatever the policy says."""


class Defer(Outcome):
    """Give the place back and be called again: at an instant (`until`), or so long from now (`after`).

    No slot is held meanwhile and no retry is used. The next attempt finds `checkpoint` (at most 64 KiB) in its context.
    `after` (seconds, a timedelta, or text such as "5m") is counted by the server, so a wrong clock of the worker does
    no harm. The task's `wait_timeout` bounds the whole wait.
    """

    def __init__(
        self, *, until: datetime | None = None, after: float | timedelta | str | None = None, checkpoint: bytes = b""
    ) -> None:
        if (until is None) == (after is None):
            raise ValueError(f"Defer got until={until!r} and after={after!r}; expected one of the two")
        if until is not None and until.tzinfo is None:
            raise ValueError(f"until is {until.isoformat()} without a zone; expected an instant, such as one in UTC")
        self.until = until
        self.after_seconds = 0.0 if after is None else _seconds(after)
        self.checkpoint = checkpoint
        super().__init__(f"deferred until {until.isoformat()}" if until else f"deferred for {self.after_seconds:g} s")


class Call(Outcome):
    """Start a run of another DAG and go on as it: raised, or returned. No slot is held while it runs.

    `dag` is the id of a registered DAG, or a `Dag` made here and now: that one is registered, its Python tasks being
    functions of the source that the calling task runs from. `params` are checked against its schema; the logical date
    is the caller's unless given. `version` or `alias` choose a version, else it is the latest.

    The task ends as the run ends: with the output of the run's task `output`, or with a dict of the outputs of its last
    tasks by id. A run that fails is a failed attempt, and a retry is a new run. With `resume` the task is called again
    instead, however the run ended: `current().child` says how, and `checkpoint` (at most 64 KiB) is in its context.
    """

    def __init__(
        self,
        dag: str | Dag,
        params: Mapping[str, Any] | None = None,
        *,
        version: int = 0,
        alias: str = "",
        logical_date: datetime | None = None,
        output: str = "",
        resume: bool = False,
        checkpoint: bytes = b"",
    ) -> None:
        if version and alias:
            raise ValueError(f"Call got version={version!r} and alias={alias!r}; expected one of the two, or neither")
        if logical_date is not None and logical_date.tzinfo is None:
            raise ValueError(f"logical_date is {logical_date.isoformat()} without a zone; expected an instant")
        self.dag = dag
        self.params = dict(params or {})
        self.version, self.alias, self.logical_date = version, alias, logical_date
        self.output, self.resume, self.checkpoint = output, resume, checkpoint
        super().__init__(f"calls DAG {self.dag_id}")

    @property
    def dag_id(self) -> str:
        """The DAG's id, however it was given."""
        return self.dag if isinstance(self.dag, str) else self.dag.dag_id


def _seconds(after: float | timedelta | str) -> float:
    """The span in seconds. ValueError for one that nobody can wait for."""
    from glidepath.authoring.options import parse_duration  # not above: most bodies never wait
    from glidepath.errors import AuthoringError

    try:
        seconds = parse_duration(after, "Defer: after").total_seconds()
    except AuthoringError as error:
        raise ValueError(str(error)) from None
    except (OverflowError, ValueError):
        seconds = WAIT_SECONDS_MAX + 1  # infinite, or no number at all
    if seconds > WAIT_SECONDS_MAX:
        raise ValueError(f"Defer got after={after!r}; expected at most 366 days")
    return seconds
