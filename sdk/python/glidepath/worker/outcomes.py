"""What a task may raise to say how its attempt ends. Anything else that it raises is a failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from glidepath.errors import GlidepathError


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
    """Give the slot back until an instant; the next attempt starts then and finds `checkpoint` in its context.

    This server refuses it yet, and the task fails: raise `Retry(after=...)` instead.
    """

    def __init__(self, *, until: datetime | timedelta, checkpoint: bytes = b"") -> None:
        instant = datetime.now(UTC) + until if isinstance(until, timedelta) else until
        if instant.tzinfo is None:
            raise ValueError(f"until is {instant.isoformat()} without a zone; expected an instant, such as one in UTC")
        self.until = instant
        self.checkpoint = checkpoint
        super().__init__(f"deferred until {instant.isoformat()}")
