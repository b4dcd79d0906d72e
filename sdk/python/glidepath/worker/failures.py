"""From an exception to the fields of a `Failure`, as JSON values: bodies hold no protobuf."""

from __future__ import annotations

import traceback
from typing import Any

from glidepath.errors import InputError
from glidepath.worker.outcomes import Fail, Outcome, Retry

# Numbers of glidepath.common.v1.FailureKind.
APPLICATION, TIMEOUT, OUT_OF_MEMORY, KILLED_BY_SIGNAL, BAD_INPUT, INFRASTRUCTURE, PREEMPTED = range(1, 8)

MESSAGE_CHARS_MAX = 8 * 1024
TRACE_CHARS_MAX = 64 * 1024
CAUSES_MAX = 8


def describe(error: BaseException) -> dict[str, Any]:
    """The failure of a body that raised `error`, with what caused it, outermost first."""
    failure = _describe_one(error)
    causes = [_describe_one(cause) for cause in _causes(error)]
    if causes:
        failure["causes"] = causes
    return failure


def failure(kind: int, type_name: str, message: str, **fields: Any) -> dict[str, Any]:
    """A failure that the worker itself found."""
    return {"kind": kind, "type": type_name, "message": message, **fields}


def _describe_one(error: BaseException) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "kind": _kind(error),
        "type": _type_name(error),
        "message": _message(error)[:MESSAGE_CHARS_MAX],
        "stack_trace": _stack_trace(error)[-TRACE_CHARS_MAX:],
    }
    if isinstance(error, Fail):
        fields["retryable"] = False
    if isinstance(error, Retry):
        fields["retryable"] = True
        fields["retry_after"] = error.after_seconds
    return fields


def _kind(error: BaseException) -> int:
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    return BAD_INPUT if isinstance(error, InputError) else APPLICATION


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its message cannot be made: {broken!r:.200})"


def _stack_trace(error: BaseException) -> str:
    """The frames of the task's own code: those of this package say nothing to the task's author."""
    if isinstance(error, Outcome):
        return ""
    lines = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    lines.__cause__ = lines.__context__ = None
    lines.stack = traceback.StackSummary.from_list([f for f in lines.stack if not _is_ours(f.filename)])
    return "".join(lines.format())


def _is_ours(filename: str) -> bool:
    return filename.startswith((_HERE, "<frozen importlib"))


_HERE = __file__.rpartition("/")[0] + "/"


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    seen = {id(error)}
    while len(chain) < CAUSES_MAX:
        following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if following is None or id(following) in seen:
            break
        seen.add(id(following))
        chain.append(following)
        error = following
    return chain
