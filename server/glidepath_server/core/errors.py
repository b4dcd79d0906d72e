"""What can go wrong, by what the caller can do about it.

Every error carries fields, not a formatted sentence alone; `api/status.py` is the one table from these classes to gRPC
codes and detail messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with an input: where (dotted path), the value as text, what was expected."""

    field: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.field}: got {self.value}, expected {self.expected}"


@dataclass(eq=False)
class GlidepathError(Exception):
    """Base of everything the server raises on purpose. `hint` says what to do next."""

    message: str
    hint: str = ""
    reason: ClassVar[str] = "INTERNAL"

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


@dataclass(eq=False)
class InvalidInput(GlidepathError):
    """The input breaks rules; all violations at once. Nothing was stored."""

    violations: list[Violation] = field(default_factory=list)
    reason: ClassVar[str] = "INVALID_INPUT"


@dataclass(eq=False)
class InvalidDag(InvalidInput):
    """A DAG that cannot be registered."""

    reason: ClassVar[str] = "INVALID_DAG"


@dataclass(eq=False)
class NotFound(GlidepathError):
    """No such thing in this namespace."""

    reason: ClassVar[str] = "NOT_FOUND"


@dataclass(eq=False)
class AlreadyExists(GlidepathError):
    """The name is taken by something else."""

    reason: ClassVar[str] = "ALREADY_EXISTS"


@dataclass(eq=False)
class StateConflict(GlidepathError):
    """The thing is not in a state that allows this."""

    reason: ClassVar[str] = "STATE_CONFLICT"


@dataclass(eq=False)
class Fenced(GlidepathError):
    """The attempt or session spoken for is not live any more; nothing was changed."""

    reason: ClassVar[str] = "FENCED"


@dataclass(eq=False)
class LimitExceeded(GlidepathError):
    """A stated limit was passed; the message names it."""

    retry_after_seconds: float = 0.0
    reason: ClassVar[str] = "LIMIT_EXCEEDED"


@dataclass(eq=False)
class Unauthenticated(GlidepathError):
    """No credentials, or credentials nobody knows."""

    reason: ClassVar[str] = "UNAUTHENTICATED"


@dataclass(eq=False)
class PermissionDenied(GlidepathError):
    """Known, but not allowed."""

    reason: ClassVar[str] = "PERMISSION_DENIED"


@dataclass(eq=False)
class Unavailable(GlidepathError):
    """Try again: the database or this replica is not ready."""

    retry_after_seconds: float = 1.0
    reason: ClassVar[str] = "UNAVAILABLE"


class IllegalTransition(GlidepathError):
    """A state machine was asked for an arrow that it does not have: a bug, or a corrupted row."""

    reason: ClassVar[str] = "ILLEGAL_TRANSITION"
