"""Every error the SDK raises on purpose, by what the caller can do about it. Imports no network library."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class GlidepathError(Exception):
    """Base of all errors of this distribution."""


class TemplateError(GlidepathError, ValueError):
    """A template names something that does not exist or has no value. A retry cannot help."""


class InputError(GlidepathError, ValueError):
    """An input of a task cannot be made into a value. A retry cannot help."""


class AuthoringError(GlidepathError, ValueError):
    """A DAG is written wrongly: found while its function runs, before anything is sent."""


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a request: the field's path ("tasks.train.retries") and what was expected."""

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


class RpcError(GlidepathError):
    """A call to the server failed.

    `code` is the gRPC status code's name, `method` the RPC that was called, `reason` the server's name for the error
    ("" when the server was not heard).
    """

    def __init__(self, message: str, *, code: str = "", method: str = "", reason: str = "") -> None:
        self.code = code
        self.method = method
        self.reason = reason
        super().__init__(message)


class NotFound(RpcError):
    """The named thing does not exist in this namespace."""


class AlreadyExists(RpcError):
    """Something else has this name or key already."""


class InvalidRequest(RpcError, ValueError):
    """The request's content was refused; `violations` lists everything that is wrong at once."""

    def __init__(
        self, message: str, violations: Iterable[Violation] = (), *, code: str = "", method: str = "", reason: str = ""
    ) -> None:
        self.violations = tuple(violations)
        unsaid = [each for each in self.violations if each.description not in message]
        text = "\n".join([message, *(f"  {each}" for each in unsaid)])
        super().__init__(text, code=code, method=method, reason=reason)


class InvalidDag(InvalidRequest):
    """A DAG was refused, by the checks before it is sent (`code` is empty) or by the server."""


class Unauthenticated(RpcError):
    """The token is missing, unknown, expired or revoked."""


class PermissionDenied(RpcError):
    """The token's role does not allow this call."""


class StateConflict(RpcError):
    """What was asked does not fit the present state; look again, then decide."""


class LimitExceeded(RpcError):
    """A limit of the server is reached; the message names it."""


class Unavailable(RpcError):
    """The server cannot be reached or did not answer in time. Safe to try again: request ids are kept."""


class WaitTimeout(GlidepathError, TimeoutError):
    """The run was not final in the time given. It goes on; only the waiting ended."""
