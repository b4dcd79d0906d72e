"""What a task may raise to say how its attempt ends. Anything else that it raises is a failure."""

from __future__ import annotations

from datetime import datetime, timedelta

from glidepath.errors import GlidepathError

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
